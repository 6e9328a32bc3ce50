//! Whole files: every key, every mistake with its place, includes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::inventory::{Place, Source};

const TOML: &str = include_str!("../../../tests/data/inventory/every-key.toml");
const JSON: &str = include_str!("../../../tests/data/inventory/every-key.json");

/// An inventory without the places its parts stand at.
fn without_places(inventory: &Inventory) -> String {
    let text = format!("{:?}", Inventory { files: Vec::new(), ..inventory.clone() });
    let mut parts = text.split("Location {");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| kept + part.split_once('}').map_or(part, |(_, rest)| rest))
}

fn accepted(path: &str, text: &str) -> Inventory {
    parse(path, text.as_bytes()).unwrap_or_else(|refused| panic!("{:#?}", refused.problems))
}

/// Each problem as `line:column message / hint`.
fn complaints(refused: &Refused) -> Vec<String> {
    let one = |p: &crate::inventory::Problem| {
        let Place { line, column, .. } = refused.line_of(&p.at);
        format!("{line}:{column} {} / {}", p.message, p.hint)
    };
    refused.problems.iter().map(one).collect()
}

/// The problems of a text that stands below a first line and two hosts.
#[track_caller]
fn problems(text: &str) -> Vec<String> {
    let whole =
        format!("portolan = 1\nhosts = {{ web = {{ groups = [\"linux\"] }}, db = {{}} }}\n{text}");
    complaints(&parse("a.toml", whole.as_bytes()).expect_err(text))
}

/// The one problem of a service with this line in it; the line is the fourth.
#[track_caller]
fn in_service(line: &str) -> String {
    let service = format!("[services.ssh]\n{line}\non = [\"web\"]\nports = [\"22/tcp\"]\n");
    let mut found = problems(&service);
    assert_eq!(found.len(), 1, "{line}: {found:#?}");
    found.remove(0)
}

#[test]
fn toml_and_json_of_the_same_shape_are_the_same_inventory() {
    let (toml, json) = (accepted("a.toml", TOML), accepted("a.json", JSON));
    assert_eq!(toml.services.len(), 6);
    assert_eq!(without_places(&toml), without_places(&json));
}

#[test]
fn every_part_knows_the_line_it_stands_on() {
    let inventory = accepted("a.toml", TOML);
    let line = |at| inventory.line_of(at).line;
    let written = |text: &str| TOML.lines().position(|l| l.starts_with(text)).unwrap() + 1;
    assert_eq!(line(&inventory.service("postgres").unwrap().at), written("[services.postgres]"));
    assert_eq!(line(&inventory.host("db").unwrap().at), written("[hosts.db]"));
    assert_eq!(line(&inventory.network("lab").unwrap().at), written("lab ="));
    assert_eq!(line(&inventory.ignores[0].at), written("[[ignore]]"));
    let ports = &inventory.service("postgres").unwrap().ports;
    assert_eq!(line(&ports[1].at), written("ports = [\"5432/tcp\""));
}

#[test]
fn a_bare_name_in_from_is_told_to_be_a_network_or_a_host() {
    let inventory = accepted("a.toml", TOML);
    let from: Vec<Source> =
        inventory.service("ssh").unwrap().from.iter().map(|s| s.value.clone()).collect();
    let expected = [
        Source::Network("internet".into()),
        Source::Host("db".into()),
        Source::Group("linux".into()),
        Source::Prefix("192.0.2.0/24".parse().unwrap()),
        Source::Service("postgres".into()),
        Source::Network("private".into()),
    ];
    assert_eq!(from, expected);
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    assert_eq!(
        in_service("prots = []"),
        "4:1 unknown key `prots` in [services.ssh] / did you mean `ports`?"
    );
    assert_eq!(
        in_service("approved = { bye = \"me\" }"),
        "4:14 unknown key `bye` in [services.ssh.approved] / did you mean `by`?"
    );
    let root = problems("[service.ssh]");
    assert_eq!(root, ["3:2 unknown key `service` / did you mean `services`?"]);
}

#[test]
fn a_key_that_belongs_into_another_table_is_sent_there() {
    for (text, hint) in [
        ("egress = \"drop\"", "`egress` stands in [hosts.NAME.firewall]"),
        ("management = true", "`management` is a table of its own, [management]"),
        ("title = \"a\"", "`title` stands above every table"),
        ("include = []", "`include` stands above every table"),
        ("sequence = []", "`sequence` stands in [doors.NAME]"),
    ] {
        let told = in_service(text);
        assert!(told.ends_with(&format!("/ {hint}")), "{told}");
    }
    let of_many = problems("[owners.a]\nfrom = []");
    assert!(of_many[0].contains("/ its keys are name, contact,"), "{of_many:?}");
}

#[test]
fn keys_that_begin_with_x_are_anybodys_but_names_are_names() {
    let text = "portolan = 1\nx-team = 7\n[hosts.a]\nx-rack = { u = 3 }\n[hosts.x-wing]\n";
    assert_eq!(accepted("a.toml", text).hosts.len(), 2);
    let refused = parse("a", b"portolan = 1\n[hosts.x-wing]\nwhatever = 1\n").unwrap_err();
    assert!(complaints(&refused)[0].starts_with("3:1 unknown key `whatever` in [hosts.x-wing]"));
}

#[test]
fn what_must_be_there_is_asked_for() {
    assert_eq!(
        problems("[services.ssh]"),
        [
            "3:1 [services.ssh] lacks `on` / add on = [\"HOST\"]",
            "3:1 [services.ssh] lacks `ports` / add ports = [\"443/tcp\"]",
        ]
    );
    assert_eq!(
        problems("[[ignore]]\nmatch = { user = \"x\" }"),
        ["3:1 [ignore] lacks `reason` / add reason = \"…\""]
    );
    assert_eq!(
        complaints(&parse("a", b"").unwrap_err()),
        ["1:1 the file lacks `portolan` / add portolan = 1 at the top"]
    );
}

#[test]
fn another_version_is_refused_and_nothing_else_said() {
    let refused = parse("a", b"portolan = 2\nnew = 1\n").unwrap_err();
    assert_eq!(
        complaints(&refused),
        ["1:12 the format's version is 2, and this program reads 1 / a newer portolan may read it"]
    );
    let text = complaints(&parse("a", b"portolan = \"1\"\n").unwrap_err());
    assert_eq!(
        text,
        ["1:12 `portolan`: expected the number 1, found the text \"1\" / without the quotes"]
    );
}

#[test]
fn a_wrong_type_says_what_was_expected_and_found() {
    for (line, said) in [
        ("user = 7", "4:8 `user`: expected text, found the number 7 / write it in \"quotes\""),
        (
            "status = \"actve\"",
            "4:10 `status`: expected \"active\" or \"planned\" or \"retired\" or \"observed\", found the text \"actve\" / did you mean \"active\"?",
        ),
        (
            "from = [1]",
            "4:9 `from`: expected a network, a host, \"@group\", a CIDR or \"service:NAME\", found the number 1 / ",
        ),
        (
            "tls = { client_auth = \"true\" }",
            "4:23 `client_auth`: expected true or false, found the text \"true\" / without the quotes",
        ),
        ("approved = 1", "4:12 `approved`: expected a table, found the number 1 / "),
        (
            "check = { http = \"/\", status = 99 }",
            "4:32 `status`: expected a number from 100 to 599, found the number 99 / ",
        ),
        ("user = 1.5", "4:8 `user`: expected text, found a fraction / write it in \"quotes\""),
    ] {
        assert_eq!(in_service(line), said);
    }
    let found = problems("[services.a]\non = \"web\"\nports = [443]");
    assert_eq!(
        found,
        [
            "5:10 `ports`: expected a port such as \"443/tcp\", found the number 443 / write \"443/tcp\" or \"443/udp\""
        ]
    );
    assert_eq!(
        problems("[ignore]\nreason = \"x\"")[0],
        "3:1 `ignore`: expected tables in double brackets, found a table / write [[…]] instead of […]"
    );
}

#[test]
fn a_door_is_open_no_longer_than_the_kernel_keeps_a_source() {
    let door = |open: &str| {
        let keys = "on = [\"web\"]\nmethod = \"spa\"\nlisten = \"62201/udp\"\n";
        format!("[doors.d]\n{keys}open = \"{open}\"\n")
    };
    for open in ["366d", "1500ms", "2000d"] {
        let said = format!(
            "7:8 `{open}` is no time the kernel keeps a source for / whole seconds, from 1s to 365d"
        );
        assert_eq!(problems(&door(open)), [said]);
    }
    let hosts = "portolan = 1\nhosts = { web = {} }\n";
    accepted("a.toml", &format!("{hosts}{}", door("365d")));
}

#[test]
fn what_is_wrong_inside_a_string_is_shown_where_it_stands() {
    for (line, said) in [
        (
            "from = [\"any\", \"10.1.2.3/8\"]",
            "4:16 `10.1.2.3/8` has bits set beyond its prefix length; the network is 10.0.0.0/8 / write 10.0.0.0/8 for the network or 10.1.2.3 for the one address",
        ),
        ("limit = \"6\"", "4:9 `6` is not a limit / connections and a time, such as \"6/30s\""),
        (
            "limit = \"1/8d\"",
            "4:9 `1/8d` is over a time that no limit counts over / from 100ms to 7d (nft counts by the week at most)",
        ),
        (
            "limit = \"30001/1s\"",
            "4:9 `30001/1s` is more than a limit counts / 1 to 30000 connections in a time",
        ),
        (
            "review = \"180\"",
            "4:10 `180` is not a duration / a number and ms, s, m, h, d or w, such as \"30s\" or \"180d\"",
        ),
        ("review = \"2027-02-30\"", "4:10 `2027-02-30` is not a date / such as 2027-03-01"),
        (
            "to = [\"10.0.0.8\"]",
            "4:7 10.0.0.8 is neither a multicast nor a broadcast address / `to` is for groups such as 224.0.0.251; a machine's own addresses go into `bind`",
        ),
        ("bind = [\"any\"]", "4:9 `any` is no address / write bind = \"any\""),
        (
            "check = { http = \"x\" }",
            "4:18 the path of an HTTP check begins with / / such as http = \"/healthz\"",
        ),
        (
            "check = { every = \"3s\" }",
            "4:9 `check` does not say what to test / add http = \"/\" or banner = \"…\", or write check = \"connect\"",
        ),
        (
            "check = { banner = \"^x\", status = 200 }",
            "4:9 `status` belongs to an HTTP check / a banner is matched whole: leave it out, or test with http = \"/\"",
        ),
    ] {
        assert_eq!(in_service(line), said);
    }
}

#[test]
fn a_name_nobody_declared_is_refused_with_the_nearest_declared_one() {
    for (line, said) in [
        ("from = [\"wbe\"]", "4:9 there is no network and no host `wbe` / did you mean `web`?"),
        (
            "from = [\"linux\"]",
            "4:9 there is no network and no host `linux` / `linux` is a group: write `@linux`",
        ),
        (
            "from = [\"ssh\"]",
            "4:9 there is no network and no host `ssh` / `ssh` is a service: write \"service:ssh\" for the hosts it is on",
        ),
        ("from = [\"@linx\"]", "4:9 no host is in the group `@linx` / did you mean `@linux`?"),
        (
            "from = [\"@web\"]",
            "4:9 no host is in the group `@web` / `web` is a host: leave out the @",
        ),
        ("from = [\"service:shs\"]", "4:9 there is no service `shs` / did you mean `ssh`?"),
        ("owner = \"me\"", "4:9 there is no owner `me` / the inventory declares no owner"),
        ("behind = \"door\"", "4:10 there is no door `door` / the inventory declares no door"),
        ("at = \"privat\"", "4:6 there is no network `privat` / did you mean `private`?"),
        ("needs = [\"ssh@db\"]", "4:10 the service `ssh` is not on `db` / it is on `web`"),
        (
            "needs = [\"nowhere:1/tcp\"]",
            "4:10 there is no network and no host `nowhere` / the inventory declares no network",
        ),
    ] {
        assert_eq!(in_service(line), said);
    }
    assert_eq!(
        problems("[services.a]\non = [\"linux\"]\nports = [\"1/tcp\"]"),
        ["4:7 there is no host `linux` / `linux` is a group: write `@linux`"]
    );
}

#[test]
fn on_must_mean_some_machine() {
    let on = |on: &str| problems(&format!("[services.a]\non = {on}\nports = [\"1/tcp\"]"));
    assert_eq!(
        on("[]"),
        ["4:6 `on` is empty / name a host, a group as \"@group\", or all with \"*\""]
    );
    assert_eq!(
        on("[\"!db\"]"),
        ["4:7 `on` only leaves hosts out / put \"*\" first to mean all the others"]
    );
    assert_eq!(
        on("[\"@linux\", \"!web\"]"),
        ["4:17 with this, `on` leaves no host / leave the exclusion out, or add a host before it"]
    );
    assert_eq!(on("[\"!*\"]"), ["4:7 `!*` leaves no host / leave it out"]);
}

#[test]
fn a_forward_leaves_the_ports_of_management_alone() {
    let forward = |listen: &str, via: &str| {
        format!(
            "portolan = 1\nhosts.db = {{}}\n[management]\nfrom = \"any\"\nports = \"22/tcp\"\n\
             [forwards.f]\non = \"db\"\nlisten = \"{listen}\"\nvia = \"{via}\"\n\
             to = \"192.0.2.1:22\""
        )
    };
    for listen in ["22/tcp", "20-30/tcp"] {
        let refused = parse("a.toml", forward(listen, "nat").as_bytes()).unwrap_err();
        let lost = format!(
            "8:10 `{listen}` hands a port of [management] on to another machine: nobody would get in / \
             listen on another port"
        );
        assert_eq!(complaints(&refused), [lost]);
    }
    accepted("a.toml", &forward("22/udp", "nat"));
    accepted("a.toml", &forward("22/tcp", "router"));
}

#[test]
fn a_forward_leads_to_a_service_that_is_there() {
    let to = |to: &str| {
        let services = "[services.ssh]\non = \"web\"\nports = \"22/tcp\"\n";
        problems(&format!(
            "{services}[forwards.f]\non = \"db\"\nlisten = \"1/tcp\"\nvia = \"nat\"\nto = \"{to}\""
        ))
    };
    assert_eq!(to("ssh@db"), ["10:6 the service `ssh` is not on `db` / it is on `web`"]);
    assert_eq!(to("shs@web"), ["10:6 there is no service `shs` / did you mean `ssh`?"]);
    assert_eq!(to("ssh@wbe"), ["10:6 there is no host `wbe` / did you mean `web`?"]);
    assert_eq!(
        to("ssh"),
        ["10:6 `ssh` is neither service@host nor ip:port / say on which host: \"ssh@HOST\""]
    );
    assert_eq!(
        to("10.0.0.1"),
        [
            "10:6 `10.0.0.1` is neither service@host nor ip:port / such as \"postgres@db\", \"10.0.0.7:5432\" or \"[2001:db8::7]:5432\""
        ]
    );
    assert!(
        problems("[forwards.f]\non = \"db\"\nlisten = \"esp\"\nvia = \"nat\"\nto = \"10.0.0.1:1\"")
            [0]
        .contains("IP protocol without ports")
    );
}

#[test]
fn a_door_has_what_its_method_needs() {
    let door = |lines: &str| problems(&format!("[doors.d]\non = \"web\"\n{lines}"));
    assert_eq!(
        door("method = \"spa\""),
        ["3:8 a door with method \"spa\" needs `listen` / add listen = \"62201/udp\""]
    );
    assert_eq!(
        door("method = \"sequence\""),
        [
            "3:8 a door with method \"sequence\" needs `sequence` / add sequence = [\"7001/tcp\", \"8001/tcp\"]"
        ]
    );
    assert_eq!(
        door("method = \"sequence\"\nsequence = [\"1/tcp\"]"),
        ["6:12 a sequence has two ports or more / "]
    );
    assert_eq!(
        door("method = \"spa\"\nlisten = \"1/udp\"\nwindow = \"3s\""),
        ["7:1 `window` has no meaning with method \"spa\" / leave it out"]
    );
}

#[test]
fn never_block_and_ignore_say_what_they_cover() {
    assert_eq!(
        problems("[[never]]\nfrom = [\"any\"]"),
        [
            "3:1 [[never]] needs a `service` or `ports` / add service = \"NAME\" or ports = [\"5432/tcp\"]"
        ]
    );
    assert_eq!(problems("[[block]]\nfrom = []"), ["4:8 `from` is empty / name who is refused"]);
    assert_eq!(
        problems("[[ignore]]\nmatch = {}\nreason = \"x\""),
        [
            "3:1 this [[ignore]] would silence everything / say what it covers, such as match = { process = \"chronyd\" }"
        ]
    );
    assert_eq!(
        problems("[[ignore]]\nmatch = { rule = \"101\" }\nreason = \" \""),
        [
            "4:18 `101` is not a rule / rules are P101, P102 and so on",
            "5:10 the reason is empty / say why it is fine",
        ]
    );
}

#[test]
fn networks_have_addresses_and_names_of_their_own() {
    assert_eq!(
        problems("[networks]\nlan = []"),
        ["4:7 the network has no address / such as [\"10.0.0.0/8\"]"]
    );
    assert_eq!(
        problems("[networks]\nlan = { except = [\"10.0.0.0/8\"] }"),
        ["4:1 the network has no address / add cidr = [\"10.0.0.0/8\"]"]
    );
    assert_eq!(
        problems("[networks]\nprivate = \"10.0.0.0/8\""),
        ["4:1 the network `private` is built in / give yours another name"]
    );
    assert_eq!(
        problems("[networks]\nweb = \"10.0.0.0/8\""),
        [
            "2:11 `web` is the name of a host and of a network / in `from` nobody could tell which is meant: rename one"
        ]
    );
    assert_eq!(
        problems("[networks]\n\"a b\" = \"any\""),
        ["4:1 `a b` cannot be a name / names are of letters, digits, `-`, `_` and `.`"]
    );
}

#[test]
fn a_bare_value_where_text_belongs_is_told_about_quotes() {
    for (line, hint) in [
        ("purpose = 22", "write it in \"quotes\""),
        ("tls = { min = 1.3 }", "write it in \"quotes\""),
        ("criticality = true", "write it in \"quotes\""),
        ("check = { http = \"/\", status = \"200\" }", "without the quotes"),
    ] {
        let found = problems(&format!("[services.s]\non = \"web\"\nports = \"1/tcp\"\n{line}"));
        assert!(found.len() == 1 && found[0].ends_with(hint), "{found:?}");
    }
}

#[test]
fn two_hosts_do_not_share_a_name_in_whatever_case() {
    for (hosts, said) in [
        ("[hosts.db]\n[hosts.new]\naliases = [\"DB\"]\n", "`DB` is a name of two hosts, `db`"),
        ("[hosts.web]\n[hosts.WEB]\n", "`WEB` is a name of two hosts, `web`"),
    ] {
        let found =
            complaints(&parse("a", format!("portolan = 1\n{hosts}").as_bytes()).unwrap_err());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(said), "{found:?}");
    }
}

#[test]
fn an_ignore_with_nothing_but_private_keys_would_silence_everything() {
    let found = problems("[[ignore]]\nmatch = { x-ticket = \"OPS-1\" }\nreason = \"x\"");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("would silence everything"), "{found:?}");
}

#[test]
fn everything_wrong_is_said_at_once_in_the_order_of_the_file() {
    let found = problems(
        "[services.a]\nportz = 1\non = [\"x\"]\nports = [\"70000/tcp\", \"1/tpc\"]\nstatus = \"new\"",
    );
    let lines: Vec<&str> = found.iter().map(|f| f.split(':').next().unwrap()).collect();
    assert_eq!(lines, ["4", "5", "6", "6", "7"], "{found:#?}");
}

#[test]
fn broken_syntax_is_shown_where_it_breaks() {
    let said = |path, bytes: &[u8]| complaints(&parse(path, bytes).unwrap_err()).remove(0);
    assert!(said("a", b"portolan = 1\n[hosts.a\n").starts_with("2:9 unclosed table"));
    assert_eq!(
        said("a", b"portolan = 1\nportolan = 1\n"),
        "2:1 duplicate key / it stands further up already: join the two"
    );
    assert_eq!(
        said("a", b"portolan = 1\ntitle = \"\xff\"\n"),
        "2:10 the file is not UTF-8 from here on / save the file as UTF-8"
    );
    assert!(said("a", b"portolan = 1\n\0\n").starts_with("2:1 the file holds a NUL byte"));
    assert_eq!(
        said("a.json", b"{\"portolan\": 1,\n \"hosts\": {\"a\": {}, \"a\": {}}}"),
        "2:21 the key \"a\" stands twice / it stands further up already: join the two"
    );
    assert!(said("a", b"{\"portolan\": 1, // no\n}").contains("omments are not allowed"));
    assert!(said("a.json", b"[1]").contains("expected an object"));
    assert!(said("a.json", b"").contains("expected an object"));
    assert!(said("a.json", b"{\"portolan\": null}").contains("found null"));
}

#[test]
fn a_byte_order_mark_is_taken_for_what_it_is() {
    for text in
        ["\u{feff}portolan = 1\n[hosts.a]\n", "\u{feff}{\"portolan\": 1, \"hosts\": {\"a\": {}}}"]
    {
        let inventory = accepted("a", text);
        let at = &inventory.hosts[0].at;
        assert!(text[at.span.clone()].contains('a'), "{text}");
    }
}

#[test]
fn nesting_beyond_measure_is_refused() {
    for text in
        [format!("a = {}", "[".repeat(100_000)), "{\"a\":".repeat(100_000), "[".repeat(100_000)]
    {
        assert!(parse("a.json", text.as_bytes()).is_err());
        assert!(parse("a", text.as_bytes()).is_err());
    }
    assert!(parse("a", format!("{}b = 1", "a.".repeat(100_000)).as_bytes()).is_err());
}

#[test]
fn a_file_of_mistakes_is_cut_short_and_counted() {
    let text =
        format!("portolan = 1\n{}", (0..5000).map(|i| format!("k{i} = 1\n")).collect::<String>());
    let refused = parse("a", text.as_bytes()).unwrap_err();
    assert_eq!((refused.problems.len(), refused.omitted), (1000, 4000));
    assert_eq!(refused.to_string(), "the inventory a has 5000 problems");
}

/// Files by path, as a file system would have them; an include may only name one.
#[derive(Default)]
struct Folder(BTreeMap<&'static str, &'static str>);

impl Folder {
    fn load(&self) -> Result<Inventory, Refused> {
        let mut loading = Loading::new(Path::new("root", "root"), self.0["root"].as_bytes());
        while let Some(want) = loading.next_want() {
            self.answer(&mut loading, &want);
        }
        loading.finish()
    }

    fn answer(&self, loading: &mut Loading, want: &Want) {
        match want {
            Want::Matches { pattern, .. } => {
                let found = self.0.keys().filter(|k| super::super::glob::matches(pattern, k));
                loading.matched(want, found.map(|k| Path::new(*k, *k)).collect());
            }
            Want::File { path, .. } => {
                loading.supply(want, &path.shown, self.0[&*path.identity].as_bytes());
            }
            Want::List { path, .. } => match self.0.get(&**path) {
                Some(text) => loading.supply(want, path, text.as_bytes()),
                None => loading.failed(want, "no such file"),
            },
        }
    }
}

fn folder(files: &[(&'static str, &'static str)]) -> Folder {
    Folder(files.iter().copied().collect())
}

#[track_caller]
fn refused(files: &[(&'static str, &'static str)]) -> Vec<String> {
    let refused = folder(files).load().unwrap_err();
    let one = |p: &crate::inventory::Problem| {
        let place = refused.line_of(&p.at);
        let related = p.related.iter().map(|(at, what)| {
            let place = refused.line_of(at);
            format!(" [{}:{} {what}]", place.file, place.line)
        });
        format!(
            "{}:{}:{} {}{}",
            place.file,
            place.line,
            place.column,
            p.message,
            related.collect::<String>()
        )
    };
    refused.problems.iter().map(one).collect()
}

#[test]
fn included_files_are_one_inventory_with_the_first() {
    let inventory = folder(&[
        (
            "root",
            "portolan = 1\ninclude = [\"*.toml\"]\n[services.ssh]\non = \"@linux\"\nports = \"22/tcp\"\n",
        ),
        ("a.toml", "portolan = 1\n[hosts.a]\ngroups = [\"linux\"]\n"),
        (
            "b.toml",
            "[hosts.b]\ngroups = [\"linux\"]\n[services.dns]\non = \"a\"\nports = \"53/udp\"\n",
        ),
    ]);
    let inventory = inventory.load().unwrap();
    assert_eq!(inventory.hosts_on(&inventory.services[0].on).len(), 2);
    assert_eq!(inventory.line_of(&inventory.service("dns").unwrap().at).file, "b.toml");
}

#[test]
fn a_name_in_two_files_is_refused_with_both_places() {
    let found = refused(&[
        ("root", "portolan = 1\ninclude = \"a\"\n[hosts.web]\n"),
        ("a", "\n[hosts.web]\n"),
    ]);
    assert_eq!(found, ["a:2:8 the host `web` is declared twice [root:3 declared here first]"]);
}

#[test]
fn a_file_reached_twice_is_read_once() {
    let inventory = folder(&[
        ("root", "portolan = 1\ninclude = [\"a\", \"b\"]\n"),
        ("a", "include = \"c\"\n"),
        ("b", "include = \"c\"\n"),
        ("c", "[hosts.web]\n"),
    ]);
    assert_eq!(inventory.load().unwrap().hosts.len(), 1);
}

#[test]
fn a_file_that_includes_itself_is_refused_by_whatever_way() {
    assert_eq!(
        refused(&[("root", "portolan = 1\ninclude = [\"root\"]\n")]),
        ["root:2:12 `root` includes itself"]
    );
    let found = refused(&[
        ("root", "portolan = 1\ninclude = \"a\"\n"),
        ("a", "include = \"b\"\n"),
        ("b", "include = \"root\"\n"),
    ]);
    assert_eq!(found, ["b:1:11 `root` includes itself through `a`, `b`"]);
}

#[test]
fn a_chain_of_includes_has_an_end() {
    let name = |i: usize| -> &'static str { Box::leak(format!("f{i:02}").into_boxed_str()) };
    let mut files = folder(&[("root", "portolan = 1\ninclude = \"f00\"\n")]);
    for i in 0..30 {
        files
            .0
            .insert(name(i), Box::leak(format!("include = \"f{:02}\"\n", i + 1).into_boxed_str()));
    }
    let refused = files.load().unwrap_err();
    assert_eq!(refused.problems[0].message, "files include one another more than 16 deep");
}

#[test]
fn what_holds_for_the_whole_stands_in_the_first_file() {
    let found = refused(&[
        (
            "root",
            "portolan = 1\ninclude = \"a\"\n[management]\nfrom = \"any\"\nports = \"22/tcp\"\n",
        ),
        ("a", "title = \"x\"\n[management]\nfrom = \"any\"\nports = \"22/tcp\"\n"),
    ]);
    assert_eq!(
        found,
        [
            "a:1:1 `title` belongs in the first file",
            "a:2:2 [management] is declared twice [root:3 declared here first]",
        ]
    );
}

#[test]
fn a_broken_include_hides_no_names_it_would_have_declared() {
    let found = refused(&[
        ("root", "portolan = 1\ninclude = \"a\"\n[services.x]\non = \"web\"\nports = \"1/tcp\"\n"),
        ("a", "[hosts.web\n"),
    ]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("a:1:"));
}

#[test]
fn a_list_of_networks_is_read_line_by_line() {
    let root = "portolan = 1\n[networks]\nbad = { file = \"list\", except = [\"10.0.0.0/8\"] }\n";
    let inventory =
        folder(&[("root", root), ("list", "# known\n192.0.2.0/24 # a\r\n\n  2001:db8::/32\n")]);
    let inventory = inventory.load().unwrap();
    let extent = format!("{:?}", inventory.network("bad").unwrap().extent);
    assert!(extent.contains("192.0.2.0/24") && extent.contains("2001:db8::/32"), "{extent}");
    let found = refused(&[("root", root), ("list", "192.0.2.0/24\n  10.0.0.1/8\n")]);
    assert!(found[0].starts_with("list:2:3 `10.0.0.1/8` has bits set"), "{found:?}");
    assert_eq!(refused(&[("root", root)]), ["root:3:16 cannot read the list `list`: no such file"]);
}

#[test]
fn of_a_file_that_is_no_list_nothing_is_repeated() {
    let root = "portolan = 1\n[networks]\nbad = { file = \"list\" }\n";
    for list in ["ok\n", "root:$6$salt$hash:19000:0:99999:7:::", "0123456789abcdef0123456789abcdef"]
    {
        let found = refused(&[("root", root), ("list", list)]);
        assert_eq!(
            found,
            [
                "list:1:1 this line of the list is not an address or a network [root:3 the list is named here]"
            ]
        );
    }
}

#[test]
fn lines_of_lists_and_of_strange_includes_are_not_shown() {
    let root = "portolan = 1\ninclude = [\"part.toml\", \"shadow\"]\n[networks]\nbad = { file = \"list\" }\n";
    let part = "[networks]\nx = 1\n";
    let files =
        [("root", root), ("list", "10.0.0.1/8\n"), ("part.toml", part), ("shadow", "root:x\n")];
    let refused = folder(&files).load().unwrap_err();
    let quotable: Vec<(&str, bool)> =
        refused.files.iter().map(|file| (file.path.as_str(), file.is_quotable())).collect();
    let mut sorted = quotable.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [("list", false), ("part.toml", true), ("root", true), ("shadow", false)]);
}

#[test]
fn a_file_cut_at_any_byte_is_an_inventory_or_a_complaint() {
    for (path, text) in [("a.toml", TOML), ("a.json", JSON)] {
        for end in 0..text.len() {
            if let Err(refused) = parse(path, &text.as_bytes()[..end]) {
                refused.problems.iter().for_each(|p| assert!(refused.line_of(&p.at).line > 0));
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse("a.toml", &bytes);
        let _ = parse("a.json", &bytes);
    }

    #[test]
    fn a_file_with_one_byte_changed_is_an_inventory_or_a_complaint(at in 0..TOML.len(), byte in any::<u8>()) {
        let mut bytes = TOML.as_bytes().to_vec();
        bytes[at] = byte;
        if let Err(refused) = parse("a.toml", &bytes) {
            prop_assert!(!refused.problems.is_empty());
        }
    }

    #[test]
    fn every_short_text_is_read_as_each_literal_without_panic(text in "\\PC{0,12}") {
        let _ = (literal::port_spec(&text), literal::prefix(&text), literal::duration(&text));
        let _ = (literal::address_spec(&text), literal::date(&text), literal::rate(&text));
        let _ = (literal::host_selector(&text), literal::group_address(&text), literal::name(&text));
    }
}
