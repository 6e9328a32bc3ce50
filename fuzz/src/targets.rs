//! The body of every fuzz target: a parser of foreign bytes, and what must hold of its answer.
//!
//! The fuzzer's programs and the ordinary tests both compile this file, so that what is replayed is
//! what was fuzzed. A body panics where a promise is broken, and does nothing else.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use portolan_core::container::{Publisher, parse_inspect};
use portolan_core::firewall::ipset::Ipsets;
use portolan_core::firewall::iptables::Save;
use portolan_core::firewall::{
    Family as RuleTableFamily, Outline, Replacement, RuleFormat, Ruleset, Statement, Verdict, World,
};
use portolan_core::inventory::edit::{self, EditError};
use portolan_core::inventory::file::{Loading, Path, Want};
use portolan_core::net::{Endpoint, Port, Transport, TransportSet};
use portolan_core::registry::{Registry, import, port_set};
use portolan_core::scan::TargetSet;
use portolan_core::scan::cookie::{Cookies, RESET};
use portolan_core::scan::journal::Journal;
use portolan_core::scan::target;
use portolan_core::socket::filter::{Filter, Names};
use portolan_core::socket::{
    Address, Family, Socket, SocketTransport, StateSet, TurnedAway, cgroup, multicast, passwd,
    procnet, procpid, task_file,
};
use portolan_core::wire::arp;
use portolan_core::wire::btf::Btf;
use portolan_core::wire::conntrack;
use portolan_core::wire::device::Device;
use portolan_core::wire::dns::{DomainName, RecordKind, Response};
use portolan_core::wire::extended_error::{ExtendedError, Origin};
use portolan_core::wire::genetlink;
use portolan_core::wire::ipv4::Ipv4;
use portolan_core::wire::ipv6::Ipv6;
use portolan_core::wire::lease::Named;
use portolan_core::wire::neighbour::Neighbour;
use portolan_core::wire::netlink::{self, Payload};
use portolan_core::wire::nf_tables;
use portolan_core::wire::nftrace::TraceEvent;
use portolan_core::wire::pair::Message;
use portolan_core::wire::resolver::{self, ResolvConf};
use portolan_core::wire::route::Route;
use portolan_core::wire::rtnetlink::{Link, LinkAddress};
use portolan_core::wire::sock_diag::{InetMessage, PacketMessage, UnixMessage};
use portolan_core::wire::sockaddr;
use portolan_core::wire::udp::Udp;

/// A target: panics where a promise is broken.
pub type Target = fn(&[u8]);

/// Every target with the name of its folder in `fuzz/corpus`.
pub const ALL: &[(&str, Target)] = &[
    ("sock_diag", sock_diag),
    ("dns", dns),
    ("pair", pair),
    ("btf", btf),
    ("proc_net", proc_net),
    ("proc_pid", proc_pid),
    ("cgroup", cgroup),
    ("inventory", inventory),
    ("inventory_edit", inventory_edit),
    ("port_set", port_set),
    ("ss_filter", ss_filter),
    ("iana_csv", iana_csv),
    ("iana_xml", iana_xml),
    ("registry_table", registry_table),
    ("nft_json", nft_json),
    ("iptables_save", iptables_save),
    ("firewall_walk", firewall_walk),
    ("complaint", complaint),
    ("socket_units", socket_units),
    ("container", container),
    ("targets", targets),
    ("packet", packet),
    ("journal", journal),
    ("error_queue", error_queue),
    ("conntrack", conntrack),
    ("nftrace", nftrace),
    ("firewall_table", firewall_table),
];

/// A datagram of the kernel's answer to a dump of sockets, links, addresses, routes or neighbours.
pub fn sock_diag(bytes: &[u8]) {
    for message in netlink::messages(bytes).flatten() {
        let Payload::Entry { body, .. } = message.payload else { continue };
        if let Ok(inet) = InetMessage::parse(body) {
            for transport in [SocketTransport::Tcp, SocketTransport::Udp, SocketTransport::Raw] {
                let _ = Socket::from_inet(&inet, transport, 1);
            }
        }
        if let Ok(unix) = UnixMessage::parse(body) {
            let _ = Socket::from_unix(&unix, 1);
        }
        if let Ok(packet) = PacketMessage::parse(body) {
            let _ = Socket::from_packet(&packet, 1);
        }
        let _ = Link::parse(body);
        let _ = LinkAddress::parse(body);
        let _ = (Route::parse(body), Neighbour::parse(body), Device::parse(body));
        let _ = genetlink::Family::parse(body);
        let _ = (genetlink::wireguard_port(body), genetlink::fou_port(body));
        let _ = genetlink::l2tp_port(body);
    }
}

/// A table of ours as text, divided by lines of `%% NAME`: what is loaded, and what is to take its place.
pub fn firewall_table(bytes: &[u8]) {
    let files = divided(bytes);
    let texts: Vec<_> = files.iter().map(|(_, text)| String::from_utf8_lossy(text)).collect();
    for text in &texts {
        let _ = Ruleset::from_own_text(text);
    }
    let read: Vec<Outline<'_>> =
        texts.iter().filter_map(|text| Outline::parse(text).ok()).collect();
    let Some(new) = read.last() else { return };
    for age in [None, Some(Duration::from_secs(5))] {
        let script = Replacement { live: read.first(), new, age }.script();
        let made = script.rsplit_once("\ntable ").map(|(_, table)| format!("table {table}"));
        let names = |outline: &Outline<'_>| -> Vec<String> {
            outline.parts.iter().map(|part| part.name.to_owned()).collect()
        };
        // Names that nft would not take, such as none, may run into what follows.
        if let Some(Ok(again)) = made.as_deref().map(Outline::parse)
            && names(new).iter().all(|name| name.bytes().all(|b| b.is_ascii_alphanumeric()))
        {
            assert!(again.parts.len() <= new.parts.len() + 1, "{script}");
        }
    }
}

/// A datagram of the kernel's answer to a dump of connections.
pub fn conntrack(bytes: &[u8]) {
    for message in netlink::messages(bytes).flatten() {
        let Payload::Entry { body, .. } = message.payload else { continue };
        if let Ok(Some(entry)) = conntrack::Entry::parse(body) {
            assert_eq!(conntrack::Entry::parse(&entry.body()), Ok(Some(entry)));
        }
    }
}

/// A datagram of what nf_tables tells of a traced packet.
pub fn nftrace(bytes: &[u8]) {
    for message in netlink::messages(bytes).flatten() {
        let Payload::Entry { body, .. } = message.payload else { continue };
        let _ = nf_tables::table(body);
        if let Ok(Some(event)) = TraceEvent::parse(body) {
            assert_eq!(TraceEvent::parse(&event.body()), Ok(Some(event)));
        }
    }
}

/// What a DNS server answers, and the files that say which servers there are.
pub fn dns(bytes: &[u8]) {
    for kind in RecordKind::BOTH {
        if let Ok(response) = Response::parse(bytes, kind) {
            assert!(response.addresses.iter().all(|address| kind.is_of(*address)));
            assert!(response.aliases.len() <= 16, "aliases come to an end");
        }
    }
    let text = String::from_utf8_lossy(bytes);
    let conf = ResolvConf::parse(&text);
    assert!((1..=3).contains(&conf.servers.len()), "somebody is always asked");
    let name = text.lines().next().unwrap_or_default();
    assert!(!conf.candidates(name).is_empty());
    let _ = (resolver::in_hosts(&text, name), resolver::name_sources(&text));
    assert!(Named::parse(&text).time.len() <= text.len());
    if let Ok(name) = DomainName::parse(name) {
        let question = portolan_core::wire::dns::query(1, &name, RecordKind::A);
        assert!(question.len() <= 512, "a question fits UDP");
    }
}

/// A datagram that reaches `listen`, or its answer.
pub fn pair(bytes: &[u8]) {
    if let Some(message) = Message::parse(bytes) {
        assert_eq!(message.to_bytes()[..], *bytes, "there is one way to write it");
    }
}

/// A kernel's description of its types, and the program that is made for it; the same bytes as what
/// such a program wrote.
pub fn btf(bytes: &[u8]) {
    for record in task_file::Record::each(bytes) {
        assert!(record.process_name().len() <= 3 * 16, "a name has 16 bytes");
    }
    let Ok(types) = Btf::parse(bytes) else { return };
    let Ok(layout) = task_file::Layout::read(&types) else { return };
    let families = vec![Family::Ipv4, Family::Ipv6];
    for suspects in [false, true] {
        let selection = task_file::Selection {
            families: families.clone(),
            states: StateSet::LISTENING,
            netns: Some(1),
            suspects,
        };
        let program = task_file::program(&layout, &selection);
        assert_eq!(program.last().map(|last| last[0]), Some(0x95), "a program ends");
    }
}

/// A table of /proc/net; the first byte says which. Those of multicast groups are text.
pub fn proc_net(bytes: &[u8]) {
    let Some((first, text)) = bytes.split_first() else { return };
    if let Ok(text) = std::str::from_utf8(text) {
        for row in multicast::igmp(text).chain(multicast::igmp6(text)).flatten() {
            let _ = (row.is_kernels(), multicast::uses(row.group));
        }
    }
    let tables = procnet::Table::ALL;
    let table = tables[usize::from(*first) % tables.len()];
    for row in table.rows(text, 1) {
        match row {
            Ok(row) => assert_eq!(row.socket.transport, table.transport),
            Err(error) => assert!(error.line > 1, "the heading is no row"),
        }
    }
}

/// What /proc tells of a process, and the users' file.
pub fn proc_pid(bytes: &[u8]) {
    if let Some(stat) = procpid::Stat::parse(bytes) {
        let _ = stat.started(1_700_000_000, 100);
    }
    let _ = procpid::effective_uid(bytes);
    let _ = procpid::command_line(bytes);
    let _ = procpid::executable(bytes);
    let _ = procpid::boot_time(bytes);
    let _ = procpid::descriptors_in_flight(bytes);
    let _ = procpid::mapped_sockets(bytes).count();
    for mount in procpid::NamespaceMount::all(bytes) {
        assert!(mount.path.len() <= bytes.len());
    }
    let _ = std::str::from_utf8(bytes).map(TurnedAway::parse);
    let _ = passwd::users(bytes);
}

/// /proc/PID/cgroup.
pub fn cgroup(bytes: &[u8]) {
    let placement = cgroup::of_process(bytes);
    assert!(placement.unit.is_none_or(|unit| !unit.is_empty()));
}

/// An inventory with its includes: files divided by lines of `%% NAME`, TOML or JSON each.
pub fn inventory(bytes: &[u8]) {
    let files = divided(bytes);
    let named = |path: &str| files.iter().find(|(name, _)| name == path);
    let mut loading = Loading::new(Path::new("main", "main"), &files[0].1);
    while let Some(want) = loading.next_want() {
        match &want {
            Want::Matches { pattern, .. } if named(pattern).is_some() => {
                loading.matched(&want, vec![Path::new(pattern, pattern)]);
            }
            Want::File { path, .. } if named(&path.identity).is_some() => {
                let bytes = named(&path.identity).map_or(&[][..], |(_, bytes)| bytes);
                loading.supply(&want, &path.shown, bytes);
            }
            Want::List { path, .. } if named(path).is_some() => {
                let bytes = named(path).map_or(&[][..], |(_, bytes)| bytes);
                loading.supply(&want, path, bytes);
            }
            _ => loading.failed(&want, "no such file"),
        }
    }
    match loading.finish() {
        Ok(inventory) => drop(inventory.matrix()),
        Err(refused) => {
            assert!(!refused.problems.is_empty(), "refused without a reason");
            for problem in &refused.problems {
                let place = refused.line_of(&problem.at);
                assert!(place.line > 0 && place.column > 0, "lines and columns count from one");
            }
        }
    }
}

fn divided(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![("main".to_owned(), Vec::new())];
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if let Some(name) = line.strip_prefix(b"%% ") {
            files.push((String::from_utf8_lossy(name).trim().to_owned(), Vec::new()));
        } else if let Some((_, content)) = files.last_mut() {
            content.extend_from_slice(line);
        }
    }
    files
}

/// Edits of an inventory's text: a key and a value in the first two lines, the file below.
pub fn inventory_edit(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let mut lines = text.splitn(3, '\n');
    let (Some(key), Some(value), Some(file)) = (lines.next(), lines.next(), lines.next()) else {
        return;
    };
    if let Ok(formatted) = edit::format(file) {
        let again = edit::format(&formatted).expect("a formatted file is TOML");
        assert_eq!(again, formatted, "formatting twice is formatting once");
    }
    if let Ok(changed) = edit::set(file, key, value) {
        match edit::set(&changed, key, value) {
            Ok(again) => assert_eq!(again, changed, "setting twice is setting once"),
            // A new table was given whole; from then on its keys are set one by one.
            Err(EditError::WholeTable { .. }) => {}
            Err(error) => panic!("a changed file can be changed: {error}"),
        }
    }
}

/// A port set as people write it.
pub fn port_set(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let registry = Registry::embedded();
    let usual: TransportSet = [Transport::Tcp].into_iter().collect();
    match port_set::parse(text, usual, &registry) {
        Ok(selection) => {
            let shown = selection.to_string();
            let again = port_set::parse(&shown, usual, &registry);
            assert_eq!(again.as_ref(), Ok(&selection), "`{shown}` selects the same");
        }
        Err(error) => drop((error.to_string(), error.hint())),
    }
}

/// A filter in the language of ss, applied to a few sockets.
pub fn ss_filter(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let names = Names {
        port: &|name| (name == "https").then_some(Port(443)),
        host: &|name| {
            if name == "here" { vec![IpAddr::V4(Ipv4Addr::LOCALHOST)] } else { Vec::new() }
        },
        device: &|name| (name == "lo").then(|| Arc::from("lo")),
        cgroup: &|path| path.starts_with('/').then_some(1),
    };
    match Filter::parse(&text.split_whitespace().collect::<Vec<_>>(), &names) {
        Ok(filter) => sockets().iter().for_each(|socket| {
            let _ = filter.matches(socket);
        }),
        Err(error) => drop((error.to_string(), error.hint())),
    }
}

/// One socket of each table, read from lines the kernel wrote.
fn sockets() -> Vec<Socket> {
    const TCP: &[u8] = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4242 1 0000000000000000 20 4 30 10 -1\n";
    let mut sockets: Vec<Socket> = procnet::Table::of(SocketTransport::Tcp)
        .take(1)
        .flat_map(|table| table.rows(TCP, 1).flatten().map(|row| row.socket).collect::<Vec<_>>())
        .collect();
    let mut listener = sockets[0].clone();
    listener.peer = None;
    listener.local = Address::Inet(Endpoint::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), Port(22)));
    sockets.push(listener);
    sockets
}

/// IANA's registry as CSV.
pub fn iana_csv(bytes: &[u8]) {
    imported(import::csv(bytes));
}

/// IANA's registry as XML.
pub fn iana_xml(bytes: &[u8]) {
    imported(import::xml(bytes));
}

/// What was imported can be kept and read again.
fn imported(read: Result<import::Import, import::ImportError>) {
    match read {
        Ok(import) => {
            let table = import.table("fuzz");
            Registry::from_table(table).expect("an import's table can be read");
        }
        Err(error) => drop(error.to_string()),
    }
}

/// The user's own copy of the registry.
pub fn registry_table(bytes: &[u8]) {
    let Ok(registry) = Registry::from_table(String::from_utf8_lossy(bytes).into_owned()) else {
        return;
    };
    let _ = registry.assignments_of(Port(80));
    let _ = registry.by_name("http");
    let _ = registry.search("time server");
}

/// What nft lists as JSON, the list of hooks, and what `ip -j` prints.
pub fn nft_json(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = RuleFormat::of(&text);
    let _ = World::default().take_ip_json(bytes);
    let Ok(mut ruleset) = Ruleset::from_nft_json(bytes) else { return };
    ruleset.order_by_hooks(&text);
    assert_eq!(ruleset.circle(), None, "calls come to an end");
    for table in &ruleset.tables {
        for rule in table.chains.iter().flat_map(|chain| &chain.rules) {
            for statement in &rule.statements {
                if let Statement::Verdict(Verdict::Jump(to) | Verdict::Goto(to)) = statement {
                    assert!(table.chain(to).is_some(), "a chain that is asked is there");
                }
            }
        }
    }
}

/// What `iptables-save` prints; what stands before the first line `%%` is `ipset save`'s.
pub fn iptables_save(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (sets, rules) = text.split_once("%%\n").unwrap_or(("", &text));
    let sets = Ipsets::read(sets).unwrap_or_default();
    for family in [Some(RuleTableFamily::Ip), Some(RuleTableFamily::Ip6), None] {
        let Ok(save) = Save::read(rules, family, Some(&sets)) else { continue };
        for table in &save.tables {
            for rule in table.chains.iter().flat_map(|chain| &chain.rules) {
                let line = rule.line.and_then(|line| rules.lines().nth(line as usize - 1));
                assert!(line.is_some_and(|line| line.contains(&*rule.text)), "a line of the file");
                let jumps = rule.statements.iter().filter_map(|statement| match statement {
                    Statement::Verdict(Verdict::Jump(to) | Verdict::Goto(to)) => Some(to),
                    _ => None,
                });
                for to in jumps {
                    assert!(table.chain(to).is_some(), "a jump has its chain");
                }
            }
        }
        let is_whole = save.incompatible.is_empty();
        assert_eq!(Ruleset::default().with_saves(vec![save]).is_ok(), is_whole, "never silently");
    }
}

/// Rules as nft prints them in JSON, and packets sent through them.
pub fn firewall_walk(bytes: &[u8]) {
    use portolan_core::firewall::simulate::{Open, Outcome, Prepared, Way};
    use portolan_core::firewall::{Packet, World};
    let Ok(rules) = Ruleset::from_nft_json(bytes) else { return };
    let world = World::default();
    let prepared = Prepared::new(&rules, &world);
    let ends = [("1.2.3.4", "10.0.0.1"), ("fd00::1", "fd00::2")];
    let ends = ends.map(|(from, to)| [from, to].map(|end| end.parse().expect("an address")));
    for ([from, to], protocol, port) in ends
        .into_iter()
        .flat_map(|ends| [(6, 22), (6, 8080), (17, 53), (58, 0)].map(|(p, n)| (ends, p, n)))
    {
        let packet = Packet::new(protocol, from, to).ports(40_000, port);
        for way in [Way::Prerouting, Way::Input, Way::Forward, Way::Output, Way::ByRoute] {
            let walk = prepared.walk(&packet, way, &Open);
            let quick = prepared.outcome(&packet, way, &Open);
            assert_eq!(quick, walk.is_certain().then_some(walk.outcome), "both say the same");
            assert!(walk.is_complete || walk.outcome == Outcome::Drop, "never a guessed accept");
            if let Some(rule) = walk.decided_by {
                assert!(rules.place(rule).is_some(), "what decides is of these rules");
            }
            for open in &walk.depends_on {
                assert!(!open.if_yes.is_empty() || !walk.is_complete, "it ends somewhere");
            }
        }
    }
}

/// What somebody's program printed when it could not have its port.
pub fn complaint(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let reading = portolan_core::socket::complaint::read(&text);
    assert!(reading.complaints.is_empty() || reading.refused.is_some(), "a complaint has an error");
    for complaint in reading.complaints {
        let line = text.lines().nth(complaint.line - 1).expect("the line is one of the text");
        assert!(line.get(complaint.span.clone()).is_some(), "the place lies in its line");
        assert_ne!(complaint.port.0, 0, "nobody is refused port 0 for being in use");
    }
}

/// What `systemctl list-sockets` prints, and the value of SSH_CONNECTION.
pub fn socket_units(bytes: &[u8]) {
    use portolan_core::socket::stop;
    let text = String::from_utf8_lossy(bytes);
    let listing = stop::socket_units(&text, Port(8080), SocketTransport::Tcp);
    for (unit, service) in listing {
        assert!(unit.ends_with(".socket"), "it is a socket unit");
        assert_ne!(&*service, "-", "nothing is no name");
    }
    if let Some(way) = stop::ssh_connection(&text) {
        let end = |end: Endpoint| format!("{} {}", end.address, end.port);
        let again = format!("{} {}", end(way.peer), end(way.local));
        assert_eq!(stop::ssh_connection(&again), Some(way), "ends are read as they are written");
    }
}

/// What `docker inspect` prints, or the command line of a program that holds a port for a container.
pub fn container(bytes: &[u8]) {
    for described in parse_inspect(bytes).into_iter().flatten() {
        for published in &described.published {
            let port = published.ports.first();
            assert_ne!(port, Port(0), "a port that may be any is none");
            assert!(described.publishes(published.transport, port).is_some(), "it publishes it");
        }
    }
    let line = String::from_utf8_lossy(bytes);
    let words: Vec<&str> = line.split_whitespace().collect();
    for name in ["docker-proxy", "conmon", "pasta", "rootlessport"] {
        for transport in Transport::ALL {
            let by = Publisher::of(name, &words, transport, Port(8080));
            assert!(by.is_some_and(|by| by.program == name), "it is known by its name");
        }
    }
}

/// Targets of a scan, as a file lists them; what follows a line of `!` is left out.
pub fn targets(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (included, excluded) = text.split_once('!').unwrap_or((&text, ""));
    let ranges = |text| {
        let listed = target::list(text).unwrap_or_else(|error| {
            drop((error.to_string(), error.mistake.hint()));
            Vec::new()
        });
        listed.into_iter().flat_map(|target| match target {
            target::Target::Addresses { ranges, .. } => ranges,
            target::Target::Name(_) => Vec::new(),
        })
    };
    let Ok(set) = TargetSet::new(ranges(included), ranges(excluded)) else { return };
    for place in [0, set.len() / 2, set.len().saturating_sub(1)] {
        if let Some(address) = set.nth(place) {
            assert_eq!(set.position_of(address), Some(place), "{address} stands where it was");
        }
    }
    assert_eq!(set.nth(set.len()), None, "nothing stands behind the last");
}

/// A packet that arrived while SYNs were sent, from its IP header on, or an answer of ARP.
pub fn packet(bytes: &[u8]) {
    let _ = arp::reply(bytes);
    if let Some((header, inside)) = Ipv6::parse(bytes) {
        let _ = arp::advertisement(&header, inside);
    }
    if let Some((_, datagram)) = Ipv4::parse(bytes) {
        let _ = Udp::parse(datagram);
    }
    let cookies = Cookies::new((1, 2), Port(61_000), 16);
    let Ok(proof) = cookies.read(bytes) else { return };
    let cookie = cookies.cookie(proof.source, proof.target, proof.port);
    assert!((61_000..61_016).contains(&cookie.from.0), "it answers a port of ours");
    assert_eq!(proof.source.is_ipv4(), proof.target.is_ipv4(), "ends are of one family");
    if let Some(reset) = proof.reset {
        let mut out = [0; RESET];
        let length = reset.write(&mut out);
        assert!(cookies.read(&out[..length]).is_err(), "our own reset is no answer");
    }
}

/// What a killed scan left of itself.
pub fn journal(bytes: &[u8]) {
    let Ok(Some(journal)) = Journal::read(bytes) else { return };
    assert!(journal.whole <= bytes.len(), "what is whole was there");
    let again = format!("{}\n{}", journal.header, Journal::entry(&journal.done));
    let again = Journal::read(again.as_bytes()).ok().flatten().expect("its own words are read");
    assert_eq!((again.header, again.done), (journal.header, journal.done), "and say the same");
}

/// What stands beside a message of a socket's error queue: its address, as long as the first byte
/// says, and the control messages.
pub fn error_queue(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first() else { return };
    let Some((name, control)) = rest.split_at_checked((*length).into()) else { return };
    if let Some(address) = sockaddr::parse(name) {
        assert!(name.len() >= if address.is_ipv6() { 28 } else { 8 }, "an address has its bytes");
    }
    let Some(error) = ExtendedError::parse(control) else { return };
    if error.offender.is_some() || matches!(error.origin, Origin::Icmp { .. }) {
        assert!(control.len() >= 32, "a header and an error");
    }
}
