//! What the rules of this machine are, read once for every question about reach.

use portolan_core::firewall::World;
use portolan_core::net::{Gap, Why};
use portolan_core::reach::{Publication, Rules, Scene};
use portolan_core::socket::SocketTable;
use portolan_host::containers;

use crate::cli::args::firewall::Sources;
use crate::ops::firewall::source;

/// The rules and what surrounds them.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    /// The rules; `None` where they could not be read.
    pub(crate) rules: Option<Rules>,
    /// Addresses and routes; empty where they are not known.
    pub(crate) world: World,
    /// What container runtimes publish.
    pub(crate) publications: Vec<Publication>,
    /// What could not be seen.
    pub(crate) gaps: Vec<Gap>,
}

impl Witness {
    /// Takes rules that were read.
    pub(crate) fn of(read: source::Rules) -> Self {
        let source::Rules { ruleset, world, gaps, .. } = read;
        let is_unseen = gaps.iter().any(|gap| gap.why == Why::NotPermitted);
        let rules = (!is_unseen).then(|| Rules::new(ruleset, world.clone()));
        Self { rules, world, publications: Vec::new(), gaps }
    }

    /// The live rules of this network namespace. What cannot be read is a gap that leaves what else was
    /// asked whole.
    pub(crate) fn live() -> Self {
        match source::load(&Sources::default()) {
            Ok(read) => {
                let mut witness = Self::of(read);
                witness.gaps.iter_mut().for_each(|gap| gap.asked = false);
                witness
            }
            Err(error) => {
                let what = format!("the rules of the firewall ({error:#})");
                Self { gaps: vec![Gap::aside(what, Why::Unsupported, "")], ..Self::default() }
            }
        }
    }

    /// Asks the container runtimes, where rules translate something that they may have asked for.
    pub(crate) fn ask_runtimes(&mut self) {
        let runtimes = containers::read().into_value(&mut self.gaps);
        for runtime in runtimes {
            for container in runtime.containers.iter().filter(|c| c.is_running) {
                let published = container.published.iter();
                self.publications.extend(published.filter(|p| p.ports.len() == 1).map(|p| {
                    Publication {
                        transport: p.transport,
                        port: p.ports.first(),
                        container: container.name.clone(),
                        runtime: runtime.program.into(),
                    }
                }));
            }
        }
    }

    /// What a question is asked of.
    pub(crate) fn scene<'a>(&'a self, sockets: Option<&'a SocketTable>) -> Scene<'a> {
        Scene {
            rules: self.rules.as_ref(),
            world: &self.world,
            sockets,
            publications: &self.publications,
        }
    }
}

/// What is never seen from here.
pub(crate) fn upstream() -> Gap {
    Gap::aside("cloud security groups and routers are not seen from here", Why::Upstream, "")
}
