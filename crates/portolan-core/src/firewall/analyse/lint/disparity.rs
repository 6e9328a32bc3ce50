//! Ports that are open wider in one family than in the other.

use super::family::{Family, Hit};
use super::{Code, Finding};
use crate::firewall::analyse::AnalyseError;
use crate::firewall::analyse::chain::Did;
use crate::firewall::analyse::parity::parity;
use crate::firewall::analyse::space::Space;
use crate::firewall::bdd::Region;
use crate::firewall::simulate::{Prepared, Way};
use crate::firewall::{Hook, RuleId};

/// Ports that one family lets in and the other does not, with the rule that does.
pub(super) fn disparities(
    spaces: &mut [&mut Space],
    families: &[Family],
    prepared: &Prepared<'_>,
) -> Result<Vec<Finding>, AnalyseError> {
    let [v4, v6] = spaces else { return Ok(Vec::new()) };
    let mut findings: Vec<Finding> = Vec::new();
    let accepted_by: Vec<_> = families.iter().map(accepted).collect();
    for disparity in parity(v4, v6, prepared)? {
        let is_v6_wider = disparity.v6.rank() > disparity.v4.rank();
        let wider = usize::from(is_v6_wider);
        let space: &mut Space = if is_v6_wider { v6 } else { v4 };
        if disparity.is_of_one_family() {
            continue;
        }
        let of = space.protocol(disparity.protocol)?;
        let fresh = space.from_outside()?;
        let to = space.to_ports(&[disparity.ports])?;
        let by = match disparity.interface {
            Some(number) => space.bdd.equal(space.layout.interface_in, number)?,
            None => Region::ALL,
        };
        let region = space.bdd.intersection([of, fresh, to, by])?;
        let region = space.of_way(region, Way::Input)?;
        let hits = accepted_by.get(wider).map_or(&[][..], Vec::as_slice);
        let Some(rule) = accepting(space, hits, region) else { continue };
        let (wide, narrow) = if is_v6_wider { ("IPv6", "IPv4") } else { ("IPv4", "IPv6") };
        let ports = ports_words(disparity.protocol, disparity.ports);
        let word =
            |name: &str| if name == "others" { "any other interface" } else { name }.to_owned();
        let words: Vec<String> = disparity.interfaces.iter().map(|name| word(name)).collect();
        let by = if words.is_empty() { String::new() } else { format!(" by {}", words.join(", ")) };
        let message = format!("{ports} is open wider with {wide} than with {narrow}{by}");
        match findings.iter_mut().find(|finding| finding.rule == rule) {
            Some(known) => {
                known.message =
                    format!("what it lets in is open wider with {wide} than with {narrow}");
            }
            None => findings.push(Finding {
                code: Code::Disparity,
                rule,
                blockers: Vec::new(),
                message,
                witness: None,
                depends_on: Vec::new(),
            }),
        }
    }
    Ok(findings)
}

fn ports_words(protocol: u8, (from, to): (u16, u16)) -> String {
    let word = if protocol == 6 { "tcp" } else { "udp" };
    if from == to { format!("{from}/{word}") } else { format!("{from}-{to}/{word}") }
}

/// The first rule, or policy, that accepts packets of a region at the hook input.
fn accepting(space: &mut Space, hits: &[((bool, RuleId), &Hit)], region: Region) -> Option<RuleId> {
    let mut hits = hits.iter();
    let meets =
        |hit: &Hit, space: &mut Space| space.bdd.meets_within(hit.packets, hit.among, region);
    hits.find(|(_, hit)| meets(hit, space)).map(|((_, rule), _)| *rule)
}

/// What rules and policies accept at the hook input; policies last.
fn accepted(family: &Family) -> Vec<((bool, RuleId), &Hit)> {
    let hits = family.hits.iter().flat_map(|(rule, hits)| hits.iter().map(move |hit| (rule, hit)));
    let accepting = hits.filter(|(_, hit)| {
        (hit.way, hit.hook, hit.did) == (Way::Input, Hook::Input, Did::Accepted)
    });
    let mut all: Vec<_> =
        accepting.map(|(rule, hit)| ((rule.rule.is_none(), *rule), hit)).collect();
    all.sort_by_key(|(rule, _)| *rule);
    all
}
