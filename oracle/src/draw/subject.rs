//! What a ruleset is mostly about: each subject brings conditions and statements of its own, which come
//! more often in a ruleset of that subject, and now and then in every other.

use super::matches::Matches;
use super::{Draft, Role, elements, marks, rewrites, tracking};
use crate::chance::Chance;

/// What a ruleset is mostly about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A little of all.
    Everything,
    /// Zones of conntrack, `notrack`, and chains beside the kernel's own steps.
    Tracking,
    /// Limits, quotas and counts kept with sets, elements and names; times of elements.
    Elements,
    /// Chains of equal priority in several tables, made in an order of their own.
    Order,
    /// Marks of packets and connections, saved, restored and masked.
    Marks,
    /// Translations by maps, to ranges and networks.
    Translation,
    /// What rules write into headers.
    Headers,
    /// What iptables alone has.
    Compat,
}

impl Subject {
    /// All, with their names.
    pub const ALL: [(&'static str, Self); 8] = [
        ("everything", Self::Everything),
        ("tracking", Self::Tracking),
        ("elements", Self::Elements),
        ("order", Self::Order),
        ("marks", Self::Marks),
        ("translation", Self::Translation),
        ("headers", Self::Headers),
        ("compat", Self::Compat),
    ];

    /// The one of this name.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(name, _)| *name == word).map(|(_, subject)| subject)
    }

    /// One of them.
    pub(super) fn drawn(chance: &mut Chance) -> Self {
        if chance.percent(40) { Self::Everything } else { chance.pick(&Self::ALL[1..]).1 }
    }

    /// What one rule of the ruleset is about: its subject, or for once another.
    pub(super) fn for_once(self, chance: &mut Chance) -> Self {
        match self {
            Self::Everything if chance.percent(10) => chance.pick(&Self::ALL[1..]).1,
            Self::Everything => self,
            _ if chance.percent(45) => self,
            _ => Self::Everything,
        }
    }

    /// A condition of its own; false where it has none.
    pub(super) fn condition(self, rule: &mut Matches<'_, '_>) -> bool {
        match self {
            Self::Tracking => tracking::condition(rule),
            Self::Elements => elements::condition(rule),
            Self::Marks => marks::condition(rule),
            Self::Headers => rewrites::condition(rule),
            Self::Everything | Self::Order | Self::Translation | Self::Compat => return false,
        }
        true
    }

    /// A statement of its own before the one that decides.
    pub(super) fn statement(
        self,
        draft: &mut Draft<'_>,
        role: Role,
        version: Option<u8>,
        transport: Option<&'static str>,
    ) -> Option<String> {
        Some(match self {
            Self::Tracking => tracking::statement(draft, role, transport),
            Self::Elements => elements::statement(draft, version, transport),
            Self::Marks => marks::statement(draft, version, transport),
            Self::Headers => rewrites::statement(draft, version, transport)?,
            Self::Order => marks::digit(draft),
            Self::Everything | Self::Translation | Self::Compat => return None,
        })
    }

    /// The hooks its chains lie on.
    pub(super) const fn hooks(self) -> &'static [&'static str] {
        match self {
            Self::Tracking => &[
                "prerouting",
                "prerouting",
                "prerouting",
                "output",
                "output",
                "input",
                "input",
                "forward",
                "postrouting",
            ],
            Self::Translation => &[
                "prerouting",
                "prerouting",
                "output",
                "postrouting",
                "postrouting",
                "input",
                "input",
                "forward",
                "forward",
            ],
            Self::Marks | Self::Headers => &[
                "prerouting",
                "prerouting",
                "prerouting",
                "input",
                "input",
                "forward",
                "output",
                "output",
                "postrouting",
            ],
            _ => super::HOOKS,
        }
    }

    /// The priorities of its chains that do not translate.
    pub(super) fn priorities(self, hook: &str) -> &'static [i32] {
        match (self, hook) {
            (Self::Tracking, "prerouting" | "output") => {
                &[-401, -400, -399, -300, -300, -201, -200, -199, -150, -101, -100, -99, 0]
            }
            (Self::Tracking, _) => &[-401, -200, 0, 0, 99, 100, 101],
            _ => super::PRIORITIES,
        }
    }
}
