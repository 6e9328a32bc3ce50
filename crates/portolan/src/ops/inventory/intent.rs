//! What was meant to be open on this machine, as far as it can be told, for reports that can do
//! without.

use anyhow::Result;
use portolan_core::inventory::{Host, Inventory, Refused};
use portolan_core::net::{Gap, Why};
use portolan_core::socket::Machine;

use super::load::{Asked, load, named};
use crate::fault::Fault;

/// The inventory and the host this machine is; a chart can be drawn without either.
///
/// # Errors
/// An inventory or a host that was named and is not there or broken.
pub(crate) fn intent(asked: &Asked, machine: &Machine, gaps: &mut Vec<Gap>) -> Result<Intent> {
    let loaded = match load(asked) {
        Ok(loaded) => loaded.into_value(gaps),
        Err(error) if named(asked).is_none() && error.is::<Refused>() => {
            let hint = "portolan inventory validate     (shows what is wrong with it)";
            return Ok(Intent::Unclear { why: error.to_string(), hint: hint.to_owned() });
        }
        Err(error) => return Err(error),
    };
    let Some(loaded) = loaded else { return Ok(Intent::None) };
    match loaded.inventory.identify(machine, asked.host.as_deref()).cloned() {
        Ok(host) => Ok(Intent::Declared { inventory: loaded.inventory.into(), host: host.into() }),
        Err(error) if asked.host.is_some() => Err(Fault::new(error.to_string(), error.hint())),
        Err(error) => Ok(Intent::Unclear { why: error.to_string(), hint: error.hint() }),
    }
}

/// What a person meant to be open here, as far as it can be told.
#[derive(Debug)]
pub(crate) enum Intent {
    /// There is no inventory.
    None,
    /// There is one that says nothing for this machine: it is broken, or does not know it.
    Unclear {
        /// What is in the way.
        why: String,
        /// What to do about it.
        hint: String,
    },
    /// An inventory and which of its hosts this machine is.
    Declared {
        /// The inventory.
        inventory: Box<Inventory>,
        /// The host.
        host: Box<Host>,
    },
}

impl Intent {
    /// What is declared for this machine.
    pub(crate) fn declared(&self) -> Option<(&Inventory, &Host)> {
        match self {
            Self::Declared { inventory, host } => Some((inventory, host)),
            Self::None | Self::Unclear { .. } => None,
        }
    }

    /// Why what is declared cannot be told.
    pub(crate) fn gap(&self) -> Option<Gap> {
        match self {
            Self::Unclear { why, hint } => {
                Some(Gap::new(format!("what is declared: {why}"), Why::Unsupported, hint))
            }
            Self::None | Self::Declared { .. } => None,
        }
    }
}
