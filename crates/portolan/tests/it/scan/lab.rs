//! The network to scan, seen with the kernel's own connect: what a scan is held against is right.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use crate::support::lab::{DST, DST6, Lab, NEAR, Pair, responder, udp_services};
use crate::support::{Netns, require_root};

/// What connecting shows: "open", or the kind of error.
fn connect(netns: &Netns, address: IpAddr, port: u16) -> String {
    let place = SocketAddr::new(address, port);
    let wait = Duration::from_secs(2);
    match netns.enter(|| TcpStream::connect_timeout(&place, wait)) {
        Ok(_) => "open".to_owned(),
        Err(error) if error.kind() == ErrorKind::TimedOut => "silent".to_owned(),
        Err(error) => error.kind().to_string(),
    }
}

#[test]
fn the_router_carries_both_families_and_its_rules_hold() {
    require_root!();
    let lab = Lab::new();
    let _open = lab.dst.listen_on([22]);
    lab.rtr.filter_forward("tcp dport 91 reject with icmpx type host-unreachable");
    lab.dst.filter_input("tcp dport 82 drop");
    for address in [DST, DST6] {
        assert_eq!(connect(&lab.src, address, 22), "open");
        assert_eq!(connect(&lab.src, address, 81), "connection refused");
        assert_eq!(connect(&lab.src, address, 91), "host unreachable");
    }
    assert_eq!(connect(&lab.src, DST, 82), "silent");
}

#[test]
fn a_full_backlog_is_silent() {
    require_root!();
    let pair = Pair::new();
    let _full = pair.dst.listen_with_full_backlog(NEAR, 3001);
    assert_eq!(connect(&pair.src, NEAR, 3001), "silent");
    assert_eq!(connect(&pair.src, NEAR, 3002), "connection refused");
}

#[test]
fn a_host_that_is_not_there_answers_as_one_that_is() {
    require_root!();
    let lab = Lab::new();
    let there: IpAddr = [10, 79, 3, 4].into();
    lab.rtr.ip("route add 10.79.0.0/16 via 10.78.0.2");
    let _hosts = responder(&lab.dst, &[there], "yield from host_like(p, [80])");
    assert_eq!(connect(&lab.src, there, 80), "open");
    assert_eq!(connect(&lab.src, there, 81), "connection refused");
    assert_eq!(connect(&lab.src, [10, 79, 3, 5].into(), 80), "silent");
}

#[test]
fn udp_services_answer_in_their_protocol() {
    require_root!();
    let lab = Lab::new();
    let _services = udp_services(&lab.dst);
    let ask = |port: u16, question: &[u8]| {
        lab.src.enter(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            socket.send_to(question, (DST, port)).unwrap();
            let mut answer = [0; 512];
            socket.recv_from(&mut answer).ok().map(|(length, from)| (length, from.port()))
        })
    };
    let dns = [&[7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0][..], &[0, 2, 0, 1]].concat();
    let ntp = [&[0x23][..], &[0; 47]].concat();
    assert_eq!(ask(53, &dns), Some((17, 53)));
    assert_eq!(ask(123, &ntp), Some((48, 123)));
    assert_eq!(ask(6005, b"x"), Some((17, 6006)));
    assert_eq!(ask(6000, b"x"), None);
}
