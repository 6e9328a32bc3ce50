//! Members that exclude: of the networks that contain an address the smallest decides
//! (net/netfilter/ipset/ip_set_hash_gen.h asks the longest prefix first).

use crate::firewall::{Element, Span};

/// The members without what the exceptions take out; `None` where keys have several parts.
pub(super) fn without(members: &[Element], exceptions: &[Element]) -> Option<Vec<Element>> {
    let mut networks = Vec::new();
    for (list, is_in) in [(members, true), (exceptions, false)] {
        for element in list {
            let [Span::Numbers { low, high }] = element.key[..] else { return None };
            networks.push((low, high, is_in));
        }
    }
    // Networks lie beside or within each other: the wider first, so that the smaller paints over it.
    networks.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
    let mut painted = Vec::new();
    let mut open: Vec<(u128, u128, bool)> = Vec::new();
    for (low, high, is_in) in networks {
        while let Some(&(from, to, was_in)) = open.last()
            && to < low
        {
            close(&mut open, from, to, was_in, &mut painted);
        }
        if let Some(outer) = open.last_mut() {
            if outer.2 && outer.0 < low {
                painted.push(Element::of(Span::Numbers { low: outer.0, high: low - 1 }));
            }
            match high.checked_add(1) {
                Some(after) => outer.0 = after,
                None => outer.2 = false,
            }
        }
        open.push((low, high, is_in));
    }
    while let Some(&(from, to, was_in)) = open.last() {
        close(&mut open, from, to, was_in, &mut painted);
    }
    Some(painted)
}

/// What is left of the innermost network.
fn close(
    open: &mut Vec<(u128, u128, bool)>,
    from: u128,
    to: u128,
    was_in: bool,
    painted: &mut Vec<Element>,
) {
    open.pop();
    if was_in && from <= to {
        painted.push(Element::of(Span::Numbers { low: from, high: to }));
    }
}
