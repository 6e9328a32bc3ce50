//! Giving back what only an intermediate step needed.

use super::node::{Bdd, Cached, Region};

/// How far the arena was filled at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(usize);

impl Mark {
    /// Whether the region was made before, and so stays good when what came since is reclaimed.
    #[must_use]
    pub fn predates(self, region: Region) -> bool {
        region.index() < self.0
    }
}

impl Bdd {
    /// Remembers how far the arena is filled now.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(self.nodes.len())
    }

    /// Drops every node made since `mark` that none of `roots` needs. Regions made before the mark
    /// stay good; of those made since, only `roots`, which may get new handles.
    pub fn reclaim(&mut self, mark: Mark, roots: &mut [&mut Region]) {
        let from = mark.0.min(self.nodes.len());
        let needed = self.needed_since(from, roots);
        let mut moved = vec![0_u32; needed.len()];
        let mut next = from;
        for (offset, _) in needed.iter().enumerate().filter(|(_, needed)| **needed) {
            let mut node = self.nodes[from + offset];
            node.zero = relocated(node.zero, from, &moved);
            node.one = relocated(node.one, from, &moved);
            self.nodes[next] = node;
            moved[offset] = next as u32;
            next += 1;
        }
        self.nodes.truncate(next);
        for root in roots.iter_mut() {
            **root = relocated(**root, from, &moved);
        }
        for binding in self.bindings.iter_mut().flatten() {
            binding.1 = relocated(binding.1, from, &moved);
        }
        self.cache.fill(Cached::EMPTY);
        self.rebuild_table(self.table.len());
    }

    /// For each node from `from` on: whether a root (or a registered change) leads to it.
    fn needed_since(&self, from: usize, roots: &[&mut Region]) -> Vec<bool> {
        let mut needed = vec![false; self.nodes.len() - from];
        let bound = self.bindings.iter().flatten().map(|binding| binding.1);
        let mut open: Vec<Region> = roots.iter().map(|root| **root).chain(bound).collect();
        while let Some(region) = open.pop() {
            let Some(offset) = region.index().checked_sub(from) else { continue };
            if std::mem::replace(&mut needed[offset], true) {
                continue;
            }
            let node = &self.nodes[region.index()];
            open.extend([node.zero, node.one]);
        }
        needed
    }
}

fn relocated(region: Region, from: usize, moved: &[u32]) -> Region {
    match region.index().checked_sub(from) {
        Some(offset) => Region(moved[offset] << 1).flipped(region.complement_bit()),
        None => region,
    }
}
