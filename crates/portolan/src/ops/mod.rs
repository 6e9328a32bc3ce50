//! What can be asked: one file a question. An operation returns a report and prints nothing.

pub(crate) mod audit;
pub(crate) mod behind;
pub(crate) mod check;
pub(crate) mod command;
pub(crate) mod diff;
pub(crate) mod ephemeral;
pub(crate) mod explain;
pub(crate) mod firewall;
pub(crate) mod inventory;
pub(crate) mod kill;
pub(crate) mod listen;
pub(crate) mod localhost;
pub(crate) mod lookup;
pub(crate) mod pick;
pub(crate) mod project;
pub(crate) mod reach;
pub(crate) mod registry;
pub(crate) mod reservations;
pub(crate) mod reserve;
pub(crate) mod run;
pub(crate) mod scan;
pub(crate) mod sockets;
pub(crate) mod status;
pub(crate) mod who;
