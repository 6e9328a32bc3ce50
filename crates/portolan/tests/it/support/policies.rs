//! Policies drawn at random over everything a policy can say; the seed gives the policy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use portolan_core::firewall::{
    Addresses, BaseNeed, BasePass, Block, ConntrackHelper, Knock, Never, Pass, PassTraffic,
    PassWay, Peers, Policy, RateLimit, Stance, Translation,
};
use portolan_core::net::{Port, PortRange, Prefix, Transport};

/// A source of numbers (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 33) % limit
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn many<T>(&mut self, most: u64, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| make(self)).collect()
    }
}

/// The policy of a seed.
pub(crate) fn policy(seed: u64) -> Policy {
    let mut dice = Dice::new(seed);
    let dice = &mut dice;
    let stances = [Stance::Drop, Stance::Drop, Stance::Drop, Stance::Keep, Stance::Accept];
    let doors = dice.many(2, door);
    Policy {
        host: "host".into(),
        input: dice.pick(&stances),
        forward: dice.pick(&[Stance::Keep, Stance::Drop, Stance::Accept]),
        output: dice.pick(&[Stance::Drop, Stance::Accept]),
        management: dice.many(2, |dice| plain(dice, PassWay::Input)),
        blocks: dice.many(2, block),
        base: if dice.one_in(5) { Vec::new() } else { base() },
        passes: dice.many(14, pass),
        egress: dice.many(5, |dice| plain(dice, PassWay::Output)),
        doors,
        translations: dice.many(3, translation),
        never: Vec::<Never>::new(),
        resolved: vec![("dns:\na".into(), vec!["192.0.2.1".into()])],
        notes: vec!["a \"note\"".into()],
    }
}

fn pass(dice: &mut Dice) -> Pass {
    let ways = [PassWay::Input, PassWay::InputOrTranslated, PassWay::Translated, PassWay::Through];
    let way = dice.pick(&ways);
    let limit = RateLimit {
        count: dice.pick(&[1, 6, 30, 1000, u32::MAX]),
        per: Duration::from_secs(dice.pick(&[1, 7, 30, 60, 86_400])),
    };
    let helpers = [ConntrackHelper::Ftp, ConntrackHelper::Tftp, ConntrackHelper::Sip];
    let simple = plain(dice, way);
    Pass {
        destinations: dice.one_in(5).then(|| addresses(dice)),
        interface: dice.one_in(6).then(|| interface(dice)),
        limit: dice.one_in(4).then_some(limit),
        door: dice.one_in(6).then(|| name(dice).into()),
        helper: dice.one_in(6).then(|| dice.pick(&helpers)),
        ..simple
    }
}

fn plain(dice: &mut Dice, way: PassWay) -> Pass {
    let pass = Pass::plain(name(dice).into(), way, traffic(dice), some_peers(dice));
    Pass { until: until(dice), ..pass }
}

fn block(dice: &mut Dice) -> Block {
    Block {
        name: "block".into(),
        peers: some_peers(dice),
        traffic: dice.many(2, traffic),
        until: until(dice),
    }
}

/// Mostly none; one of two, so that there are more of the same.
fn until(dice: &mut Dice) -> Option<jiff::Timestamp> {
    let moments = ["2030-01-01T00:00:00Z", "2031-06-01T12:00:00.5Z"];
    dice.one_in(5).then(|| dice.pick(&moments).parse().unwrap())
}

fn name(dice: &mut Dice) -> &'static str {
    dice.pick(&[
        "ssh",
        "web",
        "a-b",
        "a+b",
        "x.y",
        "日本",
        "drop",
        "ip",
        "très-long-name-of-a-service",
    ])
}

fn interface(dice: &mut Dice) -> Box<str> {
    dice.pick(&["eth0", "eth1", "br-lan", "tun*", "lo"]).into()
}

fn traffic(dice: &mut Dice) -> PassTraffic {
    if dice.one_in(6) {
        return PassTraffic::Protocol(dice.pick(&[1, 6, 17, 47, 50, 58, 112]));
    }
    let transports = [Transport::Tcp, Transport::Tcp, Transport::Udp, Transport::Sctp];
    PassTraffic::Ports { transport: dice.pick(&transports), range: range(dice) }
}

/// Few numbers, so that ranges meet.
fn range(dice: &mut Dice) -> PortRange {
    let ends = [0, 1, 22, 80, 443, 444, 445, 8000, 8080, 65_534, 65_535];
    let (a, b) = (dice.pick(&ends), dice.pick(&ends));
    let last = if dice.one_in(3) { a.max(b) } else { a };
    PortRange::new(Port(a.min(last)), Port(last)).unwrap()
}

fn some_peers(dice: &mut Dice) -> Vec<Peers> {
    let one = |dice: &mut Dice| Peers {
        label: name(dice).into(),
        addresses: if dice.one_in(3) { Addresses::all() } else { addresses(dice) },
        interface: dice.one_in(6).then(|| interface(dice)),
    };
    let first = one(dice);
    if dice.one_in(4) { vec![first, one(dice)] } else { vec![first] }
}

/// Networks at the ends of the space and in its middle, with holes.
fn addresses(dice: &mut Dice) -> Addresses {
    let some = prefixes(dice, 4);
    let holes = prefixes(dice, 2);
    let all = if dice.one_in(8) { Addresses::all() } else { Addresses::of(some) };
    all.without(&Addresses::of(holes))
}

fn prefixes(dice: &mut Dice, most: u64) -> Vec<Prefix> {
    dice.many(most, |dice| {
        if dice.one_in(2) {
            let bits =
                dice.pick(&[0, u32::MAX, 0x0a00_0000, 0x0a00_0001, 0xc000_0207, 0x7fff_ffff]);
            let length = dice.pick(&[0, 1, 8, 24, 31, 32, 32]);
            return Prefix::new(Ipv4Addr::from_bits(bits).into(), length).unwrap();
        }
        let ends = [0, u128::MAX, 0x2001_0db8 << 96, (0x2001_0db8 << 96) | 1, 0xfe80 << 112];
        let length = dice.pick(&[0, 1, 10, 32, 64, 127, 128, 128]);
        Prefix::new(Ipv6Addr::from_bits(dice.pick(&ends)).into(), length).unwrap()
    })
}

fn door(dice: &mut Dice) -> Knock {
    let step = |dice: &mut Dice| (Transport::Tcp, dice.pick(&[7000, 8000, 9000]));
    Knock {
        name: name(dice).into(),
        open: Duration::from_secs(30),
        sequence: dice.many(3, step),
        window: Duration::from_secs(5),
        peers: some_peers(dice),
        until: until(dice),
    }
}

fn translation(dice: &mut Dice) -> Translation {
    let four: IpAddr = Ipv4Addr::new(10, 0, 0, 7).into();
    let six: IpAddr = "2001:db8::7".parse().unwrap();
    Translation {
        name: name(dice).into(),
        transport: dice.pick(&[Transport::Tcp, Transport::Udp]),
        range: range(dice),
        peers: some_peers(dice),
        targets: if dice.one_in(2) { vec![four] } else { vec![four, six] },
        port: (!dice.one_in(3)).then_some(80),
        masquerade: dice.one_in(2),
        until: until(dice),
    }
}

fn base() -> Vec<BasePass> {
    let row = |name: &str, is_outgoing, traffic| BasePass {
        name: name.into(),
        is_outgoing,
        traffic,
        peers: None,
        destinations: None,
    };
    let mut rows = Vec::new();
    for out in [false, true] {
        rows.push(row("base-loopback", out, BaseNeed::Loopback));
        rows.push(row("base-established", out, BaseNeed::Established));
        rows.push(row("base-icmp", out, BaseNeed::Icmp(vec![3, 8, 11, 12])));
        rows.push(row("base-icmpv6", out, BaseNeed::Icmpv6(vec![1, 2, 3, 128], None)));
        rows.push(row("base-icmpv6-nd", out, BaseNeed::Icmpv6(vec![135, 136], Some(255))));
        let port = BaseNeed::Port { transport: Transport::Udp, source: Some(67), destination: 68 };
        let near = Addresses::of(["fe80::/10".parse().unwrap(), "10.0.0.1".parse().unwrap()]);
        rows.push(BasePass { peers: Some(near), ..row("base-dhcp", out, port) });
        let groups = Some(Addresses::of(["224.0.0.0/4".parse().unwrap()]));
        let igmp = row("base-igmp", out, BaseNeed::Protocol(2));
        rows.push(BasePass { destinations: groups, ..igmp });
    }
    rows
}
