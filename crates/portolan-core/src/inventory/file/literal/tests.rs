//! Literals as a file writes them: what is accepted, and what is refused with its place.

use super::*;

fn pairs(text: &str) -> Vec<String> {
    let spec = port_spec(text).unwrap_or_else(|wrong| panic!("{text}: {}", wrong.message));
    spec.pairs().map(|(range, transport)| format!("{range}/{transport}")).collect()
}

#[test]
fn a_port_may_be_written_in_the_order_of_any_tool() {
    assert_eq!(pairs("443/tcp"), ["443/tcp"]);
    assert_eq!(pairs("tcp/443"), ["443/tcp"]);
    assert_eq!(pairs("tcp:443"), ["443/tcp"]);
    assert_eq!(pairs("53/tcp+udp"), ["53/tcp", "53/udp"]);
    assert_eq!(pairs("udp+tcp:53"), ["53/tcp", "53/udp"]);
    assert_eq!(pairs("5000-5010/sctp"), ["5000-5010/sctp"]);
}

#[test]
fn a_protocol_without_ports_has_its_number() {
    assert_eq!(port_spec("ip:112"), Ok(PortSpec::Protocol { number: 112, name: None }));
    let esp = PortSpec::Protocol { number: 50, name: Some("esp".into()) };
    assert_eq!(port_spec("esp"), Ok(esp));
    assert!(port_spec("esp").unwrap().pairs().next().is_none());
}

#[test]
fn every_mistake_in_a_port_says_its_way_out() {
    for (text, message, hint) in [
        ("70000/tcp", "port 70000 is larger than 65535", "ports end at 65535"),
        ("90-80/tcp", "the range 90-80 is reversed: its end lies before its start", "write 80-90"),
        ("443", "`443` lacks its transport", "write \"443/tcp\" or \"443/udp\""),
        ("0/tcp", "nothing can listen on port 0", "ports begin at 1"),
        (
            "ip:256",
            "`ip:256` is not the number of an IP protocol",
            "write ip:0 to ip:255, such as ip:112",
        ),
        ("443/tpc", "`tpc` is not a transport; one of tcp, udp, sctp, dccp", PORT_EXAMPLE),
        ("https/tcp", "`https` is not a port number", PORT_EXAMPLE),
    ] {
        let wrong = port_spec(text).unwrap_err();
        assert_eq!(wrong.hint, hint, "{text}");
        assert!(
            wrong.message.contains(message) || text == "https/tcp",
            "{text}: {}",
            wrong.message
        );
    }
    for text in
        ["", "/", ":", "/tcp", "443/", "443/tcp/udp", "1-2-3/tcp", "+1/tcp", "esp/tcp", "tcp"]
    {
        assert!(port_spec(text).is_err(), "{text}");
    }
}

#[test]
fn host_bits_are_answered_with_the_two_things_that_may_be_meant() {
    let wrong = prefix("10.1.2.3/8").unwrap_err();
    assert_eq!(wrong.hint, "write 10.0.0.0/8 for the network or 10.1.2.3 for the one address");
    assert!(prefix("10.0.0.0/33").is_err());
    for (mapped, plain) in [("::ffff:7.7.7.7", "7.7.7.7"), ("::ffff:10.0.0.0/104", "10.0.0.0/8")] {
        assert_eq!(prefix(mapped).unwrap_err().hint, format!("write {plain}"));
    }
    assert_eq!(address("::ffff:7.7.7.7").unwrap_err().hint, "write 7.7.7.7");
    assert!(prefix("::/0").is_ok() && prefix("::1").is_ok());
    assert!(prefix("office").is_err());
}

#[test]
fn addresses_of_interfaces_and_names_are_kept_as_such() {
    assert_eq!(address_spec("iface:eth0"), Ok(AddressSpec::Interface("eth0".into())));
    assert_eq!(address_spec("dns:db.example.org"), Ok(AddressSpec::Dns("db.example.org".into())));
    for text in [
        "iface:",
        "iface:an-interface-name-too-long",
        "iface:a/b",
        "iface:eth*",
        "dns:",
        "dns:a..b",
        "dns:a b",
        "x",
    ] {
        assert!(address_spec(text).is_err(), "{text}");
    }
}

#[test]
fn only_groups_and_broadcasts_are_listened_to_by_to() {
    for text in ["224.0.0.251", "ff02::fb", "255.255.255.255", "10.0.0.255", "10.0.0.127"] {
        assert!(group_address(text).is_ok(), "{text}");
    }
    for text in ["10.0.0.1", "2001:db8::1", "0.0.0.0", "x"] {
        assert!(group_address(text).is_err(), "{text}");
    }
}

#[test]
fn durations_have_a_unit_and_may_be_of_parts() {
    for (text, seconds) in [
        ("30s", 30),
        ("15m", 900),
        ("2h", 7200),
        ("180d", 15_552_000),
        ("1w", 604_800),
        ("1h30m", 5400),
    ] {
        assert_eq!(duration(text).unwrap().as_secs(), seconds, "{text}");
    }
    assert_eq!(duration("250ms").unwrap().as_millis(), 250);
    for text in [
        "",
        "30",
        "s",
        "0s",
        "-5s",
        "1.5h",
        "30 s",
        "1y",
        "30S",
        "99999999999999999999s",
        "9999999999999w",
    ] {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn a_date_is_a_day_of_the_calendar_and_nothing_more() {
    assert_eq!(date("2028-02-29").unwrap().to_string(), "2028-02-29");
    for text in [
        "2027-02-29",
        "2027-13-01",
        "2027-1-1",
        "2027-03-01T00:00:00",
        "20270301",
        "+27-03-01",
        "tomorrow!!",
        "",
    ] {
        assert!(date(text).is_err(), "{text}");
    }
}

#[test]
fn a_limit_is_a_number_of_connections_in_a_time() {
    let limit = rate("6/30s").unwrap();
    assert_eq!((limit.count, limit.per.as_secs()), (6, 30));
    for text in ["6", "/30s", "0/30s", "6/0s", "-1/s", "6/30", "4294967296/1s"] {
        assert!(rate(text).is_err(), "{text}");
    }
}

#[test]
fn a_name_can_be_told_from_everything_that_stands_beside_names() {
    for text in ["web", "web-1", "web.example.org", "c++", "büro", "0"] {
        assert!(name(text).is_ok(), "{text}");
    }
    for text in [
        "",
        "-web",
        "@web",
        "!web",
        "a b",
        "a:b",
        "a@b",
        "10.0.0.1",
        "::1",
        "a/b",
        "*",
        "a\u{1b}[2J",
    ] {
        assert!(name(text).is_err(), "{text}");
    }
}

#[test]
fn an_endpoint_has_a_port_that_can_be_reached() {
    assert_eq!(endpoint("[2001:db8::9]:22").unwrap().to_string(), "[2001:db8::9]:22");
    assert_eq!(endpoint("10.0.0.1:0"), None);
    assert_eq!(endpoint("db:22"), None);
}
