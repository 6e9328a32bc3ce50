//! TCP, UDP, UDP-Lite, SCTP, DCCP and raw sockets of both IP families (linux/inet_diag.h).
//!
//! ```text
//! request = family u8 · protocol u8 · extensions u8 · pad u8 · states u32 · id[48] · attributes
//! entry   = family u8 · state u8 · timer u8 · retransmits u8 · id[48] · expires u32
//!           · receive queue u32 · send queue u32 · uid u32 · inode u32 · attributes
//! id      = source port be16 · destination port be16 · source[16] · destination[16]
//!           · interface u32 · cookie u32[2]
//! ```
//! The state mask is applied before the kernel walks its tables: a dump of listeners never touches
//! the table of connections. A bound TCP socket that does not listen is sent only when bit 13 is
//! asked for (kernel 6.8), and its entry says state 7, CLOSE (seen on 6.18).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{BY_FAMILY, DESTROY, DiagError, cookie, cookie_words, fixed, u16_be, u32_ne};
use crate::net::{Endpoint, Port};
use crate::wire::netlink;

/// IP protocol numbers a dump can ask for; [`protocol::RAW`] stands for all raw sockets.
pub mod protocol {
    /// icmp(7) echo sockets; no kernel has a diag module for them.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// DCCP.
    pub const DCCP: u8 = 33;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// UDP-Lite.
    pub const UDP_LITE: u8 = 136;
    /// Raw sockets, of every protocol.
    pub const RAW: u8 = 255;
}

/// The IP families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InetFamily {
    /// AF_INET.
    V4,
    /// AF_INET6; IPv4 spoken through such a socket shows as `::ffff:a.b.c.d`.
    V6,
}

impl InetFamily {
    const fn number(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }

    const fn of(number: u8) -> Result<Self, DiagError> {
        match number {
            2 => Ok(Self::V4),
            10 => Ok(Self::V6),
            found => Err(DiagError::Family { found }),
        }
    }
}

/// What to ask of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InetRequest {
    /// The family; a dump of both takes two requests.
    pub family: InetFamily,
    /// The IP protocol, see [`protocol`].
    pub protocol: u8,
    /// Attributes wanted beyond those always sent: bit N-1 for INET_DIAG_ attribute N.
    pub extensions: u8,
    /// One bit a state, by the kernel's state number (`StateSet` makes it).
    pub states: u32,
    /// A test that the kernel makes on each socket, so that the others are not sent.
    pub selection: Option<Selection>,
}

impl InetRequest {
    /// The request for every socket it fits.
    #[must_use]
    pub fn dump(&self, sequence: u32) -> Vec<u8> {
        let mut body = self.fixed(&SocketId::ANY);
        if let Some(selection) = self.selection {
            netlink::push_attribute(&mut body, REQ_BYTECODE, &selection.bytecode());
        }
        netlink::request(BY_FAMILY, netlink::DUMP, sequence, &body)
    }

    /// The request for the one socket with these two ends; answered by one entry or ENOENT.
    #[must_use]
    pub fn lookup(&self, sequence: u32, id: &SocketId) -> Vec<u8> {
        netlink::request(BY_FAMILY, 0, sequence, &self.fixed(id))
    }

    /// The request to destroy the one socket with these ends and this cookie, acknowledged by the
    /// kernel. Needs CAP_NET_ADMIN and a kernel with CONFIG_INET_DIAG_DESTROY.
    ///
    /// Never for a listener: it would stop listening and still hold its port, bound and mute, until
    /// its process closes it (seen on 6.18).
    #[must_use]
    pub fn destroy(&self, sequence: u32, id: &SocketId) -> Vec<u8> {
        netlink::request(DESTROY, netlink::ACKNOWLEDGE, sequence, &self.fixed(id))
    }

    fn fixed(&self, id: &SocketId) -> Vec<u8> {
        let mut body = vec![self.family.number(), self.protocol, self.extensions, 0];
        body.extend(self.states.to_ne_bytes());
        id.write(&mut body);
        body
    }
}

/// A test in the kernel's filter language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The program did not ask for this port: bind(0), listen or connect without bind, and also
    /// every accepted connection (SOCK_BINDPORT_LOCK is not inherited) and TIME-WAIT.
    Autobound,
    /// The local port is this one.
    LocalPort(Port),
}

impl Selection {
    /// Operations of four bytes: code, jump if true, jump if false. The jump to just behind the end
    /// accepts, the one four bytes farther refuses (inet_diag_bc_run).
    fn bytecode(self) -> Vec<u8> {
        match self {
            Self::Autobound => operation(BC_AUTO, 4, 8).to_vec(),
            Self::LocalPort(port) => {
                // The operand is the third field of a second operation.
                [operation(BC_S_EQ, 8, 12), operation(BC_NOP, 4, port.0)].concat()
            }
        }
    }
}

/// What tells one socket from all others: its two ends, its interface, its cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketId {
    /// This side.
    pub local: Endpoint,
    /// The other side; unspecified where there is none.
    pub peer: Endpoint,
    /// Index of the interface it is bound to, 0 for none.
    pub interface: u32,
    /// SO_COOKIE; `u64::MAX` in a request means any.
    pub cookie: u64,
}

impl SocketId {
    /// Of no socket in particular, as a dump wants it.
    const ANY: Self = Self {
        local: Endpoint::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), Port(0)),
        peer: Endpoint::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), Port(0)),
        interface: 0,
        cookie: u64::MAX, // INET_DIAG_NOCOOKIE in both words
    };

    fn write(&self, body: &mut Vec<u8>) {
        body.extend(self.local.port.0.to_be_bytes());
        body.extend(self.peer.port.0.to_be_bytes());
        body.extend(address_bytes(self.local.address));
        body.extend(address_bytes(self.peer.address));
        body.extend(self.interface.to_ne_bytes());
        cookie_words(self.cookie).iter().for_each(|word| body.extend(word.to_ne_bytes()));
    }
}

/// One IP socket as the kernel reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InetMessage {
    /// The family of the socket, not of the traffic.
    pub family: InetFamily,
    /// The kernel's state number, 1 (ESTABLISHED) to 13.
    pub state: u8,
    /// Which timer runs: 0 none, 1 retransmission, 2 keepalive, 3 TIME-WAIT, 4 zero-window probe.
    pub timer: u8,
    /// Its two ends, interface index and cookie.
    pub id: SocketId,
    /// Milliseconds until that timer ends.
    pub expires: u32,
    /// Bytes unread; of a TCP listener the connections that wait for accept().
    pub receive_queue: u32,
    /// Bytes unacknowledged; of a TCP listener the most that may wait.
    pub send_queue: u32,
    /// The creator's user id; 0 and without meaning where `inode` is 0.
    pub uid: u32,
    /// Inode in sockfs; 0 for TIME-WAIT, SYN-RECV, orphans and connections not yet accepted.
    pub inode: u32,
    /// Which directions are shut down: 1 receiving, 2 sending.
    pub shutdown: Option<u8>,
    /// IPV6_V6ONLY; sent for IPv6 sockets in LISTEN and CLOSE only.
    pub v6only: Option<bool>,
    /// The IP protocol of a raw socket.
    pub protocol: Option<u8>,
    /// SO_MARK; sent to callers with CAP_NET_ADMIN only.
    pub mark: Option<u32>,
    /// The cgroup that made it: inode of its folder in the unified hierarchy (kernel 5.8).
    pub cgroup: Option<u64>,
    /// Socket options (kernel 5.13).
    pub options: Option<Options>,
}

impl InetMessage {
    /// Reads the body of one SOCK_DIAG_BY_FAMILY entry.
    ///
    /// # Errors
    /// [`DiagError`] when it is cut off or of another family.
    pub fn parse(body: &[u8]) -> Result<Self, DiagError> {
        let (bytes, attributes) = fixed::<FIXED>(body)?;
        let family = InetFamily::of(bytes[0])?;
        let mut message = Self {
            family,
            state: bytes[1],
            timer: bytes[2],
            id: SocketId {
                local: Endpoint::new(address(family, bytes, 8), Port(u16_be(bytes, 4))),
                peer: Endpoint::new(address(family, bytes, 24), Port(u16_be(bytes, 6))),
                interface: u32_ne(bytes, 40),
                cookie: cookie(bytes, 44),
            },
            expires: u32_ne(bytes, 52),
            receive_queue: u32_ne(bytes, 56),
            send_queue: u32_ne(bytes, 60),
            uid: u32_ne(bytes, 64),
            inode: u32_ne(bytes, 68),
            shutdown: None,
            v6only: None,
            protocol: None,
            mark: None,
            cgroup: None,
            options: None,
        };
        for attribute in netlink::attributes(attributes) {
            message.take(&attribute?);
        }
        Ok(message)
    }

    fn take(&mut self, attribute: &netlink::Attribute<'_>) {
        match attribute.kind {
            SHUTDOWN => self.shutdown = attribute.u8(),
            PROTOCOL => self.protocol = attribute.u8(),
            SKV6ONLY => self.v6only = attribute.u8().map(|on| on != 0),
            MARK => self.mark = attribute.u32(),
            CGROUP_ID => self.cgroup = attribute.u64(),
            SOCKOPT => self.options = attribute.value.first_chunk().copied().map(Options),
            _ => {}
        }
    }
}

/// The flags of `struct inet_diag_sockopt`. SO_REUSEADDR and SO_REUSEPORT are not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options([u8; 2]);

impl Options {
    /// IP_FREEBIND: bound to an address that need not exist.
    #[must_use]
    pub const fn freebind(self) -> bool {
        self.bit(0, 2)
    }

    /// IP_TRANSPARENT: takes traffic that is addressed to others.
    #[must_use]
    pub const fn transparent(self) -> bool {
        self.bit(0, 5)
    }

    /// IP_BIND_ADDRESS_NO_PORT: an address without a port until connect().
    #[must_use]
    pub const fn bind_address_no_port(self) -> bool {
        self.bit(1, 0)
    }

    /// Bit fields start at the low bit on little-endian machines, at the high one on the others.
    const fn bit(self, byte: usize, number: u32) -> bool {
        let mask = if cfg!(target_endian = "little") { 1 << number } else { 0x80 >> number };
        self.0[byte] & mask != 0
    }
}

fn address(family: InetFamily, bytes: &[u8; FIXED], at: usize) -> IpAddr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[at..at + 16]);
    match (family, octets) {
        (InetFamily::V4, [a, b, c, d, ..]) => Ipv4Addr::new(a, b, c, d).into(),
        (InetFamily::V6, octets) => Ipv6Addr::from(octets).into(),
    }
}

fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V6(v6) => v6.octets(),
        IpAddr::V4(v4) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&v4.octets());
            bytes
        }
    }
}

fn operation(code: u8, if_true: u8, if_false: u16) -> [u8; 4] {
    let [low, high] = if_false.to_ne_bytes();
    [code, if_true, low, high]
}

const FIXED: usize = 72;

const REQ_BYTECODE: u16 = 1;
const BC_NOP: u8 = 0;
const BC_AUTO: u8 = 6;
const BC_S_EQ: u8 = 11;

const SHUTDOWN: u16 = 8;
const PROTOCOL: u16 = 10;
const SKV6ONLY: u16 = 11;
const MARK: u16 = 15;
const CGROUP_ID: u16 = 21;
const SOCKOPT: u16 = 22;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::hex;
    use super::*;
    use crate::wire::netlink::{Payload, messages};

    const LISTEN_ONLY: InetRequest = InetRequest {
        family: InetFamily::V4,
        protocol: protocol::TCP,
        extensions: 0,
        states: 1 << 10,
        selection: None,
    };

    /// A listener on 0.0.0.0:2024 with backlog 128, as Linux 6.18 sent it to root.
    const LISTENER: &str = "020a0000 07e80000 00000000000000000000000000000000\
        00000000000000000000000000000000 00000000 0200000000000000 00000000 00000000 80000000\
        00000000 fc050000 0500080000000000 08000f0000000000 0c0015000100000000000000\
        0600160052000000";

    #[test]
    fn a_listener_is_read_with_backlog_and_cgroup() {
        let message = InetMessage::parse(&hex(LISTENER)).unwrap();
        assert_eq!(message.id.local.to_string(), "0.0.0.0:2024");
        assert!(message.id.peer.is_unset());
        assert_eq!((message.state, message.receive_queue, message.send_queue), (10, 0, 128));
        assert_eq!((message.uid, message.inode, message.id.cookie), (0, 1532, 2));
        assert_eq!((message.cgroup, message.mark, message.v6only), (Some(1), Some(0), None));
        assert!(!message.options.unwrap().freebind());
    }

    #[test]
    fn a_request_to_destroy_names_one_socket_and_asks_for_an_answer() {
        let id = SocketId {
            local: Endpoint::new([127, 0, 0, 1].into(), Port(8080)),
            peer: Endpoint::new([127, 0, 0, 1].into(), Port(40001)),
            interface: 1,
            cookie: 0x0102,
        };
        let expected = "48000000 1500 0500 09000000 00000000\
            02060000 00040000 1f90 9c41 7f000001000000000000000000000000\
            7f000001000000000000000000000000 01000000 0201000000000000";
        assert_eq!(LISTEN_ONLY.destroy(9, &id), hex(expected));
    }

    #[test]
    fn a_dump_request_is_laid_out_as_the_kernel_reads_it() {
        let request = LISTEN_ONLY.dump(9);
        let expected = "48000000 1400 0103 09000000 00000000\
            02060000 00040000 0000 0000 00000000000000000000000000000000\
            00000000000000000000000000000000 00000000 ffffffffffffffff";
        assert_eq!(request, hex(expected));
    }

    #[test]
    fn selections_are_bytecode_that_accepts_at_the_end_and_refuses_behind_it() {
        let attribute = |selection| {
            let request = InetRequest { selection: Some(selection), ..LISTEN_ONLY }.dump(1);
            request[72..].to_vec()
        };
        assert_eq!(attribute(Selection::Autobound), hex("08000100 06040800"));
        assert_eq!(
            attribute(Selection::LocalPort(Port(0x1234))),
            hex("0c000100 0b080c00 00043412")
        );
    }

    #[test]
    fn other_families_are_refused() {
        let mut bytes = hex(LISTENER);
        bytes[0] = 1;
        assert_eq!(InetMessage::parse(&bytes), Err(DiagError::Family { found: 1 }));
    }

    fn endpoint(family: InetFamily) -> BoxedStrategy<Endpoint> {
        let address = match family {
            InetFamily::V4 => any::<Ipv4Addr>().prop_map(IpAddr::from).boxed(),
            InetFamily::V6 => any::<Ipv6Addr>().prop_map(IpAddr::from).boxed(),
        };
        (address, any::<u16>()).prop_map(|(a, p)| Endpoint::new(a, Port(p))).boxed()
    }

    fn identified() -> impl Strategy<Value = (InetFamily, SocketId)> {
        prop_oneof![Just(InetFamily::V4), Just(InetFamily::V6)].prop_flat_map(|family| {
            (endpoint(family), endpoint(family), any::<u32>(), any::<u64>()).prop_map(
                move |(local, peer, interface, cookie)| {
                    (family, SocketId { local, peer, interface, cookie })
                },
            )
        })
    }

    proptest! {
        /// Request and entry share the layout of the id, so a lookup can be read back as an entry.
        #[test]
        fn the_id_of_a_lookup_comes_back((family, id) in identified()) {
            let request = InetRequest { family, ..LISTEN_ONLY }.lookup(1, &id);
            let message = messages(&request).next().unwrap().unwrap();
            let Payload::Entry { body, .. } = message.payload else { panic!("an entry") };
            let mut entry = vec![body[0], 10, 0, 0];
            entry.extend(&body[8..]);
            entry.extend([0; 20]);
            let found = InetMessage::parse(&entry).unwrap();
            prop_assert_eq!((found.family, found.id), (family, id));
        }

        #[test]
        fn any_bytes_are_a_socket_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = InetMessage::parse(&bytes);
        }

        #[test]
        fn any_attributes_behind_a_socket_are_read_or_refused(tail in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = hex(LISTENER);
            bytes.truncate(FIXED);
            bytes.extend(tail);
            let _ = InetMessage::parse(&bytes);
        }
    }

    #[test]
    fn an_entry_cut_anywhere_is_never_read_beyond_its_end() {
        let whole = hex(LISTENER);
        for length in 0..whole.len() {
            let cut = InetMessage::parse(&whole[..length]);
            assert_eq!(cut.is_err(), length < FIXED || !attribute_boundary(length), "{length}");
        }
    }

    /// Where an attribute of `LISTENER` ends, with or without its padding.
    fn attribute_boundary(length: usize) -> bool {
        [72, 77, 78, 79, 80, 88, 100, 106, 107].contains(&length)
    }
}
