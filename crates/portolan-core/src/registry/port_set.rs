//! Port sets as people write them: `22`, `80,443`, `8000-8100`, `https`, `u:53,123`, `443/tcp`,
//! `top:100`, `all`.
//!
//! A prefix (`t:`, `u:`, `s:`, `d:`) holds until the next one; a transport behind an item
//! (`53/tcp+udp`) counts for that item alone and comes before any prefix. As in nmap, `-100` begins
//! at 1 and `60000-` ends at 65535, and `all` and `-` are 1–65535: zero is no port anybody listens on.

use std::fmt;

use crate::net::{Port, PortError, PortRange, PortSet, Transport, TransportSet};
use crate::registry::Registry;

/// Ports of each transport.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortSelection {
    sets: [PortSet; 4],
}

impl PortSelection {
    /// The selected ports of one transport.
    #[must_use]
    pub const fn of(&self, transport: Transport) -> &PortSet {
        &self.sets[transport as usize]
    }

    /// Whether a port of a transport is selected.
    #[must_use]
    pub fn contains(&self, port: Port, transport: Transport) -> bool {
        self.of(transport).contains(port)
    }

    /// The transports that have a selected port.
    #[must_use]
    pub fn transports(&self) -> TransportSet {
        Transport::ALL.into_iter().filter(|t| !self.of(*t).is_empty()).collect()
    }

    /// Every selected port, whatever its transport.
    #[must_use]
    pub fn ports(&self) -> PortSet {
        let mut ports = PortSet::new();
        self.sets.iter().for_each(|set| ports.union_with(set));
        ports
    }

    fn insert(&mut self, transports: TransportSet, ranges: &[PortRange]) {
        for transport in transports.iter() {
            let set = &mut self.sets[transport as usize];
            ranges.iter().for_each(|range| set.insert_range(*range));
        }
    }
}

impl fmt::Display for PortSelection {
    /// As a port set that selects the same: `t:80,443,u:53`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, transport) in self.transports().iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}{}:{}", prefix_of(transport), self.of(transport))?;
        }
        Ok(())
    }
}

/// Reads a port set; items without a transport of their own are of the `usual` ones.
///
/// # Errors
/// [`PortSetError`] with the place of the item that is wrong.
pub fn parse(
    text: &str,
    usual: TransportSet,
    registry: &Registry,
) -> Result<PortSelection, PortSetError> {
    let mut selection = PortSelection::default();
    let mut reader = Reader { registry, usual, prefix: None };
    let mut at = 1;
    for item in text.split(',') {
        let lead = item.chars().take_while(|c| c.is_whitespace()).count();
        reader.read(item.trim(), &mut selection).map_err(|mistake| PortSetError {
            text: text.to_owned(),
            at: at + lead,
            mistake,
        })?;
        at += item.chars().count() + 1;
    }
    Ok(selection)
}

/// What is wrong in a port set, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{mistake}", self.place())]
pub struct PortSetError {
    /// The whole text.
    pub text: String,
    /// Where the wrong item begins, in characters, counted from one.
    pub at: usize,
    /// What is wrong with it.
    pub mistake: Mistake,
}

impl PortSetError {
    /// The place of the mistake, where the text has more than one item.
    fn place(&self) -> String {
        let Self { text, at, .. } = self;
        if text.contains(',') { format!("`{text}`, character {at}: ") } else { String::new() }
    }

    /// The way out, where there is one to name; else how a port set is written.
    #[must_use]
    pub fn hint(&self) -> String {
        match &self.mistake {
            Mistake::UnknownName { name, .. } if is_range_with_colon(name) => {
                let meant = self.text.replace(name, &name.replace(':', "-"));
                format!("a range is written with a hyphen: {meant}")
            }
            Mistake::UnknownName { nearest: Some(nearest), .. } => {
                format!("did you mean `{nearest}`?")
            }
            Mistake::NotOf { name, transport, .. } => {
                format!(
                    "`portolan lookup {name}` shows the ports of {name}; it has none of {transport}"
                )
            }
            Mistake::Number(PortError::Reversed { first, last }) => {
                format!("write the smaller number first: {last}-{first}")
            }
            Mistake::Number(PortError::TooLarge { .. }) => "ports are 0 to 65535".into(),
            Mistake::TopTooLong { longest, transport, .. } if *longest > 0 => {
                format!("the longest list of {transport} is top:{longest}")
            }
            _ => "write ports like 22, 80,443, 8000-8100, https, u:53, 443/tcp, top:100 or all"
                .into(),
        }
    }
}

/// What is wrong with an item of a port set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// Nothing between two commas, or nothing at all.
    #[error("a port is missing")]
    Empty,
    /// A number or range that is none.
    #[error(transparent)]
    Number(#[from] PortError),
    /// A name that is not in the registry.
    #[error("no service is called `{name}`")]
    UnknownName {
        /// The name as given.
        name: String,
        /// The one it may have been meant to be.
        nearest: Option<String>,
    },
    /// A service that has no port of the transport asked for.
    #[error("{name} has no {transport} port")]
    NotOf {
        /// The service.
        name: String,
        /// The transports asked for, as `tcp+udp`.
        transport: TransportSet,
    },
    /// Something behind `/` that is no transport.
    #[error("`{found}` is not a transport; one of tcp, udp, sctp, dccp")]
    Transport {
        /// The text as given.
        found: String,
    },
    /// Something behind `top:` that is no count.
    #[error("`top:{found}` needs a count, as in top:100")]
    Top {
        /// The text as given.
        found: String,
    },
    /// More than the ranking holds.
    #[error("top:{asked} is more than is ranked for {transport} ({longest})")]
    TopTooLong {
        /// The count as given.
        asked: usize,
        /// How many ports are ranked.
        longest: usize,
        /// The transport.
        transport: Transport,
    },
}

/// Reads items one after the other; the prefix is what they share.
struct Reader<'r> {
    registry: &'r Registry,
    usual: TransportSet,
    prefix: Option<Transport>,
}

impl Reader<'_> {
    fn read(&mut self, item: &str, into: &mut PortSelection) -> Result<(), Mistake> {
        let item = self.take_prefix(item);
        let (body, transports) = self.split_transports(item)?;
        if body.is_empty() {
            return Err(Mistake::Empty);
        }
        if let Some(count) = strip_prefix_ignoring_case(body, "top:") {
            return top(count, transports, into);
        }
        match numbers(body) {
            Some(range) => into.insert(transports, &[range?]),
            None => self.named(body, transports, into)?,
        }
        Ok(())
    }

    /// Takes `u:` off an item and keeps it for the items that follow.
    fn take_prefix<'t>(&mut self, item: &'t str) -> &'t str {
        let Some((letter, rest)) = item.split_once(':') else { return item };
        let known =
            |t: &Transport| letter.eq_ignore_ascii_case(prefix_of(*t).encode_utf8(&mut [0; 4]));
        match Transport::ALL.into_iter().find(known) {
            Some(transport) => {
                self.prefix = Some(transport);
                rest.trim_start()
            }
            None => item,
        }
    }

    /// Takes `/tcp+udp` off an item. A few names have a slash of their own (`EtherNet/IP-1`).
    fn split_transports<'t>(&self, item: &'t str) -> Result<(&'t str, TransportSet), Mistake> {
        let shared = self.prefix.map_or(self.usual, |t| TransportSet::NONE.with(t));
        let Some((body, found)) = item.rsplit_once('/') else { return Ok((item, shared)) };
        match found.parse() {
            Ok(transports) => Ok((body, transports)),
            Err(_) if !self.registry.by_name(item).is_empty() => Ok((item, shared)),
            Err(_) => Err(Mistake::Transport { found: found.to_owned() }),
        }
    }

    fn named(
        &self,
        name: &str,
        transports: TransportSet,
        into: &mut PortSelection,
    ) -> Result<(), Mistake> {
        let assignments = self.registry.by_name(name);
        if assignments.is_empty() {
            let nearest = self.registry.nearest_name(name).map(str::to_owned);
            return Err(Mistake::UnknownName { name: name.to_owned(), nearest });
        }
        let mut found = false;
        for assignment in assignments {
            let Some(port) = assignment.port else { continue };
            let common: TransportSet = match assignment.transports {
                TransportSet::NONE => transports,
                named => named.iter().filter(|t| transports.contains(*t)).collect(),
            };
            found |= !common.is_empty();
            into.insert(common, &[port.into()]);
        }
        let missing = || Mistake::NotOf { name: name.to_owned(), transport: transports };
        found.then_some(()).ok_or_else(missing)
    }
}

/// `6000:6007`, as ufw and iptables write it.
fn is_range_with_colon(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    name.split_once(':').is_some_and(|(first, last)| is_number(first) && is_number(last))
}

/// The range that `body` writes in digits; `None` when it is a word.
fn numbers(body: &str) -> Option<Result<PortRange, PortError>> {
    if body == "-" || body.eq_ignore_ascii_case("all") {
        return Some(PortRange::new(FIRST, Port::MAX));
    }
    if !body.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        return None;
    }
    let (first, last) = match body.split_once('-') {
        Some((first, last)) => (or(first, FIRST), or(last, Port::MAX)),
        None => (body.parse(), body.parse()),
    };
    Some(first.and_then(|first| PortRange::new(first, last?)))
}

fn or(text: &str, absent: Port) -> Result<Port, PortError> {
    if text.is_empty() { Ok(absent) } else { text.parse() }
}

fn top(count: &str, transports: TransportSet, into: &mut PortSelection) -> Result<(), Mistake> {
    let asked = count.parse().ok().filter(|n| *n > 0);
    let asked: usize = asked.ok_or_else(|| Mistake::Top { found: count.to_owned() })?;
    for transport in transports.iter() {
        let ports: Vec<PortRange> =
            Registry::ranked(transport).take(asked).map(PortRange::from).collect();
        if ports.len() < asked {
            return Err(Mistake::TopTooLong { asked, longest: ports.len(), transport });
        }
        into.insert(TransportSet::NONE.with(transport), &ports);
    }
    Ok(())
}

fn strip_prefix_ignoring_case<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

const fn prefix_of(transport: Transport) -> char {
    match transport {
        Transport::Tcp => 't',
        Transport::Udp => 'u',
        Transport::Sctp => 's',
        Transport::Dccp => 'd',
    }
}

/// Where `all` begins.
const FIRST: Port = Port(1);

#[cfg(test)]
mod tests;
