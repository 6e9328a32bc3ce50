//! Chains on the hooks of devices, which see the packets of those only, and tables of bridges.

use super::{Link, Stop, Walker};
use crate::firewall::device::{Device, Devices, asks_port};
use crate::firewall::simulate::answers::About;
use crate::firewall::simulate::evaluate::Place;
use crate::firewall::simulate::walk::Outcome;
use crate::firewall::{ChainId, Hook, RuleId};

impl Walker<'_> {
    /// Tables of bridges, which are not evaluated.
    pub(super) fn pass_bridge(&mut self, hook: Hook) -> Option<Stop> {
        let tables = if hook.is_of_device() { self.prepared.bridge_tables(hook) } else { &[] };
        for table in tables {
            let link = if hook == Hook::Ingress { &self.link_in } else { &self.link_out };
            let may_be = match link {
                Link::None => false,
                Link::Named(name) => self.prepared.world.may_be_bridge(name),
                Link::Unknown => self.prepared.world.has_bridge(),
            };
            let at = Place { rule: table.rule, statement: 0 };
            if may_be && !self.ask(&table.question, Some(at), About::Setting, None) {
                self.hook = hook;
                return Some((Outcome::Drop, Some(table.rule)));
            }
        }
        None
    }

    /// Whether a chain of devices is on the packet's.
    pub(super) fn is_on_device(&mut self, id: ChainId) -> bool {
        let is_in = self.hook == Hook::Ingress;
        let at = Place { rule: RuleId { chain: id, rule: None }, statement: 0 };
        let devices = match self.prepared.ruleset.devices(id) {
            Devices::All => return true,
            Devices::Unknown(question) => {
                return self.ask(&question, Some(at), About::Setting, None);
            }
            Devices::Named(devices) => devices,
        };
        match if is_in { self.link_in.clone() } else { self.link_out.clone() } {
            Link::None => false,
            Link::Named(name) => {
                devices.iter().any(|device| device.is(&name))
                    || self.is_on_port(&devices, &name, at)
            }
            Link::Unknown => {
                devices.iter().any(|one| self.is_by(one.text, one.is_prefix, is_in, at))
            }
        }
    }

    /// Whether it passes one of the devices that are ports of its bridge: by which one is not known.
    fn is_on_port(&mut self, devices: &[Device<'_>], bridge: &str, at: Place) -> bool {
        let ports = self.prepared.world.ports_of(bridge);
        let mut theirs = ports.filter(|port| devices.iter().any(|device| device.is(port)));
        theirs.any(|port| self.ask(&asks_port(port, bridge), Some(at), About::Setting, None))
    }
}
