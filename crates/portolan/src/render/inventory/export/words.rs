//! The words the exports share: who may come, which ports, which links may be followed.

use portolan_core::inventory::matrix::{BaseRow, BaseTraffic, Origin};
use portolan_core::inventory::{
    Bind, Documentation, DoorMethod, Forward, ForwardVia, HostSelector, Ignore, Located,
    NetworkExtent, Never, PortSpec, Source, duration,
};
use portolan_core::net::Prefix;

use crate::ops::inventory::export::{Entry, Export};
use crate::render::inventory::matrix::collapsed;

/// Who may come, by the names of the file; `this machine` where nobody else may.
pub(crate) fn from(export: &Export<'_>, entry: &Entry<'_>) -> Vec<String> {
    match entry.from.as_slice() {
        [] => vec!["this machine".to_owned()],
        from => from.iter().map(|origin| export.inventory.source_name(&origin.source)).collect(),
    }
}

/// The sources that no `from` names, each with the forward that implies it.
pub(crate) fn implied<'a>(export: &Export<'_>, from: &[Origin<'a>]) -> Vec<(String, &'a str)> {
    let name = |o: &Origin<'_>| export.inventory.source_name(&o.source);
    from.iter().filter_map(|o| o.implied_by.map(|f| (name(o), f.name.as_str()))).collect()
}

/// Who may come and why, in one line: `staff, gate (forward branch-files)`, `internet behind door`.
pub(crate) fn from_line(export: &Export<'_>, entry: &Entry<'_>) -> String {
    let word = |origin: &Origin<'_>| {
        let name = export.inventory.source_name(&origin.source);
        match origin.implied_by {
            Some(forward) => format!("{name} (forward {})", forward.name),
            None => name,
        }
    };
    let words: Vec<String> = entry.from.iter().map(word).collect();
    match (words.as_slice(), entry.door) {
        ([], _) => "this machine".to_owned(),
        (words, Some(door)) => format!("{} behind {}", words.join(", "), door.name),
        (words, None) => words.join(", "),
    }
}

/// Sources by the names of the file, or `otherwise` where none is written.
pub(crate) fn sources_line(
    export: &Export<'_>,
    from: &[Located<Source>],
    otherwise: &str,
) -> String {
    let words: Vec<String> =
        from.iter().map(|source| export.inventory.source_name(&source.value)).collect();
    if words.is_empty() { otherwise.to_owned() } else { words.join(", ") }
}

/// Machines, as written.
pub(crate) fn selectors(on: &[Located<HostSelector>]) -> Vec<String> {
    texts(on)
}

/// Values with their places, as the file writes them.
pub(crate) fn texts<T: ToString>(values: &[Located<T>]) -> Vec<String> {
    values.iter().map(|value| value.value.to_string()).collect()
}

/// Ports and protocols in one line: `80/tcp, 443/tcp, 443/udp`.
pub(crate) fn ports(entry: &Entry<'_>) -> String {
    let words: Vec<String> = entry.traffic.iter().map(ToString::to_string).collect();
    words.join(", ")
}

/// Why it exists; empty where nobody says.
pub(crate) fn purpose(docs: &Documentation) -> &str {
    docs.purpose.as_ref().map_or("", |purpose| purpose.value.as_str())
}

/// How a forward hands on, and what its target sees.
pub(crate) fn via(forward: &Forward) -> String {
    let seen = if forward.masquerade { "the forwarder" } else { "the client" };
    match forward.via {
        ForwardVia::Nat => format!("NAT; the target sees {seen}"),
        ForwardVia::Proxy if forward.proxy_protocol => {
            "proxy; the target is told the client (PROXY protocol)".to_owned()
        }
        ForwardVia::Proxy => "proxy; the target sees the forwarder".to_owned(),
        ForwardVia::Router => format!("router's mapping; the target sees {seen}"),
    }
}

/// How one knocks.
pub(crate) fn knock(method: &DoorMethod) -> String {
    match method {
        DoorMethod::Spa { listen } => format!("one signed packet to {}", listen.value),
        DoorMethod::Sequence { ports, window: Some(window) } => {
            format!("{} within {}", texts(ports).join(", "), duration(*window))
        }
        DoorMethod::Sequence { ports, window: None } => texts(ports).join(", "),
    }
}

/// What must never be reachable.
pub(crate) fn never_what(never: &Never) -> String {
    let ports = texts(&never.ports);
    never
        .service
        .iter()
        .map(|service| service.value.clone())
        .chain(ports)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The machines an ignore is for.
pub(crate) fn ignore_on(ignore: &Ignore) -> String {
    if ignore.on.is_empty() { "*".to_owned() } else { selectors(&ignore.on).join(", ") }
}

/// What an ignore covers: `rule P116, service forge-web, ports 80/tcp`.
pub(crate) fn ignore_what(ignore: &Ignore) -> String {
    let matches = &ignore.matches;
    let ports: Vec<String> = matches.ports.iter().map(PortSpec::to_string).collect();
    let facts = [
        ("finding", matches.id.clone()),
        ("rule", matches.rule.clone()),
        ("service", matches.service.clone()),
        ("ports", Some(ports.join(", ")).filter(|ports| !ports.is_empty())),
        ("process", matches.process.clone()),
        ("bound to", matches.bind.as_ref().map(bind)),
        ("user", matches.user.clone()),
        ("container", matches.container.clone()),
    ];
    let facts = facts.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?)));
    facts.collect::<Vec<_>>().join(", ")
}

/// Which addresses something binds.
pub(crate) fn bind(bind: &Bind) -> String {
    match bind {
        Bind::Any => "any".to_owned(),
        Bind::Loopback => "loopback".to_owned(),
        Bind::Addresses(addresses) => texts(addresses).join(", "),
    }
}

/// The addresses of a network in one line.
pub(crate) fn extent(extent: &NetworkExtent) -> String {
    let list =
        |prefixes: &[Prefix]| prefixes.iter().map(Prefix::to_string).collect::<Vec<_>>().join(", ");
    let NetworkExtent::Prefixes { prefixes, except, interface } = extent else {
        return "every address".to_owned();
    };
    let mut words = if prefixes.is_empty() { "every address".to_owned() } else { list(prefixes) };
    if !except.is_empty() {
        words.push_str(&format!(" without {}", list(except)));
    }
    if let Some(interface) = interface {
        words.push_str(&format!(" through {interface}"));
    }
    words
}

/// A base row and the machines that have it.
pub(crate) struct BaseLine<'a> {
    /// The row, as the first of them has it.
    pub(crate) base: &'a BaseRow<'a>,
    /// Their names, `all`, or `all but …`.
    pub(crate) hosts: String,
}

/// The base rows, those that machines share once.
pub(crate) fn base_lines<'a>(export: &'a Export<'_>) -> Vec<BaseLine<'a>> {
    let line = |(base, hosts): (_, Vec<&str>)| BaseLine { base, hosts: most(export, &hosts) };
    collapsed(&export.matrix.base).into_iter().map(line).collect()
}

/// The names of some machines, in the shortest of three ways: all, all but a few, these.
fn most(export: &Export<'_>, hosts: &[&str]) -> String {
    let others = export.inventory.hosts.iter().map(|host| host.name.as_str());
    let others: Vec<&str> = others.filter(|name| !hosts.contains(name)).collect();
    match others.len() {
        0 => "all".to_owned(),
        n if n < hosts.len() => format!("all but {}", others.join(", ")),
        _ => hosts.join(", "),
    }
}

/// What a base row lets through, in words.
pub(crate) fn base_traffic(traffic: BaseTraffic) -> String {
    let types =
        |types: &[(u8, &str)]| types.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", ");
    match traffic {
        BaseTraffic::Loopback => "the loopback interface".to_owned(),
        BaseTraffic::Established => "established and related".to_owned(),
        BaseTraffic::Icmp(list) => format!("ICMP {}", types(list)),
        BaseTraffic::Icmpv6(list) => format!("ICMPv6 {}", types(list)),
        BaseTraffic::Igmp => "IGMP to groups".to_owned(),
        BaseTraffic::Port { transports, source: Some(source), destination } => {
            format!("{source} to {destination}/{transports}")
        }
        BaseTraffic::Port { transports, source: None, destination } => {
            format!("{destination}/{transports}")
        }
    }
}

/// `link`, if a reader may follow it: http, https or mailto, in the characters of RFC 3986.
///
/// Everything else in `links` is shown as text: `javascript:` is a scheme too.
pub(crate) fn followable(link: &str) -> Option<&str> {
    let scheme = link.split_once(':')?.0;
    let known = ["http", "https", "mailto"].iter().any(|s| scheme.eq_ignore_ascii_case(s));
    let plain = |c: char| c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c);
    (known && link.chars().all(plain)).then_some(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_of_the_web_and_of_mail_are_followed() {
        assert!(followable("https://wiki.example.org/a?b=c").is_some());
        assert!(followable("MAILTO:systems@example.org").is_some());
        assert!(followable("javascript:alert(1)").is_none());
        assert!(followable(" https://wiki.example.org").is_none());
        assert!(followable("https://wiki.example.org/\nx").is_none());
        assert!(followable("https://wiki.example.org/\"><script>").is_none());
        assert!(followable("wiki page 7").is_none());
    }
}
