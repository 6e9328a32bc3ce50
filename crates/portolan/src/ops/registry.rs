//! Which registry of port numbers is in use: the one inside the program, or the user's own copy of
//! IANA's file in their data folder.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::civil::Date;
use portolan_core::net::{Gap, Observed, Why};
use portolan_core::registry::{Counts, Registry, import};
use portolan_host::{clock, files};

use crate::fault::{Fault, Hinted as _};

/// The registry to use: the user's, if there is one that is sound, else the embedded one.
pub(crate) fn load() -> Observed<Registry> {
    find().map(|found| found.registry)
}

/// The registry in use, and what there is to say about it.
#[derive(Debug)]
pub(crate) struct Report {
    /// The registry itself.
    pub(crate) registry: Registry,
    /// The file it was imported to; `None` for the embedded one.
    pub(crate) path: Option<PathBuf>,
    /// How much it holds.
    pub(crate) counts: Counts,
    /// Days since the day it describes; `None` where it does not tell that day.
    pub(crate) age_days: Option<i32>,
}

/// Tells which registry is in use.
pub(crate) fn report() -> Observed<Report> {
    find().map(|Found { registry, path }| Report {
        counts: registry.counts(),
        age_days: age_days(registry.edition().date),
        registry,
        path,
    })
}

/// What was taken from a file of IANA's.
#[derive(Debug)]
pub(crate) struct Imported {
    /// Where the table was written.
    pub(crate) path: PathBuf,
    /// How many records the file has.
    pub(crate) records: usize,
    /// The day it describes.
    pub(crate) date: String,
    /// How much of it is kept.
    pub(crate) counts: Counts,
}

impl Imported {
    /// Whether it holds so little, beside the built-in registry, that the file was cut short.
    pub(crate) fn seems_cut_short(&self) -> bool {
        self.counts.assignments < Registry::embedded().counts().assignments / 2
    }
}

/// Reads IANA's CSV or XML and puts its table into the user's data folder, whole or not at all.
///
/// # Errors
/// A file that cannot be read or is not IANA's registry, with the line; no data folder.
pub(crate) fn import(file: &Path) -> Result<Imported> {
    let shown = file.display();
    let bytes = read(file).hinted(format!("read {shown}"), "")?;
    let import = import::read(&bytes).hinted(
        format!("import {shown}"),
        "nothing was changed; IANA's files are at \
         https://www.iana.org/assignments/service-names-port-numbers/",
    )?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let table = import.table(&format!("IANA's file {name}, imported {}", clock::today()));
    let counts =
        Registry::from_table(table.clone()).hinted(format!("import {shown}"), "")?.counts();
    let path = path().ok_or_else(|| {
        Fault::new("find your data folder: HOME names none", "set HOME or XDG_DATA_HOME")
    })?;
    write(&path, &table)?;
    Ok(Imported { path, records: import.records, date: import.date, counts })
}

fn write(path: &Path, table: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).hinted(format!("make {}", folder.display()), "")?;
    }
    files::replace(path, table.as_bytes()).hinted("keep the registry", "")
}

struct Found {
    registry: Registry,
    path: Option<PathBuf>,
}

fn find() -> Observed<Found> {
    let embedded = || Found { registry: Registry::embedded(), path: None };
    let Some(path) = path() else { return Observed::whole(embedded()) };
    match imported(&path) {
        Ok(Some(registry)) => Observed::whole(Found { registry, path: Some(path) }),
        Ok(None) => Observed::whole(embedded()),
        Err((why, reason)) => {
            let what = format!("your imported registry {} ({reason})", path.display());
            let hint = "the built-in registry is used; `portolan registry update --import FILE` \
                        writes yours anew";
            Observed { value: embedded(), gaps: vec![Gap::aside(what, why, hint)] }
        }
    }
}

/// The user's own registry; `None` where there is none.
fn imported(path: &Path) -> Result<Option<Registry>, (Why, String)> {
    let bytes = match read(path) {
        Ok(bytes) => bytes,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err((why(&e), e.to_string())),
    };
    let unsound = |reason: String| (Why::Unsupported, reason);
    let text = String::from_utf8(bytes).map_err(|_| unsound("not UTF-8".into()))?;
    Registry::from_table(text).map(Some).map_err(|e| unsound(e.to_string()))
}

fn why(error: &io::Error) -> Why {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Why::NotPermitted,
        _ => Why::Unsupported,
    }
}

/// A file's bytes, unless it has more than any registry could.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("larger than 64 MiB: not a registry of port numbers"));
    }
    Ok(bytes)
}

/// Where the user's registry is: `$XDG_DATA_HOME/portolan/iana.tsv`, else below `~/.local/share`.
fn path() -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let folder = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    folder.map(|f| f.join("portolan/iana.tsv"))
}

/// Days from `date` to today.
fn age_days(date: &str) -> Option<i32> {
    let date: Date = date.parse().ok()?;
    clock::today().since(date).ok().map(|span| span.get_days())
}

/// IANA's files have some two megabytes.
const LARGEST: u64 = 64 << 20;
