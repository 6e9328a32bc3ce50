//! What a number, a range, a name or words stand for: in IANA's registry, commonly, for security,
//! and in the inventory.

use anyhow::Result;
use portolan_core::inventory::{Declared, Inventory};
use portolan_core::net::{Port, PortSet, Transport, TransportSet};
use portolan_core::registry::port_set::{self, Mistake, PortSelection};
use portolan_core::registry::{Assignment, CommonUse, Match, Registry, SecurityNote};

use crate::fault::Hinted as _;

/// What one question brought.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    /// The question as typed.
    pub(crate) query: String,
    /// What kind of question it was taken for.
    pub(crate) kind: Kind,
    /// What was found, an entry a port: ascending for numbers and names, best first for words.
    /// A single number is here even where nothing is known of it.
    pub(crate) hits: Vec<Hit<'a>>,
    /// The name that may have been meant, where nothing was found.
    pub(crate) nearest: Option<&'a str>,
}

impl Answer<'_> {
    /// Whether anything is known.
    pub(crate) fn is_known(&self) -> bool {
        self.hits.iter().any(Hit::is_known)
    }
}

/// What a question was taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One port.
    Port,
    /// Several ports, as a range or a list.
    Ports,
    /// A service's name.
    Name,
    /// Words to search for.
    Words,
}

/// All that is known of one port.
#[derive(Debug)]
pub(crate) struct Hit<'a> {
    /// The port; `None` for a name without one.
    pub(crate) port: Option<Port>,
    /// What IANA has assigned, the usual name of each transport first.
    pub(crate) assignments: Vec<Assignment<'a>>,
    /// What is commonly seen.
    pub(crate) common_uses: Vec<CommonUse>,
    /// What to mind.
    pub(crate) security: Vec<SecurityNote<'a>>,
    /// What the inventory declares.
    pub(crate) declared: Vec<Declared<'a>>,
}

impl Hit<'_> {
    fn is_known(&self) -> bool {
        !(self.assignments.is_empty()
            && self.common_uses.is_empty()
            && self.security.is_empty()
            && self.declared.is_empty())
    }
}

/// Where answers come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources<'a> {
    /// What numbers mean.
    pub(crate) registry: &'a Registry,
    /// What this organisation means by them.
    pub(crate) inventory: Option<&'a Inventory>,
}

impl<'a> Sources<'a> {
    /// Answers each of `what`. Words that follow each other are one question, unless each of them
    /// is the name of a service.
    ///
    /// # Errors
    /// A number above 65535, a reversed range, or another mistake in a port set.
    pub(crate) fn look_up(self, what: &[String]) -> Result<Vec<Answer<'a>>> {
        let mut answers = Vec::new();
        let mut words: Vec<&str> = Vec::new();
        for argument in what {
            match self.ports(argument)? {
                Some(selection) => {
                    answers.extend(self.words(&words));
                    words.clear();
                    answers.push(self.set(argument, &selection));
                }
                None => words.push(argument),
            }
        }
        answers.extend(self.words(&words));
        Ok(answers)
    }

    /// The port set that `text` writes; `None` where it is a name or a word.
    fn ports(self, text: &str) -> Result<Option<PortSelection>> {
        if self.is_name(text) {
            return Ok(None);
        }
        match port_set::parse(text, usual(text), self.registry) {
            Ok(selection) => Ok(Some(selection)),
            Err(error) if is_word(text, &error.mistake) => Ok(None),
            Err(error) => {
                let hint = error.hint();
                Err(error).hinted("look up", hint)
            }
        }
    }

    /// Whether a service is called this. A name has a letter in it (RFC 6335 §5.1), so that numbers
    /// need not be looked for.
    fn is_name(self, text: &str) -> bool {
        text.contains(char::is_alphabetic) && !self.registry.by_name(text).is_empty()
            || self.inventory.is_some_and(|i| i.service(text).is_some())
    }

    /// What is known of a set of ports; of a single one also that nothing is.
    fn set(self, query: &str, selection: &PortSelection) -> Answer<'a> {
        let ports = selection.ports();
        let single = ports.len() == 1;
        let hit = |port| self.hit(port, transports_of(selection, port));
        let hits = ports.iter().map(hit).filter(|hit| single || hit.is_known()).collect();
        let kind = if single { Kind::Port } else { Kind::Ports };
        Answer { query: query.to_owned(), kind, hits, nearest: None }
    }

    /// Answers words: together, or each on its own where each is a name or together they mean
    /// nothing.
    fn words(self, words: &[&str]) -> Vec<Answer<'a>> {
        let apart = || words.iter().map(|word| self.word(word)).collect();
        if words.len() < 2 || words.iter().all(|word| self.is_name(word)) {
            return apart();
        }
        let together = words.join(" ");
        if self.registry.search(&together).complete {
            vec![self.search(&together)]
        } else {
            apart()
        }
    }

    fn word(self, word: &str) -> Answer<'a> {
        if self.is_name(word) { self.name(word) } else { self.search(word) }
    }

    fn name(self, name: &str) -> Answer<'a> {
        let mut ports = PortSet::new();
        let assignments = self.registry.by_name(name);
        assignments.iter().filter_map(|a| a.port).for_each(|port| ports.insert(port));
        let service = self.inventory.and_then(|i| i.service(name));
        let pairs = service.map(|s| Declared::Service(s).pairs()).unwrap_or_default();
        pairs.iter().for_each(|(range, _)| ports.insert_range(*range));
        let with_port = ports.iter().map(|port| self.hit(port, TransportSet::ALL));
        let portless = assignments.iter().filter(|a| a.port.is_none()).map(Hit::portless);
        let hits = with_port.chain(portless).collect();
        Answer { query: name.to_owned(), kind: Kind::Name, hits, nearest: None }
    }

    fn search(self, words: &str) -> Answer<'a> {
        let mut hits: Vec<Hit<'a>> = Vec::new();
        let mut seen = PortSet::new();
        for found in self.registry.search(words).matches {
            match (found.port(), found) {
                (Some(port), _) if !seen.contains(port) => {
                    seen.insert(port);
                    hits.push(self.hit(port, TransportSet::ALL));
                }
                (None, Match::Assignment(a)) => hits.push(Hit::portless(&a)),
                _ => {}
            }
        }
        let nearest = if hits.is_empty() { self.registry.nearest_name(words) } else { None };
        Answer { query: words.to_owned(), kind: Kind::Words, hits, nearest }
    }

    fn hit(self, port: Port, transports: TransportSet) -> Hit<'a> {
        let within = |set: TransportSet| set.iter().any(|t| transports.contains(t));
        let mut assignments = self.registry.assignments_of(port);
        assignments.retain(|a| {
            within(a.transports) || (a.transports.is_empty() && transports == TransportSet::ALL)
        });
        for assignment in &mut assignments {
            let asked = assignment.transports.iter().filter(|t| transports.contains(*t));
            assignment.transports = asked.collect();
        }
        let mut common_uses = self.registry.common_uses_of(port);
        common_uses.retain(|u| within(u.transports));
        let mut security = self.registry.security_of(port);
        security.retain(|note| within(note.transports));
        let declared = self.inventory.map(|i| declared_at(i, port, transports)).unwrap_or_default();
        Hit { port: Some(port), assignments, common_uses, security, declared }
    }
}

impl<'a> Hit<'a> {
    fn portless(assignment: &Assignment<'a>) -> Self {
        Self {
            port: None,
            assignments: vec![*assignment],
            common_uses: Vec::new(),
            security: Vec::new(),
            declared: Vec::new(),
        }
    }
}

/// Everything the inventory declares for a port, on whatever host.
fn declared_at(inventory: &Inventory, port: Port, transports: TransportSet) -> Vec<Declared<'_>> {
    let services = inventory.services.iter().map(Declared::Service);
    services
        .chain(inventory.forwards.iter().map(Declared::Forward))
        .chain(inventory.doors.iter().map(Declared::Door))
        .chain(inventory.pools.iter().map(Declared::Pool))
        .filter(|declared| transports.iter().any(|t| declared.claims(t, port)))
        .collect()
}

/// The transports a port was selected for.
fn transports_of(selection: &PortSelection, port: Port) -> TransportSet {
    Transport::ALL.into_iter().filter(|t| selection.contains(port, *t)).collect()
}

/// Without a word about transports a number is looked up in each; rankings are of TCP and UDP.
fn usual(text: &str) -> TransportSet {
    if text.to_ascii_lowercase().contains("top:") {
        return [Transport::Tcp, Transport::Udp].into_iter().collect();
    }
    TransportSet::ALL
}

/// Whether a text that is no port set was not meant to be one.
fn is_word(text: &str, mistake: &Mistake) -> bool {
    let plain = !text.contains([',', '/', ':']);
    plain && matches!(mistake, Mistake::UnknownName { .. } | Mistake::NotOf { .. })
}
