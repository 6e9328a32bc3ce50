//! A line `-A CHAIN …` as a rule.

use std::net::IpAddr;

use super::matches::{self, Context};
use super::options::{Parsed, parse};
use super::protocol::protocol;
use super::target::{self, Chains};
use super::words::{Line, Word};
use crate::firewall::{Counter, ReadError, Rule};

/// The rule, and the chain it jumps to with the byte where that stands. `None` where the rule is for
/// the other family only (`-4`, `-6`).
pub(super) fn rule(
    line: Line<'_>,
    words: &[Word<'_>],
    counter: Option<Counter>,
    chains: &Chains<'_>,
    context: &mut Context<'_>,
) -> Result<Option<(Rule, Option<usize>)>, ReadError> {
    let options = Line::divided(words.get(2..).unwrap_or_default());
    let parsed = parse(line, &options)?;
    if parsed.only_v6.is_some_and(|only_v6| only_v6 != context.is_v6) {
        return Ok(None);
    }
    refuse_other_family(line, &parsed, context.is_v6)?;
    context.protocol = guarded_protocol(&parsed);
    let mut statements = Vec::new();
    statements.extend(parsed.own.iter().filter_map(|o| matches::own(o, context.is_v6)));
    for found in &parsed.matches {
        statements.extend(matches::statements(found, context));
    }
    let target = target::statements(line, &parsed, chains, context)?;
    statements.extend(target.statements);
    let start = words.first().map_or(0, |word| word.start);
    let comment = parsed.matches.iter().find(|found| found.name == "comment");
    let rule = Rule {
        handle: None,
        line: u32::try_from(line.number).ok(),
        text: line.text.get(start..).unwrap_or_default().trim_end().into(),
        comment: comment.and_then(|found| found.value("--comment")).map(Into::into),
        counter,
        statements,
    };
    Ok(Some((rule, target.chain)))
}

/// Refuses an address of the other version of IP, which the restoring program refuses too: the file is not of
/// the family it is taken for.
fn refuse_other_family(line: Line<'_>, parsed: &Parsed<'_>, is_v6: bool) -> Result<(), ReadError> {
    const ENDS: [&str; 6] = ["-s", "--source", "--src", "-d", "--destination", "--dst"];
    for option in parsed.own.iter().filter(|option| ENDS.contains(&option.name)) {
        let addresses = option.value().split(',').map(|one| one.split('/').next().unwrap_or(one));
        let mut addresses = addresses.filter_map(|one| one.parse::<IpAddr>().ok());
        if let Some(other) = addresses.find(|address| address.is_ipv6() != is_v6) {
            let (mine, theirs, its) = match is_v6 {
                true => ("IPv4", "IPv6", "iptables-save"),
                false => ("IPv6", "IPv4", "ip6tables-save"),
            };
            let problem = format!("{other} is of {mine}, and these rules are taken for {theirs}'s");
            let hint = format!("did {its} print them? then name them so: v{}:FILE", &mine[3..]);
            return Err(line.error(option.at, problem).hinting(hint));
        }
    }
    Ok(())
}

/// The protocol that `-p` wants; a negated one wants none.
fn guarded_protocol(parsed: &Parsed<'_>) -> Option<u8> {
    let is_protocol = |name: &str| matches!(name, "-p" | "--protocol" | "--proto");
    let option = parsed.own.iter().find(|option| is_protocol(option.name))?;
    protocol(option.value()).filter(|number| !option.is_negated && *number != 0)
}
