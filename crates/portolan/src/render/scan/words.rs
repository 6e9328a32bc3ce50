//! The words that all forms of a scan share.

use std::time::Duration;

use portolan_core::scan::{Canary, Capped, Front, Icmp, Note, PortState, Reason};

pub(super) use crate::render::number::counted;
use crate::render::number::thousands;

/// A state with the common word beside the precise one.
pub(super) fn state(state: PortState, reason: Reason, verified: Option<bool>) -> String {
    let aside = match (state, reason) {
        (PortState::Open, _) if verified == Some(false) => "reset at once",
        (PortState::Open, _) => return "open".to_owned(),
        (PortState::Closed, Reason::Icmp(_)) => "nothing listens",
        (PortState::Closed, _) => "refused",
        (_, Reason::Icmp(icmp)) => said(icmp),
        (PortState::Unknown, _) => why_unknown(reason),
        (_, Reason::NoNeighbour) => "nobody there",
        (PortState::OpenFiltered, _) => "silent",
        (PortState::Filtered, _) => "timed out",
    };
    format!("{} ({aside})", state.as_str())
}

const fn why_unknown(reason: Reason) -> &'static str {
    match reason {
        Reason::LocalError(error) => error.as_str(),
        Reason::HostSilent => "host silent",
        Reason::RateLimited => "answers limited",
        Reason::NotFinished => "not finished",
        Reason::NoNeighbour => "nobody there",
        _ => "not found out",
    }
}

/// What an ICMP error says: RFC 792, RFC 1812 §5.2.7.1, RFC 4443 §3.
pub(super) const fn said(icmp: Icmp) -> &'static str {
    match (icmp.v6, icmp.kind, icmp.code) {
        (false, 3, 0 | 6) | (true, 1, 0) => "no route",
        (false, 3, 1 | 7) | (true, 1, 3) => "host unreachable",
        (false, 3, 2) => "protocol refused",
        (false, 3, 3) | (true, 1, 4) => "port refused",
        (false, 3, 9..=10 | 13) | (true, 1, 1 | 5..=6) => "prohibited",
        (false, 11, _) | (true, 3, _) => "TTL exceeded",
        _ => "refused on the way",
    }
}

/// The word for a note in JSON.
pub(super) const fn note(note: Note) -> &'static str {
    match note {
        Note::AnsweredNearer => "answered-nearer",
        Note::AnsweredEarlier => "answered-earlier",
    }
}

/// A note in a sentence.
pub(super) const fn note_said(note: Note) -> &'static str {
    match note {
        Note::AnsweredNearer => "something nearer answered",
        Note::AnsweredEarlier => "answered earlier",
    }
}

/// What told that a host still answers: `echo`, `closed:81/tcp`.
pub(super) fn canary(canary: Canary) -> String {
    match canary {
        Canary::Echo => "echo".to_owned(),
        Canary::Closed(port) => format!("closed:{port}/tcp"),
        Canary::Open(port) => format!("open:{port}/tcp"),
        Canary::ClosedUdp(port) => format!("closed:{port}/udp"),
    }
}

/// Which answers are limited.
pub(super) const fn capped(what: Capped) -> &'static str {
    match what {
        Capped::Reset => "reset",
        Capped::Icmp => "icmp",
    }
}

/// What stands in front.
pub(super) const fn front(front: &Front) -> &'static str {
    match front {
        Front::SynProxy { .. } => "syn-proxy",
        Front::OpenEverything { .. } => "open-everything",
    }
}

/// A duration as people read it: `0.21 ms`, `12.3 ms`, `1.2 s`, `3 min 20 s`.
pub(super) fn time(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1000.0;
    let s = duration.as_secs();
    match () {
        () if ms < 10.0 => format!("{ms:.2} ms"),
        () if ms < 1000.0 => format!("{ms:.0} ms"),
        () if s < 100 => format!("{:.1} s", ms / 1000.0),
        () if s < 6000 => format!("{} min {} s", s / 60, s % 60),
        () => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

/// A share in per cent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// A small probability: `1 chance in 50,000`.
pub(super) fn odds(probability: f64) -> String {
    let of = (1.0 / probability).round().min(MOST_ODDS);
    format!("1 chance in {}", thousands(of as u64))
}

/// Beyond a billion nobody tells them apart.
const MOST_ODDS: f64 = 1e9;

/// What stands in front, in a sentence.
pub(super) fn in_front(front: &Front) -> String {
    match front {
        Front::SynProxy { zero_window, hop_limits } => {
            let mut tells = Vec::new();
            tells.extend(zero_window.then(|| "window 0".to_owned()));
            tells.extend(hop_limits.map(|(proxy, host)| format!("TTL {proxy} vs {host}")));
            let tells =
                if tells.is_empty() { String::new() } else { format!(" ({})", tells.join(", ")) };
            format!("SYN proxy suspected{tells}: something in front accepts every connection")
        }
        Front::OpenEverything { ports } => {
            let ports = counted(u64::from(*ports), "port");
            format!("{ports} open with one signature: a redirect, or one program behind them all")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_numbers_are_short() {
        let said =
            [0.000_21, 0.0123, 1.23, 200.0, 7300.0].map(|s| time(Duration::from_secs_f64(s)));
        assert_eq!(said, ["0.21 ms", "12 ms", "1.2 s", "3 min 20 s", "2 h 1 min"]);
        assert_eq!(counted(1, "host"), "1 host");
        assert_eq!(counted(65_536, "port"), "65,536 ports");
    }

    #[test]
    fn a_state_has_its_common_word_beside_it() {
        let icmp = Reason::Icmp(Icmp { v6: false, kind: 3, code: 13 });
        let said = [
            state(PortState::Open, Reason::SynAck, None),
            state(PortState::Closed, Reason::Reset, None),
            state(PortState::Filtered, Reason::NoResponse, None),
            state(PortState::Filtered, icmp, None),
            state(PortState::OpenFiltered, Reason::NoResponse, None),
            state(PortState::Unknown, Reason::NotFinished, None),
        ];
        let expected = [
            "open",
            "closed (refused)",
            "filtered (timed out)",
            "filtered (prohibited)",
            "open|filtered (silent)",
            "unknown (not finished)",
        ];
        assert_eq!(said, expected);
    }
}
