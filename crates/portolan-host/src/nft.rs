//! The rules of this network namespace that translate destinations, as nft and iptables tell them.
//!
//! nft is asked first; `iptables-save` only where nft says that iptables made rules it cannot show,
//! or where legacy tables are loaded: asking legacy iptables otherwise would create its tables.

use std::fs;
use std::time::Duration;

use portolan_core::nat::{RuleFamily, Translations};
use portolan_core::net::{Gap, Observed, Why};

use crate::tool::{Said, Tool, ToolError};

/// Every rule that may take traffic away before a socket sees it. Needs CAP_NET_ADMIN. What cannot
/// be seen is a gap that leaves asked rows complete: it is about rules, not about sockets.
#[must_use]
pub fn translations() -> Observed<Translations> {
    let mut gaps = Vec::new();
    let mut found = match listing() {
        Ok(found) => found,
        Err(gap) => {
            gaps.push(gap);
            Translations::default()
        }
    };
    for family in [RuleFamily::Ip, RuleFamily::Ip6] {
        let is_unseen = !gaps.is_empty() && gaps.iter().all(|gap| gap.why == Why::Unsupported);
        if found.is_veiled() || is_unseen {
            found = with(found, Backend::Nft, family);
        }
        if has_legacy_table(family) {
            found = with(found, Backend::Legacy, family);
        }
    }
    if found.is_veiled() {
        let what = "some NAT rules made by iptables, of which nft shows only the names";
        gaps.push(Gap::aside(what, Why::Unsupported, "install iptables"));
    }
    Observed { value: found, gaps }
}

/// What nft lists.
fn listing() -> Result<Translations, Gap> {
    let Some(tool) = Tool::find("nft") else {
        return Err(Gap::aside(WHAT, Why::Unsupported, "install nftables"));
    };
    let said = tool.run(["-j", "list", "ruleset"], LIMIT).map_err(|error| match error {
        ToolError::TimedOut { .. } => Gap::aside(WHAT, Why::TimedOut, ""),
        other => Gap::aside(format!("{WHAT} ({other})"), Why::Unsupported, ""),
    })?;
    if !said.succeeded {
        return Err(refusal(&said));
    }
    let unreadable = |error| Gap::aside(format!("{WHAT} ({error})"), Why::Unsupported, "");
    Translations::from_nft(&said.output).map_err(unreadable)
}

fn refusal(said: &Said) -> Gap {
    // "Operation not permitted (you must be root)"
    if said.complaint.contains("not permitted") {
        return Gap::aside(WHAT, Why::NotPermitted, "run with sudo");
    }
    Gap::aside(format!("{WHAT} ({})", said.reason()), Why::Unsupported, "")
}

#[derive(Clone, Copy)]
enum Backend {
    Nft,
    Legacy,
}

/// What was found, and what iptables-save adds to it; unchanged where it cannot be asked.
fn with(found: Translations, backend: Backend, family: RuleFamily) -> Translations {
    match saved(backend, family) {
        Some(text) => found.with(Translations::from_iptables_save(&text, family)),
        None => found,
    }
}

fn saved(backend: Backend, family: RuleFamily) -> Option<String> {
    let iptables = if family == RuleFamily::Ip6 { "ip6tables" } else { "iptables" };
    let own = match backend {
        Backend::Nft => "nft",
        Backend::Legacy => "legacy",
    };
    // Where there is only one backend, its program has no other name.
    let tool = Tool::find(&format!("{iptables}-{own}-save"))
        .or_else(|| Tool::find(&format!("{iptables}-save")))?;
    let said = tool.run(["-t", "nat"], LIMIT).ok().filter(|said| said.succeeded)?;
    Some(String::from_utf8_lossy(&said.output).into_owned())
}

/// Whether legacy iptables has a table `nat` here (net/netfilter/x_tables.c).
fn has_legacy_table(family: RuleFamily) -> bool {
    let name = if family == RuleFamily::Ip6 { "ip6_tables_names" } else { "ip_tables_names" };
    let names = fs::read_to_string(format!("/proc/thread-self/net/{name}"));
    names.is_ok_and(|names| names.lines().any(|table| table == "nat"))
}

const WHAT: &str = "NAT rules that could divert a port";

/// A ruleset of ten thousand rules takes half a second to list.
const LIMIT: Duration = Duration::from_secs(5);
