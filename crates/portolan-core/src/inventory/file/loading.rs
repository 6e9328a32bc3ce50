//! Includes and lists: what further files an inventory wants, asked for one at a time.
//!
//! A file reached twice is read once. One that includes itself, directly or through others, is
//! refused, and so is a chain of more than sixteen.

use std::collections::{HashSet, VecDeque};

use super::check::Check;
use super::fields::Decoding;
use super::keys::ROOT;
use super::lists::Lists;
use super::names::{Named, Names, declarations};
use super::node::{Node, Table, Value, shortened};
use super::{consistency, decode, read};
use crate::inventory::problem::{Problem, Problems, Refused};
use crate::inventory::{Inventory, Location, SourceFile};

/// A file as the machine knows it and as a person does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The same text for the same file, however it was reached: its canonical path.
    pub identity: String,
    /// The path to show.
    pub shown: String,
}

impl Path {
    /// A file known by `identity` and shown as `shown`.
    pub fn new(identity: impl Into<String>, shown: impl Into<String>) -> Self {
        Self { identity: identity.into(), shown: shown.into() }
    }
}

/// Something that must be asked of the machine before the inventory is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// The files that `pattern` names, relative to the folder of the file `beside`; answered by
    /// [`Loading::matched`].
    Matches {
        /// A path, or a glob where [`is_glob`](Want::is_glob) says so.
        pattern: String,
        /// The including file, as it was shown.
        beside: String,
        /// Where it is written.
        at: Location,
    },
    /// An included file; answered by [`Loading::supply`].
    File {
        /// Which.
        path: Path,
        /// Where its inclusion is written.
        at: Location,
    },
    /// A list of networks, relative to the folder of the file `beside`; answered by
    /// [`Loading::supply`].
    List {
        /// Its path as written.
        path: String,
        /// The file that names it, as it was shown.
        beside: String,
        /// Where it is written.
        at: Location,
    },
}

impl Want {
    /// Whether a pattern has characters of a glob, so that it may well match nothing.
    #[must_use]
    pub fn is_glob(pattern: &str) -> bool {
        pattern.contains(['*', '?', '['])
    }

    fn at(&self) -> &Location {
        match self {
            Self::Matches { at, .. } | Self::File { at, .. } | Self::List { at, .. } => at,
        }
    }
}

/// An inventory on its way.
#[derive(Debug)]
pub struct Loading {
    files: Vec<SourceFile>,
    roots: Vec<Root>,
    seen: HashSet<String>,
    wants: VecDeque<Want>,
    lists: Lists,
    problems: Problems,
    /// Whether some file could not be read, so that names declared there are not known.
    incomplete: bool,
}

/// An inventory file that was read and is well formed.
#[derive(Debug)]
struct Root {
    /// Its index among all files.
    file: usize,
    /// What it is known by.
    identity: String,
    /// Its tree.
    table: Table,
    /// The index in `roots` of the file that included it.
    parent: Option<usize>,
}

impl Loading {
    /// Begins with the first file.
    #[must_use]
    pub fn new(path: Path, bytes: &[u8]) -> Self {
        let mut loading = Self {
            files: Vec::new(),
            roots: Vec::new(),
            seen: HashSet::new(),
            wants: VecDeque::new(),
            lists: Lists::default(),
            problems: Problems::default(),
            incomplete: false,
        };
        loading.add_root(path, bytes, None);
        loading
    }

    /// What is wanted next; `None` once everything is there.
    pub fn next_want(&mut self) -> Option<Want> {
        self.wants.pop_front()
    }

    /// Answers [`Want::Matches`].
    pub fn matched(&mut self, want: &Want, paths: Vec<Path>) {
        let parent = self.root_of(want.at().file);
        for path in paths {
            if let Some(problem) = self.cycle(parent, &path, want.at()) {
                self.refuse(problem);
            } else if self.seen.insert(path.identity.clone()) {
                self.wants.push_back(Want::File { path, at: want.at().clone() });
            }
        }
    }

    /// Answers [`Want::File`] and [`Want::List`] with the file's bytes.
    pub fn supply(&mut self, want: &Want, shown: &str, bytes: &[u8]) {
        match want {
            Want::Matches { .. } => {}
            Want::File { path, at } => {
                let parent = self.root_of(at.file);
                self.add_root(path.clone(), bytes, Some(parent));
            }
            Want::List { at, .. } => {
                let text = String::from_utf8_lossy(bytes);
                self.lists.add(at.clone(), self.files.len(), &text, &mut self.problems);
                self.files.push(SourceFile::new(shown, text).unquoted());
            }
        }
    }

    /// Says that what is wanted cannot be had, and why.
    pub fn failed(&mut self, want: &Want, cause: &str) {
        let what = match want {
            Want::Matches { pattern, .. } => format!("cannot include `{}`", shortened(pattern)),
            Want::File { path, .. } => format!("cannot include `{}`", path.shown),
            Want::List { path, .. } => format!("cannot read the list `{}`", shortened(path)),
        };
        self.incomplete |= !matches!(want, Want::List { .. });
        let hint = "paths are relative to the file they stand in";
        self.problems.push(Problem::new(want.at().clone(), format!("{what}: {cause}"), hint));
    }

    /// The inventory, once nothing more is wanted.
    ///
    /// # Errors
    /// [`Refused`] with everything that is wrong in any of the files.
    pub fn finish(mut self) -> Result<Inventory, Refused> {
        let mut inventory = Inventory::default();
        if !self.incomplete {
            self.decode(&mut inventory);
        }
        if self.problems.is_empty() {
            consistency::check(&inventory, &mut self.problems);
        }
        if self.problems.is_empty() {
            inventory.files = self.files;
            return Ok(inventory);
        }
        Err(self.problems.refuse(self.files))
    }

    fn decode(&mut self, inventory: &mut Inventory) {
        let tables: Vec<(usize, &Table)> = self.roots.iter().map(|r| (r.file, &r.table)).collect();
        let names = Names::gather(&tables, &mut self.problems);
        let mut decoding = Decoding { names: &names, problems: &mut self.problems };
        for (file, table) in tables {
            decode::file(&mut decoding, &self.lists, file, table, inventory);
        }
    }

    fn add_root(&mut self, path: Path, bytes: &[u8], parent: Option<usize>) {
        let file = self.files.len();
        let (source, tree) = read(&path.shown, bytes);
        let is_strange = parent.is_some() && !has_our_ending(&path.shown);
        self.files.push(if is_strange { source.unquoted() } else { source });
        self.seen.insert(path.identity.clone());
        match tree {
            Ok(table) => {
                self.roots.push(Root { file, identity: path.identity, table, parent });
                self.look_at(self.roots.len() - 1);
            }
            Err(error) => {
                let at = Location { file, span: error.span };
                self.refuse(Problem::new(at, error.message, error.hint));
            }
        }
    }

    /// Checks the shape of a file that was read and queues what it wants.
    fn look_at(&mut self, index: usize) {
        let Root { file, table, parent, .. } = &self.roots[index];
        let file = *file;
        if let Some(problem) = version_problem(file, table, parent.is_none()) {
            return self.refuse(problem);
        }
        if parent.is_some() {
            let first = &self.files[0].path;
            misplaced(file, table, first).for_each(|p| self.problems.push(p));
        }
        Check { file, problems: &mut self.problems }.table(&ROOT, "", table, 0..0);
        self.wants.extend(includes(file, table, &self.files[file].path));
        self.wants.extend(lists(file, table, &self.files[file].path));
    }

    /// The problem of including `path` from the root `parent`, if there is one.
    fn cycle(&self, parent: usize, path: &Path, at: &Location) -> Option<Problem> {
        let ancestors = std::iter::successors(Some(parent), |i| self.roots[*i].parent);
        let chain: Vec<&Root> = ancestors.map(|i| &self.roots[i]).collect();
        let shown = |root: &Root| format!("`{}`", self.files[root.file].path);
        let closes = chain.iter().position(|root| root.identity == path.identity);
        if closes == Some(0) {
            let hint = "name the others, or put them into a folder of their own";
            let message = format!("{} includes itself", shown(chain[0]));
            return Some(Problem::new(at.clone(), message, hint));
        }
        if let Some(closes) = closes {
            let way: Vec<String> = chain[..=closes].iter().rev().map(|r| shown(r)).collect();
            let message = format!("{} includes itself through {}", way[0], way[1..].join(", "));
            return Some(Problem::new(at.clone(), message, "leave one of the includes out"));
        }
        (chain.len() > DEEPEST).then(|| {
            let message = format!("files include one another more than {DEEPEST} deep");
            Problem::new(at.clone(), message, "include them all from the first file")
        })
    }

    fn root_of(&self, file: usize) -> usize {
        self.roots.partition_point(|root| root.file < file)
    }

    fn refuse(&mut self, problem: Problem) {
        self.incomplete = true;
        self.problems.push(problem);
    }
}

/// Whether a file's name says that it is TOML or JSON. Any other file can be named in `include` too, and
/// its lines are nobody's to see.
fn has_our_ending(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    [".toml", ".json"].into_iter().any(|ending| path.ends_with(ending))
}

/// How many files may stand between the first and one that is included.
const DEEPEST: usize = 16;

/// A version this program does not read. Nothing else is said of such a file: its keys may mean
/// something else.
fn version_problem(file: usize, table: &Table, first: bool) -> Option<Problem> {
    let Some(node) = table.get("portolan") else {
        let hint = "add portolan = 1 at the top";
        let at = Location { file, span: 0..0 };
        return first.then(|| Problem::new(at, "the file lacks `portolan`", hint));
    };
    match node.value {
        Value::Integer(version) if version != 1 => {
            let at = Location { file, span: node.span.clone() };
            let message = format!("the format's version is {version}, and this program reads 1");
            let hint = if version > 1 { "a newer portolan may read it" } else { "write 1" };
            Some(Problem::new(at, message, hint))
        }
        _ => None,
    }
}

/// Keys that only the first file may have.
fn misplaced(file: usize, table: &Table, first: &str) -> impl Iterator<Item = Problem> {
    let entries = ["title", "review"].into_iter().filter_map(|key| table.entry(key));
    let hint = format!("it holds for the whole inventory: move it to {first}");
    entries.map(move |entry| {
        let at = Location { file, span: entry.key_span.clone() };
        let message = format!("`{}` belongs in the first file", entry.key);
        Problem::new(at, message, hint.clone())
    })
}

fn includes(file: usize, table: &Table, beside: &str) -> impl Iterator<Item = Want> {
    texts(file, table.get("include")).map(|(pattern, at)| Want::Matches {
        pattern,
        beside: beside.to_owned(),
        at,
    })
}

fn lists(file: usize, table: &Table, beside: &str) -> impl Iterator<Item = Want> {
    let files = declarations(table, Named::Network).filter_map(|e| e.node.table()?.get("file"));
    files.flat_map(move |node| texts(file, Some(node))).map(|(path, at)| Want::List {
        path,
        beside: beside.to_owned(),
        at,
    })
}

/// The texts of a list, or of one alone, with their places.
fn texts(file: usize, node: Option<&Node>) -> impl Iterator<Item = (String, Location)> {
    node.map_or(&[][..], Node::items).iter().filter_map(move |item| {
        let at = Location { file, span: item.span.clone() };
        item.text().map(|text| (text.to_owned(), at))
    })
}
