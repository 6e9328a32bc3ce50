//! Every section and key of the format, once: name, kind, whether it must be there, what it says.
//!
//! `check` refuses what is not in here, and the JSON Schema for editors is made from
//! it. Keys that begin with `x-` are anybody's and stand nowhere in it; names are not keys.

pub use super::kind::{Form, Key, Kind, Section};
use crate::inventory::Word;
use crate::inventory::{
    Criticality, Expect, FirewallDefault, ForwardVia, Helper, ProbeDepth, Status,
};

/// Whether anybody may use `key` for purposes of their own.
pub(crate) fn is_private(key: &str) -> bool {
    key.starts_with("x-")
}

const fn optional(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, required: false, doc }
}

const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, required: true, doc }
}

fn words<T: Word>() -> Vec<&'static str> {
    T::WORDS.iter().map(|(word, _)| *word).collect()
}

const FREE: Kind = Kind::Text(Form::Free);
const TEXTS: Kind = Kind::List(&FREE);
const DURATION: Kind = Kind::Text(Form::Duration);
const REFERENCE: Kind = Kind::Text(Form::Reference);
const ON: Kind = Kind::List(&Kind::Text(Form::Selector));
const FROM: Kind = Kind::List(&Kind::Text(Form::Source));
const PORT: Kind = Kind::Text(Form::Port);
const PORTS: Kind = Kind::List(&PORT);
const CIDRS: Kind = Kind::List(&Kind::Text(Form::Cidr));
const IPS: Kind = Kind::List(&Kind::Text(Form::Ip));
const ADDRESSES: Kind = Kind::List(&Kind::Text(Form::Address));
const BIND: Kind = Kind::Either(&[Kind::Word(|| vec!["any", "loopback"]), ADDRESSES]);

/// The whole file.
pub static ROOT: Section = Section {
    doc: "The inventory of a machine or a site: which ports are meant to be open, for whom, and why.",
    keys: &[
        optional(
            "portolan",
            Kind::Integer(1, 1),
            "Version of this format; 1. Required in the first file.",
        ),
        optional("title", FREE, "What the inventory is of. Only in the first file."),
        optional(
            "include",
            Kind::List(&Kind::Text(Form::Path)),
            "Further files, or globs of files, relative to this one. Their tables are joined; a name may stand only once.",
        ),
        optional(
            "review",
            Kind::Table(&REVIEW),
            "How often every service is to be looked at again. Only in the first file.",
        ),
        optional(
            "management",
            Kind::Table(&MANAGEMENT),
            "What always stays reachable, whatever else is written.",
        ),
        optional(
            "networks",
            Kind::Named(&NETWORK),
            "Names for addresses. Built in: any, private, loopback.",
        ),
        optional(
            "owners",
            Kind::Named(&Kind::Table(&OWNER)),
            "People and teams who answer for something.",
        ),
        optional("hosts", Kind::Named(&Kind::Table(&HOST)), "Machines."),
        optional("services", Kind::Named(&Kind::Table(&SERVICE)), "What is meant to listen."),
        optional(
            "forwards",
            Kind::Named(&Kind::Table(&FORWARD)),
            "Ports handed on to another machine or service.",
        ),
        optional(
            "doors",
            Kind::Named(&Kind::Table(&DOOR)),
            "Doors that open a service after a knock.",
        ),
        optional("pools", Kind::Named(&Kind::Table(&POOL)), "Ranges of numbers to lease from."),
        optional("never", Kind::Tables(&NEVER), "What must not be reachable."),
        optional(
            "block",
            Kind::Tables(&BLOCK),
            "Sources that are refused everything but management and neighbour discovery, or some ports.",
        ),
        optional("ignore", Kind::Tables(&IGNORE), "Findings that are known and accepted."),
    ],
};

static REVIEW: Section = Section {
    doc: "How often every service is to be looked at again.",
    keys: &[
        required("every", DURATION, "From one review to the next."),
        optional(
            "warn",
            DURATION,
            "How long before that it is announced; 14d where nothing is said.",
        ),
    ],
};

static MANAGEMENT: Section = Section {
    doc: "What always stays reachable; compiled first and checked before every change of the firewall.",
    keys: &[
        required("from", FROM, "Who keeps access."),
        required("ports", PORTS, "To which ports."),
    ],
};

const NETWORK: Kind =
    Kind::Either(&[Kind::Word(|| vec!["any"]), CIDRS, Kind::Table(&NETWORK_TABLE)]);

static NETWORK_TABLE: Section = Section {
    doc: "A network with more to say than its addresses.",
    keys: &[
        optional(
            "cidr",
            CIDRS,
            "Its addresses; every address of the interface where only that is given.",
        ),
        optional("interface", FREE, "Only what comes in through this interface."),
        optional("except", CIDRS, "Taken out again."),
        optional(
            "file",
            Kind::Text(Form::Path),
            "A file with a CIDR a line and # comments, relative to this one.",
        ),
    ],
};

static OWNER: Section = Section {
    doc: "Somebody who answers for something.",
    keys: &[
        optional("name", FREE, "The name to show."),
        optional("contact", FREE, "How to reach them."),
        optional("on_call", FREE, "Whom to call at night."),
    ],
};

static HOST: Section = Section {
    doc: "A machine.",
    keys: &[
        optional("address", ADDRESSES, "Its addresses, the first for management."),
        optional("public", IPS, "Addresses of a 1:1 NAT in front of it."),
        optional("groups", TEXTS, "Groups it is in, written without the @."),
        optional("aliases", TEXTS, "Other names it answers to."),
        optional(
            "firewall",
            Kind::Table(&FIREWALL),
            "What its firewall does with what nobody declared.",
        ),
        optional(
            "probe",
            Kind::Word(words::<ProbeDepth>),
            "How far a probe may go: speak, listen for a banner, or not at all; full where nothing is said.",
        ),
        optional("purpose", FREE, "What it is for."),
        optional("owner", REFERENCE, "Who answers for it: a name of [owners]."),
        optional("links", TEXTS, "Further reading."),
        optional("tags", TEXTS, "Free labels."),
    ],
};

static FIREWALL: Section = Section {
    doc: "What a host's firewall does with what nobody declared.",
    keys: &[
        optional(
            "input",
            Kind::Word(|| vec!["drop", "accept"]),
            "To the host; drop where nothing is said.",
        ),
        optional(
            "forward",
            Kind::Word(words::<FirewallDefault>),
            "Through the host; keep where nothing is said.",
        ),
        optional(
            "egress",
            Kind::Word(|| vec!["accept", "drop"]),
            "From the host; accept where nothing is said.",
        ),
        optional(
            "base",
            Kind::Boolean,
            "Whether what a host needs to live is compiled in; true where nothing is said.",
        ),
    ],
};

static SERVICE: Section = Section {
    doc: "Something that is meant to listen.",
    keys: &[
        required("on", ON, "On which machines."),
        required("ports", PORTS, "Which ports, each with its transport."),
        optional("from", FROM, "Who may come; nothing said means this machine only."),
        optional(
            "status",
            Kind::Word(words::<Status>),
            "planned holds the number and expects it closed, retired alarms when it is back, observed was found by init and approved by nobody; active where nothing is said.",
        ),
        optional(
            "expect",
            Kind::Word(words::<Expect>),
            "sometimes: it may be down; one-of: it runs on exactly one of its machines; always where nothing is said.",
        ),
        optional("bind", BIND, "Which addresses it is to bind."),
        optional("at", REFERENCE, "Only on the interface of this network."),
        optional("to", IPS, "Multicast groups or broadcast addresses it listens to."),
        optional("speaks", TEXTS, "Application protocols it speaks."),
        optional(
            "tls",
            Kind::Either(&[Kind::Boolean, Kind::Table(&TLS)]),
            "What TLS must look like; true asks for it and no more.",
        ),
        optional(
            "check",
            CHECK,
            "How to test it: a connection is enough, not at all, or what to say and expect.",
        ),
        optional(
            "limit",
            Kind::Text(Form::Rate),
            "New connections per source, such as 6/30s: 1 to 30000 in a time from 100ms to 7d.",
        ),
        optional(
            "helper",
            Kind::Word(words::<Helper>),
            "A protocol that opens further ports on the way.",
        ),
        optional(
            "process",
            TEXTS,
            "Globs of its executable, its command name or its unit; one of them has to fit.",
        ),
        optional("user", FREE, "The login name it runs as."),
        optional("unit", FREE, "The systemd unit."),
        optional("container", FREE, "The container: project/service, or a name."),
        optional("exe", FREE, "The path of its executable."),
        optional("behind", REFERENCE, "The door it is behind: a name of [doors]."),
        optional(
            "needs",
            Kind::List(&Kind::Text(Form::Need)),
            "What it needs to reach itself: services, or NETWORK:PORT, dns:NAME:PORT.",
        ),
        PURPOSE,
        OWNED,
        CRITICALITY,
        SECURITY,
        LINKS,
        TAGS,
        REVIEWED,
        APPROVED,
    ],
};

static TLS: Section = Section {
    doc: "What TLS must look like.",
    keys: &[
        optional("min", Kind::Word(|| vec!["1.0", "1.1", "1.2", "1.3"]), "The lowest version."),
        optional("names", TEXTS, "Names the certificate must hold."),
        optional("expires", DURATION, "How long before its end it counts as expiring."),
        optional("client_auth", Kind::Boolean, "Whether a client certificate is asked for."),
    ],
};

const CHECK: Kind =
    Kind::Either(&[Kind::Word(|| vec!["connect", "none"]), Kind::Table(&CHECK_TABLE)]);

static CHECK_TABLE: Section = Section {
    doc: "What is said to it and what it must answer.",
    keys: &[
        optional("http", FREE, "The path of an HTTP request."),
        optional("status", Kind::Integer(100, 599), "The status of the answer."),
        optional("contains", FREE, "Text in the answer."),
        optional("banner", FREE, "A regular expression that the banner matches."),
        optional("every", DURATION, "How often."),
        optional("timeout", DURATION, "How long to wait."),
    ],
};

static FORWARD: Section = Section {
    doc: "A port handed on.",
    keys: &[
        required("on", ON, "The machine that hands on."),
        required("listen", PORT, "The port it takes."),
        required("to", Kind::Text(Form::Target), "Where it hands it to."),
        required(
            "via",
            Kind::Word(words::<ForwardVia>),
            "nat: the kernel translates; proxy: a process in between; router: a router's port mapping.",
        ),
        optional("from", FROM, "Who may come; nothing said means this machine only."),
        optional("masquerade", Kind::Boolean, "Whether the target sees the forwarder's address."),
        optional("proxy_protocol", Kind::Boolean, "Whether the PROXY protocol header is sent."),
        PURPOSE,
        OWNED,
        CRITICALITY,
        SECURITY,
        LINKS,
        TAGS,
        REVIEWED,
        APPROVED,
    ],
};

static DOOR: Section = Section {
    doc: "Opens a service after a knock.",
    keys: &[
        required("on", ON, "On which machines."),
        required(
            "method",
            Kind::Word(|| vec!["spa", "sequence"]),
            "How one knocks: one signed packet, or ports in order.",
        ),
        optional("listen", PORT, "With method spa: the port."),
        optional("sequence", PORTS, "With method sequence: the ports in their order."),
        optional("window", DURATION, "With method sequence: within this time, from 1s to 365d."),
        optional("keys", Kind::Text(Form::Path), "The file of keys."),
        optional(
            "open",
            DURATION,
            "How long it stays open: from 1s to 365d; 30s where nothing is said.",
        ),
        optional("from", FROM, "Who may knock; nothing said means anybody."),
        PURPOSE,
        OWNED,
        CRITICALITY,
        SECURITY,
        LINKS,
        TAGS,
        REVIEWED,
        APPROVED,
    ],
};

static POOL: Section = Section {
    doc: "Numbers to lease from.",
    keys: &[
        required("on", ON, "On which machines."),
        required("range", Kind::Text(Form::Numbers), "The numbers."),
        optional("from", FROM, "For services that lease here; opens nothing itself."),
        optional("purpose", FREE, "What it is for."),
        optional("default_ttl", DURATION, "How long a lease lasts."),
    ],
};

static NEVER: Section = Section {
    doc: "Must not be reachable; checked by the audit and before every change of the firewall.",
    keys: &[
        optional("service", REFERENCE, "A service; this or ports."),
        optional("ports", PORTS, "Ports; these or a service."),
        optional(
            "from",
            FROM,
            "From whom, those who have a name here too; nothing said means from anybody. A network of the file \
             that is everybody (internet = \"any\") means whoever has no name here.",
        ),
        optional("reason", FREE, "Why."),
    ],
};

static BLOCK: Section = Section {
    doc: "Refused everything, or some ports.",
    keys: &[
        optional("on", ON, "On which machines; nothing said means all."),
        required("from", FROM, "Who."),
        optional("ports", PORTS, "Which ports; nothing said means everything."),
        optional("until", Kind::End, "The last day it counts, or the moment it ends."),
        optional("reason", FREE, "Why."),
    ],
};

static IGNORE: Section = Section {
    doc: "Known and accepted.",
    keys: &[
        optional("on", ON, "On which machines; nothing said means all."),
        required("match", Kind::Table(&MATCH), "What it covers; every key given must agree."),
        required("reason", FREE, "Why it is fine."),
        optional("until", Kind::Date, "The last day it counts."),
    ],
};

static MATCH: Section = Section {
    doc: "What an ignore covers; every key given must agree.",
    keys: &[
        optional("id", FREE, "A finding's id."),
        optional("rule", FREE, "A rule, such as P101."),
        optional("service", REFERENCE, "A service."),
        optional("ports", PORTS, "Ports."),
        optional("process", FREE, "Glob of executable, command name or unit."),
        optional("bind", BIND, "Where it is bound."),
        optional("user", FREE, "A login name."),
        optional("container", FREE, "A container."),
    ],
};

static APPROVAL: Section = Section {
    doc: "Who approved it.",
    keys: &[
        optional("by", FREE, "Who."),
        optional("on", Kind::Date, "When."),
        optional("ticket", FREE, "Where it is written down."),
        optional(
            "until",
            Kind::End,
            "The last day it counts, or the moment it ends: then it is closed.",
        ),
    ],
};

const PURPOSE: Key = optional("purpose", FREE, "Why it exists.");
const OWNED: Key = optional("owner", REFERENCE, "Who answers for it: a name of [owners].");
const CRITICALITY: Key =
    optional("criticality", Kind::Word(words::<Criticality>), "How bad it is when it fails.");
const SECURITY: Key = optional("security", FREE, "What makes a risky service bearable.");
const LINKS: Key = optional("links", TEXTS, "Further reading.");
const TAGS: Key = optional("tags", TEXTS, "Free labels.");
const REVIEWED: Key = optional(
    "review",
    Kind::Either(&[Kind::Date, DURATION]),
    "When it is to be looked at again: a day, or so long after approved.on.",
);
const APPROVED: Key = optional("approved", Kind::Table(&APPROVAL), "Who approved it.");
