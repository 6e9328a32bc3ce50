//! The rules by number, with the words a report needs for each.

use std::fmt;

/// The audit's rules, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Unexpected listener.
    P101,
    /// Declared but not listening.
    P102,
    /// Wrong process, user, unit or container.
    P103,
    /// Bound wider than allowed.
    P104,
    /// Reachable although the input rules refuse it.
    P108,
    /// Two want the same port.
    P109,
    /// Planned or reserved number taken.
    P110,
    /// Fixed port inside the ephemeral or NodePort range.
    P111,
    /// Review overdue, approval expired.
    P112,
    /// The firewall differs from the inventory.
    P114,
    /// Reachable from a source that `from` does not name.
    P115,
    /// Risky service without a security note, or risky where it is exposed.
    P116,
    /// TODO or `observed` left by `init`.
    P117,
    /// Retired but listening.
    P118,
    /// What must never be reachable is.
    P122,
}

impl Rule {
    /// All rules that are judged, by number.
    pub const ALL: [Self; 15] = [
        Self::P101,
        Self::P102,
        Self::P103,
        Self::P104,
        Self::P108,
        Self::P109,
        Self::P110,
        Self::P111,
        Self::P112,
        Self::P114,
        Self::P115,
        Self::P116,
        Self::P117,
        Self::P118,
        Self::P122,
    ];

    /// The id: `P101` …
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P101 => "P101",
            Self::P102 => "P102",
            Self::P103 => "P103",
            Self::P104 => "P104",
            Self::P108 => "P108",
            Self::P109 => "P109",
            Self::P110 => "P110",
            Self::P111 => "P111",
            Self::P112 => "P112",
            Self::P114 => "P114",
            Self::P115 => "P115",
            Self::P116 => "P116",
            Self::P117 => "P117",
            Self::P118 => "P118",
            Self::P122 => "P122",
        }
    }

    /// Whether it takes the rules of the firewall or a probe to tell, so that an audit with neither says
    /// nothing of it.
    #[must_use]
    pub const fn needs_witness(self) -> bool {
        matches!(self, Self::P108 | Self::P114 | Self::P115 | Self::P122)
    }

    /// The rule in a few words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::P101 => "unexpected listener",
            Self::P102 => "declared but not listening",
            Self::P103 => "wrong process, user, unit or container",
            Self::P104 => "bound wider than allowed",
            Self::P108 => "reachable although the input rules refuse it",
            Self::P109 => "conflict",
            Self::P110 => "planned or reserved number taken",
            Self::P111 => "fixed port inside the ephemeral or NodePort range",
            Self::P112 => "review overdue, approval expired",
            Self::P114 => "firewall differs from the inventory",
            Self::P115 => "reachable from a source that `from` does not name",
            Self::P116 => "risky service, unexplained or exposed",
            Self::P117 => "left to do by init",
            Self::P118 => "retired but listening",
            Self::P122 => "what must never be reachable is",
        }
    }

    /// What the rule means and what usually helps, in a few sentences.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Self::P101 => {
                "Something listens that the inventory does not declare. Stop it, declare it as a \
                 service, or accept it with a reason."
            }
            Self::P102 => {
                "A declared service does not listen, or only where those who need it cannot come. \
                 Start it, bind it where it is needed, or change its status or expect."
            }
            Self::P103 => {
                "The port is held by another process, user, unit or container than the inventory \
                 says. Find out who it is before anything else."
            }
            Self::P104 => {
                "The service is bound to more addresses than the inventory allows; without `from` \
                 that is loopback alone. Bind it more narrowly, or declare who may come."
            }
            Self::P108 => {
                "Traffic for the port is translated to another address, a container's most often, \
                 and so never comes to the rules of the input path that refuse it. Publish it for \
                 this machine alone, or refuse it in the forward path. Judged where the rules can \
                 be read."
            }
            Self::P109 => {
                "Two entries of the inventory want the same port of the same host. Only one can \
                 have it: move or retire the other."
            }
            Self::P110 => {
                "A number held for something planned, or a number of a pool, is taken. Stop what \
                 took it, or declare it where it belongs."
            }
            Self::P111 => {
                "The kernel hands out numbers of this range to outgoing connections, or Kubernetes \
                 to NodePorts, so that the service may find its port taken when it starts. Reserve \
                 the number or move the service."
            }
            Self::P112 => {
                "The entry was to be looked at again by now, or its approval has ended. Review it \
                 and write down when."
            }
            Self::P114 => {
                "A source that `from` names is kept out by a rule, or the loaded table inet portolan \
                 is not the one that the inventory means, as a packet shows. Apply what the \
                 inventory says, or change the rule or the inventory. Judged where the rules can be \
                 read."
            }
            Self::P115 => {
                "A port can be reached from an address that its `from` does not name: the rules let \
                 it in, or it answered a probe. Close it there, or name the source if it is meant. \
                 Judged where the rules can be read, and with --probe."
            }
            Self::P116 => {
                "The port carries a protocol that is attacked when exposed. Narrow who can come, \
                 use its safer alternative, or write down in `security` what makes it bearable."
            }
            Self::P117 => {
                "What `init` found has not been approved or described yet. Fill in what is TODO and \
                 set the status to active, or retire it."
            }
            Self::P118 => "A service that was retired listens again. Stop it, or make it active.",
            Self::P122 => {
                "A port that a [[never]] of the inventory forbids can be reached: the rules let those \
                 in whom it names (any: everybody; internet = \"any\": whoever has no name in the \
                 inventory), or it answered a probe. Close it before anything else. Judged where the rules \
                 can be read, and with --probe."
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
