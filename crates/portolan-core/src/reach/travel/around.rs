//! Which rules a packet goes around because its destination is translated, and who translates.

use crate::firewall::Packet;
use crate::firewall::simulate::{Outcome, Prepared, Presumed, Way};
use crate::reach::answer::{Around, AroundKind, Group, Taker};

use super::Travel;

impl Travel<'_> {
    /// What would have ended the packet, had its destination not been translated.
    pub(super) fn around(
        &self,
        packet: &Packet,
        without: &Prepared<'_>,
        group: &Group,
    ) -> Option<Around> {
        let Some(Taker::Behind { .. }) = &group.taker else { return None };
        if group.is_by_our_own_table() {
            return None;
        }
        let walk = without.walk(packet, Way::Input, &Presumed);
        let is_ended = walk.outcome != Outcome::Accept;
        let rule = self.place(&walk).filter(|_| is_ended)?;
        Some(Around { rule, kind: self.who_translates(group) })
    }

    /// A name for who translates; that it is done is known from the packet's way alone.
    fn who_translates(&self, group: &Group) -> AroundKind {
        let mut all = self.asking.scene.publications.iter();
        let published = all.find(|p| p.port == self.port && p.transport == self.transport);
        let place = group.translated.as_ref().and_then(|t| t.rule.as_ref());
        let words = place.map(|p| format!("{} {}", p.table, p.chain)).unwrap_or_default();
        let words = words.to_ascii_lowercase();
        match published.map(|p| &*p.runtime) {
            Some("docker") => AroundKind::Docker,
            Some("podman") => AroundKind::Podman,
            _ if words.contains("docker") => AroundKind::Docker,
            _ if words.contains("netavark") || words.contains("cni") => AroundKind::Podman,
            _ if words.contains("kube") => AroundKind::Kubernetes,
            _ => AroundKind::Other,
        }
    }
}
