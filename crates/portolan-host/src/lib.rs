//! Everything of portolan that touches this machine or a wire.
//!
//! Opens, reads, asks the kernel, writes files. It takes what it was asked for and returns values
//! of `portolan-core`, with a gap for whatever could not be seen. It decides nothing and prints
//! nothing.

pub mod as_user;
pub mod bind;
pub mod bind_watch;
pub mod cgroups;
pub mod clock;
pub mod conntrack;
pub mod containers;
pub mod ending;
pub mod files;
pub mod firewall;
pub mod flows;
pub mod holder;
mod id_index;
mod kernel;
pub mod kernel_uses;
pub mod launch;
pub mod listener;
pub mod localhost;
pub mod lookup;
pub mod machine;
pub mod multicast;
pub mod namespace;
pub mod netlink;
pub mod options;
pub mod owners;
pub mod packet_trace;
mod pidfd;
pub mod probe;
mod proc;
pub mod processes;
pub mod random;
pub mod resolve;
pub mod route;
pub mod servers;
pub mod signals;
pub mod sockets;
pub mod terminal;
pub mod tool;
pub mod users;
