//! What `ip -j addr` and `ip -j route` print (iproute2), for rules that come from a file.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::read_error::ReadError;
use super::world::{Interface, LocalAddress, Route, RouteKind, World};
use crate::net::Prefix;

impl World {
    /// Adds what `ip -j addr`, `ip -j route` or `ip -j -6 route` printed; what it is, it says itself.
    ///
    /// # Errors
    /// Where it is neither.
    pub fn take_ip_json(&mut self, text: &[u8]) -> Result<(), ReadError> {
        let listed: Value = serde_json::from_slice(text).map_err(|error| {
            let told = error.to_string();
            let what = told.split(" at line ").next().unwrap_or_default();
            ReadError::new(error.line().max(1), error.column().max(1), format!("no JSON: {what}"))
        })?;
        let Some(entries) = listed.as_array() else { return Err(foreign()) };
        let is_v6 = entries.iter().any(|entry| speaks(entry, ':'));
        for entry in entries {
            if entry.get("ifname").is_some() {
                self.take_interface(entry);
            } else if entry.get("dst").is_some() {
                let is_v6 = speaks(entry, ':') || is_v6 && !speaks(entry, '.');
                if is_of_main(entry) {
                    self.routes.push(route(entry, is_v6).ok_or_else(|| unread(entry))?);
                }
            } else if entry.as_object().is_none_or(|entry| !entry.is_empty()) {
                return Err(foreign());
            }
        }
        Ok(())
    }

    fn take_interface(&mut self, entry: &Value) {
        let word = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(Box::from);
        let Some(name): Option<Box<str>> = word(entry, "ifname") else { return };
        for own in entry.get("addr_info").and_then(Value::as_array).into_iter().flatten() {
            let address: Option<IpAddr> =
                own.get("local").and_then(Value::as_str).and_then(|text| text.parse().ok());
            let length = own.get("prefixlen").and_then(Value::as_u64);
            let length = length.and_then(|length| u8::try_from(length).ok());
            let (Some(address), Some(length)) = (address, length) else { continue };
            let Ok(network) = Prefix::new(address, length) else { continue };
            self.addresses.push(LocalAddress { interface: name.clone(), address, network });
        }
        self.interfaces.push(Interface {
            master: word(entry, "master"),
            name,
            ..Interface::default()
        });
    }
}

fn foreign() -> ReadError {
    ReadError::new(1, 1, "neither what `ip -j addr` prints nor what `ip -j route` prints")
}

fn unread(entry: &Value) -> ReadError {
    ReadError::new(1, 1, format!("a route that is not understood: {entry}"))
}

/// `default` is written alike for both versions; what stands around it, addresses with `mark` in them, tells
/// them apart.
fn speaks(entry: &Value, mark: char) -> bool {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
    ["dst", "gateway", "prefsrc"].iter().any(|key| text(key).contains(mark))
}

/// `ip -j route show table all` lists the table `local` too, which says no more than the addresses do, and those
/// of policy routing.
fn is_of_main(entry: &Value) -> bool {
    entry.get("table").is_none_or(|table| table == "main")
}

fn route(entry: &Value, is_v6: bool) -> Option<Route> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    let destination = match text("dst")? {
        "default" if is_v6 => Prefix::new(Ipv6Addr::UNSPECIFIED.into(), 0).ok()?,
        "default" => Prefix::new(Ipv4Addr::UNSPECIFIED.into(), 0).ok()?,
        network => network.parse().ok()?,
    };
    let kind = match text("type") {
        None | Some("unicast") => RouteKind::Unicast,
        Some("blackhole") => RouteKind::Blackhole,
        Some("unreachable") => RouteKind::Unreachable,
        Some("prohibit") => RouteKind::Prohibit,
        Some(_) => return None,
    };
    let hop = entry.get("nexthops").and_then(|hops| hops.get(0)?.get("dev")?.as_str());
    let metric = entry.get("metric").and_then(Value::as_u64).unwrap_or(0);
    Some(Route {
        destination,
        interface: text("dev").or(hop).unwrap_or_default().into(),
        kind,
        metric: u32::try_from(metric).unwrap_or(u32::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_routes_of_ip_are_read() {
        let mut world = World::default();
        world
            .take_ip_json(br#"[{"ifindex":2,"ifname":"eth0","master":"br0","addr_info":[{"family":"inet","local":"10.0.0.5","prefixlen":24}]},{}]"#)
            .unwrap();
        world
            .take_ip_json(br#"[{"dst":"default","gateway":"10.0.0.1","dev":"eth0"},{"dst":"10.9.0.0/16","dev":"tun0","metric":5}]"#)
            .unwrap();
        world
            .take_ip_json(
                br#"[{"dst":"default","gateway":"10.0.0.1","dev":"eth0"},
                {"type":"local","dst":"10.0.0.5","dev":"eth0","table":"local"},
                {"dst":"fe80::/64","dev":"eth0"}]"#,
            )
            .unwrap();
        let last = world.routes.split_off(world.routes.len() - 2);
        assert_eq!(
            last.iter().map(|r| r.destination.address().is_ipv6()).collect::<Vec<_>>(),
            [false, true]
        );
        world.take_ip_json(br#"[{"dst":"default","gateway":"fe80::1","dev":"eth1"}]"#).unwrap();
        assert!(world.is_local("10.0.0.5".parse().unwrap()));
        assert_eq!(world.interfaces[0].master.as_deref(), Some("br0"));
        let by = |to: &str| world.route(to.parse().unwrap()).map(|route| &*route.interface);
        assert_eq!(by("10.9.1.1"), Some("tun0"));
        assert_eq!((by("1.1.1.1"), by("2001:db8::1")), (Some("eth0"), Some("eth1")));
    }

    #[test]
    fn anything_else_is_refused() {
        let mut world = World::default();
        assert!(world.take_ip_json(b"{}").is_err());
        assert!(world.take_ip_json(br#"[{"nftables":1}]"#).is_err());
        assert_eq!(world.take_ip_json(b"[\n{").unwrap_err().line, 2);
    }
}
