//! Everything of portolan that touches this machine or a wire.
//!
//! Opens, reads, asks the kernel, writes files. It takes what it was asked for and returns values
//! of `portolan-core`, with a gap for whatever could not be seen. It decides nothing and prints
//! nothing.

pub mod clock;
pub mod files;
pub mod machine;
pub mod netlink;
pub mod terminal;
