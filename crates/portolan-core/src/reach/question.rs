//! What is asked and what is known: rules, addresses, sockets, containers.

use crate::firewall::simulate::Prepared;
use crate::firewall::{Chain, Ruleset, World};
use crate::net::{Port, Transport};
use crate::socket::SocketTable;

use super::answer::together;
use super::travel::Travel;
use super::{Answer, PortReach, Reached, Source, hints};

/// The rules of a machine, and the same without translation of destinations.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub(super) ruleset: Ruleset,
    pub(super) untranslated: Ruleset,
    pub(super) world: World,
}

impl Rules {
    /// Takes rules and what surrounds them.
    #[must_use]
    pub fn new(ruleset: Ruleset, world: World) -> Self {
        let mut untranslated = ruleset.clone();
        for chain in untranslated.tables.iter_mut().flat_map(|table| &mut table.chains) {
            if hints::is_prerouting_nat(chain) {
                chain.base = None;
            }
        }
        Self { ruleset, untranslated, world }
    }

    /// The rules.
    #[must_use]
    pub fn ruleset(&self) -> &Ruleset {
        &self.ruleset
    }

    /// Whether there are chains of this name, which users are told to put rules into.
    pub(super) fn has_chain(&self, name: &str) -> bool {
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
            targets: rules.map(|r| hints::ports_translated_to(&r.ruleset)).unwrap_or_default(),
        }
    }
}

/// A scene made ready.
pub struct Asking<'a> {
    pub(super) scene: Scene<'a>,
    pub(super) with: Option<Prepared<'a>>,
    pub(super) without: Option<Prepared<'a>>,
    /// Ports that rules translate to.
    pub(super) targets: Vec<u16>,
}

impl Asking<'_> {
    /// Who of `sources` reaches a port.
    #[must_use]
    pub fn about(&self, port: Port, transport: Transport, sources: &[Source]) -> PortReach {
        let travel = Travel::new(self, port, transport);
        let reached = |source: &Source| {
            let groups = travel.groups(&source.whence);
            let mut answer = together(&groups);
            if answer == Answer::No && !source.unresolved.is_empty() {
                answer = Answer::Unknown;
            }
            Reached { source: source.clone(), answer, groups }
        };
        PortReach { port, transport, sources: sources.iter().map(reached).collect() }
    }

    /// The ports that rules send to another place, beside those that sockets hold.
    #[must_use]
    pub fn translated_ports(&self) -> Vec<(Port, Transport)> {
        let Some(rules) = self.scene.rules else { return Vec::new() };
        let named = hints::translated_ports(&rules.ruleset).into_iter();
        let mut found: Vec<(Port, Transport)> = named
            .flat_map(|(protocol, port)| transports(protocol).iter().map(move |t| (Port(port), *t)))
            .filter(|(port, transport)| Travel::new(self, *port, *transport).is_translated())
            .collect();
        found.sort();
        found.dedup();
        found
    }

    /// The ports here whose traffic rules send to `port` somewhere.
    #[must_use]
    pub fn leading_to(&self, port: Port, transport: Transport) -> Vec<Port> {
        if !self.targets.contains(&port.0) {
            return Vec::new();
        }
        let all = self.translated_ports().into_iter();
        let same = all.filter(|(own, t)| *t == transport && *own != port);
        same.filter(|(own, t)| Travel::new(self, *own, *t).translates_to(port))
            .map(|(own, _)| own)
            .collect()
    }
}

fn transports(protocol: Option<u8>) -> &'static [Transport] {
    match protocol {
        Some(6) => &[Transport::Tcp],
        Some(17) => &[Transport::Udp],
        Some(132) => &[Transport::Sctp],
        Some(33) => &[Transport::Dccp],
        _ => &[Transport::Tcp, Transport::Udp],
    }
}
