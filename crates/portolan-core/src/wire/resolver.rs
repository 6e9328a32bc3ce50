//! The three files that say how this machine finds names: resolv.conf(5), hosts(5),
//! nsswitch.conf(5).
//!
//! Read as glibc reads them: what is wrong on one line is passed over, and the rest counts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

/// /etc/resolv.conf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// The servers, in the order in which they are asked, at most three.
    pub servers: Vec<Nameserver>,
    /// Domains a short name is tried in, at most six.
    pub search: Vec<String>,
    /// From how many dots on a name is tried as it stands first.
    pub ndots: usize,
    /// How long one server is waited for.
    pub timeout: Duration,
    /// How often all servers are asked.
    pub attempts: u32,
}

/// A server of resolv.conf, and the zone of a link-local one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Nameserver {
    /// Its address.
    pub address: IpAddr,
    /// The name or number of the interface behind `%`.
    pub zone: Option<String>,
}

impl Nameserver {
    /// Where it is asked, with the number of its zone's interface.
    #[must_use]
    pub fn endpoint(&self, zone: u32) -> SocketAddr {
        match self.address {
            IpAddr::V4(v4) => (v4, DNS).into(),
            IpAddr::V6(v6) => SocketAddrV6::new(v6, DNS, 0, zone).into(),
        }
    }
}

impl Default for ResolvConf {
    /// What counts without a file: the server on this machine (resolv.conf(5)).
    fn default() -> Self {
        Self {
            servers: vec![Nameserver { address: Ipv4Addr::LOCALHOST.into(), zone: None }],
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
        }
    }
}

impl ResolvConf {
    /// Reads the file.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut conf = Self { servers: Vec::new(), ..Self::default() };
        for line in text.lines().filter(|line| !line.starts_with([';', '#'])) {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => conf.servers.extend(words.next().and_then(nameserver)),
                // The last of `search` and `domain` counts.
                Some("search") => conf.search = words.take(6).map(domain).collect(),
                Some("domain") => conf.search = words.take(1).map(domain).collect(),
                Some("options") => words.for_each(|word| conf.option(word)),
                _ => {}
            }
        }
        conf.servers.truncate(3);
        if conf.servers.is_empty() {
            conf.servers = Self::default().servers;
        }
        conf
    }

    /// glibc's own limits: 15 dots, 30 s, 5 rounds.
    fn option(&mut self, word: &str) {
        let Some((key, value)) = word.split_once(':') else { return };
        let Ok(value) = value.parse::<u32>() else { return };
        match key {
            "ndots" => self.ndots = value.min(15) as usize,
            "timeout" => self.timeout = Duration::from_secs(value.clamp(1, 30).into()),
            "attempts" => self.attempts = value.clamp(1, 5),
            _ => {}
        }
    }

    /// The names to be asked for, in order, for one that somebody typed.
    #[must_use]
    pub fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let absolute = name.to_owned();
        let within = self.search.iter().filter(|d| !d.is_empty()).map(|d| format!("{name}.{d}"));
        if name.matches('.').count() >= self.ndots {
            std::iter::once(absolute).chain(within).collect()
        } else {
            within.chain(std::iter::once(absolute)).collect()
        }
    }
}

fn nameserver(word: &str) -> Option<Nameserver> {
    let (address, zone) = word.split_once('%').map_or((word, None), |(a, z)| (a, Some(z)));
    Some(Nameserver { address: address.parse().ok()?, zone: zone.map(str::to_owned) })
}

fn domain(word: &str) -> String {
    word.trim_end_matches('.').to_owned()
}

/// The addresses that /etc/hosts gives a name, each once.
#[must_use]
pub fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let name = name.trim_end_matches('.');
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
        if words.any(|word| word.eq_ignore_ascii_case(name)) && !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

/// A source of host names, as nsswitch.conf names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameSource {
    /// `files`: /etc/hosts.
    Files,
    /// `dns`: the servers of resolv.conf.
    Dns,
    /// A module that only the system's own resolver has: `mdns4_minimal`, `resolve`, `mymachines` …
    Module(String),
}

/// The sources of the `hosts:` line, in order; without one `files dns` (glibc's default). Actions in
/// brackets are left out.
#[must_use]
pub fn name_sources(nsswitch: &str) -> Vec<NameSource> {
    let mut lines = nsswitch.lines().map(|line| line.split('#').next().unwrap_or_default());
    let Some(line) = lines.find_map(|line| line.trim_start().strip_prefix("hosts:")) else {
        return vec![NameSource::Files, NameSource::Dns];
    };
    let mut in_brackets = false;
    let mut sources = Vec::new();
    for word in line.split_whitespace() {
        in_brackets |= word.starts_with('[');
        match word {
            _ if in_brackets => in_brackets = !word.ends_with(']'),
            "files" => sources.push(NameSource::Files),
            "dns" => sources.push(NameSource::Dns),
            other => sources.push(NameSource::Module(other.to_owned())),
        }
    }
    sources
}

/// Where DNS is asked (RFC 1035 §4.2).
const DNS: u16 = 53;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_search_list_and_options_are_read() {
        let conf = ResolvConf::parse(
            "# comment\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nnameserver nonsense\n\
             domain old.test\nsearch a.test b.test.\noptions ndots:2 timeout:1 attempts:9 rotate\n",
        );
        assert_eq!(conf.servers.len(), 2);
        assert_eq!(conf.servers[1].zone.as_deref(), Some("eth0"));
        assert_eq!(conf.servers[1].endpoint(3).to_string(), "[fe80::1%3]:53");
        assert_eq!(conf.search, ["a.test", "b.test"]);
        assert_eq!((conf.ndots, conf.attempts), (2, 5));
        assert_eq!(conf.timeout, Duration::from_secs(1));
    }

    #[test]
    fn without_a_server_the_one_on_this_machine_is_asked() {
        assert_eq!(ResolvConf::parse(""), ResolvConf::default());
    }

    #[test]
    fn a_short_name_is_tried_in_the_search_list_first() {
        let conf = ResolvConf { search: vec!["a.test".into()], ..ResolvConf::default() };
        assert_eq!(conf.candidates("db"), ["db.a.test", "db"]);
        assert_eq!(conf.candidates("db.x"), ["db.x", "db.x.a.test"]);
        assert_eq!(conf.candidates("db."), ["db."]);
    }

    #[test]
    fn every_address_of_a_name_in_hosts_is_found() {
        let hosts =
            "127.0.0.1 localhost\n::1 localhost ip6 # v6\n10.0.0.5\tDB db.x\n#10.0.0.6 db\n";
        let found = |name| in_hosts(hosts, name);
        assert_eq!(found("localhost").len(), 2);
        assert_eq!(found("db"), ["10.0.0.5".parse::<IpAddr>().unwrap()]);
        assert!(found("v6").is_empty() && found("10.0.0.5").is_empty());
    }

    #[test]
    fn sources_are_named_in_their_order_without_actions() {
        let sources =
            name_sources("passwd: files\nhosts: files mdns4_minimal [NOTFOUND=return] dns\n");
        let module = NameSource::Module("mdns4_minimal".into());
        assert_eq!(sources, [NameSource::Files, module, NameSource::Dns]);
        assert_eq!(name_sources(""), [NameSource::Files, NameSource::Dns]);
        assert_eq!(name_sources("hosts: dns [!UNAVAIL = return] files").len(), 2);
    }
}
