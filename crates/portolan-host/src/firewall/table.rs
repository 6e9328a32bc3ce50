//! Our table in the kernel, through nft(8): listed, checked, loaded. Scripts go through its standard
//! input, never through a shell or a file that somebody could exchange.

use std::time::Duration;

use portolan_core::firewall::{
    GATE, OUR_TABLE, Outline, OutlineError, Replacement, STAMP, gate, gate_token, removal,
};

use crate::tool::{Said, Tool, ToolError};

/// Why the table cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// nft is not installed.
    #[error("nft is not installed")]
    NoNft,
    /// nft could not be asked.
    #[error("ask nft")]
    Tool(#[from] ToolError),
    /// We may not.
    #[error("the kernel permits only root to see and change rules")]
    NotPermitted,
    /// nft or the kernel refuses.
    #[error("nft refuses: {complaint}")]
    Refused {
        /// What it says, its first lines.
        complaint: String,
    },
    /// What is to be loaded, or what is loaded, is not our table.
    #[error("not a table of ours")]
    Foreign(#[from] OutlineError),
}

/// Our table as nft prints it, with all elements, so that it can be loaded again; `None` where there is
/// none.
///
/// # Errors
/// When the kernel cannot be asked.
pub fn listing() -> Result<Option<String>, TableError> {
    let mut words = vec!["list", "table"];
    words.extend(OUR_TABLE.split(' '));
    present(&nft()?.run(words, LIMIT)?)
}

/// What the loaded table says of itself: the set that names its policy. Where there is none but a table
/// of our name, the names of its chains; `None` where there is no such table. Unlike [`listing`] this
/// asks for no elements, which takes nft a second with a long block list.
///
/// # Errors
/// When the kernel cannot be asked.
pub fn stamp() -> Result<Option<String>, TableError> {
    let nft = nft()?;
    let words = ["list", "set"].into_iter().chain(OUR_TABLE.split(' ')).chain([STAMP]);
    if let Some(stamp) = present(&nft.run(words, LIMIT)?)? {
        return Ok(Some(stamp));
    }
    let chains = said(&nft.run(["list", "chains", "inet"], LIMIT)?)?;
    let head = format!("table {OUR_TABLE} {{");
    Ok(chains.lines().any(|line| line.trim() == head).then_some(chains))
}

/// Which trial the loaded table is on, as it says itself; `None` where it is on none or there is none.
///
/// # Errors
/// When the kernel cannot be asked.
pub(crate) fn on_trial() -> Result<Option<String>, TableError> {
    let words = ["list", "set"].into_iter().chain(OUR_TABLE.split(' ')).chain([GATE]);
    let set = present(&nft()?.run(words, LIMIT)?)?;
    Ok(set.as_deref().and_then(gate_token).map(str::to_owned))
}

/// What nft said; `None` where it is not there.
fn present(told: &Said) -> Result<Option<String>, TableError> {
    if !told.succeeded && told.complaint.contains("No such file or directory") {
        return Ok(None);
    }
    said(told).map(Some)
}

/// Whether nft and the kernel would take `text` (a table of ours) in the place of what is loaded.
/// Nothing changes.
///
/// # Errors
/// Why not.
pub fn check(text: &str, live: Option<&str>) -> Result<(), TableError> {
    let script = replacing(text, live, None)?;
    said(&nft()?.feed(["-c", "-f", "-"], &script, LIMIT)?).map(drop)
}

/// Puts `text` in the place of what is loaded, `live`, in one transaction. `age` tells how old `text`
/// is where it is a listing kept from before.
///
/// # Errors
/// Why not; what was loaded still is.
pub(crate) fn replace(
    text: &str,
    live: Option<&str>,
    age: Option<Duration>,
) -> Result<(), TableError> {
    load(&replacing(text, live, age)?)
}

/// Puts `text` on trial in the place of what is loaded: the kernel stops to ask it after `lasts`.
///
/// # Errors
/// Why not; what was loaded still is.
pub(crate) fn put_on_trial(
    text: &str,
    live: Option<&str>,
    token: &str,
    lasts: Duration,
) -> Result<(), TableError> {
    let gate = gate(&Outline::parse(text)?, token, lasts);
    load(&format!("{}{gate}", replacing(text, live, None)?))
}

/// Makes our table anew in one transaction, whatever is loaded.
///
/// # Errors
/// Why not; what was loaded still is.
pub(crate) fn renew(text: &str) -> Result<(), TableError> {
    let new = Outline::parse(text)?;
    let script = Replacement { live: None, new: &new, age: None }.script();
    load(&format!("{}{script}", removal()))
}

/// Removes our table, if it is there.
///
/// # Errors
/// Why not.
pub(crate) fn delete() -> Result<(), TableError> {
    load(&removal())
}

fn load(script: &str) -> Result<(), TableError> {
    said(&nft()?.feed(["-f", "-"], script, LIMIT)?).map(drop)
}

fn replacing(text: &str, live: Option<&str>, age: Option<Duration>) -> Result<String, TableError> {
    let new = Outline::parse(text)?;
    let live = live.map(Outline::parse).transpose()?;
    Ok(Replacement { live: live.as_ref(), new: &new, age }.script())
}

fn nft() -> Result<Tool, TableError> {
    Tool::find("nft").ok_or(TableError::NoNft)
}

fn said(said: &Said) -> Result<String, TableError> {
    if said.succeeded {
        return Ok(String::from_utf8_lossy(&said.output).into_owned());
    }
    if said.complaint.contains("not permitted") {
        return Err(TableError::NotPermitted);
    }
    let complaint: Vec<&str> = said.complaint.lines().take(3).map(str::trim).collect();
    Err(TableError::Refused { complaint: complaint.join(" ") })
}

/// A block list of a hundred thousand networks takes two seconds to load.
const LIMIT: Duration = Duration::from_secs(60);
