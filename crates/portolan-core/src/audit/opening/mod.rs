//! What the rules of this machine let in, against the inventory: P108, P114, P115 and P122.
//!
//! Who gets in is given, worked out from sockets, rules and translation. Where rules were not seen
//! nothing is judged here. Senders count with the interface they come by: the same address is another
//! sender on another interface.

mod judge;
mod kept_out;
mod meant;

use crate::firewall::Addresses;
use crate::net::{Endpoint, Port, PortRange, Prefix, Transport};

use super::{Reach, Subject};

pub(super) use judge::judge;

/// Who of other machines reaches a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The port.
    pub port: Port,
    /// Its transport.
    pub transport: Transport,
    /// Those who get in, and what lets them.
    pub admitted: Vec<Line>,
    /// Those who may get in: it hangs on something no rule tells.
    pub perhaps: Addresses,
    /// Those whom a rule keeps out, and which.
    pub refused: Vec<Line>,
    /// Those who get in around the input rules, what lets them, and the rule they go around.
    pub around: Vec<(Line, String)>,
    /// Those who do not get in by the port but to what stands behind it, at its own address: who, and
    /// to where.
    pub straight: Vec<(Line, String)>,
    /// Where rules send its packets to, whether or not a socket waits here.
    pub sent_to: Option<Endpoint>,
}

/// Senders who meet with the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Who they are.
    pub senders: Addresses,
    /// The interface they come by.
    pub interface: Option<Box<str>>,
    /// What decides, in words.
    pub by: String,
    /// Whose rule that is.
    pub keeper: Keeper,
}

/// Whose rule it is that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// One that `portolan firewall apply` writes, or no rule at all.
    Ours,
    /// One of ufw, for packets to this machine (ufw(8)).
    Ufw,
    /// One of firewalld (firewall-cmd(1)).
    Firewalld,
    /// Somebody else's.
    Other,
}

impl Opening {
    /// How far away those are who get in, or may; `None` where no rule says anything of it, since nobody
    /// has a way to this machine at all.
    pub(super) fn reach(&self) -> Option<Reach> {
        let admitted = senders(&self.admitted).with(&self.perhaps);
        (!admitted.is_empty() || !self.refused.is_empty()).then(|| Reach::of_addresses(&admitted))
    }

    /// Whether somebody beyond this machine gets in, or may.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.admitted.is_empty() || !self.perhaps.is_empty()
    }

    fn straight_lines(&self) -> Vec<Line> {
        let line = |(line, to): &(Line, String)| {
            let by = format!("straight to {to}, {}", line.by);
            Line { by, ..line.clone() }
        };
        self.straight.iter().map(line).collect()
    }

    fn subject(&self) -> Subject {
        Subject::Ports(PortRange::from(self.port), self.transport)
    }
}

/// Everybody some lines are about.
fn senders<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Addresses {
    lines.into_iter().fold(Addresses::NONE, |all, line| all.with(&line.senders))
}

/// Some lines as evidence.
fn evidence<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Vec<String> {
    let told = |line: &Line| format!("{}: {}", told(&line.senders), line.by);
    lines.into_iter().map(told).take(SHOWN).collect()
}

/// Who, in a sentence.
fn told(senders: &Addresses) -> String {
    let all: Vec<Prefix> =
        [false, true].into_iter().flat_map(|is_v6| senders.prefixes(is_v6)).collect();
    if all.len() > MANY {
        return "most other networks".to_owned();
    }
    let shown: Vec<String> = all.iter().take(SHOWN).map(Prefix::to_string).collect();
    match all.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more networks", shown.join(", ")),
    }
}

/// The interfaces of some lines, in a sentence.
fn interfaces(lines: &[Line]) -> String {
    let mut names: Vec<&str> = lines.iter().filter_map(|line| line.interface.as_deref()).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

const SHOWN: usize = 4;
/// So many networks are what is left of everybody without some.
const MANY: usize = 12;

#[cfg(test)]
mod tests;
