//! What a scan remembers of itself, so that another run goes on where it was killed.
//!
//! A text: a line that says which scan it is, then lines of positions that are final, each `N` or
//! `N-M`. It only ever grows, so that it can be torn in its last line alone, and that line counts
//! for nothing.

use std::fmt;
use std::str::FromStr;

use super::{Positions, Shard};

/// Which scan it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the order is derived from.
    pub seed: u64,
    /// Which part of the work it is.
    pub shard: Option<Shard>,
    /// How many hosts.
    pub hosts: u64,
    /// Which hosts: [`super::TargetSet::digest`].
    pub targets: u64,
    /// Which ports, as a port set.
    pub ports: String,
}

/// A journal as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// Which scan it is of.
    pub header: Header,
    /// What is done.
    pub done: Positions,
    /// How many bytes are whole lines; what follows was torn and is to be cut off.
    pub whole: usize,
}

impl Journal {
    /// Reads a journal; `None` when it holds nothing yet, not even whole who it is of.
    ///
    /// # Errors
    /// [`JournalError`] for a file that is no journal, or one that somebody else wrote in.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, JournalError> {
        let Some(whole) = bytes.iter().rposition(|b| *b == b'\n').map(|at| at + 1) else {
            let begun = MAGIC.as_bytes();
            let is_torn = bytes.starts_with(begun) || begun.starts_with(bytes);
            return if is_torn { Ok(None) } else { Err(JournalError::Foreign) };
        };
        let text = str::from_utf8(&bytes[..whole]).map_err(|_| JournalError::Foreign)?;
        let mut lines = text.lines();
        let header: Header = lines.next().unwrap_or_default().parse()?;
        let mut done = Positions::default();
        for (i, line) in lines.enumerate() {
            let (from, to) = range(line).ok_or(JournalError::Line { line: i + 2 })?;
            done.insert(from, to);
        }
        Ok(Some(Self { header, done, whole }))
    }

    /// The lines that say that `done` is.
    #[must_use]
    pub fn entry(done: &Positions) -> String {
        let line = |(from, to): (u64, u64)| match to - from {
            1 => format!("{from}\n"),
            _ => format!("{from}-{}\n", to - 1),
        };
        done.ranges().map(line).collect()
    }
}

impl Header {
    /// The word for what keeps `other` from being the same scan; `None` when it is.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        let same_targets = self.targets == other.targets && self.hosts == other.hosts;
        match () {
            () if !same_targets => Some("targets"),
            () if self.ports != other.ports => Some("ports"),
            () if self.shard != other.shard => Some("shard"),
            () if self.seed != other.seed => Some("seed"),
            () => None,
        }
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, shard, hosts, targets, ports } = self;
        let shard = shard.unwrap_or(Shard { number: 1, of: 1 });
        write!(f, "{MAGIC}seed={seed} shard={}/{} ", shard.number, shard.of)?;
        write!(f, "hosts={hosts} targets={targets:016x} ports={ports}")
    }
}

impl FromStr for Header {
    type Err = JournalError;

    fn from_str(line: &str) -> Result<Self, JournalError> {
        let fields = line.strip_prefix(MAGIC).and_then(header);
        fields.ok_or_else(|| match line.starts_with(FAMILY) {
            true if !line.starts_with(MAGIC) => JournalError::Version,
            _ => JournalError::Foreign,
        })
    }
}

fn header(fields: &str) -> Option<Header> {
    let mut fields = fields.split(' ');
    let mut next = |name: &str| fields.next()?.strip_prefix(name)?.strip_prefix('=');
    let seed = next("seed")?.parse().ok()?;
    let (number, of) = next("shard")?.split_once('/')?;
    let shard = Shard { number: number.parse().ok()?, of: of.parse().ok()? };
    let hosts = next("hosts")?.parse().ok()?;
    let targets = u64::from_str_radix(next("targets")?, 16).ok()?;
    let ports = next("ports")?.to_owned();
    Some(Header { seed, shard: (shard.of > 1).then_some(shard), hosts, targets, ports })
}

/// `N` or `N-M`, as from and to (exclusive).
fn range(line: &str) -> Option<(u64, u64)> {
    let (from, last) = line.split_once('-').unwrap_or((line, line));
    let (from, last): (u64, u64) = (from.parse().ok()?, last.parse().ok()?);
    (from <= last).then_some((from, last.checked_add(1)?))
}

/// Why a file is not the journal of this scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Something else.
    #[error("it is not the journal of a scan")]
    Foreign,
    /// Of another version of this program.
    #[error("it is a journal of another version")]
    Version,
    /// A whole line that is no position.
    #[error("line {line} is not a position or a range of them")]
    Line {
        /// The line, from 1.
        line: usize,
    },
}

const FAMILY: &str = "portolan-scan ";
/// How version 1 begins.
const MAGIC: &str = "portolan-scan 1 ";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> Header {
        let shard = Some(Shard { number: 2, of: 3 });
        Header { seed: 7, shard, hosts: 256, targets: 0xab, ports: "t:22,80,u:53".into() }
    }

    fn positions(ranges: &[(u64, u64)]) -> Positions {
        let mut positions = Positions::default();
        ranges.iter().for_each(|(from, to)| positions.insert(*from, *to));
        positions
    }

    #[test]
    fn a_file_that_is_something_else_is_refused() {
        for (text, error) in [
            ("hello\n", JournalError::Foreign),
            ("my notes", JournalError::Foreign),
            ("portolan-scan 2 seed=1\n", JournalError::Version),
            ("portolan-scan 1 seed=1\n", JournalError::Foreign),
        ] {
            assert_eq!(Journal::read(text.as_bytes()), Err(error), "{text}");
        }
        let damaged = format!("{}\n1\n5-3\n", header());
        assert_eq!(Journal::read(damaged.as_bytes()), Err(JournalError::Line { line: 3 }));
        let endless = format!("{}\n0-{}\n", header(), u64::MAX);
        assert_eq!(Journal::read(endless.as_bytes()), Err(JournalError::Line { line: 2 }));
    }

    #[test]
    fn another_scan_is_told_by_what_differs() {
        assert_eq!(header().difference(&header()), None);
        let other = Header { ports: "t:22".into(), seed: 8, ..header() };
        assert_eq!(header().difference(&other), Some("ports"));
        assert_eq!(header().difference(&Header { shard: None, ..header() }), Some("shard"));
    }

    proptest! {
        #[test]
        fn wherever_it_is_torn_only_the_torn_line_is_lost(
            entries in prop::collection::vec(prop::collection::vec((0u64..1000, 1u64..50), 1..4), 0..8),
        ) {
            let entries: Vec<Positions> = entries
                .iter()
                .map(|e| positions(&e.iter().map(|(a, n)| (*a, a + n)).collect::<Vec<_>>()))
                .collect();
            let text: String = [format!("{}\n", header())]
                .into_iter()
                .chain(entries.iter().map(Journal::entry))
                .collect();
            let whole = Journal::read(text.as_bytes()).unwrap().unwrap();
            prop_assert_eq!(whole.whole, text.len());
            let mut all = Positions::default();
            entries.iter().flat_map(Positions::ranges).for_each(|(a, b)| all.insert(a, b));
            prop_assert_eq!(&whole.done, &all);
            for end in 0..text.len() {
                let Some(journal) = Journal::read(&text.as_bytes()[..end]).unwrap() else {
                    prop_assert!(!text[..end].contains('\n'));
                    continue;
                };
                prop_assert_eq!(journal.whole, text[..end].rfind('\n').unwrap() + 1);
                prop_assert_eq!(&journal.header, &header());
                for (from, to) in journal.done.ranges() {
                    prop_assert!(all.contains(from) && all.contains(to - 1));
                }
                // Going on behind what is whole leaves nothing out.
                let again = format!("{}{}", &text[..journal.whole], Journal::entry(&all));
                prop_assert_eq!(Journal::read(again.as_bytes()).unwrap().unwrap().done, all.clone());
            }
        }
    }
}
