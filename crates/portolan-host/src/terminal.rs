//! The terminal's size.

use std::os::fd::AsFd;

use rustix::termios::tcgetwinsize;

/// How many columns the terminal behind `stream` has; `None` when it is none or does not tell.
pub fn columns(stream: &impl AsFd) -> Option<usize> {
    let size = tcgetwinsize(stream.as_fd()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}
