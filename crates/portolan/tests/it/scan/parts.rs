//! A scan in parts: shards, seeds, and going on after it was killed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::lab::{Lab, responder};
use crate::support::scan::{Engine, Scanned, each, ports};
use crate::support::{Server, eventually, require_root};

/// Eight addresses behind the router, five of which are there: 80 and 443 open, the rest closed.
const NETWORK: &str = "10.79.0.0/29";

fn network(lab: &Lab) -> Server {
    lab.rtr.ip("route add 10.79.0.0/16 via 10.78.0.2");
    let hosts: Vec<_> = (1..6).map(|host| [10, 79, 0, host].into()).collect();
    responder(&lab.dst, &hosts, "yield from host_like(p, [80, 443])")
}

#[test]
fn three_shards_are_the_whole_and_share_nothing() {
    require_root!();
    each(|engine| {
        let lab = Lab::new();
        let _hosts = network(&lab);
        let scan =
            |part: &str| engine.scan(&lab.src, &format!("{NETWORK} -p 1-50,443 --seed 7{part}"));
        let whole = scan("");
        assert_eq!(whole.ports.len(), 8 * 51);
        let shards = [" --shard 1/3", " --shard 2/3", " --shard 3/3"].map(scan);
        assert!(shards.iter().all(|shard| shard.ports.len() < 8 * 51 / 2), "about equal parts");
        let together: usize = shards.iter().map(|shard| shard.ports.len()).sum();
        let union: BTreeMap<_, _> = shards.iter().flat_map(Scanned::verdicts).collect();
        assert_eq!(together, union.len(), "none in two shards");
        assert_eq!(union, whole.verdicts());
        whole
    });
}

#[test]
fn another_seed_is_another_order_of_the_same_ports() {
    require_root!();
    let lab = Lab::new();
    let _hosts = network(&lab);
    let order = |seed: u32| {
        // One after the other, so that the answers come in the order of the probes.
        let words = format!("10.79.0.1 -p 1-50 --rate 200 --seed {seed}");
        let scanned = Engine::Connect.scan(&lab.src, &words);
        let lines = crate::support::scan::lines(&scanned.ran.stdout);
        let ports = lines.iter().filter(|l| l["kind"] == "port").map(|l| l["port"].clone());
        ports.collect::<Vec<Value>>()
    };
    let (once, again, other) = (order(1), order(1), order(2));
    assert_eq!(once, again);
    assert_ne!(once, other);
}

/// What was written before it was killed stands; what was in flight may be asked again.
fn killed_and_resumed(engine: Engine) {
    let lab = Lab::new();
    let _hosts = network(&lab);
    let whole = engine.scan(&lab.src, &format!("{NETWORK} -p 1-200,443 --seed 7"));
    let folder = open_folder();
    let (state, found) = (folder.path().join("state"), folder.path().join("found.jsonl"));
    let (shown, out) = (state.display(), found.display());
    let words = format!("{NETWORK} -p 1-200,443 --seed 7 --resume {shown} -o {out}");

    let slow = engine.program_bare(&lab.src, &format!("{words} --rate 400"));
    let mut child = slow.command().spawn().unwrap();
    eventually("some ports are written", || whole_lines(&found).len() > 600);
    child.kill().unwrap();
    child.wait().unwrap();
    let before = whole_lines(&found);
    assert!(before.len() < 8 * 201, "it was killed on its way");

    engine.program(&lab.src, &words).run().expect_code(0);
    let after = whole_lines(&found);
    let of_ports: Vec<Value> = after.into_iter().filter(|line| line["kind"] == "port").collect();
    let (records, twice) = distinct(of_ports);
    // What was found since it last settled, at 400 a second; more on a busy machine.
    assert!(twice * 3 < before.len(), "{twice} of {} ports were asked again", before.len());
    let records = ports(records);
    let told: Vec<_> = records.iter().map(|(key, record)| (key, &record["state"])).collect();
    let wanted: Vec<_> = whole.ports.iter().map(|(key, record)| (key, &record["state"])).collect();
    assert_eq!(told, wanted);
}

#[test]
fn a_killed_scan_goes_on_where_it_was() {
    require_root!();
    killed_and_resumed(Engine::Connect);
}

#[test]
fn a_killed_scan_of_packets_goes_on_where_it_was() {
    require_root!();
    killed_and_resumed(Engine::Raw);
}

/// The records with each port once, and how many were there more often.
fn distinct(records: Vec<Value>) -> (Vec<Value>, usize) {
    let all = records.len();
    let of_port = |r: Value| ((r["ip"].to_string(), r["port"].to_string()), r);
    let once: BTreeMap<_, Value> = records.into_iter().map(of_port).collect();
    let twice = all - once.len();
    (once.into_values().collect(), twice)
}

fn whole_lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    crate::support::scan::lines(whole)
}

/// A folder that any user may write into.
fn open_folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    // Not while it is made: the umask would have its say.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

/// A firewall that lets in only what belongs to a connection takes the SYN-ACK before our kernel could
/// reset it. We saw it all the same, and the host must not be left waiting for a third packet.
#[test]
fn a_firewall_of_our_own_hides_nothing_and_the_host_is_left_with_nothing_half_open() {
    require_root!();
    let lab = Lab::new();
    let open = [22, 80, 443, 8080];
    let _open = lab.dst.listen_on(open);
    lab.src.filter_input("ct state established,related accept\niifname != lo drop");
    let scanned = Engine::Raw.scan(&lab.src, "10.78.0.2 -p 22,80,443,8080,9000");
    assert_eq!(scanned.with_state("open"), open);
    assert_eq!(scanned.with_state("closed"), [9000]);
    assert_eq!(lab.dst.output("ss -Htn state syn-recv"), "");
    let half = lab.dst.output("ss -Htn state established");
    assert_eq!(half, "", "no connection is left either");
}
