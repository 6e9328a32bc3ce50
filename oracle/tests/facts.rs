//! What the kernel does, fact by fact: rules loaded by nft, a real packet sent, and the simulator asked with
//! our own reading of the listing. Both must say what stands here.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod support;

use portolan_core::firewall::simulate::{Open, Outcome as End, Step, Walk, Way, simulate};
use portolan_core::firewall::{Hook, IcmpMessage, Packet, Ruleset, TcpFlags};
use portolan_oracle::rig::{self, Outcome, Probe, Rig};
use support::on_stage;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It reaches a socket of the firewall.
    In,
    /// It is passed on or sent out.
    Out,
    /// Nothing comes of it.
    Lost,
    /// The sender is told.
    Told,
}
use Fate::{In, Lost, Out, Told};

/// A rig with rules, and what to ask of it.
struct Bench {
    rig: Rig,
    sent: u16,
}

/// Runs a test on a bench of its own.
fn on_bench(name: &str, work: impl FnOnce(&mut Bench) + Send) {
    on_stage(name, |rig| work(&mut Bench { rig, sent: 0 }));
}

impl Bench {
    /// Loads rules beside those that are there.
    fn load(&self, rules: &str) {
        rig::nft(rules).unwrap();
    }

    /// An input chain of `table inet t` that drops at its end.
    fn input(&self, rules: &str) {
        self.load(&format!(
            "table inet t\ndelete table inet t\ntable inet t {{ chain in {{ type filter hook input priority 0; policy drop\n{rules}\n}}\n}}"
        ));
    }

    /// What kernel and simulator, which must agree, say of a packet.
    #[track_caller]
    fn fate(&mut self, packet: Packet) -> Fate {
        self.sent += 1;
        let mut packet = packet;
        // A connection of its own: an entry keeps its mapping.
        packet.source_port = 20_000 + self.sent;
        packet = shaped(packet);
        let kernel = match self.rig.send(&Probe { packet: packet.clone(), flow: None }).unwrap() {
            Outcome::Local(_) => In,
            Outcome::Left(..) => Out,
            Outcome::Dropped => Lost,
            Outcome::Refused(_) => Told,
        };
        let simulated = self.simulated(&packet);
        assert_eq!(simulated, kernel, "the simulator and the kernel: {packet:?}");
        kernel
    }

    #[track_caller]
    fn walk(&self, packet: &Packet) -> Walk {
        let listing = self.rig.listing().unwrap();
        let rules = Ruleset::from_nft_json(listing.as_bytes()).unwrap();
        let way = if packet.interface_in.is_empty() { Way::Output } else { Way::ByRoute };
        simulate(&rules, &self.rig.world(), packet, way, &Open)
    }

    /// Whether conntrack waits for the other fragments.
    #[track_caller]
    fn is_put_together(&self, packet: &Packet) -> bool {
        self.walk(packet).steps.contains(&Step::Defragmented)
    }

    #[track_caller]
    fn simulated(&self, packet: &Packet) -> Fate {
        let walk = self.walk(packet);
        match (walk.outcome, walk.hook) {
            (End::Accept, Some(Hook::Input)) => In,
            (End::Accept, _) => Out,
            (End::Drop, _) => Lost,
            (End::Reject(_), _) => Told,
        }
    }

    #[track_caller]
    fn expect(&mut self, packet: Packet, fate: Fate) {
        let what = format!("{packet:?}");
        assert_eq!(self.fate(packet), fate, "{what}");
    }
}

/// As long as it has to be.
fn shaped(mut packet: Packet) -> Packet {
    packet.length = rig::shortest(packet.is_v6(), packet.protocol, false);
    if packet.is_later_fragment {
        packet.length = 100;
    }
    packet
}

fn packet(protocol: u8, port: u16) -> Packet {
    let (from, to) = ("1.2.3.4".parse().unwrap(), "10.0.0.1".parse().unwrap());
    let interface_in = "eth0".into();
    Packet { interface_in, ..Packet::new(protocol, from, to).ports(0, port) }
}

fn syn(port: u16) -> Packet {
    packet(6, port)
}

fn udp(port: u16) -> Packet {
    packet(17, port)
}

fn six(protocol: u8, port: u16) -> Packet {
    let (from, to) = ("2400::9".parse().unwrap(), "fd00:a::1".parse().unwrap());
    let interface_in = "eth1".into();
    Packet { interface_in, ..Packet::new(protocol, from, to).ports(0, port) }
}

fn flags(flags: u8) -> Packet {
    Packet { tcp_flags: TcpFlags(flags), ..syn(80) }
}

#[test]
fn accept_is_a_chains_word_and_drop_is_final() {
    on_bench("accept_is_a_chains_word_and_drop_is_final", |bench| {
        bench.load(
            "table inet a { chain c { type filter hook input priority 0; tcp dport 80 accept; tcp dport 81 drop; tcp dport 82 accept; tcp dport 83 reject; }\n}
             table inet b { chain c { type filter hook input priority 10; policy drop; tcp dport 80 drop; tcp dport 81 accept; tcp dport 83 accept; }\n}",
        );
        for (port, fate) in [(80, Lost), (81, Lost), (82, Lost), (83, Told)] {
            bench.expect(syn(port), fate);
        }
    });
}

#[test]
fn return_and_goto_in_a_base_chain_end_with_its_policy() {
    on_bench("return_and_goto_in_a_base_chain_end_with_its_policy", |bench| {
        bench.load(
            "table inet t {
               chain y { tcp dport 9 accept; }
               chain in { type filter hook input priority 0; policy drop
                 tcp dport 80 return
                 tcp dport 81 goto y
                 accept; }\n}",
        );
        for (port, fate) in [(80, Lost), (81, Lost), (82, In)] {
            bench.expect(syn(port), fate);
        }
    });
}

#[test]
fn goto_in_a_jumped_chain_comes_back_behind_the_jump() {
    on_bench("goto_in_a_jumped_chain_comes_back_behind_the_jump", |bench| {
        bench.load(
            "table inet t {
               chain y { tcp dport 80 return; tcp dport 81 drop; tcp dport 82 accept; }
               chain x { goto y; drop; }
               chain in { type filter hook input priority 0; policy drop; jump x; tcp dport { 79, 80 } accept; }
             }",
        );
        for (port, fate) in [(79, In), (80, In), (81, Lost), (82, In), (83, Lost)] {
            bench.expect(syn(port), fate);
        }
    });
}

#[test]
fn accept_in_a_jumped_chain_ends_the_base_chain_and_continue_does_nothing() {
    on_bench("accept_in_a_jumped_chain_ends_the_base_chain_and_continue_does_nothing", |bench| {
        bench.load(
            "table inet t {
               chain x { tcp dport 80 accept; tcp dport 81 continue; }
               chain in { type filter hook input priority 0; jump x; drop; }
             }",
        );
        bench.expect(syn(80), In);
        bench.expect(syn(81), Lost);
    });
}

#[test]
fn a_key_that_is_not_in_a_map_goes_on_or_ends_the_rule() {
    on_bench("a_key_that_is_not_in_a_map_goes_on_or_ends_the_rule", |bench| {
        bench.input(
            "tcp dport vmap { 22 : drop, 23 : continue, 24-30 : accept }
             meta mark set tcp dport map { 40 : 1, 41 : 2 } accept
             tcp dport { 23, 50 } accept",
        );
        for (port, fate) in
            [(22, Lost), (23, In), (26, In), (40, In), (41, In), (42, Lost), (50, In)]
        {
            bench.expect(syn(port), fate);
        }
    });
}

#[test]
fn adding_to_a_full_set_ends_the_rule() {
    on_bench("adding_to_a_full_set_ends_the_rule", |bench| {
        bench.load(
            "table inet t {
               set s { type inet_service; size 2; flags dynamic; }
               chain in { type filter hook input priority 0; policy drop; add @s { tcp dport } accept; }
             }",
        );
        for (port, fate) in [(1, In), (2, In), (3, Lost), (1, In)] {
            bench.expect(syn(port), fate);
        }
    });
}

#[test]
fn what_a_packet_puts_into_a_set_it_finds_there() {
    on_bench("what_a_packet_puts_into_a_set_it_finds_there", |bench| {
        // What is taken out keeps its place for a while, so that a later `add` may fail: nothing here
        // takes any out, and the simulator says of such a set that it depends.
        let add = "add @s { ip saddr }";
        let tests = [
            (format!("{add} ip saddr @s accept"), In),
            (format!("{add} ip daddr != @s accept"), In),
            (format!("{add} continue\n ip saddr @s accept"), In),
            ("ip saddr @s accept".to_owned(), Lost),
        ];
        for (rules, fate) in tests {
            bench.load(&format!(
                "table inet t\ndelete table inet t\ntable inet t {{
                   set s {{ type ipv4_addr; size 9; flags dynamic; }}
                   chain in {{ type filter hook input priority 0; policy drop\n{rules}\n}}\n}}"
            ));
            bench.expect(syn(80), fate);
        }
    });
}

#[test]
fn negated_neighbours_of_a_header_are_one_comparison() {
    on_bench("negated_neighbours_of_a_header_are_one_comparison", |bench| {
        // So nft 1.0.6 loads them; what a newer one does the listing says.
        bench.input("ip6 length != 500 ip6 nexthdr != udp drop\n accept");
        bench.fate(six(17, 80));
        bench.fate(six(6, 80));
        bench.input("ip6 length != 500 ip6 nexthdr != udp ip6 hoplimit != 64 drop\n accept");
        bench.fate(six(17, 80));
    });
}

#[test]
fn a_connection_keeps_its_translation_when_rules_change() {
    on_bench("a_connection_keeps_its_translation_when_rules_change", |bench| {
        let to = |port: u16| {
            format!(
                "table ip t\ndelete table ip t\ntable ip t {{ chain p {{ type nat hook prerouting priority -100
                   udp dport 80 redirect to :{port}; }}\n}}"
            )
        };
        let mut arrives = |source_port| {
            let packet = udp(80);
            let length = rig::shortest(false, 17, false);
            let packet = Packet { source_port, length, ..packet };
            match bench.rig.send(&Probe { packet, flow: None }).unwrap() {
                Outcome::Local(Some(headers)) => headers.destination_port,
                other => panic!("{other:?}"),
            }
        };
        rig::nft(&to(8080)).unwrap();
        assert_eq!(arrives(777), 8080);
        rig::nft(&to(9090)).unwrap();
        assert_eq!(arrives(777), 8080);
        assert_eq!(arrives(778), 9090);
    });
}

#[test]
fn statements_run_from_left_to_right_and_marks_last() {
    on_bench("statements_run_from_left_to_right_and_marks_last", |bench| {
        bench.load(
            "table inet t {
               chain raw { type filter hook prerouting priority -300; tcp dport 80 meta mark set 5; }
               chain in { type filter hook input priority 0; policy drop
                 meta mark 5 accept
                 tcp dport 81 meta mark set 7 meta mark 7 accept
                 meta mark 8 tcp dport 82 meta mark set 8 accept
                 tcp dport 83 meta mark set meta mark or 0x30 meta mark and 0x10 == 0x10 accept; }\n}",
        );
        for (port, fate) in [(80, In), (81, In), (82, Lost), (83, In)] {
            bench.expect(syn(port), fate);
        }
    });
}

#[test]
fn a_negated_port_is_guarded_by_its_protocol_and_th_is_not() {
    on_bench("a_negated_port_is_guarded_by_its_protocol_and_th_is_not", |bench| {
        bench.input("tcp dport != 22 accept");
        bench.expect(udp(80), Lost);
        bench.expect(syn(80), In);
        bench.expect(syn(22), Lost);
        bench.expect(six(17, 80), Lost);
        bench.input("th dport 80 accept\nth sport 2048 accept");
        bench.expect(udp(80), In);
        bench.expect(syn(81), Lost);
        bench.expect(packet(1, 0), In);
    });
}

#[test]
fn an_empty_set_never_matches_and_its_negation_always() {
    on_bench("an_empty_set_never_matches_and_its_negation_always", |bench| {
        bench.load(
            "table inet t {
               set empty { type ipv4_addr; }
               chain in { type filter hook input priority 0; policy drop
                 tcp dport 80 ip saddr @empty accept
                 tcp dport 81 ip saddr != @empty accept; }\n}",
        );
        bench.expect(syn(80), Lost);
        bench.expect(syn(81), In);
    });
}

#[test]
fn a_later_fragment_is_compared_by_what_stands_where_ports_would() {
    on_bench("a_later_fragment_is_compared_by_what_stands_where_ports_would", |bench| {
        // Nothing here asks for conntrack, so nothing puts fragments together on their way through.
        bench.load(
            "table ip t { chain f { type filter hook forward priority 0; tcp dport 80 drop; ip frag-off & 0x1fff == 0 drop; }\n}",
        );
        let later = |port| {
            let destination = "172.17.0.5".parse().unwrap();
            Packet { is_later_fragment: true, destination, ..syn(port) }
        };
        bench.expect(later(80), Lost);
        bench.expect(later(81), Out);
        bench.expect(Packet { is_later_fragment: false, ..later(81) }, Lost);
    });
}

#[test]
fn three_ways_to_write_flags_have_three_meanings() {
    on_bench("three_ways_to_write_flags_have_three_meanings", |bench| {
        let tests = [
            ("tcp flags syn", 0x42, In),
            ("tcp flags syn,ack", 0x02, In),
            ("tcp flags { syn, ack }", 0x42, Lost),
            ("tcp flags { syn, ack }", 0x02, In),
            ("tcp flags == syn", 0x42, Lost),
            ("tcp flags != syn", 0x42, In),
            ("tcp flags != syn", 0x02, Lost),
            ("tcp flags ! syn", 0x42, Lost),
            ("tcp flags ! syn", 0x10, In),
            ("tcp flags & (syn|ack) == syn", 0x42, In),
            ("tcp flags & (syn|ack) == syn", 0x12, Lost),
        ];
        for (text, given, fate) in tests {
            bench.input(&format!("{text} accept"));
            bench.expect(flags(given), fate);
        }
    });
}

#[test]
fn comparisons_of_states() {
    on_bench("comparisons_of_states", |bench| {
        let tests = [
            ("ct state != new,established", In),
            ("ct state ! new", Lost),
            ("ct state { new, established }", In),
            ("ct state new,established", In),
            ("ct state != { established, related }", In),
        ];
        for (text, fate) in tests {
            bench.input(&format!("{text} accept"));
            bench.expect(syn(80), fate);
        }
    });
}

#[test]
fn a_packet_without_a_flow_is_new_or_invalid() {
    on_bench("a_packet_without_a_flow_is_new_or_invalid", |bench| {
        bench.input("ct state new accept");
        for new in [0x02, 0xc2, 0x10, 0x18] {
            bench.expect(flags(new), In);
        }
        for other in [udp(80), packet(1, 0), packet(47, 0), six(58, 0)] {
            bench.expect(other, In);
        }
        bench.input("ct state invalid accept");
        for invalid in [0x12, 0x01, 0x11, 0x04, 0x00, 0x29, 0x03] {
            bench.expect(flags(invalid), In);
        }
        let kind = |packet, kind| Packet { icmp: IcmpMessage { kind, code: 0 }, ..packet };
        bench.expect(kind(packet(1, 0), 0), In);
        bench.expect(kind(six(58, 0), 129), In);
    });
}

#[test]
fn neighbour_discovery_is_not_tracked() {
    on_bench("neighbour_discovery_is_not_tracked", |bench| {
        bench.input("ct state untracked accept");
        for kind in [133, 134, 135, 136, 130, 131, 132, 143] {
            bench.expect(Packet { icmp: IcmpMessage { kind, code: 0 }, ..six(58, 0) }, In);
        }
        bench.expect(six(58, 0), Lost);
    });
}

#[test]
fn notrack_counts_before_conntrack_and_for_invalid_packets_behind_it() {
    on_bench("notrack_counts_before_conntrack_and_for_invalid_packets_behind_it", |bench| {
        bench.load(
            "table inet t {
               chain early { type filter hook prerouting priority -300; tcp dport 80 notrack; }
               chain with { type filter hook prerouting priority -200; tcp dport 81 notrack; }
               chain late { type filter hook prerouting priority -150; tcp dport { 82, 83 } notrack; }
               chain in { type filter hook input priority 0; policy drop; ct state untracked accept; }
             }",
        );
        bench.expect(syn(80), In);
        bench.expect(syn(81), Lost);
        bench.expect(syn(82), Lost);
        bench.expect(Packet { tcp_flags: TcpFlags::FIN, ..syn(83) }, In);
    });
}

/// What switches conntrack on: then a later fragment is put together with the others, which do not come.
fn expect_tracked(name: &str, set: &str, rule: &str) {
    on_bench(name, |bench| {
        let fragment = || Packet {
            destination: "172.17.0.5".parse().unwrap(),
            is_later_fragment: true,
            ..packet(6, 9)
        };
        bench.load(&format!("table ip u {{ {set}\n }}"));
        bench.expect(fragment(), Out);
        bench.load(&format!("add chain ip u nobody; add rule ip u nobody {rule}"));
        let kernel = bench.rig.send(&Probe { packet: shaped(fragment()), flow: None }).unwrap();
        assert_eq!(kernel, Outcome::Dropped);
        assert!(bench.is_put_together(&fragment()));
    });
}

#[test]
fn connections_counted_in_a_set_are_tracked_whoever_asks_the_chain() {
    expect_tracked(
        "connections_counted_in_a_set_are_tracked_whoever_asks_the_chain",
        "set s { type ipv4_addr; size 99; flags dynamic; }",
        "add @s { ip saddr ct count 9 }",
    );
}

#[test]
fn connections_that_would_be_labelled_are_tracked_whoever_asks_the_chain() {
    expect_tracked(
        "connections_that_would_be_labelled_are_tracked_whoever_asks_the_chain",
        "",
        "ct label set 3",
    );
}

#[test]
fn a_port_that_a_rule_wrote_is_gone_where_its_address_is_translated() {
    on_bench("a_port_that_a_rule_wrote_is_gone_where_its_address_is_translated", |bench| {
        bench.load(
            "table inet t {
               chain pre { type nat hook prerouting priority -100; udp dport 80 udp dport set 8080 redirect; }
               chain in { type filter hook input priority 0; policy drop; udp dport 80 accept; }
             }",
        );
        // Redirected to an address that it has already, it keeps what was written.
        bench.expect(udp(80), Lost);
        let to = "192.168.7.1".parse().unwrap();
        bench.expect(Packet { destination: to, ..udp(80) }, In);
    });
}

#[test]
fn a_packet_told_its_zone_behind_conntrack_is_asked_about_and_not_translated() {
    on_bench(
        "a_packet_told_its_zone_behind_conntrack_is_asked_about_and_not_translated",
        |bench| {
            bench.load(
                "table inet t {
               chain zone { type filter hook prerouting priority -150; ct zone set 1; }
               chain one { type nat hook prerouting priority -100; tcp dport 80 redirect to :8080; }
               chain two { type nat hook prerouting priority -90; tcp dport { 81, 8080 } drop; }
               chain in { type filter hook input priority 0; policy drop; tcp dport 80 accept; }
             }",
            );
            let odd = |port| Packet { tcp_flags: TcpFlags::FIN, ..syn(port) };
            bench.expect(odd(80), In);
            bench.expect(odd(81), Lost);
            bench.expect(syn(80), Lost);
        },
    );
}

#[test]
fn the_state_before_conntrack_is_invalid() {
    on_bench("the_state_before_conntrack_is_invalid", |bench| {
        bench.load(
            "table inet t { chain early { type filter hook prerouting priority -300
               tcp dport 80 ct state invalid drop
               tcp dport 81 ct state new drop
               tcp dport 82 ct state untracked drop
               tcp dport 83 ct mark 0 drop; }\n}",
        );
        for (port, fate) in [(80, Lost), (81, In), (82, In), (83, In)] {
            bench.expect(syn(port), fate);
        }
    });
}

#[test]
fn a_redirect_is_seen_from_minus_100_on() {
    on_bench("a_redirect_is_seen_from_minus_100_on", |bench| {
        for priority in [-150, -100, 0, 90] {
            bench.load(&format!(
                "table inet t\ndelete table inet t\ntable inet t {{
                   chain nat {{ type nat hook prerouting priority {priority}; tcp dport 80 redirect to :8080; tcp dport 81 redirect to :81; }}
                   chain m150 {{ type filter hook prerouting priority -151; tcp dport 8080 drop; }}
                   chain m50 {{ type filter hook prerouting priority -50; tcp dport 80 drop; }}
                   chain in {{ type filter hook input priority 0; policy drop
                     tcp dport 8080 meta l4proto tcp ct original proto-dst 80 ct status dnat ct reply proto-src 8080 accept
                     tcp dport 81 ct status 0x100 accept; }}\n}}"
            ));
            bench.expect(syn(80), In);
            bench.expect(syn(8080), Lost);
            bench.expect(syn(81), In);
        }
    });
}

#[test]
fn the_first_translation_wins_and_accept_before_it_does_not_stop_it() {
    on_bench("the_first_translation_wins_and_accept_before_it_does_not_stop_it", |bench| {
        bench.load(
            "table inet t {
               chain early { type nat hook prerouting priority -100
                 tcp dport 80 redirect to :8080
                 tcp dport 81 accept
                 tcp dport 82 return
                 tcp dport 83 drop; }
               chain late { type nat hook prerouting priority -90; tcp dport 80-83 redirect to :9090; }
               chain in { type filter hook input priority 0; policy drop
                 tcp dport 8080 ct original proto-dst 80 accept
                 tcp dport 9090 ct original proto-dst { 81, 82 } accept; }
             }",
        );
        for (port, fate) in [(80, In), (81, In), (82, In), (83, Lost)] {
            bench.expect(syn(port), fate);
        }
    });
}

#[test]
fn of_equal_priorities_the_last_registered_is_asked_first() {
    on_bench("of_equal_priorities_the_last_registered_is_asked_first", |bench| {
        bench.load(
            "table inet t {
               chain one { type filter hook input priority 0; meta mark set 1; }
               chain two { type filter hook input priority 0; meta mark 3 meta mark set 2; }
               chain three { type filter hook input priority 0; meta mark 0 meta mark set 3; }
               chain end { type filter hook input priority 1; policy drop; meta mark 1 accept; }
               chain middle { type filter hook input priority 0; meta mark 2 drop; }
             }",
        );
        bench.expect(syn(80), In);
    });
}

#[test]
fn of_equal_nat_chains_the_table_loaded_last_translates() {
    on_bench("of_equal_nat_chains_the_table_loaded_last_translates", |bench| {
        let table = |name: &str, family: &str, port: u16| {
            format!(
                "table {family} {name} {{ chain pre {{ type nat hook prerouting priority dstnat; tcp dport 80 redirect to :{port}; }}\n}}"
            )
        };
        let (a, b) = (table("a", "inet", 8001), table("b", "ip", 8002));
        bench.input("tcp dport 8002 accept");
        bench.load(&a);
        bench.load(&b);
        bench.expect(syn(80), In);
        bench.load(&format!("delete table inet a\n{a}"));
        bench.expect(syn(80), Lost);
        bench.load(&format!("flush table ip b\n{b}"));
        bench.expect(syn(80), Lost);
        bench.load(&format!("delete table ip b\n{b}"));
        bench.expect(syn(80), In);
    });
}

#[test]
fn a_limit_lets_its_burst_through() {
    on_bench("a_limit_lets_its_burst_through", |bench| {
        bench.input("tcp dport 80 limit rate 1/hour burst 3 packets accept");
        for _ in 0..3 {
            bench.expect(syn(80), In);
        }
        // The fourth the kernel drops; the simulator presumes a single packet after a long silence.
        let probe =
            Probe { packet: Packet { source_port: 999, length: 40, ..syn(80) }, flow: None };
        assert_eq!(bench.rig.send(&probe).unwrap(), Outcome::Dropped);
    });
}

#[test]
fn a_set_filled_from_the_packet_path_opens_a_door() {
    on_bench("a_set_filled_from_the_packet_path_opens_a_door", |bench| {
        bench.load(
            "table inet t {
               set door { type ipv4_addr; flags dynamic,timeout; timeout 1m; }
               chain in { type filter hook input priority 0; policy drop
                 tcp dport 22 ip saddr @door accept
                 udp dport 7 update @door { ip saddr } drop; }\n}",
        );
        bench.expect(syn(22), Lost);
        bench.expect(udp(7), Lost);
        bench.expect(syn(22), In);
        bench.expect(Packet { source: "1.2.3.5".parse().unwrap(), ..syn(22) }, Lost);
    });
}

#[test]
fn a_packet_to_others_never_meets_input() {
    on_bench("a_packet_to_others_never_meets_input", |bench| {
        bench.load(
            "table inet t {
               chain in { type filter hook input priority 0; drop; }
               chain f { type filter hook forward priority 0; udp dport 9 drop; udp dport 10 iifname eth0 oifname out1 reject; }
               chain post { type filter hook postrouting priority 0; udp dport 11 iifname eth0 drop; }
             }",
        );
        let through = |port| Packet { destination: "172.17.0.5".parse().unwrap(), ..udp(port) };
        for (port, fate) in [(8, Out), (9, Lost), (10, Told), (11, Lost)] {
            bench.expect(through(port), fate);
        }
        bench.expect(udp(8), Lost);
    });
}

#[test]
fn a_packet_translated_elsewhere_is_forwarded() {
    on_bench("a_packet_translated_elsewhere_is_forwarded", |bench| {
        bench.load(
            "table ip t {
               chain pre { type nat hook prerouting priority -100; fib daddr type local tcp dport { 8080, 8081 } dnat to 172.17.0.5:80; }
               chain in { type filter hook input priority 0; tcp dport 8080 drop; }
               chain f { type filter hook forward priority 0; policy drop; ct status dnat meta l4proto tcp ct original proto-dst 8080 accept; }
             }",
        );
        bench.expect(syn(8080), Out);
        bench.expect(syn(8081), Lost);
        bench.expect(syn(22), In);
    });
}

#[test]
fn output_sees_the_old_interface_after_a_translation_and_postrouting_the_new() {
    on_bench("output_sees_the_old_interface_after_a_translation", |bench| {
        bench.load(
            "table ip t {
               chain nat { type nat hook output priority -100; udp dport 84 dnat to 172.17.0.5; }
               chain out { type filter hook output priority 0; policy drop; udp dport 84 oifname out0 accept; }
               chain post { type filter hook postrouting priority 0; udp dport 84 oifname != out1 drop; }
             }",
        );
        let own = Packet {
            source: "10.0.0.1".parse().unwrap(),
            destination: "8.8.8.8".parse().unwrap(),
            interface_in: "".into(),
            ..udp(84)
        };
        bench.expect(own, Out);
    });
}

#[test]
fn families_interfaces_and_fib() {
    on_bench("families_interfaces_and_fib", |bench| {
        bench.input(
            "tcp dport 80 ip6 nexthdr tcp accept
             tcp dport 81 iifname \"e*\" accept
             tcp dport 82 fib daddr type local accept
             tcp dport 83 fib saddr . iif oif exists accept
             tcp dport 84 fib saddr oif out0 accept
             tcp dport 85 iifname \"out*\" accept
             tcp dport 86 meta nfproto ipv6 accept
             tcp dport 87 fib saddr type unicast accept",
        );
        for (port, fate) in
            [(80, Lost), (81, In), (82, In), (83, Lost), (84, In), (85, Lost), (86, Lost), (87, In)]
        {
            bench.expect(syn(port), fate);
        }
        for (port, fate) in [(80, In), (81, In), (82, In), (86, In)] {
            bench.expect(six(6, port), fate);
        }
    });
}

#[test]
fn sixteen_jumps_are_not_loaded() {
    on_bench("sixteen_jumps_are_not_loaded", |bench| {
        let chains = |depth: usize| {
            let mut text = format!("chain c{} {{ accept; }}\n", depth - 1);
            for at in (0..depth - 1).rev() {
                text.push_str(&format!("chain c{at} {{ jump c{}; }}\n", at + 1));
            }
            format!(
                "table inet t {{\n{text}chain in {{ type filter hook input priority 0; policy drop; jump c0; }}\n}}"
            )
        };
        bench.load(&chains(15));
        bench.expect(syn(80), In);
        bench.load("delete table inet t");
        assert!(rig::nft(&chains(16)).unwrap_err().to_string().contains("Too many links"));
    });
}

#[test]
fn a_check_changes_nothing() {
    on_bench("a_check_changes_nothing", |bench| {
        bench.input("tcp dport 80 accept");
        let before = bench.rig.listing().unwrap();
        let mut check = std::process::Command::new("nft");
        check.args(["-c", "delete table inet t"]);
        assert!(check.status().unwrap().success());
        assert_eq!(bench.rig.listing().unwrap(), before);
        bench.expect(syn(80), In);
    });
}

#[test]
fn rules_of_iptables_beside_those_of_nft_both_decide() {
    on_bench("rules_of_iptables_beside_those_of_nft_both_decide", |bench| {
        bench.input("tcp dport { 80, 81 } accept");
        let compat =
            "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 80 -j DROP\nCOMMIT\n";
        rig::restore(compat, false).unwrap();
        bench.expect(syn(80), Lost);
        bench.expect(syn(81), In);
    });
}
