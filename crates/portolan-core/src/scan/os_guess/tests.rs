//! What kind of system a look stands for, and when nothing is said of it.

use super::*;

const LINUX: &[u8] = &[2, 4, 8, 1, 3];
const WINDOWS: &[u8] = &[2, 1, 3, 1, 1, 4];
const FREEBSD: &[u8] = &[2, 1, 3, 4, 8];
const DARWIN: &[u8] = &[2, 1, 3, 1, 1, 8, 4, 0, 0];

fn syn_ack(hop_limit: u8, options: &[u8]) -> Signature {
    Signature {
        hop_limit: Some(hop_limit),
        window: Some(65160),
        mss: Some(1460),
        options: options.into(),
        ..Signature::default()
    }
}

fn reset(hop_limit: u8) -> Signature {
    Signature { hop_limit: Some(hop_limit), window: Some(0), ..Signature::default() }
}

fn guess(hop_limit: u8, options: &[u8]) -> (Family, Confidence) {
    let guess = OsGuess::of(&[syn_ack(hop_limit, options)], &[], &[]);
    (guess.family, guess.confidence)
}

fn said(declared: Declared<'_>) -> (Family, Option<String>) {
    let guess = OsGuess::of(&[], &[], &[declared]);
    (guess.family, guess.version)
}

/// As this machine's kernel answers over a veth pair to a SYN with all options (Linux 6.18): IPv4
/// `win 65160, mss 1460,sackOK,TS,nop,wscale 10`, ttl 64, and a RST with ttl 64 and window 0.
#[test]
fn linux_is_known_by_its_options_and_its_hop_limit() {
    let guess = OsGuess::of(&[syn_ack(64, LINUX)], &[reset(64)], &[]);
    assert_eq!((guess.family, guess.confidence), (Family::Linux, Confidence::Likely));
    assert_eq!((guess.hops, guess.version, guess.front), (Some(0), None, None));
    let order = LINUX.into();
    assert_eq!(guess.evidence[0], Evidence::Options { order, family: Family::Linux });
}

#[test]
fn each_family_is_known_at_any_distance() {
    assert_eq!(guess(117, WINDOWS), (Family::Windows, Confidence::Likely));
    assert_eq!(guess(52, DARWIN), (Family::BsdDarwin, Confidence::Likely));
    assert_eq!(guess(250, &[2]), (Family::NetworkDevice, Confidence::Likely));
}

/// FreeBSD and Windows write timestamps alike; where they began tells them apart.
#[test]
fn what_two_families_write_alike_is_told_apart_by_the_hop_limit() {
    assert_eq!(guess(60, FREEBSD), (Family::BsdDarwin, Confidence::Likely));
    assert_eq!(guess(120, FREEBSD), (Family::Windows, Confidence::Likely));
}

#[test]
fn one_fact_is_a_possibility_and_a_contradiction_none() {
    assert_eq!(guess(128, &[]), (Family::Windows, Confidence::Possible));
    assert_eq!(guess(30, LINUX), (Family::Linux, Confidence::Possible));
    assert_eq!(guess(128, LINUX).0, Family::Unknown);
    assert_eq!(guess(64, &[2]).0, Family::Unknown);
    assert_eq!(guess(64, &[]).0, Family::Unknown);
}

#[test]
fn nothing_seen_is_nothing_guessed() {
    assert_eq!(OsGuess::of(&[], &[], &[]), OsGuess::default());
    let unseen = [Signature::default()];
    let guess = OsGuess::of(&unseen, &unseen, &[]);
    assert_eq!(guess, OsGuess::default());
}

#[test]
fn a_host_whose_ports_are_all_closed_shows_its_distance() {
    let guess = OsGuess::of(&[], &[reset(126)], &[]);
    assert_eq!((guess.family, guess.hops), (Family::Windows, Some(2)));
}

#[test]
fn a_version_is_what_the_host_declares() {
    let version = |v: &str| Some(v.to_owned());
    let linux = |v: &str| (Family::Linux, version(v));
    assert_eq!(
        said(Declared::Ssh("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n")),
        linux("Debian 12")
    );
    assert_eq!(said(Declared::Ssh("SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13.5")), linux("Ubuntu"));
    assert_eq!(said(Declared::HttpServer("Apache/2.4.57 (Debian) PHP/8")), linux("Debian"));
    let uname = "Linux gate 6.1.0-18-amd64 #1 SMP Debian 6.1.76-1 x86_64";
    assert_eq!(said(Declared::SnmpDescription(uname)), linux("6.1.0-18-amd64"));
    let windows = "Hardware: Intel64 - Software: Windows Version 6.3 (Build 17763)";
    assert_eq!(said(Declared::SnmpDescription(windows)), (Family::Windows, version("6.3")));
    let ntlm = Declared::NtlmVersion { major: 10, minor: 0, build: 17763 };
    assert_eq!(said(ntlm), (Family::Windows, version("10.0.17763")));
    let ios = "Cisco IOS Software, C2960 Software, Version 15.2(4)M, RELEASE";
    assert_eq!(said(Declared::SnmpDescription(ios)), (Family::NetworkDevice, version("15.2(4)M")));
    let bsd = "FreeBSD nas 13.2-RELEASE-p4 FreeBSD 13.2";
    let release = version("FreeBSD 13.2-RELEASE-p4");
    assert_eq!(said(Declared::SnmpDescription(bsd)), (Family::BsdDarwin, release));
}

#[test]
fn a_banner_that_names_no_system_is_no_evidence() {
    for declared in [
        Declared::Ssh("SSH-2.0-OpenSSH_9.9"),
        Declared::Ssh("SSH-2.0"),
        Declared::Ssh(""),
        Declared::HttpServer("nginx/1.24.0"),
        Declared::HttpServer("Apache/2.4.57 (Unix)"),
        Declared::HttpServer("("),
        Declared::SnmpDescription("  "),
        Declared::NtlmVersion { major: 6, minor: 1, build: 0 },
    ] {
        assert_eq!(OsGuess::of(&[], &[], &[declared]), OsGuess::default(), "{declared:?}");
    }
}

#[test]
fn a_declaration_outweighs_the_packets_and_both_are_told() {
    let banner = [Declared::Ssh("SSH-2.0-OpenSSH_9.6p1 Ubuntu-3")];
    let guess = OsGuess::of(&[syn_ack(128, WINDOWS)], &[], &banner);
    assert_eq!((guess.family, guess.confidence), (Family::Linux, Confidence::Declared));
    assert_eq!(guess.evidence.len(), 3);
}

#[test]
fn declarations_that_contradict_each_other_are_a_possibility() {
    let two =
        [Declared::Ssh("SSH-2.0-OpenSSH_9 Ubuntu-3"), Declared::HttpServer("Microsoft-IIS/10.0")];
    let guess = OsGuess::of(&[], &[], &two);
    assert_eq!((guess.family, guess.confidence), (Family::Linux, Confidence::Possible));
}

#[test]
fn a_banner_of_any_length_is_one_short_line() {
    let long = format!("Apache (Debian) {}\nmore", "é".repeat(100_000));
    let guess = OsGuess::of(&[], &[], &[Declared::HttpServer(&long)]);
    let Evidence::Said { text, .. } = &guess.evidence[0] else { panic!("{guess:?}") };
    assert_eq!(text.chars().count(), 120);
}

fn difference(open: &[Signature], closed: &[Signature]) -> Option<Difference> {
    TwoProfiles::of(open, closed).map(|two| two.difference)
}

#[test]
fn two_stacks_on_one_address_mean_something_in_front() {
    let two = [syn_ack(64, LINUX), syn_ack(127, WINDOWS)];
    assert_eq!(difference(&two, &[]), Some(Difference::Options));
    assert_eq!(OsGuess::of(&two, &[], &[]).confidence, Confidence::Possible);
}

#[test]
fn the_same_stack_behind_a_router_is_seen_by_its_hop_limit() {
    let two = [syn_ack(64, LINUX), syn_ack(63, LINUX)];
    assert_eq!(difference(&two, &[]), Some(Difference::SynAckHopLimit));
    let proxy = difference(&[syn_ack(64, LINUX)], &[reset(63)]);
    assert_eq!(proxy, Some(Difference::ResetDistance));
}

#[test]
fn one_system_with_several_windows_is_one_system() {
    let mut other = syn_ack(63, LINUX);
    (other.window, other.scale) = (Some(8192), Some(7));
    assert_eq!(difference(&[syn_ack(63, LINUX), other], &[reset(63)]), None);
    assert_eq!(difference(&[syn_ack(63, LINUX)], &[reset(254)]), None, "a RST begins elsewhere");
    let cookie = syn_ack(63, &[]);
    assert_eq!(difference(&[syn_ack(63, LINUX), cookie], &[]), None);
}
