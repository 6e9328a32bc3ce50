//! The readers, and what the exact analysis says of a packet.

use std::io;

use portolan_core::firewall::analyse::{DEFAULT_BUDGET, Detail, Space, fates};
use portolan_core::firewall::bdd::{Region, Undecided};
use portolan_core::firewall::ipset::Ipsets;
use portolan_core::firewall::iptables::Save;
use portolan_core::firewall::simulate::{Outcome, Prepared, Way};
use portolan_core::firewall::{Family, Packet, ReadError, Ruleset, World};

use crate::compare::{self, Saying};
use crate::draw;
use crate::rig::{self, Outcome as Seen, Probe};

/// What was listed and saved as one ruleset; `hooks` is what `nft list hooks` would print.
///
/// # Errors
/// When a reader refuses what a tool printed.
pub fn read(
    listing: &str,
    hooks: Option<&str>,
    saved: &[(bool, String)],
    ipsets: &str,
) -> io::Result<Ruleset> {
    let refused = |error: ReadError| io::Error::other(format!("{error:?}"));
    let ipsets = Ipsets::read(ipsets).map_err(refused)?;
    let mut saves = Vec::new();
    for (is_v6, text) in saved {
        let family = if *is_v6 { Family::Ip6 } else { Family::Ip };
        saves.push(Save::read(text, Some(family), Some(&ipsets)).map_err(refused)?);
    }
    let mut listed = Ruleset::from_nft_json(listing.as_bytes()).map_err(refused)?;
    if let Some(hooks) = hooks {
        listed.order_by_hooks(hooks);
    }
    listed.with_saves(saves).map_err(refused)
}

/// The exact analysis of one ruleset: regions of packets by family and way, each made when it is first
/// asked for.
#[derive(Debug)]
pub struct Judge<'r> {
    prepared: &'r Prepared<'r>,
    ruleset: &'r Ruleset,
    world: &'r World,
    maps: [Option<Map>; 4],
    /// How many packets it was asked about.
    pub asked: u64,
    /// Of how many it left open how they end.
    pub open: u64,
    /// How often it gave up for want of nodes.
    pub undecided: u64,
}

/// What becomes of the packets of one family and way.
#[derive(Debug)]
struct Map {
    space: Space,
    /// Ends with the packets that certainly, and that possibly, end so.
    ends: Vec<(Outcome, Region, Region)>,
}

impl<'r> Judge<'r> {
    /// One that has not looked yet.
    #[must_use]
    pub fn new(prepared: &'r Prepared<'r>, ruleset: &'r Ruleset, world: &'r World) -> Self {
        Self {
            prepared,
            ruleset,
            world,
            maps: [None, None, None, None],
            asked: 0,
            open: 0,
            undecided: 0,
        }
    }

    /// Whether the kernel did what the analysis says of a packet: the ways that are possible for it.
    pub fn agrees(&mut self, packet: &Packet, saying: &Saying, seen: &Seen) -> bool {
        let is_lost = compare::is_lost(self.prepared, saying);
        let is_over = compare::is_out_of_hops(packet, &saying.walk, seen);
        if is_lost || is_over || compare::is_beyond(saying) || compare::is_refused(saying) {
            return true;
        }
        let Some(ends) = self.ends(packet) else { return true };
        self.asked += 1;
        let fits = |outcome: &Outcome| compare::is_kind(packet, *outcome, seen);
        match &ends[..] {
            [(outcome, true)] => fits(outcome),
            // Open questions: one of the possible ends, and as presumed where all is presumed.
            ends => {
                self.open += 1;
                ends.iter().any(|(outcome, _)| fits(outcome))
            }
        }
    }

    /// What it says, in words.
    pub fn verdicts(&mut self, packet: &Packet) -> String {
        format!("{:?}", self.ends(packet))
    }

    /// How a packet may end, each with whether it certainly does; `None` where the nodes did not suffice.
    fn ends(&mut self, packet: &Packet) -> Option<Vec<(Outcome, bool)>> {
        let is_own = packet.interface_in.is_empty();
        let is_v6 = packet.is_v6();
        let slot = usize::from(is_v6) * 2 + usize::from(is_own);
        if self.maps[slot].is_none() {
            match Map::new(self.prepared, self.ruleset, self.world, is_v6, is_own) {
                Ok(map) => self.maps[slot] = Some(map),
                Err(_) => {
                    self.undecided += 1;
                    return None;
                }
            }
        }
        let map = self.maps[slot].as_ref()?;
        let bits = map.space.encoded(packet);
        let bit = |variable: u32| bits.get(variable as usize).copied().unwrap_or(false);
        let contains = |region: Region| map.space.bdd.contains(region, bit);
        let possible = map.ends.iter().filter(|(_, _, possibly)| contains(*possibly));
        Some(possible.map(|(outcome, certainly, _)| (*outcome, contains(*certainly))).collect())
    }
}

impl Judge<'_> {
    /// A packet for each rule and policy that decides about a first packet of a connection, as the
    /// analysis finds them.
    ///
    /// # Errors
    /// When the nodes do not suffice.
    pub fn witnesses(&self) -> Result<Vec<Probe>, Undecided> {
        let mut found = Vec::new();
        for (is_v6, is_own) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut space = Space::new(is_v6, &[self.ruleset], self.world, DEFAULT_BUDGET);
            let way = if is_own { Way::Output } else { Way::ByRoute };
            let start = sendable(&mut space, is_v6, is_own)?;
            let told = fates(&mut space, self.prepared, way, start, Detail::Decisions)?;
            for decision in told.decisions {
                let region = space.bdd.and(start, decision.packets)?;
                if let Some(witness) = space.witness(region)? {
                    let number = 30_000 + found.len() as u16;
                    let packet = own_connection(&space, region, witness.packet, number);
                    found.push(Probe { packet, flow: None });
                }
            }
        }
        // The sockets of the rig are root's.
        let is_ours = |packet: &Packet| packet.socket.is_none_or(|owner| owner == (0, 0));
        found.retain(|probe| draw::is_sendable(&probe.packet) && is_ours(&probe.packet));
        Ok(found)
    }
}

/// First packets of connections that the rig can send.
fn sendable(space: &mut Space, is_v6: bool, is_own: bool) -> Result<Region, Undecided> {
    let (from, to) = draw::usual_ends(is_v6, is_own);
    let (from, to) = (space.from(&from)?, space.to(&to)?);
    let (tcp, udp) = (space.protocol(6)?, space.protocol(17)?);
    let protocols = space.bdd.or(tcp, udp)?;
    let link = if is_own { Region::ALL } else { space.comes_by("eth0")? };
    let fresh = space.fresh()?;
    space.bdd.intersection([fresh, from, to, protocols, link])
}

/// The same packet from a port of its own, if it stays in the region.
fn own_connection(space: &Space, region: Region, packet: Packet, number: u16) -> Packet {
    let shortest = rig::shortest(packet.is_v6(), packet.protocol, false);
    let tries = [
        Packet { source_port: number, length: packet.length.max(shortest), ..packet.clone() },
        Packet { length: packet.length.max(shortest), ..packet.clone() },
    ];
    let holds = |packet: &Packet| {
        let bits = space.encoded(packet);
        let questions = |variable: u32| bits.get(variable as usize).copied().unwrap_or(false);
        space.bdd.contains(region, questions)
    };
    tries.into_iter().find(holds).unwrap_or(Packet { ttl: 0, ..packet })
}

impl Map {
    fn new(
        prepared: &Prepared<'_>,
        ruleset: &Ruleset,
        world: &World,
        is_v6: bool,
        is_own: bool,
    ) -> Result<Self, Undecided> {
        let mut space = Space::new(is_v6, &[ruleset], world, DEFAULT_BUDGET);
        let way = if is_own { Way::Output } else { Way::ByRoute };
        let fates = fates(&mut space, prepared, way, Region::ALL, Detail::Fates)?;
        let mut all = vec![(Outcome::Accept, fates.accepted), (Outcome::Drop, fates.dropped)];
        let rejected = fates.rejected.into_iter();
        all.extend(rejected.map(|(with, region)| (Outcome::Reject(with), region)));
        let mut ends = Vec::new();
        for (outcome, region) in all {
            let (certainly, possibly) = space.certainly_and_possibly(region)?;
            ends.push((outcome, certainly, possibly));
        }
        Ok(Self { space, ends })
    }
}
