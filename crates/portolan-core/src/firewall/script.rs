//! A table of nft in parts: what is made anew with every change, and what outlives it.
//!
//! Whoever loads it needs the parts: sets that are filled from the packet path keep their members, and
//! base chains keep their place in the order of registration, only if they are not made again.

use std::fmt::{self, Write as _};

/// The name of the one table that is ours, of family inet.
pub const TABLE: &str = "portolan";

/// The set that says which policy is loaded.
pub const STAMP: &str = "policy-stamp";

/// The table of one host as nft reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Lines of the comment at the top: whose it is, and what it holds for. Not loaded.
    pub header: Vec<String>,
    /// Sets, maps and conntrack helpers, in the order in which they must be made; maps name chains.
    pub parts: Vec<Part>,
    /// Chains, in the order in which they must be made: a chain before whoever asks it.
    pub chains: Vec<ScriptChain>,
}

/// A set, a map or a conntrack helper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which.
    pub kind: PartKind,
    /// Its name in the table.
    pub name: Box<str>,
    /// What is said of it, a line each, without its members.
    pub properties: Vec<String>,
    /// Its members as nft writes them; those of a map with `: jump …`.
    pub elements: Vec<String>,
    /// Whether packets and programs fill it (doors, limits): its members outlive a change.
    pub is_dynamic: bool,
}

/// Kinds of named objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartKind {
    /// A set.
    Set,
    /// A map to verdicts.
    Map,
    /// A conntrack helper.
    Helper,
}

/// A chain and its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptChain {
    /// Its name in the table.
    pub name: Box<str>,
    /// `type … hook … priority …; policy …;` where packets enter it.
    pub base: Option<String>,
    /// The rules as nft writes them.
    pub rules: Vec<String>,
}

impl PartKind {
    /// nft's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Map => "map",
            Self::Helper => "ct helper",
        }
    }
}

impl Script {
    /// The identity of what is loaded: FNV-1a, 64 bits, of the table without header and
    /// stamp. No secret, and no proof: two tables with the same one are the same but for bad luck.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in self.body(None).bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        format!("{hash:016x}")
    }

    /// What stands in the loaded table, so that a listing says what was loaded: the comment of an empty
    /// set. Chains that stay registered keep the comment they were made with (nf_tables_api.c,
    /// nf_tables_updchain).
    #[must_use]
    pub fn stamp(&self) -> String {
        format!("portolan policy {}", self.hash())
    }

    /// Whether there is nothing to load.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.chains.is_empty()
    }

    fn body(&self, stamp: Option<&str>) -> String {
        let mut text = format!("table inet {TABLE} {{\n");
        if let Some(stamp) = stamp {
            let _ =
                write!(text, "\tset {STAMP} {{\n\t\ttype mark\n\t\tcomment \"{stamp}\"\n\t}}\n");
        }
        for part in &self.parts {
            text.push_str(&part.to_string());
        }
        for chain in &self.chains {
            chain.write(&mut text);
        }
        text.push_str("}\n");
        text
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.header {
            writeln!(f, "{}", format!("# {line}").trim_end())?;
        }
        f.write_str(&self.body(Some(&self.stamp())))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\t{} {} {{", self.kind.as_str(), self.name)?;
        for line in &self.properties {
            writeln!(f, "\t\t{line}")?;
        }
        if !self.elements.is_empty() {
            writeln!(f, "\t\telements = {{ {} }}", self.members())?;
        }
        f.write_str("\t}\n")
    }
}

impl Part {
    /// The members, comma by comma, in lines that can be read.
    #[must_use]
    pub fn members(&self) -> String {
        let mut text = String::with_capacity(self.elements.len() * 16);
        let mut column = 0;
        for (i, element) in self.elements.iter().enumerate() {
            if i > 0 {
                text.push_str(if column > WIDTH { ",\n\t\t\t" } else { ", " });
                column = if column > WIDTH { 0 } else { column };
            }
            text.push_str(element);
            column += element.len() + 2;
        }
        text
    }
}

/// A line of members is broken beyond this.
const WIDTH: usize = 90;

impl ScriptChain {
    fn write(&self, text: &mut String) {
        text.push_str(&format!("\tchain {} {{\n", self.name));
        if let Some(base) = &self.base {
            text.push_str(&format!("\t\t{base}\n"));
        }
        for rule in &self.rules {
            text.push_str(&format!("\t\t{rule}\n"));
        }
        text.push_str("\t}\n");
    }
}
