//! Patterns of fnmatch(3), as ss matches the names of unix sockets: letters of either case, and a
//! star crosses slashes.

/// A pattern, ready to be matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// `*`
    AnyRun,
    /// `?`
    AnyOne,
    /// `[a-z_]`, `[!a-z]`
    OneOf { ranges: Vec<(char, char)>, negated: bool },
    /// Anything else stands for itself, also what follows a backslash.
    Exactly(char),
}

impl Part {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::AnyRun | Self::AnyOne => true,
            Self::OneOf { ranges, negated } => {
                *negated != ranges.iter().any(|(from, to)| (*from..=*to).contains(&c))
            }
            Self::Exactly(own) => *own == c,
        }
    }
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        let letters: Vec<char> = folded(text).collect();
        let mut parts = Vec::new();
        let mut rest = letters.as_slice();
        while let [first, tail @ ..] = rest {
            let (part, after) = match (first, tail) {
                ('*', _) => (Part::AnyRun, tail),
                ('?', _) => (Part::AnyOne, tail),
                ('\\', [taken, after @ ..]) => (Part::Exactly(*taken), after),
                ('[', _) => one_of(tail).unwrap_or((Part::Exactly('['), tail)),
                (own, _) => (Part::Exactly(*own), tail),
            };
            parts.push(part);
            rest = after;
        }
        Self(parts)
    }

    /// Goes back to the last star only, so the work is at most pattern times text.
    pub(super) fn matches(&self, text: &str) -> bool {
        let letters: Vec<char> = folded(text).collect();
        let (mut part, mut letter) = (0, 0);
        let mut star = None;
        while letter < letters.len() {
            match self.0.get(part) {
                Some(Part::AnyRun) => {
                    star = Some((part, letter));
                    part += 1;
                }
                Some(one) if one.takes(letters[letter]) => {
                    part += 1;
                    letter += 1;
                }
                _ => {
                    let Some((at, taken)) = star else { return false };
                    star = Some((at, taken + 1));
                    part = at + 1;
                    letter = taken + 1;
                }
            }
        }
        self.0[part..].iter().all(|part| *part == Part::AnyRun)
    }
}

/// What stands behind `[`, and what follows its `]`; `None` where there is no `]`.
fn one_of(text: &[char]) -> Option<(Part, &[char])> {
    let (negated, text) = match text {
        ['!' | '^', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    // A `]` that comes first stands for itself.
    let end = 1 + text.iter().skip(1).position(|c| *c == ']')?;
    let (mut inside, after) = (&text[..end], &text[end + 1..]);
    let mut ranges = Vec::new();
    while let [from, rest @ ..] = inside {
        let (to, rest) = match rest {
            ['-', to, rest @ ..] => (to, rest),
            _ => (from, rest),
        };
        ranges.push((*from, *to));
        inside = rest;
    }
    Some((Part::OneOf { ranges, negated }, after))
}

fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).matches(text)
    }

    #[test]
    fn patterns_are_those_of_fnmatch_without_case() {
        for (pattern, text) in [
            ("*", ""),
            ("@porto*", "@PortoA"),
            ("*/b", "@porto/b"),
            ("/run/*.sock", "/run/user/1000/a.sock"),
            ("@[pP]ort?A", "@PortoA"),
            ("[!a-c]x", "dx"),
            ("[]]", "]"),
            ("[a", "[a"),
            (r"\*", "*"),
            ("a*b*c", "aXbYbZc"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("", "a"), ("?", ""), ("[!a-c]", "b"), ("a*b", "abc"), (r"\*", "x"), ("[z-a]", "m")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        assert!(!matches(&"*a".repeat(500), &"a".repeat(499)));
    }

    proptest! {
        #[test]
        fn a_text_matches_itself_when_escaped(text in "[a-z*?\\[\\]!\\\\-]{0,20}") {
            let escaped: String = text.chars().flat_map(|c| ['\\', c]).collect();
            prop_assert!(matches(&escaped, &text));
        }

        #[test]
        fn any_pattern_and_text_are_compared(pattern in "[ab*?\\[\\]!\\\\-]{0,20}", text in "[ab]{0,20}") {
            let _ = matches(&pattern, &text);
        }
    }
}
