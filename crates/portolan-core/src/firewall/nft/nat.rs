//! Translations: `dnat`, `snat`, `redirect`, `masquerade`, `tproxy`.

use serde_json::Value;

use super::json::{several, word};
use super::kind::Kind;
use super::scope::{Guard, Scope};
use super::statement::{flags, given};
use crate::firewall::{Family, Nat, NatKind};

/// A translation; `None` where it is not understood.
pub(super) fn read(kind: &str, body: &Value, scope: &mut Scope<'_>) -> Option<Nat> {
    let kind = match kind {
        "snat" => NatKind::Snat,
        "dnat" => NatKind::Dnat,
        "masquerade" => NatKind::Masquerade,
        "redirect" => NatKind::Redirect,
        _ => NatKind::Tproxy,
    };
    let address = body.get("addr");
    let is_v6 = is_v6(body, address, scope);
    // The kernel passes by packets of the other family (net/netfilter/nft_nat.c, nft_tproxy.c).
    if let Some(is_v6) = is_v6.filter(|_| address.is_some()) {
        scope.guard(&[Guard::Version(is_v6)]);
    }
    let address_kind = if is_v6 == Some(true) { Kind::Address6 } else { Kind::Address4 };
    let mut nat = Nat { kind, address: None, port: None, flags: flags(body, "flags") };
    match address {
        Some(address) if has_port(address, scope) => {
            nat.address = Some(given(address, &[address_kind, Kind::PORT], scope));
        }
        Some(address) => nat.address = Some(given(address, &[address_kind], scope)),
        None => {}
    }
    if let Some(port) = body.get("port") {
        nat.port = Some(given(port, &[Kind::PORT], scope));
    }
    let types = flags(body, "type_flags");
    nat.flags.extend(types.into_iter().filter(|flag| **flag == *"prefix"));
    Some(nat)
}

fn is_v6(body: &Value, address: Option<&Value>, scope: &Scope<'_>) -> Option<bool> {
    match (word(body, "family"), scope.family) {
        (Some("ip"), _) | (_, Family::Ip) => Some(false),
        (Some("ip6"), _) | (_, Family::Ip6) => Some(true),
        _ => address.and_then(first_address).map(|address| address.contains(':')),
    }
}

/// The first address written anywhere in it.
fn first_address(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => {
            Some(text).filter(|t| t.parse::<std::net::IpAddr>().is_ok()).map(|t| &**t)
        }
        Value::Array(parts) => parts.iter().find_map(first_address),
        Value::Object(parts) => match parts.get("map") {
            Some(map) => first_address(map.get("data")?),
            None => parts.values().find_map(first_address),
        },
        _ => None,
    }
}

/// Whether the values of a map are an address and a port.
fn has_port(address: &Value, scope: &Scope<'_>) -> bool {
    let Some(data) = address.get("map").and_then(|map| map.get("data")) else { return false };
    if let Some(name) = data.as_str().and_then(|text| text.strip_prefix('@')) {
        return scope.around.data.get(name).is_some_and(|kinds| kinds.len() == 2);
    }
    let first = data.get("set").map_or(&[][..], several).first();
    first.and_then(|pair| pair.get(1)).is_some_and(|value| value.get("concat").is_some())
}
