//! Whole-process comparisons with the peers portolan replaces.
fn main() {}
