//! What is remembered of a trial, and the log of who changed what.
//!
//! Both are lines of `key=value` words; a value with a blank in it has it escaped. Only root writes
//! and reads them.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use jiff::Timestamp;
use portolan_core::firewall::Caller;
use portolan_core::net::Endpoint;
use rustix::time::{ClockId, clock_gettime};

use crate::clock;
use crate::holder::Identity;

use super::Place;
use super::caller::CallerInfo;

/// Rules that are loaded and not confirmed, or that are away for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Which of the two.
    pub purpose: Purpose,
    /// What tells it from every other.
    pub token: String,
    /// Since when.
    pub at: Timestamp,
    /// The same in milliseconds since boot.
    pub applied_ms: u64,
    /// When what was before comes back, in milliseconds since boot.
    pub deadline_ms: u64,
    /// Which boot these count from.
    pub boot: String,
    /// When what was before was kept, in milliseconds since boot.
    pub before_ms: u64,
    /// The identity of the policy.
    pub policy: String,
    /// The inventory it was made of.
    pub inventory: String,
    /// Who did it.
    pub caller: CallerInfo,
    /// Whether there were rules of ours before it.
    pub has_before: bool,
    /// The processes that watch over it, once they do; each alone brings back what was before.
    pub watchdogs: Vec<(u32, u64)>,
}

/// Why something is loaded or away for a while only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// New rules are on trial.
    Apply,
    /// The rules are away.
    Off,
}

impl Trial {
    /// Milliseconds until what was before comes back.
    #[must_use]
    pub fn left(&self) -> Duration {
        Duration::from_millis(self.deadline_ms.saturating_sub(since_boot_ms()))
    }

    /// Whether one of its watchdogs still runs.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.watchdogs.iter().any(|&(pid, start_ticks)| {
            Identity { pid, start_ticks, boot: self.boot.clone() }.is_alive()
        })
    }

    /// The trial of a place; `None` where nothing is on trial. One of another boot is over: its rules
    /// are gone with it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn read(place: &Place) -> io::Result<Option<Self>> {
        Ok(Self::remembered(place)?.filter(|trial| trial.boot == boot()))
    }

    /// A trial that ended with the machine: of an earlier boot.
    pub(crate) fn of_earlier_boot(place: &Place) -> Option<Self> {
        Self::remembered(place).ok().flatten().filter(|trial| trial.boot != boot())
    }

    fn remembered(place: &Place) -> io::Result<Option<Self>> {
        Ok(place.read(TRIAL)?.as_deref().and_then(Self::parse))
    }

    /// Writes it down.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, place: &Place) -> io::Result<()> {
        place.write(TRIAL, self.text().as_bytes())
    }

    /// Forgets it.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(crate) fn end(place: &Place) -> io::Result<()> {
        place.remove(TRIAL)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let purpose = if self.purpose == Purpose::Off { "off" } else { "apply" };
        let watchdogs: Vec<String> =
            self.watchdogs.iter().map(|(pid, ticks)| format!("{pid}:{ticks}")).collect();
        let caller = &self.caller;
        for (key, value) in [
            ("purpose", purpose.to_owned()),
            ("token", self.token.clone()),
            ("at", self.at.to_string()),
            ("applied_ms", self.applied_ms.to_string()),
            ("deadline_ms", self.deadline_ms.to_string()),
            ("before_ms", self.before_ms.to_string()),
            ("boot", self.boot.clone()),
            ("policy", self.policy.clone()),
            ("inventory", self.inventory.clone()),
            ("uid", caller.uid.to_string()),
            ("sudo_uid", caller.sudo_uid.map(|uid| uid.to_string()).unwrap_or_default()),
            ("ssh", caller.ssh_text()),
            ("served", u8::from(caller.caller.is_served).to_string()),
            ("console", u8::from(caller.caller.is_at_console).to_string()),
            ("began_ms", caller.caller.began_ms.to_string()),
            ("has_before", u8::from(self.has_before).to_string()),
            ("watchdogs", watchdogs.join(",")),
        ] {
            let _ = writeln!(text, "{key}={}", escaped(&value));
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.map(unescaped)
        };
        let number = |key: &str| value(key)?.parse::<u64>().ok();
        let caller = Caller {
            ssh: value("ssh").and_then(|text| CallerInfo::ssh_of(&text)),
            is_served: value("served")? == "1",
            is_at_console: value("console")? == "1",
            began_ms: number("began_ms")?,
        };
        let watchdog = |text: &str| {
            let (pid, ticks) = text.split_once(':')?;
            Some((pid.parse().ok()?, ticks.parse().ok()?))
        };
        let watchdogs = value("watchdogs")?.split(',').filter_map(watchdog).collect();
        Some(Self {
            purpose: if value("purpose")? == "off" { Purpose::Off } else { Purpose::Apply },
            token: value("token")?,
            at: value("at")?.parse().ok()?,
            applied_ms: number("applied_ms")?,
            deadline_ms: number("deadline_ms")?,
            before_ms: number("before_ms")?,
            boot: value("boot")?,
            policy: value("policy")?,
            inventory: value("inventory")?,
            caller: CallerInfo {
                caller,
                uid: u32::try_from(number("uid")?).ok()?,
                sudo_uid: value("sudo_uid").and_then(|uid| uid.parse().ok()),
            },
            has_before: value("has_before")? == "1",
            watchdogs,
        })
    }
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// When.
    pub at: Timestamp,
    /// What happened: `applied`, `confirmed`, `rolled-back`, `refused`, `off`, `back`, `failed`.
    pub what: String,
    /// The trial it belongs to.
    pub token: String,
    /// The identity of the policy.
    pub policy: String,
    /// Whose process did it; a watchdog's is that of who started it.
    pub uid: u32,
    /// Who called sudo.
    pub sudo_uid: Option<u32>,
    /// The peer of the SSH connection it came by.
    pub ssh: Option<Endpoint>,
    /// Why, or with which inventory.
    pub detail: String,
}

impl LogEntry {
    fn line(&self) -> String {
        let ssh = self.ssh.map(|end| format!("{} {}", end.address, end.port)).unwrap_or_default();
        let sudo = self.sudo_uid.map(|uid| uid.to_string()).unwrap_or_default();
        let values = [
            ("at", self.at.to_string()),
            ("what", self.what.clone()),
            ("token", self.token.clone()),
            ("policy", self.policy.clone()),
            ("uid", self.uid.to_string()),
            ("sudo_uid", sudo),
            ("ssh", ssh),
            ("detail", self.detail.clone()),
        ];
        let words = values.iter().map(|(key, value)| format!("{key}={}", escaped(value)));
        format!("{}\n", words.collect::<Vec<_>>().join(" "))
    }

    fn parse(line: &str) -> Option<Self> {
        let value = |key: &str| {
            let word = line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            word.map(unescaped)
        };
        let ssh = value("ssh").and_then(|text| {
            let (address, port) = text.split_once(' ')?;
            Some(Endpoint::new(address.parse().ok()?, port.parse().ok()?))
        });
        Some(Self {
            at: value("at")?.parse().ok()?,
            what: value("what")?,
            token: value("token")?,
            policy: value("policy")?,
            uid: value("uid")?.parse().ok()?,
            sudo_uid: value("sudo_uid").and_then(|uid| uid.parse().ok()),
            ssh,
            detail: value("detail")?,
        })
    }
}

/// Adds a line to the log.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn tell(place: &Place, entry: &LogEntry) -> io::Result<()> {
    place.make()?;
    let path = place.file(LOG);
    let mut file = File::options().create(true).append(true).mode(0o600).open(path)?;
    file.write_all(entry.line().as_bytes())
}

/// An entry of now.
pub(crate) fn entry(what: &str, trial: &Trial, caller: &CallerInfo, detail: &str) -> LogEntry {
    LogEntry {
        at: clock::now(),
        what: what.to_owned(),
        token: trial.token.clone(),
        policy: trial.policy.clone(),
        uid: caller.uid,
        sudo_uid: caller.sudo_uid,
        ssh: caller.caller.ssh.map(|(peer, _)| peer),
        detail: detail.to_owned(),
    }
}

/// The last lines of the log, the oldest first; at most `most`.
///
/// # Errors
/// When it is there and cannot be read.
pub fn log(place: &Place, most: usize) -> io::Result<Vec<LogEntry>> {
    let mut file = match File::open(place.file(LOG)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut entries: Vec<LogEntry> = text.lines().filter_map(LogEntry::parse).collect();
    entries.drain(..entries.len().saturating_sub(most));
    Ok(entries)
}

/// What is looked at of a long log.
const TAIL: u64 = 64 * 1024;

/// Milliseconds since boot, also those the machine slept (CLOCK_BOOTTIME, clock_gettime(2)); the
/// clock that the start of processes is told by.
pub(crate) fn since_boot_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds * 1000 + u64::try_from(now.tv_nsec).unwrap_or_default() / 1_000_000
}

/// Which boot this is; empty where /proc does not tell.
pub(crate) fn boot() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim_end().to_owned()
}

/// Blanks, line ends and what could disturb a terminal, percent-encoded.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        if c == ' ' || c == '%' || c.is_control() {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                let _ = write!(text, "%{byte:02x}");
            }
        } else {
            text.push(c);
        }
    }
    text
}

fn unescaped(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.filter(|_| *first == b'%').and_then(|c| u8::from_str_radix(c, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(super) const TRIAL: &str = "trial";
const LOG: &str = "log";

/// A trial for tests.
#[cfg(test)]
pub(super) fn sample(token: &str) -> Trial {
    use portolan_core::net::Endpoint;

    let end = |port| Endpoint::new("2001:db8::1".parse().unwrap(), portolan_core::net::Port(port));
    let caller = Caller {
        ssh: Some((end(4711), end(22))),
        is_served: true,
        is_at_console: false,
        began_ms: 5,
    };
    Trial {
        purpose: Purpose::Apply,
        token: token.into(),
        at: clock::now(),
        applied_ms: 10,
        deadline_ms: 20,
        boot: boot(),
        before_ms: 9,
        policy: "abc".into(),
        inventory: "/etc/porto lan/50%\n.toml".into(),
        caller: CallerInfo { caller, uid: 0, sudo_uid: Some(1000) },
        has_before: true,
        watchdogs: vec![(7, 8), (9, 10)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_comes_back_as_it_was_written() {
        let trial = sample("0a");
        assert_eq!(Trial::parse(&trial.text()), Some(trial.clone()));
        let text = trial.text();
        for length in 0..text.len() {
            if text.is_char_boundary(length) {
                let _ = Trial::parse(&text[..length]);
            }
        }
    }

    #[test]
    fn a_line_of_the_log_comes_back_as_it_was_written() {
        let trial = sample("0a");
        let entry = entry("rolled-back", &trial, &trial.caller, "time is over\u{1b}[31m");
        let line = entry.line();
        assert!(!line.contains('\u{1b}') && line.ends_with('\n'));
        assert_eq!(LogEntry::parse(line.trim_end()), Some(entry));
    }
}
