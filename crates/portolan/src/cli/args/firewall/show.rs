//! `portolan firewall show`.

use clap::Args;

use super::Sources;

pub(crate) const HELP: &str = "\
Chains stand in the order in which packets meet them: by hook, then priority; of
two with the same priority the one registered last comes first. `?` marks what
portolan does not evaluate: answers that hang on it say so.

--allowed shows what the rules come to instead: which new connections get in,
worked out over all packets; each port, protocol and source stands once. From
the live rules, to the addresses of this machine.

Examples: portolan firewall show
          portolan firewall show --allowed
          portolan firewall show --hook input
          portolan firewall show --rules ruleset.json --rules v6:saved.txt
          portolan firewall show --json | jq '.chains[].rules[].text'

Exit code 3 when not everything could be seen.";

#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// Only what packets meet at this hook: ingress, prerouting, input, forward, output,
    /// postrouting or egress
    #[arg(long, value_name = "HOOK")]
    pub(crate) hook: Option<String>,
    /// What gets in, by all rules together: ports, sources, and the rules that let it
    #[arg(long, conflicts_with = "hook")]
    pub(crate) allowed: bool,
}
