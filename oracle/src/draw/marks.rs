//! Marks of packets and connections: saved, restored, masked, looked up.

use super::matches::Matches;
use super::{Draft, Edge};

/// A question of a mark.
pub(super) fn condition(rule: &mut Matches<'_, '_>) {
    let has_ports = matches!(rule.transport, Some("tcp" | "udp"));
    if has_ports && rule.draft.chance.percent(15) {
        let transport = rule.transport.unwrap_or("tcp");
        let set = "{ 0x1 . 80, 0x10-0x1f . 22-443, 0x7 . 8080 }";
        let not = if rule.draft.chance.percent(30) { "!= " } else { "" };
        let ports = [80, 22, 443, 444, 8080].map(Edge::DestinationPort).to_vec();
        rule.edges.push(MARKS.map(Edge::CtMark).to_vec());
        return rule.push(format!("meta mark . {transport} dport {not}{set}"), ports);
    }
    let text = *rule.draft.chance.pick(CONDITIONS);
    let of_connection = text.contains("ct mark");
    let edge = |mark| if of_connection { Edge::CtMark(mark) } else { Edge::Mark(mark) };
    rule.push(text, MARKS.map(edge).to_vec());
    if !of_connection {
        rule.edges.push(MARKS.map(Edge::CtMark).to_vec());
    }
}

/// Writes a mark.
pub(super) fn statement(
    draft: &mut Draft<'_>,
    version: Option<u8>,
    transport: Option<&'static str>,
) -> String {
    let which = *draft.chance.pick(&["meta", "meta", "ct"]);
    match (draft.chance.below(12), version, transport) {
        (0, Some(4), _) => format!(
            "{which} mark set ip saddr map {{ 1.2.3.4 : 0x1, 10.0.3.0/24 : 0x10, 203.0.113.0-203.0.113.200 : 0x7 }}"
        ),
        (1, Some(6), _) => {
            format!("{which} mark set ip6 daddr map {{ fd00:a::1 : 0x1, fd00:17::/64 : 0x10 }}")
        }
        (2, _, Some(t @ ("tcp" | "udp"))) => {
            format!("{which} mark set {t} dport map {{ 22 : 0x1, 80-90 : 0x10, 443 : 0xff }}")
        }
        (3, ..) => {
            let from = *draft.chance.pick(&["meta", "ct"]);
            format!("{which} mark set {from} mark map {{ 0x0 : 0x7, 0x1 : 0x11, 0x7 : 0xf0 }}")
        }
        (4, ..) => {
            // From both at once: what comes of it is one of a few.
            let from = *draft.chance.pick(&["numgen inc mod 2", "jhash ip saddr mod 2 offset 6"]);
            match version {
                Some(4) => format!("{which} mark set {from}"),
                _ => format!("{which} mark set numgen random mod 2 offset 16"),
            }
        }
        _ => (*draft.chance.pick(STATEMENTS)).to_owned(),
    }
}

/// Appends a digit to the mark, which tells who was asked before whom.
pub(super) fn digit(draft: &mut Draft<'_>) -> String {
    (*draft.chance.pick(&[
        "meta mark set 0x1",
        "meta mark set 0x10",
        "meta mark set meta mark & 0xf0 ^ 0x1",
        "meta mark set meta mark | 0x10",
        "meta mark set meta mark ^ 0x11",
        "ct mark set meta mark",
        "meta mark set ct mark",
    ]))
    .to_owned()
}

const MARKS: [u32; 12] = [7, 0, 1, 0x10, 0x11, 0x1f, 0x20, 0xf0, 0xff, 0x100, 0x107, 0x8000_0000];

const CONDITIONS: &[&str] = &[
    "ct mark 0x7",
    "ct mark != 0x0",
    "ct mark & 0xf0 == 0x10",
    "ct mark & 0xf0 == { 0x10, 0x20 }",
    "ct mark & 0x3 != 0x3",
    "ct mark 0x10-0x1f",
    "ct mark != 0x10-0x1f",
    "ct mark { 0x1, 0x7-0x11 }",
    "ct mark > 0x7fffffff",
    "ct mark < 0x8",
    "ct mark and 0x1 == 0x1",
    "ct mark | 0x1 == 0x11",
    "meta mark 0x1",
    "meta mark 0x10",
    "meta mark != 0x0",
    "meta mark & 0xf0 > 0x10",
    "meta mark & 0x3 { 0x1, 0x2 }",
    "meta mark & 0xff == 0x7",
    "meta mark & 0xff != 0x10",
    "meta mark ^ 0x10 == 0x1",
    "meta mark | 0x10 == 0x11",
    "meta mark 0x7-0x1f",
    "meta mark >= 0x100",
    "meta mark != { 0x0, 0x10-0x20 }",
    "meta mark and 0x80000000 == 0x80000000",
];

const STATEMENTS: &[&str] = &[
    "meta mark set 0x1",
    "meta mark set 0x107",
    "ct mark set 0x7",
    "ct mark set 0x10",
    "meta mark set ct mark",
    "meta mark set ct mark",
    "ct mark set meta mark",
    "ct mark set meta mark",
    "ct mark set meta mark & 0xff",
    "ct mark set meta mark and 0xf or 0x100",
    "ct mark set ct mark | 0x10",
    "ct mark set ct mark & 0xff ^ 0x3",
    "ct mark set ct mark xor 0x11",
    "meta mark set ct mark and 0xff xor 0x100",
    "meta mark set ct mark & 0xf0",
    "meta mark set meta mark | 0x10",
    "meta mark set meta mark & 0xfffffff0",
    "meta mark set meta mark and 0xf or 0x20",
    "meta mark set meta mark ^ 0x80000000",
];
