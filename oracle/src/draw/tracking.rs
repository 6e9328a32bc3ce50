//! Conntrack told what to do: zones, packets that are not to be tracked.

use super::matches::{COMPANIES, Matches};
use super::{Draft, Edge, Role};

/// A question of conntrack.
pub(super) fn condition(rule: &mut Matches<'_, '_>) {
    let text = *rule.draft.chance.pick(CONDITIONS);
    let mut edges: Vec<Edge> = COMPANIES.iter().map(|c| Edge::State(*c)).collect();
    edges.push(Edge::CtMark(7));
    rule.push(text, edges);
}

/// Says what conntrack is to do.
pub(super) fn statement(
    draft: &mut Draft<'_>,
    role: Role,
    transport: Option<&'static str>,
) -> String {
    let is_in = matches!(role.hook, "prerouting" | "input" | "forward");
    match (draft.chance.below(12), transport) {
        (0..4, _) => "notrack".to_owned(),
        (4, Some(t @ ("tcp" | "udp"))) => {
            format!("ct zone set {t} dport map {{ 22 : 1, 80-90 : 2, 443 : 3 }}")
        }
        (5, _) if is_in => "ct zone set iifname map { \"eth0\" : 1, \"out1\" : 2 }".to_owned(),
        (6, _) => "ct zone set meta mark map { 0x0 : 3, 0x1 : 1 }".to_owned(),
        (7, _) => (*draft.chance.pick(&["meta mark set 0x1", "ct mark set 0x7"])).to_owned(),
        (8, _) => (*draft.chance.pick(&["ct event set new", "ct label set 3"])).to_owned(),
        _ => (*draft.chance.pick(ZONES)).to_owned(),
    }
}

const ZONES: &[&str] = &[
    "ct zone set 1",
    "ct zone set 1",
    "ct zone set 2",
    "ct original zone set 2",
    "ct reply zone set 3",
    "ct zone set 0",
];

// nft 1.0.6 does not list `ct l3proto ipv4` and `ct protocol tcp` before what they seem to guard.
const CONDITIONS: &[&str] = &[
    "ct zone 0",
    "ct zone 1",
    "ct zone != 1",
    "ct zone { 0, 2 }",
    "ct original zone 2",
    "ct state untracked",
    "ct state ! untracked",
    "ct state != untracked",
    "ct state { new, untracked }",
    "ct state != { new, untracked }",
    "ct state new",
    "ct state == new",
    "ct state invalid",
    "ct state ! invalid",
    "ct state established,related",
    "ct state != established",
    "ct direction original",
    "ct direction reply",
    "ct direction != reply",
    "ct status confirmed",
    "ct status ! confirmed",
    "ct status ! seen-reply",
    "ct status dnat",
    "ct mark 0x0",
    "ct mark != 0x7",
    "ct mark & 0x3 == 0x0",
    "ct protocol != udp",
    "ct original protocol { tcp, udp }",
];
