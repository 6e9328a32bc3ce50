//! Login names and user ids, from /etc/passwd. Users of other name services are not in it.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;

use portolan_core::socket::passwd::{self, Account};

/// Every login name by its user id; empty when the file cannot be read.
#[must_use]
pub fn read() -> HashMap<u32, Arc<str>> {
    fs::read("/etc/passwd").map(|text| passwd::users(&text)).unwrap_or_default()
}

/// The account of a login name, or of a user id in digits. An id without an account has a group of
/// its own number, as `setpriv` and containers use it; `None` for a name nobody has.
#[must_use]
pub fn account(name: &str) -> Option<Account> {
    let text = fs::read("/etc/passwd").unwrap_or_default();
    passwd::account(&text, name)
        .or_else(|| name.parse().ok().map(|id| Account { uid: id, gid: id }))
}
