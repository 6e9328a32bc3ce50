//! `portolan explain -- COMMAND`: what a command could not bind, known from its own calls.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Netns, Program, Ran, require_root};

const PYTHON: &str = "/usr/bin/python3";

/// `portolan explain OPTIONS -- python3 -c SCRIPT` in a namespace.
fn explain(namespace: &Netns, options: &str, script: &str) -> Program {
    let words = format!("explain {options} --");
    let script = format!("import socket, sys, time\n{script}");
    Program::line(&words).arg(PYTHON).arg("-c").arg(script).inside(namespace)
}

fn json(namespace: &Netns, script: &str, code: i32) -> (Value, Ran) {
    let ran = explain(namespace, "--json", script).run().expect_code(code);
    (ran.json(), ran)
}

#[test]
fn what_a_command_was_refused_is_explained_with_the_options_of_its_socket() {
    require_root!();
    let namespace = Netns::new();
    let server = namespace.listen("127.0.0.1:3000");
    let script = "
print('talk of the command')
s = socket.socket(socket.AF_INET6)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
s.bind(('::', 3000))";
    let (document, ran) = json(&namespace, script, 1);
    assert!(ran.stderr.contains("talk of the command"), "{}", ran.stderr);
    assert_eq!(document["verdict"], "listener");
    assert_eq!(document["blockers"][0]["owners"][0]["pid"], server.pid());
    assert_eq!(document["probe"]["errno"], "EADDRINUSE");
    let target = json!({"transport": "tcp", "address": "::", "port": 3000, "device": null,
        "v6only": false, "reuse": {"address": false, "port": true}});
    assert_eq!(document["target"], target);
    let refused = json!([{"target": target, "errno": "EADDRINUSE", "call": "bind"}]);
    let expected = json!({"exit_code": 1, "bound": [], "refused": refused});
    assert_eq!(document["command"], expected);

    let ran = explain(&namespace, "", script).run().expect_code(1);
    let talk = "talk of the command\ntcp *:3000 cannot be bound: EADDRINUSE";
    assert!(ran.stdout.starts_with(talk), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("the command bound nothing and ended with 1\n"), "{}", ran.stdout);
}

#[test]
fn a_command_that_binds_all_it_wants_ends_with_0() {
    require_root!();
    let namespace = Netns::new();
    let script = "
tcp, udp = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
tcp.bind(('127.0.0.1', 3000)); tcp.listen()
udp.bind(('127.0.0.1', 0))
sys.exit(7)";
    let (document, _) = json(&namespace, script, 0);
    assert_eq!((&document["verdict"], &document["bindable"]), (&json!("free"), &json!(true)));
    assert_eq!(document["command"]["exit_code"], 7);
    let bound = document["command"]["bound"].as_array().unwrap();
    assert_eq!((bound.len(), &bound[0]["port"]), (2, &json!(3000)));
    assert!(bound[1]["port"].as_u64().unwrap() > 0, "the kernel's choice is known");
    let ran = explain(&namespace, "", &script.replace("udp.bind", "#")).run().expect_code(0);
    let said = "the command bound tcp 127.0.0.1:3000 (SO_REUSEADDR) and ended with 7\n";
    assert_eq!(ran.stdout, said);
}

#[test]
fn a_refusal_that_a_later_try_makes_good_is_none() {
    require_root!();
    let namespace = Netns::new();
    let script = "
one, two = socket.socket(), socket.socket()
one.bind(('127.0.0.1', 3000)); one.listen()
try: two.bind(('127.0.0.1', 3000))
except OSError: one.close()
two.bind(('127.0.0.1', 3000)); two.listen()";
    let (document, _) = json(&namespace, script, 0);
    assert_eq!(document["command"]["refused"], json!([]));
}

#[test]
fn a_command_that_falls_back_to_another_port_is_told_why() {
    require_root!();
    let namespace = Netns::new();
    let _server = namespace.listen("127.0.0.1:3000");
    let script = "
s = socket.socket()
for port in 3000, 3001:
    try: s.bind(('127.0.0.1', port)); break
    except OSError: pass
s.listen()";
    let (document, _) = json(&namespace, script, 1);
    assert_eq!(document["target"]["port"], 3000);
    assert_eq!(document["command"]["bound"][0]["port"], 3001);
}

/// Two that share an address both bind; the kernel says no to the second only when it listens.
#[test]
fn a_refused_listen_is_told_as_such() {
    require_root!();
    let namespace = Netns::new();
    let script = "
one, two = socket.socket(), socket.socket()
for s in one, two:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('127.0.0.1', 3000))
one.listen(); two.listen()";
    let (document, _) = json(&namespace, script, 1);
    assert_eq!(document["probe"]["call"], "listen");
    assert_eq!(document["command"]["refused"][0]["call"], "listen");
}

/// The rights that count are the command's, though we carry out its calls.
#[test]
fn a_privileged_port_is_refused_to_a_command_that_gave_up_its_rights() {
    require_root!();
    let namespace = Netns::new();
    let script = "import socket; socket.socket().bind(('127.0.0.1', 81))";
    let user = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let program = Program::line("explain --json -- setpriv").inside(&namespace);
    let program = user.into_iter().fold(program, Program::arg);
    let program = [PYTHON, "-c", script].into_iter().fold(program, Program::arg);
    let document = program.run().expect_code(1).json();
    assert_eq!((&document["verdict"], &document["uid"]), (&json!("privileged"), &json!(65534)));
    assert_eq!(document["probe"]["errno"], "EACCES");
    // With them it may.
    let script = "socket.socket().bind(('127.0.0.1', 81))";
    explain(&namespace, "", script).run().expect_code(0);
    // And nobody's own process is watched as well as root's.
    let ran = explain(&namespace, "--json", script).by_user(65534).run().expect_code(1);
    assert_eq!(ran.json()["verdict"], "privileged");
}

#[test]
fn a_command_that_keeps_trying_is_explained_while_it_runs() {
    require_root!();
    let namespace = Netns::new();
    let _server = namespace.listen("127.0.0.1:3000");
    let script = "
while True:
    try: socket.socket().bind(('127.0.0.1', 3000))
    except OSError: time.sleep(0.1)";
    let mut child = explain(&namespace, "", script).command().spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    while !said.contains("the command has bound nothing and runs on\n") {
        assert_ne!(output.read_line(&mut said).unwrap(), 0, "{said}");
    }
    assert!(said.starts_with("tcp 127.0.0.1:3000 cannot be bound"), "{said}");
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    said.clear();
    output.read_to_string(&mut said).unwrap();
    assert_eq!(said, "", "told once");
}

#[test]
fn a_server_that_serves_just_runs() {
    require_root!();
    let namespace = Netns::new();
    let script = "
s = socket.socket(); s.bind(('127.0.0.1', 3000)); s.listen()
sys.stdin.readline()
sys.exit(0)";
    let mut child = explain(&namespace, "", script).input("").command().spawn().unwrap();
    let listens = || namespace.output("ss -tlnH").contains("127.0.0.1:3000");
    crate::support::eventually("it to serve", listens);
    child.stdin.take().unwrap().write_all(b"enough\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, "the command bound tcp 127.0.0.1:3000 and ended with 0\n");
}

#[test]
fn a_command_that_binds_nothing_is_no_answer() {
    let ran = Program::line("explain -- true").run().expect_code(2);
    assert!(ran.stderr.starts_with("error: the command bound no port and ended with 0\n"));
    let ran = Program::line("explain -- portolan-no-such-program").run().expect_code(2);
    assert_eq!(ran.stderr, "error: portolan-no-such-program: command not found\n");
    Program::line("explain --reuseaddr -- true").run().expect_code(2);
}
