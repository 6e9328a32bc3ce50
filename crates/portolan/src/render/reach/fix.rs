//! What closes a port to whoever gets around the rules: in words, and as what to paste.

use portolan_core::net::{Endpoint, Transport};
use portolan_core::reach::Fix;

/// What it does.
pub(super) fn what(fix: &Fix) -> String {
    match fix {
        Fix::PublishOnLoopback { container, .. } => {
            let who = container.as_ref().map(|name| format!("container {name}"));
            let who = who.unwrap_or_else(|| "the container".to_owned());
            format!(
                "publish {who} for this machine alone: start it again with this in place of its -p, \
                 or with the same address and ports under `ports:` of its compose file"
            )
        }
        Fix::Forward { .. } => "refuse it in the forward path, by the port it had: outlives restarts \
                                of the container, until the next boot (portolan firewall apply writes \
                                such rules from the inventory, for good)"
            .to_owned(),
        Fix::DockerUser { .. } => "refuse it in the chain that Docker leaves to you; by the port it \
                                   had, for the rule sees the container's"
            .to_owned(),
        Fix::NotStraight { to, .. } => format!(
            "end what comes for {} itself before it is translated, until the next boot (Docker 28 and \
             later does that by itself)",
            to.address
        ),
        Fix::KeepLoopback { .. } => "keep loopback to this machine, as it is unless somebody changes \
                                     it (some of Kubernetes and of Docker's setups do), until the next \
                                     boot; and in /etc/sysctl.d for good"
            .to_owned(),
        Fix::BeforeTranslation { .. } => {
            "refuse it before it is translated, until the next boot".to_owned()
        }
    }
}

/// What to paste for it: options of docker, or a command for a shell.
pub(super) fn command(fix: &Fix) -> String {
    match fix {
        Fix::PublishOnLoopback { port, inside, transport, .. } => match transport {
            Transport::Tcp => format!("-p 127.0.0.1:{port}:{inside}"),
            other => format!("-p 127.0.0.1:{port}:{inside}/{other}"),
        },
        Fix::Forward { port, transport } => {
            let called = format!("ct original proto-dst {port}");
            rule("forward", "-5", &format!("ct status dnat meta l4proto {transport} {called} drop"))
        }
        Fix::DockerUser { port, transport, is_v6 } => {
            let iptables = if *is_v6 { "ip6tables" } else { "iptables" };
            format!(
                "{iptables} -I DOCKER-USER -p {transport} -m conntrack --ctorigdstport {port} \
                 --ctdir ORIGINAL -j DROP"
            )
        }
        Fix::NotStraight { to: Endpoint { address, port }, transport, interface } => {
            let ip = if address.is_ipv4() { "ip" } else { "ip6" };
            let from = interface.as_ref().map(|name| format!("iifname != \"{name}\" "));
            let from = from.unwrap_or_default();
            before_translation(&format!("{from}{ip} daddr {address} {transport} dport {port} drop"))
        }
        Fix::KeepLoopback { interface } => format!(
            "sysctl -w net.ipv4.conf.all.route_localnet=0 net.ipv4.conf.{interface}.route_localnet=0"
        ),
        Fix::BeforeTranslation { port, transport, .. } => {
            let here = "iifname != \"lo\" fib daddr type local";
            before_translation(&format!("{here} {transport} dport {port} drop"))
        }
    }
}

fn before_translation(text: &str) -> String {
    rule("prerouting", "-110", text)
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
