//! Short requests of fixed layout.

/// Anything at all (RFC 862).
pub(super) fn echo() -> Vec<u8> {
    b"portolan".into()
}

/// TFTP: to read a file nobody has (RFC 1350 §5). The answer, an error, comes from a new port (§4).
pub(super) fn tftp() -> Vec<u8> {
    b"\0\x01portolan.invalid\0octet\0".into()
}

/// ONC RPC's procedure 0, which does nothing (RFC 5531 §9 and §12; programs: RFC 1833, RFC 1813).
pub(super) fn rpc_null(program: u32, version: u32) -> Vec<u8> {
    const CALL: u32 = 0;
    // Identifier, call, RPC 2, program, version, procedure, then no credentials and no verifier.
    [ID, CALL, 2, program, version, 0, 0, 0, 0, 0].map(u32::to_be_bytes).concat()
}

/// NTP: a client's question, version 4 (RFC 5905 §7.3), with a transmit time to be given back.
pub(super) fn ntp() -> Vec<u8> {
    let mut bytes = vec![0; 48];
    bytes[0] = 4 << 3 | 3;
    bytes[40..].copy_from_slice(b"portolan");
    bytes
}

/// XDMCP's Query without authentication names (X Display Manager Control Protocol §4).
pub(super) fn xdmcp() -> Vec<u8> {
    vec![0, 1, 0, 2, 0, 1, 0]
}

/// SLP: who is the service agent here (RFC 2608 §8.1, §11.1)?
pub(super) fn slp() -> Vec<u8> {
    const REQUEST: u8 = 1;
    let string = |text: &[u8]| [(text.len() as u16).to_be_bytes().as_slice(), text].concat();
    let empty = string(b"");
    let kind = string(b"service:service-agent");
    let body = [&empty, &kind, &string(b"DEFAULT"), &empty, &empty].map(Vec::as_slice).concat();
    let length = (16 + body.len() as u32).to_be_bytes();
    let mut bytes = vec![2, REQUEST];
    bytes.extend(&length[1..]);
    bytes.extend([0, 0, 0, 0, 0, 0x70, 0x6f]); // flags, next extension, identifier
    bytes.extend(string(b"en"));
    bytes.extend(body);
    bytes
}

/// RIP version 2: the whole table (RFC 2453 §3.9.1).
pub(super) fn rip() -> Vec<u8> {
    let mut bytes = vec![0; 24];
    (bytes[0], bytes[1], bytes[23]) = (1, 2, 16);
    bytes
}

/// RMCP: ASF's presence ping, what IPMI controllers answer to (ASF 2.0 §3.2.3 and §3.2.4.3).
pub(super) fn rmcp() -> Vec<u8> {
    const ASF: u32 = 4542; // its enterprise number
    const PING: u8 = 0x80;
    [[6, 0, 0xff, 6].as_slice(), &ASF.to_be_bytes(), &[PING, 0x70, 0, 0]].concat()
}

/// SQL Server's browser: which instances there are (MC-SQLR §2.2.2).
pub(super) fn sql_browser() -> Vec<u8> {
    vec![3]
}

/// L2TP: a control connection, please (RFC 2661 §6.1), with the attributes it must have.
pub(super) fn l2tp() -> Vec<u8> {
    const MANDATORY: u16 = 0x8000;
    let attribute = |kind: u16, value: &[u8]| {
        let head = [MANDATORY | (6 + value.len() as u16), 0, kind].map(u16::to_be_bytes).concat();
        [&head, value].concat()
    };
    let attributes = [
        attribute(0, &[0, 1]), // start of a control connection: the request
        attribute(2, &[1, 0]), // version 1.0
        attribute(3, &[0, 0, 0, 3]),
        attribute(7, b"portolan"),
        attribute(9, &[0, 1]), // the tunnel's number at our end
    ]
    .concat();
    let length = 12 + attributes.len() as u16;
    // A control message with length and sequence; no tunnel, no session, numbers 0 (§3.1).
    let head = [0xc802, length, 0, 0, 0, 0].map(u16::to_be_bytes).concat();
    [head, attributes].concat()
}

/// GTP version 2's echo request (3GPP TS 29.274 §7.1.1).
pub(super) fn gtp_control() -> Vec<u8> {
    vec![0x40, 1, 0, 9, 0, 0, 1, 0, 3, 0, 1, 0, 0]
}

/// GTP-U's echo request (3GPP TS 29.281 §7.2.1).
pub(super) fn gtp_user() -> Vec<u8> {
    vec![0x32, 1, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0]
}

/// PFCP's heartbeat with the time we started (3GPP TS 29.244 §7.4.2).
pub(super) fn pfcp() -> Vec<u8> {
    vec![0x20, 1, 0, 12, 0, 0, 1, 0, 0, 96, 0, 4, 0xe0, 0, 0, 0]
}

/// AMT: is a relay there (RFC 7450 §5.1.1)?
pub(super) fn amt() -> Vec<u8> {
    [[1, 0, 0, 0], ID.to_be_bytes()].concat()
}

/// STUN's binding request (RFC 8489 §5).
pub(super) fn stun() -> Vec<u8> {
    const COOKIE: u32 = 0x2112_a442;
    let mut bytes = vec![0, 1, 0, 0];
    bytes.extend(COOKIE.to_be_bytes());
    bytes.extend(b"portolanport");
    bytes
}

/// NAT-PMP: the external address (RFC 6886 §3.2). PCP answers it too, with its version
/// (RFC 6887 appendix A).
pub(super) fn nat_pmp() -> Vec<u8> {
    vec![0, 0]
}

/// CoAP's ping: an empty message that wants an acknowledgement, which is a reset (RFC 7252 §4.3).
pub(super) fn coap() -> Vec<u8> {
    vec![0x40, 0, 0x70, 0x6f]
}

/// memcached's version in one frame: identifier, sequence number 0 of 1 (memcached's protocol.txt,
/// "UDP protocol").
pub(super) fn memcached() -> Vec<u8> {
    b"\x70\x6f\0\0\0\x01\0\0version\r\n".into()
}

/// A game server of Valve's Source engine: A2S_INFO (Valve's "Server queries").
pub(super) fn source_engine() -> Vec<u8> {
    b"\xff\xff\xff\xffTSource Engine Query\0".into()
}

/// Mumble's ping: kind 0 and a number to be given back (Mumble's protocol documentation).
pub(super) fn mumble() -> Vec<u8> {
    b"\0\0\0\0portolan".into()
}

const ID: u32 = 0x706f_7274;

#[cfg(test)]
mod tests {
    use super::*;

    fn be16(bytes: &[u8], at: usize) -> usize {
        usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]))
    }

    #[test]
    fn the_attributes_of_l2tp_fill_the_message() {
        let bytes = l2tp();
        assert_eq!(be16(&bytes, 2), bytes.len());
        let (mut at, mut kinds) = (12, Vec::new());
        while at < bytes.len() {
            kinds.push(be16(&bytes, at + 4));
            at += be16(&bytes, at) & 0x3ff;
        }
        assert_eq!((at, kinds), (bytes.len(), vec![0, 2, 3, 7, 9]));
    }

    #[test]
    fn lengths_that_are_written_are_right() {
        assert_eq!(be16(&slp(), 3), slp().len());
        assert_eq!(be16(&gtp_control(), 2), gtp_control().len() - 4);
        assert_eq!(be16(&gtp_user(), 2), gtp_user().len() - 8);
        assert_eq!(be16(&pfcp(), 2), pfcp().len() - 4);
        assert_eq!(be16(&stun(), 2), stun().len() - 20);
        assert_eq!(usize::from(rmcp()[11]), rmcp().len() - 12);
    }

    #[test]
    fn what_has_a_fixed_length_has_it() {
        assert_eq!(rpc_null(100_000, 2).len(), 40);
        assert_eq!((ntp().len(), rip().len()), (48, 24));
        assert_eq!(ntp()[0], 0x23);
    }
}
