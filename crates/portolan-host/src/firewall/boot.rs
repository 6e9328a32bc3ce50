//! Rules at boot: a file of rules and a unit of systemd that loads it, written once rules are confirmed.
//!
//! The unit is enabled by its link, as `systemctl enable` would make it, so that it can also be written
//! where no systemd runs: below another root, into an image. It loads before the network is up, after
//! whatever else loads rules at boot: the usual /etc/nftables.conf begins by flushing every table.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use portolan_core::firewall::removal;

use crate::tool::Tool;

use super::Place;
use super::place::{remove, write_private};

/// Whether our rules are loaded at boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootState {
    /// They are.
    Enabled,
    /// They are not.
    Disabled,
    /// This network namespace does not come back at boot.
    NoBoot,
}

/// Whether the rules of a place are loaded at boot.
#[must_use]
pub(super) fn state(place: &Place) -> BootState {
    if !place.has_boot() {
        return BootState::NoBoot;
    }
    let is_there = |path| fs::symlink_metadata(place.of_machine(path)).is_ok();
    if is_there(LINK) && is_there(RULES) { BootState::Enabled } else { BootState::Disabled }
}

/// Has `rules` (a table of ours) loaded at boot; nothing where a place has none.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn enable(place: &Place, rules: &str) -> io::Result<()> {
    if !place.has_boot() {
        return Ok(());
    }
    for (folder, mode) in [("etc/portolan", 0o755), (WANTS, 0o755)] {
        DirBuilder::new().recursive(true).mode(mode).create(place.of_machine(folder))?;
    }
    let rules = format!("{}{rules}", removal());
    let unit = place.of_machine(UNIT);
    if fs::read_to_string(&unit).ok().as_deref() != Some(UNIT_TEXT) {
        write_private(&unit, UNIT_TEXT.as_bytes(), 0o644)?;
    }
    let link = place.of_machine(LINK);
    match symlink("../portolan-firewall.service", &link) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    // Last and at once: what fails above leaves what was loaded at boot before. Without rules the unit
    // does nothing.
    write_private(&place.of_machine(RULES), rules.as_bytes(), 0o600)?;
    reload(place);
    Ok(())
}

/// Whether other rules than these are loaded at boot, or none.
pub(super) fn differs(place: &Place, rules: &str) -> bool {
    let is_it = |text: String| text.strip_prefix(&removal()).is_some_and(|text| text == rules);
    let is_loaded = fs::read_to_string(place.of_machine(RULES)).is_ok_and(is_it);
    place.has_boot() && !(is_loaded && state(place) == BootState::Enabled)
}

/// Has nothing loaded at boot any more.
///
/// # Errors
/// When a file stays.
pub(super) fn disable(place: &Place) -> io::Result<()> {
    if !place.has_boot() {
        return Ok(());
    }
    for path in [LINK, UNIT, RULES] {
        remove(&place.of_machine(path))?;
    }
    // Unless there is something else in them.
    for folder in [WANTS, "etc/portolan"] {
        let _ = fs::remove_dir(place.of_machine(folder));
    }
    reload(place);
    Ok(())
}

/// systemd reads its units again. That it does not concerns the next boot only, which reads them anyway.
fn reload(place: &Place) {
    if place.is_machine() && Path::new("/run/systemd/system").is_dir() {
        let systemctl = Tool::find("systemctl");
        let _ = systemctl.map(|tool| tool.run(["daemon-reload"], Duration::from_secs(30)));
    }
}

const RULES: &str = "etc/portolan/firewall.nft";
const UNIT: &str = "etc/systemd/system/portolan-firewall.service";
const WANTS: &str = "etc/systemd/system/sysinit.target.wants";
const LINK: &str = "etc/systemd/system/sysinit.target.wants/portolan-firewall.service";

/// See systemd.unit(5), systemd.service(5) and, for the targets, systemd.special(7).
const UNIT_TEXT: &str = "\
# Written by `portolan firewall confirm`, removed by `portolan firewall off`.
[Unit]
Description=Firewall of the port inventory (table inet portolan)
Documentation=man:portolan-firewall(1)
DefaultDependencies=no
After=local-fs.target nftables.service netfilter-persistent.service ufw.service
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target
ConditionPathExists=/etc/portolan/firewall.nft

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=nft -f /etc/portolan/firewall.nft
ExecReload=nft -f /etc/portolan/firewall.nft

[Install]
WantedBy=sysinit.target
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_enables_the_unit_that_loads_the_file() {
        assert!(LINK.starts_with(WANTS) && UNIT_TEXT.contains(RULES));
        assert!(UNIT_TEXT.contains("WantedBy=sysinit.target") && WANTS.contains("sysinit.target"));
    }
}
