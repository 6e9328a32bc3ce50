//! Which tables of nf_tables there are, where nft(8) is not: their names, from the kernel itself.
//!
//! That takes CAP_NET_ADMIN (net/netfilter/nfnetlink.c). A kernel that serves no nf_tables has no tables.

use std::fmt;
use std::io;

use portolan_core::firewall::Family;
use portolan_core::wire::nf_tables::{EVERY_TABLE, GET_TABLE, table};
use rustix::io::Errno;
use rustix::net::netlink::NETFILTER;

use super::read::ReadFault;
use crate::netlink::{Dump, Netlink};

/// A table that nobody listed.
#[derive(Debug)]
pub(super) struct Unlisted {
    /// NFPROTO_*.
    pub(super) family: u8,
    /// Its name.
    pub(super) name: Box<str>,
}

impl fmt::Display for Unlisted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = FAMILIES.into_iter().find(|family| number(*family) == self.family);
        let word = family.map_or("a family not known here:", Family::as_str);
        write!(f, "{word} {}", self.name)
    }
}

/// The tables of this network namespace, those of iptables with nf_tables beneath among them.
///
/// # Errors
/// Who may not ask, and where the kernel does not answer.
pub(super) fn tables() -> Result<Vec<Unlisted>, ReadFault> {
    for _ in 0..TRIES {
        match listed() {
            Ok((tables, Dump::Whole)) => return Ok(tables),
            Ok((_, Dump::Interrupted)) => {}
            Ok((_, Dump::Refused(errno))) => {
                return nothing_or(io::Error::from_raw_os_error(errno.0));
            }
            Err(error) => return nothing_or(error),
        }
    }
    Err(ReadFault::NoList(io::Error::other("the tables changed meanwhile: ask again")))
}

fn listed() -> io::Result<(Vec<Unlisted>, Dump)> {
    let mut netlink = Netlink::open(Some(NETFILTER))?;
    let (mut tables, mut broken) = (Vec::new(), None);
    let end = netlink.dump(GET_TABLE, &EVERY_TABLE, |_, body| match table(body) {
        Ok((family, name)) => tables.push(Unlisted { family, name }),
        Err(error) => broken = Some(error),
    })?;
    match broken {
        Some(error) => Err(io::Error::other(error)),
        None => Ok((tables, end)),
    }
}

fn nothing_or(error: io::Error) -> Result<Vec<Unlisted>, ReadFault> {
    match Errno::from_io_error(&error) {
        Some(Errno::PERM | Errno::ACCESS) => Err(ReadFault::NotPermitted),
        // No module serves the subsystem, or none netlink of netfilter (net/netlink/af_netlink.c).
        Some(Errno::INVAL | Errno::PROTONOSUPPORT) => Ok(Vec::new()),
        _ => Err(ReadFault::NoList(error)),
    }
}

/// NFPROTO_* of include/uapi/linux/netfilter.h.
pub(super) const fn number(family: Family) -> u8 {
    match family {
        Family::Inet => 1,
        Family::Ip => 2,
        Family::Arp => 3,
        Family::Netdev => 5,
        Family::Bridge => 7,
        Family::Ip6 => 10,
    }
}

const FAMILIES: [Family; 6] =
    [Family::Inet, Family::Ip, Family::Arp, Family::Netdev, Family::Bridge, Family::Ip6];

/// A dump that was interrupted is asked for again.
const TRIES: usize = 5;
