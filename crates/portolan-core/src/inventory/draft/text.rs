//! The draft as the text of a file.

use std::fmt::Write as _;

use jiff::civil::Date;

use crate::inventory::edit::{quoted, quoted_key, quoted_list};
use crate::net::Port;

use super::exposure::{Binding, Reachable};
use super::program::Unseen;
use super::{Draft, HostDraft, ServiceDraft};

/// A whole file.
pub(super) fn file(draft: &Draft, today: Date) -> String {
    let mut text = format!(
        "# The ports of {}, as `portolan inventory init` found them on {today}.
#
# Nothing is approved by being found: every service is `observed` until somebody says why it
# exists. For each one write its purpose, narrow `from` to those who need it, name an owner, and
# delete the status line. `portolan audit` lists what is left to do.

portolan = 1
title    = {}
",
        comment(&draft.host),
        quoted(&draft.host),
    );
    if draft.services.is_empty() {
        text.push_str("\n# Nothing listened on this machine.\n");
    }
    push_entries(&mut text, draft);
    text
}

/// What is added to a file.
pub(super) fn addition(draft: &Draft, today: Date) -> String {
    let mut text = format!("# ---- found by `portolan inventory init --merge` on {today}\n");
    push_entries(&mut text, draft);
    text
}

fn push_entries(text: &mut String, draft: &Draft) {
    if let Some(table) = &draft.table {
        text.push('\n');
        text.push_str(&host(&draft.host, table));
    }
    for service in &draft.services {
        text.push('\n');
        text.push_str(&service_table(&draft.host, service));
    }
    for ignore in &draft.ignores {
        text.push('\n');
        text.push_str(&ignore.block());
    }
}

fn host(key: &str, table: &HostDraft) -> String {
    let mut lines = format!("[hosts.{}]\n", quoted_key(key));
    push(&mut lines, "address", &quoted_list(table.address.iter().map(ToString::to_string)), "");
    if let Some(alias) = &table.alias {
        push(&mut lines, "aliases", &quoted_list([alias]), "");
    }
    lines
}

fn service_table(host: &str, service: &ServiceDraft) -> String {
    let program = &service.program;
    let mut lines = format!("[services.{}]\n", quoted_key(&service.name));
    let ports = service.ports.iter().map(|(range, transports)| format!("{range}/{transports}"));
    push(&mut lines, "on", &quoted_list([host]), "");
    push(&mut lines, "ports", &quoted_list(ports), &registered(service));
    let (from, bound) = from(&service.exposure.from);
    push(&mut lines, "from", &from, bound);
    match &service.exposure.bind {
        Binding::Unsaid => {}
        Binding::Loopback => push(&mut lines, "bind", "\"loopback\"", ""),
        Binding::Addresses(addresses) => {
            push(&mut lines, "bind", &quoted_list(addresses.iter().map(ToString::to_string)), "");
        }
    }
    if !service.exposure.to.is_empty() {
        let groups = service.exposure.to.iter().map(ToString::to_string);
        push(&mut lines, "to", &quoted_list(groups), "");
    }
    match program.unseen {
        Some(Unseen::Kernel) => lines.push_str("# held by the kernel itself\n"),
        Some(Unseen::NotVisible) => {
            let port = service.ports.first().map_or(Port(0), |(range, _)| range.first());
            let _ = writeln!(lines, "# its program was not visible: sudo portolan who {port}");
        }
        None => {}
    }
    let known = [
        ("process", program.process_pattern()),
        ("user", program.user.clone()),
        ("unit", program.unit.clone()),
        ("container", program.container.clone()),
    ];
    for (key, value) in known {
        if let Some(value) = value {
            push(&mut lines, key, &quoted(&value), "");
        }
    }
    push(&mut lines, "purpose", "\"TODO\"", "");
    push(&mut lines, "status", "\"observed\"", "");
    lines
}

fn from(from: &Reachable) -> (String, &'static str) {
    match from {
        Reachable::Any => (quoted_list(["any"]), "it is bound to every address"),
        Reachable::ThisMachine => (quoted_list::<&str>([]), "it is bound to loopback"),
        Reachable::Networks(networks) => {
            (quoted_list(networks.iter().map(ToString::to_string)), "the network it is bound in")
        }
    }
}

/// What the ports are registered for, the first few.
fn registered(service: &ServiceDraft) -> String {
    const SHOWN: usize = 3;
    let single = matches!(service.ports.as_slice(), [(range, _)] if range.len() == 1);
    let name = |(port, name): &(Port, String)| match single {
        true => comment(name),
        false => format!("{port} {}", comment(name)),
    };
    let names: Vec<String> = service.registered.iter().take(SHOWN).map(name).collect();
    let more = if service.registered.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", names.join(", "))
}

/// A line, with a remark beside it.
fn push(lines: &mut String, key: &str, value: &str, remark: &str) {
    const REMARKS: usize = 40;
    let line = format!("{key:7} = {value}");
    let _ = match remark {
        "" => writeln!(lines, "{line}"),
        remark => writeln!(lines, "{line:REMARKS$} # {remark}"),
    };
}

/// Text for a comment: on one line and without what TOML forbids there.
fn comment(text: &str) -> String {
    let quoted = quoted(text);
    quoted[1..quoted.len() - 1].to_owned()
}
