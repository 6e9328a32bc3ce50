//! The rules a command is about, and the addresses and routes around them: the live ones, or files.

mod files;
mod world;

use anyhow::Result;
use portolan_core::firewall::{ReadError, Ruleset, World};
use portolan_core::inventory::{Location, Problem, Refused, SourceFile};
use portolan_core::net::{Gap, Observed, Why};
use portolan_host::clock;
use portolan_host::firewall::{self, ReadFault};
use portolan_host::tool::ToolError;

use crate::fault::{Fault, Hinted as _};

/// Which rules are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// Files, `-` for the standard input, with `v4:` or `v6:` before them, several in a word with commas
    /// between; empty: the live rules.
    pub(crate) rules: Vec<String>,
    /// Addresses of the machine that rules from files are of.
    pub(crate) local: Vec<String>,
    /// Files of what `ip -j` printed there.
    pub(crate) world: Vec<String>,
}

/// Rules and what surrounds them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// All tables.
    pub(crate) ruleset: Ruleset,
    /// Addresses and routes; empty where rules from files came without.
    pub(crate) world: World,
    /// What could not be seen.
    pub(crate) gaps: Vec<Gap>,
    /// Whether they are those of this machine, now.
    pub(crate) is_live: bool,
    /// Whether files say nothing of a family, as they are what iptables-save printed for the other one: of
    /// IPv4, of IPv6.
    pub(crate) untold: [bool; 2],
    /// Whether of a family that the machine has addresses of no routes were told.
    pub(crate) without_routes: [bool; 2],
}

impl Rules {
    /// The rules as they are just now, where they are live: what asks for the time is answered.
    pub(crate) fn just_now(mut self) -> Self {
        if self.is_live {
            self.ruleset.answer_time(clock::now());
        }
        self
    }
}

impl Rules {
    /// Whether files say nothing of a family.
    pub(crate) fn is_untold(&self, is_v6: bool) -> bool {
        self.untold[usize::from(is_v6)]
    }

    /// Refuses what is asked about a family of which nothing is known.
    ///
    /// # Errors
    /// Which rules are not there.
    pub(crate) fn refuse_untold(&self, is_v6: bool) -> Result<()> {
        match self.untold(is_v6) {
            Some(gap) => {
                Err(Fault::new(format!("{} are in none of the files", gap.what), gap.hint))
            }
            None => Ok(()),
        }
    }

    /// The families of which nothing is known, where an answer about both is wanted.
    pub(crate) fn untold_of_both(&self) -> Vec<Gap> {
        [false, true].into_iter().filter_map(|is_v6| self.missing(is_v6)).collect()
    }

    /// A family of which nothing is known, where it is asked about.
    pub(crate) fn missing(&self, is_v6: bool) -> Option<Gap> {
        self.untold(is_v6).map(|gap| Gap::new(gap.what, Why::Unsupported, gap.hint))
    }

    /// What is taken for granted of ways that nobody told: others come by any interface.
    pub(crate) fn routes_taken(&self) -> Option<Gap> {
        let families = match self.without_routes {
            [false, false] => return None,
            [true, false] => "IPv4",
            [false, true] => "IPv6",
            [true, true] => "IPv4 and IPv6",
        };
        let what = format!("the routes of {families}: others are taken to come by any interface");
        Some(Gap::aside(
            what,
            Why::NotLooked,
            "name what `ip -j route` and `ip -j -6 route` print, too",
        ))
    }

    /// That as a gap.
    pub(crate) fn untold(&self, is_v6: bool) -> Option<Gap> {
        let (family, tool) =
            if is_v6 { ("IPv6", "ip6tables-save") } else { ("IPv4", "iptables-save") };
        let hint = format!("name what {tool} prints, too");
        let gap = || Gap::aside(format!("the rules of {family}"), Why::NotLooked, hint);
        self.is_untold(is_v6).then(gap)
    }
}

/// Reads what was asked for: the files named, else the live rules of this network namespace. With
/// files the machine is not asked about its addresses and routes.
///
/// # Errors
/// A file that cannot be read, with its line; a live table that cannot be read, with its name.
pub(crate) fn load(sources: &Sources) -> Result<Rules> {
    if sources.rules.is_empty() {
        return live();
    }
    let (world, without_routes) = world::of(sources)?;
    let (ruleset, untold) = files::read(&sources.rules)?;
    Ok(Rules { ruleset, world, gaps: Vec::new(), is_live: false, untold, without_routes })
}

/// Whether a word names a file that is there, or the standard input.
pub(crate) fn is_there(name: &str) -> bool {
    files::is_there(name)
}

/// What is no text by its first bytes, and the way to one for what is read by an option.
pub(crate) fn packed(bytes: &[u8], option: &str) -> Option<(&'static str, String)> {
    files::packed(bytes, option)
}

/// The rules that one word names, as `firewall diff` compares them; `live` is this machine.
///
/// # Errors
/// As [`load`].
pub(crate) fn one(source: &str) -> Result<Rules> {
    match source {
        "live" => live(),
        file => load(&Sources { rules: vec![file.to_owned()], ..Sources::default() }),
    }
}

fn live() -> Result<Rules> {
    let mut gaps = Vec::new();
    let read = firewall::live().map_err(|fault| {
        let hint = hint(&fault);
        (fault, hint)
    });
    let ruleset = match read {
        Ok(observed) => observed.into_value(&mut gaps),
        Err((fault, hint)) => return Err(fault).hinted("cannot read the rules", hint),
    };
    let world = firewall::world().into_value(&mut gaps);
    let none = [false; 2];
    Ok(Rules { ruleset, world, gaps, is_live: true, untold: none, without_routes: none })
}

/// The live rules as they are now, where something else is asked and they are `what` is known of it by.
/// What cannot be read is a gap, which leaves all else whole.
pub(crate) fn consult(what: &str, gaps: &mut Vec<Gap>) -> Option<Ruleset> {
    let read = firewall::live().map_err(|fault| gaps.push(unseen(what, &fault))).ok()?;
    let mut ruleset = read.aside().into_value(gaps);
    ruleset.answer_time(clock::now());
    Some(ruleset)
}

/// What surrounds the live rules, for who follows rules of policy routing or asks of own addresses alone,
/// to which those do not lead.
pub(crate) fn surroundings(gaps: &mut Vec<Gap>) -> World {
    let Observed { value, gaps: missing } = firewall::world().aside();
    gaps.extend(missing.into_iter().filter(|gap| gap.hint != firewall::POLICY));
    value
}

fn unseen(what: &str, fault: &ReadFault) -> Gap {
    match fault {
        ReadFault::NotPermitted => Gap::aside(what, Why::NotPermitted, "run with sudo"),
        ReadFault::NoNft { .. } | ReadFault::NoList(_) => {
            Gap::aside(format!("{what} ({fault})"), Why::Unsupported, "install nftables")
        }
        ReadFault::Tool { source: ToolError::TimedOut { .. }, .. } => {
            Gap::aside(what, Why::TimedOut, "")
        }
        other => Gap::aside(format!("{what} ({other})"), Why::Unsupported, ""),
    }
}

fn hint(fault: &ReadFault) -> &'static str {
    match fault {
        ReadFault::NotPermitted => "run with sudo, or name a file with --rules",
        ReadFault::NoNft { .. } | ReadFault::NoList(_) => "install nftables",
        ReadFault::Tool { program, .. }
        | ReadFault::Refused { program, .. }
        | ReadFault::Unreadable { program, .. } => match program.rsplit('/').next() {
            Some(name) if name.starts_with("ip6tables") => "look with: ip6tables-save",
            Some(name) if name.starts_with("iptables") => "look with: iptables-save",
            Some("ipset") => "look with: ipset save",
            _ => "look with: nft list ruleset",
        },
    }
}

/// Refuses the name of an interface that is not there, where it is known which are.
///
/// # Errors
/// With those there are.
pub(crate) fn there_is(interface: &str, world: &World) -> Result<()> {
    if !world.are_interfaces_known() || world.interface(interface).is_some() {
        return Ok(());
    }
    let names: Vec<&str> = world.interfaces.iter().map(|i| &*i.name).collect();
    let (shown, more) = names.split_at(names.len().min(MOST_NAMES));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    let hint = format!("there are {}{more}", shown.join(", "));
    Err(Fault::new(format!("there is no interface `{interface}`"), hint))
}

/// More interfaces are counted in a hint.
const MOST_NAMES: usize = 12;

/// An error at a place of a file, told with the line and a caret.
fn refused(path: &str, text: &str, error: ReadError) -> anyhow::Error {
    let start = text.split_inclusive('\n').take(error.line.saturating_sub(1)).map(str::len).sum();
    let line = text.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
    let column = line.char_indices().nth(error.column.saturating_sub(1));
    let at = start + column.map_or(line.len(), |(at, _)| at);
    let problem = Problem::new(Location { file: 0, span: at..at }, error.problem, error.hint);
    let files = vec![SourceFile::new(path, text)];
    anyhow::Error::new(Refused { files, problems: vec![problem], omitted: 0 })
}

/// Something wrong with a file as a whole.
fn wrong(path: &str, what: &str, hint: &str) -> anyhow::Error {
    Fault::new(format!("{path}: {what}"), hint)
}
