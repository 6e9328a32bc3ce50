//! What stands in the transport header: ports, flags of TCP, messages of ICMP.

use super::super::options::Opt;
use super::super::protocol::{icmp_type, protocol};
use super::{compare, field, masked, parts, port_span, spans};
use crate::firewall::{Element, Expression, Field, SetRef, Span, Statement};

/// Every value of 16 bits, and of 8.
const ANY_PORT: Span = Span::Numbers { low: 0, high: 0xffff };
const ANY_BYTE: Span = Span::Numbers { low: 0, high: 0xff };
/// The header of IPv6 fragments (RFC 8200 §4.5).
const FRAGMENT: u128 = 44;

/// The same for packets that begin with a transport header: no match of one holds for a later fragment,
/// negated or not (`fragoff` in xt_tcpudp.c, xt_multiport.c, xt_sctp.c, xt_dccp.c, ip_tables.c; measured).
pub(super) fn whole(statements: Vec<Statement>, is_v6: bool) -> Vec<Statement> {
    let guard = if is_v6 {
        field(Field::NextHeader6, true, SetRef::number(FRAGMENT))
    } else {
        compare(masked(Field::FragmentOffset, 0x1fff), false, SetRef::number(0))
    };
    [vec![guard], statements].concat()
}

/// `tcp`, `udp` and the like. Where `-p` is missing the protocol is asked first: the kernel refuses
/// such a rule, a file may hold it.
pub(super) fn ports(
    name: &str,
    options: &[Opt<'_>],
    guarded: Option<u8>,
) -> Option<Vec<Statement>> {
    let mut statements = Vec::new();
    if guarded.is_none() {
        let number = protocol(name)?;
        statements.push(field(Field::Protocol, false, SetRef::number(number.into())));
    }
    for option in options {
        let negated = option.is_negated;
        let statement = match option.name {
            "--sport" | "--source-port" => {
                field(Field::SourcePort, negated, spans([port_span(option.value())?]))
            }
            "--dport" | "--destination-port" => {
                field(Field::DestinationPort, negated, spans([port_span(option.value())?]))
            }
            "--syn" => flags("FIN,SYN,RST,ACK", "SYN", negated)?,
            "--tcp-flags" => {
                let [mask, set] = option.values[..] else { return None };
                flags(mask, set, negated)?
            }
            _ => return None,
        };
        statements.push(statement);
    }
    Some(statements)
}

/// Of the flags in `mask` exactly those in `set` are there (net/netfilter/xt_tcpudp.c).
fn flags(mask: &str, set: &str, is_negated: bool) -> Option<Statement> {
    let (mask, set) = (flag_bits(mask)?, flag_bits(set)?);
    Some(compare(masked(Field::TcpFlags, mask), is_negated, SetRef::number(set)))
}

fn flag_bits(text: &str) -> Option<u128> {
    text.split(',').try_fold(0, |bits, name| {
        Some(
            bits | match name.to_ascii_uppercase().as_str() {
                "FIN" => 1,
                "SYN" => 2,
                "RST" => 4,
                "PSH" => 8,
                "ACK" => 16,
                "URG" => 32,
                "ALL" => 63,
                "NONE" => 0,
                _ => return None,
            },
        )
    })
}

/// `multiport`: a list of ports and ranges; `--ports` is either end.
pub(super) fn multiport(options: &[Opt<'_>], guarded: Option<u8>) -> Option<Vec<Statement>> {
    let mut statements = Vec::new();
    if guarded.is_none() {
        // TCP, UDP, UDP-Lite, SCTP, DCCP.
        let protocols = [6, 17, 136, 132, 33].map(Span::number);
        statements.push(field(Field::Protocol, false, spans(protocols)));
    }
    for option in options {
        let list: Vec<Span> = option.value().split(',').map(port_span).collect::<Option<_>>()?;
        let negated = option.is_negated;
        statements.push(match option.name {
            "--sports" | "--source-ports" => field(Field::SourcePort, negated, spans(list)),
            "--dports" | "--destination-ports" => {
                field(Field::DestinationPort, negated, spans(list))
            }
            "--ports" => compare(both(), negated, either(list)),
            _ => return None,
        });
    }
    Some(statements)
}

fn both() -> Expression {
    Expression::Concat(vec![
        Expression::Field(Field::SourcePort),
        Expression::Field(Field::DestinationPort),
    ])
}

fn either(list: Vec<Span>) -> SetRef {
    let pairs = list
        .into_iter()
        .flat_map(|ports| [parts(vec![ports.clone(), ANY_PORT]), parts(vec![ANY_PORT, ports])]);
    SetRef::Inline(pairs.collect::<Vec<Element>>().into())
}

/// `icmp --icmp-type T[/C]`. Type 255 is every message (net/ipv4/netfilter/ip_tables.c, icmp_match).
pub(super) fn icmp(name: &str, options: &[Opt<'_>], guarded: Option<u8>) -> Option<Vec<Statement>> {
    let mut statements = Vec::new();
    if guarded.is_none() {
        let number = if name == "icmp" { 1 } else { 58 };
        statements.push(field(Field::Protocol, false, SetRef::number(number)));
    }
    for option in options {
        let (kind, code) = icmp_type(option.value(), name == "icmp6")?;
        if kind == 255 && !option.is_negated {
            continue;
        }
        let kinds = if kind == 255 { ANY_BYTE } else { Span::number(kind.into()) };
        statements.push(match code {
            None => field(Field::IcmpType, option.is_negated, spans([kinds])),
            Some(code) => {
                let left = Expression::Concat(vec![
                    Expression::Field(Field::IcmpType),
                    Expression::Field(Field::IcmpCode),
                ]);
                let pair = parts(vec![kinds, Span::number(code.into())]);
                compare(left, option.is_negated, SetRef::Inline(vec![pair].into()))
            }
        });
    }
    Some(statements)
}
