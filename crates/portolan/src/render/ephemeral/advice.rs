//! What helps when ports run short, in words, with the line that does it.

use portolan_core::socket::ephemeral::Advice;

use crate::ops::ephemeral::Report;

/// One thing to do.
pub(super) struct Words {
    /// A word that stays, for programs.
    pub(super) code: &'static str,
    /// What and why.
    pub(super) why: String,
    /// The exact line; `None` where a program has to change.
    pub(super) command: Option<String>,
}

/// The words of `advice`.
pub(super) fn words(advice: &Advice, report: &Report<'_>) -> Words {
    let command = setting(advice, report).map(|(name, value)| line(name, &value));
    Words { code: code(advice), why: why(advice, report), command }
}

const fn code(advice: &Advice) -> &'static str {
    match advice {
        Advice::Widen { .. } => "widen-range",
        Advice::EvenOut { .. } => "even-out-range",
        Advice::Reserve { .. } => "reserve-ports",
        Advice::ReuseTimeWait => "reuse-time-wait",
        Advice::KeepConnections => "keep-connections",
        Advice::BindAddressNoPort { .. } => "bind-address-no-port",
        Advice::CloseConnections { .. } => "close-connections",
        Advice::ShortenFinTimeout { .. } => "shorten-fin-timeout",
    }
}

fn why(advice: &Advice, report: &Report<'_>) -> String {
    match advice {
        Advice::Widen { to } => format!("choose from {} ports instead of {}", to.len(), report.ports.ephemeral.len()),
        Advice::EvenOut { .. } => "give the range an even number of ports: the last of an odd one is not always found".to_owned(),
        Advice::Reserve { added, .. } => format!("keep {added} for the programs that ask for it: the kernel gives it away while they are stopped"),
        Advice::ReuseTimeWait => format!("let new connections use a port in TIME-WAIT after {} s (now tcp_tw_reuse={})", report.closing.reuse.after.as_secs_f32(), report.closing.reuse.policy.number()),
        Advice::KeepConnections => "in the program: keep connections open and use them again; each one closed here holds its port for 60 s, and tcp_fin_timeout does not change that".to_owned(),
        Advice::BindAddressNoPort { connections } => format!("in the program: {connections} connections look bound before they connected, which takes their port from every destination; set IP_BIND_ADDRESS_NO_PORT, or do not bind"),
        Advice::CloseConnections { connections } => format!("in the program: close the {connections} connections in CLOSE-WAIT, which the other end has closed"),
        Advice::ShortenFinTimeout { connections } => format!("drop the {connections} connections in FIN-WAIT-2 that no process has open any more sooner than after {} s", report.closing.fin_timeout.as_secs()),
    }
}

/// The setting that does it, and its new value.
fn setting(advice: &Advice, report: &Report<'_>) -> Option<(&'static str, String)> {
    Some(match advice {
        Advice::Widen { to } | Advice::EvenOut { to } => {
            ("ip_local_port_range", format!("\"{} {}\"", to.first(), to.last()))
        }
        Advice::Reserve { all, .. } => ("ip_local_reserved_ports", all.to_string()),
        Advice::ReuseTimeWait => ("tcp_tw_reuse", "1".to_owned()),
        Advice::ShortenFinTimeout { .. } => {
            ("tcp_fin_timeout", (report.closing.fin_timeout.as_secs() / 2).max(1).to_string())
        }
        Advice::KeepConnections
        | Advice::BindAddressNoPort { .. }
        | Advice::CloseConnections { .. } => return None,
    })
}

fn line(name: &str, value: &str) -> String {
    format!("sysctl -w net.ipv4.{name}={value}")
}
