//! Bind conflicts on Linux, exactly: which sockets keep another from binding, and what they are.
//!
//! Two sockets clash when they are of one namespace and one protocol, on one port, on devices that
//! do not exclude each other, their addresses **overlap** ([`Claim`]), and they do not **share**
//! ([`relation`]). That is what `inet_csk_bind_conflict` (net/ipv4/inet_connection_sock.c),
//! `udp_lib_lport_inuse` (net/ipv4/udp.c) and `inet_rcv_saddr_equal` decide; the matrix test of the
//! program holds every combination against real binds. [`judge`] asks it of a whole table, and
//! [`cause`] says what each socket in the way is.
//!
//! Works on values only. What could not be found out (whether a socket set an option) is an answer
//! of its own, never a guess: only a real bind can settle it.

mod cause;
mod claim;
mod relation;
mod verdict;

pub use cause::{Surroundings, cause, is_outgoing};
pub use claim::{Claim, Meeting, Stage};
pub use relation::{Apart, Relation, Unshared, relation};
pub use verdict::Verdict;

use crate::socket::Held;

/// What stands between a wish and its port, as positions in the table that was judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Sockets that refuse to share, and why.
    pub blockers: Vec<(usize, Unshared)>,
    /// Sockets of which the decisive option is unknown, or which the kernel may not come to ask: in
    /// the way, or not.
    pub undecided: Vec<usize>,
    /// Sockets that overlap and share.
    pub sharers: Vec<usize>,
    /// Sockets on the same port that do not matter, and why.
    pub irrelevant: Vec<(usize, Apart)>,
}

impl Judgement {
    /// Whether a bind would work; `None` where only trying can tell.
    #[must_use]
    pub const fn is_bindable(&self) -> Option<bool> {
        match (self.blockers.is_empty(), self.undecided.is_empty()) {
            (false, _) => Some(false),
            (true, true) => Some(true),
            (true, false) => None,
        }
    }
}

/// Judges a wish against every socket of a table. Sockets on other ports and those without a port
/// are in no list.
#[must_use]
pub fn judge(wish: &Claim, table: &[Held]) -> Judgement {
    let mut judgement = Judgement::default();
    let mut is_order_decisive = false;
    for (position, held) in table.iter().enumerate() {
        let Some(claim) = Claim::of_socket(&held.socket) else { continue };
        match relation(wish, &claim) {
            Relation::Apart(Apart::Port) => {}
            Relation::Apart(why) => judgement.irrelevant.push((position, why)),
            Relation::Shares => judgement.sharers.push(position),
            Relation::Blocks(why) => judgement.blockers.push((position, why)),
            Relation::Undecided => judgement.undecided.push(position),
        }
        is_order_decisive |= ends_search(wish, &claim);
    }
    if is_order_decisive {
        let in_doubt = judgement.blockers.drain(..).map(|(position, _)| position);
        judgement.undecided.extend(in_doubt);
        judgement.undecided.sort_unstable();
    }
    judgement
}

/// With one that shares by SO_REUSEPORT the kernel may ask no other: for UDP it stops at the first
/// such socket (udp_lib_lport_inuse), for TCP it remembers the last one that was bound
/// (sk_reuseport_match). In which order they were bound it does not tell.
fn ends_search(wish: &Claim, there: &Claim) -> bool {
    let by_port = |claim: &Claim| claim.reuse.is_some_and(|reuse| reuse.port);
    by_port(wish)
        && by_port(there)
        && wish.uid == there.uid
        && !matches!(relation(wish, there), Relation::Apart(_))
}

#[cfg(test)]
mod tests;
