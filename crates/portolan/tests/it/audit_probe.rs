//! `portolan audit --probe`: the inventory's other hosts, asked over a real link.

use std::fs;

use serde_json::Value;

use crate::support::{Netns, Program, Ran, require_root};

/// Two machines on one link: `here` with 10.91.0.1 asks, `db` with 10.91.0.2 is asked.
struct Site {
    here: Netns,
    db: Netns,
    folder: tempfile::TempDir,
}

impl Site {
    /// With these services, all of them on `db`.
    fn new(services: &str) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let (here, db) = (Netns::new(), Netns::new());
        here.ip(&format!("link add wire type veth peer name wire netns {}", db.name()));
        for (end, number) in [(&here, 1), (&db, 2)] {
            end.ip(&format!("addr add 10.91.0.{number}/24 dev wire"));
            end.ip(&format!("addr add fd91::{number}/64 dev wire nodad"));
            end.ip("link set wire up");
        }
        let everyone = fs::Permissions::from_mode(0o755);
        let folder = tempfile::Builder::new().permissions(everyone).tempdir().expect("a folder");
        let inventory = format!("{SITE}{services}");
        fs::write(folder.path().join("portolan.toml"), inventory).expect("it can be written");
        Self { here, db, folder }
    }

    fn program(&self, line: &str) -> Program {
        Program::line(&format!("audit --host here --probe {line}"))
            .inside(&self.here)
            .folder(self.folder.path())
    }

    fn audit(&self, line: &str) -> Ran {
        self.program(line).run()
    }
}

const SITE: &str = r#"portolan = 1
[networks]
lan = ["10.91.0.0/24", "fd91::/64"]
elsewhere = "10.92.0.0/24"
[hosts.here]
address = ["10.91.0.1"]
[hosts.db]
address = ["10.91.0.2", "fd91::2"]
"#;

/// A service on `db` with this port, for `from`.
fn service(name: &str, port: &str, from: &str) -> String {
    format!(
        "[services.{name}]\non = [\"db\"]\nports = [\"{port}\"]\nfrom = [\"{from}\"]\n\
         approved = {{ by = \"ann\", on = 2026-01-01 }}\n"
    )
}

/// The findings as `RULE SUBJECT`, in their order.
fn found(document: &Value) -> Vec<String> {
    let findings = document["findings"].as_array().expect("findings").iter();
    let word = |v: &Value| v.as_str().expect("a string").to_owned();
    findings
        .map(|f| format!("{} {} {}", word(&f["rule"]), word(&f["host"]), word(&f["subject"])))
        .collect()
}

/// As root and as a user without any right, who must see the same.
fn both(site: &Site) -> [Value; 2] {
    let root = site.audit("--json").json();
    let user = site.program("--json").by_user(65534).run().json();
    assert_eq!(found(&root), found(&user));
    assert_eq!(root["probe"]["engine"], "raw");
    assert_eq!(user["probe"]["engine"], "connect");
    [root, user]
}

#[test]
fn a_service_of_another_host_that_does_not_listen_is_missed_from_here() {
    require_root!();
    let services = service("sql", "5432/tcp", "lan") + &service("web", "80/tcp", "lan");
    let site = Site::new(&services);
    let _web = site.db.listen("0.0.0.0:80");
    for document in both(&site) {
        assert_eq!(found(&document), ["P102 db 5432/tcp"], "{document:#}");
        let evidence = document["findings"][0]["evidence"].to_string();
        assert!(
            evidence.contains("probe from 10.91.0.1: 10.91.0.2:5432/tcp closed (refused)"),
            "{evidence}"
        );
        assert_eq!(document["probe"]["hosts"], 1);
        assert_eq!(document["probe"]["ports"], 4);
    }
    let _sql = site.db.listen("[::]:5432");
    site.audit("").expect_code(0);
}

#[test]
fn a_port_open_to_us_that_is_for_others_is_a_finding_with_a_lasting_id() {
    require_root!();
    let site = Site::new(&service("sql", "5432/tcp", "elsewhere"));
    let _sql = site.db.listen("0.0.0.0:5432");
    let [first, second] = both(&site);
    assert_eq!(found(&first), ["P115 db 5432/tcp"], "{first:#}");
    assert_eq!(first["findings"][0]["severity"], "high");
    assert_eq!(first["findings"][0]["id"], second["findings"][0]["id"]);
    let text = site.audit("").expect_code(1).stdout;
    assert!(text.contains("high  db 5432/tcp  P115"), "{text}");

    let id = first["findings"][0]["id"].as_str().expect("an id");
    let accept = format!("accept {id} --reason known");
    site.audit(&accept).expect_code(0);
    site.audit("").expect_code(0);
}

#[test]
fn a_firewall_that_drops_or_refuses_what_may_come_is_told_with_who_said_so() {
    require_root!();
    let site = Site::new(&(service("a", "8001/tcp", "lan") + &service("b", "8002/tcp", "lan")));
    let _both = site.db.python("listener('0.0.0.0:8001'); listener('0.0.0.0:8002')");
    site.db.output("nft add table inet t");
    site.db.output("nft add chain inet t in { type filter hook input priority 0 ; }");
    site.db.output("nft add rule inet t in tcp dport 8001 drop");
    site.db.output("nft add rule inet t in tcp dport 8002 reject with icmpx admin-prohibited");
    for document in both(&site) {
        assert_eq!(found(&document), ["P102 db 8001/tcp", "P102 db 8002/tcp"], "{document:#}");
        let evidence = |i: usize| document["findings"][i]["evidence"].to_string();
        assert!(evidence(0).contains("filtered (timed out)"), "{}", evidence(0));
        assert!(evidence(1).contains("filtered (icmp-3-13)"), "{}", evidence(1));
    }
}

#[test]
fn silence_of_udp_is_a_gap_and_a_refusal_is_a_finding() {
    require_root!();
    let services = service("tunnel", "51820/udp", "lan") + &service("gone", "51821/udp", "lan");
    let site = Site::new(&services);
    let _mute = site.db.python("datagram('0.0.0.0:51820'); datagram('[fd91::2]:51820')");
    for document in both(&site) {
        assert_eq!(found(&document), ["P102 db 51821/udp"], "{document:#}");
        let gaps = document["gaps"].to_string();
        assert!(gaps.contains("51820/udp of db") && !gaps.contains("51821"), "{gaps}");
    }
}

#[test]
fn what_is_retired_or_must_never_be_reachable_and_answers_is_told() {
    require_root!();
    let retired = service("old", "2323/tcp", "lan") + "status = \"retired\"\n";
    let never = "[[never]]\nports = [\"6379/tcp\"]\nfrom = [\"lan\"]\n";
    let site = Site::new(&(retired + never));
    let _servers = site.db.python("listener('0.0.0.0:2323'); listener('0.0.0.0:6379')");
    for document in both(&site) {
        assert_eq!(found(&document), ["P122 db 6379/tcp", "P118 db 2323/tcp"], "{document:#}");
    }
}

#[test]
fn a_host_that_is_not_to_be_probed_is_left_alone_and_told_of() {
    require_root!();
    let site = Site::new(&service("sql", "5432/tcp", "lan"));
    let file = site.folder.path().join("portolan.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"fd91::2\"]", "\"fd91::2\"]\nprobe = \"never\"")).unwrap();
    let document = site.audit("--json").expect_code(0).json();
    assert!(found(&document).is_empty(), "{document:#}");
    let gaps = document["gaps"].as_array().expect("a list");
    assert!(gaps.iter().any(|gap| gap["why"] == "not-looked"), "{document:#}");
    assert_eq!(document["probe"]["ports"], 0);
}

#[test]
fn a_machine_that_is_in_no_inventory_can_be_a_vantage() {
    require_root!();
    let site = Site::new(&service("sql", "5432/tcp", "lan"));
    site.here.ip("addr add 10.91.0.77/24 dev wire");
    site.here.ip("addr del 10.91.0.1/24 dev wire");
    let run = |line: &str| {
        Program::line(line)
            .through(["unshare", "--uts", "sh", "-c", "hostname pt-laptop; exec \"$@\"", "sh"])
            .inside(&site.here)
            .folder(site.folder.path())
            .run()
    };
    run("audit").expect_code(2);
    let document = run("audit --probe --only db --json").expect_code(1).json();
    assert_eq!(found(&document), ["P102 db 5432/tcp"], "{document:#}");
    assert!(document["notes"][0].as_str().unwrap().contains("none of the inventory's hosts"));
    run("audit --probe --only nobody").expect_code(2);
}
