//! What is around a statement while a rule is read: its table, and what the rule has made sure of.

use std::collections::HashMap;

use serde_json::Value;

use super::kind::Kind;
use crate::firewall::{
    Condition, Direction, Element, Expression, Family, Field, Match, SetRef, Span, Statement, Test,
    TupleSide, bits,
};

/// What nft takes for granted when a field is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// The packet is IPv6, or IPv4.
    Version(bool),
    /// The packet's transport.
    Protocol(u8),
    /// The packet came as a frame of Ethernet.
    Ethernet,
    /// The packet has a connection.
    Connection,
    /// An extension header follows the fixed one of IPv6: where none does, no field of one can be had.
    Extension,
}

/// What the listing says of a table beside its chains.
#[derive(Debug, Default)]
pub(super) struct Surroundings<'a> {
    /// Whether any rule puts connections into a zone; else all are in zone 0.
    pub(super) has_zones: bool,
    /// The types of the values that named maps give.
    pub(super) data: HashMap<&'a str, Vec<Kind>>,
    /// The named limits and quotas and their like, by what they are and their name.
    pub(super) objects: HashMap<(&'a str, &'a str), &'a Value>,
    /// What must hold for members of named sets and maps beside their being in there, in words.
    pub(super) held: HashMap<&'a str, Box<str>>,
}

/// A rule while it is read.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    /// The family of its table.
    pub(super) family: Family,
    /// What else its table has.
    pub(super) around: &'a Surroundings<'a>,
    /// What was read so far.
    pub(super) statements: Vec<Statement>,
    version: Option<bool>,
    protocol: Option<u8>,
    is_ethernet: bool,
}

impl<'a> Scope<'a> {
    /// A rule of which nothing was read.
    pub(super) fn new(family: Family, around: &'a Surroundings<'a>) -> Self {
        let version = match family {
            Family::Ip => Some(false),
            Family::Ip6 => Some(true),
            _ => None,
        };
        let is_ethernet = matches!(family, Family::Bridge | Family::Netdev | Family::Arp);
        Self { family, around, statements: Vec::new(), version, protocol: None, is_ethernet }
    }

    /// Whether only IPv6 packets, or only IPv4 packets, get here.
    pub(super) const fn version(&self) -> Option<bool> {
        self.version
    }

    /// The one transport whose packets get here.
    pub(super) const fn protocol(&self) -> Option<u8> {
        self.protocol
    }

    /// Writes out what is taken for granted, each thing once.
    pub(super) fn guard(&mut self, guards: &[Guard]) {
        for guard in guards {
            match *guard {
                Guard::Version(is_v6) if self.version != Some(is_v6) => self.guard_version(is_v6),
                Guard::Protocol(protocol) if self.protocol != Some(protocol) => {
                    self.equal(Field::Protocol, u128::from(protocol));
                    self.protocol = Some(protocol);
                }
                Guard::Connection => {
                    let side = TupleSide::Protocol;
                    let left = Expression::Field(Field::CtTuple(Direction::Original, side));
                    let test = Test::In(SetRef::span(Span::Numbers { low: 0, high: 0xff }));
                    self.statements.push(Statement::Match(Match { left, test }));
                }
                Guard::Extension => {
                    // Hop-by-hop, routing, fragment, authentication, options, mobility, HIP, shim6.
                    let numbers = [0, 43, 44, 51, 60, 135, 139, 140].map(Span::number);
                    let elements = numbers.map(Element::of).to_vec();
                    let left = Expression::Field(Field::NextHeader6);
                    let test = Test::In(SetRef::Inline(elements.into()));
                    self.statements.push(Statement::Match(Match { left, test }));
                }
                Guard::Ethernet if !self.is_ethernet => {
                    self.ethernet(true);
                    self.is_ethernet = true;
                }
                _ => {}
            }
        }
    }

    /// That the device a packet came by, or leaves by, is one of Ethernet: there is one, and not the
    /// loopback interface. What others are is not read; most are.
    pub(super) fn ethernet(&mut self, is_in: bool) {
        self.link(is_in, &["", "lo"], true);
        let text = if is_in { "meta iiftype ether" } else { "meta oiftype ether" };
        self.statements.push(Statement::Condition(Condition {
            text: text.into(),
            is_negated: false,
            is_own: false,
            presumed: Some(true),
        }));
    }

    /// That the device is one of these, or none.
    pub(super) fn link(&mut self, is_in: bool, names: &[&str], is_negated: bool) {
        let left = Expression::Field(if is_in { Field::InterfaceIn } else { Field::InterfaceOut });
        let span = |name: &&str| Span::Names { text: (*name).into(), is_prefix: false };
        let elements: Vec<Element> = names.iter().map(|name| Element::of(span(name))).collect();
        let set = SetRef::Inline(elements.into());
        let test = if is_negated { Test::NotIn(set) } else { Test::In(set) };
        self.statements.push(Statement::Match(Match { left, test }));
    }

    /// Limits and quotas that a named set keeps with each of its members: a member that is found and over
    /// them ends the rule (nft_lookup_eval, nft_set_elem_update_expr).
    pub(super) fn held_by(&mut self, set: &SetRef) {
        self.statements.extend(self.asked_by(set).map(Statement::Condition));
    }

    /// The same as a question, where there is one.
    pub(super) fn asked_by(&self, set: &SetRef) -> Option<Condition> {
        let SetRef::Named(name) = set else { return None };
        let text = self.around.held.get(&**name)?.clone();
        Some(Condition { text, is_negated: false, is_own: true, presumed: None })
    }

    fn guard_version(&mut self, is_v6: bool) {
        let is_of_frames = matches!(self.family, Family::Bridge | Family::Netdev);
        let (field, number) = match (is_of_frames, is_v6) {
            (true, false) => (Field::EtherType, 0x0800),
            (true, true) => (Field::EtherType, 0x86dd),
            (false, false) => (Field::NetworkProtocol, bits::NFPROTO_IPV4),
            (false, true) => (Field::NetworkProtocol, bits::NFPROTO_IPV6),
        };
        self.equal(field, number);
        self.version = Some(is_v6);
    }

    fn equal(&mut self, field: Field, number: u128) {
        let left = Expression::Field(field);
        let test = Test::In(SetRef::number(number));
        self.statements.push(Statement::Match(Match { left, test }));
    }

    /// Adds a match, and remembers what it makes sure of.
    pub(super) fn matching(&mut self, left: Expression, test: Test) {
        if let (Expression::Field(field), Test::In(SetRef::Inline(elements))) = (&left, &test)
            && let [element] = &elements[..]
            && let [Span::Numbers { low, high }] = element.key[..]
            && low == high
        {
            match *field {
                Field::Protocol => self.protocol = u8::try_from(low).ok(),
                Field::NetworkProtocol => self.version = Some(low == bits::NFPROTO_IPV6),
                _ => {}
            }
        }
        let held = match &test {
            Test::In(set) => self.asked_by(set),
            _ => None,
        };
        self.statements.push(Statement::Match(Match { left, test }));
        self.statements.extend(held.map(Statement::Condition));
    }
}
