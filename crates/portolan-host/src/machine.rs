//! What this machine says of itself: names, addresses, and the kernel's settings for port numbers.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use portolan_core::net::{Gap, Observed, Port, PortRange, PortSet, Prefix, Why};
use portolan_core::socket::ephemeral::{ClosingSettings, ReusePolicy, TimeWaitReuse};
use portolan_core::socket::{InterfaceAddress, LocalPorts, Machine, TurnedAway};
use portolan_core::wire::rtnetlink::{self, Link, LinkAddress};
use rustix::net::{AddressFamily, SocketType, netdevice};
use rustix::system::uname;

use crate::netlink::Netlink;

/// Reads it all; what cannot be read keeps Linux's default and becomes a gap.
#[must_use]
pub fn read() -> Observed<Machine> {
    let mut gaps = Vec::new();
    let name = uname();
    let addresses = addresses().unwrap_or_else(|error| {
        gaps.push(Gap::new(format!("addresses of this machine ({error})"), why(&error), ""));
        Vec::new()
    });
    let machine = Machine {
        hostname: name.nodename().to_string_lossy().into_owned(),
        kernel: name.release().to_string_lossy().into_owned(),
        addresses,
        ports: local_ports().into_value(&mut gaps),
    };
    Observed { value: machine, gaps }
}

/// Every address of every interface of this network namespace.
///
/// # Errors
/// When netlink is not to be had.
pub fn addresses() -> io::Result<Vec<InterfaceAddress>> {
    let mut netlink = Netlink::open(None)?;
    let names = names(links_over(&mut netlink)?);
    let mut found = Vec::new();
    netlink.dump(rtnetlink::GET_ADDRESSES, &rtnetlink::everything(), |_, body| {
        found.extend(LinkAddress::parse(body));
    })?;
    Ok(found.into_iter().filter_map(|a| named(a, &names)).collect())
}

/// Every interface of this network namespace.
///
/// # Errors
/// When netlink is not to be had.
pub fn links() -> io::Result<Vec<Link>> {
    links_over(&mut Netlink::open(None)?)
}

/// The names of every interface of this network namespace, by index.
///
/// # Errors
/// When neither netlink nor /proc/net tells them.
pub fn interfaces() -> io::Result<HashMap<u32, String>> {
    links().map(names).or_else(|_| interfaces_in_proc())
}

/// The same without netlink: the names of /proc/net/dev, asked for their indexes (netdevice(7)).
fn interfaces_in_proc() -> io::Result<HashMap<u32, String>> {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev")?;
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    let names = text.lines().skip(2).filter_map(|line| line.split(':').next());
    let index = |name: &str| netdevice::name_to_index(&socket, name).ok();
    Ok(names.filter_map(|name| Some((index(name.trim())?, name.trim().to_owned()))).collect())
}

fn links_over(netlink: &mut Netlink) -> io::Result<Vec<Link>> {
    let mut found = Vec::new();
    netlink.dump(rtnetlink::GET_LINKS, &rtnetlink::everything(), |_, body| {
        found.extend(Link::parse(body));
    })?;
    Ok(found)
}

fn names(links: Vec<Link>) -> HashMap<u32, String> {
    links.into_iter().map(|link| (link.index, link.name)).collect()
}

fn named(found: LinkAddress, names: &HashMap<u32, String>) -> Option<InterfaceAddress> {
    Some(InterfaceAddress {
        interface: names.get(&found.index).cloned().unwrap_or_else(|| found.index.to_string()),
        address: found.address,
        network: Prefix::new(found.address, found.length).ok()?,
    })
}

/// The kernel's settings for port numbers in this network namespace (ip-sysctl).
#[must_use]
pub fn local_ports() -> Observed<LocalPorts> {
    let mut gaps = Vec::new();
    let default = LocalPorts::default();
    let ports = LocalPorts {
        ephemeral: setting("ip_local_port_range", range, &mut gaps).unwrap_or(default.ephemeral),
        unprivileged_start: setting("ip_unprivileged_port_start", |t| t.parse().ok(), &mut gaps)
            .unwrap_or(default.unprivileged_start),
        reserved: setting("ip_local_reserved_ports", list, &mut gaps).unwrap_or(default.reserved),
    };
    Observed { value: ports, gaps }
}

/// The settings of this network namespace that decide when a connection gives its port back.
#[must_use]
pub fn closing_settings() -> Observed<ClosingSettings> {
    let mut gaps = Vec::new();
    let default = ClosingSettings::default();
    let mut number = |name: &str| setting::<u32>(name, |t| t.parse().ok(), &mut gaps);
    let policy = number("tcp_tw_reuse").and_then(ReusePolicy::from_number);
    let reuse = TimeWaitReuse {
        policy: policy.unwrap_or(default.reuse.policy),
        timestamps: number("tcp_timestamps").map_or(default.reuse.timestamps, |on| on != 0),
        // Linux 6.14 and later have it; a second is what it was before, and the default.
        after: std::fs::read_to_string("/proc/sys/net/ipv4/tcp_tw_reuse_delay")
            .ok()
            .and_then(|text| text.trim().parse().ok().map(Duration::from_millis))
            .unwrap_or(default.reuse.after),
    };
    let fin_timeout = number("tcp_fin_timeout").map(|s| Duration::from_secs(s.into()));
    let fin_timeout = fin_timeout.unwrap_or(default.fin_timeout);
    Observed { value: ClosingSettings { reuse, fin_timeout }, gaps }
}

/// What TCP listeners of this network namespace turned away; `None` where the kernel does not tell.
#[must_use]
pub fn turned_away() -> Option<TurnedAway> {
    TurnedAway::parse(&std::fs::read_to_string("/proc/thread-self/net/netstat").ok()?)
}

fn setting<T>(name: &str, parse: impl Fn(&str) -> Option<T>, gaps: &mut Vec<Gap>) -> Option<T> {
    let path = Path::new("/proc/sys/net/ipv4").join(name);
    let told = format!("net.ipv4.{name}, so Linux's default is shown");
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let value = parse(text.trim());
            if value.is_none() {
                gaps.push(Gap::aside(told, Why::Unsupported, ""));
            }
            value
        }
        Err(error) => {
            gaps.push(Gap::aside(told, why(&error), ""));
            None
        }
    }
}

/// Two numbers with white space between.
fn range(text: &str) -> Option<PortRange> {
    let mut ends = text.split_whitespace().map(str::parse::<Port>);
    PortRange::new(ends.next()?.ok()?, ends.next()?.ok()?).ok()
}

/// Numbers and ranges with commas between; nothing when nothing is reserved.
fn list(text: &str) -> Option<PortSet> {
    text.split(',')
        .filter(|item| !item.is_empty())
        .map(|item| item.parse::<PortRange>().ok())
        .collect()
}

fn why(error: &io::Error) -> Why {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Why::NotPermitted,
        _ => Why::Unsupported,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_the_kernel_prints_them() {
        assert_eq!(range("32768\t60999").unwrap().to_string(), "32768-60999");
        assert_eq!(list("8080,9000-9010").unwrap().to_string(), "8080,9000-9010");
        assert!(list("").unwrap().is_empty());
        assert_eq!(range("60999"), None);
    }

    #[test]
    fn without_netlink_the_same_interfaces_are_found() {
        assert_eq!(interfaces_in_proc().unwrap(), links().map(names).unwrap());
    }

    #[test]
    fn this_machine_has_a_loopback_address() {
        let machine = read().value;
        assert!(machine.has_address("127.0.0.1".parse().unwrap()), "{:?}", machine.addresses);
    }
}
