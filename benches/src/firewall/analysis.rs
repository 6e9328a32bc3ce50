//! How long an exact answer about all packets takes, and how much memory.

use std::fs;
use std::io;
use std::process::{Command, Stdio};

use super::{answer, path, rules};
use crate::measure::{MEASURED, Report, peak_memory};

/// The most memory any of it may need.
const MEGABYTES: f64 = 600.0;

pub(super) fn run(portolan: &str, report: &mut Report) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let sets = [
        ("5,000 rules between networks", rules::realistic_rules(5_000), "forward", 1.0),
        ("10,000 rules of a host", rules::host_rules(10_000), "input", 1.0),
        ("100,000 rules of a host", rules::host_rules(100_000), "input", 10.0),
    ];
    for (name, text, hook, most) in sets {
        let (file, other) = (folder.path().join("rules"), folder.path().join("others"));
        fs::write(&file, &text)?;
        // The same without the last but one of its rules.
        let mut lines: Vec<&str> = text.lines().collect();
        lines.remove(lines.len().saturating_sub(3));
        fs::write(&other, lines.join("\n") + "\n")?;
        let (file, other) = (path(&file)?, path(&other)?);
        let search = ["--to-port", "5432", "--from", "any", "--hook", hook, "--rules", file];
        let search = [&["firewall", "search"][..], &search].concat();
        let all = ["firewall", "search", "--from", "any", "--hook", hook, "--rules", file];
        for (what, words, key) in [
            ("who can reach 5432", &search[..], "answer"),
            ("who can reach any port", &all[..], "answer"),
            ("what is wrong with the rules", &["firewall", "lint", "--rules", file], "decided"),
            ("what one rule less changes", &["firewall", "diff", file, other], "decided"),
        ] {
            report.heading(&format!("{what}, exactly: {name}"))?;
            measure(portolan, words, (key, most), report)?;
        }
    }
    Ok(())
}

fn measure(
    portolan: &str,
    words: &[&str],
    (key, most): (&str, f64),
    report: &mut Report,
) -> io::Result<()> {
    let start = std::time::Instant::now();
    let told = answer(portolan, words)?;
    report.bound("  seconds, whole process", start.elapsed().as_secs_f64(), most)?;
    let undecided = told[key] == "undecided" || told[key] == false;
    report.right("  decided", undecided.then_some("undecided"))?;
    let [program, measured @ ..] = MEASURED;
    let mut command = Command::new(program);
    command.args(measured).arg(portolan).args(words);
    let peak = peak_memory(command, Stdio::null())?;
    report.bound("  megabytes at its peak", peak, MEGABYTES)
}
