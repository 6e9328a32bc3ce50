//! Tables as nft lists them, whole and cut.

use super::*;

const LISTED: &str = r#"# header: a { brace
table inet portolan {
	comment "who { } made it"
	set door {
		type ipv4_addr
		size 1000
		flags dynamic,timeout
		timeout 1m
		elements = { 192.0.2.1 timeout 1m40s expires 49s968ms,
			     192.0.2.2 }
	}

	map d {
		type inet_service : verdict
		elements = { 22 : jump svc, 24 : jump svc }
	}

	ct helper ftp-tcp {
		type "ftp" protocol tcp
		l3proto inet
	}

	chain svc {
		tcp dport { 1, 2 } counter packets 0 bytes 0 accept comment "a } b"
	}

	chain input {
		type filter hook input priority filter - 5; policy drop;
		tcp dport vmap @d
	}
}
"#;

#[test]
fn a_listing_is_taken_apart() {
    let outline = Outline::parse(LISTED).unwrap();
    let names: Vec<_> = outline.parts.iter().map(|p| (p.kind, p.name)).collect();
    let expected = [
        ("set", "door"),
        ("map", "d"),
        ("ct helper", "ftp-tcp"),
        ("chain", "svc"),
        ("chain", "input"),
    ];
    assert_eq!(names, expected);
    let door = outline.part("set", "door").unwrap();
    assert!(door.is_dynamic() && !outline.part("map", "d").unwrap().is_dynamic());
    assert_eq!(elements(door.elements.unwrap()).len(), 2);
    let flags = "flags dynamic,timeout";
    assert_eq!(door.declaration(), [flags, "size 1000", "timeout 60000ms", "type ipv4_addr"]);
    let hook = outline.part("chain", "input").unwrap().hook();
    assert_eq!(hook.as_deref(), Some("type filter hook input priority -5"));
    assert_eq!(outline.part("chain", "svc").unwrap().hook(), None);
}

#[test]
fn one_line_says_the_same_as_many() {
    let text = "table inet portolan { set s { type ipv4_addr; flags timeout, dynamic; }; \
                chain pre { type nat hook prerouting priority -110; policy accept; }; }";
    let outline = Outline::parse(text).unwrap();
    let set = outline.part("set", "s").unwrap();
    assert_eq!(set.declaration(), ["flags dynamic,timeout", "type ipv4_addr"]);
    let hook = outline.part("chain", "pre").unwrap().hook();
    assert_eq!(hook.as_deref(), Some("type nat hook prerouting priority -110"));
}

#[test]
fn another_table_is_refused_with_its_line() {
    let error = Outline::parse("\ntable ip nat { }").unwrap_err();
    assert_eq!(error, OutlineError::Foreign { line: 2 });
    assert_eq!(Outline::parse("flush ruleset\n"), Err(OutlineError::Foreign { line: 1 }));
    let both = format!("{LISTED}\nflush ruleset\n");
    assert!(matches!(Outline::parse(&both), Err(OutlineError::Foreign { .. })));
    assert_eq!(Outline::parse("# nothing\n"), Ok(Outline::default()));
}

#[test]
fn a_text_cut_anywhere_is_refused_or_empty() {
    for length in 0..LISTED.trim_end().len() {
        if let Ok(outline) = Outline::parse(&LISTED[..length]) {
            assert_eq!(outline, Outline::default(), "cut at {length}");
        }
    }
}

#[test]
fn times_are_read_as_nft_writes_them() {
    assert_eq!(milliseconds("49s968ms"), Some(49_968));
    assert_eq!(milliseconds("1d2h3m"), Some(93_780_000));
    assert_eq!(milliseconds("30"), Some(30_000));
    for text in ["", "s", "3x", "99999999999999999999s", "18446744073709551615w"] {
        assert_eq!(milliseconds(text), None, "{text}");
    }
}
