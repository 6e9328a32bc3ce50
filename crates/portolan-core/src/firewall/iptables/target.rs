//! What a rule does: `-j TARGET` with its options, `-g CHAIN`.

use std::collections::HashMap;

use super::matches::{Context, directions, number, number_and_mask};
use super::options::{Extension, Parsed};
use super::words::Line;
use super::{nat, rewrite};
use crate::firewall::{
    Effect, Expression, Field, ReadError, RejectWith, Statement, Target, Value, Verdict,
};

/// The chains of a table that stand before a rule.
pub(super) struct Chains<'a> {
    /// The index of each.
    pub(super) by_name: &'a HashMap<Box<str>, usize>,
    /// The table, for messages.
    pub(super) table: &'a str,
}

/// What a target comes to.
#[derive(Default)]
pub(super) struct Outcome {
    /// In order.
    pub(super) statements: Vec<Statement>,
    /// The chain that is asked, by its index.
    pub(super) chain: Option<usize>,
}

impl From<Vec<Statement>> for Outcome {
    fn from(statements: Vec<Statement>) -> Self {
        Self { statements, chain: None }
    }
}

/// The statements of a rule's target; none where it has none.
pub(super) fn statements(
    line: Line<'_>,
    parsed: &Parsed<'_>,
    chains: &Chains<'_>,
    context: &Context<'_>,
) -> Result<Outcome, ReadError> {
    let Some(target) = &parsed.target else { return Ok(Outcome::default()) };
    let name = target.name;
    if !parsed.is_goto
        && let Some(verdict) = plain(name)
    {
        return Ok(vec![Statement::Verdict(verdict)].into());
    }
    if let Some(&chain) = chains.by_name.get(name) {
        let verdict = match parsed.is_goto {
            true => Verdict::Goto(name.into()),
            false => Verdict::Jump(name.into()),
        };
        let statements = vec![Statement::Verdict(verdict)];
        return Ok(Outcome { statements, chain: Some(chain) });
    }
    let is_extension = is_known(name) || !target.options.is_empty();
    if parsed.is_goto || !is_extension {
        let problem = format!("table {} has no chain `{name}`", chains.table);
        return Err(line
            .error(target.at, problem)
            .hinting("is the file cut or put together by hand?"));
    }
    let opaque = || vec![opaque(target, Effect::Decides)];
    Ok(extension(target, context).unwrap_or_else(opaque).into())
}

/// Standard targets. A `QUEUE` hands the packet to a program, which decides.
fn plain(name: &str) -> Option<Verdict> {
    Some(match name {
        "ACCEPT" => Verdict::Accept,
        "DROP" => Verdict::Drop,
        "RETURN" => Verdict::Return,
        _ => return None,
    })
}

fn opaque(target: &Extension<'_>, effect: Effect) -> Statement {
    Statement::Opaque { text: target.text.as_str().into(), effect }
}

/// Targets that let the packet go on with the next rule.
const PASSING: &[&str] = &[
    "AUDIT",
    "CHECKSUM",
    "CLASSIFY",
    "CONNSECMARK",
    "CT",
    "IDLETIMER",
    "LED",
    "LOG",
    "NFLOG",
    "RATEEST",
    "SECMARK",
    "SET",
    "TCPOPTSTRIP",
    "TEE",
    "TRACE",
    "ULOG",
];

/// Targets that are known without options too, and are not chains.
const OTHERS: &[&str] = &[
    "CONNMARK",
    "DNAT",
    "DSCP",
    "ECN",
    "HL",
    "HMARK",
    "MARK",
    "MASQUERADE",
    "NETMAP",
    "NFQUEUE",
    "NOTRACK",
    "QUEUE",
    "REDIRECT",
    "REJECT",
    "SNAT",
    "SYNPROXY",
    "TCPMSS",
    "TOS",
    "TPROXY",
    "TTL",
];

fn is_known(name: &str) -> bool {
    PASSING.contains(&name) || OTHERS.contains(&name)
}

/// `None` where it may do anything.
fn extension(target: &Extension<'_>, context: &Context<'_>) -> Option<Vec<Statement>> {
    let is_v6 = context.is_v6;
    Some(match target.name {
        "REJECT" => {
            let with = reject(target.value("--reject-with"), is_v6)?;
            vec![Statement::Verdict(Verdict::Reject(with))]
        }
        "NOTRACK" => vec![Statement::NoTrack],
        "CT" if target.has("--notrack") => vec![Statement::NoTrack],
        "CT" => vec![Statement::Template { is_over_untracked: false }],
        "MARK" => vec![mark(target, Target::Mark)?],
        "CONNMARK" => vec![connmark(target)?],
        "HMARK" => vec![unknown(Target::Mark, target)],
        "SET" => ipset(target)?,
        "DSCP" | "ECN" | "HL" | "TCPMSS" | "TOS" | "TTL" => rewrite::statements(target)?,
        "DNAT" | "SNAT" | "MASQUERADE" | "REDIRECT" | "NETMAP" => nat::statements(target, is_v6)?,
        name if PASSING.contains(&name) => vec![opaque(target, Effect::Passes)],
        _ => return None,
    })
}

pub(super) fn unknown(to: Target, target: &Extension<'_>) -> Statement {
    Statement::Assign { target: to, value: Expression::Unknown(target.text.as_str().into()) }
}

/// `SET` changes an ipset for later packets; with `--map-mark` this one's mark too.
fn ipset(target: &Extension<'_>) -> Option<Vec<Statement>> {
    if let Some(option) = target.options.iter().find(|o| o.name == "--add-set") {
        directions(option.values.get(1)?)?;
    }
    if target.has("--map-mark") {
        return Some(vec![unknown(Target::Mark, target)]);
    }
    Some(vec![opaque(target, Effect::Passes)])
}

/// `(mark & !mask) ^ value` (net/netfilter/xt_mark.c).
pub(super) fn exchange(to: Target, value: u32, mask: u32) -> Statement {
    let value = match mask {
        u32::MAX => Expression::Constant(Value::Number(value.into())),
        mask => Expression::Bits {
            of: Box::new(Expression::Field(to.field())),
            mask: (!mask).into(),
            flip: value.into(),
        },
    };
    Statement::Assign { target: to, value }
}

fn mark(target: &Extension<'_>, to: Target) -> Option<Statement> {
    let option = target.options.iter().find(|o| o.name.ends_with("mark"))?;
    let text = option.value();
    Some(match option.name {
        "--set-xmark" => {
            let (value, mask) = number_and_mask(text)?;
            exchange(to, value, mask)
        }
        "--set-mark" => {
            let (value, mask) = number_and_mask(text)?;
            exchange(to, value, value | mask)
        }
        "--and-mark" => exchange(to, 0, !number(text)?),
        "--or-mark" => exchange(to, number(text)?, number(text)?),
        "--xor-mark" => exchange(to, number(text)?, 0),
        _ => return None,
    })
}

/// `--save-mark` and `--restore-mark` copy from one mark to the other; of the target's bits those
/// outside its mask stay, which is said here only where none stays (net/netfilter/xt_connmark.c).
fn connmark(target: &Extension<'_>) -> Option<Statement> {
    let is_save = target.has("--save-mark");
    if !is_save && !target.has("--restore-mark") {
        return mark(target, Target::CtMark);
    }
    let mask = |name: &str| match target.value(name).or(target.value("--mask")) {
        Some(text) => number(text),
        None => Some(u32::MAX),
    };
    let (packet, connection) = (mask("--nfmask")?, mask("--ctmask")?);
    let (to, from, kept, taken) = match is_save {
        true => (Target::CtMark, Field::Mark, connection, packet),
        false => (Target::Mark, Field::CtMark, packet, connection),
    };
    if kept != u32::MAX {
        return Some(unknown(to, target));
    }
    Some(Statement::Assign { target: to, value: super::matches::masked(from, taken.into()) })
}

/// `--reject-with`, as iptables-extensions(8) lists them for each family.
fn reject(with: Option<&str>, is_v6: bool) -> Option<RejectWith> {
    Some(match (with, is_v6) {
        (Some("tcp-reset" | "tcp-rst"), _) => RejectWith::TcpReset,
        (None, false) => RejectWith::Icmp(3),
        (None, true) => RejectWith::Icmpv6(4),
        (Some(name), false) => RejectWith::Icmp(match name {
            "icmp-net-unreachable" | "net-unreach" => 0,
            "icmp-host-unreachable" | "host-unreach" => 1,
            "icmp-proto-unreachable" | "proto-unreach" => 2,
            "icmp-port-unreachable" | "port-unreach" => 3,
            "icmp-net-prohibited" | "net-prohib" => 9,
            "icmp-host-prohibited" | "host-prohib" => 10,
            "icmp-admin-prohibited" | "admin-prohib" => 13,
            _ => return None,
        }),
        (Some(name), true) => RejectWith::Icmpv6(match name {
            "icmp6-no-route" | "no-route" => 0,
            "icmp6-adm-prohibited" | "adm-prohibited" => 1,
            "icmp6-addr-unreachable" | "addr-unreach" => 3,
            "icmp6-port-unreachable" | "port-unreach" => 4,
            "icmp6-policy-fail" | "policy-fail" => 5,
            "icmp6-reject-route" | "reject-route" => 6,
            _ => return None,
        }),
    })
}
