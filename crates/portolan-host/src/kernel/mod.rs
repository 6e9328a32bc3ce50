//! System calls that no crate wraps. Here alone is `unsafe`, each block with its reason.

pub(crate) mod inheritance;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) mod seccomp;
