//! Packets that the kernel refuses for who sends them, whatever the rules say: real ones, and the simulator
//! asked about the same.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod support;

use std::fs;

use portolan_core::firewall::simulate::{Open, Outcome as End, Prepared, Way};
use portolan_core::firewall::{Hook, Packet, ReversePath, Ruleset, World, bits};
use portolan_oracle::rig::{self, Outcome, Probe, Rig};
use support::on_stage;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    In,
    Out,
    Nowhere,
}

/// Settings of an interface.
#[derive(Clone, Copy, Debug)]
struct Settings {
    reverse_path: (u8, ReversePath),
    accept_local: bool,
    route_localnet: bool,
}

impl Settings {
    fn all() -> Vec<Self> {
        let ways = [ReversePath::Unchecked, ReversePath::Strict, ReversePath::Loose];
        let mut all = Vec::new();
        for reverse_path in (0..).zip(ways) {
            for (accept_local, route_localnet) in [(false, false), (true, false), (true, true)] {
                all.push(Self { reverse_path, accept_local, route_localnet });
            }
        }
        all
    }

    fn apply(self, link: &str) {
        let set = |name: &str, value: u8| {
            fs::write(format!("/proc/sys/net/ipv4/conf/{link}/{name}"), value.to_string()).unwrap();
        };
        set("rp_filter", self.reverse_path.0);
        set("accept_local", self.accept_local.into());
        set("route_localnet", self.route_localnet.into());
    }

    fn tell(self, link: &str, world: &mut World) {
        let found = world.interfaces.iter_mut().find(|interface| &*interface.name == link).unwrap();
        found.reverse_path = Some(self.reverse_path.1);
        found.accept_local = Some(self.accept_local);
        found.route_localnet = Some(self.route_localnet);
    }
}

/// What kernel and simulator say of a packet, where they differ.
fn difference(rig: &mut Rig, world: &World, packet: Packet) -> Option<String> {
    let kernel = rig.send(&Probe { packet: packet.clone(), flow: None }).unwrap();
    let fate = match kernel {
        Outcome::Local(_) => Fate::In,
        Outcome::Left(..) => Fate::Out,
        Outcome::Dropped | Outcome::Refused(_) => Fate::Nowhere,
    };
    let rules = Ruleset::default();
    let prepared = Prepared::new(&rules, world).minding_senders();
    let walk = prepared.walk(&packet, Way::ByRoute, &Open);
    let simulated = match (walk.outcome, walk.hook) {
        (End::Accept, Some(Hook::Input)) => Fate::In,
        (End::Accept, _) => Fate::Out,
        _ => Fate::Nowhere,
    };
    let (from, to, link) = (packet.source, packet.destination, packet.interface_in);
    (simulated != fate).then(|| {
        format!(
            "{from} -> {to} by {link}: kernel {kernel:?}, simulator {simulated:?} {:?}",
            walk.steps
        )
    })
}

fn packet(from: &str, to: &str, link: &str, number: u16) -> Packet {
    let packet = Packet::new(17, from.parse().unwrap(), to.parse().unwrap());
    let mut packet = packet.ports(20_000 + number, 9);
    packet.interface_in = link.into();
    packet.length = rig::shortest(packet.is_v6(), 17, false);
    if packet.destination.is_multicast() {
        packet.packet_type = bits::PACKET_MULTICAST as u8;
    }
    packet
}

/// Sends everything from each of these to each of those.
fn differences(rig: &mut Rig, world: &World, ends: (&[&str], &[&str]), link: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut number = 0;
    for from in ends.0 {
        for to in ends.1.iter().filter(|to| *to != from) {
            number += 1;
            found.extend(difference(rig, world, packet(from, to, link, number)));
        }
    }
    found
}

const FROM4: &[&str] = &[
    "1.2.3.4",
    "10.0.3.9",
    "10.0.255.255",
    "10.0.0.1",
    "192.168.7.66",
    "192.168.7.1",
    "192.168.7.255",
    "172.17.0.5",
    "10.9.0.1",
    "127.0.0.1",
    "127.0.0.2",
    "224.0.0.5",
    "239.1.1.1",
    "255.255.255.255",
    "0.1.2.3",
    "250.1.2.3",
];
const TO4: &[&str] =
    &["10.0.0.1", "192.168.7.1", "8.8.8.8", "172.17.0.6", "10.0.3.7", "192.168.7.9", "224.0.0.1"];

#[test]
fn who_may_send_by_an_interface_is_what_its_settings_say() {
    on_stage("who_may_send_by_an_interface_is_what_its_settings_say", |mut rig| {
        let mut found = Vec::new();
        for settings in Settings::all() {
            for link in ["eth1", "out0"] {
                settings.apply(link);
                let mut world = rig.world();
                settings.tell(link, &mut world);
                let new = differences(&mut rig, &world, (FROM4, TO4), link);
                found.extend(new.into_iter().map(|text| format!("{settings:?}: {text}")));
            }
        }
        assert!(found.is_empty(), "{} differences\n{}", found.len(), found.join("\n"));
    });
}

#[test]
fn ipv6_hears_of_no_groups_or_loopback_addresses_that_send() {
    on_stage("ipv6_hears_of_no_groups_or_loopback_addresses_that_send", |mut rig| {
        let from = [
            "2400::9",
            "fd00:b::9",
            "fd00:a::1",
            "::1",
            "ff02::5",
            "::ffff:1.2.3.4",
            "fe80::1",
            "::2",
        ];
        let to =
            ["fd00:a::1", "fd00:b::1", "2400:cafe::1", "fd00:17::41", "ff02::1", "ff01::1", "::1"];
        let world = rig.world();
        let found = differences(&mut rig, &world, (&from, &to), "eth1");
        assert!(found.is_empty(), "{} differences\n{}", found.len(), found.join("\n"));
    });
}

#[test]
fn what_may_be_passed_on_no_more_ends_before_its_rules() {
    on_stage("what_may_be_passed_on_no_more_ends_before_its_rules", |mut rig| {
        let world = rig.world();
        for (number, (from, to)) in [
            ("1.2.3.4", "8.8.8.8"),
            ("1.2.3.4", "10.0.0.1"),
            ("2400::9", "2400::a"),
            ("2400::9", "fd00:a::1"),
        ]
        .into_iter()
        .enumerate()
        {
            for ttl in [1, 2, 64] {
                let number = number as u16 * 3 + u16::from(ttl) % 3;
                let packet = Packet { ttl, ..packet(from, to, "eth0", number) };
                assert_eq!(difference(&mut rig, &world, packet), None);
            }
        }
    });
}
