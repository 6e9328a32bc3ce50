//! Questions about the firewall: one file a question, all over the same [`source`].

pub(crate) mod allow;
pub(crate) mod already;
pub(crate) mod change;
pub(crate) mod compare;
pub(crate) mod cut;
pub(crate) mod entries;
pub(crate) mod flows;
pub(crate) mod force;
pub(crate) mod groups;
pub(crate) mod judge;
pub(crate) mod life;
pub(crate) mod outlook;
pub(crate) mod outsiders;
pub(crate) mod packet;
pub(crate) mod policy;
pub(crate) mod precheck;
pub(crate) mod prove;
pub(crate) mod replay;
mod samples;
pub(crate) mod search;
pub(crate) mod show;
pub(crate) mod simulate;
pub(crate) mod source;
pub(crate) mod still;
pub(crate) mod tighten;
pub(crate) mod wish;
