//! `portolan audit`: the intent against a kernel's listeners, in every form.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Netns, Program, Ran, Server, require_root};

/// A folder with this inventory, readable for every user.
fn folder(inventory: &str) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let everyone = fs::Permissions::from_mode(0o755);
    let folder = tempfile::Builder::new().permissions(everyone).tempdir().expect("a folder");
    fs::write(folder.path().join("portolan.toml"), inventory).expect("the folder can be written");
    folder
}

fn audit(namespace: &Netns, folder: &Path, line: &str) -> Ran {
    let line = format!("audit --host web {line}");
    Program::line(&line).inside(namespace).folder(folder).run()
}

/// The findings of one rule.
fn of(document: &Value, rule: &str) -> Vec<Value> {
    let findings = document["findings"].as_array().expect("findings");
    findings.iter().filter(|f| f["rule"] == rule).cloned().collect()
}

const HOST: &str = "portolan = 1\n\n[hosts.web]\naddress = [\"10.0.0.1\"]\n";

/// `app` on 8080 for this machine only, and one that was found and has to be described.
const SERVICES: &str = "portolan = 1\n\n[hosts.web]\naddress = [\"10.0.0.1\"]\n\n\
    [services.app]\non = [\"web\"]\nports = [\"18080/tcp\"]\n\
    approved = { by = \"ann\", on = 2026-01-01 }\n\n\
    [services.found]\non = [\"web\"]\nports = [\"18081/tcp\"]\nexpect = \"sometimes\"\n\
    status = \"observed\"\npurpose = \"TODO\"\n";

#[test]
fn one_listener_more_is_one_finding_more_with_the_same_id_on_every_run() {
    require_root!();
    let namespace = Netns::new();
    let folder = folder(SERVICES);
    let _app = namespace.listen("127.0.0.1:18080");
    let clean = audit(&namespace, folder.path(), "--json").expect_code(0).json();
    assert!(of(&clean, "P101").is_empty(), "{clean:#}");

    let ids: Vec<Value> = (0..2)
        .map(|_| {
            // Another process with another inode each time.
            let _stranger = namespace.listen("127.0.0.1:18099");
            let document = audit(&namespace, folder.path(), "--json").expect_code(1).json();
            let found = of(&document, "P101");
            assert_eq!(found.len(), 1, "{document:#}");
            assert_eq!(found[0]["subject"], "18099/tcp");
            assert_eq!(found[0]["location"]["file"], "portolan.toml");
            assert_eq!(found[0]["location"]["line"], 3);
            found[0]["id"].clone()
        })
        .collect();
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn a_declared_service_that_stopped_is_missed() {
    require_root!();
    let namespace = Netns::new();
    let folder = folder(SERVICES);
    let app = namespace.listen("127.0.0.1:18080");
    audit(&namespace, folder.path(), "").expect_code(0);
    drop(app);
    let document = audit(&namespace, folder.path(), "--json").expect_code(1).json();
    let missed = of(&document, "P102");
    assert_eq!(missed.len(), 1, "{document:#}");
    assert_eq!(missed[0]["service"], "app");
    assert_eq!(missed[0]["subject"], "18080/tcp");
}

/// A machine with servers for anyone, for its network and for itself, and a client of UDP.
fn small_machine(namespace: &Netns) -> Vec<Server> {
    namespace.ip("addr add 10.9.8.7/24 dev lo");
    [
        "listener('0.0.0.0:18080'); listener('[::]:18081')",
        "listener('127.0.0.1:18432')",
        "bound('10.9.8.7:18053', socket.SOCK_DGRAM); listener('10.9.8.7:18053')",
        "bound('0.0.0.0:0', socket.SOCK_DGRAM); listener('127.0.0.1:0')",
    ]
    .map(|script| namespace.python(script))
    .into()
}

#[test]
fn right_after_init_there_is_only_what_init_left_to_do() {
    require_root!();
    let namespace = Netns::new();
    let _servers = small_machine(&namespace);
    let folder = tempfile::tempdir().unwrap();
    let run = |line: &str| Program::line(line).inside(&namespace).folder(&folder).run();
    run("inventory init").expect_code(0);

    let document = run("audit --json").expect_code(0).json();
    let findings = document["findings"].as_array().unwrap();
    assert!(!findings.is_empty(), "{document:#}");
    assert!(findings.iter().all(|f| f["rule"] == "P117"), "{document:#}");

    let _stranger = namespace.listen("0.0.0.0:18099");
    let document = run("audit --json").expect_code(1).json();
    let found = of(&document, "P101");
    assert_eq!(found.len(), 1, "{document:#}");
    assert_eq!(found[0]["subject"], "18099/tcp");
    assert_eq!(document["findings"].as_array().unwrap().len(), findings.len() + 1, "{document:#}");
}

#[test]
fn what_stops_after_init_is_missed() {
    require_root!();
    let namespace = Netns::new();
    let mut servers = small_machine(&namespace);
    let folder = tempfile::tempdir().unwrap();
    let run = |line: &str| Program::line(line).inside(&namespace).folder(&folder).run();
    run("inventory init").expect_code(0);
    drop(servers.remove(1));
    let document = run("audit --json").expect_code(1).json();
    let missed = of(&document, "P102");
    assert_eq!(missed.len(), 1, "{document:#}");
    assert_eq!(missed[0]["subject"], "18432/tcp");
}

#[test]
fn the_evidence_names_address_process_and_inode() {
    require_root!();
    let namespace = Netns::new();
    let folder = folder(HOST);
    let server = namespace.listen("0.0.0.0:18099");
    let document = audit(&namespace, folder.path(), "--json").expect_code(1).json();
    let finding = of(&document, "P101").remove(0);
    assert_eq!(finding["severity"], "high");
    let evidence = finding["evidence"].to_string();
    for fact in ["0.0.0.0:18099", "inode ", &format!("pid {}", server.pid()), "user root"] {
        assert!(evidence.contains(fact), "{fact} in {evidence}");
    }
}

#[test]
fn udp_the_kernel_chose_a_number_for_is_no_finding_and_a_fixed_one_is() {
    require_root!();
    let namespace = Netns::new();
    let folder = folder(HOST);
    let _chosen = namespace.python("bound('127.0.0.1:0', socket.SOCK_DGRAM)");
    audit(&namespace, folder.path(), "").expect_code(0);
    let _fixed = namespace.python("bound('127.0.0.1:18053', socket.SOCK_DGRAM)");
    let document = audit(&namespace, folder.path(), "--json").expect_code(1).json();
    let found = of(&document, "P101");
    assert_eq!(found.len(), 1, "{document:#}");
    assert_eq!(found[0]["subject"], "18053/udp");
}

#[test]
fn fail_on_decides_from_which_severity_the_code_is_1() {
    require_root!();
    let namespace = Netns::new();
    let folder = folder(HOST);
    // An undeclared listener on loopback is low.
    let _stranger = namespace.listen("127.0.0.1:18099");
    audit(&namespace, folder.path(), "").expect_code(1);
    audit(&namespace, folder.path(), "--fail-on low").expect_code(1);
    audit(&namespace, folder.path(), "--fail-on medium").expect_code(0);
    let quiet = self::folder(SERVICES);
    let empty = Netns::new();
    let _app = empty.listen("127.0.0.1:18080");
    audit(&empty, quiet.path(), "").expect_code(0);
    audit(&empty, quiet.path(), "--fail-on note").expect_code(1);
}

#[test]
fn without_an_inventory_the_way_to_one_is_shown() {
    let ran = Program::line("audit").run().expect_code(2);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("portolan inventory init"), "{}", ran.stderr);
}

#[test]
fn a_broken_inventory_is_an_error_with_its_line() {
    let folder = folder("portolan = 1\n[services.a]\non = [\"*\"]\nprots = [\"80/tcp\"]\n");
    let ran = Program::line("audit").folder(&folder).run().expect_code(2);
    assert!(ran.stderr.contains("portolan.toml:4"), "{}", ran.stderr);
}

#[test]
fn a_holder_that_cannot_be_seen_ends_with_3_and_says_what_helps() {
    require_root!();
    let namespace = Netns::new();
    let folder =
        folder(&SERVICES.replace("18080/tcp\"]\n", "18080/tcp\"]\nprocess = \"python*\"\n"));
    let _app = namespace.listen("127.0.0.1:18080");
    audit(&namespace, folder.path(), "").expect_code(0);
    let line = "audit --host web --json";
    let ran = Program::line(line).inside(&namespace).folder(&folder).by_user(65534).run();
    let document = ran.expect_code(3).json();
    assert!(of(&document, "P103").is_empty(), "{document:#}");
    let gaps = document["gaps"].as_array().unwrap();
    assert!(gaps.iter().any(|g| g["why"] == "not-permitted"), "{document:#}");
}

#[test]
fn an_inventory_nobody_named_that_cannot_be_read_is_never_passed_over_in_silence() {
    require_root!();
    use std::os::unix::fs::PermissionsExt as _;
    let namespace = Netns::new();
    let folder = folder(HOST);
    let file = folder.path().join("portolan.toml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let run = Program::line("audit --host web").inside(&namespace).folder(&folder);
    let ran = run.by_user(65534).run().expect_code(2);
    assert!(ran.stderr.contains("portolan.toml"), "{}", ran.stderr);
}

#[test]
fn sarif_is_what_code_scanning_takes() {
    require_root!();
    let namespace = Netns::new();
    let folder = folder(SERVICES);
    let _stranger = namespace.listen("0.0.0.0:18099");
    let run = || {
        let ran = audit(&namespace, folder.path(), "--format sarif").expect_code(1).json();
        assert_eq!(ran["version"], "2.1.0");
        ran["runs"][0].clone()
    };
    let first = run();
    let rules = first["tool"]["driver"]["rules"].as_array().unwrap();
    for rule in rules {
        assert!(rule["help"]["text"].as_str().is_some_and(|t| !t.is_empty()), "{rule:#}");
        let score: f64 = rule["properties"]["security-severity"].as_str().unwrap().parse().unwrap();
        assert!((0.0..=10.0).contains(&score), "{rule:#}");
    }
    let results = first["results"].as_array().unwrap();
    assert!(!results.is_empty());
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "portolan.toml");
        assert!(place["region"]["startLine"].as_u64().unwrap() >= 1);
    }
    let unexpected = results.iter().find(|r| r["ruleId"] == "P101").unwrap();
    let line = &unexpected["locations"][0]["physicalLocation"]["region"]["startLine"];
    assert_eq!(*line, 3, "the line of [hosts.web]");
    let prints = |run: &Value| -> Vec<Value> {
        let results = run["results"].as_array().unwrap();
        results.iter().map(|r| r["partialFingerprints"].clone()).collect()
    };
    assert_eq!(prints(&first), prints(&run()));
}

#[test]
fn an_inventory_outside_the_working_folder_still_has_a_relative_uri() {
    require_root!();
    let namespace = Netns::new();
    let folder = folder(HOST);
    let _stranger = namespace.listen("127.0.0.1:18099");
    let file = folder.path().join("portolan.toml");
    let line = format!("audit --host web --format sarif --inventory {}", file.display());
    let document = Program::line(&line).inside(&namespace).run().expect_code(1).json();
    let artifact =
        &document["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"];
    let uri = artifact["uri"].as_str().unwrap();
    assert!(!uri.starts_with('/') && !uri.is_empty(), "{uri}");
    let base = artifact["uriBaseId"].as_str().unwrap();
    assert_eq!(document["runs"][0]["originalUriBaseIds"][base]["uri"], "file:///");
}

#[test]
fn junit_counts_what_it_holds() {
    require_root!();
    let namespace = Netns::new();
    let folder = folder(SERVICES);
    let _stranger = namespace.python("listener('0.0.0.0:18099')");
    let xml = audit(&namespace, folder.path(), "--format junit").expect_code(1).stdout;
    let parsed = Xml::parse(&xml);
    let suite = &parsed.attributes["testsuite"];
    let count =
        |name: &str| suite.iter().find(|(n, _)| n == name).unwrap().1.parse::<usize>().unwrap();
    assert_eq!(count("tests"), parsed.count("testcase"));
    assert_eq!(count("failures"), parsed.count("failure"));
    assert_eq!(count("errors"), parsed.count("error"));
    assert_eq!(count("failures"), 2, "the stranger and the service that is down:\n{xml}");
}

/// Elements of a document and the attributes of the last one of each name.
struct Xml {
    names: Vec<String>,
    attributes: std::collections::HashMap<String, Vec<(String, String)>>,
}

impl Xml {
    fn parse(text: &str) -> Self {
        use quick_xml::events::Event;
        let mut reader = quick_xml::Reader::from_str(text);
        let mut xml = Self { names: Vec::new(), attributes: std::collections::HashMap::new() };
        loop {
            let element = match reader.read_event().expect("well-formed XML") {
                Event::Start(element) | Event::Empty(element) => element,
                Event::Eof => return xml,
                _ => continue,
            };
            let name = element.name().as_ref().to_owned();
            let attributes = element.attributes().map(|a| {
                let a = a.expect("a sound attribute");
                (a.key.as_ref().to_owned(), a.value.into_owned())
            });
            xml.attributes.insert(name.clone(), attributes.collect());
            xml.names.push(name);
        }
    }

    fn count(&self, name: &str) -> usize {
        self.names.iter().filter(|n| *n == name).count()
    }
}

#[test]
fn github_gets_one_command_a_finding() {
    require_root!();
    let namespace = Netns::new();
    let folder = folder(SERVICES);
    let _stranger = namespace.listen("0.0.0.0:18099");
    let text = audit(&namespace, folder.path(), "--format github").expect_code(1).stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    let first = "::error file=portolan.toml,line=3,title=P101 high%3A 18099/tcp::18099/tcp ";
    assert!(lines[0].starts_with(first), "{text}");
    assert!(lines[1].starts_with("::warning file=portolan.toml,line=6,title=P102 "), "{text}");
    assert!(lines[2].starts_with("::notice file=portolan.toml,"), "{text}");
}

#[test]
fn nagios_gets_one_line_and_its_own_codes() {
    require_root!();
    let namespace = Netns::new();
    let folder = folder(SERVICES);
    let nagios = |code, word: &str| {
        let text = audit(&namespace, folder.path(), "--format nagios").expect_code(code).stdout;
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with(&format!("PORTOLAN {word} - web: ")), "{text}");
        assert_eq!(text.matches('|').count(), 1, "{text}");
        text
    };
    nagios(1, "WARNING");
    let _app = namespace.listen("127.0.0.1:18080");
    assert!(nagios(0, "OK").contains("critical=0;;0;0 high=0;;0;0 medium=0;0;;0"));
    let _stranger = namespace.listen("0.0.0.0:18099");
    assert!(nagios(2, "CRITICAL").contains(" high=1;"));
}

#[test]
fn nagios_never_calls_as_declared_what_is_only_below_the_threshold() {
    require_root!();
    let namespace = Netns::new();
    let folder = folder(HOST);
    let clean = audit(&namespace, folder.path(), "--format nagios").expect_code(0).stdout;
    assert!(clean.contains("0 listening ports as declared"), "{clean}");
    let _stranger = namespace.listen("0.0.0.0:18099");
    let line = "--format nagios --fail-on critical";
    let milder = audit(&namespace, folder.path(), line).expect_code(0).stdout;
    assert!(milder.contains("1 listening ports, 1 findings below critical"), "{milder}");
}

#[test]
fn nagios_reads_a_failure_as_unknown() {
    let ran = Program::line("audit --format nagios").run().expect_code(3);
    assert!(ran.stdout.starts_with("PORTOLAN UNKNOWN - "), "{}", ran.stdout);
    assert_eq!(ran.stdout.lines().count(), 1);
}

#[test]
fn an_accepted_finding_is_silent_and_the_rest_of_the_file_untouched() {
    require_root!();
    let namespace = Netns::new();
    let commented = format!("{HOST}# kept as it is\n");
    let folder = folder(&commented);
    let _stranger = namespace.listen("0.0.0.0:18099");
    let found = audit(&namespace, folder.path(), "--json").expect_code(1).json();
    let id = of(&found, "P101")[0]["id"].as_str().unwrap().to_owned();
    let accept = ["audit", "accept", &id, "--reason", "vendor \"agent\"", "--until", "2999-12-31"];
    let accept = Program::new(accept).arg("--host").arg("web");
    accept.inside(&namespace).folder(&folder).run().expect_code(0);

    let text = fs::read_to_string(folder.path().join("portolan.toml")).unwrap();
    assert!(text.starts_with(&commented), "{text}");
    let after = audit(&namespace, folder.path(), "--json").expect_code(0).json();
    assert!(of(&after, "P101").is_empty(), "{after:#}");
    assert_eq!(after["accepted"][0]["id"], *id);
    assert_eq!(after["accepted"][0]["reason"], "vendor \"agent\"");
    let again = format!("accept {id} --reason twice");
    let ran = audit(&namespace, folder.path(), &again).expect_code(2);
    assert!(ran.stderr.contains("is accepted already"), "{}", ran.stderr);
}

#[test]
fn an_unknown_id_is_refused_with_the_nearest_and_nothing_is_written() {
    require_root!();
    let namespace = Netns::new();
    let folder = folder(HOST);
    let _stranger = namespace.listen("0.0.0.0:18099");
    let found = audit(&namespace, folder.path(), "--json").expect_code(1).json();
    let id = of(&found, "P101")[0]["id"].as_str().unwrap().to_owned();
    let mistyped = format!("{}x", &id[..id.len() - 1]);
    for (line, hint) in [
        (format!("accept {mistyped} --reason r"), id.as_str()),
        ("accept P999-0 --reason r".to_owned(), id.as_str()),
        (format!("accept {id} --reason r --until 2001-01-01"), "still to come"),
    ] {
        let ran = audit(&namespace, folder.path(), &line).expect_code(2);
        assert!(ran.stderr.contains(hint), "{line}: {}", ran.stderr);
    }
    assert_eq!(fs::read_to_string(folder.path().join("portolan.toml")).unwrap(), HOST);
}

#[test]
fn a_hostile_process_name_reaches_no_terminal_as_it_is() {
    require_root!();
    let namespace = Netns::new();
    let folder = folder(HOST);
    let _stranger = namespace
        .python("open('/proc/self/comm', 'w').write('\\x1b[2J|::x')\nlistener('127.0.0.1:18099')");
    for format in ["text", "github", "nagios", "junit", "sarif"] {
        let ran = audit(&namespace, folder.path(), &format!("--format {format}"));
        assert!(!ran.stdout.contains('\x1b'), "{format}: {}", ran.stdout);
    }
}

#[test]
fn the_report_is_calm_and_fits_80_columns() {
    require_root!();
    let namespace = Netns::new();
    let folder = folder(SERVICES);
    let _stranger = namespace.listen("0.0.0.0:18099");
    let text = audit(&namespace, folder.path(), "").expect_code(1).stdout;
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    insta::assert_snapshot!(steady(&text));
}

#[test]
fn an_audit_that_finds_nothing_says_so() {
    require_root!();
    let namespace = Netns::new();
    let folder = folder(HOST);
    let text = audit(&namespace, folder.path(), "").expect_code(0).stdout;
    insta::assert_snapshot!(text);
}

/// Without what differs from run to run: the inode, and the line of the process.
fn steady(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let line = match line.split_once("inode ") {
            Some((before, after)) => {
                format!("{before}inode N{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
            }
            None => line.to_owned(),
        };
        lines.push(match line.split_once("held by ") {
            Some((before, _)) => format!("{before}held by …"),
            None => line,
        });
    }
    lines.join("\n")
}

/// A router between a near network and the world, each an interface of its own.
fn between(rules: &str) -> Netns {
    let namespace = Netns::new();
    for (name, address) in [("wan0", "198.51.100.2/24"), ("lan0", "10.1.0.1/24")] {
        namespace.ip(&format!("link add {name} type veth peer name far-{name}"));
        namespace.ip(&format!("link set far-{name} up"));
        namespace.ip(&format!("addr add {address} dev {name}"));
        namespace.ip(&format!("link set {name} up"));
    }
    if !rules.is_empty() {
        namespace.rules(rules);
    }
    namespace
}

/// What is told of a port by some rules of the audit.
fn told(document: &Value, subject: &str) -> Vec<String> {
    let findings = document["findings"].as_array().expect("findings");
    let of = findings.iter().filter(|f| f["subject"] == subject);
    let rules = of.filter_map(|f| f["rule"].as_str().map(str::to_owned));
    rules
        .filter(|rule| ["P101", "P102", "P108", "P114", "P115", "P122"].contains(&&**rule))
        .collect()
}

/// Whoever comes by `lan0` may use 4567.
const BY_INTERFACE: &str = "portolan = 1\n\n[hosts.web]\naddress = [\"10.1.0.1\"]\n\n\
    [networks]\ninside = { interface = \"lan0\" }\nlan = { cidr = [\"10.1.0.0/24\"], interface = \"lan0\" }\n\
    outside = { interface = \"wan0\" }\n\n\
    [services.app]\non = [\"web\"]\nports = [\"4567/tcp\"]\nfrom = [\"inside\"]\n";

const BY_LAN_ALONE: &str = "table inet filter { chain input { type filter hook input priority 0; \
    iifname lan0 tcp dport 4567 accept; iifname wan0 drop; }; }";

#[test]
fn a_network_that_is_an_interface_is_nobody_who_comes_by_another() {
    require_root!();
    let open = between("");
    let _app = open.listen("0.0.0.0:4567");
    let at = BY_INTERFACE.replace("from = [\"inside\"]", "from = [\"any\"]\nat = \"inside\"");
    for inventory in [BY_INTERFACE, &at] {
        let folder = folder(inventory);
        let document = audit(&open, folder.path(), "--json").expect_code(1).json();
        assert_eq!(told(&document, "4567/tcp"), ["P115"], "{document:#}");
        let message = of(&document, "P115")[0]["message"].to_string();
        assert!(message.contains("198.51.100.0/24 by wan0"), "{message}");
    }
    let closed = between(BY_LAN_ALONE);
    let _app = closed.listen("0.0.0.0:4567");
    for inventory in [BY_INTERFACE, &at] {
        let folder = folder(inventory);
        let document = audit(&closed, folder.path(), "--json").json();
        assert!(told(&document, "4567/tcp").is_empty(), "{document:#}");
    }
}

#[test]
fn whom_one_of_two_services_at_a_port_names_is_a_stranger_to_neither() {
    require_root!();
    let open = between("");
    let _app = open.listen("0.0.0.0:4567");
    let beside =
        "\n[services.app-2]\non = [\"web\"]\nports = [\"4567/tcp\"]\nfrom = [\"outside\"]\n";
    for (beside, expected) in [("", vec!["P115"]), (beside, vec![])] {
        let folder = folder(&format!("{BY_INTERFACE}{beside}"));
        let document = audit(&open, folder.path(), "--json").json();
        assert_eq!(told(&document, "4567/tcp"), expected, "{document:#}");
    }
}

#[test]
fn what_must_not_be_reached_by_one_interface_may_be_by_another() {
    require_root!();
    let never = "\n[[never]]\nports = [\"4567/tcp\"]\nfrom = [\"outside\"]\n";
    let inventory = BY_INTERFACE.replace("[\"inside\"]", "[\"lan\"]") + never;
    let folder = folder(&inventory);
    let closed = between(BY_LAN_ALONE);
    let _app = closed.listen("0.0.0.0:4567");
    let document = audit(&closed, folder.path(), "--json").json();
    assert!(told(&document, "4567/tcp").is_empty(), "{document:#}");
    let open = between("");
    let _app = open.listen("0.0.0.0:4567");
    let document = audit(&open, folder.path(), "--json").json();
    assert_eq!(told(&document, "4567/tcp"), ["P122", "P115"], "{document:#}");
}

/// 8081 is sent on to a machine of the near network, and no rule of the input path lets it in.
const SENT_ON: &str = "table ip nat { chain prerouting { type nat hook prerouting priority -100; \
    tcp dport 8081 dnat to 10.1.0.9:80; }; }; table inet filter { chain input { type filter hook \
    input priority 0; policy drop; iifname lo accept; }; }";

#[test]
fn a_port_that_is_sent_on_is_a_port_without_a_socket() {
    require_root!();
    let namespace = between(SENT_ON);
    namespace.set("net/ipv4/ip_forward", 1);
    let empty = tempfile::tempdir().unwrap();
    let run =
        |line: &str, folder: &Path| Program::line(line).inside(&namespace).folder(folder).run();
    let bare = folder(HOST);
    let document = audit(&namespace, bare.path(), "--json").json();
    assert_eq!(told(&document, "8081/tcp"), ["P101", "P108"], "{document:#}");

    let chart = run("status --json", empty.path()).expect_code(0).json();
    assert_eq!(chart["ports"][0]["port"], 8081, "{chart:#}");
    let text = run("status", empty.path()).expect_code(0).stdout;
    assert!(text.contains("to 10.1.0.9:80") && text.contains("1 open port"), "{text}");

    run("inventory init", empty.path()).expect_code(0);
    let written = fs::read_to_string(empty.path().join("portolan.toml")).expect("it is written");
    assert!(written.contains("\"8081/tcp\""), "{written}");
    let document = run("audit --json", empty.path()).json();
    assert!(!told(&document, "8081/tcp").contains(&"P102".to_owned()), "{document:#}");

    let declared = folder(&format!(
        "{HOST}\n[forwards.pub]\non = [\"web\"]\nlisten = \"8081/tcp\"\nto = \"10.1.0.9:80\"\n\
         via = \"nat\"\nfrom = [\"any\"]\n"
    ));
    let document = audit(&namespace, declared.path(), "--json").json();
    assert!(told(&document, "8081/tcp").is_empty(), "{document:#}");
    let chart = run("status --json --host web", declared.path()).json();
    assert_eq!(chart["ports"][0]["declared"]["service"], "pub", "{chart:#}");
}

#[test]
fn a_part_that_another_tool_keeps_out_is_told_with_what_lets_it_in() {
    require_root!();
    let namespace = between(
        "table inet filter { chain ufw-user-input { ip saddr 10.1.0.0/25 tcp dport 4567 accept; }; \
         chain INPUT { type filter hook input priority 0; policy drop; iifname lo accept; \
         jump ufw-user-input; }; }",
    );
    let _app = namespace.listen("0.0.0.0:4567");
    let inventory = BY_INTERFACE.replace("[\"inside\"]", "[\"lan\"]");
    let folder = folder(&inventory);
    let document = audit(&namespace, folder.path(), "--json").json();
    assert_eq!(told(&document, "4567/tcp"), ["P114"], "{document:#}");
    let found = &of(&document, "P114")[0];
    let message = found["message"].to_string();
    assert!(message.contains("10.1.0.128/25 of it"), "{message}");
    let remedy = found["remedy"].to_string();
    assert!(remedy.contains("ufw allow proto tcp from 10.1.0.128/25 to any port 4567"), "{remedy}");
}
