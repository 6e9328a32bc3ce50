//! Reports to text: tables, JSON, and everything else that reaches a terminal or a file.
//!
//! The only place that makes text for people. Text from outside passes `sanitize` on its way.

pub(crate) mod audit;
pub(crate) mod behind;
pub(crate) mod check;
pub(crate) mod diff;
pub(crate) mod ephemeral;
pub(crate) mod errno;
pub(crate) mod error;
pub(crate) mod explain;
pub(crate) mod firewall;
pub(crate) mod gap;
pub(crate) mod inventory;
pub(crate) mod json;
pub(crate) mod kill;
pub(crate) mod listen;
pub(crate) mod lookup;
pub(crate) mod namespace;
pub(crate) mod number;
pub(crate) mod owner;
pub(crate) mod pick;
mod pointers;
pub(crate) mod reach;
pub(crate) mod registry;
pub(crate) mod reservations;
pub(crate) mod reserve;
pub(crate) mod run;
pub(crate) mod sanitize;
pub(crate) mod scan;
pub(crate) mod screen;
pub(crate) mod shell;
pub(crate) mod socket;
pub(crate) mod sockets;
pub(crate) mod status;
pub(crate) mod style;
pub(crate) mod table;
pub(crate) mod usage;
pub(crate) mod who;
