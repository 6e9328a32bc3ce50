//! The rest of the page: forwards, doors, pools, what is ruled out, what is put up with, and the
//! vocabulary.

use portolan_core::inventory::matrix::Outgoing;
use portolan_core::inventory::{
    Block, Door, Forward, Ignore, Inventory, Management, Network, Never, Pool, Service, duration,
};
use serde::Serialize;

use super::docs::{DocsView, DueView};
use crate::ops::inventory::export::Export;
use crate::render::inventory::export::words;
use crate::render::inventory::matrix::because;

#[derive(Debug, Serialize)]
pub(super) struct ManagementView {
    from: String,
    ports: String,
}

impl ManagementView {
    pub(super) fn of(export: &Export<'_>, management: &Management) -> Self {
        Self {
            from: words::sources_line(export, &management.from, ""),
            ports: words::texts(&management.ports).join(", "),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct ForwardView {
    name: String,
    on: String,
    listen: String,
    to: String,
    via: String,
    from: String,
    docs: DocsView,
}

impl ForwardView {
    pub(super) fn of(export: &Export<'_>, forward: &Forward) -> Self {
        Self {
            name: forward.name.clone(),
            on: words::selectors(&forward.on).join(", "),
            listen: forward.listen.value.to_string(),
            to: forward.to.value.to_string(),
            via: words::via(forward),
            from: words::sources_line(export, &forward.from, "this machine"),
            docs: DocsView::of(export, Some(&forward.docs)),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct DoorView {
    name: String,
    on: String,
    knock: String,
    open: Option<String>,
    from: String,
    opens: String,
    docs: DocsView,
}

impl DoorView {
    pub(super) fn of(export: &Export<'_>, door: &Door) -> Self {
        let behind = |s: &&Service| s.behind.as_ref().is_some_and(|d| d.value == door.name);
        let opens = export.inventory.services.iter().filter(behind).map(|s| s.name.as_str());
        Self {
            name: door.name.clone(),
            on: words::selectors(&door.on).join(", "),
            knock: words::knock(&door.method),
            open: door.open.map(duration),
            from: words::sources_line(export, &door.from, "anybody"),
            opens: opens.collect::<Vec<_>>().join(", "),
            docs: DocsView::of(export, Some(&door.docs)),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct PoolView {
    name: String,
    on: String,
    range: String,
    from: String,
    lease: Option<String>,
    purpose: String,
}

impl PoolView {
    pub(super) fn of(export: &Export<'_>, pool: &Pool) -> Self {
        Self {
            name: pool.name.clone(),
            on: words::selectors(&pool.on).join(", "),
            range: pool.range.to_string(),
            from: words::sources_line(export, &pool.from, "this machine"),
            lease: pool.default_ttl.map(duration),
            purpose: pool.purpose.clone().unwrap_or_default(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct NeverView {
    what: String,
    from: String,
    reason: String,
}

impl NeverView {
    pub(super) fn of(export: &Export<'_>, never: &Never) -> Self {
        Self {
            what: words::never_what(never),
            from: words::sources_line(export, &never.from, "anybody"),
            reason: never.reason.clone().unwrap_or_default(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct BlockView {
    from: String,
    until: Option<DueView>,
    reason: String,
}

impl BlockView {
    pub(super) fn of(export: &Export<'_>, block: &Block) -> Self {
        Self {
            from: words::sources_line(export, &block.from, ""),
            until: DueView::of(export.due(block.until.map(portolan_core::inventory::End::day))),
            reason: block.reason.clone().unwrap_or_default(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct IgnoreView {
    on: String,
    what: String,
    reason: String,
    until: Option<DueView>,
}

impl IgnoreView {
    pub(super) fn of(export: &Export<'_>, ignore: &Ignore) -> Self {
        Self {
            on: words::ignore_on(ignore),
            what: words::ignore_what(ignore),
            reason: ignore.reason.clone(),
            until: DueView::of(export.due(ignore.until.as_ref().map(|day| day.value))),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct NetworkView {
    name: String,
    extent: String,
}

pub(super) fn networks(inventory: &Inventory) -> Vec<NetworkView> {
    let view = |network: &Network| NetworkView {
        name: network.name.clone(),
        extent: words::extent(&network.extent),
    };
    inventory.networks.iter().map(view).collect()
}

#[derive(Debug, Serialize)]
pub(super) struct OutgoingView {
    host: String,
    to: String,
    port: String,
    why: String,
}

pub(super) fn outgoing(export: &Export<'_>) -> Vec<OutgoingView> {
    let view = |row: &Outgoing<'_>| OutgoingView {
        host: row.host.name.clone(),
        to: row.to.clone(),
        port: row.traffic.to_string(),
        why: because(row.reason),
    };
    export.matrix.outgoing.iter().map(view).collect()
}

#[derive(Debug, Serialize)]
pub(super) struct BaseView {
    name: &'static str,
    hosts: String,
    direction: &'static str,
    traffic: String,
    peers: &'static str,
    why: &'static str,
}

pub(super) fn base(export: &Export<'_>) -> Vec<BaseView> {
    let view = |line: words::BaseLine<'_>| BaseView {
        name: line.base.name,
        hosts: line.hosts,
        direction: line.base.direction.as_str(),
        traffic: words::base_traffic(line.base.traffic),
        peers: line.base.peers.as_str(),
        why: line.base.why,
    };
    words::base_lines(export).into_iter().map(view).collect()
}
