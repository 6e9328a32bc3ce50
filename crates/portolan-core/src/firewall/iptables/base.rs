//! The tables of iptables, and where their built-in chains are hooked.

use crate::firewall::{Base, ChainKind, ChainPolicy, Hook};

/// The tables iptables has.
pub(super) const TABLES: [&str; 5] = ["raw", "mangle", "nat", "filter", "security"];

/// The hook of a built-in chain of this name; `None` where the table has no such chain.
///
/// Priorities: include/uapi/linux/netfilter_ipv4.h. The kinds are those of iptables-nft
/// (iptables/nft.c, `xtables_ipv4`); legacy mangle OUTPUT routes anew too (iptable_mangle.c).
pub(super) fn base(table: &str, chain: &str, policy: ChainPolicy, sequence: u32) -> Option<Base> {
    let hook = match chain {
        "PREROUTING" => Hook::Prerouting,
        "INPUT" => Hook::Input,
        "FORWARD" => Hook::Forward,
        "OUTPUT" => Hook::Output,
        "POSTROUTING" => Hook::Postrouting,
        _ => return None,
    };
    let (kind, priority) = match (table, hook) {
        ("raw", Hook::Prerouting | Hook::Output) => (ChainKind::Filter, -300),
        ("mangle", Hook::Output) => (ChainKind::Route, -150),
        ("mangle", _) => (ChainKind::Filter, -150),
        ("nat", Hook::Prerouting | Hook::Output) => (ChainKind::Nat, -100),
        ("nat", Hook::Input | Hook::Postrouting) => (ChainKind::Nat, 100),
        ("filter", Hook::Input | Hook::Forward | Hook::Output) => (ChainKind::Filter, 0),
        ("security", Hook::Input | Hook::Forward | Hook::Output) => (ChainKind::Filter, 50),
        _ => return None,
    };
    Some(Base { kind, hook, priority, sequence, policy, devices: Vec::new() })
}
