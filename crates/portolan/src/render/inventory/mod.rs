//! The inventory: what is wrong with it, what it implies, what was changed in it, and its exports.

mod change;
pub(crate) mod ended;
pub(crate) mod export;
pub(crate) mod matrix;
pub(crate) mod problem;
pub(crate) mod schema;
pub(crate) mod validate;

pub(crate) use change::{format, format_json, init, init_json, set, set_json};
