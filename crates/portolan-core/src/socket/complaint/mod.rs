//! What a program complained of when it could not have its port: a pasted error text, read.
//!
//! Every runtime words it differently, so two things are looked for line by line: a phrase that
//! tells which error it was ([`Refused`]), and a place, an address with a port, in that line; where
//! the line has none, in the lines around it. What a text does not say is not made up: a complaint
//! without a port is none, and [`Reading::refused`] still tells that there was an error.

mod phrase;
mod place;

use std::net::IpAddr;
use std::ops::Range;

use crate::net::{Port, Transport};
use place::Place;

/// What a text says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Every place that could not be had, each once, in the order of the text.
    pub complaints: Vec<Complaint>,
    /// The first error of the text that is about an address or port, also where no port is named.
    pub refused: Option<Refused>,
    /// The line of that error, from 1.
    pub line: Option<usize>,
}

/// One place that could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Which error it was.
    pub refused: Refused,
    /// The transport, where the text names it; most do not, and mean TCP.
    pub transport: Option<Transport>,
    /// The address, where the text names one.
    pub host: Option<Host>,
    /// The port; never 0.
    pub port: Port,
    /// The line that names the place, from 1.
    pub line: usize,
    /// Where in that line, in bytes.
    pub span: Range<usize>,
    /// Whether the place stands in another line than the error.
    pub is_apart: bool,
}

/// An address as a text names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Address(IpAddr),
    /// A name such as `localhost`.
    Name(Box<str>),
    /// `*`, or nothing before the colon: every address.
    Any,
}

/// The error that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// EADDRINUSE.
    InUse,
    /// EACCES: a port below 1024, or a rule.
    Denied,
    /// EADDRNOTAVAIL: not an address of this machine.
    NotAvailable,
    /// WSAEACCES, which only Windows gives: somebody has the port exclusively, or it lies in a range
    /// that Hyper-V or another service has set aside.
    WindowsDenied,
    /// WSAEADDRINUSE, which only Windows gives.
    WindowsInUse,
}

impl Refused {
    /// The system's name of it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InUse => "EADDRINUSE",
            Self::Denied => "EACCES",
            Self::NotAvailable => "EADDRNOTAVAIL",
            Self::WindowsDenied => "WSAEACCES (10013)",
            Self::WindowsInUse => "WSAEADDRINUSE (10048)",
        }
    }

    /// Whether it was met on Windows, so that this machine may not be the one.
    #[must_use]
    pub const fn is_of_windows(self) -> bool {
        matches!(self, Self::WindowsDenied | Self::WindowsInUse)
    }
}

/// Reads a text of any length; of a very long one the beginning.
#[must_use]
pub fn read(text: &str) -> Reading {
    let lines: Vec<&str> = text.lines().take(LINES).collect();
    let errors: Vec<(usize, Refused)> = lines
        .iter()
        .enumerate()
        .filter_map(|(at, line)| Some((at, phrase::error(line)?)))
        .take(ERRORS)
        .collect();
    let Some(&(first, refused)) = errors.first() else { return Reading::default() };
    // Node's UDP sockets are called dgram, and nothing else in such a text says what they are.
    let is_dgram =
        lines.iter().any(|line| line.contains("node:dgram") || line.contains("dgram.js"));
    let otherwise = is_dgram.then_some(Transport::Udp);
    let complaint = |refused: Refused, at: usize, place: Place| {
        let transport = place.transport.or_else(|| phrase::transport(lines[at]));
        Some(Complaint {
            refused,
            transport: transport.or(otherwise),
            host: place.host,
            port: place.port.filter(|port| port.0 != 0)?,
            line: at + 1,
            span: place.span,
            is_apart: false,
        })
    };
    let mut complaints = Vec::new();
    for &(at, refused) in &errors {
        let named = place::first(lines[at]);
        complaints.extend(named.and_then(|place| complaint(refused, at, place)));
    }
    // postgres: the address with the error, the port in the hint.
    let mut alone = errors.iter().filter(|(at, _)| place::first(lines[*at]).is_none());
    if let Some(address) = alone.find_map(|(at, _)| place::address(lines[*at])) {
        for complaint in complaints.iter_mut().filter(|c| c.host.is_none()) {
            complaint.host = Some(Host::Address(address));
        }
    }
    if complaints.is_empty() {
        complaints.extend(nearest(first, &lines).and_then(|(at, place)| {
            let apart = complaint(refused, at, place)?;
            Some(Complaint { is_apart: true, ..apart })
        }));
    }
    Reading { complaints: each_once(complaints), refused: Some(refused), line: Some(first + 1) }
}

/// The nearest line that names a port, the following ones first: a hint comes after the error.
fn nearest(error: usize, lines: &[&str]) -> Option<(usize, Place)> {
    let after = (error + 1..lines.len()).take(AROUND);
    let before = (0..error).rev().take(AROUND);
    let places = |at: usize| {
        let is_about_ports = phrase::is_about_ports(lines[at]);
        let place = place::first(lines[at]).filter(|_| is_about_ports)?;
        place.port.filter(|port| port.0 != 0)?;
        Some((at, place))
    };
    after.filter_map(places).next().or_else(|| before.filter_map(places).next())
}

/// The same place is often named twice, once with its address and once without.
fn each_once(complaints: Vec<Complaint>) -> Vec<Complaint> {
    let mut all: Vec<Complaint> = Vec::new();
    for new in complaints {
        let same = all.iter_mut().find(|old| {
            old.port == new.port
                && (old.host == new.host || old.host.is_none() || new.host.is_none())
        });
        match same {
            Some(old) if old.host.is_none() && new.host.is_some() => *old = new,
            Some(old) => old.transport = old.transport.or(new.transport),
            None => all.push(new),
        }
    }
    all
}

/// A log longer than that is not pasted but piped, and its beginning has the first error.
const LINES: usize = 1_000_000;
/// Lines with an error that are told of; who tries again and again says the same.
const ERRORS: usize = 1000;
/// How far from the error a port may be named. A Java trace of fifty lines may lie between.
const AROUND: usize = 120;

#[cfg(test)]
mod tests;
