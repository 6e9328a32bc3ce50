//! First messages of protocols that encrypt: each asks only for the answer that comes before any
//! secret.

/// QUIC with a version nobody has (RFC 9000 §15): a server names those it has (§6). Shorter than
/// 1,200 bytes it would be dropped (§5.2.2, §14.1).
pub(super) fn quic() -> Vec<u8> {
    const LONG_HEADER: u8 = 0xc0;
    let mut bytes = vec![LONG_HEADER, 0x1a, 0x2a, 0x3a, 0x4a];
    bytes.extend([8].iter().chain(ID)); // their connection id
    bytes.extend([8].iter().chain(ID)); // ours
    bytes.resize(1200, 0);
    bytes
}

/// DTLS 1.2's ClientHello without a cookie: a server answers with one before it looks at anything
/// else (RFC 6347 §4.2.1).
pub(super) fn dtls() -> Vec<u8> {
    const VERSION: [u8; 2] = [0xfe, 0xfd];
    // AES-128 with GCM and CCM-8, for certificates and shared keys (RFC 5289, RFC 7251, RFC 6655).
    let ciphers = [0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0xae, 0xc0, 0xa8];
    let groups = extension(10, &[0, 4, 0, 29, 0, 23]); // x25519, secp256r1 (RFC 8422 §5.1.1)
    let points = extension(11, &[1, 0]);
    let signatures = extension(13, &[0, 6, 4, 3, 8, 4, 4, 1]); // ECDSA and RSA with SHA-256
    let extensions = [groups, points, signatures].concat();

    let mut hello = [VERSION.as_slice(), &[0x70; 32], &[0], &[0]].concat();
    hello.extend(with_length_16(&ciphers));
    hello.extend([1, 0]); // no compression
    hello.extend(with_length_16(&extensions));

    let length = (hello.len() as u32).to_be_bytes();
    // Message 0, whole: ClientHello, length, sequence, offset, length of the fragment (§4.2.2).
    let handshake = [&[1], &length[1..], &[0, 0], &[0, 0, 0], &length[1..], &hello].concat();
    // Handshake, DTLS 1.0 as first messages say, epoch and sequence number 0 (§4.1).
    let record = [22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
    [record.as_slice(), &with_length_16(&handshake)].concat()
}

/// IKEv2's first message with one proposal (RFC 7296 §1.2): accepted or not, a responder answers.
pub(super) fn ike() -> Vec<u8> {
    const SA: u8 = 33;
    const KEY_EXCHANGE: u8 = 34;
    const NONCE: u8 = 40;
    const INITIATOR: u8 = 0x08;
    // Each: more or last, reserved, length, kind, reserved, number (§3.3.2).
    let transforms = [
        [3, 0, 0, 12, 1, 0, 0, 12, 0x80, 0x0e, 1, 0].as_slice(), // AES-CBC with 256 bits
        &[3, 0, 0, 8, 2, 0, 0, 5],                               // HMAC-SHA-256 as function
        &[3, 0, 0, 8, 3, 0, 0, 12],                              // and for integrity
        &[0, 0, 0, 8, 4, 0, 0, 14],                              // MODP of 2,048 bits
    ]
    .concat();
    let proposal = [&[0, 0, 0, 8 + transforms.len() as u8, 1, 1, 0, 4], transforms.as_slice()];
    let sa = payload(KEY_EXCHANGE, &proposal.concat());
    // Any number below the prime could be a public value.
    let key = payload(NONCE, &[[0, 14, 0, 0].as_slice(), &[0x70; 256]].concat());
    let nonce = payload(0, &[0x70; 32]);
    let payloads = [sa, key, nonce].concat();
    let length = (28 + payloads.len() as u32).to_be_bytes();
    // Two identifiers, next payload, version 2.0, IKE_SA_INIT, flags, message 0, length (§3.1).
    let head = [ID.as_slice(), &[0; 8], &[SA, 0x20, 34, INITIATOR], &[0; 4], &length].concat();
    [head, payloads].concat()
}

/// The same behind the four zeros that tell it from ESP (RFC 3948 §2.2).
pub(super) fn ike_behind_nat() -> Vec<u8> {
    [vec![0; 4], ike()].concat()
}

/// OpenVPN's P_CONTROL_HARD_RESET_CLIENT_V2 with key 0, no acknowledgements and packet number 0
/// (OpenVPN's protocol documentation, "Reliable transport"). Where packets are authenticated
/// (tls-auth, tls-crypt) nobody answers it.
pub(super) fn openvpn() -> Vec<u8> {
    [[7 << 3].as_slice(), ID, &[0], &[0; 4]].concat()
}

/// A payload of IKE: which one is next, its length, its contents (RFC 7296 §3.2).
fn payload(next: u8, contents: &[u8]) -> Vec<u8> {
    let length = (4 + contents.len() as u16).to_be_bytes();
    [&[next, 0], length.as_slice(), contents].concat()
}

fn extension(kind: u8, contents: &[u8]) -> Vec<u8> {
    [vec![0, kind], with_length_16(contents)].concat()
}

fn with_length_16(contents: &[u8]) -> Vec<u8> {
    [(contents.len() as u16).to_be_bytes().as_slice(), contents].concat()
}

/// Eight bytes for whoever wants an identifier.
const ID: &[u8; 8] = b"portolan";

#[cfg(test)]
mod tests {
    use super::*;

    fn be16(bytes: &[u8], at: usize) -> usize {
        usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]))
    }

    #[test]
    fn quic_has_the_length_and_the_version_that_force_an_answer() {
        let bytes = quic();
        assert_eq!(bytes.len(), 1200);
        assert!(bytes[1..5].iter().all(|byte| byte & 0xf == 0xa), "a reserved version");
    }

    #[test]
    fn the_lengths_of_a_client_hello_agree() {
        let bytes = dtls();
        let record = be16(&bytes, 11);
        assert_eq!(record, bytes.len() - 13);
        let handshake = be16(&bytes, 15);
        assert_eq!((handshake, handshake), (record - 12, be16(&bytes, 23)));
        let ciphers = 25 + 2 + 32 + 2;
        let extensions = ciphers + 2 + be16(&bytes, ciphers) + 2;
        assert_eq!(be16(&bytes, extensions), bytes.len() - extensions - 2);
    }

    #[test]
    fn the_payloads_of_ike_fill_the_message() {
        let bytes = ike();
        assert_eq!(be16(&bytes, 26), bytes.len());
        let (mut next, mut at, mut seen) = (bytes[16], 28, Vec::new());
        while next != 0 {
            seen.push(next);
            next = bytes[at];
            at += be16(&bytes, at + 2);
        }
        assert_eq!((seen, at), (vec![33, 34, 40], bytes.len()));
        assert_eq!(be16(&bytes, 28 + 2) - 4, be16(&bytes, 32 + 2), "one proposal");
    }

    #[test]
    fn openvpn_asks_with_fourteen_bytes() {
        assert_eq!(openvpn().len(), 14);
    }
}
