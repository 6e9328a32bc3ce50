//! What the tests stand on: running the program, network namespaces, servers, waiting, skipping.
//!
//! Everything made here is removed when it goes out of scope, also when a test panics, and what a
//! killed run left behind is removed by the next one.

pub(crate) mod lab;
mod netns;
pub(crate) mod policies;
mod program;
pub(crate) mod repository;
pub(crate) mod scan;
mod skip;
pub(crate) mod ss;
mod wait;

pub(crate) use netns::{Netns, Server};
pub(crate) use program::{BINARY, Program, Ran, WITHOUT_NETLINK};
pub(crate) use skip::{lacks_root, record_skip};
pub(crate) use wait::{eventually, eventually_within};

pub(crate) use skip::{require_root, skip};
