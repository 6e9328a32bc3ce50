//! Matches that the packet alone does not decide: kept with their text, and with what is presumed of a
//! single packet after a long silence.

use super::super::options::Extension;
use super::{condition, field, spans};
use crate::firewall::{Effect, Expression, Field, SetRef, Span, Statement, Value};

/// The statements of a match that is not evaluated.
pub(super) fn statements(found: &Extension<'_>, is_v6: bool) -> Vec<Statement> {
    if found.name == "recent" && found.has("--set") {
        return vec![recent_set(found)];
    }
    if let Some(holds) = counts_itself(found) {
        return if holds { Vec::new() } else { vec![never()] };
    }
    let mut statements = Vec::new();
    if is_v6 && HEADERS.contains(&found.name) {
        // An extension header is there only if the fixed header leads to one: hop-by-hop, routing,
        // fragment, authentication, options, mobility, HIP, shim6. Without, no such match holds,
        // negated or not.
        let headers = [0, 43, 44, 51, 60, 135, 139, 140].map(Span::number);
        statements.push(field(Field::NextHeader6, false, spans(headers)));
    }
    statements.push(condition(&found.text, is_own(found.name), presumed(found)));
    statements
}

/// `recent --set` remembers and always holds, negated never (net/netfilter/xt_recent.c).
fn recent_set(found: &Extension<'_>) -> Statement {
    let set = found.options.iter().find(|option| option.name == "--set");
    if set.is_some_and(|option| option.is_negated) {
        return condition(&found.text, true, Some(false));
    }
    Statement::Opaque { text: found.text.as_str().into(), effect: Effect::Passes }
}

/// Whether `connlimit` asks for more than none: the packet's own connection counts (xt_connlimit.c).
fn counts_itself(found: &Extension<'_>) -> Option<bool> {
    let is_none = |name| found.options.iter().find(|o| o.name == name && o.value() == "0");
    match found.name {
        "connlimit" => is_none("--connlimit-above")
            .map(|above| !above.is_negated)
            .or_else(|| is_none("--connlimit-upto").map(|up_to| up_to.is_negated)),
        _ => None,
    }
}

/// What holds for no packet.
fn never() -> Statement {
    let left = Expression::Constant(Value::Number(0));
    super::compare(left, false, SetRef::number(1))
}

/// Matches of IPv6 extension headers.
const HEADERS: [&str; 6] = ["rt", "hbh", "dst", "frag", "ah", "mh"];

fn is_own(name: &str) -> bool {
    matches!(
        name,
        "limit" | "hashlimit" | "connlimit" | "quota" | "statistic" | "recent" | "nfacct"
    )
}

fn presumed(found: &Extension<'_>) -> Option<bool> {
    let negated = |name: &str| found.options.iter().any(|o| o.name == name && o.is_negated);
    match found.name {
        "limit" => Some(true),
        "quota" => Some(!negated("--quota")),
        "hashlimit" if found.has("--hashlimit-above") => Some(false),
        "hashlimit" => Some(true),
        "connlimit" if found.has("--connlimit-above") => Some(negated("--connlimit-above")),
        "connlimit" if found.has("--connlimit-upto") => Some(!negated("--connlimit-upto")),
        "recent" => ["--rcheck", "--update", "--remove"]
            .into_iter()
            .find(|name| found.has(name))
            .map(negated),
        "policy" => match found.value("--pol") {
            Some("ipsec") => Some(false),
            Some("none") => Some(true),
            _ => None,
        },
        "ipvs" => Some(false),
        _ => None,
    }
}
