//! The shop of `examples/`, its firewalls compiled and loaded: who reaches what is what its matrix says.
//!
//! ```text
//! bastion ─┐            internet holds the switch the others are plugged into
//! web ─────┼─ switch    behind web: the container of the shop, published by translation
//! db ──────┤
//! office ──┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use crate::support::{Netns, Program, Server, require_root};

/// Where probes start, with the address they come from.
const SOURCES: [(&str, &str); 5] = [
    ("bastion", "10.20.0.5"),
    ("web", "10.20.0.10"),
    ("db", "10.20.0.20"),
    ("office", "203.0.113.2"),
    ("internet", "198.51.100.7"),
];

const HOSTS: [&str; 3] = ["bastion", "web", "db"];

/// Ports that somebody listens on everywhere, declared or not; `8443` is only planned, `20000` of a
/// pool.
const PORTS: [&str; 18] = [
    "22/tcp",
    "23/tcp",
    "80/tcp",
    "111/tcp",
    "443/tcp",
    "2222/tcp",
    "3000/tcp",
    "5432/tcp",
    "8080/tcp",
    "8443/tcp",
    "9090/tcp",
    "9100/tcp",
    "15432/tcp",
    "20000/tcp",
    "53/udp",
    "443/udp",
    "5432/udp",
    "62201/udp",
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop")
}

struct Shop {
    places: BTreeMap<&'static str, Netns>,
    _container: Netns,
    _servers: Vec<Server>,
}

impl Shop {
    fn new() -> Self {
        let places: BTreeMap<_, _> =
            SOURCES.iter().map(|(name, _)| (*name, Netns::new())).collect();
        let switch = &places["internet"];
        switch.ip("link add switch type bridge");
        switch.ip("link set switch up");
        attach(switch, "switch", &["198.51.100.7/24"]);
        for (name, netns) in places.iter().filter(|(name, _)| **name != "internet") {
            netns.ip(&format!("link add eth0 type veth peer name {name} netns {}", switch.name()));
            switch.ip(&format!("link set {name} master switch up"));
            netns.ip("link set eth0 up");
        }
        attach(&places["bastion"], "eth0", &["10.20.0.5/24", "203.0.113.130/24"]);
        attach(&places["web"], "eth0", &["10.20.0.10/24", "203.0.113.131/24"]);
        attach(&places["db"], "eth0", &["10.20.0.20/24"]);
        attach(&places["office"], "eth0", &["203.0.113.2/24"]);
        for (name, source) in SOURCES {
            routes(&places[name], if name == "internet" { "switch" } else { "eth0" }, source);
        }
        places["bastion"].set("net/ipv4/ip_forward", 1);
        let (container, edge) = publish(&places["web"]);
        let mut servers: Vec<Server> = HOSTS.iter().map(|name| serve(&places[name])).collect();
        servers.push(edge);
        Self { places, _container: container, _servers: servers }
    }

    fn load(&self) {
        for host in HOSTS {
            let ran = Program::line(&format!("firewall compile --host {host}"))
                .folder(folder())
                .inside(&self.places[host])
                .run()
                .expect_code(0);
            self.places[host].rules(&ran.stdout);
        }
    }

    /// What answers on `HOST PORT` lines, asked from everywhere at once.
    fn answers(&self) -> BTreeSet<String> {
        std::thread::scope(|scope| {
            let ask = |(name, from): &(&'static str, &'static str)| {
                let (name, from) = (*name, *from);
                scope.spawn(move || (name, self.ask(name, from)))
            };
            let asked: Vec<_> = SOURCES.iter().map(ask).collect();
            let said = asked.into_iter().map(|asked| asked.join().unwrap());
            said.flat_map(|(name, server)| {
                server.said.lines().map(|l| format!("{name} → {l}")).collect::<Vec<_>>()
            })
            .collect()
        })
    }

    fn ask(&self, name: &str, from: &str) -> Server {
        let address = |host: &str| SOURCES.iter().find(|(name, _)| *name == host).unwrap().1;
        let targets: Vec<(&str, &str)> = HOSTS.iter().map(|host| (*host, address(host))).collect();
        self.places[name].python(&format!("{ASK}\nask({from:?}, {targets:?}, {PORTS:?})"))
    }
}

/// Connects to every port at once and waits a second and a half.
const ASK: &str = r#"
import select, time
def ask(source, targets, ports):
    waiting, answered = {}, set()
    for name, address in targets:
        for port in ports:
            number, transport = port.split("/")
            kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
            s = socket.socket(socket.AF_INET, kind)
            s.bind((source, 0))
            s.setblocking(False)
            s.connect_ex((address, int(number)))
            if transport == "udp":
                try:
                    s.send(b"?")
                except OSError:
                    continue
            waiting[s.fileno()] = (s, f"{name} {port}", transport)
    poll = select.poll()
    for fd, (s, _, transport) in waiting.items():
        poll.register(fd, select.POLLOUT if transport == "tcp" else select.POLLIN)
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        for fd, event in poll.poll(100):
            poll.unregister(fd)
            s, what, transport = waiting[fd]
            if transport == "tcp":
                good = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
            else:
                try:
                    good = s.recv(9) == b"!"
                except OSError:
                    good = False
            if good:
                answered.add(what)
    for what in sorted(answered):
        print(what)
"#;

/// Every TCP port of the list listens, every UDP port answers.
fn serve(netns: &Netns) -> Server {
    serve_on(netns, &PORTS)
}

fn serve_on(netns: &Netns, ports: &[&str]) -> Server {
    netns.python(&format!(
        r#"
import threading
def echo(s):
    while True:
        _, peer = s.recvfrom(9)
        s.sendto(b"!", peer)
for port in {ports:?}:
    number, transport = port.split("/")
    if transport == "tcp":
        listener("0.0.0.0:" + number, 64)
    else:
        threading.Thread(target=echo, args=(datagram("0.0.0.0:" + number),), daemon=True).start()
"#
    ))
}

/// A container behind `web` whose ports are published by translation, also one that should not be.
fn publish(web: &Netns) -> (Netns, Server) {
    let container = Netns::new();
    web.ip(&format!("link add br-shop type veth peer name eth0 netns {}", container.name()));
    attach(web, "br-shop", &["172.18.0.1/24"]);
    attach(&container, "eth0", &["172.18.0.2/24"]);
    container.ip("route add default via 172.18.0.1");
    web.set("net/ipv4/ip_forward", 1);
    web.rules(
        "table ip docker {
            chain pre { type nat hook prerouting priority -100
                fib daddr type local iifname != \"br-shop\" tcp dport 80 dnat to 172.18.0.2:8080
                fib daddr type local iifname != \"br-shop\" tcp dport 443 dnat to 172.18.0.2:8443
                fib daddr type local iifname != \"br-shop\" udp dport 443 dnat to 172.18.0.2:8443
                fib daddr type local iifname != \"br-shop\" tcp dport 3000 dnat to 172.18.0.2:3000
            }
        }",
    );
    let server = serve_on(&container, &["8080/tcp", "8443/tcp", "8443/udp", "3000/tcp"]);
    (container, server)
}

fn attach(netns: &Netns, device: &str, addresses: &[&str]) {
    netns.ip(&format!("link set {device} up"));
    for address in addresses {
        netns.ip(&format!("address add {address} dev {device}"));
    }
}

/// All networks are on the one link, and the first address is the one to come from.
fn routes(netns: &Netns, device: &str, source: &str) {
    for network in ["10.20.0.0/24", "203.0.113.0/24", "198.51.100.0/24"] {
        netns.ip(&format!("route replace {network} dev {device} src {source}"));
    }
}

/// The lines of matrix.txt: host, port, and the sources without the note in brackets.
fn matrix() -> Vec<(String, String, String)> {
    let text = fs::read_to_string(folder().join("matrix.txt")).unwrap();
    let line = |line: &str| {
        let words: Vec<&str> = line.splitn(3, char::is_whitespace).collect();
        let rest = words[2].trim();
        let (port, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let _ = words[1];
        (words[0].to_owned(), port.to_owned(), rest.trim().to_owned())
    };
    text.lines().skip(1).map(line).collect()
}

/// Who is let in to `host port`: names of places.
fn sources_of(row: &str) -> BTreeSet<&'static str> {
    let from = row.split("  ").next().unwrap_or_default();
    if from.starts_with("door") || from == "this machine" {
        return BTreeSet::new();
    }
    let means = |name: &str| from == "internet" || from.split(", ").any(|f| f == name);
    SOURCES.iter().map(|(name, _)| *name).filter(|name| means(name)).collect()
}

/// What must answer: what the matrix says, each host to itself, and nothing from `db`, which may call
/// nobody.
fn expected() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (host, port, row) in matrix() {
        let from = sources_of(&row).into_iter().filter(|from| *from != "db" && *from != host);
        all.extend(from.map(|from| format!("{from} → {host} {port}")));
    }
    for host in HOSTS {
        all.extend(PORTS.iter().map(|port| format!("{host} → {host} {port}")));
    }
    all
}

#[test]
fn the_matrix_of_the_shop_is_read_whole() {
    let rows = matrix();
    assert_eq!(rows.len(), 15);
    let postgres = rows.iter().find(|row| row.1 == "5432/tcp").unwrap();
    assert_eq!(sources_of(&postgres.2), BTreeSet::from(["web", "bastion"]));
    assert!(expected().contains("office → web 443/udp"));
}

#[test]
fn every_probe_of_the_shop_answers_as_its_matrix_says() {
    require_root!();
    let shop = Shop::new();
    let before = shop.answers();
    let all = SOURCES.len() * HOSTS.len() * PORTS.len();
    assert_eq!(before.len(), all, "without a firewall everything answers");
    shop.load();
    let (found, expected) = (shop.answers(), expected());
    let wrong: Vec<&String> = found.symmetric_difference(&expected).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    knocks(&shop);
}

/// A source in the door's set is let in, another is not.
fn knocks(shop: &Shop) {
    let knock = "nft add element inet portolan door-door-v4 { 198.51.100.7 }";
    shop.places["bastion"].output(knock);
    let found = shop.answers();
    assert!(found.contains("internet → bastion 22/tcp"), "{found:#?}");
    assert!(!found.contains("web → bastion 22/tcp") && !found.contains("office → bastion 22/tcp"));
}
