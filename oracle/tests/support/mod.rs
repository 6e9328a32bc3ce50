//! A rig for a test, where there may be one.

use std::fs::File;
use std::io::{self, Write as _};
use std::thread;

use portolan_oracle::rig::Rig;

/// Runs a test on a thread of its own, for a rig moves its thread; skipped without root.
pub(crate) fn on_stage(name: &str, work: impl FnOnce(Rig) + Send) {
    if !rustix::process::geteuid().is_root() {
        assert!(
            std::env::var_os("CI").is_none_or(|v| v != "true"),
            "CI=true, but {name} needs root"
        );
        let line = format!("skipped: {name}: needs root\n");
        let _ = io::stderr().write_all(line.as_bytes());
        let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/skipped.txt");
        let file = File::options().create(true).append(true).open(path);
        let _ = file.and_then(|mut f| f.write_all(line.as_bytes()));
        return;
    }
    thread::scope(|scope| {
        let inside = scope.spawn(|| work(Rig::new().unwrap()));
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}
