//! Who counts as meant, by interface and by address, and how senders are told and weighed.

use super::meant::Meant;
use super::*;
use crate::inventory::SourceExtent;

fn of(text: &str) -> Addresses {
    Addresses::of(text.split_whitespace().map(|p| p.parse::<Prefix>().expect("a network")))
}

fn line(senders: &str, interface: &str) -> Line {
    let (by, keeper) = ("by a rule".to_owned(), Keeper::Ours);
    Line { senders: of(senders), interface: Some(interface.into()), by, keeper }
}

fn opening(admitted: &str, refused: &str) -> Opening {
    let lines = |text: &str| match text {
        "" => Vec::new(),
        text => vec![line(text, "eth0")],
    };
    Opening {
        port: Port(22),
        transport: Transport::Tcp,
        admitted: lines(admitted),
        perhaps: Addresses::NONE,
        refused: lines(refused),
        around: Vec::new(),
        straight: Vec::new(),
        sent_to: None,
    }
}

#[test]
fn how_far_a_port_is_open_is_how_far_the_farthest_come_from() {
    assert_eq!(opening("0.0.0.0/1", "").reach(), Some(Reach::Anyone));
    assert_eq!(opening("10.0.0.0/8 192.168.1.0/24", "8.0.0.0/8").reach(), Some(Reach::Site));
    assert_eq!(opening("", "0.0.0.0/0").reach(), Some(Reach::Machine), "rules keep all out");
    assert_eq!(opening("", "").reach(), None, "nobody has a way here: rules say nothing");
}

#[test]
fn a_few_networks_are_named_and_many_are_not() {
    assert_eq!(told(&of("10.0.0.0/8 fd00::/8")), "10.0.0.0/8, fd00::/8");
    assert_eq!(told(&Addresses::all().without(&of("10.1.2.3"))), "most other networks");
}

#[test]
fn a_network_that_is_an_interface_alone_is_nobody_by_another() {
    let everybody = SourceExtent {
        prefixes: ["0.0.0.0/0", "::/0"].map(|p| p.parse().expect("a network")).into(),
        interface: Some("lan0".to_owned()),
        ..SourceExtent::default()
    };
    let meant = Meant::of([&everybody]);
    let lines = [line("10.1.0.0/24", "lan0"), line("198.51.100.0/24", "wan0")];
    assert_eq!(meant.not_among(&lines), [line("198.51.100.0/24", "wan0")]);
    assert_eq!(meant.among(&lines), [line("10.1.0.0/24", "lan0")]);
}
