//! `[forwards.NAME]`, `[doors.NAME]`, `[pools.NAME]`.
//!
//! Each gives `None` where a key it cannot be without is missing or wrong, which is said by then.

use super::super::fields::{Decoding, Fields};
use super::super::literal::{self, Wrong};
use super::super::node::Entry;
use crate::inventory::{Door, DoorMethod, Forward, Located, Pool, PortSpec};

impl Decoding<'_> {
    /// One forward.
    pub(super) fn forward(&mut self, entry: &Entry, fields: Fields<'_>) -> Option<Forward> {
        let names = self.names;
        let (on, from, docs) = (self.on(fields), self.from(fields), self.documentation(fields));
        let listen = self.one(fields, "listen", port_with_number);
        let to = self.one(fields, "to", |text| names.target(text));
        Some(Forward {
            name: entry.key.clone(),
            on,
            listen: listen?,
            to: to?,
            via: fields.word("via")?,
            from,
            masquerade: fields.boolean("masquerade").unwrap_or(false),
            proxy_protocol: fields.boolean("proxy_protocol").unwrap_or(false),
            docs,
            at: fields.key_at(entry),
        })
    }

    /// One door.
    pub(super) fn door(&mut self, entry: &Entry, fields: Fields<'_>) -> Option<Door> {
        let (on, from, docs) = (self.on(fields), self.from(fields), self.documentation(fields));
        let open = self.one(fields, "open", literal::set_timeout).map(|o| o.value);
        let method = match fields.text("method")?.as_str() {
            "spa" => self.spa(entry, fields),
            "sequence" => self.sequence(entry, fields),
            _ => None,
        };
        Some(Door {
            name: entry.key.clone(),
            on,
            method: method?,
            keys: fields.text("keys"),
            open,
            from,
            docs,
            at: fields.key_at(entry),
        })
    }

    fn spa(&mut self, entry: &Entry, fields: Fields<'_>) -> Option<DoorMethod> {
        self.of_other_method(fields, "spa", &["sequence", "window"]);
        self.needed(entry, fields, "listen", "add listen = \"62201/udp\"");
        let listen = self.one(fields, "listen", port_with_number)?;
        Some(DoorMethod::Spa { listen })
    }

    fn sequence(&mut self, entry: &Entry, fields: Fields<'_>) -> Option<DoorMethod> {
        self.of_other_method(fields, "sequence", &["listen"]);
        self.needed(entry, fields, "sequence", "add sequence = [\"7001/tcp\", \"8001/tcp\"]");
        let window = self.one(fields, "window", literal::set_timeout).map(|w| w.value);
        let ports: Vec<Located<PortSpec>> = self.each(fields, "sequence", port_with_number);
        let node = fields.table.get("sequence")?;
        if node.items().len() < 2 {
            let wrong = Wrong::new("a sequence has two ports or more", "");
            self.wrong(fields.at(node), wrong);
        }
        Some(DoorMethod::Sequence { ports, window })
    }

    fn needed(&mut self, entry: &Entry, fields: Fields<'_>, key: &str, hint: &str) {
        if fields.table.get(key).is_none() {
            let method = fields.text("method").unwrap_or_default();
            let wrong = Wrong::new(format!("a door with method \"{method}\" needs `{key}`"), hint);
            self.wrong(fields.key_at(entry), wrong);
        }
    }

    fn of_other_method(&mut self, fields: Fields<'_>, method: &str, keys: &[&str]) {
        for entry in keys.iter().filter_map(|key| fields.table.entry(key)) {
            let message = format!("`{}` has no meaning with method \"{method}\"", entry.key);
            self.wrong(fields.key_at(entry), Wrong::new(message, "leave it out"));
        }
    }

    /// One pool.
    pub(super) fn pool(&mut self, entry: &Entry, fields: Fields<'_>) -> Option<Pool> {
        let (on, from) = (self.on(fields), self.from(fields));
        let default_ttl = self.duration(fields, "default_ttl");
        Some(Pool {
            name: entry.key.clone(),
            on,
            range: self.one(fields, "range", literal::port_range)?.value,
            from,
            purpose: fields.text("purpose"),
            default_ttl,
            at: fields.key_at(entry),
        })
    }
}

/// A port as something is sent to: an IP protocol without ports cannot be listened on.
fn port_with_number(text: &str) -> Result<PortSpec, Wrong> {
    let spec = literal::port_spec(text)?;
    if let PortSpec::Protocol { .. } = spec {
        let message = format!("`{text}` is an IP protocol without ports");
        return Err(Wrong::new(message, "write a port such as \"443/tcp\""));
    }
    Ok(spec)
}
