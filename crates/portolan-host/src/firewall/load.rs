//! `.nft` files, read by nft itself: loaded into a network namespace of their own, and listed there.
//!
//! The namespace is held by a process that does nothing, and goes with it. Without root a user
//! namespace is made around it (user_namespaces(7)), where the kernel allows that.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use portolan_core::firewall::Ruleset;
use rustix::process::geteuid;

use super::read::{ReadFault, succeeded, unreadable};
use crate::tool::Tool;

/// Why a file cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadFault {
    /// What it takes is not installed.
    #[error("{program} is not installed")]
    NoTool {
        /// The program.
        program: &'static str,
    },
    /// No namespace is to be had.
    #[error("make a network namespace to load it in")]
    Namespace(#[source] io::Error),
    /// nft refuses the file.
    #[error("nft refuses it: {complaint}")]
    Refused {
        /// Line and column, where nft names them.
        place: Option<(usize, usize)>,
        /// What it says, without the place.
        complaint: String,
        /// What helps; empty where nothing is known.
        hint: &'static str,
    },
    /// The listing of what was loaded cannot be read.
    #[error("list what was loaded")]
    Listing(#[from] ReadFault),
}

/// Loads the text of a script, and lists what became of it. `folder` is where its includes are looked
/// for. The rules of this machine are not touched.
///
/// # Errors
/// Why not.
pub fn load(text: &str, folder: Option<&Path>) -> Result<Ruleset, LoadFault> {
    let room = Loaded::into(text, folder)?;
    let output = room.list(&["-j", "list", "ruleset"])?;
    let mut ruleset =
        Ruleset::from_nft_json(&output).map_err(|source| unreadable(&room.nft, source))?;
    if ruleset.lacks_devices() {
        ruleset.take_devices(&String::from_utf8_lossy(&room.list(&["list", "chains"])?));
    }
    Ok(ruleset)
}

/// Loads our table, and lists it as nft prints it.
///
/// # Errors
/// Why not.
pub(super) fn relisted(text: &str) -> Result<String, LoadFault> {
    let output = Loaded::into(text, None)?.list(&["list", "ruleset"])?;
    Ok(String::from_utf8_lossy(&output).into_owned())
}

/// A namespace that a script was loaded into.
struct Loaded {
    nft: Tool,
    enter: Tool,
    room: Room,
}

impl Loaded {
    fn into(text: &str, folder: Option<&Path>) -> Result<Self, LoadFault> {
        let nft = Tool::find("nft").ok_or(LoadFault::NoTool { program: "nft" })?;
        let room = Room::open()?;
        let mut words = room.words_for(&nft);
        if let Some(folder) = folder {
            words.extend(["-I".to_owned(), folder.display().to_string()]);
        }
        words.extend(["-f".to_owned(), "-".to_owned()]);
        let enter = Tool::find("nsenter").ok_or(LoadFault::NoTool { program: "nsenter" })?;
        let told = enter.feed(&words, text, LIMIT);
        let told = told.map_err(|source| ReadFault::Tool { program: "nft".into(), source })?;
        if !told.succeeded {
            return Err(refusal(&told.complaint));
        }
        Ok(Self { nft, enter, room })
    }

    fn list(&self, what: &[&str]) -> Result<Vec<u8>, ReadFault> {
        let mut words = self.room.words_for(&self.nft);
        words.extend(what.iter().copied().map(str::to_owned));
        succeeded(&self.nft, self.enter.run(&words, LIMIT))
    }
}

/// A network namespace with a process in it.
struct Room {
    holder: Child,
    is_of_user: bool,
}

impl Room {
    fn open() -> Result<Self, LoadFault> {
        let unshare = Tool::find("unshare").ok_or(LoadFault::NoTool { program: "unshare" })?;
        let cat = Tool::find("cat").ok_or(LoadFault::NoTool { program: "cat" })?;
        let is_of_user = !geteuid().is_root();
        let mut command = Command::new(unshare.path());
        command.arg("--net").current_dir("/").env_clear();
        if is_of_user {
            command.args(["--user", "--map-root-user"]);
        }
        command.arg("--").arg(cat.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let holder = command.spawn().map_err(LoadFault::Namespace)?;
        let mut room = Self { holder, is_of_user };
        room.wait().map_err(LoadFault::Namespace)?;
        Ok(room)
    }

    /// The process answers once it is inside.
    fn wait(&mut self) -> io::Result<()> {
        let input = self.holder.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        input.write_all(b"\n")?;
        let output = self.holder.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut line = String::new();
        let read = BufReader::new(output).read_line(&mut line)?;
        match read {
            0 => Err(io::ErrorKind::PermissionDenied.into()),
            _ => Ok(()),
        }
    }

    /// What nsenter is told to run `tool` inside.
    fn words_for(&self, tool: &Tool) -> Vec<String> {
        let pid = self.holder.id();
        let mut words = vec![format!("--net=/proc/{pid}/ns/net")];
        if self.is_of_user {
            words.push(format!("--user=/proc/{pid}/ns/user"));
            words.push("--preserve-credentials".to_owned());
        }
        words.push("--".to_owned());
        // A script may include what never ends.
        if let Some(limiting) = Tool::find("prlimit") {
            words.push(limiting.path().display().to_string());
            words.push(format!("--as={MOST_BYTES}"));
        }
        words.push(tool.path().display().to_string());
        words
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// `/dev/stdin:3:9-12: Error: Interface does not exist`, then the line and a caret. Of a file that is
/// included the lines by which it is come before; nothing of its content is told.
fn refusal(complaint: &str) -> LoadFault {
    let first = complaint.lines().next().unwrap_or_default();
    let said = complaint.lines().find_map(|line| line.split_once(": Error: "));
    let (place, what) = match said {
        Some((place, what)) if place.starts_with(INPUT) => (numbers(place), what.trim().to_owned()),
        Some((place, what)) => (including(complaint), format!("{}: {}", shown(place), what.trim())),
        None => (None, first.trim().to_owned()),
    };
    let hint = hint(&what);
    LoadFault::Refused { place, complaint: what, hint }
}

/// The script, as nft names it.
const INPUT: &str = "/dev/stdin:";

/// `/etc/rules.nft:3:9-12` with one column.
fn shown(place: &str) -> &str {
    place.rsplit_once('-').map_or(place, |(before, _)| before)
}

/// The line of the script that includes the file.
fn including(complaint: &str) -> Option<(usize, usize)> {
    let from = |line: &str| {
        let (_, place) = line.split_once("from /dev/stdin:")?;
        numbers(&format!("{INPUT}{}", place.trim_end_matches([':', ','])))
    };
    complaint.lines().find_map(from)
}

fn numbers(place: &str) -> Option<(usize, usize)> {
    let mut parts = place.rsplitn(3, ':');
    let columns = parts.next()?;
    let line = parts.next()?.parse().ok()?;
    let column = columns.split('-').next()?.parse().ok()?;
    Some((line, column))
}

fn hint(what: &str) -> &'static str {
    if what.contains("Interface does not exist") {
        return "iif and oif want an interface that is there: write iifname and oifname, or load \
                it on its machine and save: nft -j list ruleset";
    }
    if what.contains("include") || what.contains("File not found") {
        return "includes are looked for in the folder of the file and in /etc";
    }
    if what.contains("resolve") || what.contains("User does not exist") {
        return "names of hosts, users and groups are those of this machine: write numbers";
    }
    if what.contains("syntax error") {
        return "is it a script of nft, and not a template of one? nft -j list ruleset, iptables-save and \
                ip6tables-save print what is loaded";
    }
    if what.contains("unsupported xtables") {
        return "rules of iptables are named and not told here: save nft -j list ruleset, iptables-save and \
                ip6tables-save, and name all three";
    }
    if what.contains("Too many links") {
        return "chains ask each other in a circle, or more than 15 deep: no kernel loads this";
    }
    // What the kernel refuses may be there on its machine: a device, a module.
    if what.contains("Could not process rule") {
        return "load it on its machine and save: nft -j list ruleset";
    }
    ""
}

/// A million addresses take 380 MB.
const MOST_BYTES: u64 = 4 << 30;

/// A script with an interval set of a hundred thousand networks takes two seconds.
const LIMIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_refusal_is_found() {
        let told = "/dev/stdin:3:9-12: Error: Interface does not exist\nadd rule\n   ^^^^";
        let LoadFault::Refused { place, complaint, hint } = refusal(told) else { panic!() };
        assert_eq!((place, &*complaint), (Some((3, 9)), "Interface does not exist"));
        assert!(hint.contains("iifname"));
    }

    #[test]
    fn of_an_included_file_the_place_is_told_and_nothing_of_its_content() {
        let told = "In file included from /dev/stdin:2:2-23:\n/etc/shadow:1:5-5: Error: syntax error, \
                    unexpected colon\nroot:$y$secret:19000\n    ^";
        let LoadFault::Refused { place, complaint, .. } = refusal(told) else { panic!() };
        assert_eq!(place, Some((2, 2)));
        assert_eq!(complaint, "/etc/shadow:1:5: syntax error, unexpected colon");
    }
}
