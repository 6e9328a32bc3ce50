//! Compares the kernel with the simulator and the exact analysis over random rulesets.
//!
//! `portolan-oracle [--rulesets N] [--probes N] [--seed N] [--first N]` prints what it did and every
//! disagreement, made small; it ends with 1 where there is one. Needs root.

use std::env;
use std::io::{self, Write as _};
use std::process::ExitCode;

use portolan_oracle::draw::{Dialect, Subject, Wanted};
use portolan_oracle::run::{self, Options};

fn main() -> io::Result<ExitCode> {
    let mut options = Options {
        seed: 7,
        first: 0,
        rulesets: 200,
        probes: 1000,
        witnessed: 25,
        wanted: Wanted::default(),
        jobs: 4,
        most: 10,
    };
    let words: Vec<String> = env::args().skip(1).collect();
    for pair in words.chunks(2) {
        let [name, value] = pair else { return Err(io::Error::other(USAGE)) };
        match &**name {
            "--subject" => {
                let subject = Subject::named(value).ok_or_else(|| io::Error::other(USAGE))?;
                options.wanted.subject = Some(subject);
                continue;
            }
            "--dialect" => {
                options.wanted.dialect = Some(match &**value {
                    "nft" => Dialect::Nft,
                    "iptables" => Dialect::Iptables,
                    _ => return Err(io::Error::other(USAGE)),
                });
                continue;
            }
            _ => {}
        }
        let value: u64 = value.parse().map_err(io::Error::other)?;
        match &**name {
            "--seed" => options.seed = value,
            "--first" => options.first = value,
            "--rulesets" => options.rulesets = value,
            "--probes" => options.probes = value.try_into().map_err(io::Error::other)?,
            "--witnessed" => options.witnessed = value.try_into().map_err(io::Error::other)?,
            "--jobs" => options.jobs = value.try_into().map_err(io::Error::other)?,
            "--most" => options.most = value.try_into().map_err(io::Error::other)?,
            _ => return Err(io::Error::other(USAGE)),
        }
    }
    let report = run::run(&options)?;
    let mut out = io::stdout().lock();
    for disagreement in &report.disagreements {
        writeln!(out, "{disagreement}")?;
    }
    writeln!(out, "{}", report.summary(&options))?;
    let is_right = report.disagreements.is_empty();
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

const USAGE: &str = "usage: portolan-oracle [--rulesets N] [--probes N] [--seed N] [--first N] [--witnessed PERCENT] [--jobs N] \
     [--most N] [--dialect nft|iptables] [--subject everything|tracking|elements|order|marks|\
     translation|headers|compat]";
