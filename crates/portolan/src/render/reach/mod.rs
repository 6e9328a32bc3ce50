//! Who can reach a port: on one screen, and as JSON.

mod fix;
mod json;
mod label;
mod live;
mod text;
mod words;

pub(crate) use json::json;
pub(crate) use label::{fates, summary};
pub(crate) use live::{invitation, live_json, live_text, plan};
pub(crate) use text::{straight, text};
