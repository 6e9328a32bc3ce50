//! A thousand networks, each from its seed: what is claimed has to be so, but for the stated chance.

use super::network::{Behaviour, Bucket, Chance, SimHost};
use super::*;

/// What the scans of all networks claimed.
#[derive(Debug, Default)]
struct Tally {
    networks: u32,
    claims: u64,
    wrong: u64,
    unknown: u64,
    /// Wrong claims of silence that the stated probabilities allow for.
    expected: f64,
}

#[test]
#[expect(clippy::print_stdout, reason = "the count is what the test is read for")]
fn a_thousand_random_networks_and_no_claim_that_is_not_so() {
    let mut tally = Tally::default();
    for seed in 0..1000 {
        judge(seed, &mut tally);
    }
    println!("{tally:?}");
    assert!(tally.wrong as f64 <= tally.expected.ceil(), "{tally:?}");
    assert!(tally.unknown * 20 < tally.claims, "it shuns the answer: {tally:?}");
}

fn judge(seed: u64, tally: &mut Tally) {
    let mut chance = Chance::new(seed);
    let mut network = Network::new(seed ^ 0xffff);
    network.by_sockets = chance.below(2) == 0;
    let hosts = 1 + chance.below(4) as u8;
    (1..=hosts).for_each(|n| drop(network.hosts.insert(host(n), random_host(&mut chance))));
    let truth = network.hosts.clone();
    let ports = random_ports(&mut chance);
    let link = chance.below(2) == 0;
    let mut plan =
        if link { on_link(targets(1..=hosts), ports) } else { plan(targets(1..=hosts), ports) };
    plan.seed = seed;
    plan.ability.connects = network.by_sockets;
    plan.ability.echo = chance.below(3) > 0;
    let asked = plan.targets.len() * plan.ports.len() as u64;
    let told = play(plan, &mut network);
    assert_eq!(told.records.len() as u64, asked, "seed {seed}");
    tally.networks += 1;
    for record in told.records.values() {
        weigh(seed, record, &truth[&record.address], tally);
    }
}

#[expect(clippy::print_stdout, reason = "a wrong claim is looked at by hand")]
fn weigh(seed: u64, record: &Record, host: &SimHost, tally: &mut Tally) {
    let question = match record.transport {
        Transport::Udp => Question::Udp(record.port),
        _ => Question::Tcp(record.port),
    };
    if record.state == PortState::Unknown {
        tally.unknown += 1;
        return;
    }
    tally.claims += 1;
    let possible: &[PortState] = match (host.behaviour(question), question) {
        (_, Question::Tcp(_)) if host.proxy => &[PortState::Open],
        (Behaviour::Open | Behaviour::Elsewhere(_) | Behaviour::Hesitant(_), _) => {
            &[PortState::Open]
        }
        (Behaviour::Closed, _) => &[PortState::Closed],
        (_, Question::Udp(_)) => &[PortState::OpenFiltered, PortState::Filtered],
        _ => &[PortState::Filtered],
    };
    let answers = !possible.contains(&PortState::Filtered);
    if let (true, Some(miss)) = (answers, record.miss_probability) {
        tally.expected += miss;
    }
    if !possible.contains(&record.state) {
        // Nobody ever heard of the host: then silence is all that is claimed.
        if record.miss_probability.is_none() && record.reason == Reason::NoResponse {
            return;
        }
        // open|filtered includes open.
        if record.state == PortState::OpenFiltered && possible == [PortState::Open] {
            return;
        }
        tally.wrong += 1;
        println!("seed {seed}: {record:?} is {possible:?}");
    }
}

fn random_host(chance: &mut Chance) -> SimHost {
    let mut host = SimHost::closed();
    host.echo = chance.below(2) == 0;
    host.latency = Duration::from_micros([200, 2000, 20_000, 80_000][chance.below(4) as usize]);
    host.jitter = host.latency.mul_f64(chance.share());
    let loss = [0.0, 0.0, 0.0, 0.01, 0.05, 0.2, 0.3][chance.below(7) as usize];
    host.loss = (loss, loss * chance.share());
    host.others = match chance.below(3) {
        0 => Behaviour::Dropped,
        _ => Behaviour::Closed,
    };
    for port in 1..=400 {
        host.tcp.insert(port, random_port(chance, host.others));
        host.udp.insert(port, random_port(chance, host.others));
    }
    host.errors = (chance.below(3) > 0).then(|| Bucket::new(1.0 + chance.below(100) as f64, 6.0));
    host.resets = (chance.below(6) == 0).then(|| Bucket::new(20.0 + chance.below(400) as f64, 5.0));
    host.capacity =
        (chance.below(5) == 0).then(|| Bucket::new(500.0 + chance.below(9000) as f64, 40.0));
    if chance.below(8) == 0 {
        let from = Duration::from_millis(chance.below(2000));
        host.outage = Some((from, from + Duration::from_millis(chance.below(3000))));
        host.outage_told = from.as_millis() % 2 == 1;
    }
    host.proxy = chance.below(12) == 0;
    host
}

fn random_port(chance: &mut Chance, usual: Behaviour) -> Behaviour {
    match chance.below(12) {
        0 => Behaviour::Open,
        1 => Behaviour::Closed,
        2 => Behaviour::Dropped,
        3 => Behaviour::Rejected {
            code: [0, 1, 2, 9, 10, 13][chance.below(6) as usize],
            by_router: chance.below(2) == 0,
        },
        _ => usual,
    }
}

fn random_ports(chance: &mut Chance) -> Vec<(Port, Transport)> {
    let count = [3, 20, 100, 400][chance.below(4) as usize];
    let mut ports = tcp(1..=count);
    if chance.below(4) == 0 {
        ports.extend(udp(1..=count.min(20)));
    }
    ports
}
