//! What stands around a port: rules that divert it, a second program behind `localhost`, the
//! kernel's own devices, programs that stand in for a container.

use std::process::Command;

use serde_json::{Value, json};

use crate::owners::Cgroup;
use crate::support::{Netns, Program, Ran, require_root, skip};

fn warning<'a>(document: &'a Value, kind: &str) -> Option<&'a Value> {
    document["warnings"].as_array().unwrap().iter().find(|w| w["kind"] == kind)
}

/// The program with these lines as /etc/hosts.
fn with_hosts(netns: &Netns, hosts: &str, line: &str) -> Ran {
    let mount = "mount -t tmpfs none /mnt && printf '%s' \"$0\" > /mnt/hosts && \
                 mount --bind /mnt/hosts /etc/hosts && exec \"$@\"";
    let wrapper = ["unshare", "-m", "sh", "-c", mount, hosts];
    Program::line(line).inside(netns).through(wrapper).run()
}

const BOTH: &str = "127.0.0.1 localhost\n::1 localhost\n";
const IPV4_ONLY: &str = "127.0.0.1 localhost\n::1 ip6-localhost\n";

#[test]
fn a_rule_that_diverts_a_port_is_named_and_really_does() {
    require_root!();
    let netns = Netns::new();
    let rules = "add table ip lab; add chain ip lab out { type nat hook output priority -100; }; \
                 add rule ip lab out tcp dport 8080 redirect to :9090";
    let loaded = netns.command("nft").arg(rules).output().expect("nft (scripts/setup)");
    if !loaded.status.success() {
        skip!("this kernel has no NAT: {}", String::from_utf8_lossy(&loaded.stderr));
    }
    let _servers = netns.python(SERVERS);
    assert_eq!(reached(&netns, "127.0.0.1"), "9090");

    let ran = Program::line("explain 8080 --json").inside(&netns).run().expect_code(1);
    let document = ran.json();
    assert_eq!(document["verdict"], "listener");
    let rule = &warning(&document, "nat-shadow").expect("a warning")["rules"][0];
    assert_eq!(
        (&rule["family"], &rule["table"], &rule["chain"], &rule["path"]),
        (&json!("ip"), &json!("lab"), &json!("out"), &json!("output"))
    );
    let handle = rule["handle"].as_u64().expect("a handle");
    let listing = netns.output("nft -a list chain ip lab out");
    assert!(listing.contains(&format!("redirect to :9090 # handle {handle}")), "{listing}");
    assert_eq!((&rule["target"], &rule["takes_all"]), (&json!("port 9090"), &json!(true)));

    let text = Program::line("explain 8080").inside(&netns).run().expect_code(1).stdout;
    assert!(text.contains("nft -a list chain ip lab out\n"), "{text}");
    let other = Program::line("explain 9090 --json").inside(&netns).run().json();
    assert_eq!(warning(&other, "nat-shadow"), None, "9090 is where it leads");
}

#[test]
fn a_rule_for_what_comes_from_outside_leaves_this_machine_alone() {
    require_root!();
    let (netns, outside) = (Netns::new(), Netns::new());
    netns.ip(&format!("link add pt0 type veth peer name pt1 netns {}", outside.name()));
    netns.ip("address add 10.1.1.1/24 dev pt0");
    netns.ip("link set pt0 up");
    outside.ip("address add 10.1.1.2/24 dev pt1");
    outside.ip("link set pt1 up");
    let rules = "add table inet lab; add chain inet lab in { type nat hook prerouting priority \
                 dstnat; }; add rule inet lab in tcp dport 8080 redirect to :9090";
    let loaded = netns.command("nft").arg(rules).output().expect("nft (scripts/setup)");
    if !loaded.status.success() {
        skip!("this kernel has no NAT: {}", String::from_utf8_lossy(&loaded.stderr));
    }
    let _servers = netns.python(SERVERS);
    assert_eq!(reached(&outside, "10.1.1.1"), "9090");
    assert_eq!(reached(&netns, "10.1.1.1"), "8080");

    let document = Program::line("explain 8080 --json").inside(&netns).run().json();
    let rules = warning(&document, "nat-shadow").expect("a warning")["rules"].clone();
    let [rule] = &rules.as_array().unwrap()[..] else { panic!("one rule: {rules}") };
    assert_eq!((&rule["path"], &rule["takes_all"]), (&json!("prerouting"), &json!(true)));
    let local = Program::line("explain 127.0.0.1:8080 --json").inside(&netns).run().json();
    assert_eq!(warning(&local, "nat-shadow"), None, "nobody outside reaches loopback");
}

#[test]
fn marks_and_the_order_of_tables_say_which_rule_diverts_as_the_kernel_has_it() {
    require_root!();
    let netns = Netns::new();
    // Of equals the kernel asks the one first that was registered last.
    let rules = "add table ip first; add chain ip first out { type nat hook output priority -100; }; \
                 add rule ip first out tcp dport 8080 redirect to :9; \
                 add table ip last; add chain ip last out { type nat hook output priority -100; }; \
                 add chain ip last marks { type route hook output priority -150; }; \
                 add rule ip last marks tcp dport 8080 meta mark set 7; \
                 add rule ip last out meta mark 7 meta l4proto tcp redirect to :9090";
    let loaded = netns.command("nft").arg(rules).output().expect("nft (scripts/setup)");
    if !loaded.status.success() {
        skip!("this kernel has no NAT: {}", String::from_utf8_lossy(&loaded.stderr));
    }
    let _servers = netns.python(SERVERS);
    assert_eq!(reached(&netns, "127.0.0.1"), "9090");
    let document = Program::line("explain 127.0.0.1:8080 --json").inside(&netns).run().json();
    let rules = warning(&document, "nat-shadow").expect("a warning")["rules"].clone();
    let [rule] = &rules.as_array().unwrap()[..] else { panic!("one rule: {rules}") };
    assert_eq!((&rule["table"], &rule["target"]), (&json!("last"), &json!("port 9090")));
    assert_eq!(rule["takes_all"], true);
}

/// Two servers that answer with their own port.
const SERVERS: &str = "import threading
def serve(s, port):
    while True:
        c, _ = s.accept(); c.sendall(str(port).encode()); c.close()
for port in (8080, 9090):
    threading.Thread(target=serve, args=(listener(f'0.0.0.0:{port}'), port), daemon=True).start()";

/// Which of the two answers whoever connects to 8080.
fn reached(from: &Netns, address: &str) -> String {
    let script =
        format!("c = socket.create_connection(({address:?}, 8080), 5); print(c.recv(9).decode())");
    from.python(&script).said.clone()
}

#[test]
fn a_port_that_can_be_bound_and_is_diverted_is_free_with_a_warning() {
    require_root!();
    let netns = Netns::new();
    let rules = "*nat\n-A PREROUTING -p tcp -m tcp --dport 8080 -j DNAT --to-destination \
                 10.9.9.9:80\nCOMMIT\n";
    let script = format!("printf '%s' '{rules}' | iptables-nft-restore 2>&1");
    let loaded = netns.command("sh").args(["-c", &script]).output().unwrap();
    if !loaded.status.success() {
        skip!("no iptables here: {}", String::from_utf8_lossy(&loaded.stdout));
    }
    let document = Program::line("explain 8080 --json").inside(&netns).run().expect_code(0).json();
    assert_eq!((&document["bindable"], &document["verdict"]), (&json!(true), &json!("free")));
    // Nothing comes from outside to a machine that has loopback addresses alone.
    assert_eq!(warning(&document, "nat-shadow"), None);
    netns.ip("address add 10.1.1.1/24 dev lo");
    let document = Program::line("explain 8080 --json").inside(&netns).run().expect_code(0).json();
    let rule = &warning(&document, "nat-shadow").expect("a warning")["rules"][0];
    assert_eq!((&rule["chain"], &rule["target"]), (&json!("PREROUTING"), &json!("10.9.9.9:80")));
    assert!(rule["handle"].is_u64(), "nft gives the rule of iptables a handle: {rule}");
    let stranger = Program::line("explain 8080 --json").inside(&netns).by_user(65534).run();
    let gaps = stranger.expect_code(0).json()["gaps"].to_string();
    assert!(gaps.contains("NAT rules that could divert a port"), "{gaps}");
}

#[test]
fn a_rule_of_legacy_iptables_is_found_where_nft_shows_none() {
    require_root!();
    let netns = Netns::new();
    let rule = "-t nat -A OUTPUT -o lo -p tcp --dport 3000 -j REDIRECT --to-ports 3001";
    let loaded = netns.command("iptables-legacy").args(rule.split(' ')).output();
    if !loaded.is_ok_and(|output| output.status.success()) {
        skip!("no legacy iptables here");
    }
    let ran = Program::line("explain 127.0.0.1:3000 --json").inside(&netns).run().expect_code(0);
    let document = ran.json();
    let rule = &warning(&document, "nat-shadow").expect("a warning")["rules"][0];
    assert_eq!((&rule["chain"], &rule["handle"]), (&json!("OUTPUT"), &Value::Null));
    assert_eq!((&rule["target"], &rule["takes_all"]), (&json!("port 3001"), &json!(true)));
    assert_eq!(document["remedies"][0]["command"], "iptables-legacy -t nat -S OUTPUT");
}

#[test]
fn two_programs_behind_localhost_are_told_with_the_one_that_is_reached() {
    require_root!();
    let netns = Netns::new();
    let _first = netns.listen("127.0.0.1:5173");
    let second = netns.listen("[::1]:5173");
    for (hosts, reached) in [(BOTH, "::1"), (IPV4_ONLY, "127.0.0.1")] {
        let ran = with_hosts(&netns, hosts, "explain 5173 --json").expect_code(1);
        let document = ran.json();
        let split = warning(&document, "split-family").expect("a warning");
        assert_eq!(split["reached_first"], reached, "{split}");
    }
    let who = with_hosts(&netns, BOTH, "who 5173 --json").expect_code(0).json();
    let split = warning(&who, "split-family").expect("a warning");
    assert_eq!((&split["port"], &split["reached_first"]), (&json!(5173), &json!("::1")));
    let text = with_hosts(&netns, IPV4_ONLY, "who 5173").expect_code(0).stdout;
    assert!(text.contains("`localhost` is 127.0.0.1 first"), "{text}");
    let text = with_hosts(&netns, BOTH, "explain 5173").expect_code(1).stdout;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let told =
        format!("`localhost` is ::1 first here, so most clients reach python3 ({})", second.pid());
    assert!(text.contains(&told), "{text}");
}

#[test]
fn a_server_that_would_split_localhost_is_warned_beforehand() {
    require_root!();
    let netns = Netns::new();
    let _first = netns.listen("127.0.0.1:5173");
    let document = with_hosts(&netns, BOTH, "explain [::1]:5173 --json").expect_code(0).json();
    let split = warning(&document, "split-family").expect("a warning");
    assert!(split["message"].as_str().unwrap().contains("this server at [::1]"), "{split}");
    let one = with_hosts(&netns, BOTH, "explain 127.0.0.2:5173 --json").expect_code(0).json();
    assert_eq!(warning(&one, "split-family"), None);
}

#[test]
fn one_program_with_both_families_is_no_split() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.python("listener('127.0.0.1:5173'); listener('[::1]:5173')");
    let document = with_hosts(&netns, BOTH, "explain 5173 --json").expect_code(1).json();
    assert_eq!(warning(&document, "split-family"), None);
}

#[test]
fn a_port_of_a_tunnel_is_the_kernels_and_the_tunnel_is_what_can_be_taken_down() {
    require_root!();
    let netns = Netns::new();
    netns.ip("link add vx0 type vxlan id 1 dstport 4789 local 127.0.0.1");
    netns.ip("link set vx0 up");
    let document =
        Program::line("explain 4789/udp --json").inside(&netns).run().expect_code(1).json();
    assert_eq!(document["verdict"], "kernel");
    assert_eq!(document["blockers"][0]["kernel_use"], json!({"kind": "vxlan", "device": "vx0"}));
    assert_eq!(document["remedies"][0]["command"], "ip link set vx0 down");
    netns.ip("link set vx0 down");
    Program::line("explain 4789/udp").inside(&netns).run().expect_code(0);
}

#[test]
fn docker_proxy_is_not_what_is_in_the_way() {
    require_root!();
    let netns = Netns::new();
    // A program of that name, with that program's arguments, as ss and /proc see it.
    let folder = tempfile::tempdir().unwrap();
    let proxy = folder.path().join("docker-proxy");
    std::fs::copy("/bin/sleep", &proxy).unwrap();
    let server = netns.python(&format!(
        "s = listener('0.0.0.0:8080'); os.set_inheritable(s.fileno(), True)
pid = os.fork()
if pid == 0:
    os.execv({proxy:?}, [{proxy:?}, '600'])
s.close(); kept.clear(); print(pid)",
        proxy = proxy.to_str().unwrap()
    ));
    let _ended = Ended(server.said.parse().unwrap());
    let document = Program::line("explain 8080 --json").inside(&netns).run().expect_code(1).json();
    assert_eq!(document["verdict"], "container-publish", "{document:#}");
    assert_eq!(document["blockers"][0]["behind"]["program"], "docker-proxy");
    let who = Program::line("who 8080").inside(&netns).run().expect_code(0).stdout;
    assert!(who.contains("stands for    a container"), "{who}");
    let first = document["remedies"][0]["command"].as_str().unwrap();
    assert_eq!(first, "docker ps --filter publish=8080");
}

/// A child of a server of ours, ended with the test.
struct Ended(u32);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.to_string()).status();
    }
}

/// What nginx printed, captured once.
const NGINX: &str = include_str!("../../../portolan-core/tests/data/complaints/nginx.txt");

fn pasted(netns: &Netns, text: &str) -> Ran {
    Program::line("explain - --json").inside(netns).input(text).run()
}

#[test]
fn a_pasted_error_is_explained_for_the_place_it_names() {
    require_root!();
    let netns = Netns::new();
    let server = netns.listen("0.0.0.0:8080");
    let document = pasted(&netns, NGINX).expect_code(1).json();
    let complaint = &document["complaint"];
    assert_eq!((&complaint["error"], &complaint["line"]), (&json!("EADDRINUSE"), &json!(1)));
    assert_eq!(complaint["others"], json!(["[::]:3000"]));
    assert_eq!(document["target"]["address"], "0.0.0.0");
    assert_eq!(document["blockers"][0]["owners"][0]["pid"], server.pid());
    let text = Program::line("explain -").inside(&netns).input(NGINX).run().expect_code(1).stdout;
    assert!(
        text.starts_with("The text tells of EADDRINUSE for 0.0.0.0:8080 (line 1).\n"),
        "{text}"
    );
    assert!(text.ends_with("portolan explain '[::]:3000'\n"), "{text}");
    drop(server);
    let text = Program::line("explain -").inside(&netns).input(NGINX).run().expect_code(0).stdout;
    assert!(text.contains("What stood in the way when the text was written is gone."), "{text}");
}

#[test]
fn a_program_that_really_fails_is_explained_by_what_it_printed() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.listen("127.0.0.1:5000");
    let script = "import asyncio
async def main(): await asyncio.start_server(lambda r, w: None, '127.0.0.1', 5000)
asyncio.run(main())";
    let failed = netns.command("python3").args(["-c", script]).output().unwrap();
    assert!(!failed.status.success());
    let printed = String::from_utf8(failed.stderr).unwrap();
    let document = pasted(&netns, &printed).expect_code(1).json();
    assert_eq!(document["complaint"]["target"], "127.0.0.1:5000");
    assert_eq!(document["verdict"], "listener");
}

#[test]
fn a_pasted_text_without_a_port_ends_with_2_and_says_so() {
    require_root!();
    let netns = Netns::new();
    let ran = pasted(&netns, "OSError: [Errno 98] Address already in use").expect_code(2);
    assert!(ran.stderr.contains("EADDRINUSE in line 1, but names no port"), "{}", ran.stderr);
    let ran = pasted(&netns, "").expect_code(2);
    assert!(ran.stderr.contains("tells of no port"), "{}", ran.stderr);
}

#[test]
fn a_port_that_systemd_holds_leads_to_the_socket_unit() {
    require_root!();
    let Some(cgroup) = Cgroup::new("portolan-web.socket") else {
        skip!("no unified cgroup hierarchy")
    };
    let netns = Netns::new();
    let procs = cgroup.service.join("cgroup.procs");
    // systemd makes the socket in the cgroup of its unit and holds it outside of that.
    let _server = netns.python(&format!(
        "home = open('/proc/self/cgroup').read().strip().split('::')[-1]
open({procs:?}, 'w').write(str(os.getpid()))
listener('127.0.0.1:8080')
open('/proc/self/comm', 'w').write('systemd')
mount = {procs:?}.split('/portolan-it-')[0]
open(mount + home.rstrip('/') + '/cgroup.procs', 'w').write(str(os.getpid()))"
    ));
    let document = Program::line("explain 8080 --json").inside(&netns).run().expect_code(1).json();
    assert_eq!(document["verdict"], "socket-activation", "{document:#}");
    let behind =
        json!({"kind": "socket-activation", "unit": "portolan-web.socket", "starts": null});
    assert_eq!(document["blockers"][0]["behind"], behind);
    let command = document["remedies"][0]["command"].as_str().unwrap();
    assert_eq!(command, "systemctl --user stop portolan-web.socket");
    let text = Program::line("who 8080").inside(&netns).run().expect_code(0).stdout;
    assert!(text.contains("listens for   portolan-web.socket"), "{text}");
}
