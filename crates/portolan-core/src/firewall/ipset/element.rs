//! A member of an ipset as spans: `10.0.0.0/8,tcp:80-90`.

use super::Dimension;
use crate::firewall::{Span, interval_of, number_of};
use crate::net::Prefix;

/// The keys of a member; more than one where a port stands for several protocols. `None` where it is
/// not understood.
pub(super) fn keys(
    member: &str,
    dimensions: &[Dimension],
    is_prefix: bool,
) -> Option<Vec<Vec<Span>>> {
    let parts: Vec<&str> = member.split(',').collect();
    if parts.len() != dimensions.len() {
        return None;
    }
    let mut keys = vec![Vec::new()];
    for (part, dimension) in parts.into_iter().zip(dimensions) {
        match dimension {
            Dimension::Address => push(&mut keys, &addresses(part)?),
            Dimension::Mark => push(&mut keys, &Span::number(mark(part)?.into())),
            Dimension::Interface if !part.contains(':') => {
                push(&mut keys, &Span::Names { text: part.into(), is_prefix });
            }
            Dimension::Port => {
                let (protocols, ports) = ports(part)?;
                keys = keys
                    .into_iter()
                    .flat_map(|key| protocols.iter().map(move |protocol| (key.clone(), *protocol)))
                    .map(|(mut key, protocol)| {
                        key.extend([Span::number(protocol.into()), ports.clone()]);
                        key
                    })
                    .collect();
            }
            _ => return None,
        }
    }
    Some(keys)
}

fn push(keys: &mut [Vec<Span>], span: &Span) {
    for key in keys {
        key.push(span.clone());
    }
}

fn addresses(text: &str) -> Option<Span> {
    if let Some((low, high)) = text.split_once('-') {
        let (low, high) = (number_of(low.parse().ok()?), number_of(high.parse().ok()?));
        return (low <= high).then_some(Span::Numbers { low, high });
    }
    let prefix: Prefix = text.parse().ok()?;
    let (low, high) = interval_of(prefix);
    Some(Span::Numbers { low, high })
}

fn mark(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// `tcp:80`, `udp:53-60`; `80` alone, in sets of ports, is that port of TCP and of UDP, and of no other
/// protocol (`ip_set_get_ip_port` of net/netfilter/ipset/ip_set_getport.c).
fn ports(text: &str) -> Option<(&'static [u8], Span)> {
    let (protocols, ports): (&[u8], &str) = match text.split_once(':') {
        None => (&[6, 17], text),
        Some(("tcp", ports)) => (&[6], ports),
        Some(("udp", ports)) => (&[17], ports),
        Some(("sctp", ports)) => (&[132], ports),
        Some(("udplite", ports)) => (&[136], ports),
        Some(_) => return None,
    };
    let (low, high) = ports.split_once('-').unwrap_or((ports, ports));
    let (low, high): (u16, u16) = (low.parse().ok()?, high.parse().ok()?);
    (low <= high).then_some((protocols, Span::Numbers { low: low.into(), high: high.into() }))
}
