//! Whether what the inventory says is what is loaded here.

use portolan_core::firewall::{Policy, compile};
use portolan_core::net::{Gap, Why};
use portolan_host::firewall::{self as host, Place, TableError};

use super::change::{LoadedPolicy, identity};
use super::policy::Intended;

/// What is loaded, against an inventory and one that it was before an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Force {
    /// What the inventory says.
    Now,
    /// The same, as somebody changed it since: how.
    Changed(String),
    /// What the inventory said before the edit.
    Before,
    /// Another policy, or a table that does not say which.
    Other,
    /// None of ours.
    Nothing,
}

impl Force {
    /// Whether the inventory would have to be applied.
    pub(crate) fn is_behind(&self) -> bool {
        *self != Self::Now
    }
}

/// Looks which policy is loaded. `None` where that is not to be seen, or another host is asked about.
pub(crate) fn force(before: &Policy, intended: &Intended, gaps: &mut Vec<Gap>) -> Option<Force> {
    let loaded = match host::stamp() {
        Ok(stamp) => stamp.as_deref().map(identity),
        Err(error) => {
            if intended.is_here {
                gaps.push(unseen(&error));
            }
            return None;
        }
    };
    let is = |policy: &Policy| loaded == Some(LoadedPolicy::Known(compile(policy).hash()));
    if is(&intended.policy) {
        let standing = host::standing(&Place::here()).ok();
        let difference = standing.and_then(|standing| standing.difference);
        return Some(difference.map_or(Force::Now, Force::Changed));
    }
    if !intended.is_here {
        return None;
    }
    Some(match loaded {
        None => Force::Nothing,
        Some(_) if is(before) => Force::Before,
        Some(_) => Force::Other,
    })
}

fn unseen(error: &TableError) -> Gap {
    let (why, hint) = match matches!(error, TableError::NotPermitted) {
        true => (Why::NotPermitted, "run with sudo"),
        false => (Why::Unsupported, "look with: sudo portolan firewall status"),
    };
    Gap::aside("whether the firewall that is loaded is what the inventory says", why, hint)
}
