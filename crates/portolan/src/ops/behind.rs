//! Who is behind a socket whose holder only stands in for somebody else: systemd for a unit that is
//! not started yet, docker-proxy and its kin for a container.
//!
//! Runtimes and systemd are asked at most once, and only when a holder of that kind is there.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use portolan_core::container::{Described, Publisher};
use portolan_core::net::{Gap, Port, Transport};
use portolan_core::socket::stop::socket_units;
use portolan_core::socket::{Container, Held, Process, SocketTable};
use portolan_host::containers::Runtime;
use portolan_host::tool::Tool;
use portolan_host::{cgroups, containers};

/// Who is behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    /// systemd holds it for a unit that starts with the first connection.
    Activation {
        /// The socket unit, such as `ssh.socket`.
        unit: Arc<str>,
        /// What it starts, where that is known.
        service: Option<Arc<str>>,
        /// Whether a user's own manager holds it.
        of_user: bool,
    },
    /// A program holds it for a container.
    Published {
        /// The program, and what its arguments say.
        by: Publisher,
        /// The container, where it could be found out.
        container: Option<Arc<Container>>,
    },
}

/// Finds out who is behind sockets, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    runtimes: Option<Vec<Runtime>>,
    listings: [Option<String>; 2],
    /// What could not be asked.
    pub(crate) gaps: Vec<Gap>,
}

impl Asking {
    /// Who is behind `held`; `None` where its holders hold it for themselves.
    pub(crate) fn about(&mut self, table: &SocketTable, held: &Held) -> Option<Behind> {
        let (transport, port) = (held.socket.transport.with_ports()?, held.socket.local_port()?);
        if held.socket.peer.is_some() {
            return None;
        }
        let owners: Vec<&Process> = table.owners(held).collect();
        let manager = owners.iter().find(|process| is_systemd(process));
        if let Some(manager) = manager {
            return self.activation(held, port, manager.pid != 1);
        }
        let publisher = |process: &&Process| {
            Publisher::of(&process.name, &process.command_line, transport, port)
        };
        let by = owners.iter().find_map(publisher)?;
        let container = self.container(&by, transport, port).map(Arc::new);
        Some(Behind::Published { by, container })
    }

    /// The containers that do not run and will ask for a port when they are started.
    pub(crate) fn waiting(&mut self, transport: Transport, port: Port) -> Vec<Container> {
        let all = self.runtimes().iter().flat_map(|r| r.containers.iter().map(|c| (r.program, c)));
        let waits = |c: &Described| !c.is_running && c.publishes(transport, port).is_some();
        all.filter(|(_, c)| waits(c)).map(|(runtime, c)| named(runtime, c)).collect()
    }

    fn runtimes(&mut self) -> &[Runtime] {
        let gaps = &mut self.gaps;
        self.runtimes.get_or_insert_with(|| containers::read().into_value(gaps))
    }

    fn activation(&mut self, held: &Held, port: Port, of_user: bool) -> Option<Behind> {
        let listing = self.listings[usize::from(of_user)].get_or_insert_with(|| listing(of_user));
        let told = socket_units(listing, port, held.socket.transport).into_iter().next();
        if let Some((unit, service)) = told {
            let service = Some(service).filter(|service| !service.is_empty());
            return Some(Behind::Activation { unit, service, of_user });
        }
        // systemd makes the socket in the cgroup of its unit (src/core/socket.c,
        // socket_address_listen_in_cgroup), and the kernel remembers that.
        let id = held.socket.cgroup?;
        let cgroup = cgroups::find(&HashSet::from([id])).remove(&id)?;
        let unit = cgroup.placement.unit.filter(|unit| unit.ends_with(".socket"))?;
        Some(Behind::Activation { unit, service: None, of_user })
    }

    fn container(&mut self, by: &Publisher, transport: Transport, port: Port) -> Option<Container> {
        let known = self
            .runtimes()
            .iter()
            .filter(|r| by.runtime.is_none_or(|runtime| runtime == r.program));
        let mut all = known.flat_map(|r| r.containers.iter().map(|c| (r.program, c)));
        let is_it = |c: &Described| match &by.id {
            Some(id) => c.id == *id,
            None => c.is_running && c.publishes(transport, port).is_some(),
        };
        let found = all.find(|(_, container)| is_it(container));
        found.map(|(runtime, container)| named(runtime, container)).or_else(|| told_by(by))
    }
}

fn named(runtime: &str, container: &Described) -> Container {
    Container {
        runtime: runtime.into(),
        id: container.id.clone(),
        name: Some(container.name.clone()),
        project: container.project.clone(),
        service: container.service.clone(),
    }
}

/// The container as the arguments of its publisher name it.
fn told_by(by: &Publisher) -> Option<Container> {
    Some(Container {
        runtime: by.runtime?.into(),
        id: by.id.clone()?,
        name: by.name.clone(),
        project: None,
        service: None,
    })
}

/// Process 1 where systemd is it, or a user's manager.
fn is_systemd(process: &Process) -> bool {
    &*process.name == "systemd"
}

/// What systemd says of its sockets; empty where it does not run or may not be asked.
fn listing(of_user: bool) -> String {
    let Some(tool) = Tool::find("systemctl") else { return String::new() };
    let user: &[&str] = if of_user { &["--user"] } else { &[] };
    let words = ["list-sockets", "--all", "--show-types", "--plain", "--no-legend"];
    let said = tool.run(user.iter().chain(&words), LIMIT).ok().filter(|said| said.succeeded);
    said.map(|said| String::from_utf8_lossy(&said.output).into_owned()).unwrap_or_default()
}

const LIMIT: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use portolan_core::net::Endpoint;
    use portolan_core::socket::{Address, Family, Holder, Socket, SocketTransport, State, Via};

    use super::*;

    fn held_by(process: Process) -> SocketTable {
        let bare = Socket::bare(SocketTransport::Tcp, Family::Ipv4, State::Listen, 1, 0);
        let local = Address::Inet(Endpoint::new("0.0.0.0".parse().unwrap(), Port(8080)));
        let holder = Holder { pid: process.pid, fd: Some(3), via: Via::Fd };
        let socket = Socket { local, ..bare };
        let held = Held { socket, holders: vec![holder], unowned: None };
        let processes = [(process.pid, process)].into_iter().collect();
        SocketTable { sockets: vec![held], processes, ..SocketTable::default() }
    }

    fn behind(process: Process, asking: &mut Asking) -> Option<Behind> {
        let table = held_by(process);
        asking.about(&table, &table.sockets[0])
    }

    #[test]
    fn systemd_holds_it_for_a_unit_and_what_that_starts() {
        let listing = "0.0.0.0:8080 Stream web.socket web.service\n".to_owned();
        let mut asking = Asking { listings: [Some(listing), None], ..Asking::default() };
        let process = Process { pid: 1, name: "systemd".into(), ..Process::default() };
        let Some(Behind::Activation { unit, service, of_user }) = behind(process, &mut asking)
        else {
            panic!("systemd is behind it");
        };
        assert_eq!(
            (&*unit, service.as_deref(), of_user),
            ("web.socket", Some("web.service"), false)
        );
    }

    #[test]
    fn docker_proxy_holds_it_for_the_running_container_that_publishes_it() {
        let inspect = include_bytes!("../../../portolan-core/tests/data/docker-inspect.json");
        let containers = portolan_core::container::parse_inspect(inspect).unwrap();
        let web = containers.iter().find(|c| c.is_running).unwrap().clone();
        let port = web.published[0].ports.first();
        let runtimes = vec![Runtime { program: "docker", containers }];
        let mut asking = Asking { runtimes: Some(runtimes), ..Asking::default() };
        let by = Publisher::of("docker-proxy", &["docker-proxy"], Transport::Tcp, port).unwrap();
        let found = asking.container(&by, Transport::Tcp, port).unwrap();
        assert_eq!(found.name.as_deref(), Some(&*web.name));
    }

    #[test]
    fn a_stopped_container_waits_for_its_port_and_a_running_one_does_not() {
        let inspect = include_bytes!("../../../portolan-core/tests/data/docker-inspect.json");
        let containers = portolan_core::container::parse_inspect(inspect).unwrap();
        let runtimes = vec![Runtime { program: "docker", containers }];
        let mut asking = Asking { runtimes: Some(runtimes), ..Asking::default() };
        let names =
            |all: Vec<Container>| all.into_iter().filter_map(|c| c.name).collect::<Vec<_>>();
        assert_eq!(names(asking.waiting(Transport::Tcp, Port(15432))), ["shop-db".into()]);
        assert_eq!(names(asking.waiting(Transport::Udp, Port(15432))), []);
        assert_eq!(names(asking.waiting(Transport::Tcp, Port(18080))), []);
    }

    #[test]
    fn conmon_names_its_container_itself() {
        let mut asking = Asking { runtimes: Some(Vec::new()), ..Asking::default() };
        let command_line = ["conmon", "-c", "3f2a", "-n", "web"].map(Into::into).to_vec();
        let process = Process { pid: 9, name: "conmon".into(), command_line, ..Process::default() };
        let Some(Behind::Published { container: Some(container), .. }) =
            behind(process, &mut asking)
        else {
            panic!("a container is behind it");
        };
        assert_eq!((&*container.id, container.name.as_deref()), ("3f2a", Some("web")));
    }

    #[test]
    fn a_server_holds_it_for_itself() {
        let process = Process { pid: 9, name: "nginx".into(), ..Process::default() };
        assert_eq!(behind(process, &mut Asking::default()), None);
    }
}
