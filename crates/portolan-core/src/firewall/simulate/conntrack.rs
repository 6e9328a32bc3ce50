//! What conntrack makes of a packet: its state, its connection's tuples and status.

use super::path::Walker;
use super::walk::Step;
use crate::firewall::{Direction, RuleId, Tuple, bits};

/// The connection of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// Conntrack has not seen the packet, or makes nothing of it: there is no connection.
    None,
    /// It is not to be tracked.
    Untracked,
    /// There is none yet, and a rule has said what it is to be.
    Template,
    /// It has one.
    Tracked(Tracked),
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tracked {
    pub(super) state: u128,
    pub(super) direction: Direction,
    pub(super) status: u128,
    pub(super) mark: u32,
    /// The rule that made its mark something nobody knows.
    pub(super) mark_open: Option<RuleId>,
    /// As its first packet was.
    pub(super) original: Tuple,
    /// As the answers come.
    pub(super) reply: Tuple,
    /// Whether these two are known: of an ICMP error's connection nothing else tells.
    pub(super) is_told: bool,
    /// What the packet becomes where its connection was translated before: destination, source.
    pub(super) becomes: Option<Tuple>,
}

impl Connection {
    /// Without a connection the state is invalid (nft_ct_get_eval), before conntrack too.
    pub(super) fn state(&self) -> u128 {
        match self {
            Self::None => bits::INVALID,
            Self::Untracked => bits::UNTRACKED,
            // Measured; of its mark and the like nothing can be had.
            Self::Template => bits::NEW,
            Self::Tracked(tracked) => tracked.state,
        }
    }
}

/// IPS_SRC_NAT_DONE and IPS_DST_NAT_DONE (nf_conntrack_common.h): chains of type nat were asked.
pub(super) const SOURCE_DONE: u128 = 128;
pub(super) const DESTINATION_DONE: u128 = 256;

impl Walker<'_> {
    /// nf_conntrack_in: a packet that is not to be tracked, or has a connection, stays as it is.
    pub(super) fn track(&mut self) {
        if !matches!(self.connection, Connection::None | Connection::Template) {
            return;
        }
        let state = self.packet.state.unwrap_or_else(|| self.packet.fresh_state());
        self.connection = match state {
            bits::INVALID => Connection::None,
            bits::UNTRACKED => Connection::Untracked,
            _ => Connection::Tracked(self.tracked(state)),
        };
        self.note(Step::Tracked(state));
    }

    fn tracked(&self, state: u128) -> Tracked {
        let now = self.packet.tuple();
        let is_reply = self.packet.direction == Direction::Reply;
        let given = self.given;
        // In the original direction the packet was given as it is after translation, and has been made
        // what the original tuple says; in the reply direction it is given as it comes.
        // An ICMP error is about another connection and is not translated itself here.
        let is_about_another = state == bits::RELATED && matches!(now.protocol, 1 | 58);
        let (original, reply, becomes) = match (given, is_reply) {
            (Some(original), _) if is_about_another => (original, original.inverse(), None),
            (Some(original), false) => (original, self.after.inverse(), Some(self.after)),
            (Some(original), true) => (original, now, Some(original.inverse())),
            (None, false) => (now, now.inverse(), None),
            (None, true) => (now.inverse(), now, None),
        };
        let there = reply.inverse();
        let is_dnat = (original.destination, original.destination_port)
            != (there.destination, there.destination_port);
        let is_snat = (original.source, original.source_port) != (there.source, there.source_port);
        let is_known = state == bits::ESTABLISHED || is_reply;
        let done = if is_known && self.has_nat() { SOURCE_DONE | DESTINATION_DONE } else { 0 };
        Tracked {
            state,
            direction: self.packet.direction,
            status: self.packet.status
                | done
                | if is_dnat { bits::STATUS_DNAT } else { 0 }
                | if is_snat { bits::STATUS_SNAT } else { 0 },
            mark: self.packet.ct_mark,
            mark_open: None,
            original,
            reply,
            is_told: (given.is_some() || !is_about_another) && !self.has_port_written,
            becomes,
        }
    }

    /// nft_notrack_eval: nothing where there is a connection; an invalid packet becomes untracked.
    pub(super) fn no_track(&mut self) {
        if self.connection == Connection::None {
            self.connection = Connection::Untracked;
        }
    }

    /// nft_ct_set_zone_eval, xt_ct_target: nothing where there is a connection, or is said what it is to be.
    pub(super) fn template(&mut self, is_over_untracked: bool) {
        match self.connection {
            Connection::None => self.connection = Connection::Template,
            Connection::Untracked if is_over_untracked => self.connection = Connection::Template,
            Connection::Untracked | Connection::Template | Connection::Tracked(_) => {}
        }
    }

    /// Whether chains of type nat see this packet's family.
    pub(super) fn has_nat(&self) -> bool {
        let at = usize::from(self.packet.is_v6());
        self.prepared.translates.get(at).copied().unwrap_or(false)
    }
}
