//! Choosing port numbers: which are out of the question and why, and in which order the rest is
//! tried.
//!
//! Works on values only. What is excluded comes from outside as sets (the kernel's settings, IANA's
//! registry, the inventory, leases, NAT rules, sockets); whether a candidate can really be bound is
//! for the caller to try, one after the other, in the order given here.

use crate::net::{Port, PortRange, PortSet};

use super::LocalPorts;

/// Why a number is not given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exclusion {
    /// Below `ip_unprivileged_port_start`, and the caller may not bind there.
    Privileged,
    /// The kernel takes it for outgoing connections and bind(0).
    Ephemeral,
    /// The administrator keeps it for something (`ip_local_reserved_ports`).
    Reserved,
    /// IANA has assigned it to a service.
    Assigned,
    /// Browsers refuse to connect to it.
    BlockedByBrowsers,
    /// Kubernetes gives it to services.
    NodePort,
    /// The inventory declares it, or it lies in a pool of the inventory.
    Inventory,
    /// A NAT rule takes its traffic elsewhere, or a container has published it.
    Translated,
    /// Portolan has given it to somebody else.
    Leased,
    /// A socket uses it, in whatever state.
    InUse,
    /// The kernel refused a bind when it was tried.
    Refused,
}

impl Exclusion {
    /// Every reason, in the order they are told and counted: a number that has several counts for
    /// the first.
    pub const ALL: [Self; 11] = [
        Self::Privileged,
        Self::Ephemeral,
        Self::Reserved,
        Self::Assigned,
        Self::BlockedByBrowsers,
        Self::NodePort,
        Self::Inventory,
        Self::Translated,
        Self::Leased,
        Self::InUse,
        Self::Refused,
    ];

    /// The word used in JSON, kebab-case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Ephemeral => "ephemeral",
            Self::Reserved => "reserved",
            Self::Assigned => "assigned",
            Self::BlockedByBrowsers => "blocked-by-browsers",
            Self::NodePort => "node-port",
            Self::Inventory => "inventory",
            Self::Translated => "translated",
            Self::Leased => "leased",
            Self::InUse => "in-use",
            Self::Refused => "refused",
        }
    }
}

/// The numbers that are out of the question, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exclusions {
    sets: Vec<(Exclusion, PortSet)>,
    all: PortSet,
}

impl Exclusions {
    /// Adds `ports` for a reason.
    pub fn add(&mut self, reason: Exclusion, ports: &PortSet) {
        self.all.union_with(ports);
        match self.sets.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, set)) => set.union_with(ports),
            None => self.sets.push((reason, ports.clone())),
        }
    }

    /// Adds one port for a reason.
    pub fn add_port(&mut self, reason: Exclusion, port: Port) {
        self.add(reason, &PortSet::from_iter([port.into()]));
    }

    /// Whether `port` is out of the question.
    #[must_use]
    pub fn contains(&self, port: Port) -> bool {
        self.all.contains(port)
    }

    /// Every reason that `port` is out of the question for.
    pub fn reasons(&self, port: Port) -> impl Iterator<Item = Exclusion> {
        let of = move |reason| self.of(reason).is_some_and(|set| set.contains(port));
        Exclusion::ALL.into_iter().filter(move |reason| of(*reason))
    }

    /// The numbers of `range` that each reason takes away, each number under its first reason only,
    /// so that the counts add up. Reasons that take none are left out.
    #[must_use]
    pub fn within(&self, range: PortRange) -> Vec<(Exclusion, PortSet)> {
        let mut told = PortSet::new();
        let mut shares = Vec::new();
        for reason in Exclusion::ALL {
            let Some(set) = self.of(reason) else { continue };
            let mut share = PortSet::new();
            let fresh = range.iter().filter(|p| set.contains(*p) && !told.contains(*p));
            fresh.for_each(|port| share.insert(port));
            told.union_with(&share);
            if !share.is_empty() {
                shares.push((reason, share));
            }
        }
        shares
    }

    /// How many numbers of `range` are left.
    #[must_use]
    pub fn left_in(&self, range: PortRange) -> usize {
        range.iter().filter(|port| !self.contains(*port)).count()
    }

    /// How many numbers of `range` are left in a row, at most.
    #[must_use]
    pub fn longest_run_in(&self, range: PortRange) -> usize {
        let runs = range.iter().scan(0, |run, port| {
            *run = if self.contains(port) { 0 } else { *run + 1 };
            Some(*run)
        });
        runs.max().unwrap_or(0)
    }

    fn of(&self, reason: Exclusion) -> Option<&PortSet> {
        self.sets.iter().find(|(known, _)| *known == reason).map(|(_, set)| set)
    }
}

/// What the kernel's settings take away.
///
/// In a range that the administrator has set aside for us (a pool of the inventory), the numbers in
/// `ip_local_reserved_ports` are the safe ones: the kernel never gives them out by itself.
#[must_use]
pub fn of_kernel(ports: &LocalPorts, set_aside: Option<PortRange>) -> Exclusions {
    let is_safe = |port: Port| {
        ports.reserved.contains(port) && set_aside.is_some_and(|range| range.contains(port))
    };
    let only = |range: PortRange, keep: &dyn Fn(Port) -> bool| {
        let mut set = PortSet::new();
        range.iter().filter(|port| keep(*port)).for_each(|port| set.insert(port));
        set
    };
    let mut exclusions = Exclusions::default();
    exclusions.add(Exclusion::Ephemeral, &only(ports.ephemeral, &|p| !is_safe(p)));
    let reserved = only(PortRange::ALL, &|p| ports.reserved.contains(p) && !is_safe(p));
    exclusions.add(Exclusion::Reserved, &reserved);
    exclusions
}

/// The ports browsers refuse to fetch from ("bad ports", <https://fetch.spec.whatwg.org/#port-blocking>).
#[must_use]
pub fn blocked_by_browsers() -> PortSet {
    BLOCKED_BY_BROWSERS.into_iter().map(|number| PortRange::from(Port(number))).collect()
}

/// What Kubernetes gives to services of type NodePort unless told otherwise
/// (kube-apiserver, `--service-node-port-range`).
#[must_use]
pub fn node_ports() -> PortRange {
    PortRange::new(Port(30000), Port(32767)).expect("30000 is below 32767")
}

/// Where numbers are taken from unless somebody says otherwise: below what Linux, macOS and Windows
/// choose from and below NodePort, above nearly everything that is well known.
#[must_use]
pub fn usual_range() -> PortRange {
    PortRange::new(Port(20000), Port(29999)).expect("20000 is below 29999")
}

/// In which order the numbers of a range are tried. Every order visits each number once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// From a place that a number decides, onwards by a step that it decides too: two that collide
    /// at the first place part at the second.
    Scattered(u64),
    /// From the nearest to a port outwards; of two equally near the higher first.
    Near(Port),
}

impl Order {
    /// The order that belongs to a name: the same on every machine and with every version.
    ///
    /// The name is hashed with 64-bit FNV-1a and mixed with the finisher of SplitMix64; the first
    /// port is that number modulo the length of the range. Both are fixed by their definitions and
    /// so do not change with the standard library, as its hasher may.
    #[must_use]
    pub fn of_name(name: &[u8]) -> Self {
        let hash = name.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self::Scattered(mixed(hash))
    }

    /// The numbers of `range`, each once, in this order.
    pub fn ports(self, range: PortRange) -> Box<dyn Iterator<Item = Port>> {
        match self {
            Self::Scattered(number) => Box::new(scattered(number, range)),
            Self::Near(port) => Box::new(outwards(port, range)),
        }
    }
}

/// slot(i) = (number + i·step) mod N, with a step that has no divisor in common with N.
fn scattered(number: u64, range: PortRange) -> impl Iterator<Item = Port> {
    let length = range.len() as u64;
    let wish = 1 + mixed(number) % length;
    let step = (wish..).find(|s| greatest_common_divisor(*s, length) == 1).unwrap_or(1);
    let first = number % length;
    let slot = move |i: u64| u16::try_from((first + i * step) % length).unwrap_or(0);
    (0..length).map(move |i| Port(range.first().0 + slot(i)))
}

fn outwards(port: Port, range: PortRange) -> impl Iterator<Item = Port> {
    let up = (port.0..=u16::MAX).map(Some).chain(std::iter::repeat(None));
    // The port itself has no partner below.
    let down =
        std::iter::once(None).chain((0..port.0).rev().map(Some)).chain(std::iter::repeat(None));
    let pairs = up.zip(down).take(1 << 16);
    pairs.flat_map(|(up, down)| [up, down]).flatten().map(Port).filter(move |p| range.contains(*p))
}

/// The finisher of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014): spreads similar numbers over all 64 bits.
const fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

const fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// What is wanted of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Where to look.
    pub range: PortRange,
    /// How many.
    pub count: u16,
    /// Whether they must follow one another.
    pub consecutive: bool,
    /// In which order to try them.
    pub order: Order,
}

/// Chooses the wished number of ports, none of them excluded and each one accepted by `is_free`,
/// ascending; fewer, or none where they must follow one another, if there are no more.
///
/// What `is_free` refuses is added to the exclusions and not asked again.
pub fn choose(
    wish: &Wish,
    exclusions: &mut Exclusions,
    mut is_free: impl FnMut(Port) -> bool,
) -> Vec<Port> {
    let mut may_have = |port: Port, exclusions: &mut Exclusions| {
        if exclusions.contains(port) {
            return false;
        }
        let free = is_free(port);
        if !free {
            exclusions.add_port(Exclusion::Refused, port);
        }
        free
    };
    let count = usize::from(wish.count);
    let mut ports = wish.order.ports(wish.range);
    let mut chosen: Vec<Port> = if wish.consecutive {
        let runs = ports.filter_map(|first| run_from(first, wish));
        // Trying costs a system call or four: a run that is out of the question anyway is not tried.
        let mut free = runs.filter(|run| {
            !run.iter().any(|port| exclusions.contains(port))
                && run.iter().all(|port| may_have(port, exclusions))
        });
        free.next().map(|run| run.iter().collect()).unwrap_or_default()
    } else {
        let mut chosen = Vec::with_capacity(count);
        while chosen.len() < count {
            let Some(port) = ports.next() else { break };
            if may_have(port, exclusions) {
                chosen.push(port);
            }
        }
        chosen
    };
    chosen.sort_unstable();
    chosen
}

/// The run of the wished length that begins at `first`, if the range holds it.
fn run_from(first: Port, wish: &Wish) -> Option<PortRange> {
    let last = Port(first.0.checked_add(wish.count.checked_sub(1)?)?);
    let run = PortRange::new(first, last).ok()?;
    wish.range.contains(last).then_some(run)
}

const BLOCKED_BY_BROWSERS: [u16; 82] = [
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102,
    103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465,
    512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993,
    995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668,
    6669, 6679, 6697, 10080,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(first: u16, last: u16) -> PortRange {
        PortRange::new(Port(first), Port(last)).unwrap()
    }

    fn set(ports: &[u16]) -> PortSet {
        ports.iter().map(|p| PortRange::from(Port(*p))).collect()
    }

    #[test]
    fn a_name_has_its_number_for_ever() {
        let first = |name: &str| Order::of_name(name.as_bytes()).ports(usual_range()).next();
        // Changing these takes every project's number away.
        assert_eq!(first("/home/ann/shop\0web"), Some(Port(23809)));
        assert_eq!(first("/home/ann/shop\0api"), Some(Port(28143)));
        assert_eq!(first(""), Some(Port(26203)));
    }

    #[test]
    fn the_nearest_comes_first_and_of_two_the_higher() {
        let near = |port| Order::Near(Port(port)).ports(range(10, 14)).collect::<Vec<_>>();
        assert_eq!(near(12), [12, 13, 11, 14, 10].map(Port));
        assert_eq!(near(3), [10, 11, 12, 13, 14].map(Port));
        assert_eq!(near(65535), [14, 13, 12, 11, 10].map(Port));
    }

    #[test]
    fn a_run_has_no_excluded_port_inside() {
        let mut exclusions = Exclusions::default();
        exclusions.add(Exclusion::Assigned, &set(&[102, 106]));
        let order = Order::Near(Port(100));
        let wish = Wish { range: range(100, 110), count: 3, consecutive: true, order };
        let chosen = choose(&wish, &mut exclusions, |port| port != Port(104));
        assert_eq!(chosen, [107, 108, 109].map(Port));
        let none = choose(&Wish { count: 5, ..wish }, &mut exclusions, |_| true);
        assert_eq!(none, []);
        assert_eq!(exclusions.longest_run_in(wish.range), 4, "107 to 110");
    }

    #[test]
    fn a_run_that_is_out_of_the_question_is_not_tried() {
        let mut exclusions = Exclusions::default();
        exclusions.add(Exclusion::Assigned, &set(&[104, 109, 114, 119]));
        let order = Order::Near(Port(100));
        let wish = Wish { range: range(100, 119), count: 5, consecutive: true, order };
        let mut tried = 0;
        let chosen = choose(&wish, &mut exclusions, |_| {
            tried += 1;
            true
        });
        assert_eq!((chosen, tried), (Vec::new(), 0));
    }

    #[test]
    fn a_number_with_two_reasons_is_counted_once() {
        let mut exclusions = Exclusions::default();
        exclusions.add(Exclusion::InUse, &set(&[100, 101]));
        exclusions.add(Exclusion::Assigned, &set(&[101, 500]));
        let told = exclusions.within(range(100, 110));
        assert_eq!(told, [(Exclusion::Assigned, set(&[101])), (Exclusion::InUse, set(&[100]))]);
        assert_eq!(exclusions.left_in(range(100, 110)), 9);
        let both: Vec<_> = exclusions.reasons(Port(101)).collect();
        assert_eq!(both, [Exclusion::Assigned, Exclusion::InUse]);
    }

    #[test]
    fn reserved_numbers_are_safe_in_a_range_that_was_set_aside() {
        let ports = LocalPorts { reserved: set(&[40000, 80]), ..LocalPorts::default() };
        let usual = of_kernel(&ports, None);
        assert_eq!(usual.reasons(Port(40000)).count(), 2);
        let pool = of_kernel(&ports, Some(range(40000, 40010)));
        assert!(!pool.contains(Port(40000)));
        assert!(pool.contains(Port(40001)) && pool.contains(Port(80)));
    }

    #[test]
    fn browsers_block_what_the_standard_lists() {
        let blocked = blocked_by_browsers();
        assert_eq!(blocked.len(), 82);
        assert!([6000, 10080, 4190, 6679].into_iter().all(|p| blocked.contains(Port(p))));
        assert!(!blocked.contains(Port(8080)));
    }

    proptest! {
        #[test]
        fn every_order_visits_each_number_once(number in any::<u64>(), a in any::<u16>(), b in any::<u16>(), near in any::<u16>()) {
            let range = range(a.min(b), a.max(b).min(a.min(b).saturating_add(2000)));
            for order in [Order::Scattered(number), Order::Near(Port(near))] {
                let visited: Vec<Port> = order.ports(range).collect();
                let distinct: PortSet = visited.iter().map(|p| PortRange::from(*p)).collect();
                prop_assert_eq!(visited.len(), range.len());
                prop_assert_eq!(distinct, PortSet::from_iter([range]));
            }
        }

        #[test]
        fn nothing_excluded_or_taken_is_chosen(
            number in any::<u64>(),
            excluded in prop::collection::vec(1000u16..1100, 0..80),
            taken in prop::collection::vec(1000u16..1100, 0..80),
            count in 1u16..8,
            consecutive in any::<bool>(),
        ) {
            let range = range(1000, 1099);
            let mut exclusions = Exclusions::default();
            exclusions.add(Exclusion::Leased, &set(&excluded));
            let wish = Wish { range, count, consecutive, order: Order::Scattered(number) };
            let chosen = choose(&wish, &mut exclusions, |p| !taken.contains(&p.0));
            let is_free = |p: u16| !excluded.contains(&p) && !taken.contains(&p);
            prop_assert!(chosen.iter().all(|p| is_free(p.0) && range.contains(*p)));
            prop_assert!(chosen.windows(2).all(|w| w[0] < w[1]));
            let possible = if consecutive {
                let run = |first: u16| (first..first + count).all(|p| p < 1100 && is_free(p));
                if (1000..1100).any(run) { usize::from(count) } else { 0 }
            } else {
                (1000..1100).filter(|p| is_free(*p)).count().min(usize::from(count))
            };
            prop_assert_eq!(chosen.len(), possible);
            if consecutive && !chosen.is_empty() {
                prop_assert_eq!(chosen[chosen.len() - 1].0 - chosen[0].0 + 1, count);
            }
        }
    }
}
