//! What is left of the ports the kernel chooses from, counted by hand and as properties, and the
//! advice that follows. The kernel itself is asked in the program's own tests.

use proptest::prelude::*;

use super::*;
use crate::socket::{Address, Family, Timer, TimerKind};

fn socket(local: &str, peer: Option<&str>, state: State, choice: PortChoice) -> Socket {
    let endpoint = |text: &str| text.parse::<std::net::SocketAddr>().unwrap();
    let address = |text: &str| {
        let e = endpoint(text);
        Address::Inet(Endpoint::new(e.ip(), Port(e.port())))
    };
    let family = if endpoint(local).is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
    Socket {
        local: address(local),
        peer: peer.map(address),
        port_choice: Some(choice),
        ..Socket::bare(SocketTransport::Tcp, family, state, 1, 1)
    }
}

pub(super) fn outgoing(port: u16, peer: &str) -> Socket {
    let local = format!("127.0.0.1:{port}");
    socket(&local, Some(peer), State::Established, PortChoice::Kernel)
}

pub(super) fn waiting(port: u16, peer: &str, seconds_left: u64) -> Socket {
    let left = Duration::from_secs(seconds_left);
    let timer = Some(Timer { kind: TimerKind::TimeWait, left });
    Socket { state: State::TimeWait, timer, inode: 0, ..outgoing(port, peer) }
}

pub(super) fn listener(local: &str) -> Socket {
    socket(local, None, State::Listen, PortChoice::Fixed)
}

pub(super) fn ports(first: u16, last: u16, reserved: &[u16]) -> LocalPorts {
    LocalPorts {
        ephemeral: PortRange::new(Port(first), Port(last)).unwrap(),
        reserved: reserved.iter().map(|p| PortRange::from(Port(*p))).collect(),
        ..LocalPorts::default()
    }
}

fn usage(sockets: &[Socket]) -> Usage {
    Usage::of(sockets, &ports(40000, 40007, &[40003]), TimeWaitReuse::default())
}

fn at(address: &str) -> IpAddr {
    address.parse().unwrap()
}

pub(super) const WEB: &str = "127.0.0.1:25000";
const DATABASE: &str = "127.0.0.1:25001";

#[test]
fn each_destination_has_the_range_anew() {
    let all: Vec<Socket> = [40000, 40001, 40002, 40004, 40005, 40006, 40007]
        .into_iter()
        .flat_map(|p| [Some(outgoing(p, WEB)), (p < 40002).then(|| outgoing(p, DATABASE))])
        .flatten()
        .collect();
    let usage = usage(&all);
    let [full, other] = usage.destinations() else { panic!("{usage:?}") };
    assert_eq!(usage.toward(full), Fill { used: 7, usable: 7 });
    assert_eq!(usage.toward(other), Fill { used: 2, usable: 7 });
    assert!(usage.between(at("127.0.0.1"), full.peer).is_full());
    assert_eq!(usage.between(at("127.0.0.2"), full.peer).used, 0);
}

#[test]
fn an_ipv6_socket_that_speaks_ipv4_counts_with_those_of_ipv4() {
    let (local, peer) = ("[::ffff:127.0.0.1]:40002", "[::ffff:127.0.0.1]:25000");
    let mapped = socket(local, Some(peer), State::Established, PortChoice::Kernel);
    let usage = usage(&[outgoing(40000, WEB), mapped]);
    let [web] = usage.destinations() else { panic!("{usage:?}") };
    assert_eq!(usage.toward(web).used, 2);
    let peer = Endpoint::new(at("::ffff:127.0.0.1"), Port(25000));
    assert_eq!(usage.between(at("::ffff:127.0.0.1"), peer).used, 2);
}

#[test]
fn what_a_bind_holds_is_lost_to_every_destination_whatever_its_address() {
    let usage = usage(&[
        listener("127.0.0.9:40000"),
        socket("0.0.0.0:40001", None, State::Bound, PortChoice::Kernel),
        socket("127.0.0.1:40002", Some(DATABASE), State::Established, PortChoice::Fixed),
        outgoing(40004, WEB),
    ]);
    assert_eq!(usage.bound().to_string(), "40000-40002");
    let [web] = usage.destinations() else { panic!("{usage:?}") };
    assert_eq!(usage.toward(web).used, 4);
}

#[test]
fn connections_a_listener_accepted_use_its_port_and_no_other() {
    let mut accepted = outgoing(40000, "127.0.0.1:50000");
    accepted.state = State::CloseWait;
    let usage = usage(&[listener("127.0.0.1:40000"), accepted]);
    assert!(usage.destinations().is_empty());
    assert_eq!(usage.at(SocketTransport::Tcp, at("127.0.0.1")).used, 1);
}

#[test]
fn bind_to_zero_finds_a_port_that_is_taken_at_another_address_only() {
    let usage = usage(&[
        listener("127.0.0.1:40000"),
        listener("0.0.0.0:40001"),
        listener("[::]:40002"),
        Socket { v6only: Some(true), ..listener("[::]:40004") },
        outgoing(40005, WEB),
    ]);
    let used = |address: &str| usage.at(SocketTransport::Tcp, at(address)).used;
    assert_eq!((used("127.0.0.1"), used("127.0.0.2"), used("0.0.0.0")), (4, 2, 4));
    assert_eq!((used("::1"), used("::")), (2, 5));
    assert_eq!(usage.at(SocketTransport::Udp, at("127.0.0.1")).used, 0);
}

#[test]
fn a_connection_in_time_wait_gives_its_port_away_as_the_settings_say() {
    let sockets = [waiting(40000, WEB, 60), waiting(40002, WEB, 40), outgoing(40004, WEB)];
    let used = |policy, timestamps| {
        let reuse = TimeWaitReuse { policy, timestamps, ..TimeWaitReuse::default() };
        let usage = Usage::of(&sockets, &ports(40000, 40007, &[]), reuse);
        usage.destinations()[0].used()
    };
    assert_eq!(used(ReusePolicy::Never, true), 3);
    assert_eq!(used(ReusePolicy::Loopback, true), 2);
    assert_eq!(used(ReusePolicy::Always, false), 3);
    let usage = usage(&sockets);
    let [web] = usage.destinations() else { panic!("{usage:?}") };
    assert_eq!(web.first_end, Some(Duration::from_secs(40)));
    assert_eq!(web.last_end, Some(Duration::from_secs(60)));
}

#[test]
fn beyond_loopback_the_default_keeps_a_port_in_time_wait() {
    let far = Socket {
        local: Address::Inet(Endpoint::new(at("10.0.0.1"), Port(40000))),
        ..waiting(40000, "10.0.0.2:443", 10)
    };
    assert_eq!(usage(&[far]).destinations()[0].used(), 1);
}

#[test]
fn odd_numbers_before_the_even_ones_are_gone_were_bound_before_connecting() {
    assert_eq!(usage(&[outgoing(40001, WEB), outgoing(40000, WEB)]).likely_bound(), 1);
    let even_first = [40000, 40002, 40004, 40006, 40001].map(|p| outgoing(p, WEB));
    assert_eq!(usage(&even_first).likely_bound(), 0);
    // Where the even half is reserved or bound, odd ones are all there is.
    let reserved = ports(40000, 40003, &[40002]);
    let all = [listener("127.0.0.1:40000"), outgoing(40001, WEB)];
    let usage = Usage::of(&all, &reserved, TimeWaitReuse::default());
    assert_eq!(usage.likely_bound(), 0);
}

#[test]
fn an_empty_range_is_full_and_percent_is_100_only_then() {
    assert_eq!(Fill { used: 0, usable: 0 }.percent(), 100);
    assert_eq!(Fill { used: 28231, usable: 28232 }.percent(), 99);
    assert_eq!(Fill { used: 12, usable: 12 }.percent(), 100);
}

prop_compose! {
    fn any_socket()(
        host in 1u8..4, port in 39998u16..40010, peer in 25000u16..25003, kind in 0u8..5,
    ) -> Socket {
        let local = format!("127.0.0.{host}:{port}");
        match kind {
            0 => listener(&local),
            1 => socket(&local, None, State::Bound, PortChoice::Kernel),
            2 => Socket { transport: SocketTransport::Udp, ..listener(&local) },
            3 => waiting(port, &format!("127.0.0.1:{peer}"), 30),
            _ => socket(&local, Some(&format!("127.0.0.1:{peer}")), State::Established, PortChoice::Kernel),
        }
    }
}

proptest! {
    /// Nothing is counted twice, and nothing outside the range or reserved.
    #[test]
    fn what_is_used_is_made_of_ports_that_exist(sockets in prop::collection::vec(any_socket(), 0..40)) {
        let usage = usage(&sockets);
        prop_assert_eq!(usage.usable(), 7);
        prop_assert!(usage.bound().iter().all(|port| usage.is_choosable(port)));
        for transport in [SocketTransport::Tcp, SocketTransport::Udp] {
            let wildcard = usage.at(transport, at("::"));
            for (_, fill) in usage.addresses(transport) {
                prop_assert!(fill.used <= wildcard.used && wildcard.used <= 7);
            }
        }
    }

    /// One more socket never frees a port, except that a listener takes over what led out by it.
    #[test]
    fn a_further_socket_leaves_no_more_room(
        mut sockets in prop::collection::vec(any_socket(), 0..40), more in any_socket(),
    ) {
        let address = at("127.0.0.1");
        let before = usage(&sockets);
        sockets.push(more);
        let after = usage(&sockets);
        let used = |u: &Usage| u.at(SocketTransport::Tcp, address).used;
        prop_assert!(used(&before) <= used(&after));
        prop_assert!(before.bound().len() <= after.bound().len());
    }
}
