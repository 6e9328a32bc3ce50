//! What the wire says, where it speaks and where it is silent. The vantage is 10.0.0.9, the host
//! `bastion`; what is asked is `db` with 10.0.0.2.

use super::*;
use crate::inventory::file;
use crate::scan::{Icmp, PortState, Reason};

const SITE: &str = r#"portolan = 1
[networks]
office = "10.0.0.0/24"
branch = "10.1.0.0/24"
[hosts.bastion]
address = ["10.0.0.9"]
groups = ["admins"]
[hosts.db]
address = ["10.0.0.2"]
[services.sql]
on = ["db"]
ports = ["5432/tcp"]
"#;

/// An inventory with more of `sql`, and then more entries.
fn site(sql: &str, entries: &str) -> Inventory {
    let text = format!("{SITE}{sql}\n{entries}");
    file::parse("portolan.toml", text.as_bytes()).expect("the test's inventory")
}

fn record(port: u16, transport: Transport, state: PortState, reason: Reason) -> Record {
    Record {
        address: "10.0.0.2".parse().unwrap(),
        port: Port(port),
        transport,
        state,
        reason,
        from: Some("10.0.0.2".parse().unwrap()),
        tries: 1,
        rtt: None,
        miss_probability: Some(0.0),
        verified: None,
        note: None,
        position: 0,
    }
}

fn open(port: u16) -> Record {
    record(port, Transport::Tcp, PortState::Open, Reason::SynAck)
}

fn closed(port: u16) -> Record {
    record(port, Transport::Tcp, PortState::Closed, Reason::Reset)
}

fn judged(inventory: &Inventory, records: Vec<Record>) -> Judgement {
    let from = "10.0.0.9".parse().unwrap();
    let sight = |record| Sight { host: "db".to_owned(), from, record };
    let sights: Vec<Sight> = records.into_iter().map(sight).collect();
    judge_wire(&WireScene {
        inventory,
        machine: &Machine::default(),
        here: inventory.host("bastion"),
        sights: &sights,
        now: "2026-03-09T12:00:00Z".parse().unwrap(),
    })
}

#[track_caller]
fn one(judgement: &Judgement, rule: Rule) -> Finding {
    assert_eq!(judgement.findings.len(), 1, "{judgement:#?}");
    assert_eq!(judgement.findings[0].rule, rule);
    judgement.findings[0].clone()
}

#[track_caller]
fn silent(judgement: &Judgement) {
    assert!(judgement.findings.is_empty(), "{judgement:#?}");
}

#[test]
fn a_declared_service_that_refuses_us_is_missed() {
    let site = site("from = [\"office\"]\ncriticality = \"high\"", "");
    let finding = one(&judged(&site, vec![closed(5432)]), Rule::P102);
    assert_eq!((finding.host.as_str(), finding.service.as_deref()), ("db", Some("sql")));
    assert_eq!(finding.subject.to_string(), "5432/tcp");
    assert_eq!(finding.severity, Severity::High);
    assert_eq!(
        finding.evidence,
        ["probe from 10.0.0.9: 10.0.0.2:5432/tcp closed (refused), 1 try"]
    );
    silent(&judged(&site, vec![open(5432)]));
}

#[test]
fn a_filter_that_answers_is_named_in_the_evidence() {
    let site = site("from = [\"office\"]", "");
    let prohibited = Reason::Icmp(Icmp { v6: false, kind: 3, code: 13 });
    let mut filtered = record(5432, Transport::Tcp, PortState::Filtered, prohibited);
    (filtered.from, filtered.tries) = (Some("10.0.0.254".parse().unwrap()), 2);
    let finding = one(&judged(&site, vec![filtered]), Rule::P102);
    let line = "filtered (icmp-3-13 from 10.0.0.254), 2 tries";
    assert!(finding.evidence[0].ends_with(line), "{finding:?}");
}

#[test]
fn a_service_for_others_need_not_answer_us() {
    silent(&judged(&site("from = [\"branch\"]", ""), vec![closed(5432)]));
    silent(&judged(&site("", ""), vec![closed(5432)]));
}

#[test]
fn a_service_that_may_be_down_or_waits_behind_a_door_is_not_missed() {
    let sometimes = site("from = [\"office\"]\nexpect = \"sometimes\"", "");
    silent(&judged(&sometimes, vec![closed(5432)]));
    let door = "[doors.knock]\non = [\"db\"]\nmethod = \"sequence\"\nsequence = [\"7000/udp\", \"7001/udp\"]\n";
    let behind = site("from = [\"office\"]\nbehind = \"knock\"", door);
    silent(&judged(&behind, vec![closed(5432)]));
}

#[test]
fn one_address_that_answers_is_enough() {
    let site = site("from = [\"office\"]", "");
    let mut other = open(5432);
    other.address = "fd00::2".parse().unwrap();
    silent(&judged(&site, vec![closed(5432), other]));
}

#[test]
fn a_port_open_to_us_that_is_for_others_is_a_finding() {
    let finding = one(&judged(&site("from = [\"branch\"]", ""), vec![open(5432)]), Rule::P115);
    assert_eq!(finding.severity, Severity::High);
    assert!(finding.message.contains("10.0.0.9"), "{finding:?}");
    assert!(finding.message.contains("names only branch"), "{finding:?}");
    let local = one(&judged(&site("", ""), vec![open(5432)]), Rule::P115);
    assert!(local.message.contains("its own machine only"), "{local:?}");
}

#[test]
fn whoever_is_named_as_host_group_or_service_may_come() {
    for from in ["bastion", "@admins", "10.0.0.0/28", "any", "private"] {
        silent(&judged(&site(&format!("from = [\"{from}\"]"), ""), vec![open(5432)]));
    }
    let tool = "[services.tool]\non = [\"bastion\"]\nports = [\"1/tcp\"]\n";
    silent(&judged(&site("from = [\"service:tool\"]", tool), vec![open(5432)]));
}

#[test]
fn management_and_references_are_sources_too() {
    let management = "[management]\nfrom = [\"office\"]\nports = [\"22/tcp\"]\n";
    silent(&judged(&site("", management), vec![open(22)]));
    let elsewhere = management.replace("office", "branch");
    let finding = one(&judged(&site("", &elsewhere), vec![open(22)]), Rule::P115);
    assert_eq!((finding.service, finding.subject.to_string()), (None, "22/tcp".to_owned()));
    let proxy = "[forwards.front]\non = [\"bastion\"]\nlisten = \"5432/tcp\"\nto = \"sql@db\"\nvia = \"proxy\"\n";
    silent(&judged(&site("", proxy), vec![open(5432)]));
}

#[test]
fn a_source_whose_addresses_are_not_known_is_a_gap() {
    let cloud = "[hosts.cloud]\naddress = [\"dns:cloud.example.org\"]\n";
    let judgement = judged(&site("from = [\"cloud\"]", cloud), vec![open(5432)]);
    silent(&judgement);
    assert_eq!(judgement.gaps.len(), 1);
    assert!(!judgement.gaps[0].is_incomplete());
}

#[test]
fn what_is_retired_or_planned_and_answers_is_told() {
    let retired = one(&judged(&site("status = \"retired\"", ""), vec![open(5432)]), Rule::P118);
    assert_eq!(retired.severity, Severity::Medium);
    one(&judged(&site("status = \"planned\"", ""), vec![open(5432)]), Rule::P110);
    silent(&judged(&site("status = \"retired\"", ""), vec![closed(5432)]));
}

#[test]
fn what_was_found_and_not_approved_is_missed_like_what_was() {
    let observed = site("from = [\"office\"]\nstatus = \"observed\"", "");
    one(&judged(&observed, vec![closed(5432)]), Rule::P102);
}

#[test]
fn what_must_never_be_reachable_is_critical_from_where_it_must_not() {
    let never = "[[never]]\nservice = \"sql\"\nfrom = [\"office\"]\nreason = \"patients\"\n";
    let forbidden = site("from = [\"any\"]", never);
    let finding = one(&judged(&forbidden, vec![open(5432)]), Rule::P122);
    assert_eq!(finding.severity, Severity::Critical);
    assert!(finding.message.contains("patients"), "{finding:?}");
    let elsewhere = site("from = [\"any\"]", &never.replace("office", "branch"));
    silent(&judged(&elsewhere, vec![open(5432)]));
    let anybody = site("", "[[never]]\nports = [\"23/tcp\"]\n");
    one(&judged(&anybody, vec![open(23)]), Rule::P122);
}

#[test]
fn silence_of_udp_is_a_gap_and_never_a_finding() {
    let udp = "[services.tunnel]\non = [\"db\"]\nports = [\"51820/udp\"]\nfrom = [\"office\"]\n";
    let mut silence = record(51820, Transport::Udp, PortState::OpenFiltered, Reason::NoResponse);
    silence.from = None;
    let judgement = judged(&site("", udp), vec![silence]);
    silent(&judgement);
    assert!(judgement.gaps[0].what.contains("51820/udp of db"), "{judgement:?}");
    assert!(judgement.gaps[0].is_incomplete());
}

#[test]
fn a_host_that_never_answered_proves_nothing() {
    let mut silence = record(5432, Transport::Tcp, PortState::Filtered, Reason::NoResponse);
    (silence.from, silence.miss_probability) = (None, None);
    let judgement = judged(&site("from = [\"office\"]", ""), vec![silence.clone()]);
    silent(&judgement);
    assert!(judgement.gaps[0].is_incomplete());
    silence.miss_probability = Some(1e-4);
    one(&judged(&site("from = [\"office\"]", ""), vec![silence]), Rule::P102);
}

#[test]
fn what_a_proxy_accepts_for_a_host_is_neither_open_nor_closed() {
    let mut dropped = open(5432);
    dropped.verified = Some(false);
    for from in ["office", "branch"] {
        let site = site(&format!("from = [\"{from}\"]"), "");
        let judgement = judged(&site, vec![dropped.clone()]);
        silent(&judgement);
        assert!(judgement.gaps[0].is_incomplete());
    }
}

#[test]
fn a_service_on_one_of_several_hosts_is_missed_where_none_has_it() {
    let second = "[hosts.db2]\naddress = [\"10.0.0.3\"]\n";
    let text = SITE.replace("on = [\"db\"]", "on = [\"db\", \"db2\"]");
    let text = format!("{text}from = [\"office\"]\nexpect = \"one-of\"\n{second}");
    let site = file::parse("portolan.toml", text.as_bytes()).unwrap();
    let from = "10.0.0.9".parse().unwrap();
    let judge = |records: [(&str, Record); 2]| {
        let sights = records.map(|(host, record)| Sight { host: host.to_owned(), from, record });
        judge_wire(&WireScene {
            inventory: &site,
            machine: &Machine::default(),
            here: None,
            sights: &sights,
            now: "2026-03-09T12:00:00Z".parse().unwrap(),
        })
    };
    silent(&judge([("db", closed(5432)), ("db2", open(5432))]));
    let finding = one(&judge([("db", closed(5432)), ("db2", closed(5432))]), Rule::P102);
    assert_eq!((finding.host.as_str(), finding.evidence.len()), ("db", 2));
}

#[test]
fn an_id_does_not_change_with_what_was_seen() {
    let site = site("from = [\"branch\"]", "");
    let first = one(&judged(&site, vec![open(5432)]), Rule::P115).id();
    let mut later = open(5432);
    (later.tries, later.address) = (3, "10.0.0.77".parse().unwrap());
    assert_eq!(first, one(&judged(&site, vec![later]), Rule::P115).id());
}

#[test]
fn what_is_accepted_of_a_host_is_not_found_again() {
    let ignore = "[[ignore]]\non = [\"db\"]\nmatch = { rule = \"P115\" }\nreason = \"known\"\n";
    let judgement = judged(&site("from = [\"branch\"]", ignore), vec![open(5432)]);
    silent(&judgement);
    assert_eq!(judgement.accepted.len(), 1);
}

fn asked(inventory: &Inventory) -> (Vec<String>, Vec<Gap>) {
    let hosts: Vec<&Host> = inventory.hosts.iter().collect();
    let asked = ask(inventory, inventory.host("bastion"), &hosts);
    let lines = asked.value.iter().map(|a| {
        let ports: Vec<String> = a.ports.iter().map(|(p, t)| format!("{p}/{t}")).collect();
        format!("{} {:?} {}", a.host.name, a.addresses, ports.join(" "))
    });
    (lines.collect(), asked.gaps)
}

#[test]
fn only_what_the_inventory_speaks_of_is_asked_and_not_of_ourselves() {
    let more = "[management]\nfrom = [\"office\"]\nports = [\"22/tcp\"]\n\
        [services.dns]\non = [\"db\"]\nports = [\"53/tcp+udp\", \"esp\", \"9/sctp\"]\nstatus = \"retired\"\n\
        [pools.previews]\non = [\"db\"]\nrange = \"8000-8002\"\n\
        [[never]]\nports = [\"23/tcp\"]\n";
    let (lines, gaps) = asked(&site("", more));
    assert_eq!(lines, ["db [10.0.0.2] 22/tcp 23/tcp 53/tcp 53/udp 5432/tcp"]);
    assert_eq!(gaps.len(), 1, "SCTP is not asked: {gaps:?}");
}

#[test]
fn a_host_that_is_never_probed_or_has_no_address_is_a_gap() {
    let text = SITE.replace("[\"10.0.0.2\"]", "[\"10.0.0.2\"]\nprobe = \"never\"");
    let (lines, gaps) = asked(&file::parse("portolan.toml", text.as_bytes()).unwrap());
    assert!(lines.is_empty());
    assert_eq!((gaps.len(), gaps[0].why), (1, Why::NotLooked));
    let text = SITE.replace("\"10.0.0.2\"", "\"dns:db.example.org\"");
    let (lines, gaps) = asked(&file::parse("portolan.toml", text.as_bytes()).unwrap());
    assert!(lines.is_empty());
    assert!(gaps[0].what.contains("dns:db.example.org"), "{gaps:?}");
}
