//! Scans of a network made for it, with each engine: the same states, whoever asks.

mod command;
mod lab;
