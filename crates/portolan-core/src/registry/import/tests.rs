//! Both formats of IANA, what they have in common, and what is refused.

use proptest::prelude::*;

use super::*;
use crate::registry::Registry;

const CSV: &str = include_str!("../../../tests/data/iana/sample.csv");
const XML: &str = include_str!("../../../tests/data/iana/sample.xml");
const HEADINGS: &str = "Service Name,Port Number,Transport Protocol,Description\n";

fn registry(import: &Import) -> Registry {
    Registry::from_table(import.table("a test")).unwrap()
}

fn names(registry: &Registry, port: u16) -> Vec<String> {
    let names = registry.assignments_of(Port(port)).into_iter().filter_map(|a| a.service);
    names.map(str::to_owned).collect()
}

/// What is wrong with a CSV of these rows, and where.
fn refused(rows: &str) -> String {
    csv(format!("{HEADINGS}{rows}").as_bytes()).unwrap_err().to_string()
}

#[test]
fn both_formats_give_the_same_table() {
    let (csv, xml) = (csv(CSV.as_bytes()).unwrap(), xml(XML.as_bytes()).unwrap());
    assert_eq!(csv.records, 12);
    assert_eq!((&csv.date, &xml.date), (&"2026-05-27".into(), &"2026-08-17".into()));
    assert_eq!(csv.rows, xml.rows);
}

#[test]
fn the_format_is_told_by_content() {
    assert_eq!(read(CSV.as_bytes()), csv(CSV.as_bytes()));
    assert_eq!(read(XML.as_bytes()), xml(XML.as_bytes()));
    let marked = [b"\xef\xbb\xbf", XML.trim_start().as_bytes()].concat();
    assert_eq!(read(&marked).unwrap().rows.len(), 11);
    let marked = [b"\xef\xbb\xbf", CSV.as_bytes()].concat();
    assert_eq!(read(&marked).unwrap().rows.len(), 11);
}

#[test]
fn usual_names_come_before_others_and_well_formed_ones_before_history() {
    let registry = registry(&read(CSV.as_bytes()).unwrap());
    assert_eq!(names(&registry, 80), ["http", "www", "http"]);
    assert_eq!(names(&registry, 63), ["whoispp", "whois++"]);
    let whoispp = registry.assignments_of(Port(63))[0];
    assert_eq!(
        (whoispp.description, whoispp.transports.to_string()),
        ("whois++", "tcp+udp".into())
    );
}

#[test]
fn ranges_names_without_a_port_and_reserved_numbers_are_kept() {
    let registry = registry(&read(CSV.as_bytes()).unwrap());
    assert_eq!(registry.by_name("x11").len(), 64);
    assert_eq!(registry.by_name("1password")[0].port, None);
    assert_eq!(registry.assignments_of(Port(0))[0].description, "Reserved");
    assert!(registry.assignments_of(Port(4)).is_empty());
    assert_eq!(
        registry.assignments_of(Port(6400))[0].description,
        "Business Objects CMS contact port"
    );
    assert_eq!(registry.edition().origin, "a test");
    assert_eq!(registry.edition().date, "2026-05-27");
}

#[test]
fn columns_in_another_order_do_not_matter() {
    let text = "Description,Extra,Transport Protocol,Service Name,Port Number\nTest,x,udp,test,7\n";
    assert_eq!(names(&registry(&csv(text.as_bytes()).unwrap()), 7), ["test"]);
}

#[test]
fn what_is_not_the_registry_is_refused_with_its_line() {
    assert_eq!(refused("a,99999,tcp,x\n"), "line 2: port 99999 is larger than 65535");
    assert_eq!(
        refused("a,1,tcp,x\nb,9-5,tcp,x\n"),
        "line 3: the range 9-5 is reversed: its end lies before its start"
    );
    assert_eq!(refused("\"a\nb\",1,tcp,x\n"), "line 2: `a\\nb` is not a service name");
    assert_eq!(
        refused("a,1,quic,x\n"),
        "line 2: `quic` is not a transport; one of tcp, udp, sctp, dccp"
    );
    assert_eq!(refused("a,1,tcp\n"), "line 2: a record of 3 cells where the heading has 4");
    assert_eq!(refused(""), "line 1: no assignment in it");
    assert!(csv(b"port,name\n1,a\n").unwrap_err().to_string().contains("no column `Service Name`"));
    let latin1 = [HEADINGS.as_bytes(), b"a,1,tcp,caf\xe9\n"].concat();
    assert_eq!(csv(&latin1).unwrap_err().to_string(), "line 2: not UTF-8");
}

#[test]
fn other_xml_and_cut_xml_are_refused() {
    let refused = |text: &str| xml(text.as_bytes()).unwrap_err();
    assert_eq!(refused("<html/>").mistake, Mistake::NotTheRegistry);
    assert_eq!(refused("<registry id='other'/>").mistake, Mistake::NotTheRegistry);
    assert_eq!(refused("").mistake, Mistake::NotTheRegistry);
    let cut = &XML[..XML.find("<people>").unwrap()];
    assert_eq!(refused(cut).mistake, Mistake::Truncated);
    let entity = XML.replace("&quot;", "&secret;");
    assert_eq!(refused(&entity).to_string(), "line 20: `&secret;` is not an entity");
    assert!(matches!(
        refused(&XML.replace("</people>", "</record>")).mistake,
        Mistake::Syntax { .. }
    ));
    let port = XML.replace("6000-6063", "6000-66063");
    assert_eq!(refused(&port).to_string(), "line 27: port 66063 is larger than 65535");
}

#[test]
fn ranges_that_would_fill_the_memory_are_refused() {
    let rows: String = (0..9).map(|i| format!("a{i},0-65535,tcp,x\n")).collect();
    assert!(refused(&rows).contains("more records or longer ranges"), "{}", refused(&rows));
}

#[test]
fn a_day_that_is_none_is_passed_over_and_the_youngest_record_counts() {
    let text = "<registry id='service-names-port-numbers'><updated>2026-08\t-17</updated>\
                <record date='2025-01-02'><name>http</name><number>80</number></record></registry>";
    let import = xml(text.as_bytes()).unwrap();
    assert_eq!(import.date, "2025-01-02");
    registry(&import);
}

proptest! {
    #[test]
    fn a_file_cut_anywhere_is_refused_or_a_sound_table(cut in 0..CSV.len().max(XML.len())) {
        for text in [CSV, XML] {
            let bytes = &text.as_bytes()[..cut.min(text.len())];
            if let Ok(import) = read(bytes) {
                registry(&import);
            }
        }
    }

    #[test]
    fn whatever_is_read_makes_a_sound_table(rows in prop::collection::vec("[-0-9]{0,5},(tcp|udp|)?,[ a-z\"<&\\t\\r\\x0b\\x7fé]{0,9}", 0..6)) {
        let rows: String = rows.iter().enumerate().map(|(i, row)| format!("n{i},{row}\n")).collect();
        if let Ok(import) = csv(format!("{HEADINGS}{rows}").as_bytes()) {
            registry(&import);
        }
    }

    #[test]
    fn any_bytes_are_a_table_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = xml(&bytes);
        let _ = xml(&[b"<registry id='service-names-port-numbers'>".as_slice(), &bytes].concat());
        let _ = csv(&[HEADINGS.as_bytes(), &bytes].concat());
    }
}
