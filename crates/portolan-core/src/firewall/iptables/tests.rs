//! Lines of iptables-save as rules, and files that are refused with their place.

use super::*;
use crate::firewall::ipset::Ipsets;
use crate::firewall::{
    ChainKind, Condition, Effect, Expression, Family, Field, Hook, NatKind, Origin, ReadError,
    Rule, SetRef, Span, Statement, Target, Test, Value, Verdict,
};

const UFW: &str = include_str!("../../../tests/data/firewall/ufw/iptables-save");
const UFW6: &str = include_str!("../../../tests/data/firewall/ufw/ip6tables-save");
const DOCKER: &str = include_str!("../../../tests/data/firewall/docker/iptables-save");
const FIREWALLD: &str =
    include_str!("../../../tests/data/firewall/firewalld-iptables/iptables-save");
const FIREWALLD6: &str =
    include_str!("../../../tests/data/firewall/firewalld-iptables/ip6tables-save");
const FIREWALLD_SETS: &str = include_str!("../../../tests/data/firewall/firewalld-iptables/ipset");
const LEGACY: &str = include_str!("../../../tests/data/nat/docker-legacy.save");

fn read(text: &str) -> Save {
    Save::read(text, None, None).expect("a whole file")
}

fn refused(text: &str) -> ReadError {
    Save::read(text, None, None).expect_err("there is something wrong with it")
}

/// The rule of a line `-A INPUT …` of table filter.
fn rule_of(family: Family, options: &str) -> Rule {
    let text =
        format!("*filter\n:INPUT ACCEPT [0:0]\n:other - [0:0]\n-A INPUT {options}\nCOMMIT\n");
    let mut save = Save::read(&text, Some(family), None).expect("a whole file");
    save.tables[0].chains[0].rules.remove(0)
}

fn rule(options: &str) -> Vec<Statement> {
    rule_of(Family::Ip, options).statements
}

fn all_rules(save: &Save) -> impl Iterator<Item = &Rule> {
    save.tables.iter().flat_map(|t| &t.chains).flat_map(|c| &c.rules)
}

fn opaque(save: &Save) -> Vec<String> {
    let decides = |s: &&Statement| {
        matches!(s, Statement::Opaque { effect: Effect::Decides, .. })
            || matches!(s, Statement::Condition(Condition { presumed: None, .. }))
    };
    all_rules(save)
        .filter(|rule| rule.statements.iter().any(|s| decides(&s)))
        .map(|rule| rule.text.to_string())
        .collect()
}

#[test]
fn what_ufw_docker_and_firewalld_write_leaves_nothing_opaque_that_decides() {
    let sets = Ipsets::read(FIREWALLD_SETS).expect("ipset's own output");
    for text in [UFW, DOCKER, FIREWALLD] {
        let save = Save::read(text, None, Some(&sets)).expect("a whole file");
        assert_eq!(opaque(&save), [""; 0]);
        assert_eq!(save.family, Family::Ip);
    }
    // Routing headers alone are not looked into, and only where there is one.
    let save = read(UFW6);
    assert_eq!(save.family, Family::Ip6);
    assert!(opaque(&save).iter().all(|text| text.contains("-m rt --rt-type 0 -j DROP")));
    assert_eq!(opaque(&read(FIREWALLD6)), [""; 0]);
}

#[test]
fn the_header_says_who_wrote_it() {
    assert_eq!(read(UFW).origin, Origin::IptablesNft);
    assert_eq!(read(LEGACY).origin, Origin::IptablesLegacy);
    assert_eq!(read("*nat\n:PREROUTING ACCEPT\nCOMMIT\n").family, Family::Ip);
    let v6 = "*filter\n:INPUT ACCEPT\n-A INPUT -s fe80::/10 -j DROP\nCOMMIT\n";
    assert_eq!(read(v6).family, Family::Ip6);
}

#[test]
fn built_in_chains_stand_where_the_kernel_hooks_them() {
    let save = read(
        "*mangle\n:OUTPUT ACCEPT\nCOMMIT\n*nat\n:INPUT ACCEPT\nCOMMIT\n*raw\n:PREROUTING DROP\nCOMMIT\n",
    );
    let bases: Vec<_> = save
        .tables
        .iter()
        .map(|table| table.chains[0].base.clone().expect("a built-in chain"))
        .map(|base| (base.kind, base.hook, base.priority))
        .collect();
    let expected = [
        (ChainKind::Route, Hook::Output, -150),
        (ChainKind::Nat, Hook::Input, 100),
        (ChainKind::Filter, Hook::Prerouting, -300),
    ];
    assert_eq!(bases, expected);
}

#[test]
fn a_comment_keeps_its_quotes_and_counters_count() {
    let text = "*filter\n:INPUT ACCEPT [0:0]\n[12:3456] -A INPUT -m comment --comment \"say \\\"no\\\" -j DROP\" -j ACCEPT\nCOMMIT\n";
    let save = read(text);
    let rule = &save.tables[0].chains[0].rules[0];
    assert_eq!(rule.comment.as_deref(), Some("say \"no\" -j DROP"));
    assert_eq!(rule.counter.map(|c| (c.packets, c.bytes)), Some((12, 3456)));
    assert_eq!(rule.statements, [Statement::Verdict(Verdict::Accept)]);
    assert!(rule.text.starts_with("-A INPUT"));
    assert_eq!(rule.line, Some(3));
}

#[test]
fn a_negation_may_stand_before_the_option_or_before_its_value() {
    assert_eq!(rule("! -s 10.0.0.0/8 -j DROP"), rule("-s ! 10.0.0.0/8 -j DROP"));
    assert_eq!(rule("! -i eth0 -j DROP"), rule("-i ! eth0 -j DROP"));
    let Statement::Match(found) = &rule("! -s 10.0.0.0/8 -j DROP")[0] else { panic!("a match") };
    assert!(matches!(found.test, Test::NotIn(_)));
}

#[test]
fn options_belong_to_the_match_that_knows_them() {
    let plain = rule("-p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -j ACCEPT");
    // Without `-m tcp`, with `-p` behind it, with the port behind another match: all are in the wild.
    assert_eq!(rule("-p tcp --dport 22 -m conntrack --ctstate NEW -j ACCEPT"), plain);
    let mut moved = rule("-m conntrack --ctstate NEW -m tcp -p tcp --dport 22 -j ACCEPT");
    moved.swap(1, 2);
    assert_eq!(moved, plain);
    let mut behind = rule("-p tcp -m conntrack --ctstate NEW --dport 22 -j ACCEPT");
    behind.swap(1, 2);
    assert_eq!(behind, plain);
}

#[test]
fn a_mask_that_is_no_prefix_is_a_comparison_of_bits() {
    let Statement::Match(found) = &rule("-d 10.0.0.7/255.0.0.255 -j DROP")[0] else {
        panic!("a match")
    };
    let of = Box::new(Expression::Field(Field::Destination4));
    assert_eq!(found.left, Expression::Bits { of, mask: 0xff00_00ff, flip: 0 });
    assert_eq!(found.test, Test::In(SetRef::number(0x0a00_0007)));
}

#[test]
fn a_translated_state_is_asked_of_the_status() {
    let Statement::Match(found) =
        &rule("-m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT")[0]
    else {
        panic!("a match")
    };
    assert!(matches!(&found.left, Expression::Concat(parts) if parts.len() == 2));
    assert!(matches!(found.test, Test::NotIn(_)));
    // Without a connection there is no status, and the negation holds: no comparison says so.
    let negated = rule("-m conntrack ! --ctstate NEW,DNAT -j DROP");
    assert!(matches!(negated[0], Statement::Condition(Condition { presumed: None, .. })));
}

#[test]
fn what_is_not_evaluated_keeps_its_text_and_never_accepts() {
    let statements =
        rule("-p tcp -m string --string \"a b\" --algo bm --to 65535 -m tcp --dport 80 -j ACCEPT");
    let Statement::Condition(found) = &statements[1] else { panic!("a condition") };
    assert_eq!(&*found.text, "-m string --string \"a b\" --algo bm --to 65535");
    assert_eq!(found.presumed, None);
    assert_eq!(statements.len(), 4);
    let unknown = rule("-j SOMETHING --with 5");
    assert!(matches!(unknown[0], Statement::Opaque { effect: Effect::Decides, .. }));
    let nobodys = rule("--nobodys option -j ACCEPT");
    assert!(matches!(nobodys[0], Statement::Condition(Condition { presumed: None, .. })));
    let badly = rule("-p tcp -m tcp --dport ssh -j ACCEPT");
    assert!(matches!(badly[1], Statement::Condition(Condition { presumed: None, .. })));
}

#[test]
fn limits_are_kept_by_a_single_packet() {
    let presumed = |options: &str| match &rule(options)[0] {
        Statement::Condition(found) => found.presumed,
        other => panic!("{other:?} is no condition"),
    };
    assert_eq!(presumed("-m limit --limit 3/min -j ACCEPT"), Some(true));
    assert_eq!(
        presumed("-m hashlimit --hashlimit-above 3/min --hashlimit-name x -j DROP"),
        Some(false)
    );
    assert_eq!(presumed("-m connlimit --connlimit-above 3 -j DROP"), Some(false));
    assert_eq!(
        presumed("-m recent --update --seconds 30 --hitcount 6 --name D -j DROP"),
        Some(false)
    );
    assert_eq!(presumed("-m recent ! --rcheck --name D -j DROP"), Some(true));
    assert!(matches!(
        rule("-m recent --set --name D")[0],
        Statement::Opaque { effect: Effect::Passes, .. }
    ));
}

#[test]
fn translations_have_addresses_and_ports() {
    let nat = |family, options: &str| {
        let text = format!("*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING {options}\nCOMMIT\n");
        let save = Save::read(&text, Some(family), None).expect("a whole file");
        match save.tables[0].chains[0].rules[0].statements.last() {
            Some(Statement::Nat(nat)) => nat.clone(),
            other => panic!("{other:?} is no translation"),
        }
    };
    let constant = |n: u128| Some(Expression::Constant(Value::Number(n)));
    let found =
        nat(Family::Ip, "-p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80");
    assert_eq!(
        (found.kind, found.address, found.port),
        (NatKind::Dnat, constant(0xac11_0002), constant(80))
    );
    let found = nat(Family::Ip, "-p tcp -j DNAT --to-destination :443");
    assert_eq!((found.address, found.port), (None, constant(443)));
    let found = nat(Family::Ip, "-p tcp -j DNAT --to-destination 10.0.0.1-10.0.0.9:80-90 --random");
    assert_eq!(found.port, Some(Expression::OneOf(Span::Numbers { low: 80, high: 90 })));
    let found = nat(Family::Ip6, "-p tcp -j DNAT --to-destination [2001:db8::7]:443");
    assert_eq!(found.port, constant(443));
    let found = nat(Family::Ip6, "-j DNAT --to-destination 2001:db8::7");
    assert_eq!(found.port, None);
    assert_eq!(nat(Family::Ip, "-p tcp -j REDIRECT --to-ports 3128").port, constant(3128));
    let found = nat(Family::Ip, "-d 192.0.2.0/24 -j NETMAP --to 10.7.0.0/24");
    let of = Box::new(Expression::Field(Field::Destination4));
    assert_eq!(found.address, Some(Expression::Bits { of, mask: 0xff, flip: 0x0a07_0000 }));
}

#[test]
fn marks_are_exchanged_under_their_mask() {
    let value = |options: &str| match &rule(options)[0] {
        Statement::Assign { value, .. } => value.clone(),
        other => panic!("{other:?} assigns nothing"),
    };
    let bits =
        |mask, flip| Expression::Bits { of: Box::new(Expression::Field(Field::Mark)), mask, flip };
    assert_eq!(value("-j MARK --set-xmark 0x5/0xffffffff"), Expression::Constant(Value::Number(5)));
    assert_eq!(value("-j MARK --set-xmark 0x5/0xff"), bits(0xffff_ff00, 5));
    assert_eq!(value("-j MARK --or-mark 0x8"), bits(0xffff_fff7, 8));
    assert_eq!(value("-j MARK --and-mark 0x8"), bits(8, 0));
    let restored = value("-j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff");
    assert_eq!(restored, Expression::Field(Field::CtMark));
    let partly = value("-j CONNMARK --save-mark --nfmask 0xff --ctmask 0xff");
    assert!(matches!(partly, Expression::Unknown(_)));
}

#[test]
fn an_ipset_is_a_set_of_the_table() {
    let sets = Ipsets::read("create s hash:ip,port family inet\nadd s 10.0.0.1,tcp:80\n")
        .expect("well formed");
    let text = "*filter\n:INPUT ACCEPT\n-A INPUT -m set --match-set s src,dst -j DROP\nCOMMIT\n";
    let save = Save::read(text, None, Some(&sets)).expect("a whole file");
    assert_eq!(&*save.tables[0].sets[0].name, "s");
    let Statement::Match(found) = &save.tables[0].chains[0].rules[0].statements[0] else {
        panic!("a match")
    };
    let parts = [Field::Source4, Field::Protocol, Field::DestinationPort].map(Expression::Field);
    assert_eq!(found.left, Expression::Concat(parts.into()));
    // Unknown sets and sets of the other family.
    let save = Save::read(text, None, None).expect("a whole file");
    assert_eq!(opaque(&save).len(), 1);
    assert_eq!(save.notes, ["what is in ipset s is not known"]);
}

#[test]
fn a_table_that_could_not_be_printed_is_an_error_that_names_it() {
    for quote in ["`filter'", "'filter'"] {
        let text = format!("# Table {quote} is incompatible, use 'nft' tool.\n");
        let error = read(&text).into_ruleset().expect_err("what it holds is not known");
        assert_eq!(error.line, 1);
        assert!(error.problem.contains("table filter"), "{}", error.problem);
    }
}

#[test]
fn broken_files_are_refused_with_the_place() {
    let place = |text: &str| {
        let error = refused(text);
        (error.line, error.column)
    };
    let head = "*filter\n:INPUT ACCEPT [0:0]\n:a - [0:0]\n:b - [0:0]\n";
    // Wrapped within an option, and between two.
    assert_eq!(
        place(&format!("{head}-A INPUT -p tcp -m tcp --dport\n22 -j ACCEPT\nCOMMIT\n")),
        (5, 24)
    );
    assert_eq!(place(&format!("{head}-A INPUT -p tcp\n -j ACCEPT\nCOMMIT\n")), (6, 2));
    assert_eq!(place(&format!("{head}-A INPUT -m comment --comment \"no end\nCOMMIT\n")), (5, 31));
    assert_eq!(place(&format!("{head}-A INPUT -j missing\nCOMMIT\n")), (5, 10));
    assert_eq!(place(&format!("{head}-A missing -j ACCEPT\nCOMMIT\n")), (5, 4));
    assert_eq!(place(&format!("{head}-A a -j b\n-A b -g a\nCOMMIT\n")), (6, 1));
    assert_eq!(place(&format!("{head}-A INPUT -j ACCEPT\n")), (5, 1));
    assert_eq!(place(&format!("{head}*nat\n")), (5, 1));
    assert_eq!(place("-A INPUT -j ACCEPT\n"), (1, 1));
    assert_eq!(place("*filter\n:INPUT MAYBE [0:0]\nCOMMIT\n"), (2, 8));
    assert_eq!(place("*broute\nCOMMIT\n"), (1, 2));
    assert_eq!(place("{\"nftables\": []}\n"), (1, 1));
}

#[test]
fn a_file_cut_anywhere_is_refused_or_holds_whole_tables() {
    let whole = read(DOCKER);
    for end in 0..DOCKER.len() {
        let Some(text) = DOCKER.get(..end) else { continue };
        if let Ok(save) = Save::read(text, None, None) {
            assert!(save.tables.len() <= whole.tables.len());
            assert_eq!(save.tables, whole.tables[..save.tables.len()]);
        }
    }
}

#[test]
fn extension_headers_are_asked_only_where_there_are_any() {
    let statements = rule_of(Family::Ip6, "-m rt --rt-type 0 -j DROP").statements;
    let Statement::Match(guard) = &statements[0] else { panic!("a match") };
    assert_eq!(guard.left, Expression::Field(Field::NextHeader6));
}

#[test]
fn a_packet_counts_among_the_connections_that_are_counted() {
    for (options, always) in [
        ("--connlimit-above 0", true),
        ("--connlimit-upto 0", false),
        ("! --connlimit-upto 0", true),
        ("! --connlimit-above 0", false),
    ] {
        let found = rule(&format!("-m connlimit {options} --connlimit-mask 32 -j DROP"));
        let drop = Statement::Verdict(Verdict::Drop);
        assert_eq!(found.last(), Some(&drop));
        assert_eq!(found.len() == 1, always, "{options}: {found:?}");
    }
}

#[test]
fn extensions_ask_for_ports_only_where_a_packet_begins() {
    let guard = |text: &str, family| {
        let save = Save::read(text, Some(family), None).expect("a whole file");
        match &save.tables[0].chains[0].rules[0].statements[1] {
            Statement::Match(found) => match &found.left {
                Expression::Bits { of, .. } => (**of).clone(),
                left => left.clone(),
            },
            other => panic!("{other:?}"),
        }
    };
    let offset = Expression::Field(Field::FragmentOffset);
    let port = Expression::Field(Field::DestinationPort);
    let table = |rule: &str| format!("*filter\n:INPUT ACCEPT\n-A INPUT {rule} -j DROP\nCOMMIT\n");
    for rule in [
        "-p icmp -m icmp ! --icmp-type echo-request",
        "-p tcp -m multiport ! --dports 22,80",
        "-p sctp -m sctp --dport 22",
    ] {
        assert_eq!(guard(&table(rule), Family::Ip), offset);
    }
    let plain = table("-p tcp -m tcp --dport 22");
    assert_eq!(guard(&plain, Family::Ip), port);
    let legacy = format!("# Generated by iptables-save v1.8.9 on Fri\n{plain}");
    assert_eq!(guard(&legacy, Family::Ip), offset);
    let v6 = table("-p ipv6-icmp -m icmp6 --icmpv6-type 128");
    assert_eq!(guard(&v6, Family::Ip6), Expression::Field(Field::NextHeader6));
}

#[test]
fn twenty_megabytes_of_rules_are_read() {
    use std::fmt::Write as _;
    let mut text = String::from("*filter\n:INPUT DROP [0:0]\n");
    let mut number = 0_u32;
    while text.len() < 20_000_000 {
        let source = std::net::Ipv4Addr::from_bits(0x0a00_0000 + number);
        let _ = writeln!(
            text,
            "-A INPUT -s {source}/32 -p tcp -m tcp --dport {} -m comment --comment \"row {number}\" -j ACCEPT",
            number % 65536
        );
        number += 1;
    }
    text.push_str("COMMIT\n");
    let save = read(&text);
    assert_eq!(save.tables[0].chains[0].rules.len(), number as usize);
}

#[test]
fn addrtype_of_ipv6_asks_the_address_and_not_the_route() {
    let of = |options: &str| rule_of(Family::Ip6, options).statements;
    let unicast = of("-m addrtype --src-type UNICAST -j DROP");
    let Statement::Match(found) = &unicast[0] else { panic!("a match") };
    assert_eq!(found.left, Expression::Field(Field::Source6));
    let local = of("-m addrtype ! --dst-type LOCAL -j DROP");
    let Statement::Match(found) = &local[0] else { panic!("a match") };
    assert!(matches!(found.left, Expression::Field(Field::Fib { .. })));
}

fn saves(text: &str) -> Result<Vec<Save>, ReadError> {
    Save::read_all(text, None, None)
}

#[test]
fn several_saves_in_one_file_are_told_apart_by_their_headers() {
    let text = "# Generated by iptables-save v1.8.9
*filter
:INPUT ACCEPT [0:0]
-A INPUT -s 10.0.0.0/8 -j ACCEPT
COMMIT
# Completed on Sat
# Generated by ip6tables-save v1.8.9
*filter
:INPUT DROP [0:0]
-A INPUT -s fd00::/8 -j ACCEPT
COMMIT
# Generated by iptables-save v1.8.9
*nat
:PREROUTING ACCEPT [0:0]
COMMIT
";
    let read = saves(text).expect("two saves");
    let told: Vec<_> = read.iter().map(|save| (save.family, save.tables.len())).collect();
    assert_eq!(told, [(Family::Ip, 2), (Family::Ip6, 1)]);
    assert_eq!(read[1].tables[0].chains[0].rules[0].line, Some(10));
}

#[test]
fn several_saves_in_one_file_without_headers_are_refused_with_the_line() {
    let v4 = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 10.0.0.0/8 -j ACCEPT\nCOMMIT\n";
    let v6 = "*filter\n:INPUT DROP [0:0]\n-A INPUT ! -s fd00::/8 -j ACCEPT\nCOMMIT\n";
    let mixed = saves(&format!("{v4}{v6}")).expect_err("of both families");
    assert_eq!(mixed.line, 7);
    assert!(mixed.problem.contains("line 3"), "{}", mixed.problem);
    let twice = saves(&format!("{v4}{v4}")).expect_err("a table twice");
    assert_eq!((twice.line, &*twice.problem), (5, "table filter of family ip stands here twice"));
    // What an author notes is no address of a rule.
    let noted = v6.replace("-j", "-m comment --comment \"not 10.0.0.1\" -j");
    assert_eq!(saves(&noted).expect("one save")[0].family, Family::Ip6);
}

/// The last statement of a rule.
fn target(rule: &str) -> Vec<Statement> {
    let text = format!("*mangle\n:INPUT ACCEPT [0:0]\n-A INPUT {rule}\nCOMMIT\n");
    let mut save = Save::read(&text, Some(Family::Ip), None).expect("a save");
    std::mem::take(&mut save.tables[0].chains[0].rules[0].statements)
}

#[test]
fn targets_that_write_into_the_packet_say_what() {
    let set = |target, value: u128| Statement::Assign {
        target,
        value: Expression::Constant(Value::Number(value)),
    };
    assert_eq!(target("-j DSCP --set-dscp 0x2e"), [set(Target::Dscp, 46)]);
    assert_eq!(target("-j DSCP --set-dscp-class EF"), [set(Target::Dscp, 46)]);
    assert_eq!(target("-j TTL --ttl-set 7"), [set(Target::Ttl, 7)]);
    assert_eq!(target("-j TOS --set-tos 0x10/0xff"), [set(Target::Dscp, 4), set(Target::Ecn, 0)]);
    for (rule, writes) in [
        ("-j TTL --ttl-dec 1", Target::Ttl),
        ("-p tcp -j ECN --ecn-tcp-remove", Target::TcpFlags),
        ("-p tcp -j TCPMSS --clamp-mss-to-pmtu", Target::Length),
        ("-j TOS --or-tos 0x01", Target::Ecn),
        ("-j HMARK --hmark-tuple src", Target::Mark),
    ] {
        let statements = target(rule);
        let Some(Statement::Assign { target, .. }) = statements.last() else {
            panic!("{rule}: {statements:?}");
        };
        assert_eq!(*target, writes, "{rule}");
    }
}

#[test]
fn a_set_that_the_packet_may_have_been_put_into_is_open_behind_that() {
    let ipsets = Ipsets::read("create b hash:ip family inet\nadd b 10.0.0.1\n").expect("a set");
    let text = "*filter
:INPUT ACCEPT [0:0]
-A INPUT -m set --match-set b src -j DROP
-A INPUT -p tcp -m tcp --dport 23 -j SET --add-set b src
-A INPUT -m set --match-set b src -j DROP
COMMIT
";
    let save = Save::read(text, Some(Family::Ip), Some(&ipsets)).expect("a save");
    let rules = &save.tables[0].chains[0].rules;
    assert!(matches!(rules[0].statements[0], Statement::Match(_)));
    assert!(matches!(rules[2].statements[0], Statement::Condition(_)), "{:?}", rules[2]);
}

#[test]
fn a_save_that_was_cut_behind_a_table_is_refused() {
    let header =
        |of: &str| format!("# Generated by {of} v1.8.9 (nf_tables) on Sat Nov 28 12:18:49 2026");
    let table = |name: &str, chain: &str| format!("*{name}\n:{chain} ACCEPT [0:0]\nCOMMIT");
    let completed = "# Completed on Sat Nov 28 12:18:49 2026";
    let whole: Vec<String> = [("nat", "PREROUTING"), ("filter", "INPUT")]
        .map(|(name, chain)| {
            format!("{}\n{}\n{completed}\n", header("iptables-save"), table(name, chain))
        })
        .into();
    let whole = whole.concat();
    let first = whole.find(completed).expect("it stands there") + completed.len();
    for length in 1..whole.len() {
        let is_told = saves(&whole[..length]).is_err();
        // What lacks at these places cannot be seen: a year is a year, a save of one table is one.
        let is_whole = [first, first + 1, first + 2, first + 3, whole.len() - 1].contains(&length);
        assert!(is_told || is_whole || length < 3, "{:?}", &whole[..length]);
    }
    assert_eq!(saves(&whole).expect("it is whole")[0].tables.len(), 2);
    let by_hand =
        whole.replace(&format!("{completed}\n"), "").replace(" on Sat Nov 28 12:18:49 2026", "");
    assert_eq!(saves(&by_hand).expect("it is whole")[0].tables.len(), 2);
}

#[test]
fn a_built_in_chain_without_its_policy_is_refused() {
    let error =
        saves("*filter\n:INPUT - [0:0]\n-A INPUT -j DROP\nCOMMIT\n").expect_err("it has none");
    assert_eq!((error.line, error.column), (2, 8));
    assert!(error.problem.contains("built-in chain `INPUT` has no policy"), "{}", error.problem);
    assert!(saves("*nat\n:INPUT - [0:0]\nCOMMIT\n").is_err());
    assert!(
        saves("*raw\n:INPUT - [0:0]\nCOMMIT\n").is_ok(),
        "raw has no such chain: it is the user's"
    );
}

#[test]
fn options_are_taken_as_getopt_takes_them() {
    let line = |rule: &str| {
        saves(&format!("*filter\n:INPUT ACCEPT [0:0]\n:X - [0:0]\n-A INPUT {rule}\nCOMMIT\n"))
    };
    let statements = |rule: &str| {
        line(rule).expect("it is well formed")[0].tables[0].chains[0].rules[0].statements.clone()
    };
    assert_eq!(statements("--goto=X"), statements("--goto X"));
    assert_eq!(statements("-p tcp --dport=80 -j DROP"), statements("-p tcp --dport 80 -j DROP"));
    let comment = statements("-m comment --comment=--jump -j DROP");
    assert_eq!(comment, [Statement::Verdict(Verdict::Drop)]);
    for (short, column) in [("--ju DROP", 10), ("-m later --jum=DROP", 19), ("--g X", 10)] {
        let error = line(short).expect_err("it is short for something");
        assert_eq!((error.line, error.column), (4, column), "{short}: {}", error.problem);
        assert!(error.problem.contains("may stand for `--"), "{}", error.problem);
    }
}

#[test]
fn rules_of_the_other_family_than_the_one_said_are_refused_with_their_place() {
    let bare = "*filter\n:INPUT DROP [0:0]\n-A INPUT -j ACCEPT\n-A INPUT ! -s 10.0.0.0/8 -j DROP\nCOMMIT\n";
    let refused = |text: &str, family| {
        let error = Save::read_all(text, Some(family), None).expect_err("of the other family");
        (error.line, error.hint)
    };
    let (line, hint) = refused(bare, Family::Ip6);
    assert!(line == 4 && hint.contains("v4:FILE"), "{line}: {hint}");
    let six = bare.replace("10.0.0.0/8", "fd00::/8,2001:db8::/32");
    let (line, hint) = refused(&six, Family::Ip);
    assert!(line == 4 && hint.contains("v6:FILE"), "{line}: {hint}");
    let headed = format!("# Generated by iptables-save v1.8.9 (nf_tables)\n{bare}");
    assert_eq!(refused(&headed, Family::Ip6).0, 1);
    for (text, family) in [(bare, Family::Ip), (&*headed, Family::Ip), (&*six, Family::Ip6)] {
        Save::read_all(text, Some(family), None).expect("of this family");
    }
    // `-4` and `-6` keep a rule for one family.
    let both = bare.replace("! -s", "-4 ! -s");
    Save::read_all(&both, Some(Family::Ip6), None).expect("a rule that is not for IPv6");
}
