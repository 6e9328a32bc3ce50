//! Everything portolan decides from values alone.
//!
//! Core takes bytes and gives values, takes `now` and gives verdicts. It opens nothing, reads no
//! clock, prints nothing and has no unsafe code, so all of it is tested without root and fuzzed.
//! A module uses only modules on lower floors:
//!
//! ```text
//! 5  audit  diagnose  reach      judge: what differs from the intent, what is the matter with one
//!                                endpoint and what to do, who can get there
//! 4  inventory                   the intent: the user's file, and a draft of it
//! 3  scan                        act: what to send next, what the answers mean
//! 2  registry  socket            facts: what a number means, who holds it here,
//!    container firewall          what publishes it, what lets it through or takes it away
//! 1  wire                        bytes ⇄ values, one file per format
//! 0  net                         the words
//! ```
#![forbid(unsafe_code)]

pub mod audit;
pub mod container;
pub mod diagnose;
pub mod firewall;
pub mod inventory;
pub mod net;
pub mod reach;
pub mod registry;
pub mod scan;
pub mod socket;
pub mod wire;
