//! How the stacks of the families write a SYN-ACK: facts out of their sources and captures.
//!
//! An order of options is the kernel's, not a version's: each has written its own for decades. It is
//! what they answer to a SYN that offers MSS, SACK, timestamps and window scale.

use super::Family;

/// TCP option kinds (IANA "TCP Parameters"; RFC 9293 §3.2, 7323, 2018).
const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const SCALE: u8 = 3;
const SACK: u8 = 4;
const TIME: u8 = 8;

/// One way to write a SYN-ACK.
struct Stack {
    options: &'static [u8],
    initial: u8,
    family: Family,
}

const STACKS: &[Stack] = &[
    // kernel: net/ipv4/tcp_output.c tcp_options_write(): SACK takes the place of the two NOPs before
    // the timestamps. The hop limit is IPDEFTTL of include/uapi/linux/ip.h. Measured on 6.18 too.
    Stack { options: &[MSS, SACK, TIME, NOP, SCALE], initial: 64, family: Family::Linux },
    // The same with net.ipv4.tcp_timestamps=0, then with net.ipv4.tcp_sack=0.
    Stack { options: &[MSS, NOP, NOP, SACK, NOP, SCALE], initial: 64, family: Family::Linux },
    Stack { options: &[MSS, NOP, NOP, TIME, NOP, SCALE], initial: 64, family: Family::Linux },
    // Public captures of Windows servers, without timestamps and with them; 128 is the default of
    // DefaultTTL (Microsoft, "TCP/IP registry values").
    Stack { options: &[MSS, NOP, SCALE, NOP, NOP, SACK], initial: 128, family: Family::Windows },
    Stack { options: &[MSS, NOP, SCALE, SACK, TIME], initial: 128, family: Family::Windows },
    // FreeBSD: sys/netinet/tcp_output.c tcp_addoptions(), in the order of TOF_* of tcp_var.h.
    Stack { options: &[MSS, NOP, SCALE, SACK, TIME], initial: 64, family: Family::BsdDarwin },
    // OpenBSD: sys/netinet/tcp_output.c tcp_output(), which aligns each option by itself.
    Stack {
        options: &[MSS, NOP, NOP, SACK, NOP, SCALE, NOP, NOP, TIME],
        initial: 64,
        family: Family::BsdDarwin,
    },
    // Darwin: bsd/netinet/tcp_output.c of xnu; ends with EOL.
    Stack {
        options: &[MSS, NOP, SCALE, NOP, NOP, TIME, SACK],
        initial: 64,
        family: Family::BsdDarwin,
    },
    // Small stacks know MSS alone. lwIP begins with 255 (opt.h: TCP_TTL), as routers do.
    Stack { options: &[MSS], initial: 255, family: Family::NetworkDevice },
];

/// The family that writes these options and begins with this hop limit.
pub(super) fn by_both(options: &[u8], initial: u8) -> Option<Family> {
    let stack = STACKS.iter().find(|s| s.options == trimmed(options) && s.initial == initial);
    stack.map(|s| s.family)
}

/// The family that alone writes options in this order. MSS alone is anybody's who was offered no
/// more.
pub(super) fn by_options(options: &[u8]) -> Option<Family> {
    let options = trimmed(options);
    if options == [MSS] {
        return None;
    }
    let mut families = STACKS.iter().filter(|s| s.options == options).map(|s| s.family);
    let first = families.next()?;
    families.all(|family| family == first).then_some(first)
}

/// The family that alone begins with this hop limit, as far as common systems go.
pub(super) fn by_initial(initial: u8) -> Option<Family> {
    match initial {
        128 => Some(Family::Windows),
        u8::MAX => Some(Family::NetworkDevice),
        _ => None,
    }
}

/// Options without the padding at their end, which is as long as the header needs it.
pub(super) fn trimmed(options: &[u8]) -> &[u8] {
    let end = options.iter().position(|kind| *kind == END).unwrap_or(options.len());
    &options[..end]
}

/// The hop limit that packets began with which arrive with this one: the next usual value above it.
/// Hardly any path is longer than 30 routers.
pub(in crate::scan) const fn initial_hop_limit(arrived: u8) -> u8 {
    match arrived {
        0..=32 => 32,
        33..=64 => 64,
        65..=128 => 128,
        129..=u8::MAX => u8::MAX,
    }
}

/// How many routers a packet has passed, if it began with a usual hop limit.
pub(in crate::scan) const fn hops(arrived: u8) -> u8 {
    initial_hop_limit(arrived) - arrived
}
