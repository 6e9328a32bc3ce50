//! The registry as its users ask it.

use super::*;
use crate::net::Severity;

fn service(port: u16, transport: Transport) -> Option<String> {
    Registry::embedded().service_name(Port(port), transport).map(str::to_owned)
}

fn names(assignments: &[Assignment<'_>]) -> Vec<String> {
    assignments.iter().filter_map(|a| a.service).map(str::to_owned).collect()
}

#[test]
fn the_assigned_ports_of_a_range_are_those_looked_up_one_by_one() {
    let registry = Registry::embedded();
    let range = PortRange::new(Port(430), Port(450)).unwrap();
    for transport in Transport::ALL {
        let set = registry.assigned(range, TransportSet::NONE.with(transport));
        for port in range.iter() {
            let alone = !registry.assignments(port, transport).is_empty();
            assert_eq!(set.contains(port), alone, "{port}/{transport}");
        }
        assert!(!set.contains(Port(429)) && !set.contains(Port(451)));
    }
}

#[test]
fn the_usual_name_comes_first_of_several() {
    let registry = Registry::embedded();
    assert_eq!(names(&registry.assignments(Port(80), Transport::Tcp)), ["http", "www", "www-http"]);
    for (port, name) in
        [(42, "nameserver"), (113, "ident"), (443, "https"), (2049, "nfs"), (5349, "stuns")]
    {
        assert_eq!(service(port, Transport::Tcp).as_deref(), Some(name));
    }
}

#[test]
fn each_transport_has_its_own_assignments() {
    assert_eq!(service(2905, Transport::Sctp).as_deref(), Some("m3ua"));
    assert_eq!(service(5004, Transport::Dccp).as_deref(), Some("avt-profile-1"));
    assert_eq!(service(22, Transport::Dccp), None);
    assert_eq!(service(512, Transport::Tcp).as_deref(), Some("exec"));
    assert_eq!(service(512, Transport::Udp).as_deref(), Some("biff"));
}

#[test]
fn a_range_covers_its_ends_and_its_middle() {
    for port in [6000, 6031, 6063] {
        assert_eq!(service(port, Transport::Tcp).as_deref(), Some("x11"), "{port}");
    }
    assert_eq!(service(6064, Transport::Tcp).as_deref(), Some("ndl-ahp-svc"));
}

#[test]
fn a_number_reserved_or_unassigned_has_no_name() {
    let registry = Registry::embedded();
    assert_eq!(service(0, Transport::Tcp), None);
    assert_eq!(registry.assignments(Port(0), Transport::Tcp)[0].description, "Reserved");
    assert!(registry.assignments_of(Port(9042)).is_empty());
    assert!(registry.assignments_of(Port(55555)).is_empty());
}

#[test]
fn a_row_of_no_transport_names_no_pair() {
    assert_eq!(service(4222, Transport::Tcp), None);
    assert_eq!(names(&Registry::embedded().assignments_of(Port(4222))), ["vrml-multi-use"]);
}

#[test]
fn nothing_in_the_dynamic_range_has_a_name() {
    let dynamic = 49152..=u16::MAX;
    let named = dynamic.filter(|p| !Registry::embedded().assignments_of(Port(*p)).is_empty());
    assert_eq!(named.collect::<Vec<_>>(), [0; 0]);
}

#[test]
fn a_name_is_found_whatever_its_case() {
    let registry = Registry::embedded();
    let ports: Vec<_> = registry.by_name("HTTPS").iter().filter_map(|a| a.port).collect();
    assert_eq!(ports, [Port(443), Port(443)]);
    assert_eq!(registry.by_name("x11").len(), 64);
    assert_eq!(names(&registry.by_name("xmlipcregsvc")), ["XmlIpcRegSvc"]);
    assert!(registry.by_name("no-such-thing").is_empty());
}

#[test]
fn a_mistyped_name_has_a_neighbour() {
    let registry = Registry::embedded();
    assert_eq!(registry.nearest_name("postgresq"), Some("postgresql"));
    assert_eq!(registry.nearest_name("zzzzzzzzzz"), None);
}

#[test]
fn words_find_names_before_descriptions() {
    let registry = Registry::embedded();
    let ports =
        |words| -> Vec<_> { registry.search(words).matches.iter().map(Match::port).collect() };
    assert_eq!(ports("ntp")[0], Some(Port(123)));
    assert!(ports("time server").contains(&Some(Port(525))));
    assert_eq!(ports("elasticsearch")[0], Some(Port(9200)));
    assert!(ports("qqqqqq").is_empty() && ports("").is_empty());
    assert!(registry.search("time server").complete);
    assert!(!registry.search("postgresql qqqqqq").complete);
}

#[test]
fn what_runs_there_is_told_apart_from_what_is_registered() {
    let registry = Registry::embedded();
    assert_eq!(service(9200, Transport::Tcp).as_deref(), Some("wap-wsp"));
    let uses = registry.common_uses(Port(9200), Transport::Tcp);
    assert!(uses[0].product.starts_with("Elasticsearch"));
    assert!(registry.common_uses(Port(9200), Transport::Udp).is_empty());
}

#[test]
fn a_security_note_speaks_of_one_transport() {
    let registry = Registry::embedded();
    let telnet = registry.security(Port(23), Transport::Tcp).unwrap();
    assert_eq!((telnet.severity, telnet.exposure), (Severity::Critical, Exposure::Never));
    assert!(telnet.encrypted_twin.starts_with("22/tcp"));
    assert_eq!(registry.security(Port(23), Transport::Udp), None);
    assert_eq!(registry.security(Port(389), Transport::Udp).unwrap().risk_class, "amplifier");
}

#[test]
fn the_counts_are_those_of_a_whole_registry() {
    let counts = Registry::embedded().counts();
    assert!(counts.assignments > 12_000, "{counts:?}");
    assert!(counts.names > 6_000 && counts.bytes < 500_000, "{counts:?}");
}
