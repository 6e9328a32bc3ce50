//! What is leased and reserved: a table, and as JSON.

use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use portolan_core::net::Transport;
use serde::Serialize;

use crate::cli::args::Color;
use crate::render::gap::hint;
use crate::render::json::Document;
use crate::render::screen::Screen;
use crate::render::table::{Cell, Column, Table};
use crate::store::{Kind, Lease};

/// Prints a row for each number.
pub(crate) fn text(screen: &mut Screen, leases: &[Lease], now: Timestamp) -> Result<()> {
    if leases.is_empty() {
        writeln!(screen, "Nothing is leased or reserved.")?;
        return Ok(screen.flush()?);
    }
    let mut table = Table::new([
        Column::right("PORT"),
        Column::left("KIND"),
        Column::flexible("NAME", 8),
        Column::flexible("PROJECT", 16).keeping_end(),
        Column::left("HELD BY"),
        Column::left("EXPIRES"),
        Column::left("LAST USED"),
    ]);
    for lease in leases {
        table.push(row(lease, now));
    }
    let (width, style) = (screen.width, screen.style);
    table.write(screen, width, style)?;
    Ok(screen.flush()?)
}

/// Says under sudo that these are not the leases of the user who called it.
pub(crate) fn whose(path: Option<&Path>, color: Color) {
    if let Some(path) = path {
        let path = path.display();
        let text = format!("under sudo these are the leases in {path}, not those of your own user");
        hint(&text, color);
    }
}

fn row(lease: &Lease, now: Timestamp) -> Vec<Cell> {
    let expires = lease.expires.map(|end| format!("in {}", short(end.duration_since(now))));
    vec![
        format!("{}/{}", lease.port, lease.transports).into(),
        kind(lease).into(),
        lease.name.as_deref().unwrap_or_default().into(),
        lease.project.to_string_lossy().into(),
        lease.holder.as_ref().map(|h| format!("process {}", h.pid)).unwrap_or_default().into(),
        expires.unwrap_or_default().into(),
        format!("{} ago", short(now.duration_since(lease.used))).into(),
    ]
}

fn kind(lease: &Lease) -> &'static str {
    if is_stand_in(lease) { "stand-in" } else { lease.kind.as_str() }
}

/// Whether a project has the number only while its own is taken.
fn is_stand_in(lease: &Lease) -> bool {
    lease.kind == Kind::Project && lease.rank > 0
}

/// A duration in the largest unit that fits.
fn short(duration: SignedDuration) -> String {
    match duration.as_secs().max(0) {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ ..7200 => format!("{} min", seconds / 60),
        seconds @ ..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// Prints an object for each number and transport.
pub(crate) fn json(screen: &mut Screen, leases: &[Lease], now: Timestamp) -> Result<()> {
    let each = |lease: &Lease| {
        let transports = lease.transports.iter();
        transports.map(|t| LeaseJson::new(lease, t, now)).collect::<Vec<_>>()
    };
    let reservations = leases.iter().flat_map(each).collect();
    screen.json(&Document::new("reservations", Body { reservations }, &[]))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct Body {
    reservations: Vec<LeaseJson>,
}

#[derive(Serialize)]
struct LeaseJson {
    port: u16,
    transport: &'static str,
    kind: &'static str,
    stand_in: bool,
    project: String,
    name: Option<String>,
    holder: Option<HolderJson>,
    netns: u64,
    made: String,
    last_used: String,
    expires: Option<String>,
    expires_in_s: Option<i64>,
}

#[derive(Serialize)]
struct HolderJson {
    pid: u32,
}

impl LeaseJson {
    fn new(lease: &Lease, transport: Transport, now: Timestamp) -> Self {
        Self {
            port: lease.port.0,
            transport: transport.as_str(),
            kind: lease.kind.as_str(),
            stand_in: is_stand_in(lease),
            project: lease.project.to_string_lossy().into_owned(),
            name: lease.name.clone(),
            holder: lease.holder.as_ref().map(|holder| HolderJson { pid: holder.pid }),
            netns: lease.netns,
            made: lease.made.to_string(),
            last_used: lease.used.to_string(),
            expires: lease.expires.map(|end| end.to_string()),
            expires_in_s: lease.expires.map(|end| end.duration_since(now).as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_in_one_unit() {
        let told = [0, 119, 120, 7200, 172_800].map(|s| short(SignedDuration::from_secs(s)));
        assert_eq!(told, ["0 s", "119 s", "2 min", "2 h", "2 d"]);
    }
}
