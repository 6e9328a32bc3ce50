//! Which host of the inventory a machine is.
//!
//! By the name it was told, else by its host name, else by its addresses. Loopback and link-local
//! addresses are on every machine and so identify none.

use std::net::IpAddr;

use crate::net::{Scope, nearest};
use crate::socket::Machine;

use super::{AddressSpec, Host, Inventory};

/// Why a machine could not be told to be one of the hosts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifyError {
    /// The inventory names no host at all.
    #[error("the inventory declares no host")]
    NoHosts,
    /// The name that was told is not in the file.
    #[error("the inventory has no host `{name}`")]
    UnknownName {
        /// The name as told.
        name: String,
        /// The host that may be meant.
        nearest: Option<String>,
        /// All there are.
        hosts: Vec<String>,
    },
    /// Neither the host name nor an address is in the file.
    #[error("no host of the inventory has the name `{hostname}` or an address of this machine")]
    NoMatch {
        /// The machine's own name.
        hostname: String,
        /// All there are.
        hosts: Vec<String>,
    },
    /// More than one host fits.
    #[error("this machine could be any of the hosts {}", .hosts.join(", "))]
    Ambiguous {
        /// Those that fit.
        hosts: Vec<String>,
    },
}

impl IdentifyError {
    /// The way out, one line.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoHosts => "add [hosts.NAME] with this machine's address".to_owned(),
            Self::UnknownName { nearest: Some(name), .. } => format!("did you mean `{name}`?"),
            Self::UnknownName { hosts, .. } => format!("its hosts are {}", few(hosts)),
            Self::NoMatch { hosts, .. } => {
                format!("say which one this is with --host; its hosts are {}", few(hosts))
            }
            Self::Ambiguous { .. } => "say which one this is with --host".to_owned(),
        }
    }
}

impl Inventory {
    /// The host that `machine` is: the one `named`, else by host name, else by address.
    ///
    /// A host name fits a host or an alias exactly, or else in its first label, so that `web`
    /// and `web.example.org` are the same machine where nothing says otherwise.
    ///
    /// # Errors
    /// [`IdentifyError`] when none or more than one fits.
    pub fn identify(&self, machine: &Machine, named: Option<&str>) -> Result<&Host, IdentifyError> {
        if self.hosts.is_empty() {
            return Err(IdentifyError::NoHosts);
        }
        if let Some(name) = named {
            return self.host_named(name);
        }
        let hostname = machine.hostname.as_str();
        let ways: [&dyn Fn(&Host) -> bool; 3] = [
            &|host| host.names().any(|n| same_name(n, hostname)),
            &|host| host.names().any(|n| same_name(first_label(n), first_label(hostname))),
            &|host| machine.addresses.iter().any(|a| host.has_address(a.address)),
        ];
        for fits in ways {
            let found: Vec<&Host> = self.hosts.iter().filter(|h| fits(h)).collect();
            match found.as_slice() {
                [] => {}
                [host] => return Ok(host),
                several => return Err(IdentifyError::Ambiguous { hosts: names_of(several) }),
            }
        }
        Err(IdentifyError::NoMatch { hostname: hostname.to_owned(), hosts: self.host_names() })
    }

    fn host_named(&self, name: &str) -> Result<&Host, IdentifyError> {
        let by_alias = || self.hosts.iter().find(|h| h.aliases.iter().any(|a| same_name(a, name)));
        self.host(name).or_else(by_alias).ok_or_else(|| IdentifyError::UnknownName {
            name: name.to_owned(),
            nearest: nearest(name, self.hosts.iter().map(|h| h.name.as_str())).map(str::to_owned),
            hosts: self.host_names(),
        })
    }

    fn host_names(&self) -> Vec<String> {
        self.hosts.iter().map(|h| h.name.clone()).collect()
    }
}

impl Host {
    /// Its name and its aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(&self.aliases).map(String::as_str)
    }

    /// Whether `address` is written down as this host's own, in `address` or `public`.
    #[must_use]
    pub fn has_address(&self, address: IpAddr) -> bool {
        let written = |spec: &AddressSpec| match spec {
            AddressSpec::Prefix(prefix) => *prefix == address.into(),
            AddressSpec::Interface(_) | AddressSpec::Dns(_) => false,
        };
        identifies(address)
            && (self.public.contains(&address) || self.address.iter().any(|a| written(&a.value)))
    }
}

fn identifies(address: IpAddr) -> bool {
    matches!(Scope::of(address), Scope::Private | Scope::Cgnat | Scope::Global)
}

fn same_name(a: &str, b: &str) -> bool {
    !a.is_empty() && a.eq_ignore_ascii_case(b)
}

fn first_label(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

fn names_of(hosts: &[&Host]) -> Vec<String> {
    hosts.iter().map(|h| h.name.clone()).collect()
}

/// The first names of a list, and how many follow.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::file;
    use crate::socket::InterfaceAddress;

    const SITE: &str = r#"portolan = 1
[hosts.web]
address = ["10.0.0.10", "127.0.0.1"]
public = ["203.0.113.10"]
aliases = ["www.example.org"]
[hosts."db.example.org"]
address = ["10.0.0.20", "10.1.0.0/16", "dns:db.example.org"]
[hosts.db-old]
address = ["10.0.0.20"]
[hosts."mail.one.example"]
[hosts."mail.two.example"]
"#;

    fn machine(hostname: &str, addresses: &[&str]) -> Machine {
        let address = |text: &&str| {
            let address: IpAddr = text.parse().unwrap();
            InterfaceAddress { interface: "eth0".into(), address, network: address.into() }
        };
        Machine {
            hostname: hostname.into(),
            addresses: addresses.iter().map(address).collect(),
            ..Machine::default()
        }
    }

    fn identify(machine: &Machine, named: Option<&str>) -> Result<String, IdentifyError> {
        let site = file::parse("site.toml", SITE.as_bytes()).unwrap();
        site.identify(machine, named).map(|h| h.name.clone())
    }

    #[test]
    fn a_name_that_is_told_counts_before_everything() {
        let web = machine("web", &["10.0.0.10"]);
        assert_eq!(identify(&web, Some("db-old")), Ok("db-old".into()));
        assert_eq!(identify(&web, Some("WWW.example.org")), Ok("web".into()));
        let error = identify(&web, Some("wbe")).unwrap_err();
        assert_eq!(error.to_string(), "the inventory has no host `wbe`");
        assert_eq!(error.hint(), "did you mean `web`?");
    }

    #[test]
    fn a_machine_is_known_by_its_short_name_its_long_one_or_an_alias() {
        for (hostname, host) in [
            ("web", "web"),
            ("WEB.example.org", "web"),
            ("www.example.org", "web"),
            ("db", "db.example.org"),
            ("db.example.org", "db.example.org"),
            ("mail.two.example", "mail.two.example"),
        ] {
            assert_eq!(identify(&machine(hostname, &[]), None), Ok(host.into()), "{hostname}");
        }
    }

    #[test]
    fn a_machine_of_another_name_is_known_by_an_address_of_its_own() {
        for address in ["10.0.0.10", "203.0.113.10"] {
            assert_eq!(identify(&machine("x", &["127.0.0.1", address]), None), Ok("web".into()));
        }
        let error = identify(&machine("x", &["127.0.0.1", "10.1.2.3"]), None).unwrap_err();
        assert!(matches!(error, IdentifyError::NoMatch { .. }));
        assert!(error.hint().contains("--host; its hosts are web, db.example.org, db-old"));
    }

    #[test]
    fn a_machine_that_could_be_two_hosts_is_neither() {
        let names = |hosts: [&str; 2]| {
            Err(IdentifyError::Ambiguous { hosts: hosts.map(str::to_owned).to_vec() })
        };
        assert_eq!(
            identify(&machine("x", &["10.0.0.20"]), None),
            names(["db.example.org", "db-old"])
        );
        assert_eq!(
            identify(&machine("mail", &[]), None),
            names(["mail.one.example", "mail.two.example"])
        );
    }
}
