//! Who can reach a port: on one screen, and as JSON.

mod json;
mod label;
mod text;
mod words;

pub(crate) use json::json;
pub(crate) use text::text;
