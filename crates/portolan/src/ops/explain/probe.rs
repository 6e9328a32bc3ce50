//! The real bind, in a socket that is thrown away, beside what the model says of it.

use anyhow::Result;
use portolan_core::net::Transport;
use portolan_core::socket::conflict::{Claim, Judgement, judge};
use portolan_core::socket::passwd::Account;
use portolan_core::socket::{Bind, Reuse, SocketTable};
use portolan_host::as_user::as_user;
use portolan_host::bind::{Call, Refusal, attempt, hold};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::{Request, Warning};
use crate::fault::{Fault, Hinted as _};

/// One bind and what came of it.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// What was wished for.
    pub(crate) bind: Bind,
    /// What the kernel said; `None` is yes.
    pub(crate) refusal: Option<Refusal>,
    /// What it says to the same with SO_REUSEADDR; asked where it was refused without any option.
    /// Not together with SO_REUSEPORT: the kernel remembers the last socket that shared a port by
    /// that, and then lets the next one in unseen (inet_csk_update_fastreuse), so that asking would
    /// change the answer.
    pub(crate) with_reuseaddr: Option<Result<(), Refusal>>,
    /// What the model says of the sockets in its way.
    pub(crate) judgement: Judgement,
}

/// What can be tried here: IPv4 alone where nobody asked for an address and there is no IPv6.
pub(super) fn usable(request: &Request, warnings: &mut Vec<Warning>) -> Vec<Bind> {
    let has_no_ipv6 = |bind: &Bind| {
        attempt(bind).is_err_and(|r| r.call == Call::Socket && r.errno == Errno::AFNOSUPPORT)
    };
    if !request.may_fall_back || !has_no_ipv6(&request.binds[0]) {
        return request.binds.clone();
    }
    warnings.push(Warning::NoIpv6);
    let everywhere = std::net::Ipv4Addr::UNSPECIFIED.into();
    request.binds.iter().map(|bind| Bind { address: everywhere, ..bind.clone() }).collect()
}

/// Tries each.
pub(super) fn attempts(
    binds: &[Bind],
    request: &Request,
    table: &SocketTable,
) -> Result<Vec<Attempt>> {
    let user = request.user;
    let uid = uid(user);
    let netns = table.namespaces.first().map_or(0, |namespace| namespace.inode);
    let one = |bind: &Bind| {
        let refusal = match request.told {
            None => answer(bind, user)?.err(),
            told => told,
        };
        let takes_part = bind.reuse == Reuse::NONE && refusal.is_some_and(is_in_use);
        let with_reuseaddr = match takes_part {
            true => Some(answer(&bind.clone().with(Reuse::ADDRESS), user)?),
            false => None,
        };
        let judgement = match bind.port.0 {
            0 => Judgement::default(),
            _ => judge(&Claim::of_bind(bind, uid, netns), &table.sockets),
        };
        Ok(Attempt { bind: bind.clone(), refusal, with_reuseaddr, judgement })
    };
    binds.iter().map(one).collect()
}

/// The user id of a wish.
pub(super) fn uid(user: Option<Account>) -> u32 {
    user.map_or_else(|| geteuid().as_raw(), |account| account.uid)
}

fn is_in_use(refusal: Refusal) -> bool {
    refusal.errno == Errno::ADDRINUSE
}

/// What the kernel says.
fn answer(bind: &Bind, user: Option<Account>) -> Result<Result<(), Refusal>> {
    let ourselves = geteuid().as_raw();
    // A listener that joins others by SO_REUSEPORT gets its share of their connections at once,
    // and would take them along when it is closed. The kernel asks the same of a bind alone.
    let attempt = || if bind.reuse.port { hold(bind) } else { attempt(bind) };
    let said = match user.filter(|account| account.uid != ourselves) {
        None => attempt(),
        Some(account) => as_user(account, attempt)
            .hinted(format!("try as user {}", account.uid), "--as needs root: run with sudo")?,
    };
    match said {
        Err(refusal) if is_unknown_transport(refusal) => Err(no_transport(bind.transport)),
        said => Ok(said.map(drop)),
    }
}

fn is_unknown_transport(refusal: Refusal) -> bool {
    let unknown = [Errno::PROTONOSUPPORT, Errno::SOCKTNOSUPPORT, Errno::PROTOTYPE];
    refusal.call == Call::Socket && unknown.contains(&refusal.errno)
}

fn no_transport(transport: Transport) -> anyhow::Error {
    Fault::new(format!("this kernel has no {transport}"), "ask for tcp or udp")
}
