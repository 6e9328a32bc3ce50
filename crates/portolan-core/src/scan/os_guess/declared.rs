//! What a host says of itself: banners and versions that name its system.
//!
//! Only what stands there is read: a distribution's tag, a kernel's release. A banner is a line that
//! an administrator can change, so it is a claim, and it comes from outside: any bytes may stand in it.

use super::{Evidence, Family, Voice};

/// A line in which a host says what it is, as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared<'a> {
    /// The identification string of SSH (RFC 4253 §4.2): `SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3`.
    Ssh(&'a str),
    /// The value of HTTP's Server header (RFC 9110 §10.2.4): `Apache/2.4.57 (Debian)`.
    HttpServer(&'a str),
    /// sysDescr of SNMP (RFC 3418 §2): `Linux gate 6.1.0-18-amd64 #1 SMP …`.
    SnmpDescription(&'a str),
    /// The VERSION of an NTLM challenge (MS-NLMP §2.2.2.10).
    NtlmVersion {
        /// ProductMajorVersion.
        major: u8,
        /// ProductMinorVersion.
        minor: u8,
        /// ProductBuild; 0 in what is no Windows (Samba).
        build: u16,
    },
}

/// What a line claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) family: Family,
    pub(super) version: Option<String>,
    pub(super) evidence: Evidence,
}

impl Declared<'_> {
    /// What it claims; `None` where it names no system.
    pub(super) fn read(&self) -> Option<Claim> {
        let (by, text, said) = match *self {
            Self::Ssh(text) => (Voice::Ssh, shortened(text), ssh(text)?),
            Self::HttpServer(text) => (Voice::HttpServer, shortened(text), http(text)?),
            Self::SnmpDescription(text) => (Voice::Snmp, shortened(text), snmp(text)?),
            Self::NtlmVersion { build: 0, .. } => return None,
            Self::NtlmVersion { major, minor, build } => {
                let version = format!("{major}.{minor}.{build}");
                (Voice::Ntlm, version.clone(), (Family::Windows, Some(version)))
            }
        };
        let (family, version) = said;
        let version = version.map(|v| shortened(&v)).filter(|v| !v.is_empty());
        Some(Claim { family, version, evidence: Evidence::Said { by, text, family } })
    }
}

type Said = (Family, Option<String>);

/// Distributions put their name behind the version of OpenSSH; other programs are a system's own.
fn ssh(banner: &str) -> Option<Said> {
    let software = banner.trim_end().splitn(3, '-').nth(2)?;
    let (program, comment) = software.split_once(' ').unwrap_or((software, ""));
    if program.starts_with("OpenSSH_for_Windows") {
        return Some((Family::Windows, None));
    }
    if program.starts_with("Cisco") || program.starts_with("ROSSSH") {
        return Some((Family::NetworkDevice, None));
    }
    let (name, revision) = comment.split_once('-').unwrap_or((comment, ""));
    match name {
        "Debian" | "Raspbian" => Some((Family::Linux, Some(debian(name, revision)))),
        "Ubuntu" => Some((Family::Linux, Some(name.to_owned()))),
        "FreeBSD" => Some((Family::BsdDarwin, Some(name.to_owned()))),
        name if name.starts_with("NetBSD") => Some((Family::BsdDarwin, Some("NetBSD".to_owned()))),
        _ => None,
    }
}

/// Debian's revisions name the release they were made for: `2+deb12u3` is of Debian 12.
fn debian(name: &str, revision: &str) -> String {
    let release = revision.split_once("+deb").map_or("", |(_, rest)| digits(rest));
    if release.is_empty() { name.to_owned() } else { format!("{name} {release}") }
}

/// A server names its system in brackets (Apache's ServerTokens), or is of one system alone.
fn http(server: &str) -> Option<Said> {
    if server.starts_with("Microsoft-IIS/") || server.starts_with("Microsoft-HTTPAPI/") {
        return Some((Family::Windows, None));
    }
    let comment = server.split_once('(')?.1;
    let comment = comment.split_once(')').map_or(comment, |(inside, _)| inside).trim();
    let family = match comment {
        "Win32" | "Win64" | "Microsoft-Windows" => return Some((Family::Windows, None)),
        "Debian"
        | "Ubuntu"
        | "Raspbian"
        | "Fedora"
        | "Fedora Linux"
        | "CentOS"
        | "CentOS Stream"
        | "Red Hat"
        | "Red Hat Enterprise Linux"
        | "Rocky Linux"
        | "AlmaLinux"
        | "Oracle Linux Server"
        | "Amazon Linux"
        | "openSUSE"
        | "SUSE"
        | "Linux/SUSE"
        | "Alpine"
        | "Arch Linux"
        | "Gentoo" => Family::Linux,
        "FreeBSD" | "OpenBSD" | "NetBSD" | "Darwin" => Family::BsdDarwin,
        _ => return None,
    };
    Some((family, Some(comment.to_owned())))
}

/// Net-SNMP gives `uname -a`: system, host, release. Others write sentences.
fn snmp(description: &str) -> Option<Said> {
    let mut words = description.split_whitespace();
    let first = words.next()?;
    match first {
        "Linux" => Some((Family::Linux, words.nth(1).map(ToOwned::to_owned))),
        "FreeBSD" | "OpenBSD" | "NetBSD" | "Darwin" => {
            let release = words.nth(1).map(|release| format!("{first} {release}"));
            Some((Family::BsdDarwin, release.or_else(|| Some(first.to_owned()))))
        }
        "RouterOS" => Some((Family::NetworkDevice, Some(first.to_owned()))),
        "Cisco" => Some((Family::NetworkDevice, after(description, "Version "))),
        _ => {
            let version = after(description, "Windows Version ")?;
            Some((Family::Windows, Some(version)))
        }
    }
}

/// The word behind a label, without the comma that may follow it.
fn after(text: &str, label: &str) -> Option<String> {
    let (_, rest) = text.split_once(label)?;
    let word = rest.split([' ', ',', '\r', '\n']).next()?;
    Some(word.to_owned())
}

fn digits(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    &text[..end]
}

/// The first line, bounded: a host may say anything at any length.
fn shortened(text: &str) -> String {
    text.lines().next().unwrap_or("").trim().chars().take(LONGEST).collect()
}

/// RFC 4253 §4.2 allows 255 characters for a banner; a line of a report is shorter.
const LONGEST: usize = 120;
