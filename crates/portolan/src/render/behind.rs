//! Who is behind a holder that stands in for somebody else, and who are behind `localhost`: alike
//! in every report.

use std::net::IpAddr;

use portolan_core::container::Publisher;
use portolan_core::socket::Split;
use portolan_core::socket::conflict::Verdict;
use serde::Serialize;

use crate::ops::behind::Behind;
use crate::ops::localhost::TwoBehindLocalhost;
use crate::render::owner::{ContainerJson, container_name};

/// A line of facts about whom a holder stands in for: its key and its text.
pub(crate) fn fact(behind: &Behind) -> (&'static str, String) {
    match behind {
        Behind::Activation { unit, service: Some(service), .. } => {
            ("listens for", format!("{unit}, which starts {service} when somebody connects"))
        }
        Behind::Activation { unit, .. } => ("listens for", unit.to_string()),
        Behind::Published { by, container } => {
            let container = container.as_deref().map_or("a container", container_name);
            ("stands for", format!("{container}{}", inside(by)))
        }
    }
}

/// Where in the container a publisher leads: ` (172.17.0.2, port 80 inside)`.
pub(crate) fn inside(by: &Publisher) -> String {
    match (by.address, by.inside) {
        (Some(address), Some(port)) => format!(" ({address}, port {port} inside)"),
        (None, Some(port)) => format!(" (port {port} inside)"),
        _ => String::new(),
    }
}

/// Who answers at which of the two addresses, and which comes first; `who` names the holder of the
/// socket at a position of the table.
pub(crate) fn two_behind_localhost(
    two: &TwoBehindLocalhost,
    who: impl Fn(usize) -> String,
) -> String {
    let Split { port, ipv4, ipv6, .. } = two.split;
    let first = match two.reached {
        Some((address, position)) => {
            format!("`localhost` is {address} first here, so most clients reach {}", who(position))
        }
        None => "`localhost` is neither here".to_owned(),
    };
    let (four, six) = (who(ipv4), who(ipv6));
    format!(
        "two programs are behind localhost:{port}: {four} at 127.0.0.1, {six} at [::1]; {first}"
    )
}

/// The same as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct SplitJson {
    kind: &'static str,
    message: String,
    transport: &'static str,
    port: u16,
    reached_first: Option<IpAddr>,
}

impl SplitJson {
    /// A split with its message.
    pub(crate) fn new(two: &TwoBehindLocalhost, message: String) -> Self {
        Self {
            kind: Verdict::SplitFamily.as_str(),
            message,
            transport: two.split.transport.as_str(),
            port: two.split.port.0,
            reached_first: two.reached.map(|(address, _)| address),
        }
    }
}

/// A unit that systemd listens for, or a container that a program holds a port for.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum BehindJson<'a> {
    SocketActivation {
        unit: &'a str,
        starts: Option<&'a str>,
    },
    ContainerPublish {
        program: &'a str,
        container: Option<ContainerJson<'a>>,
        address: Option<IpAddr>,
        port: Option<u16>,
    },
}

impl<'a> From<&'a Behind> for BehindJson<'a> {
    fn from(behind: &'a Behind) -> Self {
        match behind {
            Behind::Activation { unit, service, .. } => {
                Self::SocketActivation { unit, starts: service.as_deref() }
            }
            Behind::Published { by, container } => Self::ContainerPublish {
                program: by.program,
                container: container.as_deref().map(ContainerJson::from),
                address: by.address,
                port: by.inside.map(|port| port.0),
            },
        }
    }
}
