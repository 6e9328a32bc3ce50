//! What follows from small files, a rule a test.

use crate::inventory::{Inventory, file};

use super::{BaseRow, Direction, Row};

const HOSTS: &str = r#"
portolan = 1
[networks]
internet = "any"
office = "203.0.113.0/28"
[hosts.web]
address = ["10.0.0.1"]
groups = ["linux"]
[hosts.db]
address = ["10.0.0.2"]
groups = ["linux"]
firewall = { egress = "drop" }
[hosts.jump]
address = ["10.0.0.3"]
"#;

fn inventory(text: &str) -> Inventory {
    file::parse("portolan.toml", format!("{HOSTS}{text}").as_bytes()).unwrap()
}

/// `host port from name`, with `+` before what is implied and `door` before what is behind one.
fn line(inventory: &Inventory, row: &Row<'_>) -> String {
    let origin = |o: &super::Origin<'_>| match o.implied_by {
        Some(forward) => format!("+{} ({})", inventory.source_name(&o.source), forward.name),
        None => inventory.source_name(&o.source),
    };
    let from: Vec<String> = row.from.iter().map(origin).collect();
    let from = if from.is_empty() { "this machine".to_owned() } else { from.join(", ") };
    let door = if row.door.is_some() { "door " } else { "" };
    format!("{} {} {door}{from}: {}", row.host.name, row.traffic, row.subject.name())
}

fn lines(text: &str) -> Vec<String> {
    let inventory = inventory(text);
    inventory.matrix().rows.iter().map(|row| line(&inventory, row)).collect()
}

#[test]
fn rows_are_by_host_number_and_transport() {
    let rows = lines(
        r#"[services.a]
        on = ["web", "db"]
        ports = ["443/udp", "80/tcp", "9-10/tcp", "443/tcp", "esp"]
        from = ["office"]"#,
    );
    let on_db = ["db 9-10/tcp", "db 80/tcp", "db 443/tcp", "db 443/udp", "db esp"];
    for (row, start) in rows.iter().zip(on_db) {
        assert_eq!(*row, format!("{start} office: a"));
    }
    assert_eq!(rows.len(), 10);
}

#[test]
fn nothing_said_is_this_machine_and_any_has_the_name_the_file_gives_it() {
    assert_eq!(
        lines(
            r#"[services.a]
            on = ["web"]
            ports = ["1/tcp"]
            [services.b]
            on = ["web"]
            ports = ["2/tcp"]
            from = ["any", "@linux", "service:a", "192.0.2.0/24"]"#
        ),
        ["web 1/tcp this machine: a", "web 2/tcp internet, @linux, service:a, 192.0.2.0/24: b"]
    );
    let plain = file::parse("a", b"portolan = 1\n").unwrap();
    assert_eq!(plain.source_name(&crate::inventory::Source::Network("any".into())), "any");
}

#[test]
fn what_is_planned_or_retired_has_no_row_and_what_is_observed_is_not_compiled() {
    let with = |status: &str| {
        inventory(&format!(
            "[services.a]\non = [\"web\"]\nports = [\"1/tcp\"]\nstatus = \"{status}\"\n"
        ))
    };
    assert!(with("planned").matrix().rows.is_empty());
    assert!(with("retired").matrix().rows.is_empty());
    let observed = with("observed");
    assert!(!observed.matrix().rows[0].is_compiled());
    assert!(with("active").matrix().rows[0].is_compiled());
}

const POSTGRES: &str = r#"
[services.postgres]
on = ["db"]
ports = ["5432/tcp"]
from = ["web"]
"#;

fn with_forward(more: &str) -> Vec<String> {
    lines(&format!(
        "{POSTGRES}[forwards.f]\non = \"jump\"\nlisten = \"15432/tcp\"\nto = \"postgres@db\"\n{more}"
    ))
}

#[test]
fn a_proxy_is_a_source_of_its_target() {
    assert_eq!(
        with_forward("via = \"proxy\"\nfrom = [\"office\"]"),
        ["db 5432/tcp web, +jump (f): postgres", "jump 15432/tcp office: f"]
    );
}

#[test]
fn a_translation_without_masquerade_passes_the_original_sources_on() {
    let target = |more: &str| with_forward(more)[0].clone();
    assert_eq!(
        target("via = \"nat\"\nfrom = [\"office\"]"),
        "db 5432/tcp web, +office (f): postgres"
    );
    assert_eq!(
        target("via = \"nat\"\nmasquerade = true\nfrom = [\"office\"]"),
        "db 5432/tcp web, +jump (f): postgres"
    );
    assert_eq!(target("via = \"nat\""), "db 5432/tcp web, +jump (f): postgres");
}

#[test]
fn a_forward_without_from_is_for_its_own_machine() {
    assert_eq!(with_forward("via = \"proxy\"")[1], "jump 15432/tcp this machine: f");
}

#[test]
fn a_forwarder_that_may_come_anyway_is_not_named_twice() {
    let rows = lines(
        r#"[services.a]
        on = ["db"]
        ports = ["1/tcp"]
        from = ["@linux"]
        [forwards.f]
        on = "web"
        listen = "2/tcp"
        to = "a@db"
        via = "proxy"
        [forwards.itself]
        on = "db"
        listen = "3/tcp"
        to = "a@db"
        via = "proxy""#,
    );
    assert_eq!(rows[0], "db 1/tcp @linux: a");
}

#[test]
fn a_door_without_from_is_for_anybody_and_a_forwarder_need_not_knock() {
    assert_eq!(
        lines(
            r#"[services.a]
            on = ["web"]
            ports = ["22/tcp"]
            from = ["internet"]
            behind = "d"
            [doors.d]
            on = "web"
            method = "spa"
            listen = "62201/udp"
            [doors.s]
            on = "web"
            method = "sequence"
            sequence = ["7/udp", "8/udp"]
            from = ["office"]
            [forwards.f]
            on = "jump"
            listen = "2222/tcp"
            to = "a@web"
            via = "proxy"
            from = ["office"]"#
        ),
        [
            "jump 2222/tcp office: f",
            "web 7/udp office: s",
            "web 8/udp office: s",
            "web 22/tcp door internet: a",
            "web 22/tcp +jump (f): a",
            "web 62201/udp internet: d",
        ]
    );
}

#[test]
fn management_is_a_row_of_every_host() {
    let rows = lines("[management]\nfrom = [\"office\"]\nports = [\"22/tcp\"]\n");
    assert_eq!(rows, ["db", "jump", "web"].map(|h| format!("{h} 22/tcp office: management")));
}

#[test]
fn a_pool_opens_nothing() {
    assert!(
        lines("[pools.p]\non = [\"web\"]\nrange = \"20-30\"\nfrom = [\"office\"]\n").is_empty()
    );
}

#[test]
fn a_closed_host_may_leave_for_what_names_it_and_for_what_it_needs() {
    let inventory = inventory(
        r#"[services.a]
        on = ["web"]
        ports = ["1/tcp"]
        from = ["db"]
        [services.open]
        on = ["web"]
        ports = ["2/tcp"]
        from = ["internet"]
        [services.sender]
        on = ["db", "jump"]
        ports = ["3/tcp"]
        needs = ["open@web", "dns:vault.example.org:443/tcp"]
        [services.wished]
        on = ["web"]
        ports = ["4/tcp"]
        from = ["db"]
        status = "observed""#,
    );
    let matrix = inventory.matrix();
    let rows: Vec<String> = matrix
        .outgoing
        .iter()
        .map(|row| format!("{} {} {}", row.host.name, row.to, row.traffic))
        .collect();
    assert_eq!(rows, ["db dns:vault.example.org 443/tcp", "db web 1/tcp", "db web 2/tcp"]);
}

#[test]
fn every_compiled_host_has_the_base_it_needs_to_live() {
    let inventory = inventory(
        r#"[hosts.bare]
        firewall = { base = false }
        address = ["10.0.0.9"]
        [services.base-icmp]
        on = ["web"]
        ports = ["icmp"]
        from = ["office"]"#,
    );
    let matrix = inventory.matrix();
    let of = |host: &str| -> Vec<&BaseRow<'_>> {
        matrix.base.iter().filter(|row| row.host.name == host).collect()
    };
    assert!(of("bare").is_empty());
    assert!(of("jump").iter().all(|row| row.direction == Direction::In));
    let names = |host| of(host).iter().map(|row| row.name).collect::<Vec<_>>();
    assert!(names("jump").contains(&"base-icmp"));
    assert!(!names("web").contains(&"base-icmp"));
    assert!(!names("jump").contains(&"base-dns"));
    assert!(names("db").contains(&"base-dns") && names("db").contains(&"base-ntp"));
    assert!(matrix.base.iter().all(|row| row.name.starts_with("base-")));
}
