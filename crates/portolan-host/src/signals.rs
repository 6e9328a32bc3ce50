//! Signals as values, with who sent them.
//!
//! A program that waits for another passes on what it is told, except what the other was told too:
//! a terminal sends ^C to every process of its foreground group, and such a signal comes from the
//! kernel (`si_code` SI_KERNEL, sigaction(2)).

use std::ffi::c_int;
use std::fs;
use std::io;
use std::thread;

pub use signal_hook::consts::signal;
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Cause;

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caught {
    /// Its number, signal(7).
    pub number: c_int,
    /// Sent by the kernel, as a terminal does, and not by a process.
    pub by_kernel: bool,
}

/// Tells of every signal in `numbers` from now on, on a thread of its own, until `tell` says that
/// nobody listens any more. Signals that are ignored already (nohup(1), a shell's `&`) stay so;
/// SIGCHLD alone is taken in any case, since without it nobody's end is known.
///
/// # Errors
/// When a handler cannot be installed.
pub fn each(
    numbers: &[c_int],
    mut tell: impl FnMut(Caught) -> bool + Send + 'static,
) -> io::Result<()> {
    let ignored = ignored();
    let is_wanted = |n: &&c_int| **n == signal::SIGCHLD || ignored & (1 << (**n - 1)) == 0;
    let mut signals = SignalsInfo::<WithOrigin>::new(numbers.iter().filter(is_wanted))?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for origin in &mut signals {
            let by_kernel = matches!(origin.cause, Cause::Kernel);
            if !tell(Caught { number: origin.signal, by_kernel }) {
                break;
            }
        }
    })?;
    Ok(())
}

/// Ends this process at once, as the signal `number` does where nobody has taken it.
pub fn end_by(number: c_int) {
    // It fails for a number that is no signal, and such a one was never caught.
    let _ = signal_hook::low_level::emulate_default_handler(number);
}

/// The signals this process ignores, bit 0 for signal 1; none where /proc does not say.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|m| u64::from_str_radix(m.trim(), 16).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[test]
    fn a_signal_of_a_process_is_told_as_such() {
        let (send, receive) = mpsc::channel();
        each(&[signal::SIGUSR2], move |caught| send.send(caught).is_ok()).unwrap();
        kill_process(getpid(), Signal::USR2).unwrap();
        let caught = receive.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(caught, Caught { number: signal::SIGUSR2, by_kernel: false });
    }

    #[test]
    fn what_is_ignored_is_known() {
        // The standard library ignores SIGPIPE.
        assert_ne!(ignored() & (1 << (signal::SIGPIPE - 1)), 0);
        assert_eq!(ignored() & (1 << (signal::SIGTERM - 1)), 0);
    }
}
