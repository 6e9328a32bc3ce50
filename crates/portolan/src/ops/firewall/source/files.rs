//! Rules from files: each is of the tool that its content speaks of, and all together are one ruleset.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Result;
use portolan_core::firewall::ipset::Ipsets;
use portolan_core::firewall::iptables::Save;
use portolan_core::firewall::{Family, ReadError, RuleFormat, RulePlace, Ruleset};
use portolan_host::firewall::{self, LoadFault};

use super::{refused, wrong};
use crate::fault::{Fault, Hinted as _};

/// One file.
struct Source {
    /// As it was named.
    path: String,
    /// The family that was said with it.
    family: Option<Family>,
    text: String,
    format: RuleFormat,
}

/// Reads them all; with the families, IPv4 and IPv6, of which they say nothing.
///
/// # Errors
/// Which file cannot be read, where and why; rules of which nothing but a name is known.
pub(super) fn read(named: &[String]) -> Result<(Ruleset, [bool; 2])> {
    let sources = apart(named).iter().map(|name| open(name)).collect::<Result<Vec<Source>>>()?;
    let mut ruleset = Ruleset::default();
    for source in &sources {
        let more = match source.format {
            RuleFormat::NftJson => Ruleset::from_nft_json(source.text.as_bytes())
                .map_err(|error| refused(&source.path, &source.text, error))?,
            RuleFormat::Nft => loaded(source)?,
            _ => continue,
        };
        join(&mut ruleset, more, source)?;
    }
    let (ruleset, saved) = with_saves(ruleset, &sources)?;
    match ruleset.veiled() {
        veiled if veiled.is_empty() => {
            let untold = [false, true].map(|is_v6| is_untold(&sources, &ruleset, is_v6));
            Ok((ruleset, untold))
        }
        veiled => Err(unsaid(&veiled, &saved, named)),
    }
}

/// The files that are named: several stand in one word with commas between them, unless that is the name of
/// one.
fn apart(named: &[String]) -> Vec<&str> {
    let names = named.iter().flat_map(|name| match is_there(name) {
        true => vec![name.as_str()],
        false => name.split(',').filter(|name| !name.is_empty()).collect(),
    });
    names.collect()
}

/// Whether a word names a file that is there, or the standard input.
pub(super) fn is_there(name: &str) -> bool {
    let (_, path) = family_and_path(name);
    path == "-" || Path::new(path).exists()
}

/// `v6:FILE` says the family of what is in it.
fn family_and_path(name: &str) -> (Option<Family>, &str) {
    match name.split_once(':') {
        Some(("v4", path)) => (Some(Family::Ip), path),
        Some(("v6", path)) => (Some(Family::Ip6), path),
        _ => (None, name),
    }
}

/// Whether nothing is said of a family: nft lists both, iptables-save and ip6tables-save one each.
fn is_untold(sources: &[Source], ruleset: &Ruleset, is_v6: bool) -> bool {
    let is_of_both =
        |source: &Source| matches!(source.format, RuleFormat::NftJson | RuleFormat::Nft);
    let has_tables = ruleset.tables.iter().any(|table| table.family.passes(is_v6));
    !has_tables && !sources.iter().any(is_of_both)
}

fn open(name: &str) -> Result<Source> {
    let (family, path) = family_and_path(name);
    let hint = "save the rules with: nft -j list ruleset > FILE";
    let bytes = match path {
        "-" => {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).hinted("read standard input", hint)?;
            bytes
        }
        path => fs::read(path).hinted(format!("read {path}"), hint)?,
    };
    let path = if path == "-" { "standard input".to_owned() } else { path.to_owned() };
    if let Some((what, hint)) = packed(&bytes, "--rules") {
        return Err(wrong(&path, what, &hint));
    }
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    // What editors of Windows put before everything: no reader takes it for a blank.
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    // nft takes the returns before the line ends of Windows for junk.
    let text = if text.contains("\r\n") { text.replace("\r\n", "\n") } else { text };
    // nft and iptables-restore read on behind it or stop there, and say nothing.
    if let Some(at) = text.find('\0') {
        return Err(refused(&path, &text, nul(&text, at)));
    }
    let format = RuleFormat::of(&text);
    match format {
        RuleFormat::Empty if text.trim().is_empty() => {
            return Err(wrong(&path, "it is empty", hint));
        }
        RuleFormat::Empty => {
            return Err(wrong(&path, "it holds comments and no rules", hint));
        }
        RuleFormat::IptablesList => {
            let what =
                "a listing of iptables, and no save: it tells of one table only, and not of which";
            let hint = "save the rules with: iptables-save > FILE, and ip6tables-save > FILE6";
            return Err(wrong(&path, what, hint));
        }
        RuleFormat::Foreign(tool) => {
            let what = format!("this is of {tool}, and no rules as the kernel has them");
            let hint = "save what is loaded: nft -j list ruleset > FILE, with iptables too \
                        iptables-save and ip6tables-save";
            return Err(wrong(&path, &what, hint));
        }
        RuleFormat::IptablesSave if is_of_ufw_itself(&text) => {
            let what = "a part of what ufw loads: it puts several such files together";
            let hint = "save what is loaded: iptables-save > FILE, and ip6tables-save > FILE6";
            return Err(wrong(&path, what, hint));
        }
        _ => {}
    }
    Ok(Source { path, family, text, format })
}

/// What is no text, by its first bytes, and the way to one for what is read by an option.
pub(super) fn packed(bytes: &[u8], option: &str) -> Option<(&'static str, String)> {
    let begins = |magic: &[u8]| bytes.starts_with(magic);
    if begins(&[0x1f, 0x8b]) {
        let hint = format!("unpack it first, or pipe it: zcat FILE | portolan … {option} -");
        return Some(("it is packed with gzip", hint));
    }
    if begins(&[0xfd, b'7', b'z', b'X', b'Z'])
        || begins(&[0x28, 0xb5, 0x2f, 0xfd])
        || begins(b"BZh")
    {
        let hint = format!("unpack it first, or pipe it to: portolan … {option} -");
        return Some(("it is packed", hint));
    }
    let utf16 =
        |name: &str| ("it is UTF-16", format!("iconv -f {name} -t UTF-8 FILE makes it readable"));
    if begins(&[0xff, 0xfe]) || begins(&[0xfe, 0xff]) {
        return Some(utf16("UTF-16"));
    }
    unmarked(bytes).map(utf16)
}

/// UTF-16 that does not say so: of plain text every second byte is 0.
fn unmarked(bytes: &[u8]) -> Option<&'static str> {
    let begin: Vec<(&u8, &u8)> =
        bytes.iter().zip(bytes.iter().skip(1)).step_by(2).take(64).collect();
    let all = |is_it: fn(&(&u8, &u8)) -> bool| begin.len() > 1 && begin.iter().all(is_it);
    if all(|(first, second)| **first != 0 && **second == 0) {
        return Some("UTF-16LE");
    }
    all(|(first, second)| **first == 0 && **second != 0).then_some("UTF-16BE")
}

/// Whether a file is one of those in /etc/ufw, which ufw loads together with others.
fn is_of_ufw_itself(text: &str) -> bool {
    let mut lines = text.lines();
    let has_ufw = lines.clone().any(|line| line.starts_with(":ufw"));
    has_ufw && !lines.any(|line| line.starts_with(":INPUT"))
}

/// A byte 0 at a place of the text.
fn nul(text: &str, at: usize) -> ReadError {
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(1, |rest| rest.chars().count() + 1);
    let error = ReadError::new(line, column, "a byte 0, which no rules have: readers stop there");
    error.hinting("is the file damaged? save the rules again")
}

/// A script of nft, loaded where it harms nobody.
fn loaded(source: &Source) -> Result<Ruleset> {
    refuse_cut(source)?;
    let folder = fs::canonicalize(&source.path).ok();
    let folder: Option<PathBuf> = folder.and_then(|path| path.parent().map(Path::to_path_buf));
    firewall::load(&source.text, folder.as_deref()).map_err(|fault| match fault {
        LoadFault::Refused { place: Some((line, column)), complaint, hint } => {
            let error = ReadError::new(line, column, complaint).hinting(hint);
            refused(&source.path, &source.text, error)
        }
        LoadFault::Refused { complaint, hint, .. } => wrong(&source.path, &complaint, hint),
        other => {
            let hint = "load it on its machine and save: nft -j list ruleset > FILE";
            let told = Err::<(), _>(other).hinted(format!("load {}", source.path), hint);
            told.expect_err("it was made an error a line above")
        }
    })
}

/// Refuses a script that ends in `table ip filt`: nft makes an empty table of it, and says nothing.
fn refuse_cut(source: &Source) -> Result<()> {
    let last = source.text.lines().last().unwrap_or_default();
    let is_begun = last.trim_start().starts_with("table ") && !last.contains(['{', ';']);
    if source.text.ends_with('\n') || !is_begun {
        return Ok(());
    }
    let problem = "the file ends in the middle of a table";
    let error = ReadError::new(source.text.lines().count(), last.chars().count() + 1, problem);
    Err(refused(
        &source.path,
        &source.text,
        error.hinting("is it cut? a whole one ends its last line"),
    ))
}

/// Puts tables after those of earlier files. What was registered first of a file was so after them.
fn join(all: &mut Ruleset, mut more: Ruleset, source: &Source) -> Result<()> {
    let bases = all.tables.iter().flat_map(|table| &table.chains).filter_map(|c| c.base.as_ref());
    let last = bases.map(|base| base.sequence).max().unwrap_or(0);
    for table in &mut more.tables {
        if all.tables.iter().any(|known| known.family == table.family && known.name == table.name) {
            let what = format!("table {} {} is in an earlier file too", table.family, table.name);
            return Err(wrong(&source.path, &what, "name the file that has both"));
        }
        for base in table.chains.iter_mut().filter_map(|chain| chain.base.as_mut()) {
            base.sequence += last;
        }
    }
    all.tables.append(&mut more.tables);
    all.notes.append(&mut more.notes);
    Ok(())
}

/// Puts in what iptables-save printed; with the families of which it was given.
fn with_saves(ruleset: Ruleset, sources: &[Source]) -> Result<(Ruleset, Vec<Family>)> {
    let ipsets = ipsets(sources)?;
    let mut saves = Vec::new();
    let mut first_unprinted = None;
    for source in sources.iter().filter(|source| source.format == RuleFormat::IptablesSave) {
        let read = Save::read_all(&source.text, source.family, ipsets.as_ref())
            .map_err(|error| refused(&source.path, &source.text, error))?;
        if read.iter().any(|save| !save.incompatible.is_empty()) {
            first_unprinted.get_or_insert(source);
        }
        for save in &read {
            refuse_second(&saves, save, source)?;
        }
        saves.extend(read);
    }
    let families = saves.iter().map(|save| save.family).collect();
    if saves.is_empty() {
        return Ok((ruleset, families));
    }
    let ruleset = ruleset.with_saves(saves).map_err(|error| match first_unprinted {
        Some(source) => refused(&source.path, &source.text, error),
        None => Fault::new(error.problem, error.hint),
    })?;
    Ok((ruleset, families))
}

/// The same table of the same iptables in an earlier save: one of the two would count for nothing.
fn refuse_second(earlier: &[Save], save: &Save, source: &Source) -> Result<()> {
    let same = earlier.iter().filter(|e| (e.family, e.origin) == (save.family, save.origin));
    let mut known = same.flat_map(|earlier| &earlier.tables);
    match known.find(|known| save.tables.iter().any(|table| table.name == known.name)) {
        Some(table) => {
            let what =
                format!("table {} of family {} is in an earlier save too", table.name, save.family);
            let hint = "give each save once; one of IPv6 without a header as v6:FILE";
            Err(wrong(&source.path, &what, hint))
        }
        None => Ok(()),
    }
}

fn ipsets(sources: &[Source]) -> Result<Option<Ipsets>> {
    let mut of_sets = sources.iter().filter(|source| source.format == RuleFormat::IpsetSave);
    let Some(source) = of_sets.next() else { return Ok(None) };
    if let Some(second) = of_sets.next() {
        return Err(wrong(&second.path, "a second file of ipset save", "put them into one file"));
    }
    let ipsets = Ipsets::read(&source.text);
    ipsets.map(Some).map_err(|error| refused(&source.path, &source.text, error))
}

/// Rules that iptables made and nft only names; `saved` are the families of the saves that were given with
/// the files `named`.
fn unsaid(veiled: &[RulePlace], saved: &[Family], named: &[String]) -> anyhow::Error {
    let shown: Vec<String> = veiled.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = match veiled.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let count = match veiled.len() {
        1 => "1 rule was made by iptables, and nft tells only its name".to_owned(),
        n => format!("{n} rules were made by iptables, and nft tells only their names"),
    };
    let (what, hint) = match veiled.iter().all(|place| saved.contains(&place.family)) {
        true => (
            ", and the saved rules have others in these places",
            "print all anew, with nothing changed between: nft -j list ruleset, iptables-save, \
             ip6tables-save"
                .to_owned(),
        ),
        false => (
            "",
            format!(
                "on its machine: iptables-save > v4.txt; ip6tables-save > v6.txt; then name all three, with \
                 commas: {},v4.txt,v6.txt",
                named.join(",")
            ),
        ),
    };
    Fault::new(format!("{count}{what}: {}{more}", shown.join("; ")), hint)
}

/// Rules that are named before the rest is counted.
const SHOWN: usize = 5;
