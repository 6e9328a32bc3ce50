//! What follows from small inventories, mostly as the text it becomes.

use std::net::IpAddr;

use super::Resolutions;
use crate::firewall::{PassTraffic, PassWay, Policy, Ruleset, Stance, compile, intent, prove};
use crate::inventory::file;

const SITE: &str = r#"portolan = 1
[networks]
office = ["203.0.113.0/28", "2001:db8:0ff1::/48"]
lab = { cidr = "10.9.0.0/16", except = "10.9.1.0/24", interface = "eth1" }
[hosts.web]
address = ["10.0.0.1", "2001:db8::1"]
[hosts.db]
address = "10.0.0.2"
firewall = { egress = "drop" }
[hosts.gate]
address = "10.0.0.3"
firewall = { forward = "drop" }
[hosts.far]
address = "dns:far.example.org"
"#;

fn resolutions() -> Resolutions {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    Resolutions {
        resolvers: vec![address("10.0.0.53")],
        names: [("deb.example.org".to_owned(), vec![address("192.0.2.80")])].into(),
        now: "2026-06-01T12:00:00Z".parse().ok(),
        ..Resolutions::default()
    }
}

fn policy(text: &str, host: &str) -> Policy {
    let inventory = file::parse("portolan.toml", format!("{SITE}{text}").as_bytes()).unwrap();
    inventory.policy(inventory.host(host).unwrap(), &resolutions())
}

fn text(text: &str, host: &str) -> String {
    compile(&policy(text, host)).to_string()
}

/// The lines of a chain, without blanks at the ends.
fn chain(text: &str, name: &str) -> Vec<String> {
    let head = format!("\tchain {name} {{");
    let lines = text.lines().skip_while(|line| *line != head).skip(1);
    lines.take_while(|line| *line != "\t}").map(|line| line.trim().to_owned()).collect()
}

fn position(lines: &[String], part: &str) -> usize {
    lines
        .iter()
        .position(|line| line.contains(part))
        .unwrap_or_else(|| panic!("{part}: {lines:#?}"))
}

fn service(more: &str) -> String {
    format!("[services.a]\non = \"web\"\nports = \"443/tcp\"\nfrom = \"any\"\n{more}")
}

#[test]
fn only_what_is_active_and_for_others_opens_a_port() {
    for closed in ["status = \"planned\"", "status = \"retired\"", "status = \"observed\""] {
        assert!(policy(&service(closed), "web").passes.is_empty(), "{closed}");
    }
    let here = "[services.a]\non = \"web\"\nports = \"1/tcp\"\n";
    assert!(policy(here, "web").passes.is_empty());
    let pool = "[pools.p]\non = \"web\"\nrange = \"8000-8100\"\nfrom = \"office\"\n";
    assert!(policy(pool, "web").passes.is_empty());
    assert_eq!(policy(&service(""), "web").passes.len(), 1);
    assert!(policy(&service(""), "db").passes.is_empty());
}

#[test]
fn the_same_inventory_gives_the_same_bytes_and_another_one_another_hash() {
    let (one, two) = (compile(&policy(&service(""), "web")), compile(&policy(&service(""), "web")));
    assert_eq!(one.to_string(), two.to_string());
    let other = compile(&policy(&service("limit = \"6/30s\""), "web"));
    assert_ne!(one.hash(), other.hash());
}

#[test]
fn a_block_refuses_everything_but_management() {
    let inventory = r#"[management]
from = ["office"]
ports = ["22/tcp"]
[[block]]
from = ["203.0.113.0/24", "any"]
[[block]]
from = ["198.51.100.1"]
until = 2026-05-31
reason = "old"
"#;
    let policy = policy(inventory, "web");
    assert_eq!(policy.blocks.len(), 1);
    assert_eq!(policy.notes, ["the block `old` ended on 2026-05-31"]);
    let lines = chain(&compile(&policy).to_string(), "input");
    let order = ["mgmt-tcp", "pt:block", "pt:base-established", "pt:default"];
    let places: Vec<usize> = order.iter().map(|part| position(&lines, part)).collect();
    assert!(places.is_sorted(), "{lines:#?}");
}

#[test]
fn a_limit_counts_each_source_and_an_ipv6_network_as_one() {
    let text = text(&service("limit = \"6/30s\""), "web");
    let lines = chain(&text, "svc-a");
    assert_eq!(
        lines[0],
        "meta nfproto ipv4 ct state new update @limit-a-v4 { ip saddr limit rate over 12/minute \
         burst 6 packets } counter drop comment \"pt:a limit\""
    );
    assert!(lines[3].contains("{ ip6 saddr & ffff:ffff:ffff:ffff:: limit"), "{lines:#?}");
}

#[test]
fn what_is_behind_a_door_is_open_to_those_in_its_set() {
    let door = "[doors.d]\non = \"web\"\nmethod = \"spa\"\nlisten = \"62201/udp\"\nopen = \"45s\"\nkeys = \"/k\"\n";
    let text = text(&(service("behind = \"d\"\n") + door), "web");
    assert_eq!(chain(&text, "svc-a")[0], "ip saddr @door-d-v4 counter accept comment \"pt:a\"");
    assert!(text.contains("timeout 45s"), "{text}");
    assert!(text.contains("62201 : jump svc-d"), "{text}");
}

#[test]
fn a_sequence_of_ports_is_followed_from_its_end_and_lets_nobody_in_itself() {
    let door = "[doors.d]\non = \"web\"\nmethod = \"sequence\"\nsequence = [\"7000/tcp\", \"8000/udp\"]\nfrom = [\"office\"]\n";
    let text = text(&(service("behind = \"d\"\n") + door), "web");
    let lines = chain(&text, "input");
    let last = position(&lines, "ip saddr @knock-d-1-v4 update @door-d-v4 { ip saddr }");
    assert!(last < position(&lines, "update @knock-d-1-v4"), "{lines:#?}");
    assert!(!text.contains("7000 : jump"), "{text}");
}

#[test]
fn a_forward_by_the_kernel_is_translated_for_its_sources_only() {
    let forward = "[forwards.f]\non = \"gate\"\nlisten = \"8443/tcp\"\nto = \"a@web\"\nvia = \"nat\"\nfrom = \"office\"\nmasquerade = true\n";
    let policy = policy(&(service("") + forward), "gate");
    let passes: Vec<_> = policy.passes.iter().map(|p| (&*p.name, p.way)).collect();
    assert_eq!(passes, [("f", PassWay::Translated), ("a", PassWay::Through)]);
    let text = compile(&policy).to_string();
    let lines = chain(&text, "nat-prerouting");
    assert!(
        lines[1]
            .ends_with("ip saddr 203.0.113.0/28 counter dnat ip to 10.0.0.1:443 comment \"pt:f\""),
        "{lines:#?}"
    );
    assert!(lines[2].contains("dnat ip6 to [2001:db8::1]:443"), "{lines:#?}");
    assert!(chain(&text, "nat-postrouting")[1].contains("ip daddr 10.0.0.1 "), "{text}");
    let own = "[forwards.f]\non = \"web\"\nlisten = \"8443/tcp\"\nto = \"a@web\"\nvia = \"nat\"\nfrom = \"office\"\n";
    let to_itself = self::policy(&(service("") + own), "web");
    assert!(to_itself.translations.is_empty() && to_itself.notes.len() == 1);
}

#[test]
fn a_host_that_drops_what_it_sends_calls_whom_it_needs() {
    let needs = r#"[services.a]
on = ["db"]
ports = ["1/tcp"]
needs = ["dns:deb.example.org:443/tcp", "dns:lost.example.org:443/tcp", "far", "office:25/tcp"]
[services.far]
on = ["far"]
ports = ["2/tcp"]
"#;
    let policy = policy(needs, "db");
    assert_eq!(policy.output, Stance::Drop);
    let calls: Vec<String> =
        policy.egress.iter().map(|p| p.peers[0].addresses.to_string()).collect();
    assert_eq!(calls, ["192.0.2.80", "203.0.113.0/28, 2001:db8:ff1::/48"]);
    let resolved: Vec<&str> = policy.resolved.iter().map(|(what, _)| &**what).collect();
    assert_eq!(resolved, ["dns:deb.example.org", "resolvers"]);
    assert_eq!(policy.notes.len(), 2, "{:?}", policy.notes);
    let text = compile(&policy).to_string();
    assert!(text.contains("# resolved: resolvers = 10.0.0.53\n"), "{text}");
    assert!(text.contains("# note: `dns:lost.example.org` is not resolved"), "{text}");
}

#[test]
fn a_resolver_of_this_machine_alone_is_noted() {
    let inventory = file::parse("portolan.toml", SITE.as_bytes()).unwrap();
    let notes = |servers: &[&str]| {
        let resolvers = servers.iter().map(|text| text.parse().unwrap()).collect();
        let resolutions = Resolutions { resolvers, ..resolutions() };
        inventory.policy(inventory.host("db").unwrap(), &resolutions).notes
    };
    assert!(notes(&["127.0.0.1"])[0].contains("whom that one asks is not known"));
    assert!(notes(&[])[0].contains("no resolver is known"));
    assert!(notes(&["127.0.0.53", "10.0.0.53"]).is_empty());
}

#[test]
fn a_network_with_an_interface_counts_on_it_and_without_its_exceptions() {
    let text =
        text("[services.a]\non = \"web\"\nports = \"esp\"\nfrom = [\"lab\", \"office\"]\n", "web");
    let lines = chain(&text, "svc-a");
    assert_eq!(lines[0], "ip saddr 203.0.113.0/28 counter accept comment \"pt:a\"");
    assert!(lines[2].starts_with("iifname \"eth1\" ip saddr @addr-lab-v4 "), "{lines:#?}");
    assert!(text.contains("elements = { 10.9.0.0/24, 10.9.2.0-10.9.255.255 }"), "{text}");
    assert!(text.contains("50 : jump svc-a"), "{text}");
}

#[test]
fn multicast_is_let_in_for_its_groups_alone() {
    let policy = policy(&service("to = [\"224.0.0.251\", \"ff02::fb\"]\nat = \"lab\"\n"), "web");
    let [pass] = &*policy.passes else { panic!("{policy:#?}") };
    assert_eq!(pass.destinations.as_ref().unwrap().to_string(), "224.0.0.251, ff02::fb");
    assert_eq!(pass.interface.as_deref(), Some("eth1"));
    assert!(matches!(pass.traffic, PassTraffic::Ports { .. }));
}

#[test]
fn hosts_that_keep_or_accept_have_no_chain_that_drops() {
    let open = "[hosts.open]\naddress = \"10.0.0.9\"\nfirewall = { input = \"accept\", forward = \"accept\" }\n";
    let policy = policy(open, "open");
    assert!(compile(&policy).is_empty(), "{}", compile(&policy));
    assert!(intent(&policy, &[]).tables[0].chains.is_empty());
}

#[test]
fn what_must_never_be_reachable_is_carried_along() {
    let never = "[[never]]\nservice = \"a\"\nfrom = [\"office\"]\nreason = \"audit\"\n";
    let policy = policy(&(service("") + never), "web");
    assert_eq!(policy.never.len(), 1);
    assert_eq!(&*policy.never[0].name, "audit");
    assert!(self::policy(&(service("") + never), "db").never.is_empty());
}

#[test]
fn a_never_for_any_is_for_everybody_and_one_for_a_network_that_is_everybody_for_strangers() {
    let networks = "[networks.world]\ncidr = [\"0.0.0.0/0\", \"::/0\"]\n";
    for (from, is_for_named) in
        [("", true), ("from = [\"any\"]", true), ("from = [\"world\"]", false)]
    {
        let never = format!("{networks}[[never]]\nservice = \"a\"\n{from}\n");
        let policy = policy(&(service("") + &never), "web");
        let [peers] = &*policy.never[0].peers else { panic!("{policy:#?}") };
        let is_meant = |address: &str| peers.addresses.contains(address.parse().unwrap());
        assert!(is_meant("198.51.100.1"), "{from}");
        assert_eq!(is_meant("203.0.113.1"), is_for_named, "{from}");
        assert_eq!(is_meant("10.0.0.2"), is_for_named, "{from}");
    }
}

#[test]
fn what_is_approved_until_then_is_open_until_then_and_closed_afterwards() {
    let until = |end: &str| policy(&service(&format!("approved = {{ until = {end} }}")), "web");
    let open = until("2026-06-01T16:00:00Z");
    let lines = chain(&compile(&open).to_string(), "svc-a");
    assert!(lines.iter().all(|line| line.starts_with("meta time < 1780329600 ")), "{lines:#?}");
    // A day counts to its end.
    let day = compile(&until("2026-06-01")).to_string();
    assert!(day.contains("meta time < 1780358400 "), "{day}");
    let over = until("2026-06-01T12:00:00Z");
    assert_eq!(over.notes, ["`a` was approved until 2026-06-01T12:00:00Z: it is closed"]);
    assert!(over.passes.iter().all(|pass| &*pass.name != "a"), "{over:#?}");
}

#[test]
fn a_limit_that_nft_cannot_count_is_told() {
    let notes = |limit: &str| policy(&service(&format!("limit = \"{limit}\"")), "web").notes;
    assert_eq!(
        notes("1/6d"),
        [
            "the limit 1/6d of `a` becomes 1 a week: nft counts whole numbers by the second, minute, \
          hour, day or week"
        ]
    );
    assert!(notes("6/30s").is_empty() && notes("1/7d").is_empty() && notes("7/11m").is_empty());
}

#[test]
fn a_block_may_be_of_some_ports_and_end_by_itself() {
    let block = "[[block]]\non = [\"web\"]\nfrom = [\"198.51.100.7\"]\nports = [\"443/tcp\", \"esp\"]\nuntil = 2026-06-01T16:00:00Z\n";
    let text = text(block, "web");
    let lines = chain(&text, "input");
    let place = "meta time < 1780329600 ip saddr @block-v4 counter drop comment \"pt:block\"";
    for what in ["tcp dport 443", "meta l4proto 50"] {
        assert!(lines.contains(&format!("{what} {place}")), "{lines:#?}");
    }
    let forward = chain(&text, "forward");
    let called = "meta l4proto tcp ct original proto-dst 443 meta time";
    assert!(forward.iter().any(|line| line.contains(called)), "{forward:#?}");
    assert!(policy(block, "db").blocks.is_empty());
}

/// Whether the compiled text, as our own reader reads it, does what the policy means.
fn is_proved(policy: &Policy) -> bool {
    let read = Ruleset::from_own_text(&compile(policy).to_string()).unwrap();
    prove(policy, &read).unwrap().holds()
}

#[test]
fn names_that_nft_cannot_tell_apart_do_not_share_a_limit_or_a_door() {
    let long = "x".repeat(90);
    let names = ["a_b".to_owned(), "a+b".to_owned(), format!("{long}1"), format!("{long}2")];
    let services = names.iter().enumerate().map(|(i, name)| {
        let (doors, ports) = (6000 + i * 10, 80 + i);
        format!(
            "[services.\"{name}\"]\non = \"web\"\nports = [\"{ports}/tcp\"]\nfrom = \"any\"\nlimit = \"3/10s\"\n\
             [services.\"{name}-d\"]\non = \"web\"\nports = [\"1{ports}/tcp\"]\nfrom = \"any\"\nbehind = \"{name}\"\n\
             [doors.\"{name}\"]\non = \"web\"\nmethod = \"sequence\"\nsequence = [\"{doors}/tcp\", \"{}/tcp\"]\n",
            doors + 1
        )
    });
    let policy = policy(&services.collect::<String>(), "web");
    let script = compile(&policy);
    let sets: Vec<&str> = script
        .parts
        .iter()
        .filter(|part| part.is_dynamic && part.name.ends_with("-v4"))
        .map(|part| &*part.name)
        .filter(|name| name.len() < 30)
        .collect();
    assert_eq!(sets.iter().filter(|name| name.starts_with("limit-")).count(), 2, "{sets:?}");
    assert!(sets.contains(&"limit-a_b-v4") && sets.contains(&"limit-a_b-2-v4"), "{sets:?}");
    assert!(sets.contains(&"door-a_b-v4") && sets.contains(&"door-a_b-2-v4"), "{sets:?}");
    assert!(is_proved(&policy));
}

/// Forty services, each for many of the same sixty networks.
fn many_services() -> String {
    let networks = (0..60).map(|n| format!("n{n} = \"10.200.{}.0/24\"\n", n * 2));
    let services = (0..40).map(|s| {
        let from: Vec<String> = (0..60)
            .filter(|n| (((s + 1) * 2_654_435_761_u64) >> (n % 23 + 3)) & 1 == 1 || n % 40 == s)
            .map(|n| format!("\"n{n}\""))
            .collect();
        format!(
            "[services.s{s}]\non = \"web\"\nports = \"{}/tcp\"\nfrom = [{}]\n",
            1000 + s * 3,
            from.join(", ")
        )
    });
    let site =
        SITE.replace("[networks]\n", &format!("[networks]\n{}", networks.collect::<String>()));
    format!("{site}{}", services.collect::<String>())
}

#[test]
fn of_many_services_with_long_lists_every_change_of_an_element_or_a_verdict_is_found() {
    let inventory = file::parse("portolan.toml", many_services().as_bytes()).unwrap();
    let policy = inventory.policy(inventory.host("web").unwrap(), &resolutions());
    let text = compile(&policy).to_string();
    assert!(is_proved(&policy));
    let lines: Vec<&str> = text.lines().collect();
    let changed = |at: usize, from: &str, to: &str| {
        let mut lines = lines.clone();
        let line = lines[at].replacen(from, to, 1);
        assert_ne!(line, lines[at], "{from}");
        lines[at] = &line;
        let read = Ruleset::from_own_text(&lines.join("\n")).unwrap();
        let proof = prove(&policy, &read).unwrap();
        assert!(!proof.holds(), "not found: {} is {line}", lines[at]);
        let packet = proof.differences.first().map(|found| found.witness.packet.clone());
        packet.unwrap_or_else(|| panic!("no packet shows it: {line}"))
    };
    let with = |part: &str| -> Vec<usize> {
        (0..lines.len()).filter(|at| lines[*at].contains(part)).collect()
    };
    let elements = with("10.200.");
    assert!(elements.len() > 40, "{text}");
    let of_lists = elements.iter().copied().filter(|at| lines[*at].contains("/24,"));
    for at in of_lists.step_by(40) {
        // One network is half of it, is another, or is not there.
        let element = lines[at].split_whitespace().find(|word| word.ends_with("/24,")).unwrap();
        let network = element.trim_end_matches("/24,");
        let here: IpAddr = network.parse().unwrap();
        let is_of = |address: IpAddr, first: IpAddr| {
            address.to_string().rsplit_once('.').unwrap().0
                == first.to_string().rsplit_once('.').unwrap().0
        };
        let packet = changed(at, element, &format!("{network}/25,"));
        assert!(is_of(packet.source, here), "{} for {here}", packet.source);
        let packet = changed(at, element, "");
        assert!(is_of(packet.source, here), "{} for {here}", packet.source);
        let more = format!("{element} 10.200.255.7,");
        let packet = changed(at, element, &more);
        assert_eq!(packet.source.to_string(), "10.200.255.7");
    }
    for at in with("saddr").into_iter().filter(|at| lines[*at].contains("accept")).step_by(17) {
        changed(at, "accept", "drop");
        changed(at, "saddr", "daddr");
    }
    // A port leads to the chain of another service, to none, or is not there.
    let [map, called] = with("1009 : jump svc-s3,")[..] else { panic!("{text}") };
    for at in [map, called] {
        changed(at, "1009 : jump svc-s3,", "1009 : jump svc-s1,");
        changed(at, "1009 : jump svc-s3, ", "");
        changed(at, "1009 : jump svc-s3,", "1010 : jump svc-s3,");
    }
}

#[test]
fn sources_that_a_limit_has_no_room_for_share_one() {
    let policy = policy(&service("limit = \"3/30s\""), "web");
    let text = compile(&policy).to_string();
    let lines = chain(&text, "svc-a");
    for source in ["ip saddr", "ip6 saddr & ffff:ffff:ffff:ffff::"] {
        let single = position(&lines, &format!("{{ {source} limit rate over 6/minute burst 3"));
        let rest = position(&lines, &format!("ct state new {source} != @limit-a-v"));
        assert_eq!(rest, single + 1, "{lines:#?}");
        let shared = "update @limit-a-rest { meta l4proto limit rate over 10/second burst 300";
        assert!(lines[rest].contains(shared), "{lines:#?}");
    }
    assert!(is_proved(&policy));
    // Without that rule it is another table.
    let without: Vec<&str> = text.lines().filter(|line| !line.contains("!= @limit-a")).collect();
    let without = Ruleset::from_own_text(&without.join("\n")).unwrap();
    assert!(!prove(&policy, &without).unwrap().holds());
}

#[test]
fn that_the_resolver_changed_is_told() {
    let inventory = file::parse("portolan.toml", SITE.as_bytes()).unwrap();
    let asking = |resolver: &str| {
        let resolvers = vec![resolver.parse().unwrap()];
        inventory.policy(inventory.host("db").unwrap(), &Resolutions { resolvers, ..resolutions() })
    };
    let loaded = Ruleset::from_own_text(&compile(&asking("10.0.0.53")).to_string()).unwrap();
    let lost = |resolver: &str| {
        let proof = prove(&asking(resolver), &loaded).unwrap();
        proof.lost_lookups.map(|lost| lost.to_string())
    };
    assert_eq!(lost("10.0.0.53"), None);
    let told = "the resolver changed since the table was made for 10.0.0.53: lookups to 10.0.0.54 are dropped; \
                apply again";
    assert_eq!(lost("10.0.0.54").unwrap(), told);
}
