//! The reasons in words.

use portolan_core::reach::{AroundKind, By, Group, Taker};

use crate::render::number::thousands;

/// The kind of what decides, for machines.
pub(super) const fn by_word(by: &By) -> &'static str {
    match by {
        By::Allowed(_) => "rule-accepts",
        By::Unfiltered => "no-rule",
        By::Refused { .. } => "rule-refuses",
        By::Bridge(_) => "bridge-table",
        By::AnswerRefused(_) => "rule-refuses-answer",
        By::NoListener(bound) if bound.is_empty() => "no-listener",
        By::NoListener(_) => "bound-elsewhere",
        By::NoRoute => "no-route",
        By::NoAddress => "no-address",
        By::NotForwarding => "not-forwarding",
        By::Martian => "martian",
        By::OfLink => "link-local",
        By::RulesUnseen => "rules-unseen",
    }
}

/// The facts of a group after what decides, a line each.
pub(super) fn more(group: &Group) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(translated) = &group.translated {
        let to = &translated.to;
        let container = match &group.taker {
            Some(Taker::Behind { container: Some(name), .. }) => format!(" (container {name})"),
            _ => String::new(),
        };
        lines.push(match &translated.rule {
            Some(rule) => format!("sent on to {to}{container} by {rule}"),
            None => format!("sent on to {to}{container}"),
        });
    }
    if let Some(handed) = &group.handed {
        let by = handed.rule.as_ref().map(|rule| format!(" by {rule}")).unwrap_or_default();
        lines.push(format!("handed as it is to what listens on port {}{by}", handed.to.port));
    }
    if let Some(around) = &group.around {
        lines.push(format!("the input path refuses this port and is never asked: {}", around.rule));
    }
    lines.extend(depends_on(group));
    if group.other_rules > 0 {
        let many = thousands(group.other_rules as u64);
        lines.push(format!("{many} more rules decide the same for some of them"));
    }
    if !group.is_exact {
        lines.push("an example: not every sender was asked about".to_owned());
    }
    lines
}

/// What the answer for a group hangs on.
pub(super) fn depends_on(group: &Group) -> Option<String> {
    let all = &group.depends_on;
    (!all.is_empty()).then(|| format!("depends on: {}", all.join("; ")))
}

/// How neighbours get to what stands behind a port.
pub(super) fn straight(group: &Group) -> String {
    let to = group.behind().unwrap_or_default();
    let by = group.interface.as_deref().unwrap_or("its interface");
    format!(
        "straight to {to}, not by this port: whoever is on the link of {by} may send packets for that \
         address to this machine, and it passes them on; {}",
        group.by
    )
}

/// Who goes around the input rules.
pub(super) const fn who_goes_around(kind: AroundKind) -> &'static str {
    match kind {
        AroundKind::Docker => "Docker publishes it around the input rules",
        AroundKind::Podman => "Podman publishes it around the input rules",
        AroundKind::Kubernetes => "Kubernetes publishes it around the input rules",
        AroundKind::Other => "a translation takes it around the input rules",
    }
}
