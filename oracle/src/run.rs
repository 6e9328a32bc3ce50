//! A run: many rulesets, many probes each, and what did not agree, made as small as it gets.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use portolan_core::firewall::Ruleset;
use portolan_core::firewall::simulate::{Prepared, Walk};

use crate::chance::Chance;
use crate::compare;
use crate::draw::{self, Line, Sketch, Wanted};
use crate::judge::Judge;
use crate::rig::{Outcome, Probe, Rig};
use crate::stage::Stage;

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Where all chance begins.
    pub seed: u64,
    /// The number of the first ruleset.
    pub first: u64,
    /// How many rulesets.
    pub rulesets: u64,
    /// What they are about.
    pub wanted: Wanted,
    /// How many packets are sent through each.
    pub probes: u32,
    /// In so many of a hundred rulesets a packet is also sent for each rule that decides, as the exact
    /// analysis finds them.
    pub witnessed: usize,
    /// How many stages there are at once.
    pub jobs: usize,
    /// The most disagreements that are made small and told.
    pub most: usize,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Rulesets that were loaded.
    pub rulesets: u64,
    /// Rulesets of which a tool said nothing that helps.
    pub skipped: u64,
    /// Lines that were taken.
    pub lines: usize,
    /// Lines that were refused.
    pub refused: usize,
    /// Packets sent.
    pub probes: u64,
    /// Packets of which the simulator left open what becomes of them: whatever it says is possible was
    /// allowed.
    pub open: u64,
    /// The same of the exact analysis.
    pub analysed_open: u64,
    /// Packets that went where the stage cannot follow them.
    pub beyond: u64,
    /// Packets the exact analysis was asked about.
    pub analysed: u64,
    /// Packets that the exact analysis found for rules that decide.
    pub witnesses: u64,
    /// Rulesets for which its nodes did not suffice.
    pub undecided: u64,
    /// Answers that came late and were asked for again.
    pub late: u64,
    /// Rulesets with rules that were not understood.
    pub opaque: u64,
    /// What did not agree, with everything needed to see it again.
    pub disagreements: Vec<String>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Report {
    fn add(&mut self, other: Self) {
        self.rulesets += other.rulesets;
        self.skipped += other.skipped;
        self.lines += other.lines;
        self.refused += other.refused;
        self.probes += other.probes;
        self.open += other.open;
        self.analysed_open += other.analysed_open;
        self.beyond += other.beyond;
        self.analysed += other.analysed;
        self.witnesses += other.witnesses;
        self.undecided += other.undecided;
        self.late += other.late;
        self.opaque += other.opaque;
        self.disagreements.extend(other.disagreements);
    }

    /// What came of it, on a few lines.
    #[must_use]
    pub fn summary(&self, options: &Options) -> String {
        let Options { seed, first, .. } = options;
        let rate = self.probes as f64 / self.elapsed.as_secs_f64().max(1e-9);
        format!(
            "seed {seed}, from {first}: {} rulesets ({} skipped, {} with something not understood), {} lines \
             ({} refused)\n{} probes ({} of them witnesses of the analysis; {} beyond the stage, {} late): {} decided by the \
             simulator, {} left open; {} compared with the analysis, {} of them left open, undecided in {} \
             rulesets; {:.1} s, {rate:.0} probes/s\n{} disagreements",
            self.rulesets,
            self.skipped,
            self.opaque,
            self.lines,
            self.refused,
            self.probes,
            self.witnesses,
            self.beyond,
            self.late,
            self.probes - self.open - self.beyond,
            self.open,
            self.analysed,
            self.analysed_open,
            self.undecided,
            self.elapsed.as_secs_f64(),
            self.disagreements.len(),
        )
    }
}

/// One disagreement.
struct Difference {
    probe: Probe,
    seen: Outcome,
}

/// Runs, on several stages at once: a stage mostly waits for the kernel to put new rules in place.
///
/// # Errors
/// Without root, the tools or the kernel's features.
pub fn run(options: &Options) -> io::Result<Report> {
    let start = Instant::now();
    let next = AtomicU64::new(0);
    let told = AtomicUsize::new(0);
    let reports: Vec<io::Result<Report>> = thread::scope(|scope| {
        let all: Vec<_> = (0..options.jobs.max(1))
            .map(|_| scope.spawn(|| Runner::work(options, &next, &told)))
            .collect();
        let join = |one: thread::ScopedJoinHandle<'_, io::Result<Report>>| {
            one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        all.into_iter().map(join).collect()
    });
    let mut sum = Report::default();
    for report in reports {
        sum.add(report?);
    }
    sum.elapsed = start.elapsed();
    Ok(sum)
}

struct Runner {
    rig: Rig,
    stage: Stage,
    report: Report,
}

impl Runner {
    /// Takes one ruleset after another until none is left.
    fn work(options: &Options, next: &AtomicU64, told: &AtomicUsize) -> io::Result<Report> {
        let mut runner =
            Self { rig: Rig::new()?, stage: Stage::default(), report: Report::default() };
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= options.rulesets || told.load(Ordering::Relaxed) >= options.most {
                break;
            }
            let before = runner.report.disagreements.len();
            runner.trial(options, options.first + number)?;
            told.fetch_add(runner.report.disagreements.len() - before, Ordering::Relaxed);
        }
        runner.report.lines = runner.stage.taken;
        runner.report.refused = runner.stage.refused;
        Ok(runner.report)
    }

    fn trial(&mut self, options: &Options, index: u64) -> io::Result<()> {
        let mut chance = Chance::nth(options.seed, index);
        let mut sketch = draw::sketch(&mut chance, options.wanted);
        if let Err(error) = self.stage.load(&mut sketch) {
            self.report.skipped += 1;
            self.stage.complaints.push((format!("ruleset {index}"), error.to_string()));
            return Ok(());
        }
        self.rig.expect_zones(sketch.zones());
        self.rig.forget()?;
        // nft 1.0.6 prints no JSON at all where the freed memory it takes for a table's flag is no text.
        let ruleset = match self.read(&sketch) {
            Ok(ruleset) => ruleset,
            Err(error) if sketch.has_dormant_table() && error.to_string().contains(CUT) => {
                self.report.skipped += 1;
                return Ok(());
            }
            Err(error) => {
                let text = format!("--seed {} --first {index}\nnot read: {error}\n", options.seed);
                self.report.disagreements.push(text);
                return Ok(());
            }
        };
        self.report.rulesets += 1;
        self.report.opaque += u64::from(is_opaque(&ruleset));
        if let Some(difference) = self.probe(options, &mut chance, &sketch, &ruleset)? {
            let small = self.small(sketch, &difference)?;
            let text = self.tell(options, index, &small, &difference)?;
            self.report.disagreements.push(text);
        }
        Ok(())
    }

    /// Reads back what is loaded, with our own readers.
    fn read(&self, sketch: &Sketch) -> io::Result<Ruleset> {
        let listing = self.rig.listing()?;
        let mut saved = Vec::new();
        for (is_v6, lines) in [(false, &sketch.ip), (true, &sketch.ip6)] {
            if !lines.is_empty() {
                saved.push((is_v6, self.rig.saved(is_v6)?));
            }
        }
        let ipsets = if saved.is_empty() { String::new() } else { self.rig.ipsets()? };
        let hooks = sketch.is_own_order.then(|| draw::hooks(&sketch.nft));
        crate::judge::read(&listing, hooks.as_deref(), &saved, &ipsets)
    }

    /// Sends probes until one does not agree.
    fn probe(
        &mut self,
        options: &Options,
        chance: &mut Chance,
        sketch: &Sketch,
        ruleset: &Ruleset,
    ) -> io::Result<Option<Difference>> {
        let world = self.rig.world();
        let prepared = Prepared::new(ruleset, &world).minding_senders();
        let mut judge = Judge::new(&prepared, ruleset, &world);
        let lines: Vec<&Line> = lines(sketch).filter(|line| !line.edges.is_empty()).collect();
        let mut used = Used::default();
        for number in 0..options.probes {
            let Some(probe) = draw::probe(chance, &lines, number) else { continue };
            if !used.is_new(&probe) {
                continue;
            }
            if let Some(difference) = self.one(&prepared, &mut judge, probe)? {
                return Ok(Some(difference));
            }
        }
        if chance.percent(options.witnessed) {
            for probe in judge.witnesses().unwrap_or_default() {
                if !used.is_new(&probe) {
                    continue;
                }
                self.report.witnesses += 1;
                if let Some(difference) = self.one(&prepared, &mut judge, probe)? {
                    return Ok(Some(difference));
                }
            }
        }
        self.report.analysed += judge.asked;
        self.report.analysed_open += judge.open;
        self.report.undecided += judge.undecided;
        Ok(None)
    }

    /// Sends one probe and compares.
    fn one(
        &mut self,
        prepared: &Prepared<'_>,
        judge: &mut Judge<'_>,
        probe: Probe,
    ) -> io::Result<Option<Difference>> {
        let seen = self.rig.send(&probe)?;
        let saying = compare::simulate(prepared, &probe.packet);
        self.report.probes += 1;
        let is_beyond = compare::is_beyond(&saying);
        self.report.beyond += u64::from(is_beyond);
        self.report.open += u64::from(!is_beyond && !saying.walk.is_certain());
        let packet = &probe.packet;
        let mut is_right = |seen: &Outcome| {
            compare::agrees(prepared, packet, &saying, seen) && judge.agrees(packet, &saying, seen)
        };
        if is_right(&seen) {
            return Ok(None);
        }
        // Once more, with nothing remembered: it may have come late.
        self.rig.settle()?;
        self.rig.forget()?;
        let seen = self.rig.send(&probe)?;
        if is_right(&seen) {
            self.report.late += 1;
            return Ok(None);
        }
        Ok(Some(Difference { probe, seen }))
    }

    /// Whether the loaded ruleset still disagrees about the probe.
    fn still_differs(&mut self, sketch: &mut Sketch, probe: &Probe) -> io::Result<bool> {
        self.stage.load(sketch)?;
        self.rig.settle()?;
        self.rig.forget()?;
        let ruleset = self.read(sketch)?;
        let world = self.rig.world();
        let prepared = Prepared::new(&ruleset, &world).minding_senders();
        let saying = compare::simulate(&prepared, &probe.packet);
        let seen = self.rig.send(probe)?;
        let mut judge = Judge::new(&prepared, &ruleset, &world);
        Ok(!compare::agrees(&prepared, &probe.packet, &saying, &seen)
            || !judge.agrees(&probe.packet, &saying, &seen))
    }

    /// Leaves out every line without which they still disagree.
    fn small(&mut self, mut sketch: Sketch, difference: &Difference) -> io::Result<Sketch> {
        let (taken, refused) = (self.stage.taken, self.stage.refused);
        for part in 0..3 {
            let mut fewer = sketch.clone();
            part_of(&mut fewer, part).clear();
            if self.still_differs(&mut fewer, &difference.probe).unwrap_or(false) {
                sketch = fewer;
            }
            let mut at = part_of(&mut sketch, part).len();
            while at > 0 {
                at -= 1;
                let mut fewer = sketch.clone();
                let lines = part_of(&mut fewer, part);
                if at >= lines.len() || lines[at].is_frame {
                    continue;
                }
                lines.remove(at);
                if self.still_differs(&mut fewer, &difference.probe).unwrap_or(false) {
                    sketch = fewer;
                }
            }
        }
        (self.stage.taken, self.stage.refused) = (taken, refused);
        Ok(sketch)
    }

    fn tell(
        &mut self,
        options: &Options,
        index: u64,
        sketch: &Sketch,
        of: &Difference,
    ) -> io::Result<String> {
        let mut sketch = sketch.clone();
        self.stage.load(&mut sketch)?;
        self.rig.settle()?;
        self.rig.forget()?;
        let ruleset = self.read(&sketch)?;
        let world = self.rig.world();
        let probe = &of.probe;
        let prepared = Prepared::new(&ruleset, &world).minding_senders();
        let saying = compare::simulate(&prepared, &probe.packet);
        let walk = &saying.walk;
        let seen = self.rig.send(probe)?;
        let mut judge = Judge::new(&prepared, &ruleset, &world);
        let analysed = judge.verdicts(&probe.packet);
        let text = telling(options, index, &ruleset, probe, walk);
        let rules: String = lines(&sketch).flat_map(|line| [&line.text, "\n"]).collect();
        Ok(format!(
            "{text}{rules}kernel:    {seen:?} (at first {:?})\nanalysis:  {analysed}\n",
            of.seen
        ))
    }
}

/// What our reader says of an empty listing.
const CUT: &str = "ends in the middle";

fn telling(options: &Options, index: u64, ruleset: &Ruleset, probe: &Probe, walk: &Walk) -> String {
    let mut text = format!("--seed {} --first {index}\n{:?}\n", options.seed, probe.packet);
    if let Some(flow) = &probe.flow {
        let _ = writeln!(text, "{flow:?}");
    }
    let by = walk.decided_by.and_then(|id| ruleset.place(id));
    let by = by.map(|place| place.to_string()).unwrap_or_default();
    let end = &walk.packet;
    let _ = writeln!(
        text,
        "simulator: {:?} at {:?} by {by}; {} -> {} {} -> {} mark {:#x} out {:?}, open {:?}",
        walk.outcome,
        walk.hook,
        end.source,
        end.destination,
        end.source_port,
        end.destination_port,
        end.mark,
        end.interface_out,
        walk.depends_on,
    );
    text
}

fn lines(sketch: &Sketch) -> impl Iterator<Item = &Line> {
    sketch.nft.iter().chain(&sketch.ip).chain(&sketch.ip6)
}

fn part_of(sketch: &mut Sketch, part: usize) -> &mut Vec<Line> {
    match part {
        0 => &mut sketch.nft,
        1 => &mut sketch.ip,
        _ => &mut sketch.ip6,
    }
}

fn is_opaque(ruleset: &Ruleset) -> bool {
    let mut rules = ruleset.tables.iter().flat_map(|t| &t.chains).flat_map(|c| &c.rules);
    rules.any(|rule| {
        let text = format!("{:?}", rule.statements);
        text.contains("Decides") || text.contains("Unknown(")
    })
}

/// Ends of connections that conntrack may remember, so that every probe is the first of its kind.
#[derive(Debug, Default)]
struct Used(HashSet<(u8, IpAddr, u16)>);

impl Used {
    fn is_new(&mut self, probe: &Probe) -> bool {
        let packet = &probe.packet;
        if packet.is_later_fragment || matches!(packet.protocol, 1 | 58) && probe.flow.is_none() {
            return true;
        }
        if let Some(flow) = &probe.flow {
            let original = flow.original;
            self.0.insert((original.protocol, original.source, original.source_port));
            if flow.is_quoted {
                return self.0.insert((
                    original.protocol,
                    original.destination,
                    original.source_port,
                ));
            }
        }
        let port = if matches!(packet.protocol, 6 | 17) { packet.source_port } else { 0 };
        self.0.insert((packet.protocol, packet.source, port))
            || probe.flow.is_some() && self.0.len() == 1
    }
}
