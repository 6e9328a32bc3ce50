//! Globs as the file uses them: `*`, `?` and `[a-z]`, over a whole name.
//!
//! In time proportional to pattern times text, whatever the pattern (the backtracking is to the
//! last `*` alone), so that a hostile pattern costs nothing.

/// Whether all of `text` is what `pattern` describes. `[!a-z]` is anything but; a bracket that is
/// not closed stands for itself.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let pattern = items(pattern);
    remainder(&pattern, text).is_some_and(|rest| rest.iter().all(|i| matches!(i, Item::Many)))
}

/// Whether something that begins with `start` is what `pattern` describes.
#[must_use]
pub fn may_begin(pattern: &str, start: &str) -> bool {
    remainder(&items(pattern), start).is_some()
}

/// What of the pattern is left when all of `text` is taken; `None` where it cannot be.
fn remainder<'p>(pattern: &'p [Item], text: &str) -> Option<&'p [Item]> {
    let mut rest = pattern;
    let mut text = text.chars();
    // Where to go on when a later item does not fit: behind the last `*`, one character further.
    let mut again: Option<(&[Item], std::str::Chars<'_>)> = None;
    loop {
        let before = text.clone();
        if let [Item::Many, behind @ ..] = rest {
            rest = behind;
            again = Some((behind, before));
            continue;
        }
        let Some(c) = text.next() else { return Some(rest) };
        match rest {
            [item, behind @ ..] if item.takes(c) => rest = behind,
            _ => {
                let (behind, from) = again.as_mut()?;
                from.next();
                (rest, text) = (behind, from.clone());
            }
        }
    }
}

enum Item {
    Many,
    One,
    Exactly(char),
    Of { ranges: Vec<(char, char)>, inside: bool },
}

impl Item {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Many => false,
            Self::One => true,
            Self::Exactly(this) => *this == c,
            Self::Of { ranges, inside } => {
                ranges.iter().any(|(first, last)| (first..=last).contains(&&c)) == *inside
            }
        }
    }
}

fn items(pattern: &str) -> Vec<Item> {
    let characters: Vec<char> = pattern.chars().collect();
    let mut items = Vec::new();
    let mut rest = characters.as_slice();
    while let [first, after @ ..] = rest {
        rest = after;
        items.push(match first {
            '*' => Item::Many,
            '?' => Item::One,
            '[' => match bracket(after) {
                Some((item, behind)) => {
                    rest = behind;
                    item
                }
                None => Item::Exactly('['),
            },
            other => Item::Exactly(*other),
        });
    }
    items
}

/// The set that begins behind a `[`, and what follows its `]`. A `]` in first place is a member.
fn bracket(inside: &[char]) -> Option<(Item, &[char])> {
    let negated = matches!(inside.first(), Some('!' | '^'));
    let members = &inside[usize::from(negated)..];
    let end = 1 + members.get(1..)?.iter().position(|c| *c == ']')?;
    let mut ranges = Vec::new();
    let mut rest = &members[..end];
    while let [first, after @ ..] = rest {
        (ranges, rest) = match after {
            ['-', last, behind @ ..] => (with(ranges, (*first, *last)), behind),
            _ => (with(ranges, (*first, *first)), after),
        };
    }
    Some((Item::Of { ranges, inside: !negated }, &members[end + 1..]))
}

fn with(mut ranges: Vec<(char, char)>, range: (char, char)) -> Vec<(char, char)> {
    ranges.push(range);
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wildcard_takes_what_a_shell_would() {
        for (pattern, text, expected) in [
            ("nginx", "nginx", true),
            ("nginx", "nginx2", false),
            ("nginx*", "nginx: worker", true),
            ("*.toml", "a.toml", true),
            ("*.toml", "a.toml.bak", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("python3.?", "python3.9", true),
            ("python3.?", "python3.11", false),
            ("php[5-8]", "php7", true),
            ("php[!5-8]", "php7", false),
            ("a[]]b", "a]b", true),
            ("a[b", "a[b", true),
            ("", "", true),
            ("*", "", true),
            ("?", "ü", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_text_that_was_cut_may_begin_what_the_pattern_describes() {
        assert!(may_begin("systemd-resolved", "systemd-resolve"));
        assert!(may_begin("*d", "systemd-resolve"));
        assert!(!may_begin("systemd-networkd", "systemd-resolve"));
    }

    #[test]
    fn a_pattern_of_many_stars_ends_in_time() {
        assert!(!matches(&"*a".repeat(200), &"a".repeat(199)));
        assert!(!matches(&format!("{}b", "*a".repeat(1000)), &"a".repeat(5000)));
    }
}
