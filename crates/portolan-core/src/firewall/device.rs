//! Chains of devices (families netdev and inet, hooks ingress and egress): whose packets they see.

use super::{ChainId, Ruleset};

/// The devices a chain is on.
pub(super) enum Devices<'r> {
    /// It is on a hook of IP, which all packets pass.
    All,
    /// These.
    Named(Vec<Device<'r>>),
    /// Which is not known: the question that an answer then depends on.
    Unknown(String),
}

/// A device, or all whose names begin so.
#[derive(Clone, Copy)]
pub(super) struct Device<'r> {
    pub(super) text: &'r str,
    pub(super) is_prefix: bool,
}

impl<'r> Device<'r> {
    /// `eth0`, or `eth*` (nft 1.1.4 and newer).
    pub(super) fn named(name: &'r str) -> Self {
        match name.strip_suffix('*') {
            Some(text) => Self { text, is_prefix: true },
            None => Self { text: name, is_prefix: false },
        }
    }

    pub(super) fn is(self, name: &str) -> bool {
        if self.is_prefix { name.starts_with(self.text) } else { name == self.text }
    }
}

impl Ruleset {
    /// Whose packets a base chain sees.
    pub(super) fn devices(&self, id: ChainId) -> Devices<'_> {
        let Some(table) = self.tables.get(id.table) else { return Devices::All };
        let Some(chain) = table.chains.get(id.chain) else { return Devices::All };
        let Some(base) = chain.base.as_ref().filter(|base| base.hook.is_of_device()) else {
            return Devices::All;
        };
        match base.devices.as_slice() {
            [] => Devices::Unknown(format!(
                "the packet is of the device of chain {} {} {}",
                table.family, table.name, chain.name
            )),
            some => Devices::Named(some.iter().map(|name| Device::named(name)).collect()),
        }
    }
}

/// The question by which port of a bridge a packet passes.
pub(super) fn asks_port(port: &str, bridge: &str) -> String {
    format!("it passes {bridge} by its port {port}")
}
