//! How flows fared, for reading and as JSON.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::firewall::flow::{Flow, protocol_name};
use serde::Serialize;

use super::source_words::{self, shell_word};
use crate::ops::firewall::replay::{Group, Report};
use crate::render::json::Document;
use crate::render::number::{counted, thousands};
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;

/// So many groups are told; JSON has them all.
const SHOWN: usize = 20;

/// Prints the sum, then what was refused.
pub(crate) fn text(screen: &mut Screen, report: &Report) -> Result<()> {
    let seconds = report.took.as_secs_f64();
    writeln!(
        screen,
        "{}: {} accepted, {} refused, {} depending ({seconds:.2} s)",
        counted(report.flows, "flow"),
        thousands(report.accepted),
        thousands(report.refused_flows()),
        thousands(report.depending_flows()),
    )?;
    groups(screen, "refused", &report.refused)?;
    groups(screen, "depending on what no flow tells", &report.depending)?;
    if report.passed_over > 0 {
        writeln!(screen, "{} told of no flow", counted(report.passed_over, "line"))?;
    }
    elsewhere(screen, report.elsewhere)?;
    if report.of_connections > 0 {
        let text = format!(
            "{} more are errors or answers of ICMP, which belong to a connection: not judged here",
            thousands(report.of_connections)
        );
        screen.hanging("", &text)?;
    }
    if let Some(first) = report.refused.first().or(report.depending.first()) {
        writeln!(
            screen,
            "\nwhy, rule by rule:  portolan firewall simulate {} --hook {}{}",
            question(&first.example),
            report.hook,
            source_words::options(&report.sources)
        )?;
    }
    Ok(screen.flush()?)
}

/// Connections, or packets of a log, that are none of those asked about.
pub(super) fn elsewhere(screen: &mut Screen, count: u64) -> Result<()> {
    if count > 0 {
        let text = format!(
            "{} more begin at this machine or go another way: not judged here",
            thousands(count)
        );
        screen.hanging("", &text)?;
    }
    Ok(())
}

fn groups(screen: &mut Screen, title: &str, groups: &[Group]) -> Result<()> {
    if groups.is_empty() {
        return Ok(());
    }
    writeln!(screen, "\n{title}:")?;
    for group in groups.iter().take(SHOWN) {
        let flow = &group.example;
        let by = if flow.interface.is_empty() { "" } else { " by " };
        writeln!(
            screen,
            "  {:>13}  {:<10}  e.g. {} to {}{by}{}",
            thousands(group.flows),
            port(flow),
            flow.source,
            flow.destination,
            sanitize(&flow.interface),
        )?;
    }
    if groups.len() > SHOWN {
        let more = counted((groups.len() - SHOWN) as u64, "more port");
        writeln!(screen, "  and {more}")?;
    }
    Ok(())
}

/// `443/tcp`; for ICMP its type and code.
pub(crate) fn port(flow: &Flow) -> String {
    let name = protocol_name(flow.protocol);
    match flow.protocol {
        1 | 58 => format!("{name} {}/{}", flow.source_port, flow.destination_port),
        6 | 17 | 33 | 132 | 136 => format!("{}/{name}", flow.destination_port),
        _ => name,
    }
}

/// The flow as `firewall simulate` takes it.
pub(crate) fn question(flow: &Flow) -> String {
    let end = |address: std::net::IpAddr, port: u16| match flow.protocol {
        6 | 17 | 33 | 132 | 136 => std::net::SocketAddr::new(address, port).to_string(),
        _ => address.to_string(),
    };
    let name = protocol_name(flow.protocol);
    let by = if flow.interface.is_empty() {
        String::new()
    } else {
        format!(" --in {}", shell_word(&flow.interface))
    };
    match flow.protocol {
        1 | 58 => format!(
            "{name} {} {} --type {} --code {}{by}",
            flow.source, flow.destination, flow.source_port, flow.destination_port
        ),
        _ => format!(
            "{name} {} {}{by}",
            end(flow.source, flow.source_port),
            end(flow.destination, flow.destination_port)
        ),
    }
}

/// Prints all as one document.
pub(crate) fn json(screen: &mut Screen, report: &Report) -> Result<()> {
    let body = Body {
        flows: report.flows,
        accepted: report.accepted,
        refused: report.refused_flows(),
        depends: report.depending_flows(),
        refused_by_port: report.refused.iter().map(GroupJson::from).collect(),
        depends_by_port: report.depending.iter().map(GroupJson::from).collect(),
        lines_passed_over: report.passed_over,
        other_ways: report.elsewhere,
        of_connections: report.of_connections,
        took_ms: report.took.as_secs_f64() * 1000.0,
    };
    screen.json(&Document::new("firewall-replay", body, &report.gaps))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct Body {
    flows: u64,
    accepted: u64,
    refused: u64,
    depends: u64,
    refused_by_port: Vec<GroupJson>,
    depends_by_port: Vec<GroupJson>,
    lines_passed_over: u64,
    other_ways: u64,
    of_connections: u64,
    took_ms: f64,
}

#[derive(Serialize)]
struct GroupJson {
    flows: u64,
    example: FlowJson,
}

impl From<&Group> for GroupJson {
    fn from(group: &Group) -> Self {
        Self { flows: group.flows, example: FlowJson::from(&group.example) }
    }
}

/// A flow, with the names of the CSV.
#[derive(Serialize)]
pub(crate) struct FlowJson {
    transport: String,
    src: String,
    sport: u16,
    dst: String,
    dport: u16,
    r#in: Option<String>,
}

impl From<&Flow> for FlowJson {
    fn from(flow: &Flow) -> Self {
        Self {
            transport: protocol_name(flow.protocol),
            src: flow.source.to_string(),
            sport: flow.source_port,
            dst: flow.destination.to_string(),
            dport: flow.destination_port,
            r#in: (!flow.interface.is_empty()).then(|| flow.interface.to_string()),
        }
    }
}
