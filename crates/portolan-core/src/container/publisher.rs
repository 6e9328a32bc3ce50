//! Programs that hold a port of this machine for a container, and where they lead.
//!
//! They listen so that the number is taken or so that local clients get through; the server is in
//! the container. Told from the program's name and arguments:
//!
//! ```text
//! docker-proxy   -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 172.17.0.2 -container-port 80
//! rootlesskit    Docker without root; the arguments name no port
//! rootlessport   podman without root; takes its ports from standard input
//! pasta          -t [ADDRESS/]8080-8080:80-80 … (passt(1)), as podman starts it
//! slirp4netns    podman without root, older; takes its ports over a socket
//! conmon         -c ID -n NAME: holds a container's ports for podman with root (conmon(8))
//! ```

use std::net::IpAddr;

use crate::net::{Port, PortRange, Transport};

/// A program that holds a port for a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publisher {
    /// The program: `docker-proxy`, `rootlesskit`, `rootlessport`, `pasta`, `slirp4netns`, `conmon`.
    pub program: &'static str,
    /// The runtime it works for, `docker` or `podman`; `None` where several use the program.
    pub runtime: Option<&'static str>,
    /// The container's id, where the arguments tell it.
    pub id: Option<Box<str>>,
    /// The container's name, where the arguments tell it.
    pub name: Option<Box<str>>,
    /// The container's address, where the arguments tell it.
    pub address: Option<IpAddr>,
    /// The port inside, where the arguments tell it.
    pub inside: Option<Port>,
}

impl Publisher {
    /// What a process called `name` with these arguments is, as the holder of `port`; `None` when
    /// it is no such program.
    #[must_use]
    pub fn of<S: AsRef<str>>(
        name: &str,
        arguments: &[S],
        transport: Transport,
        port: Port,
    ) -> Option<Self> {
        let (program, runtime) = PROGRAMS.iter().copied().find(|(program, _)| {
            name == *program || (*program == "pasta" && name.starts_with("pasta."))
        })?;
        let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        let value = |option: &str| value(&arguments, option);
        let mut publisher =
            Self { program, runtime, id: None, name: None, address: None, inside: None };
        match program {
            "docker-proxy" => {
                publisher.address = value("-container-ip").and_then(|ip| ip.parse().ok());
                publisher.inside = value("-container-port").and_then(|port| port.parse().ok());
            }
            "conmon" => {
                publisher.id = value("-c").or(value("--cid")).map(Into::into);
                publisher.name = value("-n").or(value("--name")).map(Into::into);
            }
            "pasta" => publisher.inside = inside(&arguments, transport, port),
            _ => {}
        }
        Some(publisher)
    }
}

/// The value behind an option: `-n web`, `--name web` or `--name=web`.
fn value<'a>(arguments: &[&'a str], option: &str) -> Option<&'a str> {
    let mut pairs = arguments.iter().zip(arguments.iter().skip(1));
    let apart = pairs.find(|(word, _)| **word == option).map(|(_, value)| *value);
    let joined = || arguments.iter().find_map(|word| word.strip_prefix(option)?.strip_prefix('='));
    apart.or_else(joined)
}

/// The port inside that pasta's arguments give a port of this machine: `-t 8080-8081:80-81,90`.
fn inside(arguments: &[&str], transport: Transport, port: Port) -> Option<Port> {
    let options = match transport {
        Transport::Tcp => ["-t", "--tcp-ports"],
        Transport::Udp => ["-u", "--udp-ports"],
        Transport::Sctp | Transport::Dccp => return None,
    };
    let pairs = arguments.iter().zip(arguments.iter().skip(1));
    let specs = pairs.filter(|(word, _)| options.contains(word)).map(|(_, spec)| spec);
    specs.flat_map(|spec| spec.split(',')).find_map(|item| mapped(item, port))
}

/// One item: `[ADDRESS[%INTERFACE]/]FIRST[-LAST][:FIRST[-LAST]]`.
fn mapped(item: &str, port: Port) -> Option<Port> {
    let ports = item.rsplit_once('/').map_or(item, |(_, ports)| ports);
    let (outside, inside) = ports.split_once(':').unwrap_or((ports, ports));
    let (outside, inside): (PortRange, PortRange) = (outside.parse().ok()?, inside.parse().ok()?);
    let offset = port.0.checked_sub(outside.first().0).filter(|_| outside.contains(port))?;
    inside.first().0.checked_add(offset).map(Port)
}

/// The programs and the runtime each works for.
const PROGRAMS: [(&str, Option<&str>); 6] = [
    ("docker-proxy", Some("docker")),
    ("rootlesskit", Some("docker")),
    ("rootlessport", Some("podman")),
    ("pasta", Some("podman")),
    ("slirp4netns", None),
    ("conmon", Some("podman")),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(name: &str, line: &str, port: u16) -> Option<Publisher> {
        let arguments: Vec<&str> = line.split(' ').collect();
        Publisher::of(name, &arguments, Transport::Tcp, Port(port))
    }

    #[test]
    fn docker_proxy_says_where_it_leads() {
        let line = "/usr/bin/docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 \
                    -container-ip 172.17.0.2 -container-port 80";
        let found = tcp("docker-proxy", line, 8080).unwrap();
        assert_eq!((found.runtime, found.inside), (Some("docker"), Some(Port(80))));
        assert_eq!(found.address, Some("172.17.0.2".parse().unwrap()));
    }

    #[test]
    fn conmon_names_its_container() {
        let line = "/usr/bin/conmon --api-version 1 -c 3f2a -u 3f2a -r /usr/bin/crun -n web";
        let found = tcp("conmon", line, 8080).unwrap();
        assert_eq!((found.id.as_deref(), found.name.as_deref()), (Some("3f2a"), Some("web")));
    }

    #[test]
    fn pasta_maps_ranges_one_by_one() {
        let line = "/usr/bin/pasta --config-net -t 127.0.0.1/8080-8081:80-81 -t 90 -u none";
        let inside = |port| tcp("pasta.avx2", line, port).unwrap().inside;
        assert_eq!(inside(8081), Some(Port(81)));
        assert_eq!(inside(90), Some(Port(90)));
        assert_eq!(inside(8082), None);
    }

    #[test]
    fn a_publisher_that_takes_its_ports_elsewhere_is_one_still() {
        let found = tcp("rootlessport", "rootlessport", 8080).unwrap();
        assert_eq!((found.runtime, found.inside), (Some("podman"), None));
        assert_eq!(tcp("nginx", "nginx -c /etc/nginx.conf", 80), None);
    }

    #[test]
    fn arguments_cut_short_are_no_panic() {
        for line in ["docker-proxy -container-ip", "docker-proxy -container-port x", ""] {
            let found = tcp("docker-proxy", line, 1).unwrap();
            assert_eq!((found.address, found.inside), (None, None));
        }
        assert_eq!(
            tcp("pasta", "pasta -t 65535-65535:65535-65535 -t :", 65535).unwrap().inside,
            Some(Port(65535))
        );
    }
}
