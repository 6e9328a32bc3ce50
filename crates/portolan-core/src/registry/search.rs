//! Words to ports: who asks for `time server` has no number and no exact name.

use std::cmp::Reverse;

use crate::net::Port;
use crate::registry::common_use::{self, CommonUse};
use crate::registry::iana::Assignment;

/// Something that words were found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match<'a> {
    /// In IANA's name or description.
    Assignment(Assignment<'a>),
    /// In the name of a product.
    CommonUse(CommonUse),
}

impl Match<'_> {
    /// The port it is about; `None` for a name without one.
    #[must_use]
    pub const fn port(&self) -> Option<Port> {
        match self {
            Self::Assignment(a) => a.port,
            Self::CommonUse(u) => Some(u.port),
        }
    }
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found<'a> {
    /// Whether each of these has every word in it, or only the most of them.
    pub complete: bool,
    /// What was found, best first.
    pub matches: Vec<Match<'a>>,
}

/// What of `assignments` and of the common uses matches `words`, best first.
pub(super) fn search<'a>(
    assignments: impl Iterator<Item = Assignment<'a>>,
    words: &str,
) -> Found<'a> {
    let words: Vec<String> = words.split_whitespace().map(str::to_lowercase).collect();
    let mut found: Vec<(Score, Match<'a>)> = common_use::all()
        .map(|u| (Score::of(&words, u.product, u.kind), Match::CommonUse(u)))
        .chain(assignments.map(|a| {
            let name = a.service.unwrap_or_default();
            (Score::of(&words, name, a.description), Match::Assignment(a))
        }))
        .filter(|(score, _)| score.words > 0)
        .collect();
    let most = found.iter().map(|(score, _)| score.words).max().unwrap_or_default();
    found.retain(|(score, _)| score.words == most);
    found.sort_by_key(|(score, _)| Reverse(*score));
    let matches = found.into_iter().map(|(_, found)| found).collect();
    Found { complete: most == words.len(), matches }
}

/// How well a row matches; more is better, words found count before how they were found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    words: usize,
    quality: usize,
}

impl Score {
    fn of(words: &[String], name: &str, description: &str) -> Self {
        let (name, description) = (name.to_lowercase(), description.to_lowercase());
        words.iter().map(|word| quality(word, &name, &description)).fold(
            Self::default(),
            |sum, q| Self { words: sum.words + usize::from(q > 0), quality: sum.quality + q },
        )
    }
}

/// 8 the name itself, 6 a word of it, 4 the start of one, 3 a word of the description, 2 the start
/// of one, 1 somewhere inside, 0 nowhere.
fn quality(word: &str, name: &str, description: &str) -> usize {
    let of = |text: &str, whole, start| {
        let parts = || text.split(|c: char| !c.is_alphanumeric());
        match () {
            () if parts().any(|part| part == word) => whole,
            () if parts().any(|part| part.starts_with(word)) => start,
            () if text.contains(word) => 1,
            () => 0,
        }
    };
    if name == word { 8 } else { of(name, 6, 4).max(of(description, 3, 2)) }
}
