//! ufw on iptables-nft.

use super::{NEAR, NEAR6, Scene, Shell, is_installed, tcp, udp};
use crate::support::{require_root, skip};

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
