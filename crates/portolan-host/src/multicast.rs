//! The multicast groups that this network namespace listens to.

use std::fs;
use std::io;

use portolan_core::net::{Gap, Observed, Why};
use portolan_core::socket::multicast::{Membership, UnreadableLine, igmp, igmp6};

/// Every group of every interface, the kernel's own too, sorted. A kernel without multicast or without
/// IPv6 has none.
#[must_use]
pub fn memberships() -> Observed<Vec<Membership>> {
    let mut found = Vec::new();
    let mut gaps = Vec::new();
    add("igmp", &mut found, &mut gaps, |text| igmp(text).collect());
    add("igmp6", &mut found, &mut gaps, |text| igmp6(text).collect());
    found.sort();
    found.dedup();
    Observed { value: found, gaps }
}

type Rows = Vec<Result<Membership, UnreadableLine>>;

fn add(file: &str, found: &mut Vec<Membership>, gaps: &mut Vec<Gap>, read: impl Fn(&str) -> Rows) {
    let mut missing = |cause: String, why| {
        gaps.push(Gap::aside(format!("some multicast groups ({cause})"), why, ""));
    };
    match fs::read_to_string(format!("/proc/thread-self/net/{file}")) {
        Ok(text) => {
            for row in read(&text) {
                match row {
                    Ok(row) => found.push(row),
                    Err(error) => missing(error.to_string(), Why::Unsupported),
                }
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => missing(format!("/proc/net/{file}: {error}"), Why::NotPermitted),
    }
}
