//! Where is asked from: this network namespace, another one, or a container's.

use anyhow::Result;
use portolan_core::socket::Netns;
use portolan_host::containers;
use portolan_host::namespace::{self, Place};

use crate::fault::{Fault, Hinted as _};

/// A place to ask from.
#[derive(Debug)]
pub(crate) struct Standpoint {
    place: Option<Place>,
}

impl Standpoint {
    /// Where this process lives.
    pub(crate) const OWN: Self = Self { place: None };

    /// The namespace of this name, as `ip netns` shows it; or of this inode, or of `pid:N`.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn netns(name: &str) -> Result<Self> {
        let places = namespace::all().value;
        let is_it = |netns: &Netns| {
            netns.name.as_deref() == Some(name)
                || netns.known_inode().is_some_and(|inode| inode.to_string() == name)
        };
        let names: Vec<String> =
            places.iter().filter_map(|p| p.netns.name.as_deref().map(str::to_owned)).collect();
        let found = places.into_iter().find(|place| is_it(&place.netns));
        let place = found.ok_or_else(|| {
            let hint = match names.is_empty() {
                true => "`ip netns` lists those with a name".to_owned(),
                false => format!("there are {}", names.join(", ")),
            };
            Fault::new(format!("there is no network namespace `{name}`"), hint)
        })?;
        Ok(Self { place: Some(place) })
    }

    /// The namespace of a running container, by its name or the beginning of its id.
    ///
    /// # Errors
    /// When there is no such container, or it cannot be seen.
    pub(crate) fn container(name: &str) -> Result<Self> {
        // Runtimes know names; namespaces are found by their processes' cgroups, which have ids.
        let runtimes = containers::read().value;
        let described = runtimes.iter().flat_map(|runtime| &runtime.containers);
        let id = described.filter(|c| &*c.name == name).map(|c| c.id.clone()).next();
        let wanted = id.as_deref().unwrap_or(name);
        let is_it = |netns: &Netns| {
            let container = netns.container.as_ref();
            container.is_some_and(|c| c.id.starts_with(wanted) || c.name.as_deref() == Some(name))
        };
        let found = namespace::all().value.into_iter().find(|place| is_it(&place.netns));
        let hint = match namespace::more_rights() {
            "" => "`portolan sockets --all-netns` shows the containers there are",
            rights => rights,
        };
        let place = found
            .ok_or_else(|| Fault::new(format!("there is no running container `{name}`"), hint))?;
        Ok(Self { place: Some(place) })
    }

    /// Whether it is where this process lives.
    pub(crate) fn is_own(&self) -> bool {
        self.place.as_ref().is_none_or(Place::is_own)
    }

    /// The namespace's inode, where it is another one.
    pub(crate) fn inode(&self) -> Option<u64> {
        self.place.as_ref().filter(|place| !place.is_own()).map(|place| place.netns.inode)
    }

    /// The name it has in /run/netns.
    pub(crate) fn name(&self) -> Option<&str> {
        self.place.as_ref().filter(|place| !place.is_own())?.netns.name.as_deref()
    }

    /// Runs `work` there.
    ///
    /// # Errors
    /// When it may not be entered.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        match &self.place {
            None => Ok(work()),
            Some(place) => place
                .enter(work)
                .hinted(format!("cannot enter the {}", place.netns), namespace::more_rights()),
        }
    }
}
