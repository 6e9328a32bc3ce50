//! P103: whether a declared port is held by whom the inventory says.
//!
//! Five keys may name the holder: `process`, `user`, `unit`, `container`, `exe`. A holder that is
//! not visible is no finding, but a gap; "cannot tell" never reads as "is right".

use crate::inventory::{Service, glob, program};
use crate::net::{Gap, PortRange, Severity, Why};
use crate::socket::{Held, Process, SocketTable, Unowned};

use super::case::{Case, Entry, HeldPort, Scene, Words};
use super::{Reach, Rule, Subject, evidence};

/// Speaks for every port that a live entry with a named holder has.
pub(super) fn judge(case: &mut Case<'_>) {
    let mut found = Vec::new();
    let mut unseen: Vec<(String, Why)> = Vec::new();
    for entry in &case.entries {
        for held in entry.held.iter().filter(|_| names_a_holder(entry.service)) {
            let answers = answers(case.scene.sockets, entry.service, held);
            if !answers.wrong.is_empty() {
                found.push((entry.service, held.clone(), answers.wrong));
            } else if let Some(why) = answers.unknown {
                let what = format!("{}/{} ({})", held.port, held.transport, entry.service.name);
                unseen.push((what, why));
            }
        }
    }
    for (service, held, wrong) in found {
        wrong_holder(case, service, held, &wrong);
    }
    for why in [Why::NotPermitted, Why::Vanished, Why::Unsupported] {
        let ports = unseen.iter().filter(|(_, w)| *w == why).map(|(what, _)| what.as_str());
        case.gaps.extend(unseen_holders(&ports.collect::<Vec<_>>(), why));
    }
}

/// Whether the socket is held just as the entry says, where the entry says anything.
pub(super) fn is_named_holder(scene: &Scene<'_>, entry: &Entry<'_>, held: &Held) -> bool {
    let service = entry.service;
    names_a_holder(service)
        && ask(scene.sockets, service, held).iter().all(|(_, a)| *a == Answer::Right)
}

fn names_a_holder(service: &Service) -> bool {
    !service.process.is_empty()
        || service.user.is_some()
        || service.unit.is_some()
        || service.container.is_some()
        || service.exe.is_some()
}

/// What comes of comparing one key with what holds a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Right,
    /// What it is instead.
    Wrong(String),
    Unknown(Why),
}

#[derive(Default)]
struct Answers {
    /// `process is python3, not sshd`
    wrong: Vec<String>,
    unknown: Option<Why>,
}

fn answers(table: &SocketTable, service: &Service, held: &HeldPort<'_>) -> Answers {
    let mut answers = Answers::default();
    for socket in &held.sockets {
        for (expected, answer) in ask(table, service, socket) {
            match answer {
                Answer::Right => {}
                Answer::Unknown(why) => answers.unknown = Some(why),
                Answer::Wrong(found) => {
                    let wrong = format!("{found}, not {expected}");
                    if !answers.wrong.contains(&wrong) {
                        answers.wrong.push(wrong);
                    }
                }
            }
        }
    }
    answers
}

/// Every key the entry has, with what it expects in words and the answer.
fn ask(table: &SocketTable, service: &Service, held: &Held) -> Vec<(String, Answer)> {
    let seen = Seen::of(table, held);
    let mut asked = Vec::new();
    if !service.process.is_empty() {
        asked.push((service.process.join(" or "), seen.process(&service.process)));
    }
    if let Some(exe) = &service.exe {
        asked.push((exe.clone(), seen.exe(exe)));
    }
    if let Some(user) = &service.user {
        asked.push((user.clone(), seen.user(table, held, user)));
    }
    if let Some(unit) = &service.unit {
        asked.push((unit.clone(), seen.unit(unit)));
    }
    if let Some(container) = &service.container {
        asked.push((container.clone(), seen.container(container)));
    }
    asked
}

/// What is seen of a socket's holders.
struct Seen<'a> {
    processes: Vec<&'a Process>,
    unit: Option<String>,
    container: Option<&'a crate::socket::Container>,
    /// Why there may be more to see.
    hidden: Option<Why>,
}

impl<'a> Seen<'a> {
    fn of(table: &'a SocketTable, held: &'a Held) -> Self {
        let processes: Vec<&Process> = table.owners(held).collect();
        let of_cgroup = held.socket.cgroup.and_then(|id| table.cgroups.get(&id));
        let container = processes
            .iter()
            .find_map(|p| p.placement.container.as_deref())
            .or_else(|| of_cgroup.and_then(|p| p.container.as_deref()));
        let hidden = match held.unowned {
            Some(Unowned::Vanished) => Some(Why::Vanished),
            Some(Unowned::InFlight) => Some(Why::Unsupported),
            Some(Unowned::NotPermitted | Unowned::NotLooked) => Some(Why::NotPermitted),
            Some(Unowned::Kernel | Unowned::NoFile) | None => None,
        };
        let unit = table.placement(held).unit.map(|unit| unit.to_string());
        Self { processes, unit, container, hidden }
    }

    fn process(&self, patterns: &[String]) -> Answer {
        let is = |p: &Process| {
            let unit = p.placement.unit.as_deref().or(self.unit.as_deref());
            patterns.iter().any(|pattern| program::is_program(pattern, p, unit))
        };
        // The unit alone names the program of a socket whose process cannot be seen.
        let unit_is = self.unit.as_deref().is_some_and(|unit| {
            patterns.iter().any(|pattern| program::is_unit_program(pattern, unit))
        });
        if self.processes.iter().any(|p| is(p)) || unit_is {
            return Answer::Right;
        }
        self.wrong_or_hidden(|| {
            let name = self.processes.first().map_or("the kernel", |p| &p.name);
            format!("held by {name}")
        })
    }

    fn exe(&self, expected: &str) -> Answer {
        let mut known = self.processes.iter().filter_map(|p| p.exe.as_deref());
        if known.clone().any(|exe| glob::matches(expected, exe)) {
            return Answer::Right;
        }
        match known.next() {
            Some(exe) => Answer::Wrong(format!("executable {exe}")),
            None if self.processes.is_empty() && self.hidden.is_none() => {
                Answer::Wrong("held by the kernel".to_owned())
            }
            None => Answer::Unknown(self.hidden.unwrap_or(Why::NotPermitted)),
        }
    }

    fn user(&self, table: &SocketTable, held: &Held, expected: &str) -> Answer {
        let is = |name: Option<&str>, uid: Option<u32>| {
            name == Some(expected) || uid.is_some_and(|uid| expected.parse() == Ok(uid))
        };
        if self.processes.iter().any(|p| is(p.user.as_deref(), p.uid)) {
            return Answer::Right;
        }
        // The socket's own uid is its creator's, which may since have changed its user: it can
        // confirm, not accuse.
        let creator = held.socket.uid.and_then(|uid| table.users.get(&uid));
        if self.processes.is_empty() && is(creator.map(|name| &**name), held.socket.uid) {
            return Answer::Right;
        }
        self.wrong_or_hidden(|| match self.processes.first() {
            None => "held by the kernel".to_owned(),
            Some(p) => match (&p.user, p.uid) {
                (Some(user), _) => format!("user {user}"),
                (None, Some(uid)) => format!("uid {uid}"),
                (None, None) => "another user".to_owned(),
            },
        })
    }

    fn unit(&self, expected: &str) -> Answer {
        let of_processes = self.processes.iter().filter_map(|p| p.placement.unit.as_deref());
        let mut units = of_processes.chain(self.unit.as_deref());
        if units.any(|unit| program::is_unit(expected, unit)) {
            return Answer::Right;
        }
        match &self.unit {
            Some(unit) => Answer::Wrong(format!("unit {unit}")),
            None => self.wrong_or_hidden(|| "in no systemd unit".to_owned()),
        }
    }

    fn container(&self, expected: &str) -> Answer {
        match self.container {
            Some(container) if program::is_container(expected, container) => Answer::Right,
            // A runtime that could not be asked leaves only the id, which names nothing.
            Some(container) if container.name.is_none() && container.service.is_none() => {
                Answer::Unknown(Why::Unsupported)
            }
            Some(container) => {
                let name = container.name.as_ref().unwrap_or(&container.id);
                Answer::Wrong(format!("container {name}"))
            }
            // The publisher of a container's port sits outside it and does not say for which.
            None if self.processes.iter().any(|p| PUBLISHERS.contains(&&*p.name)) => {
                Answer::Unknown(Why::Unsupported)
            }
            None => self.wrong_or_hidden(|| "in no container".to_owned()),
        }
    }

    fn wrong_or_hidden(&self, wrong: impl FnOnce() -> String) -> Answer {
        match self.hidden {
            Some(why) => Answer::Unknown(why),
            None => Answer::Wrong(wrong()),
        }
    }
}

fn wrong_holder<'a>(
    case: &mut Case<'a>,
    service: &'a Service,
    held: HeldPort<'a>,
    wrong: &[String],
) {
    let severity = match Reach::of_sockets(held.sockets.iter().copied()) {
        Reach::Machine => Severity::Medium,
        _ => Severity::High,
    };
    let subject = Subject::Ports(PortRange::from(held.port), held.transport);
    let message =
        format!("{subject} of {} is not held as declared: {}", service.name, wrong.join("; "));
    let remedy = format!(
        "look who it is: portolan who {subject}; if it is right, correct [services.{}]",
        service.name
    );
    let evidence = evidence::of_sockets(case.scene.sockets, &held.sockets);
    let words = Words { message, evidence, remedy, at: &service.at, sockets: held.sockets };
    case.find(Rule::P103, severity, subject, Some(&service.name), words);
}

fn unseen_holders(ports: &[&str], why: Why) -> Option<Gap> {
    let (first, more) = ports.split_first()?;
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    let hint = match why {
        Why::NotPermitted => "run with sudo",
        Why::Unsupported => "the container runtime was not asked which container it is",
        _ => "run it again",
    };
    Some(Gap::new(format!("who holds {first}{more}, as declared"), why, hint))
}

/// Programs that hold a port of the host on behalf of a container.
const PUBLISHERS: [&str; 5] = ["docker-proxy", "rootlessport", "conmon", "slirp4netns", "pasta"];
