//! The kinds of things that may stand at a key, and how a person would name each.
//!
//! The vocabulary that the table of keys is written in; it knows no key itself.

/// A table with known keys.
#[derive(Debug)]
pub struct Section {
    /// What it is for, one sentence.
    pub doc: &'static str,
    /// Its keys, in the order a person would write them.
    pub keys: &'static [Key],
}

/// A key of a section.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// Whether it must.
    pub required: bool,
    /// What it says, one sentence.
    pub doc: &'static str,
}

/// What may stand at a key.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A string of some form.
    Text(Form),
    /// A whole number between two, both inside.
    Integer(i64, i64),
    /// `true` or `false`.
    Boolean,
    /// A day: a TOML date, or text of the same form.
    Date,
    /// A day, or a moment: a TOML date, or date and time with an offset.
    End,
    /// One of some words.
    Word(fn() -> Vec<&'static str>),
    /// A list; a single item may stand without its brackets.
    List(&'static Kind),
    /// A table.
    Table(&'static Section),
    /// Tables or values under names of the user's own: `[hosts.NAME]`.
    Named(&'static Kind),
    /// Tables in a row: `[[ignore]]`.
    Tables(&'static Section),
    /// The first of these that fits.
    Either(&'static [Kind]),
}

impl Kind {
    /// What may stand there, for "expected …".
    #[must_use]
    pub fn wanted(&self) -> String {
        match self {
            Self::Text(form) => form.noun().to_owned(),
            Self::Integer(least, most) if least == most => format!("the number {least}"),
            Self::Integer(least, most) => format!("a number from {least} to {most}"),
            Self::Boolean => "true or false".to_owned(),
            Self::Date => "a date such as 2027-03-01".to_owned(),
            Self::End => {
                "a date such as 2027-03-01 or a moment such as 2027-03-01T16:00:00Z".to_owned()
            }
            Self::Word(words) => one_of(&words()),
            Self::List(inner) => format!("a list, each {}", inner.wanted()),
            Self::Table(_) | Self::Named(_) => "a table".to_owned(),
            Self::Tables(_) => "tables in double brackets".to_owned(),
            Self::Either(kinds) => kinds.iter().map(Self::wanted).collect::<Vec<_>>().join(", or "),
        }
    }
}

/// `"active" or "planned"`.
pub(super) fn one_of(words: &[&str]) -> String {
    words.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(" or ")
}

/// The form of a string, as a person would name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Any text.
    Free,
    /// `443/tcp`, `53/tcp+udp`, `5000-5010/tcp`, `ip:112`, `esp`.
    Port,
    /// `20000-20099`.
    Numbers,
    /// `*`, a host, `@group`, `!host`.
    Selector,
    /// A network, a host, `@group`, a CIDR, `service:NAME`.
    Source,
    /// An address, a CIDR, `iface:eth0`, `dns:NAME`.
    Address,
    /// An IP address.
    Ip,
    /// `10.0.0.0/8`, or one address.
    Cidr,
    /// `30s`, `180d`.
    Duration,
    /// `6/30s`.
    Rate,
    /// `service@host` or `ip:port`.
    Target,
    /// `postgres@db`, `dns:deb.example.org:443/tcp`.
    Need,
    /// The name of something declared elsewhere in the file.
    Reference,
    /// A path or a glob of files, relative to the file it stands in.
    Path,
}

impl Form {
    /// What it is, for "expected …".
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Free => "text",
            Self::Port => "a port such as \"443/tcp\"",
            Self::Numbers => "a range such as \"20000-20099\"",
            Self::Selector => "a host, \"@group\", \"*\" or \"!host\"",
            Self::Source => "a network, a host, \"@group\", a CIDR or \"service:NAME\"",
            Self::Address => "an address such as \"10.0.0.1\"",
            Self::Ip => "an IP address such as \"192.0.2.7\"",
            Self::Cidr => "a network such as \"10.0.0.0/8\"",
            Self::Duration => "a duration such as \"30s\" or \"180d\"",
            Self::Rate => "a limit such as \"6/30s\"",
            Self::Target => "\"service@host\" or \"ip:port\"",
            Self::Need => "\"service@host\" or \"dns:NAME:443/tcp\"",
            Self::Reference => "a name",
            Self::Path => "a path",
        }
    }

    /// A regular expression (ECMA 262) that editors may check it by.
    #[must_use]
    pub const fn pattern(self) -> Option<&'static str> {
        match self {
            Self::Numbers => Some("^[0-9]+(-[0-9]+)?$"),
            Self::Duration => Some("^([0-9]+(ms|s|m|h|d|w))+$"),
            Self::Rate => Some("^[0-9]+/([0-9]+(ms|s|m|h|d|w))+$"),
            Self::Port => {
                Some("^([0-9]+(-[0-9]+)?/[a-z+]+|[a-z+]+[:/][0-9]+(-[0-9]+)?|ip:[0-9]+|[a-z0-9]+)$")
            }
            _ => None,
        }
    }
}
