//! What is said of all senders is what the simulator says of each.

use super::*;
use crate::firewall::simulate::{Open, Outcome, Prepared, Way};
use crate::firewall::{Direction, Packet, TupleSide};

/// splitmix64.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % bound
    }

    fn network(&mut self) -> SetRef {
        let base = [0x0a00_0000_u128, 0x0a09_0000, 0xac11_0000, 0xc000_0200, 0xc633_6400];
        let base = base[self.below(5) as usize] + u128::from(self.below(4)) * 64;
        let size = [0, 15, 255, 65_535][self.below(4) as usize];
        SetRef::span(Span::Numbers { low: base, high: base | size })
    }

    fn source(&mut self) -> Statement {
        let tuple = Field::CtTuple(Direction::Original, TupleSide::Source4);
        match self.below(6) {
            0 => is(tuple, self.network()),
            1 => is_not(Field::Source4, self.network()),
            2 => {
                // One network in 256 of each larger one.
                let of = Box::new(Expression::Field(Field::Source4));
                let left = Expression::Bits { of, mask: 0x00ff_0000, flip: 0 };
                Statement::Match(Match { left, test: Test::In(SetRef::number(0x0009_0000)) })
            }
            _ => is(Field::Source4, self.network()),
        }
    }

    fn rule(&mut self, hook: Hook) -> Rule {
        let mut statements = Vec::new();
        match hook {
            Hook::Output => statements.push(is(Field::Destination4, self.network())),
            _ if self.below(5) > 0 => statements.push(self.source()),
            _ => statements.push(is_not(Field::InterfaceIn, name("docker0"))),
        }
        if self.below(2) == 0 && hook != Hook::Output {
            statements.extend(tcp([22, 8080, 80][self.below(3) as usize]));
        }
        if self.below(8) == 0 && hook != Hook::Output {
            let low = u128::from(self.below(2) * 40_000);
            let span = Span::Numbers { low, high: low + 1024 };
            statements.push(is(Field::SourcePort, SetRef::span(span)));
        }
        let verdict = if self.below(2) == 0 { Verdict::Accept } else { Verdict::Drop };
        rule("a rule", statements.into_iter().chain(ends(verdict)))
    }

    fn chain(&mut self, hook: Hook) -> Chain {
        let policy = if self.below(2) == 0 { ChainPolicy::Drop } else { ChainPolicy::Accept };
        let rules = (0..1 + self.below(6)).map(|_| self.rule(hook)).collect();
        filter(hook, policy, rules)
    }

    /// Rules of every hook, and a translation for some senders.
    fn ruleset(&mut self) -> Ruleset {
        let mut publish = vec![self.source()];
        publish.extend(tcp(8080));
        publish.extend(dnat("172.17.0.2", 80));
        let publish = vec![rule("publish", publish)];
        let mut chains =
            vec![base("pre", ChainKind::Nat, Hook::Prerouting, ChainPolicy::Accept, publish)];
        for hook in [Hook::Input, Hook::Forward, Hook::Output] {
            if self.below(4) > 0 {
                chains.push(self.chain(hook));
            }
        }
        Ruleset { tables: vec![table(Family::Ip, "t", chains)], notes: Vec::new() }
    }

    fn sender(&mut self) -> IpAddr {
        let SetRef::Inline(elements) = self.network() else { panic!("networks are inline") };
        let Span::Numbers { low, high } = elements[0].key[0] else { panic!("of numbers") };
        let edge = [low, high, low.saturating_sub(1), high + 1, low + 2][self.below(5) as usize];
        std::net::Ipv4Addr::from_bits(u32::try_from(edge).unwrap()).into()
    }
}

fn groups_with(reached: &Reached, sender: IpAddr) -> Vec<&Group> {
    reached.groups.iter().filter(|group| group.senders.contains(sender)).collect()
}

#[test]
fn each_sender_meets_with_what_is_said_of_its_group_over_drawn_rules() {
    let mut draw = Draw(5);
    let mut told = [0; 4];
    for _ in 0..if cfg!(debug_assertions) { 80 } else { 3000 } {
        let ruleset = draw.ruleset();
        let case = Case::new(ruleset.clone(), &[("0.0.0.0", 22), ("0.0.0.0", 8080)]);
        let world = world();
        let prepared = Prepared::new(&ruleset, &world);
        for port in [22, 8080] {
            let reached = case.ask(port, Source::any());
            for _ in 0..12 {
                let sender = draw.sender();
                if world.is_local(sender) {
                    continue;
                }
                let groups = groups_with(&reached, sender);
                assert_eq!(groups.len(), 1, "{sender} to {port}: {groups:#?}\n{ruleset:#?}");
                let group = groups[0];
                assert!(group.is_exact);
                let Some(to) = group.to else { continue };
                let packet = Packet::new(6, sender, to).ports(50_123, port);
                let interface_in = group.interface.clone().unwrap_or_default();
                let packet = Packet { interface_in, ..packet };
                let walk = prepared.walk(&packet, Way::ByRoute, &Open);
                let is_accepted = walk.outcome == Outcome::Accept;
                let other = Packet { source_port: 40_123, ..packet.clone() };
                let other = prepared.walk(&other, Way::ByRoute, &Open).outcome == Outcome::Accept;
                let is_split = other != is_accepted && group.answer != Answer::Depends;
                assert!(!is_split || !matches!(group.by, By::Allowed(_) | By::Refused { .. }));
                let wrong = format!("{sender} to {port}: {group:#?}\n{walk:#?}\n{ruleset:#?}");
                match (group.answer, &group.by) {
                    (Answer::Yes, _) => assert!(is_accepted, "{wrong}"),
                    (Answer::No, By::Refused { rule, .. }) => {
                        assert!(!is_accepted, "{wrong}");
                        let decided = walk.decided_by.and_then(|id| ruleset.place(id));
                        assert_eq!(decided.as_ref(), Some(rule), "{wrong}");
                    }
                    _ => {}
                }
                told[group.answer as usize] += 1;
            }
        }
    }
    let [yes, depends, unknown, no] = told;
    assert!(yes > 20 && depends > 20 && no > 20 && unknown == 0, "{told:?}");
}

#[test]
fn whose_answers_are_dropped_is_told_apart_by_the_rules_of_output() {
    let answers = rule(
        "ip daddr 10.9.0.0/16 accept",
        [is(Field::Destination4, network("10.9.0.0/16"))].into_iter().chain(ends(Verdict::Accept)),
    );
    let output = filter(Hook::Output, ChainPolicy::Drop, vec![answers]);
    let ruleset = Ruleset { tables: vec![table(Family::Ip, "t", vec![output])], notes: Vec::new() };
    let case = Case::new(ruleset, &[("0.0.0.0", 22)]);
    let reached = case.ask(22, Source::any());
    let yes: Vec<_> = reached.groups.iter().filter(|g| g.answer == Answer::Yes).collect();
    assert_eq!(yes.len(), 1, "{:#?}", reached.groups);
    assert_eq!(yes[0].senders, Addresses::of([prefix("10.9.0.0/16")]));
    assert!(reached.groups.iter().any(|group| matches!(group.by, By::AnswerRefused(_))));
}

#[test]
fn a_port_that_hangs_on_the_source_port_says_so() {
    let dns = rule(
        "tcp sport 53 accept",
        [is(Field::SourcePort, SetRef::number(53))].into_iter().chain(ends(Verdict::Accept)),
    );
    let case = Case::new(allowing(vec![dns]), &[("0.0.0.0", 22)]);
    let reached = case.ask(22, Source::prefix(prefix("192.0.2.9")));
    assert_eq!(reached.answer, Answer::Depends);
    let group = &reached.groups[0];
    assert_eq!(group.depends_on, ["the source port (53): other packets are let in"], "{group:#?}");
}

#[test]
fn many_refused_senders_are_one_group_with_one_of_the_rules() {
    let ban = |n: u128| {
        let place = SetRef::number(0x0b00_0000 + n * 2);
        rule("ban", [is(Field::Source4, place)].into_iter().chain(ends(Verdict::Drop)))
    };
    let input = filter(Hook::Input, ChainPolicy::Accept, (0..200).map(ban).collect());
    let ruleset = Ruleset { tables: vec![table(Family::Ip, "t", vec![input])], notes: Vec::new() };
    let case = Case::new(ruleset, &[("0.0.0.0", 22)]);
    let reached = case.ask(22, Source::any());
    let v4: Vec<_> = reached.groups.iter().filter(|g| !g.is_v6).collect();
    let no: Vec<_> = v4.iter().filter(|g| g.answer == Answer::No).collect();
    assert_eq!((v4.len(), no.len()), (3, 1), "those let in come by two interfaces");
    assert_eq!((no[0].other_rules, no[0].is_exact), (199, true));
    assert_eq!(no[0].senders.intervals(false).len(), 200);
}
