//! IANA's registry as XML: `<registry id="service-names-port-numbers">` with a `<record>` each.
//!
//! Read as a stream of events. Nothing is expanded but the five predefined entities and character
//! references; a document type and what it declares is ignored.

use std::mem;

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::{Cells, Import, ImportError, Mistake, is_date, without_mark};

/// Reads IANA's XML.
///
/// # Errors
/// [`ImportError`] with the line and what is wrong there.
pub fn xml(bytes: &[u8]) -> Result<Import, ImportError> {
    let bytes = without_mark(bytes);
    let text = str::from_utf8(bytes).map_err(|e| ImportError {
        line: line_at(bytes, e.valid_up_to() as u64),
        mistake: Mistake::Encoding,
    })?;
    let mut reader = Reader::from_str(text);
    let mut state = State::default();
    loop {
        let begin = reader.buffer_position();
        let at = |position| move |mistake| ImportError { line: line_at(bytes, position), mistake };
        match reader.read_event() {
            Ok(Event::Eof) => {
                state.check_end().map_err(at(begin))?;
                return state.import.finished(&state.youngest);
            }
            Ok(event) => state.take(&event).map_err(at(begin))?,
            Err(error) => {
                let reason = error.to_string();
                return Err(at(reader.error_position())(Mistake::Syntax { reason }));
            }
        }
    }
}

/// What has been read so far.
#[derive(Default)]
struct State {
    import: Import,
    youngest: String,
    /// How many elements are open.
    depth: usize,
    /// Whether the outermost element was IANA's registry of ports.
    seen: bool,
    /// How deep the record that is open stands.
    record: Option<usize>,
    /// The element that text goes to, and how deep it stands.
    field: Option<(Field, usize)>,
    texts: [String; 5],
}

/// The elements whose text counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Name,
    Number,
    Protocol,
    Description,
    /// `<updated>` of the registry itself.
    Updated,
}

impl State {
    fn take(&mut self, event: &Event<'_>) -> Result<(), Mistake> {
        match event {
            Event::Start(element) => self.open(element)?,
            Event::Empty(element) => {
                self.open(element)?;
                self.close()?;
            }
            Event::End(_) => self.close()?,
            Event::Text(text) => self.text(text),
            Event::CData(text) => self.text(text),
            Event::GeneralRef(reference) => self.text(&resolve(reference)?),
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, element: &BytesStart<'_>) -> Result<(), Mistake> {
        self.depth += 1;
        let name = element.local_name();
        let name: &str = name.as_ref();
        if self.depth == 1 {
            return self.open_registry(name, element);
        }
        if name == "record" && self.record.is_none() {
            self.record = Some(self.depth);
            self.texts[..Field::Updated as usize].iter_mut().for_each(String::clear);
            ["date", "updated"].into_iter().try_for_each(|a| self.grow_older(element, a))?;
        } else if self.field.is_none() {
            self.field = self.field_of(name).map(|field| (field, self.depth));
        }
        Ok(())
    }

    fn open_registry(&mut self, name: &str, element: &BytesStart<'_>) -> Result<(), Mistake> {
        let id = attribute(element, "id")?;
        self.seen = name == "registry" && id.as_deref() == Some("service-names-port-numbers");
        if self.seen { Ok(()) } else { Err(Mistake::NotTheRegistry) }
    }

    fn field_of(&self, name: &str) -> Option<Field> {
        match (self.record.map(|record| self.depth - record), name) {
            (Some(1), "name") => Some(Field::Name),
            (Some(1), "number") => Some(Field::Number),
            (Some(1), "protocol") => Some(Field::Protocol),
            (Some(1), "description") => Some(Field::Description),
            (None, "updated") if self.depth == 2 => Some(Field::Updated),
            _ => None,
        }
    }

    fn close(&mut self) -> Result<(), Mistake> {
        if self.field.is_some_and(|(_, depth)| depth == self.depth) {
            self.close_field();
        }
        if self.record == Some(self.depth) {
            self.record = None;
            let [name, ports, transport, description, _] = &self.texts;
            self.import.push(&Cells { name, ports, transport, description })?;
        }
        self.depth = self.depth.saturating_sub(1);
        Ok(())
    }

    fn close_field(&mut self) {
        if let Some((Field::Updated, _)) = self.field {
            let text = mem::take(&mut self.texts[Field::Updated as usize]);
            if is_date(text.trim()) {
                text.trim().clone_into(&mut self.import.date);
            }
        }
        self.field = None;
    }

    fn text(&mut self, text: &str) {
        if let Some((field, _)) = self.field {
            self.texts[field as usize].push_str(text);
        }
    }

    fn grow_older(&mut self, element: &BytesStart<'_>, name: &str) -> Result<(), Mistake> {
        if let Some(date) = attribute(element, name)?
            && date > self.youngest
            && is_date(&date)
        {
            self.youngest = date;
        }
        Ok(())
    }

    const fn check_end(&self) -> Result<(), Mistake> {
        match (self.seen, self.depth) {
            (false, _) => Err(Mistake::NotTheRegistry),
            (true, 0) => Ok(()),
            (true, _) => Err(Mistake::Truncated),
        }
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>, Mistake> {
    let syntax = |reason: String| Mistake::Syntax { reason };
    let found = element.try_get_attribute(name).map_err(|e| syntax(e.to_string()))?;
    Ok(found.map(|a| a.value.into_owned()))
}

fn resolve(reference: &BytesRef<'_>) -> Result<String, Mistake> {
    let syntax = |reason: String| Mistake::Syntax { reason };
    if let Some(c) = reference.resolve_char_ref().map_err(|e| syntax(e.to_string()))? {
        return Ok(c.to_string());
    }
    let name: &str = reference;
    resolve_predefined_entity(name)
        .map(str::to_owned)
        .ok_or_else(|| syntax(format!("`&{};` is not an entity", name.escape_debug())))
}

/// The line a position is on, counted from one.
fn line_at(bytes: &[u8], position: u64) -> u64 {
    let before = usize::try_from(position).unwrap_or(usize::MAX).min(bytes.len());
    bytes[..before].iter().filter(|b| **b == b'\n').count() as u64 + 1
}
