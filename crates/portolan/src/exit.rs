//! The exit codes, the same for every command that does not say otherwise in its help.

use std::process::ExitCode;

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: yes, clean, open.
    Yes,
    /// 1: no, findings, not open.
    No,
    /// 2: no answer: bad usage, a bad file, a failure.
    Failed,
    /// 3: no finding, but not everything could be seen.
    Partial,
    /// 70: two parts of portolan contradict each other (sysexits.h: internal software error).
    Internal,
    /// What a monitoring plugin returns: 0, 1, 2, 3 as Nagios reads them.
    Nagios(u8),
    /// What the command of `run` ended with, or 125 to 127 when it did not get as far.
    Command(u8),
    /// 128 and the signal that ended it early.
    Interrupted(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Yes => 0,
            Exit::No => 1,
            Exit::Failed => 2,
            Exit::Partial => 3,
            Exit::Internal => 70,
            Exit::Nagios(code) | Exit::Command(code) => code,
            Exit::Interrupted(signal) => 128_u8.saturating_add(signal),
        })
    }
}
