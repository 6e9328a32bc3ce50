//! Looking things up in an inventory: by name, by machine, by port.
//!
//! Every reference of a loaded inventory was checked, so that a name found in one of its fields is
//! found here too.

use crate::net::{Port, PortRange, Transport};

use super::{
    BUILT_IN_NETWORKS, Door, DoorMethod, Forward, Host, HostSelector, Inventory, Located, Location,
    Network, Owner, Place, Pool, PortSpec, Service, Source,
};

/// Something that claims ports on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared<'a> {
    /// A service, in whatever status.
    Service(&'a Service),
    /// A forward's own port.
    Forward(&'a Forward),
    /// A door's port, or one of its sequence.
    Door(&'a Door),
    /// A number of a pool, any transport.
    Pool(&'a Pool),
}

impl<'a> Declared<'a> {
    /// The key it has in the file.
    #[must_use]
    pub fn name(self) -> &'a str {
        match self {
            Self::Service(service) => &service.name,
            Self::Forward(forward) => &forward.name,
            Self::Door(door) => &door.name,
            Self::Pool(pool) => &pool.name,
        }
    }

    /// Where it is declared.
    #[must_use]
    pub fn at(self) -> &'a Location {
        match self {
            Self::Service(service) => &service.at,
            Self::Forward(forward) => &forward.at,
            Self::Door(door) => &door.at,
            Self::Pool(pool) => &pool.at,
        }
    }

    /// On which machines, as written.
    #[must_use]
    pub fn on(self) -> &'a [Located<HostSelector>] {
        match self {
            Self::Service(service) => &service.on,
            Self::Forward(forward) => &forward.on,
            Self::Door(door) => &door.on,
            Self::Pool(pool) => &pool.on,
        }
    }

    /// The (range, transport) pairs it claims; a pool claims its range for all transports.
    #[must_use]
    pub fn pairs(self) -> Vec<(PortRange, Transport)> {
        let of = |specs: &[Located<PortSpec>]| specs.iter().flat_map(|p| p.value.pairs()).collect();
        match self {
            Self::Service(service) => of(&service.ports),
            Self::Forward(forward) => forward.listen.value.pairs().collect(),
            Self::Door(door) => match &door.method {
                DoorMethod::Spa { listen } => listen.value.pairs().collect(),
                DoorMethod::Sequence { ports, .. } => of(ports),
            },
            Self::Pool(pool) => Transport::ALL.map(|t| (pool.range, t)).to_vec(),
        }
    }

    /// Whether `port` is among them.
    #[must_use]
    pub fn claims(self, transport: Transport, port: Port) -> bool {
        self.pairs().iter().any(|(range, t)| *t == transport && range.contains(port))
    }
}

impl Inventory {
    /// The host of this name; aliases are not looked at.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|h| h.name == name)
    }

    /// The service of this name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|s| s.name == name)
    }

    /// The network of this name; the built-in ones are not in the file.
    #[must_use]
    pub fn network(&self, name: &str) -> Option<&Network> {
        self.networks.iter().find(|n| n.name == name)
    }

    /// The owner with this key.
    #[must_use]
    pub fn owner(&self, id: &str) -> Option<&Owner> {
        self.owners.iter().find(|o| o.id == id)
    }

    /// The door of this name.
    #[must_use]
    pub fn door(&self, name: &str) -> Option<&Door> {
        self.doors.iter().find(|d| d.name == name)
    }

    /// The pool of this name.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<&Pool> {
        self.pools.iter().find(|p| p.name == name)
    }

    /// The machines a list of selectors means, in the file's order.
    #[must_use]
    pub fn hosts_on(&self, on: &[Located<HostSelector>]) -> Vec<&Host> {
        self.hosts.iter().filter(|h| h.is_meant_by(on)).collect()
    }

    /// The machines in `group`, given without `@`, in the file's order.
    #[must_use]
    pub fn hosts_in(&self, group: &str) -> Vec<&Host> {
        self.hosts.iter().filter(|h| h.is_in(group)).collect()
    }

    /// Everything declared on `host`, in the file's order by kind.
    #[must_use]
    pub fn declared_on(&self, host: &Host) -> Vec<Declared<'_>> {
        let services = self.services.iter().map(Declared::Service);
        services
            .chain(self.forwards.iter().map(Declared::Forward))
            .chain(self.doors.iter().map(Declared::Door))
            .chain(self.pools.iter().map(Declared::Pool))
            .filter(|declared| host.is_meant_by(declared.on()))
            .collect()
    }

    /// Everything that claims `port` on `host`, services first, in the file's order.
    #[must_use]
    pub fn declared_at(&self, host: &Host, transport: Transport, port: Port) -> Vec<Declared<'_>> {
        let mut declared = self.declared_on(host);
        declared.retain(|d| d.claims(transport, port));
        declared
    }

    /// What an item of `from` would stand for, as the file reads it; `None` for what is no source here.
    #[must_use]
    pub fn source_named(&self, text: &str) -> Option<Source> {
        if let Some(group) = text.strip_prefix('@') {
            return (!self.hosts_in(group).is_empty()).then(|| Source::Group(group.to_owned()));
        }
        if let Some(name) = text.strip_prefix("service:") {
            return self.service(name).map(|service| Source::Service(service.name.clone()));
        }
        if BUILT_IN_NETWORKS.contains(&text) || self.network(text).is_some() {
            return Some(Source::Network(text.to_owned()));
        }
        let host = self.host(text).map(|host| Source::Host(host.name.clone()));
        host.or_else(|| text.parse().ok().map(Source::Prefix))
    }

    /// A place as a person is told it; an unknown file is `?`.
    #[must_use]
    pub fn line_of(&self, at: &Location) -> Place<'_> {
        Place::of(&self.files, at)
    }
}

impl Host {
    /// Whether it is in `group`, given without `@`.
    #[must_use]
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }

    /// Whether a list of selectors means this machine: some item names it and no `!` item does,
    /// in whatever order they stand.
    #[must_use]
    pub fn is_meant_by(&self, on: &[Located<HostSelector>]) -> bool {
        let mut meant = false;
        for selector in on {
            match &selector.value {
                HostSelector::All => meant = true,
                HostSelector::Host(name) => meant |= *name == self.name,
                HostSelector::Group(group) => meant |= self.is_in(group),
                HostSelector::NotHost(name) if *name == self.name => return false,
                HostSelector::NotGroup(group) if self.is_in(group) => return false,
                HostSelector::NotHost(_) | HostSelector::NotGroup(_) => {}
            }
        }
        meant
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::file;

    const SITE: &str = r#"portolan = 1
[hosts.web]
groups = ["linux", "docker"]
[hosts.db]
groups = ["linux"]
[hosts.nas]
[services.ssh]
on = ["@linux", "!db"]
ports = ["22/tcp"]
[services.dns]
on = "*"
ports = ["53/tcp+udp", "esp"]
[services.later]
on = "web"
ports = "8080-8090/tcp"
status = "planned"
[forwards.in]
on = "web"
listen = "8080/tcp"
to = "10.0.0.1:80"
via = "nat"
[doors.knock]
on = "web"
method = "sequence"
sequence = ["7000/udp", "8085/tcp"]
[pools.previews]
on = ["*", "!@docker"]
range = "8000-9000"
"#;

    fn site() -> Inventory {
        file::parse("site.toml", SITE.as_bytes()).unwrap()
    }

    fn hosts_of(inventory: &Inventory, service: &str) -> Vec<String> {
        let on = &inventory.service(service).unwrap().on;
        inventory.hosts_on(on).iter().map(|h| h.name.clone()).collect()
    }

    fn claims(host: &str, transport: Transport, port: u16) -> Vec<String> {
        let site = site();
        let found = site.declared_at(site.host(host).unwrap(), transport, Port(port));
        found.iter().map(|d| d.name().to_owned()).collect()
    }

    #[test]
    fn an_exclusion_counts_wherever_it_stands() {
        let site = site();
        assert_eq!(hosts_of(&site, "ssh"), ["web"]);
        assert_eq!(hosts_of(&site, "dns"), ["web", "db", "nas"]);
        let pool = site.hosts_on(&site.pools[0].on);
        assert_eq!(pool.iter().map(|h| &*h.name).collect::<Vec<_>>(), ["db", "nas"]);
    }

    #[test]
    fn a_port_is_claimed_by_everything_that_names_it_on_that_host() {
        assert_eq!(claims("web", Transport::Tcp, 8080), ["later", "in"]);
        assert_eq!(claims("web", Transport::Tcp, 8085), ["later", "knock"]);
        assert_eq!(claims("web", Transport::Udp, 8085), [""; 0]);
        assert_eq!(claims("db", Transport::Udp, 8500), ["previews"]);
        assert_eq!(claims("db", Transport::Tcp, 22), [""; 0]);
        assert_eq!(claims("nas", Transport::Udp, 53), ["dns"]);
    }

    #[test]
    fn a_declaration_is_found_at_its_line() {
        let site = site();
        let place = site.line_of(&site.forwards[0].at);
        assert_eq!((place.file, place.line, place.column), ("site.toml", 17, 11));
        let nowhere = Location { file: 9, span: 0..0 };
        assert_eq!(site.line_of(&nowhere).file, "?");
    }
}
