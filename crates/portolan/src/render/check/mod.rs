//! What became of testing an endpoint: the verdict first, each step with its outcome, the next step
//! last, on one screen; and the same as JSON. A watch tells a line a probe and a summary.

mod json;
mod steps;
mod text;
mod watch;
mod words;

pub(crate) use json::json;
pub(crate) use text::text;
pub(crate) use watch::{Lines, Summary};
