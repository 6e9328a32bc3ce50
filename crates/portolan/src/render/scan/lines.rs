//! Lines that are whole even when we are killed: they leave in pieces that end with a line, each of
//! at most 4096 bytes, which a pipe takes whole or not at all (PIPE_BUF, pipe(7)).

use std::io::{self, Write};

/// Lines on their way out.
#[derive(Debug)]
pub(super) struct Lines {
    held: Vec<u8>,
}

impl Lines {
    /// Nothing held yet.
    pub(super) fn new() -> Self {
        Self { held: Vec::with_capacity(2 * PIECE) }
    }

    /// Takes the line that `write` writes, its newline included.
    pub(super) fn line(
        &mut self,
        out: &mut dyn Write,
        write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        let before = self.held.len();
        write(&mut self.held)?;
        if self.held.len() > PIECE {
            let line = self.held.split_off(before);
            self.flush(out)?;
            self.held = line;
        }
        Ok(())
    }

    /// Lets go of all that is held.
    pub(super) fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.held)?;
        self.held.clear();
        out.flush()
    }
}

const PIECE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps the pieces apart.
    #[derive(Default)]
    struct Pieces(Vec<Vec<u8>>);

    impl Write for Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_piece_ends_with_a_line_and_fits_a_pipe() {
        let mut pieces = Pieces::default();
        let mut lines = Lines::new();
        for length in (0..300).map(|i| i * 7 % 400) {
            lines.line(&mut pieces, |out| writeln!(out, "{:length$}", "")).unwrap();
        }
        lines.flush(&mut pieces).unwrap();
        assert!(pieces.0.iter().all(|p| p.ends_with(b"\n") && p.len() <= PIECE));
        assert_eq!(pieces.0.concat().iter().filter(|b| **b == b'\n').count(), 300);
    }
}
