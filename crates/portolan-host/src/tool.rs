//! Other people's programs that know what no file tells: nft, iptables-save, docker, systemctl.
//!
//! Found in the system's own folders, never through `PATH`, which a stranger may have set; started
//! without a shell, with their arguments as a list, without input, in the C locale
//! and in UTC; bounded in time
//! and in what they may print. What they say is for the caller to read.

use std::ffi::OsStr;
use std::io::{self, Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A program of the system, found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    path: PathBuf,
}

/// What a program said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its standard output.
    pub output: Vec<u8>,
    /// Its standard error.
    pub complaint: String,
    /// Whether it ended with 0.
    pub succeeded: bool,
}

impl Said {
    /// The first line of its complaint: mostly why it failed.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.complaint.lines().next().unwrap_or_default()
    }
}

/// Why nothing was said.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It could not be started.
    #[error("start {program}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It took longer than it may, and was ended.
    #[error("{program} did not end within {seconds} s")]
    TimedOut {
        /// The program.
        program: String,
        /// The limit.
        seconds: u64,
    },
    /// It printed more than it may, and was ended.
    #[error("{program} printed more than {bytes} bytes")]
    TooMuch {
        /// The program.
        program: String,
        /// The limit.
        bytes: u64,
    },
}

impl Tool {
    /// The program `name` in the system's folders; `None` when it is not installed.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        if name.contains('/') {
            return None;
        }
        let places = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
        places.into_iter().find(|path| path.is_file()).map(|path| Self { path })
    }

    /// A program of a test.
    #[cfg(test)]
    pub(crate) const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs it to its end, at most for `limit`.
    ///
    /// # Errors
    /// When it does not start, does not end in time, or prints more than 64 MiB. That it ends with
    /// a failure is no error: see [`Said::succeeded`].
    pub fn run<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        limit: Duration,
    ) -> Result<Said, ToolError> {
        self.converse(arguments, None, limit)
    }

    /// The same with `input` on its standard input.
    ///
    /// # Errors
    /// As for [`Tool::run`].
    pub fn feed<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        input: &str,
        limit: Duration,
    ) -> Result<Said, ToolError> {
        self.converse(arguments, Some(input.as_bytes().to_vec()), limit)
    }

    fn converse<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        input: Option<Vec<u8>>,
        limit: Duration,
    ) -> Result<Said, ToolError> {
        let mut command = Command::new(&self.path);
        command.args(arguments).env("LC_ALL", "C").env("TZ", "UTC").current_dir("/");
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let start = |source| ToolError::Start { program: self.name(), source };
        let mut child = command.spawn().map_err(start)?;
        if let Some((mut pipe, input)) = child.stdin.take().zip(input) {
            // On a thread of its own: it may complain before it has read everything, or never read.
            thread::spawn(move || pipe.write_all(&input));
        }
        let output = collect(child.stdout.take());
        let readers = output.and_then(|output| Ok((output, collect(child.stderr.take())?)));
        let (output, complaint) = match readers {
            Ok(readers) => readers,
            Err(source) => {
                end(&mut child);
                return Err(start(source));
            }
        };
        let status = self.wait(&mut child, limit)?;
        let (output, complaint) = (join(output), join(complaint));
        if output.len() as u64 > MOST {
            return Err(ToolError::TooMuch { program: self.name(), bytes: MOST });
        }
        let complaint = String::from_utf8_lossy(&complaint).trim().to_owned();
        Ok(Said { output, complaint, succeeded: status.success() })
    }

    fn wait(&self, child: &mut Child, limit: Duration) -> Result<ExitStatus, ToolError> {
        if ends_within(child, limit) {
            return Ok(child.wait().unwrap_or_else(|_| ExitStatus::from_raw(-1)));
        }
        end(child);
        Err(ToolError::TimedOut { program: self.name(), seconds: limit.as_secs() })
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// Whether a child ends in time. Without a pidfd (before Linux 5.3) it is simply waited for.
fn ends_within(child: &Child, limit: Duration) -> bool {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let Some(Ok(handle)) = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else {
        return true;
    };
    let limit = Timespec::try_from(limit).ok();
    let mut watched = [PollFd::new(&handle, PollFlags::IN)];
    // A signal that interrupts us counts as the end of waiting only when the child has ended.
    poll(&mut watched, limit.as_ref()).is_ok_and(|ready| ready > 0)
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Reads a pipe to its end on a thread of its own, so that neither pipe can fill up.
fn collect(pipe: Option<impl Read + Send + 'static>) -> io::Result<thread::JoinHandle<Vec<u8>>> {
    thread::Builder::new().spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            let _ = pipe.take(MOST + 1).read_to_end(&mut bytes);
        }
        bytes
    })
}

fn join(reader: thread::JoinHandle<Vec<u8>>) -> Vec<u8> {
    reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Where a system keeps its programs; what belongs to a user (`~/bin`, `/tmp`) is not among them.
const FOLDERS: [&str; 6] =
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"];

/// The most a program may print, in bytes.
const MOST: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn shell() -> Tool {
        Tool::find("sh").unwrap()
    }

    #[test]
    fn output_complaint_and_failure_are_told_apart() {
        let script = "echo fact; echo first >&2; echo 'no such thing' >&2; exit 3";
        let said = shell().run(["-c", script], Duration::from_secs(10)).unwrap();
        assert_eq!(said.output, b"fact\n");
        assert_eq!((said.reason(), said.succeeded), ("first", false));
        assert_eq!(said.complaint, "first\nno such thing");
    }

    #[test]
    fn what_is_fed_is_read_by_it() {
        let text = "line\n".repeat(100_000);
        let said = shell().feed(["-c", "wc -l"], &text, Duration::from_secs(10)).unwrap();
        assert_eq!(String::from_utf8_lossy(&said.output).trim(), "100000");
        // One that does not read all of it is no error either.
        let said = shell().feed(["-c", "head -n1"], &text, Duration::from_secs(10)).unwrap();
        assert_eq!(said.output, b"line\n");
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let error = shell().run(["-c", "exec sleep 100"], Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, ToolError::TimedOut { .. }), "{error}");
    }

    #[test]
    fn a_program_that_is_not_installed_is_not_found() {
        assert_eq!(Tool::find("portolan-has-no-such-tool"), None);
        assert_eq!(Tool::find("../../etc/passwd").map(|t| t.path), None);
    }
}
