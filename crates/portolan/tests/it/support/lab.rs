//! A network to scan: real kernels in namespaces, and what stands in a scanner's way.
//!
//! ```text
//! src 10.77.0.1 ──── 10.77.0.254 rtr 10.78.0.254 ──── 10.78.0.2 dst
//!     fd77::1        fd77::fe        fd78::fe         fd78::2
//! ```
//!
//! [`Pair`] is src and dst on one link, without a router. What is in the way is written as nft rules
//! ([`Netns::rules`]) or stands in a Python process of the fixture's ([`super::Server`]); replies that
//! no kernel would send come from a [`responder`].

use std::fmt::Display;
use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::Stdio;

use super::{Netns, Server};

/// Where the scans start.
pub(crate) const SRC: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));
/// The router as src sees it.
pub(crate) const RTR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 254));
/// The same in IPv6.
pub(crate) const RTR6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0xfe));
/// What is scanned behind it.
pub(crate) const DST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 78, 0, 2));
/// The same in IPv6.
pub(crate) const DST6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd78, 0, 0, 0, 0, 0, 0, 2));
/// What is scanned on the link itself.
pub(crate) const NEAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 76, 0, 2));

/// A scanner, a router and a host behind it.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) src: Netns,
    pub(crate) rtr: Netns,
    pub(crate) dst: Netns,
}

impl Lab {
    /// The three with their links, addresses and routes. Ask [`super::require_root`] first.
    pub(crate) fn new() -> Self {
        let (src, rtr, dst) = (Netns::new(), Netns::new(), Netns::new());
        cable((&src, "eth0"), (&rtr, "near"));
        cable((&rtr, "far"), (&dst, "eth0"));
        attach(&src, "eth0", &["10.77.0.1/24", "fd77::1/64"]);
        attach(&rtr, "near", &["10.77.0.254/24", "fd77::fe/64"]);
        attach(&rtr, "far", &["10.78.0.254/24", "fd78::fe/64"]);
        attach(&dst, "eth0", &["10.78.0.2/24", "fd78::2/64"]);
        rtr.set("net/ipv4/ip_forward", 1);
        rtr.set("net/ipv6/conf/all/forwarding", 1);
        src.ip("route add default via 10.77.0.254");
        src.ip("-6 route add default via fd77::fe");
        dst.ip("route add default via 10.78.0.254");
        dst.ip("-6 route add default via fd78::fe");
        Self { src, rtr, dst }
    }
}

/// A scanner and a host on one link: 10.76.0.1 and 10.76.0.2, fd76::1 and fd76::2.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) src: Netns,
    pub(crate) dst: Netns,
}

impl Pair {
    /// The two with their link and addresses. Ask [`super::require_root`] first.
    pub(crate) fn new() -> Self {
        let (src, dst) = (Netns::new(), Netns::new());
        cable((&src, "eth0"), (&dst, "eth0"));
        attach(&src, "eth0", &["10.76.0.1/24", "fd76::1/64"]);
        attach(&dst, "eth0", &["10.76.0.2/24", "fd76::2/64"]);
        Self { src, dst }
    }
}

impl Netns {
    /// Loads these nft rules inside.
    #[track_caller]
    pub(crate) fn rules(&self, text: &str) {
        let mut command = self.command("nft");
        command.args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut nft = command.spawn().expect("nsenter is installed");
        nft.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("nft reads");
        let output = nft.wait_with_output().expect("nft ends");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "nft: {complaint}\n{text}");
    }

    /// Rules of the input hook, one a line.
    #[track_caller]
    pub(crate) fn filter_input(&self, rules: &str) {
        self.chain("input", rules);
    }

    /// Rules of the forward hook, one a line.
    #[track_caller]
    pub(crate) fn filter_forward(&self, rules: &str) {
        self.chain("forward", rules);
    }

    /// Rules of the output hook, one a line.
    #[track_caller]
    pub(crate) fn filter_output(&self, rules: &str) {
        self.chain("output", rules);
    }

    fn chain(&self, hook: &str, rules: &str) {
        self.rules(&format!(
            "table inet {hook}_table {{\n chain {hook}_chain {{\n  type filter hook {hook} priority 0\n{rules}\n }}\n}}"
        ));
    }

    /// Writes a setting below /proc/sys as this namespace has it.
    #[track_caller]
    pub(crate) fn set(&self, setting: &str, value: impl Display) {
        let (path, value) = (Path::new("/proc/sys").join(setting), value.to_string());
        self.enter(|| fs::write(&path, value)).unwrap_or_else(|e| panic!("{setting}: {e}"));
    }

    /// One process that listens on all these TCP ports in both families, and accepts nothing itself:
    /// the kernel does, up to the backlog.
    pub(crate) fn listen_on(&self, ports: impl IntoIterator<Item = u16>) -> Server {
        let ports: Vec<u16> = ports.into_iter().collect();
        self.python(&format!(
            "import resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
for port in {ports:?}:
    listener(f'[::]:{{port}}', 4096, [(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)])"
        ))
    }

    /// A listener whose queue is full, so that the kernel drops further SYNs to it without a word.
    pub(crate) fn listen_with_full_backlog(&self, address: IpAddr, port: u16) -> Server {
        self.python(&format!(
            "listener('{address}:{port}', 0)
import time
for _ in range(4):
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(('{address}', {port}))
    kept.append(client)
time.sleep(.2)"
        ))
    }

    /// Loses this share of what TCP sends to `ports` and of what it answers from them, at random.
    pub(crate) fn lose(&self, percent: u32, ports: &str) {
        let lost = format!("numgen random mod 100 < {percent} drop");
        self.filter_input(&format!("tcp dport {ports} {lost}"));
        self.filter_output(&format!("tcp sport {ports} {lost}"));
    }
}

/// UDP services inside: DNS on 53 and NTP on 123 that answer questions of their protocol, 6000 that
/// reads and says nothing, and 6005 that answers everything from port 6006, as TFTP does.
pub(crate) fn udp_services(netns: &Netns) -> Server {
    netns.python(
        "import struct, threading
def serve(port, answer, via=None):
    s = datagram(f'[::]:{port}', [(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)])
    out = s if via is None else datagram(f'[::]:{via}', [(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)])
    def work():
        while True:
            try:
                said, peer = s.recvfrom(2048)
                reply = answer(said)
                if reply:
                    out.sendto(reply, peer)
            except OSError:
                pass
    threading.Thread(target=work, daemon=True).start()
def dns(said):
    if len(said) >= 17 and not said[2] & 0x80:
        return said[:2] + bytes([0x80 | said[2], 0x85]) + said[4:6] + bytes(6) + said[12:]
def ntp(said):
    if len(said) >= 48 and said[0] & 7 == 3:
        return bytes([said[0] & 0x38 | 4, 2, 6, 0xe9]) + bytes(20) + said[40:48] + bytes(16)
serve(53, dns)
serve(123, ntp)
serve(6000, lambda said: None)
serve(6005, lambda said: b'\\0\\5\\0\\1no such file\\0', via=6006)",
    )
}

/// Hosts that are not there: a process inside that sees every IPv4 packet the namespace receives for
/// one of `hosts` and answers as `answers` says.
///
/// `answers` is the body of a Python generator `answer(p)` that yields packets, as bytes, or
/// `(seconds, packet)` for a later one; `pass` for silence. The packet `p` has `src`, `dst`, `tcp`
/// (`sport`, `dport`, `seq`, `ack`, `flags`) or None, and `raw`. `syn_ack(p, …)`, `rst(p, …)`,
/// `icmp(p, kind, code, …)` and `echo(p)` make what a host would send; `host_like(p, open_ports)`
/// yields what an ordinary one says. The namespace must not have the addresses itself.
pub(crate) fn responder(netns: &Netns, hosts: &[IpAddr], answers: &str) -> Server {
    let hosts: Vec<String> = hosts.iter().map(IpAddr::to_string).collect();
    let answers = answers.trim().replace('\n', "\n    ");
    netns.python(&format!(
        "{RESPONDER}\ndef answer(p):\n    {answers}\n    return\n    yield\nrespond({hosts:?}, answer)"
    ))
}

/// A packet socket whose filter (classic BPF) passes only the hosts, so that a scan of a large network
/// costs Python nothing; answers go back to where the packet came from on the link.
const RESPONDER: &str = r#"
import ctypes, heapq, itertools, select, struct, threading, time
FIN, SYN, RST, ACK = 1, 2, 4, 16
def total(data):
    data += b"\0" * (len(data) % 2)
    n = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while n >> 16:
        n = (n & 0xffff) + (n >> 16)
    return ~n & 0xffff
def ip(src, dst, protocol, payload, ttl=64):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0x4000, ttl, protocol, 0, src, dst)
    return head[:10] + struct.pack("!H", total(head)) + head[12:] + payload
def tcp(src, dst, sport, dport, seq, ack, flags, window=64240, ttl=64):
    options = bytes([2, 4, 5, 180]) if flags & SYN else b""
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, (20 + len(options)) << 2, flags, window, 0, 0)
    pseudo = src + dst + struct.pack("!BBH", 0, 6, len(head) + len(options))
    both = head + options
    return ip(src, dst, 6, both[:16] + struct.pack("!H", total(pseudo + both)) + both[18:], ttl)
class Packet:
    def __init__(p, raw):
        p.raw, length = raw, (raw[0] & 15) * 4
        p.protocol, p.src, p.dst, p.rest = raw[9], raw[12:16], raw[16:20], raw[length:]
        p.tcp = p.protocol == 6 and len(p.rest) >= 20
        if p.tcp:
            p.sport, p.dport, p.seq, p.ack = struct.unpack("!HHII", p.rest[:12])
            p.flags = p.rest[13]
        p.is_syn = p.tcp and p.flags & (SYN | ACK | RST) == SYN
def syn_ack(p, shift=0, source=None, **more):
    ack = (p.seq + 1 + shift) & 0xffffffff
    return tcp(source or p.dst, p.src, p.dport, p.sport, 0x1000, ack, SYN | ACK, **more)
def syn(p):
    return tcp(p.dst, p.src, p.dport, p.sport, 0x1000, 0, SYN)
def rst(p, shift=0, source=None, **more):
    ack = (p.seq + 1 + shift) & 0xffffffff
    return tcp(source or p.dst, p.src, p.dport, p.sport, 0, ack, RST | ACK, 0, **more)
def icmp(p, kind, code, shift=0, source=None):
    seq = struct.pack("!I", (struct.unpack("!I", p.rest[4:8])[0] + shift) & 0xffffffff)
    quote = p.raw[: len(p.raw) - len(p.rest)] + p.rest[:4] + seq
    said = struct.pack("!BBHI", kind, code, 0, 0) + quote
    said = said[:2] + struct.pack("!H", total(said)) + said[4:]
    return ip(source or p.dst, p.src, 1, said)
def echo(p):
    said = b"\0\0\0\0" + p.rest[4:]
    return ip(p.dst, p.src, 1, said[:2] + struct.pack("!H", total(said)) + said[4:])
def host_like(p, open_ports):
    if p.protocol == 1 and p.rest[0] == 8:
        yield echo(p)
    elif p.is_syn:
        yield syn_ack(p) if p.dport in open_ports else rst(p)
def only(hosts):
    steps = [(0x20, 0, 0, 16)]
    steps += [(0x15, len(hosts) - i, 0, int.from_bytes(h, "big")) for i, h in enumerate(hosts)]
    steps += [(0x06, 0, 0, 0), (0x06, 0, 0, 0x40000)]
    return b"".join(struct.pack("HBBI", *step) for step in steps)
def respond(hosts, answer):
    hosts = [socket.inet_aton(h) for h in hosts]
    s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    program = ctypes.create_string_buffer(only(hosts))
    fprog = struct.pack("H6xP", len(hosts) + 3, ctypes.addressof(program))
    SO_ATTACH_FILTER, SO_RCVBUFFORCE = 26, 33
    s.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    s.bind(("eth0", 0x0800))
    kept.append(s)
    def work():
        later, number = [], itertools.count()
        while True:
            wait = max(0, later[0][0] - time.monotonic()) if later else None
            if select.select([s], [], [], wait)[0]:
                raw, place = s.recvfrom(65536)
                if place[2] == socket.PACKET_OUTGOING or raw[16:20] not in hosts:
                    continue
                there = (place[0], 0x0800, 0, 0, place[4])
                for reply in answer(Packet(raw)):
                    due, reply = reply if isinstance(reply, tuple) else (0, reply)
                    heapq.heappush(later, (time.monotonic() + due, next(number), reply, there))
            while later and later[0][0] <= time.monotonic():
                _, _, reply, there = heapq.heappop(later)
                s.sendto(reply, there)
    threading.Thread(target=work, daemon=True).start()
"#;

/// One cable between two namespaces.
fn cable(one: (&Netns, &str), other: (&Netns, &str)) {
    let ((a, at_a), (b, at_b)) = (one, other);
    let (netns, name) = (b.name(), at_a);
    a.ip(&format!("link add {name} type veth peer name {at_b} netns {netns}"));
}

fn attach(netns: &Netns, device: &str, addresses: &[&str]) {
    // Nobody else is there; until the address is known to be unique, it would not be used.
    netns.set(&format!("net/ipv6/conf/{device}/accept_dad"), 0);
    for address in addresses {
        netns.ip(&format!("address add {address} dev {device}"));
    }
    netns.ip(&format!("link set {device} up"));
}
