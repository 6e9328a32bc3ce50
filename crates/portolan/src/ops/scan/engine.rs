//! Which engine carries the probes, and why.

use std::net::IpAddr;

use anyhow::Result;
use portolan_host::clock::Stopwatch;
use portolan_host::probe::{ConnectEngine, Engine, Options, RawEngine};

use crate::fault::{Fault, Hinted as _};

/// Which engine is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The faster one that runs here.
    #[default]
    Auto,
    /// Connections, as any program makes them.
    Connect,
    /// Packets of our own.
    Raw,
}

/// The engine that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Which.
    pub(crate) kind: EngineKind,
    /// Why it is this one.
    pub(crate) why: &'static str,
}

/// The engines there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EngineKind {
    /// Connections.
    Connect,
    /// Packets of our own.
    Raw,
}

impl EngineKind {
    /// The word used in flags and JSON.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Raw => "raw",
        }
    }
}

pub(super) type Boxed = Box<dyn Engine>;

/// What an engine has to do.
pub(super) struct Needs {
    /// Which one is asked for.
    pub(super) wanted: Wanted,
    /// Through which interface.
    pub(super) interface: Option<String>,
    /// From which address.
    pub(super) source: Option<IpAddr>,
    /// Whether every target is this machine itself.
    pub(super) only_own: bool,
}

/// Opens the engine that suits.
///
/// # Errors
/// When the one asked for is not to be had, or the interface or source address is not ours.
pub(super) fn open(needs: &Needs, watch: Stopwatch) -> Result<(Boxed, Chosen)> {
    let (kind, why) = match needs.wanted {
        Wanted::Connect => (EngineKind::Connect, "asked for"),
        Wanted::Raw if RawEngine::is_permitted() => (EngineKind::Raw, "asked for"),
        Wanted::Raw => {
            let hint = "run with sudo, or without --engine raw";
            return Err(Fault::new("cannot write packets of our own: no CAP_NET_RAW", hint));
        }
        Wanted::Auto if needs.only_own => (EngineKind::Connect, "this machine itself"),
        Wanted::Auto if RawEngine::is_permitted() => (EngineKind::Raw, "CAP_NET_RAW"),
        Wanted::Auto => (EngineKind::Connect, "no CAP_NET_RAW"),
    };
    let options =
        Options { source: needs.source, interface: needs.interface.clone(), ..Options::new(watch) };
    let hint = "--source takes an address of this machine, --interface one of its interfaces";
    let engine: Boxed = match kind {
        EngineKind::Connect => Box::new(ConnectEngine::new(&options).hinted("cannot scan", hint)?),
        EngineKind::Raw => Box::new(RawEngine::new(&options).hinted("cannot scan", hint)?),
    };
    Ok((engine, Chosen { kind, why }))
}
