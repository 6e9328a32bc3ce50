//! The reasons in words.

use portolan_core::net::{Endpoint, Transport};
use portolan_core::reach::{AroundKind, By, Fix, Group, Taker};

use crate::render::number::thousands;

/// The kind of what decides, for machines.
pub(super) const fn by_word(by: &By) -> &'static str {
    match by {
        By::Allowed(_) => "rule-accepts",
        By::Unfiltered => "no-rule",
        By::Refused { .. } => "rule-refuses",
        By::Bridge(_) => "bridge-table",
        By::AnswerRefused(_) => "rule-refuses-answer",
        By::NoListener(bound) if bound.is_empty() => "no-listener",
        By::NoListener(_) => "bound-elsewhere",
        By::NoRoute => "no-route",
        By::NoAddress => "no-address",
        By::NotForwarding => "not-forwarding",
        By::Martian => "martian",
        By::OfLink => "link-local",
        By::RulesUnseen => "rules-unseen",
    }
}

/// The facts of a group after what decides, a line each.
pub(super) fn more(group: &Group) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(translated) = &group.translated {
        let to = &translated.to;
        let container = match &group.taker {
            Some(Taker::Behind { container: Some(name), .. }) => format!(" (container {name})"),
            _ => String::new(),
        };
        lines.push(match &translated.rule {
            Some(rule) => format!("sent on to {to}{container} by {rule}"),
            None => format!("sent on to {to}{container}"),
        });
    }
    if let Some(handed) = &group.handed {
        let by = handed.rule.as_ref().map(|rule| format!(" by {rule}")).unwrap_or_default();
        lines.push(format!("handed as it is to what listens on port {}{by}", handed.to.port));
    }
    if let Some(around) = &group.around {
        lines.push(format!("the input path refuses this port and is never asked: {}", around.rule));
    }
    if !group.depends_on.is_empty() {
        lines.push(format!("depends on: {}", group.depends_on.join("; ")));
    }
    if group.other_rules > 0 {
        let many = thousands(group.other_rules as u64);
        lines.push(format!("{many} more rules decide the same for some of them"));
    }
    if !group.is_exact {
        lines.push("an example: not every sender was asked about".to_owned());
    }
    lines
}

/// How neighbours get to what stands behind a port.
pub(super) fn straight(group: &Group) -> String {
    let to = group.behind().unwrap_or_default();
    let by = group.interface.as_deref().unwrap_or("its interface");
    format!(
        "straight to {to}, not by this port: whoever is on the link of {by} may send packets for that \
         address to this machine, and it passes them on; {}",
        group.by
    )
}

/// Who goes around the input rules.
pub(super) const fn who_goes_around(kind: AroundKind) -> &'static str {
    match kind {
        AroundKind::Docker => "Docker publishes it around the input rules",
        AroundKind::Podman => "Podman publishes it around the input rules",
        AroundKind::Kubernetes => "Kubernetes publishes it around the input rules",
        AroundKind::Other => "a translation takes it around the input rules",
    }
}

/// A fix in words, and what to paste for it.
pub(super) fn fix(fix: &Fix) -> (String, Option<String>) {
    match fix {
        Fix::PublishOnLoopback { port, inside, transport, container } => {
            let who = container.as_ref().map_or("the container".to_owned(), |c| format!("container {c}"));
            let suffix = if *transport == Transport::Tcp { String::new() } else { format!("/{transport}") };
            (
                format!(
                    "publish {who} for this machine alone: start it again with this in place of its -p, or with \
                     the same address and ports under `ports:` of its compose file"
                ),
                Some(format!("-p 127.0.0.1:{port}:{inside}{suffix}")),
            )
        }
        Fix::Forward { port, transport } => (
            "refuse it in the forward path, by the port it had: outlives restarts of the container, until \
             the next boot (portolan firewall apply writes such rules from the inventory, for good)"
                .to_owned(),
            Some(rule(
                "forward",
                "-5",
                &format!(
                    "ct status dnat meta l4proto {transport} ct original proto-dst {port} drop"
                ),
            )),
        ),
        Fix::DockerUser { port, transport, is_v6 } => {
            let iptables = if *is_v6 { "ip6tables" } else { "iptables" };
            (
                "refuse it in the chain that Docker leaves to you; by the port it had, for the rule sees \
                 the container's"
                    .to_owned(),
                Some(format!(
                    "{iptables} -I DOCKER-USER -p {transport} -m conntrack --ctorigdstport {port} \
                     --ctdir ORIGINAL -j DROP"
                )),
            )
        }
        Fix::NotStraight { to, transport, interface } => {
            let ip = if to.address.is_ipv4() { "ip" } else { "ip6" };
            let from = interface.as_ref().map_or_else(String::new, |i| format!("iifname != \"{i}\" "));
            let Endpoint { address, port } = to;
            (
                format!(
                    "end what comes for {address} itself before it is translated, until the next boot \
                     (Docker 28 and later does that by itself)"
                ),
                Some(rule(
                    "prerouting",
                    "-110",
                    &format!("{from}{ip} daddr {address} {transport} dport {port} drop"),
                )),
            )
        }
        Fix::KeepLoopback { interface } => (
            "keep loopback to this machine, as it is unless somebody changes it (some of Kubernetes and of \
             Docker's setups do), until the next boot; and in /etc/sysctl.d for good"
                .to_owned(),
            Some(format!(
                "sysctl -w net.ipv4.conf.all.route_localnet=0 net.ipv4.conf.{interface}.route_localnet=0"
            )),
        ),
        Fix::BeforeTranslation { port, transport, .. } => (
            "refuse it before it is translated, until the next boot".to_owned(),
            Some(rule(
                "prerouting",
                "-110",
                &format!(
                    "iifname != \"lo\" fib daddr type local {transport} dport {port} drop"
                ),
            )),
        ),
    }
}

/// A command for a shell that adds a rule, with a table and a chain of its own for it. Both may be there.
fn rule(hook: &str, priority: &str, rule: &str) -> String {
    format!(
        "nft 'add table inet {TABLE}; add chain inet {TABLE} {hook} {{ type filter hook {hook} priority \
         {priority}; }}; add rule inet {TABLE} {hook} {rule}'"
    )
}

/// Where rules go that close something: a table nobody else has.
const TABLE: &str = "close_ports";
