//! `portolan allow` and `portolan deny`.

use std::time::Duration;

use clap::Args;

use super::duration::duration;

pub(crate) const ALLOW_HELP: &str = "\
Writes it into the inventory: into `from` of the service that has this port on
this host and nothing else, or as a new service. Comments and all else stay as
they are. The firewall changes with `portolan firewall apply`; --apply puts it
on trial at once, to be confirmed.

--until notes the last day it is approved for: after it `portolan audit` asks
(P112). It does not close by itself.

Examples: portolan allow 443/tcp --from any
          portolan allow 5432/tcp --from 192.0.2.0/24 --until 2h

Exit code 0 when the inventory says so now.";

pub(crate) const DENY_HELP: &str = "\
Takes the source out of `from` of the service that has this port on this host
and nothing else; without --from everybody, and it is for this machine only.
Whoever is let in by a wider word (any) is not taken out of it: deny that word.

Examples: portolan deny 80/tcp
          portolan deny 443/tcp --from any

Exit code 0 when the inventory lets them in no more.";

#[derive(Debug, Args)]
pub(crate) struct Allow {
    /// PORT/TRANSPORT; a bare number means TCP
    #[arg(value_name = "PORT")]
    pub(crate) port: String,
    /// Who: a network or host of the inventory, @group, an address or a network in numbers, any
    #[arg(long, value_name = "SOURCE")]
    pub(crate) from: String,
    /// For how long it is approved, such as 2h or 7d
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) until: Option<Duration>,
    /// Put the rules on trial at once
    #[arg(long)]
    pub(crate) apply: bool,
    /// With --apply: do not ask
    #[arg(short, long, requires = "apply")]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Deny {
    /// PORT/TRANSPORT; a bare number means TCP
    #[arg(value_name = "PORT")]
    pub(crate) port: String,
    /// Who, as the service's `from` says it [default: everybody]
    #[arg(long, value_name = "SOURCE")]
    pub(crate) from: Option<String>,
    /// Put the rules on trial at once
    #[arg(long)]
    pub(crate) apply: bool,
    /// With --apply: do not ask
    #[arg(short, long, requires = "apply")]
    pub(crate) yes: bool,
}
