//! Rules that hold until a moment: the kernel looks at the clock for each packet (`meta time`, Linux 5.4).
//!
//! What they ask is a condition like others, so that a proof holds before and after that moment; who
//! knows what time it is can have it answered.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::rule::{Condition, Expression, Match, Statement, Test};
use super::ruleset::Ruleset;
use super::value::{SetRef, Value};

/// That it is earlier than `end`, as nft takes it: seconds since 1970, so that no time zone matters.
pub(super) fn earlier_than(end: Timestamp) -> String {
    format!("meta time < {} ", seconds(end))
}

/// The same as a rule asks it that was read.
pub(super) fn is_earlier_than(end: Timestamp) -> Statement {
    Statement::Condition(Condition {
        text: question("<", seconds(end)).into(),
        is_negated: false,
        is_own: false,
        presumed: None,
    })
}

/// What nft has in place of a moment, in the words of this module: a day and time in UTC, in which nft
/// lists for us, or a number. `None` where it is neither.
pub(super) fn read(op: &str, right: &serde_json::Value) -> Option<String> {
    let seconds = match right {
        serde_json::Value::String(text) => match text.parse::<i64>() {
            Ok(number) => number,
            Err(_) => moment(text)?,
        },
        number => number.as_i64()?,
    };
    Some(question(op, seconds))
}

/// Seconds since 1970, rounded up: nobody is shut out before the time.
fn seconds(end: Timestamp) -> i64 {
    let more = i64::from(end.subsec_nanosecond() > 0);
    end.as_second().saturating_add(more).clamp(0, LAST)
}

/// The last second that the kernel compares with, in 2554: it counts nanoseconds in 64 bits without a sign,
/// and of later moments nft keeps the lower bits (net/netfilter/nft_meta.c).
const LAST: i64 = 18_446_744_073;

fn question(op: &str, seconds: i64) -> String {
    let shown = Timestamp::from_second(seconds).map(|t| t.strftime("%F %T").to_string());
    format!("meta time {op} \"{}\"", shown.unwrap_or_else(|_| seconds.to_string()))
}

fn moment(text: &str) -> Option<i64> {
    let time: DateTime = text.parse().ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

impl Ruleset {
    /// The rules as they are at `now`: what asks for the time is answered.
    pub fn answer_time(&mut self, now: Timestamp) {
        self.answer(|op, end| holds(op, now, end));
    }

    /// Answers only what no longer changes after `now`: that it is earlier than a moment which is over.
    pub fn answer_what_is_over(&mut self, now: Timestamp) {
        self.answer(|op, end| (op == "<" && end <= now).then_some(false));
    }

    fn answer(&mut self, answer: impl Fn(&str, Timestamp) -> Option<bool>) {
        let chains = self.tables.iter_mut().flat_map(|table| &mut table.chains);
        for rule in chains.flat_map(|chain| &mut chain.rules) {
            rule.statements.retain_mut(|statement| {
                let Statement::Condition(condition) = &*statement else { return true };
                let Some(holds) = asked(condition).and_then(|(op, end)| answer(op, end)) else {
                    return true;
                };
                if holds != condition.is_negated {
                    return false;
                }
                *statement = never();
                true
            });
        }
    }
}

/// The comparison and the moment that a condition asks for.
fn asked(condition: &Condition) -> Option<(&str, Timestamp)> {
    let (op, end) = condition.text.strip_prefix("meta time ")?.split_once(' ')?;
    let end = moment(end.strip_prefix('"')?.strip_suffix('"')?)?;
    Some((op, Timestamp::from_second(end).ok()?))
}

fn holds(op: &str, now: Timestamp, end: Timestamp) -> Option<bool> {
    Some(match op {
        "<" => now < end,
        "<=" => now <= end,
        ">" => now > end,
        ">=" => now >= end,
        _ => return None,
    })
}

/// What holds for no packet.
fn never() -> Statement {
    let left = Expression::Constant(Value::Number(0));
    Statement::Match(Match { left, test: Test::In(SetRef::number(1)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firewall::{Chain, Family, Origin, Rule, Table};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_moment_is_asked_for_in_the_same_words_on_both_sides() {
        let end = at("2026-11-28T16:00:00Z");
        let Statement::Condition(asks) = is_earlier_than(end) else { panic!() };
        let listed = serde_json::json!("2026-11-28 16:00:00");
        let number = serde_json::json!(1_795_881_600);
        assert_eq!(read("<", &listed).unwrap(), *asks.text);
        assert_eq!(read("<", &number).unwrap(), *asks.text);
        assert_eq!(earlier_than(end), "meta time < 1795881600 ");
        assert_eq!(earlier_than(at("2026-11-28T15:59:59.1Z")), earlier_than(end));
        assert_eq!(asked(&asks), Some(("<", end)));
        assert_eq!(read("<", &serde_json::json!("tomorrow")), None);
        assert_eq!(earlier_than(at("2999-01-01T00:00:00Z")), "meta time < 18446744073 ");
    }

    #[test]
    fn what_asks_for_the_time_is_answered() {
        let end = at("2026-11-28T16:00:00Z");
        let rules = || {
            let rule = Rule { statements: vec![is_earlier_than(end)], ..Rule::default() };
            let chain = Chain { name: "c".into(), base: None, rules: vec![rule] };
            let table = Table {
                family: Family::Inet,
                name: "portolan".into(),
                origin: Origin::Nft,
                is_dormant: false,
                chains: vec![chain],
                sets: Vec::new(),
            };
            Ruleset { tables: vec![table], notes: Vec::new() }
        };
        let statements = |of: &Ruleset| of.tables[0].chains[0].rules[0].statements.clone();
        let mut before = rules();
        before.answer_what_is_over(at("2026-11-28T15:00:00Z"));
        assert_eq!(statements(&before), [is_earlier_than(end)]);
        before.answer_time(at("2026-11-28T15:00:00Z"));
        assert!(statements(&before).is_empty());
        let mut after = rules();
        after.answer_what_is_over(end);
        assert_eq!(statements(&after), [never()]);
    }
}
