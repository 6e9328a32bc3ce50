//! The base chains that translate; there only where a port is handed on by the kernel.

use super::super::clock::earlier_than;
use super::super::policy::{Peers, Translation};
use super::super::script::ScriptChain;
use super::Compiler;
use super::names::comment;
use super::sets::protocol;

/// Before those of others (−100): of chains that translate, the first decides.
const DESTINATION: i32 = -110;
/// The same where sources are translated (100).
const SOURCE: i32 = 90;

impl<'a> Compiler<'a> {
    /// Destinations of what comes in, sources of what leaves.
    pub(super) fn translations(&mut self) {
        let policy = self.policy;
        if policy.translations.is_empty() {
            return;
        }
        let before: Vec<String> =
            policy.translations.iter().flat_map(|t| self.destination(t)).collect();
        self.nat_chain("nat-prerouting", "prerouting", DESTINATION, before);
        let after: Vec<String> =
            policy.translations.iter().filter(|t| t.masquerade).flat_map(source).collect();
        if !after.is_empty() {
            self.nat_chain("nat-postrouting", "postrouting", SOURCE, after);
        }
    }

    fn nat_chain(&mut self, name: &str, hook: &str, priority: i32, rules: Vec<String>) {
        let base = format!("type nat hook {hook} priority {priority}; policy accept;");
        self.chains.push(ScriptChain { name: name.into(), base: Some(base), rules });
    }

    /// Only for whom the forward is meant: the port of others is not touched.
    fn destination(&mut self, translation: &'a Translation) -> Vec<String> {
        let mut rules = Vec::new();
        for target in &translation.targets {
            for peers in &translation.peers {
                rules.extend(self.destination_for(translation, *target, peers));
            }
        }
        rules
    }

    fn destination_for(
        &mut self,
        translation: &'a Translation,
        target: std::net::IpAddr,
        peers: &'a Peers,
    ) -> Option<String> {
        let is_v6 = target.is_ipv6();
        let ip = protocol(is_v6);
        let who = match peers.addresses.intervals(is_v6) {
            [] => return None,
            _ if peers.addresses.has_all(is_v6) => {
                format!("meta nfproto {}", if is_v6 { "ipv6" } else { "ipv4" })
            }
            _ => format!("{ip} saddr {}", self.address(&peers.addresses, is_v6, &peers.label)),
        };
        let interface =
            peers.interface.as_ref().map_or(String::new(), |name| format!("iifname \"{name}\" "));
        let Translation { transport, range, port, name, .. } = translation;
        let to = match (port, is_v6) {
            (Some(port), true) => format!("[{target}]:{port}"),
            (Some(port), false) => format!("{target}:{port}"),
            (None, _) => target.to_string(),
        };
        let time = translation.until.map(earlier_than).unwrap_or_default();
        Some(format!(
            "{time}{interface}fib daddr type local {transport} dport {range} {who} counter dnat {ip} to {to} {}",
            comment(&format!("pt:{name}"))
        ))
    }
}

/// The target sees this machine.
fn source(translation: &Translation) -> Vec<String> {
    let Translation { transport, range, name, .. } = translation;
    let rule = |target: &std::net::IpAddr| {
        let ip = protocol(target.is_ipv6());
        let note = comment(&format!("pt:{name}"));
        format!(
            "{ip} daddr {target} meta l4proto {transport} ct status dnat ct original proto-dst {range} counter masquerade {note}"
        )
    };
    translation.targets.iter().map(rule).collect()
}
