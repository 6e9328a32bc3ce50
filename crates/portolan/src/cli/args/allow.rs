//! `portolan allow` and `portolan deny`.

use std::time::Duration;

use clap::Args;
use portolan_core::inventory::End;

use super::duration::duration;

pub(crate) const ALLOW_HELP: &str = "\
Writes it into the inventory: into `from` of the services that have these ports
on this host and nothing else, and as new services, one for each item of a list,
beside services that have more, too; out of one that is only observed the port
is taken. Comments and all else stay as they are. It says who gets in before and
after, by the inventory, and whether that is the firewall that is loaded; what a
[[block]] or another tool's rule still refuses; what a [[never]] forbids (any:
from everybody, who has a name too) is not written. Nor is who is let in
already, by a wider entry too (any, a network they are in): that entry is told,
with its file and line.

The firewall changes with `portolan firewall apply`; --apply puts it on trial at
once. Then both are done or neither: what is refused, rolled back or not
confirmed stands in the inventory no more.

--until writes the moment it ends (approved.until). The kernel lets nobody in
from then on, without anybody doing anything, after a reboot too; connections
that are open go on. It is a service of its own, beside what is there; whoever
is let in without an end already is refused one.

Examples: portolan allow 443/tcp --from any
          portolan allow 80,443/tcp 53/tcp+udp 6000-6007/tcp --from 10.0.0.0/8
          portolan allow 5432/tcp --from 192.0.2.0/24 --until 2h

Exit code 0 when the inventory says so now, 1 when a [[never]] forbids it or a
[[block]] refuses them all the same; with --apply as `firewall apply`.";

pub(crate) const DENY_HELP: &str = "\
Takes the source out of `from` of the services that have these ports on this
host and nothing else; without --from everybody: for this machine only.
Whoever is let in by a wider word (any) is not taken out of it: deny that word.
Of a source that nobody lets in nothing is written, nor of a service that is
only observed: the inventory lets nobody in by it.

With --until nothing is taken out: a [[block]] of these is written, which
ends by itself. It cuts open connections too, but nobody of [management].

Examples: portolan deny 80/tcp
          portolan deny 443/tcp --from 198.51.100.7 --until 2h

It says who gets in before and after, by the inventory, and whether that is the
firewall that is loaded. With --apply the rules are put on trial at once, and
the inventory is as it was unless they are confirmed.

Exit code 0 when the inventory lets them in no more, 1 when something else in it
still does; with --apply as `firewall apply`.";

/// When something ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// So long from now.
    For(Duration),
    /// Then.
    At(End),
}

fn until(text: &str) -> Result<Until, String> {
    let at = || text.parse().ok().map(Until::At);
    let read = duration(text).ok().map(Until::For).or_else(at);
    read.ok_or_else(|| "expected a time such as 2h, 7d or 2027-03-01T16:00:00Z".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct Allow {
    /// 443, 80,443, 53/tcp+udp, 6000-6007/tcp, u:53, https; bare ones mean TCP
    #[arg(value_name = "PORT", required = true)]
    pub(crate) ports: Vec<String>,
    /// Who: a network or host of the inventory, @group, an address or a network in numbers, any
    #[arg(long, value_name = "SOURCE")]
    pub(crate) from: String,
    /// For how long, such as 2h, or until when: 2027-03-01, 2027-03-01T16:00Z
    #[arg(long, value_name = "TIME", value_parser = until)]
    pub(crate) until: Option<Until>,
    #[command(flatten)]
    pub(crate) change: Change,
}

#[derive(Debug, Args)]
pub(crate) struct Deny {
    /// 443, 80,443, 53/tcp+udp, 6000-6007/tcp, u:53, https; bare ones mean TCP
    #[arg(value_name = "PORT", required = true)]
    pub(crate) ports: Vec<String>,
    /// Who, as the service's `from` says it [default: everybody]
    #[arg(long, value_name = "SOURCE")]
    pub(crate) from: Option<String>,
    /// Only for so long, such as 2h, or until then: 2027-03-01, 2027-03-01T16:00Z
    #[arg(long, value_name = "TIME", value_parser = until)]
    pub(crate) until: Option<Until>,
    #[command(flatten)]
    pub(crate) change: Change,
}

/// How far it goes.
#[derive(Debug, Args)]
pub(crate) struct Change {
    /// Put the rules on trial at once
    #[arg(long)]
    pub(crate) apply: bool,
    /// Say what would change, change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// With --apply: do not ask
    #[arg(short, long, requires = "apply")]
    pub(crate) yes: bool,
}
