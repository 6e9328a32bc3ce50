//! `portolan reach`: what it says of a host is what packets do to it.
//!
//! The host is the router of the lab: strangers come from one side, a container stands on the other.

mod addresses;
mod declared;
mod handed;
mod live;
mod published;
mod routes;
mod rules;
mod saved;
mod to_many;

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::support::lab::Lab;
use crate::support::{Netns, Program, Server, eventually};

/// A stranger's address of IPv6.
const SRC6: &str = "fd77::1";
/// The host, as the container has it.
const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 78, 0, 254));

/// The lab, with something that listens in the container.
fn lab() -> (Lab, Server) {
    let lab = Lab::new();
    let inside = lab.dst.python("listener('0.0.0.0:80', 64)\nlistener('[::]:81')");
    (lab, inside)
}

fn connects(from: &Netns, to: IpAddr, port: u16) -> bool {
    let limit = Duration::from_millis(900);
    from.enter(|| TcpStream::connect_timeout(&SocketAddr::new(to, port), limit).is_ok())
}

fn asked(host: &Netns, words: &str) -> Value {
    Program::line(&format!("reach {words} --json")).inside(host).run().json()
}

/// What is said of a source, and by which kind of reason.
fn told(host: &Netns, port: u16, from: &str) -> (String, String) {
    let report = asked(host, &format!("{port}/tcp --from {from}"));
    let groups = report["ports"][0]["reach"][0]["groups"].as_array().expect("groups").clone();
    let by = groups.first().map(|group| group["by"].as_str().unwrap_or_default().to_owned());
    (report["answer"].as_str().expect("an answer").to_owned(), by.unwrap_or_default())
}

/// Holds what is said of every one of these ports against a real connection.
#[track_caller]
fn agrees(host: &Netns, from: (&Netns, &str), to: IpAddr, ports: &[(u16, bool)]) {
    for (port, expected) in ports {
        let (answer, by) = told(host, *port, from.1);
        // A machine that is busy may lose one.
        let comes = connects(from.0, to, *port) || *expected && connects(from.0, to, *port);
        assert_eq!(comes, *expected, "{port} from {}: what packets do", from.1);
        assert_eq!(answer == "yes", comes, "{port} from {}: said {answer}, {by}", from.1);
    }
}

/// Loads rules of iptables inside.
fn iptables(netns: &Netns, rules: &str) {
    let mut command = netns.command("iptables-nft-restore");
    let mut child = command.stdin(Stdio::piped()).spawn().expect("nsenter is installed");
    child.stdin.take().expect("it is piped").write_all(rules.as_bytes()).expect("it reads");
    assert!(child.wait().expect("it ends").success(), "{rules}");
}

/// As ufw and Docker write them: 8080 is denied by the one and published by the other.
const UFW_AND_DOCKER: &str = "*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 10.78.0.0/24 ! -o far -j MASQUERADE
-A DOCKER -i far -j RETURN
-A DOCKER ! -i far -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.78.0.2:80
-A DOCKER -d 127.0.0.1/32 ! -i far -p tcp -m tcp --dport 8081 -j DNAT --to-destination 10.78.0.2:80
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
:ufw-user-input - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -j ufw-user-input
-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT
-A ufw-user-input -p tcp -m tcp --dport 8080 -j DROP
-A FORWARD -j DOCKER-USER
-A FORWARD -o far -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o far -j DOCKER
-A FORWARD -i far ! -o far -j ACCEPT
-A DOCKER -d 10.78.0.2/32 ! -i far -o far -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
";

/// The address of its link that a namespace has on an interface, and that interface's number there.
fn of_link(netns: &Netns, interface: &str) -> (String, u32) {
    let told = || netns.output(&format!("ip -o -6 addr show dev {interface} scope link"));
    eventually("it has one", || told().contains("fe80") && !told().contains("tentative"));
    let told = told();
    let index = told.split(':').next().expect("a number").trim().parse().expect("a number");
    let address = told.split_whitespace().find(|word| word.starts_with("fe80")).expect("one");
    (address.split('/').next().expect("an address").to_owned(), index)
}
