//! False opens: whether a SYN-ACK means a service, or something that answers for every port.
//!
//! A SYN-ACK proves that something completes handshakes, no more. A SYN proxy answers before it has
//! asked the host behind it (Linux: net/netfilter/nf_synproxy_core.c, with a window of 0), a tarpit
//! or a redirect of all ports takes every connection. Three things give them away: how their packets
//! look, how many ports are open, and what becomes of a real connection. The first two only raise
//! the question and the last one answers it. Memory per host is bounded, whatever arrives.

use std::sync::LazyLock;

use super::os_guess::hops;
use super::{Front, Signature};
use crate::net::{Port, PortSet, Transport};
use crate::registry::Registry;

/// What speaks against the open TCP ports of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suspicion {
    open: u32,
    closed: u32,
    /// Open ports that hardly anybody uses, before anything was closed.
    unlikely: u32,
    /// SYN-ACKs that offered no window.
    zero_windows: u32,
    open_looks: Looks,
    closed_looks: Looks,
    kept: u32,
    dropped: u32,
}

impl Suspicion {
    /// Takes note of a port that answered with a SYN-ACK; once a port.
    pub fn note_open(&mut self, port: Port, signature: Option<&Signature>) {
        self.open = self.open.saturating_add(1);
        if self.closed == 0 && is_unlikely(port) {
            self.unlikely = self.unlikely.saturating_add(1);
        }
        let Some(signature) = signature else { return };
        if signature.window == Some(0) {
            self.zero_windows = self.zero_windows.saturating_add(1);
        }
        self.open_looks.note(signature);
    }

    /// Takes note of a port that answered with a RST.
    pub fn note_closed(&mut self, signature: Option<&Signature>) {
        self.closed = self.closed.saturating_add(1);
        if let Some(signature) = signature {
            self.closed_looks.note(signature);
        }
    }

    /// Takes note of what became of a real connection to an open port; once a port.
    pub fn note_verified(&mut self, _port: Port, kept: bool) {
        let count = if kept { &mut self.kept } else { &mut self.dropped };
        *count = count.saturating_add(1);
    }

    /// Whether the host's open ports, all of them, have to be shown by a real connection.
    ///
    /// It is asked after each answer: what makes it true may come after the first open ports, and a
    /// RST that looks like the SYN-ACKs may take a doubt away again.
    #[must_use]
    pub fn wants_verification(&self) -> bool {
        self.open > MANY || self.zero_windows > 0 || self.unlikely >= SAMPLE || {
            self.open > 0 && self.hop_limits().is_some()
        }
    }

    /// What stands in front, if anything does, once all of the host's `asked` TCP ports are decided.
    #[must_use]
    pub fn conclude(&self, asked: u32) -> Option<Front> {
        if self.is_syn_proxy() {
            let zero_window = self.zero_windows > 0;
            return Some(Front::SynProxy { zero_window, hop_limits: self.hop_limits() });
        }
        self.is_open_everything(asked).then_some(Front::OpenEverything { ports: self.open })
    }

    /// One look of each kind of SYN-ACK seen, the most frequent first.
    #[must_use]
    pub fn open_looks(&self) -> Vec<Signature> {
        self.open_looks.all()
    }

    /// The same of RSTs.
    #[must_use]
    pub fn closed_looks(&self) -> Vec<Signature> {
        self.closed_looks.all()
    }

    /// A window of 0 in a SYN-ACK is legal, but no kernel's own listener begins with one: where all
    /// have it, that is enough, and beside others one drop confirms it. Without it, most connections
    /// have to be dropped by something that is nearer or farther than the host; or several of them,
    /// since access lists of real services drop connections too.
    fn is_syn_proxy(&self) -> bool {
        if self.zero_windows > 0 {
            return self.dropped > 0 || self.zero_windows == self.open;
        }
        let elsewhere = || self.hop_limits().is_some_and(|(a, b)| hops(a) != hops(b));
        let mostly_dropped = self.dropped > 0 && self.dropped >= self.kept;
        mostly_dropped && (self.dropped >= SAMPLE || elsewhere())
    }

    /// Nearly everything that was asked is open, kept and looks alike; "nearly", since one port of
    /// such a host is often another service.
    fn is_open_everything(&self, asked: u32) -> bool {
        let alike = self.open_looks.most_frequent();
        self.open > MANY
            && is_nearly_all(self.open, asked)
            && is_nearly_all(self.kept, self.kept.saturating_add(self.dropped))
            && alike.is_none_or(|(count, all)| is_nearly_all(count, all))
    }

    /// The hop limits of a SYN-ACK and of a RST, where no RST at all came with that of the SYN-ACK:
    /// a RST of a router on the way, beside those of the host, is no difference.
    fn hop_limits(&self) -> Option<(u8, u8)> {
        let rst = |hop: u8| self.closed_looks.hop_limits().any(|seen| seen == hop);
        let mut open = self.open_looks.hop_limits();
        let odd = open.find(|hop| !rst(*hop))?;
        Some((odd, self.closed_looks.hop_limits().next()?))
    }
}

/// The distinct looks of packets with how often each was seen, [`MOST_LOOKS`] of them at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Looks {
    seen: Vec<(Signature, u32)>,
    /// How many were of a look for which there was no place left.
    others: u32,
}

impl Looks {
    fn note(&mut self, signature: &Signature) {
        if let Some((_, count)) = self.seen.iter_mut().find(|(seen, _)| seen == signature) {
            *count = count.saturating_add(1);
        } else if self.seen.len() < MOST_LOOKS {
            self.seen.push((signature.clone(), 1));
        } else {
            self.others = self.others.saturating_add(1);
        }
    }

    fn all(&self) -> Vec<Signature> {
        let mut looks = self.seen.clone();
        looks.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        looks.into_iter().map(|(look, _)| look).collect()
    }

    /// How many had the most frequent look, of how many; `None` where no packet was seen.
    fn most_frequent(&self) -> Option<(u32, u32)> {
        let most = self.seen.iter().map(|(_, count)| *count).max()?;
        let all = self.seen.iter().fold(self.others, |sum, (_, n)| sum.saturating_add(*n));
        Some((most, all))
    }

    fn hop_limits(&self) -> impl Iterator<Item = u8> {
        self.seen.iter().filter_map(|(look, _)| look.hop_limit)
    }
}

/// Whether nobody expects a port to be open: it is not among the registry's most relevant ones.
fn is_unlikely(port: Port) -> bool {
    static LIKELY: LazyLock<PortSet> =
        LazyLock::new(|| Registry::ranked(Transport::Tcp).map(Into::into).collect());
    !LIKELY.contains(port)
}

fn is_nearly_all(part: u32, whole: u32) -> bool {
    u64::from(part) * 100 >= u64::from(whole) * NEARLY_ALL
}

/// A machine that has more open ports than this is rare enough to be asked twice.
const MANY: u32 = 20;
/// So many ports that nobody uses, taken at random and all open, are no chance.
const SAMPLE: u32 = 5;
/// In per cent.
const NEARLY_ALL: u64 = 95;
/// A host behind one address has one look, with a load balancer a few.
const MOST_LOOKS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn look(hop_limit: u8, window: u16) -> Signature {
        let options = [2, 4, 8, 1, 3].into();
        Signature {
            hop_limit: Some(hop_limit),
            window: Some(window),
            options,
            ..Signature::default()
        }
    }

    fn open_ports(ports: std::ops::Range<u16>, look: Option<&Signature>) -> Suspicion {
        let mut suspicion = Suspicion::default();
        ports.for_each(|port| suspicion.note_open(Port(port), look));
        suspicion
    }

    #[test]
    fn a_host_with_a_few_usual_ports_is_not_suspected() {
        let mut suspicion = Suspicion::default();
        for port in [22, 25, 53, 80, 110, 143, 443, 993] {
            suspicion.note_open(Port(port), Some(&look(63, 65160)));
        }
        (0..900).for_each(|_| suspicion.note_closed(Some(&look(63, 0))));
        assert!(!suspicion.wants_verification());
        assert_eq!(suspicion.conclude(1000), None);
    }

    #[test]
    fn a_window_of_zero_is_suspected_at_the_first_port() {
        assert!(open_ports(443..444, Some(&look(64, 0))).wants_verification());
    }

    #[test]
    fn a_syn_proxy_is_known_by_its_window_and_by_its_nearness() {
        let mut suspicion = open_ports(4000..4100, Some(&look(64, 0)));
        suspicion.note_closed(Some(&look(63, 0)));
        suspicion.note_verified(Port(4000), true);
        (4001..4100).for_each(|port| suspicion.note_verified(Port(port), false));
        let front = Front::SynProxy { zero_window: true, hop_limits: Some((64, 63)) };
        assert_eq!(suspicion.conclude(101), Some(front));
    }

    #[test]
    fn an_engine_that_sees_no_packets_knows_a_syn_proxy_by_its_dropped_connections() {
        let mut suspicion = open_ports(4000..4100, None);
        assert!(suspicion.wants_verification());
        suspicion.note_verified(Port(4000), true);
        (4001..4100).for_each(|port| suspicion.note_verified(Port(port), false));
        let front = Front::SynProxy { zero_window: false, hop_limits: None };
        assert_eq!(suspicion.conclude(100), Some(front));
    }

    #[test]
    fn one_service_that_drops_us_is_no_syn_proxy() {
        let mut suspicion = open_ports(20..45, None);
        (20..44).for_each(|port| suspicion.note_verified(Port(port), true));
        suspicion.note_verified(Port(44), false);
        assert_eq!(suspicion.conclude(1000), None);
    }

    #[test]
    fn rsts_from_elsewhere_than_the_syn_acks_want_a_connection_and_prove_nothing() {
        let mut suspicion = open_ports(80..81, Some(&look(63, 65160)));
        suspicion.note_closed(Some(&look(64, 0)));
        assert!(suspicion.wants_verification());
        suspicion.note_verified(Port(80), true);
        assert_eq!(suspicion.conclude(2), None);
    }

    #[test]
    fn a_host_whose_rsts_begin_with_another_hop_limit_is_in_one_place() {
        let mut suspicion = open_ports(80..81, Some(&look(63, 65160)));
        suspicion.note_closed(Some(&look(254, 0)));
        assert!(suspicion.wants_verification());
        suspicion.note_verified(Port(80), false);
        assert_eq!(suspicion.conclude(2), None);
    }

    #[test]
    fn a_host_that_answers_from_the_same_distance_is_not_suspected_for_one_reset_on_the_way() {
        let mut suspicion = open_ports(80..81, Some(&look(63, 65160)));
        suspicion.note_closed(Some(&look(63, 0)));
        suspicion.note_closed(Some(&look(64, 0)));
        assert!(!suspicion.wants_verification());
    }

    #[test]
    fn a_redirect_of_every_port_is_one_conclusion() {
        let mut suspicion = open_ports(8000..9000, Some(&look(63, 65160)));
        (8000..9000).for_each(|port| suspicion.note_verified(Port(port), true));
        assert_eq!(suspicion.conclude(1000), Some(Front::OpenEverything { ports: 1000 }));
        assert_eq!(suspicion.conclude(2000), None, "half of what was asked is not everything");
    }

    #[test]
    fn many_open_ports_with_many_looks_are_many_services() {
        let mut suspicion = Suspicion::default();
        for port in 0..30 {
            suspicion.note_open(Port(port), Some(&look(63, 60_000 + port % 6)));
            suspicion.note_verified(Port(port), true);
        }
        assert_eq!(suspicion.conclude(30), None);
    }

    #[test]
    fn five_open_ports_nobody_uses_are_suspected_unless_something_is_closed() {
        let unlikely = [60_001, 60_003, 60_005, 60_007, 60_009];
        assert!(unlikely.iter().all(|port| is_unlikely(Port(*port))));
        let mut open = Suspicion::default();
        unlikely.iter().for_each(|port| open.note_open(Port(*port), None));
        assert!(open.wants_verification());
        let mut partly = Suspicion::default();
        partly.note_closed(None);
        unlikely.iter().for_each(|port| partly.note_open(Port(*port), None));
        assert!(!partly.wants_verification());
    }

    #[test]
    fn ever_new_looks_take_no_more_memory() {
        let mut suspicion = Suspicion::default();
        for window in 1..=u16::MAX {
            suspicion.note_open(Port(window), Some(&look(63, window)));
            suspicion.note_closed(Some(&look(63, window)));
        }
        assert_eq!(suspicion.open_looks().len(), MOST_LOOKS);
        assert_eq!(suspicion.closed_looks().len(), MOST_LOOKS);
        assert_eq!(suspicion.conclude(65_535), None);
    }
}
