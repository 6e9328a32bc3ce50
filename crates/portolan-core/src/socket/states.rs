//! Sets of states, with the kernel's numbering so that a dump can be limited to them.

use std::ops::{BitAnd, BitOr};

use super::State;

/// A set of socket states. `Close` and `Unconn` are one member: they share the kernel's number 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StateSet(u32);

impl StateSet {
    /// No state at all.
    pub const NONE: Self = Self(0);

    /// Every state, sockets bound and not listening among them.
    pub const ALL: Self = Self(0x2ffe);

    /// Every state a socket can be in for others: all but bound and not listening.
    pub const ORDINARY: Self = Self::ALL.without(Self::of(State::Bound));

    /// Those that wait for others to come: TCP's LISTEN and everything else's UNCONN.
    pub const LISTENING: Self = Self::of(State::Listen).or(Self::of(State::Close));

    /// Exactly `state`.
    #[must_use]
    pub const fn of(state: State) -> Self {
        Self(1 << state.number())
    }

    /// The states of both.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The states that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether `state` is inside.
    #[must_use]
    pub const fn contains(self, state: State) -> bool {
        self.0 & Self::of(state).0 != 0
    }

    /// One bit a state, by the kernel's number: what a sock_diag request takes.
    #[must_use]
    pub const fn mask(self) -> u32 {
        self.0
    }
}

impl BitOr for StateSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.or(other)
    }
}

impl BitAnd for StateSet {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_holds_every_state_and_its_complement_none() {
        assert!(State::ALL.iter().all(|s| StateSet::ALL.contains(*s)));
        assert_eq!(
            State::ALL.iter().fold(StateSet::ALL, |set, s| set.without(StateSet::of(*s))),
            StateSet::NONE
        );
    }

    #[test]
    fn masks_have_the_kernels_numbers() {
        assert_eq!(StateSet::of(State::Listen).mask(), 1 << 10);
        assert_eq!(StateSet::of(State::Bound).mask(), 1 << 13);
        assert_eq!(StateSet::of(State::Unconn), StateSet::of(State::Close));
    }
}
