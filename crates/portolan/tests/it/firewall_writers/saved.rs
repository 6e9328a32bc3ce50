//! Files of what tools wrote, without the machine: JSON of nft, saved rules of iptables, addresses and
//! routes. Nothing that only one of them knows is passed over.

use std::fs;

use crate::support::repository::root;
use crate::support::{Program, Ran};

/// Asks what becomes of a packet from outside to a port of the host that Docker and ufw share.
fn simulate(port: u16, files: &[&str]) -> Ran {
    let line = format!("firewall simulate tcp 203.0.113.5:40000 192.0.2.1:{port} --in eth0 --json");
    files.iter().fold(Program::line(&line), |program, file| program.arg("--rules").arg(file)).run()
}

fn kept(name: &str) -> String {
    let folder = root().join("crates/portolan-core/tests/data/firewall/docker-ufw");
    folder.join(name).display().to_string()
}

#[test]
fn what_nft_only_names_is_an_error_until_the_saved_rules_are_given_too() {
    let (nft, save, save6) = (kept("nft.json"), kept("iptables-save"), kept("ip6tables-save"));
    let alone = simulate(8080, &[&nft]).expect_code(2);
    assert!(alone.stderr.contains("ip nat DOCKER rule 2"), "{}", alone.stderr);
    assert!(alone.stderr.contains("iptables-save"), "{}", alone.stderr);
    let half = simulate(8080, &[&nft, &save]).expect_code(2);
    assert!(half.stderr.contains("ip6 filter"), "{}", half.stderr);
    let whole = simulate(22, &[&nft, &save, &save6]).expect_code(0).json();
    assert_eq!(whole["verdict"], "accept");
    assert_eq!(whole["depends_on"].as_array().map(Vec::len), Some(0));
    // The order in which files are named does not matter.
    assert_eq!(simulate(22, &[&save6, &save, &nft]).expect_code(0).json(), whole);
}

#[test]
fn a_saved_file_that_says_a_table_is_incompatible_is_an_error_with_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("save");
    fs::write(&file, "# Table `filter' is incompatible, use 'nft' tool.\n").unwrap();
    let file = file.display().to_string();
    let ran = simulate(22, &[&file]).expect_code(2);
    assert!(ran.stderr.contains("save:1:1"), "{}", ran.stderr);
    assert!(ran.stderr.contains("table filter"), "{}", ran.stderr);
}

#[test]
fn broken_saved_files_are_refused_with_the_line() {
    let whole = fs::read_to_string(kept("iptables-save")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("save");
    let refused = |text: &str, line: usize| {
        fs::write(&file, text).unwrap();
        let ran = simulate(22, &[&file.display().to_string()]).expect_code(2);
        assert!(ran.stderr.contains(&format!("save:{line}:")), "{}", ran.stderr);
        assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    };
    let at = |what: &str| whole[..whole.find(what).unwrap()].lines().count();
    refused(&whole[..whole.find("-A ufw-before-input").unwrap()], at("-A ufw-before-input"));
    refused(
        &whole.replacen(" -j ufw-user-input", " -j\nufw-user-input", 1),
        at(" -j ufw-user-input"),
    );
    refused(&whole.replacen(":ufw-user-input - [0:0]\n", "", 1), at("-j ufw-user-input") - 1);
    let circle = whole.replacen(
        "-A ufw-user-input",
        "-A ufw-user-input -j ufw-before-input\n-A ufw-user-input",
        1,
    );
    refused(&circle, at("-A ufw-user-input") + 1);
}

/// ufw denies 8080, and is never asked: the packet goes on to the container.
#[test]
fn a_published_port_goes_around_ufw_also_in_files() {
    let files = [kept("nft.json"), kept("iptables-save"), kept("ip6tables-save")];
    let world = ["ip-addr.json", "ip-route.json", "ip-6route.json"].map(kept);
    let ask = |from: &str, to: &str, port: u16| {
        let line = format!("firewall simulate tcp {from} {to}:{port} --in eth0 --json");
        let program = files.iter().fold(Program::line(&line), |p, file| p.arg("--rules").arg(file));
        let program = world.iter().fold(program, |p, file| p.arg("--world").arg(file));
        program.run().json()
    };
    let published = ask("203.0.113.5:40000", "192.0.2.1", 8080);
    assert_eq!(published["verdict"], "accept");
    assert_eq!(published["decided_by"]["chain"], "DOCKER");
    assert!(!published["trace"].to_string().contains("ufw-user-input"), "{published:#}");
    // Taken the same way as over IPv6, where docker-proxy listens here.
    let v6 = ask("[2001:db8::9]:40000", "[2001:db8::1]", 8080);
    assert_eq!(v6["verdict"], "drop");
    assert_eq!(v6["decided_by"]["chain"], "ufw6-user-input");
    // Published on loopback, and inside an internal network.
    for port in [8081, 8082] {
        assert_eq!(ask("203.0.113.5:40000", "192.0.2.1", port)["verdict"], "drop");
    }
}
