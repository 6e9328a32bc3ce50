//! The statements of a rule: matches, verdicts, limits, marks, translations.

use serde_json::Value;

use super::json::{number, several, single, word, words};
use super::kind::Kind;
use super::operand::{self, Operand};
use super::scope::{Guard, Scope};
use super::set::{self, Data};
use super::{nat, symbol, text};
use crate::firewall::clock;
use crate::firewall::{
    Condition, Counter, Effect, Expression, Family, FibResult, Field, RejectWith, Rule,
    SetOperation, SetRef, Span, Statement, Target, Test, Value as Number, Verdict,
};

/// A rule of the listing.
pub(super) fn rule(body: &Value, scope: &mut Scope<'_>) -> Rule {
    let listed = body.get("expr").map_or(&[][..], several);
    let mut counter = None;
    for statement in listed {
        if let Some(numbers) = statement.get("counter").filter(|body| body.is_object()) {
            counter = counter.or_else(|| counted(numbers));
        }
        read(statement, scope);
    }
    let comment = word(body, "comment");
    Rule {
        handle: number(body, "handle"),
        line: None,
        text: text::rule(listed, comment).into(),
        comment: comment.map(Into::into),
        counter,
        statements: std::mem::take(&mut scope.statements),
    }
}

fn counted(numbers: &Value) -> Option<Counter> {
    Some(Counter { packets: number(numbers, "packets")?, bytes: number(numbers, "bytes")? })
}

fn read(statement: &Value, scope: &mut Scope<'_>) {
    let Some((kind, body)) = single(statement) else {
        return opaque(statement, Effect::Decides, scope);
    };
    match kind {
        "match" => matching(statement, body, scope),
        "vmap" => verdict_map(statement, body, scope),
        "accept" | "drop" | "continue" | "return" | "jump" | "goto" => match verdict(statement) {
            Some(verdict) => scope.statements.push(Statement::Verdict(verdict)),
            None => opaque(statement, Effect::Decides, scope),
        },
        "reject" => reject(statement, body, scope),
        // The packet's own connection is counted: there is always one (nft_connlimit_do_eval).
        "ct count" if number(body, "val") == Some(0) => counts_itself(body, scope),
        "limit" | "quota" | "ct count" => match limit(kind, body, scope) {
            Some(condition) => scope.statements.push(Statement::Condition(condition)),
            None => opaque(statement, Effect::Decides, scope),
        },
        "mangle" => mangle(statement, body, scope),
        "set" | "meter" => update(statement, kind, body, scope),
        "snat" | "dnat" | "masquerade" | "redirect" | "tproxy" => {
            match nat::read(kind, body, scope) {
                Some(nat) => scope.statements.push(Statement::Nat(nat)),
                None => opaque(statement, Effect::Decides, scope),
            }
        }
        "notrack" => scope.statements.push(Statement::NoTrack),
        "xt" => compat(statement, body, scope),
        "reset" => {
            scope.guard(&[Guard::Protocol(6)]);
            opaque(statement, Effect::Passes, scope);
        }
        "counter" | "ct helper" | "ct timeout" | "ct expectation" | "secmark" => {
            asked_by_name(body, scope);
        }
        "log" | "last" | "dup" | "flow" => {}
        _ => opaque(statement, Effect::Decides, scope),
    }
}

fn opaque(statement: &Value, effect: Effect, scope: &mut Scope<'_>) {
    let text = text::statement(statement).into();
    scope.statements.push(Statement::Opaque { text, effect });
}

/// A verdict, as a statement or as what a map gives.
pub(super) fn verdict(value: &Value) -> Option<Verdict> {
    let (kind, body) = single(value)?;
    let target = || word(body, "target").map(Into::into);
    Some(match kind {
        "accept" => Verdict::Accept,
        "drop" => Verdict::Drop,
        "continue" => Verdict::Continue,
        "return" => Verdict::Return,
        "jump" => Verdict::Jump(target()?),
        "goto" => Verdict::Goto(target()?),
        _ => return None,
    })
}

fn matching(statement: &Value, body: &Value, scope: &mut Scope<'_>) {
    let (Some(left), Some(right)) = (body.get("left"), body.get("right")) else {
        return opaque(statement, Effect::Decides, scope);
    };
    if kind_of_device(left, body, scope) {
        return;
    }
    let mut operand = operand::read(left, scope);
    if asks_whether(&operand, right) {
        operand = operand::asking_whether(operand);
    }
    scope.guard(&operand.guards);
    let op = word(body, "op").unwrap_or("in");
    let is_by_chance = matches!(operand.expression, Expression::OneOf(_));
    match test(&operand, op, right).filter(|_| operand.is_known() && !is_by_chance) {
        Some(test) => scope.matching(operand.expression, test),
        None => scope.statements.push(Statement::Condition(unknown(statement, left, op, right))),
    }
}

/// `ct count 0` holds for no packet, `ct count over 0` for all.
fn counts_itself(body: &Value, scope: &mut Scope<'_>) {
    if body.get("inv").and_then(Value::as_bool) != Some(true) {
        let left = Expression::Constant(Number::Number(0));
        scope.matching(left, Test::In(SetRef::number(1)));
    }
}

/// `meta iiftype ether`, `loopback`: whether it was one of these, and is said.
fn kind_of_device(left: &Value, body: &Value, scope: &mut Scope<'_>) -> bool {
    let is_in = match left.get("meta").and_then(|meta| word(meta, "key")) {
        Some("iiftype") => true,
        Some("oiftype") => false,
        _ => return false,
    };
    let is_equal = matches!(word(body, "op"), Some("==" | "in") | None);
    match (word(body, "right"), is_equal) {
        (Some("ether"), true) => scope.ethernet(is_in),
        (Some("loopback"), true) => scope.link(is_in, &["lo"], false),
        (Some("loopback"), false) => scope.link(is_in, &["", "lo"], true),
        _ => return false,
    }
    true
}

/// Whether `fib … oif` is asked only for there being a route.
fn asks_whether(operand: &Operand, right: &Value) -> bool {
    let is_fib = matches!(
        operand.expression,
        Expression::Field(Field::Fib { result: FibResult::Interface, .. })
    );
    is_fib && (right.is_boolean() || right.as_str() == Some("0") || right.as_u64() == Some(0))
}

fn test(operand: &Operand, op: &str, right: &Value) -> Option<Test> {
    let kind = operand.kind();
    let is_set = right.get("set").is_some() || right.as_str().is_some_and(|r| r.starts_with('@'));
    if kind.is_flags() && !is_set {
        let number = kind.number(right)?;
        return Some(match op {
            "in" => Test::AnyBit(number),
            "!" => Test::NoBit(number),
            "==" => Test::In(SetRef::number(number)),
            "!=" => Test::NotIn(SetRef::number(number)),
            _ => return None,
        });
    }
    let set = || match right {
        // A list of members beside `==`, which older versions take.
        Value::Array(list) => {
            set::elements(list, &operand.kinds, &Data::Nothing).map(SetRef::Inline)
        }
        _ => set::reference(right, &operand.kinds, &Data::Nothing),
    };
    Some(match op {
        "==" | "in" => Test::In(set()?),
        "!=" => Test::NotIn(set()?),
        "<" | "<=" | ">" | ">=" => Test::In(SetRef::span(compared(kind, op, right)?)),
        _ => return None,
    })
}

/// What is less or greater than a number; nothing is less than 0.
fn compared(kind: Kind, op: &str, right: &Value) -> Option<Span> {
    let number = kind.number(right)?;
    let (low, high) = match op {
        "<" => (0, number.checked_sub(1)?),
        "<=" => (0, number),
        ">" => (number.checked_add(1)?, kind.most()),
        _ => (number, kind.most()),
    };
    (low <= high).then_some(Span::Numbers { low, high })
}

/// A match of something that is not understood. A negated one is a question of its own, for where the
/// thing cannot be had neither holds; only for `missing` is it certain that `exists` does not hold.
fn unknown(statement: &Value, left: &Value, op: &str, right: &Value) -> Condition {
    let is_time = left.get("meta").and_then(|meta| word(meta, "key")) == Some("time");
    let (text, is_negated) = match right.as_bool() {
        _ if let Some(text) = is_time.then(|| clock::read(op, right)).flatten() => (text, false),
        Some(is_there) if op == "==" || op == "in" => {
            (format!("{} exists", text::expression(left)), !is_there)
        }
        _ => (text::statement(statement), false),
    };
    // A header that a packet has only where somebody says so.
    let presumed = (left.get("exthdr").is_some() && right.is_boolean()).then_some(false);
    let is_own = ["random", "numgen"].iter().any(|word| text.contains(word));
    Condition { text: text.into(), is_negated, is_own, presumed }
}

fn verdict_map(statement: &Value, body: &Value, scope: &mut Scope<'_>) {
    let (Some(key), Some(data)) = (body.get("key"), body.get("data")) else {
        return opaque(statement, Effect::Decides, scope);
    };
    let operand = operand::read(key, scope);
    scope.guard(&operand.guards);
    match set::reference(data, &operand.kinds, &Data::Verdicts) {
        Some(map) => {
            scope.held_by(&map);
            scope.statements.push(Statement::VerdictMap { key: operand.expression, map });
        }
        None => opaque(statement, Effect::Decides, scope),
    }
}

fn reject(statement: &Value, body: &Value, scope: &mut Scope<'_>) {
    let code = |symbols| {
        let code = body.get("expr")?;
        let code = match code.as_str() {
            Some(name) => symbol::number(symbols, name).or_else(|| name.parse().ok())?,
            None => u128::from(code.as_u64()?),
        };
        u8::try_from(code).ok()
    };
    let (with, guard) = match (word(body, "type"), scope.family) {
        (Some("tcp reset"), _) => (Some(RejectWith::TcpReset), Some(Guard::Protocol(6))),
        (Some("icmp"), _) => {
            (code(symbol::ICMP_CODE).map(RejectWith::Icmp), Some(Guard::Version(false)))
        }
        (Some("icmpv6"), _) => {
            (code(symbol::ICMP6_CODE).map(RejectWith::Icmpv6), Some(Guard::Version(true)))
        }
        (Some("icmpx"), _) => (code(symbol::ICMPX_CODE).map(RejectWith::Icmpx), None),
        (Some(_), _) => (None, None),
        (None, Family::Ip) => (Some(RejectWith::Icmp(3)), None),
        (None, Family::Ip6) => (Some(RejectWith::Icmpv6(4)), None),
        (None, _) => (Some(RejectWith::Icmpx(1)), None),
    };
    scope.guard(guard.as_slice());
    match with {
        Some(with) => scope.statements.push(Statement::Verdict(Verdict::Reject(with))),
        None => opaque(statement, Effect::Decides, scope),
    }
}

/// Limits, quotas and counts of connections; those kept under a name may say the opposite there.
fn limit(kind: &str, body: &Value, scope: &Scope<'_>) -> Option<Condition> {
    let named = match body.as_str() {
        Some(name) => Some(scope.around.objects.get(&(kind, name)).copied()),
        None if body.is_object() && body.get("map").is_none() => None,
        None => return None,
    };
    let rule = match named {
        Some(Some(object)) => object,
        Some(None) => &Value::Null,
        None => body,
    };
    let is_over = rule.get("inv").and_then(Value::as_bool) == Some(true);
    let is_spent = kind == "quota" && spent(rule);
    Some(Condition {
        text: text::limit(kind, body, text::Over::Left).into(),
        is_negated: is_over,
        is_own: true,
        presumed: (!rule.is_null()).then_some(!is_spent),
    })
}

/// Whether a quota is used up. Named ones count in bytes.
fn spent(quota: &Value) -> bool {
    let bytes = |key: &str, unit: &str| {
        let factor = match word(quota, unit) {
            Some("kbytes") => 1 << 10,
            Some("mbytes") => 1 << 20,
            Some("gbytes") => 1 << 30,
            _ => 1,
        };
        number(quota, key).map(|number| number.saturating_mul(factor))
    };
    let most = bytes("val", "val_unit").or_else(|| bytes("bytes", ""));
    let used = bytes("used", "used_unit").unwrap_or(0);
    most.is_some_and(|most| used >= most)
}

/// `… set …`: marks are followed, what else is written is known by its text.
fn mangle(statement: &Value, body: &Value, scope: &mut Scope<'_>) {
    let (Some(key), Some(value)) = (body.get("key"), body.get("value")) else {
        return opaque(statement, Effect::Decides, scope);
    };
    let target = match (single(key), key.get("meta").or_else(|| key.get("ct"))) {
        (Some(("meta", _)), Some(inner)) if word(inner, "key") == Some("mark") => {
            Some(Target::Mark)
        }
        (Some(("ct", _)), Some(inner)) if word(inner, "key") == Some("mark") => {
            Some(Target::CtMark)
        }
        _ => None,
    };
    if let Some(target) = target {
        let value = given(value, &[Kind::MARK], scope);
        return scope.statements.push(Statement::Assign { target, value });
    }
    if key.get("ct").and_then(|ct| word(ct, "key")) == Some("zone") {
        asked_by_name(value, scope);
        return scope.statements.push(Statement::Template { is_over_untracked: true });
    }
    let written = operand::read(key, scope);
    scope.guard(&written.guards);
    asked_by_name(value, scope);
    // Rules further on may look at what was written into the packet.
    let target = match written.expression {
        Expression::Field(Field::Ttl) => Some(Target::Ttl),
        Expression::Field(Field::Dscp) => Some(Target::Dscp),
        Expression::Field(Field::Ecn) => Some(Target::Ecn),
        Expression::Field(Field::SourcePort) if has_ports(scope) => Some(Target::SourcePort),
        Expression::Field(Field::DestinationPort) if has_ports(scope) => {
            Some(Target::DestinationPort)
        }
        _ => None,
    };
    if let Some(target) = target {
        let value = given(value, &written.kinds, scope);
        return scope.statements.push(Statement::Assign { target, value });
    }
    let effect = match (&written.expression, key.get("payload")) {
        (Expression::Field(_), _) | (_, Some(_)) => Effect::Rewrites,
        _ => Effect::Passes,
    };
    opaque(statement, effect, scope);
}

/// Whether only packets of a protocol with ports get here.
fn has_ports(scope: &Scope<'_>) -> bool {
    scope.protocol().is_some_and(crate::firewall::packet::has_ports)
}

/// A value that is written: a constant, a field, or what a map gives. What it takes for granted is
/// written out.
pub(super) fn given(value: &Value, kinds: &[Kind], scope: &mut Scope<'_>) -> Expression {
    if let Some(map) = value.get("map") {
        let lookup = lookup(map, kinds, scope);
        return lookup.unwrap_or_else(|| Expression::Unknown(text::expression(value).into()));
    }
    if let [kind] = kinds {
        match kind.span(value) {
            Some(Span::Numbers { low, high }) if low == high => {
                return Expression::Constant(Number::Number(low));
            }
            Some(span) => return Expression::OneOf(span),
            None => {}
        }
    }
    let operand = operand::read(value, scope);
    scope.guard(&operand.guards);
    match operand.is_known() {
        true => operand.expression,
        false => Expression::Unknown(text::expression(value).into()),
    }
}

fn lookup(map: &Value, kinds: &[Kind], scope: &mut Scope<'_>) -> Option<Expression> {
    let operand = operand::read(map.get("key")?, scope);
    scope.guard(&operand.guards);
    let map = set::reference(map.get("data")?, &operand.kinds, &Data::Values(kinds.to_vec()))?;
    scope.held_by(&map);
    Some(Expression::Lookup { key: Box::new(operand.expression), map })
}

/// An object chosen by a map (`counter name tcp dport map { 22 : "ssh" }`): a key that is not in it
/// ends the rule (net/netfilter/nft_objref.c), and nothing else.
fn asked_by_name(body: &Value, scope: &mut Scope<'_>) {
    let Some(map) = body.get("map") else { return };
    let operand = map.get("key").map(|key| operand::read(key, scope));
    let (Some(operand), Some(data)) = (operand, map.get("data")) else { return };
    scope.guard(&operand.guards);
    match set::reference(data, &operand.kinds, &Data::Objects).filter(|_| operand.is_known()) {
        Some(set) => scope.matching(operand.expression, Test::In(set)),
        None => {
            let text = format!("{} in {}", text::expression(&map["key"]), text::expression(data));
            let text = text.into();
            let condition = Condition { text, is_negated: false, is_own: false, presumed: None };
            scope.statements.push(Statement::Condition(condition));
        }
    }
}

fn update(statement: &Value, kind: &str, body: &Value, scope: &mut Scope<'_>) {
    let (name, key) = match kind {
        "meter" => (word(body, "name"), body.get("key")),
        _ => (word(body, "set").map(|name| name.trim_start_matches('@')), body.get("elem")),
    };
    let operation = match word(body, "op") {
        Some("add") => SetOperation::Add,
        Some("delete") => SetOperation::Delete,
        Some("update") | None => SetOperation::Update,
        Some(_) => return opaque(statement, Effect::Decides, scope),
    };
    let (Some(name), Some(key)) = (name, key) else {
        return opaque(statement, Effect::Decides, scope);
    };
    let key = key.get("elem").and_then(|elem| elem.get("val")).unwrap_or(key);
    let operand = operand::read(key, scope);
    scope.guard(&operand.guards);
    let (mut conditions, mut none_counted) = (Vec::new(), None);
    for inner in body.get("stmt").map_or(&[][..], several) {
        match single(inner) {
            Some(("ct count", body)) if number(body, "val") == Some(0) => none_counted = Some(body),
            Some((kind @ ("limit" | "quota" | "ct count"), body)) => {
                conditions.extend(limit(kind, body, scope));
            }
            Some(("counter" | "last" | "log", _)) | None => {}
            Some(_) => return opaque(statement, Effect::Decides, scope),
        }
    }
    let set: Box<str> = name.into();
    if conditions.is_empty() {
        conditions.extend(scope.asked_by(&SetRef::Named(set.clone())));
    }
    let key = operand.expression;
    scope.statements.push(Statement::Update { operation, set, key, conditions });
    if let Some(body) = none_counted {
        counts_itself(body, scope);
    }
}

/// What iptables made of its own extensions; nft knows their names alone.
fn compat(statement: &Value, body: &Value, scope: &mut Scope<'_>) {
    match (word(body, "type"), word(body, "name")) {
        // The same name in another rule is another question.
        (Some("match"), Some(name)) if name != "comment" => {
            let text = text::statement(statement).into();
            let condition = Condition { text, is_negated: false, is_own: true, presumed: None };
            scope.statements.push(Statement::Condition(condition));
        }
        (Some("match"), Some(_)) => {}
        (Some("target" | "watcher"), Some("LOG" | "NFLOG" | "TRACE" | "AUDIT")) => {
            opaque(statement, Effect::Passes, scope);
        }
        _ => opaque(statement, Effect::Decides, scope),
    }
}

/// Names every word of a list, for flags that may be written alone.
pub(super) fn flags(body: &Value, key: &str) -> Vec<Box<str>> {
    words(body, key).into_iter().map(Into::into).collect()
}
