//! Which packets two rulesets treat differently.

use super::cells::Among;
use super::confirm::{Claim, confirm, leaves_open};
use super::path::{Detail, Sent, fates, fates_and_ends};
use super::sent::{Ends, Side};
use super::space::Space;
use super::told::Block;
use super::witness::Witness;
use super::{AnalyseError, Fates};
use crate::firewall::bdd::{Bits, Region, Undecided};
use crate::firewall::simulate::{Outcome, Prepared, Step, Walk, Way};
use crate::firewall::{NatKind, RuleId, bits};

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differences {
    /// Nothing: they are equal, as far as that could be decided.
    pub regions: Vec<Difference>,
    /// Packets of which nobody knows whether both do the same with them, or send them to the same ends.
    pub open: Vec<Difference>,
    /// Whether every block of them is told.
    pub is_whole: bool,
}

/// Packets that end otherwise, or are sent elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Their way.
    pub way: Way,
    /// What becomes of them by the first ruleset.
    pub before: Fate,
    /// What becomes of them by the second.
    pub after: Fate,
    /// One of them.
    pub witness: Witness,
    /// Whether that one is treated differently whatever the open questions' answers are.
    pub is_certain: bool,
    /// What the simulator does not know of that one, in the rules' words, where it is not known whether it is
    /// treated differently.
    pub depends_on: Vec<String>,
    /// All of them, but for those of `beside`.
    pub blocks: Vec<Block>,
    /// Kinds of packets of which some are treated differently in the same manner, and which are not told
    /// in blocks.
    pub beside: Vec<Beside>,
}

/// Packets that are rarely asked about, and take many words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Beside {
    /// Later packets of connections that were translated earlier.
    TranslatedEarlier,
    /// To loopback addresses from outside, which `net.ipv4.conf.*.route_localnet` lets in.
    ToLoopback,
    /// The first packets of related connections.
    Related,
}

/// What becomes of packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// How they end.
    pub outcome: Outcome,
    /// The rule or policy that decides about the witness, by its ruleset.
    pub decided_by: Option<RuleId>,
    /// The rule that translates the witness, where that is what differs.
    pub translated_by: Option<RuleId>,
    /// The ends they have then, where these are what differs.
    pub ends: Option<Ends>,
}

/// So many blocks are told of one difference.
const MOST_BLOCKS: usize = 1_000;

/// Compares two rulesets by what becomes of every packet on these ways: how it ends, and to which ends it is
/// sent. Both must be known to the space. Every witness is confirmed by the simulator, on both sides.
///
/// # Errors
/// When the node budget is used up, or the simulator disagrees.
pub fn diff(
    space: &mut Space,
    before: &Prepared<'_>,
    after: &Prepared<'_>,
    ways: &[Way],
) -> Result<Differences, AnalyseError> {
    let found = Differences { regions: Vec::new(), open: Vec::new(), is_whole: true };
    let sides = [before, after];
    let mut comparison = Comparison { space, sides, found, targets: Region::NONE };
    for way in ways {
        comparison.compare(*way)?;
    }
    Ok(comparison.found)
}

struct Comparison<'c, 'r> {
    space: &'c mut Space,
    sides: [&'c Prepared<'r>; 2],
    found: Differences,
    /// Packets for this machine that go to where others are translated to: to another machine.
    targets: Region,
}

/// Packets that are not what people ask about.
struct Unusual {
    packets: Region,
    /// What tells them from others.
    but_for: Vec<Bits>,
    /// The word for them; `None` where they are told in blocks if there is anything to tell.
    word: Option<Beside>,
}

/// Packets, and what each ruleset does with them.
struct Apart {
    packets: Region,
    sides: [(Outcome, Option<Ends>); 2],
    is_known: bool,
}

impl Comparison<'_, '_> {
    fn compare(&mut self, way: Way) -> Result<(), AnalyseError> {
        let possible = self.space.possible()?;
        let care = self.space.of_way(possible, way)?;
        let [(old, was), (new, is)] = [self.ran(0, way, care)?, self.ran(1, way, care)?];
        self.targets = match way {
            Way::Input => {
                let targets =
                    [self.space.aimed_at_targets(&was)?, self.space.aimed_at_targets(&is)?];
                self.space.bdd.or(targets[0], targets[1])?
            }
            _ => Region::NONE,
        };
        for (was, old) in &outcomes(old) {
            for (is, new) in outcomes(new.clone()).iter().filter(|(is, _)| is != was) {
                let packets = self.space.bdd.and(*old, *new)?;
                let sides = [(*was, None), (*is, None)];
                self.tell(way, care, &Apart { packets, sides, is_known: true })?;
            }
        }
        for side in [Side::Destination, Side::Source] {
            for parting in self.space.partings(&was, &is, side)? {
                let ends = [parting.before, parting.after];
                let sides = ends.map(|ends| (Outcome::Accept, Some(ends)));
                let (packets, is_known) = (parting.packets, parting.is_known);
                self.tell(way, care, &Apart { packets, sides, is_known })?;
            }
        }
        Ok(())
    }

    /// What a ruleset does; the ends of packets only where one of both translates, or writes ports.
    fn ran(
        &mut self,
        side: usize,
        way: Way,
        care: Region,
    ) -> Result<(Fates, Vec<Sent>), Undecided> {
        let is_v6 = self.space.is_v6();
        if self.sides.iter().any(|side| side.translates(is_v6) || side.rewrites()) {
            return fates_and_ends(self.space, self.sides[side], way, care);
        }
        Ok((fates(self.space, self.sides[side], way, care, Detail::Fates)?, Vec::new()))
    }

    /// Those packets of `care` by which a difference is told, and which kinds of packets are left to a word:
    /// they would be told beside all others, in many more. What is treated differently only as others are
    /// that are alike but for this is not even that.
    fn sensible(
        &mut self,
        care: Region,
        apart: &Apart,
    ) -> Result<(Region, Vec<Beside>), Undecided> {
        let mut unusual = self.unusual()?;
        // Chains that translate are asked about a related connection as about any other.
        if apart.sides[0].1.is_none() {
            unusual.retain(|one| one.word != Some(Beside::Related));
        }
        let (mut care, mut beside) = (care, Vec::new());
        for Unusual { packets, but_for, word } in unusual {
            let those = self.space.bdd.intersection([apart.packets, care, packets])?;
            let usual = self.space.bdd.minus(care, packets)?;
            let others = self.space.bdd.and(apart.packets, usual)?;
            if those.is_none() || others.is_none() {
                continue;
            }
            let alike = self.space.without(others, &but_for)?;
            let those = self.space.without(those, &but_for)?;
            match (self.space.bdd.covers(alike, those), word) {
                (true, _) => care = usual,
                (false, Some(word)) => {
                    care = usual;
                    beside.push(word);
                }
                (false, None) => {}
            }
        }
        Ok((care, beside))
    }

    fn unusual(&mut self) -> Result<Vec<Unusual>, Undecided> {
        let layout = self.space.layout;
        let becomes = layout.becomes;
        let mapping = vec![
            layout.direction,
            layout.status,
            layout.moved,
            becomes.protocol,
            becomes.destination,
            becomes.destination_port,
            becomes.source,
            becomes.source_port,
        ];
        let mut flow = mapping.clone();
        flow.extend([layout.state, layout.tcp_flags]);
        let to_loopback = vec![layout.destination, layout.interface_in];
        let unusual = |packets, but_for, word| Unusual { packets, but_for, word };
        Ok(vec![
            unusual(self.space.strangers_to_loopback()?, to_loopback, Some(Beside::ToLoopback)),
            unusual(!self.space.untranslated()?, mapping, Some(Beside::TranslatedEarlier)),
            unusual(self.targets, vec![layout.destination], None),
            unusual(self.space.in_state(bits::RELATED)?, flow, Some(Beside::Related)),
        ])
    }

    fn tell(&mut self, way: Way, care: Region, apart: &Apart) -> Result<(), AnalyseError> {
        let (care, beside) = self.sensible(care, apart)?;
        let told = self.space.bdd.and(apart.packets, care)?;
        let Some((witness, is_certain)) = self.space.surest_witness(told)? else {
            return Ok(());
        };
        let mut walks = Vec::with_capacity(2);
        for (side, (outcome, _)) in self.sides.iter().zip(&apart.sides) {
            walks.push(confirm(side, way, &witness, Claim::of(*outcome, is_certain))?);
        }
        let among = Among { care, tells_answers: true, may_overlap: true, most: MOST_BLOCKS };
        let (blocks, is_whole) = self.space.blocks(told, among)?;
        self.found.is_whole &= is_whole;
        let fate = |(outcome, ends): &(Outcome, Option<Ends>), walk: &Walk| Fate {
            outcome: *outcome,
            decided_by: walk.decided_by,
            translated_by: ends.as_ref().and_then(|ends| translating(walk, ends.side)),
            ends: ends.clone(),
        };
        let mut is_known = apart.is_known;
        let mut depends_on = Vec::new();
        if is_certain {
            // What one of the two does not know is not known.
            let open = walks.iter().filter(|walk| leaves_open(walk)).flat_map(|w| &w.depends_on);
            open.for_each(|open| depends_on.push(open.question.clone()));
            depends_on.dedup();
            is_known &= depends_on.is_empty();
        }
        if is_known && is_certain && apart.sides.iter().all(|(_, ends)| ends.is_some()) {
            is_known = confirm_ends(&walks, &witness, apart)?;
        }
        let is_certain = is_certain && depends_on.is_empty();
        let (before, after) = (fate(&apart.sides[0], &walks[0]), fate(&apart.sides[1], &walks[1]));
        let difference =
            Difference { way, before, after, witness, is_certain, depends_on, blocks, beside };
        match is_known {
            true => self.found.regions.push(difference),
            false => self.found.open.push(difference),
        }
        Ok(())
    }
}

/// The simulator must send the witness to other ends too, or translate it in another manner. False where it
/// cannot tell: an end that nobody knows stays to it what it was.
fn confirm_ends(walks: &[Walk], witness: &Witness, apart: &Apart) -> Result<bool, AnalyseError> {
    let ends = |walk: &Walk| {
        let kinds: Vec<NatKind> = translated(walk).into_iter().map(|step| step.0).collect();
        (walk.packet.tuple(), kinds)
    };
    let [before, after] = walks else { return Ok(true) };
    let is_whole = before.is_complete && after.is_complete;
    if !is_whole || ends(before) != ends(after) {
        return Ok(true);
    }
    if apart.sides.iter().flat_map(|(_, ends)| ends).any(Ends::is_vague) {
        return Ok(false);
    }
    Err(AnalyseError::Internal {
        claimed: "that it is sent elsewhere".to_owned(),
        simulated: format!("{:?} both times", after.packet.tuple()),
        packet: format!("{:?}", witness.packet),
    })
}

/// The rule that gave a packet its end at this side.
fn translating(walk: &Walk, side: Side) -> Option<RuleId> {
    let is_source = |kind| matches!(kind, NatKind::Snat | NatKind::Masquerade);
    let wanted = side == Side::Source;
    translated(walk).into_iter().rev().find(|(kind, _)| is_source(*kind) == wanted)?.1
}

/// The translations of a walk: how, and by which rule.
fn translated(walk: &Walk) -> Vec<(NatKind, Option<RuleId>)> {
    let step = |step: &Step| match step {
        Step::Translated { by, kind, .. } => Some((*kind, *by)),
        _ => None,
    };
    walk.steps.iter().filter_map(step).collect()
}

fn outcomes(fates: Fates) -> Vec<(Outcome, Region)> {
    let mut all = vec![(Outcome::Accept, fates.accepted), (Outcome::Drop, fates.dropped)];
    all.extend(fates.rejected.into_iter().map(|(with, region)| (Outcome::Reject(with), region)));
    all
}
