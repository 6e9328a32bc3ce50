//! A policy made into a table of nft: sets and verdict maps instead of long lists of rules.
//!
//! A packet meets a handful of rules, is looked up in a map by its port, and in the chain of that port
//! in a set by its address: the cost does not grow with the policy. Sources that are the same are one
//! set. The same policy gives the same bytes.

mod chains;
mod gate;
mod names;
mod sets;
mod translate;

use std::collections::{HashMap, HashSet};

use super::addresses::Interval;
use super::filled::Filled;
use super::policy::{PassTraffic, Policy};
use super::script::{Part, Script, ScriptChain};
use names::Names;

/// The table that does what `policy` says.
#[must_use]
pub fn compile(policy: &Policy) -> Script {
    let mut compiler = Compiler::new(policy);
    compiler.doors();
    compiler.helpers();
    compiler.input();
    compiler.forward();
    compiler.output();
    compiler.translations();
    Script { header: header(policy), parts: compiler.parts, chains: compiler.chains }
}

/// A table in the making.
struct Compiler<'a> {
    policy: &'a Policy,
    names: Names,
    filled: Filled,
    parts: Vec<Part>,
    /// Sets of addresses that are there already, by family and members.
    addresses: HashMap<(bool, &'a [Interval]), Box<str>>,
    /// Sets that packets fill and that are there already.
    dynamic: HashSet<Box<str>>,
    /// Blocks that were made into sets already: the conditions to match them, and what they refuse.
    blocked: Option<Vec<(String, &'a [PassTraffic])>>,
    /// Chains that are there already, by their rules.
    asked: HashMap<Vec<String>, Box<str>>,
    chains: Vec<ScriptChain>,
}

impl<'a> Compiler<'a> {
    fn new(policy: &'a Policy) -> Self {
        Self {
            policy,
            names: Names::default(),
            filled: Filled::of(policy),
            parts: Vec::new(),
            addresses: HashMap::new(),
            dynamic: HashSet::new(),
            blocked: None,
            asked: HashMap::new(),
            chains: Vec::new(),
        }
    }
}

/// What the table holds for, for whoever reads the file.
fn header(policy: &Policy) -> Vec<String> {
    let mut lines = vec![format!("portolan: the firewall of {}", plain(&policy.host))];
    for (what, found) in &policy.resolved {
        let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
        lines.push(plain(&format!("resolved: {what} = {found}")));
    }
    lines.extend(policy.notes.iter().map(|note| plain(&format!("note: {note}"))));
    lines
}

/// On one line, whatever was in it.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
