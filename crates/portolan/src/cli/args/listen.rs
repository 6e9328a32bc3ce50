//! `portolan listen`.

use std::net::IpAddr;
use std::time::Duration;

use clap::Args;

use super::duration::duration;

#[derive(Debug, Args)]
pub(crate) struct Listen {
    /// PORT or PORT/udp; a bare number means TCP
    #[arg(value_name = "PORT")]
    pub(crate) port: String,
    /// Where: an address of this machine, or `any` [default: this machine only]
    #[arg(long, value_name = "ADDRESS|any", value_parser = place)]
    pub(crate) bind: Option<Place>,
    /// End after the first who comes
    #[arg(long)]
    pub(crate) once: bool,
    /// End after this time
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// One JSON object a line, as it happens
    #[arg(long, conflicts_with = "json")]
    pub(crate) jsonl: bool,
}

/// Where to listen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// On every address.
    Any,
    /// On one.
    At(IpAddr),
}

fn place(text: &str) -> Result<Place, String> {
    let address = text.trim_start_matches('[').trim_end_matches(']');
    match text {
        "any" | "*" => Ok(Place::Any),
        _ => address
            .parse()
            .map(Place::At)
            .map_err(|_| "expected an address of this machine, or `any`".to_owned()),
    }
}

pub(super) const HELP: &str = "\
The other end of `portolan check --pair`: a probe that arrives is shown, with
the address it came from, and answered; check then knows that the path carries
packets both ways, and whether an address is translated on it (NAT). Both show
the same code. Anything else that connects reads one line of text, so that it
serves nc, telnet and curl too. An answer is never longer than its question.

Nothing but this machine can reach it unless --bind says so.

Examples: portolan listen 9000 --timeout 1s
          portolan listen 9000/udp --bind any --once --timeout 1s

Exit code 0 when somebody came or it was interrupted, 1 when nobody came before
--timeout.";
