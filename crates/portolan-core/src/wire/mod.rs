//! Floor 1, the formats: bytes to values and back, one file a format. Never panics on foreign bytes.

pub mod bpf;
pub mod btf;
pub mod device;
pub mod genetlink;
pub mod neighbour;
pub mod netlink;
pub mod route;
pub mod rtnetlink;
pub mod sock_diag;
