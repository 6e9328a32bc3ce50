//! An inventory in the file's own terms: read as a JSON inventory, it means the same.
//!
//! Every key stands where the file has it; what has a default and was not written is written out,
//! so that a reader need not know the defaults.

use portolan_core::inventory::{
    Approval, Bind, Block, Check, Documentation, Door, DoorMethod, FirewallDefaults, Forward, Host,
    Ignore, IgnoreMatch, Inventory, Located, Management, Network, NetworkExtent, Never, Owner,
    Pool, PortSpec, Review, ReviewRule, Service, Tls, Word, duration,
};
use portolan_core::net::Prefix;
use serde::{Serialize, Serializer};

use crate::render::inventory::export::words;

/// A whole inventory.
#[derive(Debug, Serialize)]
pub(super) struct InventoryJson {
    portolan: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    review: Option<ReviewRuleJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    management: Option<ManagementJson>,
    #[serde(skip_serializing_if = "Named::is_empty")]
    networks: Named<NetworkJson>,
    #[serde(skip_serializing_if = "Named::is_empty")]
    owners: Named<OwnerJson>,
    #[serde(skip_serializing_if = "Named::is_empty")]
    hosts: Named<HostJson>,
    #[serde(skip_serializing_if = "Named::is_empty")]
    services: Named<ServiceJson>,
    #[serde(skip_serializing_if = "Named::is_empty")]
    forwards: Named<ForwardJson>,
    #[serde(skip_serializing_if = "Named::is_empty")]
    doors: Named<DoorJson>,
    #[serde(skip_serializing_if = "Named::is_empty")]
    pools: Named<PoolJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    never: Vec<NeverJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    block: Vec<BlockJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignore: Vec<IgnoreJson>,
}

impl InventoryJson {
    pub(super) fn of(inventory: &Inventory) -> Self {
        Self {
            portolan: 1,
            title: inventory.title.clone(),
            review: inventory.review.map(ReviewRuleJson::of),
            management: inventory.management.as_ref().map(ManagementJson::of),
            networks: Named::of(&inventory.networks, |n| &n.name, NetworkJson::of),
            owners: Named::of(&inventory.owners, |o| &o.id, OwnerJson::of),
            hosts: Named::of(&inventory.hosts, |h| &h.name, HostJson::of),
            services: Named::of(&inventory.services, |s| &s.name, ServiceJson::of),
            forwards: Named::of(&inventory.forwards, |f| &f.name, ForwardJson::of),
            doors: Named::of(&inventory.doors, |d| &d.name, DoorJson::of),
            pools: Named::of(&inventory.pools, |p| &p.name, PoolJson::of),
            never: inventory.never.iter().map(NeverJson::of).collect(),
            block: inventory.blocks.iter().map(BlockJson::of).collect(),
            ignore: inventory.ignores.iter().map(IgnoreJson::of).collect(),
        }
    }
}

/// Values under names of the user's own, in the file's order.
#[derive(Debug)]
struct Named<T>(Vec<(String, T)>);

impl<T> Named<T> {
    fn of<'a, S>(
        values: &'a [S],
        name: impl Fn(&'a S) -> &'a String,
        json: impl Fn(&'a S) -> T,
    ) -> Self {
        Self(values.iter().map(|value| (name(value).clone(), json(value))).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Serialize> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[derive(Debug, Serialize)]
struct ReviewRuleJson {
    every: String,
    warn: String,
}

impl ReviewRuleJson {
    fn of(rule: ReviewRule) -> Self {
        Self { every: duration(rule.every), warn: duration(rule.warn) }
    }
}

#[derive(Debug, Serialize)]
struct ManagementJson {
    from: Vec<String>,
    ports: Vec<String>,
}

impl ManagementJson {
    fn of(management: &Management) -> Self {
        Self { from: words::texts(&management.from), ports: words::texts(&management.ports) }
    }
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum NetworkJson {
    Any(&'static str),
    Prefixes(Vec<String>),
    Table {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        cidr: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        interface: Option<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        except: Vec<String>,
    },
}

impl NetworkJson {
    fn of(network: &Network) -> Self {
        let texts =
            |prefixes: &[Prefix]| prefixes.iter().map(ToString::to_string).collect::<Vec<_>>();
        match &network.extent {
            NetworkExtent::Any => Self::Any("any"),
            NetworkExtent::Prefixes { prefixes, except, interface: None } if except.is_empty() => {
                Self::Prefixes(texts(prefixes))
            }
            NetworkExtent::Prefixes { prefixes, except, interface } => Self::Table {
                cidr: texts(prefixes),
                interface: interface.clone(),
                except: texts(except),
            },
        }
    }
}

#[derive(Debug, Serialize)]
struct OwnerJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_call: Option<String>,
}

impl OwnerJson {
    fn of(owner: &Owner) -> Self {
        Self {
            name: owner.name.clone(),
            contact: owner.contact.clone(),
            on_call: owner.on_call.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
struct HostJson {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    address: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    public: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<String>,
    firewall: FirewallJson,
    probe: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    purpose: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
}

impl HostJson {
    fn of(host: &Host) -> Self {
        Self {
            address: words::texts(&host.address),
            public: host.public.iter().map(ToString::to_string).collect(),
            groups: host.groups.clone(),
            aliases: host.aliases.clone(),
            firewall: FirewallJson::of(host.firewall),
            probe: host.probe.word(),
            purpose: host.purpose.clone(),
            owner: value(host.owner.as_ref()),
            links: host.links.clone(),
            tags: host.tags.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
struct FirewallJson {
    input: &'static str,
    forward: &'static str,
    egress: &'static str,
    base: bool,
}

impl FirewallJson {
    fn of(firewall: FirewallDefaults) -> Self {
        Self {
            input: firewall.input.word(),
            forward: firewall.forward.word(),
            egress: firewall.egress.word(),
            base: firewall.base,
        }
    }
}

#[derive(Debug, Serialize)]
struct ServiceJson {
    on: Vec<String>,
    ports: Vec<String>,
    from: Vec<String>,
    status: &'static str,
    expect: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bind: Option<BindJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    to: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    speaks: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<TlsJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<CheckJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    helper: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    process: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exe: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    behind: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    needs: Vec<String>,
    #[serde(flatten)]
    docs: DocumentationJson,
}

impl ServiceJson {
    fn of(service: &Service) -> Self {
        Self {
            on: words::selectors(&service.on),
            ports: words::texts(&service.ports),
            from: words::texts(&service.from),
            status: service.status.word(),
            expect: service.expect.word(),
            bind: service.bind.as_ref().map(BindJson::of),
            at: value(service.at_network.as_ref()),
            to: service.to.iter().map(ToString::to_string).collect(),
            speaks: service.speaks.clone(),
            tls: service.tls.as_ref().map(TlsJson::of),
            check: service.check.as_ref().map(CheckJson::of),
            limit: service.limit.map(|limit| limit.to_string()),
            helper: service.helper.map(Word::word),
            process: service.process.clone(),
            user: service.user.clone(),
            unit: service.unit.clone(),
            container: service.container.clone(),
            exe: service.exe.clone(),
            behind: value(service.behind.as_ref()),
            needs: words::texts(&service.needs),
            docs: DocumentationJson::of(&service.docs),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum BindJson {
    Word(&'static str),
    Addresses(Vec<String>),
}

impl BindJson {
    fn of(bind: &Bind) -> Self {
        match bind {
            Bind::Any => Self::Word("any"),
            Bind::Loopback => Self::Word("loopback"),
            Bind::Addresses(addresses) => Self::Addresses(words::texts(addresses)),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum TlsJson {
    Plain(bool),
    Table {
        #[serde(skip_serializing_if = "Option::is_none")]
        min: Option<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        names: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        expires: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        client_auth: Option<bool>,
    },
}

impl TlsJson {
    fn of(tls: &Tls) -> Self {
        if *tls == Tls::default() {
            return Self::Plain(true);
        }
        Self::Table {
            min: tls.min.clone(),
            names: tls.names.clone(),
            expires: tls.expires.map(duration),
            client_auth: tls.client_auth,
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum CheckJson {
    Word(&'static str),
    Probe {
        #[serde(skip_serializing_if = "Option::is_none")]
        http: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        #[serde(skip_serializing_if = "Option::is_none")]
        contains: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        banner: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        every: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        timeout: Option<String>,
    },
}

impl CheckJson {
    fn of(check: &Check) -> Self {
        match check {
            Check::None => Self::Word("none"),
            Check::Connect => Self::Word("connect"),
            Check::Probe { http, status, contains, banner, every, timeout } => Self::Probe {
                http: http.clone(),
                status: *status,
                contains: contains.clone(),
                banner: banner.clone(),
                every: every.map(duration),
                timeout: timeout.map(duration),
            },
        }
    }
}

#[derive(Debug, Serialize)]
struct DocumentationJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    purpose: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    criticality: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    security: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    review: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approved: Option<ApprovalJson>,
}

impl DocumentationJson {
    fn of(docs: &Documentation) -> Self {
        Self {
            purpose: value(docs.purpose.as_ref()),
            owner: value(docs.owner.as_ref()),
            criticality: docs.criticality.map(Word::word),
            security: docs.security.clone(),
            links: docs.links.clone(),
            tags: docs.tags.clone(),
            review: docs.review.as_ref().map(|review| match review.value {
                Review::On(day) => day.to_string(),
                Review::Every(every) => duration(every),
            }),
            approved: docs.approved.as_ref().map(ApprovalJson::of),
        }
    }
}

#[derive(Debug, Serialize)]
struct ApprovalJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

impl ApprovalJson {
    fn of(approval: &Approval) -> Self {
        Self {
            by: approval.by.clone(),
            on: approval.on.map(|day| day.to_string()),
            ticket: approval.ticket.clone(),
            until: approval.until.as_ref().map(|day| day.value.to_string()),
        }
    }
}

#[derive(Debug, Serialize)]
struct ForwardJson {
    on: Vec<String>,
    listen: String,
    to: String,
    via: &'static str,
    from: Vec<String>,
    masquerade: bool,
    proxy_protocol: bool,
    #[serde(flatten)]
    docs: DocumentationJson,
}

impl ForwardJson {
    fn of(forward: &Forward) -> Self {
        Self {
            on: words::selectors(&forward.on),
            listen: forward.listen.value.to_string(),
            to: forward.to.value.to_string(),
            via: forward.via.word(),
            from: words::texts(&forward.from),
            masquerade: forward.masquerade,
            proxy_protocol: forward.proxy_protocol,
            docs: DocumentationJson::of(&forward.docs),
        }
    }
}

#[derive(Debug, Serialize)]
struct DoorJson {
    on: Vec<String>,
    method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sequence: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<String>,
    from: Vec<String>,
    #[serde(flatten)]
    docs: DocumentationJson,
}

impl DoorJson {
    fn of(door: &Door) -> Self {
        let (method, listen, sequence, window) = match &door.method {
            DoorMethod::Spa { listen } => ("spa", Some(listen.value.to_string()), Vec::new(), None),
            DoorMethod::Sequence { ports, window } => {
                ("sequence", None, words::texts(ports), window.map(duration))
            }
        };
        Self {
            on: words::selectors(&door.on),
            method,
            listen,
            sequence,
            window,
            keys: door.keys.clone(),
            open: door.open.map(duration),
            from: words::texts(&door.from),
            docs: DocumentationJson::of(&door.docs),
        }
    }
}

#[derive(Debug, Serialize)]
struct PoolJson {
    on: Vec<String>,
    range: String,
    from: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purpose: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_ttl: Option<String>,
}

impl PoolJson {
    fn of(pool: &Pool) -> Self {
        Self {
            on: words::selectors(&pool.on),
            range: pool.range.to_string(),
            from: words::texts(&pool.from),
            purpose: pool.purpose.clone(),
            default_ttl: pool.default_ttl.map(duration),
        }
    }
}

#[derive(Debug, Serialize)]
struct NeverJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    from: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl NeverJson {
    fn of(never: &Never) -> Self {
        Self {
            service: value(never.service.as_ref()),
            ports: words::texts(&never.ports),
            from: words::texts(&never.from),
            reason: never.reason.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
struct BlockJson {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    on: Vec<String>,
    from: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl BlockJson {
    fn of(block: &Block) -> Self {
        Self {
            on: words::texts(&block.on),
            from: words::texts(&block.from),
            ports: words::texts(&block.ports),
            until: block.until.map(|day| day.to_string()),
            reason: block.reason.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
struct IgnoreJson {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    on: Vec<String>,
    #[serde(rename = "match")]
    matches: MatchJson,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

impl IgnoreJson {
    fn of(ignore: &Ignore) -> Self {
        Self {
            on: words::selectors(&ignore.on),
            matches: MatchJson::of(&ignore.matches),
            reason: ignore.reason.clone(),
            until: ignore.until.as_ref().map(|day| day.value.to_string()),
        }
    }
}

#[derive(Debug, Serialize)]
struct MatchJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bind: Option<BindJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<String>,
}

impl MatchJson {
    fn of(matches: &IgnoreMatch) -> Self {
        Self {
            id: matches.id.clone(),
            rule: matches.rule.clone(),
            service: matches.service.clone(),
            ports: matches.ports.iter().map(PortSpec::to_string).collect(),
            process: matches.process.clone(),
            bind: matches.bind.as_ref().map(BindJson::of),
            user: matches.user.clone(),
            container: matches.container.clone(),
        }
    }
}

fn value(located: Option<&Located<String>>) -> Option<String> {
    located.map(|located| located.value.clone())
}
