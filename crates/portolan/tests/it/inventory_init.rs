//! `inventory init`: from what listens to a file worth keeping, and back without a finding.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Netns, Program, Ran, require_root};

/// A namespace that looks like a small server, and an empty folder.
struct Scene {
    namespace: Netns,
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let namespace = Netns::new();
        namespace.ip("link add eth0 type veth peer name eth1");
        namespace.ip("address add 192.0.2.10/24 dev eth0");
        namespace.ip("link set eth0 up");
        namespace.ip("link set eth1 up");
        Self { namespace, folder: tempfile::tempdir().unwrap() }
    }

    fn run(&self, line: &str) -> Ran {
        Program::line(line).inside(&self.namespace).folder(self.folder.path()).run()
    }

    fn file(&self) -> String {
        fs::read_to_string(self.folder.path().join("portolan.toml")).unwrap()
    }

    /// The rules of an audit's findings, with their subjects.
    fn findings(&self) -> Vec<(String, String)> {
        let ran = self.run("audit --json");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let findings = ran.json()["findings"].as_array().unwrap().clone();
        findings.iter().map(|f| (text(&f["rule"]), text(&f["subject"]))).collect()
    }
}

/// What may be left right after `init`: what is to be done, and what is true of the machine.
fn is_expected(rule: &str) -> bool {
    matches!(rule, "P117" | "P109" | "P111" | "P116")
}

#[test]
fn right_after_init_an_audit_finds_nothing_but_what_is_left_to_do() {
    require_root!();
    let scene = Scene::new();
    let _servers = [
        scene.namespace.listen("[::]:80"),
        scene.namespace.listen("127.0.0.1:8080"),
        scene.namespace.listen("192.0.2.10:5432"),
        scene.namespace.python("bound('0.0.0.0:53', socket.SOCK_DGRAM)"),
        scene.namespace.python("listener('127.0.0.1:0')"),
    ];
    let ran = scene.run("inventory init").expect_code(0);
    assert!(ran.stdout.starts_with("Wrote portolan.toml: host "), "{}", ran.stdout);
    scene.run("inventory validate").expect_code(0);
    let found = scene.findings();
    assert!(found.iter().all(|(rule, _)| is_expected(rule)), "{found:?}\n{}", scene.file());
    assert_eq!(found.iter().filter(|(rule, _)| rule == "P117").count(), 4, "{found:?}");
    let file = scene.file();
    assert!(file.contains("from    = [\"any\"]") && file.contains("bind    = \"loopback\""));
    assert!(file.contains("from    = [\"192.0.2.0/24\"]"), "{file}");
    assert!(file.contains("[[ignore]]") && !file.contains("status  = \"active\""));
}

#[test]
fn one_listener_more_is_one_finding_more_and_merge_adds_just_that() {
    require_root!();
    let scene = Scene::new();
    let _first = scene.namespace.listen("[::]:80");
    scene.run("inventory init").expect_code(0);
    let before = scene.file();
    scene.run("inventory init --merge").expect_code(0);
    assert_eq!(scene.file(), before, "nothing is new");

    let _second = scene.namespace.listen("0.0.0.0:8443");
    let unexpected = |scene: &Scene| {
        let found = scene.findings();
        found.into_iter().filter(|(rule, _)| rule == "P101").collect::<Vec<_>>()
    };
    assert_eq!(unexpected(&scene), [("P101".to_owned(), "8443/tcp".to_owned())]);
    // What somebody wrote in the meantime stays as it is.
    let edited = before.replace("purpose = \"TODO\"", "purpose = 'The shop'   # said Ada");
    fs::write(scene.folder.path().join("portolan.toml"), &edited).unwrap();
    let ran = scene.run("inventory init --merge").expect_code(0);
    assert!(ran.stdout.starts_with("Added to portolan.toml: "), "{}", ran.stdout);
    let after = scene.file();
    assert!(after.starts_with(&edited) && after.contains("8443/tcp"), "{after}");
    assert_eq!(unexpected(&scene), []);
    scene.run("inventory init --merge").expect_code(0);
    assert_eq!(scene.file(), after);
}

#[test]
fn a_finding_that_was_accepted_is_not_drafted_again() {
    require_root!();
    let scene = Scene::new();
    scene.run("inventory init").expect_code(0);
    let _server = scene.namespace.listen("0.0.0.0:8443");
    let findings = scene.run("audit --json").json()["findings"].clone();
    let id = findings[0]["id"].as_str().unwrap().to_owned();
    scene.run(&format!("audit accept {id} --reason agreed")).expect_code(0);
    let before = scene.file();
    scene.run("inventory init --merge").expect_code(0);
    assert_eq!(scene.file(), before);
}

#[test]
fn clients_are_never_drafted() {
    require_root!();
    let scene = Scene::new();
    let _client = scene.namespace.python(
        "a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); a.connect(('192.0.2.10', 9))\n\
         b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); b.sendto(b'', ('192.0.2.10', 9))",
    );
    let document = scene.run("inventory init --json").expect_code(0).json();
    assert_eq!(document["services"], serde_json::json!([]));
    assert_eq!((&document["ports"], &document["ignores"]), (&0.into(), &0.into()));
}

#[test]
fn an_empty_machine_has_a_valid_file() {
    require_root!();
    let scene = Scene::new();
    scene.run("inventory init --host alone").expect_code(0);
    scene.run("inventory validate").expect_code(0);
    assert!(scene.file().contains("[hosts.alone]"));
    assert_eq!(scene.findings(), []);
}

#[test]
fn adjacent_ports_are_a_range_and_both_transports_share_a_line() {
    require_root!();
    let scene = Scene::new();
    let _server = scene.namespace.python(
        "for port in range(3000, 3004): listener(f'0.0.0.0:{port}')\n\
         listener('[::]:53'); bound('[::]:53', socket.SOCK_DGRAM)",
    );
    scene.run("inventory init").expect_code(0);
    let file = scene.file();
    assert!(file.contains("ports   = [\"53/tcp+udp\", \"3000-3003/tcp\"]"), "{file}");
}

#[test]
fn a_file_that_is_there_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portolan.toml");
    fs::write(&path, "portolan = 1\n").unwrap();
    let ran = Program::line("inventory init").folder(folder.path()).run().expect_code(2);
    assert!(ran.stderr.contains("hint: portolan inventory init --merge"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(path).unwrap(), "portolan = 1\n");
}

#[test]
fn another_file_can_be_named_and_the_next_step_names_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let ran = Program::line("inventory init --inventory prod.toml").folder(folder.path()).run();
    assert!(ran.code == 0 || ran.code == 3, "{}", ran.stderr);
    assert!(ran.stdout.contains("portolan audit --inventory prod.toml"), "{}", ran.stdout);
    assert!(!Path::new(folder.path()).join("portolan.toml").exists());
    let ran = Program::line("inventory init --inventory no/such/folder.toml").run();
    assert!(ran.expect_code(2).stderr.starts_with("error: nothing was written: "));
}

#[test]
fn a_machine_the_inventory_does_not_know_is_added_as_another_host() {
    require_root!();
    let scene = Scene::new();
    let _server = scene.namespace.listen("0.0.0.0:80");
    let before = "portolan = 1\r\n# ours\r\n[hosts.elsewhere]\r\naddress = [\"198.51.100.1\"]";
    fs::write(scene.folder.path().join("portolan.toml"), before).unwrap();
    scene.run("inventory init --merge --host here").expect_code(0);
    let after = scene.file();
    assert!(after.starts_with(before) && after.contains("[hosts.here]\r\n"), "{after}");
    assert!(!after.replace("\r\n", "").contains('\n'), "its lines end as the file's do");
    let document = scene.run("inventory show --host here --json").expect_code(0).json();
    assert_eq!(document["rows"][0]["subject"], "80/tcp");
    scene.run("inventory init --merge --host here").expect_code(0);
    assert_eq!(scene.file(), after);
}

#[test]
fn what_an_unprivileged_caller_cannot_see_is_a_gap_and_the_file_still_valid() {
    require_root!();
    let scene = Scene::new();
    let _server = scene.namespace.listen("0.0.0.0:80");
    let folder = scene.folder.path();
    fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let program = Program::line("inventory init").inside(&scene.namespace).folder(folder);
    let ran = program.by_user(65534).run().expect_code(3);
    assert!(ran.stderr.contains("not seen: "), "{}", ran.stderr);
    assert!(scene.file().contains("was not visible"), "{}", scene.file());
    scene.run("inventory validate").expect_code(0);
    let found = scene.findings();
    assert!(found.iter().all(|(rule, _)| is_expected(rule)), "{found:?}");
}

#[test]
fn a_hostile_process_name_is_written_escaped() {
    require_root!();
    let scene = Scene::new();
    let _server = scene.namespace.python(
        "open('/proc/self/comm', 'wb').write(b'\\x1b[31m\"]\\n[x')\nlistener('0.0.0.0:80')",
    );
    scene.run("inventory init").expect_code(0);
    scene.run("inventory validate").expect_code(0);
    assert!(!scene.file().contains('\x1b'));
    let found = scene.findings();
    assert!(found.iter().all(|(rule, _)| is_expected(rule)), "{found:?}\n{}", scene.file());
}

#[test]
fn a_program_ignored_on_loopback_is_found_when_it_opens_to_all() {
    require_root!();
    let scene = Scene::new();
    let _local = scene.namespace.listen("127.0.0.1:0");
    scene.run("inventory init").expect_code(0);
    assert!(!scene.findings().iter().any(|(rule, _)| rule == "P101"), "{}", scene.file());
    let _open = scene.namespace.listen("0.0.0.0:0");
    let unexpected = scene.findings().iter().filter(|(rule, _)| rule == "P101").count();
    assert_eq!(unexpected, 1, "{}", scene.file());
}
