//! firewalld on nftables and on iptables with ipsets: zones, rich rules, forward ports.

use super::{NEAR, NEAR6, Probe, Scene, Shell, is_installed, tcp, udp};
use crate::support::{require_root, skip};

const OTHER: &str = "192.0.2.66";
const DROPPED: &str = "198.51.100.7";

/// firewalld with a message bus of its own.
fn start(scene: &Scene, backend: &str) -> Shell {
    scene.shell(&format!(
        "cp -a /etc/firewalld etc && mount --bind etc /etc/firewalld && mkdir -p /run/dbus && \
         sed -i 's/^FirewallBackend=.*/FirewallBackend={backend}/' etc/firewalld.conf && \
         cat > bus.conf <<'END'\n{BUS}\nEND\n\
         dbus-daemon --config-file=$PWD/bus.conf --nofork --nopidfile >bus.log 2>&1 & \
         for i in $(seq 50); do [ -S /run/dbus/system_bus_socket ] && break; sleep 0.1; done; \
         firewalld --nofork --nopid >firewalld.log 2>&1 & \
         for i in $(seq 100); do firewall-cmd --state >/dev/null 2>&1 && break; sleep 0.1; done; \
         firewall-cmd --state"
    ))
}

const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>
<auth>EXTERNAL</auth><policy context="default"><allow user="*"/><allow own="*"/>
<allow send_type="method_call"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>"#;

const ZONES: &[&str] = &[
    "--zone=public --add-interface=eth0",
    "--zone=trusted --add-source=192.0.2.77",
    "--zone=public --add-port=8080/tcp --add-port=6000-6010/udp",
    "--zone=public --add-rich-rule='rule family=ipv4 source address=192.0.2.9 port port=5432 protocol=tcp accept'",
    "--zone=public --add-rich-rule='rule family=ipv4 source address=192.0.2.66 port port=8080 protocol=tcp reject type=icmp-admin-prohibited'",
    "--zone=public --add-rich-rule='rule priority=-10 family=ipv4 source NOT address=192.0.2.0/25 service name=http log prefix=http level=info limit value=2/m drop'",
    "--zone=public --add-rich-rule='rule priority=5 port port=80 protocol=tcp accept'",
    "--new-ipset=bad --type=hash:net",
    "--ipset=bad --add-entry=198.51.100.0/24",
    "--zone=drop --add-source=ipset:bad",
    "--zone=public --add-forward-port=port=8443:proto=tcp:toport=443",
    "--zone=public --add-rich-rule='rule port port=443 protocol=tcp accept'",
];

const PROBES: &[(&str, &str, u16, &str)] = &[
    ("tcp", NEAR, 22, "accept"),
    ("tcp", NEAR6, 22, "accept"),
    ("tcp", NEAR, 8080, "accept"),
    ("tcp", NEAR6, 8080, "accept"),
    ("tcp", OTHER, 8080, "reject"),
    ("tcp", DROPPED, 8080, "drop"),
    ("tcp", DROPPED, 22, "drop"),
    ("tcp", NEAR, 5432, "accept"),
    ("tcp", OTHER, 5432, "reject"),
    ("tcp", NEAR6, 5432, "reject"),
    ("tcp", NEAR, 80, "accept"),
    ("tcp", NEAR6, 80, "accept"),
    ("tcp", DROPPED, 80, "drop"),
    ("tcp", NEAR, 8443, "accept"),
    ("udp", NEAR, 6000, "accept"),
    ("udp", NEAR6, 6010, "accept"),
    ("udp", NEAR, 6011, "reject"),
    ("tcp", NEAR, 9999, "reject"),
];

fn probes() -> Vec<Probe> {
    let probe = |&(transport, from, port, expected): &(&str, _, _, _)| match transport {
        "tcp" => tcp(from, port, expected),
        _ => udp(from, port, expected),
    };
    PROBES.iter().map(probe).collect()
}

fn zones_are_told_as_packets_find_them(backend: &str) {
    let scene = Scene::new();
    let mut shell = start(&scene, backend);
    for words in ZONES {
        shell.does(&format!("firewall-cmd --permanent {words}"));
    }
    shell.does("firewall-cmd --set-log-denied=all");
    shell.does("firewall-cmd --reload");
    let _services = scene.services(&[22, 80, 443, 5432, 8080, 8443, 9999], &[6000, 6010, 6011]);
    for told in scene.agree(&probes()) {
        assert_eq!(told["depends_on"].as_array().map_or(0, Vec::len), 0, "{told:#}");
    }
}

#[test]
fn zones_and_rich_rules_of_firewalld_are_told_as_packets_find_them() {
    require_root!();
    if !is_installed("firewalld") || !is_installed("dbus-daemon") {
        skip!("firewalld or dbus-daemon is not installed");
    }
    zones_are_told_as_packets_find_them("nftables");
}

#[test]
fn zones_of_firewalld_on_iptables_with_ipsets_are_told_as_packets_find_them() {
    require_root!();
    if !is_installed("firewalld") || !is_installed("dbus-daemon") || !is_installed("ipset") {
        skip!("firewalld, dbus-daemon or ipset is not installed");
    }
    zones_are_told_as_packets_find_them("iptables");
}
