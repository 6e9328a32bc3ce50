//! The built program, run as a user runs it.
//!
//! One binary, so that it links once. Each module has one subject; `support` runs the program,
//! makes network namespaces and records what could not be tested here.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod around;
mod audit;
mod audit_probe;
mod check;
mod cli;
mod conflict;
mod engines;
mod ephemeral;
mod explain;
mod explain_command;
mod firewall_allowed;
mod firewall_apply;
mod firewall_broken;
mod firewall_cluster;
mod firewall_life;
mod firewall_nft;
mod firewall_packets;
mod firewall_policies;
mod firewall_prove;
mod firewall_reading;
mod firewall_replay;
mod firewall_search;
mod firewall_shop;
mod firewall_simulate;
mod firewall_sources;
mod firewall_writers;
mod floors;
mod fuzz;
mod help;
mod hygiene;
mod inventory_edit;
mod inventory_export;
mod inventory_init;
mod inventory_show;
mod inventory_validate;
mod kill;
mod lookup;
mod namespaces;
mod owners;
mod pick;
mod reach;
mod reference;
mod registry;
mod reserve;
mod run;
mod scan;
mod sockets;
mod states;
mod status;
mod support;
mod who;
