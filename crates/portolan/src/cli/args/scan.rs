//! `portolan scan`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use portolan_core::scan::Shard;

use super::duration::duration;

pub(super) const HELP: &str = "\
A target is an address, a network (10.0.0.0/24), a range (10.0.0.1-20,
10.0.0-3.1-254), a name with all its addresses, a host or @group of the
inventory, @FILE with targets and # comments, or - for standard input.

  open           accepts connections (UDP: answered)
  closed         refused: the host is there, nothing listens
  filtered       every try was dropped, or a router or host refused it (reason)
  open|filtered  UDP: silence, which an open port and a filtered one share
  unknown        not found out, and the reason says why

Filtered is said only after so many tries that a loss of that kind would be a
marvel; miss_probability tells how likely it is all the same. A rate is a
ceiling and never makes a state wrong. On link it goes as fast as nothing gets
lost; behind a router it starts slowly and keeps few probes unanswered. Scan
what is yours: addresses that are public and not in the inventory want --public.

Examples: portolan scan 127.0.0.1 -p 22,80,8000-8100
          portolan scan localhost -p top:20,u:53 --json
          portolan scan 127.0.0.1 --jsonl --resume state -o ports.jsonl
          portolan scan 127.0.0.0/30 -p 22 --exclude 127.0.0.0 --csv

Exit code 0 once every port has an answer, 3 if some stayed unknown.";

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags, one each")]
pub(crate) struct Scan {
    /// What to scan
    #[arg(required = true, value_name = "TARGET")]
    pub(crate) targets: Vec<String>,
    /// Ports: 22,80-90,https, top:100, u:53 (UDP), all; a bare number means TCP
    #[arg(short, long, value_name = "PORTS", default_value = "top:1000")]
    #[arg(allow_hyphen_values = true)]
    pub(crate) ports: String,
    /// Leave these out; written as targets are, also @FILE
    #[arg(long, value_name = "TARGET", action = clap::ArgAction::Append, value_delimiter = ',')]
    pub(crate) exclude: Vec<String>,
    /// IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,
    /// IPv6 only
    #[arg(short = '6', long)]
    pub(crate) ipv6: bool,
    /// Scan public addresses that the inventory does not name
    #[arg(long)]
    pub(crate) public: bool,
    /// No names beside addresses
    #[arg(short, long)]
    pub(crate) numeric: bool,
    /// Never more probes a second than this; there is no lower bound to force
    #[arg(long, value_name = "MAX", value_parser = rate, help_heading = PACE)]
    pub(crate) rate: Option<f64>,
    /// Stop after this time and call the rest unknown
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = PACE)]
    pub(crate) budget: Option<Duration>,
    /// Behind a router, at most this many probes without an answer in two minutes: its
    /// connection table is other people's too
    #[arg(long, value_name = "N", default_value_t = 32768, help_heading = PACE)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) outstanding: u32,
    /// auto (raw where permitted, but not for this machine itself), connect (no privilege)
    /// or raw (CAP_NET_RAW)
    #[arg(long, value_enum, default_value_t, value_name = "ENGINE", help_heading = WAY)]
    #[arg(hide_possible_values = true, hide_default_value = true)]
    pub(crate) engine: ScanEngine,
    /// Send from this address of ours
    #[arg(long, value_name = "ADDRESS", help_heading = WAY)]
    pub(crate) source: Option<IpAddr>,
    /// Send through this interface
    #[arg(long, value_name = "NAME", help_heading = WAY)]
    pub(crate) interface: Option<String>,
    /// The same number, the same order [default: by chance]
    #[arg(long, value_name = "N", help_heading = PARTS)]
    pub(crate) seed: Option<u64>,
    /// Do part I of N, which share nothing; needs the same --seed in each
    #[arg(long, value_name = "I/N", value_parser = shard, requires = "seed")]
    #[arg(help_heading = PARTS)]
    pub(crate) shard: Option<Shard>,
    /// Remember in FILE what is done, and go on from there; with --jsonl or --csv
    #[arg(long, value_name = "FILE", help_heading = PARTS)]
    pub(crate) resume: Option<PathBuf>,
    /// Write the results into FILE; with --resume at its end
    #[arg(short, long, value_name = "FILE", help_heading = FORM)]
    pub(crate) output: Option<PathBuf>,
    /// A JSON object a line, as it is found
    #[arg(long, group = "form", help_heading = FORM)]
    pub(crate) jsonl: bool,
    /// Comma-separated values, as they are found
    #[arg(long, group = "form", help_heading = FORM)]
    pub(crate) csv: bool,
    /// The XML that importers of nmap's results read
    #[arg(long, group = "form", help_heading = FORM)]
    pub(crate) nmap_xml: bool,
}

const PACE: &str = "Pace";
const WAY: &str = "Way";
const PARTS: &str = "In parts";
const FORM: &str = "Output";

/// Which engine carries the probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScanEngine {
    /// The faster one that runs here
    #[default]
    Auto,
    /// Connections, as any program makes them
    Connect,
    /// Packets of our own
    Raw,
}

/// Probes a second: `500`, `2.5`, `10k`.
fn rate(text: &str) -> Result<f64, String> {
    let (number, factor) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1000.0),
        None => (text, 1.0),
    };
    let rate = number.parse::<f64>().ok().map(|rate| rate * factor);
    rate.filter(|rate| rate.is_finite() && *rate > 0.0)
        .ok_or_else(|| "expected probes a second, such as 500 or 10k".to_owned())
}

/// `2/3`: the second of three.
fn shard(text: &str) -> Result<Shard, String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    parts
        .map(|(number, of)| Shard { number, of })
        .filter(|shard| (1..=shard.of).contains(&shard.number))
        .ok_or_else(|| "expected I/N with I from 1 to N, such as 2/3".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_positive_number() {
        assert_eq!((rate("500"), rate("2.5"), rate("10k")), (Ok(500.0), Ok(2.5), Ok(10_000.0)));
        for text in ["0", "-1", "inf", "nan", "", "k", "fast"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_shard_is_one_of_several() {
        assert_eq!(shard("2/3"), Ok(Shard { number: 2, of: 3 }));
        for text in ["0/3", "4/3", "2", "a/b", "1/0", "-1/2"] {
            assert!(shard(text).is_err(), "{text}");
        }
    }
}
