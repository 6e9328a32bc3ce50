//! The other end of `check --pair`: listens, answers, tells who came.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use portolan_core::net::{Endpoint, Moment, Port, Transport};
use portolan_host::clock::{self, Stopwatch};
use portolan_host::listener::Listener;
pub(crate) use portolan_host::listener::Visit;
use portolan_host::machine;
use portolan_host::signals::{self, signal};

use crate::fault::{Fault, Hinted as _};
use crate::ops::check::port_words;

/// What is to be listened on, and until when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// The transport.
    pub(crate) transport: Transport,
    /// The port.
    pub(crate) port: Port,
    /// Where.
    pub(crate) bind: Where,
    /// Whether the first who comes ends it.
    pub(crate) once: bool,
    /// After what time it ends.
    pub(crate) timeout: Option<Duration>,
}

/// Where is listened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// For this machine only.
    Loopback,
    /// Everywhere.
    Any,
    /// On one address.
    At(IpAddr),
}

/// Something that is told while it runs.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// It listens now.
    Ready {
        /// On what.
        endpoints: Vec<Endpoint>,
        /// The transport.
        transport: Transport,
        /// The code of this run.
        code: &'a str,
    },
    /// Somebody came.
    Visit {
        /// When.
        at: Timestamp,
        /// Who.
        visit: &'a Visit,
    },
    /// Others came, too many in one second for a line each.
    Unlisted {
        /// When that is told.
        at: Timestamp,
        /// How many.
        count: u64,
    },
}

/// Listens until it is to end; how many came.
///
/// # Errors
/// When the port cannot be had, or `tell` fails.
pub(crate) fn listen(
    request: &Request,
    tell: &mut impl FnMut(&Event<'_>) -> Result<()>,
) -> Result<u64> {
    let addresses = addresses(request.bind);
    let mut listener = Listener::open(request.transport, request.port, &addresses)
        .map_err(|(address, refusal)| refused(request, address, refusal))?;
    let (send, interrupted) = mpsc::channel();
    signals::each(&[signal::SIGINT, signal::SIGTERM], move |_| send.send(()).is_ok())?;
    let code = listener.code();
    let (endpoints, transport) = (listener.endpoints(), request.transport);
    tell(&Event::Ready { endpoints, transport, code: &code })?;
    let watch = Stopwatch::start();
    let mut end = request.timeout.map(Moment::after);
    let mut count = 0;
    let mut second = Second::default();
    while interrupted.try_recv().is_err() && end.is_none_or(|end| watch.now() < end) {
        let left = end.map_or(LOOK_UP, |end| (end - watch.now()).min(LOOK_UP));
        let visits = listener.wait(left).hinted("cannot wait for probes", "")?;
        if let Some(count) = second.unlisted(watch.now()) {
            tell(&Event::Unlisted { at: clock::now(), count })?;
        }
        for visit in visits {
            if request.once && count > 0 {
                break; // it is only that a lost answer is given again
            }
            count += 1;
            if second.has_room(watch.now()) {
                tell(&Event::Visit { at: clock::now(), visit: &visit })?;
            }
            if request.once {
                end = Some(watch.now() + LINGER);
            }
        }
    }
    if second.over > 0 {
        tell(&Event::Unlisted { at: clock::now(), count: second.over })?;
    }
    Ok(count)
}

/// The lines of one second: a flood of visitors is not to become one of lines.
#[derive(Default)]
struct Second {
    began: Moment,
    listed: u64,
    /// Visitors beyond those that are listed.
    over: u64,
}

impl Second {
    /// Whether one more is listed.
    fn has_room(&mut self, now: Moment) -> bool {
        if self.over == 0 && now - self.began >= ONE {
            *self = Self { began: now, ..Self::default() };
        }
        let has_room = self.listed < MOST_LINES;
        self.listed += u64::from(has_room);
        self.over += u64::from(!has_room);
        has_room
    }

    /// How many were not, once the second is over.
    fn unlisted(&mut self, now: Moment) -> Option<u64> {
        let count = self.over;
        if count == 0 || now - self.began < ONE {
            return None;
        }
        *self = Self { began: now, ..Self::default() };
        Some(count)
    }
}

const ONE: Duration = Duration::from_secs(1);

/// Visitors listed in a second.
const MOST_LINES: u64 = 100;

fn addresses(bind: Where) -> Vec<IpAddr> {
    let own = machine::addresses();
    let has_ipv6 = own.is_ok_and(|own| own.iter().any(|a| a.address.is_ipv6()));
    let (four, six) = match bind {
        Where::At(address) => return vec![address],
        Where::Loopback => (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST),
        // One IPv6 socket takes both families.
        Where::Any if has_ipv6 => return vec![Ipv6Addr::UNSPECIFIED.into()],
        Where::Any => (Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED),
    };
    let six = has_ipv6.then_some(six.into());
    std::iter::once(four.into()).chain(six).collect()
}

fn refused(
    request: &Request,
    address: IpAddr,
    refusal: portolan_host::bind::Refusal,
) -> anyhow::Error {
    let endpoint = Endpoint::new(address, request.port);
    let port = port_words(request.port, request.transport);
    let why = std::io::Error::from(refusal.errno).to_string().to_lowercase();
    let why = why.split(" (os error").next().unwrap_or_default();
    let hint = format!("portolan explain {port}     (says why, and who has it)");
    Fault::new(format!("cannot listen on {endpoint}/{}: {why}", request.transport), hint)
}

/// How often signals are looked for.
const LOOK_UP: Duration = Duration::from_millis(200);

/// With --once: a UDP answer that is lost on its way back is asked for again within this.
const LINGER: Duration = Duration::from_millis(1200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_visitors_is_counted_and_not_listed() {
        let mut second = Second::default();
        let at = |millis| Moment::after(Duration::from_millis(millis));
        let listed = (0..1000).filter(|n| second.has_room(at(n / 2))).count();
        assert_eq!((listed, second.unlisted(at(999))), (100, None));
        assert_eq!(second.unlisted(at(1000)), Some(900));
        assert!(second.has_room(at(1001)));
        assert_eq!(second.unlisted(at(2500)), None);
    }
}
