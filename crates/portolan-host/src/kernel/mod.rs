//! System calls that no crate wraps. Here alone is `unsafe`, each block with its reason.
//!
//! A file a system call, each as small as it can be. What is decided with their answers stands
//! elsewhere.

pub(crate) mod bpf;
pub(crate) mod inheritance;
pub(crate) mod mapping;
pub(crate) mod packet;
pub(crate) mod packet_ring;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) mod seccomp;
pub(crate) mod socket;
pub(crate) mod tables;
pub(crate) mod types;
pub(crate) mod xdp_socket;
