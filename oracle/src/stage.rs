//! Loading rulesets: what a tool refuses is left out and counted.

use std::io;

use crate::draw::{Line, Sketch};
use crate::rig;

/// Loads one ruleset after another.
#[derive(Debug, Default)]
pub struct Stage {
    /// The tables that are loaded: family and name.
    tables: Vec<(String, String)>,
    /// How many lines were refused so far.
    pub refused: usize,
    /// How many lines were taken.
    pub taken: usize,
    /// What was said of the refused ones, for the author of the draws.
    pub complaints: Vec<(String, String)>,
}

impl Stage {
    /// Loads a ruleset in place of the one before, and takes out of it the lines that are refused.
    ///
    /// # Errors
    /// When a tool is not there, or complains without naming a line.
    pub fn load(&mut self, sketch: &mut Sketch) -> io::Result<()> {
        // In a transaction of its own: what conntrack and nat hook in must be taken out before it comes back.
        rig::remove(&std::mem::replace(&mut self.tables, tables(sketch)))?;
        self.feed(&mut sketch.nft, rig::nft)?;
        self.feed(&mut sketch.ip, |text| rig::restore(text, false))?;
        self.feed(&mut sketch.ip6, |text| rig::restore(text, true))
    }

    fn feed(
        &mut self,
        lines: &mut Vec<Line>,
        load: impl Fn(&str) -> io::Result<()>,
    ) -> io::Result<()> {
        while !lines.is_empty() {
            let text: String = lines.iter().flat_map(|line| [&line.text, "\n"]).collect();
            let Err(error) = load(&text) else { break };
            let complaint = error.to_string();
            let mut bad = named_lines(&complaint);
            bad.retain(|at| lines.get(*at).is_some_and(|line| !line.is_frame));
            bad.dedup();
            if bad.is_empty() {
                return Err(error);
            }
            self.refused += bad.len();
            for at in bad.into_iter().rev() {
                let line = lines.remove(at);
                self.complaints
                    .push((line.text, complaint.lines().next().unwrap_or_default().to_owned()));
            }
        }
        self.taken += lines.len();
        Ok(())
    }
}

/// The tables of a ruleset.
fn tables(sketch: &Sketch) -> Vec<(String, String)> {
    let own = sketch.nft.iter().filter_map(|line| {
        let (family, name) = line.text.strip_prefix("add table ")?.split_once(' ')?;
        let name = name.split(' ').next().unwrap_or_default();
        Some((family.to_owned(), name.to_owned()))
    });
    let of = |lines: &[Line], family: &str| -> Vec<(String, String)> {
        let names = lines.iter().filter_map(|line| line.text.strip_prefix('*'));
        names.map(|name| (family.to_owned(), name.to_owned())).collect()
    };
    own.chain(of(&sketch.ip, "ip")).chain(of(&sketch.ip6, "ip6")).collect()
}

/// The lines a complaint names, counted from 0, ascending: `/dev/stdin:7:24-24: Error` of nft, `line: 7`
/// or `line 7` of iptables-restore.
fn named_lines(complaint: &str) -> Vec<usize> {
    let number = |text: &str| {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<usize>().ok().and_then(|n| n.checked_sub(1))
    };
    let mut found: Vec<usize> = complaint
        .lines()
        .filter_map(|line| {
            if let Some(rest) = line.strip_prefix("/dev/stdin:") {
                return number(rest).filter(|_| line.contains("Error"));
            }
            let at =
                line.find("line: ").map(|at| at + 6).or(line.find("line ").map(|at| at + 5))?;
            number(&line[at..])
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_tools_complain_of_are_found() {
        let nft = "/dev/stdin:7:24-24: Error: syntax error\n tcp\n^\n/dev/stdin:12:1-2: Error: no";
        assert_eq!(named_lines(nft), [6, 11]);
        assert_eq!(
            named_lines("iptables-restore v1.8.9 (nf_tables): \nline 4: RULE_APPEND failed"),
            [3]
        );
        assert_eq!(named_lines("Error occurred at line: 9"), [8]);
        assert!(named_lines("internal error").is_empty());
    }
}
