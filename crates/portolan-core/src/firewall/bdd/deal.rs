//! Regions in a row, each taking what those before it left: all of them dealt with in one walk.
//!
//! Rule by rule, what is left of all packets is cut once for each rule, and every cut makes it larger
//! for the next. Here all of them go down the variables together, and at each variable every region goes
//! only where it has packets. Soon few are left side by side, and a region that is alone takes
//! its packets as it stands, without a new node: what rules have in common is all that costs anything.

use super::Undecided;
use super::node::{Bdd, Region, TERMINAL};

/// A region in a row, and for whom it takes packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taker {
    /// The packets it wants.
    pub region: Region,
    /// For whom; several in a row may take for the same. [`Taker::NOBODY`]: it is not told.
    pub label: u32,
    /// Whether those behind it get them all the same.
    pub passes_on: bool,
}

impl Taker {
    /// The label of what is not told.
    pub const NOBODY: u32 = u32::MAX;
}

/// So many steps may be done for each node of the budget: what takes longer is undecided too.
const STEPS_FOR_A_NODE: u64 = 64;
/// Rows known already are kept by so many slots,
const SLOTS: usize = 1 << 15;
/// and until they hold so many takers.
const MOST_KEPT: usize = 1 << 20;

impl Bdd {
    /// What each label gets: the packets of its regions that no region before them takes. Ascending by
    /// label; those that get nothing are left out.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn dealt(&mut self, row: &[Taker]) -> Result<Vec<(u32, Region)>, Undecided> {
        let mut deal = Deal {
            steps: STEPS_FOR_A_NODE * self.budget() as u64,
            bdd: self,
            row: Vec::with_capacity(row.len() * 2),
            told: Vec::new(),
            known: Vec::new(),
            kept_rows: Vec::new(),
            kept_told: Vec::new(),
        };
        for taker in row {
            if deal.enters(0, *taker, taker.region) {
                break;
            }
        }
        deal.below(0)?;
        Ok(deal.told)
    }
}

impl Bdd {
    /// The union of regions in any order.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn united(&mut self, regions: &[Region]) -> Result<Region, Undecided> {
        let row =
            regions.iter().map(|region| Taker { region: *region, label: 0, passes_on: false });
        let row: Vec<Taker> = row.collect();
        Ok(self.dealt(&row)?.first().map_or(Region::NONE, |(_, region)| *region))
    }
}

/// A row on its way down. Rows and results are kept one behind the other, the deepest last.
struct Deal<'b> {
    bdd: &'b mut Bdd,
    steps: u64,
    row: Vec<Taker>,
    told: Vec<(u32, Region)>,
    known: Vec<Known>,
    kept_rows: Vec<Taker>,
    kept_told: Vec<(u32, Region)>,
}

/// Where a row and its result are kept; nothing where the row is empty.
#[derive(Clone, Copy, Default)]
struct Known {
    row: (u32, u32),
    told: (u32, u32),
}

impl Deal<'_> {
    /// Adds a taker with what it wants here to the row that begins at `from`. True where nothing is
    /// left for those behind it.
    fn enters(&mut self, from: usize, taker: Taker, region: Region) -> bool {
        if region.is_none() {
            return false;
        }
        let taker = Taker { region, ..taker };
        let takes_all = region.is_all() && !taker.passes_on;
        let is_superseded = |before: &Taker| {
            before.label == taker.label
                && before.passes_on == taker.passes_on
                && (region.is_all() || before.region == region)
        };
        while self.row.len() > from && self.row.last().is_some_and(is_superseded) {
            self.row.pop();
        }
        self.row.push(taker);
        takes_all
    }

    /// Deals the row that begins at `from`; the result stands behind all others.
    fn below(&mut self, from: usize) -> Result<(), Undecided> {
        match self.row[from..] {
            [] => Ok(()),
            [one] => {
                self.tell(one.label, one.region);
                Ok(())
            }
            [first, second] if first.label != second.label => self.pair(first, second),
            [first, second] => {
                let both = self.bdd.or(first.region, second.region)?;
                self.tell(first.label, both);
                Ok(())
            }
            _ => self.split(from),
        }
    }

    fn tell(&mut self, label: u32, region: Region) {
        if label != Taker::NOBODY && !region.is_none() {
            self.told.push((label, region));
        }
    }

    fn pair(&mut self, first: Taker, second: Taker) -> Result<(), Undecided> {
        let is_told = second.label != Taker::NOBODY;
        let rest = match first.passes_on || !is_told {
            true => second.region,
            false => self.bdd.minus(second.region, first.region)?,
        };
        let mut both = [(first.label, first.region), (second.label, rest)];
        both.sort_unstable_by_key(|(label, _)| *label);
        both.into_iter().for_each(|(label, region)| self.tell(label, region));
        Ok(())
    }

    fn split(&mut self, from: usize) -> Result<(), Undecided> {
        let end = self.row.len();
        let budget = self.bdd.budget();
        self.steps = self.steps.checked_sub((end - from) as u64).ok_or(Undecided { budget })?;
        let slot = self.slot(from);
        if self.is_known(from, slot) {
            return Ok(());
        }
        let tops = self.row[from..].iter().map(|taker| self.bdd.top(taker.region));
        let variable = tops.min().unwrap_or(TERMINAL);
        if variable == TERMINAL {
            self.all_to_each(from);
            return Ok(());
        }
        let zero = self.told.len();
        let on_zero = self.side(from, end, variable, false)?;
        let one = self.told.len();
        let on_one = self.side(from, end, variable, true)?;
        self.join(variable, zero, one)?;
        if on_zero && on_one {
            self.keep(from, zero, slot);
        }
        Ok(())
    }

    /// Every taker of the row takes all, and only the last does not pass it on.
    fn all_to_each(&mut self, from: usize) {
        let mut labels: Vec<u32> = self.row[from..].iter().map(|taker| taker.label).collect();
        labels.sort_unstable();
        labels.dedup();
        labels.into_iter().for_each(|label| self.tell(label, Region::ALL));
    }

    /// Deals the row between `from` and `end` on one side of a variable. False where nobody is there.
    fn side(
        &mut self,
        from: usize,
        end: usize,
        variable: u32,
        is_one: bool,
    ) -> Result<bool, Undecided> {
        for index in from..end {
            let taker = self.row[index];
            let (zero, one) = self.bdd.sides(taker.region, variable);
            if self.enters(end, taker, if is_one { one } else { zero }) {
                break;
            }
        }
        let is_anybody = self.row.len() > end;
        self.below(end)?;
        self.row.truncate(end);
        Ok(is_anybody)
    }

    /// Makes one of the results of both sides, which stand from `zero` and from `one` on.
    fn join(&mut self, variable: u32, zero: usize, one: usize) -> Result<(), Undecided> {
        let end = self.told.len();
        let (mut at_zero, mut at_one) = (zero, one);
        while at_zero < one || at_one < end {
            let on_zero = self.told[at_zero..one].first().copied();
            let on_one = self.told[at_one..end].first().copied();
            let first = on_zero.iter().chain(&on_one).map(|(label, _)| *label).min();
            let label = first.unwrap_or(Taker::NOBODY);
            let taken = |side: Option<(u32, Region)>, at: &mut usize| match side {
                Some((own, region)) if own == label => {
                    *at += 1;
                    region
                }
                _ => Region::NONE,
            };
            let (on_zero, on_one) = (taken(on_zero, &mut at_zero), taken(on_one, &mut at_one));
            let region = self.bdd.node(variable, on_zero, on_one)?;
            self.told.push((label, region));
        }
        self.told.drain(zero..end);
        Ok(())
    }

    fn slot(&self, from: usize) -> usize {
        let mut hash = 0_u64;
        for taker in &self.row[from..] {
            let one = u64::from(taker.region.0) << 32 | u64::from(taker.label);
            hash = (hash.rotate_left(5) ^ one).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        (hash ^ hash >> 32) as usize & (SLOTS - 1)
    }

    /// Tells what is known of a row; false where nothing is.
    fn is_known(&mut self, from: usize, slot: usize) -> bool {
        let Some(known) = self.known.get(slot) else { return false };
        let (row, told) = (range(known.row), range(known.told));
        if self.kept_rows[row] != self.row[from..] {
            return false;
        }
        self.told.extend_from_slice(&self.kept_told[told]);
        true
    }

    /// Keeps a row and its result for when it comes again.
    fn keep(&mut self, from: usize, zero: usize, slot: usize) {
        let (row, told) = (&self.row[from..], &self.told[zero..]);
        if row.len() > MOST_KEPT / 2 {
            return;
        }
        if self.known.is_empty() || self.kept_rows.len() + row.len() > MOST_KEPT {
            self.known.clear();
            self.known.resize(SLOTS, Known::default());
            self.kept_rows.clear();
            self.kept_told.clear();
        }
        self.known[slot] = Known {
            row: (self.kept_rows.len() as u32, row.len() as u32),
            told: (self.kept_told.len() as u32, told.len() as u32),
        };
        self.kept_rows.extend_from_slice(row);
        self.kept_told.extend_from_slice(told);
    }
}

fn range((from, length): (u32, u32)) -> std::ops::Range<usize> {
    from as usize..(from + length) as usize
}
