//! Ports that rules of others send on to somebody behind this machine: cut unless they are declared, told
//! beforehand, and it is so.

use serde_json::Value;

use crate::support::{Netns, Server, require_root};

use super::stage::{OPEN, SSH, Stage};

/// A stage with a container behind it, whose port 80 is published as 8080.
fn published() -> (Stage, Netns, Server) {
    let (stage, behind) = (Stage::new(), Netns::new());
    stage.here.set("net/ipv4/ip_forward", 1);
    stage.here.ip(&format!("link add br0 type veth peer name eth0 netns {}", behind.name()));
    stage.here.ip("address add 172.17.0.1/24 dev br0");
    stage.here.ip("link set br0 up");
    behind.ip("address add 172.17.0.2/24 dev eth0");
    behind.ip("link set eth0 up");
    behind.ip("route add default via 172.17.0.1");
    stage.nft(
        "table ip publishes { chain pre { type nat hook prerouting priority dstnat
            fib daddr type local tcp dport 8080 dnat to 172.17.0.2:80
        }; }",
    );
    let server = behind.listen("0.0.0.0:80");
    (stage, behind, server)
}

fn sent_on(plan: &Value) -> Vec<(u64, &str)> {
    let rows = plan["cut"].as_array().unwrap().iter();
    let rows = rows.filter_map(|row| Some((row["port"].as_u64()?, row["sent_to"].as_str()?)));
    rows.collect()
}

#[test]
fn a_published_port_that_nobody_declared_is_told_and_cut() {
    require_root!();
    for forward in ["keep", "drop"] {
        let (stage, _behind, _server) = published();
        assert!(stage.reaches(8080));
        let head = "address = [\"192.0.2.2\"]";
        let open = OPEN.replace(head, &format!("{head}\nfirewall = {{ forward = \"{forward}\" }}"));
        let plan = stage.apply(&open, "--dry-run --json").run().expect_code(0).json();
        assert_eq!(sent_on(&plan), [(8080, "172.17.0.2:80")], "{forward}: {plan}");
        let said = stage.apply(&open, "--dry-run").run().expect_code(0).stdout;
        let wanted = "nobody outside will reach:\n  0.0.0.0:8080/tcp  sent on to 172.17.0.2:80\n";
        assert!(said.contains(wanted), "{said}");
        stage.apply(&open, "--detach --timeout 10m").run().expect_code(0);
        assert!(!stage.reaches(8080), "{forward}");
        stage.firewall("rollback", SSH).run().expect_code(0);
        assert!(stage.reaches(8080), "{forward}");

        let declared = "[services.app]\non = [\"box\"]\nports = [\"8080/tcp\"]\nfrom = [\"any\"]\n";
        let open = format!("{open}{declared}");
        let plan = stage.apply(&open, "--dry-run --json").run().expect_code(0).json();
        assert!(sent_on(&plan).is_empty(), "{forward}: {plan}");
        stage.apply(&open, "--detach --timeout 10m").run().expect_code(0);
        assert!(stage.reaches(8080), "{forward}");
        stage.firewall("rollback", SSH).run().expect_code(0);
    }
}

/// With `forward = "accept"` nothing that is passed on is refused, and none of it is told as cut.
#[test]
fn what_is_not_restricted_is_not_told_as_cut() {
    require_root!();
    let (stage, _behind, _server) = published();
    let head = "address = [\"192.0.2.2\"]";
    let open = OPEN.replace(head, &format!("{head}\nfirewall = {{ forward = \"accept\" }}"));
    let plan = stage.apply(&open, "--dry-run --json").run().expect_code(0).json();
    assert!(sent_on(&plan).is_empty(), "{plan}");
    stage.apply(&open, "--detach --timeout 10m").run().expect_code(0);
    assert!(stage.reaches(8080));
    stage.firewall("rollback", SSH).run().expect_code(0);
}
