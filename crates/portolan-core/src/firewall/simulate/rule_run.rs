//! One rule: its statements from left to right; the first that does not hold ends it.

use super::answers::About;
use super::conntrack::Connection;
use super::evaluate::Place;
use super::fields::Seen;
use super::index::Hit;
use super::lookup::{Asked, Change};
use super::path::Walker;
use super::walk::Step;
use crate::firewall::{
    Condition, Effect, ElementValue, Expression, NatKind, Rule, RuleId, SetOperation, SetRef,
    Statement, Target, TcpFlags, Verdict,
};

/// So many numbers that may be written are tried one by one.
const MOST_TRIED: u128 = 16;

/// How a statement, or a rule, goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow<'r> {
    /// With the next statement.
    On,
    /// With the next rule: this one does not hold.
    Break,
    /// As this verdict says.
    Verdict(&'r Verdict),
    /// The packet was translated, which accepts.
    Translated,
    /// What is not understood accepts; in a chain of type nat, after any translation.
    OpaqueAccept,
    /// What is not understood drops.
    OpaqueDrop,
    /// As what was written into the packet leads it through everything to come.
    Through,
}

impl<'r> Walker<'r> {
    /// Runs a rule to its end, or to its verdict; `On` where it held without one.
    pub(super) fn run_rule(&mut self, rule: &'r Rule, id: RuleId) -> Flow<'r> {
        for (statement, found) in rule.statements.iter().enumerate() {
            let at = Place { rule: id, statement };
            let flow = match found {
                Statement::Match(found) if self.holds(found, at) => Flow::On,
                Statement::Match(_) => Flow::Break,
                Statement::Condition(condition) => {
                    let rest = rule.statements.get(statement + 1..).unwrap_or_default();
                    self.condition(condition, rest, at)
                }
                Statement::Verdict(Verdict::Continue) => Flow::On,
                Statement::Verdict(verdict) => Flow::Verdict(verdict),
                Statement::VerdictMap { key, map } => self.verdict_map(key, map, at),
                Statement::Assign { target, value } => self.assign(*target, value, at),
                Statement::Nat(nat) if nat.kind == NatKind::Tproxy => self.tproxy(at),
                Statement::Nat(nat) => self.translate(nat, at),
                Statement::NoTrack => {
                    self.no_track();
                    Flow::On
                }
                Statement::Template { is_over_untracked } => {
                    self.template(*is_over_untracked);
                    Flow::On
                }
                Statement::Update { operation, set, key, conditions } => {
                    self.update(*operation, set, key, conditions, at)
                }
                Statement::Opaque { effect: Effect::Passes, .. } => Flow::On,
                Statement::Opaque { text, effect: Effect::Rewrites } => self.rewrites(text, at),
                Statement::Opaque { text, .. } => {
                    let has_more = statement + 1 < rule.statements.len();
                    self.opaque(text, has_more, at)
                }
            };
            if flow != Flow::On {
                return flow;
            }
        }
        Flow::On
    }

    /// Not asked where nothing behind it matters: `limit rate 3/minute log`.
    fn condition(&mut self, condition: &Condition, rest: &[Statement], at: Place) -> Flow<'r> {
        if !rest.iter().any(matters) || self.is_met(condition, at) { Flow::On } else { Flow::Break }
    }

    fn is_met(&mut self, condition: &Condition, at: Place) -> bool {
        let key = match condition.is_own {
            true => format!("{} {at:?}", condition.text),
            // Of a translated packet it may hold where it did not before.
            false => format!("{} {:?}", condition.text, self.translated_sides),
        };
        let about = About::Condition(condition);
        let answer = self.ask_as(&condition.text, Some(at), about, condition.presumed, key);
        answer != condition.is_negated
    }

    fn verdict_map(&mut self, key: &'r Expression, map: &'r SetRef, at: Place) -> Flow<'r> {
        let key = self.see(key, at);
        if key == Seen::Missing {
            return Flow::Break;
        }
        let table = at.rule.chain.table;
        let Asked::Members(elements, _) = self.members(map, table) else {
            return self.opaque("a verdict map that could not be read", true, at);
        };
        let found = match self.find(map, table, &key) {
            Hit::Yes(found) => Some(found),
            Hit::No => None,
            Hit::Perhaps => self.choose(elements, &key, at),
        };
        match found.and_then(|found| elements.get(found)).map(|element| &element.value) {
            Some(ElementValue::Verdict(Verdict::Continue)) => Flow::On,
            Some(ElementValue::Verdict(verdict)) => Flow::Verdict(verdict),
            _ => Flow::Break,
        }
    }

    fn assign(&mut self, target: Target, value: &'r Expression, at: Place) -> Flow<'r> {
        let value = self.see(value, at);
        if value == Seen::Missing {
            return Flow::Break;
        }
        let value = match value {
            Seen::Range(low, high) if high - low < MOST_TRIED => {
                Seen::Number(self.settle_number((low, high), at))
            }
            other => other,
        };
        let number = value.number().and_then(|number| u32::try_from(number).ok());
        self.note(Step::Assigned { rule: at.rule, target, value: number.map(u128::from) });
        match target {
            Target::Mark => {
                self.mark_open = number.is_none().then_some(at.rule);
                self.mark_range = match value {
                    Seen::Range(low, high) => Some((low, high)),
                    _ => None,
                };
                self.packet.mark = number.unwrap_or(self.packet.mark);
            }
            // Without a connection it does nothing, and the rule goes on (nft_ct_set_eval).
            Target::CtMark => self.set_ct_mark(number, at.rule),
            of_header => self.write_header(of_header, number, at.rule),
        }
        Flow::On
    }

    /// Writes into the packet itself; a value nobody knows leaves what stands there open.
    fn write_header(&mut self, target: Target, value: Option<u32>, rule: RuleId) {
        self.open_fields.retain(|(open, _)| *open != target);
        if target.is_port() {
            // Conntrack keeps, or will look up, what the packet was then.
            self.has_port_written = true;
            self.translated_sides[usize::from(target == Target::DestinationPort)] = true;
            if let Connection::Tracked(tracked) = &mut self.connection {
                tracked.is_told = false;
            }
        }
        if target == Target::Ttl {
            self.hops_written = Some(value.is_some());
        }
        let Some(value) = value else { return self.open_fields.push((target, rule)) };
        let (low, packet) = (value.to_le_bytes()[0], &mut self.packet);
        match target {
            Target::Ttl => packet.ttl = low,
            Target::Dscp => packet.traffic_class = (low << 2) | (packet.traffic_class & 3),
            Target::Ecn => packet.traffic_class = (packet.traffic_class & !3) | (low & 3),
            Target::TcpFlags => packet.tcp_flags = TcpFlags(low),
            Target::Length => packet.length = u16::try_from(value).unwrap_or(u16::MAX),
            Target::SourcePort => {
                packet.source_port = u16::try_from(value).unwrap_or(u16::MAX);
                self.vague.source_port = None;
            }
            Target::DestinationPort => {
                packet.destination_port = u16::try_from(value).unwrap_or(u16::MAX);
                self.vague.destination_port = None;
            }
            Target::Mark | Target::CtMark => {}
        }
    }

    /// Hands it to a socket here if there is one, else ends the rule (nft_tproxy_eval).
    fn tproxy(&mut self, at: Place) -> Flow<'r> {
        let text = format!("a transparent socket waits: {}", self.text_of(at));
        if self.ask(&text, Some(at), About::Socket, None) { Flow::On } else { Flow::Break }
    }

    fn update(
        &mut self,
        operation: SetOperation,
        set: &'r str,
        key: &'r Expression,
        conditions: &'r [Condition],
        at: Place,
    ) -> Flow<'r> {
        let key = self.see(key, at);
        if key == Seen::Missing {
            return Flow::Break;
        }
        let table = at.rule.chain.table;
        let is_in = operation != SetOperation::Delete;
        if is_in && !self.has_room(set, &key, at) {
            return Flow::Break;
        }
        let key = match key {
            Seen::Parts(parts) => parts,
            one => vec![one],
        };
        self.changes.push(Change { table, set, key, is_in });
        let all_met = conditions.iter().all(|condition| self.is_met(condition, at));
        if all_met { Flow::On } else { Flow::Break }
    }

    /// Whether a key is in the set already or has room in it.
    fn has_room(&mut self, set: &'r str, key: &Seen<'_>, at: Place) -> bool {
        let table = at.rule.chain.table;
        let ready = self.prepared.tables.get(table).and_then(|table| table.sets.get(set));
        let place =
            ready.and_then(|(at, _)| self.prepared.ruleset.tables.get(table)?.sets.get(*at));
        let Some(known) = place else { return self.ask_room(set, at) };
        // What is taken out keeps its place until the kernel has tidied up (measured).
        if self.prepared.tables.get(table).is_some_and(|table| table.emptied.contains(set)) {
            let question = format!("set @{set}, which elements are taken out of, has room");
            return self.ask(&question, Some(at), About::Setting, None);
        }
        let (Some(size), Some(elements)) = (known.size, known.elements.as_deref()) else {
            return known.size.is_none() || self.ask_room(set, at);
        };
        let changes = self.changes.iter().filter(|c| c.table == table && c.set == set).count();
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if elements.len().saturating_add(changes) < size {
            return true;
        }
        if let Some(hit) = self.change_of(table, set, key) {
            // What was put in is there; what was taken out has left a place, if it had one.
            return matches!(hit, Hit::Yes(_)) || self.ask_room(set, at);
        }
        let parts = match key {
            Seen::Parts(parts) => parts.as_slice(),
            one => std::slice::from_ref(one),
        };
        match ready.map(|(_, index)| index.find(elements, parts)) {
            Some(Hit::Yes(_)) => true,
            Some(Hit::No) if elements.len() >= size && changes == 0 => false,
            _ => self.ask_room(set, at),
        }
    }

    fn ask_room(&mut self, set: &str, at: Place) -> bool {
        self.ask(&format!("set @{set} has room"), Some(at), About::Room, Some(true))
    }

    /// What is written into the packet is not followed: it may lead it anywhere.
    fn rewrites(&mut self, text: &str, at: Place) -> Flow<'r> {
        let words = rewritten(text);
        let key = format!("{words} {at:?}");
        match self.ask_as(&words, Some(at), About::Accepts, None, key) {
            true => Flow::Through,
            false => Flow::OpaqueDrop,
        }
    }

    /// Whatever a statement may do that is not understood.
    pub(super) fn opaque(&mut self, text: &str, has_more: bool, at: Place) -> Flow<'r> {
        let mut asks = |what: &str, about| {
            let words = format!("`{text}` {what}");
            // Nobody knows what it keeps in mind: the same words elsewhere may do something else.
            let key = format!("{words} {at:?}");
            self.ask_as(&words, Some(at), about, None, key)
        };
        if asks("lets it go on", About::GoesOn) {
            return Flow::On;
        }
        if has_more && asks("ends its rule only", About::EndsRule) {
            return Flow::Break;
        }
        match asks("accepts", About::Accepts) {
            true => Flow::OpaqueAccept,
            false => Flow::OpaqueDrop,
        }
    }
}

/// The question of how a packet ends that a statement has written into.
pub(in crate::firewall) fn rewritten(text: &str) -> String {
    format!("what `{text}` writes leads it through all rules to come")
}

/// Whether a statement can change a packet's way.
fn matters(statement: &Statement) -> bool {
    match statement {
        Statement::Match(_)
        | Statement::Condition(_)
        | Statement::Opaque { effect: Effect::Passes, .. } => false,
        Statement::Verdict(verdict) => *verdict != Verdict::Continue,
        Statement::VerdictMap { .. }
        | Statement::Assign { .. }
        | Statement::Nat(_)
        | Statement::NoTrack
        | Statement::Template { .. }
        | Statement::Update { .. }
        | Statement::Opaque { .. } => true,
    }
}
