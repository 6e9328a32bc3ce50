//! Whether a table that is loaded is still the one that somebody agreed to.
//!
//! Two listings of our table are held against each other: flags, chains with their rules in order, sets
//! with what a policy put into them. What packets change does not count: counters, quotas used, elements
//! of sets that packets or time fill. Nor does the order in which nft lists parts and elements, which
//! is that of a hash.

use super::outline::{Outline, OutlinePart, elements};

/// The first thing that differs, in words; `None` where `live` is what `kept` says.
#[must_use]
pub fn first_difference(kept: &Outline<'_>, live: &Outline<'_>) -> Option<String> {
    let own = |outline: &Outline<'_>| sorted(outline.own.iter().map(|s| canonical(s)));
    if own(kept) != own(live) {
        let told =
            |own: Vec<String>| if own.is_empty() { "no flags".into() } else { own.join("; ") };
        return Some(format!("the table has {}, not {}", told(own(live)), told(own(kept))));
    }
    let gone = kept.parts.iter().find(|part| live.part(part.kind, part.name).is_none());
    if let Some(gone) = gone {
        return Some(format!("{} {} is gone", gone.kind, gone.name));
    }
    live.parts.iter().find_map(|part| match kept.part(part.kind, part.name) {
        None => Some(format!("{} {} was added", part.kind, part.name)),
        Some(was) if part.kind == "chain" => rules(was, part),
        Some(was) => members(was, part),
    })
}

fn rules(kept: &OutlinePart<'_>, live: &OutlinePart<'_>) -> Option<String> {
    let lines = |part: &OutlinePart<'_>| -> Vec<String> {
        part.statements().iter().map(|s| canonical(s)).collect()
    };
    let (kept, now) = (lines(kept), lines(live));
    let first = kept.iter().zip(&now).position(|(a, b)| a != b);
    let first = first.unwrap_or_else(|| kept.len().min(now.len()));
    let chain = live.name;
    match (kept.get(first), now.get(first)) {
        (None, None) => None,
        (Some(was), None) => Some(format!("chain {chain} lacks `{was}`")),
        (None, Some(is)) => Some(format!("chain {chain} has `{is}` besides")),
        (Some(was), Some(is)) => Some(format!("chain {chain} has `{is}` where `{was}` was")),
    }
}

fn members(kept: &OutlinePart<'_>, live: &OutlinePart<'_>) -> Option<String> {
    let (kind, name) = (live.kind, live.name);
    if matches!(kind, "counter" | "quota") {
        return None;
    }
    if kept.declaration() != live.declaration() {
        return Some(format!("{kind} {name} is declared otherwise"));
    }
    if live.is_dynamic() {
        return None;
    }
    let of = |part: &OutlinePart<'_>| {
        sorted(elements(part.elements.unwrap_or_default()).into_iter().map(canonical))
    };
    let (kept, now) = (of(kept), of(live));
    if kept == now {
        return None;
    }
    let only = |a: &[String], b: &[String]| a.iter().find(|e| b.binary_search(e).is_err()).cloned();
    Some(match (only(&kept, &now), only(&now, &kept)) {
        (Some(gone), _) => format!("{kind} {name} lacks {gone}"),
        (None, Some(more)) => format!("{kind} {name} has {more} besides"),
        (None, None) => format!("{kind} {name} has other elements"),
    })
}

fn sorted(items: impl Iterator<Item = String>) -> Vec<String> {
    let mut items: Vec<String> = items.collect();
    items.sort_unstable();
    items
}

/// A statement with blanks evened, without what packets count, and with the elements of a set inside
/// of it in one order.
fn canonical(text: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        kept.push(word);
        let counted = match word {
            "counter" if words.peek() == Some(&"packets") => 4,
            "used" => 2,
            _ => 0,
        };
        words.by_ref().take(counted).for_each(drop);
    }
    let line = kept.join(" ");
    let Some((before, rest)) = line.split_once("{ ") else { return line };
    let Some((inner, after)) = rest.split_once(" }") else { return line };
    let inner = sorted(inner.split(", ").map(str::to_owned)).join(", ");
    format!("{before}{{ {inner} }}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: &str = "table inet portolan {
	set web {
		type ipv4_addr
		flags interval
		elements = { 192.0.2.1, 192.0.2.7 }
	}
	set door {
		type ipv4_addr
		flags dynamic,timeout
		timeout 30s
	}
	chain input {
		type filter hook input priority filter - 5; policy drop;
		tcp dport { 22, 80 } counter packets 3 bytes 180 accept
		counter packets 0 bytes 0 drop
	}
}";

    fn differs(live: &str) -> Option<String> {
        first_difference(&Outline::parse(KEPT).unwrap(), &Outline::parse(live).unwrap())
    }

    #[test]
    fn what_packets_change_and_hashes_order_is_no_difference() {
        assert_eq!(differs(KEPT), None);
        let live = KEPT
            .replace("packets 0 bytes 0", "packets 9 bytes 99")
            .replace("{ 22, 80 }", "{ 80, 22 }")
            .replace("192.0.2.1, 192.0.2.7", "192.0.2.7,\n192.0.2.1")
            .replace("timeout 30s\n", "timeout 30s\nelements = { 192.0.2.9 expires 3s }\n");
        assert_eq!(differs(&live), None);
    }

    #[test]
    fn the_first_difference_is_named() {
        for (from, to, told) in [
            (
                "portolan {",
                "portolan {\n\tflags dormant",
                "the table has flags dormant, not no flags",
            ),
            ("\t\tcounter packets 0 bytes 0 drop\n", "", "chain input lacks `counter drop`"),
            ("\t\ttcp", "\t\taccept\n\t\ttcp", "chain input has `accept` where"),
            ("policy drop", "policy accept", "chain input has `policy accept` where"),
            (", 192.0.2.7", "", "set web lacks 192.0.2.7"),
            ("192.0.2.7", "192.0.2.7, 203.0.113.9", "set web has 203.0.113.9 besides"),
            ("30s", "40s", "set door is declared otherwise"),
            ("chain input", "chain other { }\nchain input", "chain other was added"),
            ("set web", "set bew", "set web is gone"),
        ] {
            let found = differs(&KEPT.replace(from, to)).unwrap();
            assert!(found.starts_with(told), "{found}");
        }
    }
}
