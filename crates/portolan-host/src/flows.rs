//! Files of flows: read in pieces by several threads, or line by line.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// So much of a file is read at once, about: a piece is a whole number of records.
const PIECE: u64 = 1 << 20;

/// Runs `work` over the records of `size` bytes in a range of a file, on as many threads as there are
/// processors; each has a state of its own, made by `begin`. All states are given back.
///
/// # Errors
/// When the file cannot be read, or ends before the range does.
pub fn each_piece<S: Send>(
    file: &File,
    range: Range<u64>,
    size: usize,
    begin: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &[u8]) + Sync,
) -> io::Result<Vec<S>> {
    let size = size.max(1) as u64;
    let piece = (PIECE / size).max(1) * size;
    let next = AtomicU64::new(range.start);
    let run = || -> io::Result<S> {
        let mut state = begin();
        let mut buffer = vec![0; piece as usize];
        loop {
            let at = next.fetch_add(piece, Ordering::Relaxed);
            if at >= range.end {
                return Ok(state);
            }
            let length = piece.min(range.end - at) as usize;
            let bytes = buffer.get_mut(..length).unwrap_or_default();
            file.read_exact_at(bytes, at)?;
            work(&mut state, bytes);
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(run)).collect();
        let ended = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a worker has panicked")))
        });
        ended.collect()
    })
}

/// The first bytes of a file, at most `most`, and the file itself.
///
/// # Errors
/// When it cannot be read.
pub fn beginning(path: &Path, most: u64) -> io::Result<(File, Vec<u8>)> {
    let file = File::open(path)?;
    let mut begin = Vec::new();
    (&file).take(most).read_to_end(&mut begin)?;
    Ok((file, begin))
}

/// Gives each line of a file (`-`: of the standard input) to `take`, without its end; bytes that are no
/// text are replaced. Ends at the first line that `take` refuses, with what it said.
///
/// # Errors
/// When it cannot be read.
pub fn each_line<E>(
    path: &Path,
    mut take: impl FnMut(&str) -> Result<(), E>,
) -> io::Result<Result<(), E>> {
    let source: Box<dyn io::Read> = match path.as_os_str().to_str() {
        Some("-") => Box::new(io::stdin()),
        _ => Box::new(File::open(path)?),
    };
    let mut reader = BufReader::with_capacity(1 << 16, source);
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut reader).take(LONGEST).read_until(b'\n', &mut line)? == 0 {
            return Ok(Ok(()));
        }
        if let Err(refusal) = take(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r'])) {
            return Ok(Err(refusal));
        }
    }
}

/// A longer line is taken for several.
const LONGEST: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn every_record_is_worked_on_once() {
        let mut file = tempfile::tempfile().unwrap();
        let records: Vec<u8> = (0..700_000u32).flat_map(u32::to_be_bytes).collect();
        file.write_all(&[7; 3]).unwrap();
        file.write_all(&records).unwrap();
        let range = 3..3 + records.len() as u64;
        let sum = |state: &mut u64, bytes: &[u8]| {
            assert_eq!(bytes.len() % 4, 0);
            *state += bytes
                .chunks_exact(4)
                .map(|b| u64::from(u32::from_be_bytes(b.try_into().unwrap())))
                .sum::<u64>();
        };
        let sums = each_piece(&file, range, 4, || 0, sum).unwrap();
        assert_eq!(sums.iter().sum::<u64>(), 700_000 * 699_999 / 2);
    }

    #[test]
    fn a_file_that_ends_early_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        assert!(each_piece(&file, 0..10, 1, || (), |(), _| ()).is_err());
    }
}
