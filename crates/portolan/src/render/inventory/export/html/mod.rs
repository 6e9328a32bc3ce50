//! One page for people and for printers, without scripts and without anything from outside.
//!
//! Made for whoever has to answer for the ports: every service with its business need, owner and
//! approval (PCI DSS 4.0 requirement 1.2.5), and what makes the risky ones bearable (1.2.6). The
//! template escapes whatever it prints; a link is a link only where `words::followable` agrees.

mod docs;
mod hosts;
mod lists;
mod overview;

use std::collections::HashSet;
use std::io::Write as _;

use anyhow::Result;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Value, escape_formatter};
use serde::Serialize;

use self::docs::OwnerView;
use self::hosts::HostView;
use self::lists::{
    BaseView, BlockView, DoorView, ForwardView, IgnoreView, ManagementView, NetworkView, NeverView,
    OutgoingView, PoolView, base, networks, outgoing,
};
use self::overview::{AttentionView, RiskView, Tile, risks, tiles};
use crate::ops::inventory::export::Export;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;

/// Prints the page.
pub(crate) fn print(screen: &mut Screen, export: &Export<'_>) -> Result<()> {
    screen.write_all(page(export)?.as_bytes())?;
    Ok(screen.flush()?)
}

fn page(export: &Export<'_>) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if !value.is_safe() => {
            escape_formatter(out, state, &Value::from(sanitize(text).into_owned()))
        }
        _ => escape_formatter(out, state, value),
    });
    let template = environment.template_from_str(include_str!("page.html"))?;
    Ok(template.render(Value::from(Serde(Page::of(export))))?)
}

/// What the template is given.
#[derive(Debug, Serialize)]
struct Page {
    title: String,
    as_of: String,
    files: Vec<String>,
    version: &'static str,
    tiles: Vec<Tile>,
    attention: Vec<AttentionView>,
    risks: Vec<RiskView>,
    management: Option<ManagementView>,
    hosts: Vec<HostView>,
    forwards: Vec<ForwardView>,
    doors: Vec<DoorView>,
    pools: Vec<PoolView>,
    never: Vec<NeverView>,
    blocks: Vec<BlockView>,
    ignores: Vec<IgnoreView>,
    networks: Vec<NetworkView>,
    owners: Vec<OwnerView>,
    outgoing: Vec<OutgoingView>,
    base: Vec<BaseView>,
}

impl Page {
    fn of(export: &Export<'_>) -> Self {
        let inventory = export.inventory;
        let mut anchors = HashSet::new();
        Self {
            title: inventory.title.clone().unwrap_or_else(|| "Ports".to_owned()),
            as_of: export.as_of.to_string(),
            files: inventory.files.iter().map(|file| file.path.clone()).collect(),
            version: env!("CARGO_PKG_VERSION"),
            tiles: tiles(export),
            attention: export.attention().iter().map(|a| AttentionView::of(export, a)).collect(),
            risks: risks(export),
            management: inventory.management.as_ref().map(|m| ManagementView::of(export, m)),
            hosts: export.by_host().map(|es| HostView::of(export, es, &mut anchors)).collect(),
            forwards: inventory.forwards.iter().map(|f| ForwardView::of(export, f)).collect(),
            doors: inventory.doors.iter().map(|d| DoorView::of(export, d)).collect(),
            pools: inventory.pools.iter().map(|p| PoolView::of(export, p)).collect(),
            never: inventory.never.iter().map(|n| NeverView::of(export, n)).collect(),
            blocks: inventory.blocks.iter().map(|b| BlockView::of(export, b)).collect(),
            ignores: inventory.ignores.iter().map(|i| IgnoreView::of(export, i)).collect(),
            networks: networks(inventory),
            owners: inventory.owners.iter().map(OwnerView::of).collect(),
            outgoing: outgoing(export),
            base: base(export),
        }
    }
}

/// The name of a place in the page: letters, digits and signs that need no escaping in a link.
fn anchor(kind: &str, name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    format!("{kind}-{}", name.chars().map(plain).collect::<String>())
}
