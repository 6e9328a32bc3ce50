//! Every rule, where it speaks and where it is silent.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::inventory::{Inventory, file};
use crate::net::{Endpoint, Port, PortRange, PortSet, Prefix, Severity};
use crate::registry::Registry;
use crate::socket::{
    Address, Container, Family, Held, Holder, InterfaceAddress, LocalPorts, Machine, Placement,
    PortChoice, Process, Queues, Socket, SocketTable, SocketTransport, State, Unowned, Via,
};

use super::*;

/// A machine with an inventory and some sockets.
struct World {
    inventory: Inventory,
    sockets: SocketTable,
    machine: Machine,
}

/// A host `web` with 10.0.0.1 on eth0 and 192.0.2.1 on eth1; 9 March 2026.
fn world(entries: &str) -> World {
    let text = format!("portolan = 1\n[hosts.web]\naddress = [\"10.0.0.1\"]\n{entries}");
    let inventory = file::parse("portolan.toml", text.as_bytes()).expect("the test's inventory");
    let address = |interface: &str, address: &str, network: &str| InterfaceAddress {
        interface: interface.to_owned(),
        address: address.parse().unwrap(),
        network: network.parse().unwrap(),
    };
    let addresses = vec![
        address("lo", "127.0.0.1", "127.0.0.0/8"),
        address("eth0", "10.0.0.1", "10.0.0.0/24"),
        address("eth1", "192.0.2.1", "192.0.2.0/24"),
    ];
    let machine = Machine { hostname: "web".to_owned(), addresses, ..Machine::default() };
    World { inventory, sockets: SocketTable::default(), machine }
}

impl World {
    fn tcp(self, local: &str) -> Self {
        self.socket(SocketTransport::Tcp, local, |_| {})
    }

    fn udp(self, local: &str) -> Self {
        self.socket(SocketTransport::Udp, local, |_| {})
    }

    /// One more listener, held by a process of its own unless `change` says otherwise.
    fn socket(
        mut self,
        transport: SocketTransport,
        local: &str,
        change: impl FnOnce(&mut Held),
    ) -> Self {
        let local: SocketAddr = local.parse().expect("the test's address");
        let inode = 1000 + self.sockets.sockets.len() as u64;
        let tcp = transport == SocketTransport::Tcp;
        let socket = Socket {
            transport,
            family: if local.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 },
            local: Address::Inet(Endpoint::new(local.ip(), Port(local.port()))),
            peer: None,
            state: if tcp { State::Listen } else { State::Unconn },
            v6only: local.is_ipv6().then_some(false),
            device: None,
            netns: 1,
            cookie: None,
            inode,
            uid: Some(0),
            port_choice: Some(PortChoice::Fixed),
            backlog: None,
            queues: Queues::default(),
            cgroup: None,
            reuse: None,
            timer: None,
            transparent: None,
            mark: None,
        };
        let mut held = Held { socket, holders: Vec::new(), unowned: Some(Unowned::NotPermitted) };
        change(&mut held);
        self.sockets.sockets.push(held);
        self
    }

    /// Gives the last socket to a process.
    fn held_by(self, name: &str, user: &str) -> Self {
        self.held_in(name, user, Placement::default())
    }

    fn held_in(mut self, name: &str, user: &str, placement: Placement) -> Self {
        let pid = 100 + u32::try_from(self.sockets.processes.len()).unwrap();
        let process = Process {
            pid,
            name: name.into(),
            exe: Some(format!("/usr/sbin/{name}").into()),
            user: Some(user.into()),
            placement,
            ..Process::default()
        };
        self.sockets.processes.insert(pid, process);
        let held = self.sockets.sockets.last_mut().expect("a socket to hold");
        held.holders.push(Holder { pid, fd: Some(3), via: Via::Fd });
        held.unowned = None;
        self
    }

    fn judged(&self) -> Judgement {
        judge(&Scene {
            inventory: &self.inventory,
            host: self.inventory.host("web").expect("the host web"),
            sockets: &self.sockets,
            machine: &self.machine,
            registry: &Registry::embedded(),
            openings: &[],
            drifts: &[],
            now: "2026-03-09T12:00:00Z".parse().unwrap(),
        })
    }

    /// What one rule found.
    fn by(&self, rule: Rule) -> Vec<Finding> {
        self.judged().findings.into_iter().filter(|f| f.rule == rule).collect()
    }

    /// The one finding of a rule.
    #[track_caller]
    fn one(&self, rule: Rule) -> Finding {
        let mut found = self.by(rule);
        assert_eq!(found.len(), 1, "{rule}: {found:#?}");
        found.remove(0)
    }

    #[track_caller]
    fn silent(&self, rule: Rule) {
        let found = self.by(rule);
        assert!(found.is_empty(), "{rule}: {found:#?}");
    }
}

fn unit(name: &str) -> Placement {
    Placement { unit: Some(name.into()), container: None }
}

const SSH: &str = "[services.ssh]\non = [\"web\"]\nports = [\"22/tcp\"]\nfrom = [\"any\"]\n\
                   security = \"keys only\"\n";

fn service(rest: &str) -> String {
    format!("[services.app]\non = [\"web\"]\nports = [\"8080/tcp\"]\n{rest}\n")
}

#[test]
fn a_listener_that_nobody_declared_is_told_once_with_the_hosts_line() {
    let world = world("").tcp("0.0.0.0:18080").held_by("python3", "ann").tcp("[::]:18080");
    let finding = world.one(Rule::P101);
    assert_eq!(finding.subject.to_string(), "18080/tcp");
    assert_eq!(finding.severity, Severity::High);
    assert_eq!(finding.location, Some(FileLine { file: "portolan.toml".to_owned(), line: 2 }));
    let evidence = finding.evidence.join("\n");
    for fact in ["0.0.0.0:18080", "inode 1000", "python3 (pid 100)", "user ann", "[::]:18080"] {
        assert!(evidence.contains(fact), "{fact} in {evidence}");
    }
}

#[test]
fn an_undeclared_listener_on_loopback_is_low_and_on_a_private_address_medium() {
    assert_eq!(world("").tcp("127.0.0.1:9000").one(Rule::P101).severity, Severity::Low);
    assert_eq!(world("").tcp("10.0.0.1:9000").one(Rule::P101).severity, Severity::Medium);
}

#[test]
fn a_declared_listener_is_expected() {
    world(SSH).tcp("0.0.0.0:22").silent(Rule::P101);
}

#[test]
fn udp_is_unexpected_only_where_its_program_asked_for_the_number() {
    let chosen = |choice| {
        world("").socket(SocketTransport::Udp, "0.0.0.0:40000", |h| h.socket.port_choice = choice)
    };
    assert_eq!(chosen(Some(PortChoice::Fixed)).by(Rule::P101).len(), 1);
    chosen(Some(PortChoice::Kernel)).silent(Rule::P101);
    chosen(None).silent(Rule::P101);
}

#[test]
fn the_id_stays_while_what_was_seen_changes() {
    let first = world("").tcp("0.0.0.0:18080").held_by("python3", "ann").one(Rule::P101);
    let second = world("").tcp("127.0.0.1:18080").held_by("nc", "bob").one(Rule::P101);
    assert_eq!(first.id(), second.id());
    assert_ne!(first.id(), world("").tcp("0.0.0.0:18081").one(Rule::P101).id());
}

#[test]
fn a_declared_service_that_does_not_listen_is_missed() {
    let finding = world(SSH).one(Rule::P102);
    assert_eq!(finding.subject.to_string(), "22/tcp");
    assert_eq!(finding.service.as_deref(), Some("ssh"));
    assert_eq!(finding.location.map(|l| l.line), Some(4));
    world(SSH).tcp("0.0.0.0:22").silent(Rule::P102);
}

#[test]
fn a_service_expected_sometimes_or_planned_or_retired_is_not_missed() {
    world(&service("expect = \"sometimes\"")).silent(Rule::P102);
    world(&service("status = \"planned\"")).silent(Rule::P102);
    world(&service("status = \"retired\"")).silent(Rule::P102);
}

#[test]
fn of_several_hosts_one_of_which_runs_it_this_one_is_not_accused() {
    let entries = "[hosts.web2]\naddress = [\"10.0.0.2\"]\n[services.vip]\non = [\"*\"]\n\
                   ports = [\"8080/tcp\"]\nexpect = \"one-of\"\n";
    let judgement = world(entries).judged();
    assert!(judgement.findings.is_empty(), "{:#?}", judgement.findings);
    assert_eq!(judgement.gaps.len(), 1);
    assert!(!judgement.gaps[0].is_incomplete());
    world(&service("expect = \"one-of\"")).one(Rule::P102);
}

#[test]
fn a_range_is_missed_only_when_nothing_in_it_listens() {
    let entries = "[services.rtp]\non = [\"web\"]\nports = [\"5000-5010/tcp\"]\n";
    assert_eq!(world(entries).one(Rule::P102).subject.to_string(), "5000-5010/tcp");
    world(entries).tcp("127.0.0.1:5003").silent(Rule::P102);
}

#[test]
fn a_service_on_loopback_that_others_need_listens_in_the_wrong_place() {
    let needed = service("from = [\"any\"]");
    let finding = world(&needed).tcp("127.0.0.1:8080").one(Rule::P102);
    assert!(finding.message.contains("not where it is needed"), "{}", finding.message);
    world(&needed).tcp("0.0.0.0:8080").silent(Rule::P102);
    world(&service("")).tcp("127.0.0.1:8080").silent(Rule::P102);
}

#[test]
fn an_address_of_bind_that_is_not_listened_on_is_missed() {
    let bound = service("from = [\"any\"]\nbind = [\"10.0.0.1\", \"192.0.2.1\"]");
    let finding = world(&bound).tcp("10.0.0.1:8080").one(Rule::P102);
    assert!(finding.message.contains("192.0.2.1"), "{}", finding.message);
    world(&bound).tcp("10.0.0.1:8080").tcp("192.0.2.1:8080").silent(Rule::P102);
}

#[test]
fn sources_of_one_family_need_a_socket_of_that_family() {
    let v6 = service("from = [\"2001:db8::/32\"]");
    world(&v6).tcp("0.0.0.0:8080").one(Rule::P102);
    world(&v6).tcp("[::]:8080").silent(Rule::P102);
    let v4 = service("from = [\"192.0.2.0/24\"]");
    world(&v4).tcp("[::]:8080").silent(Rule::P102);
}

#[test]
fn another_program_on_a_declared_port_is_the_wrong_one() {
    let sshd = format!("{SSH}process = \"sshd\"\n");
    let finding = world(&sshd).tcp("0.0.0.0:22").held_by("nc", "root").one(Rule::P103);
    assert!(finding.message.contains("held by nc, not sshd"), "{}", finding.message);
    assert_eq!(finding.severity, Severity::High);
    world(&sshd).tcp("0.0.0.0:22").held_by("sshd", "root").silent(Rule::P103);
}

#[test]
fn a_socket_unit_holds_the_port_of_the_service_it_starts() {
    let sshd = format!("{SSH}process = \"sshd\"\n");
    world(&sshd)
        .tcp("0.0.0.0:22")
        .held_in("systemd", "root", unit("ssh.socket"))
        .silent(Rule::P103);
    world(&sshd).tcp("0.0.0.0:22").held_in("systemd", "root", unit("cups.socket")).one(Rule::P103);
}

#[test]
fn user_unit_executable_and_container_are_each_compared() {
    for (key, right, wrong) in [
        ("user", "www-data", "ann"),
        ("unit", "app.service", "other.service"),
        ("exe", "/usr/sbin/app", "/opt/app"),
        ("container", "shop/edge", "shop/db"),
    ] {
        let container = Container {
            runtime: "docker".into(),
            id: "0123456789abcdef".into(),
            name: Some("shop-edge-1".into()),
            project: Some("shop".into()),
            service: Some("edge".into()),
        };
        let placement =
            Placement { unit: Some("app.service".into()), container: Some(Arc::new(container)) };
        let declared = |value| {
            let world = world(&service(&format!("{key} = \"{value}\""))).tcp("127.0.0.1:8080");
            world.held_in("app", "www-data", placement.clone())
        };
        declared(right).silent(Rule::P103);
        assert_eq!(declared(wrong).one(Rule::P103).severity, Severity::Medium, "{key}");
    }
}

#[test]
fn a_holder_that_cannot_be_seen_is_a_gap_and_no_finding() {
    let world = world(&service("process = \"app\"")).tcp("127.0.0.1:8080");
    let judgement = world.judged();
    assert!(judgement.findings.is_empty(), "{:#?}", judgement.findings);
    assert_eq!(judgement.gaps.len(), 1);
    assert!(judgement.gaps[0].is_incomplete());
    assert_eq!(judgement.gaps[0].hint, "run with sudo");
}

#[test]
fn one_process_of_several_being_the_right_user_is_enough() {
    let world = world(&service("user = \"www-data\"")).tcp("127.0.0.1:8080");
    world.held_by("nginx", "root").held_by("nginx", "www-data").silent(Rule::P103);
}

#[test]
fn the_publisher_of_a_container_is_not_taken_for_the_wrong_container() {
    let world = world(&service("container = \"shop/edge\"")).tcp("127.0.0.1:8080");
    let judgement = world.held_by("docker-proxy", "root").judged();
    assert!(judgement.findings.is_empty(), "{:#?}", judgement.findings);
    assert_eq!(judgement.gaps.len(), 1);
}

#[test]
fn without_from_anything_but_loopback_is_too_wide() {
    let finding = world(&service("")).tcp("0.0.0.0:8080").one(Rule::P104);
    assert_eq!(finding.severity, Severity::High);
    assert!(finding.message.contains("loopback only"), "{}", finding.message);
    world(&service("")).tcp("127.0.0.1:8080").silent(Rule::P104);
    world(&service("from = [\"any\"]")).tcp("0.0.0.0:8080").silent(Rule::P104);
}

#[test]
fn bind_and_at_say_how_wide_is_too_wide() {
    let listed = service("from = [\"any\"]\nbind = [\"10.0.0.1\"]");
    world(&listed).tcp("0.0.0.0:8080").one(Rule::P104);
    world(&listed).tcp("10.0.0.1:8080").silent(Rule::P104);
    world(&service("from = [\"any\"]\nbind = \"loopback\"")).tcp("10.0.0.1:8080").one(Rule::P104);
    world(&service("bind = \"any\"")).tcp("0.0.0.0:8080").silent(Rule::P104);
    let on_lan =
        format!("[networks]\nlan = \"10.0.0.0/24\"\n{}", service("from = [\"lan\"]\nat = \"lan\""));
    world(&on_lan).tcp("192.0.2.1:8080").one(Rule::P104);
    world(&on_lan).tcp("10.0.0.1:8080").silent(Rule::P104);
}

#[test]
fn a_socket_bound_to_the_interface_of_at_is_narrow_enough() {
    let on_lan =
        format!("[networks]\nlan = \"10.0.0.0/24\"\n{}", service("from = [\"lan\"]\nat = \"lan\""));
    let on = |device: &'static str| {
        world(&on_lan).socket(SocketTransport::Tcp, "0.0.0.0:8080", move |h| {
            h.socket.device = Some(device.into());
        })
    };
    on("eth0").silent(Rule::P104);
    on("eth1").one(Rule::P104);
}

#[test]
fn a_forward_that_leads_to_a_service_lets_it_leave_loopback() {
    let entries = format!(
        "[hosts.bastion]\naddress = [\"10.0.0.9\"]\n{}[forwards.in]\non = \"bastion\"\n\
         listen = \"9999/tcp\"\nto = \"app@web\"\nvia = \"proxy\"\nfrom = [\"any\"]\n",
        service("")
    );
    world(&entries).tcp("10.0.0.1:8080").silent(Rule::P104);
}

#[test]
fn two_services_that_want_one_number_conflict() {
    let two = |other: &str| {
        format!(
            "{}[services.b]\non = [\"web\"]\nports = [\"8080/tcp\"]\n{other}\n",
            service("from = [\"any\"]")
        )
    };
    let finding = world(&two("from = [\"any\"]")).one(Rule::P109);
    assert_eq!(finding.service.as_deref(), Some("b"));
    assert!(finding.evidence[0].contains("app at portolan.toml:4"), "{:?}", finding.evidence);
    world(&two("")).silent(Rule::P109);
    world(&two("from = [\"any\"]\nstatus = \"retired\"")).silent(Rule::P109);
    let program = "from = [\"any\"]\nprocess = \"caddy\"";
    let of_one = two(program).replace(&service("from = [\"any\"]"), &service(program));
    world(&of_one).silent(Rule::P109);
    world(&of_one.replacen("caddy", "other", 1)).one(Rule::P109);
    world(&two("status = \"planned\"\nbind = \"any\"")).one(Rule::P109);
}

#[test]
fn services_on_different_addresses_share_a_number() {
    let bound = |address: &str| format!("from = [\"any\"]\nbind = [\"{address}\"]");
    let two = |other: &str| {
        format!(
            "{}[services.b]\non = [\"web\"]\nports = [\"8080/tcp\"]\n{other}\n",
            service(&bound("10.0.0.1"))
        )
    };
    world(&two(&bound("192.0.2.1"))).silent(Rule::P109);
    world(&two(&bound("10.0.0.1"))).one(Rule::P109);
}

#[test]
fn a_forward_a_door_and_a_pool_clash_with_a_service_too() {
    for (other, told) in [
        (
            "[forwards.f]\non = \"web\"\nlisten = \"8080/tcp\"\nto = \"10.0.0.7:80\"\nvia = \"nat\"\n",
            "forward f",
        ),
        (
            "[doors.d]\non = \"web\"\nmethod = \"spa\"\nlisten = \"8080/tcp\"\nkeys = \"k\"\n",
            "door d",
        ),
        ("[pools.p]\non = [\"web\"]\nrange = \"8000-8099\"\n", "pool p"),
    ] {
        let finding = world(&format!("{}{other}", service(""))).one(Rule::P109);
        assert!(finding.message.starts_with(told), "{}", finding.message);
    }
}

#[test]
fn a_planned_number_that_listens_is_taken_and_not_unexpected() {
    let planned = world(&service("status = \"planned\"")).tcp("0.0.0.0:8080").held_by("nc", "ann");
    let finding = planned.one(Rule::P110);
    assert_eq!(finding.service.as_deref(), Some("app"));
    planned.silent(Rule::P101);
    world(&service("status = \"planned\"")).silent(Rule::P110);
}

#[test]
fn a_number_of_a_pool_taken_undeclared_is_told() {
    let pool = "[pools.previews]\non = [\"web\"]\nrange = \"20000-20099\"\n";
    let world = |at: &str| world(pool).tcp(at);
    assert_eq!(world("127.0.0.1:20007").one(Rule::P110).severity, Severity::Low);
    world("127.0.0.1:20007").one(Rule::P101);
    world("127.0.0.1:20100").silent(Rule::P110);
}

#[test]
fn a_fixed_number_the_kernel_hands_out_comes_with_the_line_that_reserves_it() {
    let entries = "[services.app]\non = [\"web\"]\nports = [\"40000/tcp\"]\n";
    let mut world = world(entries).tcp("127.0.0.1:40000");
    world.machine.ports.reserved = [PortRange::from(Port(50051))].into_iter().collect();
    let finding = world.one(Rule::P111);
    let line = "sysctl -w net.ipv4.ip_local_reserved_ports=40000,50051";
    assert!(finding.remedy.starts_with(line), "{}", finding.remedy);
    world.machine.ports.reserved.insert(Port(40000));
    world.silent(Rule::P111);
    world.machine.ports = LocalPorts {
        ephemeral: PortRange::new(Port(20000), Port(30000)).unwrap(),
        ..LocalPorts::default()
    };
    world.silent(Rule::P111);
    world.machine.ports.ephemeral = PortRange::new(Port(40000), Port(40000)).unwrap();
    world.machine.ports.reserved = PortSet::new();
    world.one(Rule::P111);
}

#[test]
fn a_number_the_kernel_itself_chose_is_not_fixed() {
    let entries = "[services.app]\non = [\"web\"]\nports = [\"40000/tcp\"]\n";
    let world = world(entries).socket(SocketTransport::Tcp, "127.0.0.1:40000", |h| {
        h.socket.port_choice = Some(PortChoice::Kernel);
    });
    world.silent(Rule::P111);
}

#[test]
fn node_ports_matter_on_a_node_of_kubernetes() {
    let entries = "[services.app]\non = [\"web\"]\nports = [\"31000/tcp\"]\n";
    world(entries).silent(Rule::P111);
    let node = world(entries).tcp("127.0.0.1:10250").held_by("kubelet", "root");
    assert!(node.one(Rule::P111).message.contains("NodePort"));
}

#[test]
fn a_review_is_announced_then_overdue() {
    let reviewed = |every: &str, on: &str| {
        service(&format!("review = \"{every}\"\napproved = {{ by = \"ann\", on = {on} }}"))
    };
    // 9 March 2026 is 189 days after 1 September 2025.
    assert_eq!(world(&reviewed("180d", "2025-09-01")).one(Rule::P112).severity, Severity::Low);
    assert_eq!(world(&reviewed("200d", "2025-09-01")).one(Rule::P112).severity, Severity::Note);
    world(&reviewed("365d", "2025-09-01")).silent(Rule::P112);
}

#[test]
fn an_approval_counts_on_its_last_day_and_not_after() {
    let until = |day: &str| service(&format!("approved = {{ by = \"ann\", until = {day} }}"));
    assert_eq!(world(&until("2026-03-08")).one(Rule::P112).severity, Severity::Medium);
    assert_eq!(world(&until("2026-03-09")).one(Rule::P112).severity, Severity::Note);
    world(&until("2026-12-31")).silent(Rule::P112);
}

/// It is noon, 9 March.
#[test]
fn an_approval_for_hours_counts_in_hours() {
    let until = |time: &str| {
        let approved = format!("approved = {{ until = 2026-03-{time}Z }}");
        world(&service(&approved)).one(Rule::P112)
    };
    let soon = until("09T13:20:00");
    assert_eq!(
        (soon.severity, &*soon.message),
        (Severity::Note, "app: approval ends in 1h 20m (2026-03-09T13:20:00Z)")
    );
    let over = until("09T11:59:30");
    assert_eq!(over.severity, Severity::Medium);
    assert_eq!(
        over.message,
        "app: approval ended less than a minute ago (2026-03-09T11:59:30Z): it is closed"
    );
    assert!(over.remedy.contains("delete [services.app]"), "{}", over.remedy);
    assert!(until("07T10:00:00").message.contains("ended on 2026-03-07"));
    assert_eq!(until("12T10:00:00").message, "app: approval ends on 2026-03-12");
}

#[test]
fn an_entry_without_any_date_is_a_note_and_no_finding() {
    let judgement = world(&service("expect = \"sometimes\"\nreview = \"180d\"")).judged();
    assert!(judgement.findings.is_empty(), "{:#?}", judgement.findings);
    assert_eq!(judgement.notes.len(), 1, "{:?}", judgement.notes);
}

const REDIS: &str = "[services.redis]\non = [\"web\"]\nports = [\"6379/tcp\"]\n";

#[test]
fn risk_is_silent_on_loopback_and_loud_where_anyone_can_come() {
    world(REDIS).tcp("127.0.0.1:6379").silent(Rule::P116);
    world("").tcp("127.0.0.1:6379").silent(Rule::P116);
    let open = format!("{REDIS}from = [\"any\"]\nsecurity = \"a password\"\n");
    assert_eq!(world(&open).tcp("0.0.0.0:6379").one(Rule::P116).severity, Severity::Critical);
    assert_eq!(world("").tcp("0.0.0.0:6379").one(Rule::P116).service, None);
}

#[test]
fn risk_that_few_can_reach_wants_a_note_and_no_more() {
    let near = format!("{REDIS}from = [\"10.0.0.0/24\"]\n");
    let finding = world(&near).tcp("10.0.0.1:6379").one(Rule::P116);
    assert_eq!(finding.severity, Severity::Medium);
    assert!(finding.message.contains("`security`"), "{}", finding.message);
    let noted = format!("{near}security = \"ACL and TLS\"\n");
    world(&noted).tcp("10.0.0.1:6379").silent(Rule::P116);
}

#[test]
fn observed_is_audited_like_active_and_still_risky() {
    let observed = format!("{REDIS}from = [\"any\"]\nstatus = \"observed\"\n");
    let world = world(&observed).tcp("0.0.0.0:6379");
    world.silent(Rule::P101);
    world.one(Rule::P116);
    assert_eq!(world.one(Rule::P117).severity, Severity::Note);
}

#[test]
fn what_init_left_to_do_is_a_note_each() {
    let todo = service("purpose = \"TODO\"\nexpect = \"sometimes\"");
    let finding = world(&todo).one(Rule::P117);
    assert_eq!((finding.severity, finding.subject.to_string()), (Severity::Note, "app".to_owned()));
    world(&service("purpose = \"the TODOS app\"\nexpect = \"sometimes\"")).silent(Rule::P117);
}

#[test]
fn a_retired_service_that_listens_is_back() {
    let retired = world(&service("status = \"retired\"")).tcp("0.0.0.0:8080");
    assert_eq!(retired.one(Rule::P118).severity, Severity::High);
    retired.silent(Rule::P101);
    world(&service("status = \"retired\"")).silent(Rule::P118);
    let followed = format!(
        "{}[services.b]\non = [\"web\"]\nports = [\"8080/tcp\"]\nbind = \"any\"\n",
        service("status = \"retired\"")
    );
    world(&followed).tcp("0.0.0.0:8080").silent(Rule::P118);
}

#[test]
fn what_is_accepted_is_told_apart_until_its_last_day() {
    let ignore = |until: &str| {
        format!(
            "[[ignore]]\nmatch = {{ ports = [\"9000/tcp\"] }}\nreason = \"agent\"\nuntil = {until}\n"
        )
    };
    let accepted = world(&ignore("2026-03-09")).tcp("127.0.0.1:9000").judged();
    assert!(accepted.findings.is_empty(), "{:#?}", accepted.findings);
    assert_eq!(accepted.accepted[0].reason, "agent");
    let ended = world(&ignore("2026-03-08")).tcp("127.0.0.1:9000").judged();
    assert_eq!(ended.findings.len(), 1);
    assert!(ended.notes.iter().any(|n| n.contains("ended on 2026-03-08")), "{:?}", ended.notes);
}

#[test]
fn an_ignore_covers_only_what_every_field_agrees_with() {
    let ignore = |fields: &str| format!("[[ignore]]\nmatch = {{ {fields} }}\nreason = \"known\"\n");
    let found = |fields: &str| {
        let world =
            world(&ignore(fields)).tcp("127.0.0.1:9000").held_by("systemd-resolve", "resolve");
        world.by(Rule::P101).len()
    };
    assert_eq!(found("process = \"systemd-resolved\", bind = \"loopback\""), 0);
    assert_eq!(found("process = \"systemd-resolve\", bind = \"any\""), 1);
    assert_eq!(found("user = \"resolve\", rule = \"P101\""), 0);
    assert_eq!(found("user = \"resolve\", rule = \"P104\""), 1);
    assert_eq!(found("process = \"other\""), 1);
}

#[test]
fn a_port_that_an_entry_names_twice_is_one_finding() {
    let world =
        world("[services.app]\non = [\"web\"]\nports = [\"80/tcp\", \"80/tcp\", \"80/tcp+udp\"]\n");
    let subjects: Vec<String> =
        world.by(Rule::P102).iter().map(|f| f.subject.to_string()).collect();
    assert_eq!(subjects, ["80/tcp", "80/udp"]);
}

#[test]
fn no_two_findings_of_one_run_have_the_same_id() {
    let forward = |name: &str| {
        format!(
            "[forwards.{name}]\non = \"web\"\nlisten = \"80/tcp\"\nto = \"10.0.0.9:80\"\nvia = \"nat\"\n"
        )
    };
    let world = world(&["a", "b", "c"].map(forward).concat());
    let conflict = world.one(Rule::P109);
    assert_eq!(conflict.message, "forward c wants 80/tcp, and so does forward a, forward b");
}

#[test]
fn an_ignore_knows_a_user_by_number_where_no_file_has_the_name() {
    let entries = "[[ignore]]\nmatch = { user = \"4711\" }\nreason = \"x\"\n";
    let by_number = world(entries)
        .socket(SocketTransport::Tcp, "0.0.0.0:81", |held| held.socket.uid = Some(4711));
    by_number.silent(Rule::P101);
    world(entries).tcp("0.0.0.0:81").one(Rule::P101);
}

#[test]
fn an_ignore_of_an_interface_covers_a_socket_bound_to_its_device() {
    let entries = "[[ignore]]\nmatch = { bind = [\"iface:eth0\"] }\nreason = \"x\"\n";
    let on_device = world(entries).socket(SocketTransport::Tcp, "0.0.0.0:81", |held| {
        held.socket.device = Some("eth0".into());
    });
    on_device.silent(Rule::P101);
    world(entries).tcp("0.0.0.0:81").one(Rule::P101);
}

#[test]
fn a_second_program_on_an_accepted_port_is_not_accepted_with_it() {
    let ignore = "[[ignore]]\nmatch = { process = \"mdns\" }\nreason = \"known\"\n";
    let world = world(ignore).udp("0.0.0.0:5353").held_by("mdns", "root");
    world.silent(Rule::P101);
    world.udp("10.0.0.1:5353").held_by("other", "root").one(Rule::P101);
}

#[test]
fn sockets_of_a_shared_port_go_to_the_service_whose_program_holds_them() {
    let two = "[services.mdns]\non = [\"web\"]\nports = [\"5353/udp\"]\nfrom = [\"any\"]\n\
               process = \"avahi\"\n[services.cast]\non = [\"web\"]\nports = [\"5353/udp\"]\n\
               from = [\"any\"]\nprocess = \"chrome\"\n";
    let world = world(two);
    let world = world.udp("0.0.0.0:5353").held_by("avahi", "root");
    let world = world.udp("0.0.0.0:5353").held_by("chrome", "ann");
    world.silent(Rule::P103);
    world.silent(Rule::P102);
}

#[test]
fn the_most_severe_comes_first() {
    let world = world("").tcp("127.0.0.1:9000").tcp("0.0.0.0:6379").tcp("10.0.0.1:9001");
    let severities: Vec<Severity> = world.judged().findings.iter().map(|f| f.severity).collect();
    assert!(severities.is_sorted_by(|a, b| a >= b), "{severities:?}");
}

#[test]
fn a_prefix_reaches_as_far_as_its_scope() {
    let reach = |text: &str| {
        let prefixes = vec![text.parse::<Prefix>().unwrap()];
        Reach::of_extent(&crate::inventory::SourceExtent { prefixes, ..Default::default() })
    };
    assert_eq!(reach("127.0.0.0/8"), Reach::Machine);
    assert_eq!(reach("10.0.0.0/8"), Reach::Site);
    assert_eq!(reach("203.0.113.0/28"), Reach::Named);
    assert_eq!(reach("0.0.0.0/0"), Reach::Anyone);
}
