//! What stands around the port: who is behind its holders, rules that divert its traffic, and a
//! second program behind `localhost`.

use portolan_core::net::{Endpoint, Gap, Why};
use portolan_core::reach::{self, Destination, Diversion};
use portolan_core::socket::conflict::Verdict;
use portolan_core::socket::{
    Address, Bind, Container, Family, Held, Socket, SocketTable, SocketTransport, State,
};
use portolan_host::namespace;

use super::{Report, Warning};
use crate::ops::behind::{Asking, Behind};
use crate::ops::firewall::source;
use crate::ops::localhost::{TwoBehindLocalhost, two_behind};

/// Adds all of it to a report whose blockers are sorted out.
pub(super) fn look(report: &mut Report, gaps: &mut Vec<Gap>) {
    let mut asking = Asking::default();
    find_behind(report, &mut asking);
    report.warnings.extend(waiting(report, &mut asking).into_iter().map(Warning::StoppedContainer));
    gaps.append(&mut asking.gaps);
    let diversions = diversions(report, gaps);
    report.warnings.extend((!diversions.is_empty()).then_some(Warning::NatShadow(diversions)));
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
fn diversions(report: &Report, gaps: &mut Vec<Gap>) -> Vec<Diversion> {
    let Some(ruleset) = source::consult(RULES, gaps).filter(reach::may_divert) else {
        return Vec::new();
    };
    let world = source::surroundings(gaps);
    let mut found: Vec<Diversion> = Vec::new();
    // Port 0 is a number that is not known yet.
    for attempt in report.attempts.iter().filter(|attempt| attempt.bind.port.0 != 0) {
        let bind = &attempt.bind;
        let to = Destination::new(bind.transport, bind.address, bind.v6only, bind.port, &world);
        match reach::diversions(&ruleset, &world, &to) {
            Ok(all) => {
                for diversion in all {
                    if !found.contains(&diversion) && !leads_to_published(report, bind, &diversion)
                    {
                        found.push(diversion);
                    }
                }
            }
            Err(error) => {
                gaps.push(Gap::aside(format!("{RULES} ({error})"), Why::Unsupported, ""));
            }
        }
    }
    found
}

fn leads_to_published(report: &Report, bind: &Bind, diversion: &Diversion) -> bool {
    let Some(target) = diversion.target.endpoint(bind.port) else { return false };
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

const RULES: &str = "NAT rules that could divert a port";
