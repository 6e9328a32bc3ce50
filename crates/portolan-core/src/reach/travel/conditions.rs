//! What must be so beside the rules, for a packet that they let in.

use crate::firewall::Packet;
use crate::reach::answer::{Answer, By, Group, Taker};
use crate::reach::arrival::{Arrival, is_broadcast, is_by_favour};

use super::Travel;

impl Travel<'_> {
    /// What must be so beside the rules, for a packet that they let in.
    pub(super) fn conditions(&self, packet: &Packet, arrival: &Arrival, group: &mut Group) {
        let (world, to) = (self.asking.scene.world, packet.destination);
        if !matches!(group.answer, Answer::Yes | Answer::Depends) {
            return;
        }
        // What is behind answers by another way.
        let is_ours = !matches!(group.taker, Some(Taker::Behind { .. }));
        if arrival.policy.is_refused && is_ours {
            (group.answer, group.by) = (Answer::No, By::NoRoute);
            return;
        }
        let policy = &arrival.policy.depends_on;
        if !policy.is_empty() && is_ours {
            group.answer = Answer::Depends;
            let whether = |rule: &String| format!("whether answers go by ip rule {rule}");
            group.depends_on.extend(policy.iter().map(whether));
        }
        if self.is_straight() {
            return;
        }
        match (is_by_favour(arrival, to, world), arrival.is_site) {
            (false, _) => {}
            (true, true) => {
                group.depends_on.push(format!("whether others route {to} to this machine"));
            }
            (true, false) => {
                (group.answer, group.needs_router) = (Answer::Depends, true);
                group.depends_on.push(format!(
                    "a router in front that sends them on to {to}: the Internet does not route private \
                     addresses"
                ));
            }
        }
        if to.is_loopback() {
            let by = &packet.interface_in;
            group.depends_on.push(format!("route_localnet, which lets it in by {by} (sysctl)"));
        }
        if is_broadcast(to, world) {
            group.depends_on.push(format!("it being sent to everybody, to {to}"));
        }
        if to.is_multicast() {
            group.depends_on.push(format!("it being sent to the group {to}"));
        }
    }
}
