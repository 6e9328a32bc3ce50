//! Whether a port can be bound, by whom it is held, and what to do: for reading and as JSON.

mod command;
mod json;
mod remedy;
mod text;
mod words;

pub(crate) use command::{command_json, command_text};
pub(crate) use json::json;
pub(crate) use text::text;
