//! A target as people write it: `10.0.0.1`, `[fd00::1]`, `10.0.0.0/24`, `10.0.0.1-10.0.0.20`,
//! `10.0.0-3.1-254`, `fe80::1%eth0`, `web.example.org`.

use std::net::{IpAddr, Ipv4Addr};

use super::AddressRange;
use crate::net::{Prefix, PrefixError};

/// What a word stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Addresses.
    Addresses {
        /// Which.
        ranges: Vec<AddressRange>,
        /// The interface behind `%`, for link-local addresses (RFC 4007 §11).
        zone: Option<Box<str>>,
    },
    /// A name, to be resolved by somebody who can.
    Name(Box<str>),
}

impl Target {
    /// Reads one target.
    ///
    /// An address with a length means its network, whatever its host bits: `10.0.0.5/24` is what
    /// `ip address` prints. IPv4 in IPv6's clothes (`::ffff:10.0.0.1`) is IPv4.
    ///
    /// # Errors
    /// [`TargetError`] saying what is wrong.
    pub fn parse(word: &str) -> Result<Self, TargetError> {
        let found = || word.to_owned();
        if word.contains("://") {
            return Err(TargetError::Url { found: found() });
        }
        let (body, zone) = zone(bare(word));
        let addresses = |ranges| Ok(Self::Addresses { ranges, zone: zone.map(Into::into) });
        if let Some(range) = range(body) {
            return addresses(vec![range.map_err(|()| TargetError::Reversed { found: found() })?]);
        }
        if let Ok(address) = body.parse::<IpAddr>() {
            return addresses(vec![host(address, word)?.into()]);
        }
        if let Some(network) = network(body) {
            return addresses(vec![network?]);
        }
        if let Some(octets) = Octets::parse(body) {
            return addresses(
                octets.map_err(|()| TargetError::Octets { found: found() })?.ranges(),
            );
        }
        match zone {
            None => name(body),
            Some(_) => Err(TargetError::Syntax { found: found() }),
        }
    }
}

/// Why a word is no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Nothing that is known.
    #[error("`{found}` is neither an address, a network, a range nor a name")]
    Syntax {
        /// The word.
        found: String,
    },
    /// The last address before the first, or of another family.
    #[error("`{found}` does not run from a lower to a higher address of the same family")]
    Reversed {
        /// The word.
        found: String,
    },
    /// A part of an IPv4 address that is none.
    #[error("`{found}` has a part that is not 0-255, or runs backwards")]
    Octets {
        /// The word.
        found: String,
    },
    /// A prefix length beyond the family's.
    #[error(transparent)]
    Length(#[from] PrefixError),
    /// An address no host has.
    #[error("`{found}` is not the address of a host")]
    NoHost {
        /// The word.
        found: String,
    },
    /// An address with a port behind it.
    #[error("`{found}` names a port")]
    Port {
        /// The word.
        found: String,
    },
    /// A URL.
    #[error("`{found}` is a URL")]
    Url {
        /// The word.
        found: String,
    },
}

impl TargetError {
    /// The way out.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Port { .. } => {
                "ports go behind -p, for all targets; `portolan check` tests a single endpoint"
            }
            Self::Url { .. } => "name its host; `portolan check` takes URLs",
            Self::NoHost { .. } => {
                "multicast and 0.0.0.0 cannot be scanned; name hosts or networks"
            }
            _ => {
                "write targets like 10.0.0.1, 10.0.0.0/24, 10.0.0.1-20, fd00::1 or web.example.org"
            }
        }
    }
}

/// Without the brackets of `[fd00::1]`.
fn bare(word: &str) -> &str {
    word.strip_prefix('[').and_then(|w| w.strip_suffix(']')).unwrap_or(word)
}

/// The interface taken off `fe80::1%eth0`; only IPv6 addresses have one.
fn zone(word: &str) -> (&str, Option<&str>) {
    match word.split_once('%') {
        Some((address, zone)) if address.contains(':') && !zone.is_empty() => (address, Some(zone)),
        _ => (word, None),
    }
}

/// An address to connect to: not "any", not a group.
fn host(address: IpAddr, word: &str) -> Result<IpAddr, TargetError> {
    let address = address.to_canonical();
    let broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    let is_host = !(address.is_unspecified() || address.is_multicast() || broadcast);
    is_host.then_some(address).ok_or_else(|| TargetError::NoHost { found: word.to_owned() })
}

/// `a-b` with two whole addresses; `None` when it is something else.
fn range(body: &str) -> Option<Result<AddressRange, ()>> {
    let (first, last) = body.split_once('-')?;
    let first: IpAddr = bare(first).parse().ok()?;
    let last: IpAddr = bare(last).parse().ok()?;
    Some(AddressRange::new(first.to_canonical(), last.to_canonical()).ok_or(()))
}

/// `10.0.0.0/24`; `None` when there is no address before the slash.
fn network(body: &str) -> Option<Result<AddressRange, TargetError>> {
    let (address, length) = body.split_once('/')?;
    let address: IpAddr = bare(address).parse().ok()?;
    let wrong = || TargetError::Length(PrefixError::Length { found: body.to_owned() });
    let Ok(length) = length.parse::<u8>() else { return Some(Err(wrong())) };
    let mapped = address.is_ipv6() && address.to_canonical().is_ipv4();
    let (address, length) = match length.checked_sub(96) {
        Some(length) if mapped => (address.to_canonical(), length),
        _ => (address, length),
    };
    Some(Prefix::new(address, length).map(AddressRange::from).map_err(|_| wrong()))
}

/// IPv4 with a choice in each part: `10.0.0-3.1,5-9`, `192.168.*.1`.
struct Octets([Vec<(u8, u8)>; 4]);

impl Octets {
    /// `None` when the word is not of this kind at all.
    fn parse(body: &str) -> Option<Result<Self, ()>> {
        let numeric = |b: u8| b.is_ascii_digit() || matches!(b, b'-' | b',' | b'*' | b'.');
        if !body.bytes().all(numeric) || !body.bytes().any(|b| b.is_ascii_digit()) {
            return None;
        }
        let parts: Option<Vec<_>> = body.split('.').map(choices).collect();
        let octets = parts.and_then(|p| p.try_into().ok()).map(Self);
        Some(octets.filter(|o| o.runs() <= MOST_RUNS).ok_or(()))
    }

    /// How many separate ranges they make: one for each choice of the first three parts.
    fn runs(&self) -> usize {
        let count = |choices: &[(u8, u8)]| -> usize {
            choices.iter().map(|(a, b)| usize::from(b - a) + 1).sum()
        };
        let Self([a, b, c, d]) = self;
        [count(a), count(b), count(c), d.len()].into_iter().fold(1, usize::saturating_mul)
    }

    fn ranges(&self) -> Vec<AddressRange> {
        let Self([a, b, c, d]) = self;
        let each = |choices: &[(u8, u8)]| -> Vec<u8> {
            choices.iter().flat_map(|(first, last)| *first..=*last).collect()
        };
        let (b, c) = (each(b), each(c));
        let mut ranges = Vec::with_capacity(self.runs());
        for a in each(a) {
            for b in &b {
                for c in &c {
                    let at = |d: u8| IpAddr::V4(Ipv4Addr::new(a, *b, *c, d));
                    ranges.extend(d.iter().filter_map(|(x, y)| AddressRange::new(at(*x), at(*y))));
                }
            }
        }
        ranges
    }
}

/// A word that falls into more pieces than this is a mistake; a network says the same in one.
const MOST_RUNS: usize = 1 << 17;

/// `1`, `1-20`, `1,5-9`, `*`.
fn choices(part: &str) -> Option<Vec<(u8, u8)>> {
    let choice = |item: &str| {
        if item == "*" {
            return Some((0, u8::MAX));
        }
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then_some((first, last))
    };
    part.split(',').map(choice).collect()
}

/// A host name: what /etc/hosts, DNS and the like may know (RFC 1123 §2.1, RFC 2181 §11).
fn name(body: &str) -> Result<Target, TargetError> {
    let found = || body.to_owned();
    if let Some((host, port)) = body.rsplit_once(':')
        && !port.is_empty()
        && port.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b','))
        && (bare(host) != host || !host.contains(':'))
    {
        return Err(TargetError::Port { found: found() });
    }
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_name = (1..=253).contains(&body.len())
        && body.chars().all(fits)
        && body.chars().any(char::is_alphabetic)
        && !body.starts_with(['-', '.'])
        && !body.contains("..");
    if is_name {
        Ok(Target::Name(body.into()))
    } else {
        Err(TargetError::Syntax { found: found() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_more_choices_than_can_be_counted_is_refused() {
        let part = vec!["0-255"; 80_000].join(",");
        let word = [part.as_str(); 4].join(".");
        assert!(matches!(Target::parse(&word), Err(TargetError::Octets { .. })));
    }
}
