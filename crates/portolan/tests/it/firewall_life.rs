//! A host that drops what it did not declare, in both directions, still lives: its lease is renewed, it
//! has names and the time, IPv6 neighbours, routers and listeners, and learns what fits on the path. A
//! guest behind it keeps its network.
//!
//! ```text
//! guest 10.62.0.2 ── br-guest host eth0 ── eth0 net (dnsmasq, NTP) far, 1280 bytes ── eth0 far
//!                              10.60.0.50   10.60.0.1 fd60::1                     10.61.0.2 fd61::2
//! ```

use std::fs;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::{Netns, Program, Server, eventually, require_root, skip};

const INVENTORY: &str = r#"portolan = 1
[hosts.host]
address = "10.60.0.50"
firewall = { egress = "drop" }
[services.data]
on = "host"
ports = "8000/tcp"
from = "any"
"#;

struct Life {
    host: Netns,
    net: Netns,
    far: Netns,
    guest: Netns,
    folder: TempDir,
    programs: Vec<Running>,
    _servers: Vec<Server>,
}

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Life {
    fn new() -> Self {
        let (host, net, far, guest) = (Netns::new(), Netns::new(), Netns::new(), Netns::new());
        cable(&net, "eth0", &host, "eth0");
        cable(&net, "far", &far, "eth0");
        cable(&host, "br-guest", &guest, "eth0");
        net.set("net/ipv4/ip_forward", 1);
        net.set("net/ipv6/conf/all/forwarding", 1);
        attach(&net, "eth0", &["10.60.0.1/24", "fd60::1/64"]);
        attach(&net, "far", &["10.61.0.1/24", "fd61::1/64"]);
        net.ip("link set far mtu 1280");
        attach(&far, "eth0", &["10.61.0.2/24", "fd61::2/64"]);
        far.ip("route add default via 10.61.0.1");
        far.ip("-6 route add default via fd61::1");
        attach(&host, "br-guest", &["10.62.0.1/24"]);
        attach(&guest, "eth0", &["10.62.0.2/24"]);
        guest.ip("route add default via 10.62.0.1");
        host.set("net/ipv4/ip_forward", 1);
        host.rules(
            "table ip guests { chain post { type nat hook postrouting priority 100
                ip saddr 10.62.0.0/24 oifname \"eth0\" masquerade\n }\n}",
        );
        let servers = vec![helpers(&net), sender(&host)];
        let folder = tempfile::tempdir().unwrap();
        let mut life =
            Self { host, net, far, guest, folder, programs: Vec::new(), _servers: servers };
        life.start_net();
        life.host.ip("link set eth0 up");
        life
    }

    /// Addresses, names and router advertisements.
    fn start_net(&mut self) {
        let mut dnsmasq = self.net.command("dnsmasq");
        dnsmasq.args(["--no-daemon", "--conf-file=/dev/null", "--user=root", "--no-hosts"]);
        dnsmasq.args(["--no-resolv", "--bind-interfaces", "--interface=eth0", "--no-ping"]);
        dnsmasq.args(["--dhcp-range=10.60.0.50,10.60.0.50,2m", "--enable-ra"]);
        dnsmasq.args(["--dhcp-range=fd60::100,fd60::1ff,slaac,64,2m", "--ra-param=eth0,4,60"]);
        dnsmasq.args(["--address=/deb.example.org/192.0.2.80", "--log-dhcp", "--pid-file="]);
        dnsmasq.arg(format!("--dhcp-leasefile={}", self.file("leases")));
        self.start(dnsmasq, "dnsmasq.log");
    }

    /// The DHCP client; it is told to renew by a signal.
    fn start_lease(&mut self) -> u32 {
        let script = self.file("lease");
        let log = self.file("lease.log");
        let text = format!(
            "#!/bin/sh\necho \"$1\" >> {log}\n[ \"$1\" = bound ] || exit 0\n\
             ip address add $ip/24 dev $interface\nip route add default via $router\n"
        );
        fs::write(&script, text).unwrap();
        Command::new("chmod").args(["+x", &script]).status().unwrap();
        let mut client = self.host.command("busybox");
        client.args(["udhcpc", "-i", "eth0", "-f", "-s", &script]);
        self.start(client, "udhcpc.log")
    }

    fn start(&mut self, mut command: Command, log: &str) -> u32 {
        let log = fs::File::create(self.folder.path().join(log)).unwrap();
        command.stdout(Stdio::from(log.try_clone().unwrap())).stderr(Stdio::from(log));
        let child = command.spawn().unwrap();
        let pid = child.id();
        self.programs.push(Running(child));
        pid
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn times(&self, log: &str, what: &str) -> usize {
        let text = fs::read_to_string(self.folder.path().join(log)).unwrap_or_default();
        text.matches(what).count()
    }

    /// The compiled table, with 10.60.0.1 as the resolver.
    fn load(&self) {
        fs::write(self.file("portolan.toml"), INVENTORY).unwrap();
        let resolver = self.file("resolv.conf");
        fs::write(&resolver, "nameserver 10.60.0.1\n").unwrap();
        let script = format!("mount --bind {resolver} /etc/resolv.conf; exec \"$@\"");
        let ran = Program::line("firewall compile --host host")
            .folder(self.folder.path())
            .inside(&self.host)
            .through(["unshare", "-m", "sh", "-c", &script, "sh"])
            .run()
            .expect_code(0);
        assert!(ran.stdout.contains("# resolved: resolvers = 10.60.0.1\n"), "{}", ran.stdout);
        self.host.rules(&ran.stdout);
    }

    /// What a script prints inside the host.
    fn on_host(&self, script: &str) -> String {
        self.host.python(&format!("{TOOLS}\n{script}")).said.clone()
    }
}

/// `asks(address, port, bytes)`: the answer to a datagram; `calls(address, port)`: whether a connection
/// is made; `echo(address)`: whether an echo comes back.
const TOOLS: &str = r#"
import struct, time
def asks(address, port, data):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(1)
    try:
        s.sendto(data, (address, port))
        return s.recv(600)
    except OSError as error:
        return type(error).__name__.encode()
def calls(address, port):
    try:
        socket.create_connection((address, port), 1).close()
        return True
    except OSError:
        return False
def echo(address):
    six = ":" in address
    s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, 58 if six else 1)
    s.settimeout(.5)
    body = struct.pack("!HH", 7, 1)
    check = (~((0x0800 + 7 + 1))) & 0xffff
    packet = b"\x80\0\0\0" + body if six else struct.pack("!BBH", 8, 0, check) + body
    for _ in range(4):
        try:
            s.sendto(packet, (address, 0))
            end = time.monotonic() + .5
            while time.monotonic() < end:
                data = s.recv(600)
                if (data if six else data[20:])[0] == (129 if six else 0):
                    return True
        except OSError:
            time.sleep(.1)
    return False
"#;

/// NTP and an undeclared service on `net`.
fn helpers(net: &Netns) -> Server {
    net.python(
        r#"
import threading
def echo(s):
    while True:
        data, peer = s.recvfrom(600)
        s.sendto(b"time" if len(data) == 48 else b"?", peer)
for port in (123, 124):
    threading.Thread(target=echo, args=(datagram(f"0.0.0.0:{port}"),), daemon=True).start()
listener("[::]:7000", 64, [(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)])
"#,
    )
}

/// The declared service of the host sends 300,000 bytes; another port listens undeclared.
fn sender(host: &Netns) -> Server {
    host.python(
        r#"
import threading
def serve(s):
    while True:
        c, _ = s.accept()
        try:
            c.sendall(b"x" * 300000)
        except OSError:
            pass
        c.close()
dual = [(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)]
threading.Thread(target=serve, args=(listener("[::]:8000", 64, dual),), daemon=True).start()
listener("[::]:23", 64, dual)
"#,
    )
}

fn cable(one: &Netns, at_one: &str, other: &Netns, at_other: &str) {
    let name = other.name();
    one.ip(&format!("link add {at_one} type veth peer name {at_other} netns {name}"));
}

fn attach(netns: &Netns, device: &str, addresses: &[&str]) {
    netns.set(&format!("net/ipv6/conf/{device}/accept_dad"), 0);
    netns.ip(&format!("link set {device} up"));
    for address in addresses {
        netns.ip(&format!("address add {address} dev {device}"));
    }
}

fn has(program: &str) -> bool {
    let asked = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    asked.is_ok_and(|output| output.status.success())
}

#[test]
fn a_host_that_drops_by_default_in_both_directions_lives() {
    require_root!();
    if !has("dnsmasq") || !has("busybox") {
        skip!("needs dnsmasq and busybox");
    }
    let mut life = Life::new();
    let client = life.start_lease();
    eventually("the first lease", || life.times("lease.log", "bound") == 1);
    life.load();
    the_lease_is_renewed(&life, client);
    names_and_the_time_are_there(&life);
    ipv6_lives(&life);
    ipv6_has_leases(&mut life);
    large_packets_find_their_size(&life);
    a_guest_keeps_its_network(&life);
    what_nobody_declared_does_not_answer(&life);
}

fn the_lease_is_renewed(life: &Life, client: u32) {
    let before = life.times("dnsmasq.log", "DHCPACK");
    Command::new("kill").args(["-USR1", &client.to_string()]).status().unwrap();
    eventually("a renewed lease", || life.times("lease.log", "renew") == 1);
    assert!(life.times("dnsmasq.log", "DHCPACK") > before);
    // And from the start, by broadcast.
    let pid = client.to_string();
    Command::new("kill").args(["-USR2", &pid]).status().unwrap();
    eventually("a lease given back", || life.times("lease.log", "deconfig") == 2);
    Command::new("kill").args(["-USR1", &pid]).status().unwrap();
    eventually("a new lease", || life.times("lease.log", "bound") == 2);
}

fn names_and_the_time_are_there(life: &Life) {
    let said = life.on_host(
        r#"
name = b"\x03deb\x07example\x03org\0"
question = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0" + name + b"\0\x01\0\x01"
print(b"\xc0\x00\x02\x50" in asks("10.60.0.1", 53, question))
print(asks("10.61.0.2", 53, question))
print(calls("10.60.0.1", 53))
print(asks("10.60.0.1", 123, b"\x23" + bytes(47)))
print(asks("10.60.0.1", 124, bytes(48)))
"#,
    );
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines, ["True", "b'PermissionError'", "True", "b'time'", "b'PermissionError'"]);
}

fn ipv6_lives(life: &Life) {
    // A router's advertisement that was asked for after the table was loaded.
    life.host.ip("link set eth0 down");
    life.host.ip("link set eth0 up");
    life.host.ip("address replace 10.60.0.50/24 dev eth0");
    life.host.ip("route replace default via 10.60.0.1");
    eventually("an address by advertisement", || {
        let addresses = life.host.output("ip -6 address show dev eth0 scope global");
        addresses.contains("fd60::") && !addresses.contains("tentative")
    });
    assert!(life.host.output("ip -6 route show default").contains("via fe80::"));
    life.host.ip("-6 neigh flush dev eth0");
    assert_eq!(life.on_host("print(echo('fd60::1'), echo('10.60.0.1'))"), "True True");
    let address = life.host.output("ip -6 -o address show dev eth0 scope global");
    let address = address.split_whitespace().nth(3).unwrap().split('/').next().unwrap();
    life.net.ip("-6 neigh flush dev eth0");
    let back = life.net.python(&format!("{TOOLS}\nprint(echo({address:?}))"));
    assert_eq!(back.said, "True");
    listeners_are_reported(life);
    members_are_reported(life);
}

/// A report of a joined group leaves, and queries of both versions come in and are answered.
fn listeners_are_reported(life: &Life) {
    let _member = life.host.python(
        "s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\nkept.append(s)
index = socket.if_nametoindex('eth0')
group = socket.inet_pton(socket.AF_INET6, 'ff15::1234') + index.to_bytes(4, 'little')
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)",
    );
    let query = r#"
import time
index = socket.if_nametoindex("eth0")
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)
for group in ("ff02::16", "ff15::1234"):
    join = socket.inet_pton(socket.AF_INET6, group) + index.to_bytes(4, "little")
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, join)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 1)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
router_alert = b"\x3a\x00\x05\x02\x00\x00\x01\x00"
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, router_alert)
s.settimeout(1)
group = socket.inet_pton(socket.AF_INET6, "ff15::1234")
def answers(query, report):
    for _ in range(5):
        s.sendto(query, ("ff02::1", 0, 0, index))
        end = time.monotonic() + 1
        while time.monotonic() < end:
            try:
                data, peer = s.recvfrom(1500)
            except OSError:
                break
            # Our own membership is reported with our own address, which comes back to nobody.
            if data[0] == report and group in data:
                return True
    return False
query = b"\x82\0\0\0" + b"\0\x64\0\0" + bytes(16)
print(answers(query + b"\x02\x7d\0\0", 143), answers(query, 131))
"#;
    assert_eq!(life.net.python(query).said, "True True");
}

/// The same in IPv4, where groups have a protocol of their own; a switch that snoops forgets who does
/// not answer.
fn members_are_reported(life: &Life) {
    let _member = life.host.python(
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nkept.append(s)
index = socket.if_nametoindex('eth0')
group = socket.inet_aton('239.1.2.3') + bytes(4) + index.to_bytes(4, 'little')
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)",
    );
    let query = r#"
import time
index = socket.if_nametoindex("eth0").to_bytes(4, "little")
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP)
for group in ("224.0.0.22", "239.1.2.3"):
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + bytes(4) + index)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, bytes(8) + index)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x94\x04\0\0")
s.settimeout(1)
group = socket.inet_aton("239.1.2.3")
def answers(query, report):
    total = sum(int.from_bytes(query[i:i + 2], "big") for i in range(0, len(query), 2))
    total = ~(total + (total >> 16)) & 0xffff
    query = query[:2] + total.to_bytes(2, "big") + query[4:]
    for _ in range(5):
        s.sendto(query, ("224.0.0.1", 0))
        end = time.monotonic() + 1
        while time.monotonic() < end:
            try:
                data, peer = s.recvfrom(1500)
            except OSError:
                break
            body = data[(data[0] & 15) * 4:]
            if peer[0] == "10.60.0.50" and body[0] == report and group in body:
                return True
    return False
print(answers(b"\x11\x01\0\0" + bytes(4) + b"\x02\x7d\0\0", 0x22), answers(b"\x11\x01\0\0" + bytes(4), 0x16))
"#;
    assert_eq!(life.net.python(query).said, "True True");
}

/// A lease of DHCPv6, and an answer from a global address and another port than 547.
fn ipv6_has_leases(life: &mut Life) {
    if !has("dhclient") {
        skip!("needs dhclient");
    }
    let script = life.file("lease6");
    let log = life.file("lease6.log");
    fs::write(&script, format!("#!/bin/sh\necho \"$reason $new_ip6_address\" >> {log}\n")).unwrap();
    Command::new("chmod").args(["+x", &script]).status().unwrap();
    let mut client = life.host.command("dhclient");
    client.args(["-6", "-d", "-v", "-sf", &script, "-cf", "/dev/null"]);
    client.args(["-lf", &life.file("leases6"), "-pf", &life.file("dhclient.pid"), "eth0"]);
    let _client = life.start(client, "dhclient.log");
    eventually("a lease of DHCPv6", || life.times("lease6.log", "BOUND6 fd60::1") == 1);
    drop(life.programs.pop());
    let address = life.host.output("ip -6 -o address show dev eth0 scope link");
    let address = address.split_whitespace().nth(3).unwrap().split('/').next().unwrap();
    let _echo = life.host.python(&format!(
        "import threading\ns = datagram('[{address}%eth0]:546')\ndef echo():\n    while True:
        data, peer = s.recvfrom(9)\n        s.sendto(data, peer)
threading.Thread(target=echo, daemon=True).start()"
    ));
    let said = life.net.python(&format!(
        "s = datagram('[fd60::1]:5547')\ns.settimeout(2)
s.sendto(b'lease', ({address:?}, 546, 0, socket.if_nametoindex('eth0')))\nprint(s.recv(9))"
    ));
    assert_eq!(said.said, "b'lease'");
}

fn large_packets_find_their_size(life: &Life) {
    let load = r#"
def load(address):
    s = socket.create_connection((address, 8000), 5)
    s.settimeout(5)
    size = 0
    while data := s.recv(65536):
        size += len(data)
    return size
"#;
    let address = life.host.output("ip -6 -o address show dev eth0 scope global");
    let address = address.split_whitespace().nth(3).unwrap().split('/').next().unwrap();
    for (address, far) in [("10.60.0.50", "10.61.0.2"), (address, "fd61::2")] {
        let got = life.far.python(&format!("{load}\nprint(load({address:?}))"));
        assert_eq!(got.said, "300000", "{address}");
        let route = life.host.output(&format!("ip route get {far}"));
        assert!(route.contains("mtu 1280"), "{route}");
    }
}

fn a_guest_keeps_its_network(life: &Life) {
    let said = life.guest.python(&format!(
        "{TOOLS}\nprint(calls('10.60.0.1', 7000), echo('10.60.0.1'), \
         asks('10.60.0.1', 123, bytes(48)), calls('10.62.0.1', 23))"
    ));
    assert_eq!(said.said, "True True b'time' False");
}

fn what_nobody_declared_does_not_answer(life: &Life) {
    let said = life.net.python(&format!(
        "{TOOLS}\nprint(calls('10.60.0.50', 23), calls('10.60.0.50', 8000), calls('10.60.0.50', 24))"
    ));
    assert_eq!(said.said, "False True False");
    assert_eq!(
        life.on_host("print(calls('10.60.0.1', 7000), calls('fd60::1', 7000))"),
        "False False"
    );
    assert_eq!(life.on_host("print(calls('127.0.0.1', 23), calls('::1', 23))"), "True True");
}
