//! Letting somebody in no longer: sources out of services, or a block that ends by itself.

use anyhow::Result;
use jiff::Timestamp;
use portolan_core::inventory::edit;
use portolan_core::inventory::{Host, Inventory, Service, Status};

use super::services::{Found, for_a_while, the_services};
use super::{Change, Done, Edited, Here, changed, edited, here, key, places, untouched};
use crate::fault::Fault;
use crate::ops::firewall::entries::{Entry, LetIn, Reading};
use crate::ops::firewall::wish::Wish;
use crate::ops::inventory::Asked;
use crate::ops::inventory::edit::{Draft, Set};

/// No longer lets somebody in; with an end, refuses them until then.
///
/// # Errors
/// As for [`allow`], and where the source is let in by another word that means more.
pub(crate) fn deny(asked: &Asked, wish: &Wish) -> Result<Edited> {
    let Here { inventory, host, machine } = here(asked)?;
    let reading = Reading { inventory: &inventory, machine: &machine };
    let mut draft = Draft::open(asked)?;
    let management = inventory.management.iter().filter(|management| {
        management.ports.iter().flat_map(|spec| spec.value.pairs()).any(|p| wish.ports.touches(p))
    });
    let management = management.map(|management| {
        let from: Vec<String> = management.from.iter().map(|s| s.value.to_string()).collect();
        format!("[management] lets {} in", from.join(", "))
    });
    let mut still: Vec<String> = management.collect();
    let done = match wish.until {
        Some(until) => vec![refuse(&mut draft, &host, wish, until)?],
        None => deny_in(&mut draft, &reading, &host, wish, &mut still)?,
    };
    Ok(Edited { host: host.name, draft, done, still })
}

fn deny_in(
    draft: &mut Draft,
    reading: &Reading<'_>,
    host: &Host,
    wish: &Wish,
    still: &mut Vec<String>,
) -> Result<Vec<Done>> {
    let Found { own: mut services, wider } = the_services(reading.inventory, host, wish)?;
    let (observed, wider): (Vec<_>, Vec<_>) =
        wider.into_iter().partition(|service| service.status == Status::Observed);
    if let Some(service) = wider.first() {
        return Err(more_than_asked(reading.inventory, service, wish, host));
    }
    let each = observed.iter().map(|service| untouched(draft, service, Change::OnlyObserved));
    let observed: Vec<Done> = each.collect::<Result<_>>()?;
    services.extend(for_a_while(reading.inventory, host, wish));
    if services.is_empty() && !observed.is_empty() {
        return Ok(observed);
    }
    if services.is_empty() {
        let path = draft.root.clone();
        return Ok(vec![changed(path, String::new(), Change::NotDeclared)]);
    }
    if let Some(source) = &wish.source
        && !services.iter().any(|service| names(service, source))
        && services.iter().any(|service| !service.from.is_empty())
    {
        return not_named(draft, reading, &services, source);
    }
    let mut done = observed;
    for service in &services {
        let set = without(draft, service, wish.source.as_deref())?;
        done.push(edited(service, set));
        if let Some(source) = &wish.source {
            still.extend(left(reading, service, source));
        }
    }
    // What said so already is only told where nothing else is to be told.
    if done.iter().any(|done| !done.change.is_none()) {
        done.retain(|done| !done.change.is_none());
    }
    Ok(done)
}

/// That a service cannot be denied some of its ports alone, with what can be done.
fn more_than_asked(
    inventory: &Inventory,
    service: &Service,
    wish: &Wish,
    host: &Host,
) -> anyhow::Error {
    let is_on_others = inventory.hosts_on(&service.on).len() > 1;
    let message = match is_on_others {
        true => {
            format!("service {} is on other hosts too, not on {} alone", service.name, host.name)
        }
        false => format!("service {} has more than {} on {}", service.name, wish.ports, host.name),
    };
    let asked: Vec<String> = wish.ports.items().iter().map(ToString::to_string).collect();
    let from = wish.source.as_ref().map(|s| format!(" --from {s}")).unwrap_or_default();
    let alone =
        format!("these alone, for a while: portolan deny {}{from} --until 2h", asked.join(","));
    let hint = match is_on_others {
        false => {
            let all: Vec<String> = service.ports.iter().map(|p| p.value.to_string()).collect();
            format!("all of it: portolan deny {}{from}; {alone}", all.join(","))
        }
        true => format!("on all of them: change `from` of [services.{}]; {alone}", service.name),
    };
    Fault::new(message, hint)
}

/// Whether `from` has this very item.
fn names(service: &Service, source: &str) -> bool {
    service.from.iter().any(|from| from.value.to_string() == source)
}

/// A source that no entry is: nothing is to be done where none has anybody of it.
fn not_named(
    draft: &mut Draft,
    reading: &Reading<'_>,
    services: &[&Service],
    source: &str,
) -> Result<Vec<Done>> {
    let found: Vec<LetIn> = services.iter().map(|s| reading.let_in(s, source)).collect();
    if found.iter().all(|found| *found == LetIn::None) {
        let each = services.iter().map(|service| untouched(draft, service, Change::NotLetIn));
        return each.collect();
    }
    let is_in = |found: &LetIn| matches!(found, LetIn::All(_) | LetIn::Some(_));
    let i = found.iter().position(is_in).unwrap_or_default();
    let message = format!("service {} does not name {source} in `from`", services[i].name);
    let entries: Vec<Entry> = found.into_iter().flat_map(LetIn::entries).collect();
    let hint = match entries.is_empty() {
        _ if is_everybody(reading, source) => {
            let ports: Vec<String> =
                services.iter().flat_map(|s| &s.ports).map(|p| p.value.to_string()).collect();
            format!("for everybody: portolan deny {}", ports.join(","))
        }
        true => {
            let from = services.iter().flat_map(|service| &service.from);
            let from: Vec<String> = from.map(|source| source.value.to_string()).collect();
            format!("it names {}: deny one of these", from.join(", "))
        }
        false => format!("what lets it in is {}: deny that", places(&entries)),
    };
    Err(Fault::new(message, hint))
}

/// Whether a source is every address there is.
fn is_everybody(reading: &Reading<'_>, source: &str) -> bool {
    let source = reading.inventory.source_named(source);
    source.is_some_and(|s| reading.inventory.extent_of(&s, reading.machine).addresses().is_all())
}

/// What of a service lets all of a source in when its own entry is gone. Of any word that was denied
/// narrower ones are meant to stay.
fn left(reading: &Reading<'_>, service: &Service, source: &str) -> Vec<String> {
    if service.status != Status::Active {
        return Vec::new();
    }
    let others = service.from.iter().filter(|from| from.value.to_string() != source);
    let others: Vec<_> = others.cloned().collect();
    let tell = |entry: Entry| match &*entry.source {
        "any" => format!("service {} is for any", service.name),
        other => {
            format!("service {} lets {other} in ({}:{})", service.name, entry.file, entry.line)
        }
    };
    match reading.let_in_by(&others, source) {
        LetIn::All(entries) => entries.into_iter().map(tell).collect(),
        _ => Vec::new(),
    }
}

/// Takes a source, or all, out of `from` of a service.
fn without(draft: &mut Draft, service: &Service, source: Option<&str>) -> Result<Set> {
    let from = service.from.iter().map(|from| from.value.to_string());
    let gone: Vec<String> =
        from.filter(|from| source.is_none_or(|source| source == from)).collect();
    draft.change(&key(service, "from"), |text| {
        gone.iter().try_fold(text.to_owned(), |text, source| {
            edit::remove_from_list(&text, &key(service, "from"), source)
        })
    })
}

/// Writes a block of these ports that ends by itself.
fn refuse(draft: &mut Draft, host: &Host, wish: &Wish, until: Timestamp) -> Result<Done> {
    let source = wish.source.as_deref().unwrap_or("any");
    let ports: Vec<String> = wish.ports.items().iter().map(|item| format!("\"{item}\"")).collect();
    let block = format!(
        "[[block]]\non    = [{:?}]\nfrom  = [{source:?}]\nports = [{}]\nuntil = {until}\n",
        host.name,
        ports.join(", ")
    );
    let path = draft.add(|text| edit::append_text(text, &block))?;
    let what = wish.ports.to_string();
    Ok(Done { until: Some(until), ..changed(path, what, Change::Refused) })
}
