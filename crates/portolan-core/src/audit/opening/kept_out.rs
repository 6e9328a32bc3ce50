//! P114: a source that `from` names is kept out, all of it or a part that cannot be an exception.

use crate::firewall::Addresses;
use crate::inventory::{Block, SourceExtent};
use crate::net::{Prefix, Severity};

use super::super::Rule;
use super::super::case::{Case, Words, extent_for};
use super::meant::Meant;
use super::{Keeper, Line, Opening, evidence, senders, told};

/// Finds the first source that is kept out. Behind a door everybody is, until they knock; and so they are to
/// be where what was approved has ended.
pub(super) fn missing(case: &mut Case<'_>, opening: &Opening, entry: usize) {
    let service = case.entries[entry].service;
    if service.behind.is_some() || service.docs.has_ended(case.scene.now) {
        return;
    }
    let blocked = blocked(case);
    for source in &service.from {
        let extent = extent_for(&case.scene, service, &source.value);
        let meant = Meant::of([&extent]);
        let admitted = senders(&meant.among(&opening.admitted));
        let admitted = admitted.with(&opening.perhaps.and(&meant.by(None)));
        let refused = blocked.not_among(&meant.among(&opening.refused));
        let kept_out = without(&refused, &admitted);
        let kept = senders(&kept_out);
        if kept.is_empty() || !is_telling(&kept, &admitted, &extent) {
            continue;
        }
        let part = match admitted.is_empty() {
            true => "all of it".to_owned(),
            false => format!("{} of it", told(&kept)),
        };
        let subject = opening.subject();
        let words = Words {
            message: format!(
                "{} on {subject} is for {}, and the firewall keeps {part} out",
                service.name, source.value
            ),
            evidence: evidence(&kept_out),
            remedy: remedy(opening, &kept_out),
            at: &service.at,
            sockets: Vec::new(),
        };
        case.find(Rule::P114, Severity::Medium, subject, Some(&service.name), words);
        return;
    }
}

fn without(lines: &[Line], others: &Addresses) -> Vec<Line> {
    let cut = lines.iter().map(|l| Line { senders: l.senders.without(others), ..l.clone() });
    cut.filter(|line| !line.senders.is_empty()).collect()
}

/// Whether those who are kept out are more than an exception, such as a host that was banned: all of a
/// family, or a network; of everybody nothing less than a large part.
fn is_telling(kept: &Addresses, admitted: &Addresses, extent: &SourceExtent) -> bool {
    let is_wide = |p: &Prefix| p.length() < if p.address().is_ipv4() { 8 } else { 7 };
    let is_everybody = extent.any || extent.prefixes.iter().any(is_wide);
    [false, true].into_iter().any(|is_v6| {
        let networks = kept.prefixes(is_v6);
        let is_whole = !networks.is_empty() && admitted.family(is_v6).is_empty();
        let single = if is_v6 { 128 } else { 32 };
        let is_large = |p: &Prefix| if is_everybody { is_wide(p) } else { p.length() < single };
        let is_family = is_whole && (!is_everybody || networks.iter().any(is_wide));
        is_family || admitted.is_empty() || networks.iter().any(is_large)
    })
}

/// What lets them in: `apply` where our own rules keep them out, else what the tool of that rule says.
fn remedy(opening: &Opening, kept_out: &[Line]) -> String {
    let Some(other) = kept_out.iter().find(|line| line.keeper != Keeper::Ours) else {
        return "write what the inventory says into the firewall: portolan firewall apply; or change \
                the rule, or `from`"
            .to_owned();
    };
    let command = command(opening, other).map(|c| format!(": {c}")).unwrap_or_default();
    format!(
        "let them in where that rule comes from{command}; portolan firewall apply leaves other tables \
         as they are; or change `from`"
    )
}

/// How the tool that wrote a rule lets the first of its senders in (ufw(8), firewall-cmd(1)).
fn command(opening: &Opening, line: &Line) -> Option<String> {
    let (port, transport) = (opening.port, opening.transport);
    let networks = |is_v6| line.senders.prefixes(is_v6);
    let all = [networks(false), networks(true)].concat();
    let first = all.first().filter(|_| all.len() <= super::SHOWN);
    match (line.keeper, first) {
        (Keeper::Ufw, None) => Some(format!("ufw allow {port}/{transport}")),
        (Keeper::Ufw, Some(from)) => {
            Some(format!("ufw allow proto {transport} from {from} to any port {port}"))
        }
        (Keeper::Firewalld, None) => {
            Some(format!("firewall-cmd --permanent --add-port={port}/{transport}"))
        }
        (Keeper::Firewalld, Some(from)) => {
            let family = if from.address().is_ipv4() { "ipv4" } else { "ipv6" };
            Some(format!(
                "firewall-cmd --permanent --add-rich-rule='rule family=\"{family}\" source \
                 address=\"{from}\" port port=\"{port}\" protocol=\"{transport}\" accept'"
            ))
        }
        (Keeper::Ours | Keeper::Other, _) => None,
    }
}

/// Whom `[[block]]` keeps out; one that has ended keeps out nobody.
fn blocked(case: &Case<'_>) -> Meant {
    let has_ended = |block: &Block| block.until.is_some_and(|end| end.is_over(case.scene.now));
    let blocks = case.scene.inventory.blocks.iter().filter(|block| !has_ended(block));
    let sources = blocks.flat_map(|block| &block.from);
    let extent = |source: &crate::inventory::Located<crate::inventory::Source>| {
        case.scene.inventory.extent_of(&source.value, case.scene.machine)
    };
    let extents: Vec<SourceExtent> = sources.map(extent).collect();
    Meant::of(&extents)
}
