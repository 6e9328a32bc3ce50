//! An error text that somebody pasted, as a target.

use anyhow::Result;
use portolan_core::net::{Endpoint, Transport};
use portolan_core::socket::complaint::{self, Complaint, Host, Refused};

use crate::fault::Fault;

/// What a pasted text complains of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pasted {
    /// The place it could not have, the first of several.
    pub(crate) complaint: Complaint,
    /// The line that names the place.
    pub(crate) line: String,
    /// The other places of the text, as targets.
    pub(crate) others: Vec<String>,
}

impl Pasted {
    /// Reads a text.
    ///
    /// # Errors
    /// When it tells of no such error, or names no port.
    pub(crate) fn read(text: &str) -> Result<Self> {
        let reading = complaint::read(text);
        let mut complaints = reading.complaints.into_iter();
        let Some(complaint) = complaints.next() else {
            return Err(match (reading.refused, reading.line) {
                (Some(refused), Some(line)) => without_port(refused, line),
                _ => Fault::new("the text tells of no port that could not be had", WHAT),
            });
        };
        let line = text.lines().nth(complaint.line - 1).unwrap_or_default().to_owned();
        Ok(Self { complaint, line, others: complaints.map(|other| target(&other)).collect() })
    }

    /// What to explain, in the words of a target.
    pub(crate) fn target(&self) -> String {
        target(&self.complaint)
    }
}

fn target(complaint: &Complaint) -> String {
    let Complaint { host, port, transport, .. } = complaint;
    let place = match host {
        Some(Host::Address(address)) => Endpoint::new(*address, *port).to_string(),
        Some(Host::Name(name)) => format!("{name}:{port}"),
        Some(Host::Any) | None => port.to_string(),
    };
    match transport {
        Some(Transport::Tcp) | None => place,
        Some(other) => format!("{place}/{other}"),
    }
}

fn without_port(refused: Refused, line: usize) -> anyhow::Error {
    let what = format!("the text tells of {} in line {line}, but names no port", refused.as_str());
    Fault::new(what, "name it: portolan explain PORT; or find out: portolan explain -- COMMAND")
}

const WHAT: &str = "paste what the program printed, such as: listen tcp 0.0.0.0:5000: bind: address already in use";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_a_target_in_our_own_words() {
        for (text, target) in [
            ("listen tcp 0.0.0.0:5000: bind: address already in use", "0.0.0.0:5000"),
            ("listen tcp :5000: bind: address already in use", "5000"),
            ("listen udp [::1]:53: bind: address already in use", "[::1]:53/udp"),
            ("Failed to listen on localhost:80 (reason: Address already in use)", "localhost:80"),
            ("Port 3000 is already in use", "3000"),
        ] {
            assert_eq!(Pasted::read(text).unwrap().target(), target);
        }
    }

    #[test]
    fn other_places_of_the_text_are_kept() {
        let text = "bind() to 0.0.0.0:80 failed (98: Address already in use)\n\
                    bind() to [::]:443 failed (98: Address already in use)\n";
        assert_eq!(Pasted::read(text).unwrap().others, ["[::]:443"]);
    }

    #[test]
    fn an_error_without_a_port_says_so() {
        let error = Pasted::read("x\nOSError: [Errno 98] Address already in use").unwrap_err();
        assert_eq!(error.to_string(), "the text tells of EADDRINUSE in line 2, but names no port");
        let error = Pasted::read("segmentation fault").unwrap_err();
        assert_eq!(error.to_string(), "the text tells of no port that could not be had");
    }
}
