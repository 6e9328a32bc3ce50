//! Every command and flag. What was typed, nothing done yet.

mod allow;
mod check;
mod duration;
mod explain;
pub(crate) mod firewall;
mod kill;
mod listen;
mod pick;
mod reach;
mod run;
mod scan;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use allow::{Allow, Change, Deny, Until};
pub(crate) use check::Check;
pub(crate) use explain::Explain;
pub(crate) use firewall::Firewall;
pub(crate) use kill::Kill;
pub(crate) use listen::{Listen, Place as ListenPlace};
pub(crate) use pick::{HoldPort, Pick, Reserve};
pub(crate) use reach::Reach;
pub(crate) use run::{Run, StartCommand};
pub(crate) use scan::{Scan, ScanEngine};

use crate::ops;
use crate::ops::inventory::Asked;

/// The command that a watchdog is started as, which nobody is to call.
pub(crate) const WATCH: &str = portolan_host::firewall::SUBCOMMAND;

/// The chart of this machine's ports: what is open, who opened it, who could reach it, and whether
/// anyone meant it.
#[derive(Debug, Parser)]
#[command(
    name = "portolan",
    bin_name = "portolan",
    version,
    max_term_width = 80,
    disable_help_subcommand = true,
    after_help = EXIT_CODES
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(flatten)]
    pub(crate) status: Status,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const EXIT_CODES: &str = "\
Exit codes: 0  yes, clean, open
            1  no, findings, not open
            2  no answer: bad usage, a bad file, a failure
            3  no finding, but not everything could be seen
            128+N  ended by signal N; 141 when nobody reads its output

Start with: portolan                   the chart of this machine
            portolan who 8080          who holds a port
            portolan inventory init    write down what is here
            portolan audit             what differs from what was written down";

/// Flags every command takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// Print one JSON document on standard output
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(crate) json: bool,
    /// Colour: auto (on a terminal), always or never; NO_COLOR turns it off too
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    #[arg(help_heading = EVERYWHERE, hide_possible_values = true, hide_default_value = true)]
    pub(crate) color: Color,
    /// The inventory to read [default: $PORTOLAN_INVENTORY, ./portolan.toml,
    /// /etc/portolan/portolan.toml]
    #[arg(long, global = true, value_name = "FILE", help_heading = EVERYWHERE)]
    pub(crate) inventory: Option<PathBuf>,
    /// Which host of the inventory this is [default: by host name, then by address]
    #[arg(long, global = true, value_name = "NAME", help_heading = EVERYWHERE)]
    pub(crate) host: Option<String>,
}

impl Global {
    /// Which inventory and host are meant.
    pub(crate) fn asked(&self) -> Asked {
        Asked { inventory: self.inventory.clone(), host: self.host.clone() }
    }
}

const EVERYWHERE: &str = "With every command";

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The chart of this machine, one row a port (the same as plain `portolan`)
    #[command(
        after_help = "Example: portolan status --json | jq '.ports[] | select(.declared == null)'"
    )]
    Status(Status),
    /// Compare two saved charts
    #[command(after_help = "Examples: portolan --json > before.json
          portolan --json > after.json
          portolan diff before.json after.json

Exit code 1 when they differ, 3 when they do not but one of them could not see
who holds a port.")]
    Diff(Diff),
    /// What a port number, a range, a service name or words stand for
    #[command(after_help = "Examples: portolan lookup 443
          portolan lookup 8000-8100
          portolan lookup postgresql
          portolan lookup time server

A bare number is looked up in every transport. What is commonly seen on a port
says what may be there, never what is. With --json: a result for each port.

Exit code 1 when nothing is known, 2 for a number above 65535 or a reversed
range.")]
    Lookup(Lookup),
    /// Which registry of port numbers is in use, and how old it is
    #[command(after_help = "Examples: portolan registry
          portolan registry update --import service-names-port-numbers.csv")]
    Registry(Registry),
    /// Listeners and bound UDP sockets with their owners; understands the letters and filters of ss
    #[command(visible_alias = "ls", after_help = SOCKETS_HELP)]
    Sockets(Sockets),
    /// Every socket of a port, program, process, unit or container, and why it is there
    #[command(after_help = "Examples: portolan who 8080
          portolan who 53/udp
          portolan who 80,443,u:53
          portolan who nginx
          portolan who pid:812
          portolan who unit:ssh.service
          portolan who container:web
          portolan who 80 --all-netns

Exit code 1 when nobody holds it, 3 when somebody does but the owner is not
visible.")]
    Who(Who),
    /// Can this be bound, and if not, why exactly and what to do
    #[command(after_help = "Examples: portolan explain 3000
          portolan explain 127.0.0.1:5432 --reuseaddr
          portolan explain '[::1]:8080/udp'
          portolan explain -- npm start
          npm start 2>&1 | portolan explain -

It is really tried: a socket is bound, and listens for a moment where it is TCP,
with the same options as the server's. Port 0 asks whether the kernel has one
left to give. As root the owners and options of everybody's sockets are seen.

With a COMMAND it is run, and what the kernel refuses it, and whatever it
starts, is explained as it happened: once it has ended, or after 3 s in which
it bound nothing. A server that serves just runs. Its exit code is told and not
ours, and with --json its standard output goes to standard error. It gains no
privilege: no sudo inside.

Exit code 0 when it can be bound, 1 when not, 2 when a COMMAND bound nothing.")]
    Explain(Explain),
    /// Stop whoever listens on a port, never its clients, and prove the port free
    #[command(after_help = "Examples: portolan kill 3000
          portolan kill 3000 --dry-run
          portolan kill 3000/tcp --sockets

A process gets SIGTERM and, if it still holds the port after --grace, SIGKILL. A
systemd service or a container is stopped by its supervisor instead, which would
start it again. Left alone: process 1, you and what you descend from, the way
you came in by (SSH), docker-proxy, the kernel's own sockets.

Asked for before it happens (or --yes): units, containers, processes of other
users. Your own processes, and for root those of root and of whoever called
sudo, are ended without a question.

Exit code 0 only when the port can be bound afterwards, 1 when nobody listened,
2 when it did not work or was refused, 3 when who listens could not be seen.")]
    Kill(Kill),
    /// Which ports of other machines are open, and how sure that is
    #[command(after_help = scan::HELP)]
    Scan(Scan),
    /// Choose free port numbers
    #[command(after_help = PICK_HELP)]
    Pick(Pick),
    /// Keep a port for a while: nobody gets it by chance
    #[command(after_help = RESERVE_HELP)]
    Reserve(Reserve),
    /// What is leased and reserved, by whom and until when
    #[command(after_help = "Example: portolan reservations --json

What is over is not shown: its time has come, its process or its project's
folder is gone, or a project has not asked for its number for 90 days.")]
    Reservations,
    /// Hold the port that is standard input until a time; `reserve` starts this
    #[command(hide = true, name = ops::reservations::HOLD)]
    HoldPort(HoldPort),
    /// Run a command on ports of its own
    #[command(after_help = run::HELP)]
    Run(Run),
    /// What `run` starts to become the command
    #[command(name = portolan_host::launch::SUBCOMMAND, hide = true)]
    StartCommand(StartCommand),
    /// Test one endpoint and explain the answer: open, refused, dropped where, by whom
    #[command(after_help = check::HELP)]
    Check(Check),
    /// The other end of `check --pair`: answer probes and show who came
    #[command(after_help = listen::HELP)]
    Listen(Listen),
    /// From where a port can be reached, and what decides it: socket, rule, NAT, container
    #[command(after_help = reach::HELP)]
    Reach(Reach),
    /// The inventory: what is meant to be open, for whom, and why
    #[command(subcommand)]
    Inventory(Inventory),
    /// The firewall: every rule of nftables and iptables, whoever wrote it
    #[command(subcommand)]
    Firewall(Firewall),
    /// Compare the inventory with what this machine really does
    #[command(after_help = "Examples: portolan audit
          portolan audit --format sarif > portolan.sarif
          portolan audit --probe
          portolan audit accept P101-0123456789 --reason 'vendor agent'

--probe asks only ports the inventory names, no host with probe = \"never\", and
not this machine itself. It judges what this machine may reach, and what answers
it although its `from` does not name it. Silent UDP is a gap, never a finding.

Exit code 1 for findings above `note` (or as --fail-on says), 3 when there is
none but not everything could be seen. With --format nagios: 0 ok, 1 warning,
2 critical, 3 unknown.")]
    Audit(Audit),
    /// Let somebody in to a port: an edit of the inventory
    #[command(after_help = allow::ALLOW_HELP)]
    Allow(Allow),
    /// Let somebody in to a port no more: an edit of the inventory
    #[command(after_help = allow::DENY_HELP)]
    Deny(Deny),
    /// What `firewall apply` starts to bring back what was before
    #[command(name = WATCH, hide = true)]
    FirewallWatch(firewall::Watch),
    /// Print the completion script of a shell
    #[command(after_help = "Example: portolan completions bash > /etc/bash_completion.d/portolan")]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the man page, or write one page a command into a folder
    #[command(after_help = "Examples: portolan man | man -l -
          portolan man --out /usr/local/share/man/man1")]
    Man {
        /// Write portolan.1, portolan-sockets.1 … into this folder
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// End with 3 instead of 0 when something could not be seen
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// An earlier `portolan status --json`
    pub(crate) old: PathBuf,
    /// A later one
    pub(crate) new: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Lookup {
    /// A number (443), a range (8000-8100), a transport with it (53/udp), a port set (u:53,80 or
    /// top:20), a service name, or words
    #[arg(required = true, value_name = "WHAT")]
    pub(crate) what: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Registry {
    #[command(subcommand)]
    pub(crate) command: Option<RegistryCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RegistryCommand {
    /// Take IANA's own file into your data folder, for your user only
    #[command(
        after_help = "Example: portolan registry update --import service-names-port-numbers.csv"
    )]
    Update {
        /// IANA's CSV or XML
        #[arg(long, value_name = "FILE")]
        import: PathBuf,
    },
}

const PICK_HELP: &str = "\
Standard output has the numbers alone, one a line. Left out are, and --json says
how many for each reason: what the kernel itself chooses from and what
ip_local_reserved_ports keeps, IANA's assignments, what browsers refuse to open,
Kubernetes' node ports, the inventory's ports on this host (on every host where
this one is not in it) and its pools, ports that NAT rules name (as root) and
Docker publishes, numbers that portolan gave to others, and whatever a socket
uses or the kernel refuses to bind, over IPv4 and IPv6.

--for gives a project the same number again under the same name. The first time
it is decided by both names and the ports others have; then it is remembered for
as long as the folder is there and asks within 90 days. A server of the
project's own on it does not make it taken. While somebody else is on it another
number is given, which stays the same too; with --strict none. With --range or
--pool the number moves there if it is elsewhere.

Numbers are remembered for each user in $XDG_STATE_HOME/portolan, else in
~/.local/state/portolan; without --lease and --for nothing is written.

Examples: portolan pick
          portolan pick --count 3 --consecutive
          portolan pick --for web
          portolan pick --lease 30s --near 3000
          PORT=$(portolan pick --for api) printenv PORT

Exit code 1 when there are not as many free ports, or --strict finds the number
taken.";

const RESERVE_HELP: &str = "\
A small process of yours holds the port on every address until then: bound, not
listening. The kernel gives the number to nobody by itself, programs that do not
set SO_REUSEADDR are refused, and those that do (Node, Go, Java, Rust, Python's
http.server, nginx) start on it. Reserving it again from the same project holds
it longer; --release gives back a reservation, a lease or a --for number.

UDP: what arrives while nobody serves is dropped without an answer. A server
that sets SO_REUSEADDR starts and is given every datagram; others are refused.

Examples: portolan reserve 8080 --ttl 10m
          portolan reserve 8080/tcp+udp --ttl 1h
          portolan reserve 8080 --release

Exit code 1 when it is taken, or there is nothing to give back.";

/// What selects or shapes a list of sockets: --ephemeral counts them all and is no list.
const NOT_EPHEMERAL: [&str; 14] = [
    "filter",
    "listening",
    "all",
    "tcp",
    "udp",
    "unix",
    "raw",
    "packet",
    "ipv4",
    "ipv6",
    "numeric",
    "no_header",
    "inactive",
    "cmdline",
];

const SOCKETS_HELP: &str = "\
--ephemeral counts what the kernel has given away of the ports it chooses from:
for connect() by source address and destination, for a bind to port 0 by
address. A line it advises lasts until the next boot; in a file of
/etc/sysctl.d, without `sysctl -w`, it stays.

Filters are those of ss(8): state established ( sport = :22 or dport = :443 ),
dst 10.0.0.0/8, src 127.0.0.1, dev eth0, autobound, and, or, not, &, |, !,
parentheses.

Examples: portolan sockets
          portolan sockets -tulpn
          portolan sockets -a state established dport = :443
          portolan ls -a state time-wait --json
          portolan ls --all-netns
          portolan sockets --ephemeral";

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "the letters of ss, one each")]
#[command(disable_help_flag = true)]
pub(crate) struct Sockets {
    /// What to show, in the filter language of ss
    #[arg(value_name = "FILTER", allow_hyphen_values = false)]
    pub(crate) filter: Vec<String>,
    /// Listening sockets (the default)
    #[arg(short, long)]
    pub(crate) listening: bool,
    /// TCP, UDP, UDP-Lite, SCTP and raw sockets in every state; unix and packet with -x, -0
    #[arg(short, long)]
    pub(crate) all: bool,
    /// TCP
    #[arg(short, long)]
    pub(crate) tcp: bool,
    /// UDP
    #[arg(short, long)]
    pub(crate) udp: bool,
    /// Unix sockets
    #[arg(short = 'x', long)]
    pub(crate) unix: bool,
    /// Raw sockets
    #[arg(short = 'w', long)]
    pub(crate) raw: bool,
    /// Packet sockets
    #[arg(short = '0', long)]
    pub(crate) packet: bool,
    /// IPv4
    #[arg(short = '4', long)]
    pub(crate) ipv4: bool,
    /// IPv6
    #[arg(short = '6', long)]
    pub(crate) ipv6: bool,
    /// Numbers only: no service names
    #[arg(short, long)]
    pub(crate) numeric: bool,
    /// Show processes (always on; taken because ss has it)
    #[arg(short, long)]
    pub(crate) processes: bool,
    /// No header line
    #[arg(short = 'H', long)]
    pub(crate) no_header: bool,
    /// Also TCP sockets that are bound but do not listen (Linux 6.8 and later)
    #[arg(long)]
    pub(crate) inactive: bool,
    /// Instead: how close the kernel is to having no port left to choose, and what helps
    #[arg(long, conflicts_with_all = NOT_EPHEMERAL)]
    pub(crate) ephemeral: bool,
    /// Also the sockets of every other network namespace: named, containers', unnamed
    #[arg(long)]
    pub(crate) all_netns: bool,
    /// Whole command lines; they can hold passwords
    #[arg(long)]
    pub(crate) cmdline: bool,
    /// How owners are found: auto (the better one that runs here), bpf (asks the kernel; root) or
    /// procfs (reads /proc; anybody, anywhere)
    #[arg(long, value_enum, default_value_t, value_name = "ENGINE")]
    #[arg(hide_possible_values = true, hide_default_value = true)]
    pub(crate) engine: Engine,
    /// End with 3 instead of 0 when something could not be seen
    #[arg(long)]
    pub(crate) strict: bool,
    /// Print help
    #[arg(short, long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// How owners are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// The better one that runs here
    #[default]
    Auto,
    /// Through a program that the kernel runs for every open file
    Bpf,
    /// Through /proc, process by process
    Procfs,
}

#[derive(Debug, Args)]
pub(crate) struct Who {
    /// PORT, PORT/TRANSPORT, several ports (80,443 or u:53), a program, pid:N, unit:U or
    /// container:C
    #[arg(value_name = "WHAT")]
    pub(crate) what: String,
    /// In every network namespace, containers' and unnamed ones among them
    #[arg(long)]
    pub(crate) all_netns: bool,
    /// Whole command lines; they can hold passwords
    #[arg(long)]
    pub(crate) cmdline: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Inventory {
    /// Draft an inventory of what is observed here
    #[command(after_help = "Example: portolan inventory init && $EDITOR portolan.toml

Everything found is written with status = \"observed\": nothing is approved by
being found. Only what somebody chose to open is written: clients never, and a
program whose port the kernel chooses as an [[ignore]]. A file that is there is
left alone (exit code 2) unless --merge is said.

Exit code 3 when the file was written but not everything could be seen.")]
    Init {
        /// Add to the file what is new, and change nothing else in it
        #[arg(long)]
        merge: bool,
    },
    /// Check the file: every mistake, with its place
    #[command(after_help = "Example: portolan inventory validate --inventory prod.toml")]
    Validate,
    /// Put the file into its usual form; comments and order stay
    #[command(after_help = "Example: portolan inventory fmt --check

Ports become 443/tcp, blanks around signs and at the ends of lines are evened,
of many empty lines two stay. Included TOML files are formatted too.

Exit code 1 with --check when a file would change.")]
    Fmt {
        /// Change nothing; exit code 1 when the file would change
        #[arg(long)]
        check: bool,
    },
    /// Who may reach what, and why
    #[command(after_help = "Examples: portolan inventory show
          portolan inventory show --host web
          portolan inventory show --json | jq '.rows[] | select(.from == [])'

One row a host and port. A source nobody wrote down says which forward implies
it. Planned and retired services have no row. Base rows, without which a host
cannot live, stand apart; a service of the same name replaces one.")]
    Show,
    /// Set one value; comments and order stay
    #[command(after_help = "Examples: portolan inventory set services.ssh.owner platform
          portolan inventory set services.web.ports '[\"80/tcp\", \"443/tcp\"]'
          portolan inventory set ignore.0.until 2027-03-31

The key is set in whichever included file has it. A change after which the
inventory would not be valid is refused, and nothing is written.")]
    Set {
        /// Dotted path of the key, such as services.ssh.owner
        key: String,
        /// A TOML value; what is not one is taken as a string
        value: String,
    },
    /// Print the JSON Schema for editors
    #[command(after_help = "Example: portolan inventory schema > portolan.schema.json")]
    Schema,
    /// Print the inventory for other readers
    #[command(after_help = EXPORT_HELP)]
    Export {
        /// In which form
        #[arg(long, value_enum, required_unless_present = "json")]
        format: Option<ExportFormat>,
        /// The day on which reviews, approvals and ends are judged, YYYY-MM-DD [default: today]
        #[arg(long, value_name = "DATE")]
        as_of: Option<jiff::civil::Date>,
    },
}

const EXPORT_HELP: &str = "\
The same inventory always gives the same text; only html judges dates, by today
or --as-of. With --host only the ports of that host are in it. --json is the
same as --format json.

csv and netbox-csv put an apostrophe before a cell that a spreadsheet would take
for a formula.

netbox-csv is for NetBox 4.7 and later (column port_mappings). A host is a
device there, or a virtual machine if it is tagged `vm`. Left out is what NetBox
refuses or cannot say: addresses and tags it may not have, protocols without
ports, DCCP, doors, and services planned or retired.

Examples: portolan inventory export --format html > ports.html
          portolan inventory export --format markdown > PORTS.md
          portolan inventory export --json | jq '.matrix[].subject'";

/// The forms an inventory can be exported in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// Tables for a README or a wiki
    Markdown,
    /// One page without outside assets, worth printing
    Html,
    /// A row a host and port
    Csv,
    /// Everything, for programs
    Json,
    /// A diagram of who reaches what
    Mermaid,
    /// NetBox's bulk import of services (4.7 and later)
    NetboxCsv,
    /// A CycloneDX 1.6 bill of services
    Cyclonedx,
}

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// In which form
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: AuditFormat,
    /// From which severity on the exit code is 1
    #[arg(long, value_enum, value_name = "SEVERITY", default_value_t = Severity::Low)]
    pub(crate) fail_on: Severity,
    /// Also ask the ports the inventory names on its other hosts, over the wire from here
    #[arg(long)]
    pub(crate) probe: bool,
    /// With --probe: only these hosts [default: all]
    #[arg(long, value_name = "HOST", requires = "probe", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    #[command(subcommand)]
    pub(crate) command: Option<AuditCommand>,
}

/// The forms of an audit's report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuditFormat {
    /// For reading
    #[default]
    Text,
    /// One JSON document
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// JUnit XML, for test reports
    Junit,
    /// Annotations of a GitHub workflow
    Github,
    /// One line and an exit code, for Nagios and Icinga
    Nagios,
}

/// Severities, as a flag's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Severity {
    Note,
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Accept a finding: writes an [[ignore]] into the inventory
    #[command(after_help = "\
Example: portolan audit accept P101-0123456789 --reason agent --until 2027-03-31")]
    Accept {
        /// The finding's id
        id: String,
        /// Why it is fine
        #[arg(long)]
        reason: String,
        /// The last day this counts
        #[arg(long, value_name = "DATE")]
        until: Option<jiff::civil::Date>,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn each(command: &clap::Command, check: &dyn Fn(&clap::Command)) {
        check(command);
        command.get_subcommands().for_each(|c| each(c, check));
    }

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    /// clap would break such a line in the middle of a command.
    #[test]
    fn notes_below_the_help_are_at_most_80_columns_wide() {
        each(&Arguments::command(), &|command| {
            let notes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let wide: Vec<&str> = notes.lines().filter(|l| l.chars().count() > 80).collect();
            assert!(wide.is_empty(), "{}: {wide:#?}", command.get_name());
        });
    }
}
