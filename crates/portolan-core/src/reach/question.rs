//! What is asked and what is known: rules, addresses, sockets, containers.

use std::cell::OnceCell;

use crate::firewall::analyse::AnalyseError;
use crate::firewall::simulate::Prepared;
use crate::firewall::{Chain, Hook, Ruleset, World};
use crate::net::{Port, Transport};
use crate::socket::SocketTable;
use crate::socket::multicast::Membership;

use super::handed::{Handing, settle};
use super::kinds::{Edges, Kinds};
use super::survey::Survey;
use super::translations::{Translation, translations};
use super::{PortReach, Source, hints};

/// The rules of a machine, and the same without translation of destinations.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub(super) ruleset: Ruleset,
    pub(super) untranslated: Ruleset,
    pub(super) world: World,
    /// Of which family nothing was read, IPv4 and IPv6.
    untold: [bool; 2],
    /// Rules that hand packets to a socket as they are, and it waits.
    pub(super) handings: Vec<Handing>,
}

impl Rules {
    /// Takes rules and what surrounds them.
    #[must_use]
    pub fn new(ruleset: Ruleset, world: World) -> Self {
        let mut untranslated = ruleset.clone();
        for chain in untranslated.tables.iter_mut().flat_map(|table| &mut table.chains) {
            if hints::is_nat(chain, Hook::Prerouting) {
                chain.base = None;
            }
        }
        Self { ruleset, untranslated, world, untold: [false; 2], handings: Vec::new() }
    }

    /// The same where nothing was read of the rules of IPv4, of IPv6: saved rules are often of one alone.
    #[must_use]
    pub const fn untold(mut self, untold: [bool; 2]) -> Self {
        self.untold = untold;
        self
    }

    pub(super) const fn is_untold(&self, is_v6: bool) -> bool {
        self.untold[is_v6 as usize]
    }

    /// The same where sockets are known: whether one waits for what is handed over is answered.
    #[must_use]
    pub fn with_sockets(mut self, sockets: &SocketTable) -> Self {
        self.handings = settle(&mut self.ruleset, sockets);
        settle(&mut self.untranslated, sockets);
        self
    }

    /// The rules.
    #[must_use]
    pub fn ruleset(&self) -> &Ruleset {
        &self.ruleset
    }

    /// Whether there are chains of this name, which users are told to put rules into.
    #[must_use]
    pub fn has_chain(&self, name: &str) -> bool {
        let mut chains = self.ruleset.tables.iter().flat_map(|table| &table.chains);
        chains.any(|chain: &Chain| &*chain.name == name)
    }
}

/// A port of this machine that a container runtime publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The transport.
    pub transport: Transport,
    /// The port here.
    pub port: Port,
    /// The container's name, or its id.
    pub container: Box<str>,
    /// `docker`, `podman`.
    pub runtime: Box<str>,
}

/// What a question is asked of.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The rules; `None` where they could not be read.
    pub rules: Option<&'a Rules>,
    /// Addresses and routes of the machine; empty where they are not known.
    pub world: &'a World,
    /// What listens; `None` where that is not known, as with saved rules.
    pub sockets: Option<&'a SocketTable>,
    /// What runtimes publish.
    pub publications: &'a [Publication],
    /// The multicast groups that are listened to, and where.
    pub groups: &'a [Membership],
}

impl<'a> Scene<'a> {
    /// Prepares for questions about many ports.
    #[must_use]
    pub fn prepare(self) -> Asking<'a> {
        let rules = self.rules;
        Asking {
            scene: self,
            with: rules.map(|rules| Prepared::new(&rules.ruleset, &rules.world)),
            without: rules.map(|rules| Prepared::new(&rules.untranslated, &rules.world)),
            after: rules.map_or_else(|| Some(Vec::new()), |r| hints::ports_after(&r.ruleset)),
            kinds: Kinds::of(self.world, rules.map(|r| &r.ruleset), self.sockets),
            edges: OnceCell::new(),
            translations: OnceCell::new(),
        }
    }
}

/// A scene made ready.
pub struct Asking<'a> {
    pub(super) scene: Scene<'a>,
    pub(super) with: Option<Prepared<'a>>,
    pub(super) without: Option<Prepared<'a>>,
    /// Ports that rules translate to; `None` where they cannot be listed.
    pub(super) after: Option<Vec<u16>>,
    /// The addresses of this machine that are asked about.
    pub(super) kinds: Kinds,
    edges: OnceCell<Edges>,
    translations: OnceCell<Vec<Translation>>,
}

impl Asking<'_> {
    /// Who of `sources` reaches a port.
    ///
    /// # Errors
    /// As [`Self::survey`].
    pub fn about(
        &self,
        port: Port,
        transport: Transport,
        sources: &[Source],
    ) -> Result<PortReach, AnalyseError> {
        let none = PortReach { port, transport, sources: Vec::new() };
        Ok(self.survey(&[(port, transport)], sources)?.pop().unwrap_or(none))
    }

    /// Who of `sources` reaches each of these ports. All are asked about together, which costs hardly
    /// more than one.
    ///
    /// # Errors
    /// When the analysis and the simulator disagree. A node budget that runs out is no error: groups are
    /// then no longer exact, and say so.
    pub fn survey(
        &self,
        ports: &[(Port, Transport)],
        sources: &[Source],
    ) -> Result<Vec<PortReach>, AnalyseError> {
        Survey::new(self, ports, sources).all()
    }

    /// The ports that rules send to another place or hand to another port's socket, beside those that sockets hold; those of loopback
    /// addresses only where the machine is known.
    #[must_use]
    pub fn translated_ports(&self) -> Vec<(Port, Transport)> {
        let is_known = self.scene.world.is_known();
        let outer = self.translations().iter().filter(|found| is_known || !found.is_of_loopback);
        let mut found: Vec<_> = outer.map(|found| (found.port, found.transport)).collect();
        let handed = self.scene.rules.map(|r| hints::handed_ports(&r.ruleset, &r.handings));
        found.extend(handed.into_iter().flatten().map(|(transport, port)| (port, transport)));
        found.sort();
        found.dedup();
        found
    }

    /// Whether rules send packets for some port to another place, those for loopback addresses among them.
    #[must_use]
    pub fn translates(&self) -> bool {
        !self.translations().is_empty()
    }

    /// The ports here whose traffic rules send to `port` somewhere; those of loopback addresses only where
    /// the machine is known, for with saved rules nothing more is said of them.
    #[must_use]
    pub fn leading_to(&self, port: Port, transport: Transport) -> Vec<Port> {
        let is_known = self.scene.world.is_known();
        let leads = |found: &&Translation| {
            let is_it = found.transport == transport && found.to.port == port;
            is_it && found.port != port && (is_known || !found.is_of_loopback)
        };
        let mut found: Vec<_> =
            self.translations().iter().filter(leads).map(|found| found.port).collect();
        found.dedup();
        found
    }

    /// How many addresses of this machine are not asked about: rules and sockets tell too many apart.
    #[must_use]
    pub const fn addresses_left_out(&self) -> usize {
        self.kinds.left_out
    }

    /// What rules compare IPv6 addresses with.
    pub(super) fn edges(&self) -> &Edges {
        let edges = |rules: &Rules| Edges::of(&rules.ruleset, true);
        self.edges.get_or_init(|| self.scene.rules.map(edges).unwrap_or_default())
    }

    pub(super) fn translations(&self) -> &[Translation] {
        self.translations.get_or_init(|| translations(self))
    }
}
