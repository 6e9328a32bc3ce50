//! What can be asked of the inventory: which file it is, and what stands in it.

mod load;

pub(crate) use load::require;
#[expect(unused_imports, reason = "for status and audit, which come next")]
pub(crate) use load::{Loaded, load};
