//! Who may reach what: the matrix, of every host or of one.

use anyhow::Result;
use portolan_core::inventory::Inventory;
use portolan_core::inventory::matrix::Matrix;
use portolan_core::net::nearest;

use crate::fault::Fault;

/// What follows from the inventory, for `host` alone where one is named.
///
/// # Errors
/// A host that the inventory does not have.
pub(crate) fn matrix<'a>(inventory: &'a Inventory, host: Option<&str>) -> Result<Matrix<'a>> {
    let mut matrix = inventory.matrix();
    let Some(name) = host else { return Ok(matrix) };
    if inventory.host(name).is_none() {
        return Err(unknown_host(inventory, name));
    }
    matrix.rows.retain(|row| row.host.name == name);
    matrix.outgoing.retain(|row| row.host.name == name);
    matrix.base.retain(|row| row.host.name == name);
    Ok(matrix)
}

fn unknown_host(inventory: &Inventory, name: &str) -> anyhow::Error {
    let hosts = || inventory.hosts.iter().map(|h| h.name.as_str());
    let hint = match nearest(name, hosts()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if inventory.hosts.is_empty() => "it has none at all".to_owned(),
        None => format!("its hosts are {}", hosts().take(8).collect::<Vec<_>>().join(", ")),
    };
    Fault::new(format!("the inventory has no host `{name}`"), hint)
}
