//! The shop of `examples/`, its firewalls compiled and loaded: who reaches what is what its matrix says, in
//! IPv4 as its file stands, and in IPv6 with every address of the file made one of IPv6.
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

/// The version of IP the shop speaks.
#[derive(Clone, Copy)]
enum Version {
    Four,
    Six,
}

impl Version {
    /// A text of the shop (an address, rules, the inventory) in this version.
    fn of(self, text: &str) -> String {
        let Self::Six = self else { return text.to_owned() };
        let parts = [
            ("203.0.113.", "2001:db8:113::"),
            ("198.51.100.", "2001:db8:100::"),
            ("10.20.0.", "fd20::"),
            ("172.18.0.2:", "[fd18::2]:"),
            ("172.18.0.", "fd18::"),
            ("/28", "/124"),
            ("/24", "/64"),
            ("table ip ", "table ip6 "),
        ];
        parts.iter().fold(text.to_owned(), |text, (four, six)| text.replace(four, six))
    }

    const fn any(self) -> &'static str {
        match self {
            Self::Four => "0.0.0.0",
            Self::Six => "[::]",
        }
    }
}

struct Shop {
    version: Version,
    inventory: tempfile::TempDir,
    places: BTreeMap<&'static str, Netns>,
    _container: Netns,
    _servers: Vec<Server>,
}

impl Shop {
    fn new(version: Version) -> Self {
        let inventory = tempfile::tempdir().unwrap();
        let text = fs::read_to_string(folder().join("portolan.toml")).unwrap();
        fs::write(inventory.path().join("portolan.toml"), version.of(&text)).unwrap();
        let attach = |netns: &Netns, device: &str, addresses: &[&str]| {
            attach(version, netns, device, addresses);
        };
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
            routes(
                version,
                &places[name],
                if name == "internet" { "switch" } else { "eth0" },
                source,
            );
        }
        forward(&places["bastion"]);
        let (container, edge) = publish(version, &places["web"]);
        let mut servers: Vec<Server> =
            HOSTS.iter().map(|name| serve_on(version, &places[name], &PORTS)).collect();
        servers.push(edge);
        Self { version, inventory, places, _container: container, _servers: servers }
    }

    fn load(&self) {
        for host in HOSTS {
            let ran = Program::line(&format!("firewall compile --host {host}"))
                .folder(self.inventory.path())
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
        let targets: Vec<(&str, String)> =
            HOSTS.iter().map(|host| (*host, self.version.of(address(host)))).collect();
        let from = self.version.of(from);
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
            s = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, kind)
            s.bind((source, 0))
            s.setblocking(False)
            s.connect_ex((address, int(number)))
            waiting[s.fileno()] = (s, f"{name} {port}", transport)
    poll = select.poll()
    for fd, (s, _, transport) in waiting.items():
        poll.register(fd, select.POLLOUT if transport == "tcp" else select.POLLIN)
    end, again = time.monotonic() + 1.5, 0
    while time.monotonic() < end:
        # While a neighbour is looked for few packets wait; the rest are sent once more.
        if time.monotonic() >= again:
            again = time.monotonic() + .5
            for s, what, transport in waiting.values():
                if transport == "udp" and what not in answered:
                    try:
                        s.send(b"?")
                    except OSError:
                        pass
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
fn serve_on(version: Version, netns: &Netns, ports: &[&str]) -> Server {
    let any = version.any();
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
        listener("{any}:" + number, 64)
    else:
        threading.Thread(target=echo, args=(datagram("{any}:" + number),), daemon=True).start()
"#
    ))
}

/// A container behind `web` whose ports are published by translation, also one that should not be.
fn publish(version: Version, web: &Netns) -> (Netns, Server) {
    let container = Netns::new();
    web.ip(&format!("link add br-shop type veth peer name eth0 netns {}", container.name()));
    attach(version, web, "br-shop", &["172.18.0.1/24"]);
    attach(version, &container, "eth0", &["172.18.0.2/24"]);
    container.ip(&version.of("route add default via 172.18.0.1"));
    forward(web);
    web.rules(&version.of("table ip docker {
            chain pre { type nat hook prerouting priority -100
                fib daddr type local iifname != \"br-shop\" tcp dport 80 dnat to 172.18.0.2:8080
                fib daddr type local iifname != \"br-shop\" tcp dport 443 dnat to 172.18.0.2:8443
                fib daddr type local iifname != \"br-shop\" udp dport 443 dnat to 172.18.0.2:8443
                fib daddr type local iifname != \"br-shop\" tcp dport 3000 dnat to 172.18.0.2:3000
            }
        }"));
    let server = serve_on(version, &container, &["8080/tcp", "8443/tcp", "8443/udp", "3000/tcp"]);
    (container, server)
}

fn attach(version: Version, netns: &Netns, device: &str, addresses: &[&str]) {
    netns.set(&format!("net/ipv6/conf/{device}/accept_dad"), 0);
    netns.ip(&format!("link set {device} up"));
    for address in addresses {
        netns.ip(&format!("address add {} dev {device}", version.of(address)));
    }
}

fn forward(netns: &Netns) {
    netns.set("net/ipv4/ip_forward", 1);
    netns.set("net/ipv6/conf/all/forwarding", 1);
}

/// All networks are on the one link, and the first address is the one to come from.
fn routes(version: Version, netns: &Netns, device: &str, source: &str) {
    for network in ["10.20.0.0/24", "203.0.113.0/24", "198.51.100.0/24"] {
        // The route that comes with an address has metric 0 in IPv4, where it is replaced, and 256 in IPv6.
        let metric = if matches!(version, Version::Six) { " metric 1" } else { "" };
        let route = format!("route replace {network} dev {device} src {source}{metric}");
        netns.ip(&version.of(&route));
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
    answers_as_its_matrix_says(Version::Four);
}

#[test]
fn every_probe_of_the_shop_in_ipv6_answers_as_its_matrix_says() {
    require_root!();
    answers_as_its_matrix_says(Version::Six);
}

fn answers_as_its_matrix_says(version: Version) {
    let shop = Shop::new(version);
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
    let set = if matches!(shop.version, Version::Six) { "door-door-v6" } else { "door-door-v4" };
    let source = shop.version.of("198.51.100.7");
    let knock = format!("nft add element inet portolan {set} {{ {source} }}");
    shop.places["bastion"].output(&knock);
    let found = shop.answers();
    assert!(found.contains("internet → bastion 22/tcp"), "{found:#?}");
    assert!(!found.contains("web → bastion 22/tcp") && !found.contains("office → bastion 22/tcp"));
}
