//! Sets of addresses, of doors and of limits.

use std::time::Duration;

use super::super::addresses::{Addresses, Interval, nft_interval};
use super::super::filled::of_limit;
use super::super::script::{Part, PartKind};
use super::Compiler;
use super::names::comment;

/// How many members a set may have that packets fill.
const LARGEST: u32 = 65_535;

/// So many protocols there are.
const PROTOCOLS: u32 = 256;

impl<'a> Compiler<'a> {
    /// What an address of one family is compared with: one value, or a set that all who mean the same
    /// addresses share.
    pub(super) fn address(&mut self, of: &'a Addresses, is_v6: bool, label: &str) -> String {
        let intervals = of.intervals(is_v6);
        match intervals {
            [one] => nft_interval(*one, is_v6),
            _ => format!("@{}", self.address_set(intervals, is_v6, label)),
        }
    }

    fn address_set(&mut self, members: &'a [Interval], is_v6: bool, label: &str) -> Box<str> {
        if let Some(name) = self.addresses.get(&(is_v6, members)) {
            return name.clone();
        }
        let wish = format!("addr-{label}-{}", family(is_v6));
        let name: Box<str> = self.names.give(&wish).into();
        self.parts.push(constant_set(&name, members, is_v6, Some(label)));
        self.addresses.insert((is_v6, members), name.clone());
        name
    }

    /// A set that packets and programs fill, whose members leave after `timeout`.
    pub(super) fn dynamic_set(&mut self, what: &str, is_v6: bool, timeout: Duration) -> Box<str> {
        let name = self.filled.set(what, is_v6);
        if !self.dynamic.insert(name.clone()) {
            return name;
        }
        self.parts.push(filled_set(&name, address_type(is_v6), LARGEST, timeout));
        name
    }

    /// The set for sources that the set of a service's limit has no room for.
    pub(super) fn rest_set(&mut self, service: &str, timeout: Duration) -> Box<str> {
        let name = self.filled.rest(&of_limit(service));
        if self.dynamic.insert(name.clone()) {
            self.parts.push(filled_set(&name, "inet_proto", PROTOCOLS, timeout));
        }
        name
    }

    /// The helpers that passes name.
    pub(super) fn helpers(&mut self) {
        let mut wanted: Vec<_> = self.policy.passes.iter().filter_map(helper_of).collect();
        wanted.sort();
        wanted.dedup();
        for (helper, transport) in wanted {
            let name = helper_name(helper, transport);
            let kind = format!("type \"{}\" protocol {transport}", helper.as_str());
            self.parts.push(Part {
                kind: PartKind::Helper,
                name: self.names.give(&name).into(),
                properties: vec![kind + ";", "l3proto inet;".to_owned()],
                elements: Vec::new(),
                is_dynamic: false,
            });
        }
    }
}

use super::super::policy::{ConntrackHelper, Pass, PassTraffic};
use crate::net::Transport;

/// The helper of a pass and its transport; the kernel's helpers know TCP and UDP.
pub(super) fn helper_of(pass: &Pass) -> Option<(ConntrackHelper, Transport)> {
    let PassTraffic::Ports { transport, .. } = pass.traffic else { return None };
    let helper = pass.helper?;
    let fits = match helper {
        ConntrackHelper::Ftp => transport == Transport::Tcp,
        ConntrackHelper::Tftp => transport == Transport::Udp,
        ConntrackHelper::Sip => matches!(transport, Transport::Tcp | Transport::Udp),
    };
    fits.then_some((helper, transport))
}

pub(super) fn helper_name(helper: ConntrackHelper, transport: Transport) -> String {
    format!("helper-{}-{transport}", helper.as_str())
}

/// A set that packets fill.
fn filled_set(name: &str, kind: &str, size: u32, timeout: Duration) -> Part {
    Part {
        kind: PartKind::Set,
        name: name.into(),
        properties: vec![
            format!("type {kind}"),
            format!("size {size}"),
            "flags dynamic,timeout".to_owned(),
            format!("timeout {}s", timeout.as_secs().max(1)),
        ],
        elements: Vec::new(),
        is_dynamic: true,
    }
}

/// A set whose members only we change.
pub(super) fn constant_set(
    name: &str,
    members: &[Interval],
    is_v6: bool,
    label: Option<&str>,
) -> Part {
    let mut properties = vec![format!("type {}", address_type(is_v6))];
    if members.iter().any(|(first, last)| first != last) {
        properties.push("flags interval".to_owned());
    }
    properties.extend(label.map(comment));
    Part {
        kind: PartKind::Set,
        name: name.into(),
        properties,
        elements: members.iter().map(|i| nft_interval(*i, is_v6)).collect(),
        is_dynamic: false,
    }
}

/// `v4` and `v6`, at the end of a set's name.
pub(super) const fn family(is_v6: bool) -> &'static str {
    if is_v6 { "v6" } else { "v4" }
}

/// `ip` and `ip6`.
pub(super) const fn protocol(is_v6: bool) -> &'static str {
    if is_v6 { "ip6" } else { "ip" }
}

const fn address_type(is_v6: bool) -> &'static str {
    if is_v6 { "ipv6_addr" } else { "ipv4_addr" }
}
