//! The rules of this network namespace, as nft, iptables and ipset tell them.
//!
//! nft is asked first. `iptables-save` is asked only where nft says that iptables made rules of which
//! it knows the names alone, or where legacy tables are loaded: asking legacy iptables otherwise would
//! create its tables. Without nft the kernel says which tables there are. Nothing is changed, and what cannot be read is an error or a gap, never nothing.

use std::fs;
use std::io;
use std::time::Duration;

use portolan_core::firewall::ipset::Ipsets;
use portolan_core::firewall::iptables::Save;
use portolan_core::firewall::{Family, Origin, ReadError, Ruleset};
use portolan_core::net::{Gap, Observed, Why};

use super::nf_tables::{self, Unlisted};
use crate::tool::{Said, Tool, ToolError};

/// Why the rules cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadFault {
    /// The kernel shows rules to root alone.
    #[error("the kernel shows rules only to root")]
    NotPermitted,
    /// nft is not installed, and there are tables that it alone shows.
    #[error("nft is not installed, and there are tables that it alone shows, such as {first}")]
    NoNft {
        /// One of them, with its family.
        first: String,
    },
    /// nft is not installed, and the kernel does not say whether there are tables that it alone shows.
    #[error("nft is not installed, and the kernel does not say which tables there are")]
    NoList(#[source] io::Error),
    /// A program could not be asked.
    #[error("ask {program}")]
    Tool {
        /// The program.
        program: String,
        /// Why.
        source: ToolError,
    },
    /// A program refused.
    #[error("{program} refuses: {complaint}")]
    Refused {
        /// The program.
        program: String,
        /// The first line of what it said.
        complaint: String,
    },
    /// A program printed what cannot be read.
    #[error("{program} printed, line {}, column {}", source.line, source.column)]
    Unreadable {
        /// The program.
        program: String,
        /// What is wrong.
        source: ReadError,
    },
}

/// Every table of every tool. Needs CAP_NET_ADMIN.
///
/// # Errors
/// When what is there cannot be read: a part of the rules would answer wrongly.
pub fn live() -> Result<Observed<Ruleset>, ReadFault> {
    let mut gaps = Vec::new();
    let listed = match Tool::find("nft") {
        Some(nft) => Some(listing(&nft)?),
        None => None,
    };
    let unlisted = match &listed {
        Some(_) => Vec::new(),
        None => nf_tables::tables()?,
    };
    let mut texts = Vec::new();
    for family in [Family::Ip, Family::Ip6] {
        let asks_nft = match &listed {
            Some(ruleset) => ruleset.veiled().iter().any(|place| place.family == family),
            None => true,
        };
        if asks_nft {
            texts.extend(saved(family, Origin::IptablesNft)?);
        }
        if has_legacy_tables(family) {
            match saved(family, Origin::IptablesLegacy)? {
                Some(text) => texts.push(text),
                None => gaps.push(Gap::new(
                    format!("legacy tables of {}", program(family)),
                    Why::Unsupported,
                    "install iptables",
                )),
            }
        }
    }
    let ruleset = with_saves(listed.unwrap_or_default(), &texts, &mut gaps)?;
    if let Some(unseen) = unlisted.iter().find(|table| !is_told(table, &texts)) {
        return Err(ReadFault::NoNft { first: unseen.to_string() });
    }
    let veiled = ruleset.veiled();
    if let Some(first) = veiled.first() {
        let what =
            format!("{} rules of which nft shows only a name, such as {first}", veiled.len());
        gaps.push(Gap::new(what, Why::Unsupported, "install iptables"));
    }
    Ok(Observed { value: ruleset, gaps })
}

/// Whether rules may send what this machine sends to another place: a base chain of type nat stands at its
/// output, or legacy tables are loaded. Quickly told, without any rule being read; `false` where it cannot be.
#[must_use]
pub fn may_send_on() -> bool {
    if [Family::Ip, Family::Ip6].into_iter().any(has_legacy_tables) {
        return true;
    }
    let Some(nft) = Tool::find("nft") else { return false };
    said(&nft, &["list", "chains"])
        .is_ok_and(|text| String::from_utf8_lossy(&text).contains("type nat hook output"))
}

/// What nft lists, in the order of registration where the kernel tells it.
fn listing(nft: &Tool) -> Result<Ruleset, ReadFault> {
    let output = said(nft, &["-j", "list", "ruleset"])?;
    let mut ruleset = Ruleset::from_nft_json(&output).map_err(|source| unreadable(nft, source))?;
    // Kernels before 5.14, and those without NETFILTER_NETLINK_HOOK, have no list of hooks. nft reads
    // every element before it lists them: it is asked only where the order can matter.
    if ruleset.has_equals()
        && let Ok(hooks) = nft.run(["list", "hooks"], LIMIT)
        && hooks.succeeded
    {
        ruleset.order_by_hooks(&String::from_utf8_lossy(&hooks.output));
    }
    // nft 1.0.6 leaves the devices of chains out of its JSON; where its text does, a note stays.
    if ruleset.lacks_devices() {
        ruleset.take_devices(&String::from_utf8_lossy(&said(nft, &["list", "chains"])?));
    }
    Ok(ruleset)
}

/// What a save program printed.
struct Saved {
    tool: Tool,
    family: Family,
    origin: Origin,
    /// Whether the name of the program says which iptables it is.
    is_named_so: bool,
    text: String,
}

fn with_saves(
    ruleset: Ruleset,
    texts: &[Saved],
    gaps: &mut Vec<Gap>,
) -> Result<Ruleset, ReadFault> {
    let ipsets = ipsets(texts, gaps)?;
    let mut saves = Vec::new();
    for saved in texts {
        let mut save = Save::read(&saved.text, Some(saved.family), ipsets.as_ref())
            .map_err(|source| unreadable(&saved.tool, source))?;
        save.origin = saved.origin;
        saves.push(save);
    }
    let Some(last) = texts.last() else { return Ok(ruleset) };
    ruleset.with_saves(saves).map_err(|source| unreadable(&last.tool, source))
}

/// Whether iptables with nf_tables beneath printed a table. A program of no other name may be the legacy one,
/// which prints its own.
fn is_told(unlisted: &Unlisted, texts: &[Saved]) -> bool {
    let head = format!("*{}", unlisted.name);
    texts.iter().any(|saved| {
        let is_of_nft = saved.origin == Origin::IptablesNft
            && (saved.is_named_so || !has_legacy_tables(saved.family));
        let is_of_family = unlisted.family == nf_tables::number(saved.family);
        is_of_nft && is_of_family && saved.text.lines().any(|line| line == head)
    })
}

/// The sets that rules ask; `None` where no rule does.
fn ipsets(texts: &[Saved], gaps: &mut Vec<Gap>) -> Result<Option<Ipsets>, ReadFault> {
    if !texts.iter().any(|saved| saved.text.contains("--match-set ")) {
        return Ok(None);
    }
    let Some(tool) = Tool::find("ipset") else {
        gaps.push(Gap::new("the members of ipsets", Why::Unsupported, "install ipset"));
        return Ok(None);
    };
    let output = said(&tool, &["save"])?;
    let ipsets = Ipsets::read(&String::from_utf8_lossy(&output));
    ipsets.map(Some).map_err(|source| unreadable(&tool, source))
}

fn saved(family: Family, origin: Origin) -> Result<Option<Saved>, ReadFault> {
    let iptables = program(family);
    let backend = if origin == Origin::IptablesLegacy { "legacy" } else { "nft" };
    // Where there is only one backend, its program has no other name.
    let named = Tool::find(&format!("{iptables}-{backend}-save"));
    let is_named_so = named.is_some();
    let tool = named.or_else(|| Tool::find(&format!("{iptables}-save")));
    let Some(tool) = tool else { return Ok(None) };
    // -c: with counters.
    let output = said(&tool, &["-c"])?;
    let text = String::from_utf8_lossy(&output).into_owned();
    Ok(Some(Saved { tool, family, origin, is_named_so, text }))
}

const fn program(family: Family) -> &'static str {
    match family {
        Family::Ip6 => "ip6tables",
        _ => "iptables",
    }
}

/// Whether legacy iptables has tables here (net/netfilter/x_tables.c).
fn has_legacy_tables(family: Family) -> bool {
    let name = if family == Family::Ip6 { "ip6_tables_names" } else { "ip_tables_names" };
    let names = fs::read_to_string(format!("/proc/thread-self/net/{name}"));
    names.is_ok_and(|names| !names.trim().is_empty())
}

pub(super) fn said(tool: &Tool, arguments: &[&str]) -> Result<Vec<u8>, ReadFault> {
    let told = tool.run(arguments, LIMIT);
    succeeded(tool, told)
}

pub(super) fn succeeded(tool: &Tool, told: Result<Said, ToolError>) -> Result<Vec<u8>, ReadFault> {
    let program = || tool.path().display().to_string();
    let said = told.map_err(|source| ReadFault::Tool { program: program(), source })?;
    if said.succeeded {
        return Ok(said.output);
    }
    let complaint = match said.reason().trim() {
        "" => "it failed and does not say why".to_owned(),
        reason => reason.to_owned(),
    };
    // "Operation not permitted (you must be root)", "Permission denied (you must be root)"
    if complaint.contains("not permitted") || complaint.contains("must be root") {
        return Err(ReadFault::NotPermitted);
    }
    Err(ReadFault::Refused { program: program(), complaint })
}

pub(super) fn unreadable(tool: &Tool, source: ReadError) -> ReadFault {
    ReadFault::Unreadable { program: tool.path().display().to_string(), source }
}

/// A set of a hundred thousand elements takes a second and a half to list.
const LIMIT: Duration = Duration::from_secs(60);
