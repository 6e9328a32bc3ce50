//! What can be asked of the inventory: which file it is, and what stands in it.

mod load;

pub(crate) use load::{Loaded, consult, load, named, require};
