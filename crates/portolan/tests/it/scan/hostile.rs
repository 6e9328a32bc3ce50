//! Replies that no honest host sends: what does not answer our probe is no answer.

use std::net::IpAddr;

use crate::support::lab::{Lab, responder};
use crate::support::require_root;
use crate::support::scan::{Engine, Scanned, each};

const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 79, 0, 9));

/// A host that answers each port in its own way; ports not named are closed.
const LIES: &str = "
if not p.is_syn:
    pass
elif p.dport == 1:
    yield syn_ack(p)
elif p.dport == 2:
    yield syn_ack(p, shift=1)
elif p.dport == 3:
    yield syn_ack(p, source=socket.inet_aton('10.79.0.77'))
elif p.dport == 4:
    for _ in range(100):
        yield syn_ack(p)
elif p.dport == 5:
    yield icmp(p, 3, 3, shift=1 << 20)
elif p.dport == 6:
    yield rst(p, shift=1 << 20)
elif p.dport == 7:
    yield rst(p, source=socket.inet_aton('10.79.0.77'))
elif p.dport == 8:
    yield icmp(p, 3, 13)
elif p.dport == 9:
    yield syn_ack(p, shift=-1 << 20)
elif p.dport == 10:
    yield (.05, syn_ack(p))
elif p.dport == 11:
    yield syn(p)
elif p.dport == 12:
    yield syn_ack(p)[:30]
elif p.dport == 13:
    yield icmp(p, 3, 3)[:40]
else:
    yield rst(p)";

fn scan_liar(engine: Engine, ports: &str) -> Scanned {
    let lab = Lab::new();
    lab.rtr.ip("route add 10.79.0.0/24 via 10.78.0.2");
    let _liar = responder(&lab.dst, &[HOST], LIES);
    engine.scan(&lab.src, &format!("10.79.0.9 -p {ports}"))
}

const TRUTH: &[(&str, &str)] = &[
    ("1/tcp", "open syn-ack 10.79.0.9"),
    ("2/tcp", "filtered no-response"),
    ("3/tcp", "filtered no-response"),
    ("4/tcp", "open syn-ack 10.79.0.9"),
    ("5/tcp", "filtered no-response"),
    ("6/tcp", "filtered no-response"),
    ("7/tcp", "filtered no-response"),
    ("8/tcp", "filtered icmp-3-13 10.79.0.9"),
    ("9/tcp", "filtered no-response"),
    ("10/tcp", "open syn-ack 10.79.0.9"),
    ("12/tcp", "filtered no-response"),
    ("13/tcp", "filtered no-response"),
    ("14/tcp", "closed reset 10.79.0.9"),
];

#[test]
fn only_replies_to_our_own_packets_count() {
    require_root!();
    for scanned in each(|engine| scan_liar(engine, "1-10,12-14")) {
        scanned.expect(HOST, TRUTH);
    }
}

/// Both ends begin at once (RFC 9293 §3.5): the host does speak TCP there.
#[test]
fn a_syn_in_answer_to_a_syn_is_open() {
    require_root!();
    let scanned = scan_liar(Engine::Raw, "11,14");
    assert_eq!(scanned.record(HOST, "11/tcp")["state"], "open");
    assert_eq!(scanned.record(HOST, "11/tcp")["reason"], "split-handshake");
}
