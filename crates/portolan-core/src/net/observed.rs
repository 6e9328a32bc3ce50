//! An answer together with what could not be seen, so that "could not look" never reads as "none".

/// A value and the gaps in what was seen while it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed<T> {
    /// What was seen.
    pub value: T,
    /// What could not be seen, and why.
    pub gaps: Vec<Gap>,
}

impl<T> Observed<T> {
    /// A value seen whole.
    pub const fn whole(value: T) -> Self {
        Self { value, gaps: Vec::new() }
    }

    /// The same gaps around another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Observed<U> {
        Observed { value: f(self.value), gaps: self.gaps }
    }

    /// The same where something else is asked: no gap leaves a row incomplete.
    #[must_use]
    pub fn aside(mut self) -> Self {
        self.gaps.iter_mut().for_each(|gap| gap.asked = false);
        self
    }

    /// The value alone, its gaps put at the end of `gaps`.
    pub fn into_value(self, gaps: &mut Vec<Gap>) -> T {
        gaps.extend(self.gaps);
        self.value
    }

    /// Whether something that was asked for is missing (exit code 3 where nothing else decides).
    pub fn is_partial(&self) -> bool {
        self.gaps.iter().any(Gap::is_incomplete)
    }
}

/// One thing that could not be seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gap {
    /// What is missing, as a phrase: `owners of 3 sockets`.
    pub what: String,
    /// Why it is missing.
    pub why: Why,
    /// What would make it visible; empty when nothing would.
    pub hint: String,
    /// Whether a row that was asked for stays incomplete by it (and so may change the exit code).
    pub asked: bool,
}

impl Gap {
    /// A gap that leaves an asked row incomplete.
    pub fn new(what: impl Into<String>, why: Why, hint: impl Into<String>) -> Self {
        Self { what: what.into(), why, hint: hint.into(), asked: true }
    }

    /// A gap that leaves every asked row complete; it is told, and changes no exit code.
    pub fn aside(what: impl Into<String>, why: Why, hint: impl Into<String>) -> Self {
        Self { asked: false, ..Self::new(what, why, hint) }
    }

    /// Whether this gap makes an answer incomplete: `upstream` and `not-looked` never do.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.asked && !matches!(self.why, Why::Upstream | Why::NotLooked)
    }
}

/// Why something could not be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// The caller lacks a privilege.
    NotPermitted,
    /// It was gone before it could be read.
    Vanished,
    /// The kernel or a program here cannot tell.
    Unsupported,
    /// No answer in time.
    TimedOut,
    /// It was not asked for.
    NotLooked,
    /// It lies beyond this machine.
    Upstream,
}

impl Why {
    /// The word used in JSON, kebab-case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotPermitted => "not-permitted",
            Self::Vanished => "vanished",
            Self::Unsupported => "unsupported",
            Self::TimedOut => "timed-out",
            Self::NotLooked => "not-looked",
            Self::Upstream => "upstream",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_gap_in_what_was_asked_makes_an_answer_partial() {
        let with = |gap| Observed { value: (), gaps: vec![gap] }.is_partial();
        assert!(with(Gap::new("owners", Why::NotPermitted, "run with sudo")));
        assert!(!with(Gap::aside("a process", Why::Vanished, "")));
        assert!(!with(Gap::new("filters", Why::Upstream, "")));
    }
}
