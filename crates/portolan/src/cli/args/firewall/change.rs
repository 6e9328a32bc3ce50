//! `portolan firewall apply | confirm | rollback | status | off`.

use std::time::Duration;

use clap::Args;

use crate::cli::args::duration::trial;

pub(crate) const APPLY_HELP: &str = "\
The table `inet portolan` is replaced in one step, no other table is touched.
It is on trial then: unless `portolan firewall confirm` is said in time, from a
session that began after it, what was loaded before comes back. A process of
its own sees to that, also when this one is killed or the terminal is lost; so
do ^C and SIGTERM, at once. Confirmed rules are loaded at boot, too.

Refused is what would shut out the sources of [management] or, without any, the
SSH session this comes from (also by taking away their answers or their IPv6
neighbours), and what lets in whom [[never]] names: where it names any, or has
no `from`, that is everybody, also who has a name in the inventory. What this
machine needs to live and would be refused (base = false) is told. A trial of
somebody else is taken over, and what was before it comes back. Connections that
are open stay open, whatever the rules say: --drop-flows ends those that the
rules would refuse now.

As root the inventory must be named (--inventory) or be the one in /etc, and
only root may be able to write it and what it includes.

Examples: portolan firewall apply --inventory prod.toml --dry-run
          portolan firewall apply --inventory prod.toml --yes --detach

Exit code 0 when it was confirmed (with --detach: is on trial), 1 when it was
refused or rolled back.";

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags, one each")]
pub(crate) struct Apply {
    /// How long the rules stay without being confirmed, such as 30s or 5m
    // `off` calls it --for; without the alias, clap would offer --force to whoever writes that here.
    #[arg(long, alias = "for", value_name = "TIME", default_value = "60s", value_parser = trial)]
    pub(crate) timeout: Duration,
    /// Apply what the checks refuse; it still rolls back by itself
    #[arg(long)]
    pub(crate) force: bool,
    /// End open connections that the new rules would refuse
    #[arg(long)]
    pub(crate) drop_flows: bool,
    /// Do not wait for the end of the trial
    #[arg(long)]
    pub(crate) detach: bool,
    /// Print the plan, change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}

impl Apply {
    /// What `allow --apply` and `deny --apply` go on with.
    pub(crate) const fn of_edit(yes: bool, dry_run: bool) -> Self {
        Self {
            timeout: Duration::from_secs(60),
            force: false,
            drop_flows: false,
            detach: false,
            dry_run,
            yes,
        }
    }
}

pub(crate) const CONFIRM_HELP: &str = "\
Keeps what is on trial, also at boot. It counts from an SSH session that began
after `apply`: only that proves that new connections come through. A console
(a screen, a serial line) counts always. Where nobody came by SSH, any session
that began afterwards counts.

With --from it counts because that other host has come in: it must hold an SSH
connection to this machine that began after `apply`.

Examples: portolan firewall confirm
          portolan firewall confirm --from 192.0.2.7

Exit code 1 when nothing is on trial, or it proves nothing from here.";

pub(crate) const ROLLBACK_HELP: &str = "\
Brings back at once what was loaded before `apply`, or what `off --for` took
away; with the rules also the inventory, where `allow --apply` or `deny --apply`
wrote it. It counts from everywhere.

Example: portolan firewall rollback

Exit code 1 when nothing is on trial.";

pub(crate) const STATUS_HELP: &str = "\
Example: portolan firewall status --json | jq .state

Exit code 0 when confirmed rules are loaded, 1 when they are on trial, off, or
not what was confirmed.";

pub(crate) const OFF_HELP: &str = "\
Removes the table `inet portolan` and what loads it at boot. With --for it comes
back by itself, or with `rollback`. The log stays; --purge removes it too, and
with it all that portolan remembers of its firewall.

Two watchdogs bring it back. Should both be killed, it stays away until somebody
says `rollback` or `apply`, or the next boot; `status` says so. The kernel does
nothing by itself: a table that is gone has no rule that waits.

Examples: portolan firewall off --for 10m --yes
          portolan firewall off --dry-run
          portolan firewall off --purge --yes";

#[derive(Debug, Args)]
pub(crate) struct Off {
    /// Bring it back after this time, such as 10m
    #[arg(long = "for", value_name = "TIME", value_parser = trial)]
    pub(crate) pause: Option<Duration>,
    /// Also remove the log and everything else remembered
    #[arg(long, conflicts_with = "pause")]
    pub(crate) purge: bool,
    /// Print the plan, change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}

/// What the watchdog is told when it is started.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// The folder of the trial
    pub(crate) state: std::path::PathBuf,
    /// Which trial
    pub(crate) token: String,
    /// In which file it says that it watches
    pub(crate) ready: String,
    /// Below which its boot files go, where it has any
    pub(crate) root: Option<std::path::PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Confirm {
    /// Another host that has come in by SSH since, and is still connected
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) from: Option<std::net::IpAddr>,
}
