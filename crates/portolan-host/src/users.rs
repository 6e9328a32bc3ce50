//! Login names of user ids, from /etc/passwd. Users of other name services are not in it.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;

use portolan_core::socket::passwd;

/// Every login name by its user id; empty when the file cannot be read.
#[must_use]
pub fn read() -> HashMap<u32, Arc<str>> {
    fs::read("/etc/passwd").map(|text| passwd::users(&text)).unwrap_or_default()
}
