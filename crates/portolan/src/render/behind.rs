//! Who is behind a holder that stands in for somebody else, as JSON.

use std::net::IpAddr;

use serde::Serialize;

use crate::ops::behind::Behind;
use crate::render::owner::ContainerJson;

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
