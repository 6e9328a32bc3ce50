//! Strings that refer to something declared elsewhere: sources, selectors, targets, needs.

use super::fields::{Decoding, Fields};
use super::literal::{self, Wrong};
use super::names::{Named, Names};
use super::node::shortened;
use crate::inventory::{
    AddressSpec, Bind, ForwardTarget, HostSelector, Located, Need, PortSpec, Source,
};

impl Names<'_> {
    /// `name`, if it is declared as a `kind`.
    pub(super) fn known(&self, kind: Named, name: &str) -> Result<String, Wrong> {
        if self.knows(kind, name) {
            return Ok(name.to_owned());
        }
        let message = format!("there is no {} `{}`", kind.noun(), shortened(name));
        Err(Wrong::new(message, self.hint(&[kind], name)))
    }

    fn known_group(&self, group: &str) -> Result<(), Wrong> {
        if self.knows_group(group) {
            return Ok(());
        }
        let message = format!("no host is in the group `@{}`", shortened(group));
        Err(Wrong::new(message, self.group_hint(group)))
    }

    /// An item of `on`.
    pub(super) fn selector(&self, text: &str) -> Result<HostSelector, Wrong> {
        let selector = literal::host_selector(text)?;
        match &selector {
            HostSelector::All => {}
            HostSelector::Host(name) | HostSelector::NotHost(name) => self.known_host(name)?,
            HostSelector::Group(group) | HostSelector::NotGroup(group) => {
                self.known_group(group)?;
            }
        }
        Ok(selector)
    }

    fn known_host(&self, name: &str) -> Result<(), Wrong> {
        self.known(Named::Host, name).map(drop).map_err(|wrong| match self.knows_group(name) {
            true => Wrong { hint: format!("`{name}` is a group: write `@{name}`"), ..wrong },
            false => wrong,
        })
    }

    /// An item of `from`.
    pub(super) fn source(&self, text: &str) -> Result<Source, Wrong> {
        if let Some(group) = text.strip_prefix('@') {
            return self.known_group(group).map(|()| Source::Group(group.to_owned()));
        }
        if let Some(service) = text.strip_prefix("service:") {
            return self.known(Named::Service, service).map(Source::Service);
        }
        if self.knows(Named::Network, text) {
            return Ok(Source::Network(text.to_owned()));
        }
        if self.knows(Named::Host, text) {
            return Ok(Source::Host(text.to_owned()));
        }
        match literal::prefix(text) {
            Ok(prefix) => Ok(Source::Prefix(prefix)),
            Err(wrong) if looks_numeric(text) => Err(wrong),
            Err(_) => Err(self.unknown_source(text)),
        }
    }

    fn unknown_source(&self, text: &str) -> Wrong {
        let message = format!("there is no network and no host `{}`", shortened(text));
        let hint = if self.knows_group(text) {
            format!("`{text}` is a group: write `@{text}`")
        } else if self.knows(Named::Service, text) {
            format!("`{text}` is a service: write \"service:{text}\" for the hosts it is on")
        } else {
            self.hint(&[Named::Network, Named::Host], text)
        };
        Wrong::new(message, hint)
    }

    /// `to` of a forward.
    pub(super) fn target(&self, text: &str) -> Result<ForwardTarget, Wrong> {
        if let Some(endpoint) = literal::endpoint(text) {
            return Ok(ForwardTarget::Endpoint(endpoint));
        }
        let Some((service, host)) = text.split_once('@') else {
            return Err(self.not_a_target(text));
        };
        Ok(ForwardTarget::Service {
            service: self.known(Named::Service, service)?,
            host: self.known(Named::Host, host)?,
        })
    }

    fn not_a_target(&self, text: &str) -> Wrong {
        let message = format!("`{}` is neither service@host nor ip:port", shortened(text));
        let hint = match self.knows(Named::Service, text) {
            true => format!("say on which host: \"{text}@HOST\""),
            false => "such as \"postgres@db\", \"10.0.0.7:5432\" or \"[2001:db8::7]:5432\"".into(),
        };
        Wrong::new(message, hint)
    }

    /// An item of `needs`.
    pub(super) fn need(&self, text: &str) -> Result<Need, Wrong> {
        let colon = text.find(":ip:").or_else(|| text.rfind(':'));
        if let Some(colon) = colon {
            let port = literal::port_spec(&text[colon + 1..])?;
            return self.need_target(&text[..colon]).map(|target| Need::Endpoint { target, port });
        }
        let (name, host) = text.split_once('@').map_or((text, None), |(n, h)| (n, Some(h)));
        Ok(Need::Service {
            name: self.known(Named::Service, name)?,
            host: host.map(|h| self.known(Named::Host, h)).transpose()?,
        })
    }

    fn need_target(&self, text: &str) -> Result<String, Wrong> {
        if let Some(name) = text.strip_prefix("dns:") {
            return literal::dns_name(name).map(|_| text.to_owned());
        }
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        self.source(bare).map(|_| bare.to_owned())
    }
}

/// Whether a text is more likely a mistyped address than a mistyped name.
fn looks_numeric(text: &str) -> bool {
    let numeric = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '/');
    text.contains(['/', ':'])
        || (text.contains('.')
            && text.chars().all(numeric)
            && text.starts_with(|c: char| c.is_ascii_digit()))
}

impl Decoding<'_> {
    /// `on`: the machines meant. An empty list, or one of exclusions alone, is refused.
    pub(super) fn on(&mut self, fields: Fields<'_>) -> Vec<Located<HostSelector>> {
        self.nonempty(fields, "on", "name a host, a group as \"@group\", or all with \"*\"");
        let names = self.names;
        let on = self.each(fields, "on", |text| names.selector(text));
        let excludes =
            |s: &HostSelector| matches!(s, HostSelector::NotHost(_) | HostSelector::NotGroup(_));
        if on.len() == fields.items("on").len()
            && let [first, ..] = on.as_slice()
            && on.iter().all(|s| excludes(&s.value))
        {
            let hint = "put \"*\" first to mean all the others";
            self.wrong(first.at.clone(), Wrong::new("`on` only leaves hosts out", hint));
        }
        on
    }

    /// `from`: who may come.
    pub(super) fn from(&mut self, fields: Fields<'_>) -> Vec<Located<Source>> {
        let names = self.names;
        self.each(fields, "from", |text| names.source(text))
    }

    /// A list of ports that, where it stands, must not be empty.
    pub(super) fn ports(&mut self, fields: Fields<'_>, key: &str) -> Vec<Located<PortSpec>> {
        self.nonempty(fields, key, "such as [\"443/tcp\"]");
        self.each(fields, key, literal::port_spec)
    }

    /// The name at `key` of something declared as a `kind`.
    pub(super) fn reference(
        &mut self,
        fields: Fields<'_>,
        key: &str,
        kind: Named,
    ) -> Option<Located<String>> {
        let names = self.names;
        self.one(fields, key, |text| names.known(kind, text))
    }

    /// `bind`: a word or addresses.
    pub(super) fn bind(&mut self, fields: Fields<'_>) -> Option<Bind> {
        let node = fields.table.get("bind")?;
        match node.text() {
            Some("any") => Some(Bind::Any),
            Some("loopback") => Some(Bind::Loopback),
            _ => {
                self.nonempty(fields, "bind", "leave it out where any address will do");
                let addresses = self.each(fields, "bind", bind_address);
                Some(Bind::Addresses(addresses))
            }
        }
    }
}

fn bind_address(text: &str) -> Result<AddressSpec, Wrong> {
    literal::address_spec(text).map_err(|wrong| match text {
        "any" | "loopback" => {
            Wrong::new(format!("`{text}` is no address"), format!("write bind = \"{text}\""))
        }
        _ => wrong,
    })
}
