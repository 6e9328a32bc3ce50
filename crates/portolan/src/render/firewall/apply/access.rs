//! The part of a plan that is about access that must stay: whose it is, and what becomes of it.

use std::io::Write as _;

use anyhow::Result;

use super::life;
use crate::ops::firewall::change::Plan;
use crate::ops::firewall::judge::Verdict;
use crate::ops::firewall::outsiders::{NobodyWhy, OtherWay};
use crate::ops::firewall::precheck::{Access, Who};
use crate::render::firewall::status::duration;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;

pub(super) fn access(screen: &mut Screen, plan: &Plan) -> Result<()> {
    let rows = &plan.precheck.access;
    if plan.intended.loaded.inventory.management.is_none() {
        let whom = if rows.is_empty() {
            "nobody: no [management] in the inventory, and this is no SSH session: nothing was checked"
        } else {
            "only this SSH session: no [management] in the inventory"
        };
        screen.hanging("access that must stay: ", whom)?;
    } else {
        writeln!(screen, "access that must stay:")?;
    }
    for row in &plan.precheck.nobody {
        let word = screen.style.paint(Role::Bad, "is lost").to_string();
        let (range, transport) = (row.range, row.transport);
        screen.hanging(&format!("  {range}/{transport} {word}: "), nobody(row.why))?;
    }
    for row in rows {
        one(screen, row)?;
    }
    Ok(())
}

/// What becomes of one who must be let in.
fn one(screen: &mut Screen, row: &Access) -> Result<()> {
    let (role, word) = match row.verdict {
        Verdict::Kept => (Role::Good, "stays"),
        Verdict::Open(_) => (Role::Warning, "is not certain"),
        Verdict::Refused(_) => (Role::Warning, "is refused already, and stays so"),
        Verdict::Lost(_) => (Role::Bad, "is lost"),
    };
    let word = screen.style.paint(role, word).to_string();
    let (port, transport) = (row.port, row.transport);
    writeln!(screen, "  {} to {port}/{transport} {word} ({})", row.source, who(&row.who))?;
    limit(screen, row)?;
    if let Some(why) = why(&row.verdict) {
        writeln!(screen, "    {}", sanitize(&why))?;
    }
    if let Some(need) = row.lacks {
        screen.hanging("    ", life::lacks(need))?;
    }
    let other_way = row.other_way.iter().filter(|_| matches!(row.verdict, Verdict::Lost(_)));
    for OtherWay { said, by } in other_way {
        let (said, by) = (sanitize(said), sanitize(by));
        let text = format!("let in by {said} only, and its packets come by {by}");
        screen.hanging("    ", &text)?;
    }
    Ok(())
}

/// How often they are let in, where that is limited.
fn limit(screen: &mut Screen, row: &Access) -> Result<()> {
    let Some(limit) = row.limit else { return Ok(()) };
    let (role, then) = match row.is_too_slow() {
        true => (Role::Bad, ": the connection that is to confirm is one of them"),
        false => (Role::Warning, ""),
    };
    let often = format!("at most {} in {}", limit.count, duration(limit.per));
    let often = screen.style.paint(role, &often).to_string();
    writeln!(screen, "    {often}{then}")?;
    Ok(())
}

/// Why a port of `[management]` is lost to everybody.
const fn nobody(why: NobodyWhy) -> &'static str {
    match why {
        NobodyWhy::Itself => {
            "[management] names this machine itself only: nobody outside will reach it"
        }
        NobodyWhy::Unknown => {
            "no address is known of whom [management] names: nobody outside will reach it"
        }
    }
}

/// What decides where it is not this policy alone.
fn why(verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Kept | Verdict::Lost(None) => None,
        Verdict::Open(question) => Some(format!("another table asks, today as well: {question}")),
        Verdict::Refused(place) => {
            let place =
                place.as_ref().map_or_else(|| "another table".to_owned(), ToString::to_string);
            Some(format!("not by this policy, but by {place}"))
        }
        Verdict::Lost(Some(place)) => Some(format!("by {place}")),
    }
}

fn who(who: &Who) -> String {
    match who {
        Who::ThisSession => "this SSH session".to_owned(),
        Who::Management(label) => format!("management: {}", sanitize(label)),
    }
}
