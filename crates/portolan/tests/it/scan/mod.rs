//! Scans of a network made for it, with each engine: the same states, whoever asks.
//!
//! What is expected follows from the fixture alone: the rule that drops, the socket that listens.
//! Times belong to the benches; a scan here only has to come to its end.

mod command;
mod fronts;
mod hostile;
mod lab;
mod limits;
mod local;
mod loss;
mod parts;
mod range;
mod silence;
mod states;
mod udp;
