//! Datagrams that are for everybody on a link, or for a group.

use std::process::Stdio;

use crate::support::{Netns, require_root};

use super::{asked, lab, of_link};

/// Whether a datagram is answered, sent by python from inside: to one address, to everybody or to a group.
fn is_answered(from: &Netns, to: &str, port: u16) -> bool {
    let script = format!(
        "import socket\nto = ('{to}', {port}, 0, socket.if_nametoindex('eth0'))\n\
         six = ':' in '{to}'\n\
         s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)\n\
         s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)\n\
         s.settimeout(0.9)\ns.sendto(b'x', to if six else to[:2])\ns.recvfrom(9)"
    );
    let mut command = from.command("python3");
    let command = command.args(["-c", &script]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().expect("python starts").success()
}

#[test]
fn datagrams_to_everybody_come_past_a_rule_about_one_address() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.python(
        "import socket, threading\n\
         def echo(s):\n    while True:\n        d, a = s.recvfrom(99)\n        s.sendto(d, a)\n\
         s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('0.0.0.0', 86))\n\
         threading.Thread(target=echo, args=(s,), daemon=True).start()",
    );
    lab.rtr.filter_input("ip daddr { 10.77.0.254, 10.78.0.254 } udp dport 86 drop");
    assert!(!is_answered(&lab.src, "10.77.0.254", 86));
    assert!(is_answered(&lab.src, "10.77.0.255", 86));
    let report = asked(&lab.rtr, "86/udp --from 10.77.0.1");
    assert_eq!(report["answer"], "yes");
    assert_eq!(report["ports"][0]["reach"][0]["groups"][0]["to"], "10.77.0.255");
    assert_eq!(asked(&lab.rtr, "86/udp --from 172.16.9.9")["answer"], "no");
}

#[test]
fn datagrams_to_a_group_come_past_rules_about_the_addresses_of_the_machine() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.python(
        "import struct, threading
near = socket.if_nametoindex('near')
def echo(s):
    while True:
        d, a = s.recvfrom(99)
        s.sendto(d, a)
for port in (5353, 7353, 7354):
    six = datagram(f'[::]:{port}', [(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)])
    four = datagram(f'0.0.0.0:{port}')
    if port == 5353:
        group = socket.inet_pton(socket.AF_INET6, 'ff02::fb') + struct.pack('@I', near)
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
        group = socket.inet_aton('224.0.0.251') + struct.pack('=4sI', b'\\0' * 4, near)
        four.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    for s in (six, four):
        threading.Thread(target=echo, args=(s,), daemon=True).start()",
    );
    lab.rtr.filter_input(
        "ip6 daddr ff02::fb udp dport 5353 accept
         ip daddr 224.0.0.251 udp dport 5353 accept
         ip6 daddr ff02::1 udp dport 7354 accept
         udp dport { 5353, 7353, 7354 } drop",
    );
    let link = of_link(&lab.src, "eth0").0;
    let asks = |port: u16, from: &str| {
        let told = asked(&lab.rtr, &format!("{port}/udp --from {from}"));
        let group = told["ports"][0]["reach"][0]["groups"][0].clone();
        (told["answer"].as_str().unwrap_or_default().to_owned(), group["to"].clone())
    };
    let on_link = format!("{link}%near");
    for (port, to, from, comes) in [
        (5353, "ff02::fb", &*on_link, true),
        (5353, "224.0.0.251", "10.77.0.1", true),
        (7353, "ff02::fb", &*on_link, false),
        (7353, "224.0.0.251", "10.77.0.1", false),
        (7354, "ff02::1", &*on_link, true),
        (7354, "224.0.0.1", "10.77.0.1", false),
    ] {
        assert!(!is_answered(
            &lab.src,
            if from == on_link { "fd77::fe" } else { "10.77.0.254" },
            port
        ));
        assert_eq!(is_answered(&lab.src, to, port), comes, "{port} to {to}");
        let (answer, at) = asks(port, from);
        assert_eq!(answer == "yes", comes, "{port} from {from}: {answer} at {at}");
        assert!(!comes || at == to, "{port}: {at}");
    }
    // Groups of the link are of no use beyond it, nor on another link.
    assert_eq!(asks(5353, "172.20.1.1").0, "no");
    assert_eq!(asks(5353, "10.78.0.2").0, "no");
}
