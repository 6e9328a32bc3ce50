//! Floor 2, what takes a packet away before a socket sees it: DNAT and redirect rules.
//!
//! Read from `nft -j list ruleset` and from `iptables-save`, tolerantly: what is not understood
//! stays as an opaque condition or target with its text, and makes an answer less certain, never
//! wrong. Only chains of type nat on the hooks prerouting (traffic from outside) and output
//! (traffic of this machine) count, with the chains they jump to.

mod condition;
mod diverting;
mod iptables;
mod named;
mod nft;

use std::fmt;
use std::net::IpAddr;

pub use condition::{AddressRange, Condition, Destination, Test};
pub use diverting::Diversion;
pub use nft::NatError;

use crate::net::{Endpoint, PortRange};

/// Every rule that may translate a destination, in the order in which packets meet them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Translations {
    chains: Vec<Chain>,
}

/// The path on which a packet meets a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    /// From outside this machine.
    Prerouting,
    /// From a program on this machine.
    Output,
}

impl Path {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Prerouting, Self::Output];

    /// The hook's name, as nft writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::Output => "output",
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The family of a table: which packets pass it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleFamily {
    /// IPv4 alone; all that `iptables` shows.
    Ip,
    /// IPv6 alone; all that `ip6tables` shows.
    Ip6,
    /// Both.
    Inet,
}

impl RuleFamily {
    /// The word nft uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Inet => "inet",
        }
    }

    const fn passes(self, address: IpAddr) -> bool {
        match self {
            Self::Ip => address.is_ipv4(),
            Self::Ip6 => address.is_ipv6(),
            Self::Inet => true,
        }
    }
}

/// Where a rule stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The family of its table.
    pub family: RuleFamily,
    /// Its table.
    pub table: Box<str>,
    /// Its chain.
    pub chain: Box<str>,
    /// The kernel's number for it; legacy iptables has none.
    pub handle: Option<u64>,
    /// Its place in the chain, from 0.
    pub index: usize,
    /// Whether it is of legacy iptables, whose rules nft does not show.
    pub is_legacy: bool,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.family.as_str(), self.table, self.chain)?;
        match self.handle {
            Some(handle) => write!(f, " handle {handle}"),
            None => write!(f, " rule {}", self.index + 1),
        }
    }
}

/// One rule of a chain on the way to a translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where it stands.
    pub place: Place,
    /// The rule as its tool writes it.
    pub text: Box<str>,
    /// What it does, under which conditions: one for a plain rule, one an entry for a rule with a
    /// map. The first whose conditions hold acts.
    pub branches: Vec<Branch>,
}

/// One outcome of a rule and what must hold for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// All of them must hold.
    pub conditions: Vec<Condition>,
    /// What happens then.
    pub verdict: Verdict,
}

/// What a rule does with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Sends it somewhere else.
    Translate(Target),
    /// Asks another chain, then goes on.
    Jump(Box<str>),
    /// Asks another chain, and does not come back.
    Goto(Box<str>),
    /// Goes back to where the chain was asked.
    Return,
    /// Ends the hook's chain without a translation: accept, drop, reject, queue.
    End,
}

/// Where a translated packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// To this machine itself, at these ports or the same one.
    Redirect {
        /// The ports; `None` keeps the number.
        ports: Option<PortRange>,
    },
    /// To another address, another port, or both.
    Dnat {
        /// The addresses; `None` keeps the packet's.
        addresses: Option<AddressRange>,
        /// The ports; `None` keeps the number.
        ports: Option<PortRange>,
    },
    /// Somewhere; the rule's text is all that is known.
    Opaque,
}

impl Target {
    /// The one place it leads to from `port`, if it is one.
    #[must_use]
    pub fn endpoint(self, port: crate::net::Port) -> Option<Endpoint> {
        let Self::Dnat { addresses: Some(addresses), ports } = self else { return None };
        let ports = ports.unwrap_or_else(|| port.into());
        (addresses.is_one() && ports.len() == 1)
            .then(|| Endpoint::new(addresses.first, ports.first()))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (addresses, ports) = match self {
            Self::Redirect { ports } => (None, *ports),
            Self::Dnat { addresses, ports } => (*addresses, *ports),
            Self::Opaque => return f.write_str("somewhere else"),
        };
        match (addresses, ports) {
            (None, None) => f.write_str("this machine"),
            (None, Some(ports)) => write!(f, "port {ports}"),
            (Some(addresses), None) => write!(f, "{addresses}"),
            (Some(addresses), Some(ports)) if addresses.first.is_ipv6() => {
                write!(f, "[{addresses}]:{ports}")
            }
            (Some(addresses), Some(ports)) => write!(f, "{addresses}:{ports}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Chain {
    family: RuleFamily,
    table: Box<str>,
    name: Box<str>,
    /// Where packets enter it, and the priority; `None` for a chain that is only jumped to.
    hook: Option<(Path, i64)>,
    rules: Vec<Rule>,
    /// Whether some of its rules were made by iptables and show here by name only.
    is_veiled: bool,
    /// Whether it comes from legacy iptables, whose tables nft does not see.
    is_legacy: bool,
}

impl Chain {
    fn is(&self, family: RuleFamily, table: &str, name: &str) -> bool {
        self.family == family && *self.table == *table && *self.name == *name
    }
}

impl Translations {
    /// Whether nothing is translated.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules().next().is_none()
    }

    /// The rules that translate, in the order they are listed.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        let all = self.chains.iter().flat_map(|chain| &chain.rules);
        all.filter(|rule| {
            rule.branches.iter().any(|branch| matches!(branch.verdict, Verdict::Translate(_)))
        })
    }

    /// Whether some table was made by iptables and could only be seen by the names of its matches:
    /// `iptables-save` would tell the rest.
    #[must_use]
    pub fn is_veiled(&self) -> bool {
        self.chains.iter().any(|chain| chain.is_veiled)
    }

    /// Puts what `iptables-save` told beside what nft told. A chain that nft sees only veiled is
    /// replaced, and keeps the handles of its rules; legacy tables are added.
    #[must_use]
    pub fn with(mut self, saved: Self) -> Self {
        for mut chain in saved.chains {
            let of_nft = self.chains.iter_mut().find(|known| {
                !known.is_legacy && known.is(chain.family, &chain.table, &chain.name)
            });
            match of_nft.filter(|_| !chain.is_legacy) {
                Some(known) if known.is_veiled => {
                    if known.rules.len() == chain.rules.len() {
                        for (rule, other) in chain.rules.iter_mut().zip(&known.rules) {
                            rule.place.handle = other.place.handle;
                        }
                    }
                    chain.hook = known.hook;
                    *known = chain;
                }
                Some(_) => {}
                None => self.chains.push(chain),
            }
        }
        self
    }
}

#[cfg(test)]
mod tests;
