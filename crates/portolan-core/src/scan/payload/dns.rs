//! Questions of the domain name system and of what borrowed its format.
//!
//! ```text
//! header   = id be16 · flags be16 · questions be16 · answers be16 · authorities be16 · additional be16
//! question = ( length u8 · label )* · 0 · type be16 · class be16
//! ```

/// Who serves the root (RFC 1035 §4.1): a resolver knows, an authoritative server refuses or refers.
pub(super) fn root_servers() -> Vec<u8> {
    const RECURSION_DESIRED: u16 = 0x0100;
    question(ID, RECURSION_DESIRED, &[], NS, IN)
}

/// Which services there are (RFC 6763 §9), answered to the asker alone (RFC 6762 §5.4). Its id is 0
/// (§18.1).
pub(super) fn multicast_services() -> Vec<u8> {
    const UNICAST_RESPONSE: u16 = 0x8000;
    let name: [&[u8]; 4] = [b"_services", b"_dns-sd", b"_udp", b"local"];
    question(0, 0, &name, PTR, UNICAST_RESPONSE | IN)
}

/// NetBIOS's node status request (RFC 1002 §4.2.17) for the name `*`, each half byte of its 16 as a
/// letter from `A` on (RFC 1001 §14.1).
pub(super) fn netbios_status() -> Vec<u8> {
    let mut name = [b'A'; 32];
    (name[0], name[1]) = (b'A' + (b'*' >> 4), b'A' + (b'*' & 0xf));
    question(ID, 0, &[&name], NBSTAT, IN)
}

fn question(id: u16, flags: u16, name: &[&[u8]], kind: u16, class: u16) -> Vec<u8> {
    let mut bytes = [id, flags, 1, 0, 0, 0].map(u16::to_be_bytes).concat();
    for label in name {
        bytes.push(label.len() as u8);
        bytes.extend(*label);
    }
    bytes.push(0);
    bytes.extend([kind, class].map(u16::to_be_bytes).concat());
    bytes
}

const ID: u16 = 0x706f;
const IN: u16 = 1;
const NS: u16 = 2;
const PTR: u16 = 12;
const NBSTAT: u16 = 0x21;

#[cfg(test)]
mod tests {
    use super::*;

    /// The labels of the one question, and what stands behind them.
    fn labels(bytes: &[u8]) -> (Vec<&[u8]>, &[u8]) {
        assert_eq!(bytes[4..12], [0, 1, 0, 0, 0, 0, 0, 0], "one question and nothing else");
        let (mut rest, mut found) = (&bytes[12..], Vec::new());
        while let Some((length @ 1.., more)) = rest.split_first() {
            let (label, more) = more.split_at(usize::from(*length));
            found.push(label);
            rest = more;
        }
        (found, &rest[1..])
    }

    #[test]
    fn each_asks_one_question_and_ends_there() {
        assert_eq!(labels(&root_servers()), (vec![], [0, 2, 0, 1].as_slice()));
        let services = multicast_services();
        let (name, rest) = labels(&services);
        assert_eq!(name.join(&b'.'), b"_services._dns-sd._udp.local");
        assert_eq!(rest, [0, 12, 0x80, 1]);
        let status = netbios_status();
        let (name, rest) = labels(&status);
        assert_eq!(name, [b"CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]);
        assert_eq!(rest, [0, 0x21, 0, 1]);
    }
}
