//! Requests in ASN.1's distinguished encoding (X.690): tag, length, contents.

/// SNMPv3's engine discovery: a request without an engine's id, which an agent reports its own on
/// (RFC 3414 §4, RFC 3412 §6). No community is guessed.
pub(super) fn snmp() -> Vec<u8> {
    let reportable = octets(&[4]);
    let global = sequence(&[&integer(ID), &integer(MOST), &reportable, &integer(USER_BASED)]);
    let (nothing, zero) = (octets(b""), integer(0));
    let security = sequence(&[&nothing, &zero, &zero, &nothing, &nothing, &nothing]);
    let get = tlv(0xa0, &[&integer(ID), &zero, &zero, &sequence(&[])]);
    let scoped = sequence(&[&nothing, &nothing, &get]);
    sequence(&[&integer(3), &global, &octets(&security), &scoped])
}

/// Kerberos: a ticket for a realm nobody has (RFC 4120 §5.4.1); the answer is that error.
pub(super) fn kerberos() -> Vec<u8> {
    const REALM: &[u8] = b"PORTOLAN.INVALID";
    let name = |kind, parts: &[&[u8]]| {
        let parts: Vec<Vec<u8>> = parts.iter().map(|part| tlv(GENERAL_STRING, &[part])).collect();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        sequence(&[&tagged(0, &integer(kind)), &tagged(1, &sequence(&parts))])
    };
    let ciphers = sequence(&[&integer(18), &integer(17)]); // AES-256 and AES-128 (RFC 3962 §7)
    let body = sequence(&[
        &tagged(0, &tlv(BIT_STRING, &[&[0, 0, 0, 0, 0]])),
        &tagged(1, &name(1, &[b"nobody"])),
        &tagged(2, &tlv(GENERAL_STRING, &[REALM])),
        &tagged(3, &name(2, &[b"krbtgt", REALM])),
        &tagged(5, &tlv(GENERALIZED_TIME, &[b"19700101000000Z"])),
        &tagged(7, &integer(ID)),
        &tagged(8, &ciphers),
    ]);
    let request = sequence(&[&tagged(1, &integer(5)), &tagged(2, &integer(10)), &tagged(4, &body)]);
    tlv(0x6a, &[&request])
}

/// LDAP without a connection: the root's own entry, which anybody may read (RFC 4511 §4.5.1,
/// RFC 4512 §5.1; over UDP as MS-ADTS §3.1.1.3.1.3 has it).
pub(super) fn ldap() -> Vec<u8> {
    let (base, never) = (tlv(ENUMERATED, &[&[0]]), tlv(ENUMERATED, &[&[0]]));
    let no_limit = integer(0);
    let whole = tlv(BOOLEAN, &[&[0]]);
    let present = tlv(0x87, &[b"objectClass"]);
    // One attribute that is short everywhere, so that the answer is no larger than it must be.
    let wanted = sequence(&[&octets(b"supportedLDAPVersion")]);
    let entry = octets(b"");
    let parts: [&[u8]; 8] =
        [&entry, &base, &never, &no_limit, &no_limit, &whole, &present, &wanted];
    sequence(&[&integer(1), &tlv(0x63, &parts)])
}

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    let mut bytes = vec![tag];
    match contents.len() {
        short @ 0..0x80 => bytes.push(short as u8),
        long => bytes.extend([0x82, (long >> 8) as u8, long as u8]),
    }
    bytes.extend(contents);
    bytes
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, parts)
}

fn tagged(number: u8, contents: &[u8]) -> Vec<u8> {
    tlv(0xa0 | number, &[contents])
}

fn octets(bytes: &[u8]) -> Vec<u8> {
    tlv(0x04, &[bytes])
}

/// A number that is not negative, in as few bytes as hold it with its sign.
fn integer(value: u32) -> Vec<u8> {
    let bytes = u64::from(value).to_be_bytes();
    let first = (0..7).find(|i| bytes[*i] != 0 || bytes[i + 1] & 0x80 != 0).unwrap_or(7);
    tlv(0x02, &[&bytes[first..]])
}

const BOOLEAN: u8 = 0x01;
const BIT_STRING: u8 = 0x03;
const ENUMERATED: u8 = 0x0a;
const GENERALIZED_TIME: u8 = 0x18;
const GENERAL_STRING: u8 = 0x1b;

const ID: u32 = 0x706f_7274;
/// The longest message we would take.
const MOST: u32 = 65_507;
/// The user-based security model (RFC 3411 §5).
const USER_BASED: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether bytes are values one after the other, and what is constructed again.
    fn is_well_formed(mut bytes: &[u8]) -> bool {
        while let [tag, length, rest @ ..] = bytes {
            let (length, rest) = match length {
                0x82 => (usize::from(rest[0]) << 8 | usize::from(rest[1]), &rest[2..]),
                short => (usize::from(*short), rest),
            };
            let Some((contents, rest)) = rest.split_at_checked(length) else { return false };
            if tag & 0x20 != 0 && !is_well_formed(contents) {
                return false;
            }
            bytes = rest;
        }
        bytes.is_empty()
    }

    #[test]
    fn lengths_add_up() {
        for bytes in [snmp(), kerberos(), ldap()] {
            assert!(is_well_formed(&bytes), "{bytes:02x?}");
            assert!(!is_well_formed(&bytes[..bytes.len() - 1]));
        }
    }

    #[test]
    fn a_number_is_as_short_as_it_can_be_and_stays_positive() {
        assert_eq!(integer(0), [2, 1, 0]);
        assert_eq!(integer(127), [2, 1, 127]);
        assert_eq!(integer(128), [2, 2, 0, 128]);
        assert_eq!(integer(MOST), [2, 3, 0, 0xff, 0xe3]);
        assert_eq!(integer(u32::MAX), [2, 5, 0, 0xff, 0xff, 0xff, 0xff]);
    }
}
