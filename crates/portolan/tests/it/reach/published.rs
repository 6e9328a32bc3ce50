//! Containers that are published: reached around the input rules, and closed by the fixes that are told.

use serde_json::Value;

use crate::support::lab::{Lab, RTR, RTR6};
use crate::support::{Netns, Program, require_root};

use super::{SRC6, UFW_AND_DOCKER, agrees, asked, connects, iptables, lab, told};

#[test]
fn a_published_port_is_reached_around_ufw_and_both_rules_and_the_fixes_are_told() {
    require_root!();
    let (lab, _inside) = lab();
    let _proxy = lab.rtr.python(
        "listener('0.0.0.0:22')\nlistener('0.0.0.0:8080')\nlistener('127.0.0.1:8081')\n\
         listener('0.0.0.0:9000')\nlistener('[::]:9001')",
    );
    iptables(&lab.rtr, UFW_AND_DOCKER);
    let stranger = (&lab.src, "10.77.0.1");
    agrees(&lab.rtr, stranger, RTR, &[(22, true), (8080, true), (8081, false), (9000, false)]);
    // These rules are of IPv4: the proxy is reached by IPv6 past everything.
    agrees(&lab.rtr, (&lab.src, SRC6), RTR6, &[(9001, true)]);
    // The container comes to its own published port by the input path.
    let gateway = "10.78.0.254".parse().expect("an address");
    agrees(&lab.rtr, (&lab.dst, "10.78.0.2"), gateway, &[(8080, false), (22, true)]);

    let ran = Program::line("reach 8080 --from any --json").inside(&lab.rtr).run().expect_code(1);
    let report = ran.json();
    assert_eq!(report["bypass"], "docker-dnat");
    let group = &report["ports"][0]["reach"][0]["groups"][0];
    assert_eq!(group["rule"]["chain"], "DOCKER", "{group:#}");
    assert_eq!(group["bypass"]["rule"]["chain"], "ufw-user-input");
    assert_eq!(group["translated"]["to"], "10.78.0.2:80");
    let fixes = report["ports"][0]["fixes"].as_array().expect("fixes");
    let commands: Vec<&str> = fixes.iter().filter_map(|fix| fix["command"].as_str()).collect();
    assert!(commands[0].contains("127.0.0.1:8080:80"), "{commands:?}");
    assert!(commands[1].contains("ct original proto-dst 8080"), "{commands:?}");
    assert!(commands[2].contains("DOCKER-USER"), "{commands:?}");
}

#[test]
fn each_fix_that_is_told_closes_the_port() {
    require_root!();
    let (lab, _inside) = lab();
    iptables(&lab.rtr, UFW_AND_DOCKER);
    let is_open = || connects(&lab.src, RTR, 8080);
    assert!(is_open());
    let fixes = asked(&lab.rtr, "8080/tcp --from 10.77.0.1")["ports"][0]["fixes"].clone();
    let commands: Vec<&str> =
        fixes.as_array().expect("fixes").iter().filter_map(|f| f["command"].as_str()).collect();
    assert_eq!(commands[0], "-p 127.0.0.1:8080:80");
    assert_eq!(commands.len(), 4, "{commands:?}");
    for command in &commands[1..] {
        // Pasted as it is told.
        let pasted = lab.rtr.command("sh").args(["-c", command]).status().expect("sh starts");
        assert!(pasted.success(), "{command}");
        assert!(!is_open(), "{command}");
        assert_eq!(told(&lab.rtr, 8080, "10.77.0.1"), ("no".into(), "rule-refuses".into()));
        match command.starts_with("nft") {
            true => lab.rtr.rules("delete table inet close_ports"),
            false => drop(lab.rtr.output("iptables-nft -D DOCKER-USER 1")),
        }
        assert!(is_open());
    }
}

/// What is told of who gets to what stands behind a port: to where, and by which chain's word.
fn straight(host: &Netns, port: u16, from: &str) -> Vec<(String, String)> {
    let report = asked(host, &format!("{port}/tcp --from {from}"));
    let groups = report["ports"][0]["reach"][0]["straight"].as_array().expect("a list").clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let told = |group: &Value| (text(&group["taker"]["to"]), text(&group["rule"]["chain"]));
    groups.iter().map(told).collect()
}

#[test]
fn a_neighbour_who_routes_to_a_container_published_for_this_machine_alone_is_told_of() {
    require_root!();
    let (lab, _inside) = lab();
    let _proxy = lab.rtr.listen("127.0.0.1:8081");
    iptables(&lab.rtr, UFW_AND_DOCKER);
    let container = "10.78.0.2".parse().expect("an address");
    let (comes, there) = (|| connects(&lab.src, container, 80), ("10.78.0.2:80", "DOCKER"));
    agrees(&lab.rtr, (&lab.src, "10.77.0.1"), RTR, &[(8081, false)]);
    assert!(comes(), "the lab's strangers route to the container by the host");
    assert_eq!(straight(&lab.rtr, 8081, "10.77.0.1"), [(there.0.into(), there.1.into())]);
    // Who reaches the port anyway is not told of twice, and who is not on the link cannot.
    assert_eq!(straight(&lab.rtr, 8080, "10.77.0.1"), []);
    lab.rtr.ip("route add 10.9.0.0/16 via 10.77.0.1");
    assert_eq!(straight(&lab.rtr, 8081, "10.9.1.1"), []);
    let ran = Program::line("reach 8081 --from any").inside(&lab.rtr).run().expect_code(1);
    assert!(ran.stdout.contains("straight to 10.78.0.2:80"), "{}", ran.stdout);
    // A refusal by the port it had is no help against that; the fix that is told is.
    let forward = "table inet mine { chain onward { type filter hook forward priority -5
         ct status dnat meta l4proto tcp ct original proto-dst 8080 drop
 }\n}";
    lab.rtr.rules(forward);
    assert!(comes());
    assert_eq!(straight(&lab.rtr, 8080, "10.77.0.1").len(), 1);
    let fixes = asked(&lab.rtr, "8081/tcp --from 10.77.0.1")["ports"][0]["fixes"].clone();
    let fix = fixes[0]["command"].as_str().expect("a command").to_owned();
    let rule = "iifname != \"far\" ip daddr 10.78.0.2 tcp dport 80 drop";
    assert!(fix.ends_with(&format!("{rule}'")), "{fix}");
    assert!(lab.rtr.command("sh").args(["-c", &fix]).status().expect("sh starts").success());
    assert!(!comes());
    assert_eq!(straight(&lab.rtr, 8081, "10.77.0.1"), []);
    lab.rtr.rules("delete table inet mine");
    agrees(&lab.rtr, (&lab.src, "10.77.0.1"), RTR, &[(8080, true)]);
}

#[test]
fn a_port_published_to_where_nothing_listens_is_let_through_and_no_more() {
    require_root!();
    let lab = Lab::new();
    // An address that no other lab has.
    let inside =
        format!("10.78.{}.{}", std::process::id() / 250 % 250 + 1, std::process::id() % 250 + 1);
    lab.dst.ip(&format!("address add {inside}/32 dev eth0"));
    lab.rtr.ip(&format!("route add {inside} via 10.78.0.2"));
    lab.rtr.rules(&format!(
        "table ip r {{ chain pre {{ type nat hook prerouting priority -100
         tcp dport 8080 dnat to {inside}:80
 }}\n}}"
    ));
    assert!(!connects(&lab.src, RTR, 8080));
    let listens = || {
        let report = asked(&lab.rtr, "8080/tcp --from 10.77.0.1");
        let group = &report["ports"][0]["reach"][0]["groups"][0];
        (report["answer"].clone(), group["taker"]["listens"].clone())
    };
    assert_eq!(listens(), ("yes".into(), false.into()), "the firewall is open all the same");
    let text = Program::line("reach 8080/tcp --from 10.77.0.1").inside(&lab.rtr).run().stdout;
    assert!(text.contains("through from 10.77.0.1"), "{text}");
    assert!(text.contains(&format!("nothing listens at {inside}:80 now")), "{text}");
    let _server = lab.dst.listen("0.0.0.0:80");
    assert!(connects(&lab.src, RTR, 8080));
    assert_eq!(listens(), ("yes".into(), true.into()));
}

#[test]
fn programs_of_this_machine_come_to_a_container_by_an_address_that_is_no_loopback() {
    require_root!();
    let (lab, _inside) = lab();
    iptables(&lab.rtr, UFW_AND_DOCKER);
    assert!(connects(&lab.rtr, RTR, 8080));
    for from in ["10.77.0.254", "loopback"] {
        assert_eq!(asked(&lab.rtr, &format!("8080/tcp --from {from}"))["answer"], "yes", "{from}");
    }
}

#[test]
fn a_host_that_does_not_forward_reaches_no_container() {
    require_root!();
    let (lab, _inside) = lab();
    lab.rtr.rules(
        "table ip r { chain pre { type nat hook prerouting priority -100
         tcp dport 8080 dnat to 10.78.0.2:80
 }\n}",
    );
    agrees(&lab.rtr, (&lab.src, "10.77.0.1"), RTR, &[(8080, true)]);
    lab.rtr.set("net/ipv4/ip_forward", 0);
    agrees(&lab.rtr, (&lab.src, "10.77.0.1"), RTR, &[(8080, false)]);
    assert_eq!(told(&lab.rtr, 8080, "10.77.0.1").1, "not-forwarding");
}

#[test]
fn who_is_named_by_an_address_of_this_machine_takes_the_way_of_that_address() {
    require_root!();
    let (lab, _inside) = lab();
    let _proxy = lab.rtr.python("listener('0.0.0.0:8080')");
    iptables(&lab.rtr, UFW_AND_DOCKER);
    let group = |from: &str| {
        let told = asked(&lab.rtr, &format!("8080/tcp --from {from}"));
        told["ports"][0]["reach"][0]["groups"][0].clone()
    };
    let by_address = group("10.77.0.254");
    assert_eq!(by_address["translated"]["to"], "10.78.0.2:80", "{by_address:#}");
    let by_loopback = group("loopback");
    assert!(by_loopback["translated"].is_null(), "{by_loopback:#}");
}
