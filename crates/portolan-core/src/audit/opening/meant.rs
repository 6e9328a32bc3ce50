//! Who is meant to come, and by which interface: a network that is an interface alone is everybody who
//! comes by it, and nobody who comes by another.

use crate::firewall::Addresses;
use crate::inventory::SourceExtent;

use super::Line;

/// Senders and the interfaces they are meant to come by.
#[derive(Clone, Debug, Default)]
pub(super) struct Meant {
    /// Addresses, with the one interface that counts where one is named.
    pairs: Vec<(Addresses, Option<String>)>,
}

impl Meant {
    /// Whoever these sources stand for.
    pub(super) fn of<'a>(extents: impl IntoIterator<Item = &'a SourceExtent>) -> Self {
        let pair = |extent: &SourceExtent| (addresses(extent), extent.interface.clone());
        Self { pairs: extents.into_iter().map(pair).collect() }
    }

    /// Those who are meant among senders that come by an interface.
    pub(super) fn by(&self, interface: Option<&str>) -> Addresses {
        let counts = |named: &Option<String>| named.is_none() || named.as_deref() == interface;
        let pairs = self.pairs.iter().filter(|(_, named)| counts(named));
        pairs.fold(Addresses::NONE, |all, (senders, _)| all.with(senders))
    }

    /// Whether it matters by which interface somebody comes.
    pub(super) fn names_interface(&self) -> bool {
        self.pairs.iter().any(|(_, named)| named.is_some())
    }

    /// The lines about those who are meant, cut down to them.
    pub(super) fn among(&self, lines: &[Line]) -> Vec<Line> {
        cut(lines, |line| line.senders.and(&self.by(line.interface.as_deref())))
    }

    /// The lines about those who are not meant, cut down to them.
    pub(super) fn not_among(&self, lines: &[Line]) -> Vec<Line> {
        cut(lines, |line| line.senders.without(&self.by(line.interface.as_deref())))
    }
}

fn cut(lines: &[Line], senders: impl Fn(&Line) -> Addresses) -> Vec<Line> {
    let cut = lines.iter().map(|line| Line { senders: senders(line), ..line.clone() });
    cut.filter(|line| !line.senders.is_empty()).collect()
}

fn addresses(extent: &SourceExtent) -> Addresses {
    let inside = match extent.any {
        true => Addresses::all(),
        false => Addresses::of(extent.prefixes.iter().copied()),
    };
    inside.without(&Addresses::of(extent.except.iter().copied()))
}
