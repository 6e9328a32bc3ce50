//! Packets that rules hand, as they are, to a socket that takes what is addressed to others: `tproxy` of
//! nft, TPROXY of iptables, IP_TRANSPARENT of ip(7).
//!
//! Whether such a socket waits is a question to the rules alone; where the sockets are known it is answered
//! before anything is asked. Without one nft's rule ends (nft_tproxy_eval) and the target of iptables
//! drops (xt_TPROXY.c).

use std::net::IpAddr;

use crate::firewall::{
    ChainId, Element, ElementValue, Expression, Family, Field, Match, NatKind, Rule, RuleId,
    Ruleset, SetRef, Span, Statement, Table, Target, Test, Value, Verdict, address_of, bits,
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
    /// Where the port comes out of a map: the first and the last port of packets that this one is for.
    pub(super) only_to: Option<(u16, u16)>,
}

impl Handing {
    /// Whether a packet to this port is handed this way.
    pub(super) fn is_for(&self, port: u16) -> bool {
        self.only_to.is_none_or(|(low, high)| (low..=high).contains(&port))
    }
}

/// Answers the question in every rule of this kind, and gives those with a socket that waits.
pub(super) fn settle(ruleset: &mut Ruleset, sockets: &SocketTable) -> Vec<Handing> {
    let mut found = Vec::new();
    for (table, of_table) in ruleset.tables.iter_mut().enumerate() {
        let mut settled = Vec::new();
        for (chain, of_chain) in of_table.chains.iter().enumerate() {
            for (number, rule) in of_chain.rules.iter().enumerate() {
                let id = RuleId { chain: ChainId { table, chain }, rule: Some(number) };
                let rule = settled_rule(of_table, rule, id, sockets);
                settled.extend(rule.map(|settled| (id, settled)));
            }
        }
        for (RuleId { chain, rule }, settled) in settled {
            let of_chain = of_table.chains.get_mut(chain.chain);
            let place = of_chain.zip(rule).and_then(|(c, number)| c.rules.get_mut(number));
            if let Some(rule) = place {
                rule.statements = settled.statements;
                found.extend(settled.handings);
            }
        }
    }
    found
}

/// What a rule becomes.
struct Settled {
    statements: Vec<Statement>,
    /// To which sockets it hands packets; none where no socket waits.
    handings: Vec<Handing>,
}

/// What a rule becomes; `None` where it hands nothing, or the answer is not the same for all its packets.
fn settled_rule(table: &Table, rule: &Rule, id: RuleId, sockets: &SocketTable) -> Option<Settled> {
    let is_v6 = is_of_v6(table, rule);
    let mut all = rule.statements.iter().enumerate();
    let (at, wish) = all.find_map(|(at, s)| Some((at, wish(table, s, is_v6)?)))?;
    let handing = |(port, only_to)| Handing { rule: id, address: wish.address, port, only_to };
    let all: Vec<Handing> = wish.to.ports().into_iter().map(handing).collect();
    let waits = |t: Transport| -> Vec<bool> {
        all.iter().map(|handing| is_waiting(sockets, handing, t)).collect()
    };
    let mut of_transports = transports(table, rule).into_iter().map(waits);
    let waits = of_transports.next()?;
    if of_transports.any(|other| other != waits) {
        return None;
    }
    let waiting = || waits.iter().enumerate().filter(|(_, waits)| **waits).map(|(place, _)| place);
    let becomes = match wish.to {
        To::Port(_) if waits.contains(&true) => wish.if_there,
        To::Port(_) => vec![wish.if_not],
        // What is in none ends the rule, as does what leads to no socket (nft_tproxy_eval).
        To::Map { key, members } => {
            let member = |place: usize| {
                let key = members.get(place)?.0.clone();
                Some(Element { key, value: ElementValue::None, expires: None, comment: None })
            };
            let set = SetRef::Inline(waiting().filter_map(member).collect());
            vec![Statement::Match(Match { left: key, test: Test::In(set) })]
        }
    };
    let mut statements = rule.statements.clone();
    statements.splice(at..=at, becomes);
    let handings = waiting().filter_map(|place| all.get(place).copied()).collect();
    Some(Settled { statements, handings })
}

/// What a statement of this kind wants, and what it does.
struct Wish {
    address: Option<IpAddr>,
    to: To,
    if_there: Vec<Statement>,
    if_not: Statement,
}

/// The port of the socket.
enum To {
    Port(Port),
    /// By a map: what is looked up, and which port is found for it.
    Map {
        key: Expression,
        members: Vec<(Vec<Span>, Port)>,
    },
}

impl To {
    /// The ports, each with the ports of packets that it is for, where a map tells them apart.
    fn ports(&self) -> Vec<(Port, Option<(u16, u16)>)> {
        match self {
            Self::Port(port) => vec![(*port, None)],
            Self::Map { key, members } => {
                let part = hints::part_of_port(key);
                let for_these = |spans: &[Span]| match spans.get(part?)? {
                    &Span::Numbers { low, high } => {
                        Some((u16::try_from(low).ok()?, u16::try_from(high).ok()?))
                    }
                    Span::Names { .. } => None,
                };
                members.iter().map(|(spans, port)| (*port, for_these(spans))).collect()
            }
        }
    }
}

fn wish(table: &Table, statement: &Statement, is_v6: bool) -> Option<Wish> {
    match statement {
        Statement::Nat(nat) if nat.kind == NatKind::Tproxy => {
            let address = match &nat.address {
                Some(address) => Some(address_of(constant(address)?, is_v6)),
                None => None,
            };
            let never =
                Match { left: Expression::Field(Field::Protocol), test: Test::In(nothing()) };
            Some(Wish {
                address,
                to: to(table, nat.port.as_ref()?)?,
                if_there: Vec::new(),
                if_not: Statement::Match(never),
            })
        }
        Statement::Opaque { text, .. } => of_iptables(text),
        _ => None,
    }
}

/// The port that a rule names, or the map that it comes out of; `None` where the map was not read.
fn to(table: &Table, port: &Expression) -> Option<To> {
    let port_of = |number: u128| u16::try_from(number).ok().map(Port);
    let Expression::Lookup { key, map } = port else {
        return Some(To::Port(port_of(constant(port)?)?));
    };
    let is_read =
        |name| table.set(name).is_some_and(|s| s.elements.is_some() && !s.flags.is_dynamic);
    if matches!(map, SetRef::Named(name) if !is_read(name)) {
        return None;
    }
    let member = |element: &Element| match &element.value {
        ElementValue::Data(spans) => match spans[..] {
            [Span::Numbers { low, high }] if low == high => {
                Some((element.key.clone(), port_of(low)?))
            }
            _ => None,
        },
        _ => None,
    };
    let members = hints::elements(table, map).iter().map(member).collect::<Option<_>>()?;
    Some(To::Map { key: (**key).clone(), members })
}

/// Whether a rule hands packets over, and whether a socket waits for them was not settled.
pub(super) fn is_unsettled(table: &Table, rule: &Rule) -> bool {
    let is_tproxy = |s: &Statement| match s {
        Statement::Nat(nat) => nat.kind == NatKind::Tproxy,
        _ => wish(table, s, false).is_some(),
    };
    rule.statements.iter().any(is_tproxy)
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
    let to = To::Port(Port(port?));
    Some(Wish { address, to, if_there, if_not: Statement::Verdict(Verdict::Drop) })
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
