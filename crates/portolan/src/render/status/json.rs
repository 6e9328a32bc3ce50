//! The chart of a machine as one JSON document.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::audit::Finding;
use portolan_core::firewall::Addresses;
use portolan_core::net::Observed;
use portolan_core::socket::{PortChoice, SocketTable};
use serde::Serialize;

use crate::ops::status::{Bound, Chart, DeclaredAs, Row};
use crate::render;
use crate::render::json::Document;
use crate::render::owner::{CommandLines, ContainerJson, OwnerJson, owners_json};
use crate::render::screen::Screen;
use crate::render::socket::gap_word;

/// Prints the chart as one document.
pub(crate) fn json(
    screen: &mut Screen,
    chart: &Observed<Chart<'_>>,
    table: &SocketTable,
) -> Result<()> {
    let Observed { value: chart, gaps } = chart;
    let body = Body {
        host: HostJson {
            name: chart.host().map_or(&chart.machine.hostname, |h| &h.name),
            hostname: &chart.machine.hostname,
            kernel: &chart.machine.kernel,
            addresses: chart.machine.addresses.iter().map(|a| a.address.to_string()).collect(),
            ephemeral: chart.machine.ports.ephemeral.to_string(),
            unprivileged_start: chart.machine.ports.unprivileged_start.0,
        },
        ports: chart.ports.iter().map(|row| PortJson::new(row, table, &chart.names)).collect(),
        findings: chart.elsewhere.iter().map(FindingJson::from).collect(),
    };
    screen.json(&Document::new("status", body, gaps))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct Body<'a> {
    host: HostJson<'a>,
    ports: Vec<PortJson<'a>>,
    /// Findings about ports that are not open.
    findings: Vec<FindingJson<'a>>,
}

#[derive(Serialize)]
struct HostJson<'a> {
    name: &'a str,
    hostname: &'a str,
    kernel: &'a str,
    addresses: Vec<String>,
    ephemeral: String,
    unprivileged_start: u16,
}

#[derive(Serialize)]
struct PortJson<'a> {
    port: u16,
    transport: &'static str,
    service: Option<&'a str>,
    bound: Vec<BoundJson<'a>>,
    owners: Vec<OwnerJson<'a>>,
    owner_gap: Option<&'static str>,
    unit: Option<&'a str>,
    container: Option<ContainerJson<'a>>,
    port_choice: Option<&'static str>,
    reach: Vec<ReachJson>,
    declared: Option<DeclaredJson<'a>>,
    /// The reason of the `[[ignore]]` that accepts an undeclared port.
    accepted: Option<&'a str>,
    risk: Option<RiskJson<'a>>,
    findings: Vec<String>,
}

impl<'a> PortJson<'a> {
    fn new(row: &'a Row<'a>, table: &'a SocketTable, names: &[(String, Addresses)]) -> Self {
        Self {
            port: row.port.0,
            transport: row.transport.as_str(),
            service: row.service,
            bound: row.bound.iter().map(BoundJson::from).collect(),
            owners: row
                .sockets
                .iter()
                .flat_map(|held| owners_json(table, held, CommandLines::Hidden))
                .collect(),
            owner_gap: row.unowned.and_then(gap_word),
            unit: row.placement.unit.as_deref(),
            container: row.placement.container.as_deref().map(ContainerJson::from),
            port_choice: row
                .sockets
                .iter()
                .find_map(|h| h.socket.port_choice)
                .map(PortChoice::as_str),
            reach: reach_json(row, names),
            declared: row.declared.map(DeclaredJson::from),
            accepted: row.accepted.as_deref(),
            risk: row.risk.as_ref().map(|r| RiskJson {
                class: r.class,
                severity: r.severity.as_str(),
                exposure: r.exposure,
                why: r.why,
                safer_alternative: r.safer_alternative,
            }),
            findings: row.findings.iter().map(Finding::id).collect(),
        }
    }
}

#[derive(Serialize)]
struct BoundJson<'a> {
    address: String,
    scope: &'static str,
    dual_stack: bool,
    device: Option<&'a str>,
}

impl<'a> From<&'a Bound> for BoundJson<'a> {
    fn from(bound: &'a Bound) -> Self {
        Self {
            address: bound.address.to_string(),
            scope: bound.scope.as_str(),
            dual_stack: bound.dual_stack,
            device: bound.device.as_deref(),
        }
    }
}

/// From where a port can be reached, and what decides it: so far the socket alone.
#[derive(Serialize)]
struct ReachJson {
    source: String,
    /// `yes`, `no`, `depends`; `unknown` where the rules of the firewall were not seen.
    answer: &'static str,
    by: String,
}

/// Of this machine, then of everyone else: those who are let in before the rest.
fn reach_json(row: &Row<'_>, names: &[(String, Addresses)]) -> Vec<ReachJson> {
    let sources = row.reachable.iter().flat_map(|reach| &reach.sources);
    let fates = sources.flat_map(|reached| render::reach::fates(reached, names));
    fates.map(|(source, answer, by)| ReachJson { source, answer: answer.as_str(), by }).collect()
}

#[derive(Serialize)]
struct DeclaredJson<'a> {
    service: &'a str,
    status: &'static str,
}

impl<'a> From<DeclaredAs<'a>> for DeclaredJson<'a> {
    fn from(declared: DeclaredAs<'a>) -> Self {
        Self { service: declared.service, status: declared.status.as_str() }
    }
}

#[derive(Serialize)]
struct RiskJson<'a> {
    class: &'a str,
    severity: &'static str,
    exposure: &'a str,
    why: &'a str,
    safer_alternative: &'a str,
}

#[derive(Serialize)]
struct FindingJson<'a> {
    id: String,
    rule: &'static str,
    severity: &'static str,
    subject: String,
    message: &'a str,
}

impl<'a> From<&'a Finding> for FindingJson<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            id: finding.id(),
            rule: finding.rule.as_str(),
            severity: finding.severity.as_str(),
            subject: finding.subject.to_string(),
            message: &finding.message,
        }
    }
}
