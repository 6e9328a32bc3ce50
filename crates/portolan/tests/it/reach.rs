//! `portolan reach`: what it says of a host is what packets do to it.
//!
//! The host is the router of the lab: strangers come from one side, a container stands on the other.

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::lab::{DST, Lab, RTR, RTR6, SRC};
use crate::support::repository::root;
use crate::support::{Netns, Program, Ran, Server, eventually, require_root, skip};

/// A stranger's address of IPv6.
const SRC6: &str = "fd77::1";

fn lab() -> (Lab, Server) {
    let lab = Lab::new();
    let inside = lab.dst.python("listener('0.0.0.0:80', 64)\nlistener('[::]:81')");
    (lab, inside)
}

fn connects(from: &Netns, to: IpAddr, port: u16) -> bool {
    let limit = Duration::from_millis(900);
    from.enter(|| TcpStream::connect_timeout(&SocketAddr::new(to, port), limit).is_ok())
}

fn asked(host: &Netns, words: &str) -> Value {
    Program::line(&format!("reach {words} --json")).inside(host).run().json()
}

/// What is said of a source, and by which kind of reason.
fn told(host: &Netns, port: u16, from: &str) -> (String, String) {
    let report = asked(host, &format!("{port}/tcp --from {from}"));
    let groups = report["ports"][0]["reach"][0]["groups"].as_array().expect("groups").clone();
    let by = groups.first().map(|group| group["by"].as_str().unwrap_or_default().to_owned());
    (report["answer"].as_str().expect("an answer").to_owned(), by.unwrap_or_default())
}

/// Holds what is said of every one of these ports against a real connection.
#[track_caller]
fn agrees(host: &Netns, from: (&Netns, &str), to: IpAddr, ports: &[(u16, bool)]) {
    for (port, expected) in ports {
        let (answer, by) = told(host, *port, from.1);
        let comes = connects(from.0, to, *port);
        assert_eq!(comes, *expected, "{port} from {}: what packets do", from.1);
        assert_eq!(answer == "yes", comes, "{port} from {}: said {answer}, {by}", from.1);
    }
}

/// Loads rules of iptables inside.
fn iptables(netns: &Netns, rules: &str) {
    let mut command = netns.command("iptables-nft-restore");
    let mut child = command.stdin(Stdio::piped()).spawn().expect("nsenter is installed");
    child.stdin.take().expect("it is piped").write_all(rules.as_bytes()).expect("it reads");
    assert!(child.wait().expect("it ends").success(), "{rules}");
}

/// As ufw and Docker write them: 8080 is denied by the one and published by the other.
const UFW_AND_DOCKER: &str = "*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 10.78.0.0/24 ! -o far -j MASQUERADE
-A DOCKER -i far -j RETURN
-A DOCKER ! -i far -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.78.0.2:80
-A DOCKER -d 127.0.0.1/32 ! -i far -p tcp -m tcp --dport 8081 -j DNAT --to-destination 10.78.0.2:80
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
:ufw-user-input - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -j ufw-user-input
-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT
-A ufw-user-input -p tcp -m tcp --dport 8080 -j DROP
-A FORWARD -j DOCKER-USER
-A FORWARD -o far -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o far -j DOCKER
-A FORWARD -i far ! -o far -j ACCEPT
-A DOCKER -d 10.78.0.2/32 ! -i far -o far -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
";

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
fn rules_of_nft_that_close_ipv4_and_forget_ipv6_are_told_apart() {
    require_root!();
    let (lab, _inside) = lab();
    let _servers = lab
        .rtr
        .python("listener('[::]:5432')\nlistener('127.0.0.1:6379')\nlistener('[fd77::fe]:7000')");
    lab.rtr.rules(
        "table ip t { set office { type ipv4_addr; flags interval; elements = { 10.9.0.0/16 } }
         chain in { type filter hook input priority 0; policy drop
         iif lo accept
         ct state established accept
         ip saddr @office tcp dport 5432 accept
 }\n}",
    );
    agrees(&lab.rtr, (&lab.src, "10.77.0.1"), RTR, &[(5432, false), (6379, false)]);
    agrees(&lab.rtr, (&lab.src, SRC6), RTR6, &[(5432, true), (6379, false), (7000, true)]);
    assert_eq!(told(&lab.rtr, 5432, "10.9.1.1"), ("no".into(), "no-route".into()));
    lab.rtr.ip("route add default via 10.77.0.1");
    assert_eq!(told(&lab.rtr, 5432, "10.9.1.1").0, "yes");
    assert_eq!(told(&lab.rtr, 6379, "10.77.0.1").1, "bound-elsewhere");
    let any = asked(&lab.rtr, "5432/tcp --from any");
    assert_eq!(any["ports"][0]["reach"][0]["answer"], "depends");
}

/// The address of its link that a namespace has on an interface, and that interface's number there.
fn of_link(netns: &Netns, interface: &str) -> (String, u32) {
    let told = || netns.output(&format!("ip -o -6 addr show dev {interface} scope link"));
    eventually("it has one", || told().contains("fe80") && !told().contains("tentative"));
    let told = told();
    let index = told.split(':').next().expect("a number").trim().parse().expect("a number");
    let address = told.split_whitespace().find(|word| word.starts_with("fe80")).expect("one");
    (address.split('/').next().expect("an address").to_owned(), index)
}

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
fn an_answer_that_cannot_leave_is_no_connection() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.python("listener('0.0.0.0:443')\nlistener('0.0.0.0:444')");
    lab.rtr.filter_output("tcp sport 443 drop");
    agrees(&lab.rtr, (&lab.src, "10.77.0.1"), RTR, &[(443, false), (444, true)]);
    assert_eq!(told(&lab.rtr, 443, "10.77.0.1").1, "rule-refuses-answer");
}

#[test]
fn a_redirected_port_leads_to_the_one_that_listens() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.listen("0.0.0.0:8443");
    lab.rtr.rules(
        "table ip r { chain pre { type nat hook prerouting priority -100
         tcp dport 443 redirect to :8443
 }\n}",
    );
    agrees(&lab.rtr, (&lab.src, "10.77.0.1"), RTR, &[(443, true), (8443, true)]);
    let report = asked(&lab.rtr, "8443/tcp --from 10.77.0.1");
    let ports: Vec<_> =
        report["ports"].as_array().expect("ports").iter().map(|p| p["port"].clone()).collect();
    assert_eq!(ports, [8443, 443]);
    assert_eq!(report["ports"][1]["leads_to"], 8443);
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

/// A listener that takes what is addressed to others.
const TRANSPARENT: &str = "[(socket.SOL_IP, 19, 1)]";

#[test]
fn what_is_handed_to_a_transparent_socket_is_taken_by_it() {
    require_root!();
    let (lab, _inside) = lab();
    let _servers = lab.rtr.python(&format!(
        "listener('0.0.0.0:8443', 8, {TRANSPARENT})\nlistener('0.0.0.0:8444')\n\
         listener('127.0.0.1:8445', 8, {TRANSPARENT})"
    ));
    lab.rtr.ip("rule add fwmark 1 lookup 100");
    lab.rtr.ip("route add local 0.0.0.0/0 dev lo table 100");
    lab.rtr.rules(
        "table ip m { chain pre { type filter hook prerouting priority -150
         tcp dport { 443, 444 } tproxy to :8443 meta mark set 1 accept
         tcp dport 445 tproxy to :8444 meta mark set 1 accept
         tcp dport 446 tproxy to 127.0.0.1:8445 meta mark set 1 accept
         tcp dport 447 tproxy to :9999 meta mark set 1 accept
 }\n}
         table ip f { chain in { type filter hook input priority 0
         tcp dport 444 drop
 }\n}",
    );
    let stranger = (&lab.src, "10.77.0.1");
    let ports = [(443, true), (444, false), (445, false), (446, true), (447, false), (8443, true)];
    agrees(&lab.rtr, stranger, RTR, &ports);
    let report = asked(&lab.rtr, "443/tcp --from 10.77.0.1");
    let group = &report["ports"][0]["reach"][0]["groups"][0];
    assert_eq!(group["handed"]["to"], "0.0.0.0:8443", "{group:#}");
    assert_eq!(report["ports"][0]["bound"], serde_json::json!(["0.0.0.0"]));
    let all = asked(&lab.rtr, "");
    let listed = all["ports"].as_array().expect("ports").iter().any(|row| row["port"] == 443);
    assert!(listed, "it is open, though no socket has the number: {all:#}");
}

#[test]
fn the_port_of_a_transparent_socket_may_come_out_of_a_map() {
    require_root!();
    let lab = Lab::new();
    let _servers = lab.rtr.python(&format!(
        "listener('0.0.0.0:8440', 8, {TRANSPARENT})\nlistener('10.77.0.254:8441', 8, {TRANSPARENT})\n\
         listener('0.0.0.0:8442')"
    ));
    lab.rtr.ip("rule add fwmark 1 lookup 100");
    lab.rtr.ip("route add local 0.0.0.0/0 dev lo table 100");
    let stranger = (&lab.src, "10.77.0.1");
    for to in [
        "tcp dport map { 441 : 8440, 442 : 8441, 443 : 8442, 444 : 8443 }",
        "tcp dport map @ports",
        "ip saddr . tcp dport map { 10.77.0.1 . 441 : 8440, 10.77.0.1 . 442 : 8441, 10.77.0.1 . 443 : 8442 }",
    ] {
        lab.rtr.output("nft flush ruleset");
        lab.rtr.rules(&format!(
            "table ip m {{
              map ports {{ type inet_service : inet_service
               elements = {{ 441 : 8440, 442 : 8441, 443 : 8442, 444 : 8443 }}
 }}
              chain pre {{ type filter hook prerouting priority -150
               meta l4proto tcp tproxy to :{to} meta mark set 1 accept
 }}\n}}"
        ));
        let ports =
            [(441, true), (442, true), (443, false), (444, false), (445, false), (8442, true)];
        agrees(&lab.rtr, stranger, RTR, &ports);
        let group = asked(&lab.rtr, "442/tcp --from 10.77.0.1")["ports"][0]["reach"][0].clone();
        assert_eq!(group["groups"][0]["handed"]["to"], "0.0.0.0:8441", "{to}: {group:#}");
    }
}

#[test]
fn what_tproxy_of_iptables_hands_over_is_taken_by_a_transparent_socket() {
    require_root!();
    let (lab, _inside) = lab();
    let _servers = lab.rtr.python(&format!("listener('0.0.0.0:8443', 8, {TRANSPARENT})"));
    iptables(
        &lab.rtr,
        "*mangle\n:PREROUTING ACCEPT [0:0]\n\
         -A PREROUTING -p tcp --dport 443 -j TPROXY --on-port 8443 --tproxy-mark 0x1/0x1\n\
         -A PREROUTING -p tcp --dport 447 -j TPROXY --on-port 9999 --tproxy-mark 0x1/0x1\nCOMMIT\n",
    );
    let stranger = (&lab.src, "10.77.0.1");
    agrees(&lab.rtr, stranger, RTR, &[(443, true), (447, false), (8443, true)]);
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
fn who_may_not_read_the_rules_is_never_told_that_a_port_is_reachable() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.python("listener('0.0.0.0:443')\nlistener('127.0.0.1:25')");
    let by_nobody = |port: u16| {
        let line = format!("reach {port} --from 10.77.0.1 --json");
        Program::line(&line).inside(&lab.rtr).by_user(65534).run()
    };
    let report = by_nobody(443).expect_code(3).json();
    assert_eq!(report["answer"], "unknown");
    let gaps = report["gaps"].as_array().expect("gaps");
    assert!(gaps.iter().any(|gap| gap["why"] == "not-permitted"), "{gaps:?}");
    assert!(gaps.iter().any(|gap| gap["why"] == "upstream"), "{gaps:?}");
    assert_eq!(by_nobody(25).json()["answer"], "no", "loopback is not reached whatever rules say");
}

#[test]
fn saved_rules_tell_of_a_host_port_that_leads_to_a_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("saved");
    let rules = UFW_AND_DOCKER
        .replace("10.78.0.2:80", "172.17.0.2:5432")
        .replace("10.78.0.2/32", "172.17.0.2/32");
    let rules = rules.replace("--dport 80 ", "--dport 5432 ").replace(" far", " docker0");
    fs::write(&file, rules.replace("--dport 8080", "--dport 15432")).expect("the folder is ours");
    let ran = Program::line("reach 5432 --from internet --json --rules").arg(&file).run();
    let report = ran.expect_code(1).json();
    let port = &report["ports"][0];
    assert_eq!((&port["port"], &port["leads_to"]), (&15432.into(), &5432.into()), "{report:#}");
    assert_eq!(report["bypass"], "docker-dnat");
    let group = &port["reach"][0]["groups"][0];
    assert_eq!(group["translated"]["rule"]["chain"], "DOCKER");
    assert_eq!(group["bypass"]["rule"]["chain"], "ufw-user-input");
    let text = Program::line("reach 15432 --from internet --rules").arg(&file).run().expect_code(1);
    assert!(
        text.stdout.contains("the input path refuses this port and is never asked"),
        "{}",
        text.stdout
    );
}

#[test]
fn saved_rules_of_ipv4_alone_say_nothing_of_ipv6_and_tell_by_which_interface() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("saved");
    let rules = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n\
                 -A INPUT -i eth1 -p tcp -m tcp --dport 5432 -j ACCEPT\nCOMMIT\n";
    fs::write(&file, rules).expect("the folder is ours");
    let asked = |words: &str| Program::line(&format!("reach {words} --rules")).arg(&file).run();
    let ran = asked("5432 --from internet");
    let text = ran.expect_code(0);
    for told in
        ["internet (IPv4) by eth1", "unknown from internet (IPv6)", "by any interface no rule"]
    {
        assert!(text.stdout.contains(told), "{}", text.stdout);
    }
    assert!(text.stderr.contains("name what ip6tables-save prints, too"), "{}", text.stderr);
    assert_eq!(asked("22 --from internet --json").expect_code(3).json()["answer"], "unknown");
    assert_eq!(asked("22 --from 192.0.2.1 --json").expect_code(1).json()["answer"], "no");
    let none = asked("").expect_code(3).stdout;
    assert!(none.contains("rules do not tell"), "{none}");
}

#[test]
fn what_ufw_and_docker_themselves_wrote_is_read_as_packets_went() {
    let folder = root().join("crates/portolan-core/tests/data/firewall/docker-ufw");
    let mut program = Program::line("reach 8080 --from internet --json");
    for (flag, file) in [
        ("--rules", "nft.json"),
        ("--rules", "iptables-save"),
        ("--rules", "ip6tables-save"),
        ("--world", "ip-addr.json"),
        ("--world", "ip-route.json"),
        ("--world", "ip-6route.json"),
    ] {
        program = program.arg(flag).arg(folder.join(file));
    }
    let report = program.run().expect_code(1).json();
    assert_eq!(report["bypass"], "docker-dnat");
    let groups = report["ports"][0]["reach"][0]["groups"].as_array().expect("groups");
    let of = |family: &str| groups.iter().find(|g| g["family"] == family).expect("a group");
    assert_eq!((&of("ipv4")["answer"], &of("ipv6")["answer"]), (&"yes".into(), &"no".into()));
    assert_eq!(of("ipv4")["bypass"]["rule"]["chain"], "ufw-user-input");
    assert_eq!(of("ipv6")["rule"]["chain"], "ufw6-user-input");
}

/// Follows packets from `from` while `work` goes on in another namespace.
fn followed(host: &Netns, words: &str, code: i32, work: impl FnOnce() + Send) -> Value {
    let line = format!("reach {words} --live --yes --wait 8s --json");
    thread::scope(|scope| {
        let following = scope.spawn(|| Program::line(&line).inside(host).run());
        eventually("the table is there", || {
            host.output("nft list tables").contains("portolan_trace")
        });
        // The table's rules come after the table.
        thread::sleep(Duration::from_millis(400));
        work();
        following.join().expect("it ends").expect_code(code).json()
    })
}

/// The same as it is told on a screen.
fn followed_text(host: &Netns, words: &str, work: impl FnOnce() + Send) -> String {
    let line = format!("reach {words} --live --yes --wait 8s");
    thread::scope(|scope| {
        let following = scope.spawn(|| Program::line(&line).inside(host).run());
        eventually("the table is there", || {
            host.output("nft list tables").contains("portolan_trace")
        });
        thread::sleep(Duration::from_millis(400));
        work();
        following.join().expect("it ends").expect_code(1).stdout
    })
}

#[test]
fn a_real_packet_is_followed_to_the_rule_that_drops_it_and_the_table_is_gone_again() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.python("listener('0.0.0.0:22')\nlistener('0.0.0.0:9000')");
    iptables(&lab.rtr, UFW_AND_DOCKER);
    let knock = |port| {
        connects(&lab.src, RTR, port);
    };
    let from = format!("--from {SRC}");

    let report = followed(&lab.rtr, &format!("9000/tcp {from}"), 1, || knock(9000));
    let live = &report["live"];
    assert_eq!(
        (&live["arrived"], &live["outcome"]),
        (&true.into(), &"dropped".into()),
        "{report:#}"
    );
    assert_eq!(
        (&live["rule"]["chain"], &live["rule"]["text"]),
        (&"INPUT".into(), &"policy drop".into())
    );
    assert_eq!(report["answer"], "no");

    let report = followed(&lab.rtr, &format!("22/tcp {from}"), 0, || knock(22));
    assert_eq!(report["live"]["outcome"], "delivered");
    assert_eq!(report["live"]["replied"], "accepts");

    let report = followed(&lab.rtr, &format!("8080/tcp {from}"), 0, || knock(8080));
    assert_eq!(report["live"]["outcome"], "forwarded");
    let steps = report["live"]["steps"].as_array().expect("steps");
    let texts: Vec<&str> = steps.iter().filter_map(|s| s["rule"]["text"].as_str()).collect();
    assert!(
        texts.iter().any(|text| text.contains("DNAT --to-destination 10.78.0.2:80")),
        "{texts:?}"
    );
    assert!(!lab.rtr.output("nft list tables").contains("portolan"));
}

#[test]
fn a_packet_whose_answer_is_dropped_on_its_way_back_has_not_reached_the_port() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.python("listener('0.0.0.0:443')\nlistener('0.0.0.0:8443')");
    lab.rtr.rules(
        "table ip r { chain pre { type nat hook prerouting priority -100
         tcp dport 444 redirect to :8443
         tcp dport 8080 dnat to 10.78.0.2:80
 }\n}",
    );
    lab.rtr.filter_output("tcp sport { 443, 8443 } drop");
    lab.rtr.filter_forward("tcp sport 80 drop");
    let ends = |port: u16, outcome: &str, chain: &str| {
        let report = followed(&lab.rtr, &format!("{port}/tcp --from {SRC}"), 1, || {
            connects(&lab.src, RTR, port);
        });
        let live = &report["live"];
        assert_eq!((&live["arrived"], &live["outcome"]), (&true.into(), &outcome.into()));
        assert_eq!(live["answer_rule"]["chain"], chain, "{report:#}");
        assert_eq!(report["answer"], "no");
    };
    ends(443, "delivered", "output_chain");
    ends(444, "delivered", "output_chain");
    ends(8080, "forwarded", "forward_chain");
    // Nobody is there: what came was refused.
    let report = followed(&lab.rtr, &format!("9/tcp --from {SRC}"), 1, || {
        connects(&lab.src, RTR, 9);
    });
    assert_eq!(report["live"]["replied"], "refuses", "{report:#}");
}

#[test]
fn a_port_that_another_one_is_translated_to_is_followed_by_its_own_name() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.listen("0.0.0.0:8443");
    lab.rtr.rules(
        "table ip r { chain pre { type nat hook prerouting priority -100
         tcp dport 443 redirect to :8443
 }\n}",
    );
    for port in [8443, 443] {
        let report = followed(&lab.rtr, &format!("{port}/tcp --from {SRC}"), 0, || {
            connects(&lab.src, RTR, port);
        });
        assert_eq!(report["port"], port);
        assert_eq!(report["live"]["replied"], "accepts", "{report:#}");
    }
    // Without the rights nothing is planned.
    let line = "reach 8443/tcp --live --yes --from 10.77.0.1";
    let ran = Program::line(line).inside(&lab.rtr).by_user(65534).run().expect_code(2);
    assert!(ran.stderr.contains("run with sudo"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("add the table"), "{}", ran.stderr);
}

#[test]
fn rules_of_legacy_iptables_that_no_trace_tells_of_are_named() {
    require_root!();
    if Command::new("iptables-legacy").arg("--version").output().is_err() {
        skip!("iptables-legacy is not installed");
    }
    let (lab, _inside) = lab();
    let _server = lab.rtr.listen("0.0.0.0:443");
    lab.rtr.output("iptables-legacy -A INPUT -p tcp --dport 443 -j DROP");
    let report = followed(&lab.rtr, &format!("443/tcp --from {SRC}"), 1, || {
        connects(&lab.src, RTR, 443);
    });
    let live = &report["live"];
    assert_eq!(live["untraced"], serde_json::json!(["ip filter"]), "{report:#}");
    assert_eq!(live["outcome"], "not-routed");
    assert_eq!(report["answer"], "no", "they are read and simulated all the same");
    let told = followed_text(&lab.rtr, &format!("443/tcp --from {SRC}"), || {
        connects(&lab.src, RTR, 443);
    });
    assert!(told.contains("by what was read of them"), "{told}");
    assert!(told.contains("ip filter INPUT"), "{told}");
}

#[test]
fn a_packet_of_this_machine_is_sent_and_followed_through_loopback() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.listen("0.0.0.0:443");
    lab.rtr.filter_input("iif lo tcp dport 443 drop");
    let line = "reach 443/tcp --live --yes --from 10.77.0.254 --json";
    let report = Program::line(line).inside(&lab.rtr).run().expect_code(1).json();
    assert_eq!(report["live"]["outcome"], "dropped", "{report:#}");
    assert_eq!(report["live"]["rule"]["chain"], "input_chain");
    assert_eq!(report["answer"], "no");
}

#[test]
fn nothing_is_followed_without_a_yes_and_nothing_is_left_after_a_kill() {
    require_root!();
    let (lab, _inside) = lab();
    let line = "reach 443/tcp --live --from 10.77.0.1 --wait 20s";
    let ran = Program::line(line).inside(&lab.rtr).run().expect_code(2);
    assert!(ran.stderr.contains("add --yes"), "{}", ran.stderr);
    let dry = Program::line(&format!("{line} --dry-run")).inside(&lab.rtr).run().expect_code(0);
    assert!(dry.stderr.contains("add the table"), "{}", dry.stderr);
    let tables = || lab.rtr.output("nft list tables");
    assert_eq!(tables(), "");
    let mut command = Program::line(&format!("{line} --yes")).inside(&lab.rtr).command();
    let mut child = quiet(&mut command).spawn().expect("it starts");
    eventually("the table is there", || tables().contains("portolan_trace"));
    child.kill().expect("it runs");
    child.wait().expect("it ended");
    eventually("the table is gone", || tables().is_empty());
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdout(Stdio::null()).stderr(Stdio::null())
}

const INVENTORY: &str = r#"portolan = 1
[networks]
office = "10.77.0.0/24"
lab = "10.50.0.0/16"
[hosts.here]
address = ["10.77.0.254"]
[services.ssh]
on = ["here"]
ports = ["22/tcp"]
from = ["lab"]
[services.db]
on = ["here"]
ports = ["9000/tcp"]
from = ["office"]
[[never]]
ports = ["22/tcp"]
from = ["office"]
"#;

/// The host of the lab with an inventory.
struct Declared {
    lab: Lab,
    folder: TempDir,
    _servers: [Server; 2],
}

impl Declared {
    fn new(inventory: &str, servers: &str) -> Self {
        let (lab, inside) = lab();
        let servers = lab.rtr.python(servers);
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("portolan.toml"), inventory).expect("the folder is ours");
        Self { lab, folder, _servers: [inside, servers] }
    }

    /// The same, with 8080 and 8081 published past ufw.
    fn beside_ufw_and_docker(inventory: &str, servers: &str) -> Self {
        let declared = Self::new(inventory, servers);
        iptables(&declared.lab.rtr, UFW_AND_DOCKER);
        declared
    }

    fn ask(&self, words: &str) -> Ran {
        let line = format!("{words} --host here");
        Program::line(&line).inside(&self.lab.rtr).folder(self.folder.path()).run()
    }
}

#[test]
fn the_audit_holds_the_rules_against_the_inventory() {
    require_root!();
    let servers = "listener('0.0.0.0:22')\nlistener('0.0.0.0:9000')";
    let declared = Declared::beside_ufw_and_docker(INVENTORY, servers);
    let report = declared.ask("audit --json").expect_code(1).json();
    let findings = report["findings"].as_array().expect("findings");
    let of = |rule: &str| -> Vec<&str> {
        let of_rule = findings.iter().filter(|f| f["rule"] == rule);
        of_rule.filter_map(|f| f["subject"].as_str()).collect()
    };
    // The one is published around ufw, the other for this machine alone: neighbours get behind it.
    assert_eq!(of("P108"), ["8080/tcp", "8081/tcp"], "{report:#}");
    assert_eq!(of("P114"), ["9000/tcp"]);
    assert_eq!(of("P115"), ["22/tcp"]);
    assert_eq!(of("P122"), ["22/tcp"]);
    let evidence = |rule: &str| {
        let finding = findings.iter().find(|f| f["rule"] == rule).expect("it is there");
        finding["evidence"].to_string()
    };
    assert!(evidence("P108").contains("ufw-user-input"), "{}", evidence("P108"));
    assert!(evidence("P114").contains("policy drop"), "{}", evidence("P114"));
}

const MANAGED: &str = r#"portolan = 1
[management]
from = ["10.50.0.0/16"]
ports = ["22/tcp"]
[networks]
office = "10.77.0.0/24"
[hosts.here]
address = ["10.77.0.254"]
[services.near]
on = ["here"]
ports = ["8081/tcp"]
"#;

#[test]
fn audit_and_chart_tell_of_neighbours_who_get_behind_a_port_and_know_management() {
    require_root!();
    let servers = "listener('0.0.0.0:22')\nlistener('127.0.0.1:8081')";
    let declared = Declared::beside_ufw_and_docker(MANAGED, servers);
    declared.lab.rtr.output("iptables-nft -t nat -D DOCKER 2");
    assert!(connects(&declared.lab.src, DST, 80));
    let report = declared.ask("audit --json").expect_code(1).json();
    let findings = report["findings"].as_array().expect("findings");
    let told: Vec<(&str, &str)> = findings
        .iter()
        .filter_map(|f| Some((f["rule"].as_str()?, f["subject"].as_str()?)))
        .collect();
    for finding in [("P108", "8081/tcp"), ("P115", "8081/tcp"), ("P115", "22/tcp")] {
        assert!(told.contains(&finding), "{finding:?} of {report:#}");
    }
    assert!(!told.contains(&("P101", "22/tcp")), "{report:#}");
    let of = |rule: &str| findings.iter().find(|f| f["rule"] == rule).expect("it is there");
    assert!(of("P108")["message"].to_string().contains("10.78.0.2:80"), "{report:#}");

    let chart = declared.ask("status --json").expect_code(0).json();
    let row = |port: u16| {
        let ports = chart["ports"].as_array().expect("ports");
        ports.iter().find(|row| row["port"] == port).expect("it is open").clone()
    };
    assert_eq!(row(22)["declared"]["service"], "[management]");
    let reach = row(8081)["reach"].clone();
    let behind = reach.as_array().expect("a list").last().expect("an answer").clone();
    assert_eq!((&behind["source"], &behind["answer"]), (&"office".into(), &"yes".into()));
    let by = behind["by"].as_str().unwrap_or_default();
    assert!(by.starts_with("straight to 10.78.0.2:80"), "{reach:#}");
    let text = declared.ask("status").expect_code(0).stdout;
    assert!(text.contains("what stands behind 8081/tcp"), "{text}");
    assert!(text.contains("[manage"), "{text}");
}

/// 4567 is for whoever comes by far; 8081 is for this machine, and leads to a container.
const BY_INTERFACE: &str = r#"portolan = 1
[networks]
inside = { interface = "far" }
[hosts.here]
address = ["10.77.0.254"]
[services.app]
on = ["here"]
ports = ["4567/tcp"]
from = ["inside"]
[services.near]
on = ["here"]
ports = ["8081/tcp"]
[[never]]
ports = ["4568/tcp"]
from = ["inside"]
"#;

#[test]
fn what_the_audit_says_of_interfaces_is_what_packets_do() {
    require_root!();
    let servers = "listener('0.0.0.0:4567', 64)\nlistener('0.0.0.0:4568', 64)\n\
         listener('127.0.0.1:8081')";
    let declared = Declared::new(BY_INTERFACE, servers);
    let lab = &declared.lab;
    let comes = |from: &Netns, port: u16| [RTR, FAR].into_iter().any(|to| connects(from, to, port));
    let closed = "ip daddr 10.78.0.2 iifname near drop";
    for (rules, forward) in [
        ("", ""),
        ("iifname far tcp dport 4567 accept\n tcp dport 4567-4568 drop", closed),
        (
            "iifname near tcp dport 4567 accept\n tcp dport 4567 drop\n iifname far tcp dport 4568 drop",
            "",
        ),
        ("tcp dport 4567 drop", closed),
        ("ip saddr 10.78.0.0/24 tcp dport 4567 reject", ""),
        ("ip daddr 10.77.0.254 drop", closed),
    ] {
        lab.rtr.output("nft flush ruleset");
        lab.rtr.rules(
            "table ip r {\n chain pre { type nat hook prerouting priority -100
             ip daddr 127.0.0.1 tcp dport 8081 dnat to 10.78.0.2:80\n }\n}",
        );
        lab.rtr.filter_input(rules);
        lab.rtr.filter_forward(forward);
        let report = declared.ask("audit --json").json();
        let findings = report["findings"].as_array().expect("findings");
        let says = |rule: &str, subject: &str| {
            findings.iter().any(|f| f["rule"] == rule && f["subject"] == subject)
        };
        let case = format!("{rules:?} {forward:?}: {findings:#?}");
        assert_eq!(says("P115", "4567/tcp"), comes(&lab.src, 4567), "by near: {case}");
        assert_eq!(says("P114", "4567/tcp"), !comes(&lab.dst, 4567), "by far: {case}");
        assert_eq!(says("P122", "4568/tcp"), comes(&lab.dst, 4568), "never: {case}");
        assert_eq!(says("P108", "8081/tcp"), connects(&lab.src, DST, 80), "behind: {case}");
    }
}

#[test]
fn the_chart_says_who_gets_through_the_rules() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.python("listener('0.0.0.0:22')\nlistener('0.0.0.0:9000')");
    iptables(&lab.rtr, UFW_AND_DOCKER);
    let chart = Program::line("status --json").inside(&lab.rtr).run().expect_code(0).json();
    let reach = |port: u16| {
        let ports = chart["ports"].as_array().expect("ports");
        let row = ports.iter().find(|row| row["port"] == port).expect("it is open");
        row["reach"].clone()
    };
    assert_eq!(reach(22)[0]["source"], "loopback");
    assert_eq!((&reach(22)[1]["source"], &reach(22)[1]["answer"]), (&"any".into(), &"yes".into()));
    assert_eq!(reach(9000)[1]["answer"], "no");
    let text = Program::line("").inside(&lab.rtr).run().expect_code(0).stdout;
    assert!(text.contains("REACHABLE FROM"), "{text}");
    let unseen =
        Program::line("status --json").inside(&lab.rtr).by_user(65534).run().expect_code(0);
    let ports = unseen.json()["ports"].clone();
    assert_eq!(ports[0]["reach"][1]["answer"], "unknown", "{ports:#}");
}

#[test]
fn a_check_that_our_own_rules_stop_names_the_rule() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.python("listener('0.0.0.0:443')");
    lab.rtr.filter_input("iif lo tcp dport 443 drop");
    lab.rtr.filter_output("ip daddr 10.78.0.2 tcp dport 80 drop");
    lab.rtr.filter_input("ip saddr 10.78.0.2 tcp sport 81 drop");
    let check = |target: &str| {
        let line = format!("check {target} --timeout 1s --json");
        let report = Program::line(&line).inside(&lab.rtr).run().json();
        report["results"][0]["own_rule"].clone()
    };
    assert_eq!(check("10.77.0.254:443")["chain"], "input_chain");
    assert_eq!(check("10.78.0.2:80")["chain"], "output_chain");
    // The other end answers; the answer is dropped here.
    assert_eq!(check("10.78.0.2:81")["chain"], "input_chain");
    let text = Program::line("check 10.78.0.2:81 --timeout 1s").inside(&lab.rtr).run().stdout;
    assert!(
        text.contains("No answer gets in: one of this machine's own rules drops it."),
        "{text}"
    );
    assert!(!text.contains("input rules of 10.78.0.2"), "{text}");
}

/// Whether a datagram is answered, sent by python from inside.
fn is_answered(from: &Netns, to: &str, port: u16) -> bool {
    let script = format!(
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)\ns.settimeout(0.9)\n\
         s.sendto(b'x', ('{to}', {port}))\ns.recvfrom(9)"
    );
    let quiet = || Stdio::null();
    let mut command = from.command("python3");
    let command = command.args(["-c", &script]).stdout(quiet()).stderr(quiet());
    command.status().expect("python starts").success()
}

#[test]
fn a_private_address_is_reached_from_behind_a_router_that_knows_the_way() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.python("listener('10.78.0.254:8000')\nlistener('[fd78::fe]:7007')");
    lab.rtr.ip("route add default via 10.77.0.1");
    lab.rtr.ip("-6 route add default via fd77::1");
    lab.src.ip("addr add 172.20.5.9/32 dev lo");
    lab.src.ip("addr add fd99::9/128 dev lo nodad");
    lab.src.ip("route add 10.78.0.254 via 10.77.0.254 src 172.20.5.9");
    lab.src.ip("-6 route add fd78::fe via fd77::fe src fd99::9");
    let far: IpAddr = "10.78.0.254".parse().expect("an address");
    let far6: IpAddr = "fd78::fe".parse().expect("an address");
    agrees(&lab.rtr, (&lab.src, "172.20.5.9"), far, &[(8000, true)]);
    eventually("neighbours have found each other", || connects(&lab.src, far6, 7007));
    agrees(&lab.rtr, (&lab.src, "fd99::9"), far6, &[(7007, true)]);
    let report = asked(&lab.rtr, "8000/tcp --from 172.20.5.9").to_string();
    assert!(report.contains("whether others route 10.78.0.254 to this machine"), "{report}");
    // So are public senders, by a router in front; the Internet alone would not bring them.
    lab.src.ip("addr add 198.51.100.9/32 dev lo");
    lab.src.ip("route replace 10.78.0.254 via 10.77.0.254 src 198.51.100.9");
    assert!(connects(&lab.src, far, 8000));
    for from in ["198.51.100.9", "internet"] {
        let told = asked(&lab.rtr, &format!("8000/tcp --from {from}"));
        assert_eq!(told["answer"], "depends", "{from}");
        let group = &told["ports"][0]["reach"][0]["groups"][0];
        assert_eq!((&group["interface"], &group["to"]), (&"near".into(), &"10.78.0.254".into()));
        let why = group["depends_on"].to_string();
        assert!(why.contains("the Internet does not route private addresses"), "{why}");
    }
    lab.src.ip("route replace 10.78.0.254 via 10.77.0.254 src 172.20.5.9");
    let words = "reach 8000 --live --from 10.77.0.1 --yes --wait 1s";
    let ran = Program::line(words).inside(&lab.rtr).run();
    assert!(ran.stderr.contains("portolan check 10.78.0.254:8000"), "{}", ran.stderr);
    // A rule of policy routing that refuses the answer.
    lab.rtr.ip("rule add from 10.78.0.254 prohibit");
    agrees(&lab.rtr, (&lab.src, "172.20.5.9"), far, &[(8000, false)]);
}

/// A stranger with a public address behind each of the two networks, and a way to both: by near as the main
/// table says, by far as table 100 does.
fn two_ways() -> Lab {
    let lab = Lab::new();
    for (stranger, gateway) in [(&lab.src, "10.77.0.254"), (&lab.dst, "10.78.0.254")] {
        stranger.ip("addr add 198.51.100.9/32 dev lo");
        stranger.ip(&format!("route replace default via {gateway} src 198.51.100.9"));
        stranger.ip(&format!("route replace {gateway} dev eth0 src 198.51.100.9"));
    }
    lab.rtr.ip("route add default via 10.77.0.1");
    lab.rtr.ip("route add default via 10.78.0.2 table 100");
    lab
}

const STRANGER: &str = "198.51.100.9";
const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 78, 0, 254));

#[test]
fn rules_of_policy_routing_decide_by_which_interface_somebody_comes() {
    require_root!();
    let lab = two_ways();
    let _server = lab.rtr.python("listener('10.78.0.254:8000')\nlistener('10.78.0.254:8001')");
    lab.rtr.filter_input("iifname far tcp dport 8001 drop");
    // As the main table has it, answers to whoever comes by the other network go astray.
    assert!(!connects(&lab.dst, FAR, 8000));
    for rule in [
        "from 10.78.0.254 lookup 100",
        "not fwmark 0xca6c lookup 100",
        "to 198.51.100.0/24 lookup 100",
        "iif lo lookup 100",
    ] {
        lab.rtr.ip(&format!("rule add priority 99 {rule}"));
        agrees(&lab.rtr, (&lab.dst, STRANGER), FAR, &[(8001, false)]);
        assert!(connects(&lab.dst, FAR, 8000), "{rule}");
        let told = asked(&lab.rtr, &format!("8000/tcp --from {STRANGER}"));
        let group = &told["ports"][0]["reach"][0]["groups"][0];
        assert_eq!(group["interface"], "far", "{rule}: {told:#}");
        assert_eq!(group["answer"], "yes", "{rule}: {told:#}");
        lab.rtr.ip("rule del priority 99");
    }
    // The last of a host with a tunnel for everything: the main table, but for its default route.
    lab.rtr.ip("rule add priority 98 lookup main suppress_prefixlength 0");
    lab.rtr.ip("rule add priority 99 lookup 100");
    assert!(
        connects(&lab.dst, FAR, 8000)
            && connects(&lab.src, FAR, 8000) == connects(&lab.src, RTR, 9)
    );
    assert_eq!(told(&lab.rtr, 8000, STRANGER).0, "yes");
    assert_eq!(told(&lab.rtr, 8001, STRANGER).0, "no");
}

#[test]
fn rules_of_policy_routing_that_may_be_for_a_packet_or_not_leave_it_open() {
    require_root!();
    let lab = two_ways();
    let _server = lab.rtr.python("listener('10.77.0.254:8000')");
    let asks = || asked(&lab.rtr, &format!("8000/tcp --from {STRANGER}"));
    let says = |rule: &str| {
        lab.rtr.ip(&format!("rule add priority 99 {rule}"));
        let told = asks();
        lab.rtr.ip("rule del priority 99");
        (told["answer"].as_str().unwrap_or_default().to_owned(), told.to_string())
    };
    assert_eq!(says("fwmark 7 lookup 100").0, "yes", "nothing is marked");
    assert_eq!(says("iif far lookup 100").0, "yes", "answers are this machine's own");
    let (answer, told) = says("uidrange 0-99 lookup 100");
    assert_eq!(answer, "depends");
    assert!(told.contains("whether answers go by ip rule 99: from all uidrange"), "{told}");
    lab.rtr.rules("table ip m { chain o { type route hook output priority 0\n tcp sport 8000 meta mark set 7\n }\n}");
    assert_eq!(says("fwmark 7 lookup 100").0, "depends", "what is marked may go another way");
    assert_eq!(says("fwmark 7 lookup main").0, "yes", "either way is the same");
    assert_eq!(asks()["answer"], "yes");
    lab.rtr.rules("table ip f { chain p { type filter hook prerouting priority 0\n fib saddr . iif oif missing drop\n }\n}");
    assert_eq!(says("fwmark 8 lookup main").0, "depends", "fib asks the same rules");
}

#[test]
fn what_is_passed_on_by_another_table_is_told() {
    require_root!();
    let (lab, _inside) = lab();
    lab.rtr.rules(
        "table ip r { chain pre { type nat hook prerouting priority -100
         tcp dport 8080 dnat to 10.78.0.2:80
 }\n chain early { type filter hook prerouting priority -150
         tcp dport 8080 meta mark set 7
 }\n}",
    );
    let is_reached = |rule: &str| {
        lab.rtr.ip(&format!("rule add priority 99 {rule}"));
        let comes = connects(&lab.src, RTR, 8080);
        let told = asked(&lab.rtr, "8080/tcp --from 10.77.0.1");
        lab.rtr.ip("rule del priority 99");
        let why = told["ports"][0]["reach"][0]["groups"][0]["depends_on"].to_string();
        (comes, told["answer"].as_str().unwrap_or_default().to_owned(), why)
    };
    for rule in ["iif lo prohibit", "fwmark 8 lookup main", "to 10.78.0.2 lookup main"] {
        let (comes, answer, why) = is_reached(rule);
        assert_eq!((comes, &*answer), (true, "yes"), "{rule}: {why}");
    }
    for (rule, what) in [
        ("iif near prohibit", "packets for 10.78.0.2"),
        ("fwmark 7 prohibit", "packets for 10.78.0.2"),
        ("from 10.77.0.1 prohibit", "packets for 10.78.0.2"),
        ("iif far prohibit", "the answers of 10.78.0.2"),
    ] {
        let (comes, answer, why) = is_reached(rule);
        assert_eq!((comes, &*answer), (false, "depends"), "{rule}: {why}");
        assert!(why.contains(what), "{rule}: {why}");
    }
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
fn datagrams_to_everybody_come_past_a_rule_about_one_address() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.python(
        "import socket, threading\n\
         def echo(s):\n    while True:\n        d, a = s.recvfrom(99)\n        s.sendto(d, a)\n\
         s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('0.0.0.0', 86))\n\
         threading.Thread(target=echo, args=(s,), daemon=True).start()",
    );
    lab.rtr.filter_input("ip daddr { 10.77.0.254, 10.78.0.254 } udp dport 86 drop");
    assert!(!is_answered(&lab.src, "10.77.0.254", 86));
    assert!(is_answered(&lab.src, "10.77.0.255", 86));
    let report = asked(&lab.rtr, "86/udp --from 10.77.0.1");
    assert_eq!(report["answer"], "yes");
    assert_eq!(report["ports"][0]["reach"][0]["groups"][0]["to"], "10.77.0.255");
    assert_eq!(asked(&lab.rtr, "86/udp --from 172.16.9.9")["answer"], "no");
}

/// Whether a datagram from inside to a group, or to an address of a link, is answered.
fn is_answered_by_group(from: &Netns, to: &str, port: u16) -> bool {
    let script = format!(
        "import socket\nto = ('{to}', {port}, 0, socket.if_nametoindex('eth0'))\n\
         six = ':' in '{to}'\n\
         s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)\n\
         s.settimeout(0.9)\ns.sendto(b'x', to if six else to[:2])\ns.recvfrom(9)"
    );
    let mut command = from.command("python3");
    let command = command.args(["-c", &script]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().expect("python starts").success()
}

#[test]
fn datagrams_to_a_group_come_past_rules_about_the_addresses_of_the_machine() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.python(
        "import struct, threading
near = socket.if_nametoindex('near')
def echo(s):
    while True:
        d, a = s.recvfrom(99)
        s.sendto(d, a)
for port in (5353, 7353, 7354):
    six = datagram(f'[::]:{port}', [(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)])
    four = datagram(f'0.0.0.0:{port}')
    if port == 5353:
        group = socket.inet_pton(socket.AF_INET6, 'ff02::fb') + struct.pack('@I', near)
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
        group = socket.inet_aton('224.0.0.251') + struct.pack('=4sI', b'\\0' * 4, near)
        four.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    for s in (six, four):
        threading.Thread(target=echo, args=(s,), daemon=True).start()",
    );
    lab.rtr.filter_input(
        "ip6 daddr ff02::fb udp dport 5353 accept
         ip daddr 224.0.0.251 udp dport 5353 accept
         ip6 daddr ff02::1 udp dport 7354 accept
         udp dport { 5353, 7353, 7354 } drop",
    );
    let link = of_link(&lab.src, "eth0").0;
    let asks = |port: u16, from: &str| {
        let told = asked(&lab.rtr, &format!("{port}/udp --from {from}"));
        let group = told["ports"][0]["reach"][0]["groups"][0].clone();
        (told["answer"].as_str().unwrap_or_default().to_owned(), group["to"].clone())
    };
    let on_link = format!("{link}%near");
    for (port, to, from, comes) in [
        (5353, "ff02::fb", &*on_link, true),
        (5353, "224.0.0.251", "10.77.0.1", true),
        (7353, "ff02::fb", &*on_link, false),
        (7353, "224.0.0.251", "10.77.0.1", false),
        (7354, "ff02::1", &*on_link, true),
        (7354, "224.0.0.1", "10.77.0.1", false),
    ] {
        assert!(!is_answered_by_group(
            &lab.src,
            if from == on_link { "fd77::fe" } else { "10.77.0.254" },
            port
        ));
        assert_eq!(is_answered_by_group(&lab.src, to, port), comes, "{port} to {to}");
        let (answer, at) = asks(port, from);
        assert_eq!(answer == "yes", comes, "{port} from {from}: {answer} at {at}");
        assert!(!comes || at == to, "{port}: {at}");
    }
    // Groups of the link are of no use beyond it, nor on another link.
    assert_eq!(asks(5353, "172.20.1.1").0, "no");
    assert_eq!(asks(5353, "10.78.0.2").0, "no");
}
