//! Which way packets leave this machine, and who is known on the link: asked of the kernel, one
//! address at a time. It answers for the network namespace it was opened in.

use std::io;
use std::net::IpAddr;

use portolan_core::wire::device::{self, Device};
use portolan_core::wire::neighbour::{self, Neighbour};
use portolan_core::wire::netlink::{self, Errno};
use portolan_core::wire::route::{GET_ROUTE, NoRoute, Route, RouteQuestion};
use portolan_core::wire::rtnetlink::GET_LINKS;

use crate::netlink::{Dump, Netlink};

/// An open line to the kernel's routing.
#[derive(Debug)]
pub struct Routing {
    netlink: Netlink,
}

impl Routing {
    /// Opens it.
    ///
    /// # Errors
    /// When netlink is not to be had.
    pub fn open() -> io::Result<Self> {
        Netlink::open(None).map(|netlink| Self { netlink })
    }

    /// The way to a target, or why there is none.
    ///
    /// # Errors
    /// When netlink fails.
    pub fn route(&mut self, question: &RouteQuestion) -> io::Result<Result<Route, NoRoute>> {
        let answer = self.ask(GET_ROUTE, &question.body(), Route::parse)?;
        Ok(match answer {
            Ok(Some(route)) => Ok(route),
            Ok(None) => Err(NoRoute::Missing),
            Err(errno) => Err(errno.into()),
        })
    }

    /// What is known of `address` behind `interface`; `None` when nothing is.
    ///
    /// # Errors
    /// When netlink fails.
    pub fn neighbour(&mut self, interface: u32, address: IpAddr) -> io::Result<Option<Neighbour>> {
        let body = neighbour::question(interface, address);
        let answer = self.ask(neighbour::GET_NEIGHBOUR, &body, Neighbour::parse)?;
        Ok(answer.ok().flatten())
    }

    /// How an interface carries packets; `None` when there is no such interface.
    ///
    /// # Errors
    /// When netlink fails.
    pub fn device(&mut self, interface: u32) -> io::Result<Option<Device>> {
        let answer = self.ask(GET_LINKS, &device::question(interface), Device::parse)?;
        Ok(answer.ok().flatten())
    }

    /// One request for one thing. With the acknowledgement asked for, its end is always told.
    fn ask<T>(
        &mut self,
        kind: u16,
        body: &[u8],
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> io::Result<Result<Option<T>, Errno>> {
        let mut found = None;
        let request = |sequence| netlink::request(kind, netlink::ACKNOWLEDGE, sequence, body);
        let end = self.netlink.ask(request, |_, body| found = parse(body))?;
        Ok(match end {
            Dump::Refused(errno) => Err(errno),
            Dump::Whole | Dump::Interrupted => Ok(found),
        })
    }
}

#[cfg(test)]
mod tests {
    use portolan_core::wire::route::RouteKind;

    use super::*;

    #[test]
    fn our_own_address_is_local_and_leaves_by_the_loopback() {
        let mut routing = Routing::open().unwrap();
        let target = "127.0.0.1".parse().unwrap();
        let question = RouteQuestion { target, source: None, interface: None };
        let route = routing.route(&question).unwrap().unwrap();
        assert_eq!((route.kind, route.source), (RouteKind::Local, Some(target)));
        let device = routing.device(route.interface.unwrap()).unwrap().unwrap();
        assert!(device.is_loopback && !device.needs_neighbour, "{device:?}");
        assert_eq!(routing.neighbour(device.index, target).unwrap(), None);
        assert_eq!(routing.device(u32::MAX >> 1).unwrap(), None);
    }
}
