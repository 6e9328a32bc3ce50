//! What proves that an answer is one, and what does not.

use super::*;
use crate::wire::syn::{LONGEST, Syn};
use crate::wire::{arp, cbpf};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const PORT: Port = Port(443);
const CLOCK: u32 = 77_777;

fn cookies() -> Cookies {
    Cookies::new((1, 2), Port(61_000), 16)
}

/// Source and target, once per family.
fn ends() -> [(IpAddr, IpAddr); 2] {
    [(ip("10.0.0.1"), ip("10.0.0.2")), (ip("fd00::1"), ip("fd00::2"))]
}

fn syn(source: IpAddr, target: IpAddr, attempt: u16) -> Vec<u8> {
    let varying = cookies().cookie(source, target, PORT).syn(PORT, attempt, CLOCK);
    let mut out = [0; LONGEST];
    let length = Syn::new(source, target, 1500).unwrap().write(&varying, &mut out);
    out[..length].to_vec()
}

/// A segment back from the target, as `change` has it.
fn back(source: IpAddr, target: IpAddr, change: impl FnOnce(&mut Tcp<'_>)) -> Vec<u8> {
    let cookie = cookies().cookie(source, target, PORT);
    let mut options = Vec::new();
    TcpOption::SegmentSize(1400).push(&mut options);
    TcpOption::Timestamps { value: 5, echo: CLOCK }.push(&mut options);
    TcpOption::WindowScale(9).push(&mut options);
    let mut segment = Tcp {
        from: PORT,
        to: cookie.from,
        sequence: 1000,
        acknowledgement: cookie.sequence.wrapping_add(1),
        flags: SYN_ACK,
        window: 4321,
        options: &options,
    };
    change(&mut segment);
    let mut bytes = [0; 60];
    let length = segment.write(&mut bytes).unwrap();
    packet(target, source, tcp::PROTOCOL, &bytes[..length])
}

fn packet(from: IpAddr, to: IpAddr, protocol: u8, inside: &[u8]) -> Vec<u8> {
    let mut packet = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            Ipv4::new(from, to, protocol, inside.len()).bytes().to_vec()
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            Ipv6::new(from, to, protocol, inside.len()).bytes().to_vec()
        }
        _ => panic!("two families"),
    };
    packet.extend(inside);
    packet
}

/// An ICMP error of a router, quoting this packet.
fn error(source: IpAddr, kind: u8, code: u8, quoted: &[u8]) -> Vec<u8> {
    let (router, protocol) =
        if source.is_ipv4() { (ip("10.9.9.9"), 1) } else { (ip("fd09::9"), 58) };
    let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
    message.extend(quoted);
    packet(router, source, protocol, &message)
}

#[test]
fn a_syn_ack_proves_an_open_port_and_tells_when_its_syn_left() {
    for (source, target) in ends() {
        let proof = cookies().read(&back(source, target, |_| {})).unwrap();
        assert_eq!((proof.target, proof.port, proof.from), (target, PORT, target));
        assert_eq!((proof.reply, proof.sent, proof.attempt), (Reply::SynAck, Some(CLOCK), None));
        let looks = proof.signature.unwrap();
        assert_eq!((looks.mss, looks.scale, looks.window), (Some(1400), Some(9), Some(4321)));
        assert_eq!((&looks.options[..], looks.hop_limit), (&[2, 8, 3, 0][..], Some(64)));
        assert_eq!(looks.dont_fragment, source.is_ipv4().then_some(true));
    }
}

#[test]
fn a_reset_counts_with_our_number_or_the_next() {
    for (source, target) in ends() {
        let number = cookies().cookie(source, target, PORT).sequence;
        let reset = |number: u32| {
            let packet = back(source, target, |segment| {
                *segment =
                    Tcp { flags: RST_ACK, acknowledgement: number, options: &[], ..*segment };
            });
            cookies().read(&packet)
        };
        let proof = reset(number.wrapping_add(1)).unwrap();
        assert_eq!((proof.reply, proof.reset), (Reply::Reset, None));
        assert_eq!(reset(number).unwrap().reply, Reply::Reset);
        assert_eq!(reset(number.wrapping_add(2)), Err(Ignored::Forged));
    }
}

#[test]
fn a_reset_that_acknowledges_nothing_proves_nothing() {
    let (source, target) = ends()[0];
    let packet = back(source, target, |segment| segment.flags = tcp::RST);
    assert_eq!(cookies().read(&packet), Err(Ignored::Forged));
}

#[test]
fn a_wrong_acknowledgement_proves_nothing() {
    for (source, target) in ends() {
        let packet = back(source, target, |segment| segment.acknowledgement ^= 1 << 9);
        assert_eq!(cookies().read(&packet), Err(Ignored::Forged));
    }
}

#[test]
fn an_answer_from_another_host_proves_nothing_of_either() {
    let (source, target) = ends()[0];
    let mut packet = back(source, target, |_| {});
    packet[15] = 99; // 10.0.0.99, with the right number for 10.0.0.2
    assert_eq!(cookies().read(&packet), Err(Ignored::Forged));
}

#[test]
fn a_split_handshake_is_a_syn_and_is_reset_too() {
    for (source, target) in ends() {
        let packet = back(source, target, |segment| {
            segment.flags = tcp::SYN;
            segment.acknowledgement = 0;
        });
        let proof = cookies().read(&packet).unwrap();
        assert_eq!(proof.reply, Reply::Syn);
        let mut out = [0; RESET];
        let length = proof.reset.unwrap().write(&mut out);
        let sent = Packet::parse(&out[..length]).unwrap();
        let segment = Tcp::parse(sent.inside).unwrap();
        assert_eq!((segment.flags, segment.acknowledgement), (RST_ACK, 1001));
    }
}

#[test]
fn the_reset_for_a_syn_ack_adds_up_and_has_the_number_that_was_acknowledged() {
    for (source, target) in ends() {
        let reset = cookies().read(&back(source, target, |_| {})).unwrap().reset.unwrap();
        assert_eq!(reset.target(), target);
        let mut out = [0; RESET];
        let length = reset.write(&mut out);
        let sent = Packet::parse(&out[..length]).unwrap();
        assert_eq!((sent.from, sent.to), (source, target));
        let sum = Sum::new().pseudo_header(source, target, tcp::PROTOCOL, sent.inside.len());
        assert_eq!(sum.bytes(sent.inside).finish(), 0);
        let segment = Tcp::parse(sent.inside).unwrap();
        let cookie = cookies().cookie(source, target, PORT);
        assert_eq!((segment.from, segment.to), (cookie.from, PORT));
        assert_eq!((segment.flags, segment.sequence), (tcp::RST, cookie.sequence.wrapping_add(1)));
    }
}

#[test]
fn an_icmp_error_counts_when_it_quotes_our_syn_and_tells_which_try_it_was() {
    for (source, target) in ends() {
        let (kind, code) = if source.is_ipv4() { (3, 13) } else { (1, 1) };
        let sent = syn(source, target, 3);
        let proof = cookies().read(&error(source, kind, code, &sent)).unwrap();
        let icmp = Icmp { v6: source.is_ipv6(), kind, code };
        assert_eq!((proof.target, proof.port), (target, PORT));
        assert_eq!((proof.reply, proof.sent), (Reply::Unreachable(icmp), Some(CLOCK)));
        assert_ne!(proof.from, target);
        assert_eq!(proof.attempt, source.is_ipv4().then_some(3));

        let header = if source.is_ipv4() { 20 } else { 40 };
        let short = cookies().read(&error(source, kind, code, &sent[..header + 8])).unwrap();
        assert_eq!((short.port, short.sent), (PORT, None));
        let cut = error(source, kind, code, &sent[..header + 7]);
        assert_eq!(cookies().read(&cut), Err(Ignored::Foreign));
    }
}

#[test]
fn an_icmp_error_that_quotes_another_number_is_forged() {
    for (source, target) in ends() {
        let mut sent = syn(source, target, 1);
        let number = sent.len() - 40 + 4;
        sent[number] ^= 1;
        let kind = if source.is_ipv4() { 3 } else { 1 };
        assert_eq!(cookies().read(&error(source, kind, 1, &sent)), Err(Ignored::Forged));
    }
}

#[test]
fn advice_about_the_size_of_packets_is_no_answer() {
    let [(v4, target4), (v6, target6)] = ends();
    for packet in [
        error(v4, 3, 4, &syn(v4, target4, 1)),
        error(v4, 4, 0, &syn(v4, target4, 1)),
        error(v6, 2, 0, &syn(v6, target6, 1)),
    ] {
        assert_eq!(cookies().read(&packet), Err(Ignored::Foreign));
    }
}

#[test]
fn what_is_for_no_port_of_ours_is_foreign() {
    let (source, target) = ends()[0];
    let packet = back(source, target, |segment| segment.to = Port(60_999));
    assert_eq!(cookies().read(&packet), Err(Ignored::Foreign));
    assert_eq!(cookies().read(&[]), Err(Ignored::Foreign));
}

#[test]
fn every_try_of_a_port_is_a_flow_of_its_own_with_one_number() {
    let (source, target) = ends()[0];
    let (first, second) = (syn(source, target, 1), syn(source, target, 2));
    assert_ne!(first[20..22], second[20..22], "source port");
    assert_eq!(first[22..28], second[22..28], "port asked and sequence number");
    assert_eq!(
        first[20..22],
        syn(source, target, 17)[20..22],
        "after sixteen it is the first again"
    );
    let all: Vec<_> = (1..=2000).map(|port| cookies().cookie(source, target, Port(port))).collect();
    assert!(all.iter().all(|cookie| (61_000..61_016).contains(&cookie.from.0)));
    let ports: std::collections::HashSet<_> = all.iter().map(|cookie| cookie.from).collect();
    let numbers: std::collections::HashSet<_> = all.iter().map(|cookie| cookie.sequence).collect();
    assert_eq!((ports.len(), numbers.len()), (16, 2000));
    assert_ne!(all[0], Cookies::new((1, 3), Port(61_000), 16).cookie(source, target, Port(1)));
}

#[test]
fn a_packet_cut_anywhere_proves_nothing() {
    for (source, target) in ends() {
        let whole = back(source, target, |_| {});
        for length in 0..whole.len() {
            assert!(cookies().read(&whole[..length]).is_err(), "{length}");
        }
    }
}

fn is_let_through(packet: &[u8], ether_type: u32, packet_type: u32) -> bool {
    let ancillary = |what| if what == cbpf::PROTOCOL { ether_type } else { packet_type };
    cbpf::run(&cookies().filter(), packet, ancillary) > 0
}

#[test]
fn the_filter_lets_answers_through_and_nothing_else() {
    for ((source, target), ether_type) in ends().into_iter().zip([0x0800, 0x86dd]) {
        let passes = |packet: &[u8]| is_let_through(packet, ether_type, 0);
        let answer = back(source, target, |_| {});
        assert!(passes(&answer));
        assert!(!is_let_through(&answer, ether_type, 3), "for another machine");
        for port in [60_999, 61_016] {
            assert!(!passes(&back(source, target, |segment| segment.to = Port(port))));
        }
        let unreachable = if source.is_ipv4() { 3 } else { 1 };
        assert!(passes(&error(source, unreachable, 1, &syn(source, target, 1))));
        let echo = if source.is_ipv4() { 8 } else { 128 };
        assert!(!passes(&error(source, echo, 0, &[])));
        assert!(!passes(&packet(source, target, 17, &[0; 8])));
        assert!(!passes(&[]));
    }
}

#[test]
fn the_filter_lets_neighbours_tell_their_address() {
    let link = [2, 0, 0, 0, 0, 1];
    let mut packet = arp::request(link, [10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    assert!(!is_let_through(&packet, 0x0806, 0));
    packet[7] = 2;
    assert!(is_let_through(&packet, 0x0806, 0));
    let (mut packet, _) =
        arp::solicitation(link, "fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
    assert!(!is_let_through(&packet, 0x86dd, 0));
    packet[40] = 136;
    assert!(is_let_through(&packet, 0x86dd, 0));
}

#[test]
fn pieces_of_a_packet_are_not_let_through() {
    let (source, target) = ends()[0];
    let mut packet = back(source, target, |_| {});
    packet[7] = 1;
    assert!(!is_let_through(&packet, 0x0800, 0));
}
