//! Which ports the rules name: those a server had better not choose.

use super::condition::{Condition, Test, number};
use super::{Branch, Translations, Verdict};
use crate::net::{PortRange, PortSet, Transport};

impl Translations {
    /// The ports that rules name on the way to a translation of `transport`.
    ///
    /// Rules that translate whatever the port is, as those before a transparent proxy, name none;
    /// nor do those for more than [`MANY`] ports, which are no claim on a number.
    #[must_use]
    pub fn named_ports(&self, transport: Transport) -> PortSet {
        let rules = self.chains.iter().flat_map(|chain| &chain.rules);
        let branches = rules.flat_map(|rule| &rule.branches).filter(|branch| branch.leads_on());
        let mut ports = PortSet::new();
        for branch in branches {
            named(&branch.conditions, transport).into_iter().for_each(|r| ports.insert_range(r));
        }
        ports
    }
}

impl Branch {
    /// Whether a translation may follow.
    const fn leads_on(&self) -> bool {
        matches!(self.verdict, Verdict::Translate(_) | Verdict::Jump(_) | Verdict::Goto(_))
    }
}

/// The ports that conditions ask for, if they can hold for `transport`.
fn named(conditions: &[Condition], transport: Transport) -> Vec<PortRange> {
    let other_transport = |c: &Condition| match &c.test {
        Test::Protocol(numbers) => numbers.contains(&number(transport)) == c.negated,
        _ => false,
    };
    if conditions.iter().any(other_transport) {
        return Vec::new();
    }
    let asked = conditions.iter().filter(|c| !c.negated).flat_map(|c| match &c.test {
        Test::Port(ranges) => ranges.clone(),
        Test::AnyOf(groups) => groups.iter().flat_map(|g| named(g, transport)).collect(),
        _ => Vec::new(),
    });
    asked.filter(|range| range.len() <= MANY).collect()
}

/// Ranges longer than that are about traffic as such.
const MANY: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nat::RuleFamily;

    #[test]
    fn a_port_is_named_by_a_published_container_and_not_by_a_transparent_proxy() {
        let saved = "*nat\n\
            :PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER - [0:0]\n\
            -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n\
            -A OUTPUT -p tcp -m owner ! --uid-owner 1337 -j REDIRECT --to-ports 15001\n\
            -A DOCKER ! -i docker0 -p tcp -m tcp --dport 20080 -j DNAT --to-destination 172.17.0.2:80\n\
            -A DOCKER ! -i docker0 -p udp -m udp --dport 20053 -j DNAT --to-destination 172.17.0.2:53\n\
            -A PREROUTING -p tcp -m tcp --dport 1024:65535 -j REDIRECT --to-ports 9000\n\
            COMMIT\n";
        let rules = Translations::from_iptables_save(saved, RuleFamily::Ip);
        assert_eq!(rules.named_ports(Transport::Tcp).to_string(), "20080");
        assert_eq!(rules.named_ports(Transport::Udp).to_string(), "20053");
    }
}
