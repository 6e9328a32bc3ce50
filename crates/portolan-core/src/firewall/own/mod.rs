//! The text of a compiled table, read without nft: for machines that have none, or no namespace to load it
//! in.
//!
//! Understands what `compile` writes and not a word more; another word is an error with its rule and never
//! a guess. What is proved of such a reading holds if nft reads the text alike, which nothing here shows.

mod rule;
mod words;

use std::sync::Arc;

use super::outline::{OutlineError, elements};
use super::ruleset::{Base, ChainKind, ChainPolicy, Family, Hook, Origin};
use super::script::TABLE;
use super::value::{Element, ElementValue, Set, SetFlags};
use super::{Chain, Outline, OutlinePart, Rule, Ruleset, Table, Verdict};
use words::{Kind, Words};

/// Text that is not what `compile` writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwnTextError {
    /// It is no table of ours.
    #[error(transparent)]
    Table(#[from] OutlineError),
    /// A line of it is not understood.
    #[error("not understood in `{part}`: {line}")]
    Line {
        /// The set or chain.
        part: String,
        /// The line.
        line: String,
    },
}

impl Ruleset {
    /// What the text of a compiled table says.
    ///
    /// # Errors
    /// [`OwnTextError`] where `compile` would not have written it.
    pub fn from_own_text(text: &str) -> Result<Self, OwnTextError> {
        let outline = Outline::parse(text)?;
        let mut table = Table {
            family: Family::Inet,
            name: TABLE.into(),
            origin: Origin::Nft,
            is_dormant: false,
            chains: Vec::new(),
            sets: Vec::new(),
        };
        if outline.parts.is_empty() {
            return Ok(Self::default());
        }
        for part in &outline.parts {
            match part.kind {
                "set" | "map" => table.sets.push(set(part)?),
                "chain" => table.chains.push(chain(part, table.chains.len())?),
                // What it does is no verdict.
                "ct helper" => {}
                _ => return Err(unread(part, part.kind)),
            }
        }
        Ok(Self { tables: vec![table], notes: Vec::new() })
    }
}

fn unread(part: &OutlinePart<'_>, line: &str) -> OwnTextError {
    OwnTextError::Line { part: part.name.to_owned(), line: line.trim().to_owned() }
}

fn lines<'t>(part: &OutlinePart<'t>) -> impl Iterator<Item = &'t str> + use<'t> {
    let lines = part.body.into_iter().flat_map(str::lines).map(str::trim);
    lines.filter(|line| !line.is_empty())
}

fn set(part: &OutlinePart<'_>) -> Result<Set, OwnTextError> {
    let mut set = Set {
        name: part.name.into(),
        key: Vec::new(),
        flags: SetFlags { is_map: part.kind == "map", ..SetFlags::default() },
        size: None,
        elements: None,
    };
    for line in lines(part) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "type" => set.key.extend(rest.split(" : ").next().map(Into::into)),
            "size" => set.size = Some(rest.parse().map_err(|_| unread(part, line))?),
            "flags" => flags(&mut set.flags, rest).ok_or_else(|| unread(part, line))?,
            "timeout" | "comment" => {}
            _ => return Err(unread(part, line)),
        }
    }
    let kind = set.key.first().and_then(|word| Kind::named(word));
    let mut members = Vec::new();
    for text in part.elements.map(elements).unwrap_or_default() {
        let element = kind.and_then(|kind| element(text, kind, set.flags.is_map));
        members.push(element.ok_or_else(|| unread(part, text))?);
    }
    set.elements = Some(Arc::from(members));
    Ok(set)
}

fn flags(flags: &mut SetFlags, words: &str) -> Option<()> {
    for word in words.split(',').map(str::trim) {
        match word {
            "dynamic" => flags.is_dynamic = true,
            "timeout" => flags.has_timeout = true,
            "interval" => flags.is_interval = true,
            _ => return None,
        }
    }
    Some(())
}

fn element(text: &str, kind: Kind, is_map: bool) -> Option<Element> {
    let (key, target) = match text.split_once(" : ") {
        Some((key, value)) if is_map => (key, Some(value.strip_prefix("jump ")?)),
        None if !is_map => (text, None),
        _ => return None,
    };
    let value = target.map_or(ElementValue::None, |chain| {
        ElementValue::Verdict(Verdict::Jump(chain.trim().into()))
    });
    Some(Element { value, ..Element::of(kind.span(key)?) })
}

fn chain(part: &OutlinePart<'_>, place: usize) -> Result<Chain, OwnTextError> {
    let mut base = None;
    let mut rules = Vec::new();
    for line in lines(part) {
        if let Some(hook) = line.strip_prefix("type ") {
            base = Some(base_of(hook, place).ok_or_else(|| unread(part, line))?);
            continue;
        }
        let statements = rule::statements(Words::of(line)).ok_or_else(|| unread(part, line))?;
        let noted = line.split_once(" comment \"").and_then(|(_, note)| note.strip_suffix('"'));
        let comment = noted.map(Into::into);
        rules.push(Rule { text: line.into(), comment, statements, ..Rule::default() });
    }
    Ok(Chain { name: part.name.into(), base, rules })
}

/// `filter hook input priority -5; policy drop;`
fn base_of(text: &str, place: usize) -> Option<Base> {
    let words: Vec<&str> = text.split([' ', ';']).filter(|word| !word.is_empty()).collect();
    let [kind, "hook", hook, "priority", priority, "policy", policy] = words[..] else {
        return None;
    };
    Some(Base {
        kind: match kind {
            "filter" => ChainKind::Filter,
            "nat" => ChainKind::Nat,
            _ => return None,
        },
        hook: [Hook::Prerouting, Hook::Input, Hook::Forward, Hook::Output, Hook::Postrouting]
            .into_iter()
            .find(|known| known.as_str() == hook)?,
        priority: priority.parse().ok()?,
        sequence: u32::try_from(place).unwrap_or(u32::MAX),
        policy: match policy {
            "accept" => ChainPolicy::Accept,
            "drop" => ChainPolicy::Drop,
            _ => return None,
        },
        devices: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# portolan\ntable inet portolan {\n\tset a {\n\t\ttype ipv4_addr\n\t\tflags interval\n\
        \t\telements = { 10.0.0.0/24, 10.1.0.1-10.1.0.9 }\n\t}\n\tmap m {\n\t\ttype inet_service : verdict\n\
        \t\telements = { 443 : jump svc }\n\t}\n\tchain svc {\n\t\tip saddr @a counter accept comment \"pt:x\"\n\
        \t}\n\tchain input {\n\t\ttype filter hook input priority -5; policy drop;\n\
        \t\ticmpv6 type { 135, 136 } ip6 hoplimit 255 counter accept\n\t\ttcp dport vmap @m\n\t}\n}\n";

    #[test]
    fn sets_maps_chains_and_rules_are_read() {
        let ruleset = Ruleset::from_own_text(TEXT).unwrap();
        let table = &ruleset.tables[0];
        assert_eq!(table.sets.iter().map(|set| &*set.name).collect::<Vec<_>>(), ["a", "m"]);
        assert_eq!(table.sets[0].elements.as_ref().unwrap().len(), 2);
        let base = table.chains[1].base.as_ref().unwrap();
        assert_eq!((base.priority, base.policy), (-5, ChainPolicy::Drop));
        // Version, protocol, type; version, hop limit; verdict.
        assert_eq!(table.chains[1].rules[0].statements.len(), 6);
    }

    #[test]
    fn another_word_is_an_error_and_no_guess() {
        for (word, other) in [
            ("counter accept", "counter accept quickly"),
            ("hoplimit", "hoplimits"),
            ("priority -5", "priority filter"),
            ("10.0.0.0/24", "10.0.0.0/24 timeout 2h"),
            ("jump svc }", "goto svc }"),
            ("flags interval", "flags constant"),
            ("table inet portolan", "table inet other"),
        ] {
            let text = TEXT.replace(word, other);
            assert_ne!(text, TEXT);
            assert!(Ruleset::from_own_text(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_cut_off_is_an_error_or_nothing() {
        for end in 0..TEXT.trim_end().len() {
            let read = Ruleset::from_own_text(&TEXT[..end]);
            assert!(read.is_err() || read.unwrap().tables.is_empty(), "{end}");
        }
    }
}
