//! Words for subcommands that people bring along from other tools, and what they are called here.

/// What is meant by `word`, asked of `portolan` or, where `is_firewall`, of `portolan firewall`.
pub(super) fn pointer(word: &str, is_firewall: bool) -> Option<&'static str> {
    let here = if is_firewall { FIREWALL } else { PROGRAM };
    here.iter().find(|(words, _)| words.contains(&word)).map(|(_, meant)| *meant)
}

const FIREWALL: &[(&[&str], &str)] = &[
    (&["plan", "preview", "dry-run"], "what would change: portolan firewall apply --dry-run"),
    (&["on", "enable", "start", "load", "up", "reload", "restart"], "portolan firewall apply"),
    (&["disable", "stop", "down", "flush", "remove", "reset"], "portolan firewall off"),
    (&["list", "ls", "rules"], "portolan firewall show"),
    (
        &["check", "test"],
        "to try a port: portolan check; to prove the rules: portolan firewall prove",
    ),
    (&["explain", "why"], "portolan reach PORT, or of one packet: portolan firewall simulate"),
    (&["import"], "rules are read as they are: portolan firewall show --rules FILE"),
    (&["allow", "open"], "portolan allow PORT --from SOURCE"),
    (&["deny", "close"], "portolan deny PORT"),
    (&["undo", "revert"], "portolan firewall rollback"),
];

const PROGRAM: &[(&[&str], &str)] =
    &[(&["fw", "ufw", "nft", "iptables", "firewall-cmd"], "portolan firewall")];
