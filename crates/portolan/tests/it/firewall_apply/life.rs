//! A policy without the base a host needs to live: what is missing is told, and whoever must keep access
//! and cannot without it is a reason to refuse.

use serde_json::Value;

use crate::support::require_root;

use super::stage::{SSH, Stage};

fn site(firewall: &str, more: &str) -> String {
    format!(
        "portolan = 1\n[hosts.box]\naddress = [\"192.0.2.2\", \"2001:db8::2\"]\n\
         firewall = {{ {firewall} }}\n{more}"
    )
}

const BOTH: &str =
    "[management]\nfrom = [\"192.0.2.0/24\", \"2001:db8::/64\"]\nports = [\"22/tcp\"]\n";
const V4: &str = "[management]\nfrom = [\"192.0.2.0/24\"]\nports = [\"22/tcp\"]\n";

/// A stage where both sides have IPv6.
fn stage() -> Stage {
    let stage = Stage::new();
    stage.here.ip("address add 2001:db8::2/64 dev v0 nodad");
    stage.far.ip("address add 2001:db8::1/64 dev v1 nodad");
    stage
}

impl Stage {
    /// Whether the neighbour comes in over IPv6, when neither knows the other's link address.
    fn reaches_v6(&self, port: u16) -> bool {
        self.here.ip("neighbour flush dev v0");
        self.far.ip("neighbour flush dev v1");
        let script = format!(
            "s = socket.socket(socket.AF_INET6); s.settimeout(1.5)\n\
             print(s.connect_ex((\"2001:db8::2\", {port})))"
        );
        self.far.python(&script).said == "0"
    }
}

fn verdicts(plan: &Value) -> Vec<(String, String, Value)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rows = plan["access"].as_array().unwrap().iter();
    rows.map(|row| (text(&row["source"]), text(&row["verdict"]), row["lacks"].clone())).collect()
}

fn needs(plan: &Value) -> Vec<String> {
    let rows = plan["missing"].as_array().unwrap().iter();
    rows.map(|row| {
        format!("{} {}", row["need"].as_str().unwrap(), row["direction"].as_str().unwrap())
    })
    .collect()
}

#[test]
fn management_over_ipv6_is_lost_without_neighbour_discovery() {
    require_root!();
    let stage = stage();
    let _server = stage.here.listen("[::]:22");
    assert!(stage.reaches_v6(22));
    let ran = stage.apply(&site("base = false", BOTH), "--json").run().expect_code(1);
    let plan = ran.json();
    assert_eq!(plan["outcome"], "refused");
    for (source, verdict, lacks) in verdicts(&plan) {
        let is_v6 = source.contains(':');
        assert_eq!(verdict == "lost", is_v6, "{source}");
        assert_eq!(lacks == "neighbours", is_v6, "{source}");
    }
    let said = stage.apply(&site("base = false", BOTH), "").run().expect_code(1).stdout;
    assert!(said.contains("IPv6 neighbours would not be found"), "{said}");
    assert!(!stage.has_table());
    // It is so: forced, IPv6 ends and IPv4 does not.
    let flags = "--force --detach --timeout 10m";
    stage.apply(&site("base = false", BOTH), flags).run().expect_code(0);
    assert!(!stage.reaches_v6(22) && stage.reaches(22));
    stage.apply(&site("base = true", BOTH), "--detach --timeout 10m").run().expect_code(0);
    assert!(stage.reaches_v6(22));
    stage.firewall("rollback", SSH).run().expect_code(0);
}

/// What a service of that name lets in, no row has to.
#[test]
fn a_service_in_the_place_of_neighbour_discovery_is_enough() {
    require_root!();
    let stage = stage();
    let _server = stage.here.listen("[::]:22");
    let nd = "[services.nd]\non = [\"box\"]\nports = [\"icmpv6\"]\nfrom = [\"any\"]\n";
    let text = site("base = false", &format!("{BOTH}{nd}"));
    let plan = stage.apply(&text, "--detach --timeout 10m --json").run().expect_code(0).json();
    assert!(verdicts(&plan).iter().all(|(_, verdict, _)| verdict == "kept"), "{plan}");
    assert!(stage.reaches_v6(22));
    stage.firewall("rollback", SSH).run().expect_code(0);
}

#[test]
fn a_block_of_a_manager_does_not_hide_it_from_its_neighbours() {
    require_root!();
    let stage = stage();
    let _server = stage.here.listen("[::]:22");
    let block = "[[block]]\nfrom = [\"2001:db8::/64\", \"fe80::/10\"]\n";
    let text = site("base = true", &format!("{BOTH}{block}"));
    stage.apply(&text, "--detach --timeout 10m").run().expect_code(0);
    assert!(stage.reaches_v6(22));
    stage.firewall("rollback", SSH).run().expect_code(0);
}

#[test]
fn what_a_host_needs_to_live_and_is_refused_is_told() {
    require_root!();
    let stage = stage();
    let plan =
        stage.apply(&site("base = true", V4), "--dry-run --json").run().expect_code(0).json();
    assert!(needs(&plan).is_empty(), "{plan}");
    let ran = stage.apply(&site("base = false", V4), "--dry-run --json").run().expect_code(0);
    let all = [
        "loopback",
        "answers",
        "neighbours",
        "routers",
        "errors",
        "errors-v6",
        "lease",
        "lease-v6",
    ];
    let incoming: Vec<String> = all.iter().map(|need| format!("{need} in")).collect();
    assert_eq!(needs(&ran.json()), incoming);
    let said = stage.apply(&site("base = false", V4), "--dry-run").run().expect_code(0).stdout;
    for told in [
        "base-loopback (in): programs of this machine cannot speak to each other",
        "base-established (in): answers to what this machine asks others do not arrive",
        "base-icmpv6-nd (in): IPv6 neighbours are not found",
    ] {
        assert!(said.contains(told), "{said}");
    }
    let text = site("base = false, egress = \"drop\"", V4);
    let plan = stage.apply(&text, "--dry-run --json").run().expect_code(0).json();
    let outgoing = ["loopback", "answers", "neighbours", "lease", "lease-v6", "names", "time"];
    let outgoing: Vec<String> = outgoing.iter().map(|need| format!("{need} out")).collect();
    assert_eq!(needs(&plan)[all.len()..], outgoing);
}

/// Only [management] has its answers let out by a rule of their own.
#[test]
fn a_session_whose_answers_do_not_leave_is_lost() {
    require_root!();
    let stage = stage();
    let ssh = "[services.ssh]\non = [\"box\"]\nports = [\"22/tcp\"]\nfrom = [\"any\"]\n";
    let text = site("base = false, egress = \"drop\"", ssh);
    let plan = stage.apply(&text, "--json").run().expect_code(1).json();
    let session = ("192.0.2.1".to_owned(), "lost".to_owned(), Value::from("answers"));
    assert_eq!(verdicts(&plan), [session]);
}

/// The block refuses the answers, whatever the base rows let out; without it names are looked up.
#[test]
fn a_block_that_has_the_only_resolver_and_the_gateway_in_it_is_told_with_its_line() {
    require_root!();
    let stage = stage();
    stage.here.ip("route add default via 192.0.2.1");
    let resolver = stage.inventory("").with_file_name("resolv.conf");
    std::fs::write(&resolver, "nameserver 192.0.2.1\n").unwrap();
    let mount = format!("mount --bind {} /etc/resolv.conf; exec \"$@\"", resolver.display());
    let through = ["unshare", "-m", "sh", "-c", &mount, "sh"];
    let block = "[[block]]\nfrom = [\"192.0.2.0/29\"]\nreason = \"strangers\"\n";
    let text = site("egress = \"drop\"", &format!("{V4}{block}"));
    let plan = stage.apply(&text, "--dry-run --json").through(through).run().expect_code(0).json();
    let cut: Vec<&Value> = plan["cut_off"].as_array().unwrap().iter().collect();
    assert_eq!(cut.len(), 2, "{plan}");
    assert_eq!((&cut[0]["role"], &cut[0]["last"]), (&"names".into(), &true.into()), "{plan}");
    assert_eq!((&cut[1]["role"], &cut[1]["location"]["line"]), (&"router".into(), &8.into()));
    let said = stage.apply(&text, "--dry-run").through(through).run().expect_code(0).stdout;
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        said.contains("portolan.toml:8) refuses the answers of 192.0.2.1, the only DNS"),
        "{said}"
    );
    let line = format!("compile --host box --inventory {}", stage.inventory(&text).display());
    let ran = stage.firewall(&line, SSH).through(through).run().expect_code(0);
    assert!(ran.stderr.contains("warning: [[block]] strangers ("), "{}", ran.stderr);
    let text = text.replace("192.0.2.0/29", "198.51.100.0/24");
    let plan = stage.apply(&text, "--dry-run --json").through(through).run().expect_code(0).json();
    assert_eq!(plan["cut_off"], Value::Array(Vec::new()), "{plan}");
    // It is so: the answer of a server that the base row lets this machine ask does not arrive.
    let text = text.replace("198.51.100.0/24", "192.0.2.0/29");
    stage.apply(&text, "--detach --timeout 10m").through(through).run().expect_code(0);
    let server = "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((\"192.0.2.1\", 53))\n\
                  s.settimeout(9); data, peer = s.recvfrom(99); s.sendto(data, peer); print(len(data))";
    let asks = "import time; time.sleep(0.5)\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
                s.settimeout(2); s.sendto(b'name', (\"192.0.2.1\", 53))\n\
                try: print(s.recv(99))\nexcept TimeoutError: print('silence')";
    std::thread::scope(|scope| {
        let served = scope.spawn(|| stage.far.python(server).said.clone());
        assert_eq!(stage.here.python(asks).said, "silence");
        assert_eq!(served.join().unwrap(), "4", "the question left");
    });
    stage.firewall("rollback", SSH).run().expect_code(0);
}

#[test]
fn that_the_resolver_changed_since_the_table_was_made_is_said() {
    require_root!();
    let stage = stage();
    let file = stage.inventory("").with_file_name("resolv.conf");
    let mount = format!("mount --bind {} /etc/resolv.conf; exec \"$@\"", file.display());
    let through = ["unshare", "-m", "sh", "-c", &mount, "sh"];
    let resolver = |address: &str| {
        std::fs::write(&file, format!("nameserver {address}\n")).unwrap();
    };
    resolver("192.0.2.53");
    let text = site("egress = \"drop\"", V4);
    stage.apply(&text, "--detach --timeout 10m").through(through).run().expect_code(0);
    let inventory = file.with_file_name("portolan.toml");
    let asked = format!("--host box --inventory {} --json", inventory.display());
    let say = |line: &str| stage.program(line, SSH).through(through).run().json();
    let status = || say("firewall status --json")["lost_lookups"].clone();
    let prove = || say(&format!("firewall prove --live {asked}"))["lost_lookups"].clone();
    let audit = || say(&format!("audit {asked}"))["findings"].to_string();
    assert_eq!((status(), prove()), (Value::Null, Value::Null));
    resolver("192.0.2.54");
    let told = "the resolver changed since the table was made for 192.0.2.53: lookups to 192.0.2.54 are dropped";
    for found in [status(), prove()] {
        assert!(found["message"].as_str().unwrap().starts_with(told), "{found}");
        let both = (&found["now"][0], &found["made_for"][0]);
        assert_eq!(both, (&"192.0.2.54".into(), &"192.0.2.53".into()));
    }
    assert!(audit().contains(told), "{}", audit());
    stage.firewall("rollback", SSH).run().expect_code(0);
}
