//! What an error of a socket means for a probe: an answer of the network, or trouble of our own.

use std::collections::HashSet;
use std::net::IpAddr;

use portolan_core::net::Prefix;
use portolan_core::scan::{Icmp, LocalError, Reply};
use portolan_core::wire::extended_error::{ExtendedError, Origin};
use rustix::io::Errno;

use crate::machine;

/// What an error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The network answered, through this address.
    Reply(Reply, IpAddr),
    /// The probe did not leave this machine.
    Refused(LocalError),
}

/// The addresses of this machine: who says "unreachable" from one of them is ourselves.
#[derive(Debug, Default)]
pub(crate) struct Own {
    addresses: HashSet<IpAddr>,
    /// Networks reached without a router.
    networks: Vec<Prefix>,
}

impl Own {
    /// Those of the thread's network namespace; only loopback where the kernel does not tell them.
    pub(crate) fn read() -> Self {
        let found = machine::addresses().unwrap_or_default();
        let addresses = found.iter().map(|found| found.address).collect();
        let mut networks: Vec<Prefix> = found.iter().map(|found| found.network).collect();
        networks.dedup();
        Self { addresses, networks }
    }

    /// Whether an address is this machine's own.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.addresses.contains(&address)
    }

    /// Whether an address is another machine's on one of our links.
    pub(crate) fn is_beside(&self, address: IpAddr) -> bool {
        !self.has(address) && self.networks.iter().any(|network| network.contains(address))
    }

    /// What an error of the error queue says about a probe to `target`; `None` for what is no error
    /// of a probe.
    pub(crate) fn judge(&self, target: IpAddr, error: &ExtendedError) -> Option<Verdict> {
        let icmp = match error.origin {
            Origin::Icmp { kind, code } => Icmp { v6: false, kind, code },
            Origin::Icmp6 { kind, code } => Icmp { v6: true, kind, code },
            Origin::Local => return Some(of_errno(error.errno)),
            Origin::Other(_) => return None,
        };
        let from = error.offender.unwrap_or(target);
        if !self.has(from) || self.has(target) {
            return Some(Verdict::Reply(Reply::Unreachable(icmp), from));
        }
        // Nobody answered ARP or neighbour discovery: arp_error_report() and ndisc_error_report() of
        // the kernel send the ICMP error to the socket themselves, from our own address. Any other
        // code from ourselves is a rule of our own that rejects.
        Some(if is_host_unreachable(icmp) {
            Verdict::Reply(Reply::NoNeighbour, from)
        } else {
            Verdict::Refused(LocalError::NotPermitted)
        })
    }
}

fn of_errno(errno: u32) -> Verdict {
    let errno = i32::try_from(errno).unwrap_or_default();
    Verdict::Refused(local(Errno::from_raw_os_error(errno)))
}

/// ICMP 3/1; ICMPv6 1/3, address unreachable.
const fn is_host_unreachable(icmp: Icmp) -> bool {
    matches!((icmp.v6, icmp.kind, icmp.code), (false, 3, 1) | (true, 1, 3))
}

/// Why a system call could not send a probe. EINVAL is what a `blackhole` route says, EACCES a
/// `prohibit` one (fib_props of net/ipv4/fib_semantics.c).
pub(crate) fn local(errno: Errno) -> LocalError {
    match errno {
        Errno::MFILE | Errno::NFILE => LocalError::Descriptors,
        Errno::NOBUFS | Errno::NOMEM | Errno::AGAIN => LocalError::Buffers,
        Errno::ADDRNOTAVAIL => LocalError::Ports,
        Errno::PERM | Errno::ACCESS => LocalError::NotPermitted,
        Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::INVAL | Errno::NETDOWN => {
            LocalError::NoRoute
        }
        other => LocalError::Other(other.raw_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(from: &str, kind: u8, code: u8) -> ExtendedError {
        let origin = Origin::Icmp { kind, code };
        ExtendedError { errno: 113, origin, offender: from.parse().ok() }
    }

    #[test]
    fn our_own_word_about_another_host_is_not_that_hosts() {
        let addresses = HashSet::from(["10.0.0.1".parse().unwrap()]);
        let own = Own { addresses, networks: vec!["10.0.0.0/24".parse().unwrap()] };
        assert!(own.is_beside("10.0.0.2".parse().unwrap()));
        assert!(!own.is_beside("10.0.0.1".parse().unwrap()));
        let target = "10.0.0.2".parse().unwrap();
        let judge = |from, kind, code| own.judge(target, &error(from, kind, code)).unwrap();
        assert!(matches!(judge("10.0.0.1", 3, 1), Verdict::Reply(Reply::NoNeighbour, _)));
        assert_eq!(judge("10.0.0.1", 3, 13), Verdict::Refused(LocalError::NotPermitted));
        let icmp = Icmp { v6: false, kind: 3, code: 1 };
        let router = "10.0.0.254";
        let expected = Verdict::Reply(Reply::Unreachable(icmp), router.parse().unwrap());
        assert_eq!(judge(router, 3, 1), expected);
        let here = own.judge("10.0.0.1".parse().unwrap(), &error("10.0.0.1", 3, 3));
        assert!(matches!(here, Some(Verdict::Reply(Reply::Unreachable(_), _))));
    }
}
