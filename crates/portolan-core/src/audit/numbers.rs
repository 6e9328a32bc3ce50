//! Numbers that will not hold: P109, two who want one, and P111, one the kernel may hand out.

use crate::inventory::{Declared, DoorMethod, Location, PortSpec, Status};
use crate::net::{Port, PortRange, Severity, Transport};
use crate::socket::PortChoice;

use super::case::{Case, Entry, Words};
use super::{Rule, Subject};

/// Speaks for every number that is declared here, whether it listens or not.
pub(super) fn judge(case: &mut Case<'_>) {
    for claim in 0..case.claims.declared.len() {
        conflicts(case, claim);
    }
    let reservation = Reservation::of(case);
    for entry in 0..case.entries.len() {
        unsafe_numbers(case, entry, &reservation);
    }
}

/// P109 for a claim that meets one further up in the file; so each pair is told once.
fn conflicts(case: &mut Case<'_>, claim: usize) {
    let declared = case.claims.declared[claim];
    if !wants_its_numbers(declared) {
        return;
    }
    for (range, transport) in declared.pairs() {
        let mut others = case.claims.overlapping(range, transport);
        others.retain(|other| *other < claim && clash(case, *other, claim));
        if others.is_empty() {
            continue;
        }
        let evidence = others.iter().map(|o| told(case, case.claims.declared[*o])).collect();
        let names: Vec<String> = others.iter().map(|o| title(case.claims.declared[*o])).collect();
        let subject = Subject::Ports(range, transport);
        let only_pools = others.iter().chain([&claim]).any(|c| is_pool(case.claims.declared[*c]));
        let severity = if only_pools { Severity::Low } else { Severity::Medium };
        let service = match declared {
            Declared::Service(service) => Some(service.name.as_str()),
            _ => None,
        };
        let words = Words {
            message: format!(
                "{} wants {subject}, and so does {}",
                title(declared),
                names.join(", ")
            ),
            evidence,
            remedy: "give one of them another number or address, or retire it".to_owned(),
            at: place_of(declared, range),
            sockets: Vec::new(),
        };
        case.find(Rule::P109, severity, subject, service, words);
    }
}

/// A retired service wants nothing any more, one for a while is more access to another's port, and a knocking sequence only listens in passing.
fn wants_its_numbers(declared: Declared<'_>) -> bool {
    match declared {
        Declared::Service(service) => {
            service.status != Status::Retired && !service.docs.is_for_a_while()
        }
        Declared::Door(door) => matches!(door.method, DoorMethod::Spa { .. }),
        Declared::Forward(_) | Declared::Pool(_) => true,
    }
}

fn clash(case: &Case<'_>, a: usize, b: usize) -> bool {
    let both = [case.claims.declared[a], case.claims.declared[b]];
    if !both.iter().all(|d| wants_its_numbers(*d)) {
        return false;
    }
    // Each lets others in to what one program listens on.
    if let [Declared::Service(one), Declared::Service(two)] = both
        && !one.process.is_empty()
        && one.process == two.process
    {
        return false;
    }
    // The entries are the first claims, in the same order.
    match (case.entries.get(a), case.entries.get(b)) {
        (Some(one), Some(two)) => one.allowed.overlaps(&two.allowed),
        _ => true,
    }
}

fn is_pool(declared: Declared<'_>) -> bool {
    matches!(declared, Declared::Pool(_))
}

fn title(declared: Declared<'_>) -> String {
    match declared {
        Declared::Service(service) => service.name.clone(),
        Declared::Forward(forward) => format!("forward {}", forward.name),
        Declared::Door(door) => format!("door {}", door.name),
        Declared::Pool(pool) => format!("pool {}", pool.name),
    }
}

fn told(case: &Case<'_>, declared: Declared<'_>) -> String {
    format!("{} at {}", title(declared), case.place(declared.at()))
}

/// The item of `ports` that names the range, else the table.
fn place_of<'a>(declared: Declared<'a>, range: PortRange) -> &'a Location {
    let Declared::Service(service) = declared else { return declared.at() };
    let names = |spec: &PortSpec| spec.pairs().any(|(r, _)| r == range);
    service.ports.iter().find(|p| names(&p.value)).map_or(&service.at, |p| &p.at)
}

/// P111: a number that is handed out to others, for an entry that wants it for itself.
fn unsafe_numbers(case: &mut Case<'_>, entry: usize, reservation: &Reservation) {
    for (range, transport, at) in fixed_numbers(case, entry) {
        let service = case.entries[entry].service;
        let told = ephemeral(case, range, &service.name, reservation);
        let Some((message, evidence, remedy)) =
            told.or_else(|| node_port(case, range, &service.name))
        else {
            continue;
        };
        let subject = Subject::Ports(range, transport);
        let words = Words { message, evidence, remedy, at, sockets: Vec::new() };
        case.find(Rule::P111, Severity::Low, subject, Some(&service.name), words);
    }
}

/// The numbers an entry wants, with the place that says so; not those that the kernel chose for
/// what listens there, since they are not fixed.
fn fixed_numbers<'a>(case: &Case<'a>, entry: usize) -> Vec<(PortRange, Transport, &'a Location)> {
    let entry = &case.entries[entry];
    if entry.service.status == Status::Retired {
        return Vec::new();
    }
    let ports = entry.service.ports.iter();
    let wanted = ports.flat_map(|p| p.value.pairs().map(|(range, t)| (range, t, &p.at)));
    wanted.filter(|(range, t, _)| !is_kernel_chosen(entry, *range, *t)).collect()
}

fn is_kernel_chosen(entry: &Entry<'_>, range: PortRange, transport: Transport) -> bool {
    let mut held = entry.held_in(range, transport).peekable();
    held.peek().is_some()
        && held.all(|h| h.sockets.iter().all(|s| s.socket.port_choice == Some(PortChoice::Kernel)))
}

/// The ports of a range that the kernel may hand out: in its range and not reserved.
fn handed_out(case: &Case<'_>, range: PortRange) -> impl Iterator<Item = Port> {
    let ports = &case.scene.machine.ports;
    let inside = |port: &Port| ports.ephemeral.contains(*port) && !ports.reserved.contains(*port);
    range.iter().filter(inside)
}

/// What the kernel has reserved, and what it would have to.
struct Reservation {
    /// `is empty`, `is 50051`.
    now: String,
    /// The line that reserves every number declared here that the kernel may hand out: the setting
    /// is replaced as a whole, so a line for each would undo the one before. None where it would
    /// be too long to read.
    line: Option<String>,
}

impl Reservation {
    fn of(case: &Case<'_>) -> Self {
        let now = &case.scene.machine.ports.reserved;
        let mut wanted = now.clone();
        for entry in 0..case.entries.len() {
            for (range, ..) in fixed_numbers(case, entry) {
                handed_out(case, range).for_each(|port| wanted.insert(port));
            }
        }
        let short = wanted.ranges().len() <= MOST_RANGES;
        let line = short.then(|| format!("sysctl -w net.ipv4.ip_local_reserved_ports={wanted}"));
        let now = match now.ranges().len() {
            0 => "is empty".to_owned(),
            1..=MOST_RANGES => format!("is {now}"),
            count => format!("has {count} ranges"),
        };
        Self { now, line }
    }
}

type Told = (String, Vec<String>, String);

fn ephemeral(
    case: &Case<'_>,
    range: PortRange,
    name: &str,
    reservation: &Reservation,
) -> Option<Told> {
    let first = handed_out(case, range).next()?;
    let ports = &case.scene.machine.ports;
    let shown = if range.len() == 1 { first.to_string() } else { format!("ports of {range}") };
    let reserve = match &reservation.line {
        Some(line) => format!("{line} (and the same in /etc/sysctl.d)"),
        None => format!("add {range} to net.ipv4.ip_local_reserved_ports in /etc/sysctl.d"),
    };
    Some((
        format!("{name} has {shown}, which the kernel may give to an outgoing connection first"),
        vec![
            format!("net.ipv4.ip_local_port_range is {}", ports.ephemeral),
            format!("net.ipv4.ip_local_reserved_ports {}, and this is not in it", reservation.now),
        ],
        format!("{reserve}, or move the service below {}", ports.ephemeral.first()),
    ))
}

/// The range Kubernetes gives NodePorts from matters only on its nodes.
fn node_port(case: &Case<'_>, range: PortRange, name: &str) -> Option<Told> {
    let node_ports = PortRange::new(NODE_PORTS.0, NODE_PORTS.1).ok()?;
    if !range.overlaps(node_ports) {
        return None;
    }
    let why = kubernetes(case)?;
    Some((
        format!("{name} has {range}, which Kubernetes may give to a NodePort service"),
        vec![why, format!("NodePorts are {node_ports} unless --service-node-port-range says else")],
        "move the service out of the range, or the range away from it with --service-node-port-range".to_owned(),
    ))
}

/// What tells that this machine is a node of Kubernetes.
fn kubernetes(case: &Case<'_>) -> Option<String> {
    let host = case.scene.host;
    let label = host.groups.iter().chain(&host.tags).find(|l| NODE_LABELS.contains(&l.as_str()));
    if let Some(label) = label {
        return Some(format!("{} has the label {label}", host.name));
    }
    let mut processes: Vec<_> = case.scene.sockets.processes.values().collect();
    processes.sort_by_key(|p| p.pid);
    let kubelet = processes.into_iter().find(|p| KUBELETS.contains(&&*p.name))?;
    Some(format!("{} (pid {}) runs here", kubelet.name, kubelet.pid))
}

/// More ranges than this are no line that anybody reads.
const MOST_RANGES: usize = 32;
/// The default of kube-apiserver's --service-node-port-range.
const NODE_PORTS: (Port, Port) = (Port(30000), Port(32767));
/// Programs that make a machine a node.
const KUBELETS: [&str; 5] = ["kubelet", "kube-proxy", "k3s-server", "k3s-agent", "kubelite"];
/// Groups and tags that say the same.
const NODE_LABELS: [&str; 2] = ["kubernetes", "k8s"];
