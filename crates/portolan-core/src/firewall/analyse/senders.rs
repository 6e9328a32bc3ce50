//! Who sends the packets of a region: sources, by the interface they come by and the address they go to.
//!
//! A region is first reduced to those three, whatever the rest of its packets is ([`Space::shadow`]);
//! then each question is a walk along the bits of interface and destination, which builds nothing.

use std::collections::HashMap;
use std::net::IpAddr;

use super::space::{Space, number_of};
use crate::firewall::bdd::{Bits, Region, Undecided};
use crate::firewall::{Addresses, Packet};

/// A region reduced to interface, destination and source; only good in the space that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shadow(Region);

/// What each variable is of packets that are alike but for their ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Like(Vec<Side>);

/// What a variable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// The same for all.
    Fixed(bool),
    /// Asked about: interface, destination, source.
    Told,
    /// Whatever it may be.
    Any,
}

impl Like {
    fn side(&self, variable: u32) -> Side {
        self.0.get(variable as usize).copied().unwrap_or(Side::Any)
    }
}

/// What packets may differ in from the one they are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alike {
    /// In the interface they come by, whom they go to, and who sends them.
    ButEnds,
    /// In that, and in what clients choose by themselves: the source port
    /// (`net.ipv4.ip_local_port_range`, its default), and the [header](Space::any_header).
    ButEndsAndPort,
    /// In whom they go to, and in the header: answers to anybody.
    ButDestination,
    /// In whom they go to once the translation of their connection is undone, and in the header: answers to
    /// anybody whose address rules have translated.
    ButBecoming,
}

impl Space {
    /// Everything that [`Self::shadow`] takes away, with the questions asked so far.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn beside_senders(&mut self) -> Result<Region, Undecided> {
        let layout = self.layout;
        let kept = [layout.interface_in, layout.destination, layout.source];
        let all = 0..layout.end + self.questions.len() as u32;
        let is_kept = |v: &u32| kept.iter().any(|field| field.variables().contains(v));
        self.bdd.cube(all.filter(|v| !is_kept(v)))
    }

    /// A region reduced to interface, destination and source: those with which some packet is in it.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn shadow(&mut self, region: Region, beside: Region) -> Result<Shadow, Undecided> {
        self.bdd.exists(region, beside).map(Shadow)
    }

    /// The shadow of those packets of a region that are like this one but for their ends: the same as
    /// their intersection's, without building that.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn shadow_of(&mut self, region: Region, like: &Like) -> Result<Shadow, Undecided> {
        self.followed(region, like, &mut HashMap::new()).map(Shadow)
    }

    fn followed(
        &mut self,
        region: Region,
        like: &Like,
        known: &mut HashMap<Region, Region>,
    ) -> Result<Region, Undecided> {
        let mut at = region;
        let branch = loop {
            let Some(branch) = self.bdd.branch(at) else { return Ok(at) };
            match like.side(branch.variable) {
                Side::Fixed(true) => at = branch.one,
                Side::Fixed(false) => at = branch.zero,
                Side::Told | Side::Any => break branch,
            }
        };
        if let Some(result) = known.get(&at) {
            return Ok(*result);
        }
        let zero = self.followed(branch.zero, like, known)?;
        let one = self.followed(branch.one, like, known)?;
        let result = match like.side(branch.variable) {
            Side::Told => self.bdd.node(branch.variable, zero, one)?,
            _ => self.bdd.or(zero, one)?,
        };
        known.insert(at, result);
        Ok(result)
    }

    /// Packets like this one in everything but their ends, for [`Self::shadow_of`].
    #[must_use]
    pub fn alike(&self, packet: &Packet) -> Like {
        let layout = self.layout;
        let mut sides: Vec<Side> = self.encoded(packet).into_iter().map(Side::Fixed).collect();
        let mut set = |fields: &[Bits], side| {
            for variable in fields.iter().flat_map(|field| field.variables()) {
                if let Some(place) = sides.get_mut(variable as usize) {
                    *place = side;
                }
            }
        };
        let becomes = layout.becomes;
        set(&[becomes.source, becomes.destination, becomes.source_port], Side::Any);
        set(&[becomes.destination_port, becomes.protocol], Side::Any);
        set(&[layout.interface_in, layout.destination, layout.source], Side::Told);
        if packet.interface_out.is_none() {
            set(&[layout.interface_out], Side::Any);
        }
        Like(sides)
    }

    /// Who sends packets of a shadow by this interface to this address. `None` where that takes too
    /// many ranges to tell.
    #[must_use]
    pub fn senders(&self, shadow: Shadow, interface: &str, to: IpAddr) -> Option<Addresses> {
        self.sources(self.sight(shadow, interface, to))
    }

    /// What a shadow is of packets that come by this interface to this address: it hangs on their source
    /// alone, and two that are the same have the same senders.
    #[must_use]
    pub fn sight(&self, shadow: Shadow, interface: &str, to: IpAddr) -> Region {
        self.down(shadow.0, interface, to)
    }

    /// The senders that are seen so. `None` where that takes too many ranges to tell.
    #[must_use]
    pub fn sources(&self, sight: Region) -> Option<Addresses> {
        self.addresses_of(sight, self.layout.source)
    }

    /// Whether this sender is among them.
    #[must_use]
    pub fn is_sender(&self, shadow: Shadow, interface: &str, to: IpAddr, from: IpAddr) -> bool {
        let at = self.down(shadow.0, interface, to);
        let source = number_of(from);
        self.bdd.contains(at, |variable| self.layout.source.bit(source, variable) == Some(true))
    }

    /// Whom packets of a region go to; `alike` says where that stands. `None` where that takes too many
    /// ranges to tell.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn receivers(
        &mut self,
        region: Region,
        alike: Alike,
    ) -> Result<Option<Addresses>, Undecided> {
        let layout = self.layout;
        let receiver = match alike {
            Alike::ButBecoming => layout.becomes.destination,
            _ => layout.destination,
        };
        let reduced = self.projected(region, &[receiver])?;
        Ok(self.addresses_of(reduced, receiver))
    }

    fn down(&self, mut at: Region, interface: &str, to: IpAddr) -> Region {
        let (interface, to) = (self.interfaces.number(interface), number_of(to));
        while let Some(branch) = self.bdd.branch(at) {
            let bit = self.layout.interface_in.bit(interface, branch.variable);
            let bit = bit.or_else(|| self.layout.destination.bit(to, branch.variable));
            match bit {
                Some(true) => at = branch.one,
                Some(false) => at = branch.zero,
                None => break,
            }
        }
        at
    }

    fn addresses_of(&self, region: Region, field: Bits) -> Option<Addresses> {
        let parts = self.bdd.split(region, field, MOST_RANGES)?;
        let ranges = parts.into_iter().flat_map(|part| part.values).collect();
        Some(Addresses::of_intervals(self.is_v6, ranges))
    }

    /// The packets of a region with the answers that are presumed to open questions: limits are kept,
    /// as [`crate::firewall::simulate::Presumed`] has it. Questions without one stay.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn presumed(&mut self, region: Region) -> Result<Region, Undecided> {
        let end = self.layout.end;
        let asked = (end..).zip(&self.questions);
        let known: Vec<(u32, bool)> = asked.filter_map(|(v, q)| Some((v, q.presumed?))).collect();
        if known.is_empty() {
            return Ok(region);
        }
        let mut answers = Vec::with_capacity(known.len());
        for (variable, holds) in &known {
            let yes = self.bdd.variable(*variable)?;
            answers.push(if *holds { yes } else { !yes });
        }
        let answers = self.bdd.intersection(answers)?;
        let cube = self.bdd.cube(known.into_iter().map(|(variable, _)| variable))?;
        let region = self.bdd.and(region, answers)?;
        self.bdd.exists(region, cube)
    }

    /// The packets that are like this one. The interface they leave by is that of the packet where it
    /// has one, else open.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn like(&mut self, packet: &Packet, alike: Alike) -> Result<Region, Undecided> {
        let layout = self.layout;
        let mut free = vec![layout.becomes.destination];
        if alike != Alike::ButBecoming {
            free.push(layout.destination);
        }
        if matches!(alike, Alike::ButEnds | Alike::ButEndsAndPort) {
            free.extend([layout.interface_in, layout.source]);
            free.extend([layout.becomes.source, layout.becomes.source_port]);
            free.extend([layout.becomes.destination_port, layout.becomes.protocol]);
        }
        if alike == Alike::ButEndsAndPort {
            free.push(layout.source_port);
        }
        if alike != Alike::ButEnds {
            free.extend([layout.ttl, layout.traffic_class, layout.length]);
        }
        if packet.interface_out.is_none() {
            free.push(layout.interface_out);
        }
        // Without flags there is nothing to fix: see `whatever_is_unread`.
        if packet.protocol != 6 {
            free.push(layout.tcp_flags);
        }
        let bits = self.encoded(packet);
        let mut all = Region::ALL;
        for variable in (0..layout.end).rev() {
            if free.iter().any(|field| field.variables().contains(&variable)) {
                continue;
            }
            let is_one = bits.get(variable as usize).copied().unwrap_or(false);
            let (zero, one) = if is_one { (Region::NONE, all) } else { (all, Region::NONE) };
            all = self.bdd.node(variable, zero, one)?;
        }
        if alike == Alike::ButEndsAndPort {
            let (first, last) = CLIENT_PORTS;
            let ports = self.bdd.range(layout.source_port, first, last)?;
            all = self.bdd.and(all, ports)?;
        }
        if alike != Alike::ButEnds {
            let header = self.any_header(packet.length)?;
            all = self.bdd.and(all, header)?;
        }
        Ok(all)
    }

    /// Packets with whatever a sender may write where no question says what: of any length but that of
    /// less than the headers (`least`), of every class of traffic, and with hops enough to be passed on once.
    fn any_header(&mut self, least: u16) -> Result<Region, Undecided> {
        let layout = self.layout;
        let length = self.bdd.range(layout.length, least.into(), u16::MAX.into())?;
        let ttl = self.bdd.range(layout.ttl, LEAST_HOPS, u8::MAX.into())?;
        self.bdd.and(length, ttl)
    }

    /// What tells a region's packets from others among these: the source ports they have, and other fields
    /// that a client could set otherwise than usual.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn unusual(&mut self, region: Region, among: Region) -> Result<Vec<String>, Undecided> {
        let layout = self.layout;
        let mut found = Vec::new();
        if self.hangs_on(region, among, layout.source_port)? {
            found.push(match &*self.told_ranges(region, layout.source_port)? {
                "" => "the source port".to_owned(),
                told => format!("the source port ({told})"),
            });
        }
        for (field, words) in [
            (layout.ttl, "the time to live"),
            (layout.traffic_class, "the traffic class"),
            (layout.length, "the length"),
        ] {
            if self.hangs_on(region, among, field)? {
                found.push(words.to_owned());
            }
        }
        Ok(found)
    }

    /// Whether some packets of `among` would be in a region, had they another value of this field.
    fn hangs_on(&mut self, region: Region, among: Region, field: Bits) -> Result<bool, Undecided> {
        let inside = self.bdd.and(region, among)?;
        let cube = self.bdd.cube(field.variables())?;
        let whatever = self.bdd.exists(inside, cube)?;
        let wider = self.bdd.and(whatever, among)?;
        Ok(wider != inside)
    }

    /// A field's values in a region, in words; empty where they are too many to tell.
    fn told_ranges(&mut self, region: Region, field: Bits) -> Result<String, Undecided> {
        let reduced = self.projected(region, &[field])?;
        let parts = self.bdd.split(reduced, field, MOST_TOLD).unwrap_or_default();
        let ranges = parts.iter().flat_map(|part| &part.values);
        let told: Vec<String> = ranges
            .map(|(low, high)| if low == high { low.to_string() } else { format!("{low}-{high}") })
            .collect();
        Ok(told.join(", "))
    }
}

/// What has one hop left is not passed on.
const LEAST_HOPS: u128 = 2;
/// So many ranges of addresses are told.
const MOST_RANGES: usize = 1 << 20;
/// So many ranges of ports are told in words.
const MOST_TOLD: usize = 8;
/// 32768 to 60999 (ip-sysctl, `ip_local_port_range`).
const CLIENT_PORTS: (u128, u128) = (32_768, 60_999);
