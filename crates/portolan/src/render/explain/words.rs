//! The sentences of `explain`: the same in its text and in its JSON.

use jiff::Unit;
use portolan_core::firewall::Hook;
use portolan_core::net::{Endpoint, Transport};
use portolan_core::reach::Diversion;
use portolan_core::socket::complaint::Refused;
use portolan_core::socket::conflict::{Unshared, Verdict};
use portolan_core::socket::{Bind, Held, Socket, Unowned};
use rustix::io::Errno;

use crate::ops::behind::Behind;
use crate::ops::explain::{Blocker, Call, NotLocal, Obstacle, Pasted, Report, Warning};
use crate::ops::localhost::TwoBehindLocalhost;
use crate::ops::reservations::Reserved;
use crate::render::behind::{inside, two_behind_localhost};
use crate::render::owner::{container_name, process_names, unowned_word};
use crate::render::shell::operand;
use crate::render::socket::on_device;

/// `tcp *:3000` for both families through one socket, as `ss` writes it, else the address.
pub(super) fn wish(bind: &Bind) -> String {
    let place = on_device(Endpoint::new(bind.address, bind.port), bind.device.as_deref());
    let is_wildcard = bind.address.is_ipv6() && bind.address.is_unspecified();
    match (is_wildcard, bind.v6only, &bind.device) {
        (true, false, None) => format!("{} *:{}", bind.transport, bind.port),
        (true, true, _) => format!("{} {place} (IPv6 only)", bind.transport),
        _ => format!("{} {place}", bind.transport),
    }
}

/// What a pasted text says, and where.
pub(super) fn told(pasted: &Pasted) -> String {
    let complaint = &pasted.complaint;
    let apart = if complaint.is_apart { ", not in the line of the error" } else { "" };
    let windows = match complaint.refused {
        Refused::WindowsDenied => {
            "; if that was Windows, a service may have set the number aside: netsh interface ipv4 \
             show excludedportrange tcp"
        }
        Refused::WindowsInUse => "; if that was Windows, ask there",
        _ => "",
    };
    format!(
        "The text tells of {} for {} (line {}{apart}){windows}.",
        complaint.refused.as_str(),
        pasted.target(),
        complaint.line
    )
}

/// What has become of a pasted error that cannot be met any more.
pub(super) const fn gone(refused: Refused) -> &'static str {
    match refused {
        Refused::Denied => "The program's user may not bind it, you may: try again with --as USER.",
        Refused::NotAvailable => "The address is there now.",
        Refused::WindowsDenied | Refused::WindowsInUse => "On this machine nothing is in the way.",
        Refused::InUse => "What stood in the way when the text was written is gone.",
    }
}

/// What it means; else what strerror(3) says, without the number that std puts behind it.
pub(super) fn errno_meaning(errno: Errno) -> String {
    if errno == Errno::ADDRNOTAVAIL {
        return "address not available".to_owned();
    }
    let text = std::io::Error::from(errno).to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text[..end].to_lowercase()
}

/// What did not work.
pub(super) const fn deed(call: Call) -> &'static str {
    match call {
        Call::Listen => "cannot be listened on",
        _ => "cannot be bound",
    }
}

/// Why, in a sentence or two.
pub(super) fn reason(report: &Report) -> String {
    match (report.blockers.first(), &report.obstacle) {
        (Some(first), _) => of_blocker(report, first),
        (None, Some(obstacle)) => of_obstacle(obstacle, report),
        (None, None) if report.table.may_lack_sockets => UNSEEN.to_owned(),
        (None, None) => UNEXPLAINED.to_owned(),
    }
}

fn of_blocker(report: &Report, first: &Blocker) -> String {
    let held = &report.table.sockets[first.position];
    let who = holder(report, held);
    let alike = report.blockers.iter().filter(|b| b.verdict == first.verdict).count();
    let connections = counted(alike, "connection");
    let sentence = match first.verdict {
        Verdict::ListenerShared => format!("{who} is there already; {}", terms(first, report)),
        Verdict::BoundInactive => format!(
            "{who} has bound it without listening: it takes no connections, and netstat, lsof -i \
             and ss -l do not show it."
        ),
        Verdict::Outgoing => format!(
            "Not a server: an outgoing connection of {who} uses this number as its own end."
        ),
        Verdict::EstablishedLeftover => format!(
            "Nobody listens any more, but {connections} that the listener accepted {} still open.",
            if alike == 1 { "is" } else { "are" }
        ),
        Verdict::TimeWait => time_wait(report, &connections),
        Verdict::FinWait => format!(
            "Nobody listens any more, but {connections} {} not closed to the end yet.",
            if alike == 1 { "is" } else { "are" }
        ),
        Verdict::Kernel => match report.table.kernel_use(held) {
            Some(usage) => format!("The kernel itself holds it, for {usage}; no process does."),
            None => "The kernel itself holds it; no process does.".to_owned(),
        },
        Verdict::Reserved => match first.reserved.as_ref() {
            Some(lease) => reserved(lease),
            None => "It is reserved.".to_owned(),
        },
        Verdict::SocketActivation | Verdict::ContainerPublish => stands_in(&who, first),
        Verdict::IoUring => format!(
            "{who} holds it through io_uring, without a descriptor: ss and lsof name nobody."
        ),
        Verdict::InFlight => format!(
            "It is on its way from one process to another over a unix socket that {who} has open: \
             no process has it as a descriptor now."
        ),
        _ if held.socket.transport.with_ports() == Some(Transport::Tcp) => {
            format!("{who} listens there already.")
        }
        _ => format!("{who} receives there already."),
    };
    match first.why {
        None => format!("{sentence} Whether it shares could not be found out."),
        Some(_) => sentence,
    }
}

/// For whom, and until when.
fn reserved(lease: &Reserved) -> String {
    let until = lease.expires.round(Unit::Second).unwrap_or(lease.expires);
    let until = until.strftime("%Y-%m-%d %H:%M:%S UTC");
    let project = lease.project.as_deref().map(|p| format!(" for {}", p.display()));
    format!(
        "It is reserved{} until {until}: a server that sets SO_REUSEADDR may bind it all the same.",
        project.unwrap_or_default()
    )
}

/// Who is behind a holder that only stands in.
fn stands_in(who: &str, blocker: &Blocker) -> String {
    match &blocker.behind {
        Some(Behind::Activation { unit, service, .. }) => {
            let starts = service.as_ref().map_or_else(String::new, |name| {
                format!(", and starts {name} when somebody connects")
            });
            format!("{who} listens there for the unit {unit}{starts}.")
        }
        Some(Behind::Published { by, container }) => {
            let container = container.as_ref().map_or_else(
                || "a container".to_owned(),
                |container| format!("the container {}", container_name(container)),
            );
            format!("{who} holds it for {container}{}.", inside(by))
        }
        None => format!("{who} listens there already."),
    }
}

fn time_wait(report: &Report, connections: &str) -> String {
    let left = report.blockers.iter().filter_map(|b| b.seconds_left).max();
    let left = left.map_or_else(String::new, |seconds| format!(", {seconds} s more"));
    format!(
        "No process has it open: the kernel keeps {connections} in TIME-WAIT after the close, \
         against late packets{left}."
    )
}

/// On what terms a listener shares.
fn terms(first: &Blocker, report: &Report) -> String {
    let socket = &report.table.sockets[first.position].socket;
    match first.why {
        Some(Unshared::OtherUser) => format!(
            "it shares the port by SO_REUSEPORT, but only with sockets of its own user, {}, and \
             this one would be {}'s.",
            user(report, socket.uid),
            user(report, Some(report.uid))
        ),
        _ => {
            "it shares the port only with sockets of its user that set SO_REUSEPORT too.".to_owned()
        }
    }
}

fn user(report: &Report, uid: Option<u32>) -> String {
    let Some(uid) = uid else { return "which is not known".to_owned() };
    report.table.users.get(&uid).map_or_else(|| format!("uid {uid}"), ToString::to_string)
}

/// Who holds a socket, in a word.
pub(super) fn holder(report: &Report, held: &Held) -> String {
    let mut owners = report.table.owners(held).peekable();
    if owners.peek().is_some() {
        return process_names(owners);
    }
    match held.unowned {
        Some(Unowned::NotPermitted) => {
            format!("somebody not visible (user {})", user(report, held.socket.uid))
        }
        Some(unowned) => unowned_word(unowned).to_owned(),
        None => "somebody".to_owned(),
    }
}

/// Why an obstacle is one.
pub(super) fn of_obstacle(obstacle: &Obstacle, report: &Report) -> String {
    let bind = &report.decisive().bind;
    match obstacle {
        Obstacle::Privileged { start } => format!(
            "Ports below {start} are kept for programs with CAP_NET_BIND_SERVICE \
             (net.ipv4.ip_unprivileged_port_start), which {} has not.",
            user(report, Some(report.uid))
        ),
        Obstacle::NotLocal(why) => not_local(*why, bind),
        Obstacle::Exhausted(found) => format!(
            "All {} ports that the kernel may choose from ({}) are held or reserved: {} of them by \
             sockets.",
            found.range.len(),
            found.range,
            found.held
        ),
        Obstacle::Policy(Errno::PERM) => "A rule refuses it: a BPF program of the cgroup, as \
            systemd's SocketBindDeny= makes one, or a security module."
            .to_owned(),
        Obstacle::Policy(_) => {
            "A security module refuses it: SELinux, AppArmor or Landlock.".to_owned()
        }
        Obstacle::Unexplained(_) => UNEXPLAINED.to_owned(),
    }
}

fn not_local(why: NotLocal, bind: &Bind) -> String {
    let address = bind.address;
    match why {
        NotLocal::NoSuchAddress => format!("No interface of this machine has {address}."),
        NotLocal::Tentative => format!(
            "An interface has {address}, but the kernel is still looking for a duplicate of it, or \
             has found one."
        ),
        NotLocal::Ipv6Disabled => {
            "IPv6 is switched off here (net.ipv6.conf.all.disable_ipv6).".to_owned()
        }
        NotLocal::NoIpv6 => "This kernel runs without IPv6.".to_owned(),
        NotLocal::NoZone => format!(
            "{address} is a link-local address: every interface has a network of that name, so \
             the kernel wants to know which is meant (EINVAL without a zone)."
        ),
        NotLocal::NoSuchDevice => {
            format!("There is no interface {} here.", bind.device.as_deref().unwrap_or_default())
        }
    }
}

/// A warning as its JSON name and its sentence.
pub(super) fn warning(warning: &Warning, report: &Report) -> (&'static str, String) {
    match warning {
        Warning::NoIpv6 => {
            ("no-ipv6", "this kernel has no IPv6, so 0.0.0.0 was tried instead of [::]".to_owned())
        }
        Warning::Disagreement { bind, model } => {
            let (model, kernel) = match model {
                true => ("no socket that is visible is in the way", "refuses"),
                false => ("the sockets listed are in the way", "allows it"),
            };
            let text = format!(
                "for {} the rules say that {model}, but the kernel {kernel}, twice",
                wish(bind)
            );
            ("disagreement", text)
        }
        Warning::Ephemeral { range } => {
            let text = format!(
                "the kernel gives out {range} to outgoing connections: any of them can take this \
                 number when nobody holds it"
            );
            ("ephemeral", text)
        }
        Warning::NatShadow(diversions) => {
            (Verdict::NatShadow.as_str(), shadowed(diversions, report))
        }
        Warning::SplitFamily(two) => (Verdict::SplitFamily.as_str(), split(two, report)),
        Warning::StoppedContainer(container) => {
            let (name, runtime) = (container_name(container), &container.runtime);
            let text = format!(
                "the stopped container {name} publishes this port: `{runtime} start {}` fails \
                 while somebody else has it",
                operand(name)
            );
            ("stopped-container", text)
        }
        Warning::Beside(obstacle) => {
            (obstacle.verdict().as_str(), format!("also: {}", of_obstacle(obstacle, report)))
        }
    }
}

/// Which rules divert what, and where to.
fn shadowed(diversions: &[Diversion], report: &Report) -> String {
    let port = report.decisive().bind.port;
    let each = diversions.iter().map(|Diversion { hook, rule, target, takes_all }| {
        let whose = match hook {
            Hook::Output => "from this machine",
            _ => "from outside",
        };
        let traffic = if *takes_all { "connections" } else { "some connections" };
        format!("{traffic} {whose} go to {target} by `{}` ({rule})", rule.place.text)
    });
    let each: Vec<String> = each.collect();
    format!("whoever is bound to {port} does not see all of its traffic: {}", each.join("; "))
}

/// Who answers at which of the two addresses; behind the table's end stands what is wished for.
fn split(two: &TwoBehindLocalhost, report: &Report) -> String {
    two_behind_localhost(two, |position| match report.table.sockets.get(position) {
        Some(held) => holder(report, held),
        None => "this server".to_owned(),
    })
}

/// Whether SO_REUSEADDR would have helped, where that was tried.
pub(super) fn reuseaddr(report: &Report) -> Option<String> {
    let said = report.decisive().with_reuseaddr?;
    let first = report.blockers.first()?;
    let socket = &report.table.sockets[first.position].socket;
    let text = match (said.is_ok(), first.verdict) {
        (true, Verdict::TimeWait | Verdict::FinWait | Verdict::EstablishedLeftover) => {
            "SO_REUSEADDR helps: it was tried, as the old listener had set it too"
        }
        (true, _) => "SO_REUSEADDR helps: it was tried",
        (false, Verdict::TimeWait | Verdict::FinWait | Verdict::EstablishedLeftover) => {
            "SO_REUSEADDR does not help: it was tried, and the old listener had not set it"
        }
        (false, Verdict::Outgoing) => {
            "SO_REUSEADDR does not help: the connection's socket has not set it"
        }
        (false, _) if is_tcp_listener(socket) => {
            "SO_REUSEADDR does not help against a socket that listens"
        }
        (false, Verdict::Kernel) => "SO_REUSEADDR does not help against the kernel",
        (false, _) => "SO_REUSEADDR does not help: the other socket has not set it",
    };
    Some(text.to_owned())
}

fn is_tcp_listener(socket: &Socket) -> bool {
    socket.is_listener() && socket.transport.with_ports() == Some(Transport::Tcp)
}

/// `1 connection`, `3 connections`
pub(super) fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

const UNSEEN: &str = "Some socket is in the way, but not every socket can be seen from here.";
const UNEXPLAINED: &str = "No socket that can be seen from here is in the way, neither open, nor \
    bound without listening, nor closing; neither a process nor an interface accounts for it.";
