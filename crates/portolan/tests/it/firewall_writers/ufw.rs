//! ufw on iptables-nft.

use super::{HOST, HOST6, NEAR, NEAR6, Scene, Shell, inside, is_installed, tcp, udp};
use crate::support::{Program, require_root, skip};

const FAR: &str = "192.0.2.66";

/// ufw with its own /etc/ufw, switched on.
pub(super) fn start(scene: &Scene) -> Shell {
    scene.shell(PROLOGUE)
}

pub(super) const PROLOGUE: &str = "cp -a /etc/ufw etc-ufw && cp /etc/default/ufw default-ufw && \
     mount --bind etc-ufw /etc/ufw && mount --bind default-ufw /etc/default/ufw && \
     ufw --force enable && ufw default deny incoming";

#[test]
fn what_ufw_lets_in_is_told_as_packets_find_it() {
    require_root!();
    if !is_installed("ufw") {
        skip!("ufw is not installed");
    }
    let scene = Scene::new();
    let mut shell = start(&scene);
    for words in [
        "allow 22/tcp",
        "limit 2222/tcp",
        "allow from 192.0.2.9 to any port 5432 proto tcp",
        "deny 8080",
        "reject 25/tcp",
        "allow 60000:60010/udp",
        "allow in on eth0 to any port 443,8443 proto tcp",
        "allow log 3000/tcp",
        "allow in on eth1 to any port 3001 proto tcp",
    ] {
        shell.does(&format!("ufw {words}"));
    }
    let _services = scene.services(
        &[22, 25, 443, 2222, 3000, 3001, 5432, 8080, 8443, 9999],
        &[8080, 60000, 60010, 60011],
    );
    let told = scene.agree(&[
        tcp(NEAR, 22, "accept"),
        tcp(NEAR6, 22, "accept"),
        tcp(NEAR, 2222, "accept"),
        tcp(NEAR, 5432, "accept"),
        tcp(FAR, 5432, "drop"),
        tcp(NEAR6, 5432, "drop"),
        tcp(NEAR, 8080, "drop"),
        udp(NEAR, 8080, "drop"),
        tcp(NEAR, 25, "reject"),
        tcp(NEAR6, 25, "reject"),
        udp(NEAR, 60000, "accept"),
        udp(NEAR6, 60010, "accept"),
        udp(NEAR, 60011, "drop"),
        tcp(NEAR, 443, "accept"),
        tcp(NEAR6, 8443, "accept"),
        tcp(NEAR, 3000, "accept"),
        tcp(NEAR, 3001, "drop"),
        tcp(NEAR, 9999, "drop"),
    ]);
    // The limit alone keeps anything open.
    for (index, told) in told.iter().enumerate() {
        let depends = told["depends_on"].as_array().map_or(0, Vec::len);
        assert_eq!(depends > 0, index == 2, "{told:#}");
    }
    assert_eq!(told[6]["decided_by"]["chain"], "ufw-user-input");
    let text = told[6]["decided_by"]["text"].as_str().unwrap_or_default();
    assert_eq!(text, "-A ufw-user-input -p tcp -m tcp --dport 8080 -j DROP");
}

const BESIDE: &str = r#"portolan = 1
[hosts.host]
address = ["192.0.2.1", "2001:db8::1"]
[services.open]
on = "host"
ports = "80/tcp"
from = "any"
[services.new]
on = "host"
ports = ["9000/tcp", "9001/tcp"]
from = "any"
[services.limited]
on = "host"
ports = "2222/tcp"
from = "192.0.2.0/24"
"#;

/// What ufw refuses of a policy loaded beside it is told by packets that can come: to an address of this
/// machine, by the interface to the sender. Sent, they do not arrive; without ufw they do.
#[test]
fn what_ufw_refuses_of_the_policy_is_told_by_packets_that_can_be_sent() {
    require_root!();
    if !is_installed("ufw") {
        skip!("ufw is not installed");
    }
    let scene = Scene::new();
    // Another link, by which none of these can come; ufw-not-local would refuse what comes by it.
    scene.host.ip("link add docker0 type veth peer name p0");
    scene.host.ip("address add 172.17.0.1/16 dev docker0");
    scene.host.ip("link set docker0 up");
    scene.host.ip("route add default via 192.0.2.9");
    scene.host.ip("-6 route add default via 2001:db8::9");
    let mut shell = start(&scene);
    for words in ["allow 80/tcp", "limit 2222/tcp", "deny 9001"] {
        shell.does(&format!("ufw {words}"));
    }
    let path = scene.folder.path().join("portolan.toml");
    std::fs::write(&path, BESIDE).unwrap();
    let ask = |line: &str| {
        let line = format!("firewall {line} --host host --inventory {}", path.display());
        Program::line(&line).inside(&scene.host).run().expect_code(0)
    };
    scene.host.rules(&ask("compile").stdout);
    let document = ask("prove --live --json").json();
    let rows = document["refused_by_others"].as_array().unwrap();
    let _services = scene.services(&[80, 2222, 9000, 9001], &[]);
    let reached = |row: &serde_json::Value| {
        let witness = &row["witness"];
        let text = |key: &str| witness[key].as_str().unwrap().to_owned();
        assert!([HOST, HOST6].contains(&&*text("dst")) && text("in") == "eth0", "{row:#}");
        let (source, length) = (text("src"), if text("src").contains(':') { 128 } else { 32 });
        scene.outside.ip(&format!("address replace {source}/{length} dev eth0"));
        let (to, port) = (text("dst"), &witness["dport"]);
        let script = format!(
            "import time; time.sleep(.2)\ns = socket.socket(socket.AF_INET6 if ':' in {to:?} else socket.AF_INET)\n\
             s.settimeout(1); s.bind(({source:?}, 0)); print(s.connect_ex(({to:?}, {port})) == 0)"
        );
        scene.outside.python(&script).said == "True"
    };
    let services: Vec<&str> = rows.iter().map(|row| row["service"].as_str().unwrap()).collect();
    assert_eq!(services, ["limited", "new", "new", "new", "new"], "{document:#}");
    for row in rows {
        // The limit refuses whoever comes too often, and says so.
        let answers = row["given"].as_array().unwrap();
        assert_eq!(answers.is_empty(), row["service"] == "new", "{row:#}");
        assert_eq!(reached(row), row["service"] == "limited", "{row:#}");
    }
    shell.does("ufw disable");
    assert!(rows.iter().all(reached), "nobody else refuses them");
}

/// What `ufw-framework(8)` tells who wants a port sent on: a table of nat before the rules.
const SENT_ON: &str = "sed -i '1i *nat\\n:PREROUTING ACCEPT [0:0]\\n\
     -A PREROUTING -i eth0 -p tcp --dport 8088 -j DNAT --to-destination 10.20.0.2:80\\n\
     -A PREROUTING -i eth0 -p tcp --dport 8089 -j DNAT --to-destination 10.20.0.2:81\\nCOMMIT' \
     /etc/ufw/before.rules && ufw --force reload";

#[test]
fn what_ufw_passes_on_is_told_as_packets_find_it() {
    require_root!();
    if !is_installed("ufw") {
        skip!("ufw is not installed");
    }
    let scene = Scene::new();
    let (_inner, _behind) = scene.inner(&[80, 81, 82, 83]);
    let mut shell = start(&scene);
    for words in [
        "default deny routed",
        "route allow in on eth0 out on in0 to 10.20.0.2 port 80 proto tcp",
        "route allow in on eth0 out on in0 to fd20::2 port 80 proto tcp",
        "route insert 1 deny in on eth0 from 192.0.2.66",
        "route reject in on eth0 to 10.20.0.2 port 82 proto tcp",
        "route allow proto tcp from 198.51.100.7 to 10.20.0.2 port 83",
        "limit 22/tcp",
        "limit in on eth0 from 192.0.2.0/24 to any port 2222 proto tcp",
        "allow proto tcp from 192.0.2.0/24 to 192.0.2.1 port 5000:5002,5009",
    ] {
        shell.does(&format!("ufw {words}"));
    }
    shell.does(SENT_ON);
    scene.host.set("net/ipv4/ip_forward", 1);
    scene.host.set("net/ipv6/conf/all/forwarding", 1);
    let _services = scene.services(&[22, 2222, 5000, 5002, 5003, 5009, 8088, 8089], &[]);
    let away = "198.51.100.7";
    let told = scene.agree(&[
        inside(NEAR, 80, "accept"),
        inside(NEAR6, 80, "accept"),
        inside(FAR, 80, "drop"),
        inside(away, 80, "accept"),
        inside(NEAR, 81, "drop"),
        inside(NEAR6, 81, "drop"),
        inside(NEAR, 82, "reject"),
        inside(FAR, 82, "drop"),
        inside(NEAR, 83, "drop"),
        inside(away, 83, "accept"),
        // Sent on, and then asked of the rules for what is passed on alone.
        tcp(NEAR, 8088, "accept"),
        tcp(FAR, 8088, "drop"),
        tcp(away, 8088, "accept"),
        tcp(NEAR6, 8088, "drop"),
        tcp(NEAR, 8089, "drop"),
        tcp(NEAR, 22, "accept"),
        tcp(NEAR6, 22, "accept"),
        tcp(FAR, 2222, "accept"),
        tcp(away, 2222, "drop"),
        tcp(NEAR, 5000, "accept"),
        tcp(NEAR, 5002, "accept"),
        tcp(NEAR, 5003, "drop"),
        tcp(NEAR, 5009, "accept"),
        tcp(away, 5009, "drop"),
        tcp(NEAR6, 5009, "drop"),
    ]);
    // Six in half a minute are too many: the limits, and nothing else, keep answers open.
    for (index, told) in told.iter().enumerate() {
        let depends = told["depends_on"].as_array().map_or(0, Vec::len);
        assert_eq!(depends > 0, (15..18).contains(&index), "{index}: {told:#}");
    }
}
