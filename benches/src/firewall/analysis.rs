//! How long an exact answer about all packets takes, and how much memory.

use std::fs;
use std::io;
use std::process::{Command, Stdio};

use super::{answer, path, rules};
use crate::measure::{MEASURED, Report, peak_memory};

pub(super) fn run(portolan: &str, report: &mut Report) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let sets = [
        ("5,000 rules between networks", rules::realistic_rules(5_000), "forward", 1.0),
        ("10,000 rules of a host", rules::host_rules(10_000), "input", 1.0),
        ("100,000 rules of a host", rules::host_rules(100_000), "input", 10.0),
    ];
    for (name, text, hook, most) in sets {
        report.heading(&format!("who can reach 5432, exactly: {name}"))?;
        let file = folder.path().join("rules");
        fs::write(&file, text)?;
        let question = ["firewall", "search", "--to-port", "5432", "--from", "any", "--hook", hook];
        let question = [&question[..], &["--rules", path(&file)?]].concat();
        let start = std::time::Instant::now();
        let told = answer(portolan, &question)?;
        report.bound("  seconds, whole process", start.elapsed().as_secs_f64(), most)?;
        let decided = told["answer"] != "undecided";
        report.right("  decided", (!decided).then_some("undecided"))?;
        let [program, measured @ ..] = MEASURED;
        let mut command = Command::new(program);
        command.args(measured).arg(portolan).args(&question);
        let peak = peak_memory(command, Stdio::null())?;
        report.bound("  megabytes at its peak", peak, 600.0)?;
    }
    Ok(())
}
