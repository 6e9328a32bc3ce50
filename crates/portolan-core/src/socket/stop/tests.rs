//! Plans against tables made up for them: who is stopped and by which means, who is spared and why.
//! A property holds that no plan ends process 1 or what its caller descends from.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::socket::{
    Address, Family, Holder, Placement, PortChoice, Socket, SocketTransport, Timer, TimerKind,
};

const PORT: Port = Port(8080);

/// A table under construction, and who asks.
#[derive(Default)]
struct Scene {
    table: SocketTable,
    caller: Caller,
    /// Processes that hold nothing, as parents of those that do.
    others: HashMap<u32, Process>,
    tools: Vec<&'static str>,
    stand_ins: HashMap<usize, StandsFor>,
}

impl Scene {
    /// Root asks, from a shell (500) of a login.
    fn new() -> Self {
        let shell = Process { uid: Some(0), ..process(500, "bash", 1) };
        let us = Process { uid: Some(0), ..process(501, "portolan", 500) };
        let init = process(1, "systemd", 0);
        let caller = Caller { line: vec![us, shell.clone(), init.clone()], ..Caller::default() };
        let others = [(500, shell), (1, init)].into();
        Self { caller, others, ..Self::default() }
    }

    fn socket(&mut self, local: &str, peer: Option<&str>, state: State, pids: &[u32]) -> usize {
        let transport = SocketTransport::Tcp;
        let inode = if pids.is_empty() { 0 } else { 1000 + self.table.sockets.len() as u64 };
        let socket = Socket {
            local: Address::Inet(end(local)),
            peer: peer.map(|peer| Address::Inet(end(peer))),
            ..Socket::bare(transport, Family::Ipv4, state, inode, 1)
        };
        let holder = |pid: &u32| Holder { pid: *pid, fd: Some(3), via: Via::Fd };
        let holders = pids.iter().map(holder).collect();
        let unowned = pids.is_empty().then_some(Unowned::NoFile);
        self.table.sockets.push(Held { socket, holders, unowned });
        self.table.sockets.len() - 1
    }

    fn listener(&mut self, pids: &[u32]) -> usize {
        self.socket("0.0.0.0:8080", None, State::Listen, pids)
    }

    fn run(&mut self, process: Process) {
        self.table.processes.insert(process.pid, process);
    }

    fn plan(&self, wish: &Wish) -> Plan {
        let line = |pid: u32| self.line(pid);
        plan(
            wish,
            &Surroundings {
                table: &self.table,
                ephemeral: PortRange::new(Port(32768), Port(60999)).unwrap(),
                caller: &self.caller,
                ancestry: &line,
                has_tool: &|name| self.tools.contains(&name),
                stand_ins: &self.stand_ins,
            },
        )
    }

    fn line(&self, pid: u32) -> Vec<Process> {
        let find = |pid: u32| self.table.processes.get(&pid).or(self.others.get(&pid)).cloned();
        std::iter::successors(find(pid), |p| find(p.parent?)).take(9).collect()
    }
}

fn end(text: &str) -> Endpoint {
    let address: std::net::SocketAddr = text.parse().unwrap();
    Endpoint::new(address.ip(), Port(address.port()))
}

fn process(pid: u32, name: &str, parent: u32) -> Process {
    Process { pid, name: name.into(), parent: Some(parent), uid: Some(1000), ..Process::default() }
}

fn in_unit(process: Process, unit: &str) -> Process {
    let placement = Placement { unit: Some(unit.into()), container: None };
    Process { placement, ..process }
}

fn in_container(process: Process, runtime: &str, id: &str) -> Process {
    let container = Container {
        runtime: runtime.into(),
        id: id.into(),
        name: None,
        project: None,
        service: None,
    };
    Process { placement: Placement { unit: None, container: Some(container.into()) }, ..process }
}

fn wish() -> Wish {
    Wish { port: PORT, transports: TransportSet::ALL, sockets: false, clients: false }
}

fn actions(plan: &Plan) -> Vec<&Action> {
    plan.steps.iter().map(|step| &step.action).collect()
}

fn reasons(plan: &Plan) -> Vec<Reason> {
    plan.spared.iter().map(|spared| spared.reason).collect()
}

fn units(names: &[&str]) -> Action {
    let units = names.iter().map(|name| Arc::from(*name)).collect();
    Action::StopUnits { units, manager: Manager::System }
}

#[test]
fn a_listener_is_signalled_and_its_connections_are_not() {
    let mut scene = Scene::new();
    scene.run(process(20, "node", 500));
    scene.run(process(30, "curl", 500));
    scene.listener(&[20]);
    scene.socket("127.0.0.1:8080", Some("127.0.0.1:40001"), State::Established, &[20]);
    scene.socket("127.0.0.1:40001", Some("127.0.0.1:8080"), State::Established, &[30]);
    let plan = scene.plan(&wish());
    assert_eq!(actions(&plan), [&Action::Signal { pid: 20 }]);
    assert!(plan.clients.is_empty() && plan.spared.is_empty());
}

#[test]
fn a_client_with_the_port_as_its_own_end_is_stopped_on_request_only() {
    let mut scene = Scene::new();
    scene.run(process(20, "node", 500));
    scene.run(process(30, "curl", 500));
    scene.listener(&[20]);
    scene.socket("127.0.0.1:8080", Some("127.0.0.1:40001"), State::Established, &[20]);
    let client = scene.socket("127.0.0.1:40001", Some("127.0.0.1:8080"), State::Established, &[30]);
    let wish = Wish { port: Port(40001), ..wish() };
    let plan = scene.plan(&wish);
    assert_eq!((plan.steps.len(), &plan.clients[..]), (0, &[client][..]));
    let plan = scene.plan(&Wish { clients: true, ..wish });
    assert_eq!(actions(&plan), [&Action::Signal { pid: 30 }]);
}

#[test]
fn a_client_on_a_number_below_the_ephemeral_ones_is_known_by_the_listener_at_its_peer() {
    let mut scene = Scene::new();
    scene.run(process(20, "node", 500));
    scene.run(process(30, "curl", 500));
    scene.socket("127.0.0.1:9000", None, State::Listen, &[20]);
    scene.socket("127.0.0.1:8080", Some("127.0.0.1:9000"), State::Established, &[30]);
    assert_eq!(scene.plan(&wish()).clients.len(), 1);
}

#[test]
fn what_outlived_its_listener_is_destroyed_on_request_only() {
    let mut scene = Scene::new();
    scene.run(process(20, "worker", 500));
    let with_process =
        scene.socket("10.0.0.1:8080", Some("10.0.0.2:50000"), State::Established, &[20]);
    let orphan = scene.socket("10.0.0.1:8080", Some("10.0.0.2:50001"), State::FinWait2, &[]);
    let waiting = scene.socket("10.0.0.1:8080", Some("10.0.0.2:50002"), State::TimeWait, &[]);
    let all = vec![with_process, orphan, waiting];
    let plan = scene.plan(&wish());
    assert_eq!((plan.steps.len(), &plan.leftovers), (0, &all));
    let plan = scene.plan(&Wish { sockets: true, ..wish() });
    assert_eq!(actions(&plan), [&Action::Destroy]);
    assert_eq!(plan.steps[0].sockets, all);
    assert!(plan.steps[0].pids.is_empty(), "nobody is signalled");
}

#[test]
fn a_connection_nobody_has_accepted_yet_is_its_listeners() {
    let mut scene = Scene::new();
    scene.run(process(20, "node", 500));
    scene.listener(&[20]);
    scene.socket("10.0.0.1:8080", Some("10.0.0.2:50000"), State::Established, &[]);
    assert!(scene.plan(&wish()).leftovers.is_empty());
}

#[test]
fn parent_and_workers_of_one_listener_are_all_ended_the_parent_first() {
    let mut scene = Scene::new();
    scene.run(process(40, "server", 500));
    scene.run(process(21, "server", 40));
    scene.run(process(22, "server", 21));
    scene.listener(&[21, 22, 40]);
    let pids = [40, 21, 22].map(|pid| Action::Signal { pid });
    assert_eq!(actions(&scene.plan(&wish())), pids.each_ref());
}

#[test]
fn a_process_with_several_sockets_of_the_port_is_one_step() {
    let mut scene = Scene::new();
    scene.run(process(20, "node", 500));
    scene.listener(&[20]);
    scene.socket("[::1]:8080", None, State::Listen, &[20]);
    let plan = scene.plan(&wish());
    assert_eq!((plan.steps.len(), plan.steps[0].sockets.len()), (1, 2));
}

#[test]
fn a_group_that_shares_its_port_is_ended_whole() {
    let mut scene = Scene::new();
    for pid in [20, 21, 22] {
        scene.run(process(pid, "node", 500));
        scene.listener(&[pid]);
    }
    assert_eq!(scene.plan(&wish()).steps.len(), 3);
}

#[test]
fn a_socket_that_holds_the_port_silently_counts_unless_the_kernel_chose_its_number() {
    let mut scene = Scene::new();
    scene.run(process(20, "node", 500));
    let bound = scene.socket("0.0.0.0:8080", None, State::Bound, &[20]);
    assert_eq!(scene.plan(&wish()).steps.len(), 1);
    scene.table.sockets[bound].socket.port_choice = Some(PortChoice::Kernel);
    assert_eq!(scene.plan(&wish()).steps.len(), 0);
}

#[test]
fn a_udp_socket_whose_number_the_kernel_chose_is_a_client() {
    let mut scene = Scene::new();
    scene.run(process(20, "chrome", 500));
    let socket = scene.socket("0.0.0.0:8080", None, State::Unconn, &[20]);
    scene.table.sockets[socket].socket.transport = SocketTransport::Udp;
    assert_eq!(scene.plan(&wish()).listeners, [socket]);
    scene.table.sockets[socket].socket.port_choice = Some(PortChoice::Kernel);
    assert_eq!(scene.plan(&wish()).clients, [socket]);
}

#[test]
fn the_other_transport_is_another_port() {
    let mut scene = Scene::new();
    scene.run(process(20, "node", 500));
    scene.listener(&[20]);
    let udp = Wish { transports: [Transport::Udp].into_iter().collect(), ..wish() };
    assert_eq!(scene.plan(&udp), Plan::default());
}

#[test]
fn process_one_the_caller_and_its_ancestors_are_spared() {
    for (pid, reason) in [(1, Reason::Init), (500, Reason::Ancestor), (501, Reason::Ancestor)] {
        let mut scene = Scene::new();
        scene.run(process(pid, "x", 0));
        scene.listener(&[pid]);
        let plan = scene.plan(&wish());
        assert_eq!((reasons(&plan), plan.steps.len()), (vec![reason], 0), "{pid}");
    }
}

#[test]
fn the_manager_of_a_users_services_is_spared() {
    let mut scene = Scene::new();
    scene.run(in_unit(process(20, "systemd", 1), "user@1000.service"));
    scene.listener(&[20]);
    assert_eq!(reasons(&scene.plan(&wish())), [Reason::UserManager]);
}

#[test]
fn the_listener_the_caller_came_in_by_is_spared() {
    let mut scene = Scene::new();
    scene.run(process(20, "sshd", 1));
    scene.listener(&[20]);
    scene.caller.came_in = vec![ssh_connection("192.0.2.7 50000 10.0.0.1 8080").unwrap()];
    assert_eq!(reasons(&scene.plan(&wish())), [Reason::WayIn]);
}

#[test]
fn a_listener_whose_connection_carries_the_caller_is_spared() {
    let mut scene = Scene::new();
    scene.run(process(20, "ttyd", 1));
    scene.listener(&[20]);
    scene.socket("10.0.0.1:8080", Some("192.0.2.7:50000"), State::Established, &[500]);
    assert_eq!(reasons(&scene.plan(&wish())), [Reason::WayIn]);
}

#[test]
fn a_connection_that_outlived_its_listener_and_carries_the_caller_is_spared() {
    let wish = Wish { sockets: true, ..wish() };
    let peer = Some("192.0.2.7:50000");
    let mut held_above = Scene::new();
    held_above.socket("10.0.0.1:8080", peer, State::Established, &[500]);
    let mut by_ssh = Scene::new();
    by_ssh.run(process(20, "sshd", 1));
    by_ssh.socket(
        "[::ffff:10.0.0.1]:8080",
        Some("[::ffff:192.0.2.7]:50000"),
        State::Established,
        &[20],
    );
    by_ssh.caller.came_in = vec![ssh_connection("192.0.2.7 50000 10.0.0.1 8080").unwrap()];
    for scene in [&held_above, &by_ssh] {
        assert_eq!(reasons(&scene.plan(&wish)), [Reason::WayIn]);
    }
    let mut of_others = by_ssh;
    of_others.caller.came_in = vec![ssh_connection("192.0.2.8 50000 10.0.0.1 8080").unwrap()];
    assert_eq!(actions(&of_others.plan(&wish)), [&Action::Destroy]);
}

#[test]
fn the_kernels_own_socket_and_one_nobody_can_look_behind_are_spared() {
    for (unowned, reason) in
        [(Unowned::Kernel, Reason::Kernel), (Unowned::NotPermitted, Reason::NotVisible)]
    {
        let mut scene = Scene::new();
        let socket = scene.listener(&[]);
        scene.table.sockets[socket].unowned = Some(unowned);
        assert_eq!(reasons(&scene.plan(&wish())), [reason]);
    }
}

#[test]
fn a_process_that_only_may_receive_the_socket_is_not_signalled() {
    let mut scene = Scene::new();
    scene.run(process(20, "broker", 500));
    let socket = scene.listener(&[20]);
    scene.table.sockets[socket].holders[0].via = Via::InFlight;
    assert_eq!(reasons(&scene.plan(&wish())), [Reason::NotProved]);
}

#[test]
fn somebody_elses_process_is_spared_where_the_caller_is_not_root() {
    let mut scene = Scene::new();
    scene.caller.uid = 1001;
    scene.run(process(20, "node", 500));
    scene.listener(&[20]);
    assert_eq!(reasons(&scene.plan(&wish())), [Reason::NotPermitted]);
}

#[test]
fn the_system_is_changed_by_ending_somebody_elses_process() {
    let mut scene = Scene::new();
    scene.run(process(20, "node", 500));
    scene.listener(&[20]);
    assert!(scene.plan(&wish()).changes_system());
    scene.caller.behalf = Some(1000);
    assert!(!scene.plan(&wish()).changes_system());
}

#[test]
fn a_service_is_stopped_by_its_unit() {
    let mut scene = Scene::new();
    scene.tools = vec!["systemctl"];
    scene.run(in_unit(process(20, "nginx", 1), "nginx.service"));
    scene.run(in_unit(process(21, "nginx", 20), "nginx.service"));
    scene.listener(&[20, 21]);
    let plan = scene.plan(&wish());
    assert_eq!(actions(&plan), [&units(&["nginx.service"])]);
    assert_eq!(plan.steps[0].pids, [20, 21]);
    assert!(plan.changes_system());
}

#[test]
fn without_systemctl_a_service_is_signalled() {
    let mut scene = Scene::new();
    scene.run(in_unit(process(20, "nginx", 1), "nginx.service"));
    scene.listener(&[20]);
    assert_eq!(actions(&scene.plan(&wish())), [&Action::Signal { pid: 20 }]);
}

#[test]
fn a_service_behind_a_wrapper_is_stopped_by_its_unit_and_a_job_of_cron_is_not() {
    for (parent, by_unit) in [("npm start", true), ("sh", true), ("cron", false), ("sshd", false)] {
        let mut scene = Scene::new();
        scene.tools = vec!["systemctl"];
        scene.others.insert(20, in_unit(process(20, parent, 1), "x.service"));
        scene.run(in_unit(process(21, "node", 20), "x.service"));
        scene.listener(&[21]);
        let plan = scene.plan(&wish());
        assert_eq!(*actions(&plan)[0] == units(&["x.service"]), by_unit, "{parent}");
    }
}

#[test]
fn the_unit_the_caller_or_its_ancestor_is_in_is_never_stopped() {
    for generation in [0, 1] {
        let mut scene = Scene::new();
        scene.tools = vec!["systemctl"];
        let process_of_the_line = scene.caller.line[generation].clone();
        scene.caller.line[generation] = in_unit(process_of_the_line, "x.service");
        scene.run(in_unit(process(20, "node", 1), "x.service"));
        scene.listener(&[20]);
        assert_eq!(actions(&scene.plan(&wish())), [&Action::Signal { pid: 20 }]);
    }
}

#[test]
fn a_service_of_a_users_manager_is_that_managers() {
    let mut scene = Scene::new();
    scene.tools = vec!["systemctl"];
    scene.others.insert(9, in_unit(process(9, "systemd", 1), "user@1000.service"));
    scene.run(in_unit(process(20, "node", 9), "web.service"));
    scene.listener(&[20]);
    let plan = scene.plan(&wish());
    let [Action::StopUnits { manager, .. }] = actions(&plan)[..] else { panic!("{plan:?}") };
    assert_eq!(*manager, Manager::User(1000));
}

#[test]
fn a_session_is_no_service() {
    let mut scene = Scene::new();
    scene.tools = vec!["systemctl"];
    scene.run(in_unit(process(20, "node", 500), "session-3.scope"));
    scene.listener(&[20]);
    assert_eq!(actions(&scene.plan(&wish())), [&Action::Signal { pid: 20 }]);
}

#[test]
fn what_process_one_listens_for_is_stopped_with_its_socket_unit_first() {
    let mut scene = Scene::new();
    scene.tools = vec!["systemctl"];
    scene.run(process(1, "systemd", 0));
    scene.run(in_unit(process(20, "cupsd", 1), "cups.service"));
    let socket = scene.listener(&[1, 20]);
    scene.stand_ins = [(socket, StandsFor::Units(vec!["cups.socket".into()]))].into();
    let plan = scene.plan(&wish());
    assert_eq!(actions(&plan), [&units(&["cups.socket", "cups.service"])]);
    assert_eq!(plan.steps[0].pids, [20]);
}

#[test]
fn a_socket_unit_whose_service_carries_the_caller_is_left_alone() {
    let mut scene = Scene::new();
    scene.tools = vec!["systemctl"];
    let shell = scene.caller.line[1].clone();
    scene.caller.line[1] = in_unit(shell, "cockpit.service");
    scene.run(process(1, "systemd", 0));
    let socket = scene.listener(&[1]);
    let units = vec!["cockpit.socket".into(), "cockpit.service".into()];
    scene.stand_ins = [(socket, StandsFor::Units(units))].into();
    assert_eq!(reasons(&scene.plan(&wish())), [Reason::WayIn]);
}

#[test]
fn what_a_users_systemd_listens_for_is_stopped_at_that_systemd() {
    let mut scene = Scene::new();
    scene.tools = vec!["systemctl"];
    scene.run(in_unit(process(20, "systemd", 1), "user@1000.service"));
    let socket = scene.listener(&[20]);
    scene.stand_ins = [(socket, StandsFor::Units(vec!["web.socket".into()]))].into();
    let plan = scene.plan(&wish());
    let [Action::StopUnits { manager, units }] = actions(&plan)[..] else { panic!("{plan:?}") };
    assert_eq!((*manager, &*units[0]), (Manager::User(1000), "web.socket"));
    assert!(plan.steps[0].pids.is_empty());
}

#[test]
fn a_container_is_stopped_by_its_runtime() {
    let mut scene = Scene::new();
    scene.tools = vec!["docker"];
    scene.run(in_container(process(20, "nginx", 1), "docker", "0123456789ab"));
    scene.listener(&[20]);
    let stop = Action::StopContainer { program: "docker".into(), name: "0123456789ab".into() };
    assert_eq!(actions(&scene.plan(&wish())), [&stop]);
}

#[test]
fn inside_a_container_its_own_processes_are_signalled() {
    let mut scene = Scene::new();
    scene.tools = vec!["docker"];
    let us = scene.caller.line[0].clone();
    scene.caller.line[0] = in_container(us, "docker", "0123456789ab");
    scene.run(in_container(process(20, "nginx", 7), "docker", "0123456789ab"));
    scene.listener(&[20]);
    assert_eq!(actions(&scene.plan(&wish())), [&Action::Signal { pid: 20 }]);
}

#[test]
fn a_proxy_is_never_signalled_and_its_container_is_stopped_where_it_is_known() {
    let mut scene = Scene::new();
    scene.tools = vec!["docker"];
    scene.run(process(20, "docker-proxy", 7));
    let socket = scene.listener(&[20]);
    assert_eq!(reasons(&scene.plan(&wish())), [Reason::Proxy]);
    let (program, name): (Box<str>, Box<str>) = ("docker".into(), "shop-web-1".into());
    let container = StandsFor::Container { program: program.clone(), name: name.clone() };
    scene.stand_ins = [(socket, container)].into();
    let plan = scene.plan(&wish());
    assert_eq!(actions(&plan), [&Action::StopContainer { program, name }]);
    assert!(plan.spared.is_empty());
}

#[test]
fn a_reservation_of_ours_is_given_back_and_not_killed() {
    let mut scene = Scene::new();
    let exe = Some("/usr/bin/portolan".into());
    let command_line = ["portolan", "hold-port"].map(Into::into).to_vec();
    scene.run(Process { exe, command_line, ..process(20, "portolan", 1) });
    scene.socket("0.0.0.0:8080", None, State::Bound, &[20]);
    assert_eq!(reasons(&scene.plan(&wish())), [Reason::Reservation]);
}

#[test]
fn every_address_that_was_held_is_to_be_proved_once_and_without_options() {
    let mut scene = Scene::new();
    scene.listener(&[20]);
    scene.listener(&[21]);
    let mapped = scene.socket("[::ffff:127.0.0.1]:8080", None, State::Listen, &[22]);
    scene.table.sockets[mapped].socket.family = Family::Ipv6;
    scene.table.sockets[mapped].socket.timer =
        Some(Timer { kind: TimerKind::TimeWait, left: std::time::Duration::ZERO });
    let plain = |address: &str| Bind::at(Transport::Tcp, address.parse().unwrap(), PORT);
    assert_eq!(proofs(&scene.table, 0..3), [plain("0.0.0.0"), plain("127.0.0.1")]);
}

#[test]
fn our_end_of_an_ssh_connection_is_the_second_pair() {
    let way = ssh_connection("2001:db8::7 50000 2001:db8::1 22").unwrap();
    let local = end("[2001:db8::1]:22");
    assert_eq!(way, WayIn { peer: end("[2001:db8::7]:50000"), local });
    let way = ssh_connection("fe80::7%eth0 50000 fe80::1%eth0 22").unwrap();
    assert_eq!(way.local, end("[fe80::1]:22"));
    for text in ["", "192.0.2.7 50000 10.0.0.1", "a b c d", "192.0.2.7 50000 10.0.0.1 70000"] {
        assert_eq!(ssh_connection(text), None, "{text}");
    }
}

#[test]
fn socket_units_are_found_by_port_and_kind() {
    let listing = "\
/run/dbus/system_bus_socket Stream dbus.socket dbus.service
0.0.0.0:8080 Stream web.socket web.service
[::]:8080 Stream web.socket web.service
[::]:8080 Datagram quic.socket -
[fe80::1]:8080%eth0 Stream local.socket
10.0.0.1:80801 Stream odd.socket odd.service
";
    let names = |transport| -> Vec<String> {
        let found = socket_units(listing, PORT, transport).into_iter();
        found.map(|(socket, service)| format!("{socket}>{service}")).collect()
    };
    assert_eq!(names(SocketTransport::Tcp), ["web.socket>web.service", "local.socket>"]);
    assert_eq!(names(SocketTransport::Udp), ["quic.socket>"]);
}

fn any_state() -> impl Strategy<Value = State> {
    prop::sample::select(&State::ALL[..])
}

fn any_unit() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(prop::sample::select(vec!["a.service", "user@7.service", "s.scope"]))
}

proptest! {
    /// Whatever the table: process 1 and the caller's line are never among those that are ended,
    /// and a plan that signals somebody names a process that holds a socket of that port.
    #[test]
    fn no_plan_ends_process_one_or_whom_the_caller_descends_from(
        sockets in prop::collection::vec(
            (any_state(), 0..3u8, any::<bool>(), prop::collection::vec(0..8usize, 0..4)), 0..8),
        placed in prop::collection::vec((any_unit(), any::<bool>()), 8),
        (clients, left, tools) in any::<(bool, bool, bool)>(),
    ) {
        const PIDS: [u32; 8] = [1, 500, 501, 20, 21, 22, 30, 31];
        let mut scene = Scene::new();
        if tools {
            scene.tools = vec!["systemctl", "docker"];
        }
        for (pid, (unit, in_docker)) in PIDS.into_iter().zip(placed) {
            let mut one = process(pid, "x", 1);
            if let Some(unit) = unit {
                one = in_unit(one, unit);
            } else if in_docker {
                one = in_container(one, "docker", "0123456789ab");
            }
            scene.run(one);
        }
        for (state, place, has_peer, holders) in sockets {
            let local = ["0.0.0.0:8080", "127.0.0.1:8080", "127.0.0.1:40000"][usize::from(place)];
            let peer = has_peer.then_some("127.0.0.1:9999");
            let mut pids: Vec<u32> = holders.iter().map(|i| PIDS[*i]).collect();
            pids.sort_unstable();
            pids.dedup();
            scene.socket(local, peer, state, &pids);
        }
        let plan = scene.plan(&Wish { clients, sockets: left, ..wish() });
        for step in &plan.steps {
            for pid in &step.pids {
                prop_assert!(!scene.caller.descends_from(*pid) && *pid != 1);
                let holds = |s: &usize| {
                    let held = &scene.table.sockets[*s];
                    held.socket.local_port() == Some(PORT)
                        && held.holders.iter().any(|h| h.pid == *pid)
                };
                prop_assert!(step.sockets.iter().any(holds));
            }
            if step.action == Action::Destroy {
                for socket in &step.sockets {
                    let state = scene.table.sockets[*socket].socket.state;
                    prop_assert!(!matches!(state, State::Listen | State::Bound));
                }
            }
        }
        prop_assert!(left || !plan.steps.iter().any(|s| s.action == Action::Destroy));
    }

    #[test]
    fn any_listing_of_socket_units_is_read(text in ".{0,200}") {
        let _ = socket_units(&text, PORT, SocketTransport::Tcp);
        let _ = ssh_connection(&text);
    }
}
