//! What can be asked of the inventory: which file it is, and what stands in it.

pub(crate) mod edit;
pub(crate) mod export;
pub(crate) mod init;
mod intent;
mod load;
pub(crate) mod show;
mod trust;

pub(crate) use intent::{Intent, intent};
pub(crate) use load::{Asked, Loaded, alone, consult, load, require};
pub(crate) use trust::trust;
