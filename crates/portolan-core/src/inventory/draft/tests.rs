//! Machines as they are found, and the files that come of them.

use std::net::IpAddr;

use proptest::prelude::*;

use crate::inventory::{Inventory, Status, file};
use crate::net::Endpoint;
use crate::socket::{
    Address, Container, Family, Holder, InterfaceAddress, Placement, Process, Socket,
    SocketTransport, State, Unowned, Via,
};

use super::*;

const TODAY: Date = Date::constant(2026, 10, 19);

/// A machine with listeners, built up line by line.
struct Scene {
    table: SocketTable,
    machine: Machine,
}

impl Scene {
    fn new() -> Self {
        let own = |interface: &str, address: &str, network: &str| InterfaceAddress {
            interface: interface.into(),
            address: address.parse().unwrap(),
            network: network.parse().unwrap(),
        };
        let addresses = vec![
            own("lo", "127.0.0.1", "127.0.0.0/8"),
            own("eth0", "10.20.0.10", "10.20.0.0/24"),
            own("eth0", "fe80::1", "fe80::/64"),
            own("docker0", "172.17.0.1", "172.17.0.0/16"),
        ];
        let machine =
            Machine { hostname: "web.example.org".into(), addresses, ..Machine::default() };
        Self { table: SocketTable::default(), machine }
    }

    fn program(&mut self, pid: u32, name: &str, unit: Option<&str>) {
        let placement = Placement { unit: unit.map(Into::into), container: None };
        let process = Process {
            pid,
            name: name.into(),
            user: Some("root".into()),
            placement,
            ..Process::default()
        };
        self.table.processes.insert(pid, process);
    }

    fn listen(&mut self, transport: SocketTransport, local: &str, pid: u32) -> &mut Held {
        let local: std::net::SocketAddr = local.parse().unwrap();
        let family = if local.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        let state = if transport == SocketTransport::Udp { State::Unconn } else { State::Listen };
        let socket = Socket {
            local: Address::Inet(Endpoint::new(local.ip(), Port(local.port()))),
            v6only: Some(false),
            port_choice: Some(PortChoice::Fixed),
            ..Socket::bare(transport, family, state, 1, 1)
        };
        let seen = self.table.processes.contains_key(&pid);
        let holders = if seen { vec![Holder { pid, fd: Some(3), via: Via::Fd }] } else { vec![] };
        let unowned = (!seen).then_some(Unowned::NotPermitted);
        self.table.sockets.push(Held { socket, holders, unowned });
        self.table.sockets.last_mut().unwrap()
    }

    fn seen<'a>(&'a self, registry: &'a Registry) -> Observation<'a> {
        Observation { sockets: &self.table, machine: &self.machine, registry, sent_on: &[] }
    }

    fn draft(&self) -> Draft {
        Draft::of(&self.seen(&Registry::embedded()), None)
    }

    /// The file, which is valid and in its usual form.
    fn file(&self) -> String {
        let text = self.draft().file(TODAY);
        parsed(&text);
        assert_eq!(crate::inventory::edit::format(&text).unwrap(), text);
        text
    }

    /// What it declares, every port covered.
    fn inventory(&self) -> Inventory {
        parsed(&self.file())
    }
}

fn parsed(text: &str) -> Inventory {
    file::parse("portolan.toml", text.as_bytes()).unwrap_or_else(|e| panic!("{e:?}\n{text}"))
}

const TCP: SocketTransport = SocketTransport::Tcp;
const UDP: SocketTransport = SocketTransport::Udp;

fn usual_machine() -> Scene {
    let mut scene = Scene::new();
    scene.program(10, "sshd", Some("ssh.service"));
    scene.program(20, "nginx", Some("nginx.service"));
    scene.program(30, "postgres", Some("postgresql@16-main.service"));
    scene.program(40, "systemd-resolve", Some("systemd-resolved.service"));
    scene.program(50, "node", Some("session-3.scope"));
    scene.listen(TCP, "0.0.0.0:22", 10);
    scene.listen(TCP, "[::]:22", 10);
    scene.listen(TCP, "[::]:80", 20);
    scene.listen(TCP, "[::]:443", 20);
    scene.listen(UDP, "[::]:443", 20);
    scene.listen(TCP, "127.0.0.1:8080", 20);
    scene.listen(TCP, "10.20.0.10:5432", 30);
    scene.listen(TCP, "127.0.0.53:53", 40);
    scene.listen(UDP, "127.0.0.53:53", 40);
    for port in 3000..3004 {
        scene.listen(TCP, &format!("0.0.0.0:{port}"), 50);
    }
    scene.listen(TCP, "127.0.0.1:41234", 50).socket.port_choice = Some(PortChoice::Kernel);
    scene.listen(UDP, "0.0.0.0:51234", 50).socket.port_choice = Some(PortChoice::Kernel);
    scene.listen(TCP, "0.0.0.0:25", 99);
    scene
}

#[test]
fn the_draft_of_a_usual_machine_is_a_file_to_keep() {
    insta::assert_snapshot!(usual_machine().file());
}

#[test]
fn everything_found_is_observed_and_nothing_is_approved() {
    let inventory = usual_machine().inventory();
    assert!(inventory.services.iter().all(|s| s.status == Status::Observed));
    assert!(inventory.services.iter().all(|s| s.docs.approved.is_none()));
    assert!(inventory.matrix().rows.iter().all(|row| !row.is_compiled()));
}

#[test]
fn an_empty_machine_has_a_valid_file() {
    let mut scene = Scene::new();
    scene.machine = Machine::default();
    let inventory = scene.inventory();
    assert!(inventory.services.is_empty());
    assert_eq!(inventory.hosts[0].name, "this-host");
}

#[test]
fn the_host_is_known_by_its_name_and_its_own_addresses() {
    let scene = Scene::new();
    let inventory = scene.inventory();
    let host = inventory.identify(&scene.machine, None).unwrap();
    assert_eq!(host.name, "web");
    assert_eq!(host.aliases, ["web.example.org"]);
    let addresses: Vec<String> = host.address.iter().map(|a| a.value.to_string()).collect();
    assert_eq!(addresses, ["10.20.0.10"]);
}

#[test]
fn a_program_without_a_name_keeps_its_ports_apart() {
    let mut scene = Scene::new();
    scene.listen(TCP, "0.0.0.0:25", 99);
    scene.listen(TCP, "0.0.0.0:80", 99);
    scene.listen(TCP, "0.0.0.0:8", 99);
    let names: Vec<String> = scene.draft().services.into_iter().map(|s| s.name).collect();
    assert_eq!(names, ["port-8", "smtp", "http"]);
    assert!(scene.file().contains("was not visible"));
}

#[test]
fn two_programs_on_one_port_are_told_apart_by_address() {
    let mut scene = Scene::new();
    scene.program(1000, "dnsmasq", None);
    scene.program(1001, "unbound", None);
    scene.listen(UDP, "127.0.0.1:53", 1000);
    scene.listen(UDP, "127.0.0.2:53", 1001);
    let text = scene.file();
    assert!(
        text.contains("bind    = [\"127.0.0.1\"]") && text.contains("bind    = [\"127.0.0.2\"]")
    );
}

#[test]
fn a_second_service_of_a_program_says_what_tells_it_apart() {
    let mut scene = Scene::new();
    scene.program(9, "app", None);
    for local in ["0.0.0.0:7001", "127.0.0.1:8081", "10.20.0.10:631"] {
        scene.listen(TCP, local, 9);
    }
    let names: Vec<String> = scene.draft().services.into_iter().map(|s| s.name).collect();
    assert_eq!(names.len(), 3);
    assert_eq!(names[0], "app");
    assert!(names[1].starts_with("app-") && names[2].starts_with("app-"), "{names:?}");
}

#[test]
fn a_container_is_named_by_project_and_service_and_never_by_its_id() {
    let container = |project: Option<&str>| Container {
        runtime: "docker".into(),
        id: "0123456789abcdef".into(),
        name: None,
        project: project.map(Into::into),
        service: project.map(|_| "edge".into()),
    };
    let mut scene = Scene::new();
    scene.program(1, "caddy", None);
    scene.program(2, "redis", None);
    for (pid, project) in [(1, Some("shop")), (2, None)] {
        let process = scene.table.processes.get_mut(&pid).unwrap();
        process.placement.container = Some(container(project).into());
    }
    scene.listen(TCP, "0.0.0.0:80", 1);
    scene.listen(TCP, "0.0.0.0:6379", 2);
    let text = scene.file();
    assert!(text.contains("[services.shop-edge]") && text.contains("container = \"shop/edge\""));
    assert!(text.contains("[services.redis]") && !text.contains("0123456789"));
}

#[test]
fn a_multicast_group_is_written_as_one() {
    let mut scene = Scene::new();
    scene.program(7, "avahi-daemon", None);
    scene.listen(UDP, "224.0.0.251:5353", 7);
    let inventory = scene.inventory();
    assert_eq!(inventory.services[0].to, ["224.0.0.251".parse::<IpAddr>().unwrap()]);
    assert_eq!(inventory.services[0].from.len(), 1);
}

#[test]
fn a_listener_on_the_loopback_device_stays_on_this_machine() {
    let mut scene = Scene::new();
    scene.program(7, "app", None);
    scene.listen(TCP, "0.0.0.0:80", 7).socket.device = Some("lo".into());
    assert!(scene.inventory().services[0].from.is_empty());
}

#[test]
fn names_that_mean_something_in_the_format_are_not_taken() {
    let mut scene = Scene::new();
    for (pid, name) in [(2, "x-terminal"), (3, "base-icmp"), (4, "…"), (5, "a b\u{202e}\x1b[2J*\"")]
    {
        scene.program(pid, name, None);
        scene.listen(TCP, &format!("0.0.0.0:{}", 100 + pid), pid);
    }
    let text = scene.file();
    assert!(text.contains("[services.program-x-terminal]"));
    assert!(text.contains("[services.program-base-icmp]"));
    assert!(text.contains("process = \"a b\\u202E\\u001B[2J?\\\"\""));
    assert!(!text.contains('\x1b') && !text.contains('\u{202e}'));
    assert_eq!(parsed(&text).services.len(), 4);
}

#[test]
fn only_what_is_new_is_added_and_under_names_that_are_free() {
    let scene = usual_machine();
    let before = scene.file();
    let inventory = parsed(&before);
    let host = inventory.host("web").unwrap();
    let registry = Registry::embedded();
    let taken: BTreeSet<String> = inventory.services.iter().map(|s| s.name.clone()).collect();
    let new = |scene: &Scene| {
        Draft::of_new(&scene.seen(&registry), "web".into(), &taken, |transport, port| {
            inventory.declared_at(host, transport, port).is_empty() && port != Port(41234)
        })
    };
    assert!(new(&scene).is_empty());
    let mut more = usual_machine();
    more.listen(TCP, "127.0.0.1:9999", 10);
    let draft = new(&more);
    assert_eq!(draft.services.len(), 1);
    assert_eq!(draft.services[0].name, "ssh-distinct");
    let text = crate::inventory::edit::append_text(&before, &draft.addition(TODAY)).unwrap();
    assert!(text.starts_with(&before));
    assert_eq!(parsed(&text).services.len(), inventory.services.len() + 1);
}

#[test]
fn two_servers_of_one_interpreter_are_two_services() {
    let mut scene = Scene::new();
    for pid in [11, 12, 13] {
        scene.program(pid, "python3", None);
    }
    scene.listen(TCP, "0.0.0.0:8001", 11);
    scene.listen(TCP, "0.0.0.0:8002", 11);
    scene.listen(TCP, "0.0.0.0:8003", 12);
    // A worker that inherited a socket is no server of its own.
    let shared = scene.listen(TCP, "0.0.0.0:8004", 12);
    shared.holders.push(Holder { pid: 13, fd: Some(3), via: Via::Fd });
    scene.listen(TCP, "0.0.0.0:8005", 13);
    let ports: Vec<usize> = scene.draft().services.iter().map(|s| s.ports[0].0.len()).collect();
    assert_eq!(ports, [2, 3]);
}

#[test]
fn ports_published_for_containers_are_a_service_each() {
    let mut scene = Scene::new();
    for (pid, local) in [(60, "0.0.0.0:80"), (61, "[::]:80"), (62, "0.0.0.0:18080")] {
        scene.program(pid, "docker-proxy", Some("docker.service"));
        scene.listen(TCP, local, pid);
    }
    let names: Vec<String> = scene.draft().services.into_iter().map(|s| s.name).collect();
    assert_eq!(names, ["published-http", "published-18080"]);
}

#[test]
fn a_program_is_called_what_it_was_called_by() {
    let name = |comm: &str, exe: &str, argv: &str| {
        let mut scene = Scene::new();
        scene.program(9, comm, None);
        let process = scene.table.processes.get_mut(&9).unwrap();
        process.exe = Some(exe.into());
        process.command_line = vec![argv.into()];
        scene.listen(TCP, "0.0.0.0:1", 9);
        scene.draft().services[0].program.process.clone().unwrap()
    };
    assert_eq!(
        name("redis-server", "/usr/bin/redis-check-rdb", "/usr/bin/redis-server"),
        "redis-server"
    );
    assert_eq!(name("python3", "/usr/bin/python3.11", "python3"), "python3");
    assert_eq!(name("MainThread", "/usr/bin/node", "node"), "node");
    assert_eq!(name("nginx", "/usr/sbin/nginx", "nginx: master process /usr/sbin/nginx"), "nginx");
    assert_eq!(
        name("systemd-resolve", "/lib/systemd/systemd-resolved", "/lib/systemd/systemd-resolved"),
        "systemd-resolved"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_runs_here_the_file_is_valid_and_declares_every_port(
        hostname in "\\PC{0,12}|[a-z.]{0,12}",
        programs in prop::collection::vec(("(?s:.{0,18})", "(?s:.{0,12})", prop::collection::vec((1_u16..500, 0_usize..5, any::<bool>()), 0..6)), 0..5),
    ) {
        let mut scene = Scene::new();
        scene.machine.hostname = hostname;
        let mut fixed = Vec::new();
        for (n, (name, unit, ports)) in programs.iter().enumerate() {
            let pid = u32::try_from(n).unwrap() + 100;
            scene.program(pid, name, Some(&format!("{unit}.service")));
            for (port, address, udp) in ports {
                let address = ["0.0.0.0", "127.0.0.1", "10.20.0.10", "[fe80::1]", "[::]"][*address];
                let transport = if *udp { UDP } else { TCP };
                scene.listen(transport, &format!("{address}:{port}"), pid);
                fixed.push((transport.with_ports().unwrap(), Port(*port)));
            }
        }
        let inventory = scene.inventory();
        let host = &inventory.hosts[0];
        for (transport, port) in fixed {
            prop_assert!(!inventory.declared_at(host, transport, port).is_empty());
        }
    }
}
