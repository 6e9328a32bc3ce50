//! What to change when ports run short, and only what fits what was counted.

use crate::net::{Port, PortRange, PortSet};

use super::{Fill, ReusePolicy, Usage};
use crate::socket::LocalPorts;

/// Numbers of a namespace that [`Usage`] does not hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// Ports outside any reservation that programs have chosen for themselves: they may be gone
    /// when their program starts again. Also those below the range.
    pub fixed: PortSet,
    /// TCP connections in CLOSE-WAIT whose port the kernel chose: the other end has closed, the
    /// program has not.
    pub close_wait: usize,
    /// TCP connections in FIN-WAIT-2 that no process has open any more.
    pub orphans: usize,
}

/// One thing that helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// net.ipv4.ip_local_port_range: more ports to choose from.
    Widen {
        /// The wider range, with an even number of ports.
        to: PortRange,
    },
    /// net.ipv4.ip_local_port_range: the last port of an odd range is now and then not found.
    EvenOut {
        /// The range with one port more or less.
        to: PortRange,
    },
    /// net.ipv4.ip_local_reserved_ports: numbers that programs ask for are not to be handed out.
    Reserve {
        /// What is not reserved yet.
        added: PortSet,
        /// The whole setting.
        all: PortSet,
    },
    /// net.ipv4.tcp_tw_reuse = 1: connections in TIME-WAIT make room after a second.
    ReuseTimeWait,
    /// Programs: keep connections open and use them again.
    KeepConnections,
    /// Programs: set IP_BIND_ADDRESS_NO_PORT before a bind that only chooses the address.
    BindAddressNoPort {
        /// Connections that look bound before they connected.
        connections: usize,
    },
    /// Programs: close what the other end has closed.
    CloseConnections {
        /// Connections in CLOSE-WAIT.
        connections: usize,
    },
    /// net.ipv4.tcp_fin_timeout: orphans give their port back sooner.
    ShortenFinTimeout {
        /// Orphans in FIN-WAIT-2.
        connections: usize,
    },
}

impl Usage {
    /// The least that is left, for connect() to any destination in use or for bind() at any address.
    #[must_use]
    pub fn tightest(&self) -> Fill {
        let empty = Fill { used: 0, usable: self.usable() };
        let toward = self.destinations().iter().map(|destination| self.toward(destination));
        let at = super::TRANSPORTS
            .into_iter()
            .filter_map(|transport| self.addresses(transport).first().map(|(_, fill)| *fill));
        toward.chain(at).max_by_key(|fill| fill.used).unwrap_or(empty)
    }

    /// What helps, the strongest first.
    #[must_use]
    pub fn advice(&self, ports: &LocalPorts, around: &Circumstances) -> Vec<Advice> {
        let mut advice = Vec::new();
        let percent = self.tightest().percent();
        let wider = widened(ports).filter(|_| percent >= PRESSING);
        if percent >= PRESSING {
            advice.extend(self.against_time_wait());
        }
        if self.is_many(self.likely_bound) {
            advice.push(Advice::BindAddressNoPort { connections: self.likely_bound });
        }
        if self.is_many(around.close_wait) {
            advice.push(Advice::CloseConnections { connections: around.close_wait });
        }
        if self.is_many(around.orphans) {
            advice.push(Advice::ShortenFinTimeout { connections: around.orphans });
        }
        advice.extend(wider.map(|to| Advice::Widen { to }));
        if wider.is_none() && percent >= PRESSING && self.is_odd() {
            advice.push(Advice::EvenOut { to: evened(ports.ephemeral) });
        }
        advice.extend(reserve(ports, wider.unwrap_or(ports.ephemeral), &around.fixed));
        advice
    }

    fn against_time_wait(&self) -> Vec<Advice> {
        let Some(worst) = self.destinations().first() else { return Vec::new() };
        if worst.time_wait * 2 < worst.connections() || !self.is_many(worst.time_wait) {
            return Vec::new();
        }
        let mut advice = vec![Advice::KeepConnections];
        if self.reuse.policy != ReusePolicy::Always && worst.reusable < worst.time_wait {
            advice.push(Advice::ReuseTimeWait);
        }
        advice
    }

    /// Whether so many are worth a word: a tenth of the range.
    fn is_many(&self, count: usize) -> bool {
        count > 0 && count * 10 >= self.usable()
    }
}

/// From 10240 on, and from the first port anybody may bind where that is still not more.
fn widened(ports: &LocalPorts) -> Option<PortRange> {
    let now = ports.ephemeral;
    let floor = |port: u16| Port(port.max(ports.unprivileged_start.0).min(now.first().0));
    [10240, 1024]
        .into_iter()
        .filter_map(|first| PortRange::new(floor(first), Port::MAX).ok())
        .find(|range| range.len() > now.len())
        .map(evened)
}

/// The same with an even number of ports.
fn evened(range: PortRange) -> PortRange {
    if range.len().is_multiple_of(2) {
        return range;
    }
    let last = if range.last() == Port::MAX { range.last().0 - 1 } else { range.last().0 + 1 };
    PortRange::new(range.first(), Port(last)).unwrap_or(range)
}

fn reserve(ports: &LocalPorts, range: PortRange, fixed: &PortSet) -> Option<Advice> {
    let missing = |port: &Port| range.contains(*port) && !ports.reserved.contains(*port);
    let added: PortSet = fixed.iter().filter(missing).map(PortRange::from).collect();
    if added.is_empty() {
        return None;
    }
    let mut all = ports.reserved.clone();
    all.union_with(&added);
    Some(Advice::Reserve { added, all })
}

/// Percent of the usable ports from which on it is worth doing something.
pub const PRESSING: u8 = 50;

#[cfg(test)]
mod tests {
    use super::super::tests::{WEB, listener, outgoing, ports, waiting};
    use super::*;
    use crate::socket::Socket;
    use crate::socket::ephemeral::TimeWaitReuse;

    fn advice(sockets: &[Socket], around: &Circumstances) -> Vec<Advice> {
        let ports = ports(40000, 40007, &[40003]);
        Usage::of(sockets, &ports, TimeWaitReuse::default()).advice(&ports, around)
    }

    #[test]
    fn a_machine_with_room_is_told_nothing() {
        assert_eq!(advice(&[outgoing(40000, WEB)], &Circumstances::default()), []);
    }

    #[test]
    fn a_range_that_runs_short_is_to_be_widened_and_fixed_ports_in_it_reserved() {
        let fixed: PortSet = [8080, 20000].map(|p| PortRange::from(Port(p))).into_iter().collect();
        let around = Circumstances { fixed, ..Circumstances::default() };
        let sockets = [40000, 40002, 40004, 40006].map(|p| outgoing(p, WEB));
        let told = advice(&sockets, &around);
        let [Advice::Widen { to }, Advice::Reserve { added, all }] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!(to.to_string(), "10240-65535");
        assert_eq!((added.to_string(), all.to_string()), ("20000".into(), "20000,40003".into()));
    }

    #[test]
    fn a_fixed_port_inside_the_range_is_told_without_any_shortage() {
        let fixed: PortSet = [PortRange::from(Port(40000))].into_iter().collect();
        let around = Circumstances { fixed, ..Circumstances::default() };
        let told = advice(&[listener("0.0.0.0:40000")], &around);
        assert!(matches!(&told[..], [Advice::Reserve { .. }]), "{told:?}");
    }

    #[test]
    fn time_wait_is_advised_against_where_it_takes_the_ports() {
        let sockets = [40000, 40002, 40004, 40006].map(|p| waiting(p, WEB, 60));
        let told = advice(&sockets, &Circumstances::default());
        assert_eq!(told[..2], [Advice::KeepConnections, Advice::ReuseTimeWait]);
    }

    #[test]
    fn a_range_that_cannot_grow_any_more_is_at_least_made_even() {
        let ports = ports(1024, 65534, &[]);
        assert_eq!(widened(&ports).map(PortRange::len), Some(64512));
        let all = super::super::tests::ports(1024, 65535, &[]);
        assert_eq!(widened(&all), None);
        assert_eq!(evened(ports.ephemeral).len() % 2, 0);
    }
}
