//! `check` and `listen`: what is the matter with an endpoint, as the kernel of a small network has
//! it. Everything is asked as root and as a user without rights, with the same answers.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::lab::{DST, DST6, Lab, Pair, RTR, RTR6, udp_services};
use crate::support::{Netns, Program, Ran, Server, eventually, require_root};

/// What both users are told; they must be told the same.
#[track_caller]
fn both(netns: &Netns, line: &str, code: i32) -> Vec<Value> {
    both_within("900ms", netns, line, code)
}

/// The same with the usual patience: ICMP errors come one a second once a few are spent.
#[track_caller]
fn both_patiently(netns: &Netns, line: &str, code: i32) -> Vec<Value> {
    both_within("3s", netns, line, code)
}

#[track_caller]
fn both_within(timeout: &str, netns: &Netns, line: &str, code: i32) -> Vec<Value> {
    let asked = |program: Program| program.inside(netns).run().expect_code(code);
    let line = format!("check --json --timeout {timeout} {line}");
    let root = results(&asked(Program::line(&line)));
    let user = results(&asked(Program::line(&line).by_user(65534)));
    assert_eq!(outline(&root), outline(&user), "{line}");
    user
}

fn results(ran: &Ran) -> Vec<Value> {
    let document = ran.json();
    assert_eq!((&document["portolan"], &document["kind"]), (&1.into(), &"check".into()));
    document["results"].as_array().unwrap().clone()
}

/// What may not depend on who asks.
fn outline(results: &[Value]) -> Vec<[Value; 6]> {
    let keys = ["address", "port", "state", "reason", "from", "verdict_kind"];
    results.iter().map(|result| keys.map(|key| result[key].clone())).collect()
}

#[track_caller]
fn expect(result: &Value, state: &str, reason: &str, from: Option<IpAddr>, said: &str) {
    let from = from.map_or(Value::Null, |from| from.to_string().into());
    let found = (&result["state"], &result["reason"], &result["from"]);
    assert_eq!(found, (&state.into(), &reason.into(), &from), "{result:#}");
    let verdict = result["verdict"].as_str().unwrap();
    assert!(verdict.contains(said), "`{said}` is not in `{verdict}`");
}

fn step<'a>(result: &'a Value, name: &str) -> &'a Value {
    let mut steps = result["steps"].as_array().unwrap().iter();
    steps.find(|step| step["name"] == name).unwrap_or_else(|| panic!("no step {name}: {result:#}"))
}

#[test]
fn open_and_refused_are_told_with_their_round_trip() {
    require_root!();
    let lab = Lab::new();
    let _server = lab.dst.listen_on([22]);
    for address in [DST.to_string(), format!("[{DST6}]")] {
        let open = &both_patiently(&lab.src, &format!("{address}:22"), 0)[0];
        let from: IpAddr = address.trim_matches(['[', ']']).parse().unwrap();
        expect(open, "open", "syn-ack", Some(from), "accepted");
        assert!(open["rtt_us"].as_u64().unwrap() < 3_000_000);
        assert_eq!(step(open, "hold")["outcome"], "kept");
        let refused = &both_patiently(&lab.src, &format!("{address}:81"), 1)[0];
        expect(refused, "closed", "reset", Some(from), "nothing listens on 81/tcp");
    }
}

#[test]
fn what_a_router_drops_is_dropped_at_or_after_it() {
    require_root!();
    let lab = Lab::new();
    lab.rtr.filter_forward("tcp dport 94 drop");
    for (target, router) in [(DST.to_string(), RTR), (format!("[{DST6}]"), RTR6)] {
        let result = &both(&lab.src, &format!("{target}:94"), 1)[0];
        let said = format!("dropped at or after {router} (hop 1), by the host itself");
        expect(result, "filtered", "no-response", None, &said);
        assert_eq!(result["path"][0]["address"], router.to_string());
        assert_eq!(step(result, "compare")["outcome"], "arrived");
        assert!(result["next"][0].as_str().unwrap().contains(&router.to_string()));
    }
}

#[test]
fn what_is_dropped_before_the_first_router_is_told_by_comparing_it_with_what_gets_through() {
    require_root!();
    let lab = Lab::new();
    lab.src.filter_output("tcp dport 95 drop");
    // Who may not read the rules sees silence.
    let asked = Program::line(&format!("check --json --timeout 900ms {DST}:95")).inside(&lab.src);
    let result = &results(&asked.by_user(65534).run().expect_code(1))[0];
    expect(result, "filtered", "no-response", None, "on its way out of this machine or at hop 1");
    assert!(result["next"][0].as_str().unwrap().contains("output rules"), "{result:#}");
}

#[test]
fn what_our_own_output_rules_stop_could_not_be_asked_however_they_stop_it() {
    require_root!();
    let (lab, pair) = (Lab::new(), Pair::new());
    let _far = lab.dst.listen_on([7000]);
    let _near = pair.dst.listen_on([7000]);
    let rules = "tcp dport 7000 reject with tcp reset
         tcp dport 7001 drop
         tcp dport 7002 reject
         udp dport 7003 drop
         udp dport 7004 reject
         tcp dport 7005 reject with icmpx admin-prohibited";
    for (netns, to) in [(&lab.src, "10.78.0.2"), (&lab.src, "[fd78::2]"), (&pair.src, "10.76.0.2")]
    {
        if to != "[fd78::2]" {
            netns.filter_output(rules);
        }
        for port in ["7000", "7001", "7002", "7003/udp", "7004/udp", "7005"] {
            let line = format!("check --json --timeout 600ms {to}:{port}");
            let ran = Program::line(&line).inside(netns).run().expect_code(3);
            let result = &results(&ran)[0];
            assert_eq!(result["state"], "unknown", "{result:#}");
            assert_eq!(result["verdict_kind"], "not-permitted", "{result:#}");
            assert_eq!(result["own_rule"]["chain"], "output_chain", "{result:#}");
            assert!(result["from"].is_null(), "{result:#}");
            let verdict = result["verdict"].as_str().unwrap();
            assert!(verdict.ends_with("Nothing is known of the port."), "{verdict}");
            let next = result["next"].as_array().unwrap();
            assert_eq!(next.len(), 1, "{result:#}");
            assert!(next[0].as_str().unwrap().contains("own output rules this one"), "{result:#}");
        }
    }
}

#[test]
fn the_rule_of_a_router_that_rejects_is_named_with_its_code() {
    require_root!();
    let lab = Lab::new();
    lab.rtr.filter_forward(
        "tcp dport 91 reject with icmpx admin-prohibited
         tcp dport 92 reject with icmpx port-unreachable
         tcp dport 86 reject with icmpx host-unreachable
         udp dport 6004 reject with icmpx port-unreachable",
    );
    lab.dst.filter_input("tcp dport 84 reject with icmpx admin-prohibited");
    for (port, reason, from, said) in [
        ("91", "icmp-3-13", RTR, "administratively prohibited, ICMP 3/13"),
        ("92", "icmp-3-3", RTR, "A firewall rule"),
        ("86", "icmp-3-1", RTR, "has no way to 10.78.0.2"),
        ("84", "icmp-3-13", DST, "rule of the host itself"),
        ("6004/udp", "icmp-3-3", RTR, "the router 10.77.0.254"),
    ] {
        let result = &both_patiently(&lab.src, &format!("{DST}:{port}"), 1)[0];
        expect(result, "filtered", reason, Some(from), said);
        assert!(result["verdict"].as_str().unwrap().contains(&from.to_string()), "{result:#}");
    }
    let result = &both_patiently(&lab.src, &format!("[{DST6}]:91"), 1)[0];
    expect(result, "filtered", "icmp6-1-1", Some(RTR6), "ICMPv6 1/1");
}

#[test]
fn a_router_that_resets_in_the_name_of_the_host_is_found_out() {
    require_root!();
    let lab = Lab::new();
    // In the forward hook a packet whose hop limit runs out is told of before any rule, so the last
    // router's rules cannot be told from the host's by distance.
    lab.rtr.rules(
        "table inet p {\n chain p {\n  type filter hook prerouting priority -150\n  tcp dport 93 reject with tcp reset\n }\n}",
    );
    let result = &both(&lab.src, &format!("{DST}:93"), 1)[0];
    expect(result, "closed", "reset", Some(DST), "hop 1 (10.77.0.254) resets it in the name of");
    let result = &both(&lab.src, &format!("{DST}:81"), 1)[0];
    expect(result, "closed", "reset", Some(DST), "nothing listens on 81/tcp");
}

#[test]
fn udp_is_open_when_it_answers_closed_when_the_host_says_so_and_else_in_doubt() {
    require_root!();
    let lab = Lab::new();
    let _services = udp_services(&lab.dst);
    lab.dst.filter_input("udp dport 6002 drop");
    for (port, code, state, reason, said) in [
        ("53", 0, "open", "udp-reply", "it answered"),
        ("6005", 0, "open", "reply-from:6006", "it answered"),
        ("6001", 1, "closed", "icmp-3-3", "nothing listens on 6001/udp"),
    ] {
        let result = &both(&lab.src, &format!("{DST}:{port}/udp"), code)[0];
        expect(result, state, reason, Some(DST), said);
    }
    for port in ["6000", "6002"] {
        let result = &both(&lab.src, &format!("{DST}:{port}/udp"), 1)[0];
        expect(result, "open|filtered", "no-response", None, "The host says of another port");
        assert!(result["next"][0].as_str().unwrap().contains("portolan listen"), "{result:#}");
    }
}

#[test]
fn what_our_own_rules_refuse_says_nothing_of_the_port() {
    require_root!();
    let lab = Lab::new();
    lab.src.filter_output("udp dport 7777 drop\ntcp dport 7778 reject");
    for port in ["7777/udp", "7778"] {
        let result = &both(&lab.src, &format!("{DST}:{port}"), 3)[0];
        expect(result, "unknown", "local-error", None, "one of its output rules");
    }
}

#[test]
fn a_service_on_the_loopback_is_told_from_the_same_host() {
    require_root!();
    let lab = Lab::new();
    let _loopback = lab.dst.listen("127.0.0.1:5432");
    let _other = lab
        .dst
        .python("listener('[::]:8086', options=[(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)])");
    let result = &both(&lab.dst, &format!("{DST}:5432"), 1)[0];
    expect(result, "closed", "reset", Some(DST), "bound to loopback only");
    assert_eq!(step(result, "local")["outcome"], "loopback-only");
    let result = &both(&lab.dst, &format!("{DST}:8086"), 1)[0];
    expect(result, "closed", "reset", Some(DST), "listens on IPv6 only, and was asked over IPv4");
    let result = &both(&lab.dst, &format!("{DST}:81"), 1)[0];
    expect(result, "closed", "reset", Some(DST), "This is this machine");
    let open = &both(&lab.dst, "127.0.0.1:5432", 0)[0];
    assert_eq!(step(open, "local")["outcome"], "listens");
}

#[test]
fn what_this_machine_sends_on_is_told_of_where_it_ends_up() {
    require_root!();
    let lab = Lab::new();
    let _shadowed = lab.rtr.python("listener('0.0.0.0:8080', 64)\nlistener('[::]:8081')");
    lab.rtr.rules(
        "table ip t { chain o { type nat hook output priority -100;
         ip daddr 10.77.0.254 tcp dport 8080 redirect to :9999
         ip daddr 10.77.0.254 tcp dport 8081 dnat to 10.78.0.2:80
         }\n}",
    );
    let asked = |port: u16, code: i32| {
        let words = format!("check 10.77.0.254:{port}");
        let said = Program::line(&words).inside(&lab.rtr).run().expect_code(code).stdout;
        let told = Program::line(&format!("{words} --json")).inside(&lab.rtr).run().json();
        (said.split_whitespace().collect::<Vec<_>>().join(" "), told["results"][0].clone())
    };
    let (said, told) = asked(8080, 1);
    assert!(said.contains("This machine sends it on to 127.0.0.1:9999."), "{said}");
    assert!(said.contains("nothing listens on 9999/tcp"), "{said}");
    assert!(!said.contains("rejects") && !said.contains("0.0.0.0:8080"), "{said}");
    assert_eq!(told["verdict_kind"], "not-listening-here", "{told:#}");
    assert_eq!(told["sent_on"]["rule"]["chain"], "o", "{told:#}");
    let _served = lab.rtr.python("listener('127.0.0.1:9999')");
    let (said, _) = asked(8080, 0);
    assert!(said.contains("accepted by python3") && said.contains("on 127.0.0.1:9999"), "{said}");
    // To another machine, as Docker sends what it publishes.
    let (said, told) = asked(8081, 1);
    assert!(said.contains("sends it on to 10.78.0.2:80."), "{said}");
    assert!(said.contains("10.78.0.2 is reachable and nothing listens on 80/tcp"), "{said}");
    assert_eq!((&told["address"], &told["port"]), (&"10.77.0.254".into(), &8081.into()));
    let _inside = lab.dst.python("listener('0.0.0.0:80')");
    let (said, _) = asked(8081, 0);
    assert!(said.contains("the connection was accepted at 10.78.0.2:80."), "{said}");
}

#[test]
fn what_this_machine_sends_elsewhere_than_was_named_is_told_of_where_it_ends_up() {
    require_root!();
    let lab = Lab::new();
    let _named = lab.dst.listen_on([7000]);
    lab.src.rules(
        "table ip t { chain o { type nat hook output priority -100;
         ip daddr 10.78.0.2 tcp dport 7000 dnat to 10.77.0.254:80
         ip daddr 10.78.0.2 tcp dport 7001 redirect to :9999
         }\n}",
    );
    let asked = |port: u16, code: i32| {
        let line = format!("check --json {DST}:{port}");
        let ran = Program::line(&line).inside(&lab.src).run().expect_code(code);
        results(&ran).remove(0)
    };
    let result = asked(7000, 1);
    let verdict = "This machine sends it on to 10.77.0.254:80. 10.77.0.254 is reachable and nothing \
                   listens on 80/tcp.";
    assert_eq!(result["verdict"], verdict, "{result:#}");
    assert_eq!(result["sent_on"]["rule"]["chain"], "o", "{result:#}");
    let _instead = lab.rtr.python("listener('0.0.0.0:80')");
    let result = asked(7000, 0);
    expect(&result, "open", "syn-ack", Some(DST), "accepted at 10.77.0.254:80.");
    let result = asked(7001, 1);
    assert_eq!(result["verdict_kind"], "not-listening-here", "{result:#}");
    let _here = lab.src.python("listener('127.0.0.1:9999')");
    let result = asked(7001, 0);
    expect(&result, "open", "syn-ack", Some(DST), "on 127.0.0.1:9999");
    // What is not sent on stays what it was.
    let result = asked(22, 1);
    assert!(result["sent_on"].is_null(), "{result:#}");
    assert_eq!(result["verdict"], "10.78.0.2 is reachable and nothing listens on 22/tcp.");
}

#[test]
fn another_namespace_is_asked_from_by_its_name() {
    require_root!();
    let lab = Lab::new();
    let _loopback = lab.dst.listen("127.0.0.1:5432");
    let line = format!("check --json --netns {} {DST}:5432", lab.dst.name());
    let result = &results(&Program::line(&line).run().expect_code(1))[0];
    expect(result, "closed", "reset", Some(DST), "bound to loopback only");
    assert!(result["verdict"].as_str().unwrap().contains("python3"), "{result:#}");
    let ran = Program::line("check --netns nowhere 127.0.0.1:1").run().expect_code(2);
    assert!(ran.stderr.contains("there is no network namespace `nowhere`"), "{}", ran.stderr);
}

#[test]
fn routes_that_lead_nowhere_are_told_by_their_kind() {
    require_root!();
    let lab = Lab::new();
    for (network, kind) in [("1", "blackhole"), ("2", "prohibit"), ("3", "unreachable")] {
        lab.src.ip(&format!("route add {kind} 10.99.{network}.0/24"));
    }
    lab.src.ip("-6 route add blackhole fd99::/64");
    for (target, said) in [
        ("10.99.1.1:80", "blackhole"),
        ("10.99.2.1:80", "prohibits"),
        ("10.99.3.1:80", "unreachable"),
        ("[fd99::1]:80", "blackhole"),
        ("10.99.1.1:80/udp", "blackhole"),
    ] {
        let result = &both(&lab.src, target, 3)[0];
        expect(result, "unknown", "local-error", None, said);
        assert_ne!(step(result, "route")["outcome"], "found");
    }
    lab.src.ip("route del default");
    let result = &both(&lab.src, &format!("{DST}:80"), 3)[0];
    expect(result, "unknown", "local-error", None, "no route to 10.78.0.2");
}

#[test]
fn routes_of_a_router_that_lead_nowhere_are_told_by_its_answer() {
    require_root!();
    for (kind, reason, said) in [
        ("unreachable", "icmp-3-1", "The router 10.77.0.254 has no way"),
        ("prohibit", "icmp-3-13", "prohibit route"),
    ] {
        // A router's own: such an answer costs it two of the few tokens it has for each source.
        let lab = Lab::new();
        lab.rtr.ip(&format!("route add {kind} 10.78.1.0/24"));
        let result = &both(&lab.src, "10.78.1.2:80", 1)[0];
        expect(result, "filtered", reason, Some(RTR), said);
    }
}

#[test]
fn nobody_on_the_link_is_no_silence() {
    require_root!();
    let pair = Pair::new();
    let result = &both_patiently(&pair.src, "10.76.0.77:80", 1)[0];
    expect(result, "filtered", "no-neighbour", None, "Nobody on the link answers");
}

#[test]
fn a_host_that_a_router_finds_nobody_at_is_gone_and_not_filtered() {
    require_root!();
    let lab = Lab::new();
    // The router asks three times, a second apart, before it says so: behind the usual patience.
    for (address, reason, from) in
        [("10.78.0.77", "icmp-3-1", RTR), ("[fd78::77]", "icmp6-1-3", RTR6)]
    {
        let result = &both_patiently(&lab.src, &format!("{address}:80"), 1)[0];
        expect(result, "filtered", reason, Some(from), "finds nobody at");
        assert!(result["next"][0].as_str().unwrap().contains("is up"), "{result:#}");
    }
}

#[test]
fn a_neighbour_that_is_not_there_is_told_in_a_hurry_too() {
    require_root!();
    let pair = Pair::new();
    let result = &both(&pair.src, "10.76.0.77:80", 1)[0];
    expect(result, "filtered", "no-neighbour", None, "Nobody on the link answers");
}

#[test]
fn a_server_that_hangs_is_thought_of() {
    require_root!();
    let lab = Lab::new();
    let _servers = (lab.dst.listen_on([22]), lab.dst.listen_with_full_backlog(DST, 3001));
    let result = &both(&lab.src, &format!("{DST}:3001"), 1)[0];
    expect(result, "filtered", "no-response", None, "it answers 22/tcp");
    let next = result["next"].to_string();
    assert!(next.contains("a server that hangs"), "{next}");
}

#[test]
fn silence_of_this_machines_own_udp_is_told_by_who_has_the_port() {
    require_root!();
    let lab = Lab::new();
    let _mute = lab.dst.python("datagram('0.0.0.0:6000')");
    lab.dst.filter_input("udp dport 6002 drop");
    let result = &both(&lab.dst, &format!("{DST}:6000/udp"), 1)[0];
    expect(result, "open|filtered", "no-response", None, "gave no answer, which UDP allows");
    let result = &both(&lab.dst, &format!("{DST}:6002/udp"), 1)[0];
    expect(result, "open|filtered", "no-response", None, "a rule of its own drops");
}

#[test]
fn an_address_of_many_is_no_host() {
    require_root!();
    let pair = Pair::new();
    for target in ["224.0.0.1:22", "255.255.255.255:22", "10.76.0.255:53/udp"] {
        let result = &both(&pair.src, target, 3)[0];
        expect(result, "unknown", "local-error", None, "not for one host");
    }
}

#[test]
fn a_host_on_the_link_that_is_silent_drops_by_itself() {
    require_root!();
    let pair = Pair::new();
    pair.dst.filter_input("tcp dport 82 drop");
    let result = &both(&pair.src, "10.76.0.2:82", 1)[0];
    expect(result, "filtered", "no-response", None, "by 10.76.0.2 itself, which is on this link");
    assert!(result["path"].is_null(), "{result:#}");
}

#[test]
fn what_is_reset_after_it_was_accepted_is_not_called_open_for_use() {
    require_root!();
    let lab = Lab::new();
    let _front = lab.dst.python(
        "import struct, threading
s = listener('[::]:1023', options=[(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)])
def work():
    while True:
        c, _ = s.accept()
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        c.close()
threading.Thread(target=work, daemon=True).start()",
    );
    let result = &both(&lab.src, &format!("{DST}:1023"), 1)[0];
    expect(result, "open", "syn-ack", Some(DST), "Accepted, then reset");
    assert_eq!(result["verified"], false);
}

#[test]
fn a_greeting_is_shown_and_not_obeyed() {
    require_root!();
    let lab = Lab::new();
    let _mail = lab.dst.python(
        "import threading
s = listener('[::]:25', options=[(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)])
def work():
    while True:
        c, _ = s.accept()
        kept.append(c)
        c.send(b'220 mail \\x1b[2J ready\\r\\n')
threading.Thread(target=work, daemon=True).start()",
    );
    let ran = Program::line(&format!("check {DST}:25")).inside(&lab.src).run().expect_code(0);
    assert!(ran.stdout.contains("220 mail \\x1b[2J ready"), "{}", ran.stdout);
    assert!(!ran.stdout.contains('\x1b'));
}

/// A DNS server of the tests' own: each name has its fate.
const NAME_SERVER: &str = "
import struct, threading
def reply(said, tcp=False):
    at, labels = 12, []
    while said[at]:
        labels.append(said[at + 1:at + 1 + said[at]].decode())
        at += said[at] + 1
    end = at + 5
    kind = struct.unpack('>H', said[at + 1:at + 3])[0]
    name = labels[0]
    answers, code, flags = b'', 0, 0x8180
    if name == 'silent':
        return None
    if name == 'broken':
        code = 2
    elif name == 'refused':
        code = 5
    elif name == 'big' and not tcp:
        flags |= 0x0200
    elif name in ('db', 'big', 'only4') and kind == 1:
        answers = b'\\xc0\\x0c' + struct.pack('>HHIH', 1, 1, 60, 4) + socket.inet_aton('10.78.0.2')
    elif name in ('db', 'big') and kind == 28:
        answers = b'\\xc0\\x0c' + struct.pack('>HHIH', 28, 1, 60, 16) + socket.inet_pton(socket.AF_INET6, 'fd78::2')
    elif name not in ('db', 'big', 'only4'):
        code = 3
    head = said[:2] + struct.pack('>HHHHH', flags | code, 1, 1 if answers else 0, 0, 0)
    return head + said[12:end] + answers
u = datagram('10.78.0.2:53')
t = listener('10.78.0.2:53')
def udp():
    while True:
        said, peer = u.recvfrom(512)
        answer = reply(said)
        if answer:
            u.sendto(answer, peer)
def tcp():
    while True:
        c, _ = t.accept()
        length = struct.unpack('>H', c.recv(2))[0]
        answer = reply(c.recv(length), True)
        c.send(struct.pack('>H', len(answer)) + answer)
        c.close()
threading.Thread(target=udp, daemon=True).start()
threading.Thread(target=tcp, daemon=True).start()
";

/// With these files of /etc, which only this run sees.
fn with_names(line: &str, files: &tempfile::TempDir, uid: u32) -> Program {
    let folder = files.path().display();
    let script = format!(
        "for f in resolv.conf hosts nsswitch.conf; do mount --bind {folder}/$f /etc/$f; done; exec \"$@\""
    );
    // The user is changed inside: mounting takes root.
    let user = uid.to_string();
    let wrapper = ["unshare", "-m", "sh", "-c", &script, "sh", "setpriv", "--reuid", &user];
    let rest = ["--regid", &user, "--clear-groups", "--inh-caps=-all"];
    Program::line(line).through(wrapper.into_iter().chain(rest))
}

fn name_files(server: &str) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let write = |name, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("resolv.conf", &format!("nameserver {server}\nsearch lab.test\n"));
    write("hosts", "127.0.0.1 localhost\n10.78.0.2 fromfile\n");
    write("nsswitch.conf", "hosts: files dns\n");
    folder
}

#[test]
fn a_name_is_told_with_what_each_server_said() {
    require_root!();
    let lab = Lab::new();
    let _names = lab.dst.python(NAME_SERVER);
    let _server = lab.dst.listen_on([22]);
    let files = name_files("10.78.0.2");
    let ask = |name: &str, uid, code| {
        let line = format!("check --json --timeout 900ms {name}:22");
        results(&with_names(&line, &files, uid).inside(&lab.src).run().expect_code(code))
    };
    for uid in [0, 65534] {
        for name in ["db", "big.lab.test"] {
            let found = ask(name, uid, 0);
            let addresses: Vec<&Value> = found.iter().map(|result| &result["address"]).collect();
            assert_eq!(addresses.len(), 2, "{name}: {found:#?}");
            assert!(addresses.contains(&&DST.to_string().into()), "{name}");
            assert!(addresses.contains(&&DST6.to_string().into()), "{name}");
        }
        let only = ask("only4", uid, 0);
        assert_eq!(only.len(), 1);
        let none = only[0]["steps"].as_array().unwrap();
        assert!(none.iter().any(|step| step["outcome"] == "no-address"), "{none:#?}");
        let file = &ask("fromfile", uid, 0)[0];
        assert!(step(file, "name")["detail"].as_str().unwrap().contains("/etc/hosts"));
        for (name, said) in [
            ("nohost", "10.78.0.2 says NXDOMAIN"),
            ("broken", "it says SERVFAIL"),
            ("refused", "it says REFUSED"),
            ("silent", "10.78.0.2 does not answer"),
        ] {
            let result = &ask(name, uid, 2)[0];
            expect(result, "unknown", "no-address", None, said);
            assert!(result["address"].is_null());
        }
    }
}

#[test]
fn a_name_server_that_is_not_there_is_told_apart_from_a_silent_one() {
    require_root!();
    let lab = Lab::new();
    let files = name_files("10.78.0.2");
    let line = "check --json --timeout 900ms db:22";
    let ran = with_names(line, &files, 65534).inside(&lab.src).run().expect_code(2);
    let result = &results(&ran)[0];
    expect(result, "unknown", "no-address", None, "nothing listens there");
    assert!(result["next"][0].as_str().unwrap().contains("10.78.0.2:53/udp"), "{result:#}");
}

#[test]
fn a_name_that_is_open_over_one_family_only_says_so() {
    require_root!();
    let lab = Lab::new();
    let _names = lab.dst.python(NAME_SERVER);
    let _four = lab.dst.listen("0.0.0.0:22");
    let files = name_files("10.78.0.2");
    let ask = |line: &str, code| {
        results(&with_names(line, &files, 65534).inside(&lab.src).run().expect_code(code))
    };
    let both = ask("check --json db:22", 1);
    let six = both.iter().find(|r| r["address"] == DST6.to_string()).unwrap();
    expect(six, "closed", "reset", Some(DST6), "It listens on IPv4 only");
    assert_eq!(ask("check --json -4 db:22", 0).len(), 1);
    // Without any way to IPv6 the other family does not count.
    lab.src.ip("-6 route del default");
    let both = ask("check --json db:22", 0);
    assert_eq!(both.len(), 2);
}

/// `listen` inside, once it is ready, and the lines it prints from then on.
struct Listening {
    child: std::process::Child,
    lines: BufReader<std::process::ChildStdout>,
    ready: Value,
}

impl Listening {
    fn new(netns: &Netns, line: &str) -> Self {
        let mut command = Program::line(&format!("listen --jsonl {line}")).inside(netns).command();
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let ready = next_line(&mut lines);
        assert_eq!(ready["event"], "ready");
        Self { child, lines, ready }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn next_line(lines: &mut BufReader<std::process::ChildStdout>) -> Value {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
}

#[test]
fn a_silent_udp_path_is_proved_by_a_pair() {
    require_root!();
    let lab = Lab::new();
    for transport in ["", "/udp"] {
        let port = format!("9000{transport}");
        let mut there = Listening::new(&lab.dst, &format!("{port} --bind any"));
        let result = &both(&lab.src, &format!("--pair {DST}:{port}"), 0)[0];
        assert_eq!((&result["state"], &result["verdict_kind"]), (&"open".into(), &"proved".into()));
        let pair = step(result, "pair");
        let code = there.ready["code"].as_str().unwrap();
        assert!(pair["detail"].as_str().unwrap().contains(code), "{pair:#}");
        let visit = next_line(&mut there.lines);
        assert_eq!(
            (&visit["paired"], &visit["from"]["address"]),
            (&true.into(), &"10.77.0.1".into())
        );
    }
}

#[test]
fn a_pair_tells_which_half_of_the_way_is_lost() {
    require_root!();
    let lab = Lab::new();
    let mut there = Listening::new(&lab.dst, "9000/udp --bind any");
    lab.rtr.filter_forward("udp sport 9000 drop");
    let result = &both(&lab.src, &format!("--pair {DST}:9000/udp"), 1)[0];
    expect(result, "open|filtered", "no-response", None, "No answer of `portolan listen`");
    assert_eq!(next_line(&mut there.lines)["from"]["address"], "10.77.0.1");
}

#[test]
fn an_address_that_is_translated_on_the_way_shows() {
    require_root!();
    let lab = Lab::new();
    lab.rtr.rules(
        "table ip n {\n chain post {\n  type nat hook postrouting priority 100\n  oifname \"far\" masquerade\n }\n}",
    );
    let _there = Listening::new(&lab.dst, "9000/udp --bind any");
    let result = &both(&lab.src, &format!("--pair {DST}:9000/udp"), 0)[0];
    expect(result, "open", "udp-reply", Some(DST), "It saw us as 10.78.0.254:");
}

#[test]
fn a_listener_serves_this_machine_alone_unless_asked() {
    require_root!();
    let lab = Lab::new();
    let there = Listening::new(&lab.dst, "9000");
    let listening = there.ready["listening"].as_array().unwrap();
    let is_loopback =
        |end: &Value| end["address"].as_str().unwrap().parse::<IpAddr>().unwrap().is_loopback();
    assert!(listening.iter().all(is_loopback), "{listening:?}");
    both(&lab.src, &format!("{DST}:9000"), 1);
}

#[test]
fn a_listener_that_is_to_serve_once_ends_after_the_first() {
    require_root!();
    let lab = Lab::new();
    for port in ["9000", "9000/udp"] {
        let mut there = Listening::new(&lab.dst, &format!("{port} --bind {DST} --once"));
        let line = format!("check --pair {DST}:{port}");
        Program::line(&line).inside(&lab.src).run().expect_code(0);
        assert_eq!(there.child.wait().unwrap().code(), Some(0));
    }
    let ran = Program::line("listen 9000 --timeout 100ms --json").inside(&lab.dst).run();
    assert_eq!(ran.expect_code(1).json()["kind"], "listen");
}

#[test]
fn a_port_that_is_taken_points_to_why() {
    require_root!();
    let ns = Netns::new();
    let _server = ns.listen("127.0.0.1:9000");
    let ran = Program::line("listen 9000").inside(&ns).run().expect_code(2);
    assert!(ran.stderr.contains("address already in use"), "{}", ran.stderr);
    assert!(ran.stderr.contains("portolan explain 9000"), "{}", ran.stderr);
}

#[test]
fn a_watch_keeps_a_book_of_what_went_away_and_came_back() {
    require_root!();
    let ns = Netns::new();
    let server: Server = ns.listen("127.0.0.1:8080");
    let line = "check 127.0.0.1:8080 --watch --interval 20ms --jsonl";
    let mut child = Program::line(line).inside(&ns).command().spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut until = |state: &str| {
        eventually(state, || next_line(&mut lines)["state"] == state);
    };
    until("open");
    drop(server);
    until("closed");
    let _again = ns.listen("127.0.0.1:8080");
    until("open");
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let rest: Vec<String> = lines.lines().map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let last: Value = serde_json::from_str(rest.last().unwrap()).unwrap();
    assert_eq!(last["kind"], "summary");
    let book = &last["summary"][0];
    assert_eq!(book["outage_count"], 1, "{book:#}");
    let outage = &book["outages"][0];
    assert_eq!((&outage["reason"], outage["until"].is_string()), (&"reset".into(), true));
    assert!(book["down_ms"].as_u64().unwrap() > 0 && book["rtt_avg_us"].is_u64(), "{book:#}");
}

#[test]
fn a_watch_does_not_make_up_for_the_probes_an_outage_cost() {
    require_root!();
    let pair = Pair::new();
    pair.dst.filter_input("tcp dport 82 drop");
    let line = "check 10.76.0.2:82 --watch --interval 50ms --timeout 1s --jsonl --count 12";
    let mut child = Program::line(line).inside(&pair.src).command().spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(next_line(&mut lines)["state"], "filtered");
    pair.dst.rules("flush ruleset");
    let rest: Vec<Value> = std::iter::from_fn(|| Some(next_line(&mut lines))).take(11).collect();
    child.wait().unwrap();
    let at = |probe: &Value| -> jiff::Timestamp { probe["at"].as_str().unwrap().parse().unwrap() };
    let refused: Vec<jiff::Timestamp> =
        rest.iter().filter(|probe| probe["state"] == "closed").map(at).collect();
    let took = refused.last().unwrap().duration_since(refused[0]);
    let least = 45 * i128::try_from(refused.len() - 2).unwrap();
    assert!(took.as_millis() >= least, "{} probes in {took:?}", refused.len());
}

#[test]
fn a_watch_of_a_name_without_an_address_ends_as_a_check_of_it() {
    let line = "check no.such.name.invalid:80 --watch --interval 10ms --count 2 --timeout 300ms";
    Program::line(line).run().expect_code(2);
    Program::line("check no.such.name.invalid:80 --timeout 300ms").run().expect_code(2);
}

#[test]
fn a_watch_of_what_is_always_open_ends_with_0() {
    require_root!();
    let ns = Netns::new();
    let _server = ns.listen("127.0.0.1:8080");
    let line = "check 127.0.0.1:8080 --watch --interval 10ms --count 3";
    let ran = Program::line(line).inside(&ns).run().expect_code(0);
    assert!(ran.stdout.contains("3 probes, 3 open, 0.0 % unanswered"), "{}", ran.stdout);
}

#[test]
fn the_answer_stands_on_one_screen() {
    require_root!();
    let lab = Lab::new();
    lab.rtr.filter_forward("tcp dport 94 drop");
    let line = format!("check {DST}:94 --timeout 600ms");
    let ran = Program::line(&line).inside(&lab.src).run().expect_code(1);
    let wide = ran.stdout.lines().filter(|line| line.chars().count() > 80).count();
    assert_eq!(wide, 0, "{}", ran.stdout);
    assert!(ran.stdout.lines().count() <= 24, "{}", ran.stdout);
    assert!(ran.stdout.lines().any(|line| line.starts_with("next: ")), "{}", ran.stdout);
}

#[test]
fn a_service_of_the_inventory_is_asked_by_its_name() {
    require_root!();
    let lab = Lab::new();
    let _server = lab.dst.listen_on([22]);
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "portolan = 1\n[hosts.web]\naddress = [\"{DST}\"]\n[services.ssh]\non = [\"web\"]\nports = [\"22/tcp\"]\n"
    );
    fs::write(folder.path().join("portolan.toml"), text).unwrap();
    let ask = |line: &str| Program::line(line).folder(folder.path()).inside(&lab.src).run();
    let result = &results(&ask("check --json ssh@web").expect_code(0))[0];
    expect(result, "open", "syn-ack", Some(DST), "accepted");
    assert_eq!(result["target"], "ssh@web");
    let ran = ask("check ssh@db").expect_code(2);
    assert!(ran.stderr.contains("no host `db`"), "{}", ran.stderr);
}

#[test]
fn a_source_that_is_not_ours_is_no_answer_of_the_port() {
    require_root!();
    let lab = Lab::new();
    let result = &both(&lab.src, &format!("--source 10.1.1.1 {DST}:22"), 3)[0];
    expect(result, "unknown", "local-error", None, "no such source address");
}

#[test]
fn bad_usage_is_told_with_a_way_out() {
    for line in [
        "check",
        "check db",
        "check :80",
        "check x:70000",
        "check a@b",
        "check x:1 --interface nope",
        "check [fe80::1]:80",
        "check http:///x",
        "check foo://db",
        "check 127.0.0.1:9 -6",
        "check 127.0.0.1:9 --source ::1",
        "check 192.0.2.1:9 --source 127.0.0.1",
        "check 127.0.0.1:9 --timeout 0s",
        "check 127.0.0.1:9 --watch --pair --count 1",
        "check 127.0.0.1:9/sctp",
    ] {
        let ran = Program::line(line).run().expect_code(2);
        assert!(!ran.stderr.is_empty(), "{line}");
    }
}
