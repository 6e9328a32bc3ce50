//! Which options a match or target has and how many values each takes (iptables-extensions(8)).

/// How many values an option takes; `None` where it is not known there.
pub(super) fn values_of(extension: &str, option: &str) -> Option<usize> {
    let (_, options) = EXTENSIONS.iter().find(|(name, _)| *name == extension)?;
    options.iter().find(|(name, _)| *name == option).map(|(_, values)| *values)
}

/// Whether its options are known.
pub(super) fn is_known(extension: &str) -> bool {
    EXTENSIONS.iter().any(|(name, _)| *name == extension)
}

/// How many values one of iptables' own options takes.
pub(super) fn values_of_own(option: &str) -> Option<usize> {
    Some(match option {
        "-f" | "--fragment" | "-4" | "--ipv4" | "-6" | "--ipv6" => 0,
        "-s" | "--source" | "--src" | "-d" | "--destination" | "--dst" | "-i"
        | "--in-interface" | "-o" | "--out-interface" | "-p" | "--protocol" | "--proto" | "-m"
        | "--match" | "-j" | "--jump" | "-g" | "--goto" => 1,
        "-c" | "--set-counters" => 2,
        _ => return None,
    })
}

type Options = &'static [(&'static str, usize)];

const PORTS: Options =
    &[("--sport", 1), ("--source-port", 1), ("--dport", 1), ("--destination-port", 1)];

/// Those that are evaluated; what is not here is taken with all words up to the next option.
const EXTENSIONS: &[(&str, Options)] = &[
    (
        "tcp",
        &[
            ("--sport", 1),
            ("--source-port", 1),
            ("--dport", 1),
            ("--destination-port", 1),
            ("--tcp-flags", 2),
            ("--syn", 0),
            ("--tcp-option", 1),
        ],
    ),
    ("udp", PORTS),
    ("udplite", PORTS),
    ("sctp", PORTS),
    ("dccp", PORTS),
    (
        "multiport",
        &[
            ("--sports", 1),
            ("--source-ports", 1),
            ("--dports", 1),
            ("--destination-ports", 1),
            ("--ports", 1),
        ],
    ),
    ("icmp", &[("--icmp-type", 1)]),
    ("icmp6", &[("--icmpv6-type", 1)]),
    ("state", &[("--state", 1)]),
    (
        "conntrack",
        &[
            ("--ctstate", 1),
            ("--ctproto", 1),
            ("--ctorigsrc", 1),
            ("--ctorigdst", 1),
            ("--ctreplsrc", 1),
            ("--ctrepldst", 1),
            ("--ctorigsrcport", 1),
            ("--ctorigdstport", 1),
            ("--ctreplsrcport", 1),
            ("--ctrepldstport", 1),
            ("--ctstatus", 1),
            ("--ctexpire", 1),
            ("--ctdir", 1),
        ],
    ),
    ("mark", &[("--mark", 1)]),
    ("connmark", &[("--mark", 1)]),
    (
        "addrtype",
        &[("--src-type", 1), ("--dst-type", 1), ("--limit-iface-in", 0), ("--limit-iface-out", 0)],
    ),
    ("iprange", &[("--src-range", 1), ("--dst-range", 1)]),
    (
        "set",
        &[
            ("--match-set", 2),
            ("--set", 2),
            ("--return-nomatch", 0),
            ("--update-counters", 0),
            ("--update-subcounters", 0),
            ("--packets-eq", 1),
            ("--packets-lt", 1),
            ("--packets-gt", 1),
            ("--bytes-eq", 1),
            ("--bytes-lt", 1),
            ("--bytes-gt", 1),
        ],
    ),
    (
        "owner",
        &[("--uid-owner", 1), ("--gid-owner", 1), ("--socket-exists", 0), ("--suppl-groups", 0)],
    ),
    ("length", &[("--length", 1)]),
    ("pkttype", &[("--pkt-type", 1)]),
    ("ttl", &[("--ttl-eq", 1), ("--ttl", 1), ("--ttl-lt", 1), ("--ttl-gt", 1)]),
    ("hl", &[("--hl-eq", 1), ("--hl", 1), ("--hl-lt", 1), ("--hl-gt", 1)]),
    ("dscp", &[("--dscp", 1), ("--dscp-class", 1)]),
    ("tos", &[("--tos", 1)]),
    ("ecn", &[("--ecn-tcp-cwr", 0), ("--ecn-tcp-ece", 0), ("--ecn-ip-ect", 1)]),
    ("rpfilter", &[("--loose", 0), ("--validmark", 0), ("--accept-local", 0), ("--invert", 0)]),
    ("comment", &[("--comment", 1)]),
    ("limit", &[("--limit", 1), ("--limit-burst", 1)]),
    (
        "recent",
        &[
            ("--name", 1),
            ("--set", 0),
            ("--rcheck", 0),
            ("--update", 0),
            ("--remove", 0),
            ("--seconds", 1),
            ("--reap", 0),
            ("--hitcount", 1),
            ("--rttl", 0),
            ("--rsource", 0),
            ("--rdest", 0),
            ("--mask", 1),
        ],
    ),
    ("nfacct", &[("--nfacct-name", 1)]),
    ("REJECT", &[("--reject-with", 1)]),
    (
        "MARK",
        &[
            ("--set-mark", 1),
            ("--set-xmark", 1),
            ("--and-mark", 1),
            ("--or-mark", 1),
            ("--xor-mark", 1),
        ],
    ),
    (
        "CONNMARK",
        &[
            ("--set-mark", 1),
            ("--set-xmark", 1),
            ("--and-mark", 1),
            ("--or-mark", 1),
            ("--xor-mark", 1),
            ("--save-mark", 0),
            ("--restore-mark", 0),
            ("--nfmask", 1),
            ("--ctmask", 1),
            ("--mask", 1),
        ],
    ),
    ("DNAT", &[("--to-destination", 1), ("--random", 0), ("--persistent", 0)]),
    ("SNAT", &[("--to-source", 1), ("--random", 0), ("--random-fully", 0), ("--persistent", 0)]),
    ("MASQUERADE", &[("--to-ports", 1), ("--random", 0), ("--random-fully", 0)]),
    ("REDIRECT", &[("--to-ports", 1), ("--random", 0)]),
    ("NETMAP", &[("--to", 1)]),
];
