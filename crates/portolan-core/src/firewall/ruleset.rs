//! Everything that filters and translates in one network namespace: tables, chains, their hooks.

use std::fmt;

use super::rule::Rule;
use super::value::Set;

/// All tables of a network namespace, or of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// The tables, in the order in which they were made, as far as that is known.
    pub tables: Vec<Table>,
    /// What the reader wants to be told with every answer: order that is not known, sets that could
    /// not be read. A sentence each, without a full stop.
    pub notes: Vec<String>,
}

/// A table: a name for a number of chains and sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Which packets pass it.
    pub family: Family,
    /// Its name.
    pub name: Box<str>,
    /// Who keeps it.
    pub origin: Origin,
    /// Switched off by the flag `dormant`: its chains are on no hook.
    pub is_dormant: bool,
    /// Its chains, in the order listed.
    pub chains: Vec<Chain>,
    /// Its named sets and maps.
    pub sets: Vec<Set>,
}

/// Which packets pass a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Both.
    Inet,
    /// ARP; no packet of IP.
    Arp,
    /// Frames on a bridge.
    Bridge,
    /// Frames of a device, before and after everything else (ingress, egress).
    Netdev,
}

impl Family {
    /// The word nft uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Inet => "inet",
            Self::Arp => "arp",
            Self::Bridge => "bridge",
            Self::Netdev => "netdev",
        }
    }

    /// Whether packets of this version of IP (4 or 6 by `is_v6`) pass it on the hooks of IP.
    #[must_use]
    pub const fn passes(self, is_v6: bool) -> bool {
        matches!((self, is_v6), (Self::Inet, _) | (Self::Ip, false) | (Self::Ip6, true))
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who keeps a table, and so how it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Origin {
    /// nft, or a program that speaks to nf_tables itself.
    #[default]
    Nft,
    /// iptables with nf_tables beneath: nft shows it too, but not all of it.
    IptablesNft,
    /// Legacy iptables: nft does not show it.
    IptablesLegacy,
}

/// A chain of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: Box<str>,
    /// Where packets enter it; `None` where only other chains ask it.
    pub base: Option<Base>,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// Where packets enter a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// What the chain may do.
    pub kind: ChainKind,
    /// On the packet's way.
    pub hook: Hook,
    /// Lower is earlier.
    pub priority: i32,
    /// When it was registered, later is greater. Of two chains with the same hook and priority the one
    /// registered **last** is asked first (measured; net/netfilter/core.c inserts before its equals).
    pub sequence: u32,
    /// What happens at its end.
    pub policy: ChainPolicy,
    /// The devices, for the hooks of devices ([`Hook::is_of_device`]); `eth*` stands for all that begin
    /// so. None there: which they are is not known.
    pub devices: Vec<Box<str>>,
}

/// What a chain may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainKind {
    /// Let through or not.
    Filter,
    /// Translate; asked for the first packet of a connection only.
    Nat,
    /// Filter, and route anew where the packet was changed (`type route`, mangle OUTPUT).
    Route,
}

/// What happens at the end of a base chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum ChainPolicy {
    /// The packet goes on.
    #[default]
    Accept,
    /// The packet ends.
    Drop,
}

/// Stations on a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// On a device, before everything.
    Ingress,
    /// Come in, not routed yet.
    Prerouting,
    /// For this machine.
    Input,
    /// Through this machine.
    Forward,
    /// From this machine.
    Output,
    /// About to leave.
    Postrouting,
    /// On a device, after everything.
    Egress,
}

impl Hook {
    /// All, in the order of a packet's way.
    pub const ALL: [Self; 7] = [
        Self::Ingress,
        Self::Prerouting,
        Self::Input,
        Self::Forward,
        Self::Output,
        Self::Postrouting,
        Self::Egress,
    ];

    /// The hook of this name, as nft writes it.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hook| hook.as_str() == word)
    }

    /// Whether chains there see the packets of some devices only.
    #[must_use]
    pub const fn is_of_device(self) -> bool {
        matches!(self, Self::Ingress | Self::Egress)
    }

    /// The word nft uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
            Self::Egress => "egress",
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a rule has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A chain of a ruleset: indexes into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId {
    /// Of the table.
    pub table: usize,
    /// Of the chain in it.
    pub chain: usize,
}

/// A rule of a ruleset, or the policy of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId {
    /// Its chain.
    pub chain: ChainId,
    /// Its index in the chain, from 0; `None` is the chain's policy.
    pub rule: Option<usize>,
}

/// A rule as it is told to people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RulePlace {
    /// The family of its table.
    pub family: Family,
    /// Its table.
    pub table: Box<str>,
    /// Its chain.
    pub chain: Box<str>,
    /// Its index in the chain, from 0; `None` for the policy.
    pub index: Option<usize>,
    /// The rule as its tool writes it; `policy drop` for a policy.
    pub text: Box<str>,
}

impl fmt::Display for RulePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.family, self.table, self.chain)?;
        match self.index {
            Some(index) => write!(f, " rule {}: {}", index + 1, self.text),
            None => write!(f, ": {}", self.text),
        }
    }
}

impl Ruleset {
    /// The chain `id` stands for, which must be of this ruleset.
    #[must_use]
    pub fn chain(&self, id: ChainId) -> Option<&Chain> {
        self.tables.get(id.table)?.chains.get(id.chain)
    }

    /// The rule `id` stands for; `None` for a policy.
    #[must_use]
    pub fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.chain(id.chain)?.rules.get(id.rule?)
    }

    /// What tells a rule apart also where others were added or taken away: its table, chain and text,
    /// and which of the rules with this text in its chain it is.
    #[must_use]
    pub fn identity(&self, id: RuleId) -> (Option<RulePlace>, usize) {
        let place = self.place(id);
        let before = self.chain(id.chain).and_then(|chain| chain.rules.get(..id.rule?));
        let same = |text: &str| before.map_or(0, |b| b.iter().filter(|r| &*r.text == text).count());
        let count = place.as_ref().map_or(0, |place| same(&place.text));
        (place.map(|place| RulePlace { index: None, ..place }), count)
    }

    /// A rule or policy as it is told to people.
    #[must_use]
    pub fn place(&self, id: RuleId) -> Option<RulePlace> {
        let table = self.tables.get(id.chain.table)?;
        let chain = table.chains.get(id.chain.chain)?;
        let text = match id.rule {
            Some(index) => chain.rules.get(index)?.text.clone(),
            None => match chain.base.as_ref().map(|base| base.policy) {
                Some(ChainPolicy::Drop) => "policy drop".into(),
                _ => "policy accept".into(),
            },
        };
        Some(RulePlace {
            family: table.family,
            table: table.name.clone(),
            chain: chain.name.clone(),
            index: id.rule,
            text,
        })
    }

    /// The base chains a packet meets at a hook of IP, in the order in which it meets them.
    #[must_use]
    pub fn at(&self, hook: Hook, is_v6: bool) -> Vec<ChainId> {
        let mut found: Vec<(i32, std::cmp::Reverse<u32>, ChainId)> = Vec::new();
        for (t, table) in self.tables.iter().enumerate() {
            if table.is_dormant || !table.family.passes(is_v6) {
                continue;
            }
            for (c, chain) in table.chains.iter().enumerate() {
                let Some(base) = chain.base.as_ref().filter(|base| base.hook == hook) else {
                    continue;
                };
                let id = ChainId { table: t, chain: c };
                found.push((base.priority, std::cmp::Reverse(base.sequence), id));
            }
        }
        found.sort();
        found.into_iter().map(|(_, _, id)| id).collect()
    }

    /// Whether two base chains lie on the same hook with the same priority, so that the order of their
    /// registration says which is asked first.
    #[must_use]
    pub fn has_equals(&self) -> bool {
        let priority = |id: &ChainId| Some(self.chain(*id)?.base.as_ref()?.priority);
        let is_tied = |hook: Hook, is_v6: bool| {
            // In the order of priority, so that equals are neighbours.
            let met: Vec<Option<i32>> = self.at(hook, is_v6).iter().map(priority).collect();
            met.windows(2).any(|two| two[0] == two[1])
        };
        Hook::ALL.into_iter().any(|hook| is_tied(hook, false) || is_tied(hook, true))
    }

    /// Every chain.
    pub fn chains(&self) -> impl Iterator<Item = (ChainId, &Chain)> {
        let tables = self.tables.iter().enumerate();
        tables.flat_map(|(table, t)| {
            let chains = t.chains.iter().enumerate();
            chains.map(move |(chain, c)| (ChainId { table, chain }, c))
        })
    }

    /// How many rules there are.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.tables.iter().flat_map(|t| &t.chains).map(|c| c.rules.len()).sum()
    }
}

impl Table {
    /// The chain of this name, and its index.
    #[must_use]
    pub fn chain(&self, name: &str) -> Option<(usize, &Chain)> {
        self.chains.iter().enumerate().find(|(_, chain)| &*chain.name == name)
    }

    /// The set or map of this name.
    #[must_use]
    pub fn set(&self, name: &str) -> Option<&Set> {
        self.sets.iter().find(|set| &*set.name == name)
    }
}
