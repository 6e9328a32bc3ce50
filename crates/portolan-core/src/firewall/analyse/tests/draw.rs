//! Random rules and packets over few values, so that they meet often.

use std::net::IpAddr;

use crate::firewall::simulate::Way;
use crate::firewall::*;

pub(super) struct Draw(u64);

const PORTS: [u128; 4] = [22, 80, 8080, 443];
const ADDRESSES: [u128; 5] = [0x0a00_0001, 0x0a00_0002, 0xac11_0002, 0xc000_0201, 0x7f00_0001];
const NAMES: [&str; 4] = ["eth0", "eth1", "lo", "docker0"];
const STATES: [u128; 4] = [bits::NEW, bits::ESTABLISHED, bits::RELATED, bits::INVALID];

/// 10.0.0.1/24 on eth0, 172.17.0.1/16 on docker0, a default route.
pub(super) fn world() -> World {
    let own = |interface: &str, address: &str, network: &str| LocalAddress {
        interface: interface.into(),
        address: address.parse().unwrap(),
        network: network.parse().unwrap(),
    };
    let route = |destination: &str, interface: &str| Route {
        destination: destination.parse().unwrap(),
        interface: interface.into(),
        kind: RouteKind::Unicast,
        metric: 0,
    };
    let mut blackhole = route("192.0.2.0/24", "");
    blackhole.kind = RouteKind::Blackhole;
    World {
        addresses: vec![
            own("lo", "127.0.0.1", "127.0.0.0/8"),
            own("eth0", "10.0.0.1", "10.0.0.0/24"),
            own("docker0", "172.17.0.1", "172.17.0.0/16"),
            own("eth0", "2001:db8::1", "2001:db8::/64"),
        ],
        interfaces: Vec::new(),
        routes: vec![
            route("0.0.0.0/0", "eth0"),
            route("10.0.0.0/24", "eth0"),
            route("172.17.0.0/16", "docker0"),
            route("::/0", "eth0"),
            blackhole,
        ],
        forwards_v4: true,
        forwards_v6: false,
        ..World::default()
    }
}

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// splitmix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// True once in `many`.
    pub(super) fn chance(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    pub(super) fn of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(super) fn ruleset(&mut self) -> Ruleset {
        let tables = (0..1 + self.below(2)).map(|at| self.table(at)).collect();
        Ruleset { tables, notes: Vec::new() }
    }

    fn table(&mut self, at: usize) -> Table {
        let mut chains = Vec::new();
        let hooks = [
            Hook::Prerouting,
            Hook::Input,
            Hook::Input,
            Hook::Forward,
            Hook::Output,
            Hook::Postrouting,
        ];
        for n in 0..2 + self.below(3) {
            let hook = self.of(&hooks);
            let is_nat = hook != Hook::Forward && self.chance(3);
            let kind = if is_nat { ChainKind::Nat } else { ChainKind::Filter };
            let priority = self.of(&[-300, -200, -150, -100, -1, 0, 0, 100, 120]);
            let policy = if self.chance(4) { ChainPolicy::Drop } else { ChainPolicy::Accept };
            let sequence = (at * 10 + n) as u32;
            let base = Base { kind, hook, priority, sequence, policy, devices: Vec::new() };
            let rules = self.rules(Some((kind, hook)));
            chains.push(Chain { name: format!("base{n}").into(), base: Some(base), rules });
        }
        for name in ["x", "y", "z"] {
            chains.push(Chain { name: name.into(), base: None, rules: self.rules(None) });
        }
        if !self.chance(8) {
            break_circles(&mut chains);
        }
        Table {
            family: self.of(&[Family::Inet, Family::Ip]),
            name: format!("t{at}").into(),
            origin: Origin::Nft,
            is_dormant: false,
            chains,
            sets: vec![
                self.set("s", false),
                self.set("unread", true),
                self.set("filled", false),
                Set { size: Some(2), ..self.set("small", false) },
            ],
        }
    }

    fn set(&mut self, name: &str, is_unread: bool) -> Set {
        let elements = (0..self.below(4)).map(|_| Element::of(self.span(&ADDRESSES)));
        let elements: Vec<Element> = elements.collect();
        Set {
            name: name.into(),
            key: vec!["ipv4_addr".into()],
            flags: SetFlags::default(),
            size: self.chance(2).then_some(3),
            elements: (!is_unread).then(|| elements.into()),
        }
    }

    fn span(&mut self, of: &[u128]) -> Span {
        let value = self.of(of);
        match self.below(3) {
            0 => Span::Numbers { low: value & !0xff, high: value | 0xff },
            1 => Span::Numbers { low: value, high: value + 300 },
            _ => Span::number(value),
        }
    }

    fn rules(&mut self, base: Option<(ChainKind, Hook)>) -> Vec<Rule> {
        (0..self.below(6)).map(|_| self.rule(base)).collect()
    }

    fn rule(&mut self, base: Option<(ChainKind, Hook)>) -> Rule {
        let mut statements = Vec::new();
        for _ in 0..self.below(3) {
            self.some_match(&mut statements);
        }
        if self.chance(5) {
            statements.push(self.assign());
        }
        if self.chance(10) {
            self.some_match(&mut statements);
        }
        self.end(base, &mut statements);
        Rule { text: format!("{statements:?}").into(), statements, ..Rule::default() }
    }

    fn end(&mut self, base: Option<(ChainKind, Hook)>, statements: &mut Vec<Statement>) {
        if let Some((ChainKind::Nat, hook)) = base
            && self.chance(2)
        {
            statements.push(self.nat(hook));
            return;
        }
        if self.chance(12) {
            statements.push(self.update());
            if self.chance(2) {
                self.filled_match(statements);
            }
        }
        if self.chance(15) {
            self.port_written(statements);
        }
        if self.chance(25) {
            let text = "mystery".into();
            let effect = self.of(&[Effect::Decides, Effect::Rewrites]);
            statements.push(Statement::Opaque { text, effect });
        }
        if self.chance(12) {
            statements.push(self.verdict_map());
            return;
        }
        if self.chance(12) {
            let is_over_untracked = self.of(&[false, true]);
            let template = Statement::Template { is_over_untracked };
            statements.push(if self.chance(2) { Statement::NoTrack } else { template });
        }
        if self.chance(8) {
            return;
        }
        statements.push(Statement::Verdict(self.verdict()));
    }

    fn update(&mut self) -> Statement {
        let operation = self.of(&[SetOperation::Add, SetOperation::Update, SetOperation::Delete]);
        let conditions = if self.chance(4) { vec![self.limit()] } else { Vec::new() };
        let key = Expression::Field(Field::Source4);
        let set = self.of(&["filled", "filled", "small"]).into();
        Statement::Update { operation, set, key, conditions }
    }

    fn filled_match(&mut self, into: &mut Vec<Statement>) {
        let set = SetRef::Named(self.of(&["filled", "small"]).into());
        let test = if self.chance(3) { Test::NotIn(set) } else { Test::In(set) };
        into.push(matches(Expression::Field(Field::Source4), test));
    }

    fn limit(&mut self) -> Condition {
        Condition {
            text: self.of(&["limit", "recent"]).into(),
            is_negated: self.chance(2),
            is_own: self.chance(2),
            presumed: Some(true),
        }
    }

    fn verdict(&mut self) -> Verdict {
        match self.below(10) {
            0..3 => Verdict::Accept,
            3..5 => Verdict::Drop,
            5 => Verdict::Reject(RejectWith::TcpReset),
            6 => Verdict::Return,
            7 => Verdict::Continue,
            8 => Verdict::Goto(self.of(&["x", "y", "z"]).into()),
            _ => Verdict::Jump(self.of(&["x", "y", "z"]).into()),
        }
    }

    fn verdict_map(&mut self) -> Statement {
        let elements = PORTS.iter().take(1 + self.below(3)).map(|port| Element {
            value: ElementValue::Verdict(self.verdict()),
            ..Element::of(Span::number(*port))
        });
        let map = SetRef::Inline(elements.collect());
        Statement::VerdictMap { key: Expression::Field(Field::DestinationPort), map }
    }

    fn port_written(&mut self, statements: &mut Vec<Statement>) {
        let left = Expression::Field(Field::Protocol);
        let test = Test::In(SetRef::number(self.of(&[6, 17])));
        statements.push(Statement::Match(Match { left, test }));
        let target = self.of(&[Target::SourcePort, Target::DestinationPort]);
        let value = match self.chance(3) {
            true => Expression::Unknown("a port".into()),
            false => Expression::Constant(Value::Number(self.of(&PORTS))),
        };
        statements.push(Statement::Assign { target, value });
    }

    fn assign(&mut self) -> Statement {
        let target = self.of(&[Target::Mark, Target::CtMark]);
        let mark = Expression::Field(self.of(&[Field::Mark, Field::CtMark]));
        let value = match self.below(4) {
            0 => mark,
            1 => Expression::Bits { of: Box::new(mark), mask: 0xfe, flip: 1 },
            2 => {
                let entries = PORTS.iter().take(2).map(|port| Element {
                    value: ElementValue::Data(vec![Span::number(port & 3)]),
                    ..Element::of(Span::number(*port))
                });
                let map = SetRef::Inline(entries.collect());
                let key = Box::new(Expression::Field(Field::DestinationPort));
                Expression::Lookup { key, map }
            }
            _ => Expression::Constant(Value::Number(self.below(4) as u128)),
        };
        Statement::Assign { target, value }
    }

    fn nat(&mut self, hook: Hook) -> Statement {
        let is_source = matches!(hook, Hook::Input | Hook::Postrouting);
        let number = |value: u128| Some(Expression::Constant(Value::Number(value)));
        let kind = match (is_source, self.below(3)) {
            (true, 0) => NatKind::Masquerade,
            (true, _) => NatKind::Snat,
            (false, 0) => NatKind::Redirect,
            (false, _) => NatKind::Dnat,
        };
        let takes_address = matches!(kind, NatKind::Snat | NatKind::Dnat);
        let address = if takes_address { number(self.of(&ADDRESSES)) } else { None };
        let port = if self.chance(2) { number(self.of(&PORTS)) } else { None };
        Statement::Nat(Nat { kind, address, port, flags: Vec::new() })
    }

    fn some_match(&mut self, into: &mut Vec<Statement>) {
        let field = |field| Expression::Field(field);
        let left = match self.below(16) {
            0..3 => {
                into.push(matches(
                    field(Field::Protocol),
                    Test::In(SetRef::number(self.of(&[6, 17]))),
                ));
                field(Field::DestinationPort)
            }
            3 => field(Field::Source4),
            4 => field(Field::Destination4),
            5 => return self.state_match(into),
            6 => return self.name_match(into),
            7 => field(self.of(&[Field::Mark, Field::CtMark])),
            8 => return self.flags_match(into),
            9 => return self.concat_match(into),
            10 => return self.fib_match(into),
            11 => field(Field::CtTuple(
                self.of(&[Direction::Original, Direction::Reply]),
                self.of(&[TupleSide::Source4, TupleSide::Destination4]),
            )),
            12 => return self.status_match(into),
            13 => {
                into.push(Statement::Condition(self.limit()));
                return;
            }
            14 => return self.named_match(into),
            15 if self.chance(3) => return self.filled_match(into),
            _ => field(self.of(&[
                Field::Protocol,
                Field::SourcePort,
                Field::Ttl,
                Field::FragmentOffset,
            ])),
        };
        let values: &[u128] = match &left {
            Expression::Field(Field::DestinationPort | Field::SourcePort) => &PORTS,
            Expression::Field(Field::Mark | Field::CtMark | Field::FragmentOffset) => &[0, 1, 2],
            Expression::Field(Field::Protocol) => &[6, 17, 1],
            Expression::Field(Field::Ttl) => &[64, 1],
            _ => &ADDRESSES,
        };
        let elements = (0..1 + self.below(3)).map(|_| Element::of(self.span(values)));
        let set = SetRef::Inline(elements.collect());
        let test = if self.chance(3) { Test::NotIn(set) } else { Test::In(set) };
        into.push(matches(left, test));
    }

    fn named_match(&mut self, into: &mut Vec<Statement>) {
        let set = SetRef::Named(self.of(&["s", "s", "unread"]).into());
        let test = if self.chance(3) { Test::NotIn(set) } else { Test::In(set) };
        into.push(matches(Expression::Field(Field::Source4), test));
    }

    fn state_match(&mut self, into: &mut Vec<Statement>) {
        let mask = self.of(&STATES) | self.of(&STATES);
        let test = match self.below(4) {
            0 => Test::NoBit(mask),
            1 => Test::NotIn(SetRef::number(mask)),
            _ => Test::AnyBit(mask),
        };
        into.push(matches(Expression::Field(Field::CtState), test));
    }

    fn status_match(&mut self, into: &mut Vec<Statement>) {
        let mask = self.of(&[bits::STATUS_DNAT, bits::STATUS_SNAT]);
        into.push(matches(Expression::Field(Field::CtStatus), Test::AnyBit(mask)));
    }

    fn flags_match(&mut self, into: &mut Vec<Statement>) {
        into.push(matches(Expression::Field(Field::Protocol), Test::In(SetRef::number(6))));
        let of = Box::new(Expression::Field(Field::TcpFlags));
        into.push(matches(
            Expression::Bits { of, mask: 0x17, flip: 0 },
            Test::In(SetRef::number(self.of(&[2, 16]))),
        ));
    }

    fn name_match(&mut self, into: &mut Vec<Statement>) {
        let text: Box<str> = self.of(&["eth0", "eth", "lo", "docker0", "e"]).into();
        let is_prefix = matches!(&*text, "eth" | "e");
        let set = SetRef::span(Span::Names { text, is_prefix });
        let test = if self.chance(3) { Test::NotIn(set) } else { Test::In(set) };
        let field = self.of(&[Field::InterfaceIn, Field::InterfaceOut]);
        into.push(matches(Expression::Field(field), test));
    }

    fn concat_match(&mut self, into: &mut Vec<Statement>) {
        let parts = [Field::Source4, Field::DestinationPort].map(Expression::Field).to_vec();
        let elements = (0..3).map(|_| Element {
            key: vec![self.span(&ADDRESSES), self.span(&PORTS)],
            ..Element::of(Span::ALL)
        });
        let set = SetRef::Inline(elements.collect());
        let test = if self.chance(4) { Test::NotIn(set) } else { Test::In(set) };
        into.push(matches(Expression::Concat(parts), test));
    }

    fn fib_match(&mut self, into: &mut Vec<Statement>) {
        let key =
            FibKey { is_source: self.chance(2), has_input: self.chance(3), ..FibKey::default() };
        let (result, value) = self.of(&[
            (FibResult::Type, bits::FIB_LOCAL),
            (FibResult::Type, 1),
            (FibResult::Exists, 1),
        ]);
        let left = Expression::Field(Field::Fib { key, result });
        into.push(matches(left, Test::In(SetRef::number(value))));
    }

    /// A packet that can be: new ones have no earlier translation, replies belong to something.
    pub(super) fn packet(&mut self, is_v6: bool, way: Way) -> Packet {
        let address = |n: u128| -> IpAddr {
            match is_v6 {
                true => std::net::Ipv6Addr::from_bits(0x2001_0db8 << 96 | n & 0xff).into(),
                false => std::net::Ipv4Addr::from_bits(n as u32).into(),
            }
        };
        let (from, to) = (address(self.of(&ADDRESSES)), address(self.of(&ADDRESSES)));
        let protocol = self.of(&[6, 6, 17, 17, 1, 47]);
        let ports = (self.of(&[40_000, 22, 80]), self.of(&PORTS) as u16);
        let mut packet = Packet::new(protocol, from, to).ports(ports.0, ports.1);
        packet.tcp_flags = TcpFlags(self.of(&[2, 16, 18]));
        packet.mark = self.below(3) as u32;
        packet.ct_mark = self.below(3) as u32;
        packet.is_later_fragment = self.chance(5);
        packet.ttl = self.of(&[64, 1]);
        let state = self.of(&STATES);
        packet.state = Some(state);
        if state == bits::ESTABLISHED {
            packet.direction = self.of(&[Direction::Original, Direction::Reply]);
            if self.chance(3) {
                let destination = address(self.of(&ADDRESSES));
                packet.original = Some(self.earlier(&packet, destination));
            }
        }
        match way {
            Way::Output => packet.socket = Some((0, 0)),
            _ => packet.interface_in = self.of(&NAMES).into(),
        }
        if self.chance(2) || way == Way::Output || way == Way::Forward {
            packet.interface_out = Some(self.of(&NAMES).into());
        }
        packet
    }

    /// The tuple of a connection whose destination was translated to what the packet has.
    fn earlier(&mut self, packet: &Packet, destination: IpAddr) -> Tuple {
        let now = packet.tuple();
        match packet.direction {
            Direction::Original => Tuple { destination, ..now },
            Direction::Reply => Tuple {
                source: now.destination,
                destination,
                protocol: now.protocol,
                source_port: now.destination_port,
                destination_port: now.source_port,
            },
        }
    }
}

fn matches(left: Expression, test: Test) -> Statement {
    Statement::Match(Match { left, test })
}

/// Jumps and gotos lead on only: x to y and z, y to z.
fn break_circles(chains: &mut [Chain]) {
    for chain in chains {
        let name = chain.name.clone();
        let leads_back = |to: &str| matches!(&*name, "x" | "y" | "z") && to <= &*name;
        let fix = |verdict: &mut Verdict| match verdict {
            Verdict::Jump(to) | Verdict::Goto(to) if leads_back(to) => *verdict = Verdict::Return,
            _ => {}
        };
        for statement in chain.rules.iter_mut().flat_map(|rule| &mut rule.statements) {
            match statement {
                Statement::Verdict(verdict) => fix(verdict),
                Statement::VerdictMap { map: SetRef::Inline(elements), .. } => {
                    let mut own: Vec<Element> = elements.to_vec();
                    for element in &mut own {
                        if let ElementValue::Verdict(verdict) = &mut element.value {
                            fix(verdict);
                        }
                    }
                    *elements = own.into();
                }
                _ => {}
            }
        }
    }
}
