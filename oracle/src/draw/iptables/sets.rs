//! Sets of ipset: the same ones for every ruleset, made once for a stage.

use super::{Edge, Rule};
use crate::draw::values;
use crate::rig::LINKS;

/// What `ipset restore` is told for a stage.
pub(crate) const SETS: &str = "\
create o_ip hash:ip
add o_ip 1.2.3.4
add o_ip 10.0.3.1
add o_ip 10.0.0.1
create o_net hash:net timeout 9999
add o_net 10.0.3.0/24
add o_net 10.0.3.8/30 nomatch
add o_net 203.0.113.0/24 timeout 7200
create o_netport hash:net,port counters
add o_netport 10.0.3.0/24,tcp:80
add o_netport 203.0.113.0/24,tcp:22-25
add o_netport 1.2.3.4,udp:53
create o_ipport hash:ip,port
add o_ipport 10.0.0.1,tcp:443
add o_ipport 10.0.0.1,udp:80
add o_ipport 172.17.0.5,tcp:8080
create o_triple hash:ip,port,ip
add o_triple 10.0.3.1,tcp:80,10.0.0.1
add o_triple 1.2.3.4,udp:443,172.17.0.5
create o_link hash:net,iface
add o_link 10.0.3.0/24,eth0
add o_link 203.0.113.0/24,out0
create o_port bitmap:port range 20-100
add o_port 22
add o_port 80-85
create o_range bitmap:ip range 10.0.3.0/24
add o_range 10.0.3.1-10.0.3.9
create o_list list:set
add o_list o_ip
add o_list o_net
create o_ip6 hash:ip family inet6
add o_ip6 2001:db8:9::9
add o_ip6 fd00:a::1
create o_net6 hash:net family inet6
add o_net6 fd00:a::/64
add o_net6 2400::/12
create o_netport6 hash:net,port family inet6
add o_netport6 fd00:a::/64,tcp:80
add o_netport6 2001:db8:5::/48,udp:53
";

/// The sets of a version of IP with how many things each looks up.
const V4: &[(&str, usize)] = &[
    ("o_ip", 1),
    ("o_net", 1),
    ("o_netport", 2),
    ("o_ipport", 2),
    ("o_triple", 3),
    ("o_link", 2),
    ("o_range", 1),
    ("o_list", 1),
    ("o_port", 1),
];
const V6: &[(&str, usize)] = &[("o_ip6", 1), ("o_net6", 1), ("o_netport6", 2), ("o_port", 1)];

impl Rule<'_> {
    /// `-m set --match-set NAME src,dst`.
    pub(super) fn set(&mut self) {
        let (name, count) = *self.chance.pick(if self.is_v6 { V6 } else { V4 });
        let is_link = name == "o_link";
        let words: Vec<&str> = (0..count)
            .map(|at| match (name, at) {
                ("o_netport" | "o_ipport" | "o_netport6", 1) if self.chance.percent(80) => "dst",
                _ => *self.chance.pick(&["src", "src", "dst"]),
            })
            .collect();
        let way = match (is_link, self.chain) {
            // The interface must be there at the hook.
            (true, "INPUT" | "PREROUTING") => "src,src".to_owned(),
            (true, "FORWARD") => words.join(","),
            (true, _) => return,
            _ => words.join(","),
        };
        let not = if self.chance.percent(30) { "! " } else { "" };
        let addresses: &[&str] = match self.is_v6 {
            false => &[
                "10.0.3.1",
                "10.0.3.9",
                "10.0.3.8",
                "10.0.3.11",
                "10.0.3.12",
                "1.2.3.4",
                "1.2.3.5",
                "203.0.113.9",
                "203.0.114.1",
                "10.0.3.10",
            ],
            true => {
                &["fd00:a::7", "2001:db8:9::9", "2001:db8:5::9", "2400::1", "2410::1", "fd00:b::9"]
            }
        };
        let to: &[&str] = match self.is_v6 {
            false => &["10.0.0.1", "172.17.0.5", "10.0.3.9", "192.168.7.1"],
            true => &["fd00:a::1", "fd00:17::41", "2001:db8:9::9"],
        };
        let source = addresses.iter().map(|a| Edge::Source(values::address(a))).collect();
        let target = to.iter().map(|a| Edge::Destination(values::address(a))).collect();
        self.edges.extend([source, target]);
        self.edges.push([6, 17, 6].map(Edge::Protocol).to_vec());
        self.edges
            .push([80, 443, 22, 53, 8080, 25, 26, 85, 86, 100].map(Edge::DestinationPort).to_vec());
        if is_link {
            self.edges.push(LINKS.map(Edge::LinkIn).to_vec());
        }
        self.push(format!("-m set {not}--match-set {name} {way}"), vec![]);
    }
}
