//! The network that the tests scan, for measuring in it too: one place says how it is built.

#![expect(dead_code, reason = "the tests' toolbox; measuring takes less of it")]

#[path = "../../crates/portolan/tests/it/support/lab.rs"]
mod lab;
#[path = "../../crates/portolan/tests/it/support/netns.rs"]
mod netns;

pub(crate) use lab::{Lab, Pair, responder};
pub(crate) use netns::{Netns, Server};
