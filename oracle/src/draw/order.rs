//! Tables whose base chains lie on the same hooks with the same priorities, made in an order of their own.

use super::subject::Subject;
use super::{Draft, Line, Role, line};
use crate::chance::Chance;

/// Two to four tables, their chains made across each other, some made anew.
pub(super) fn tables(chance: &mut Chance) -> Vec<Line> {
    let mut tables = Vec::new();
    let mut chains = Vec::new();
    let mut rest = Vec::new();
    let roles = [role(chance), role(chance)];
    for number in 0..2 + chance.below(3) {
        let family = *chance.pick(&["ip", "ip6", "inet", "inet"]);
        let name = format!("t{number}");
        tables.push(line(format!("add table {family} {name}")));
        let mut draft = Draft::new(chance, Subject::Order, family, name);
        for at in 0..1 + draft.chance.below(3) {
            let role = *draft.chance.pick(&roles);
            chains.push(draft.base_chain(at, role));
            for _ in 0..1 + draft.chance.below(4) {
                draft.rule(&format!("b{at}"), role, 0);
            }
        }
        rest.append(&mut draft.sets);
        rest.append(&mut draft.rules);
    }
    shuffle(chance, &mut chains);
    for at in 0..chains.len() {
        if chance.percent(25) {
            let again = chains[at].clone();
            let name = again.text.split(' ').skip(2).take(3).collect::<Vec<_>>().join(" ");
            chains.push(line(format!("delete chain {name}")));
            chains.push(again);
        }
    }
    [tables, chains, rest].concat()
}

/// The hook and the priority that its chains share.
fn role(chance: &mut Chance) -> Role {
    let (hook, kind) = *chance.pick(&[
        ("input", "filter"),
        ("input", "filter"),
        ("forward", "filter"),
        ("prerouting", "filter"),
        ("output", "filter"),
        ("prerouting", "nat"),
        ("prerouting", "nat"),
        ("output", "nat"),
        ("postrouting", "nat"),
    ]);
    let priority = match (kind, hook) {
        ("nat", "postrouting") => 100,
        ("nat", _) => -100,
        _ => *chance.pick(&[0, 0, -10, -150]),
    };
    Role { hook, kind, priority }
}

fn shuffle(chance: &mut Chance, lines: &mut [Line]) {
    for at in (1..lines.len()).rev() {
        lines.swap(at, chance.below(at + 1));
    }
}

/// What `nft list hooks` would print of these lines, which not every kernel can tell: for each version of
/// IP and each hook the chains in the order in which packets meet them.
#[must_use]
pub fn hooks(lines: &[Line]) -> String {
    let mut made: Vec<Made<'_>> = Vec::new();
    for line in lines {
        if let Some(gone) = line.text.strip_prefix("delete chain ") {
            made.retain(|chain| chain.name != gone);
        }
        made.extend(Made::read(&line.text));
    }
    let mut text = String::new();
    for (version, family) in [("ip", "ip6"), ("ip6", "ip")] {
        text += &format!("family {version} {{\n");
        for hook in ["prerouting", "input", "forward", "output", "postrouting"] {
            let here = |chain: &&Made<'_>| {
                chain.hook == hook && chain.name.split(' ').next() != Some(family)
            };
            // The one made last comes first among its equals.
            let mut met: Vec<&Made<'_>> = made.iter().rev().filter(here).collect();
            met.sort_by_key(|chain| chain.priority);
            text += &format!("\thook {hook} {{\n");
            for chain in met {
                text += &format!("\t\t{:010} chain {} [nf_tables]\n", chain.priority, chain.name);
            }
            text += "\t}\n";
        }
        text += "}\n";
    }
    text
}

/// A base chain that a line makes.
struct Made<'a> {
    /// Family, table and its own.
    name: &'a str,
    hook: &'a str,
    priority: i32,
}

impl<'a> Made<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (name, base) = text.strip_prefix("add chain ")?.split_once(" { ")?;
        let mut words = base.split([' ', ';']);
        let hook = words.by_ref().skip_while(|word| *word != "hook").nth(1)?;
        let priority = words.skip_while(|word| *word != "priority").nth(1)?;
        Some(Self { name, hook, priority: priority.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_made_last_is_met_first() {
        let chain = |name: &str, priority: i32| {
            line(format!(
                "add chain {name} {{ type filter hook input priority {priority}; policy accept; }}"
            ))
        };
        let lines = [
            chain("inet a x", 0),
            chain("ip b y", 0),
            chain("inet c z", -10),
            line("delete chain inet a x".to_owned()),
            chain("inet a x", 0),
        ];
        let text = hooks(&lines);
        let place = |name: &str| text.find(name).unwrap_or(usize::MAX);
        assert!(place("inet c z") < place("inet a x"), "{text}");
        assert!(place("inet a x") < place("ip b y"), "{text}");
        assert_eq!(text.matches("ip b y").count(), 1);
    }
}
