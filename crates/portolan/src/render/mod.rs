//! Reports to text: tables, JSON, and everything else that reaches a terminal or a file.
//!
//! The only place that makes text for people. Text from outside passes `sanitize` on its way.

pub(crate) mod audit;
pub(crate) mod diff;
pub(crate) mod error;
pub(crate) mod export;
pub(crate) mod gap;
pub(crate) mod github;
pub(crate) mod inventory;
pub(crate) mod json;
pub(crate) mod junit;
pub(crate) mod lookup;
pub(crate) mod matrix;
pub(crate) mod nagios;
pub(crate) mod owner;
pub(crate) mod problem;
pub(crate) mod registry;
pub(crate) mod sanitize;
pub(crate) mod sarif;
pub(crate) mod schema;
pub(crate) mod screen;
pub(crate) mod socket;
pub(crate) mod sockets;
pub(crate) mod status;
pub(crate) mod style;
pub(crate) mod table;
pub(crate) mod usage;
pub(crate) mod validate;
pub(crate) mod who;
