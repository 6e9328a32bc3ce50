//! All packets on their way through the hooks, as `simulate` sends one.
//!
//! ```text
//! hooks    which hook comes after which, and what is met at each
//! devices  chains that see the packets of their devices only, and tables of bridges
//! route    where packets go: here, onward, out, nowhere
//! ends     where accepted packets are at the end of it
//! ```

mod devices;
mod ends;
mod hooks;
mod route;

use std::cell::OnceCell;
use std::collections::HashMap;

use super::chain::{Ends, Entry, Run};
use super::evaluate::Memo;
use super::space::Space;
use super::stream::Streams;
use super::surroundings::Around;
use super::{Decision, Fates};
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::simulate::{Prepared, Way};
use crate::firewall::{ChainId, Hook, RuleId};

pub use ends::Arrival;
pub(super) use ends::Sent;

/// What is asked of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Only what becomes of the packets.
    Fates,
    /// Also which rules decide it; slower with many rules.
    Decisions,
}

/// What becomes of the packets of `start` on their way.
///
/// # Errors
/// When the node budget is used up.
pub fn fates(
    space: &mut Space,
    prepared: &Prepared<'_>,
    way: Way,
    start: Region,
    detail: Detail,
) -> Result<Fates, Undecided> {
    fates_among(space, prepared, way, start, detail, &|_| true)
}

/// The same, where rules that are not `relevant` are known to hold for no packet of `start`, also not
/// after a translation: they are left out, which is much faster where they are many.
///
/// # Errors
/// When the node budget is used up.
pub fn fates_among<'a>(
    space: &'a mut Space,
    prepared: &'a Prepared<'a>,
    way: Way,
    start: Region,
    detail: Detail,
    relevant: &'a dyn Fn(RuleId) -> bool,
) -> Result<Fates, Undecided> {
    let start = space.of_way(start, way)?;
    let run = Run { relevant: Some(relevant), ..begun(space, prepared, way, detail) };
    Ok(followed(run, prepared, way, start)?.0)
}

/// How packets come to each chain.
pub(super) type Entries = HashMap<ChainId, Vec<Entry>>;

/// The fates with their decisions, those told roughly ([`Decision::among`]).
pub(super) fn fates_roughly(
    space: &mut Space,
    prepared: &Prepared<'_>,
    way: Way,
    start: Region,
) -> Result<Fates, Undecided> {
    Ok(fates_and_entries(space, prepared, way, start, false)?.0)
}

/// The same, and how packets come to each chain where that is asked for.
pub(super) fn fates_and_entries(
    space: &mut Space,
    prepared: &Prepared<'_>,
    way: Way,
    start: Region,
    wants_entries: bool,
) -> Result<(Fates, Entries), Undecided> {
    let start = space.of_way(start, way)?;
    let mut run = begun(space, prepared, way, Detail::Decisions);
    run.is_rough = true;
    run.entered = wants_entries.then(HashMap::new);
    followed(run, prepared, way, start)
}

/// The fates, and the ends that those accepted have then: packets with the same ends together.
pub(super) fn fates_and_ends(
    space: &mut Space,
    prepared: &Prepared<'_>,
    way: Way,
    start: Region,
) -> Result<(Fates, Vec<Sent>), Undecided> {
    let start = space.of_way(start, way)?;
    let mut run = begun(space, prepared, way, Detail::Fates);
    let passed = run.sent_on(prepared, way, start)?;
    let mut sent: Vec<Sent> = Vec::new();
    for stream in &passed.0 {
        let ends = run.space.ends_now(&stream.effect)?;
        match sent.iter_mut().find(|known| known.ends == ends) {
            Some(known) => {
                known.packets = run.space.bdd.or(known.packets, stream.packets)?;
            }
            None => sent.push(Sent { packets: stream.packets, ends }),
        }
    }
    Ok((concluded(run, &passed)?.0, sent))
}

/// The rules that decide about packets of a region, in the order in which they were asked.
#[must_use]
pub fn deciding(space: &mut Space, decisions: &[Decision], region: Region) -> Vec<Decision> {
    let meets = |decision: &&Decision| space.bdd.meets(decision.packets, region);
    decisions.iter().filter(meets).cloned().collect()
}

fn followed(
    mut run: Run<'_>,
    prepared: &Prepared<'_>,
    way: Way,
    start: Region,
) -> Result<(Fates, Entries), Undecided> {
    let passed = run.sent_on(prepared, way, start)?;
    concluded(run, &passed)
}

fn concluded(mut run: Run<'_>, passed: &Streams) -> Result<(Fates, Entries), Undecided> {
    let accepted = passed.packets(&mut run.space.bdd)?;
    let arrivals = run.arrivals(passed)?;
    let Run { ends, decisions, entered, space, .. } = run;
    let mut rejected = Vec::new();
    for (with, regions) in ends.rejected {
        rejected.push((with, space.bdd.union(regions)?));
    }
    rejected.retain(|(_, region)| !region.is_none());
    let dropped = space.bdd.union(ends.dropped)?;
    let decisions = decisions.unwrap_or_default();
    let unrouted = space.bdd.union(ends.unrouted)?;
    let fates = Fates { accepted, dropped, rejected, unrouted, arrivals, decisions };
    Ok((fates, entered.unwrap_or_default()))
}

/// A run that has not begun.
pub(super) fn begun<'a>(
    space: &'a mut Space,
    prepared: &Prepared<'a>,
    way: Way,
    detail: Detail,
) -> Run<'a> {
    let around = Around {
        world: prepared.world(),
        is_own: way == Way::Output,
        is_for_here: matches!(way, Way::Input | Way::ByRoute),
    };
    let tracks = prepared.tracks(space.is_v6);
    Run {
        space,
        ruleset: prepared.ruleset(),
        around,
        memo: Memo::default(),
        ends: Ends::default(),
        decisions: (detail == Detail::Decisions).then(Vec::new),
        is_rough: false,
        hook: Hook::Prerouting,
        is_tracked: false,
        tracks,
        is_in_nat: false,
        chains_asked: 0,
        nesting: 0,
        summaries: HashMap::new(),
        traits: OnceCell::new(),
        relevant: None,
        entered: None,
    }
}

impl Space {
    /// The packets of a region that can come this way: those of this machine by no interface and
    /// from a socket, others by one and from none.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn of_way(&mut self, region: Region, way: Way) -> Result<Region, Undecided> {
        let by_none = self.bdd.equal(self.layout.interface_in, 0)?;
        let has_socket = self.bdd.variable(self.layout.has_socket.first)?;
        let own = self.bdd.and(by_none, has_socket)?;
        let others = self.bdd.and(!by_none, !has_socket)?;
        self.bdd.and(region, if way == Way::Output { own } else { others })
    }

    /// The packets of a region, and the same with other marks: not rules alone set them (SO_MARK of
    /// socket(7), tc(8)).
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn of_any_mark(&mut self, region: Region) -> Result<Region, Undecided> {
        let cube = self.bdd.cube(self.layout.mark.variables())?;
        self.bdd.exists(region, cube)
    }
}
