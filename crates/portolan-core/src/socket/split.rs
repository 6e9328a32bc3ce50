//! Two programs behind one `localhost:PORT`: one has the number in IPv4, another in IPv6.
//!
//! Neither is refused, since the families are apart, and a client gets whichever its resolver names
//! first: the order of getaddrinfo(3), which is RFC 6724's with the changes of gai.conf(5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Held, SocketTable};
use crate::net::{Port, Prefix, Transport};

/// A number that leads to one program by 127.0.0.1 and to another by ::1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// The transport.
    pub transport: Transport,
    /// The port.
    pub port: Port,
    /// The socket that answers at 127.0.0.1, its position in the table.
    pub ipv4: usize,
    /// The socket that answers at ::1, its position in the table.
    pub ipv6: usize,
}

impl Split {
    /// Which of the two a client of `localhost` reaches, by the order of its addresses; `None`
    /// when `localhost` is neither.
    #[must_use]
    pub fn reached(&self, order: &[IpAddr]) -> Option<(IpAddr, usize)> {
        order.iter().find_map(|address| match *address {
            address if address == Ipv4Addr::LOCALHOST => Some((address, self.ipv4)),
            address if address == Ipv6Addr::LOCALHOST => Some((address, self.ipv6)),
            _ => None,
        })
    }
}

/// Whether `localhost` leads to two programs at a port, in the namespace `netns`.
#[must_use]
pub fn split(table: &SocketTable, netns: u64, transport: Transport, port: Port) -> Option<Split> {
    let answering = |address| answering(table, netns, transport, port, address);
    let ipv4 = answering(Ipv4Addr::LOCALHOST.into())?;
    let ipv6 = answering(Ipv6Addr::LOCALHOST.into())?;
    let are_apart = !are_one(table, &table.sockets[ipv4], &table.sockets[ipv6]);
    (ipv4 != ipv6 && are_apart).then_some(Split { transport, port, ipv4, ipv6 })
}

/// The socket that gets what is sent to a loopback address: one bound to it is preferred to a
/// wildcard, and one of the family to a dual-stack one (net/ipv4/inet_hashtables.c,
/// compute_score).
fn answering(
    table: &SocketTable,
    netns: u64,
    transport: Transport,
    port: Port,
    address: IpAddr,
) -> Option<usize> {
    let score = |held: &Held| {
        let socket = &held.socket;
        let is_it = socket.is_listener()
            && socket.netns == netns
            && socket.transport.with_ports() == Some(transport)
            && socket.local_port() == Some(port);
        let bound = socket.local_endpoint().filter(|_| is_it)?.address;
        match () {
            () if bound.to_canonical() == address => Some(3),
            () if !bound.is_unspecified() => None,
            () if bound.is_ipv4() == address.is_ipv4() => Some(2),
            () if address.is_ipv4() && socket.is_dual_stack() => Some(1),
            () => None,
        }
    };
    let scored = table.sockets.iter().enumerate().filter_map(|(at, h)| Some((score(h)?, at)));
    let mut scored: Vec<(u8, usize)> = scored.collect();
    scored.sort_by_key(|(score, at)| (std::cmp::Reverse(*score), *at));
    // Of several that share a TCP port the first stands for all: each serves the same. Several
    // that share a UDP port mostly listen to a multicast group (mDNS): none of them answers alone.
    let is_shared = scored.len() > 1 && scored[0].0 == scored[1].0;
    scored.first().filter(|_| transport == Transport::Tcp || !is_shared).map(|(_, at)| *at)
}

/// Whether two sockets are of one program: they share a process, are processes of the same name in
/// one service (docker-proxy is a process for each family), or, where no process can be seen, were
/// made by the same user in one cgroup.
fn are_one(table: &SocketTable, a: &Held, b: &Held) -> bool {
    let shared = |h: &super::Holder| b.holders.iter().any(|other| other.pid == h.pid);
    if a.holders.is_empty() || b.holders.is_empty() {
        let made_by = |held: &Held| (held.socket.uid, held.socket.cgroup);
        return a.holders.is_empty() && b.holders.is_empty() && made_by(a) == made_by(b);
    }
    let name = |held| table.owners(held).next().map(|process| process.name.clone());
    let service = |held| table.unit(held).filter(|unit| unit.ends_with(".service"));
    let is_one_service = service(a).is_some() && service(a) == service(b) && name(a) == name(b);
    a.holders.iter().any(shared) || is_one_service
}

/// Addresses of one name in the order in which gai.conf(5) has them tried; as they are, where it
/// sets no precedence.
///
/// The C library has applied it already where it is glibc; musl does not read the file.
#[must_use]
pub fn by_precedence(mut addresses: Vec<IpAddr>, gai_conf: &str) -> Vec<IpAddr> {
    let rules: Vec<(Prefix, u32)> = gai_conf.lines().filter_map(precedence).collect();
    if !rules.is_empty() {
        let rank = |address: &IpAddr| {
            let mapped = match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
                v6 => *v6,
            };
            let matching = rules.iter().filter(|(prefix, _)| prefix.contains(mapped));
            matching.max_by_key(|(prefix, _)| prefix.length()).map_or(ANY, |(_, value)| *value)
        };
        addresses.sort_by_key(|address| std::cmp::Reverse(rank(address)));
    }
    addresses
}

/// A line such as `precedence ::ffff:0:0/96  100`.
fn precedence(line: &str) -> Option<(Prefix, u32)> {
    let line = line.split_once('#').map_or(line, |(before, _)| before);
    let mut words = line.split_whitespace();
    words.next().filter(|word| *word == "precedence")?;
    let (address, length) = words.next()?.split_once('/')?;
    let prefix = Prefix::new(address.parse().ok()?, length.parse().ok()?).ok()?;
    Some((prefix, words.next()?.parse().ok()?))
}

/// The precedence of ::/0 (RFC 6724 §2.1), which glibc adds to a table that lacks it.
const ANY: u32 = 40;

#[cfg(test)]
mod tests {
    use super::super::{Address, Family, Holder, Process, Socket, SocketTransport, State, Via};
    use super::*;
    use crate::net::Endpoint;

    fn listener(address: &str, v6only: bool, pid: u32) -> Held {
        let address: IpAddr = address.parse().unwrap();
        let endpoint = Endpoint::new(address, Port(5173));
        let family = if address.is_ipv6() { Family::Ipv6 } else { Family::Ipv4 };
        let bare = Socket::bare(SocketTransport::Tcp, family, State::Listen, 1, 0);
        let v6only = address.is_ipv6().then_some(v6only);
        let socket = Socket { local: Address::Inet(endpoint), v6only, ..bare };
        let holder = Holder { pid, fd: Some(3), via: Via::Fd };
        Held { socket, holders: vec![holder], unowned: None }
    }

    fn table(sockets: Vec<Held>) -> SocketTable {
        let process = |h: &Held| {
            let pid = h.holders[0].pid;
            (pid, Process { pid, name: "node".into(), ..Process::default() })
        };
        let processes = sockets.iter().map(process).collect();
        SocketTable { sockets, processes, ..SocketTable::default() }
    }

    fn found(sockets: Vec<Held>) -> Option<(usize, usize)> {
        let table = table(sockets);
        split(&table, 0, Transport::Tcp, Port(5173)).map(|s| (s.ipv4, s.ipv6))
    }

    #[test]
    fn one_program_on_each_loopback_address_is_a_split() {
        let both = vec![listener("127.0.0.1", false, 1), listener("::1", false, 2)];
        assert_eq!(found(both), Some((0, 1)));
        let wide = vec![listener("::", true, 2), listener("0.0.0.0", false, 1)];
        assert_eq!(found(wide), Some((1, 0)));
    }

    #[test]
    fn a_program_that_has_both_and_a_port_with_one_family_are_none() {
        assert_eq!(found(vec![listener("127.0.0.1", false, 1), listener("::1", false, 1)]), None);
        assert_eq!(found(vec![listener("127.0.0.1", false, 1)]), None);
        assert_eq!(found(vec![listener("::", false, 1)]), None);
    }

    #[test]
    fn of_several_that_share_a_udp_port_none_answers_alone() {
        let all = [("0.0.0.0", 1), ("0.0.0.0", 2), ("::", 3)];
        let mut sockets: Vec<Held> = all.map(|(a, pid)| listener(a, true, pid)).into();
        assert_eq!(found(sockets.clone()), Some((0, 2)));
        for held in &mut sockets {
            held.socket.transport = SocketTransport::Udp;
        }
        let table = table(sockets);
        assert_eq!(split(&table, 0, Transport::Udp, Port(5173)), None);
    }

    #[test]
    fn a_dual_stack_wildcard_leaves_ipv4_to_whoever_bound_it() {
        let both = vec![listener("::", false, 1), listener("127.0.0.1", false, 2)];
        assert_eq!(found(both), Some((1, 0)));
    }

    #[test]
    fn localhost_leads_to_whichever_address_comes_first() {
        let split = Split { transport: Transport::Tcp, port: Port(1), ipv4: 4, ipv6: 6 };
        let order = ["::1", "127.0.0.1"].map(|a| a.parse().unwrap());
        assert_eq!(split.reached(&order).map(|(_, at)| at), Some(6));
        assert_eq!(split.reached(&order[1..]).map(|(_, at)| at), Some(4));
        assert_eq!(split.reached(&[]), None);
    }

    #[test]
    fn gai_conf_puts_ipv4_first_where_it_says_so() {
        let order = || ["::1", "127.0.0.1"].map(|a| a.parse::<IpAddr>().unwrap()).to_vec();
        let first = |text| by_precedence(order(), text)[0].is_ipv4();
        assert!(!first(""));
        assert!(!first("#precedence ::ffff:0:0/96  100\nlabel ::1/128 0\n"));
        assert!(first("precedence ::ffff:0:0/96  100 # IPv4 first\n"));
        assert!(!first("precedence ::1/128 50\nprecedence ::ffff:0:0/96 10\n"));
        assert!(!first("precedence x/96 y\nprecedence ::/200 1\nprecedence"));
    }
}
