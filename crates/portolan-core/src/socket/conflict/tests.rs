//! The relation against the tables that were measured on Linux, its symmetry as a property, and what
//! each kind of socket in the way is called. Real binds are compared in the program's own tests.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::net::{Endpoint, Port, PortRange, Transport};
use crate::socket::{
    Address, Bind, Family, Holder, PortChoice, Reuse, Socket, SocketTransport, State, Unowned, Via,
};

/// The seven kinds of address, and whether they are v6-only.
const ADDRESSES: [(&str, bool); 7] = [
    ("0.0.0.0", false),
    ("127.0.0.1", false),
    ("127.0.0.2", false),
    ("::", false),
    ("::", true),
    ("::1", false),
    ("::ffff:127.0.0.1", false),
];

/// Which of them overlap, measured on Linux 6.18 for TCP and UDP alike.
const OVERLAP: [&str; 7] = [
    "XXXX--X", //
    "XX-X--X", //
    "X-XX---", //
    "XXXXXXX", //
    "---XXX-", //
    "---XXX-", //
    "XX-X--X",
];

const OPTIONS: [Reuse; 4] = [Reuse::NONE, Reuse::ADDRESS, Reuse::PORT, Reuse::BOTH];

fn bind(address: &str, v6only: bool, reuse: Reuse) -> Bind {
    let plain = Bind::at(Transport::Tcp, address.parse().unwrap(), Port(8080));
    Bind { v6only, ..plain.with(reuse) }
}

fn wish(address: &str, v6only: bool, reuse: Reuse) -> Claim {
    Claim::of_bind(&bind(address, v6only, reuse), 1000, 7)
}

fn at(end: &str) -> Address {
    let end: std::net::SocketAddr = end.parse().unwrap();
    Address::Inet(Endpoint::new(end.ip(), Port(end.port())))
}

fn socket(state: State, local: &str, peer: Option<&str>) -> Socket {
    let family = if local.starts_with('[') { Family::Ipv6 } else { Family::Ipv4 };
    Socket {
        local: at(local),
        peer: peer.map(at),
        uid: Some(1000),
        reuse: Some(Reuse::NONE),
        ..Socket::bare(SocketTransport::Tcp, family, state, 1, 7)
    }
}

fn there(state: State, reuse: Reuse) -> Claim {
    let socket =
        Socket { reuse: Some(reuse), ..socket(state, "127.0.0.1:8080", Some("127.0.0.1:9")) };
    Claim::of_socket(&socket).unwrap()
}

fn held(socket: Socket) -> Held {
    Held { socket, holders: Vec::new(), unowned: None }
}

#[test]
fn addresses_overlap_as_measured() {
    for (i, (a, a_only)) in ADDRESSES.into_iter().enumerate() {
        for (j, (b, b_only)) in ADDRESSES.into_iter().enumerate() {
            let meeting = wish(a, a_only, Reuse::NONE).meets(&wish(b, b_only, Reuse::NONE));
            let measured = OVERLAP[i].as_bytes()[j] == b'X';
            assert_eq!(meeting == Meeting::Meet, measured, "{a} {a_only} and {b} {b_only}");
        }
    }
}

#[test]
fn a_bound_socket_shares_when_both_set_the_same_option() {
    for ours in OPTIONS {
        for theirs in OPTIONS {
            let both = ours.address && theirs.address || ours.port && theirs.port;
            let found = relation(&wish("127.0.0.1", false, ours), &there(State::Bound, theirs));
            assert_eq!(found == Relation::Shares, both, "{ours:?} {theirs:?}: {found:?}");
        }
    }
}

#[test]
fn a_listener_shares_by_reuseport_alone() {
    for ours in OPTIONS {
        for theirs in OPTIONS {
            let both = ours.port && theirs.port;
            let found = relation(&wish("127.0.0.1", false, ours), &there(State::Listen, theirs));
            assert_eq!(found == Relation::Shares, both, "{ours:?} {theirs:?}: {found:?}");
        }
    }
    let both =
        relation(&wish("127.0.0.1", false, Reuse::ADDRESS), &there(State::Listen, Reuse::ADDRESS));
    assert_eq!(both, Relation::Blocks(Unshared::Listens));
}

#[test]
fn reuseport_of_another_user_blocks_except_in_time_wait() {
    let wish = wish("127.0.0.1", false, Reuse::PORT);
    for (state, expected) in [
        (State::Listen, Relation::Blocks(Unshared::OtherUser)),
        (State::Bound, Relation::Blocks(Unshared::OtherUser)),
        (State::TimeWait, Relation::Shares),
    ] {
        let other = Claim { uid: Some(0), ..there(state, Reuse::PORT) };
        assert_eq!(relation(&wish, &other), expected, "{state}");
    }
}

#[test]
fn a_client_blocks_whatever_the_wish_sets_as_it_set_nothing_itself() {
    for ours in OPTIONS {
        let found =
            relation(&wish("127.0.0.1", false, ours), &there(State::Established, Reuse::NONE));
        assert!(matches!(found, Relation::Blocks(_)), "{ours:?}: {found:?}");
    }
    let apart =
        relation(&wish("127.0.0.9", false, Reuse::NONE), &there(State::Established, Reuse::NONE));
    assert_eq!(apart, Relation::Apart(Apart::Address));
}

#[test]
fn what_is_unknown_is_not_guessed() {
    let unknown = Claim { reuse: None, ..there(State::TimeWait, Reuse::NONE) };
    assert_eq!(relation(&wish("127.0.0.1", false, Reuse::ADDRESS), &unknown), Relation::Undecided);
    // Without an option of our own theirs do not matter, and a listener never yields to REUSEADDR.
    let plain = relation(&wish("127.0.0.1", false, Reuse::NONE), &unknown);
    assert_eq!(plain, Relation::Blocks(Unshared::NotAsked));
    let listener = Claim { stage: Stage::Listening, ..unknown };
    let address = relation(&wish("127.0.0.1", false, Reuse::ADDRESS), &listener);
    assert_eq!(address, Relation::Blocks(Unshared::Listens));

    let wildcard = Claim::of_socket(&socket(State::Listen, "[::]:8080", None)).unwrap();
    assert_eq!(relation(&wish("127.0.0.1", false, Reuse::NONE), &wildcard), Relation::Undecided);
    let six = relation(&wish("::1", false, Reuse::NONE), &wildcard);
    assert_eq!(six, Relation::Blocks(Unshared::NotAsked));
}

#[test]
fn udp_listeners_share_by_reuseaddr() {
    let datagram = |state| Socket {
        transport: SocketTransport::Udp,
        reuse: Some(Reuse::ADDRESS),
        ..socket(state, "0.0.0.0:8080", None)
    };
    let plain = bind("127.0.0.1", false, Reuse::ADDRESS);
    let wish = Claim::of_bind(&Bind { transport: Transport::Udp, ..plain }, 1000, 7);
    let claim = Claim::of_socket(&datagram(State::Unconn)).unwrap();
    assert_eq!(relation(&wish, &claim), Relation::Shares);
    let mixed = relation(&wish.with(Reuse::PORT), &claim);
    assert_eq!(mixed, Relation::Blocks(Unshared::NotGranted));
}

#[test]
fn protocols_namespaces_and_devices_keep_sockets_apart() {
    let wish = wish("0.0.0.0", false, Reuse::NONE);
    let there = there(State::Listen, Reuse::NONE);
    let on = |name: &str| Some(name.into());
    for (other, expected) in [
        (Claim { port: Port(1), ..there.clone() }, Apart::Port),
        (Claim { transport: SocketTransport::Udp, ..there.clone() }, Apart::Protocol),
        (Claim { netns: 8, ..there.clone() }, Apart::Namespace),
        (Claim { stage: Stage::HalfOpen, ..there.clone() }, Apart::HalfOpen),
    ] {
        assert_eq!(relation(&wish, &other), Relation::Apart(expected));
    }
    let on_lo = Claim { device: on("lo"), ..there.clone() };
    assert_eq!(relation(&wish, &on_lo), Relation::Blocks(Unshared::NotAsked));
    let elsewhere = Claim { device: on("eth0"), ..wish };
    assert_eq!(relation(&elsewhere, &on_lo), Relation::Apart(Apart::Device));
}

#[test]
fn a_table_is_judged_into_blockers_sharers_and_the_rest() {
    let table: Vec<Held> = [
        socket(State::Listen, "127.0.0.1:8080", None),
        socket(State::Listen, "127.0.0.1:8081", None),
        Socket { reuse: Some(Reuse::ADDRESS), ..socket(State::Bound, "0.0.0.0:8080", None) },
        socket(State::Listen, "127.0.0.2:8080", None),
        Socket { reuse: None, ..socket(State::TimeWait, "127.0.0.1:8080", Some("127.0.0.1:9")) },
    ]
    .map(held)
    .into();
    let judgement = judge(&wish("127.0.0.1", false, Reuse::ADDRESS), &table);
    assert_eq!(judgement.blockers, [(0, Unshared::NotGranted)]);
    assert_eq!(judgement.sharers, [2]);
    assert_eq!(judgement.irrelevant, [(3, Apart::Address)]);
    assert_eq!(judgement.undecided, [4]);
    assert_eq!(judgement.is_bindable(), Some(false));
}

/// The cause of the first of `sockets`.
fn cause_of(sockets: &[Socket]) -> Verdict {
    let ephemeral = PortRange::new(Port(32768), Port(60999)).unwrap();
    let around = Surroundings { listeners: sockets, ephemeral };
    cause(&held(sockets[0].clone()), &around)
}

#[test]
fn a_connection_is_outgoing_or_left_over_by_its_ports() {
    let open = |local, peer| socket(State::Established, local, Some(peer));
    let chosen = |socket| Socket { port_choice: Some(PortChoice::Kernel), ..socket };
    let fixed = |socket| Socket { port_choice: Some(PortChoice::Fixed), ..socket };
    let (out, left) = (Verdict::Outgoing, Verdict::EstablishedLeftover);
    for (one, expected, why) in [
        (chosen(open("10.0.0.1:40002", "10.0.0.2:443")), out, "a chosen number, a server's peer"),
        (chosen(open("10.0.0.1:8080", "10.0.0.2:50000")), left, "a server's number, a client's"),
        (fixed(open("10.0.0.1:40001", "10.0.0.2:50000")), out, "bind before connect"),
        (chosen(open("10.0.0.1:40002", "10.0.0.2:50001")), out, "connect's parity"),
        (chosen(open("10.0.0.1:40001", "10.0.0.2:50000")), left, "the parity of bind(0)"),
        (fixed(open("10.0.0.1:8080", "10.0.0.2:443")), out, "the larger number"),
    ] {
        assert_eq!(cause_of(&[one]), expected, "{why}");
    }
    let peer_listens = socket(State::Listen, "127.0.0.1:50000", None);
    assert_eq!(cause_of(&[open("127.0.0.1:40001", "127.0.0.1:50000"), peer_listens]), out);
}

#[test]
fn a_connection_of_a_living_listener_is_not_outgoing() {
    let accepted = socket(State::Established, "127.0.0.1:40002", Some("127.0.0.1:443"));
    let dual = Socket { v6only: Some(false), ..socket(State::Listen, "[::]:40002", None) };
    assert_eq!(cause_of(&[accepted, dual]), Verdict::EstablishedLeftover);
}

#[test]
fn what_closes_down_is_told_from_what_is_open() {
    let peer = Some("127.0.0.1:50001");
    for (state, expected) in [
        (State::TimeWait, Verdict::TimeWait),
        (State::FinWait2, Verdict::FinWait),
        (State::LastAck, Verdict::FinWait),
        (State::CloseWait, Verdict::FinWait),
        (State::SynSent, Verdict::Outgoing),
    ] {
        assert_eq!(cause_of(&[socket(state, "127.0.0.1:8080", peer)]), expected, "{state}");
    }
}

#[test]
fn who_holds_it_by_other_means_than_a_descriptor_is_named_so() {
    let listener = socket(State::Listen, "127.0.0.1:8080", None);
    let around = Surroundings { listeners: &[], ephemeral: PortRange::ALL };
    let by =
        |via| Held { holders: vec![Holder { pid: 1, fd: None, via }], ..held(listener.clone()) };
    assert_eq!(cause(&by(Via::IoUring), &around), Verdict::IoUring);
    assert_eq!(cause(&by(Via::InFlight), &around), Verdict::InFlight);
    assert_eq!(cause(&by(Via::Fd), &around), Verdict::Listener);
    let kernel = Held { unowned: Some(Unowned::Kernel), ..held(listener.clone()) };
    assert_eq!(cause(&kernel, &around), Verdict::Kernel);
    let shared = Socket { reuse: Some(Reuse::PORT), ..listener };
    assert_eq!(cause(&held(shared), &around), Verdict::ListenerShared);
}

#[test]
fn verdicts_are_ordered_as_the_interface_lists_them() {
    assert!(Verdict::ALL.is_sorted());
}

fn any_claim() -> impl Strategy<Value = Claim> {
    let address = prop::sample::select(&ADDRESSES[..]);
    let options = prop::sample::select(&OPTIONS[..]);
    let device = prop::option::of(prop::sample::select(&["lo", "eth0"][..]));
    let stage = prop::sample::select(&[Stage::Held, Stage::Listening, Stage::TimeWait][..]);
    (address, prop::option::of(options), 1000..1002_u32, device, stage).prop_map(
        |((address, only), reuse, uid, device, stage)| {
            let claim = Claim::of_bind(&bind(address, only, Reuse::NONE), uid, 7);
            Claim { reuse, stage, device: device.map(Into::into), ..claim }
        },
    )
}

proptest! {
    #[test]
    fn two_bound_sockets_stand_to_each_other_alike(a in any_claim(), b in any_claim()) {
        let both = |c: Claim| Claim { stage: Stage::Held, reuse: c.reuse.or(Some(Reuse::NONE)), ..c };
        let (a, b) = (both(a), both(b));
        let word = |r: Relation| std::mem::discriminant(&r);
        prop_assert_eq!(word(relation(&a, &b)), word(relation(&b, &a)));
    }

    #[test]
    fn two_claims_meet_the_same_from_both_sides(a in any_claim(), b in any_claim()) {
        prop_assert_eq!(a.meets(&b), b.meets(&a));
        prop_assert_eq!(a.meets(&a), Meeting::Meet);
    }

    #[test]
    fn a_wish_without_options_shares_with_nobody(a in any_claim(), b in any_claim()) {
        prop_assert_ne!(relation(&a.with(Reuse::NONE), &b), Relation::Shares);
    }

    #[test]
    fn an_option_more_never_turns_sharing_into_a_conflict(a in any_claim(), b in any_claim()) {
        if relation(&a, &b) == Relation::Shares {
            prop_assert_eq!(relation(&a.with(Reuse::BOTH), &b), Relation::Shares);
        }
    }

    #[test]
    fn knowing_the_options_only_settles_what_was_open(a in any_claim(), b in any_claim(), known in 0..4_usize) {
        let open = relation(&a, &Claim { reuse: None, ..b.clone() });
        let settled = relation(&a, &b.with(OPTIONS[known]));
        let same = std::mem::discriminant(&open) == std::mem::discriminant(&settled);
        prop_assert!(open == Relation::Undecided || same, "{:?} {:?}", open, settled);
    }

    #[test]
    fn a_wildcard_meets_whatever_an_address_of_it_meets(a in any_claim()) {
        for (specific, wildcard) in [("127.0.0.1", "0.0.0.0"), ("::1", "::")] {
            let address: IpAddr = specific.parse().unwrap();
            prop_assert!(!address.is_unspecified());
            if wish(specific, false, Reuse::NONE).meets(&a) == Meeting::Meet {
                prop_assert_eq!(wish(wildcard, false, Reuse::NONE).meets(&a), Meeting::Meet);
            }
        }
    }
}
