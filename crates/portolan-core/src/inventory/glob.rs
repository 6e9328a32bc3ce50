//! Globs as the file uses them: `*`, `?` and `[a-z]`, over a whole name.
//!
//! In time proportional to pattern times text, whatever the pattern (the backtracking is to the
//! last `*` alone), so that a hostile pattern costs nothing.

/// Whether all of `text` is what `pattern` describes. `[!a-z]` is anything but; a bracket that is
/// not closed stands for itself.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let pattern = items(pattern);
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(Item::Many) => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(item) if item.takes(text[t]) => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    (p, t) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|item| matches!(item, Item::Many))
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
    fn a_pattern_of_many_stars_ends_in_time() {
        assert!(!matches(&"*a".repeat(200), &"a".repeat(199)));
        assert!(!matches(&format!("{}b", "*a".repeat(1000)), &"a".repeat(5000)));
    }
}
