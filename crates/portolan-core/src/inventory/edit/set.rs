//! One value set, every other byte left alone.

use std::ops::Range;

use toml_edit::{Array, ArrayOfTables, InlineTable, Item, Key, Table, Value};

use super::{EditError, Splice, apply, line_end, newline, parse, quoted, quoted_key};

/// `text` with `key` set to `value`.
///
/// The key is a dotted path (`services.ssh.owner`, `hosts."a b".purpose`, `ignore.0.until`). The
/// value is TOML; what is not TOML is taken as a string. A key that is missing is added to the
/// table it belongs to, a table that is missing after its kin.
///
/// # Errors
/// Where the text is not TOML, the path is none, or it leads through a value without keys.
pub fn set(text: &str, key: &str, value: &str) -> Result<String, EditError> {
    let document = parse(text)?;
    let path = path(key)?;
    let value = literal(value);
    let splice = Edit { text, path: &path, value: &value }.splice(document.as_table())?;
    let changed = apply(text, vec![splice]);
    let wanted = value.parse::<Value>().ok();
    match (read(&changed, &path), wanted) {
        (Some(found), Some(wanted)) if same(&found, &wanted) => Ok(changed),
        _ => Err(EditError::Shape { path: shown(&path) }),
    }
}

/// How many leading parts of `key` the text holds.
///
/// # Errors
/// Where the text is not TOML or the key is not a dotted path.
pub fn holds(text: &str, key: &str) -> Result<usize, EditError> {
    let document = parse(text)?;
    let path = path(key)?;
    let mut item = document.as_item();
    for (depth, key) in path.iter().enumerate() {
        match child(item, key) {
            Some(inner) => item = inner,
            None => return Ok(depth),
        }
    }
    Ok(path.len())
}

fn path(key: &str) -> Result<Vec<String>, EditError> {
    Key::parse(key)
        .map(|keys| keys.iter().map(|k| k.get().to_owned()).collect())
        .map_err(|_| EditError::Key { found: key.to_owned() })
}

/// `value` as TOML, or as a string where it is none.
fn literal(value: &str) -> String {
    match value.trim().parse::<Value>() {
        Ok(_) => value.trim().to_owned(),
        Err(_) => quoted(value),
    }
}

fn shown(path: &[String]) -> String {
    path.iter().map(|k| quoted_key(k)).collect::<Vec<_>>().join(".")
}

fn child<'a>(item: &'a Item, key: &str) -> Option<&'a Item> {
    match item {
        Item::ArrayOfTables(_) | Item::Value(Value::Array(_)) => {
            item.get(key.parse::<usize>().ok()?)
        }
        _ => item.get(key),
    }
}

fn read(text: &str, path: &[String]) -> Option<Value> {
    let document = parse(text).ok()?;
    let item = path.iter().try_fold(document.as_item(), |item, key| child(item, key))?;
    item.clone().into_value().ok()
}

/// Whether two values say the same, however either is written.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.value() == b.value(),
        (Value::Integer(a), Value::Integer(b)) => a.value() == b.value(),
        (Value::Float(a), Value::Float(b)) => a.value().to_bits() == b.value().to_bits(),
        (Value::Boolean(a), Value::Boolean(b)) => a.value() == b.value(),
        (Value::Datetime(a), Value::Datetime(b)) => a.value() == b.value(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::InlineTable(a), Value::InlineTable(b)) => {
            let held = |key: &str, a: &Value| b.get(key).is_some_and(|b| same(a, b));
            a.len() == b.len() && a.iter().all(|(key, a)| held(key, a))
        }
        _ => false,
    }
}

/// One edit: what is to be where.
struct Edit<'a> {
    text: &'a str,
    path: &'a [String],
    value: &'a str,
}

/// Where a walk down the path has come to.
enum Node<'a> {
    /// A table of lines.
    Lines {
        /// The table.
        table: &'a Table,
        /// The keys written before each of its lines, for a table made by dotted keys.
        prefix: &'a [String],
    },
    /// A table in braces.
    Braces(&'a InlineTable),
    /// Tables by number, `[[ignore]]`.
    Tables(&'a ArrayOfTables),
    /// Values by number.
    List(&'a Array),
}

impl Edit<'_> {
    fn splice(&self, root: &Table) -> Result<Splice, EditError> {
        let mut node = Node::Lines { table: root, prefix: &[] };
        for depth in 0..self.path.len() {
            match self.step(&node, depth)? {
                Step::Into(inner) => node = inner,
                Step::Replace(span) => {
                    return Ok(Splice { span, text: self.value.to_owned() });
                }
                Step::Missing => return self.insert(root, &node, depth),
            }
        }
        Err(self.whole_table())
    }

    /// From `node` to the part of the path at `depth`.
    fn step<'t>(&'t self, node: &Node<'t>, depth: usize) -> Result<Step<'t>, EditError> {
        let key = &self.path[depth];
        let last = depth + 1 == self.path.len();
        match node {
            Node::Lines { table, prefix } => match table.get(key) {
                None => Ok(Step::Missing),
                Some(Item::Table(inner)) => {
                    let prefix = if inner.is_dotted() {
                        &self.path[depth - prefix.len()..=depth]
                    } else {
                        &[]
                    };
                    Ok(Step::Into(Node::Lines { table: inner, prefix }))
                }
                Some(Item::Value(value)) => self.step_value(value, depth, last),
                Some(Item::ArrayOfTables(_)) if last => Err(self.whole_table()),
                Some(Item::ArrayOfTables(tables)) => Ok(Step::Into(Node::Tables(tables))),
                Some(Item::None) => Ok(Step::Missing),
            },
            Node::Braces(table) => match table.get(key) {
                None => Ok(Step::Missing),
                Some(value) => self.step_value(value, depth, last),
            },
            Node::Tables(tables) => {
                let table = key.parse().ok().and_then(|n: usize| tables.get(n));
                let table = table.ok_or_else(|| self.no_element(depth, tables.len()))?;
                Ok(Step::Into(Node::Lines { table, prefix: &[] }))
            }
            Node::List(list) => {
                let value = key.parse().ok().and_then(|n: usize| list.get(n));
                let value = value.ok_or_else(|| self.no_element(depth, list.len()))?;
                self.step_value(value, depth, last)
            }
        }
    }

    fn step_value<'t>(
        &self,
        value: &'t Value,
        depth: usize,
        last: bool,
    ) -> Result<Step<'t>, EditError> {
        match value {
            Value::InlineTable(inner) if inner.is_dotted() => {
                if last {
                    return Err(self.whole_table());
                }
                Ok(Step::Into(Node::Braces(inner)))
            }
            value if last => value.span().map(Step::Replace).ok_or_else(|| self.shape()),
            Value::InlineTable(inner) => Ok(Step::Into(Node::Braces(inner))),
            Value::Array(list) => Ok(Step::Into(Node::List(list))),
            value => Err(self.no_keys(depth, kind(value))),
        }
    }

    fn shape(&self) -> EditError {
        EditError::Shape { path: shown(self.path) }
    }

    fn whole_table(&self) -> EditError {
        EditError::WholeTable { path: shown(self.path) }
    }

    fn no_element(&self, depth: usize, length: usize) -> EditError {
        EditError::Index { path: shown(&self.path[..depth]), length }
    }

    fn no_keys(&self, depth: usize, kind: &'static str) -> EditError {
        EditError::NoKeys { path: shown(&self.path[..=depth]), kind }
    }

    /// Adds what the path lacks from `depth` on, in or near `node`.
    fn insert(&self, root: &Table, node: &Node<'_>, depth: usize) -> Result<Splice, EditError> {
        let missing = &self.path[depth..];
        match node {
            Node::Braces(table) => self.insert_in_braces(table, missing),
            Node::Tables(_) | Node::List(_) => Err(self.shape()),
            Node::Lines { table, .. }
                if depth == 0 && missing.len() > 1 && missing[0] != "review" =>
            {
                Ok(self.insert_table(root, table, depth))
            }
            Node::Lines { table, .. } if depth > 0 && table.is_implicit() && !table.is_dotted() => {
                Ok(self.insert_table(root, table, depth))
            }
            Node::Lines { table, prefix } => Ok(self.insert_line(table, prefix, missing)),
        }
    }

    fn insert_in_braces(
        &self,
        table: &InlineTable,
        missing: &[String],
    ) -> Result<Splice, EditError> {
        let entry = format!("{} = {}", quoted_key(&missing[0]), self.nested(&missing[1..]));
        if table.is_dotted() {
            return Err(self.shape());
        }
        if let Some(end) = table.iter().filter_map(|(_, v)| end_of_value(v)).max() {
            return Ok(Splice { span: end..end, text: format!(", {entry}") });
        }
        let span = table.span().ok_or_else(|| self.shape())?;
        Ok(Splice { span, text: format!("{{ {entry} }}") })
    }

    /// A line after the last one of `table`.
    fn insert_line(&self, table: &Table, prefix: &[String], missing: &[String]) -> Splice {
        let mut keys: Vec<String> = prefix.iter().map(|k| quoted_key(k)).collect();
        keys.push(quoted_key(&missing[0]));
        let layout = Layout::of(self.text, table);
        let line = layout.line(&keys.join("."), &self.nested(&missing[1..]));
        let Some(last) = end_of_body(table) else {
            // An empty root: before anything else, behind a byte-order mark.
            let at = self.text.len() - self.text.trim_start_matches('\u{feff}').len();
            return Splice { span: at..at, text: format!("{line}{}", newline(self.text)) };
        };
        let at = line_end(self.text, last);
        Splice { span: at..at, text: format!("{}{line}", newline(self.text)) }
    }

    /// A table of its own: after the last table of its kind, else at the end of the file.
    fn insert_table(&self, root: &Table, kin: &Table, depth: usize) -> Splice {
        let whole = self.value.parse::<Value>().ok();
        let whole = whole.as_ref().and_then(Value::as_inline_table).filter(|t| !t.is_empty());
        let deepest = if whole.is_some() { self.path.len() } else { self.path.len() - 1 };
        let (header, rest) = self.path.split_at(deepest.min(2));
        let mut lines = vec![format!("[{}]", shown(header))];
        match (rest, whole) {
            ([], Some(table)) => lines.extend(
                table.iter().map(|(k, v)| format!("{} = {}", quoted_key(k), v.to_string().trim())),
            ),
            ([first, deeper @ ..], _) => {
                lines.push(format!("{} = {}", quoted_key(first), self.nested(deeper)));
            }
            ([], None) => {}
        }
        let newline = newline(self.text);
        let block = lines.join(newline);
        match end_of_table(kin).filter(|_| depth > 0) {
            Some(last) => {
                let at = line_end(self.text, last);
                Splice { span: at..at, text: format!("{newline}{newline}{block}") }
            }
            None => super::append::at_end(self.text, root.is_empty(), &block),
        }
    }

    /// The value inside one pair of braces a key.
    fn nested(&self, keys: &[String]) -> String {
        keys.iter().rev().fold(self.value.to_owned(), |value, key| {
            format!("{{ {} = {value} }}", quoted_key(key))
        })
    }
}

enum Step<'a> {
    Into(Node<'a>),
    Replace(Range<usize>),
    Missing,
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) | Value::Float(_) => "a number",
        Value::Boolean(_) => "a yes or no",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::InlineTable(_) => "a table",
    }
}

/// How the lines of a table are laid out.
struct Layout<'a> {
    indent: &'a str,
    /// The column most equals signs stand in, when more than one does.
    equals: usize,
}

impl<'a> Layout<'a> {
    fn of(text: &'a str, table: &Table) -> Self {
        let lines: Vec<(&str, usize)> = table
            .iter()
            .filter(|(_, item)| item.is_value())
            .filter_map(|(key, item)| Some((table.key(key)?.span()?, item.span()?)))
            .filter_map(|(key, value)| {
                let start = text[..key.start].rfind('\n').map_or(0, |n| n + 1);
                let indent = &text[start..key.start];
                let equals = text.get(key.end..value.start)?.find('=')?;
                indent.trim().is_empty().then(|| (indent, key.end - key.start + equals))
            })
            .collect();
        let shared = |column: usize| lines.iter().filter(|(_, c)| *c == column).count();
        let equals = lines.iter().map(|(_, c)| *c).max_by_key(|c| (shared(*c), *c)).unwrap_or(0);
        let indent = lines.last().map_or("", |(indent, _)| indent);
        Self { indent, equals: if shared(equals) > 1 { equals } else { 0 } }
    }

    fn line(&self, key: &str, value: &str) -> String {
        let width = self.equals.saturating_sub(1);
        format!("{}{key:width$} = {value}", self.indent)
    }
}

/// The end of what is written in a table's own lines: its header, its values, its dotted keys.
fn end_of_body(table: &Table) -> Option<usize> {
    let own = table.span().filter(|s| !s.is_empty() && !table.is_dotted()).map(|s| s.end);
    let lines = table.iter().filter_map(|(_, item)| match item {
        Item::Value(value) => end_of_value(value),
        Item::Table(inner) if inner.is_dotted() => end_of_body(inner),
        _ => None,
    });
    lines.chain(own).max()
}

/// The end of a table and every table below it.
fn end_of_table(table: &Table) -> Option<usize> {
    let below = table.iter().filter_map(|(_, item)| match item {
        Item::Table(inner) => end_of_table(inner),
        Item::ArrayOfTables(tables) => tables.iter().filter_map(end_of_table).max(),
        _ => None,
    });
    below.chain(end_of_body(table)).max()
}

fn end_of_value(value: &Value) -> Option<usize> {
    match value {
        // The span of a dotted table is that of its key.
        Value::InlineTable(table) if table.is_dotted() => {
            table.get_values().iter().filter_map(|(_, v)| end_of_value(v)).max()
        }
        value => value.span().map(|s| s.end),
    }
}
