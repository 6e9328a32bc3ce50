//! The connections the kernel tracks in this network namespace (ctnetlink), forgetting one, and telling
//! it of one.
//!
//! Reading and deleting take CAP_NET_ADMIN. Where nothing in the namespace asks for connection
//! tracking the table is empty: the kernel tracks only where rules want it
//! (net/netfilter/nf_conntrack_proto.c, nf_ct_netns_get).

use std::io;

use portolan_core::net::{Gap, Observed, Why};
use portolan_core::wire::conntrack::{self, Entry};
use portolan_core::wire::netlink;
use rustix::io::Errno;
use rustix::net::netlink::NETFILTER;

use crate::netlink::{Dump, Netlink};

/// Every connection of both families. What cannot be seen is a gap.
#[must_use]
pub fn connections() -> Observed<Vec<Entry>> {
    match read() {
        Ok((entries, Dump::Whole)) => Observed::whole(entries),
        Ok((entries, Dump::Interrupted)) => {
            let hint = "the table changed meanwhile: ask again";
            let gap = Gap::aside("some tracked connections", Why::Vanished, hint);
            Observed { value: entries, gaps: vec![gap] }
        }
        Ok((_, Dump::Refused(errno))) => without(&io::Error::from_raw_os_error(errno.0)),
        Err(error) => without(&error),
    }
}

fn read() -> io::Result<(Vec<Entry>, Dump)> {
    let mut netlink = Netlink::open(Some(NETFILTER))?;
    let mut entries = Vec::new();
    let end = netlink.dump(conntrack::GET, &conntrack::everything(), |_, body| {
        entries.extend(Entry::parse(body).ok().flatten());
    })?;
    Ok((entries, end))
}

fn without(error: &io::Error) -> Observed<Vec<Entry>> {
    let gap = match Errno::from_io_error(error) {
        Some(Errno::PERM | Errno::ACCESS) => Gap::aside(WHAT, Why::NotPermitted, "run with sudo"),
        // No module serves the subsystem (net/netfilter/nfnetlink.c).
        Some(Errno::INVAL | Errno::PROTONOSUPPORT | Errno::NOENT) => {
            Gap::aside(WHAT, Why::Unsupported, "load the module nf_conntrack_netlink")
        }
        _ => Gap::aside(format!("{WHAT} ({error})"), Why::Unsupported, ""),
    };
    Observed { value: Vec::new(), gaps: vec![gap] }
}

/// Forgets these connections, so that their next packet is judged as a new one. One that is gone
/// already, or whose tuple a later connection has, counts as forgotten. Returns how many were there.
///
/// # Errors
/// When the kernel refuses.
pub fn forget<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> io::Result<usize> {
    let mut netlink = Netlink::open(Some(NETFILTER))?;
    let mut forgotten = 0;
    for entry in entries {
        let request = |sequence| {
            let flags = netlink::ACKNOWLEDGE;
            netlink::request(conntrack::DELETE, flags, sequence, &entry.deletion())
        };
        match netlink.ask(request, |_, _| ())? {
            Dump::Refused(netlink::Errno::NOT_FOUND) => {}
            Dump::Refused(errno) => return Err(io::Error::from_raw_os_error(errno.0)),
            Dump::Whole | Dump::Interrupted => forgotten += 1,
        }
    }
    Ok(forgotten)
}

/// Makes these entries, unless there are such. Returns how many were made.
///
/// # Errors
/// When the kernel refuses.
pub fn track<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> io::Result<usize> {
    let mut netlink = Netlink::open(Some(NETFILTER))?;
    let mut made = 0;
    for entry in entries {
        let request = |sequence| {
            let flags = netlink::ACKNOWLEDGE | netlink::CREATE;
            netlink::request(conntrack::NEW, flags, sequence, &entry.creation())
        };
        match netlink.ask(request, |_, _| ())? {
            // As one that a translation changed is known by another tuple.
            Dump::Refused(netlink::Errno::EXISTS) => {}
            Dump::Refused(errno) => return Err(io::Error::from_raw_os_error(errno.0)),
            Dump::Whole | Dump::Interrupted => made += 1,
        }
    }
    Ok(made)
}

const WHAT: &str = "tracked connections";
