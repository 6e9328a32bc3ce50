//! What kind of system answered, as far as its packets and its own words tell; never a version guessed.
//!
//! Two facts of a SYN-ACK tell families apart: the hop limit it began with, and the order of its TCP
//! options, which each kernel writes in its own (`stack`). What a host says of itself (`declared`)
//! counts more, and only it gives a version. Where two different stacks answer for one address,
//! something stands in front of it, and that is worth more to an administrator than a name.
//! The options say something only where the SYN offered all of them, as the raw engine's does.

mod declared;
mod stack;

use std::fmt;

use super::Signature;
pub use declared::Declared;
pub(super) use stack::hops;
use stack::initial_hop_limit;

/// Families of systems that can be told apart from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Linux, Android and what is built on them.
    Linux,
    /// Windows.
    Windows,
    /// FreeBSD, OpenBSD, NetBSD, macOS and iOS.
    BsdDarwin,
    /// Routers, switches, printers: systems of their own.
    NetworkDevice,
    /// Not known, or contradictory.
    #[default]
    Unknown,
}

impl Family {
    /// The word used in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Windows => "windows",
            Self::BsdDarwin => "bsd-darwin",
            Self::NetworkDevice => "network-device",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How sure a guess is, the least sure first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// One fact speaks for it, or facts disagree.
    #[default]
    Possible,
    /// Hop limit and options agree.
    Likely,
    /// The host says so itself. It may lie.
    Declared,
}

impl Confidence {
    /// The word used in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Possible => "possible",
            Self::Likely => "likely",
            Self::Declared => "declared",
        }
    }
}

/// What kind of system answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OsGuess {
    /// The family.
    pub family: Family,
    /// How sure that is; says nothing where the family is unknown.
    pub confidence: Confidence,
    /// What it stands on, the strongest first.
    pub evidence: Vec<Evidence>,
    /// Distribution, release or kernel, in the host's own words and only where it said so. Text from
    /// outside.
    pub version: Option<String>,
    /// How many routers its answers passed, if they began with the usual hop limit.
    pub hops: Option<u8>,
    /// That more than one system answers for the address.
    pub front: Option<TwoProfiles>,
}

impl OsGuess {
    /// Judges how a host's SYN-ACKs and RSTs looked, the most frequent first, and what it said.
    #[must_use]
    pub fn of(open: &[Signature], closed: &[Signature], declared: &[Declared<'_>]) -> Self {
        let look = open.first();
        let hop_limit = look.or(closed.first()).and_then(|l| l.hop_limit);
        let (wire, mut confidence, from_wire) = by_wire(look, hop_limit);
        let front = TwoProfiles::of(open, closed);
        if front.is_some() {
            confidence = Confidence::Possible;
        }
        let claims: Vec<_> = declared.iter().filter_map(Declared::read).collect();
        let mut guess = Self {
            family: wire,
            confidence,
            evidence: claims.iter().map(|claim| claim.evidence.clone()).collect(),
            version: None,
            hops: hop_limit.map(hops),
            front,
        };
        guess.evidence.extend(from_wire);
        let Some(first) = claims.first() else { return guess };
        guess.family = first.family;
        guess.version = claims
            .iter()
            .find(|c| c.family == first.family && c.version.is_some())
            .and_then(|c| c.version.clone());
        let agree = claims.iter().all(|claim| claim.family == first.family);
        guess.confidence = if agree { Confidence::Declared } else { Confidence::Possible };
        guess
    }
}

/// Something a guess stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The host said so.
    Said {
        /// Where.
        by: Voice,
        /// What, as it came, cut to a line's length. Text from outside.
        text: String,
        /// What that means.
        family: Family,
    },
    /// The kinds of TCP options in this order.
    Options {
        /// The kinds.
        order: Box<[u8]>,
        /// Whose order that is; unknown where several write it, or none that is known.
        family: Family,
    },
    /// A packet came with this hop limit, so it began with that one.
    HopLimit {
        /// As it came.
        arrived: u8,
        /// The usual value it began with.
        initial: u8,
        /// Who begins so; unknown where several do.
        family: Family,
    },
}

/// Where a host says what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Voice {
    /// An SSH identification string.
    Ssh,
    /// The Server header of HTTP.
    HttpServer,
    /// sysDescr of SNMP.
    Snmp,
    /// The version of an NTLM challenge (SMB, RDP, HTTP).
    Ntlm,
}

impl Voice {
    /// The words used in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ssh => "ssh-banner",
            Self::HttpServer => "http-server",
            Self::Snmp => "snmp-sysdescr",
            Self::Ntlm => "ntlm-version",
        }
    }
}

/// What the packets alone say.
fn by_wire(look: Option<&Signature>, hop_limit: Option<u8>) -> (Family, Confidence, Vec<Evidence>) {
    let mut evidence = Vec::new();
    let order = look.map(|l| &*l.options).filter(|options| !options.is_empty());
    let initial = hop_limit.map(initial_hop_limit);
    let both = order.and_then(|order| stack::by_both(order, initial?));
    let by_order = order.and_then(stack::by_options);
    let by_hops = initial.and_then(stack::by_initial);
    if let Some(order) = order {
        let family = both.or(by_order).unwrap_or_default();
        evidence.push(Evidence::Options { order: order.into(), family });
    }
    if let (Some(arrived), Some(initial)) = (hop_limit, initial) {
        let family = by_hops.unwrap_or_default();
        evidence.push(Evidence::HopLimit { arrived, initial, family });
    }
    let (family, confidence) = match (both, by_order, by_hops) {
        (Some(family), ..) => (family, Confidence::Likely),
        (None, Some(a), Some(b)) if a != b => (Family::Unknown, Confidence::Possible),
        (None, a, b) => (a.or(b).unwrap_or_default(), Confidence::Possible),
    };
    (family, confidence, evidence)
}

/// Two systems that answer for one address: something stands in front, such as NAT that forwards
/// some ports, a load balancer, a firewall that answers itself, or a SYN proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwoProfiles {
    /// How a SYN-ACK looked.
    pub one: Signature,
    /// How another, or a RST, looked.
    pub other: Signature,
    /// How they differ.
    pub difference: Difference,
}

/// In what two looks differ that one system would not differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Difference {
    /// SYN-ACKs with options in two orders: two stacks.
    Options,
    /// SYN-ACKs that came with two hop limits.
    SynAckHopLimit,
    /// A SYN-ACK and a RST from two distances. One system may begin a RST with another hop limit than
    /// a SYN-ACK, but not come from another distance.
    ResetDistance,
}

impl TwoProfiles {
    /// Compares all looks with the first SYN-ACK's; `None` where one system can have sent all.
    #[must_use]
    pub fn of(open: &[Signature], closed: &[Signature]) -> Option<Self> {
        let one = open.first()?;
        let others = |difference: Difference| {
            let (looks, differ): (_, fn(&Signature, &Signature) -> bool) = match difference {
                Difference::Options => (open, have_other_options),
                Difference::SynAckHopLimit => (open, have_other_hop_limits),
                Difference::ResetDistance => (closed, come_from_elsewhere),
            };
            let other = looks.iter().find(|other| differ(one, other))?.clone();
            Some(Self { one: one.clone(), other, difference })
        };
        let all = [Difference::Options, Difference::SynAckHopLimit, Difference::ResetDistance];
        all.into_iter().find_map(others)
    }
}

/// Without any option there is nothing to compare: a SYN cookie may leave them all out.
fn have_other_options(a: &Signature, b: &Signature) -> bool {
    let (a, b) = (stack::trimmed(&a.options), stack::trimmed(&b.options));
    !a.is_empty() && !b.is_empty() && a != b
}

fn have_other_hop_limits(a: &Signature, b: &Signature) -> bool {
    a.hop_limit.zip(b.hop_limit).is_some_and(|(a, b)| a != b)
}

fn come_from_elsewhere(a: &Signature, b: &Signature) -> bool {
    a.hop_limit.zip(b.hop_limit).is_some_and(|(a, b)| hops(a) != hops(b))
}

#[cfg(test)]
mod tests;
