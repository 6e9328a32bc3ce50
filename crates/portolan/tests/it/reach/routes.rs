//! By which way somebody comes, and answers leave: routers in front and policy routing.

use std::net::IpAddr;

use crate::support::lab::{Lab, RTR};
use crate::support::{Program, eventually, require_root};

use super::{FAR, agrees, asked, connects, lab, told};

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

/// A stranger's public address.
const STRANGER: &str = "198.51.100.9";

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
