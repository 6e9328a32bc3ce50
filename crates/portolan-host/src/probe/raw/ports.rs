//! The ports our SYNs leave from: bound, so that nothing else on this machine gets them meanwhile and
//! the kernel gives none of them to a connection. Nothing listens on them.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use portolan_core::net::{Port, PortRange};
use portolan_core::socket::LocalPorts;
use socket2::{Domain, Socket, Type};

use crate::machine;

/// A block of ports that are ours.
#[derive(Debug)]
pub(super) struct SourcePorts {
    /// The first of [`COUNT`].
    pub(super) first: Port,
    #[expect(dead_code, reason = "holds the ports as long as it lives")]
    held: Vec<Socket>,
}

impl SourcePorts {
    /// Takes a block that the kernel hands out none of; `start` says where to begin looking.
    ///
    /// # Errors
    /// The last refusal, when no block is free.
    pub(super) fn reserve(start: u64) -> io::Result<Self> {
        let blocks = blocks(&machine::local_ports().value);
        let mut refusal = io::ErrorKind::AddrNotAvailable.into();
        let skip = usize::try_from(start % blocks.len().max(1) as u64).unwrap_or(0);
        for first in blocks.iter().cycle().skip(skip).take(blocks.len()) {
            match hold(*first) {
                Ok(held) => return Ok(Self { first: *first, held }),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }
}

/// First ports of the blocks that may be taken: those above the ephemeral range if there are any,
/// else those below, else any.
fn blocks(local: &LocalPorts) -> Vec<Port> {
    let (first, last) = (local.ephemeral.first().0, local.ephemeral.last().0);
    let above = last.saturating_add(1)..=u16::MAX;
    let below = local.unprivileged_start.0.max(1024)..=first.saturating_sub(1);
    [above, below, 1024..=u16::MAX]
        .into_iter()
        .map(|range| within(*range.start(), *range.end(), local))
        .find(|blocks| !blocks.is_empty())
        .unwrap_or_default()
}

fn within(first: u16, last: u16, local: &LocalPorts) -> Vec<Port> {
    let is_free = |first: &Port| {
        let range = PortRange::new(*first, Port(first.0 + (COUNT - 1)));
        range.is_ok_and(|range| !range.iter().any(|port| local.reserved.contains(port)))
    };
    let count = (u32::from(last) + 1).saturating_sub(first.into()) / u32::from(COUNT);
    let nth = |n: u32| u16::try_from(u32::from(first) + n * u32::from(COUNT)).ok();
    (0..count).filter_map(nth).map(Port).filter(is_free).collect()
}

fn hold(first: Port) -> io::Result<Vec<Socket>> {
    (0..COUNT).map(|place| bind(first.0 + place)).collect()
}

/// For both families at once; for IPv4 alone where there is no IPv6.
fn bind(port: u16) -> io::Result<Socket> {
    let both = Socket::new(Domain::IPV6, Type::STREAM, None).and_then(|socket| {
        socket.set_only_v6(false)?;
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
        Ok(socket)
    });
    match both {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
            Ok(socket)
        }
        result => result,
    }
}

/// So many that a port asked twice, in two scans, seldom meets what the first left at the host.
pub(super) const COUNT: u16 = 16;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn ports_that_are_held_cannot_be_bound_and_two_blocks_share_none() {
        let one = SourcePorts::reserve(7).unwrap();
        let other = SourcePorts::reserve(7).unwrap();
        assert!(one.first.0.abs_diff(other.first.0) >= COUNT);
        for port in one.first.0..one.first.0 + COUNT {
            assert!(TcpListener::bind(("127.0.0.1", port)).is_err(), "{port}");
        }
    }

    #[test]
    fn blocks_lie_above_the_ephemeral_range_then_below_then_anywhere() {
        let range = |first, last| PortRange::new(Port(first), Port(last)).unwrap();
        let of = |first, last| {
            blocks(&LocalPorts { ephemeral: range(first, last), ..LocalPorts::default() })
        };
        assert!(of(32_768, 60_999).iter().all(|first| first.0 >= 61_000));
        assert!(of(32_768, 65_535).iter().all(|first| (1024..32_760).contains(&first.0)));
        assert!(!of(1024, 65_535).is_empty());
    }
}
