//! The namespaces this process lives in.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use portolan_core::socket::Netns;

/// The network namespace of this process; its inode is 0 where /proc does not tell.
#[must_use]
pub fn network() -> Netns {
    let inode = inode("/proc/self/ns/net").unwrap_or(0);
    Netns { inode, name: name_of(inode) }
}

/// Whether this process sees every process of the machine: only the first pid namespace does.
/// From another one a socket's holder may be outside.
#[must_use]
pub fn sees_every_process() -> bool {
    inode("/proc/self/ns/pid") == Some(FIRST_PID_NAMESPACE)
}

/// The name `ip netns` gave the namespace, a file in /run/netns.
fn name_of(inode: u64) -> Option<Box<str>> {
    let folder = fs::read_dir("/run/netns").ok()?;
    folder
        .flatten()
        .find(|entry| fs::metadata(entry.path()).is_ok_and(|file| file.ino() == inode))
        .map(|entry| entry.file_name().to_string_lossy().into())
}

fn inode(path: &str) -> Option<u64> {
    fs::metadata(path).ok().map(|file| file.ino())
}

/// PROC_PID_INIT_INO of include/linux/proc_ns.h.
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_network_namespace_has_an_inode() {
        assert_ne!(network().inode, 0);
    }
}
