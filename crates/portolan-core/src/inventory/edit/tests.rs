//! What edits must leave alone, and what they must do.

use proptest::prelude::*;
use toml_edit::{DocumentMut, Value};

use super::*;

const FILE: &str = r#"#:schema ./portolan.schema.json
portolan = 1                       # the version
title    = "Office"

[hosts.web]                        # the front
address  = ["10.0.0.1"]
purpose  = "Front end"   # keep me
firewall = { input = "drop" }
x-rack.row = 3

[services.ssh]
on      = ["web"]
ports   = ["22/tcp"]
owner   = "nobody"             # ask

# ---- the end
[[ignore]]
match  = { process = "a" }
reason = "b"
"#;

/// The lines of `after` that are not in `before` at the same place, where nothing else differs.
fn changed_lines(before: &str, after: &str) -> Vec<String> {
    let (old, new): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(a, b)| a == b);
    let tail = tail.count();
    assert!(old.len() - tail - head <= 1, "more than one line of the file changed");
    new[head..new.len() - tail].iter().map(|l| (*l).to_owned()).collect()
}

#[test]
fn setting_a_value_changes_its_own_bytes_only() {
    let after = set(FILE, "services.ssh.owner", "platform").unwrap();
    assert_eq!(after, FILE.replace("\"nobody\"", "\"platform\""));
}

#[test]
fn a_missing_key_goes_to_the_end_of_its_table_in_its_alignment() {
    let after = set(FILE, "services.ssh.purpose", "Shell").unwrap();
    assert_eq!(changed_lines(FILE, &after), ["purpose = \"Shell\""]);
    assert!(after.contains("# ask\npurpose = \"Shell\"\n\n# ---- the end"));
    let after = set(FILE, "hosts.web.owner", "me").unwrap();
    assert_eq!(changed_lines(FILE, &after), ["owner    = \"me\""]);
}

#[test]
fn a_missing_key_of_an_inline_table_goes_inside_its_braces() {
    let after = set(FILE, "hosts.web.firewall.egress", "drop").unwrap();
    assert_eq!(changed_lines(FILE, &after), ["firewall = { input = \"drop\", egress = \"drop\" }"]);
    let empty = "a = {}\n";
    assert_eq!(set(empty, "a.b.c", "1").unwrap(), "a = { b = { c = 1 } }\n");
}

#[test]
fn a_missing_key_of_a_dotted_table_is_written_dotted_beside_it() {
    let after = set(FILE, "hosts.web.x-rack.unit", "7").unwrap();
    assert!(after.contains("x-rack.row = 3\nx-rack.unit = 7\n\n[services"), "{after}");
}

#[test]
fn a_missing_table_follows_its_kin() {
    let after = set(FILE, "hosts.db.purpose", "Data").unwrap();
    assert!(
        after.contains("x-rack.row = 3\n\n[hosts.db]\npurpose = \"Data\"\n\n[services.ssh]"),
        "{after}"
    );
}

#[test]
fn a_table_of_a_new_kind_goes_to_the_end() {
    let after = set(FILE, "owners.shop.name", "Shop").unwrap();
    assert_eq!(after, format!("{FILE}\n[owners.shop]\nname = \"Shop\"\n"));
    let after = set(FILE, "networks.\"head office\"", "10.0.0.0/8").unwrap();
    assert_eq!(after, format!("{FILE}\n[networks]\n\"head office\" = \"10.0.0.0/8\"\n"));
}

#[test]
fn a_whole_entry_given_in_braces_becomes_a_table_of_lines() {
    let after = set(FILE, "services.web", r#"{ on = ["web"], ports = ["80/tcp"] }"#).unwrap();
    assert!(after.contains("# ask\n\n[services.web]\non = [\"web\"]\nports = [\"80/tcp\"]\n"));
}

#[test]
fn the_review_rule_stays_at_the_top() {
    let after = set(FILE, "review.every", "180d").unwrap();
    assert_eq!(changed_lines(FILE, &after), ["review   = { every = \"180d\" }"]);
}

#[test]
fn entries_of_lists_are_reached_by_number() {
    let after = set(FILE, "ignore.0.until", "2027-01-31").unwrap();
    assert_eq!(changed_lines(FILE, &after), ["until  = 2027-01-31"]);
    let after = set(FILE, "services.ssh.ports.0", "2222/tcp").unwrap();
    assert_eq!(changed_lines(FILE, &after), ["ports   = [\"2222/tcp\"]"]);
    assert_eq!(
        set(FILE, "ignore.7.until", "x").unwrap_err(),
        EditError::Index { path: "ignore".into(), length: 1 }
    );
}

#[test]
fn a_value_that_is_not_toml_is_a_string() {
    let value = |v: &str| set("a = 0\n", "a", v).unwrap();
    assert_eq!(value("platform team"), "a = \"platform team\"\n");
    assert_eq!(value("2027-03-01"), "a = 2027-03-01\n");
    assert_eq!(value("[\"a\"]"), "a = [\"a\"]\n");
    assert_eq!(value("x\nb = 1"), "a = \"x\\nb = 1\"\n");
    assert_eq!(value("\u{202e}\x1b"), "a = \"\\u202E\\u001B\"\n");
}

#[test]
fn crlf_a_byte_order_mark_and_a_missing_last_newline_stay() {
    let text = "\u{feff}# c\r\nportolan = 1\r\n[hosts.a]\r\naddress = []";
    assert_eq!(
        set(text, "hosts.a.purpose", "x").unwrap(),
        "\u{feff}# c\r\nportolan = 1\r\n[hosts.a]\r\naddress = []\r\npurpose = \"x\""
    );
    assert_eq!(
        set(text, "title", "x").unwrap(),
        "\u{feff}# c\r\nportolan = 1\r\ntitle = \"x\"\r\n[hosts.a]\r\naddress = []"
    );
    assert_eq!(
        set(text, "hosts.b.purpose", "x").unwrap(),
        format!("{text}\r\n\r\n[hosts.b]\r\npurpose = \"x\"")
    );
}

#[test]
fn a_dropped_first_line_does_not_say_how_the_last_one_ends() {
    let formatted = format("\na = 1\r\nb = 2").unwrap();
    assert_eq!(formatted, "a = 1\r\nb = 2\r\n");
    assert_eq!(format(&formatted).unwrap(), formatted);
}

#[test]
fn a_file_without_any_key_takes_its_first_at_the_top() {
    assert_eq!(set("", "portolan", "1").unwrap(), "portolan = 1\n");
    assert_eq!(set("[a]\n", "portolan", "1").unwrap(), "portolan = 1\n[a]\n");
}

#[test]
fn a_path_through_a_plain_value_is_refused() {
    let error = set(FILE, "title.x", "1").unwrap_err();
    assert_eq!(error, EditError::NoKeys { path: "title".into(), kind: "a string" });
    let error = set(FILE, "hosts.web", "1").unwrap_err();
    assert_eq!(error, EditError::WholeTable { path: "hosts.web".into() });
    assert!(matches!(set(FILE, "a..b", "1"), Err(EditError::Key { .. })));
    assert!(matches!(set("a = ", "a", "1"), Err(EditError::Syntax { .. })));
}

#[test]
fn json_is_not_edited() {
    assert_eq!(set("{\"portolan\": 1}", "title", "x"), Err(EditError::Json));
    assert_eq!(format("\u{feff}\n{}"), Err(EditError::Json));
}

#[test]
fn the_part_of_a_path_that_is_there_is_counted() {
    assert_eq!(holds(FILE, "services.ssh.owner"), Ok(3));
    assert_eq!(holds(FILE, "services.ssh.purpose"), Ok(2));
    assert_eq!(holds(FILE, "doors.x"), Ok(0));
}

#[test]
fn formatting_evens_ports_and_blanks_and_keeps_the_rest() {
    let untidy = "\n\nportolan=1   # v\n\n\n\n\n[services.a]  \non = [ \"web\",\"db\" ]\nports\t= ['tcp/443','udp:53', \"udp+tcp/5-6\", \"esp\"]  # p\nfrom = [\n  \"any\",   \n  \"x\"  # c\n]\ntls={min=\"1.2\",names=[]}\npurpose = \"\"\"\nkeep  \n\n\n\n\nthis\"\"\"\n[forwards.f]\nlisten = \"tcp/80\"\nto = \"1.2.3.4:80\"\n\n\n\n";
    let tidy = "portolan = 1   # v\n\n\n[services.a]\non = [\"web\", \"db\"]\nports\t= ['443/tcp', '53/udp', \"5-6/tcp+udp\", \"esp\"]  # p\nfrom = [\n  \"any\",\n  \"x\"  # c\n]\ntls = { min = \"1.2\", names = [] }\npurpose = \"\"\"\nkeep  \n\n\n\n\nthis\"\"\"\n[forwards.f]\nlisten = \"80/tcp\"\nto = \"1.2.3.4:80\"\n";
    assert_eq!(format(untidy).unwrap(), tidy);
    assert_eq!(format(tidy).unwrap(), tidy);
}

#[test]
fn a_tidy_file_is_not_touched() {
    assert_eq!(format(FILE).unwrap(), FILE);
    let crlf = FILE.replace('\n', "\r\n");
    assert_eq!(format(&crlf).unwrap(), crlf);
}

#[test]
fn an_ignore_is_added_at_the_end_with_an_empty_line_before_it() {
    let until = "2027-03-31".parse().ok();
    let entry = IgnoreEntry::of_finding("P101-0123456789", "vendor \"agent\"", until);
    let block = "[[ignore]]\nmatch  = { id = \"P101-0123456789\" }\nreason = \"vendor \\\"agent\\\"\"\nuntil  = 2027-03-31\n";
    assert_eq!(append_ignore(FILE, &entry).unwrap(), format!("{FILE}\n{block}"));
    assert_eq!(append_ignore("a = 1", &entry).unwrap(), format!("a = 1\n\n{block}"));
    let crlf = append_ignore("a = 1\r\n", &entry).unwrap();
    assert_eq!(crlf, format!("a = 1\r\n\r\n{}", block.replace('\n', "\r\n")));
}

#[test]
fn an_ignore_joins_a_list_that_is_written_as_one() {
    let entry = IgnoreEntry::of_finding("P1", "r", None);
    let braces = "{ match = { id = \"P1\" }, reason = \"r\" }";
    assert_eq!(
        append_ignore("ignore = []\n[a]\n", &entry).unwrap(),
        format!("ignore = [{braces}]\n[a]\n")
    );
    assert_eq!(
        append_ignore("ignore = [\n  {a=1}, # c\n]\n", &entry).unwrap(),
        format!("ignore = [\n  {{a=1}}, {braces}, # c\n]\n")
    );
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,6}", "[a-z .\"\\\\\u{202e}\n]{0,4}"]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![".{0,12}", "[0-9]{1,4}", Just("{ a = [1, 2] }".to_owned()), Just("[]".to_owned())]
}

/// Small files with tables, dotted keys, inline tables, comments and both line endings.
fn file() -> impl Strategy<Value = String> {
    let body = prop::sample::subsequence(vec![0_usize, 1, 2, 3, 4, 5, 6], 0..=7);
    let lines = [
        "  # a comment",
        "",
        "b = 2 # two",
        "c.d = 'x'",
        "e = { f = 1, g.h = 2 }",
        "i   = [ 1, # one\n 2 ]",
        "j = \"\"\"\n[k]\n\"\"\"",
    ];
    let body = body.prop_map(move |picked| {
        picked.iter().map(|n| format!("{}\n", lines[*n])).collect::<String>()
    });
    (body.clone(), body.clone(), body, any::<bool>(), any::<bool>()).prop_map(
        |(a, b, c, crlf, end)| {
            let text = format!("{a}[s.a]\n{b}[t]\n{c}[s.b]\n{a}");
            let text = if crlf { text.replace('\n', "\r\n") } else { text };
            if end { text } else { text.trim_end().to_owned() }
        },
    )
}

proptest! {
    #[test]
    fn what_was_set_is_read_back_and_nothing_else_differs(text in file(), keys in prop::collection::vec(key(), 1..4), top in prop::sample::select(vec!["s", "t", "e", "c", "z", "b"]), value in value()) {
        let path = std::iter::once(top.to_owned()).chain(keys.iter().map(|k| quoted_key(k))).collect::<Vec<_>>().join(".");
        let Ok(after) = set(&text, &path, &value) else { return Ok(()) };
        // What was there is still there, around one place where something was added or replaced.
        let head = text.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
        let tail = text.bytes().rev().zip(after.bytes().rev()).take_while(|(a, b)| a == b).count();
        prop_assert!(head + tail >= text.len() || holds(&text, &path).unwrap() == keys.len() + 1);
        let expected = value.trim().parse::<Value>().unwrap_or_else(|_| Value::from(value.clone()));
        let document: DocumentMut = after.parse().unwrap();
        let mut item = document.as_item();
        for key in std::iter::once(top).chain(keys.iter().map(String::as_str)) {
            item = item.get(key).unwrap();
        }
        let found = item.clone().into_value().unwrap();
        prop_assert_eq!(found.as_str(), expected.as_str());
        if let Ok(again) = set(&after, &path, &value) {
            prop_assert_eq!(again, after);
        }
    }

    #[test]
    fn a_formatted_file_is_byte_identical_when_formatted_again(text in file()) {
        let once = format(&text).unwrap();
        prop_assert_eq!(format(&once).unwrap(), once);
    }

    #[test]
    fn any_text_survives_being_quoted(text in "\\PC{0,8}|(?s:.{0,8})") {
        let parsed: Value = quoted(&text).parse().unwrap();
        prop_assert_eq!(parsed.as_str(), Some(text.as_str()));
        let keys = toml_edit::Key::parse(&quoted_key(&text)).unwrap();
        prop_assert_eq!(keys[0].get(), text);
    }

    #[test]
    fn no_text_makes_an_edit_panic(text in "(?s:.{0,40})", key in ".{0,8}", value in ".{0,8}") {
        let _ = (set(&text, &key, &value), format(&text), append_text(&text, "[a]\n"));
    }
}
