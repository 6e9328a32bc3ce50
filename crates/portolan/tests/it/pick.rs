//! `portolan pick`: numbers that never collide, the same for the same project, and why others are
//! left out. Against the kernel: what is picked is bound.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Netns, Program, Ran, require_root};

/// A namespace and a state folder of its own.
struct Place {
    ns: Netns,
    state: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { ns: Netns::new(), state: tempfile::tempdir().unwrap() }
    }

    fn pick(&self, words: &str, folder: &Path) -> Program {
        Program::line(&format!("pick {words}"))
            .inside(&self.ns)
            .env("XDG_STATE_HOME", self.state.path())
            .folder(folder)
    }

    /// The one number it prints.
    #[track_caller]
    fn number(&self, words: &str, folder: &Path) -> u16 {
        number(&self.pick(words, folder).run().expect_code(0))
    }

    #[track_caller]
    fn json(&self, words: &str, folder: &Path, code: i32) -> Value {
        self.pick(&format!("{words} --json"), folder).run().expect_code(code).json()
    }

    fn set(&self, setting: &str, value: &str) {
        let path = Path::new("/proc/sys/net/ipv4").join(setting);
        self.ns.enter(|| fs::write(path, value)).unwrap();
    }

    fn reservations(&self) -> Vec<Value> {
        let list = Program::line("reservations --json").env("XDG_STATE_HOME", self.state.path());
        list.run().expect_code(0).json()["reservations"].as_array().unwrap().clone()
    }
}

#[track_caller]
fn number(ran: &Ran) -> u16 {
    ran.stdout.trim_end().parse().unwrap_or_else(|_| panic!("a number alone: {:?}", ran.stdout))
}

/// Runs `work` for 0, 1 … `count` on `workers` threads and gives what came of it.
fn parallel<T: Send>(count: usize, workers: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return done;
            }
            done.push(work(number));
        }
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        all.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

/// What git leaves in the folder of a linked worktree.
fn worktree(folder: &Path) {
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::write(folder.join(".git"), "gitdir: /elsewhere/.git/worktrees/one\n").unwrap();
}

const INVENTORY: &str = r#"portolan = 1
[hosts.here]
address = ["192.0.2.1"]
[services.many]
on = ["here"]
ports = ["21000-24999/tcp"]
[pools.previews]
on = ["here"]
range = "25000-25999"
default_ttl = "1h"
"#;

#[test]
fn two_hundred_at_once_get_two_hundred_ports_that_can_be_bound() {
    require_root!();
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("portolan.toml"), INVENTORY).unwrap();
    place.ns.ip("address add 192.0.2.1/32 dev lo");
    place.set("ip_local_port_range", "20000 20499");
    place.set("ip_local_reserved_ports", "20500-20999,40000");
    let picked = parallel(200, 16, |_| place.number("--lease 30s", folder.path()));
    let distinct: BTreeSet<u16> = picked.iter().copied().collect();
    assert_eq!(distinct.len(), 200, "{picked:?}");
    assert!(distinct.iter().all(|p| (26000..30000).contains(p)), "{distinct:?}");
    let bound = place.ns.enter(|| {
        let bind = |port: &u16| TcpListener::bind(("0.0.0.0", *port));
        distinct.iter().map(bind).collect::<Result<Vec<_>, _>>()
    });
    assert_eq!(bound.unwrap().len(), 200);
    assert_eq!(place.reservations().len(), 200);
}

#[test]
fn a_project_and_name_have_the_same_number_from_any_folder_inside() {
    require_root!();
    let place = Place::new();
    let top = tempfile::tempdir().unwrap();
    let (one, other) = (top.path().join("one"), top.path().join("other"));
    worktree(&one);
    worktree(&other);
    let port = place.number("--for web", &one);
    let of_other = place.number("--for web", &other);
    assert_ne!(port, of_other);
    assert_ne!(port, place.number("--for api", &one));
    let inside = one.join("src");
    let again =
        parallel(50, 4, |i| place.number("--for web", if i % 2 == 0 { &one } else { &inside }));
    assert_eq!(again, [port; 50]);
    fs::remove_dir_all(&other).unwrap();
    let again = parallel(50, 4, |_| place.number("--for web", &one));
    assert_eq!(again, [port; 50]);
    let kept = place.reservations();
    assert!(kept.iter().all(|row| row["port"] != of_other), "its folder is gone: {kept:?}");
    assert_eq!(kept.len(), 2);
}

#[test]
fn a_long_name_leaves_the_list_as_wide_as_the_terminal() {
    require_root!();
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    place.number(&format!("--for {}", "n".repeat(300)), folder.path());
    let list = Program::line("reservations").env("XDG_STATE_HOME", place.state.path());
    let list = list.run().expect_code(0).stdout;
    assert!(list.lines().all(|line| line.chars().count() <= 80), "{list}");
}

#[test]
fn sixty_worktrees_asking_at_once_get_sixty_numbers_and_keep_them() {
    require_root!();
    let place = Place::new();
    let top = tempfile::tempdir().unwrap();
    let trees: Vec<_> = (0..60).map(|i| top.path().join(format!("tree-{i}"))).collect();
    trees.iter().for_each(|tree| worktree(tree));
    // So few numbers that a hash alone would collide for certain.
    let ask = |i: usize| (i, place.number("--for web --range 26000-26089", &trees[i]));
    let mut first = parallel(60, 8, ask);
    first.sort_unstable();
    let distinct: BTreeSet<u16> = first.iter().map(|(_, port)| *port).collect();
    assert_eq!(distinct.len(), 60, "{first:?}");
    let mut second = parallel(60, 8, ask);
    second.sort_unstable();
    assert_eq!(first, second);
}

#[test]
fn while_a_stranger_has_the_number_another_is_given_and_then_the_old_one_again() {
    require_root!();
    let place = Place::new();
    let project = tempfile::tempdir().unwrap();
    let folder = project.path();
    let port = place.number("--for web", folder);
    let stranger = place.ns.listen(&format!("127.0.0.1:{port}"));
    let other = place.pick("--for web", folder).run().expect_code(0);
    assert!(other.stderr.contains(&format!("python3 ({})", stranger.pid())), "{}", other.stderr);
    assert!(other.stderr.contains(&format!("portolan explain {port}")), "{}", other.stderr);
    let told = place.json("--for web", folder, 0);
    let stand_in = number(&other);
    assert_ne!(stand_in, port);
    assert_eq!((&told["wanted"], &told["got"]), (&port.into(), &stand_in.into()), "the same one");
    assert_eq!(told["holder"]["owners"][0]["pid"], stranger.pid());
    let strict = place.json("--for web --strict", folder, 1);
    assert_eq!((&strict["wanted"], &strict["got"]), (&port.into(), &Value::Null));
    assert_eq!(strict["ports"], Value::Array(Vec::new()));
    // The same for one that asks for the first time: its number is known before it is remembered.
    let anew = place.pick("--for web --strict --json", folder);
    let anew = anew.env("XDG_STATE_HOME", place.state.path().join("new")).run().expect_code(1);
    assert_eq!(anew.json()["wanted"], port);
    drop(stranger);
    assert_eq!(place.number("--for web --strict", folder), port);
    assert_eq!(place.reservations().len(), 1, "nobody needs the other number any more");
}

#[test]
fn a_server_of_the_projects_own_does_not_take_its_number() {
    require_root!();
    let place = Place::new();
    let project = tempfile::tempdir().unwrap();
    let folder = project.path();
    let port = place.number("--for web", folder);
    let inside = folder.display();
    let server =
        format!("os.chdir({inside:?}); listener('0.0.0.0:{port}')", inside = inside.to_string());
    let _server = place.ns.python(&server);
    let told = place.json("--for web --strict", folder, 0);
    assert_eq!((&told["got"], &told["holder"]), (&port.into(), &Value::Null));
    // The store is lost, the server goes on: the number is found again by it.
    fs::remove_dir_all(place.state.path().join("portolan")).unwrap();
    assert_eq!(place.number("--for web", folder), port);
}

#[test]
fn connections_an_old_server_left_do_not_take_the_number_either() {
    require_root!();
    let place = Place::new();
    let project = tempfile::tempdir().unwrap();
    let port = place.number("--for web", project.path());
    // The server closes first, so TIME-WAIT is on its side.
    drop(place.ns.python(&format!(
        "s = listener('127.0.0.1:{port}')\n\
         c = socket.create_connection(('127.0.0.1', {port}))\n\
         a = s.accept()[0]\na.close()\nc.close()\ns.close()"
    )));
    let left = place.ns.output("ss -tanH");
    assert!(left.contains("TIME-WAIT"), "{left}");
    assert_eq!(place.number("--for web --strict", project.path()), port);
}

#[test]
fn every_number_left_out_has_its_reason() {
    require_root!();
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    place.set("ip_local_port_range", "20000 20003");
    place.set("ip_local_reserved_ports", "20004");
    let _server = place.ns.listen("127.0.0.1:20021");
    let _bound = place.ns.python("bound('127.0.0.1:20022')");
    let rule = "add table ip t; add chain ip t c { type nat hook prerouting priority -100; }; \
                add rule ip t c tcp dport 20023 redirect to :80";
    let output = place.ns.command("nft").arg(rule).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(place.number("--lease 1m --range 20024-20024", folder.path()), 20024);
    let told = place.json("--range 20000-20024 --count 9", folder.path(), 0);
    let reasons: Vec<(&str, String)> = told["excluded"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["reason"].as_str().unwrap(), e["ranges"].to_string()))
        .collect();
    let expected = [
        ("ephemeral", r#"["20000-20003"]"#),
        ("reserved", r#"["20004"]"#),
        ("assigned", r#"["20005","20012-20014"]"#),
        ("translated", r#"["20023"]"#),
        ("leased", r#"["20024"]"#),
        ("in-use", r#"["20021-20022"]"#),
    ];
    assert_eq!(reasons, expected.map(|(reason, ranges)| (reason, ranges.to_owned())));
    let ports = told["ports"].as_array().unwrap();
    assert_eq!(ports.len(), 9);
    assert!(ports.iter().all(|p| (20006..=20020).contains(&p.as_u64().unwrap())), "{ports:?}");
    let none = place.pick("--range 20021-20023", folder.path()).run().expect_code(1);
    assert_eq!(none.stdout, "");
    assert!(
        none.stderr.contains("1 named by NAT rules or containers, 2 in use"),
        "{}",
        none.stderr
    );
}

#[test]
fn fewer_than_asked_for_are_none_and_nothing_is_kept() {
    require_root!();
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    let ran = place.pick("--count 3 --range 26100-26101 --lease 30s", folder.path()).run();
    let ran = ran.expect_code(1);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("26100-26101: 2 are left"), "{}", ran.stderr);
    assert!(place.reservations().is_empty());
}

#[test]
fn browsers_ports_are_never_given() {
    require_root!();
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    let six = place.json("--allow-assigned --range 6664-6670 --count 2", folder.path(), 0);
    assert_eq!(six["ports"], serde_json::json!([6664, 6670]));
}

#[test]
fn a_run_of_ports_near_another_is_what_was_asked_for() {
    require_root!();
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    let _server = place.ns.listen("127.0.0.1:26502");
    let words = "--count 3 --consecutive --near 26500 --range 26000-27000 --json";
    let told = place.pick(words, folder.path()).run().expect_code(0).json();
    assert_eq!(told["ports"], serde_json::json!([26499, 26500, 26501]));
    let words = "--count 4 --consecutive --range 26500-26504";
    let none = place.pick(words, folder.path()).run().expect_code(1);
    assert!(none.stderr.contains("in a row in 26500-26504: 2 are, at most"), "{}", none.stderr);
}

#[test]
fn what_is_free_for_tcp_may_be_taken_for_udp() {
    require_root!();
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    let _server = place.ns.python("datagram('[::]:26100')");
    let only = |words: &str| format!("{words} --range 26100-26100");
    assert_eq!(place.number(&only("-t"), folder.path()), 26100);
    place.pick(&only("-u"), folder.path()).run().expect_code(1);
    place.pick(&only("-tu"), folder.path()).run().expect_code(1);
}

#[test]
fn a_pool_gives_its_own_numbers_for_as_long_as_it_says() {
    require_root!();
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("portolan.toml"), INVENTORY).unwrap();
    let port = place.number("--pool previews", folder.path());
    assert!((25000..26000).contains(&port));
    let kept = place.reservations();
    let left = kept[0]["expires_in_s"].as_i64().unwrap();
    assert!((3500..=3600).contains(&left), "{kept:?}");
    let wrong = place.pick("--pool preview", folder.path()).run().expect_code(2);
    assert!(wrong.stderr.contains("did you mean `previews`?"), "{}", wrong.stderr);
}

#[test]
fn nothing_is_written_for_a_number_that_nobody_remembers() {
    require_root!();
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    place.number("", folder.path());
    assert_eq!(fs::read_dir(place.state.path()).unwrap().count(), 0);
}

#[test]
fn without_a_home_a_lease_says_what_is_missing() {
    let ran = Program::line("pick --lease 30s").env("HOME", "").run().expect_code(2);
    assert!(ran.stderr.contains("set HOME or XDG_STATE_HOME"), "{}", ran.stderr);
}

#[test]
fn a_home_that_is_not_there_is_not_made() {
    let ran = Program::line("pick --for web").env("HOME", "/nonexistent").run().expect_code(2);
    assert!(ran.stderr.contains("that home is not there"), "{}", ran.stderr);
    assert!(!Path::new("/nonexistent").exists());
}

#[test]
fn a_user_who_may_see_little_still_gets_a_port() {
    require_root!();
    let place = Place::new();
    let ran = Program::line("pick").inside(&place.ns).by_user(65534).run().expect_code(0);
    assert_eq!(ran.stderr, "");
    assert!((20000..30000).contains(&number(&ran)));
}

#[test]
fn a_damaged_store_is_told_and_not_replaced() {
    require_root!();
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    place.number("--for web", folder.path());
    let state = place.state.path().join("portolan");
    let file = fs::read_dir(&state).unwrap().flatten().map(|e| e.path());
    let file = file.into_iter().find(|p| p.extension().is_some_and(|e| e == "db")).unwrap();
    fs::write(&file, "something else ".repeat(500)).unwrap();
    let ran = place.pick("--for web", folder.path()).run().expect_code(2);
    assert!(ran.stderr.contains("hint: the file is damaged"), "{}", ran.stderr);
    assert!(fs::read_to_string(&file).unwrap().starts_with("something else"));
}

#[test]
fn root_in_another_users_home_leaves_nothing_of_roots_there() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    require_root!();
    let place = Place::new();
    chown(place.state.path(), Some(65534), Some(65534)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    place.number("--for web", folder.path());
    let made = place.state.path().join("portolan");
    let all = fs::read_dir(&made).unwrap().flatten().map(|e| e.path()).chain([made.clone()]);
    for path in all {
        assert_eq!(fs::metadata(&path).unwrap().uid(), 65534, "{}", path.display());
    }
}
