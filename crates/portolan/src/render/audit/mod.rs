//! An audit's report, in every form it can be asked for.

pub(crate) mod github;
pub(crate) mod junit;
pub(crate) mod nagios;
mod report;
pub(crate) mod sarif;

pub(crate) use report::{accepted_json, accepted_text, json, text};
