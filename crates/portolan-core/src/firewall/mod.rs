//! Floor 2, what lets a packet through: the rules of netfilter as values, whoever wrote them.
//!
//! ```text
//! nft -j list ruleset ─┐                          ┌─ simulate   one packet, hook by hook
//! iptables-save ×4 ────┼──▶ Ruleset ──────────────┼─ analyse    all packets, exactly
//! files of both ───────┘                          └─ compile    a Policy made into such rules
//! ```
//! The readers are tolerant: what they do not understand stays as a condition or a statement with its
//! text, and makes an answer less certain, never wrong.

pub mod bdd;
mod nft;
mod packet;
mod read_error;
mod rule;
mod ruleset;
mod value;
mod world;

pub use packet::{Direction, IcmpMessage, Packet, TcpFlags, Tuple};
pub use read_error::ReadError;
pub use rule::{
    Condition, Effect, Expression, FibKey, FibResult, Field, Match, Nat, NatKind, RejectWith, Rule,
    SetOperation, Statement, Target, Test, TupleSide, Verdict,
};
pub use ruleset::{
    Base, Chain, ChainId, ChainKind, ChainPolicy, Counter, Family, Hook, Origin, RuleId, RulePlace,
    Ruleset, Table,
};
pub use value::{Element, ElementValue, Elements, Set, SetFlags, SetRef, Span, Value, bits};
pub use world::{Interface, LocalAddress, Route, RouteKind, World};
