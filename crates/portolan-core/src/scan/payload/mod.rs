//! What a UDP port is asked with: a datagram its protocol answers to.
//!
//! Our own bytes, each written from the specification named beside it; none changes anything at the
//! host or asks for more than it must. A port nobody speaks a known protocol on gets an empty
//! datagram, and so do protocols that answer nobody they do not know: WireGuard, RADIUS, syslog.
//! There silence is an open port's only answer.

mod asn1;
mod binary;
mod dns;
mod secure;
mod text;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::net::Port;

/// The datagram for a port; empty where none is known.
#[must_use]
pub fn of(port: Port) -> &'static [u8] {
    static TABLE: LazyLock<HashMap<u16, Vec<u8>>> = LazyLock::new(|| {
        let by_ports = PROTOCOLS.iter().map(|(ports, make)| (ports, make()));
        by_ports.flat_map(|(ports, bytes)| ports.iter().map(move |p| (*p, bytes.clone()))).collect()
    });
    TABLE.get(&port.0).map_or(&[], Vec::as_slice)
}

/// Ports, and what makes the datagram their protocol answers to.
type Protocol = (&'static [u16], fn() -> Vec<u8>);

const PROTOCOLS: &[Protocol] = &[
    (&[7], binary::echo),
    (&[53], dns::root_servers),
    (&[69], binary::tftp),
    (&[88], asn1::kerberos),
    (&[111], || binary::rpc_null(100_000, 2)),
    (&[123], binary::ntp),
    (&[137], dns::netbios_status),
    (&[161], asn1::snmp),
    (&[177], binary::xdmcp),
    (&[389], asn1::ldap),
    (&[427], binary::slp),
    (&[443, 853, 4433, 8443], secure::quic),
    (&[500], secure::ike),
    (&[520], binary::rip),
    (&[623], binary::rmcp),
    (&[1194], secure::openvpn),
    (&[1434], binary::sql_browser),
    (&[1701], binary::l2tp),
    (&[1900], text::ssdp),
    (&[2049], || binary::rpc_null(100_003, 3)),
    (&[2083, 5349, 5684, 10161], secure::dtls),
    (&[2123], binary::gtp_control),
    (&[2152], binary::gtp_user),
    (&[2268], binary::amt),
    (&[3478, 19302], binary::stun),
    (&[3702], text::ws_discovery),
    (&[4500], secure::ike_behind_nat),
    (&[5060], text::sip),
    (&[5351], binary::nat_pmp),
    (&[5353], dns::multicast_services),
    (&[5683], binary::coap),
    (&[8805], binary::pfcp),
    (&[11211], binary::memcached),
    (&[27015], binary::source_engine),
    (&[64738], binary::mumble),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_port_has_one_protocol_and_a_datagram_that_fits_any_link() {
        let mut seen = HashSet::new();
        for port in PROTOCOLS.iter().flat_map(|(ports, _)| *ports) {
            assert!(seen.insert(port), "{port} twice");
            let datagram = of(Port(*port));
            assert!(!datagram.is_empty(), "{port}");
            // IPv6's least MTU without the headers of IPv6 and UDP (RFC 8200 §5).
            assert!(datagram.len() <= 1232, "{port}");
        }
    }

    #[test]
    fn a_port_without_a_known_protocol_gets_an_empty_datagram() {
        assert!(of(Port(51820)).is_empty());
        assert!(of(Port(0)).is_empty());
    }
}
