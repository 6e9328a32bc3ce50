//! What stands around the port: who is behind its holders, rules that divert its traffic, and a
//! second program behind `localhost`.

use portolan_core::nat::{Destination, Diversion, Path, Place, Target, Translations};
use portolan_core::net::{Endpoint, Gap};
use portolan_core::socket::conflict::Verdict;
use portolan_core::socket::{
    Address, Bind, Container, Family, Held, Socket, SocketTable, SocketTransport, State,
};
use portolan_host::{machine, namespace, nft};

use super::{Report, Warning};
use crate::ops::behind::{Asking, Behind};
use crate::ops::localhost::{TwoBehindLocalhost, two_behind};

/// A rule that takes traffic away before a socket on the port sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shadow {
    /// Whose traffic.
    pub(crate) path: Path,
    /// Where the rule stands.
    pub(crate) place: Place,
    /// The rule.
    pub(crate) text: Box<str>,
    /// Where it sends it.
    pub(crate) target: Target,
    /// Whether all of it.
    pub(crate) takes_all: bool,
}

impl From<Diversion<'_>> for Shadow {
    fn from(diversion: Diversion<'_>) -> Self {
        Self {
            path: diversion.path,
            place: diversion.rule.place.clone(),
            text: diversion.rule.text.clone(),
            target: diversion.target,
            takes_all: diversion.takes_all,
        }
    }
}

/// Adds all of it to a report whose blockers are sorted out.
pub(super) fn look(report: &mut Report, gaps: &mut Vec<Gap>) {
    let mut asking = Asking::default();
    find_behind(report, &mut asking);
    report.warnings.extend(waiting(report, &mut asking).into_iter().map(Warning::StoppedContainer));
    gaps.append(&mut asking.gaps);
    let rules = nft::translations().into_value(gaps);
    let shadows = shadows(report, &rules);
    report.warnings.extend((!shadows.is_empty()).then_some(Warning::NatShadow(shadows)));
    report.warnings.extend(two_behind_localhost(report).map(Warning::SplitFamily));
}

/// Who is behind each blocker decides what it is.
fn find_behind(report: &mut Report, asking: &mut Asking) {
    for blocker in &mut report.blockers {
        blocker.behind = asking.about(&report.table, &report.table.sockets[blocker.position]);
        match &blocker.behind {
            Some(Behind::Activation { .. }) => blocker.verdict = Verdict::SocketActivation,
            Some(Behind::Published { .. }) => blocker.verdict = Verdict::ContainerPublish,
            None => {}
        }
    }
    report.blockers.sort_by_key(|b| (b.why.is_none(), b.verdict, b.position));
}

/// Stopped containers that will ask for the port. Runtimes publish ports on the machine itself, so
/// from within another network namespace they are not asked.
fn waiting(report: &Report, asking: &mut Asking) -> Vec<Container> {
    let bind = &report.decisive().bind;
    match bind.port.0 != 0 && namespace::is_host() {
        true => asking.waiting(bind.transport, bind.port),
        false => Vec::new(),
    }
}

/// What diverts the traffic, but for the rule by which a container's publisher is bypassed.
fn shadows(report: &Report, rules: &Translations) -> Vec<Shadow> {
    let local = machine::addresses().unwrap_or_default();
    let mut found: Vec<Shadow> = Vec::new();
    // Port 0 is a number that is not known yet.
    for attempt in report.attempts.iter().filter(|attempt| attempt.bind.port.0 != 0) {
        let bind = &attempt.bind;
        let addresses = local.iter().map(|a| a.address);
        let to = Destination::new(bind.transport, bind.address, bind.v6only, bind.port, addresses);
        let diversions = rules.diverting(&to);
        for shadow in diversions.into_iter().map(Shadow::from) {
            if !found.contains(&shadow) && !leads_to_published(report, bind, &shadow) {
                found.push(shadow);
            }
        }
    }
    found
}

fn leads_to_published(report: &Report, bind: &Bind, shadow: &Shadow) -> bool {
    let Some(target) = shadow.target.endpoint(bind.port) else { return false };
    report.blockers.iter().any(|blocker| match &blocker.behind {
        Some(Behind::Published { by, .. }) => {
            (by.address, by.inside) == (Some(target.address), Some(target.port))
        }
        _ => false,
    })
}

/// Two programs that are there, or one and the server that is wished for, behind the table's end.
fn two_behind_localhost(report: &Report) -> Option<TwoBehindLocalhost> {
    let bind = &report.decisive().bind;
    if bind.port.0 == 0 {
        return None;
    }
    let netns = namespace::network().inode;
    let mut table = SocketTable {
        sockets: report.table.sockets.clone(),
        processes: report.table.processes.clone(),
        ..SocketTable::default()
    };
    if report.is_bindable() {
        let wished = report.attempts.iter().filter_map(|a| socket(&a.bind, netns));
        table.sockets.extend(wished);
    }
    let two = two_behind(&table, netns, bind.transport, bind.port)?;
    let both_wished = two.split.ipv4.min(two.split.ipv6) >= report.table.sockets.len();
    (!both_wished).then_some(two)
}

/// The socket that a wish would make.
fn socket(bind: &Bind, netns: u64) -> Option<Held> {
    let transport = match bind.transport {
        portolan_core::net::Transport::Tcp => SocketTransport::Tcp,
        portolan_core::net::Transport::Udp => SocketTransport::Udp,
        _ => return None,
    };
    let (family, v6only) = match bind.address.is_ipv6() {
        true => (Family::Ipv6, Some(bind.v6only)),
        false => (Family::Ipv4, None),
    };
    let bare = Socket::bare(transport, family, State::Listen, 0, netns);
    let local = Address::Inet(Endpoint::new(bind.address, bind.port));
    Some(Held { socket: Socket { local, v6only, ..bare }, holders: Vec::new(), unowned: None })
}
