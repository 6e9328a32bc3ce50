//! A rule: statements from left to right, the first that does not hold ends it.
//!
//! Readers write out what nft and iptables leave unsaid: `tcp dport 22` becomes the match that the
//! protocol is TCP and the match of the port, also where the port is negated; `ip saddr` in a table of
//! family inet is guarded by the match that the packet is IPv4.

use super::field::Field;
use super::ruleset::Counter;
use super::value::{SetRef, Span, Value};

/// One rule of a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The kernel's number for it; iptables-save and files have none.
    pub handle: Option<u64>,
    /// The line it was read from, from 1, where it was read from a text with lines.
    pub line: Option<u32>,
    /// The rule as its tool would write it, on one line.
    pub text: Box<str>,
    /// What its author noted.
    pub comment: Option<Box<str>>,
    /// What it has counted.
    pub counter: Option<Counter>,
    /// What it does.
    pub statements: Vec<Statement>,
}

impl Rule {
    /// Whether any of its statements changes what later ones and later rules see.
    #[must_use]
    pub fn changes_the_rest(&self) -> bool {
        self.statements.iter().any(Statement::changes_the_rest)
    }
}

/// One step of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// Goes on only if this holds.
    Match(Match),
    /// Goes on only if something holds that the packet alone does not decide, or that is not understood.
    Condition(Condition),
    /// Decides.
    Verdict(Verdict),
    /// Decides by a map; a key that is not in it goes on with the next rule.
    VerdictMap {
        /// What is looked up.
        key: Expression,
        /// Whose elements have verdicts.
        map: SetRef,
    },
    /// Writes into the packet's company: marks and the like. If the value cannot be had (a map without
    /// the key), the rule ends.
    Assign {
        /// What is written.
        target: Target,
        /// The new value.
        value: Expression,
    },
    /// Translates addresses or ports; ends the base chain with accept.
    Nat(Nat),
    /// No connection is to be tracked for this packet: its state is `untracked`.
    NoTrack,
    /// Says beforehand what a connection is to be: its zone, what is told of it (`ct zone set`, the target CT).
    /// Nothing where there is one already. The packet has a template then, which `notrack` leaves as it is.
    Template {
        /// Whether it does so too for packets that are not to be tracked, which are tracked then: nft does,
        /// the target CT does not (measured; nft_ct_set_zone_eval, xt_ct_target).
        is_over_untracked: bool,
    },
    /// Puts the packet's key into a set, or takes it out. A full set ends the rule.
    Update {
        /// What is done.
        operation: SetOperation,
        /// The set, in the rule's table.
        set: Box<str>,
        /// The key.
        key: Expression,
        /// What must hold for the element (`{ ip saddr limit rate over 5/second }`), else the rule ends.
        conditions: Vec<Condition>,
    },
    /// Not understood, or without meaning here.
    Opaque {
        /// As its tool writes it.
        text: Box<str>,
        /// What it might do.
        effect: Effect,
    },
}

impl Expression {
    /// Whether it reads one of these fields.
    #[must_use]
    pub fn reads(&self, is_wanted: &impl Fn(Field) -> bool) -> bool {
        match self {
            Self::Field(field) => is_wanted(*field),
            Self::Bits { of: inner, .. } | Self::Lookup { key: inner, .. } => {
                inner.reads(is_wanted)
            }
            Self::Concat(parts) => parts.iter().any(|part| part.reads(is_wanted)),
            Self::Constant(_) | Self::OneOf(_) | Self::Unknown(_) => false,
        }
    }
}

impl Statement {
    /// Whether it reads one of these fields of the packet.
    #[must_use]
    pub fn reads(&self, is_wanted: &impl Fn(Field) -> bool) -> bool {
        match self {
            Self::Match(Match { left: read, .. })
            | Self::VerdictMap { key: read, .. }
            | Self::Assign { value: read, .. }
            | Self::Update { key: read, .. } => read.reads(is_wanted),
            Self::Nat(nat) => nat.address.iter().chain(&nat.port).any(|read| read.reads(is_wanted)),
            Self::Condition(_)
            | Self::Verdict(_)
            | Self::NoTrack
            | Self::Template { .. }
            | Self::Opaque { .. } => false,
        }
    }

    /// Whether it changes what later statements and rules see: the packet, its marks, its connection, a
    /// set.
    #[must_use]
    pub const fn changes_the_rest(&self) -> bool {
        matches!(
            self,
            Self::Assign { .. }
                | Self::Nat(_)
                | Self::NoTrack
                | Self::Template { .. }
                | Self::Update { .. }
                | Self::Opaque { effect: Effect::Rewrites, .. }
        )
    }
}

/// What a statement that is not evaluated may do to the packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: it counts, logs, copies.
    Passes,
    /// Writes into the packet what later rules, routing and translation may see otherwise: `ip daddr set …`,
    /// `@th,0,8 set 1`. That is not followed: how such a packet ends is open.
    Rewrites,
    /// Anything, a verdict too: an unknown target of iptables, `queue`, `synproxy`, `fwd`.
    Decides,
}

/// A question with an answer that no field gives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    /// The question as its tool writes it, without a negation: `limit rate 6/minute`.
    pub text: Box<str>,
    /// Whether the rule wants it not to hold.
    pub is_negated: bool,
    /// Whether it keeps a state of its own, so that the same text in another rule may be answered
    /// otherwise: limits and quotas.
    pub is_own: bool,
    /// The answer (before the negation) for a single packet after a long silence: a limit is kept
    /// (`Some(true)`), `recent --rcheck` has seen nothing (`Some(false)`); `None` where nobody knows.
    pub presumed: Option<bool>,
}

/// A comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// What is looked at.
    pub left: Expression,
    /// What it must be.
    pub test: Test,
}

/// What a value must be. If the left side cannot be had (no such header, a key that no map has), no
/// test holds, a negated one neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// One of these: `==`, a range, a prefix, a set.
    In(SetRef),
    /// None of these: `!=`.
    NotIn(SetRef),
    /// At least one of these bits is set: `tcp flags syn,ack`, `ct state new,established`.
    AnyBit(u128),
    /// None of these bits is set: `tcp flags ! syn`, `ct state ! new`.
    NoBit(u128),
}

/// What can be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// A field of the packet or its company.
    Field(Field),
    /// `(of & mask) ^ flip`, as the kernel's bitwise expression (net/netfilter/nft_bitwise.c).
    Bits {
        /// Whose bits.
        of: Box<Expression>,
        /// Those that stay.
        mask: u128,
        /// Those that are then turned over.
        flip: u128,
    },
    /// Several, one after another: `ip saddr . tcp dport`. Never nested.
    Concat(Vec<Expression>),
    /// What a map gives for a key; without it the rule ends.
    Lookup {
        /// The key.
        key: Box<Expression>,
        /// The map.
        map: SetRef,
    },
    /// Always the same.
    Constant(Value),
    /// Any of these, by chance or by a hash: `numgen random mod 2`, an address range of `dnat`.
    OneOf(Span),
    /// Not understood: its text.
    Unknown(Box<str>),
}

/// What a statement can write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// `meta mark set`.
    Mark,
    /// `ct mark set`.
    CtMark,
    /// `ip ttl set`, `ip6 hoplimit set`, the targets TTL and HL.
    Ttl,
    /// `ip dscp set`, the targets DSCP and TOS.
    Dscp,
    /// `ip ecn set`, the target TOS.
    Ecn,
    /// The target ECN takes flags away.
    TcpFlags,
    /// The target TCPMSS may add an option.
    Length,
    /// `tcp sport set`, of protocols with ports.
    SourcePort,
    /// `tcp dport set`.
    DestinationPort,
}

impl Target {
    /// What is looked at to see it.
    #[must_use]
    pub const fn field(self) -> Field {
        match self {
            Self::Mark => Field::Mark,
            Self::CtMark => Field::CtMark,
            Self::Ttl => Field::Ttl,
            Self::Dscp => Field::Dscp,
            Self::Ecn => Field::Ecn,
            Self::TcpFlags => Field::TcpFlags,
            Self::Length => Field::Length,
            Self::SourcePort => Field::SourcePort,
            Self::DestinationPort => Field::DestinationPort,
        }
    }

    /// Whether it writes a port.
    #[must_use]
    pub const fn is_port(self) -> bool {
        matches!(self, Self::SourcePort | Self::DestinationPort)
    }

    /// Whether `field` is, or holds, what it writes to.
    #[must_use]
    pub fn is_in(self, field: Field) -> bool {
        field == self.field()
            || (self == Self::Length && matches!(field, Field::Length4 | Field::Length6))
            || (self == Self::SourcePort && matches!(field, Field::IcmpType | Field::IcmpCode))
    }
}

/// What is done with a packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Ends this base chain; later ones at this hook still decide.
    Accept,
    /// Ends the packet.
    Drop,
    /// Ends the packet and says so to the sender.
    Reject(RejectWith),
    /// Goes on with the next rule.
    Continue,
    /// Goes back to where the chain was asked; in a base chain to the policy.
    Return,
    /// Asks another chain, then goes on.
    Jump(Box<str>),
    /// Asks another chain and does not come back here.
    Goto(Box<str>),
}

/// What a sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectWith {
    /// A TCP RST.
    TcpReset,
    /// ICMP destination unreachable with this code (RFC 792), or the like of it in ICMPv6.
    Icmp(u8),
    /// ICMPv6 destination unreachable with this code (RFC 4443 §3.1).
    Icmpv6(u8),
    /// In tables of family inet: nft's number, translated for each family (`icmpx type …`): 0 no-route,
    /// 1 port-unreachable, 2 host-unreachable, 3 admin-prohibited.
    Icmpx(u8),
}

/// A translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nat {
    /// Which.
    pub kind: NatKind,
    /// The new address; `None` keeps it (or: the machine's own, for redirect and masquerade).
    pub address: Option<Expression>,
    /// The new port; `None` keeps it as far as it can.
    pub port: Option<Expression>,
    /// Options in nft's words: `random`, `persistent`, `prefix`.
    pub flags: Vec<Box<str>>,
}

/// The kinds of translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NatKind {
    /// A new destination.
    Dnat,
    /// A new source.
    Snat,
    /// The source becomes the address of the interface it leaves by.
    Masquerade,
    /// The destination becomes this machine.
    Redirect,
    /// Handed to a socket here without being changed (`tproxy`); does not end the chain.
    Tproxy,
}

/// What is done to a set from the packet path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetOperation {
    /// In, if it is not.
    Add,
    /// In, and its time begins anew.
    Update,
    /// Out.
    Delete,
}
