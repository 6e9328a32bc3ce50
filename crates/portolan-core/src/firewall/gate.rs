//! A switch in the kernel that opens when nobody is left to turn it.
//!
//! A table on trial begins every chain that packets enter with a rule that lets everything go on unless
//! a set still has its two elements, and those have a timeout. Whoever watches over the trial brings back
//! what was before in time; should all of them be killed, the rules still end to refuse anybody. Once
//! confirmed the table is loaded without it.

use std::fmt::Write as _;
use std::time::Duration;

use super::outline::{OUR_TABLE, Outline};

/// The set whose elements keep a table on trial in force.
pub const GATE: &str = "trial-gate";

/// What makes `new` a table on trial: to be loaded behind it in the same transaction. `token` tells
/// the trial from others; after `lasts` the table lets everything go on.
#[must_use]
pub fn gate(new: &Outline<'_>, token: &str, lasts: Duration) -> String {
    let milliseconds = lasts.as_millis();
    let mut script = format!(
        "add set {OUR_TABLE} {GATE} {{ type nf_proto; flags timeout; comment \"{MARK}{token}\"; }}\n\
         add element {OUR_TABLE} {GATE} {{ ipv4 timeout {milliseconds}ms, ipv6 timeout \
         {milliseconds}ms }}\n"
    );
    for chain in new.parts.iter().filter(|part| part.hook().is_some()) {
        let _ = writeln!(
            script,
            "insert rule {OUR_TABLE} {} meta nfproto != @{GATE} accept comment \"{OVER}\"",
            chain.name
        );
    }
    script
}

/// The trial that a listing of our table, or of the set, is of; `None` where it is on none.
#[must_use]
pub fn gate_token(listing: &str) -> Option<&str> {
    let (_, rest) = listing.split_once("comment \"portolan trial ")?;
    rest.split('"').next()
}

/// What a person reads beside the rule: it does nothing as long as the trial lasts.
const OVER: &str = "pt:only once the trial is over";

/// What stands before the token in the set's comment.
const MARK: &str = "portolan trial ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chain_that_packets_enter_has_the_gate_in_front() {
        let text = "table inet portolan {
            chain input { type filter hook input priority -5; policy drop; jump more; }
            chain more { accept; }
        }";
        let script = gate(&Outline::parse(text).unwrap(), "0a", Duration::from_secs(9));
        assert!(script.contains("ipv4 timeout 9000ms, ipv6 timeout 9000ms"), "{script}");
        assert_eq!(script.matches("insert rule").count(), 1);
        assert!(script.contains("insert rule inet portolan input meta nfproto != @trial-gate"));
        assert_eq!(gate_token(&script), Some("0a"));
        assert_eq!(gate_token(text), None);
    }
}
