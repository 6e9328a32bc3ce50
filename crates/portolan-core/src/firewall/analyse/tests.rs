//! Against the simulator: random rules, every packet asked of both.

mod differences;
mod draw;
mod onward;
mod questions;

use proptest::prelude::*;

use super::*;
use crate::firewall::simulate::{Open, Outcome, Prepared, Walk, Way};
use crate::firewall::{Packet, Ruleset, World};
use draw::Draw;

const WAYS: [Way; 5] = [Way::Input, Way::Forward, Way::Output, Way::ByRoute, Way::Prerouting];

/// Every outcome a walk may have.
fn outcomes(walk: &Walk) -> Vec<Outcome> {
    let open = walk.depends_on.iter().flat_map(|on| on.if_yes.iter().chain(&on.if_no).copied());
    let mut all: Vec<Outcome> = open.chain([walk.outcome]).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// What the analysis says of a packet: certain, possible outcomes.
fn said(space: &mut Space, fates: &Fates, packet: &Packet) -> (Vec<Outcome>, Vec<Outcome>) {
    let mut regions = vec![(Outcome::Accept, fates.accepted), (Outcome::Drop, fates.dropped)];
    regions.extend(fates.rejected.iter().map(|(with, region)| (Outcome::Reject(*with), *region)));
    let (mut certain, mut possible) = (Vec::new(), Vec::new());
    for (outcome, region) in regions {
        let (always, perhaps) = space.holds(region, packet).unwrap();
        if always {
            certain.push(outcome);
        }
        if perhaps {
            possible.push(outcome);
        }
    }
    possible.sort_unstable();
    (certain, possible)
}

/// A ruleset in few lines.
fn told(ruleset: &Ruleset) -> String {
    let mut text = String::new();
    for table in &ruleset.tables {
        text += &format!("table {} {}\n", table.family, table.name);
        for set in &table.sets {
            text += &format!("  set {} {:?} {:?}\n", set.name, set.size, set.elements);
        }
        for chain in &table.chains {
            text += &format!("  chain {} {:?}\n", chain.name, chain.base);
            for rule in &chain.rules {
                text += &format!("    {}\n", rule.text);
            }
        }
    }
    for (long, short) in [
        (", value: None, expires: None, comment: None", ""),
        ("Element { key: [Numbers ", "[{"),
        ("Match(Match ", "("),
        ("Inline", ""),
        (", devices: []", ""),
    ] {
        text = text.replace(long, short);
    }
    text
}

/// What the analysis and the simulator say differently of a packet.
fn disagreement(
    (ruleset, world, way): (&Ruleset, &World, Way),
    detail: Detail,
    packets: &[Packet],
) -> Option<(Packet, String)> {
    let prepared = Prepared::new(ruleset, world);
    let is_v6 = packets.first().is_some_and(Packet::is_v6);
    let mut space = Space::new(is_v6, &[ruleset], world, 4_000_000);
    let fates = fates(&mut space, &prepared, way, Region::ALL, detail).ok()?;
    packets.iter().find_map(|packet| {
        let walk = prepared.walk(packet, way, &Open);
        let (certain, possible) = said(&mut space, &fates, packet);
        let simulated = outcomes(&walk);
        let is_right = if walk.is_certain() {
            possible == [walk.outcome]
        } else {
            !walk.is_complete || possible.iter().all(|outcome| simulated.contains(outcome))
        };
        let is_sure = match certain.as_slice() {
            [certain] => simulated.contains(certain),
            _ => true,
        };
        (!is_right || !is_sure).then(|| {
            let text = format!(
                "{way:?} {detail:?} {packet:?}\nanalysis {certain:?} of {possible:?}, simulator \
                 {simulated:?}\n{:?}",
                walk.steps
            );
            (packet.clone(), text)
        })
    })
}

/// The ruleset without whatever they disagree without.
fn reduced(mut ruleset: Ruleset, disagrees: &dyn Fn(&Ruleset) -> bool) -> Ruleset {
    let mut is_smaller = true;
    while is_smaller {
        is_smaller = false;
        for (t, c) in chains(&ruleset) {
            for r in (0..ruleset.tables[t].chains[c].rules.len()).rev() {
                let mut fewer = ruleset.clone();
                fewer.tables[t].chains[c].rules.remove(r);
                if disagrees(&fewer) {
                    (ruleset, is_smaller) = (fewer, true);
                    continue;
                }
                for s in (0..ruleset.tables[t].chains[c].rules[r].statements.len()).rev() {
                    let mut fewer = ruleset.clone();
                    let rule = &mut fewer.tables[t].chains[c].rules[r];
                    rule.statements.remove(s);
                    rule.text = format!("{:?}", rule.statements).into();
                    if disagrees(&fewer) {
                        (ruleset, is_smaller) = (fewer, true);
                    }
                }
            }
        }
        for (t, c) in chains(&ruleset).into_iter().rev() {
            let mut fewer = ruleset.clone();
            fewer.tables[t].chains.remove(c);
            if disagrees(&fewer) {
                (ruleset, is_smaller) = (fewer, true);
                break;
            }
        }
    }
    ruleset
}

fn chains(ruleset: &Ruleset) -> Vec<(usize, usize)> {
    let tables = ruleset.tables.iter().enumerate();
    tables.flat_map(|(t, table)| (0..table.chains.len()).map(move |c| (t, c))).collect()
}

/// What they disagree about in the rules and packets of a seed, made small.
fn trouble(seed: u64, world: &World, way: Way) -> Option<String> {
    let mut draw = Draw::new(seed);
    let ruleset = draw.ruleset();
    let is_v6 = draw.chance(4);
    for detail in [Detail::Fates, Detail::Decisions] {
        let packets: Vec<Packet> = (0..40)
            .map(|_| {
                let mut packet = draw.packet(is_v6, way);
                if world.is_known() {
                    packet.interface_out = None;
                }
                packet
            })
            .collect();
        let Some((packet, _)) = disagreement((&ruleset, world, way), detail, &packets) else {
            continue;
        };
        let of = |ruleset: &Ruleset| {
            disagreement((ruleset, world, way), detail, std::slice::from_ref(&packet))
        };
        let small = reduced(ruleset, &|ruleset| of(ruleset).is_some());
        let text = of(&small).map(|(_, text)| text).unwrap_or_default();
        return Some(format!("seed {seed}\n{}{text}", told(&small)));
    }
    None
}

fn compare(seed: u64, world: &World, way: Way) -> Result<(), TestCaseError> {
    let trouble = trouble(seed, world, way);
    prop_assert!(trouble.is_none(), "{}", trouble.unwrap_or_default());
    Ok(())
}

// `PROPTEST_CASES=20000` where somebody looks for trouble.
proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn the_analysis_says_of_every_packet_what_the_simulator_says(seed: u64, way in 0..5_usize) {
        compare(seed, &World::default(), WAYS[way])?;
    }

    #[test]
    fn it_says_the_same_where_addresses_and_routes_are_known(seed: u64, way in 0..5_usize) {
        compare(seed, &draw::world(), WAYS[way])?;
    }

    #[test]
    fn every_fate_has_a_witness_that_the_simulator_confirms(seed: u64, way in 0..5_usize) {
        let mut draw = Draw::new(seed);
        let ruleset = draw.ruleset();
        let world = World::default();
        let prepared = Prepared::new(&ruleset, &world);
        let mut space = Space::new(false, &[&ruleset], &world, 2_000_000);
        let way = WAYS[way];
        let mut start = space.possible().unwrap();
        if way != Way::Output {
            let by_none = space.comes_by("").unwrap();
            start = space.bdd.minus(start, by_none).unwrap();
        }
        // Some few of many thousands need more nodes than there are.
        let Ok(fates) = fates(&mut space, &prepared, way, start, Detail::Fates) else { return Ok(()) };
        for (outcome, region) in [(Outcome::Accept, fates.accepted), (Outcome::Drop, fates.dropped)] {
            let Some(witness) = space.witness(region).unwrap() else { continue };
            let (always, _) = space.certainly_and_possibly(region).unwrap();
            prop_assert!(space.holds(region, &witness.packet).unwrap().1, "{witness:?}\n{}", told(&ruleset));
            let claim = match space.holds(always, &witness.packet).unwrap().0 {
                true => Claim::Certain(outcome),
                false => Claim::Possible(outcome),
            };
            let confirmed = confirm(&prepared, way, &witness, claim);
            prop_assert!(confirmed.is_ok(), "{confirmed:?}\n{}", told(&ruleset));
        }
    }

    #[test]
    fn every_packet_has_one_fate(seed: u64, way in 0..5_usize) {
        let mut draw = Draw::new(seed);
        let ruleset = draw.ruleset();
        let world = World::default();
        let prepared = Prepared::new(&ruleset, &world);
        let mut space = Space::new(false, &[&ruleset], &world, 2_000_000);
        let start = space.possible().unwrap();
        let fates = fates(&mut space, &prepared, WAYS[way], start, Detail::Fates);
        let Ok(fates) = fates else { return Ok(()) };
        let mut all = vec![fates.accepted, fates.dropped];
        all.extend(fates.rejected.iter().map(|(_, region)| *region));
        for (at, one) in all.iter().enumerate() {
            for other in &all[at + 1..] {
                prop_assert!(!space.bdd.meets(*one, *other), "{ruleset:#?}");
            }
        }
    }
}
