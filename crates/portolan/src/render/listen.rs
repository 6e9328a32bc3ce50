//! Who came to `listen`: a line each, or JSON.

use std::io::Write as _;

use anyhow::Result;
use jiff::Timestamp;
use portolan_core::net::{Endpoint, Transport};
use serde::Serialize;

use crate::ops::check::port_words;
use crate::ops::listen::{Event, Visit, Where};
use crate::render::json::Document;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;

/// In which form it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// JSON Lines.
    Lines,
    /// One document at the end.
    Document,
}

/// What was told so far.
#[derive(Debug)]
pub(crate) struct Told {
    form: Form,
    ready: Option<ReadyJson>,
    visits: Vec<VisitJson>,
    /// Those who came and are not among them.
    unlisted: u64,
}

impl Told {
    /// Nothing yet.
    pub(crate) const fn new(form: Form) -> Self {
        Self { form, ready: None, visits: Vec::new(), unlisted: 0 }
    }

    /// Tells of an event at once, or keeps it for the document.
    pub(crate) fn tell(
        &mut self,
        screen: &mut Screen,
        event: &Event<'_>,
        bind: Where,
    ) -> Result<()> {
        match event {
            Event::Ready { endpoints, transport, code } => match self.form {
                Form::Text => ready(screen, endpoints, *transport, code, bind)?,
                Form::Lines => {
                    let ready = ReadyJson::new(endpoints, *transport, code);
                    screen.json(&LineJson::new("ready", ready))?;
                }
                Form::Document => self.ready = Some(ReadyJson::new(endpoints, *transport, code)),
            },
            Event::Visit { at, visit } => match self.form {
                Form::Text => visited(screen, &at.strftime("%H:%M:%SZ").to_string(), visit)?,
                Form::Lines => screen.json(&LineJson::new("visit", VisitJson::new(*at, visit)))?,
                Form::Document if self.visits.len() < KEPT => {
                    self.visits.push(VisitJson::new(*at, visit));
                }
                Form::Document => self.unlisted += 1,
            },
            Event::Unlisted { at, count } => match self.form {
                Form::Text => {
                    let at = at.strftime("%H:%M:%SZ");
                    writeln!(screen, "{at}  and {count} more, too many to be listed")?;
                }
                Form::Lines => {
                    let body = UnlistedJson { at: at.to_string(), count: *count };
                    screen.json(&LineJson::new("unlisted", body))?;
                }
                Form::Document => self.unlisted += count,
            },
        }
        Ok(screen.flush()?)
    }
}

/// Ends it: the document, where one was asked for.
pub(crate) fn end(screen: &mut Screen, told: Told) -> Result<()> {
    #[derive(Serialize)]
    struct Body {
        #[serde(flatten)]
        ready: Option<ReadyJson>,
        visits: Vec<VisitJson>,
        unlisted: u64,
    }
    if told.form == Form::Document {
        let Told { ready, visits, unlisted, .. } = told;
        let body = Body { ready, visits, unlisted };
        screen.json(&Document::new("listen", body, &[]))?;
    }
    Ok(screen.flush()?)
}

fn ready(
    screen: &mut Screen,
    endpoints: &[Endpoint],
    transport: Transport,
    code: &str,
    bind: Where,
) -> Result<()> {
    let style = screen.style;
    for endpoint in endpoints {
        writeln!(
            screen,
            "listening on {}",
            style.paint(Role::Strong, format!("{endpoint}/{transport}"))
        )?;
    }
    let Some(first) = endpoints.first() else { return Ok(()) };
    writeln!(screen, "code {}, which the other end shows too", style.paint(Role::Strong, code))?;
    let host = match bind {
        Where::Loopback => first.address.to_string(),
        Where::At(address) => address.to_string(),
        Where::Any => "ADDRESS".to_owned(),
    };
    let host = if host.contains(':') { format!("'[{host}]'") } else { host };
    let port = port_words(first.port, transport);
    let label = style.paint(Role::Hint, "there:").to_string();
    writeln!(screen, "{label} portolan check --pair {host}:{port}")?;
    if bind == Where::Loopback {
        let label = style.paint(Role::Hint, "note:").to_string();
        writeln!(screen, "{label} only this machine gets through; --bind any lets others")?;
    }
    Ok(())
}

/// `23:40:01Z  10.77.0.1:40000  check --pair, answered`.
fn visited(screen: &mut Screen, at: &str, visit: &Visit) -> Result<()> {
    let from = visit.from;
    if visit.is_pair {
        let said = screen.style.paint(Role::Good, "check --pair, answered").to_string();
        writeln!(screen, "{at}  {from}  {said}")?;
        return Ok(());
    }
    let text = shown(&visit.data);
    let said = match visit.data.len() {
        0 => "said nothing".to_owned(),
        1 => format!("1 byte: {text}"),
        n => format!("{n} bytes: {text}"),
    };
    writeln!(screen, "{at}  {from}  {said}")?;
    Ok(())
}

/// The beginning of what somebody sent, harmless.
fn shown(data: &[u8]) -> String {
    let text = String::from_utf8_lossy(data);
    let clean = sanitize(text.trim_end()).into_owned();
    clean.chars().take(60).collect()
}

#[derive(Debug, Serialize)]
struct ReadyJson {
    listening: Vec<EndpointJson>,
    transport: &'static str,
    code: String,
}

#[derive(Debug, Serialize)]
struct VisitJson {
    at: String,
    from: EndpointJson,
    paired: bool,
    bytes: usize,
    text: String,
}

/// Some who came and have no line.
#[derive(Debug, Serialize)]
struct UnlistedJson {
    at: String,
    count: u64,
}

#[derive(Debug, Serialize)]
struct EndpointJson {
    address: std::net::IpAddr,
    port: u16,
}

impl From<Endpoint> for EndpointJson {
    fn from(endpoint: Endpoint) -> Self {
        Self { address: endpoint.address, port: endpoint.port.0 }
    }
}

impl ReadyJson {
    fn new(endpoints: &[Endpoint], transport: Transport, code: &str) -> Self {
        Self {
            listening: endpoints.iter().copied().map(EndpointJson::from).collect(),
            transport: transport.as_str(),
            code: code.to_owned(),
        }
    }
}

impl VisitJson {
    fn new(at: Timestamp, visit: &Visit) -> Self {
        Self {
            at: at.to_string(),
            from: visit.from.into(),
            paired: visit.is_pair,
            bytes: visit.data.len(),
            text: if visit.is_pair { String::new() } else { shown(&visit.data) },
        }
    }
}

/// A line of JSON Lines.
#[derive(Debug, Serialize)]
struct LineJson<T> {
    kind: &'static str,
    event: &'static str,
    #[serde(flatten)]
    body: T,
}

impl<T> LineJson<T> {
    const fn new(event: &'static str, body: T) -> Self {
        Self { kind: "listen", event, body }
    }
}

/// Visits that a document holds.
const KEPT: usize = 10_000;
