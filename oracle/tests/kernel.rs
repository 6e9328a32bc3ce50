//! The stage and the draws, on the real kernel.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod support;

use portolan_core::firewall::{Packet, TcpFlags};
use portolan_oracle::chance::Chance;
use portolan_oracle::draw::{self, Wanted};
use portolan_oracle::rig::{self, Flow, Outcome, Probe, Reply};
use portolan_oracle::stage::Stage;
use support::on_stage;

fn probe(protocol: u8, from: &str, to: &str, link: &str, port: u16) -> Probe {
    let packet = Packet::new(protocol, from.parse().unwrap(), to.parse().unwrap());
    let mut packet = packet.ports(40000 + port, port);
    packet.interface_in = link.into();
    packet.length = rig::shortest(packet.is_v6(), protocol, false);
    Probe { packet, flow: None }
}

#[test]
fn what_becomes_of_a_packet_is_seen() {
    on_stage("what_becomes_of_a_packet_is_seen", |mut rig| {
        rig::nft(
            "table inet t {
              chain i { type filter hook input priority 0; tcp dport 22 drop; tcp dport 23 reject with tcp reset; udp dport 24 reject; }
              chain f { type filter hook forward priority 0; udp dport 9 drop; udp dport 10 reject with icmpx type admin-prohibited; }
              chain o { type filter hook output priority 0; tcp dport 9 drop; tcp dport 10 reject; }
            }",
        )
        .unwrap();
        let mut of = |protocol, from, to, link, port| {
            rig.send(&probe(protocol, from, to, link, port)).unwrap()
        };
        assert_eq!(of(6, "1.2.3.4", "10.0.0.1", "eth0", 22), Outcome::Dropped);
        assert_eq!(of(6, "1.2.3.4", "10.0.0.1", "eth0", 23), Outcome::Refused(Reply::Reset));
        assert_eq!(
            of(17, "1.2.3.4", "10.0.0.1", "eth0", 24),
            Outcome::Refused(Reply::Icmp { kind: 3, code: 3 })
        );
        assert!(matches!(of(6, "1.2.3.4", "10.0.0.1", "eth1", 80), Outcome::Local(Some(_))));
        assert!(matches!(of(47, "2400::9", "fd00:a::1", "eth1", 80), Outcome::Local(None)));
        assert!(matches!(of(17, "1.2.3.4", "172.17.0.5", "eth0", 8), Outcome::Left("out1", _)));
        assert_eq!(of(17, "1.2.3.4", "172.17.0.5", "eth0", 9), Outcome::Dropped);
        assert_eq!(
            of(17, "2400::9", "2400::a", "eth0", 10),
            Outcome::Refused(Reply::Icmp { kind: 1, code: 1 })
        );
        assert!(matches!(of(6, "10.9.0.1", "8.8.8.8", "", 8), Outcome::Left("out0", _)));
        assert_eq!(of(6, "10.9.0.1", "8.8.8.8", "", 9), Outcome::Dropped);
        assert_eq!(
            of(6, "10.9.0.1", "8.8.8.8", "", 10),
            Outcome::Refused(Reply::Icmp { kind: 3, code: 3 })
        );
    });
}

#[test]
fn a_packet_of_a_connection_that_was_told_to_conntrack_is_established() {
    on_stage("a_packet_of_a_connection_that_was_told_to_conntrack_is_established", |mut rig| {
        rig::nft("table ip t { chain i { type filter hook input priority 0; ct state established accept; drop; }\n}").unwrap();
        let mut probe = probe(6, "1.2.3.4", "10.0.0.1", "eth0", 80);
        assert_eq!(rig.send(&probe).unwrap(), Outcome::Dropped);
        probe.packet.tcp_flags = TcpFlags::ACK;
        let original = probe.packet.tuple();
        probe.flow = Some(Flow { original, has_reply: true, mark: 0, is_quoted: false });
        assert!(matches!(rig.send(&probe).unwrap(), Outcome::Local(_)));
    });
}

#[test]
fn nearly_all_drawn_rules_are_taken_by_their_tools() {
    on_stage("nearly_all_drawn_rules_are_taken_by_their_tools", |_rig| {
        let mut stage = Stage::default();
        for index in 0..40 {
            let mut sketch = draw::sketch(&mut Chance::nth(1, index), Wanted::default());
            stage.load(&mut sketch).unwrap();
        }
        assert!(stage.refused * 25 < stage.taken, "{:#?}", stage.complaints);
    });
}
