//! What happens around a command, in a line on standard error.

use std::io::{self, Write as _};

use rustix::io::Errno;

use crate::cli::args::Color;
use crate::ops::run::Told;
use crate::render::gap::hint;
use crate::render::sanitize::sanitize;
use crate::render::style::{Role, Style};

/// Prints it; if standard error is gone there is nobody to tell.
pub(crate) fn told(told: &Told, color: Color) {
    let style = Style::for_stderr(color);
    let (role, label) =
        if told.is_warning() { (Role::Warning, "warning:") } else { (Role::Hint, "portolan:") };
    let _ = writeln!(io::stderr(), "{} {}", style.paint(role, label), sanitize(&words(told)));
    match told {
        Told::Refused { to, errno, .. } if *errno == Errno::ADDRINUSE => {
            hint(&format!("portolan explain {to}"), color);
        }
        Told::Unseen { error, .. } if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {
            hint("sysctl kernel.yama.ptrace_scope: 0 or 1 lets a parent look", color);
        }
        _ => {}
    }
}

fn words(told: &Told) -> String {
    match told {
        Told::Remapped { from, to } if from == to => format!("bound to {to}"),
        Told::Remapped { from, to } => format!("bound to {to} instead of {from}"),
        Told::Refused { from, to, errno } => format!("{to} instead of {from}: {errno}"),
        Told::Unseen { pid, error } => {
            format!("process {pid}: its bind() cannot be looked into and was left alone: {error}")
        }
        Told::Restarts { code, after } if after.is_zero() => {
            format!("ended with {code}, starts again")
        }
        Told::Restarts { code, after } => {
            format!("ended with {code}, starts again in {:.1} s", after.as_secs_f64())
        }
    }
}
