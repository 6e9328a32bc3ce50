//! Who can reach a port of this machine, and what decides it: sockets, rules, translation, containers.

pub(crate) mod chart;
pub(crate) mod inside;
pub(crate) mod live;
pub(crate) mod sources;
pub(crate) mod witness;

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use portolan_core::audit::Listening;
use portolan_core::firewall::{Addresses, World};
use portolan_core::net::{Gap, Port, Transport, Why};
use portolan_core::reach::{
    self, Answer, Asking, By, Fix, Group, PortReach, Reached, Rules, Source, Taker, Whence,
};
use portolan_core::registry::Registry;
use portolan_core::registry::port_set::PortSelection;
use portolan_core::socket::{Machine, SocketTable};
use portolan_host::machine;
use portolan_host::processes::Details;

use crate::ops;
use crate::ops::behind::{self, Behind};
use crate::ops::firewall::source;
use crate::ops::inventory::Asked;
use crate::ops::sockets::Request as Sockets;
use inside::Inside;
use sources::Directory;
use witness::{Witness, upstream};

/// What is asked.
#[derive(Debug)]
pub(crate) struct Request {
    /// Which ports; `None`: every open one.
    pub(crate) ports: Option<PortSelection>,
    /// From where; empty: from everybody worth asking about.
    pub(crate) from: Vec<String>,
    /// Saved rules instead of those of this machine.
    pub(crate) saved: Option<source::Rules>,
    /// Which inventory and host.
    pub(crate) asked: Asked,
}

/// Who can reach what.
#[derive(Debug)]
pub(crate) struct Report {
    /// A row a port.
    pub(crate) rows: Vec<Row>,
    /// Whether ports were named.
    pub(crate) is_asked: bool,
    /// The sources that were named.
    pub(crate) from: Vec<String>,
    /// The sockets; `None` with saved rules.
    pub(crate) table: Option<SocketTable>,
    /// The rules; `None` where they could not be read.
    pub(crate) rules: Option<Rules>,
    /// Addresses and routes, where they are known.
    pub(crate) world: World,
    /// Names of the inventory for addresses.
    pub(crate) names: Vec<(String, Addresses)>,
    /// What is known of the places that rules send packets to.
    pub(crate) inside: Inside,
    /// What could not be seen.
    pub(crate) gaps: Vec<Gap>,
}

/// Who can reach one port.
#[derive(Debug)]
pub(crate) struct Row {
    /// The answers.
    pub(crate) reach: PortReach,
    /// The port that was asked about, where traffic for this one ends up there.
    pub(crate) leads_to: Option<Port>,
    /// What is registered for the number.
    pub(crate) service: Option<String>,
    /// Its sockets, as places in the table.
    pub(crate) sockets: Vec<usize>,
    /// For whom the socket is held, where its holder only stands in.
    pub(crate) stand_in: Option<Behind>,
    /// What helps, where it goes around the input rules.
    pub(crate) fixes: Vec<Fix>,
}

impl Row {
    /// The addresses at which something is reached, or waits at least.
    pub(crate) fn likely(&self) -> Vec<IpAddr> {
        let mut groups: Vec<&Group> = self.reach.groups().collect();
        groups.sort_by_key(|group| group.answer);
        let mut found: Vec<IpAddr> = Vec::new();
        for group in groups {
            let at: Vec<IpAddr> = match &group.by {
                By::NoListener(bound) => bound.iter().map(|bound| bound.address).collect(),
                _ => group.to.into_iter().collect(),
            };
            let is_one = |to: &IpAddr| !to.is_unspecified() && !to.is_loopback();
            found.extend(at.into_iter().filter(|to| is_one(to) || group.to == Some(*to)));
        }
        let mut known = BTreeSet::new();
        found.retain(|to| known.insert(*to));
        found
    }

    /// The best that anybody beyond this machine gets, or whoever was named.
    pub(crate) fn answer(&self, is_named: bool) -> Answer {
        let outside = |r: &&Reached| is_named || r.source.whence != Whence::Here;
        let reached = self.reach.sources.iter().filter(outside);
        let answers = reached.flat_map(|r| r.groups.iter().map(|g| g.answer).chain([r.answer]));
        answers.min().unwrap_or(Answer::No)
    }
}

impl Report {
    /// The best that anybody asked about gets at any port.
    pub(crate) fn answer(&self) -> Answer {
        let is_named = !self.from.is_empty();
        self.rows.iter().map(|row| row.answer(is_named)).min().unwrap_or(Answer::No)
    }

    /// Whether a port goes around the input rules.
    pub(crate) fn is_around(&self) -> bool {
        self.rows.iter().any(|row| row.reach.around().is_some())
    }

    /// Whether neighbours reach what stands behind a port without the port.
    pub(crate) fn is_straight(&self) -> bool {
        self.rows.iter().any(|row| row.reach.straight().next().is_some())
    }

    /// Whether something that was asked could not be seen.
    pub(crate) fn is_partial(&self) -> bool {
        self.gaps.iter().any(Gap::is_incomplete)
    }
}

/// Finds out.
///
/// # Errors
/// A source that is none, an inventory that is broken.
pub(crate) fn ask(mut request: Request, registry: &Registry) -> Result<Report> {
    let mut gaps = Vec::new();
    let saved = request.saved.take();
    let is_live = saved.is_none();
    let machine = match is_live {
        true => machine::read().aside().into_value(&mut gaps),
        false => Machine::default(),
    };
    let table = is_live.then(|| listeners(&mut gaps)).transpose()?;
    let intent = ops::inventory::intent(&request.asked, &machine, &mut gaps)?;
    let mut witness = saved.map_or_else(Witness::live, Witness::of);
    if let Some(table) = &table {
        witness.know(table);
    }
    // It is the very thing that is asked for.
    witness.gaps.iter_mut().for_each(|gap| gap.asked = true);
    let directory = Directory { machine: &machine, world: &witness.world, intent: &intent };
    let sources = match &request.from[..] {
        [] => directory.everybody(),
        named => named.iter().map(|word| directory.named(word)).collect::<Result<_>>()?,
    };
    let names = directory.names();
    if is_live && witness.scene(None).prepare().translates() {
        witness.ask_runtimes();
    }
    let (mut rows, left_out) = rows(&request, &witness, table.as_ref(), &sources)?;
    gaps.extend(left_out);
    let mut asking = behind::Asking::default();
    for row in &mut rows {
        tell(row, table.as_ref(), registry, &mut asking);
        row.fixes = witness.rules.as_ref().map(|r| reach::fixes(&row.reach, r)).unwrap_or_default();
    }
    gaps.append(&mut witness.gaps);
    gaps.append(&mut asking.gaps);
    gaps.push(upstream());
    let inside = match is_live {
        true => Inside::look(&rows.iter().map(|row| &row.reach).collect::<Vec<_>>()),
        false => Inside::default(),
    };
    let Witness { rules, world, .. } = witness;
    let (is_asked, from) = (request.ports.is_some(), request.from);
    Ok(Report { rows, is_asked, from, table, rules, world, names, inside, gaps })
}

/// The listeners of this machine. Who holds one is told, and not asked: it is no part of the answer.
fn listeners(gaps: &mut Vec<Gap>) -> Result<SocketTable> {
    let seen = ops::sockets::observe(&Sockets::listeners(Details::Full))?;
    let seen = if seen.value.may_lack_sockets { seen } else { seen.aside() };
    Ok(seen.into_value(gaps))
}

fn rows(
    request: &Request,
    witness: &Witness,
    table: Option<&SocketTable>,
    sources: &[Source],
) -> Result<(Vec<Row>, Option<Gap>)> {
    let asking = witness.scene(table).prepare();
    let asked = asked(request, &asking, table);
    let ports: Vec<(Port, Transport)> = asked.iter().map(|(port, _)| *port).collect();
    let reached = asking.survey(&ports, sources).context("tell who reaches the ports")?;
    let rows = reached.into_iter().zip(asked).map(|(reach, (_, leads_to))| Row {
        reach,
        leads_to,
        service: None,
        sockets: Vec::new(),
        stand_in: None,
        fixes: Vec::new(),
    });
    Ok((rows.collect(), left_out(&asking)))
}

/// Addresses of this machine that were not asked about, where they are too many.
fn left_out(asking: &Asking<'_>) -> Option<Gap> {
    let many = asking.addresses_left_out();
    let what = format!("who reaches {many} more addresses of this machine");
    (many > 0).then(|| Gap::new(what, Why::NotLooked, "the rules tell them all apart"))
}

/// A port that is asked about, with the one that it leads to where that is meant.
type Wanted = ((Port, Transport), Option<Port>);

fn asked(request: &Request, asking: &Asking<'_>, table: Option<&SocketTable>) -> Vec<Wanted> {
    let mut open: Vec<(Port, Transport)> = table
        .map(|table| Listening::all(table).iter().map(|l| (l.port, l.transport)).collect())
        .unwrap_or_default();
    open.extend(asking.translated_ports());
    open.sort();
    open.dedup();
    let Some(wanted) = &request.ports else {
        return open.into_iter().map(|port| (port, None)).collect();
    };
    let mut asked = Vec::new();
    for port in wanted.ports().iter() {
        let transports = Transport::ALL.into_iter().filter(|t| wanted.contains(port, *t));
        let mut transports: Vec<Transport> = transports.collect();
        narrow(&mut transports, &open, port);
        for transport in transports {
            let leading = asking.leading_to(port, transport);
            // A port that nobody holds and that others lead to is a port inside.
            let is_inside = !leading.is_empty() && !open.contains(&(port, transport));
            if !is_inside {
                asked.push(((port, transport), None));
            }
            asked.extend(leading.into_iter().map(|own| ((own, transport), Some(port))));
        }
    }
    asked
}

/// Of several transports those in which the port is open; where it is in none, TCP and UDP.
fn narrow(transports: &mut Vec<Transport>, open: &[(Port, Transport)], port: Port) {
    if transports.len() < 2 {
        return;
    }
    let is_open = |t: &Transport| open.contains(&(port, *t));
    match transports.iter().any(is_open) {
        true => transports.retain(is_open),
        false => transports.retain(|t| *t == Transport::Tcp),
    }
}

/// What is known of the port beside who reaches it.
fn tell(
    row: &mut Row,
    table: Option<&SocketTable>,
    registry: &Registry,
    asking: &mut behind::Asking,
) {
    let (port, transport) = (row.reach.port, row.reach.transport);
    row.service = registry.service_name(port, transport).map(str::to_owned);
    let Some(table) = table else { return };
    let of_port = table.sockets.iter().enumerate().filter(|(_, held)| {
        held.socket.is_listener()
            && held.socket.local_port() == Some(port)
            && held.socket.transport.with_ports() == Some(transport)
    });
    row.sockets = of_port.map(|(place, _)| place).collect();
    if row.sockets.is_empty() {
        row.sockets = handed(&row.reach);
    }
    row.stand_in = row.sockets.iter().find_map(|place| asking.about(table, &table.sockets[*place]));
}

/// The sockets that packets of a port are handed to as they are.
fn handed(reach: &PortReach) -> Vec<usize> {
    let groups = reach.groups().filter(|group| group.handed.is_some());
    let mut found: Vec<usize> = groups
        .filter_map(|group| match group.taker {
            Some(Taker::Socket(place)) => place,
            _ => None,
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}
