//! A node of a cluster whose firewall keeps what it forwards: what pods, guests and a tunnel do is left
//! alone, published ports are open to whom the inventory names and to nobody else.
//!
//! ```text
//!                      ┌─ cali-a  pod a 10.244.1.2       services: 10.96.0.10, 198.51.100.50
//! outside ─── eth0 node┼─ cali-b  pod b 10.244.2.2       node ports: 30080 declared, 30081 not
//! 10.70.0.2  10.70.0.1 ├─ virbr0  guest 10.71.0.2
//!                      └─ wg0     peer  10.72.0.2
//! ```
//!
//! The rules that translate are of the two shapes kube-proxy gives them: chains of iptables, one for each
//! service and endpoint, and maps of nftables.

use std::process::Stdio;

use crate::support::{Netns, Program, Server, require_root};

const INVENTORY: &str = r#"portolan = 1
[hosts.node]
address = "10.70.0.1"
[services.shop]
on = "node"
ports = "30080/tcp"
from = "any"
[services.web]
on = "node"
ports = "80/tcp"
from = "any"
limit = "1/1h"
"#;

struct Cluster {
    node: Netns,
    outside: Netns,
    a: Netns,
    _b: Netns,
    guest: Netns,
    peer: Netns,
    _servers: Vec<Server>,
}

impl Cluster {
    fn new() -> Self {
        let node = Netns::new();
        node.set("net/ipv4/ip_forward", 1);
        let outside = behind(&node, "eth0", 70);
        let guest = behind(&node, "virbr0", 71);
        let peer = behind(&node, "wg0", 72);
        node.ip("route add default via 10.70.0.2");
        let (a, b) = (pod(&node, "cali-a", 1), pod(&node, "cali-b", 2));
        for network in ["10.71.0.0/24", "10.72.0.0/24", "198.51.100.0/24"] {
            outside.ip(&format!("route add {network} via 10.70.0.1"));
        }
        let servers = [&outside, &b, &guest].map(|place| place.python(SERVE));
        Self { node, outside, a, _b: b, guest, peer, _servers: servers.into() }
    }

    fn protect(&self) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("portolan.toml"), INVENTORY).unwrap();
        let compiled = Program::line("firewall compile --host node").folder(folder.path());
        self.node.rules(&compiled.run().expect_code(0).stdout);
    }

    /// What everybody gets who is to get something, in order.
    fn works(&self) -> Vec<(&'static str, String)> {
        let ask =
            |who: &Netns, what: &str| who.python(&format!("{TOOLS}\nprint({what})")).said.clone();
        let twice = "[call('10.96.0.10', 80) for _ in range(3)], ask('10.96.0.10', 53)";
        vec![
            ("pod to service", ask(&self.a, twice)),
            ("pod to load balancer", ask(&self.a, "call('198.51.100.50', 443)")),
            ("pod to pod", ask(&self.a, "call('10.244.2.2', 8080)")),
            ("pod to outside", ask(&self.a, "call('10.70.0.2', 8080)")),
            ("outside to load balancer", ask(&self.outside, "call('198.51.100.50', 443)")),
            ("outside to the declared node port", ask(&self.outside, "call('10.70.0.1', 30080)")),
            ("outside to guest", ask(&self.outside, "call('10.71.0.2', 8080)")),
            ("guest to outside", ask(&self.guest, "call('10.70.0.2', 8080), ask('10.70.0.2', 53)")),
            ("peer to guest", ask(&self.peer, "call('10.71.0.2', 8080), ask('10.71.0.2', 53)")),
            ("service from the node itself", ask(&self.node, "call('10.96.0.10', 80)")),
        ]
    }

    fn outside_reaches(&self, port: u16) -> bool {
        let said =
            self.outside.python(&format!("{TOOLS}\nprint(call('10.70.0.1', {port}))")).said.clone();
        said == "True"
    }
}

/// A machine on a link of its own behind the node.
fn behind(node: &Netns, device: &str, network: u8) -> Netns {
    let there = Netns::new();
    node.ip(&format!("link add {device} type veth peer name eth0 netns {}", there.name()));
    attach(node, device, &format!("10.{network}.0.1/24"));
    attach(&there, "eth0", &format!("10.{network}.0.2/24"));
    if network != 70 {
        there.ip(&format!("route add default via 10.{network}.0.1"));
    }
    there
}

fn pod(node: &Netns, device: &str, number: u8) -> Netns {
    let pod = Netns::new();
    node.ip(&format!("link add {device} type veth peer name eth0 netns {}", pod.name()));
    attach(node, device, &format!("10.244.{number}.1/24"));
    attach(&pod, "eth0", &format!("10.244.{number}.2/24"));
    pod.ip(&format!("route add default via 10.244.{number}.1"));
    pod
}

fn attach(netns: &Netns, device: &str, address: &str) {
    netns.ip(&format!("link set {device} up"));
    netns.ip(&format!("address add {address} dev {device}"));
}

const SERVE: &str = r#"
import threading
def echo(s):
    while True:
        data, peer = s.recvfrom(9)
        s.sendto(data, peer)
threading.Thread(target=echo, args=(datagram("0.0.0.0:53"),), daemon=True).start()
listener("0.0.0.0:8080", 64)
"#;

const TOOLS: &str = r#"
def call(address, port):
    try:
        socket.create_connection((address, port), 1).close()
        return True
    except OSError:
        return False
def ask(address, port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(1)
    try:
        s.sendto(b"?", (address, port))
        return s.recv(9) == b"?"
    except OSError:
        return False
"#;

/// By chains, as the iptables mode does it.
const BY_CHAINS: &str = "*nat
:SERVICES - [0:0]
:NODEPORTS - [0:0]
:POSTROUTING-OURS - [0:0]
:MARK-MASQ - [0:0]
:SVC-SHOP - [0:0]
:SVC-DNS - [0:0]
:EXT-SHOP - [0:0]
:SEP-SHOP - [0:0]
:SEP-DNS - [0:0]
-A PREROUTING -m comment --comment \"service portals\" -j SERVICES
-A OUTPUT -m comment --comment \"service portals\" -j SERVICES
-A POSTROUTING -j POSTROUTING-OURS
-A POSTROUTING -s 10.244.0.0/16 -o eth0 -j MASQUERADE
-A SERVICES -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j SVC-SHOP
-A SERVICES -d 198.51.100.50/32 -p tcp -m tcp --dport 443 -j EXT-SHOP
-A SERVICES -d 10.96.0.10/32 -p udp -m udp --dport 53 -j SVC-DNS
-A SERVICES -m addrtype --dst-type LOCAL -j NODEPORTS
-A NODEPORTS -p tcp -m tcp --dport 30080 -j EXT-SHOP
-A NODEPORTS -p tcp -m tcp --dport 30081 -j EXT-SHOP
-A EXT-SHOP -j MARK-MASQ
-A EXT-SHOP -j SVC-SHOP
-A SVC-SHOP ! -s 10.244.0.0/16 -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j MARK-MASQ
-A SVC-SHOP -m statistic --mode random --probability 0.5 -j SEP-SHOP
-A SVC-SHOP -j SEP-SHOP
-A SVC-DNS -j SEP-DNS
-A SEP-SHOP -p tcp -m tcp -j DNAT --to-destination 10.244.2.2:8080
-A SEP-DNS -p udp -m udp -j DNAT --to-destination 10.244.2.2:53
-A MARK-MASQ -j MARK --or-mark 0x4000
-A POSTROUTING-OURS -m mark ! --mark 0x4000/0x4000 -j RETURN
-A POSTROUTING-OURS -j MARK --xor-mark 0x4000
-A POSTROUTING-OURS -j MASQUERADE
COMMIT
*filter
:FORWARD-OURS - [0:0]
-A FORWARD -j FORWARD-OURS
-A FORWARD-OURS -m conntrack --ctstate INVALID -j DROP
-A FORWARD-OURS -m mark --mark 0x4000/0x4000 -j ACCEPT
-A FORWARD-OURS -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
";

/// By maps, as the nftables mode does it.
const BY_MAPS: &str = r#"table ip cluster {
    map service-ips {
        type ipv4_addr . inet_proto . inet_service : verdict
        elements = { 10.96.0.10 . tcp . 80 : goto service-shop, 10.96.0.10 . udp . 53 : goto service-dns,
            198.51.100.50 . tcp . 443 : goto external-shop }
    }
    map service-nodeports {
        type inet_proto . inet_service : verdict
        elements = { tcp . 30080 : goto external-shop, tcp . 30081 : goto external-shop }
    }
    chain mark-masq { meta mark set meta mark or 0x4000
    }
    chain external-shop { jump mark-masq
        goto service-shop
    }
    chain service-shop { ip daddr 10.96.0.10 ip saddr != 10.244.0.0/16 jump mark-masq
        meta l4proto tcp dnat to 10.244.2.2:8080
    }
    chain service-dns { meta l4proto udp dnat to 10.244.2.2:53
    }
    chain services { ip daddr . meta l4proto . th dport vmap @service-ips
        fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @service-nodeports
    }
    chain prerouting { type nat hook prerouting priority dstnat; policy accept; jump services
    }
    chain output { type nat hook output priority -100; policy accept; jump services
    }
    chain postrouting { type nat hook postrouting priority srcnat; policy accept
        ip saddr 10.244.0.0/16 oifname "eth0" masquerade
        meta mark & 0x4000 == 0x4000 meta mark set meta mark xor 0x4000 masquerade
    }
    chain forward { type filter hook forward priority -110; policy accept; ct state invalid drop
    }
}
"#;

fn by_chains(node: &Netns) {
    use std::io::Write as _;
    let mut restore = node.command("iptables-nft-restore");
    let mut running = restore.stdin(Stdio::piped()).spawn().unwrap();
    running.stdin.take().unwrap().write_all(BY_CHAINS.as_bytes()).unwrap();
    assert!(running.wait().unwrap().success());
}

/// With these rules of the cluster everything works, and under the firewall all but the port that nobody
/// declared.
fn is_left_alone(write: impl Fn(&Netns)) {
    let cluster = Cluster::new();
    write(&cluster.node);
    let before = cluster.works();
    assert!(before.iter().all(|(_, said)| !said.contains("False")), "{before:#?}");
    assert!(cluster.outside_reaches(30080) && cluster.outside_reaches(30081));
    cluster.protect();
    let after = cluster.works();
    assert_eq!(after, before);
    assert!(cluster.outside_reaches(30080) && !cluster.outside_reaches(30081));
    let connections = cluster.node.output("cat /proc/net/nf_conntrack");
    assert!(
        connections.contains("mark=0") && !connections.contains("mark=134217728"),
        "{connections}"
    );
}

#[test]
fn what_pods_guests_and_tunnels_do_is_left_alone_beside_chains_of_iptables() {
    require_root!();
    is_left_alone(by_chains);
}

#[test]
fn what_pods_guests_and_tunnels_do_is_left_alone_beside_maps_of_nftables() {
    require_root!();
    is_left_alone(|node| node.rules(BY_MAPS));
}
