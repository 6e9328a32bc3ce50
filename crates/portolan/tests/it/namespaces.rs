//! `--all-netns`: sockets of every network namespace, named, and never taken for this one's.

use std::process::Command;

use serde_json::{Value, json};

use crate::owners::Cgroup;
use crate::support::ss::sockets;
use crate::support::{Netns, Program, Server, require_root, skip};

/// A server in a namespace that has no name, and the namespace's inode.
fn nameless(port: u16) -> (Server, u64) {
    let mut unshare = Command::new("unshare");
    unshare.arg("--net");
    let up = "import subprocess; subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)";
    let script =
        format!("{up}\nlistener('0.0.0.0:{port}')\nprint(os.stat('/proc/self/ns/net').st_ino)");
    let server = Server::start(unshare, &["setpriv", "--pdeathsig", "KILL"], &script);
    let inode = server.said.parse().expect("an inode");
    (server, inode)
}

fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn at(document: &Value, port: u16) -> &Value {
    let found: Vec<&Value> = sockets(document)
        .iter()
        .filter(|s| s["local"]["port"] == port && !is_of_another_run(s))
        .collect();
    let [socket] = found[..] else { panic!("one socket at {port}: {found:#?}") };
    socket
}

/// Whether a server holds it that we have not started: the tests may run twice on a machine, and
/// these look at all of it.
fn is_of_another_run(socket: &Value) -> bool {
    let mut holders = socket["owners"].as_array().expect("a list").iter();
    let parent = |owner: &Value| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", owner["pid"])).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()
    };
    let is_other = |owner: &Value| parent(owner).is_some_and(|pid| pid != std::process::id());
    holders.any(is_other)
}

#[test]
fn listeners_of_named_and_nameless_namespaces_are_found_and_kept_apart() {
    require_root!();
    let (here, lab) = (Netns::new(), Netns::new());
    let own = here.listen("127.0.0.1:18101");
    let named = lab.listen("0.0.0.0:18102");
    let (alone, inode) = nameless(18103);

    let before = Program::line("sockets --json").inside(&here).run().expect_code(0).json();
    assert_eq!(sockets(&before).len(), 1, "{before:#}");

    let document =
        Program::line("sockets --all-netns --json").inside(&here).run().expect_code(0).json();
    let owner = |port| at(&document, port)["owners"][0]["pid"].clone();
    assert_eq!(owner(18101), own.pid());
    assert_eq!((owner(18102), owner(18103)), (json!(named.pid()), json!(alone.pid())));
    assert_eq!(at(&document, 18102)["netns"]["name"], lab.name());
    assert_eq!(at(&document, 18103)["netns"], json!({"inode": inode, "name": null}));
    assert_eq!(at(&document, 18102)["owners"][0]["netns"], Value::Null);

    let namespaces = document["namespaces"].as_array().unwrap();
    assert_eq!(
        (&namespaces[0]["own"], &namespaces[0]["name"]),
        (&json!(true), &json!(here.name()))
    );
    let of =
        |inode: &Value| namespaces.iter().find(|n| n["inode"] == *inode).expect("it is listed");
    let listed = of(&json!(inode));
    assert_eq!((&listed["processes"], &listed["pid"]), (&json!(1), &json!(alone.pid())));
    assert_eq!(of(&at(&document, 18102)["netns"]["inode"])["own"], false);

    let text = Program::line("sockets --all-netns").inside(&here).run().expect_code(0).stdout;
    let line = |needle: &str| text.lines().position(|l| l.contains(needle)).expect("it is shown");
    assert!(line("This network namespace") < line("18101"), "{text}");
    assert!(line("18101") < line(&format!("Network namespace {}", lab.name())), "{text}");
    assert!(line(&format!("Network namespace {inode}, process {}", alone.pid())) < line("18103"));
    assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
}

#[test]
fn nothing_of_another_namespace_counts_as_exposure_of_this_one() {
    require_root!();
    let (here, lab) = (Netns::new(), Netns::new());
    let _own = here.listen("127.0.0.1:18111");
    let _other = lab.listen("0.0.0.0:18112");
    for words in ["status --json", "sockets --json"] {
        let ran = Program::line(words).inside(&here).run().expect_code(0);
        assert!(ran.stdout.contains("18111") && !ran.stdout.contains("18112"), "{}", ran.stdout);
    }
    Program::line("who 18112").inside(&here).run().expect_code(1);
    let who = Program::line("who 18112 --all-netns").inside(&here).run().expect_code(0).stdout;
    let who = unwrapped(&who);
    assert!(who.contains(&format!("network namespace {}, not this one", lab.name())), "{who}");
    assert!(who.contains(&format!("from whatever reaches network namespace {}", lab.name())));
}

#[test]
fn a_socket_made_in_another_namespace_than_its_process_lives_in_says_both() {
    require_root!();
    let (here, lab) = (Netns::new(), Netns::new());
    let script = format!(
        "import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def enter(path):
    with open(path) as place: assert libc.setns(place.fileno(), 0x40000000) == 0
enter({:?})
listener('127.0.0.1:18121')
enter({:?})",
        lab.path(),
        here.path()
    );
    let server = here.python(&script);
    for words in ["sockets --all-netns --json", "sockets --all-netns --json --engine procfs"] {
        let document = Program::line(words).inside(&here).run().expect_code(0).json();
        let socket = at(&document, 18121);
        assert_eq!(socket["netns"]["name"], lab.name());
        let owner = &socket["owners"][0];
        assert_eq!(owner["pid"], server.pid());
        assert_eq!(owner["netns"]["name"], here.name(), "{words}");
    }
    let text = Program::line("sockets --all-netns").inside(&here).run().expect_code(0).stdout;
    let note = format!("held from network namespace {}", here.name());
    assert!(unwrapped(&text).contains(&note), "{text}");
    // Asked from the process's side, the namespace of the socket stays another one.
    let seen = Program::line("sockets --json").inside(&here).run().expect_code(0).json();
    assert!(sockets(&seen).is_empty(), "{seen:#}");
    let who = Program::line("who 18121 --all-netns").inside(&here).run().expect_code(0).stdout;
    let who = unwrapped(&who);
    assert!(who.contains(&format!("network namespace {}, its sockets not", here.name())), "{who}");
}

#[test]
fn a_namespace_that_only_a_descriptor_keeps_is_found() {
    require_root!();
    let here = Netns::new();
    let server = here.python(
        "import ctypes
libc = ctypes.CDLL(None, use_errno=True)
back = open('/proc/self/ns/net')
assert libc.unshare(0x40000000) == 0
kept.append(open('/proc/self/ns/net'))
datagram('0.0.0.0:18131')
print(os.fstat(kept[0].fileno()).st_ino)
assert libc.setns(back.fileno(), 0x40000000) == 0",
    );
    let document =
        Program::line("sockets --all-netns --json").inside(&here).run().expect_code(0).json();
    let socket = at(&document, 18131);
    assert_eq!(socket["netns"]["inode"], server.said.parse::<u64>().unwrap());
    assert_eq!(socket["owners"][0]["pid"], server.pid());
}

#[test]
fn a_namespace_that_only_its_sockets_keep_is_found_by_them() {
    require_root!();
    let here = Netns::new();
    let engine = Program::line("sockets --engine bpf").inside(&here).run();
    if engine.code != 0 {
        skip!("the bpf engine does not run here: {}", engine.stderr);
    }
    let server = here.python(
        "import ctypes
libc = ctypes.CDLL(None, use_errno=True)
with open('/proc/self/ns/net') as back:
    assert libc.unshare(0x40000000) == 0
    print(os.stat('/proc/self/ns/net').st_ino)
    datagram('0.0.0.0:18161'); listener('[::]:18162'); bound('0.0.0.0:18163')
    assert libc.setns(back.fileno(), 0x40000000) == 0",
    );
    let document =
        Program::line("sockets --all-netns --inactive --json").inside(&here).run().expect_code(0);
    let document = document.json();
    let inode: u64 = server.said.parse().unwrap();
    for (port, state) in [(18161, "unconn"), (18162, "listen"), (18163, "bound")] {
        let socket = at(&document, port);
        assert_eq!((&socket["netns"]["inode"], &socket["state"]), (&json!(inode), &json!(state)));
        let owner = &socket["owners"][0];
        assert_eq!(owner["pid"], server.pid());
        assert_eq!(owner["netns"]["name"], here.name());
    }
    let listed = document["namespaces"].as_array().unwrap().iter();
    let listed: Vec<_> = listed.filter(|n| n["inode"] == inode).collect();
    assert_eq!((&listed[0]["seen"], &listed[0]["processes"]), (&json!(true), &json!(0)));
}

#[test]
fn each_namespace_has_its_own_range_of_ports_the_kernel_chooses() {
    require_root!();
    let (here, lab) = (Netns::new(), Netns::new());
    lab.enter(|| std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "20000 20100").unwrap());
    let server = lab.python("print(listener('127.0.0.1:0').getsockname()[1])");
    let document =
        Program::line("sockets --all-netns --json").inside(&here).run().expect_code(0).json();
    let socket = at(&document, server.said.parse().unwrap());
    assert_eq!(socket["port_choice"], "kernel");
}

#[test]
fn a_stranger_reads_the_tables_of_visible_processes_and_is_told_what_is_missing() {
    require_root!();
    let (here, lab) = (Netns::new(), Netns::new());
    let empty = Netns::new();
    let _other = lab.listen("127.0.0.1:18141");
    let ask = |words: &str| Program::line(words).inside(&here).by_user(65534).run();
    let document = ask("sockets --all-netns --json").expect_code(0).json();
    let socket = at(&document, 18141);
    assert_eq!(
        (&socket["owner_gap"], &socket["netns"]["inode"]),
        (&json!("not-permitted"), &Value::Null)
    );
    let gaps = document["gaps"].as_array().unwrap();
    let told = |needle: &str| gaps.iter().any(|g| g["what"].as_str().unwrap().contains(needle));
    assert!(told("what /proc/PID/net does not tell of network namespace"), "{gaps:#?}");
    assert!(told(&format!("sockets of network namespace {}", empty.name())), "{gaps:#?}");
    let unseen = document["namespaces"].as_array().unwrap().iter();
    let unseen: Vec<_> = unseen.filter(|n| n["seen"] == false).map(|n| &n["name"]).collect();
    assert!(unseen.contains(&&json!(empty.name())), "{unseen:?}");
    let strict = ask("sockets --all-netns --strict").expect_code(3);
    assert!(!strict.stdout.contains(empty.name()), "{}", strict.stdout);
}

#[test]
fn a_containers_namespace_is_called_by_its_container() {
    require_root!();
    let id = "0123456789ab".repeat(6)[..64].to_owned();
    let Some(cgroup) = Cgroup::new(&format!("docker-{id}.scope")) else {
        skip!("no unified cgroup hierarchy")
    };
    let procs = cgroup.service.join("cgroup.procs");
    let here = Netns::new();
    let mut unshare = Command::new("unshare");
    unshare.arg("--net");
    let script = format!(
        "open({procs:?}, 'w').write(str(os.getpid()))
datagram('0.0.0.0:18171')
print(os.stat('/proc/self/ns/net').st_ino)"
    );
    let server = Server::start(unshare, &["setpriv", "--pdeathsig", "KILL"], &script);
    let inode: u64 = server.said.parse().unwrap();
    let ask = |words: &str| Program::line(words).inside(&here).run().expect_code(0);
    let document = ask("sockets --all-netns --json").json();
    let mut listed = document["namespaces"].as_array().unwrap().iter();
    let container = &listed.find(|n| n["inode"] == inode).expect("it is listed")["container"];
    assert_eq!((&container["runtime"], &container["id"]), (&json!("docker"), &json!(id)));
    let text = ask("sockets --all-netns").stdout;
    assert!(text.contains("Network namespace of docker 0123456789ab, process"), "{text}");
}

#[test]
fn namespaces_of_processes_that_proc_does_not_show_are_a_gap() {
    require_root!();
    let (here, lab) = (Netns::new(), Netns::new());
    let _server = lab.listen("127.0.0.1:18191");
    let missing = "mount -t tmpfs none /proc && exec \"$@\"";
    let hidden = "mount -t proc -o hidepid=2 proc /proc && exec \"$@\"";
    for (mount, user, what, hint) in [
        (missing, 0, "other network namespaces", "mount /proc"),
        (hidden, 65534, "network namespaces of hidden processes", "hidepid"),
    ] {
        let ask = |words: &str| {
            let blind = ["unshare", "--mount", "sh", "-c", mount, "sh"];
            let program = Program::line(words).inside(&here).through(blind);
            if user == 0 { program.run() } else { program.by_user(user).run() }
        };
        let document = ask("sockets --all-netns --json").expect_code(0).json();
        let gaps = document["gaps"].as_array().unwrap();
        let gap = gaps.iter().find(|gap| gap["what"] == what).expect("it is told");
        assert!(gap["hint"].as_str().unwrap().contains(hint), "{gap:#}");
        ask("who 18191 --all-netns").expect_code(3);
    }
    let contained = Program::line("sockets --all-netns --strict").inside(&here);
    let contained = contained.through(["unshare", "--pid", "--fork", "--mount-proc"]);
    let told = contained.run().expect_code(3).stderr;
    assert!(told.contains("outside this pid namespace"), "{told}");
}

/// In a mount namespace of their own anybody may mount theirs at /run/netns/host.
#[test]
fn a_stranger_does_not_name_a_namespace() {
    require_root!();
    let mut unshare = Command::new("setpriv");
    unshare.args(["--pdeathsig", "KILL", "--reuid", "65534", "--clear-groups"]);
    unshare.args(["unshare", "--user", "--map-root-user", "--net", "--mount"]);
    let mount = "mount -t tmpfs none /run && mkdir /run/netns && touch /run/netns/host &&
        mount --bind /proc/self/ns/net /run/netns/host && exec \"$@\"";
    if !unshare_works(&unshare) {
        skip!("strangers may not make user namespaces");
    }
    let stranger = Server::start(
        unshare,
        &["sh", "-c", mount, "sh", "setpriv", "--pdeathsig", "KILL"],
        "datagram('0.0.0.0:18196'); print(os.stat('/proc/self/ns/net').st_ino)",
    );
    let inode: u64 = stranger.said.parse().expect("an inode");
    let document = Program::line("sockets --all-netns --json").run().expect_code(0).json();
    assert_eq!(at(&document, 18196)["netns"], json!({"inode": inode, "name": null}));
}

fn unshare_works(unshare: &Command) -> bool {
    let mut tried = Command::new(unshare.get_program());
    tried.args(unshare.get_args()).arg("true").status().is_ok_and(|status| status.success())
}

/// Anybody may make namespaces by the thousand (user_namespaces(7)): that must not hide a listener.
#[test]
fn more_namespaces_than_descriptors_hide_nothing() {
    require_root!();
    let (here, lab) = (Netns::new(), Netns::new());
    let _servers = [here.listen("127.0.0.1:18181"), lab.listen("127.0.0.1:18182")];
    let many = here.python(
        "import ctypes
for _ in range(40):
    assert ctypes.CDLL(None).unshare(0x40000000) == 0
    kept.append(open('/proc/self/ns/net'))
print(os.fstat(kept[-1].fileno()).st_ino)",
    );
    let last: u64 = many.said.parse().expect("an inode");
    let few = ["prlimit", "--nofile=32:32"];
    let ran = Program::line("sockets --all-netns --json").inside(&here).through(few).run();
    let document = ran.expect_code(0).json();
    let ports = [18181, 18182].map(|port| at(&document, port)["port_choice"].clone());
    assert_eq!(ports, ["fixed", "fixed"], "{document:#}");
    let listed = document["namespaces"].as_array().unwrap();
    let last = listed.iter().find(|n| n["inode"] == last).expect("it is listed");
    assert_eq!(last["seen"], true);
}

#[test]
fn ports_that_are_equal_in_two_namespaces_share_nothing() {
    require_root!();
    let (here, lab) = (Netns::new(), Netns::new());
    let _servers = [here.listen("127.0.0.1:18151"), lab.listen("127.0.0.1:18151")];
    let ran = Program::line("sockets --all-netns --json").inside(&here).run().expect_code(0);
    let document = ran.json();
    let both =
        sockets(&document).iter().filter(|s| s["local"]["port"] == 18151 && !is_of_another_run(s));
    assert!(both.map(|s| &s["reuseport_group"]).eq([&Value::Null; 2]), "{document:#}");
}

#[test]
fn a_tunnels_port_in_another_namespace_is_the_kernels() {
    require_root!();
    let (here, lab) = (Netns::new(), Netns::new());
    lab.ip("link add vx0 type vxlan id 1 dstport 4789 local 127.0.0.1");
    lab.ip("link set vx0 up");
    let ran = Program::line("sockets --all-netns --json").inside(&here).run().expect_code(0);
    let document = ran.json();
    let tunnel = sockets(&document)
        .iter()
        .find(|s| s["local"]["port"] == 4789 && s["netns"]["name"] == lab.name());
    assert_eq!(tunnel.expect("it is listed")["owners"][0]["via"], "kernel");
}
