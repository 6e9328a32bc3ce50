//! `[services.NAME]`.

use super::super::fields::{Decoding, Fields};
use super::super::literal::{self, Wrong};
use super::super::names::Named;
use super::super::node::{Entry, Node, Value};
use crate::inventory::{Check, Service, Tls};

impl Decoding<'_> {
    /// One service.
    pub(super) fn service(&mut self, entry: &Entry, fields: Fields<'_>) -> Service {
        let names = self.names;
        Service {
            name: entry.key.clone(),
            on: self.on(fields),
            ports: self.ports(fields, "ports"),
            from: self.from(fields),
            status: fields.word("status").unwrap_or_default(),
            expect: fields.word("expect").unwrap_or_default(),
            bind: self.bind(fields),
            at_network: self.reference(fields, "at", Named::Network),
            to: self.plain(fields, "to", literal::group_address),
            speaks: fields.texts("speaks"),
            tls: self.tls(fields),
            check: self.check(fields),
            limit: self.one(fields, "limit", literal::rate).map(|l| l.value),
            helper: fields.word("helper"),
            process: self.plain(fields, "process", glob),
            user: fields.text("user"),
            unit: fields.text("unit"),
            container: fields.text("container"),
            exe: fields.text("exe"),
            behind: self.reference(fields, "behind", Named::Door),
            needs: self.each(fields, "needs", |text| names.need(text)),
            docs: self.documentation(fields),
            at: fields.key_at(entry),
        }
    }

    /// `tls = true` asks for TLS and says no more; `false` asks for nothing.
    fn tls(&mut self, fields: Fields<'_>) -> Option<Tls> {
        if fields.boolean("tls") == Some(true) {
            return Some(Tls::default());
        }
        let tls = fields.inner("tls")?;
        Some(Tls {
            min: tls.text("min"),
            names: tls.texts("names"),
            expires: self.duration(tls, "expires"),
            client_auth: tls.boolean("client_auth"),
        })
    }

    fn check(&mut self, fields: Fields<'_>) -> Option<Check> {
        let node = fields.table.get("check")?;
        match &node.value {
            Value::Text(word) if word == "none" => Some(Check::None),
            Value::Text(word) if word == "connect" => Some(Check::Connect),
            Value::Table(table) => Some(self.probe(Fields { table, ..fields }, fields, node)),
            _ => None,
        }
    }

    fn probe(&mut self, probe: Fields<'_>, fields: Fields<'_>, node: &Node) -> Check {
        let given = |key: &str| probe.table.get(key).is_some();
        if !given("http") && !given("banner") {
            let hint = "add http = \"/\" or banner = \"…\", or write check = \"connect\"";
            self.wrong(fields.at(node), Wrong::new("`check` does not say what to test", hint));
        }
        let of_http = ["status", "contains"].into_iter().find(|key| given(key));
        if let (true, false, Some(key)) = (given("banner"), given("http"), of_http) {
            let hint = "a banner is matched whole: leave it out, or test with http = \"/\"";
            let wrong = Wrong::new(format!("`{key}` belongs to an HTTP check"), hint);
            self.wrong(fields.at(node), wrong);
        }
        Check::Probe {
            http: self.one(probe, "http", http_path).map(|p| p.value),
            status: probe.integer("status").and_then(|s| u16::try_from(s).ok()),
            contains: probe.text("contains"),
            banner: probe.text("banner"),
            every: self.duration(probe, "every"),
            timeout: self.duration(probe, "timeout"),
        }
    }
}

fn http_path(text: &str) -> Result<String, Wrong> {
    if text.starts_with('/') {
        return Ok(text.to_owned());
    }
    Err(Wrong::new("the path of an HTTP check begins with /", "such as http = \"/healthz\""))
}

fn glob(text: &str) -> Result<String, Wrong> {
    if text.is_empty() {
        return Err(Wrong::new("`process` is empty and fits nothing", "such as \"nginx*\""));
    }
    Ok(text.to_owned())
}
