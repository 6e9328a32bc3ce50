//! Which addresses of the machine can be sent to: those of links, of loopback, one of many.

use std::net::{IpAddr, TcpStream};
use std::time::Duration;

use crate::support::lab::{RTR, RTR6};
use crate::support::{Netns, Program, require_root};

use super::{agrees, asked, connects, lab, of_link, told};

#[test]
fn addresses_of_a_link_are_asked_about_on_each_link() {
    require_root!();
    let (lab, _inside) = lab();
    let (near, _) = of_link(&lab.rtr, "near");
    let (far, _) = of_link(&lab.rtr, "far");
    let _server = lab.rtr.python(&format!(
        "listener('[::]:22')\nlistener('[::]:23')\nlistener('[{near}%near]:7000')\n\
         listener('[{far}%far]:7001')\nlistener('[::]:24')"
    ));
    lab.rtr.rules(
        "table inet t { chain in { type filter hook input priority 0; policy drop
         icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
         ip6 saddr fe80::/10 tcp dport 22 accept
         ip6 daddr fe80::/10 tcp dport { 7000, 7001 } accept
         iifname far ip6 saddr fe80::/10 tcp dport 23 accept
         tcp dport { 24, 8080 } accept
 }
 chain out { type filter hook output priority 0
         oifname far ip6 daddr fe80::/10 tcp sport 24 drop
 }
 chain pre { type nat hook prerouting priority -100
         tcp dport 8080 dnat ip6 to [fd78::2]:81
 }\n}",
    );
    let comes = |from: &Netns, by: &str, to: &str, port: u16| {
        let (_, index) = of_link(from, by);
        let to: std::net::Ipv6Addr = to.parse().expect("an address");
        let to = std::net::SocketAddrV6::new(to, port, 0, index);
        let limit = Duration::from_millis(900);
        from.enter(|| TcpStream::connect_timeout(&to.into(), limit).is_ok())
    };
    let (from_near, from_far) = (of_link(&lab.src, "eth0").0, of_link(&lab.dst, "eth0").0);
    for (port, of_near, of_far) in [
        (22, true, true),
        (23, false, true),
        (24, true, false),
        (7000, true, false),
        (7001, false, true),
    ] {
        assert_eq!(comes(&lab.src, "eth0", &near, port), of_near, "{port} from near");
        assert_eq!(comes(&lab.dst, "eth0", &far, port), of_far, "{port} from far");
        let said = |from: String| told(&lab.rtr, port, &from).0 == "yes";
        assert_eq!(said(format!("{from_near}%near")), of_near, "{port} from near");
        assert_eq!(said(format!("{from_far}%far")), of_far, "{port} from far");
    }
    // Without a zone every link is asked.
    assert_eq!(told(&lab.rtr, 7000, "fe80::9").0, "yes");
    let any = asked(&lab.rtr, "23/tcp --from any").to_string();
    assert!(any.contains("fe80::/10"), "{any}");
    // What is translated to others is not passed on for them.
    assert!(connects(&lab.src, RTR6, 8080), "the lab passes on");
    assert!(!comes(&lab.src, "eth0", &near, 8080));
    let told = told(&lab.rtr, 8080, &format!("{from_near}%near"));
    assert_eq!(told, ("no".into(), "link-local".into()));
}

#[test]
fn own_addresses_that_no_rule_tells_apart_are_asked_about_by_one_of_them() {
    require_root!();
    let (lab, _inside) = lab();
    for n in 100..160 {
        lab.rtr.ip(&format!("address add 10.77.0.{n}/24 dev near"));
    }
    let _server = lab.rtr.python("listener('10.77.0.157:7000')\nlistener('0.0.0.0:22')");
    lab.rtr.filter_input(
        "ip daddr 10.77.0.158 tcp dport 22 accept
         tcp dport 7000 accept
         iifname near drop",
    );
    let to = |n: u8| IpAddr::from([10, 77, 0, n]);
    assert!(connects(&lab.src, to(157), 7000) && connects(&lab.src, to(158), 22));
    assert!(!connects(&lab.src, to(156), 22));
    assert_eq!(told(&lab.rtr, 7000, "10.77.0.1"), ("yes".into(), "rule-accepts".into()));
    assert_eq!(told(&lab.rtr, 22, "10.77.0.1"), ("yes".into(), "rule-accepts".into()));
    let group =
        asked(&lab.rtr, "22/tcp --from 10.77.0.1")["ports"][0]["reach"][0]["groups"][0].clone();
    assert_eq!(group["to"], "10.77.0.158", "{group:#}");
}

#[test]
fn what_a_setting_lets_in_to_loopback_and_a_route_makes_local_is_reached() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.python("listener('127.0.0.1:7100')\nlistener('127.0.0.9:7101')");
    // A neighbour who writes what address he likes on his packets.
    lab.src.rules(
        "table ip t { chain out { type filter hook postrouting priority 300
         ip daddr 10.77.0.254 tcp dport 7100 ip daddr set 127.0.0.1
         ip daddr 10.77.0.254 tcp dport 7101 ip daddr set 127.0.0.9
 }
 chain in { type filter hook prerouting priority -400
         ip saddr 127.0.0.0/8 tcp sport 7100-7101 ip saddr set 10.77.0.254
 }\n}",
    );
    let neighbour = (&lab.src, "10.77.0.1");
    agrees(&lab.rtr, neighbour, RTR, &[(7100, false), (7101, false)]);
    lab.rtr.set("net/ipv4/conf/near/route_localnet", 1);
    agrees(&lab.rtr, neighbour, RTR, &[(7100, true), (7101, true)]);
    assert_eq!(told(&lab.rtr, 7100, "10.78.0.2").0, "no", "not by the other interface");
    let ran = Program::line("reach 7100 --from 10.77.0.1").inside(&lab.rtr).run().expect_code(0);
    assert!(ran.stdout.contains("net.ipv4.conf.near.route_localnet=0"), "{}", ran.stdout);
    lab.rtr.set("net/ipv4/conf/near/route_localnet", 0);
    lab.rtr.ip("route add local 10.66.0.0/16 dev lo");
    let _any = lab.rtr.listen("10.66.3.3:9000");
    let local: IpAddr = "10.66.3.3".parse().expect("an address");
    agrees(&lab.rtr, (&lab.src, "10.77.0.1"), local, &[(9000, true)]);
}

#[test]
fn settings_of_one_interface_decide_for_what_comes_in_by_it() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.python("listener('127.0.0.1:6000')");
    lab.rtr.rules(
        "table ip r { chain pre { type nat hook prerouting priority -100
         tcp dport 8080 dnat to 10.78.0.2:80
         tcp dport 6004 dnat to 127.0.0.1:6000
 }\n}",
    );
    let by = lab.rtr.output("ip -o addr show to 10.77.0.254");
    let by = by.split_whitespace().nth(1).expect("the interface").to_owned();
    agrees(&lab.rtr, (&lab.src, "10.77.0.1"), RTR, &[(8080, true), (6004, false)]);
    lab.rtr.set(&format!("net/ipv4/conf/{by}/route_localnet"), 1);
    lab.rtr.set(&format!("net/ipv4/conf/{by}/forwarding"), 0);
    agrees(&lab.rtr, (&lab.src, "10.77.0.1"), RTR, &[(8080, false), (6004, true)]);
    lab.rtr.ip("rule add from 10.77.0.1 priority 100 prohibit");
    let packet = "firewall simulate tcp 10.77.0.1:4000 10.77.0.254:22 --in near --json";
    let ran = Program::line(packet).inside(&lab.rtr).run();
    assert!(ran.stdout.contains("rules of policy routing lead (1 beside"), "{}", ran.stdout);
}

#[test]
fn this_machine_is_asked_with_its_own_addresses_and_not_from_loopback_alone() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.python("listener('0.0.0.0:9090')\nlistener('0.0.0.0:9091')");
    lab.rtr.rules(
        "table inet t { chain in { type filter hook input priority 0
         tcp dport 9090 ip saddr != 10.78.0.0/24 drop
         tcp dport 9091 drop
 }\n}",
    );
    let far = "10.78.0.254".parse().expect("an address");
    for (port, comes) in [(9090, true), (9091, false)] {
        assert_eq!(connects(&lab.rtr, far, port), comes, "{port}");
        let answer = told(&lab.rtr, port, "loopback").0;
        assert_eq!(answer == "yes", comes, "{port}: {answer}");
    }
    let chart = Program::line("status --json").inside(&lab.rtr).run().json();
    let ports = chart["ports"].as_array().expect("ports");
    let row = ports.iter().find(|row| row["port"] == 9090).expect("it is open");
    let here = row["reach"].as_array().expect("answers").iter();
    let here: Vec<_> = here.filter(|reached| reached["source"] == "loopback").collect();
    assert_eq!(here[0]["answer"], "yes", "{row:#}");
}

#[test]
fn who_is_named_by_an_own_address_sends_from_that_and_no_other() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.python("listener('0.0.0.0:8080')\nlistener('0.0.0.0:8081')");
    lab.rtr.rules(
        "table ip t { chain in { type filter hook input priority 0
         tcp dport 8080 ip saddr != 127.0.0.1 drop
         tcp dport 8081 ip saddr != 10.77.0.0/24 drop
         tcp dport 8081 ip daddr 10.77.0.254 drop
 }\n}",
    );
    let comes = |from: &str, to: &str, port: u16| {
        let script = format!(
            "import socket\ns = socket.socket()\ns.settimeout(0.5)\ns.bind(('{from}', 0))\n\
             s.connect(('{to}', {port}))"
        );
        let ran = lab.rtr.command("python3").args(["-c", &script]).output().expect("python3 runs");
        ran.status.success()
    };
    for (port, from, is_let) in [
        (8080, "127.0.0.1", true),
        (8080, "10.77.0.254", false),
        (8081, "127.0.0.1", false),
        (8081, "10.77.0.254", true),
        (8081, "10.78.0.254", false),
    ] {
        let any =
            ["127.0.0.1", "10.77.0.254", "10.78.0.254"].iter().any(|to| comes(from, to, port));
        assert_eq!(any, is_let, "{port} from {from}");
        let told = asked(&lab.rtr, &format!("{port}/tcp --from {from}"));
        let reached = &told["ports"][0]["reach"][0];
        assert_eq!(reached["answer"] == "yes", is_let, "{told:#}");
        assert_eq!(reached["groups"].as_array().map(Vec::len), Some(1), "of its family: {told:#}");
    }
}

#[test]
fn an_interface_that_is_not_there_is_an_error_where_it_is_known_which_are() {
    require_root!();
    let (lab, _inside) = lab();
    let run = |words: &str| Program::line(words).inside(&lab.rtr).run();
    for words in [
        "reach 22 --from iface:eht9",
        "firewall simulate tcp 10.77.0.1 10.77.0.254:22 --in eht9",
        "firewall simulate tcp 10.77.0.1 10.78.0.2:22 --hook forward --out eht9",
        "firewall search --to-port 22 --from iface:eht9",
    ] {
        let said = run(words).expect_code(2).stderr;
        assert!(said.contains("there is no interface `eht9`"), "{words}: {said}");
        assert!(said.contains("there are lo, near, far"), "{words}: {said}");
    }
}
