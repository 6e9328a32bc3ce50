//! `portolan firewall replay`.

use std::path::PathBuf;

use clap::Args;

use super::Sources;

pub(crate) const HELP: &str = "\
FILE holds a flow a line, `transport,src,sport,dst,dport,in` (a header may
order the columns otherwise), log lines of the kernel (SRC= DST= PROTO= DPT=
…), what `conntrack -L` prints, or the compact form that --write makes;
`conntrack` is the kernel's table of connections now. For ICMP sport is the
type and dport the code. A flow counts as the first packet of a new
connection (neighbours of ICMP in the state that such a packet has alone;
errors and answers belong to a connection, and are not judged), and passes
every hook up to input (or, with --hook forward, through this machine).

Examples: portolan firewall replay --flows flows.csv
          portolan firewall replay --flows /var/log/kern.log --rules new.nft
          portolan firewall replay --flows flows.csv --write flows.bin
          portolan firewall replay --flows flows.bin --rules new.nft --json

Exit code 1 when a flow is refused, 3 when one depends on what no flow tells.";

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The observed flows
    #[arg(long, value_name = "FILE")]
    pub(crate) flows: PathBuf,
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// Which way they go: input or forward
    #[arg(long, value_name = "HOOK", default_value = "input", value_parser = ["input", "forward"])]
    pub(crate) hook: String,
    /// Write the flows to this file in the compact form, and replay nothing
    #[arg(long, value_name = "FILE", conflicts_with = "rules")]
    pub(crate) write: Option<PathBuf>,
}
