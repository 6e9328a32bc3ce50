//! What a simulated packet went through, and how it ended.

use std::net::IpAddr;

use crate::firewall::{ChainId, Hook, NatKind, Packet, RejectWith, RuleId, Target, Tuple};

/// Which hooks a packet passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// Prerouting alone.
    Prerouting,
    /// It is for this machine: prerouting, input. A translation to another machine sends it to forward
    /// nevertheless, as the kernel would.
    Input,
    /// It is for others: prerouting, forward, postrouting. A redirect to this machine sends it to input.
    Forward,
    /// This machine sends it: output, postrouting.
    Output,
    /// Addresses and routes decide between input and forward. Where none are known: input, unless its
    /// destination was translated to another address.
    #[default]
    ByRoute,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It passed every hook of its way.
    Accept,
    /// It ended, and the sender is told.
    Reject(RejectWith),
    /// It ended in silence.
    Drop,
}

/// What became of a packet, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// How it ended. Where that depends on something: with everything answered as presumed; where nothing
    /// is presumed, the worst for the packet.
    pub outcome: Outcome,
    /// The rule or policy that decided: what dropped it, else the last that accepted it at the hook that
    /// matters (input, forward or output). `None` where no chain was met, or no rule ended it (no route).
    pub decided_by: Option<RuleId>,
    /// Where the outcome is certain and it is open which rule decides it: the others.
    pub instead: Instead,
    /// The whole way, in order.
    pub steps: Vec<Step>,
    /// The last hook it met; `None` where its way had none.
    pub hook: Option<Hook>,
    /// The packet as it was at the end: translated, marked.
    pub packet: Packet,
    /// What the outcome depends on; empty: it is certain.
    pub depends_on: Vec<Dependency>,
    /// Whether everything open could be tried. If not, the outcome depends on more than is listed, and
    /// stands as drop.
    pub is_complete: bool,
}

impl Walk {
    /// Whether the outcome is the same whatever the open questions' answers are.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.depends_on.is_empty() && self.is_complete
    }
}

/// Rules that may decide in another's place, the outcome being the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instead {
    /// They, in the order in which they were tried.
    pub rules: Vec<RuleId>,
    /// What that depends on, in the words of the rules' tool.
    pub open: Vec<String>,
}

/// An open question that changes the outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The question, in the words of the rule's tool.
    pub question: String,
    /// Where it was first asked; `None` where no rule asks (a setting of the kernel).
    pub rule: Option<RuleId>,
    /// What is presumed.
    pub presumed: Option<bool>,
    /// How it can end if it holds. With other questions open there may be several.
    pub if_yes: Vec<Outcome>,
    /// How it can end if it does not.
    pub if_no: Vec<Outcome>,
}

/// One step of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A hook begins.
    Hook(Hook),
    /// Conntrack has looked the packet up: its state, one of [`super::super::bits`].
    Tracked(u128),
    /// Conntrack has put its fragments together.
    Defragmented,
    /// A base chain begins.
    Enters(ChainId),
    /// A rule held to its end, or to its verdict.
    Matched {
        /// Which.
        rule: RuleId,
        /// What it did.
        did: Did,
    },
    /// A rule wrote into the packet's company.
    Assigned {
        /// Which.
        rule: RuleId,
        /// Where to.
        target: Target,
        /// The new value; `None` where it cannot be known.
        value: Option<u128>,
    },
    /// A base chain has ended.
    Ends {
        /// Which.
        chain: ChainId,
        /// The rule or policy that ended it.
        by: RuleId,
        /// How; accept is this chain's word only.
        outcome: Outcome,
    },
    /// Its addresses or ports were translated.
    Translated {
        /// The rule; `None` where the connection was translated already.
        by: Option<RuleId>,
        /// How.
        kind: NatKind,
        /// As it was.
        before: Tuple,
        /// As it is.
        after: Tuple,
    },
    /// Where it goes after prerouting, or after output.
    Routed {
        /// There.
        decision: Decision,
        /// Why.
        because: Because,
    },
    /// Something worth knowing.
    Note(Note),
}

/// What a rule that held did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Did {
    /// Nothing that ends it: it counted, logged, marked.
    Pass,
    /// Ended the base chain with accept.
    Accept,
    /// Ended the packet.
    Drop,
    /// Ended the packet and told the sender.
    Reject(RejectWith),
    /// Asked another chain.
    Jump(ChainId),
    /// Went over to another chain.
    Goto(ChainId),
    /// Went back to where the chain was asked.
    Return,
    /// Translated, and so accepted.
    Translate,
}

/// Where a packet goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// There.
    pub station: Station,
    /// By this interface, where it leaves and that is known.
    pub interface: Option<Box<str>>,
}

/// Where a packet goes after a routing decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Station {
    /// To this machine.
    Here,
    /// On to others.
    Onward,
    /// Nowhere: it ends.
    Nowhere(NoWay),
}

/// Why a packet is not sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoWay {
    /// This machine does not forward (`net.ipv4.ip_forward`, `net.ipv6.conf.all.forwarding`).
    NotForwarding,
    /// There is no route, or one that says unreachable.
    Unreachable,
    /// The route is a blackhole.
    Blackhole,
    /// The route is prohibited.
    Prohibited,
    /// Loopback addresses do not come from outside (`net.ipv4.conf.*.route_localnet` is off).
    Martian,
    /// A redirect found no address on the interface.
    NoAddress,
    /// Its source is nobody's, a group's, or this machine's own.
    Source,
    /// The way back to its source is another one (`net.ipv4.conf.*.rp_filter`).
    ReversePath,
    /// It is for others, and may be passed on no more: its time to live is over, or it came to a group.
    NotPassedOn,
}

/// Why a packet goes where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Because {
    /// The asker said so ([`Way`]).
    Given,
    /// Addresses and routes say so.
    Routes,
    /// Nothing is known of addresses; its destination is as it was, or redirected to this machine.
    Unchanged,
    /// Its destination was translated to another machine.
    Translated,
}

/// Something worth knowing about a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The interface was not given; answers come back by this one, so it is taken to come in by it.
    ComesBy(Box<str>),
    /// The interface was not given and nothing says which it is.
    UnknownInterface,
    /// The source becomes this machine's address on the way out, which is not known.
    UnknownAddress,
    /// The chain asks itself over others, is not there, or lies deeper than 15 jumps: the kernel does not
    /// load such rules, so everything is possible from here.
    Unloadable(RuleId),
    /// More rules were asked than any kernel would; everything is possible from here.
    Endless,
}

/// The two addresses of a tuple by the side that translation touches.
pub(super) fn end_of(tuple: &Tuple, is_source: bool) -> (IpAddr, u16) {
    if is_source {
        (tuple.source, tuple.source_port)
    } else {
        (tuple.destination, tuple.destination_port)
    }
}
