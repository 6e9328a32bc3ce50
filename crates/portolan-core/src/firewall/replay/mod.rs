//! Observed flows run against rules: how many pass, how many do not, and which.

mod flat;

pub use flat::{Fate, Flat, Role, TooLarge};
