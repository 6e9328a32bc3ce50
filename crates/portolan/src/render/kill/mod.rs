//! What is stopped so that a port becomes free, what is left alone, and what came of it.

mod json;
mod text;
mod words;

pub(crate) use json::json;
pub(crate) use text::{plan, report};
pub(crate) use words::{question, refusal};
