//! The kernel's table of connections over netlink (ctnetlink): listing it, deleting one entry.
//!
//! ```text
//! message = family u8 · version u8 · 0 u16 · attribute*
//! entry   = original { tuple } · reply { tuple } · status · timeout · mark · id · zone · protocol state …
//! tuple   = { source · destination } · { protocol · ports, or ICMP id, type and code }
//! ```
//! Numbers inside attributes are in network order (linux/netfilter/nfnetlink_conntrack.h). An entry
//! keeps its translation and its state when the rules change (net/netfilter/nf_nat_core.c), so that
//! who changes rules has to look here too.

use std::net::IpAddr;

use super::netlink::{Attribute, NetlinkError, attributes, push_attribute};

/// Message type that asks for entries: subsystem 1, IPCTNL_MSG_CT_GET.
pub const GET: u16 = 0x0101;

/// Message type that deletes an entry: IPCTNL_MSG_CT_DELETE.
pub const DELETE: u16 = 0x0102;

/// Message type that makes an entry: IPCTNL_MSG_CT_NEW.
pub const NEW: u16 = 0x0100;

/// One connection, as the kernel tracks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How its first packet went, before any translation.
    pub original: Tuple,
    /// How its answers come, so with what a translation changed.
    pub reply: Tuple,
    /// IPS_* bits of linux/netfilter/nf_conntrack_common.h.
    pub status: u32,
    /// Where a TCP connection is; `None` for everything else.
    pub tcp: Option<TcpState>,
    /// `ct mark`.
    pub mark: u32,
    /// Seconds until it is forgotten if nothing more comes.
    pub timeout_s: u32,
    /// What tells it from a later one with the same tuple.
    pub id: u32,
    /// The zone; 0 unless rules set one.
    pub zone: u16,
}

/// Ends and protocol of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// From.
    pub source: IpAddr,
    /// To, of the same family.
    pub destination: IpAddr,
    /// IANA's protocol number.
    pub protocol: u8,
    /// What is above it.
    pub ends: Ends,
}

/// What tells connections of the same hosts and protocol apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ends {
    /// TCP, UDP, UDP-Lite, SCTP, DCCP; for GRE its two keys.
    Ports {
        /// From this port.
        source: u16,
        /// To this port.
        destination: u16,
    },
    /// ICMP and ICMPv6.
    Icmp {
        /// The identifier of an echo.
        id: u16,
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
    /// Nothing: every packet of the protocol between the two is one connection.
    None,
}

/// Where a TCP connection is (linux/netfilter/nf_conntrack_tcp.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TcpState {
    /// Nothing was seen of it.
    None,
    /// A SYN.
    SynSent,
    /// A SYN and its SYN-ACK.
    SynReceived,
    /// Both have spoken.
    Established,
    /// One side has closed.
    FinWait,
    /// The other has acknowledged that.
    CloseWait,
    /// Both have closed, the last acknowledgement is missing.
    LastAck,
    /// Over; what may still be on its way is waited for.
    TimeWait,
    /// Reset.
    Close,
    /// SYNs from both sides.
    SynSentTwice,
    /// A number this program does not know.
    Unknown(u8),
}

impl Entry {
    /// IPS_SEEN_REPLY: packets were seen in both directions.
    pub const SEEN_REPLY: u32 = 1 << 1;
    /// IPS_ASSURED: it is not forgotten early when the table is full.
    pub const ASSURED: u32 = 1 << 2;
    /// IPS_CONFIRMED: it stands in the table.
    pub const CONFIRMED: u32 = 1 << 3;
    /// IPS_SRC_NAT: the source was translated.
    pub const SOURCE_TRANSLATED: u32 = 1 << 4;
    /// IPS_DST_NAT: the destination was translated.
    pub const DESTINATION_TRANSLATED: u32 = 1 << 5;

    /// Whether `bits` are all set in its status.
    #[must_use]
    pub const fn has(&self, bits: u32) -> bool {
        self.status & bits == bits
    }

    /// Whether rules see its packets as `established`: an answer was seen, and where it is TCP it has
    /// not been reset or closed.
    #[must_use]
    pub const fn is_established(&self) -> bool {
        let over =
            matches!(self.tcp, Some(TcpState::TimeWait | TcpState::Close | TcpState::LastAck));
        self.has(Self::SEEN_REPLY) && !over
    }

    /// Reads the body of a message: `None` where it lacks a tuple we can read, as entries of layer-3
    /// protocols other than IP do.
    ///
    /// # Errors
    /// Bytes that are no netlink.
    pub fn parse(body: &[u8]) -> Result<Option<Self>, NetlinkError> {
        let rest =
            body.get(FIXED..).ok_or(NetlinkError::Header { found: body.len(), needed: FIXED })?;
        let (mut original, mut reply) = (None, None);
        let (mut status, mut mark, mut timeout_s, mut id, mut zone) = (0, 0, 0, 0, 0);
        let mut tcp = None;
        for attribute in attributes(rest) {
            let attribute = attribute?;
            match attribute.kind {
                CTA_TUPLE_ORIG => original = Tuple::parse(attribute.value)?,
                CTA_TUPLE_REPLY => reply = Tuple::parse(attribute.value)?,
                CTA_STATUS => status = big32(&attribute),
                CTA_PROTOINFO => tcp = tcp_state(attribute.value)?,
                CTA_TIMEOUT => timeout_s = big32(&attribute),
                CTA_MARK => mark = big32(&attribute),
                CTA_ID => id = big32(&attribute),
                CTA_ZONE => zone = big16(&attribute),
                _ => {}
            }
        }
        let both = original.zip(reply);
        Ok(both.map(|(original, reply)| Self {
            original,
            reply,
            status,
            tcp,
            mark,
            timeout_s,
            id,
            zone,
        }))
    }

    /// The body of a [`DELETE`] that hits this entry and no later one with the same tuple.
    #[must_use]
    pub fn deletion(&self) -> Vec<u8> {
        let mut body = header(&self.original);
        push_attribute(&mut body, NESTED | CTA_TUPLE_ORIG, &self.original.attributes());
        push_attribute(&mut body, CTA_ID, &self.id.to_be_bytes());
        if self.zone != 0 {
            push_attribute(&mut body, CTA_ZONE, &self.zone.to_be_bytes());
        }
        body
    }

    /// A connection that is open and whose beginning the kernel did not track: from `source` to
    /// `destination`, with both directions seen. For TCP it is established.
    #[must_use]
    pub fn open(protocol: u8, source: (IpAddr, u16), destination: (IpAddr, u16)) -> Self {
        let way = |(from, from_port): (IpAddr, u16), (to, to_port): (IpAddr, u16)| Tuple {
            source: from,
            destination: to,
            protocol,
            ends: Ends::Ports { source: from_port, destination: to_port },
        };
        let is_tcp = protocol == TCP;
        Self {
            original: way(source, destination),
            reply: way(destination, source),
            status: Self::SEEN_REPLY | Self::ASSURED | Self::CONFIRMED,
            tcp: is_tcp.then_some(TcpState::Established),
            mark: 0,
            timeout_s: if is_tcp { TCP_ESTABLISHED_S } else { STREAM_S },
            id: 0,
            zone: 0,
        }
    }

    /// The body of a [`NEW`] that makes this entry. Where the windows of TCP are is not known: the kernel
    /// is told to be liberal, as it is where it picks a connection up itself (tcp_new in
    /// net/netfilter/nf_conntrack_proto_tcp.c).
    #[must_use]
    pub fn creation(&self) -> Vec<u8> {
        let mut body = header(&self.original);
        push_attribute(&mut body, NESTED | CTA_TUPLE_ORIG, &self.original.attributes());
        push_attribute(&mut body, NESTED | CTA_TUPLE_REPLY, &self.reply.attributes());
        push_attribute(&mut body, CTA_STATUS, &self.status.to_be_bytes());
        push_attribute(&mut body, CTA_TIMEOUT, &self.timeout_s.to_be_bytes());
        if let Some(state) = self.tcp {
            let (mut tcp, mut info) = (Vec::new(), Vec::new());
            push_attribute(&mut tcp, CTA_PROTOINFO_TCP_STATE, &[state.number()]);
            for kind in [CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, CTA_PROTOINFO_TCP_FLAGS_REPLY] {
                push_attribute(&mut tcp, kind, &[LIBERAL, LIBERAL]);
            }
            push_attribute(&mut info, NESTED | CTA_PROTOINFO_TCP, &tcp);
            push_attribute(&mut body, NESTED | CTA_PROTOINFO, &info);
        }
        body
    }

    /// The entry as the kernel writes it, as far as it is read here.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let mut body = header(&self.original);
        push_attribute(&mut body, NESTED | CTA_TUPLE_ORIG, &self.original.attributes());
        push_attribute(&mut body, NESTED | CTA_TUPLE_REPLY, &self.reply.attributes());
        push_attribute(&mut body, CTA_STATUS, &self.status.to_be_bytes());
        push_attribute(&mut body, CTA_TIMEOUT, &self.timeout_s.to_be_bytes());
        push_attribute(&mut body, CTA_MARK, &self.mark.to_be_bytes());
        push_attribute(&mut body, CTA_ID, &self.id.to_be_bytes());
        push_attribute(&mut body, CTA_ZONE, &self.zone.to_be_bytes());
        if let Some(state) = self.tcp {
            let (mut tcp, mut info) = (Vec::new(), Vec::new());
            push_attribute(&mut tcp, CTA_PROTOINFO_TCP_STATE, &[state.number()]);
            push_attribute(&mut info, NESTED | CTA_PROTOINFO_TCP, &tcp);
            push_attribute(&mut body, NESTED | CTA_PROTOINFO, &info);
        }
        body
    }
}

/// The body of a [`GET`] for the connections of both families.
#[must_use]
pub fn everything() -> Vec<u8> {
    vec![0; FIXED]
}

impl Tuple {
    /// Its ports, where it has any.
    #[must_use]
    pub const fn ports(&self) -> Option<(u16, u16)> {
        match self.ends {
            Ends::Ports { source, destination } => Some((source, destination)),
            Ends::Icmp { .. } | Ends::None => None,
        }
    }

    fn parse(bytes: &[u8]) -> Result<Option<Self>, NetlinkError> {
        let mut addresses = None;
        let mut protocol = None;
        for attribute in attributes(bytes) {
            let attribute = attribute?;
            match attribute.kind {
                CTA_TUPLE_IP => addresses = addresses_of(attribute.value)?,
                CTA_TUPLE_PROTO => protocol = protocol_of(attribute.value)?,
                _ => {}
            }
        }
        let (Some((source, destination)), Some((protocol, ends))) = (addresses, protocol) else {
            return Ok(None);
        };
        Ok(Some(Self { source, destination, protocol, ends }))
    }

    fn attributes(&self) -> Vec<u8> {
        let (mut ip, mut proto, mut tuple) = (Vec::new(), Vec::new(), Vec::new());
        for (address, v4, v6) in [
            (self.source, CTA_IP_V4_SRC, CTA_IP_V6_SRC),
            (self.destination, CTA_IP_V4_DST, CTA_IP_V6_DST),
        ] {
            match address {
                IpAddr::V4(address) => push_attribute(&mut ip, v4, &address.octets()),
                IpAddr::V6(address) => push_attribute(&mut ip, v6, &address.octets()),
            }
        }
        push_attribute(&mut proto, CTA_PROTO_NUM, &[self.protocol]);
        match self.ends {
            Ends::Ports { source, destination } => {
                push_attribute(&mut proto, CTA_PROTO_SRC_PORT, &source.to_be_bytes());
                push_attribute(&mut proto, CTA_PROTO_DST_PORT, &destination.to_be_bytes());
            }
            Ends::Icmp { id, kind, code } => {
                let first =
                    if self.source.is_ipv4() { CTA_PROTO_ICMP_ID } else { CTA_PROTO_ICMPV6_ID };
                push_attribute(&mut proto, first, &id.to_be_bytes());
                push_attribute(&mut proto, first + 1, &[kind]);
                push_attribute(&mut proto, first + 2, &[code]);
            }
            Ends::None => {}
        }
        push_attribute(&mut tuple, NESTED | CTA_TUPLE_IP, &ip);
        push_attribute(&mut tuple, NESTED | CTA_TUPLE_PROTO, &proto);
        tuple
    }
}

impl TcpState {
    const KNOWN: [Self; 10] = [
        Self::None,
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait,
        Self::CloseWait,
        Self::LastAck,
        Self::TimeWait,
        Self::Close,
        Self::SynSentTwice,
    ];

    fn of(number: u8) -> Self {
        Self::KNOWN.get(usize::from(number)).copied().unwrap_or(Self::Unknown(number))
    }

    fn number(self) -> u8 {
        match self {
            Self::Unknown(number) => number,
            known => Self::KNOWN
                .iter()
                .position(|state| *state == known)
                .and_then(|n| u8::try_from(n).ok())
                .expect("every other state is in the list"),
        }
    }
}

fn addresses_of(bytes: &[u8]) -> Result<Option<(IpAddr, IpAddr)>, NetlinkError> {
    let (mut source, mut destination) = (None, None);
    for attribute in attributes(bytes) {
        let attribute = attribute?;
        match attribute.kind {
            CTA_IP_V4_SRC => source = v4(&attribute),
            CTA_IP_V4_DST => destination = v4(&attribute),
            CTA_IP_V6_SRC => source = v6(&attribute),
            CTA_IP_V6_DST => destination = v6(&attribute),
            _ => {}
        }
    }
    Ok(source.zip(destination).filter(|(a, b)| a.is_ipv4() == b.is_ipv4()))
}

fn protocol_of(bytes: &[u8]) -> Result<Option<(u8, Ends)>, NetlinkError> {
    let mut number = None;
    let (mut source, mut destination) = (None, None);
    let (mut id, mut kind, mut code) = (None, 0, 0);
    for attribute in attributes(bytes) {
        let attribute = attribute?;
        let byte = attribute.u8().unwrap_or_default();
        match attribute.kind {
            CTA_PROTO_NUM => number = attribute.u8(),
            CTA_PROTO_SRC_PORT => source = Some(big16(&attribute)),
            CTA_PROTO_DST_PORT => destination = Some(big16(&attribute)),
            CTA_PROTO_ICMP_ID | CTA_PROTO_ICMPV6_ID => id = Some(big16(&attribute)),
            CTA_PROTO_ICMP_TYPE | CTA_PROTO_ICMPV6_TYPE => kind = byte,
            CTA_PROTO_ICMP_CODE | CTA_PROTO_ICMPV6_CODE => code = byte,
            _ => {}
        }
    }
    let ends = match (source.zip(destination), id) {
        (Some((source, destination)), _) => Ends::Ports { source, destination },
        (None, Some(id)) => Ends::Icmp { id, kind, code },
        (None, None) => Ends::None,
    };
    Ok(number.map(|number| (number, ends)))
}

fn tcp_state(bytes: &[u8]) -> Result<Option<TcpState>, NetlinkError> {
    for attribute in attributes(bytes) {
        let attribute = attribute?;
        if attribute.kind != CTA_PROTOINFO_TCP {
            continue;
        }
        for inner in attributes(attribute.value) {
            let inner = inner?;
            if inner.kind == CTA_PROTOINFO_TCP_STATE {
                return Ok(inner.u8().map(TcpState::of));
            }
        }
    }
    Ok(None)
}

/// struct nfgenmsg: the family, version 0, and no resource.
fn header(tuple: &Tuple) -> Vec<u8> {
    vec![if tuple.source.is_ipv4() { AF_INET } else { AF_INET6 }, 0, 0, 0]
}

fn v4(attribute: &Attribute<'_>) -> Option<IpAddr> {
    attribute.value.first_chunk::<4>().map(|octets| IpAddr::from(*octets))
}

fn v6(attribute: &Attribute<'_>) -> Option<IpAddr> {
    attribute.value.first_chunk::<16>().map(|octets| IpAddr::from(*octets))
}

fn big32(attribute: &Attribute<'_>) -> u32 {
    attribute.value.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

fn big16(attribute: &Attribute<'_>) -> u16 {
    attribute.value.first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes))
}

const TCP: u8 = 6;
/// What the kernel gives an established connection of TCP (five days), and a stream of UDP, unless it is
/// told otherwise (Documentation/networking/nf_conntrack-sysctl.rst).
const TCP_ESTABLISHED_S: u32 = 432_000;
const STREAM_S: u32 = 120;
/// IP_CT_TCP_FLAG_SACK_PERM and IP_CT_TCP_FLAG_BE_LIBERAL (linux/netfilter/nf_conntrack_tcp.h).
const LIBERAL: u8 = 0x02 | 0x08;
/// Bytes of struct nfgenmsg (linux/netfilter/nfnetlink.h).
const FIXED: usize = 4;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// NLA_F_NESTED of linux/netlink.h.
const NESTED: u16 = 0x8000;

// enum ctattr_type
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_PROTOINFO: u16 = 4;
const CTA_TIMEOUT: u16 = 7;
const CTA_MARK: u16 = 8;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
// enum ctattr_tuple
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
// enum ctattr_ip
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;
// enum ctattr_l4proto
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
const CTA_PROTO_ICMP_ID: u16 = 4;
const CTA_PROTO_ICMP_TYPE: u16 = 5;
const CTA_PROTO_ICMP_CODE: u16 = 6;
const CTA_PROTO_ICMPV6_ID: u16 = 7;
const CTA_PROTO_ICMPV6_TYPE: u16 = 8;
const CTA_PROTO_ICMPV6_CODE: u16 = 9;
// enum ctattr_protoinfo and ctattr_protoinfo_tcp
const CTA_PROTOINFO_TCP: u16 = 1;
const CTA_PROTOINFO_TCP_STATE: u16 = 1;
const CTA_PROTOINFO_TCP_FLAGS_ORIGINAL: u16 = 4;
const CTA_PROTOINFO_TCP_FLAGS_REPLY: u16 = 5;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tuple() -> impl Strategy<Value = Tuple> {
        let v4 = any::<([u8; 4], [u8; 4])>().prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b)));
        let v6 =
            any::<([u8; 16], [u8; 16])>().prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b)));
        let ends = prop_oneof![
            any::<(u16, u16)>()
                .prop_map(|(source, destination)| Ends::Ports { source, destination }),
            any::<(u16, u8, u8)>().prop_map(|(id, kind, code)| Ends::Icmp { id, kind, code }),
            Just(Ends::None),
        ];
        (prop_oneof![v4, v6], any::<u8>(), ends).prop_map(
            |((source, destination), protocol, ends)| Tuple { source, destination, protocol, ends },
        )
    }

    fn entry() -> impl Strategy<Value = Entry> {
        let numbers = any::<(u32, u32, u32, u32, u16)>();
        let tcp = prop::option::of(any::<u8>().prop_map(TcpState::of));
        (tuple(), tuple(), numbers, tcp).prop_map(|(original, reply, n, tcp)| {
            let (status, mark, timeout_s, id, zone) = n;
            Entry { original, reply, status, tcp, mark, timeout_s, id, zone }
        })
    }

    proptest! {
        #[test]
        fn an_entry_comes_back_as_it_was_written(entry in entry()) {
            prop_assert_eq!(Entry::parse(&entry.body()), Ok(Some(entry)));
        }

        #[test]
        fn a_body_cut_anywhere_is_an_error_or_says_less(entry in entry()) {
            let body = entry.body();
            for length in 0..body.len() {
                if let Ok(Some(found)) = Entry::parse(&body[..length]) {
                    prop_assert_eq!(found.original, entry.original);
                    prop_assert_eq!(found.reply, entry.reply);
                }
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = Entry::parse(&bytes);
        }
    }

    #[test]
    fn what_is_made_is_read_as_an_open_connection() {
        let (peer, own) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        for protocol in [6, 17] {
            let entry = Entry::open(protocol, (peer, 40_000), (own, 22));
            assert!(entry.is_established());
            assert_eq!(Entry::parse(&entry.creation()), Ok(Some(entry)));
        }
    }

    #[test]
    fn an_entry_without_an_address_is_none_of_ours() {
        assert_eq!(Entry::parse(&[2, 0, 0, 0]), Ok(None));
        assert!(Entry::parse(&[2, 0]).is_err());
    }

    #[test]
    fn what_was_reset_or_never_answered_is_not_established() {
        let source = IpAddr::from([192, 0, 2, 1]);
        let ends = Ends::Ports { source: 1, destination: 22 };
        let tuple = Tuple { source, destination: source, protocol: 6, ends };
        let entry = Entry {
            original: tuple,
            reply: tuple,
            status: Entry::SEEN_REPLY,
            tcp: Some(TcpState::Established),
            mark: 0,
            timeout_s: 1,
            id: 1,
            zone: 0,
        };
        assert!(entry.is_established());
        assert!(!Entry { tcp: Some(TcpState::Close), ..entry.clone() }.is_established());
        assert!(!Entry { status: 0, ..entry }.is_established());
    }
}
