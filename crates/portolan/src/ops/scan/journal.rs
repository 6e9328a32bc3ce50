//! The file a scan remembers itself in: `--resume`.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use anyhow::Result;
use portolan_core::scan::Positions;
use portolan_core::scan::journal::{Header, Journal};
use portolan_host::random;

use super::{Request, nothing_done};
use crate::fault::{Fault, Hinted as _};

/// A journal that is written on. It is locked as long as it is open.
#[derive(Debug)]
pub(super) struct JournalFile(File);

/// The journal of the scan that `header` describes once it is given a seed, that seed, and what is
/// done already. Without `--resume` there is none.
///
/// # Errors
/// A file that cannot be used, is in use, or is the journal of another scan.
pub(super) fn open(
    request: &Request,
    header: impl FnOnce(u64) -> Header,
) -> Result<(Option<JournalFile>, u64, Positions)> {
    let fresh_seed = || request.seed.unwrap_or_else(|| random::number().into());
    let Some(path) = &request.resume else { return Ok((None, fresh_seed(), nothing_done())) };
    let (mut file, found) = read(path)?;
    let Some(Journal { header: before, done, whole }) = found else {
        let header = header(fresh_seed());
        begin(&mut file, &header).hinted(format!("write {}", path.display()), "")?;
        return Ok((Some(JournalFile(file)), header.seed, nothing_done()));
    };
    let header = header(request.seed.unwrap_or(before.seed));
    if let Some(difference) = before.difference(&header) {
        let what = format!("{} is of a scan with other {difference}", path.display());
        return Err(Fault::new(what, "go on with the same command, or name a new file"));
    }
    cut(&mut file, whole as u64).hinted(format!("write {}", path.display()), "")?;
    Ok((Some(JournalFile(file)), header.seed, done))
}

impl JournalFile {
    /// A journal that is there already.
    #[cfg(test)]
    pub(super) fn at_the_end_of(path: &Path) -> Self {
        Self(File::options().append(true).open(path).expect("the test wrote it"))
    }

    /// Adds what is done.
    pub(super) fn append(&mut self, done: &Positions) -> io::Result<()> {
        if done.is_empty() {
            return Ok(());
        }
        self.0.write_all(Journal::entry(done).as_bytes())
    }
}

fn read(path: &Path) -> Result<(File, Option<Journal>)> {
    let shown = path.display();
    let opened = File::options().read(true).write(true).create(true).truncate(false).open(path);
    let mut file = opened.hinted(format!("open {shown}"), "--resume names a file to write")?;
    if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
        let what = format!("{shown} belongs to a scan that is running");
        return Err(Fault::new(what, "wait for it to end, or name another file"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).hinted(format!("read {shown}"), "")?;
    let hint = "--resume names the journal of this very scan, or a new file";
    let journal = Journal::read(&bytes).hinted(format!("cannot go on from {shown}"), hint)?;
    Ok((file, journal))
}

fn begin(file: &mut File, header: &Header) -> io::Result<()> {
    cut(file, 0)?;
    file.write_all(format!("{header}\n").as_bytes())
}

/// Cuts off what was torn and goes on there.
fn cut(file: &mut File, whole: u64) -> io::Result<()> {
    file.set_len(whole)?;
    file.seek(SeekFrom::Start(whole)).map(drop)
}
