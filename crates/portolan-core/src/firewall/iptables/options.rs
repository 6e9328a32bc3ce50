//! A rule's line taken apart: iptables' own tests, matches and a target, each with its options.
//!
//! An option belongs to the match named last before it; where that one does not know it, to an earlier
//! one that does, or to the protocol's own match, which `-p` brings along. iptables-restore looks for
//! them in the same order.

use super::vocabulary::{values_of, values_of_own};
use super::words::{Line, Word};
use crate::firewall::ReadError;

/// An option with its values.
#[derive(Clone, Debug)]
pub(super) struct Opt<'a> {
    /// With its dashes.
    pub(super) name: &'a str,
    /// Whether a `!` stands before it, or before its value as long ago.
    pub(super) is_negated: bool,
    /// What follows it.
    pub(super) values: Vec<&'a str>,
    /// Its first byte in the line.
    pub(super) at: usize,
}

impl Opt<'_> {
    /// The first value, or nothing.
    pub(super) fn value(&self) -> &str {
        self.values.first().copied().unwrap_or_default()
    }
}

/// A match or a target with its options.
#[derive(Clone, Debug)]
pub(super) struct Extension<'a> {
    /// What it is called.
    pub(super) name: &'a str,
    /// Its options.
    pub(super) options: Vec<Opt<'a>>,
    /// As it stands in the line.
    pub(super) text: String,
    /// Its first byte in the line.
    pub(super) at: usize,
}

impl Extension<'_> {
    /// The first value of an option.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|option| option.name == name).map(Opt::value)
    }

    /// Whether it has an option.
    pub(super) fn has(&self, name: &str) -> bool {
        self.options.iter().any(|option| option.name == name)
    }
}

/// What follows `-A CHAIN`.
#[derive(Clone, Debug, Default)]
pub(super) struct Parsed<'a> {
    /// iptables' own tests: `-s -d -i -o -p -f`.
    pub(super) own: Vec<Opt<'a>>,
    /// The matches, in order.
    pub(super) matches: Vec<Extension<'a>>,
    /// The target; its name is empty where there is none.
    pub(super) target: Option<Extension<'a>>,
    /// Whether the target is one of `-g`.
    pub(super) is_goto: bool,
    /// `-4` or `-6`: the only family of the rule.
    pub(super) only_v6: Option<bool>,
}

/// Takes the words after `-A CHAIN` apart.
pub(super) fn parse<'a>(line: Line<'_>, words: &'a [Word<'a>]) -> Result<Parsed<'a>, ReadError> {
    let mut reader = Reader { line, parsed: Parsed::default(), in_target: false };
    let mut rest = words;
    while let [first, tail @ ..] = rest {
        let is_negated = !first.is_quoted && first.text == "!";
        let (option, after) = match (is_negated, tail) {
            (false, _) => (first, tail),
            (true, [option, after @ ..]) => (option, after),
            (true, []) => {
                return Err(line.error(first.start, "nothing follows the `!`"));
            }
        };
        if !begins_option(option) {
            let problem = format!("expected an option, found `{}`", option.text);
            return Err(line.error(option.start, problem));
        }
        refuse_short(line, option)?;
        rest = reader.option(first.start, option, is_negated, after)?;
    }
    Ok(reader.parsed)
}

/// Refuses `--ju`: getopt_long(3) takes any beginning that is clear, and what is not read as the target it is
/// would leave a rule that does nothing.
fn refuse_short(line: Line<'_>, option: &Word<'_>) -> Result<(), ReadError> {
    let is_short_for = |whole: &&&str| option.text.len() > 2 && whole.starts_with(&*option.text);
    match ["--jump", "--goto"].iter().find(is_short_for) {
        Some(whole) if option.text != *whole => {
            let problem = format!("`{}` may stand for `{whole}`", option.text);
            Err(line.error(option.start, problem).hinting(format!("write {whole}")))
        }
        _ => Ok(()),
    }
}

struct Reader<'l, 'a> {
    line: Line<'l>,
    parsed: Parsed<'a>,
    in_target: bool,
}

impl<'a> Reader<'_, 'a> {
    /// Takes one option and gives what is behind it.
    fn option(
        &mut self,
        from: usize,
        word: &'a Word<'a>,
        mut is_negated: bool,
        mut after: &'a [Word<'a>],
    ) -> Result<&'a [Word<'a>], ReadError> {
        let name: &str = &word.text;
        let own = values_of_own(name);
        let owner = if own.is_some() { None } else { self.owner(name) };
        let count = own.or_else(|| owner.as_ref().and_then(|(_, values)| *values));
        // iptables before 1.4.3 wrote `-s ! 10.0.0.0/8`.
        if let [not, value, ..] = after
            && !not.is_quoted
            && not.text == "!"
            && count.is_some_and(|count| count > 0)
            && !begins_option(value)
        {
            is_negated = true;
            after = &after[1..];
        }
        let greedy = after.iter().take_while(|w| !is_bang(w) && !begins_option(w)).count();
        let count = count.unwrap_or(greedy);
        let Some((taken, rest)) = after.split_at_checked(count) else {
            let problem = format!("`{name}` lacks its value: the line is cut or wrapped");
            return Err(self.line.error(word.start, problem));
        };
        let values = taken.iter().map(|word| &*word.text).collect();
        let option = Opt { name, is_negated, values, at: word.start };
        let end = taken.last().unwrap_or(word).end;
        match own {
            Some(_) => self.own(option, from, end)?,
            None => self.extend(option, owner.map(|(place, _)| place), from, end),
        }
        Ok(rest)
    }

    fn own(&mut self, option: Opt<'a>, from: usize, end: usize) -> Result<(), ReadError> {
        let text = self.slice(from, end);
        let extension = |name| Extension { name, options: Vec::new(), text, at: option.at };
        match option.name {
            "-m" | "--match" => {
                let name = match option.values[0] {
                    "icmpv6" | "ipv6-icmp" => "icmp6",
                    name => name,
                };
                let found = extension(name);
                self.parsed.matches.push(found);
                self.in_target = false;
            }
            "-j" | "--jump" | "-g" | "--goto" => {
                if self.parsed.target.is_some() {
                    return Err(self.line.error(from, "a second target in one rule"));
                }
                self.parsed.is_goto = option.name.contains('g');
                let found = extension(option.values[0]);
                self.parsed.target = Some(found);
                self.in_target = true;
            }
            "-4" | "--ipv4" => self.parsed.only_v6 = Some(false),
            "-6" | "--ipv6" => self.parsed.only_v6 = Some(true),
            "-c" | "--set-counters" => {}
            _ => self.parsed.own.push(option),
        }
        Ok(())
    }

    /// Whose option it is, and how many values it takes where that is known.
    fn owner(&self, name: &str) -> Option<(Place, Option<usize>)> {
        if self.in_target {
            let target = self.parsed.target.as_ref()?;
            return Some((Place::Target, values_of(target.name, name)));
        }
        for (index, found) in self.parsed.matches.iter().enumerate().rev() {
            if let Some(values) = values_of(found.name, name) {
                return Some((Place::Match(index), Some(values)));
            }
            // A match that is not in the vocabulary may have any option.
            if index + 1 == self.parsed.matches.len() && !is_known(found.name) {
                return Some((Place::Match(index), None));
            }
        }
        let implied = self.implied()?;
        Some((Place::Implied(implied), Some(values_of(implied, name)?)))
    }

    /// The match that `-p` brings along.
    fn implied(&self) -> Option<&'static str> {
        let protocol = self.parsed.own.iter().find(|option| {
            !option.is_negated && matches!(option.name, "-p" | "--protocol" | "--proto")
        })?;
        Some(match super::protocol::protocol(protocol.value())? {
            6 => "tcp",
            17 => "udp",
            136 => "udplite",
            132 => "sctp",
            33 => "dccp",
            1 => "icmp",
            58 => "icmp6",
            _ => return None,
        })
    }

    fn extend(&mut self, option: Opt<'a>, place: Option<Place>, from: usize, end: usize) {
        let text = self.slice(from, end);
        let at = option.at;
        let found = match place {
            Some(Place::Target) => self.parsed.target.as_mut(),
            Some(Place::Match(index)) => self.parsed.matches.get_mut(index),
            Some(Place::Implied(name)) => {
                self.parsed.matches.push(Extension {
                    name,
                    options: Vec::new(),
                    text: String::new(),
                    at,
                });
                self.parsed.matches.last_mut()
            }
            // Nobody's: a match of its own, which nothing understands.
            None => {
                self.parsed.matches.push(Extension {
                    name: "",
                    options: Vec::new(),
                    text: String::new(),
                    at,
                });
                self.parsed.matches.last_mut()
            }
        };
        if let Some(found) = found {
            if !found.text.is_empty() {
                found.text.push(' ');
            }
            found.text.push_str(&text);
            found.options.push(option);
        }
    }

    fn slice(&self, from: usize, end: usize) -> String {
        self.line.text.get(from..end).unwrap_or_default().to_owned()
    }
}

#[derive(Clone, Copy)]
enum Place {
    Target,
    Match(usize),
    Implied(&'static str),
}

fn is_known(extension: &str) -> bool {
    super::vocabulary::is_known(extension)
}

fn is_bang(word: &Word<'_>) -> bool {
    !word.is_quoted && word.text == "!"
}

/// Whether a word begins an option. `-1` and `-` are values.
fn begins_option(word: &Word<'_>) -> bool {
    let letter = word.text.strip_prefix("--").or_else(|| word.text.strip_prefix('-'));
    let is_option = letter.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()));
    !word.is_quoted && (is_option || word.text == "-4" || word.text == "-6")
}
