//! Questions about the firewall: one file a question, all over the same [`source`].

pub(crate) mod policy;
pub(crate) mod show;
pub(crate) mod source;
