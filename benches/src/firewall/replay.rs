//! Ten million flows replayed against ten thousand rules, and a sample of them simulated.

use std::fs;
use std::io;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{answer, path, rules};
use crate::measure::Report;

const FLOWS: u32 = 10_000_000;
const SAMPLE: u32 = 10_000;

pub(super) fn run(portolan: &str, report: &mut Report) -> io::Result<()> {
    report.heading("10,000,000 flows against 10,000 rules of a host")?;
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name);
    let (save, csv, binary, sample) =
        (file("rules"), file("flows.csv"), file("flows.bin"), file("sample"));
    fs::write(&save, rules::host_rules(10_000))?;
    let flows = rules::flows(FLOWS);
    let cut =
        flows.lines().take(SAMPLE as usize + 1).map(str::len).sum::<usize>() + SAMPLE as usize + 1;
    fs::write(&sample, flows.get(..cut).unwrap_or(&flows))?;
    fs::write(&csv, flows)?;
    let (save, csv, binary, sample) = (path(&save)?, path(&csv)?, path(&binary)?, path(&sample)?);
    let written = Command::new(portolan)
        .args(["firewall", "replay", "--flows", csv, "--write", binary])
        .stdin(Stdio::null())
        .status()?;
    report.right("written in the compact form", (!written.success()).then_some("it failed"))?;
    for _ in 0..3 {
        let start = std::time::Instant::now();
        let told = answer(portolan, &["firewall", "replay", "--flows", binary, "--rules", save])?;
        let taken = start.elapsed();
        report.time("portolan firewall replay, whole process", taken)?;
        report.bound("  seconds", taken.as_secs_f64(), 5.0)?;
        let all = told["flows"].as_u64() == Some(FLOWS.into());
        report.right("  every flow counted", (!all).then_some("some are missing"))?;
    }
    agrees(portolan, save, sample, report)
}

/// The counts of a replay are those of as many simulated packets.
fn agrees(portolan: &str, save: &str, sample: &str, report: &mut Report) -> io::Result<()> {
    let told = answer(portolan, &["firewall", "replay", "--flows", sample, "--rules", save])?;
    let batch: String =
        fs::read_to_string(sample)?.lines().skip(1).filter_map(as_question).collect();
    let questions = tempfile::NamedTempFile::new()?;
    fs::write(questions.path(), batch)?;
    let output = Command::new(portolan)
        .args([
            "firewall",
            "simulate",
            "--rules",
            save,
            "--jsonl",
            "--batch",
            path(questions.path())?,
        ])
        .stdin(Stdio::null())
        .output()?;
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let verdicts = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let accepted = verdicts.filter(|line| line["verdict"] == "accept").count() as u64;
    let problem = format!("replay says {}, simulate {accepted}", told["accepted"]);
    let same = told["accepted"].as_u64() == Some(accepted) && accepted > 0;
    report.right("a sample of 10,000 simulated: the same count", (!same).then_some(&problem))
}

fn as_question(line: &str) -> Option<String> {
    let mut fields = line.split(',');
    let mut next = || fields.next();
    let (transport, src, sport) = (next()?, next()?, next()?);
    let (dst, dport, interface) = (next()?, next()?, next()?);
    Some(format!(
        "{{\"id\":1,\"transport\":\"{transport}\",\"src\":\"{src}\",\"sport\":{sport},\"dst\":\"{dst}\",\
         \"dport\":{dport},\"in\":\"{interface}\"}}\n"
    ))
}
