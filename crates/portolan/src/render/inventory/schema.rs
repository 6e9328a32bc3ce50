//! The table of the inventory's keys as a JSON Schema, for editors.
//!
//! Draft-07, and of it only what taplo, Even Better TOML and VS Code all read: no references, no
//! conditions. It knows types, words and forms; whether a name is declared, `validate` says.

use anyhow::Result;
use portolan_core::inventory::file::keys::{Form, Kind, ROOT, Section};
use serde_json::{Map, Value, json};

use crate::render::screen::Screen;

/// Prints the schema.
pub(crate) fn print(screen: &mut Screen) -> Result<()> {
    use std::io::Write as _;
    writeln!(screen, "{:#}", schema())?;
    screen.flush()?;
    Ok(())
}

fn schema() -> Value {
    let mut root = section(&ROOT);
    root["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    root["title"] = json!("portolan inventory");
    // Included files need no version, and editors check them by the same schema; but a file that
    // lacks it is most often the first one.
    root["required"] = json!(["portolan"]);
    root
}

fn section(section: &Section) -> Value {
    let properties: Map<String, Value> = section
        .keys
        .iter()
        .map(|key| (key.name.to_owned(), with_description(of_kind(&key.kind), key.doc)))
        .collect();
    let mut object = json!({
        "type": "object",
        "description": section.doc,
        "properties": properties,
        "patternProperties": { "^x-": {} },
        "additionalProperties": false,
    });
    let required: Vec<&str> = section.keys.iter().filter(|k| k.required).map(|k| k.name).collect();
    // Draft-04, which some editors still read, refuses an empty list.
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn of_kind(kind: &Kind) -> Value {
    match kind {
        Kind::Text(form) => text(*form),
        Kind::Integer(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Kind::Boolean => json!({"type": "boolean"}),
        // A TOML date reaches the schema as text, in JSON it is one.
        Kind::Date => json!({"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}),
        Kind::End => json!({"type": "string", "pattern": END}),
        Kind::Word(words) => json!({"type": "string", "enum": words()}),
        Kind::List(inner) => {
            let item = of_kind(inner);
            json!({"anyOf": [item, {"type": "array", "items": item}]})
        }
        Kind::Table(inner) => section(inner),
        Kind::Named(inner) => json!({"type": "object", "additionalProperties": of_kind(inner)}),
        Kind::Tables(inner) => json!({"type": "array", "items": section(inner)}),
        Kind::Either(kinds) => {
            json!({"anyOf": kinds.iter().map(of_kind).collect::<Vec<_>>()})
        }
    }
}

/// A day, or a moment of RFC 3339.
const END: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9:.]+([Zz]|[+-][0-9]{2}:?[0-9]{2}))?$";

fn text(form: Form) -> Value {
    let mut schema = json!({"type": "string"});
    if form != Form::Free {
        schema["description"] = json!(form.noun());
    }
    if let Some(pattern) = form.pattern() {
        schema["pattern"] = json!(pattern);
    }
    schema
}

fn with_description(mut schema: Value, doc: &str) -> Value {
    schema["description"] = json!(doc);
    schema
}
