//! Where rules and what surrounds them come from, the same for every command about the firewall.

use clap::Args;

use crate::ops::firewall::source;

/// A command with arguments of its own (`simulate tcp 10.0.0.1 …`) takes one source after each
/// `--rules`: `#[command(mut_arg("rules", |a| a.num_args(1)))]`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Sources {
    /// Read these rules and not the live ones: `nft -j list ruleset`, `.nft`, `iptables-save`,
    /// `ip6tables-save`, `-` for standard input; what a file is, its content says. v4:FILE and
    /// v6:FILE say the family of an iptables-save that does not
    #[arg(long, value_name = "SOURCE", num_args = 1..)]
    pub(crate) rules: Vec<String>,
    /// With --rules: addresses of the machine they are of, such as 10.0.0.5/24 or
    /// 10.0.0.5/24@eth0
    #[arg(long, value_name = "ADDRESS", requires = "rules", value_delimiter = ',')]
    pub(crate) local: Vec<String>,
    /// With --rules: what `ip -j addr`, `ip -j route` or `ip -j -6 route` printed there
    #[arg(long, value_name = "FILE", requires = "rules")]
    pub(crate) world: Vec<String>,
}

impl Sources {
    /// As the operations take them.
    pub(crate) fn asked(&self) -> source::Sources {
        let Self { rules, local, world } = self.clone();
        source::Sources { rules, local, world }
    }
}
