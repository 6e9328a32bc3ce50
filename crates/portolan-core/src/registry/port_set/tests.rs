//! Port sets, each form once, each mistake once, and any text at all.

use proptest::prelude::*;

use super::*;

const TCP: TransportSet = TransportSet::NONE.with(Transport::Tcp);
const BOTH: TransportSet = TCP.with(Transport::Udp);

fn shown(text: &str) -> String {
    match parse(text, BOTH, &Registry::embedded()) {
        Ok(selection) => selection.to_string(),
        Err(error) => error.to_string(),
    }
}

fn mistake(text: &str) -> Mistake {
    parse(text, TCP, &Registry::embedded()).unwrap_err().mistake
}

#[test]
fn a_bare_number_is_of_the_usual_transports() {
    assert_eq!(shown("22"), "t:22,u:22");
    let tcp = parse("80,443", TCP, &Registry::embedded()).unwrap();
    assert_eq!(tcp.to_string(), "t:80,443");
    assert!(tcp.contains(Port(443), Transport::Tcp) && !tcp.contains(Port(443), Transport::Udp));
}

#[test]
fn a_prefix_holds_until_the_next_one() {
    assert_eq!(shown("u:53,123,6000-6004,t:80"), "t:80,u:53,123,6000-6004");
    assert_eq!(shown("U:53,T:25"), "t:25,u:53");
    assert_eq!(shown("22,u:53"), "t:22,u:22,53");
    assert_eq!(shown("s:2905,d:5004"), "s:2905,d:5004");
}

#[test]
fn a_transport_behind_an_item_is_for_that_item() {
    assert_eq!(shown("443/tcp"), "t:443");
    assert_eq!(shown("53/tcp+udp"), "t:53,u:53");
    assert_eq!(shown("u:53,443/tcp,123"), "t:443,u:53,123");
    assert_eq!(shown("8000-8100/udp"), "u:8000-8100");
}

#[test]
fn names_stand_for_their_ports_of_the_transports_asked_for() {
    assert_eq!(shown("https"), "t:443,u:443");
    assert_eq!(shown("t:HTTPS"), "t:443");
    assert_eq!(shown("x11/tcp"), "t:6000-6063");
    assert_eq!(shown("9pfs"), "t:564,u:564");
    assert_eq!(shown("EtherNet/IP-1"), "t:2222,u:2222");
    assert_eq!(shown("EtherNet/IP-1/udp"), "u:2222");
}

#[test]
fn everything_and_open_ranges_are_those_of_nmap() {
    for everything in ["all", "-", "ALL", "1-"] {
        assert_eq!(shown(everything), "t:1-65535,u:1-65535", "{everything}");
    }
    assert_eq!(shown("t:-100,60000-"), "t:1-100,60000-65535");
    assert_eq!(shown("0"), "t:0,u:0");
}

#[test]
fn the_most_relevant_ports_are_ranked_by_transport() {
    let selection = parse("top:100", BOTH, &Registry::embedded()).unwrap();
    assert_eq!(selection.of(Transport::Tcp).len(), 100);
    assert_eq!(selection.of(Transport::Udp).len(), 100);
    let selection = parse("u:top:20", TCP, &Registry::embedded()).unwrap();
    assert_eq!((selection.ports().len(), selection.transports().to_string()), (20, "udp".into()));
}

#[test]
fn a_list_longer_than_the_ranking_is_refused() {
    let asked = |asked, longest, transport| Mistake::TopTooLong { asked, longest, transport };
    assert_eq!(mistake("top:1001"), asked(1001, 1000, Transport::Tcp));
    assert_eq!(mistake("u:top:101"), asked(101, 100, Transport::Udp));
    assert_eq!(mistake("s:top:1"), asked(1, 0, Transport::Sctp));
    for count in ["", "0", "x", "-1"] {
        assert_eq!(mistake(&format!("top:{count}")), Mistake::Top { found: count.into() });
    }
}

#[test]
fn numbers_that_are_none_have_their_own_errors() {
    let large = PortError::TooLarge { found: "70000".into() };
    assert_eq!(mistake("70000"), Mistake::Number(large.clone()));
    assert_eq!(mistake("1-70000"), Mistake::Number(large));
    let reversed = PortError::Reversed { first: Port(90), last: Port(80) };
    assert_eq!(mistake("90-80"), Mistake::Number(reversed));
    assert!(matches!(mistake("1-2-3"), Mistake::Number(PortError::NotANumber { .. })));
    assert_eq!(mistake(""), Mistake::Empty);
    assert_eq!(mistake("80,,443"), Mistake::Empty);
    assert_eq!(mistake("u:"), Mistake::Empty);
}

#[test]
fn a_name_nobody_knows_suggests_the_nearest() {
    let error = parse("80, htps", TCP, &Registry::embedded()).unwrap_err();
    assert_eq!(error.to_string(), "`80, htps`, character 5: no service is called `htps`");
    assert!(error.hint().starts_with("did you mean `"), "{}", error.hint());
    assert_eq!(mistake("443/tpc"), Mistake::Transport { found: "tpc".into() });
    assert!(matches!(mistake("u:shell"), Mistake::NotOf { .. }));
}

#[test]
fn a_range_with_a_colon_is_told_as_it_is_written_here() {
    let error = parse("80,6000:6007/tcp", TCP, &Registry::embedded()).unwrap_err();
    assert_eq!(error.hint(), "a range is written with a hyphen: 80,6000-6007/tcp");
}

#[test]
fn the_place_of_a_mistake_is_counted_in_characters() {
    assert_eq!(parse("é,80,70000", TCP, &Registry::embedded()).unwrap_err().at, 1);
    assert_eq!(parse("80,é", TCP, &Registry::embedded()).unwrap_err().at, 4);
}

proptest! {
    #[test]
    fn a_selection_survives_being_printed(
        tcp in prop::collection::vec(any::<(u16, u16)>(), 0..6),
        udp in prop::collection::vec(any::<(u16, u16)>(), 0..6),
    ) {
        let mut selection = PortSelection::default();
        for (transport, pairs) in [(Transport::Tcp, tcp), (Transport::Udp, udp)] {
            for (a, b) in pairs {
                let range = PortRange::new(Port(a.min(b)), Port(a.max(b))).unwrap();
                selection.insert(TransportSet::NONE.with(transport), &[range]);
            }
        }
        prop_assume!(!selection.transports().is_empty());
        let again = parse(&selection.to_string(), TCP, &Registry::embedded()).unwrap();
        prop_assert_eq!(again, selection);
    }

    #[test]
    fn any_text_is_a_selection_or_an_error_inside_it(text in "[-0-9a-z:,/+ é]{0,24}") {
        if let Err(error) = parse(&text, TCP, &Registry::embedded()) {
            prop_assert!((1..=text.chars().count() + 1).contains(&error.at));
            prop_assert!(!error.hint().is_empty());
        }
    }
}
