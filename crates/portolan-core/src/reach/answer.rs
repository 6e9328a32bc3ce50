//! An answer: who reaches a port, by which way, and what decides it.

use std::fmt;
use std::net::IpAddr;

use crate::firewall::simulate::Outcome;
use crate::firewall::{Addresses, Family, RulePlace, TABLE};
use crate::net::{Endpoint, Port, Transport};

use super::Source;

/// Whether somebody reaches a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// A packet is let through, something takes it, and its answer is let back.
    Yes,
    /// Some do and some do not, or it hangs on something the packet does not tell.
    Depends,
    /// The rules could not be read.
    Unknown,
    /// Nobody does.
    No,
}

impl Answer {
    /// The word of it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Depends => "depends",
            Self::Unknown => "unknown",
        }
    }
}

/// Who reaches one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortReach {
    /// The port as those who come name it.
    pub port: Port,
    /// Its transport.
    pub transport: Transport,
    /// An answer for each source asked about, in their order.
    pub sources: Vec<Reached>,
}

/// Whether one source reaches a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The source.
    pub source: Source,
    /// All its groups together.
    pub answer: Answer,
    /// Senders with the same fate, the farthest reaching answer first; empty where the source has no
    /// address.
    pub groups: Vec<Group>,
    /// Neighbours who do not reach the port, but what stands behind it at its own address: whoever is on
    /// the link may send packets for a container to this machine, and it passes them on.
    pub straight: Vec<Group>,
}

/// Senders that all meet with the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Whether they get through.
    pub answer: Answer,
    /// What decides.
    pub by: By,
    /// Whether it is about IPv6.
    pub is_v6: bool,
    /// Who they are; empty for programs of this machine.
    pub senders: Addresses,
    /// By which interface they come in; `None` for programs of this machine, or where no route leads
    /// back.
    pub interface: Option<Box<str>>,
    /// Where they send to; `None` where there is no address to send to.
    pub to: Option<IpAddr>,
    /// Who takes what gets through.
    pub taker: Option<Taker>,
    /// How its destination is translated on the way.
    pub translated: Option<Translated>,
    /// To which socket it is handed as it is (`tproxy`), by port and address, unspecified where the rule
    /// names none.
    pub handed: Option<Translated>,
    /// What refuses the same packet when it is not translated: the rules it goes around.
    pub around: Option<Around>,
    /// What it hangs on, in the words of the rules, limits that are kept among it.
    pub depends_on: Vec<String>,
    /// How many more rules decide the same about some of them; 0 where the one that is named decides
    /// about all.
    pub other_rules: usize,
    /// Whether they get here only where a router in front translates to that address: it is private and
    /// they are not, and the Internet does not route it.
    pub needs_router: bool,
    /// Whether it is known of all of them; else one packet was an example.
    pub is_exact: bool,
}

/// What decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// This rule or policy lets it through.
    Allowed(RulePlace),
    /// No rule is on its way.
    Unfiltered,
    /// This rule or policy ends it.
    Refused {
        /// Which.
        rule: RulePlace,
        /// How.
        outcome: Outcome,
    },
    /// A table of family bridge of this name may end it: those are not evaluated.
    Bridge(Box<str>),
    /// It gets in, but this rule or policy ends the answer to it.
    AnswerRefused(RulePlace),
    /// Nothing waits there: sockets of the port are bound to these addresses, or there are none.
    NoListener(Vec<Endpoint>),
    /// No route leads back to them.
    NoRoute,
    /// This machine has no address they could send to.
    NoAddress,
    /// This machine passes nothing on, and the packet would have to be.
    NotForwarding,
    /// Packets for loopback do not come in from outside.
    Martian,
    /// It would have to be passed on, and packets from addresses of a link are not (ip6_forward).
    OfLink,
    /// Rules could not be read; by what sockets are bound to, it could be reached.
    RulesUnseen,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed(rule) => write!(f, "let in by {rule}"),
            Self::Unfiltered => f.write_str("no rule is in the way"),
            Self::Refused { rule, outcome: Outcome::Reject(_) } => write!(f, "rejected by {rule}"),
            Self::Refused { rule, .. } => write!(f, "dropped by {rule}"),
            Self::Bridge(table) => {
                write!(f, "table bridge {table}, which is not evaluated, may end it")
            }
            Self::AnswerRefused(rule) => {
                write!(f, "it gets in, but its answer is dropped by {rule}")
            }
            Self::NoListener(bound) if bound.is_empty() => f.write_str("nothing listens there"),
            Self::NoListener(bound) => write!(f, "bound to {} only", addresses(bound)),
            Self::NoRoute => f.write_str("no route leads back there"),
            Self::NoAddress => f.write_str("this machine has no address to send to from there"),
            Self::NotForwarding => {
                f.write_str("it would have to be passed on, and this machine does not forward")
            }
            Self::Martian => {
                f.write_str("translated to loopback, where packets from outside are not let")
            }
            Self::OfLink => {
                f.write_str("packets from addresses of a link are not passed on to others")
            }
            Self::RulesUnseen => f.write_str("the rules for it were not seen"),
        }
    }
}

fn addresses(bound: &[Endpoint]) -> String {
    let mut all: Vec<String> = bound.iter().map(|e| e.address.to_string()).collect();
    all.dedup();
    let more = all.len().saturating_sub(SHOWN);
    all.truncate(SHOWN);
    match more {
        0 => all.join(", "),
        _ => format!("{} and {more} more", all.join(", ")),
    }
}

/// More addresses than this are counted.
const SHOWN: usize = 3;

/// Who takes a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taker {
    /// A socket here: its place among the sockets, where they are known.
    Socket(Option<usize>),
    /// Something at another address, behind a translation.
    Behind {
        /// There.
        to: Endpoint,
        /// By this interface.
        interface: Option<Box<str>>,
        /// The container that is published there.
        container: Option<Box<str>>,
    },
}

/// A translated destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translated {
    /// The rule that does it.
    pub rule: Option<RulePlace>,
    /// To there.
    pub to: Endpoint,
}

/// Rules that a packet goes around because its destination is translated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Around {
    /// The rule or policy of the input path that would have ended it.
    pub rule: RulePlace,
    /// Who translates, as far as it can be told.
    pub kind: AroundKind,
}

/// Who translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AroundKind {
    /// Docker publishes a container.
    Docker,
    /// Podman publishes a container.
    Podman,
    /// Kubernetes publishes a service.
    Kubernetes,
    /// Somebody.
    Other,
}

impl AroundKind {
    /// The word of it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker-dnat",
            Self::Podman => "podman-dnat",
            Self::Kubernetes => "kubernetes-dnat",
            Self::Other => "dnat",
        }
    }
}

impl PortReach {
    /// The way around the input rules, where there is one.
    #[must_use]
    pub fn around(&self) -> Option<&Group> {
        self.groups().find(|group| group.answer == Answer::Yes && group.around.is_some())
    }

    /// Senders who reach what stands behind the port at its own address, and not by the port.
    pub fn straight(&self) -> impl Iterator<Item = &Group> {
        self.sources.iter().flat_map(|reached| &reached.straight)
    }

    /// Every group of every source.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.sources.iter().flat_map(|reached| &reached.groups)
    }
}

impl Group {
    /// Nobody yet, who does not get in because of `by`: what all others begin as.
    #[must_use]
    pub const fn closed(by: By, is_v6: bool) -> Self {
        Self {
            answer: Answer::No,
            by,
            is_v6,
            senders: Addresses::NONE,
            interface: None,
            to: None,
            taker: None,
            translated: None,
            handed: None,
            around: None,
            depends_on: Vec::new(),
            other_rules: 0,
            needs_router: false,
            is_exact: true,
        }
    }

    /// Whether the same is told of other senders.
    fn is_same_fate(&self, other: &Self) -> bool {
        self.answer == other.answer
            && self.by == other.by
            && self.is_v6 == other.is_v6
            && self.interface == other.interface
            && self.to == other.to
            && self.taker == other.taker
            && self.translated == other.translated
            && self.handed == other.handed
            && self.around == other.around
            && self.depends_on == other.depends_on
            && self.other_rules == other.other_rules
            && self.needs_router == other.needs_router
            && self.is_exact == other.is_exact
    }

    /// What takes the packets at another address than this machine's: address and port.
    #[must_use]
    pub fn behind(&self) -> Option<String> {
        match &self.taker {
            Some(Taker::Behind { to, .. }) => Some(to.to_string()),
            _ => None,
        }
    }

    /// Whether our own table translates it: the inventory says so, and it is no way around anything.
    #[must_use]
    pub fn is_by_our_own_table(&self) -> bool {
        let rule = self.translated.as_ref().and_then(|translated| translated.rule.as_ref());
        rule.is_some_and(|rule| rule.family == Family::Inet && &*rule.table == TABLE)
    }

    /// Whether there is a way at all between such senders and this machine.
    #[must_use]
    pub const fn has_way(&self) -> bool {
        !matches!(self.by, By::NoRoute | By::NoAddress)
    }
}

/// Puts a class to those that meet with the same.
pub(super) fn join(groups: &mut Vec<Group>, group: Group) {
    match groups.iter_mut().find(|known| known.is_same_fate(&group)) {
        Some(known) => known.senders = known.senders.with(&group.senders),
        None => groups.push(group),
    }
}

/// The answer of all groups together; where some do not and of others nobody knows, nobody knows. Senders
/// that no way leads to count only where there are no others, and a family in which nothing listens only
/// where nothing listens in the other.
pub(super) fn together(groups: &[Group]) -> Answer {
    let is_served = |is_v6| {
        let mut of_family = groups.iter().filter(|g| g.is_v6 == is_v6 && g.has_way());
        of_family.any(|g| !matches!(g.by, By::NoListener(_)))
    };
    let served = [is_served(false), is_served(true)];
    let counts = |group: &&Group| {
        group.has_way() && (served == [false, false] || served[usize::from(group.is_v6)])
    };
    let answers = || groups.iter().filter(counts).map(|group| group.answer);
    let (Some(best), Some(worst)) = (answers().min(), answers().max()) else { return Answer::No };
    match (best, worst) {
        (Answer::Unknown, Answer::No) => Answer::Unknown,
        _ if best == worst => best,
        _ => Answer::Depends,
    }
}
