//! Rules that take packets for a place of this machine away before a socket there sees them.
//!
//! All such packets are asked about at once, those of other machines and those of this one: which rules
//! translate some of them, whether all, and to where.

mod asked;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use self::asked::{Asked, is_anything};
use super::hints;
use crate::firewall::bdd::Undecided;
use crate::firewall::simulate::Prepared;
use crate::firewall::{Hook, Origin, RuleId, RulePlace, Ruleset, World};
use crate::net::{Endpoint, Port, PortRange, Prefix, Transport};

/// A place of this machine: where a socket is bound or could be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Its transport.
    pub transport: Transport,
    /// The addresses it covers; never unspecified ones.
    pub addresses: Vec<IpAddr>,
    /// Its port.
    pub port: Port,
}

impl Destination {
    /// What a socket bound to `address` receives in `world`: the address itself, or every one of its
    /// family, or with IPv6's wildcard and not `v6only` all.
    #[must_use]
    pub fn new(
        transport: Transport,
        address: IpAddr,
        v6only: bool,
        port: Port,
        world: &World,
    ) -> Self {
        let address = address.to_canonical();
        let covers = |a: &IpAddr| match address {
            _ if !address.is_unspecified() => *a == address,
            IpAddr::V4(_) => a.is_ipv4(),
            IpAddr::V6(_) => a.is_ipv6() || !v6only,
        };
        let own = world.addresses.iter().map(|own| own.address);
        let everywhere = own.chain(LOOPBACK).chain([address]);
        let mut addresses: Vec<IpAddr> =
            everywhere.filter(|a| !a.is_unspecified()).filter(covers).collect();
        addresses.sort_unstable();
        addresses.dedup();
        Self { transport, addresses, port }
    }

    /// The addresses of a family that packets can have at a hook: nothing from outside is for a loopback
    /// address (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3).
    fn at(&self, hook: Hook, is_v6: bool) -> Vec<Prefix> {
        let is_possible = |a: &&IpAddr| {
            a.is_ipv6() == is_v6 && (hook == Hook::Output || !a.to_canonical().is_loopback())
        };
        self.addresses.iter().filter(is_possible).copied().map(Prefix::from).collect()
    }

    /// Whether a target is where the packets go anyway.
    fn is(&self, target: Target) -> bool {
        let Target::Known { addresses, ports } = target else { return false };
        addresses.is_none_or(|(first, last)| first == last && self.addresses.contains(&first))
            && ports.is_none_or(|ports| ports == self.port.into())
    }
}

/// A rule that takes packets away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diversion {
    /// Whose packets: at prerouting those of other machines, at output those of this one.
    pub hook: Hook,
    /// The rule.
    pub rule: DivertingRule,
    /// Where it sends them.
    pub target: Target,
    /// Whether it takes all of them that its table sees; else it depends on something that the place
    /// does not tell: the sender, the interface, a limit.
    pub takes_all: bool,
}

/// A rule, and what it takes to look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DivertingRule {
    /// Where it stands, and its text.
    pub place: RulePlace,
    /// The kernel's number for it; legacy iptables has none.
    pub handle: Option<u64>,
    /// Which tool shows it.
    pub origin: Origin,
}

impl fmt::Display for DivertingRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RulePlace { family, table, chain, index, .. } = &self.place;
        write!(f, "{family} {table} {chain}")?;
        match (self.handle, index) {
            (Some(handle), _) => write!(f, " handle {handle}"),
            (None, Some(index)) => write!(f, " rule {}", index + 1),
            (None, None) => Ok(()),
        }
    }
}

/// Where a translated packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// To one of some places.
    Known {
        /// From the first to the last address; `None` is this machine.
        addresses: Option<(IpAddr, IpAddr)>,
        /// The ports; `None` keeps the number.
        ports: Option<PortRange>,
    },
    /// Somewhere; the rule's text is all that is known.
    Unknown,
}

impl Target {
    /// The one place of another machine it leads to from `port`, if it is one.
    #[must_use]
    pub fn endpoint(self, port: Port) -> Option<Endpoint> {
        let Self::Known { addresses: Some((first, last)), ports } = self else { return None };
        let ports = ports.unwrap_or_else(|| port.into());
        (first == last && ports.len() == 1).then(|| Endpoint::new(first, ports.first()))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Known { addresses, ports } = self else { return f.write_str("somewhere else") };
        let addresses = addresses.map(|(first, last)| {
            if first == last { first.to_string() } else { format!("{first}-{last}") }
        });
        match (addresses, ports) {
            (None, None) => f.write_str("this machine"),
            (None, Some(ports)) => write!(f, "port {ports}"),
            (Some(addresses), None) => f.write_str(&addresses),
            (Some(addresses), Some(ports)) if addresses.contains(':') => {
                write!(f, "[{addresses}]:{ports}")
            }
            (Some(addresses), Some(ports)) => write!(f, "{addresses}:{ports}"),
        }
    }
}

/// What takes packets for `to` away, in the order in which they meet it. A rule that leads to the same
/// place is none.
///
/// # Errors
/// When the node budget is used up.
pub fn diversions(
    ruleset: &Ruleset,
    world: &World,
    to: &Destination,
) -> Result<Vec<Diversion>, Undecided> {
    if !may_divert(ruleset) {
        return Ok(Vec::new());
    }
    let with = Prepared::new(ruleset, world);
    let mut found = Vec::new();
    for hook in HOOKS {
        let mut at_hook: Vec<Taken> = Vec::new();
        for is_v6 in [false, true] {
            let taken = Asked { ruleset, world, with: &with, to, hook, is_v6 }.taken()?;
            for (rule, target, is_whole) in taken {
                let known = at_hook.iter_mut().find(|t| (t.rule, t.target) == (rule, target));
                match known {
                    Some(known) => known.is_whole[usize::from(is_v6)] = is_whole,
                    None => {
                        let is_whole = [!is_v6 && is_whole, is_v6 && is_whole];
                        at_hook.push(Taken { rule, target, is_whole });
                    }
                }
            }
        }
        found.extend(at_hook.iter().filter_map(|taken| taken.told(ruleset, to, hook)));
    }
    Ok(found)
}

/// Whether any rule translates destinations, or may. Where none does nothing else need be known.
#[must_use]
pub fn may_divert(ruleset: &Ruleset) -> bool {
    hints::rules(ruleset).any(|(table, _, rule)| {
        let is_asked =
            table.chains.iter().any(|chain| HOOKS.iter().any(|h| hints::is_nat(chain, *h)));
        is_asked && (hints::is_translation(rule) || is_anything(&rule.statements))
    })
}

/// What a rule takes of packets for a place.
struct Taken {
    rule: RuleId,
    target: Target,
    /// Whether all, of IPv4 and of IPv6.
    is_whole: [bool; 2],
}

impl Taken {
    fn told(&self, ruleset: &Ruleset, to: &Destination, hook: Hook) -> Option<Diversion> {
        let place = ruleset.place(self.rule)?;
        let is_seen = |is_v6: bool| place.family.passes(is_v6) && !to.at(hook, is_v6).is_empty();
        let mut seen = [false, true].into_iter().filter(|is_v6| is_seen(*is_v6));
        let takes_all = seen.all(|is_v6| self.is_whole[usize::from(is_v6)]);
        let handle = ruleset.rule(self.rule)?.handle;
        let origin = ruleset.tables.get(self.rule.chain.table)?.origin;
        let rule = DivertingRule { place, handle, origin };
        Some(Diversion { hook, rule, target: self.target, takes_all })
    }
}

/// The hooks at which destinations are translated.
pub(super) const HOOKS: [Hook; 2] = [Hook::Prerouting, Hook::Output];
const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
