//! What this machine is: its names, addresses and port settings.

use portolan_core::net::Observed;
use portolan_core::socket::Machine;

/// Reads the facts of this machine.
pub(crate) fn read() -> Observed<Machine> {
    portolan_host::machine::read()
}
