//! The ports of a scan, out of a port set.

use crate::net::{Port, Transport};
use crate::registry::port_set::PortSelection;

/// Every selected port with its transport, TCP first, ascending.
///
/// # Errors
/// [`Unscannable`] for a transport that has no probe.
pub fn ports(selection: &PortSelection) -> Result<Vec<(Port, Transport)>, Unscannable> {
    let mut ports = Vec::new();
    for transport in selection.transports().iter() {
        if !matches!(transport, Transport::Tcp | Transport::Udp) {
            return Err(Unscannable { transport });
        }
        ports.extend(selection.of(transport).iter().map(|port| (port, transport)));
    }
    Ok(ports)
}

/// A transport whose ports cannot be asked: without its module, which most machines lack, the kernel
/// neither sends an SCTP INIT or a DCCP Request nor hands in what answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{transport} ports cannot be scanned, only those of tcp and udp")]
pub struct Unscannable {
    /// The transport.
    pub transport: Transport,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::TransportSet;
    use crate::registry::{Registry, port_set};

    fn selected(text: &str) -> Result<Vec<(Port, Transport)>, Unscannable> {
        let usual = TransportSet::NONE.with(Transport::Tcp);
        ports(&port_set::parse(text, usual, &Registry::embedded()).unwrap())
    }

    #[test]
    fn every_port_stands_once_with_its_transport() {
        let expected =
            [(Port(22), Transport::Tcp), (Port(80), Transport::Tcp), (Port(53), Transport::Udp)];
        assert_eq!(selected("80,22,80,u:53").unwrap(), expected);
        assert_eq!(selected("top:1000").unwrap().len(), 1000);
        assert_eq!(selected("all,u:all").unwrap().len(), 131_070);
    }

    #[test]
    fn transports_without_a_probe_are_refused() {
        assert_eq!(selected("22,s:5000"), Err(Unscannable { transport: Transport::Sctp }));
    }
}
