//! Sets that packets themselves fill: what was put in is found at once, and a full set ends the rule.

use std::collections::{HashMap, HashSet};

use super::{Run, Step};
use crate::firewall::analyse::effect::{Change, Effect};
use crate::firewall::analyse::evaluate::Evaluated;
use crate::firewall::analyse::number::Number;
use crate::firewall::analyse::space::Question;
use crate::firewall::analyse::stream::Stream;
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::{Condition, Expression, RuleId, SetOperation, SetRef, Statement, Table};

impl Run<'_> {
    /// Puts a key into a set or takes it out; then what goes with the element must hold.
    pub(super) fn update(
        &mut self,
        operation: SetOperation,
        set: &str,
        (key, conditions): (&Expression, &[Condition]),
        mut stream: Stream,
        step: &mut Step<'_>,
    ) -> Result<(), Undecided> {
        let at = self.place(step.id, &stream.effect);
        let is_in = operation != SetOperation::Delete;
        let mut done = Region::ALL;
        // Of a key that nobody knows it is not known either what it is the same as.
        let parts = match self.space.evaluate(key, at, &mut self.memo)? {
            Evaluated::Numbers(parts) => parts,
            Evaluated::Open(_) => vec![self.any_number(128, step.id, "key")?],
        };
        for part in &parts {
            done = self.space.bdd.and(done, part.known)?;
        }
        if is_in {
            let room = self.room(set, &parts, step.id, &stream.effect)?;
            done = self.space.bdd.and(done, room)?;
        }
        let hit = self.space.bdd.and(stream.packets, done)?;
        let missed = self.space.bdd.minus(stream.packets, hit)?;
        step.next.add(&mut self.space.bdd, &stream.effect, missed)?;
        let table = step.id.chain.table;
        if self.traits().watched.contains(&(table, set.into())) {
            let key = parts.into_iter().map(|part| part.bits).collect();
            stream.effect.changes.push(Change { table, set: set.into(), key, is_in });
        }
        let mut holds = Region::ALL;
        for condition in conditions {
            let one = self.space.condition(condition, self.place(step.id, &stream.effect))?;
            holds = self.space.bdd.and(holds, one)?;
        }
        self.go_on_if(holds, Stream { effect: stream.effect, packets: hit }, step)
    }

    /// The packets whose key a set has, or has room for.
    fn room(
        &mut self,
        name: &str,
        parts: &[Number],
        rule: RuleId,
        effect: &Effect,
    ) -> Result<Region, Undecided> {
        let number = rule.chain.table;
        // What is taken out keeps its place until the kernel has tidied up (measured).
        if self.traits().emptied.contains(&(number, name.into())) {
            let text = format!("set @{name}, which elements are taken out of, has room");
            let question = Question::new(text.clone());
            return self.space.question(text, question);
        }
        let set = self.ruleset.tables.get(number).and_then(|table| table.set(name));
        let changes: Vec<&Change> = effect.changes_of(number, name).collect();
        let size = set.map(|set| set.size.map_or(usize::MAX, |size| size as usize));
        let members = set.and_then(|set| set.elements.as_ref());
        let inside = match (members, size) {
            (_, Some(usize::MAX)) => return Ok(Region::ALL),
            (Some(members), Some(size)) if members.len() + changes.len() < size => {
                return Ok(Region::ALL);
            }
            (Some(members), Some(size)) => {
                let inside = self.space.in_elements(parts, members)?;
                if changes.is_empty() && members.len() >= size {
                    return Ok(inside);
                }
                inside
            }
            _ => Region::NONE,
        };
        let has_room = self.has_room(name)?;
        let Some(change) = changes.last() else { return self.space.bdd.or(inside, has_room) };
        let bits: Vec<_> = parts.iter().map(|part| part.bits.as_slice()).collect();
        let again = self.space.same_key(&bits, &change.key)?.unwrap_or(Region::NONE);
        if again.is_all() && change.is_in { Ok(again) } else { Ok(has_room) }
    }

    fn has_room(&mut self, name: &str) -> Result<Region, Undecided> {
        let text = format!("set @{name} has room");
        let question = Question { presumed: Some(true), ..Question::new(text.clone()) };
        self.space.question(text, question)
    }
}

/// The sets that packets change and rules look at, or change elsewhere too.
pub(super) fn watched(table: &Table) -> HashSet<Box<str>> {
    let statements = || table.chains.iter().flat_map(|c| &c.rules).flat_map(|r| &r.statements);
    let mut changed: HashMap<&str, usize> = HashMap::new();
    for statement in statements() {
        if let Statement::Update { set, .. } = statement {
            *changed.entry(set).or_default() += 1;
        }
    }
    let looked_at = table.looked_into().into_iter().filter_map(|set| match set {
        SetRef::Named(name) => Some(&**name),
        SetRef::Inline(_) => None,
    });
    let looked_at: HashSet<&str> = looked_at.collect();
    let is_watched = |(set, times): &(&str, usize)| *times > 1 || looked_at.contains(set);
    changed.into_iter().filter(is_watched).map(|(set, _)| set.into()).collect()
}
