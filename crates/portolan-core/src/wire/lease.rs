//! Servers that leases and the settings of time daemons name: whom this machine relies on.
//!
//! Leases as systemd-networkd (`/run/systemd/netif/leases`), NetworkManager (`/var/lib/NetworkManager`)
//! and dhclient (dhclient.leases(5)) keep them; settings as timesyncd.conf(5), chrony.conf(5) and
//! ntp.conf write them. Only addresses count, names are passed over, and so is a line that is none of
//! these.

use std::net::IpAddr;

/// Who is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Who gave the lease, the last one where there are several.
    pub lease: Option<IpAddr>,
    /// Whom the time is asked of.
    pub time: Vec<IpAddr>,
}

impl Named {
    /// Reads one of these files.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut named = Self::default();
        for line in text.lines() {
            named.line(line.trim().trim_end_matches(';'));
        }
        named
    }

    fn line(&mut self, line: &str) {
        let assigned = line.split_once('=').map(|(key, value)| (key.trim(), value));
        let (key, values) = match assigned {
            Some(assigned) => assigned,
            None => {
                let line = line.strip_prefix("option ").unwrap_or(line);
                line.split_once(char::is_whitespace).unwrap_or((line, ""))
            }
        };
        let words = values.split([' ', '\t', ',']).filter(|word| !word.is_empty());
        let mut addresses = words.filter_map(|word| word.parse::<IpAddr>().ok());
        match key {
            "SERVER_ADDRESS" | "dhcp-server-identifier" | "dhcp_server_identifier" => {
                self.lease = addresses.next().or(self.lease);
            }
            "NTP" | "FallbackNTP" | "ntp-servers" | "ntp_servers" => self.time.extend(addresses),
            "server" | "pool" | "peer" => self.time.extend(addresses.next()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DHCLIENT: &str = "lease {\n  interface \"eth0\";\n  fixed-address 192.0.2.9;\n  \
         option dhcp-server-identifier 192.0.2.1;\n  option ntp-servers 192.0.2.4, 192.0.2.5;\n}\n\
         lease {\n  option dhcp-server-identifier 192.0.2.2;\n}\n";
    const CHRONY: &str = "# comment\npool 2.debian.pool.ntp.org iburst\nserver 192.0.2.7 iburst\n\
                          allow 192.0.2.8\n";

    fn named(text: &str) -> (Option<String>, Vec<String>) {
        let named = Named::parse(text);
        (named.lease.map(|a| a.to_string()), named.time.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn each_file_names_its_servers() {
        let networkd = "ADDRESS=192.0.2.9\nSERVER_ADDRESS=192.0.2.1\nNTP=192.0.2.4 2001:db8::4\n";
        let (lease, time) = named(networkd);
        assert_eq!(
            (lease.as_deref(), &*time.join(" ")),
            (Some("192.0.2.1"), "192.0.2.4 2001:db8::4")
        );
        let (lease, time) = named(DHCLIENT);
        assert_eq!(
            (lease.as_deref(), &*time.join(" ")),
            (Some("192.0.2.2"), "192.0.2.4 192.0.2.5")
        );
        assert_eq!(named(CHRONY), (None, vec!["192.0.2.7".to_owned()]));
        assert_eq!(named("[Time]\nNTP=ntp.example.org\n#NTP=192.0.2.1\n"), (None, vec![]));
    }

    #[test]
    fn a_file_that_is_cut_off_names_no_more() {
        for text in [DHCLIENT, CHRONY] {
            let all = Named::parse(text);
            for end in 0..text.len() {
                assert!(Named::parse(&text[..end]).time.len() <= all.time.len());
            }
        }
    }
}
