//! The chart of a machine, for reading and as JSON.

mod json;
mod text;

pub(crate) use json::json;
pub(crate) use text::text;
