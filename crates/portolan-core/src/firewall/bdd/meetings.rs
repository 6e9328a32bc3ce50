//! Which of many regions have packets in common with which of many others: both go down the variables
//! together, so that nobody is asked about those it has parted from already.

use std::collections::HashSet;

use super::Undecided;
use super::node::{Bdd, Region, TERMINAL};

/// So few pairs are asked one by one.
const FEW: usize = 8;
/// So many steps may be done for each node of the budget.
const STEPS_FOR_A_NODE: u64 = 32;
/// So many pairs can be asked one by one too: those of regions that never part, each looking at another bit,
/// are met on both sides of every variable otherwise.
const MOST_PAIRS: usize = 1 << 16;
/// So many steps are tried for each region before that (in tests fewer, so that small regions try it too).
const STEPS_FOR_A_REGION: u64 = if cfg!(test) { 4 } else { 4096 };

impl Bdd {
    /// The pairs, by their places in the two lists, that have a packet in common; ascending.
    ///
    /// # Errors
    /// When finding them takes longer than the budget stands for. Builds nothing.
    pub fn meetings(
        &mut self,
        ones: &[Region],
        others: &[Region],
    ) -> Result<Vec<(u32, u32)>, Undecided> {
        let can_be_asked = ones.len().saturating_mul(others.len()) <= MOST_PAIRS;
        let mut meetings = Meetings {
            steps: match can_be_asked {
                true => STEPS_FOR_A_REGION * (ones.len() + others.len()) as u64,
                false => STEPS_FOR_A_NODE * self.budget() as u64,
            },
            bdd: self,
            ones: Vec::new(),
            others: Vec::new(),
            ones_later: Vec::new(),
            others_later: Vec::new(),
            found: HashSet::new(),
        };
        for (places, regions) in [(&mut meetings.ones, ones), (&mut meetings.others, others)] {
            let bdd = &*meetings.bdd;
            let all = (0..).zip(regions.iter().copied()).filter(|(_, r)| !r.is_none());
            places.extend(all.map(|(of, region)| Place { of, region, top: bdd.top(region) }));
        }
        match meetings.below(0, 0) {
            Err(_) if can_be_asked => return Ok(self.pairs(ones, others)),
            done => done?,
        }
        let mut found: Vec<(u32, u32)> = meetings.found.into_iter().collect();
        found.sort_unstable();
        Ok(found)
    }

    /// The same, asked pair by pair.
    fn pairs(&mut self, ones: &[Region], others: &[Region]) -> Vec<(u32, u32)> {
        let mut found = Vec::new();
        for (one, a) in (0..).zip(ones) {
            let met = (0..).zip(others).filter(|(_, b)| self.meets(*a, **b));
            found.extend(met.map(|(other, _)| (one, other)));
        }
        found
    }
}

/// Two lists on their way down; the deepest stand last.
struct Meetings<'b> {
    bdd: &'b mut Bdd,
    steps: u64,
    ones: Vec<Place>,
    others: Vec<Place>,
    /// The sides that are gone down later.
    ones_later: Vec<Place>,
    others_later: Vec<Place>,
    found: HashSet<(u32, u32)>,
}

/// Puts what is left of regions from `from` on where a variable is 0 behind them, and where it is 1 behind
/// `later`.
fn part(bdd: &Bdd, variable: u32, (list, from): (&mut Vec<Place>, usize), later: &mut Vec<Place>) {
    for index in from..list.len() {
        let place = list[index];
        if place.top != variable {
            list.push(place);
            later.push(place);
            continue;
        }
        let (zero, one) = bdd.sides(place.region, variable);
        for (region, side) in [(zero, &mut *list), (one, &mut *later)] {
            if !region.is_none() {
                side.push(Place { region, top: bdd.top(region), ..place });
            }
        }
    }
}

/// A region on its way down.
#[derive(Clone, Copy)]
struct Place {
    /// In its list.
    of: u32,
    region: Region,
    /// The first variable of the region, kept here so that those that stand further down need no look.
    top: u32,
}

impl Meetings<'_> {
    /// Finds pairs of the lists that begin there.
    fn below(&mut self, one: usize, other: usize) -> Result<(), Undecided> {
        let (ones, others) = (self.ones.len() - one, self.others.len() - other);
        let budget = self.bdd.budget();
        let steps = (ones + others) as u64;
        self.steps = self.steps.checked_sub(steps).ok_or(Undecided { budget })?;
        if ones == 0 || others == 0 {
            return Ok(());
        }
        // One alone is held against each of the others as cheaply as against all together.
        if ones * others <= FEW || ones == 1 || others == 1 {
            self.few(one, other);
            return Ok(());
        }
        self.settle_those_with_all(one, other)?;
        let both = self.ones[one..].iter().chain(&self.others[other..]);
        let variable = both.map(|place| place.top).min().unwrap_or(TERMINAL);
        if variable == TERMINAL {
            return Ok(());
        }
        let (ones, others) = (self.ones.len(), self.others.len());
        let (ones_later, others_later) = (self.ones_later.len(), self.others_later.len());
        part(self.bdd, variable, (&mut self.ones, one), &mut self.ones_later);
        part(self.bdd, variable, (&mut self.others, other), &mut self.others_later);
        self.below(ones, others)?;
        self.ones.truncate(ones);
        self.others.truncate(others);
        self.ones.extend(self.ones_later.drain(ones_later..));
        self.others.extend(self.others_later.drain(others_later..));
        self.below(ones, others)?;
        self.ones.truncate(ones);
        self.others.truncate(others);
        Ok(())
    }

    fn few(&mut self, one: usize, other: usize) {
        for a in &self.ones[one..] {
            for b in &self.others[other..] {
                let pair = (a.of, b.of);
                if !self.found.contains(&pair) && self.bdd.meets(a.region, b.region) {
                    self.found.insert(pair);
                }
            }
        }
    }

    /// Who has all packets that are left meets everybody, and need not go on.
    fn settle_those_with_all(&mut self, one: usize, other: usize) -> Result<(), Undecided> {
        let is_all = |place: &&Place| place.top == TERMINAL;
        if !self.ones[one..].iter().chain(&self.others[other..]).any(|place| is_all(&place)) {
            return Ok(());
        }
        let mut pairs = Vec::new();
        for all in self.ones[one..].iter().filter(is_all) {
            pairs.extend(self.others[other..].iter().map(|place| (all.of, place.of)));
        }
        for all in self.others[other..].iter().filter(is_all) {
            pairs.extend(self.ones[one..].iter().map(|place| (place.of, all.of)));
        }
        let budget = self.bdd.budget();
        self.steps = self.steps.checked_sub(pairs.len() as u64).ok_or(Undecided { budget })?;
        self.found.extend(pairs);
        for (list, from) in [(&mut self.ones, one), (&mut self.others, other)] {
            let mut kept = from;
            for index in from..list.len() {
                if list[index].top != TERMINAL {
                    list[kept] = list[index];
                    kept += 1;
                }
            }
            list.truncate(kept);
        }
        Ok(())
    }
}
