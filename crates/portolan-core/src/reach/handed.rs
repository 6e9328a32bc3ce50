//! Packets that rules hand, as they are, to a socket that takes what is addressed to others: `tproxy` of
//! nft, TPROXY of iptables, IP_TRANSPARENT of ip(7).
//!
//! Whether such a socket waits is a question to the rules alone; where the sockets are known it is answered
//! before anything is asked. Without one nft's rule ends (nft_tproxy_eval) and the target of iptables
//! drops (xt_TPROXY.c).

use std::net::IpAddr;

use crate::firewall::{
    ChainId, Expression, Family, Field, Match, NatKind, Rule, RuleId, Ruleset, SetRef, Span,
    Statement, Table, Target, Test, Value, Verdict, address_of, bits,
};
use crate::net::{Port, Transport};
use crate::socket::{Held, SocketTable};

use super::hints;
use super::listener::covers;

/// A rule that hands packets to a socket that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handing {
    pub(super) rule: RuleId,
    /// The address the socket is looked up by, where the rule says one.
    pub(super) address: Option<IpAddr>,
    pub(super) port: Port,
}

/// Answers the question in every rule of this kind, and gives those with a socket that waits.
pub(super) fn settle(ruleset: &mut Ruleset, sockets: &SocketTable) -> Vec<Handing> {
    let mut found = Vec::new();
    for (table, of_table) in ruleset.tables.iter_mut().enumerate() {
        let mut settled = Vec::new();
        for (chain, of_chain) in of_table.chains.iter().enumerate() {
            for (number, rule) in of_chain.rules.iter().enumerate() {
                let id = RuleId { chain: ChainId { table, chain }, rule: Some(number) };
                settled.extend(settled_rule(of_table, rule, id, sockets));
            }
        }
        for (handing, statements, waits) in settled {
            let RuleId { chain, rule } = handing.rule;
            let of_chain = of_table.chains.get_mut(chain.chain);
            let place = of_chain.zip(rule).and_then(|(c, number)| c.rules.get_mut(number));
            if let Some(rule) = place {
                rule.statements = statements;
                found.extend(waits.then_some(handing));
            }
        }
    }
    found
}

/// What a rule becomes; `None` where it hands nothing, or the answer is not the same for all its packets.
fn settled_rule(
    table: &Table,
    rule: &Rule,
    id: RuleId,
    sockets: &SocketTable,
) -> Option<(Handing, Vec<Statement>, bool)> {
    let is_v6 = is_of_v6(table, rule);
    let mut statements = rule.statements.iter().enumerate();
    let (at, wish) = statements.find_map(|(at, s)| Some((at, wish(s, is_v6)?)))?;
    let handing = Handing { rule: id, address: wish.address, port: wish.port };
    let mut waits = transports(table, rule).into_iter().map(|t| is_waiting(sockets, &handing, t));
    let first = waits.next()?;
    if waits.any(|waits| waits != first) {
        return None;
    }
    let mut statements = rule.statements.clone();
    let becomes = if first { wish.if_there } else { vec![wish.if_not] };
    statements.splice(at..=at, becomes);
    Some((handing, statements, first))
}

/// What a statement of this kind wants, and what it does.
struct Wish {
    address: Option<IpAddr>,
    port: Port,
    if_there: Vec<Statement>,
    if_not: Statement,
}

fn wish(statement: &Statement, is_v6: bool) -> Option<Wish> {
    match statement {
        Statement::Nat(nat) if nat.kind == NatKind::Tproxy => {
            let port = constant(nat.port.as_ref()?)?;
            let address = match &nat.address {
                Some(address) => Some(address_of(constant(address)?, is_v6)),
                None => None,
            };
            let never =
                Match { left: Expression::Field(Field::Protocol), test: Test::In(nothing()) };
            Some(Wish {
                address,
                port: Port(u16::try_from(port).ok()?),
                if_there: Vec::new(),
                if_not: Statement::Match(never),
            })
        }
        Statement::Opaque { text, .. } => of_iptables(text),
        _ => None,
    }
}

/// `TPROXY --on-port 8443 --on-ip 127.0.0.1 --tproxy-mark 0x1/0x1`: sets bits of the mark and accepts.
fn of_iptables(text: &str) -> Option<Wish> {
    let mut words = text.split_whitespace();
    words.by_ref().find(|word| *word == "TPROXY")?;
    let (mut address, mut port, mut mark) = (None, None, None);
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        match name {
            "--on-port" => port = value.parse().ok(),
            "--on-ip" => address = value.parse().ok().filter(|a: &IpAddr| !a.is_unspecified()),
            "--tproxy-mark" => mark = Some(mark_of(value)?),
            _ => return None,
        }
    }
    let set = mark.map(|(value, mask)| Statement::Assign {
        target: Target::Mark,
        value: Expression::Bits {
            of: Box::new(Expression::Field(Field::Mark)),
            mask: (!mask).into(),
            flip: value.into(),
        },
    });
    let accept = Statement::Verdict(Verdict::Accept);
    let if_there = set.into_iter().chain([accept]).collect();
    Some(Wish { address, port: Port(port?), if_there, if_not: Statement::Verdict(Verdict::Drop) })
}

fn mark_of(text: &str) -> Option<(u32, u32)> {
    let (value, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    Some((number(value)?, number(mask)?))
}

fn constant(value: &Expression) -> Option<u128> {
    match value {
        Expression::Constant(Value::Number(number)) => Some(*number),
        _ => None,
    }
}

/// Whether a rule is for packets of IPv6: its table says so, or a match of its own.
fn is_of_v6(table: &Table, rule: &Rule) -> bool {
    let asks_v6 = |m: &Match| {
        let (Expression::Field(Field::NetworkProtocol), Test::In(set)) = (&m.left, &m.test) else {
            return false;
        };
        let version = Value::Number(bits::NFPROTO_IPV6);
        let mut keys = hints::elements(table, set).iter().filter_map(|e| e.key.first());
        keys.any(|span| span.contains(&version))
    };
    table.family == Family::Ip6 || hints::matches(rule).any(asks_v6)
}

/// A set without members.
fn nothing() -> SetRef {
    SetRef::Inline([].into())
}

/// The transports a rule is about: both that can be handed over, unless it says which.
pub(super) fn transports(table: &Table, rule: &Rule) -> Vec<Transport> {
    let named = hints::matches(rule).find_map(|m| match (&m.left, &m.test) {
        (Expression::Field(Field::Protocol), Test::In(set)) => Some(hints::elements(table, set)),
        _ => None,
    });
    let Some(named) = named else { return vec![Transport::Tcp, Transport::Udp] };
    let is_named = |number: u128| {
        let mut all = named.iter().filter_map(|element| element.key.first());
        all.any(
            |span| matches!(span, Span::Numbers { low, high } if (*low..=*high).contains(&number)),
        )
    };
    [(Transport::Tcp, 6), (Transport::Udp, 17)]
        .into_iter()
        .filter(|(_, number)| is_named(*number))
        .map(|(transport, _)| transport)
        .collect()
}

fn is_waiting(sockets: &SocketTable, handing: &Handing, transport: Transport) -> bool {
    sockets.sockets.iter().any(|held| takes(held, handing.address, handing.port, transport))
}

/// Whether a socket takes what is handed to this port: it is looked up by the address of the rule, else by
/// one of the interface.
fn takes(held: &Held, address: Option<IpAddr>, port: Port, transport: Transport) -> bool {
    let socket = &held.socket;
    let Some(own) = socket.local_endpoint() else { return false };
    let is_there = match address {
        Some(address) => covers(held, own.address, address),
        None => !own.address.is_loopback(),
    };
    socket.is_listener()
        && own.port == port
        && socket.transport.with_ports() == Some(transport)
        && socket.transparent != Some(false)
        && is_there
}

/// The socket that takes what a rule hands over.
pub(super) fn taker(
    sockets: &SocketTable,
    handing: &Handing,
    transport: Transport,
) -> Option<usize> {
    let is_it = |held: &Held| takes(held, handing.address, handing.port, transport);
    sockets.sockets.iter().position(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Endpoint;
    use crate::socket::{Address, Family as Ip, Socket, SocketTransport, State};

    #[test]
    fn a_socket_at_a_low_address_of_ipv6_takes_what_is_handed_to_it() {
        let local = Address::Inet(Endpoint::new("::1".parse().unwrap(), Port(8443)));
        let bare = Socket::bare(SocketTransport::Tcp, Ip::Ipv6, State::Listen, 1, 1);
        let socket = Socket { local, transparent: Some(true), ..bare };
        let held = Held { socket, holders: Vec::new(), unowned: None };
        let sockets = SocketTable { sockets: vec![held], ..SocketTable::default() };
        for family in ["ip6", "inet"] {
            let text = format!(
                r#"{{"nftables": [{{"table": {{"family": "{family}", "name": "t"}}}},
                {{"chain": {{"family": "{family}", "table": "t", "name": "in", "type": "filter",
                "hook": "prerouting", "prio": -150, "policy": "accept"}}}},
                {{"rule": {{"family": "{family}", "table": "t", "chain": "in", "handle": 1, "expr": [
                {{"match": {{"op": "==", "left": {{"payload": {{"protocol": "tcp", "field": "dport"}}}}, "right": 443}}}},
                {{"tproxy": {{"family": "ip6", "addr": "::1", "port": 8443}}}}]}}}}]}}"#
            );
            let mut ruleset = Ruleset::from_nft_json(text.as_bytes()).unwrap();
            let [handing] = settle(&mut ruleset, &sockets)[..] else {
                panic!("{family}: no socket")
            };
            assert_eq!(handing.address, Some("::1".parse().unwrap()));
        }
    }
}
