//! The namespaces, their links, and the addresses and routes the firewall has.

use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use portolan_core::firewall::{Interface, LocalAddress, ReversePath, Route, RouteKind, World};
use portolan_core::net::Prefix;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The links of the firewall, each with a neighbour behind it.
pub const LINKS: [&str; 4] = ["eth0", "eth1", "out0", "out1"];

/// Its addresses. IPv6 networks are /64s.
const ADDRESSES: &[(&str, &str)] = &[
    ("eth0", "10.0.0.1/16"),
    ("eth1", "192.168.7.1/24"),
    ("out0", "10.9.0.1/24"),
    ("out1", "172.17.0.1/16"),
    ("eth0", "fd00:a::1/64"),
    ("eth1", "fd00:b::1/64"),
    ("out0", "2001:db8:9::1/64"),
    ("out1", "fd00:17::1/64"),
];

/// Where everything else goes.
const DEFAULT: &str = "out0";

/// Its settings. The ones of `default` are set before links come.
const SETTINGS: &[(&str, &str)] = &[
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv4/icmp_ratelimit", "0"),
    ("ipv6/icmp/ratelimit", "0"),
    ("ipv4/icmp_msgs_per_sec", "100000000"),
    ("ipv4/icmp_msgs_burst", "100000000"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv4/conf/all/log_martians", "0"),
];

/// Settings of every namespace: nobody says anything unasked.
const QUIET: &[(&str, &str)] = &[
    ("ipv6/conf/all/accept_ra", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/default/router_solicitations", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/addr_gen_mode", "1"),
];

/// What surrounds the rules: the addresses, links and routes of the firewall.
#[must_use]
pub fn world() -> World {
    let parse = |text: &str| -> (IpAddr, Prefix) {
        let (address, length) = text.split_once('/').expect("our own table");
        let address: IpAddr = address.parse().expect("our own table");
        let length = length.parse().expect("our own table");
        (address, Prefix::new(address, length).expect("our own table"))
    };
    let local = |interface: &str, text: &str| {
        let (address, network) = parse(text);
        LocalAddress { interface: interface.into(), address, network }
    };
    let own = ADDRESSES.iter().copied().chain([("lo", "127.0.0.1/8"), ("lo", "::1/128")]);
    let addresses: Vec<_> = own.map(|(link, text)| local(link, text)).collect();
    let route = |destination, interface: &str| Route {
        destination,
        interface: interface.into(),
        kind: RouteKind::Unicast,
        metric: 0,
    };
    let connected = addresses.iter().filter(|a| &*a.interface != "lo");
    let mut routes: Vec<_> = connected.map(|a| route(a.network, &a.interface)).collect();
    routes.extend(["0.0.0.0/0", "::/0"].map(|all| route(parse(all).1, DEFAULT)));
    let names = LINKS.into_iter().chain(["lo"]);
    let interface = |name: &str| Interface {
        name: name.into(),
        route_localnet: Some(false),
        accept_local: Some(false),
        reverse_path: Some(ReversePath::Unchecked),
        ..Interface::default()
    };
    let interfaces = names.map(interface).collect();
    World {
        addresses,
        interfaces,
        routes,
        forwards_v4: true,
        forwards_v6: true,
        ..World::default()
    }
}

/// The namespaces, gone when this is dropped.
#[derive(Debug)]
pub(super) struct Namespaces {
    prefix: String,
}

impl Namespaces {
    pub(super) fn new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        remove_leftovers();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let made = Self { prefix: format!("{PREFIX}-{}-{number}", std::process::id()) };
        made.make()?;
        Ok(made)
    }

    fn make(&self) -> io::Result<()> {
        let firewall = self.firewall();
        for name in self.all() {
            ip(&["netns", "add", &name])?;
            self.set(&name, QUIET)?;
        }
        self.set(firewall, SETTINGS)?;
        ip(&["-n", firewall, "link", "set", "lo", "up"])?;
        for (number, link) in LINKS.iter().enumerate() {
            self.cable(number, link)?;
        }
        for (link, address) in ADDRESSES {
            let nodad: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
            let words = ["-n", firewall, "address", "add", address, "dev", link];
            ip(&[&words, nodad].concat())?;
        }
        for family in ["-4", "-6"] {
            ip(&["-n", firewall, family, "route", "add", "default", "dev", DEFAULT])?;
        }
        Ok(())
    }

    /// A link with the same address of Ethernet at both ends and nobody who asks for it: what one end
    /// sends to anybody is for the other.
    fn cable(&self, number: usize, link: &str) -> io::Result<()> {
        let (firewall, neighbour) = (self.firewall(), &self.neighbour(link));
        let mac = format!("02:00:00:00:00:{number:02x}");
        let own = ["link", "add", link, "netns", firewall, "address", &mac, "type", "veth"];
        let peer = ["peer", "name", link, "netns", neighbour, "address", &mac];
        ip(&[&own[..], &peer[..]].concat())?;
        for name in [firewall, neighbour] {
            ip(&["-n", name, "link", "set", link, "arp", "off", "up"])?;
        }
        // A source for the kernel to choose, though every packet brings its own.
        let source = format!("fd00:ffff:{number}::1/128");
        ip(&["-n", neighbour, "address", "add", &source, "dev", link, "nodad"])?;
        for family in ["-4", "-6"] {
            ip(&["-n", neighbour, family, "route", "add", "default", "dev", link])?;
        }
        let broadcasts = ADDRESSES.iter().filter(|(l, a)| *l == link && !a.contains(':'));
        for (_, address) in broadcasts {
            let address = broadcast(address);
            let words = ["route", "add", "broadcast", &address, "dev", link, "table", "local"];
            ip(&[&["-n", neighbour], &words[..]].concat())?;
        }
        Ok(())
    }

    fn set(&self, name: &str, settings: &[(&str, &str)]) -> io::Result<()> {
        self.enter(name, || {
            for (path, value) in settings {
                // Not every kernel has each of them.
                let _ = fs::write(Path::new("/proc/sys/net").join(path), value);
            }
        })
    }

    /// The firewall's.
    pub(super) fn firewall(&self) -> &str {
        &self.prefix
    }

    fn neighbour(&self, link: &str) -> String {
        format!("{}-{link}", self.prefix)
    }

    fn all(&self) -> Vec<String> {
        let neighbours = LINKS.iter().map(|link| self.neighbour(link));
        neighbours.chain([self.prefix.clone()]).collect()
    }

    /// Runs `work` on a thread in the namespace of a neighbour.
    pub(super) fn beside<T: Send>(
        &self,
        link: &str,
        work: impl FnOnce() -> T + Send,
    ) -> io::Result<T> {
        self.enter(&self.neighbour(link), work)
    }

    /// Moves the calling thread into the firewall's.
    pub(super) fn enter_firewall(&self) -> io::Result<()> {
        enter(&path(self.firewall()))
    }

    fn enter<T: Send>(&self, name: &str, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        let place = path(name);
        thread::scope(|scope| {
            let inside = scope.spawn(|| enter(&place).map(|()| work()));
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in self.all() {
            let _ = Command::new("ip").args(["netns", "delete", &name]).status();
        }
    }
}

fn enter(place: &Path) -> io::Result<()> {
    let place = File::open(place)?;
    Ok(move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network))?)
}

fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

/// The broadcast address of `10.0.0.1/16`.
fn broadcast(network: &str) -> String {
    let (address, length) = network.split_once('/').expect("our own table");
    let address: std::net::Ipv4Addr = address.parse().expect("our own table");
    let length: u32 = length.parse().expect("our own table");
    std::net::Ipv4Addr::from(u32::from(address) | u32::MAX >> length).to_string()
}

fn ip(words: &[&str]) -> io::Result<()> {
    let output = Command::new("ip").args(words).output()?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("ip {}: {complaint}", words.join(" "))))
}

/// Removes namespaces of runs that are gone.
fn remove_leftovers() {
    let Ok(entries) = fs::read_dir(FOLDER) else { return };
    for name in entries.flatten().filter_map(|e| e.file_name().into_string().ok()) {
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').nth(1));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = Command::new("ip").args(["netns", "delete", &name]).status();
        }
    }
}

const PREFIX: &str = "portolan-oracle";
const FOLDER: &str = "/run/netns";
