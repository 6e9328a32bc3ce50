//! What helps against a port that goes around the input rules, or that is reached behind them, the best
//! first.

use crate::firewall::RulePlace;
use crate::net::{Endpoint, Port, Transport};

use super::answer::AroundKind;
use super::{Answer, Group, PortReach, Rules, Taker};

/// One way to close it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fix {
    /// Publish it for this machine alone.
    PublishOnLoopback {
        /// The port here.
        port: Port,
        /// The port inside.
        inside: Port,
        /// Its transport.
        transport: Transport,
        /// The container, where it is known.
        container: Option<Box<str>>,
    },
    /// A rule at the forward hook that asks for the port as it was before the translation. It outlives a
    /// restart of the container's runtime.
    Forward {
        /// The port here.
        port: Port,
        /// Its transport.
        transport: Transport,
    },
    /// A rule in the chain that Docker leaves to its users.
    DockerUser {
        /// The port here.
        port: Port,
        /// Its transport.
        transport: Transport,
        /// Whether `ip6tables` is meant.
        is_v6: bool,
    },
    /// A rule before the translation that ends what comes for the inside by its own address.
    NotStraight {
        /// What stands behind the port.
        to: Endpoint,
        /// Its transport.
        transport: Transport,
        /// The interface to it, whose own traffic is not meant.
        interface: Option<Box<str>>,
    },
    /// Settings that keep loopback to this machine, which are so unless somebody changes them.
    KeepLoopback {
        /// The interface that packets for loopback are let in by.
        interface: Box<str>,
    },
    /// A rule before the translation.
    BeforeTranslation {
        /// The port here.
        port: Port,
        /// Its transport.
        transport: Transport,
        /// The rule that translates.
        translating: Option<RulePlace>,
    },
}

/// What helps where a port goes around the input rules, or neighbours get to what stands behind it;
/// nothing where neither is so.
#[must_use]
pub fn fixes(reach: &PortReach, rules: &Rules) -> Vec<Fix> {
    let straight = reach.straight().filter_map(|group| match &group.taker {
        Some(Taker::Behind { to, interface, .. }) => {
            let (transport, interface) = (reach.transport, interface.clone());
            Some(Fix::NotStraight { to: *to, transport, interface })
        }
        _ => None,
    });
    let mut fixes: Vec<Fix> = Vec::new();
    for fix in straight {
        if !fixes.contains(&fix) {
            fixes.push(fix);
        }
    }
    fixes.extend(keeping_loopback(reach));
    match reach.around() {
        Some(group) => [against(group, reach, rules), fixes].concat(),
        None => fixes,
    }
}

/// What keeps others from sockets of loopback that they get to.
fn keeping_loopback(reach: &PortReach) -> Vec<Fix> {
    let is_let = |group: &&Group| {
        let is_open = matches!(group.answer, Answer::Yes | Answer::Depends);
        is_open && group.to.is_some_and(|to| to.is_loopback()) && group.interface.is_some()
    };
    let mut interfaces: Vec<&Box<str>> =
        reach.groups().filter(is_let).filter_map(|group| group.interface.as_ref()).collect();
    interfaces.sort();
    interfaces.dedup();
    interfaces.into_iter().map(|i| Fix::KeepLoopback { interface: i.clone() }).collect()
}

/// What helps against a group that goes around the input rules.
fn against(group: &Group, reach: &PortReach, rules: &Rules) -> Vec<Fix> {
    let (port, transport) = (reach.port, reach.transport);
    let mut fixes = Vec::new();
    let kind = group.around.as_ref().map(|around| around.kind);
    if matches!(kind, Some(AroundKind::Docker | AroundKind::Podman))
        && let Some(Taker::Behind { to, container, .. }) = &group.taker
    {
        let (inside, container) = (to.port, container.clone());
        fixes.push(Fix::PublishOnLoopback { port, inside, transport, container });
    }
    fixes.push(Fix::Forward { port, transport });
    if rules.has_chain("DOCKER-USER") {
        fixes.push(Fix::DockerUser { port, transport, is_v6: group.is_v6 });
    }
    fixes.push(before(group, port, transport));
    fixes
}

fn before(group: &Group, port: Port, transport: Transport) -> Fix {
    let translating = group.translated.as_ref().and_then(|t| t.rule.clone());
    Fix::BeforeTranslation { port, transport, translating }
}
