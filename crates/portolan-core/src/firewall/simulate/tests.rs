//! What the kernel does, fact by fact, on rules written as values.

mod facts;
mod open_questions;
mod translation;
mod words;
