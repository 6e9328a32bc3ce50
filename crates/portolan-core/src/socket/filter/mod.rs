//! Filters in the expression language of ss(8).
//!
//! ```text
//! filter     = { ( "state" | "exclude" ) STATE } [ expression ]
//! expression = term { [ and | or ] term }         two terms side by side are joined by "and"
//! term       = [ not ] ( "(" expression ")" | test )
//! test       = ( dst | src ) [=] HOST  |  ( dport | sport ) [OP] PORT  |  dev [OP] NAME
//!            | cgroup [OP] PATH  |  autobound
//! ```
//! Read as ss reads it, not as its manual says: "and" and "or" bind equally and from left to right,
//! so `a or b and c` is `( a or b ) and c` (iproute2's misc/ssfilter.y). Unlike there, operators and
//! parentheses need no blanks around them. A backslash takes the next character as it is.
//! Names of services, hosts, devices and cgroups are resolved by the caller.

mod error;
mod expression;
mod fnmatch;
mod host;
mod lex;
mod parse;

use std::net::IpAddr;
use std::sync::Arc;

pub use error::{FilterError, Problem};

use self::expression::Expression;
use super::{Family, Socket, StateSet};
use crate::net::Port;

/// Which sockets to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    states: Option<StateSet>,
    families: Vec<Family>,
    expression: Option<Expression>,
}

impl Filter {
    /// Reads a filter from the words of a command line; an empty one takes every socket.
    ///
    /// # Errors
    /// [`FilterError`] with the place in the words, joined by blanks.
    pub fn parse<S: AsRef<str>>(words: &[S], names: &Names<'_>) -> Result<Self, FilterError> {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        parse::filter(words.join(" "), names)
    }

    /// The states asked for, so that a dump can be limited to them; `None` where the words name
    /// none and what is usual applies.
    #[must_use]
    pub const fn states(&self) -> Option<StateSet> {
        self.states
    }

    /// The families the words name (`inet:`, `inet6:`, `unix:`); empty for no such limit.
    #[must_use]
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// Whether the words ask who chose a port, which the kernel tells only when asked for it.
    #[must_use]
    pub fn asks_who_chose_ports(&self) -> bool {
        self.expression.as_ref().is_some_and(Expression::asks_who_chose_ports)
    }

    /// Whether the words say nothing at all, so that every socket is taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether `socket` is one to show.
    #[must_use]
    pub fn matches(&self, socket: &Socket) -> bool {
        self.states.is_none_or(|states| states.contains(socket.state))
            && (self.families.is_empty() || self.families.contains(&socket.family))
            && self.expression.as_ref().is_none_or(|expression| expression.matches(socket))
    }
}

/// How the names in a filter are resolved. Core cannot ask the machine.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// The port of a service.
    pub port: &'a dyn Fn(&str) -> Option<Port>,
    /// The addresses of a host; none for an unknown one.
    pub host: &'a dyn Fn(&str) -> Vec<IpAddr>,
    /// The name of an interface, given its name or its index.
    pub device: &'a dyn Fn(&str) -> Option<Arc<str>>,
    /// The id of a cgroup, given the path of its folder.
    pub cgroup: &'a dyn Fn(&str) -> Option<u64>,
}

impl Names<'static> {
    /// Knows no name at all: filters of numbers only.
    pub const NONE: Self =
        Self { port: &|_| None, host: &|_| Vec::new(), device: &|_| None, cgroup: &|_| None };
}

#[cfg(test)]
mod tests;
