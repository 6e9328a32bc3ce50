//! What ss answers was asked of ss itself (iproute2 6.1) where a test says so.

use proptest::prelude::*;

use super::*;
use crate::net::Endpoint;
use crate::socket::{Address, PortChoice, SocketTransport, State};

/// `label local peer state`
fn tcp(local: &str, peer: &str, state: State) -> Socket {
    let end = |text: &str| {
        let at: std::net::SocketAddr = text.parse().unwrap();
        Address::Inet(Endpoint::new(at.ip(), Port(at.port())))
    };
    let family = if local.starts_with('[') { Family::Ipv6 } else { Family::Ipv4 };
    Socket {
        local: end(local),
        peer: (peer != "-").then(|| end(peer)),
        ..Socket::bare(SocketTransport::Tcp, family, state, 1, 1)
    }
}

fn unix(local: Option<&str>, peer: Option<&str>) -> Socket {
    let name = |name: &str| Address::Unix(Some(name.into()));
    Socket {
        local: Address::Unix(local.map(Into::into)),
        peer: peer.map(name),
        ..Socket::bare(SocketTransport::Unix, Family::Unix, State::Established, 1, 1)
    }
}

/// One of each kind, with a letter to name it by.
fn sockets() -> Vec<(char, Socket)> {
    let listener = |local| tcp(local, "-", State::Listen);
    vec![
        ('a', listener("127.0.0.1:1001")),
        ('b', listener("127.0.0.1:1002")),
        ('c', listener("0.0.0.0:1003")),
        ('d', Socket { device: Some("eth0".into()), ..listener("[::]:1004") }),
        ('e', tcp("10.1.2.3:1001", "192.0.2.7:50000", State::Established)),
        ('f', tcp("[::ffff:127.0.0.1]:1004", "[::ffff:127.0.0.9]:443", State::TimeWait)),
        (
            'g',
            Socket {
                port_choice: Some(PortChoice::Kernel),
                cgroup: Some(77),
                ..tcp("[2001:db8::1]:40000", "[2001:db8::2]:443", State::SynSent)
            },
        ),
        ('h', tcp("127.0.0.1:1005", "-", State::Bound)),
        ('u', unix(Some("/run/App.sock"), Some("@peer"))),
        ('v', unix(Some("@0a1b2"), None)),
    ]
}

fn numbers(words: &[&str]) -> Result<Filter, FilterError> {
    let port = |name: &str| (name == "test-web").then_some(Port(1002));
    let host = |name: &str| match name {
        "localhost" => vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
        _ => Vec::new(),
    };
    let device = |name: &str| matches!(name, "eth0" | "2").then(|| "eth0".into());
    let cgroup = |path: &str| (path == "/sys/fs/cgroup/a=b").then_some(77);
    Filter::parse(words, &Names { port: &port, host: &host, device: &device, cgroup: &cgroup })
}

/// The letters of the sockets a filter takes.
fn taken(text: &str) -> String {
    let filter = numbers(&[text]).unwrap_or_else(|error| panic!("{text}: {error}"));
    sockets()
        .iter()
        .filter(|(_, socket)| filter.matches(socket))
        .map(|(letter, _)| letter)
        .collect()
}

fn problem(text: &str) -> (String, String, String) {
    let error = numbers(&[text]).expect_err(text);
    let hint = error.hint().unwrap_or_default();
    (error.text[error.span.clone()].to_owned(), error.to_string(), hint)
}

#[test]
fn ports_are_compared_with_every_operator() {
    for (text, expected) in [
        ("", "abcdefghuv"),
        ("sport = :1001", "ae"),
        ("sport :1001", "ae"),
        ("sport 1001", "ae"),
        ("sport eq 1001", "ae"),
        ("sport == 0x3e9", "ae"),
        ("sport = :test-web", "b"),
        ("sport != 1001", "bcdfghuv"),
        ("sport ne :1001 and src *", "bcdfgh"),
        ("sport gt 1003", "dfgh"),
        ("sport >= :1004", "dfgh"),
        ("sport lt :1002", "ae"),
        ("sport leq :1002", "abe"),
        ("dport = :443", "fg"),
        ("dport = :0", "abcdh"),
        ("sport = :*", "abcdefgh"),
        ("sport neq *", "uv"),
        ("sport = inet6:1004", "df"),
    ] {
        assert_eq!(taken(text), expected, "{text}");
    }
}

#[test]
fn hosts_are_addresses_networks_names_and_ports() {
    for (text, expected) in [
        ("src 127.0.0.1", "abfh"),
        ("src = 127.0.0.1:1001", "a"),
        ("src != 127.0.0.1:1001", "bcdefghuv"),
        ("src :1004", "df"),
        ("src *:1004", "df"),
        ("src 127.0.0.0/8:1002", "b"),
        ("src 127.0.0.1/8", "abfh"),
        ("src 127/8", "abfh"),
        ("src 127.0.0.0/255.0.0.0", "abfh"),
        ("src localhost:1001", "a"),
        ("src any", "abcdefgh"),
        ("dst 192.0.2.0/24", "e"),
        ("dst 0.0.0.0", "abch"),
        ("dst [::]", "d"),
        ("src 0.0.0.0/0", "abcefh"),
        ("src ::/0", "dfg"),
        ("src [2001:db8::]", ""),
        ("src [2001:db8::1]:40000", "g"),
        ("src [2001:db8::/32]:40000", "g"),
        ("src 2001:db8::/32", "g"),
        ("src 2001:db8::1:40000", "g"),
        ("dst [::ffff:127.0.0.9]", "f"),
        ("src inet:127.0.0.1", "abh"),
        ("src inet6:localhost", ""),
    ] {
        assert_eq!(taken(text), expected, "{text}");
    }
}

/// `not src inet:…` shows IPv4 sockets only, and `not src unix:…` unix sockets only, as ss does.
#[test]
fn a_family_that_is_named_limits_the_whole_filter() {
    assert_eq!(taken("not src inet:127.0.0.1:1001"), "bceh");
    assert_eq!(taken("not src unix:x"), "uv");
    assert_eq!(numbers(&["src unix:x"]).unwrap().families(), [Family::Unix]);
}

#[test]
fn unix_sockets_are_found_by_pattern() {
    assert_eq!(taken("src unix:/run/*.SOCK"), "u");
    assert_eq!(taken("dst unix:@p?er"), "u");
    assert_eq!(taken("src unix:@[0-9]*"), "v");
    assert_eq!(taken("src /run/App.sock or src @0*"), "uv"); // as ss -x takes them
    assert_eq!(taken(r"src unix:/run/\App.sock"), "u");
}

#[test]
fn devices_cgroups_and_kernel_chosen_names_are_tested() {
    assert_eq!(taken("dev = eth0"), "d");
    assert_eq!(taken("dev 2"), "d");
    assert_eq!(taken("dev != eth0 src *"), "abcefgh");
    assert_eq!(taken("cgroup = /sys/fs/cgroup/a=b"), "g");
    assert_eq!(taken("autobound"), "gv");
}

/// ss: `sport = :1001 or sport = :1002 and sport = :1003` shows nothing, and so on.
#[test]
fn and_and_or_bind_equally_from_the_left() {
    for (text, expected) in [
        ("sport = :1001 or sport = :1002 and sport = :1003", ""),
        ("sport = :1003 or sport = :1002 and sport = :1003", "c"),
        ("sport = :1001 and sport = :1002 or sport = :1003", "c"),
        ("sport = :1001 sport = :1002 or sport = :1003", "c"),
        ("sport = :1001 or ( sport = :1002 and sport = :1003 )", "ae"),
        ("not sport = :1001 sport = :1002", "b"),
        ("not not sport = :1001", "ae"),
        ("! ( src 127.0.0.1 or dev eth0 ) && src *", "ceg"),
        ("src :1001 & src :1002", ""),
        ("src :1002 | src :1003 || src :1004", "bcdf"),
    ] {
        assert_eq!(taken(text), expected, "{text}");
    }
}

#[test]
fn signs_need_no_blanks_and_words_may_come_one_by_one() {
    assert_eq!(taken("(sport=:1001)||!(dport!=:443)"), "aefg");
    assert_eq!(taken("sport>:1001 sport<=:1003"), "bc");
    let single = numbers(&["state", "listening", "(", "sport", ">", ":1001", ")"]).unwrap();
    assert_eq!(single, numbers(&["state listening ( sport > :1001 )"]).unwrap());
}

#[test]
fn states_are_added_and_taken_away_in_turn() {
    for (text, expected) in [
        ("state established", "euv"),
        ("state LISTENING", "abcd"),
        ("state established state time-wait src *", "ef"),
        ("state all", "abcdefguv"),
        ("state connected src *", "efg"),
        ("state synchronized src *", "ef"),
        ("state bucket", "f"),
        ("state big src *", "abcdeg"),
        ("exclude listening src *", "efg"),
        ("excl listening exclude established", "fg"),
        ("state connected exclude established", "fg"),
        ("state listening exclude listening", ""),
        ("state bound-inactive", "h"),
        ("state all state bound src :1005", "h"),
    ] {
        assert_eq!(taken(text), expected, "{text}");
    }
}

#[test]
fn states_are_told_so_that_a_dump_can_be_limited() {
    let states = |text| numbers(&[text]).unwrap().states();
    assert_eq!(states("sport = :1"), None);
    assert_eq!(states("state listening sport = :1"), Some(StateSet::of(State::Listen)));
    assert!(numbers(&[]).unwrap().is_empty());
}

#[test]
fn a_filter_tells_when_it_needs_to_know_who_chose_ports() {
    let asks = |text| numbers(&[text]).unwrap().asks_who_chose_ports();
    assert!(asks("sport = :1 or ! ( dev eth0 and autobound )"));
    assert!(!asks("sport = :1"));
    assert!(!asks(""));
}

#[test]
fn a_problem_points_at_its_word_and_tells_the_way_out() {
    for (text, span, message, hint) in [
        ("sprot = :22", "sprot", "`sprot` is no test", "did you mean `sport`?"),
        (
            "8080",
            "8080",
            "`8080` is no test",
            "write sport = :8080 for the local port, dport = :8080 for the peer's",
        ),
        (
            "nginx",
            "nginx",
            "`nginx` is no test",
            "tests are src, dst, sport, dport, dev, cgroup and autobound",
        ),
        (
            "state estabilshed",
            "estabilshed",
            "`estabilshed` is no state",
            "did you mean `established`?",
        ),
        (
            "sport = :22 state listening",
            "state",
            "`state` must stand before the expression",
            "as in: state established sport = :22",
        ),
        ("sport = :70000", ":70000", "port 70000 is larger than 65535", ""),
        ("sport = :nosuch", ":nosuch", "`nosuch` is no port and no known service", ""),
        (
            "sport = 80-90",
            "80-90",
            "`80-90` is no port and no known service",
            "for a range write ( sport >= :80 and sport <= :90 )",
        ),
        ("sport = 10.0.0.1:80", "10.0.0.1:80", "expected a port, found `10.0.0.1:80`", ""),
        ("sport > *", "*", "`*` stands for every port and cannot be compared by size", ""),
        ("sport =", "", "expected a port, found the end", ""),
        ("sport = and", "and", "expected a port, found `and`", ""),
        (
            "src ::1",
            "::1",
            "`::1` is no address, no network and no known host",
            "an IPv6 address stands in brackets: `[::1]`",
        ),
        (
            "src 22",
            "22",
            "`22` is no address, no network and no known host",
            "a port follows a colon: `:22`",
        ),
        (
            "src 1.2.3.4/99",
            "1.2.3.4/99",
            "`1.2.3.4/99` is no address, no network and no known host",
            "",
        ),
        ("src inet:[::1]", "inet:[::1]", "`::1` is no IPv4 address", ""),
        ("src > 1.2.3.4", ">", "expected `=` or `!=`, found `>`", ""),
        ("dev nosuch", "nosuch", "there is no device `nosuch`", ""),
        ("cgroup /x", "/x", "there is no cgroup `/x`", ""),
        ("( sport = :22", "(", "this parenthesis is not closed", ""),
        ("sport = :22 )", ")", "this parenthesis closes nothing", ""),
        ("sport = :22 or", "", "expected a test, found the end", ""),
        ("()", ")", "expected a test, found `)`", ""),
    ] {
        let expected = (span.to_owned(), message.to_owned(), hint.to_owned());
        assert_eq!(problem(text), expected, "{text}");
    }
}

#[test]
fn parts_of_the_language_that_are_not_here_say_so() {
    assert!(problem("fwmark = 1").1.starts_with("`fwmark` cannot be tested"));
    assert!(problem("src link:ip").1.starts_with("`link:` cannot be tested"));
}

#[test]
fn parentheses_without_end_are_refused_not_followed() {
    let deep = format!("{}sport = :1", "(".repeat(100_000));
    assert_eq!(numbers(&[&deep]).unwrap_err().problem, Problem::TooDeep { limit: 64 });
    let long = "! sport = :1 or ".repeat(50_000) + "autobound";
    assert!(numbers(&[&long]).is_ok());
}

proptest! {
    #[test]
    fn any_text_is_a_filter_or_a_problem_inside_it(text in "\\PC{0,60}") {
        if let Err(error) = Filter::parse(&[&text], &Names::NONE) {
            prop_assert!(error.text.get(error.span.clone()).is_some());
            let _ = (error.to_string(), error.hint());
        }
    }

    #[test]
    fn any_row_of_words_is_a_filter_or_a_problem(words in prop::collection::vec(prop::sample::select(vec![
        "state", "exclude", "all", "listening", "src", "dst", "sport", "dport", "dev", "cgroup", "autobound",
        "and", "or", "not", "!", "(", ")", "=", "!=", "<", ">=", "gt", ":22", "*", "10.0.0.0/8:80", "[::1]:22",
        "unix:*", "inet6:", "eth0", "[", "/", "\\", "0x", ":",
    ]), 0..12)) {
        if let Ok(filter) = numbers(&words) {
            for (_, socket) in sockets() {
                let _ = filter.matches(&socket);
            }
        }
    }

    #[test]
    fn not_takes_exactly_what_was_left(port in 1000..1008u16, word in prop::sample::select(vec!["sport", "dport"]), sign in prop::sample::select(vec!["=", "!=", "<", "<=", ">", ">="])) {
        let plain = numbers(&[&format!("{word} {sign} :{port}")]).unwrap();
        let not = numbers(&[&format!("not {word} {sign} :{port}")]).unwrap();
        for (letter, socket) in sockets() {
            prop_assert!(plain.matches(&socket) != not.matches(&socket), "{letter}");
        }
    }
}
