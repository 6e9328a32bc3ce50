//! How a wish stands to one socket that is there: apart, sharing, in the way, or not to be told.

use super::{Claim, Meeting, Stage};
use crate::socket::{Reuse, SocketTransport};

/// How a wish stands to a socket that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// They never meet.
    Apart(Apart),
    /// They meet, and both agreed to share.
    Shares,
    /// They meet, and one of them did not.
    Blocks(Unshared),
    /// Depends on an option, a user or an address family that could not be found out.
    Undecided,
}

/// Why two sockets never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Apart {
    /// Another port.
    Port,
    /// TCP and UDP (and UDP-Lite, SCTP, DCCP) number their ports apart.
    Protocol,
    /// Another network namespace: a machine of its own, as far as ports go.
    Namespace,
    /// Both are limited to interfaces, and not to the same.
    Device,
    /// One speaks IPv4 only, the other IPv6 only.
    Family,
    /// Two different addresses of one family.
    Address,
    /// A handshake that has not ended belongs to its listener, which is in the table itself.
    HalfOpen,
}

impl Apart {
    /// The word used in JSON, kebab-case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Port => "other-port",
            Self::Protocol => "other-protocol",
            Self::Namespace => "other-namespace",
            Self::Device => "other-device",
            Self::Family => "other-family",
            Self::Address => "other-address",
            Self::HalfOpen => "half-open",
        }
    }
}

/// Why two sockets that meet do not share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unshared {
    /// The wish sets neither option, so the other's do not matter.
    NotAsked,
    /// The wish sets an option that the other did not set.
    NotGranted,
    /// Both set SO_REUSEADDR, but the other listens, which ends that agreement for TCP.
    Listens,
    /// Both set SO_REUSEPORT, but another user made the other.
    OtherUser,
}

/// Holds `wish` against a socket that is there.
#[must_use]
pub fn relation(wish: &Claim, there: &Claim) -> Relation {
    match apart(wish, there) {
        Some(why) => Relation::Apart(why),
        None => match (wish.meets(there), sharing(wish, there)) {
            (_, Some(Ok(()))) => Relation::Shares,
            (Meeting::Unknown, _) | (_, None) => Relation::Undecided,
            (_, Some(Err(why))) => Relation::Blocks(why),
        },
    }
}

fn apart(wish: &Claim, there: &Claim) -> Option<Apart> {
    let both_limited = wish.device.is_some() && there.device.is_some();
    let both_known = wish.netns != 0 && there.netns != 0;
    match () {
        () if wish.port != there.port => Some(Apart::Port),
        () if wish.transport != there.transport => Some(Apart::Protocol),
        () if both_known && wish.netns != there.netns => Some(Apart::Namespace),
        () if there.stage == Stage::HalfOpen => Some(Apart::HalfOpen),
        () if both_limited && wish.device != there.device => Some(Apart::Device),
        () => match wish.meets(there) {
            Meeting::OtherFamily => Some(Apart::Family),
            Meeting::OtherAddress => Some(Apart::Address),
            Meeting::Meet | Meeting::Unknown => None,
        },
    }
}

/// Whether both agreed to share; `None` where what decides it is unknown.
fn sharing(wish: &Claim, there: &Claim) -> Option<Result<(), Unshared>> {
    let ours = wish.reuse.unwrap_or_default();
    let by_address = ours.address && !listens(there);
    if !by_address && !ours.port {
        return Some(Err(if ours.address { listening(there) } else { Unshared::NotAsked }));
    }
    let theirs = there.reuse?;
    if by_address && theirs.address {
        return Some(Ok(()));
    }
    if !(ours.port && theirs.port) {
        return Some(Err(refusal(ours, theirs, there)));
    }
    match is_same_user(wish, there)? {
        true => Some(Ok(())),
        false => Some(Err(Unshared::OtherUser)),
    }
}

/// For TCP a listener keeps its port whatever SO_REUSEADDR says; UDP has no such state.
fn listens(there: &Claim) -> bool {
    there.transport != SocketTransport::Udp && there.stage == Stage::Listening
}

/// Nothing it may have set would make a listener share by SO_REUSEADDR alone; which of the two
/// reasons it is depends on what it set, and is only a matter of words.
const fn listening(there: &Claim) -> Unshared {
    match there.reuse {
        Some(theirs) if !theirs.address => Unshared::NotGranted,
        _ => Unshared::Listens,
    }
}

fn refusal(ours: Reuse, theirs: Reuse, there: &Claim) -> Unshared {
    match ours.address && theirs.address && listens(there) {
        true => Unshared::Listens,
        false => Unshared::NotGranted,
    }
}

/// SO_REUSEPORT shares among sockets of one user; a socket in TIME-WAIT has none any more.
fn is_same_user(wish: &Claim, there: &Claim) -> Option<bool> {
    if there.stage == Stage::TimeWait {
        return Some(true);
    }
    Some(wish.uid? == there.uid?)
}
