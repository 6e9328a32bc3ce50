//! A real packet's way, told.

use std::io::{self, Write as _};

use anyhow::Result;
use portolan_core::firewall::RulePlace;
use portolan_core::net::Endpoint;
use portolan_core::reach::{By, End, Followed, FollowedStep, Group};
use portolan_core::wire::nftrace::TraceVerdict;
use serde::Serialize;

use super::text::hanging;
use crate::ops::reach::live::{self, Observation, Plan, Reply};
use crate::ops::reach::{Report, Row};
use crate::render::firewall::place::PlaceJson;
use crate::render::json::Document;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;
use crate::render::table::wrap;

/// Says on standard error what is going to be changed and undone.
pub(crate) fn plan(plan: &Plan) {
    let wanted = &plan.wanted;
    let lines = [
        format!(
            "add the table `inet {}`: it marks packets from {} to {}/{} and their answers for tracing, and \
             decides nothing",
            plan.table, wanted.from, wanted.port, wanted.transport
        ),
        format!(
            "remove it after at most {} s; the kernel removes it when this command ends in any way",
            plan.wait.as_secs()
        ),
    ];
    let mut out = io::stderr().lock();
    for line in lines.iter().flat_map(|line| wrap(&sanitize(line), WIDTH)) {
        // Nobody is left to tell when standard error is gone.
        let _ = writeln!(out, "{line}");
    }
}

/// What is to be done on the other machine.
pub(crate) fn invitation(plan: &Plan) -> String {
    let wanted = &plan.wanted;
    let (to, note) = match plan.to.first() {
        // Whoever sends from an address of a link sends to one, and names the link as it is called there.
        Some(to) if live::is_link(*to) => {
            (format!("[{to}%LINK]:{}", wanted.port), " (LINK: its interface on this link)")
        }
        Some(to) => (Endpoint::new(*to, wanted.port).to_string(), ""),
        None => ("THIS-MACHINE".to_owned(), ""),
    };
    format!("on {} run now: portolan check {to}/{}{note}", wanted.from, wanted.transport)
}

/// Prints what came of it.
pub(crate) fn live_text(screen: &mut Screen, row: &Row, seen: &Observation) -> Result<()> {
    let wanted = &seen.plan.wanted;
    let (role, verdict) = verdict(seen, row);
    let title = format!("{}/{} from {}", wanted.port, wanted.transport, wanted.from);
    let style = screen.style;
    writeln!(
        screen,
        "{}  {}",
        style.paint(Role::Strong, sanitize(&title)),
        style.paint(role, verdict.0)
    )?;
    hanging(screen, "", &verdict.1)?;
    if let Some(told) = untraced(seen) {
        hanging(screen, "", &told)?;
    }
    if let Some(way) = seen.way.as_ref().filter(|way| !way.steps.is_empty()) {
        writeln!(screen)?;
        for step in &way.steps {
            let mark = format!("  {:<8}  ", word(step.verdict));
            hanging(screen, &mark, &step.rule.to_string())?;
        }
    }
    if let Some(reply) = seen.reply {
        writeln!(screen, "  {}", reply_words(reply))?;
    }
    writeln!(screen)?;
    hanging(screen, "by the rules: ", &expectation(row))?;
    Ok(screen.flush()?)
}

fn expectation(row: &Row) -> String {
    expected(row).map_or_else(String::new, |g| format!("{}, {}", g.answer.as_str(), g.by))
}

/// What the rules that were read say of it.
fn expected(row: &Row) -> Option<&Group> {
    let groups = || row.reach.groups();
    groups().find(|g| g.has_way()).or_else(|| groups().next())
}

fn verdict(seen: &Observation, row: &Row) -> (Role, (&'static str, String)) {
    let (role, word, told) = match (&seen.way, &seen.packet) {
        (Some(Followed { end: End::Delivered, .. }), _) => {
            back(seen, row, "It came through the whole input path")
        }
        (Some(Followed { end: End::Forwarded, .. }), _) => {
            back(seen, row, "It was sent on to where it was translated to")
        }
        (Some(Followed { end: End::Refused(rule), .. }), _) => {
            (Role::Bad, "dropped", format!("It arrived, and was ended by {rule}"))
        }
        (Some(Followed { end: End::NotRouted, .. }), _) => not_routed(seen, row),
        (None, Some(_)) => (
            Role::Bad,
            "taken before the rules",
            "It was seen on the wire, and never came to the rules: an ingress rule, XDP or tc took it, \
             or it was for another machine."
                .to_owned(),
        ),
        (None, None) => (
            Role::Warning,
            "nothing came",
            format!("No such packet arrived within {} s.", seen.waited.as_secs()),
        ),
    };
    (role, (word, told))
}

/// It came there: what of the answer to it?
fn back(seen: &Observation, row: &Row, came: &str) -> (Role, &'static str, String) {
    if let Some(rule) = seen.answer_refused() {
        let told = format!("{came}, but its answer was ended by {rule}");
        return (Role::Bad, "answer dropped", told);
    }
    match seen.reply {
        Some(Reply::Refuses) => {
            (Role::Bad, "refused", format!("{came}, and nothing takes it there."))
        }
        None if seen.is_silent() => {
            let told = match expected(row).map(|group| &group.by) {
                Some(by @ By::AnswerRefused(rule)) if is_untraced(seen, rule) => {
                    format!(
                        "{came}, but no answer to it was seen. By the rules that were read: {by}"
                    )
                }
                _ => format!("{came}, but no answer to it was seen."),
            };
            (Role::Bad, "no answer", told)
        }
        _ => (Role::Good, "arrived", format!("{came}.")),
    }
}

/// It came no farther than prerouting, and no rule that is traced ended it.
fn not_routed(seen: &Observation, row: &Row) -> (Role, &'static str, String) {
    let rule = expected(row).and_then(|group| match &group.by {
        By::Refused { rule, .. } if is_untraced(seen, rule) => Some(rule),
        _ => None,
    });
    let told = match rule {
        Some(rule) => {
            let told = format!(
                "It arrived, and no rule of nf_tables ended it. Rules of legacy iptables are not \
                 traced; by what was read of them this one did: {rule}"
            );
            return (Role::Bad, "dropped", told);
        }
        None if seen.untraced.is_empty() => {
            "It arrived, no rule ended it, and it came no farther than prerouting: the reverse path \
             (rp_filter), no forwarding, or no route."
        }
        None => {
            "It arrived, no rule of nf_tables ended it, and it came no farther than prerouting: a rule \
             of legacy iptables, the reverse path (rp_filter), no forwarding, or no route."
        }
    };
    (Role::Bad, "not routed", told.to_owned())
}

/// Whether a rule is one of legacy iptables, of which nf_tables tells nothing.
fn is_untraced(seen: &Observation, rule: &RulePlace) -> bool {
    let table = format!("{} {}", rule.family, rule.table);
    seen.untraced.contains(&table)
}

/// What of the rules could not be followed, and how to see it.
fn untraced(seen: &Observation) -> Option<String> {
    let tables = &seen.untraced;
    let name = tables.first()?.split(' ').next_back()?.to_owned();
    let wanted = &seen.plan.wanted;
    let tool = if wanted.from.is_ipv4() { "iptables-legacy" } else { "ip6tables-legacy" };
    Some(format!(
        "Not traced: the rules of {tool} (tables {}), which nf_tables does not tell of. If one of them \
         ended it, its counter moved: {tool} -t {name} -nvL; or add, and remove again, {tool} -t raw -I \
         PREROUTING -s {} -p {} --dport {} -j TRACE, and read the kernel's log.",
        tables.join(", "),
        wanted.from,
        wanted.transport,
        wanted.port
    ))
}

const fn word(verdict: TraceVerdict) -> &'static str {
    match verdict {
        TraceVerdict::Drop => "drops",
        TraceVerdict::Accept => "accepts",
        TraceVerdict::GoesOn(_) => "passes",
        TraceVerdict::Taken(_) => "takes",
    }
}

const fn reply_words(reply: Reply) -> &'static str {
    match reply {
        Reply::Accepts => "answered: the port is open",
        Reply::Refuses => "answered: refused",
    }
}

/// Prints it as one document.
pub(crate) fn live_json(
    screen: &mut Screen,
    report: &Report,
    row: &Row,
    seen: &Observation,
) -> Result<()> {
    let wanted = &seen.plan.wanted;
    let (arrived, outcome, rule) = match (&seen.way, &seen.packet) {
        (Some(Followed { end: End::Delivered, .. }), _) => (true, "delivered", None),
        (Some(Followed { end: End::Forwarded, .. }), _) => (true, "forwarded", None),
        (Some(Followed { end: End::Refused(rule), .. }), _) => (true, "dropped", Some(rule)),
        (Some(Followed { end: End::NotRouted, .. }), _) => (true, "not-routed", None),
        (None, Some(_)) => (true, "before-rules", None),
        (None, None) => (false, "nothing-came", None),
    };
    let body = Body {
        from: [wanted.from.to_string()],
        port: wanted.port.0,
        transport: wanted.transport.as_str(),
        answer: expected(row).map(|group| group.answer.as_str()),
        live: LiveJson {
            arrived,
            outcome,
            rule: rule.map(PlaceJson::from),
            replied: seen.reply.map(|reply| match reply {
                Reply::Accepts => "accepts",
                Reply::Refuses => "refuses",
            }),
            answer_rule: seen.answer_refused().map(PlaceJson::from),
            steps: seen.way.iter().flat_map(|way| &way.steps).map(StepJson::from).collect(),
            saw_wire: seen.saw_wire,
            untraced: &seen.untraced,
            waited_ms: u64::try_from(seen.waited.as_millis()).unwrap_or(u64::MAX),
        },
    };
    screen.json(&Document::new("reach", body, &report.gaps))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct Body<'a> {
    from: [String; 1],
    port: u16,
    transport: &'static str,
    /// What the rules say of it.
    answer: Option<&'static str>,
    live: LiveJson<'a>,
}

#[derive(Serialize)]
struct LiveJson<'a> {
    arrived: bool,
    /// `delivered forwarded dropped not-routed before-rules nothing-came`.
    outcome: &'static str,
    /// What ended it.
    rule: Option<PlaceJson>,
    /// What this machine answered: `accepts`, `refuses`, or null where nothing was seen.
    replied: Option<&'static str>,
    /// The rule that ended the answer on its way back.
    answer_rule: Option<PlaceJson>,
    steps: Vec<StepJson>,
    /// Whether the wire could be looked at too.
    saw_wire: bool,
    /// Tables of legacy iptables on the way, whose rules are not traced.
    untraced: &'a [String],
    waited_ms: u64,
}

/// Plans are read on any terminal.
const WIDTH: usize = 80;

#[derive(Serialize)]
struct StepJson {
    verdict: &'static str,
    rule: PlaceJson,
}

impl From<&FollowedStep> for StepJson {
    fn from(step: &FollowedStep) -> Self {
        Self { verdict: word(step.verdict), rule: PlaceJson::from(&step.rule) }
    }
}
