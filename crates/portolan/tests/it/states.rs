//! `portolan sockets -a` against `ss -a`, in a namespace with a socket in every state of TCP.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Stdio;

use crate::support::ss::{as_telling_as, our_rows, rows};
use crate::support::{Netns, Program, Server, eventually, require_root};

/// A namespace in which every state of TCP occurs and stays for a while.
struct Busy {
    netns: Netns,
    _server: Server,
}

impl Busy {
    fn new() -> Self {
        let netns = Netns::new();
        netns.ip("link add left type veth peer name right");
        netns.ip("address add 10.1.1.1/24 dev left");
        nft(&netns, LOST_PACKETS);
        let server = netns.python(SCRIPT);
        let busy = Self { netns, _server: server };
        eventually("a socket in every state", || {
            let seen: BTreeSet<_> = rows(&busy.netns, "-tuanH").into_iter().map(|r| r.3).collect();
            STATES.iter().all(|state| seen.contains(*state))
        });
        busy
    }

    /// Whether we and ss answer a filter alike. A mini-socket may end between the two, so that ss is
    /// asked before and after, and again when its answers differ.
    #[track_caller]
    fn answers_alike(&self, letters: &str, filter: &str) {
        eventually(&format!("equal answers to `{filter}`"), || {
            let before = rows(&self.netns, &format!("-tuanH {filter}"));
            let ours =
                Program::line(&format!("sockets {letters} --json {filter}")).inside(&self.netns);
            let ours = as_telling_as(&before, our_rows(&ours.run().expect_code(0).json()));
            if before != rows(&self.netns, &format!("-tuanH {filter}")) {
                return false;
            }
            assert_eq!(ours, before, "`{filter}`: ours, then ss");
            true
        });
    }
}

#[test]
fn every_socket_in_every_state_is_listed_as_ss_lists_it() {
    require_root!();
    let busy = Busy::new();
    busy.answers_alike("-atu", "");
    busy.answers_alike("-a", "");
}

#[test]
fn filters_in_the_language_of_ss_select_what_ss_selects() {
    require_root!();
    let busy = Busy::new();
    for line in include_str!("data/ss-expressions.txt").lines() {
        if !line.is_empty() && !line.starts_with('#') {
            busy.answers_alike("-atu", line);
        }
    }
}

#[track_caller]
fn nft(netns: &Netns, rules: &str) {
    let mut command = netns.command("nft");
    let mut nft =
        command.args(["-f", "-"]).stdin(Stdio::piped()).spawn().expect("nft is installed");
    let mut input = nft.stdin.take().expect("it is piped");
    input.write_all(rules.as_bytes()).expect("nft reads its input");
    drop(input);
    assert!(nft.wait().expect("nft ends").success(), "nft takes the rules");
}

const STATES: [&str; 11] = [
    "listen",
    "established",
    "syn-sent",
    "syn-recv",
    "fin-wait-1",
    "fin-wait-2",
    "time-wait",
    "close-wait",
    "last-ack",
    "closing",
    "unconn",
];

/// What gets lost on the way to a port holds its connections in a state.
const LOST_PACKETS: &str = "
table inet lost {
    chain input {
        type filter hook input priority 0
        tcp dport 18090 drop comment \"SYN-SENT: no answer to the SYN\"
        tcp dport 18091 tcp flags & (syn | ack) == ack drop comment \"SYN-RECV: no last ACK\"
        tcp dport 18092 tcp flags & fin == fin drop comment \"FIN-WAIT-1: no answer to the FIN\"
        tcp sport 18094 tcp flags & fin == fin drop comment \"LAST-ACK: no answer to the second FIN\"
        tcp dport 18095 tcp flags & fin == fin drop comment \"CLOSING: both FINs sent, one lost\"
    }
}
";

const SCRIPT: &str = r#"
def connected(port, host="127.0.0.1"):
    server = listener(f"{host}:{port}")
    client = socket.create_connection((host.strip("[]"), port))
    accepted, _ = server.accept()
    kept.extend([client, accepted])
    return client, accepted

listener("127.0.0.1:18001"); listener("0.0.0.0:18002"); listener("[::1]:18000")
only6 = (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
dual = (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
listener("[::]:18003", options=[dual]); listener("[::]:18004", options=[only6])
kept.append(socket.create_connection(("127.0.0.1", 18003)))
on_lo = (socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
listener("127.0.0.1:18005", options=[on_lo]); listener("0.0.0.0:0"); bound("127.0.0.1:18006")
connected(18000)
kept.append(socket.create_connection(("127.0.0.1", 18001), source_address=("127.0.0.1", 18050)))

silent = socket.socket(); silent.setblocking(False); silent.connect_ex(("127.0.0.1", 18090)); kept.append(silent)
listener("127.0.0.1:18091"); half = socket.socket(); half.connect(("127.0.0.1", 18091)); kept.append(half)
client, _ = connected(18092); client.shutdown(socket.SHUT_WR)
client, _ = connected(18093); client.shutdown(socket.SHUT_WR)
client, accepted = connected(18094); client.shutdown(socket.SHUT_WR); accepted.recv(1); accepted.shutdown(socket.SHUT_WR)
client, accepted = connected(18095); client.shutdown(socket.SHUT_WR); accepted.shutdown(socket.SHUT_WR)
client, accepted = connected(18096); client.close(); accepted.recv(1); accepted.close()

datagram("127.0.0.1:18070"); datagram("[::]:18071"); datagram("0.0.0.0:0")
talk = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); talk.connect(("127.0.0.1", 18070)); kept.append(talk)
"#;
