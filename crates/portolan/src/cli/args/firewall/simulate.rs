//! `portolan firewall simulate`.

use std::path::PathBuf;

use clap::Args;

use super::Sources;

pub(crate) const HELP: &str = "\
What becomes of one packet: every hook in order, every base chain by its
priority, as the kernel does it. A TCP packet is a SYN unless --flags says
otherwise; its conntrack state is the one a packet without an earlier flow
has, unless --state does. Without a port, the source's is 49152.

Without --hook, addresses and routes decide whether it is for this machine.
With --rules and no --local or --world nothing is known of them: then it is
for this machine, unless the rules translate it to another one. Without --in,
the interface is the one answers leave by; where that is not known, a verdict
that hangs on the interface says so.

An accept holds for its own chain only: later chains may still drop. A verdict
that hangs on more than the packet (a rate limit, a set that could not be
read, a match portolan does not know) is shown both ways.

Examples: portolan firewall simulate tcp 203.0.113.9 10.0.0.2:443 --in eth0
          portolan firewall simulate udp fd00::1 [fd00::2]:53 --hook input
          portolan firewall simulate icmp 10.0.0.1 10.0.0.2 --type echo-request
          portolan firewall simulate tcp 10.0.0.1 10.0.0.2:22 --rules saved.nft
          portolan firewall simulate --batch packets.jsonl --jsonl

A line of --batch:
{\"id\":1,\"transport\":\"tcp\",\"src\":\"10.0.0.1\",\"sport\":4000,
\"dst\":\"10.0.0.2\",\"dport\":22,\"in\":\"eth0\"}; also out, state, flags,
hook, type, code, mark. The answer has the same id.

Exit code 0: accepted, 1: dropped or rejected, 3: that depends on what is named.
With --batch 0 unless a line was bad, then 2.";

const USAGE: &str = "portolan firewall simulate TRANSPORT SRC[:PORT] DST[:PORT] [OPTIONS]
       portolan firewall simulate --batch FILE [OPTIONS]";

#[derive(Debug, Args)]
#[command(override_usage = USAGE)]
pub(crate) struct Simulate {
    /// tcp, udp, icmp, icmpv6, sctp, dccp, udplite, gre, esp, ah or a number
    #[arg(value_name = "TRANSPORT", required_unless_present_any = ["batch", "rules"])]
    pub(crate) transport: Option<String>,
    /// Who sends it: an address, with a port 10.0.0.1:4000, [fd00::1]:4000
    #[arg(value_name = "SRC[:PORT]", required_unless_present_any = ["batch", "rules"])]
    pub(crate) source: Option<String>,
    /// To whom, with the port where the transport has ports
    #[arg(value_name = "DST[:PORT]", required_unless_present_any = ["batch", "rules"])]
    pub(crate) destination: Option<String>,
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// The interface it comes in by
    #[arg(long = "in", value_name = "IF")]
    pub(crate) interface_in: Option<String>,
    /// The interface it leaves by
    #[arg(long = "out", value_name = "IF")]
    pub(crate) interface_out: Option<String>,
    /// Conntrack's state: new, established, related, invalid or untracked
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<String>,
    /// TCP flags, such as syn,ack; none for no flag at all
    #[arg(long, value_name = "FLAGS")]
    pub(crate) flags: Option<String>,
    /// Its way: input (prerouting, input), forward (prerouting, forward, postrouting), output
    /// (output, postrouting) or prerouting alone
    #[arg(long, value_name = "HOOK")]
    pub(crate) hook: Option<String>,
    /// ICMP type: a name such as echo-request, or a number
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) icmp_type: Option<String>,
    /// ICMP code
    #[arg(long, value_name = "CODE", requires = "icmp_type")]
    pub(crate) code: Option<u8>,
    /// Its mark (`meta mark`) as it comes, 0x10 or 16
    #[arg(long, value_name = "MARK")]
    pub(crate) mark: Option<String>,
    /// Its bytes from the IP header on; 40, or 60 of IPv6, without it
    #[arg(long, value_name = "BYTES")]
    pub(crate) length: Option<u16>,
    /// Its time to live or hop limit as it comes; 64 without it
    #[arg(long, value_name = "HOPS")]
    pub(crate) ttl: Option<u8>,
    /// Its class (RFC 2474), 0 to 63; 0 without it
    #[arg(long, value_name = "CLASS")]
    pub(crate) dscp: Option<u8>,
    /// Packets from a file, one JSON object a line; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["transport", "hook"])]
    pub(crate) batch: Option<PathBuf>,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) jsonl: bool,
}
