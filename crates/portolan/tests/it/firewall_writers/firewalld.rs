//! firewalld on nftables and on iptables with ipsets: zones, rich rules, forward ports.

use super::{NEAR, NEAR6, Probe, Scene, Shell, inside, is_installed, tcp, udp};
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

/// The host is a router between two zones, and policies say what goes from one to the other.
const POLICIES: &[&str] = &[
    "--zone=public --add-interface=eth0",
    "--zone=internal --add-interface=in0",
    "--zone=work --add-source=192.0.2.66",
    "--zone=work --add-port=9000/tcp",
    "--new-policy=inwards",
    "--policy=inwards --add-ingress-zone=public",
    "--policy=inwards --add-egress-zone=internal",
    "--policy=inwards --add-port=80/tcp",
    "--policy=inwards --add-rich-rule='rule family=ipv4 source address=198.51.100.7 port port=81 protocol=tcp accept'",
    "--policy=inwards --add-rich-rule='rule family=ipv4 source address=198.51.100.7 port port=80 protocol=tcp drop'",
    "--new-policy=workers",
    "--policy=workers --add-ingress-zone=work",
    "--policy=workers --add-egress-zone=internal",
    "--policy=workers --set-target=ACCEPT",
    "--policy=workers --add-rich-rule='rule family=ipv4 priority=-5 source address=192.0.2.66 port port=83 protocol=tcp drop'",
    "--new-policy=hosts",
    "--policy=hosts --add-ingress-zone=public",
    "--policy=hosts --add-egress-zone=HOST",
    "--policy=hosts --set-priority=-10",
    "--policy=hosts --add-rich-rule='rule family=ipv4 source address=192.0.2.9 port port=9100 protocol=tcp accept'",
    "--policy=hosts --add-rich-rule='rule port port=9101 protocol=tcp drop'",
    "--zone=public --add-port=9101-9102/tcp",
    "--zone=public --add-forward-port=port=8088:proto=tcp:toport=80:toaddr=10.20.0.2",
    "--zone=public --add-forward-port=port=8089:proto=tcp:toport=82:toaddr=10.20.0.2",
    "--zone=public --add-rich-rule='rule family=ipv4 destination address=192.0.2.1 port port=9103 protocol=tcp accept limit value=9/m'",
];

fn policies_are_told_as_packets_find_them(backend: &str) {
    let scene = Scene::new();
    let (_inner, _behind) = scene.inner(&[80, 81, 82, 83]);
    let mut shell = start(&scene, backend);
    for words in POLICIES {
        shell.does(&format!("firewall-cmd --permanent {words}"));
    }
    shell.does("firewall-cmd --reload");
    let _services = scene.services(&[8088, 8089, 9000, 9100, 9101, 9102, 9103, 9999], &[]);
    let told = scene.agree(&[
        inside(NEAR, 80, "accept"),
        inside(NEAR6, 80, "accept"),
        inside(DROPPED, 80, "drop"),
        inside(DROPPED, 81, "accept"),
        inside(NEAR, 81, "reject"),
        inside(NEAR6, 81, "reject"),
        inside(OTHER, 81, "accept"),
        inside(OTHER, 82, "accept"),
        inside(OTHER, 83, "drop"),
        tcp(NEAR, 8088, "accept"),
        tcp(DROPPED, 8088, "accept"),
        tcp(NEAR6, 8088, "reject"),
        tcp(OTHER, 8088, "reject"),
        tcp(NEAR, 8089, "accept"),
        tcp(OTHER, 9000, "accept"),
        tcp(NEAR, 9000, "reject"),
        tcp(NEAR6, 9000, "reject"),
        tcp(NEAR, 9100, "accept"),
        tcp(OTHER, 9100, "reject"),
        tcp(NEAR, 9101, "drop"),
        tcp(NEAR6, 9101, "drop"),
        tcp(NEAR, 9102, "accept"),
        tcp(NEAR6, 9102, "accept"),
        tcp(OTHER, 9102, "reject"),
        tcp(NEAR, 9999, "reject"),
        tcp(NEAR, 9103, "accept"),
        tcp(NEAR6, 9103, "reject"),
    ]);
    for (index, told) in told.iter().enumerate() {
        let depends = told["depends_on"].as_array().map_or(0, Vec::len);
        assert_eq!(depends > 0, index == 25, "{index}: {told:#}");
    }
}

#[test]
fn policies_between_zones_of_firewalld_are_told_as_packets_find_them() {
    require_root!();
    if !is_installed("firewalld") || !is_installed("dbus-daemon") {
        skip!("firewalld or dbus-daemon is not installed");
    }
    policies_are_told_as_packets_find_them("nftables");
}
