//! Sockets with their owners: a calm table for people, one object a socket for programs.
//!
//! In the table, sockets that differ by their port alone share a row, and so do those that share a
//! port (SO_REUSEPORT). Rows are gathered before any text is made: there may be tens of thousands.

mod gather;
mod json;
mod list;

pub(crate) use json::json;
pub(crate) use list::{Names, View, text};
