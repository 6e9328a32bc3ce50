//! What `tproxy` hands to sockets that take what is addressed to others.

use crate::support::lab::{Lab, RTR};
use crate::support::require_root;

use super::{agrees, asked, iptables, lab};

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
