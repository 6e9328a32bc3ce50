//! Whether a port can be bound, by whom it is held, and what to do: for reading and as JSON.

mod json;
mod remedy;
mod text;
mod words;

pub(crate) use json::json;
pub(crate) use text::text;
