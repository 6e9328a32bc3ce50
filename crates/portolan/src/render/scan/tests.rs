//! A scan in every form, of events made by hand.

use std::collections::HashMap;
use std::time::Duration;

use portolan_core::scan::target::Target;
use portolan_core::scan::{
    Canary, Cap, Capped, Front, HostReport, Icmp, LocalError, Note, PortState, Reason, Record,
    TargetSet,
};
use serde_json::Value;

use super::*;
use crate::ops::scan::{Chosen, EngineKind, Summary, Tally};

fn at(last: u8) -> IpAddr {
    IpAddr::from([10, 78, 0, last])
}

fn opening(targets: &str, ports: &[(u16, Transport)]) -> Opening {
    let Ok(Target::Addresses { ranges, .. }) = Target::parse(targets) else { panic!("{targets}") };
    let targets = TargetSet::new(ranges, []).unwrap();
    Opening {
        hosts: targets.len(),
        ports: ports.iter().map(|(port, transport)| (Port(*port), *transport)).collect(),
        names: HashMap::from([(at(2), "web.example.org".to_owned())]),
        targets,
        engine: Chosen { kind: EngineKind::Connect, why: "no CAP_NET_RAW" },
        seed: 7,
        shard: None,
        resumed: 0,
        started: "2026-01-02T03:04:05Z".parse().unwrap(),
        gaps: Vec::new(),
    }
}

fn record(last: u8, port: u16, state: PortState, reason: Reason) -> Record {
    let answers =
        !matches!(state, PortState::Filtered | PortState::OpenFiltered | PortState::Unknown);
    Record {
        address: at(last),
        port: Port(port),
        transport: Transport::Tcp,
        state,
        reason,
        from: answers.then(|| at(last)),
        tries: if answers { 1 } else { 7 },
        rtt: answers.then(|| Duration::from_micros(210 + u64::from(port) % 7)),
        miss_probability: Some(if answers { 0.0 } else { 0.000_02 }),
        verified: None,
        note: None,
        position: u64::from(port),
    }
}

fn report(last: u8) -> HostReport {
    HostReport {
        address: Some(at(last)),
        answered: true,
        rtt: Some(Duration::from_micros(230)),
        loss: Some(0.0),
        tries: 7,
        canary: Some(Canary::Closed(Port(1))),
        ..HostReport::default()
    }
}

/// What `form` makes of these records and reports.
fn printed(form: Form, opening: &Opening, records: &[Record], reports: &[HostReport]) -> String {
    let registry = Registry::embedded();
    let mut out = Vec::new();
    let page = Page::of_file(&mut out, false, opening, &registry);
    let mut sink = sink(form, page);
    let mut tally = Tally::default();
    sink.begin().unwrap();
    for record in records {
        tally.port(record);
        sink.port(record).unwrap();
    }
    for report in reports {
        tally.host(report, true);
        sink.host(report).unwrap();
    }
    let elapsed = Duration::from_millis(912);
    let summary = Summary { tally, untouched: 0, probes: 3012, elapsed, interrupted: None };
    sink.finish(&summary).unwrap();
    drop(sink);
    String::from_utf8(out).unwrap()
}

/// A host with something of everything, one that refuses everything, and two that never answer.
fn sample() -> (Opening, Vec<Record>, Vec<HostReport>) {
    let ports: Vec<(u16, Transport)> =
        (1..=1000).map(|p| (p, Transport::Tcp)).chain([(53, Transport::Udp)]).collect();
    let opening = opening("10.78.0.2-5", &ports);
    let mut records = Vec::new();
    let prohibited = Reason::Icmp(Icmp { v6: false, kind: 3, code: 13 });
    let router = Some("10.77.0.254".parse().unwrap());
    for port in 1..=1000 {
        let mut of_web = match port {
            22 | 80 | 600..=602 => record(2, port, PortState::Open, Reason::SynAck),
            91 => Record { from: router, ..record(2, port, PortState::Filtered, prohibited) },
            82 | 700..=799 => record(2, port, PortState::Filtered, Reason::NoResponse),
            _ => record(2, port, PortState::Closed, Reason::Reset),
        };
        if port == 80 {
            of_web.verified = Some(true);
            of_web.note = Some(Note::AnsweredEarlier);
        }
        records.push(of_web);
        records.push(record(3, port, PortState::Closed, Reason::Reset));
        let silent = |last| record(last, port, PortState::Filtered, Reason::NoResponse);
        records.extend([4, 5].map(|last| Record { miss_probability: None, ..silent(last) }));
    }
    for last in 2..=5 {
        let udp = record(last, 53, PortState::OpenFiltered, Reason::NoResponse);
        let miss_probability = (last < 4).then_some(0.000_02);
        records.push(Record { transport: Transport::Udp, miss_probability, ..udp });
    }
    let cap = Cap { what: Capped::Icmp, per_second: 1.0, burst: 6 };
    let silent = |last| HostReport { address: Some(at(last)), tries: 7, ..HostReport::default() };
    let web = HostReport { loss: Some(0.2), caps: vec![cap], ..report(2) };
    (opening, records, vec![web, report(3), silent(4), silent(5)])
}

#[test]
fn a_table_shows_open_ports_and_counts_the_others() {
    let (opening, records, reports) = sample();
    insta::assert_snapshot!(printed(Form::Table, &opening, &records, &reports));
}

#[test]
fn a_table_fits_80_columns() {
    let (opening, records, reports) = sample();
    let text = printed(Form::Table, &opening, &records, &reports);
    let wide: Vec<&str> = text.lines().filter(|l| l.chars().count() > 80).collect();
    assert!(wide.is_empty(), "{wide:#?}");
}

#[test]
fn hosts_that_accept_everything_take_a_line() {
    let ports: Vec<(u16, Transport)> = (4000..=4099).map(|p| (p, Transport::Tcp)).collect();
    let opening = opening("10.78.0.8-9", &ports);
    let mut records = Vec::new();
    for port in 4000..=4099 {
        let open = |last| record(last, port, PortState::Open, Reason::SynAck);
        records.push(Record { verified: Some(port == 4000), ..open(8) });
        records.push(Record { verified: (port < 4030).then_some(true), ..open(9) });
    }
    let proxy = Front::SynProxy { zero_window: true, hop_limits: Some((64, 63)) };
    let reports = [
        HostReport { front: Some(proxy), ..report(8) },
        HostReport { front: Some(Front::OpenEverything { ports: 100 }), ..report(9) },
    ];
    insta::assert_snapshot!(printed(Form::Table, &opening, &records, &reports));
}

#[test]
fn ports_that_nobody_got_to_are_told_as_such() {
    let ports: Vec<(u16, Transport)> = (1..=9).map(|p| (p, Transport::Tcp)).collect();
    let opening = opening("10.78.0.4", &ports);
    let why = |port| match port {
        1 => Reason::LocalError(LocalError::NotPermitted),
        _ => Reason::NotFinished,
    };
    let records: Vec<Record> =
        (1..=9).map(|port| record(4, port, PortState::Unknown, why(port))).collect();
    let errors = vec![(LocalError::NotPermitted, 3)];
    let report = HostReport { address: Some(at(4)), local_errors: errors, ..HostReport::default() };
    insta::assert_snapshot!(printed(Form::Table, &opening, &records, &[report]));
}

/// A few ports of one host, for the forms with a row each.
fn few() -> (Opening, Vec<Record>, Vec<HostReport>) {
    let opening =
        opening("10.78.0.2", &[(22, Transport::Tcp), (81, Transport::Tcp), (53, Transport::Udp)]);
    let udp = record(2, 53, PortState::Open, Reason::ReplyFrom(Port(1053)));
    let records = vec![
        Record { verified: Some(true), ..record(2, 22, PortState::Open, Reason::SynAck) },
        record(2, 81, PortState::Filtered, Reason::NoResponse),
        Record { transport: Transport::Udp, ..udp },
    ];
    (opening, records, vec![report(2)])
}

#[test]
fn json_is_one_document_and_json_lines_are_objects() {
    let (opening, records, reports) = few();
    let document = printed(Form::Json, &opening, &records, &reports);
    let document: Value = serde_json::from_str(&document).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
    let lines = printed(Form::Jsonl, &opening, &records, &reports);
    let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let kinds: Vec<&str> = lines.iter().map(|l| l["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["port", "port", "port", "host", "summary"]);
    for (line, result) in lines.iter().zip(document["results"].as_array().unwrap()) {
        let without_kind: serde_json::Map<_, _> =
            line.as_object().unwrap().clone().into_iter().filter(|(k, _)| k != "kind").collect();
        assert_eq!(&Value::Object(without_kind), result);
    }
    let empty = printed(Form::Json, &opening, &[], &[]);
    assert_eq!(serde_json::from_str::<Value>(&empty).unwrap()["results"], Value::Array(vec![]));
}

#[test]
fn csv_has_a_header_and_a_row_a_port() {
    let (opening, records, reports) = few();
    insta::assert_snapshot!(printed(Form::Csv, &opening, &records, &reports));
}

#[test]
fn xml_has_an_element_a_port() {
    let (opening, records, reports) = few();
    insta::assert_snapshot!(printed(Form::NmapXml, &opening, &records, &reports));
}
