//! Which way each target is reached, as the kernel would send to it.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use portolan_core::net::Moment;
use portolan_core::scan::LocalError;
use portolan_core::wire::device::{Device, LinkKind};
use portolan_core::wire::neighbour::Neighbour;
use portolan_core::wire::route::{NoRoute, Route, RouteKind, RouteQuestion};
use rustix::io::Errno;

use crate::probe::fault;
use crate::route::Routing;

/// What becomes of a probe to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It leaves by an interface as a packet of ours.
    Wire(Hop),
    /// It is the kernel's own: an address of this machine, a group, a link we do not know how to use.
    Kernel,
    /// It cannot leave.
    None(LocalError),
}

/// How a packet leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    /// The address it leaves with.
    pub(super) source: IpAddr,
    /// The interface.
    pub(super) interface: u32,
    /// Whose link address is needed; `None` where links have none.
    pub(super) neighbour: Option<IpAddr>,
    /// Our own link address; `None` where it is no Ethernet.
    pub(super) link: Option<[u8; 6]>,
    /// The largest packet.
    pub(super) mtu: u32,
}

/// What is known of the ways, for a while.
#[derive(Debug)]
pub(super) struct Ways {
    routing: Routing,
    source: Option<IpAddr>,
    interface: Option<u32>,
    ways: HashMap<IpAddr, Way>,
    devices: HashMap<u32, Option<Device>>,
    fresh_until: Moment,
}

impl Ways {
    /// Ways from this address and out of this interface, where one is given.
    ///
    /// # Errors
    /// When netlink is not to be had.
    pub(super) fn open(source: Option<IpAddr>, interface: Option<u32>) -> io::Result<Self> {
        let routing = Routing::open()?;
        let (ways, devices) = (HashMap::new(), HashMap::new());
        Ok(Self { routing, source, interface, ways, devices, fresh_until: Moment::START })
    }

    /// The way to a target.
    pub(super) fn of(&mut self, now: Moment, target: IpAddr) -> Way {
        // Routes change, and a scan of a large network must not remember all of it.
        if now >= self.fresh_until || self.ways.len() >= MOST {
            self.ways.clear();
            self.devices.clear();
            self.fresh_until = now + FRESH;
        }
        if let Some(way) = self.ways.get(&target) {
            return *way;
        }
        let way = self.ask(target).unwrap_or_else(|error| {
            Way::None(fault::local(Errno::from_io_error(&error).unwrap_or(Errno::IO)))
        });
        self.ways.insert(target, way);
        way
    }

    /// What the kernel knows of a neighbour; nothing where it cannot be asked.
    pub(super) fn neighbour(&mut self, interface: u32, address: IpAddr) -> Option<Neighbour> {
        self.routing.neighbour(interface, address).ok().flatten()
    }

    fn ask(&mut self, target: IpAddr) -> io::Result<Way> {
        let source = self.source.filter(|source| source.is_ipv4() == target.is_ipv4());
        let question = RouteQuestion { target, source, interface: self.interface };
        match self.routing.route(&question)? {
            Ok(route) => self.along(target, source, &route),
            Err(refusal) => Ok(Way::None(refused(refusal))),
        }
    }

    fn along(&mut self, target: IpAddr, source: Option<IpAddr>, route: &Route) -> io::Result<Way> {
        let (Some(interface), Some(source)) = (route.interface, source.or(route.source)) else {
            return Ok(Way::Kernel);
        };
        if route.kind != RouteKind::Unicast || source.is_ipv4() != target.is_ipv4() {
            return Ok(Way::Kernel);
        }
        let Some(device) = self.device(interface)? else { return Ok(Way::Kernel) };
        if device.is_loopback || device.link == LinkKind::Other {
            return Ok(Way::Kernel);
        }
        Ok(Way::Wire(Hop {
            source,
            interface,
            neighbour: device.needs_neighbour.then(|| route.gateway.unwrap_or(target)),
            link: device.ethernet_address(),
            mtu: route.mtu.unwrap_or(device.mtu).min(device.mtu),
        }))
    }

    fn device(&mut self, interface: u32) -> io::Result<Option<&Device>> {
        if !self.devices.contains_key(&interface) {
            let device = self.routing.device(interface)?;
            self.devices.insert(interface, device);
        }
        Ok(self.devices.get(&interface).and_then(Option::as_ref))
    }
}

/// As connect(2) would say it.
fn refused(refusal: NoRoute) -> LocalError {
    match refusal {
        NoRoute::Missing | NoRoute::Unreachable | NoRoute::Blackhole => LocalError::NoRoute,
        NoRoute::Prohibit => LocalError::NotPermitted,
        NoRoute::Other(errno) => LocalError::Other(errno.0),
    }
}

/// How long a way is believed in.
const FRESH: Duration = Duration::from_secs(10);

/// How many are remembered.
const MOST: usize = 4096;
