//! Floor 2, containers: what a runtime says of those it knows, running or not.
//!
//! The source is the JSON of `docker inspect`, which podman and nerdctl print too (Docker Engine
//! API, ContainerInspect: `State`, `HostConfig.PortBindings`, `NetworkSettings.Ports`,
//! `Config.Labels`). A stopped container shows in no socket and in no rule, yet it will ask for its
//! ports when it is started again: only its runtime knows. Unknown keys are ignored; an entry
//! without an id is left out.

mod publisher;

use std::net::IpAddr;

pub use publisher::Publisher;
use serde_json::Value;

use crate::net::{Port, PortRange, Transport};

/// A container, as its runtime describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The full id.
    pub id: Box<str>,
    /// Its name, without the slash Docker puts before it.
    pub name: Box<str>,
    /// Compose project.
    pub project: Option<Box<str>>,
    /// Compose service.
    pub service: Option<Box<str>>,
    /// Whether it runs; its ports are taken only then.
    pub is_running: bool,
    /// Its ports on this machine: those in use, and those it will ask for when it starts.
    pub published: Vec<Published>,
}

/// A port of this machine that leads into a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Published {
    /// The transport.
    pub transport: Transport,
    /// The address on this machine; `None` is every one of both families.
    pub address: Option<IpAddr>,
    /// The port on this machine; a range where the runtime may choose in it.
    pub ports: PortRange,
    /// The port inside.
    pub inside: Port,
}

impl Published {
    /// Whether it is, or may become, this port.
    #[must_use]
    pub fn includes(&self, transport: Transport, port: Port) -> bool {
        self.transport == transport && self.ports.contains(port)
    }
}

impl Described {
    /// What it publishes on a port of this machine.
    #[must_use]
    pub fn publishes(&self, transport: Transport, port: Port) -> Option<&Published> {
        self.published.iter().find(|p| p.includes(transport, port))
    }
}

/// Reads what `docker inspect` or `podman inspect` printed: an array of containers.
///
/// # Errors
/// When it is not JSON or not an array.
pub fn parse_inspect(text: &[u8]) -> Result<Vec<Described>, InspectError> {
    let Value::Array(containers) = serde_json::from_slice(text)? else {
        return Err(InspectError::NotAList);
    };
    Ok(containers.iter().filter_map(described).collect())
}

/// Why an answer of a container runtime cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It is no JSON.
    #[error("read the description of containers")]
    Json(#[from] serde_json::Error),
    /// It is JSON of another shape.
    #[error("the description of containers is not a list")]
    NotAList,
}

fn described(container: &Value) -> Option<Described> {
    let text = |pointer: &str| container.pointer(pointer).and_then(Value::as_str);
    let label = |key: &str| {
        let labels = container.pointer("/Config/Labels");
        labels.and_then(|labels| labels.get(key)).and_then(Value::as_str).map(Into::into)
    };
    let is_running = container.pointer("/State/Running").and_then(Value::as_bool);
    let mut published = bindings(container.pointer("/HostConfig/PortBindings"));
    // What the runtime chose itself stands only here, and only while the container runs.
    published.extend(bindings(container.pointer("/NetworkSettings/Ports")));
    Some(Described {
        id: text("/Id")?.into(),
        name: text("/Name").unwrap_or_default().trim_start_matches('/').into(),
        project: label("com.docker.compose.project"),
        service: label("com.docker.compose.service"),
        is_running: is_running.unwrap_or(false),
        published: without_repeats(published),
    })
}

/// `{"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}], "81/tcp": null}`
fn bindings(map: Option<&Value>) -> Vec<Published> {
    let entries = map.and_then(Value::as_object).into_iter().flatten();
    entries.flat_map(|(inside, places)| binding(inside, places)).collect()
}

fn binding(inside: &str, places: &Value) -> Vec<Published> {
    let (port, transport) = inside.split_once('/').unwrap_or((inside, "tcp"));
    let (Ok(inside), Ok(transport)) = (port.parse(), transport.parse()) else { return Vec::new() };
    let places = places.as_array().into_iter().flatten();
    places.filter_map(|place| published(transport, inside, place)).collect()
}

/// Without a host port the runtime takes any: nothing to wait for.
fn published(transport: Transport, inside: Port, place: &Value) -> Option<Published> {
    let text = |key: &str| place.get(key).and_then(Value::as_str).unwrap_or_default();
    let ports: PortRange = text("HostPort").parse().ok()?;
    if ports.first() == Port(0) {
        return None;
    }
    let address = text("HostIp").parse().ok().filter(|ip: &IpAddr| !ip.is_unspecified());
    Some(Published { transport, address, ports, inside })
}

fn without_repeats(mut published: Vec<Published>) -> Vec<Published> {
    published.sort();
    published.dedup();
    published
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Docker 20.10.24: one container that runs, one that was stopped; most keys left out.
    const DOCKER: &[u8] = include_bytes!("../../tests/data/docker-inspect.json");

    fn port(number: u16) -> Port {
        Port(number)
    }

    #[test]
    fn a_stopped_container_still_has_the_ports_it_will_ask_for() {
        let all = parse_inspect(DOCKER).unwrap();
        let [web, db] = &all[..] else { panic!("two containers: {all:?}") };
        assert_eq!((&*web.name, web.is_running), ("shop-web", true));
        assert_eq!((&*db.name, db.is_running), ("shop-db", false));
        assert_eq!((db.project.as_deref(), db.service.as_deref()), (Some("shop"), Some("db")));
        let published = db.publishes(Transport::Tcp, port(15432)).unwrap();
        assert_eq!(published.address, Some("127.0.0.1".parse().unwrap()));
        assert_eq!(published.inside, port(80));
        assert!(db.publishes(Transport::Udp, port(6001)).is_some());
        assert!(db.publishes(Transport::Tcp, port(6001)).is_none());
    }

    #[test]
    fn a_port_on_every_address_of_both_families_is_one_port() {
        let web = &parse_inspect(DOCKER).unwrap()[0];
        let tcp: Vec<_> = web.published.iter().filter(|p| p.transport == Transport::Tcp).collect();
        assert_eq!(tcp.len(), 1, "{tcp:?}");
        assert_eq!((tcp[0].address, tcp[0].inside), (None, port(80)));
    }

    #[test]
    fn what_is_no_description_is_an_error_and_odd_entries_are_left_out() {
        assert!(parse_inspect(b"").is_err());
        assert!(parse_inspect(b"{}").is_err());
        assert_eq!(parse_inspect(b"[]").unwrap(), []);
        let odd = br#"[7, {"Name": "/no-id"}, {"Id": "a", "HostConfig": {"PortBindings":
            {"x/tcp": [{}], "80/tcp": null, "81/tcp": [{"HostPort": "0"}, {"HostPort": "9-7"}],
             "82/tcp": [{"HostPort": "8000-8010"}]}}}]"#;
        let all = parse_inspect(odd).unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].published.len(), 1);
        assert!(all[0].publishes(Transport::Tcp, port(8005)).is_some());
    }

    #[test]
    fn a_description_cut_off_anywhere_is_an_error_and_no_panic() {
        for end in 0..DOCKER.trim_ascii_end().len() {
            assert!(parse_inspect(&DOCKER[..end]).is_err(), "{end}");
        }
    }
}
