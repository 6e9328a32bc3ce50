//! Policies drawn at random: nft takes every table compiled from one, and it is proved to be right.

use std::process::Stdio;

use portolan_core::firewall::{Policy, compile};

use crate::support::policies::policy;
use crate::support::{Netns, require_root};

/// So many policies are tried; each takes some twenty milliseconds.
const POLICIES: u64 = 150;

/// What nft says about a table, without loading it.
fn complaint(netns: &Netns, policy: &Policy) -> Option<String> {
    use std::io::Write as _;
    let mut command = netns.command("nft");
    command.args(["-c", "-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut nft = command.spawn().unwrap();
    let text = compile(policy).to_string();
    nft.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = nft.wait_with_output().unwrap();
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned() + &text)
}

#[test]
fn nft_takes_the_table_of_every_policy() {
    require_root!();
    let netns = Netns::new();
    for seed in 0..POLICIES {
        let complaint = complaint(&netns, &policy(seed));
        assert!(complaint.is_none(), "policy {seed}: {}", complaint.unwrap_or_default());
    }
}

#[test]
fn the_same_policy_gives_the_same_bytes() {
    for seed in 0..POLICIES {
        assert_eq!(compile(&policy(seed)).to_string(), compile(&policy(seed)).to_string());
    }
}
