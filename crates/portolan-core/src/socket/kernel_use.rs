//! What the kernel itself uses a port for: the other end of a tunnel, NFS, a file system.
//!
//! No process holds such a socket, so it is told by its port. The tables come from netlink and from
//! files of /proc; the text ones are read here.

use std::fmt;

use crate::net::{Port, Transport};

/// A port that the kernel serves or tunnels through.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelUse {
    /// Inode of the network namespace it is in.
    pub netns: u64,
    /// The transport.
    pub transport: Transport,
    /// The port.
    pub port: Port,
    /// What for: `vxlan`, `geneve`, `bareudp`, `amt`, `wireguard`, `fou`, `gue`, `l2tp`, `nfsd`, `lockd`,
    /// `nfs-callback`, `rxrpc`, `rds`, `tipc`.
    pub kind: Box<str>,
    /// The network device, where it is for one.
    pub device: Option<Box<str>>,
}

impl fmt::Display for KernelUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.device {
            Some(device) => write!(f, "{} {device}", self.kind),
            None => f.write_str(&self.kind),
        }
    }
}

/// The ports of the NFS server, from /proc/fs/nfsd/portlist: a line `tcp 2049` for each socket.
pub fn nfsd_ports(text: &str) -> impl Iterator<Item = (Transport, Port)> {
    text.lines().filter_map(|line| {
        let (transport, port) = line.split_once(' ')?;
        Some((transport.parse().ok()?, port.trim().parse().ok()?))
    })
}

/// The ports of AF_RXRPC, from /proc/net/rxrpc/locals: `UDP   [::]:7001   1   1   0`.
pub fn rxrpc_ports(text: &str) -> impl Iterator<Item = Port> {
    text.lines().skip(1).filter_map(|line| {
        let local = line.split_whitespace().nth(1)?;
        local.rsplit_once(':')?.1.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_list_of_nfsd_names_transports_and_ports() {
        // fs/nfsd: svc_xprt_names(); rdma has no port of ours.
        let found: Vec<_> = nfsd_ports("rdma 20049\nudp 2049\ntcp 2049\n").collect();
        assert_eq!(found, [(Transport::Udp, Port(2049)), (Transport::Tcp, Port(2049))]);
        assert_eq!(nfsd_ports("tcp\n tcp\ntcp 70000\n").count(), 0);
    }

    #[test]
    fn the_local_ends_of_rxrpc_have_a_heading() {
        // net/rxrpc/proc.c: rxrpc_local_seq_show()
        let text = "Proto Local                                           Use Act RxQ\n\
                    UDP   0.0.0.0:7001                                    3   1   0\n\
                    UDP   [::]:7001                                       1   1   0\n";
        assert_eq!(rxrpc_ports(text).collect::<Vec<_>>(), [Port(7001), Port(7001)]);
    }
}
