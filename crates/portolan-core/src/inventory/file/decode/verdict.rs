//! `[[never]]`, `[[block]]`, `[[ignore]]`.

use super::super::fields::{Decoding, Fields};
use super::super::keys::is_private;
use super::super::literal::Wrong;
use super::super::names::Named;
use super::super::node::shortened;
use crate::inventory::{Block, Ignore, IgnoreMatch, Located, Location, Never, Source};

impl Decoding<'_> {
    /// One `[[never]]`. Without `from` it is from anybody.
    pub(super) fn never(&mut self, at: Location, fields: Fields<'_>) -> Never {
        let given = |key: &str| fields.table.get(key).is_some();
        match (given("service"), given("ports")) {
            (false, false) => {
                let hint = "add service = \"NAME\" or ports = [\"5432/tcp\"]";
                self.wrong(at.clone(), Wrong::new("[[never]] needs a `service` or `ports`", hint));
            }
            (true, true) => {
                let wrong = Wrong::new("[[never]] has both `service` and `ports`", "write two");
                self.wrong(at.clone(), wrong);
            }
            _ => {}
        }
        let mut from = self.from(fields);
        if !given("from") {
            from.push(Located { value: Source::Network("any".into()), at: at.clone() });
        }
        self.nonempty(fields, "from", "leave it out to mean anybody");
        Never {
            service: self.reference(fields, "service", Named::Service),
            ports: self.ports(fields, "ports"),
            from,
            reason: fields.text("reason"),
            at,
        }
    }

    /// One `[[block]]`.
    pub(super) fn block(&mut self, at: Location, fields: Fields<'_>) -> Block {
        self.nonempty(fields, "from", "name who is refused");
        let on = if fields.table.get("on").is_some() { self.on(fields) } else { Vec::new() };
        Block {
            on,
            from: self.from(fields),
            ports: self.ports(fields, "ports"),
            until: self.end(fields, "until").map(|d| d.value),
            reason: fields.text("reason"),
            at,
        }
    }

    /// One `[[ignore]]`.
    pub(super) fn ignore(&mut self, at: Location, fields: Fields<'_>) -> Ignore {
        let on = if fields.table.get("on").is_some() { self.on(fields) } else { Vec::new() };
        let reason = self.one(fields, "reason", reason).map(|r| r.value);
        Ignore {
            on,
            matches: fields.inner("match").map(|m| self.ignore_match(m, &at)).unwrap_or_default(),
            reason: reason.unwrap_or_default(),
            until: self.date(fields, "until"),
            at,
        }
    }

    fn ignore_match(&mut self, fields: Fields<'_>, at: &Location) -> IgnoreMatch {
        // Keys of somebody's own narrow nothing.
        if fields.table.entries.iter().all(|entry| is_private(&entry.key)) {
            let hint = "say what it covers, such as match = { process = \"chronyd\" }";
            self.wrong(at.clone(), Wrong::new("this [[ignore]] would silence everything", hint));
        }
        IgnoreMatch {
            id: fields.text("id"),
            rule: self.one(fields, "rule", rule).map(|r| r.value),
            service: self.reference(fields, "service", Named::Service).map(|s| s.value),
            ports: self.ports(fields, "ports").into_iter().map(|p| p.value).collect(),
            process: fields.text("process"),
            bind: self.bind(fields),
            user: fields.text("user"),
            container: fields.text("container"),
        }
    }
}

fn reason(text: &str) -> Result<String, Wrong> {
    if text.trim().is_empty() {
        return Err(Wrong::new("the reason is empty", "say why it is fine"));
    }
    Ok(text.to_owned())
}

/// The id of a rule; which of them exist is the audit's to know.
fn rule(text: &str) -> Result<String, Wrong> {
    let digits = text.strip_prefix('P').unwrap_or_default();
    if digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    let message = format!("`{}` is not a rule", shortened(text));
    Err(Wrong::new(message, "rules are P101, P102 and so on"))
}
