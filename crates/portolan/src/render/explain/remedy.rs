//! Remedies as a command and what it does.

use std::net::IpAddr;

use portolan_core::firewall::{Family, Origin, RulePlace};
use portolan_core::net::Transport;
use portolan_core::reach::DivertingRule;
use portolan_core::socket::{Bind, Container, Process};

use crate::ops::explain::{Action, Remedy};
use crate::render::explain::words::counted;
use crate::render::owner::{container_name, process_names};
use crate::render::shell::operand;

/// The exact command, where there is one, and what it is good for.
pub(super) fn words(remedy: &Remedy) -> (Option<String>, String) {
    let (command, effect) = action(&remedy.action);
    let sudo = if remedy.needs_root { "sudo " } else { "" };
    (command.map(|command| format!("{sudo}{command}")), effect)
}

fn action(action: &Action) -> (Option<String>, String) {
    let with = |command: String, effect: &str| (Some(command), effect.to_owned());
    match action {
        Action::StopUnit { unit, of_user } => with(
            format!("systemctl{} stop {}", if *of_user { " --user" } else { "" }, operand(unit)),
            "stops it; systemd may start it again if it is only killed",
        ),
        Action::StopActivation { unit, service, of_user } => {
            let service =
                service.as_ref().map_or_else(String::new, |name| format!(" {}", operand(name)));
            let user = if *of_user { " --user" } else { "" };
            with(
                format!("systemctl{user} stop {}{service}", operand(unit)),
                "systemd lets go of the port; stopping the service alone does not do that",
            )
        }
        Action::ShowPublisher { runtime, port } => with(
            format!("{runtime} ps --filter publish={port}"),
            "the container behind it; stop that, not the program that stands in for it",
        ),
        Action::ShowRule(rule) => show_rule(rule),
        Action::StopContainer(container) => stop_container(container),
        Action::Kill { port, owners } => (
            Some(format!("portolan kill {port}")),
            format!("stops {}, none of its clients, and proves the port free", names(owners)),
        ),
        Action::KillClients { port, owners } => (
            Some(format!("portolan kill {port} --clients")),
            format!("stops {}, whose connection it is; else wait until it closes", names(owners)),
        ),
        Action::EndReceiver(process) => (
            Some(format!("kill {}", process.pid)),
            format!("ends {}; what is on its way goes with it", process_names([process])),
        ),
        Action::Release(port) => {
            with(format!("portolan reserve {port} --release"), "gives the reservation back")
        }
        Action::KillSockets { port, count } => (
            Some(format!("portolan kill {port} --sockets")),
            format!("ends {} at once; no process is stopped", counted(*count, "connection")),
        ),
        Action::Wait { seconds } => {
            (Some(format!("sleep {seconds}")), format!("after {seconds} s it is free by itself"))
        }
        Action::ReuseAddress => {
            (None, "set SO_REUSEADDR in the server: it was tried and works at once".to_owned())
        }
        Action::ReusePort => {
            (None, "set SO_REUSEPORT in both servers and run them as one user".to_owned())
        }
        Action::SameUser { user } => (None, format!("run the server as the same user, {user}")),
        Action::KeepFromKernel { reserved } => with(
            format!("sysctl -w net.ipv4.ip_local_reserved_ports={reserved}"),
            "no outgoing connection gets this number any more; binding it still works",
        ),
        Action::Pick { near: Some(port) } => {
            with(format!("portolan pick --near {port}"), "another number that is free")
        }
        Action::Pick { near: None } => {
            with("portolan pick".to_owned(), "a free number that the kernel does not give out")
        }
        Action::Who(port) => with(format!("portolan who {port}"), "everything on this port"),
        Action::LinkDown(name) => {
            with(format!("ip link set {} down", operand(name)), "the kernel lets go of the port")
        }
        other => of_obstacle(other),
    }
}

/// What helps where no socket is in the way.
fn of_obstacle(action: &Action) -> (Option<String>, String) {
    let with = |command: String, effect: &str| (Some(command), effect.to_owned());
    match action {
        Action::ActivateSocket(bind) => with(
            format!("systemd-socket-activate -l {} PROGRAM", listen_stream(bind)),
            "socket activation: systemd binds the port and hands it over",
        ),
        Action::GrantCapability => with(
            "setcap cap_net_bind_service=+ep PROGRAM".to_owned(),
            "this one executable may bind low ports; again after each update of it",
        ),
        Action::LowerThreshold(port) => with(
            format!("sysctl -w net.ipv4.ip_unprivileged_port_start={port}"),
            "every program may bind from there on",
        ),
        Action::Redirect { transport, from, to } => with(
            format!(
                "iptables -t nat -I PREROUTING -p {transport} --dport {from} -j REDIRECT --to-port {to}"
            ),
            "the server binds the high port, and traffic from other machines finds it",
        ),
        Action::ShowAddresses => with("ip address".to_owned(), "the addresses that are here"),
        Action::AddAddress(address) => with(
            format!("ip address add {address}/{} dev lo", bits(*address)),
            "if it is this machine's: here on lo, better on the interface it belongs to",
        ),
        Action::BindNonlocal(address) => with(
            format!("sysctl -w net.{}.ip_nonlocal_bind=1", family(*address)),
            "programs may bind addresses that come later, as a failover does",
        ),
        Action::EnableIpv6 => {
            with("sysctl -w net.ipv6.conf.all.disable_ipv6=0".to_owned(), "switches IPv6 on")
        }
        Action::UseIpv4(bind) => with(
            format!("portolan explain 0.0.0.0:{}{}", bind.port, suffix(bind)),
            "bind IPv4 alone",
        ),
        Action::NameZone(bind) => with(
            format!(
                "portolan explain '[{}%{}]:{}{}'",
                bind.address,
                bind.device.as_deref().unwrap_or("eth0"),
                bind.port,
                suffix(bind)
            ),
            "name the interface; `ip link` lists them",
        ),
        Action::ShowEphemeral => with(
            "portolan sockets --ephemeral".to_owned(),
            "who holds them, and how many there are to each destination",
        ),
        Action::WidenRange(range) => with(
            format!("sysctl -w net.ipv4.ip_local_port_range='{} {}'", range.first(), range.last()),
            "more ports to choose from",
        ),
        Action::ShowRefusals => with(
            "journalctl --dmesg --grep 'avc|apparmor|audit' --since -5min".to_owned(),
            "what a security module refused",
        ),
        Action::ShowBindRules => with(
            "systemctl show --property SocketBindAllow,SocketBindDeny UNIT".to_owned(),
            "what the unit of the server may bind",
        ),
        _ => (None, String::new()),
    }
}

fn names(owners: &[Process]) -> String {
    if owners.is_empty() { "whoever holds it".to_owned() } else { process_names(owners) }
}

/// Only nft gives handles, and legacy iptables has a program of its own for what nft does not see.
fn show_rule(rule: &DivertingRule) -> (Option<String>, String) {
    let RulePlace { family, table, chain, index, .. } = &rule.place;
    let (table, chain) = (operand(table), operand(chain));
    if let Some(handle) = rule.handle {
        return (
            Some(format!("nft -a list chain {family} {table} {chain}")),
            format!("shows the rule that diverts the port; it has handle {handle}"),
        );
    }
    let tool = if *family == Family::Ip6 { "ip6tables" } else { "iptables" };
    let legacy = if rule.origin == Origin::IptablesLegacy { "-legacy" } else { "" };
    let number = index.unwrap_or_default() + 1;
    (
        Some(format!("{tool}{legacy} -t {table} -S {chain}")),
        format!("shows the rule that diverts the port: number {number}"),
    )
}

fn stop_container(container: &Container) -> (Option<String>, String) {
    let shown = container_name(container);
    let name = operand(shown);
    let command = match &*container.runtime {
        runtime @ ("docker" | "podman" | "nerdctl") => Some(format!("{runtime} stop {name}")),
        "containerd" => Some(format!("nerdctl stop {name}")),
        "lxc" => Some(format!("lxc-stop --name {name}")),
        "nspawn" => Some(format!("machinectl poweroff {name}")),
        _ => None,
    };
    (command, format!("stops the container {shown} ({}) that holds it", container.runtime))
}

/// systemd's way to write a place: `80`, `127.0.0.1:80`, `[::1]:80`.
fn listen_stream(bind: &Bind) -> String {
    match bind.address.is_unspecified() {
        true => bind.port.to_string(),
        false => bind.socket_address().to_string(),
    }
}

fn suffix(bind: &Bind) -> String {
    match bind.transport {
        Transport::Tcp => String::new(),
        other => format!("/{other}"),
    }
}

const fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

const fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ipv4" } else { "ipv6" }
}
