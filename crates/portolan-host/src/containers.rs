//! What the container runtimes of this machine know: names, and the ports of stopped containers.
//!
//! Asked through their own programs, which know where their daemon or their files are; a runtime
//! that is not installed is no gap, one that does not answer is.

use std::time::Duration;

use portolan_core::container::{Described, parse_inspect};
use portolan_core::net::{Gap, Observed, Why};

use crate::tool::{Tool, ToolError};

/// A runtime and the containers it told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// Its program: `docker`, `podman` or `nerdctl`.
    pub program: &'static str,
    /// Its containers, running and stopped.
    pub containers: Vec<Described>,
}

/// Asks every runtime that is installed. Takes some 30 ms for each, so only for questions about few
/// ports.
#[must_use]
pub fn read() -> Observed<Vec<Runtime>> {
    let mut gaps = Vec::new();
    let mut runtimes = Vec::new();
    for program in PROGRAMS {
        let Some(tool) = Tool::find(program) else { continue };
        match ask(&tool) {
            Ok(containers) => runtimes.push(Runtime { program, containers }),
            // Docker's program is often there without its daemon: then there are no containers.
            Err(Silence::NoDaemon) => {}
            Err(Silence::Refused) => gaps.push(aside(program, Why::NotPermitted, "run with sudo")),
            Err(Silence::TimedOut) => gaps.push(aside(program, Why::TimedOut, "")),
            Err(Silence::Unreadable) => gaps.push(aside(program, Why::Unsupported, "")),
        }
    }
    Observed { value: runtimes, gaps }
}

fn aside(program: &str, why: Why, hint: &str) -> Gap {
    Gap::aside(format!("containers of {program}, stopped ones and names"), why, hint)
}

/// Why a runtime told nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Silence {
    NoDaemon,
    Refused,
    TimedOut,
    Unreadable,
}

fn ask(tool: &Tool) -> Result<Vec<Described>, Silence> {
    let ids = run(tool, &["ps", "--all", "--quiet", "--no-trunc"])?;
    let ids = String::from_utf8_lossy(&ids);
    let ids: Vec<&str> = ids.split_whitespace().collect();
    let mut containers = Vec::new();
    for some in ids.chunks(AT_ONCE) {
        let words = [&["inspect", "--type", "container"], some].concat();
        let text = run(tool, &words)?;
        containers.extend(parse_inspect(&text).map_err(|_| Silence::Unreadable)?);
    }
    Ok(containers)
}

fn run(tool: &Tool, words: &[&str]) -> Result<Vec<u8>, Silence> {
    let said = tool.run(words, LIMIT).map_err(|error| match error {
        ToolError::TimedOut { .. } => Silence::TimedOut,
        _ => Silence::Unreadable,
    })?;
    // A container that went between the two questions makes `inspect` end with 1, the others told.
    if said.succeeded || !said.output.trim_ascii().is_empty() {
        return Ok(said.output);
    }
    let complaint = said.complaint.to_ascii_lowercase();
    Err(match () {
        () if complaint.contains("permission denied") => Silence::Refused,
        () if complaint.contains("cannot connect") || complaint.contains("no such file") => {
            Silence::NoDaemon
        }
        () => Silence::Unreadable,
    })
}

const PROGRAMS: [&str; 3] = ["docker", "podman", "nerdctl"];

/// As many ids of 64 letters as fit a command line many times over.
const AT_ONCE: usize = 200;

/// A daemon that starts on demand may take a while; one that hangs must not hang us.
const LIMIT: Duration = Duration::from_secs(3);
