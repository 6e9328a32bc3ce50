//! Floor 2, what lets a packet through: the rules of netfilter as values, whoever wrote them.
//!
//! ```text
//! nft -j list ruleset ─┐                          ┌─ simulate   one packet, hook by hook
//! iptables-save ×4 ────┼──▶ Ruleset ──────────────┼─ analyse    all packets, exactly
//! files of both ───────┘                          └─ compile    a Policy made into such rules
//! ```
//! The readers are tolerant: what they do not understand stays as a condition or a statement with its
//! text, and makes an answer less certain, never wrong.

mod addresses;
pub mod analyse;
pub mod bdd;
mod bridge;
mod calls;
mod clock;
mod compile;
mod device;
mod field;
mod filled;
pub mod flow;
mod format;
mod fullness;
mod gate;
mod import;
mod intent;
mod ip_json;
pub mod ipset;
pub mod iptables;
mod nat_order;
mod nft;
mod onlookers;
mod order;
mod outline;
mod own;
mod packet;
mod policy;
mod prove;
mod read_error;
mod replacement;
pub mod replay;
mod rule;
mod ruleset;
mod script;
pub mod simulate;
mod tampering;
pub mod tighten;
mod trial;
mod value;
mod ways;
mod world;

pub use addresses::{Addresses, Interval, address_of, interval_of, nft_interval, number_of};
pub use compile::compile;
pub use field::{FibKey, FibResult, Field, TupleSide};
pub use format::RuleFormat;
pub use fullness::{FillLevel, Fullness, fill_levels};
pub use gate::{GATE, gate, gate_token};
pub use intent::intent;
pub use onlookers::mark_readers;
pub use outline::{OUR_TABLE, Outline, OutlineError, OutlinePart};
pub use own::OwnTextError;
pub use packet::{Direction, IcmpMessage, Packet, TcpFlags, Tuple};
pub use policy::{
    BaseNeed, BasePass, Block, ConntrackHelper, Knock, Never, Pass, PassTraffic, PassWay, Peers,
    Policy, RateLimit, Stance, Translation, protocol_of,
};
pub use prove::{
    Difference, LostLookups, Obstacle, Proof, ProofWay, Violation, changed_resolvers, obstacles,
    prove,
};
pub use read_error::ReadError;
pub use replacement::{Replacement, removal};
pub use rule::{
    Condition, Effect, Expression, Match, Nat, NatKind, RejectWith, Rule, SetOperation, Statement,
    Target, Test, Verdict,
};
pub use ruleset::{
    Base, Chain, ChainId, ChainKind, ChainPolicy, Counter, Family, Hook, Origin, RuleId, RulePlace,
    Ruleset, Table,
};
pub use script::{Part, PartKind, STAMP, Script, ScriptChain, TABLE};
pub use tampering::first_difference;
pub use trial::{Caller, Doubt, confirms};
pub use value::{Element, ElementValue, Elements, Set, SetFlags, SetRef, Span, Value, bits};
pub use ways::{RoutedWay, Routing};
pub use world::{Interface, LocalAddress, ReversePath, Route, RouteKind, World};
