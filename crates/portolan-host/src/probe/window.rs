//! How many probes may hold a descriptor at once: within the limit of the process, fewer after the
//! kernel had none left, slowly more again.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The bound on probes under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// What it never exceeds.
    ceiling: usize,
    /// What it is now.
    size: usize,
    /// Probes that went out since it last changed.
    went_out: usize,
}

impl Window {
    /// As many as leave others their share, `most` at most.
    pub(crate) fn within(free: Free, most: usize) -> Self {
        Self::new((free.0 - free.reserve() - 2 * free.lanes()).min(most))
    }

    fn new(ceiling: usize) -> Self {
        let ceiling = ceiling.max(1);
        Self { ceiling, size: ceiling, went_out: 0 }
    }

    /// How many there may be.
    pub(crate) const fn size(self) -> usize {
        self.size
    }

    /// The kernel had nothing left with so many under way.
    pub(crate) fn shrink(&mut self, under_way: usize) {
        self.size = (under_way - under_way / 8).clamp(1, self.size);
        self.went_out = 0;
    }

    /// One went out.
    pub(crate) fn sent(&mut self) {
        if self.size == self.ceiling {
            return;
        }
        self.went_out += 1;
        if self.went_out >= self.size.max(PATIENCE) {
            self.size = (self.size + self.size / 16 + 1).min(self.ceiling);
            self.went_out = 0;
        }
    }
}

/// How many descriptors the process may still open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Free(usize);

impl Free {
    /// What is free after the soft limit was raised to the hard one (getrlimit(2)).
    pub(crate) fn of_process() -> Self {
        Self(raised_limit().saturating_sub(in_use()).max(4))
    }

    /// How many sockets of UDP there may be, each family.
    pub(crate) fn lanes(self) -> usize {
        (self.0 / 64).clamp(1, 16)
    }

    /// What the rest of the program opens now and then.
    fn reserve(self) -> usize {
        RESERVE.min(self.0 / 4)
    }
}

/// The limit on descriptors, after the soft one was raised as far as it goes.
fn raised_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = getrlimit(Resource::Nofile).current.or(current);
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Descriptors this process has open; a guess where /proc is missing.
fn in_use() -> usize {
    fs::read_dir("/proc/self/fd").map_or(RESERVE, Iterator::count)
}

/// Descriptors left to the rest of the program.
const RESERVE: usize = 32;

/// The fewest probes after which a window grows.
const PATIENCE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shrinks_at_once_and_grows_back_slowly() {
        let mut window = Window::new(1000);
        window.shrink(100);
        assert_eq!(window.size(), 88);
        (0..88).for_each(|_| window.sent());
        assert_eq!(window.size(), 94);
        (0..1_000_000).for_each(|_| window.sent());
        assert_eq!(window.size(), 1000);
    }

    #[test]
    fn what_is_free_is_shared_out_and_nothing_twice() {
        for (free, lanes, size) in [(4, 1, 1), (60, 1, 43), (1000, 15, 938), (20_000, 16, 16_384)] {
            assert_eq!(Free(free).lanes(), lanes);
            assert_eq!(Window::within(Free(free), 16_384).size(), size);
        }
    }

    #[test]
    fn there_is_always_room_for_one() {
        let mut window = Window::new(0);
        window.shrink(0);
        assert_eq!(window.size(), 1);
    }
}
