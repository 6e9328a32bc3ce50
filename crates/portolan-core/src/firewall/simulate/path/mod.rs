//! The way of one packet through the hooks, with one set of answers.
//!
//! ```text
//! hooks    which hook comes after which, and what is met at each
//! devices  chains that see the packets of their devices only, and tables of bridges
//! route    where the packet goes: here, onward, out, nowhere
//! ```

mod devices;
mod hooks;
mod route;

use super::answers::{Answers, Asked, Asker};
use super::conntrack::Connection;
use super::fields::Vague;
use super::lookup::Change;
use super::prepared::Prepared;
use super::walk::{Instead, NoWay, Outcome, Step, Walk, Way};
use crate::firewall::{ChainKind, Direction, Hook, Packet, RuleId, Target, Tuple};

pub(super) use route::nowhere;

/// An interface of the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// There is none at this hook.
    None,
    Named(Box<str>),
    /// There is one, nobody said which.
    Unknown,
}

/// A packet on its way.
pub(super) struct Walker<'r> {
    pub(super) prepared: &'r Prepared<'r>,
    pub(super) way: Way,
    pub(super) packet: Packet,
    /// As it began, with the tuple its connection had before translation.
    pub(super) begun: Tuple,
    /// The original tuple, where one was given.
    pub(super) given: Option<Tuple>,
    /// The tuple the packet was given with.
    pub(super) after: Tuple,
    pub(super) hook: Hook,
    pub(super) link_in: Link,
    pub(super) link_out: Link,
    pub(super) connection: Connection,
    pub(super) is_later_fragment: bool,
    /// Whether this machine sends it.
    pub(super) is_own: bool,
    /// The rule that made its mark something nobody knows.
    pub(super) mark_open: Option<RuleId>,
    /// Between which numbers that is.
    pub(super) mark_range: Option<(u128, u128)>,
    /// What of the packet a rule wrote to, nobody knows what.
    pub(super) open_fields: Vec<(Target, RuleId)>,
    /// Whether it is known which time to live a rule wrote; `None` where none did.
    pub(super) hops_written: Option<bool>,
    /// Whether a rule wrote a port into the packet.
    pub(super) has_port_written: bool,
    pub(super) vague: Vague,
    /// Whether its source, its destination was written anew.
    pub(super) translated_sides: [bool; 2],
    pub(super) is_redirected: bool,
    pub(super) is_dead_end: Option<NoWay>,
    /// Whether it passes everything to come, whatever rules there are.
    pub(super) is_through: bool,
    /// Whether a chain of type nat is being asked.
    pub(super) is_in_nat: bool,
    pub(super) changes: Vec<Change<'r>>,
    pub(super) asker: Asker<'r>,
    pub(super) rules_asked: u64,
    steps: Option<Vec<Step>>,
    /// What accepted it so far, and how much that says.
    accepted: Option<(u8, RuleId)>,
}

/// A walk and the questions that stayed open on it.
pub(super) struct Ended {
    pub(super) walk: Walk,
    pub(super) asked: Vec<Asked>,
}

/// How the way ended before its end: an outcome, and the rule that says so.
pub(super) type Stop = (Outcome, Option<RuleId>);

/// Sends a packet on its way with these answers to open questions; the steps are written down on request.
pub(super) fn walk<'r>(
    prepared: &'r Prepared<'r>,
    packet: &Packet,
    way: Way,
    answers: &'r dyn Answers,
    forced: Vec<Asked>,
    is_recording: bool,
) -> Ended {
    let mut walker = Walker::new(prepared, packet, way, Asker::new(answers, forced));
    walker.steps = is_recording.then(Vec::new);
    let stop = match way {
        Way::Output => walker.leave(),
        _ => walker.arrive(),
    };
    let accepted = walker.accepted.map(|(_, rule)| rule);
    let (outcome, decided_by) = stop.unwrap_or((Outcome::Accept, accepted));
    let walk = Walk {
        outcome,
        decided_by,
        instead: Instead::default(),
        steps: walker.steps.unwrap_or_default(),
        hook: Some(walker.hook),
        packet: walker.packet,
        depends_on: Vec::new(),
        is_complete: true,
    };
    Ended { walk, asked: walker.asker.asked }
}

impl<'r> Walker<'r> {
    fn new(prepared: &'r Prepared<'r>, packet: &Packet, way: Way, asker: Asker<'r>) -> Self {
        let mut packet = packet.clone();
        let after = packet.tuple();
        if let (Some(original), Direction::Original) = (packet.original, packet.direction) {
            (packet.source, packet.source_port) = (original.source, original.source_port);
            packet.destination = original.destination;
            packet.destination_port = original.destination_port;
        }
        let is_own = way == Way::Output;
        Self {
            prepared,
            way,
            begun: packet.tuple(),
            given: packet.original,
            after,
            hook: if is_own { Hook::Output } else { Hook::Prerouting },
            link_in: if is_own { Link::None } else { Link::Unknown },
            link_out: Link::None,
            connection: Connection::None,
            is_later_fragment: packet.is_later_fragment,
            is_own,
            mark_open: None,
            mark_range: None,
            open_fields: Vec::new(),
            hops_written: None,
            has_port_written: false,
            vague: Vague::default(),
            translated_sides: [false; 2],
            is_redirected: false,
            is_dead_end: None,
            is_through: false,
            is_in_nat: false,
            changes: Vec::new(),
            asker,
            rules_asked: 0,
            steps: None,
            accepted: None,
            packet,
        }
    }

    /// Writes a step down.
    pub(super) fn note(&mut self, step: Step) {
        if let Some(steps) = &mut self.steps {
            steps.push(step);
        }
    }

    /// Remembers what accepted: at the hook that matters more than elsewhere, a rule more than a policy.
    pub(super) fn decided_at(&mut self, by: RuleId, outcome: Outcome, kind: ChainKind) {
        if outcome != Outcome::Accept || kind == ChainKind::Nat {
            return;
        }
        let is_there = matches!(self.hook, Hook::Input | Hook::Forward | Hook::Output)
            || (self.way == Way::Prerouting && self.hook == Hook::Prerouting);
        let weight = u8::from(is_there) * 2 + u8::from(by.rule.is_some());
        if self.accepted.is_none_or(|(known, _)| weight >= known) {
            self.accepted = Some((weight, by));
        }
    }

    /// Whether conntrack is on for the packet's family: a rule switches it on.
    pub(super) fn is_tracking(&self) -> bool {
        self.prepared.tracks.get(usize::from(self.packet.is_v6())) == Some(&true)
    }

    /// Sets `ct mark`, where there is a connection.
    pub(super) fn set_ct_mark(&mut self, mark: Option<u32>, rule: RuleId) {
        let Connection::Tracked(tracked) = &mut self.connection else { return };
        tracked.mark_open = mark.is_none().then_some(rule);
        if let Some(mark) = mark {
            tracked.mark = mark;
            self.packet.ct_mark = mark;
        }
    }
}
