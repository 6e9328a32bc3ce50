//! Whether somebody may confirm rules that are on trial.
//!
//! Connections that were there before the rules prove nothing: what is established stays so, whatever
//! the rules say of new ones. Only who came in since shows that others can.

use crate::net::Endpoint;

/// Where a command comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The connection it came in by over SSH: the peer's end and ours.
    pub ssh: Option<(Endpoint, Endpoint)>,
    /// Whether an SSH server that it descends from holds that connection: its variables alone prove
    /// nothing.
    pub is_served: bool,
    /// Whether it sits at a console: a screen with a keyboard, a serial line.
    pub is_at_console: bool,
    /// When its connection, or where there is none its session, began, in milliseconds since boot.
    pub began_ms: u64,
}

/// Why a confirmation does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It comes by the connection that the rules were applied over.
    SameConnection,
    /// Its connection or session is older than the rules.
    Older,
    /// No SSH server that it descends from holds the connection it says it came by.
    NotServed,
    /// It came by no connection that could be looked at, while the rules were applied over one.
    NoConnection,
    /// The host that is said to have come in since has not.
    NotSeen,
    /// Its connection is from this machine itself, which no rule for others stands before.
    ThisMachine,
}

/// Whether `caller` may confirm what `applier` loaded at `applied_ms` (milliseconds since boot).
///
/// # Errors
/// Why its word proves nothing.
pub fn confirms(caller: &Caller, applier: &Caller, applied_ms: u64) -> Result<(), Doubt> {
    match (caller.ssh, applier.ssh) {
        (None, _) if caller.is_at_console => Ok(()),
        (Some(_), _) if caller.ssh == applier.ssh => Err(Doubt::SameConnection),
        (Some(_), Some(_)) if !caller.is_served => Err(Doubt::NotServed),
        (None, Some(_)) => Err(Doubt::NoConnection),
        // The clock of processes ticks a hundred times a second: what began in the same tick may be older.
        // Who applies waits for the next tick before he says that the rules are there.
        _ if caller.began_ms <= applied_ms => Err(Doubt::Older),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Port;

    fn over_ssh(port: u16, began_ms: u64) -> Caller {
        let end = |address: &str, port| Endpoint::new(address.parse().unwrap(), Port(port));
        let ssh = Some((end("192.0.2.1", port), end("192.0.2.2", 22)));
        Caller { ssh, is_served: true, is_at_console: false, began_ms }
    }

    const LOCAL: Caller =
        Caller { ssh: None, is_served: false, is_at_console: false, began_ms: 2000 };

    #[test]
    fn only_a_connection_that_began_afterwards_proves_something() {
        let applier = over_ssh(40_000, 10);
        assert_eq!(confirms(&over_ssh(40_001, 2000), &applier, 1000), Ok(()));
        assert_eq!(confirms(&over_ssh(40_001, 900), &applier, 1000), Err(Doubt::Older));
        assert_eq!(confirms(&over_ssh(40_000, 2000), &applier, 1000), Err(Doubt::SameConnection));
        let claims = Caller { is_served: false, ..over_ssh(40_001, 2000) };
        assert_eq!(confirms(&claims, &applier, 1000), Err(Doubt::NotServed));
    }

    #[test]
    fn a_console_needs_no_connection() {
        let console = Caller { is_at_console: true, began_ms: 0, ..LOCAL };
        assert_eq!(confirms(&console, &over_ssh(1, 1), 1000), Ok(()));
    }

    #[test]
    fn a_local_session_speaks_for_a_local_one_only() {
        assert_eq!(confirms(&LOCAL, &over_ssh(1, 1), 1000), Err(Doubt::NoConnection));
        assert_eq!(confirms(&LOCAL, &LOCAL, 1000), Ok(()));
        assert_eq!(confirms(&LOCAL, &LOCAL, 3000), Err(Doubt::Older));
    }
}
