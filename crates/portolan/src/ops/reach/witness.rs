//! What the rules of this machine are, read once for every question about reach.

use portolan_core::firewall::World;
use portolan_core::net::{Gap, Observed, Why};
use portolan_core::reach::{Publication, Rules, Scene};
use portolan_core::socket::SocketTable;
use portolan_core::socket::multicast::Membership;
use portolan_host::{containers, multicast};

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
    /// Multicast groups that are listened to.
    pub(crate) groups: Vec<Membership>,
    /// What could not be seen.
    pub(crate) gaps: Vec<Gap>,
}

impl Witness {
    /// Takes rules that were read from files.
    pub(crate) fn of(read: source::Rules) -> Self {
        let families = [false, true];
        let untold = families.map(|is_v6| read.is_untold(is_v6));
        let missing: Vec<Gap> = families.into_iter().filter_map(|v6| read.untold(v6)).collect();
        let taken = read.routes_taken();
        let source::Rules { ruleset, world, mut gaps, .. } = read;
        gaps.extend(missing.into_iter().chain(taken));
        let rules = Some(Rules::new(ruleset, world.clone()).untold(untold));
        Self { rules, world, gaps, ..Self::default() }
    }

    /// The live rules of this network namespace. What cannot be read is a gap, which leaves whole what
    /// else is asked.
    pub(crate) fn live() -> Self {
        let mut gaps = Vec::new();
        let world = source::surroundings(&mut gaps);
        let rules = source::consult(RULES, &mut gaps);
        let rules = rules.map(|ruleset| Rules::new(ruleset, world.clone()));
        let Observed { value: groups, gaps: missing } = multicast::memberships().aside();
        gaps.extend(missing);
        Self { rules, world, groups, gaps, publications: Vec::new() }
    }

    /// Takes note of the sockets: rules that hand packets to one ask whether it waits.
    pub(crate) fn know(&mut self, sockets: &SocketTable) {
        self.rules = self.rules.take().map(|rules| rules.with_sockets(sockets));
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
            groups: &self.groups,
        }
    }
}

/// What is never seen from here.
pub(crate) fn upstream() -> Gap {
    Gap::aside("cloud security groups and routers are not seen from here", Why::Upstream, "")
}

const RULES: &str = "the rules of the firewall";
