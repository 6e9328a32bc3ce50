//! What rules write into headers, and looks at what was written.

use super::matches::Matches;
use super::{Draft, Edge};

/// A question of what other rules write.
pub(super) fn condition(rule: &mut Matches<'_, '_>) {
    if rule.draft.chance.percent(40) {
        let Some(transport @ ("tcp" | "udp")) = rule.with_ports() else { return };
        let text =
            *rule.draft.chance.pick(&["dport 8080", "dport != 53", "dport 52-80", "sport 53"]);
        let ports = [8080, 53, 52, 80, 81, 22].map(Edge::DestinationPort).to_vec();
        return rule.push(format!("{transport} {text}"), ports);
    }
    let is_v6 = rule.version() == 6;
    let (family, hops) = if is_v6 { ("ip6", "hoplimit") } else { ("ip", "ttl") };
    let (text, edges) = match rule.draft.chance.below(4) {
        0 | 1 => {
            let text =
                *rule.draft.chance.pick(&["9", "!= 9", "8-10", "1", "< 9", "{ 1, 8, 63-64 }"]);
            let near = [9, 8, 10, 1, 2, 64, 65, 255].map(Edge::Ttl).to_vec();
            (format!("{family} {hops} {text}"), near)
        }
        2 => {
            let text = *rule.draft.chance.pick(&["cs1", "!= ef", "{ cs1, ef }", "0-10"]);
            let near = [8 << 2, 46 << 2, 0, 10 << 2 | 1, 11 << 2, 46 << 2 | 3].map(Edge::Class);
            (format!("{family} dscp {text}"), near.to_vec())
        }
        _ => {
            let text = *rule.draft.chance.pick(&["ce", "!= ce", "{ ect0, ect1 }", "not-ect"]);
            (format!("{family} ecn {text}"), [3, 0, 1, 2, 0xb9].map(Edge::Class).to_vec())
        }
    };
    rule.push(text, edges);
}

/// Writes into a header; `None` where the rule does not say of which.
pub(super) fn statement(
    draft: &mut Draft<'_>,
    version: Option<u8>,
    transport: Option<&'static str>,
) -> Option<String> {
    if let Some(transport @ ("tcp" | "udp")) = transport
        && draft.chance.percent(35)
    {
        let text = *draft.chance.pick(&["dport set 8080", "dport set 53", "sport set 53"]);
        return Some(format!("{transport} {text}"));
    }
    let (family, hops) = match version? {
        6 => ("ip6", "hoplimit"),
        _ => ("ip", "ttl"),
    };
    let text = match draft.chance.below(10) {
        0..4 => format!("{hops} set {}", draft.chance.pick(&["9", "1", "2", "64", "255"])),
        4..7 => format!("dscp set {}", draft.chance.pick(&["cs1", "ef", "0"])),
        7..9 => format!("ecn set {}", draft.chance.pick(&["ce", "not-ect", "ect0"])),
        _ if family == "ip6" => "daddr set fd00:17::41".to_owned(),
        _ => "daddr set 172.17.0.5".to_owned(),
    };
    Some(format!("{family} {text}"))
}
