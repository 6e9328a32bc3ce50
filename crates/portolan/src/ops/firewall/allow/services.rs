//! The services that have some ports on a host, and whether they have more.

use anyhow::Result;
use portolan_core::inventory::{Declared, Host, Inventory, Service};

use crate::fault::Fault;
use crate::ops::firewall::wish::{Wanted, Wish};

/// The services that have some of these ports here, but for those of a while.
pub(super) struct Found<'i> {
    /// Those with nothing but these ports, here.
    pub(super) own: Vec<&'i Service>,
    /// Those with others besides, or on other hosts too.
    pub(super) wider: Vec<&'i Service>,
}

/// The services that have these ports here; refused where one is nobody's or of two.
pub(super) fn the_services<'i>(
    inventory: &'i Inventory,
    host: &Host,
    wish: &Wish,
) -> Result<Found<'i>> {
    let declared = declared_at(inventory, host, wish);
    let services = declared.iter().filter_map(|declared| match declared {
        Declared::Service(service) if !service.docs.is_for_a_while() => Some(*service),
        _ => None,
    });
    let services: Vec<&Service> = services.collect();
    let taken: Wanted = services.iter().flat_map(|s| Declared::Service(s).pairs()).collect();
    let is_other = |d: &&Declared<'_>| {
        let is_other = !matches!(d, Declared::Pool(_) | Declared::Service(_));
        is_other && !d.pairs().iter().all(|pair| taken.covers(*pair))
    };
    if let Some(other) = declared.iter().find(is_other) {
        let own = other.pairs().into_iter().filter(|pair| wish.ports.touches(*pair));
        let own: Wanted = own.collect();
        let message = format!("{own} is not a service's but {}", other.name());
        return Err(Fault::new(message, "change it with `portolan inventory set`"));
    }
    let (wider, own): (Vec<_>, Vec<_>) =
        services.into_iter().partition(|service| is_more(inventory, service, wish));
    for (i, one) in own.iter().enumerate() {
        let ports: Wanted = Declared::Service(one).pairs().into_iter().collect();
        let is_shared =
            |other: &&&Service| Declared::Service(other).pairs().iter().any(|p| ports.touches(*p));
        if let Some(other) = own[i + 1..].iter().find(is_shared) {
            let message = format!("{} and {} both have {ports}", one.name, other.name);
            return Err(Fault::new(message, "say which with `portolan inventory set`"));
        }
    }
    Ok(Found { own, wider })
}

/// The services that let somebody in to some of exactly these ports of this host for a while.
pub(super) fn for_a_while<'i>(
    inventory: &'i Inventory,
    host: &Host,
    wish: &Wish,
) -> Vec<&'i Service> {
    let services =
        declared_at(inventory, host, wish).into_iter().filter_map(|declared| match declared {
            Declared::Service(service) if service.docs.is_for_a_while() => Some(service),
            _ => None,
        });
    services.filter(|service| !is_more(inventory, service, wish)).collect()
}

/// What is declared on this host for some of these ports.
fn declared_at<'i>(inventory: &'i Inventory, host: &Host, wish: &Wish) -> Vec<Declared<'i>> {
    let mut declared = inventory.declared_on(host);
    declared.retain(|declared| declared.pairs().into_iter().any(|pair| wish.ports.touches(pair)));
    declared
}

/// Whether a service is more than these ports on one host.
fn is_more(inventory: &Inventory, service: &Service, wish: &Wish) -> bool {
    let pairs = Declared::Service(service).pairs();
    pairs.iter().any(|pair| !wish.ports.covers(*pair)) || inventory.hosts_on(&service.on).len() > 1
}
