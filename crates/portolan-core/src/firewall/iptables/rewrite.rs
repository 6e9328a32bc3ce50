//! Targets that write into the packet: `DSCP TOS ECN TTL HL TCPMSS`. The packet goes on.

use super::matches::{dscp_class, number, number_and_mask};
use super::options::Extension;
use super::target::{exchange, unknown};
use crate::firewall::{Statement, Target};

/// What is written; `None` where its options are not understood.
pub(super) fn statements(target: &Extension<'_>) -> Option<Vec<Statement>> {
    Some(match target.name {
        "DSCP" => {
            let value = match (target.value("--set-dscp"), target.value("--set-dscp-class")) {
                (Some(value), _) => number(value)?,
                (None, class) => dscp_class(class?)?,
            };
            vec![exchange(Target::Dscp, value & 0x3f, u32::MAX)]
        }
        "TOS" => tos(target)?,
        "ECN" if target.has("--ecn-tcp-remove") => vec![exchange(Target::TcpFlags, 0, 0xc0)],
        "ECN" => vec![unknown(Target::Ecn, target), unknown(Target::TcpFlags, target)],
        // An option that is not there is added (net/netfilter/xt_TCPMSS.c).
        "TCPMSS" => vec![unknown(Target::Length, target)],
        _ => match target.value("--ttl-set").or(target.value("--hl-set")) {
            Some(value) => vec![exchange(Target::Ttl, number(value)? & 0xff, u32::MAX)],
            None => vec![unknown(Target::Ttl, target)],
        },
    })
}

/// `(tos & !mask) ^ value` (net/netfilter/xt_DSCP.c), the upper six bits and the lower two.
fn tos(target: &Extension<'_>) -> Option<Vec<Statement>> {
    let option = target.options.iter().find(|option| option.name.ends_with("-tos"))?;
    let text = option.value();
    let (value, mask) = match option.name {
        "--set-tos" => match named(text) {
            Some(value) => (value, 0x3f),
            None if text.contains('/') => number_and_mask(text)?,
            None => (number(text)?, 0xff),
        },
        "--and-tos" => (0, !number(text)?),
        "--or-tos" => (number(text)?, number(text)?),
        "--xor-tos" => (number(text)?, 0),
        _ => return None,
    };
    let (value, mask) = (value & 0xff, mask & 0xff);
    Some(vec![
        part(Target::Dscp, value >> 2, mask >> 2, 0x3f),
        part(Target::Ecn, value & 3, mask & 3, 3),
    ])
}

/// A part of a byte; all of its bits are `all`.
fn part(to: Target, value: u32, mask: u32, all: u32) -> Statement {
    exchange(to, value, if mask == all { u32::MAX } else { mask })
}

/// The words of RFC 1349, as iptables-extensions(8) lists them.
fn named(name: &str) -> Option<u32> {
    Some(match name {
        "Minimize-Delay" => 0x10,
        "Maximize-Throughput" => 0x08,
        "Maximize-Reliability" => 0x04,
        "Minimize-Cost" => 0x02,
        "Normal-Service" => 0,
        _ => return None,
    })
}
