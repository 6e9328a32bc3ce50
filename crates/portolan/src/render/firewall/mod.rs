//! What is told about the firewall: one file a question.

pub(crate) mod allow;
pub(crate) mod allowed;
pub(crate) mod apply;
pub(crate) mod block;
pub(crate) mod compile;
pub(crate) mod confirm;
pub(crate) mod cut_off;
pub(crate) mod diff;
mod feature;
mod fill_levels;
pub(crate) mod in_short;
mod left;
pub(crate) mod lint;
mod members;
pub(crate) mod off;
pub(crate) mod parity;
pub(crate) mod place;
pub(crate) mod prove;
pub(crate) mod replay;
pub(crate) mod search;
pub(crate) mod show;
pub(crate) mod simulate;
pub(crate) mod simulate_json;
mod source_words;
pub(crate) mod status;
pub(crate) mod tighten;
mod walk_words;
