//! The engine without privileges on loopback: every answer a plain socket can get.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::thread;

use portolan_core::net::Port;
use portolan_core::scan::{Icmp, Manner};

use super::*;

const LOOPBACK: [&str; 2] = ["127.0.0.1", "::1"];

fn options() -> Options {
    Options::new(Stopwatch::start())
}

fn probe(at: SocketAddr, question: fn(Port) -> Question) -> Probe {
    let (wait, manner) = (Duration::from_millis(300), Manner::Ask);
    Probe { target: at.ip(), question: question(Port(at.port())), attempt: 1, wait, manner }
}

/// Everything that is heard until all probes are answered, or for two seconds.
fn ask(engine: &mut ConnectEngine, watch: Stopwatch, probes: &[Probe]) -> Vec<Heard> {
    let mut heard = Vec::new();
    let mut next = probes.iter();
    let end = watch.now() + Duration::from_secs(2);
    while heard.len() < probes.len() && watch.now() < end {
        for probe in next.by_ref().take(engine.room()) {
            engine.send(watch.now(), *probe);
        }
        engine.receive(watch.now(), Duration::from_millis(20), &mut heard).unwrap();
    }
    heard
}

/// The answer to the one probe.
fn answer(probe: Probe) -> Answer {
    let options = options();
    let mut engine = ConnectEngine::new(&options).unwrap();
    match ask(&mut engine, options.watch, &[probe]).pop() {
        Some(Heard::Answer(answer)) => answer,
        other => panic!("{probe:?}: {other:?}"),
    }
}

/// An address of loopback where nobody is.
fn closed_tcp(host: &str) -> SocketAddr {
    TcpListener::bind((host, 0)).unwrap().local_addr().unwrap()
}

#[test]
fn a_listener_is_open_and_a_free_port_resets() {
    for host in LOOPBACK {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let found = answer(probe(listener.local_addr().unwrap(), Question::Tcp));
        assert_eq!((found.reply, found.attempt), (Reply::SynAck, Some(1)));
        assert!(found.rtt.is_some_and(|rtt| rtt < Duration::from_secs(1)), "{found:?}");
        let found = answer(probe(closed_tcp(host), Question::Tcp));
        assert_eq!((found.reply, found.from), (Reply::Reset, host.parse().unwrap()));
    }
}

#[test]
fn a_connection_is_reset_and_not_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    answer(probe(listener.local_addr().unwrap(), Question::Tcp));
    let (accepted, _) = listener.accept().unwrap();
    let error = io::Read::read(&mut &accepted, &mut [0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn verifying_tells_a_connection_that_is_kept_from_one_that_is_reset() {
    let verify = |at| Probe { manner: Manner::Verify, ..probe(at, Question::Tcp) };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(answer(verify(silent.local_addr().unwrap())).reply, Reply::Kept);

    let greeting = TcpListener::bind("[::1]:0").unwrap();
    let at = greeting.local_addr().unwrap();
    let server = thread::spawn(move || greeting.accept().unwrap().0.write_all(b"220 hello"));
    assert_eq!(answer(verify(at)).reply, Reply::Kept);
    let _ = server.join().unwrap();

    let resetting = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = resetting.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (accepted, _) = resetting.accept().unwrap();
        socket2::SockRef::from(&accepted).set_linger(Some(Duration::ZERO)).unwrap();
    });
    assert_eq!(answer(verify(at)).reply, Reply::Dropped);
    server.join().unwrap();

    assert_eq!(answer(verify(closed_tcp("127.0.0.1"))).reply, Reply::Reset);
}

#[test]
fn a_window_of_two_asks_every_port_all_the_same() {
    let options = Options { most: 2, ..options() };
    let mut engine = ConnectEngine::new(&options).unwrap();
    assert_eq!(engine.room(), 2);
    let listeners: Vec<_> = LOOPBACK
        .iter()
        .cycle()
        .take(40)
        .map(|host| TcpListener::bind((*host, 0)).unwrap())
        .collect();
    let open = listeners.iter().map(|listener| listener.local_addr().unwrap());
    let probes: Vec<_> = open.map(|at| probe(at, Question::Tcp)).collect();
    let heard = ask(&mut engine, options.watch, &probes);
    let is_open = |h: &Heard| matches!(h, Heard::Answer(a) if a.reply == Reply::SynAck);
    assert_eq!(heard.iter().filter(|h| is_open(h)).count(), 40, "{heard:?}");
    assert_eq!(engine.room(), 2);
}

#[test]
fn nobody_answers_for_a_socket_whose_time_is_up() {
    // A full backlog answers no SYN (net/ipv4/tcp_input.c, tcp_conn_request).
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let at = listener.local_addr().unwrap().as_socket().unwrap();
    let _fills = std::net::TcpStream::connect(at).unwrap();
    let options = options();
    let mut engine = ConnectEngine::new(&options).unwrap();
    let (room, silent) = (engine.room(), probe(at, Question::Tcp));
    let _ = ask(&mut engine, options.watch, &[silent]);
    let wait = Duration::from_millis(50);
    let heard = ask(&mut engine, options.watch, &[Probe { wait, ..silent }]);
    assert_eq!(heard, [], "the backlog is full");
    assert_eq!(engine.room(), room);
}

#[test]
fn udp_ports_answer_refuse_or_answer_from_another_port() {
    for host in LOOPBACK {
        let server = UdpSocket::bind((host, 0)).unwrap();
        let other = UdpSocket::bind((host, 0)).unwrap();
        let (at, elsewhere) = (server.local_addr().unwrap(), other.local_addr().unwrap());
        let serving = thread::spawn(move || {
            for from in [&server, &other] {
                let (_, asker) = server.recv_from(&mut [0; 64]).unwrap();
                from.send_to(b"here", asker).unwrap();
            }
            server
        });
        let found = answer(probe(at, Question::Udp));
        assert_eq!(found.reply, Reply::Datagram { port: Port(at.port()) });
        let found = answer(probe(at, Question::Udp));
        assert_eq!(found.reply, Reply::Datagram { port: Port(elsewhere.port()) });
        assert_eq!(found.question, Question::Udp(Port(at.port())));

        drop(serving.join().unwrap());
        let found = answer(probe(at, Question::Udp));
        let (v6, kind, code) = if at.is_ipv6() { (true, 1, 4) } else { (false, 3, 3) };
        assert_eq!(found.reply, Reply::Unreachable(Icmp { v6, kind, code }));
        assert_eq!((found.from, found.attempt), (at.ip(), Some(1)));
    }
}

/// Each refusal makes the next sendto() on that socket fail once.
#[test]
fn every_one_of_many_closed_udp_ports_is_told() {
    let options = options();
    let mut engine = ConnectEngine::new(&options).unwrap();
    // Below what the kernel gives out: no other socket, not even the engine's own, gets one by chance.
    let closed = |port: &u16| UdpSocket::bind(("127.0.0.1", *port)).is_ok();
    let addresses: Vec<_> = (20_000..30_000)
        .filter(closed)
        .take(100)
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .collect();
    let probes: Vec<_> = addresses.iter().map(|at| probe(*at, Question::Udp)).collect();
    let heard = ask(&mut engine, options.watch, &probes);
    let is_refusal =
        |h: &Heard| matches!(h, Heard::Answer(a) if matches!(a.reply, Reply::Unreachable(_)));
    assert_eq!(heard.iter().filter(|h| is_refusal(h)).count(), 100, "{heard:?}");
}

#[test]
fn an_echo_comes_back_where_we_may_ask_for_one() {
    let options = options();
    let mut engine = ConnectEngine::new(&options).unwrap();
    for host in LOOPBACK {
        let target: IpAddr = host.parse().unwrap();
        let at = SocketAddr::new(target, 0);
        let probe = Probe { question: Question::Echo, attempt: 7, ..probe(at, Question::Tcp) };
        match ask(&mut engine, options.watch, &[probe]).as_slice() {
            [Heard::Answer(found)] => {
                let told = (found.reply, found.from, found.attempt);
                assert_eq!(told, (Reply::Echo, target, Some(7)));
                assert!(engine.ability().echo);
            }
            [Heard::Refused(_, error)] => assert_eq!(*error, LocalError::NotPermitted),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_address_that_is_not_ours_is_no_source() {
    let source = Some("192.0.2.1".parse().unwrap());
    assert!(ConnectEngine::new(&Options { source, ..options() }).is_err());
    let interface = Some("no-such-device".to_owned());
    assert!(ConnectEngine::new(&Options { interface, ..options() }).is_err());
}

#[test]
fn the_source_that_was_asked_for_is_used() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let source = Some("127.0.0.9".parse().unwrap());
    let options = Options { source, ..options() };
    let mut engine = ConnectEngine::new(&options).unwrap();
    ask(&mut engine, options.watch, &[probe(listener.local_addr().unwrap(), Question::Tcp)]);
    assert_eq!(Some(listener.accept().unwrap().1.ip()), source);
}
