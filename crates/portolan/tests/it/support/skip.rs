//! Tests that cannot run here say so, and are counted.
//!
//! A skip is printed past the capture of the test harness and appended to
//! `target/tmp/skipped.txt`, which `make test` shows at its end. With `CI=true` a skip for lack of
//! root is a failure: a machine made for testing has no excuse.

use std::env;
use std::fs::File;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Leaves the test as skipped, for a reason: `skip!("the kernel has no SCTP")`.
macro_rules! skip {
    ($($why:tt)+) => {{
        fn here() {}
        $crate::support::record_skip(std::any::type_name_of_val(&here), &format!($($why)+));
        return;
    }};
}

/// Leaves the test as skipped unless it runs as root and may make network namespaces.
macro_rules! require_root {
    () => {
        if let Some(why) = $crate::support::lacks_root() {
            $crate::support::skip!("{why}");
        }
    };
}

pub(crate) use {require_root, skip};

/// Why this run cannot test as root; `None` when it can.
///
/// # Panics
/// With `CI=true`, where being root is part of the deal.
pub(crate) fn lacks_root() -> Option<&'static str> {
    static ANSWER: OnceLock<Option<&'static str>> = OnceLock::new();
    let lacking = *ANSWER.get_or_init(|| {
        if !rustix::process::geteuid().is_root() {
            return Some("needs root");
        }
        let made = Command::new("unshare").args(["--net", "true"]).stderr(Stdio::null()).status();
        (!made.is_ok_and(|s| s.success())).then_some("needs root that may make network namespaces")
    });
    let in_ci = env::var_os("CI").is_some_and(|v| v == "true");
    assert!(lacking.is_none() || !in_ci, "CI=true, but this test {}", lacking.unwrap_or_default());
    lacking
}

/// Says and counts that a test did not run. `here` is the path of a function inside the test.
pub(crate) fn record_skip(here: &str, why: &str) {
    let test = here.trim_end_matches("::here").trim_start_matches("it::");
    let line = format!("skipped: {test}: {why}\n");
    // Not `eprint!`: the harness would keep it to itself for a test that passes.
    let _ = io::stderr().write_all(line.as_bytes());
    let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/skipped.txt");
    let file = File::options().create(true).append(true).open(path);
    let _ = file.and_then(|mut f| f.write_all(line.as_bytes()));
}
