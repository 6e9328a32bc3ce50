//! The names of the tables of nf_tables, as the kernel lists them without nft(8).
//!
//! `NFT_MSG_GETTABLE` of the subsystem `NFNL_SUBSYS_NFTABLES` (include/uapi/linux/netfilter/nf_tables.h,
//! net/netfilter/nf_tables_api.c). A message is `family u8 · version u8 · resource u16 · attribute*`.

use super::netlink::{NetlinkError, attributes};

/// Message type that asks for tables: subsystem 10, NFT_MSG_GETTABLE.
pub const GET_TABLE: u16 = 10 << 8 | 1;

/// The body of a request for the tables of every family (NFPROTO_UNSPEC).
pub const EVERY_TABLE: [u8; FIXED] = [0; FIXED];

/// The family (NFPROTO_*: 1 inet, 2 IPv4, 3 ARP, 5 netdev, 7 bridge, 10 IPv6) and the name of the table that
/// `body` is of.
///
/// # Errors
/// When it is cut off.
pub fn table(body: &[u8]) -> Result<(u8, Box<str>), NetlinkError> {
    let needed = NetlinkError::Header { found: body.len(), needed: FIXED };
    let (fixed, rest) = body.split_first_chunk::<FIXED>().ok_or(needed)?;
    let mut name = Box::default();
    for attribute in attributes(rest) {
        let attribute = attribute?;
        if attribute.kind == NFTA_TABLE_NAME {
            let bytes = attribute.value.split(|byte| *byte == 0).next().unwrap_or_default();
            name = String::from_utf8_lossy(bytes).into();
        }
    }
    Ok((fixed[0], name))
}

/// Length of struct nfgenmsg.
const FIXED: usize = 4;

const NFTA_TABLE_NAME: u16 = 1;

#[cfg(test)]
mod tests {
    use super::super::netlink::push_attribute;
    use super::*;

    #[test]
    fn a_table_is_named_and_one_that_is_cut_off_is_refused() {
        let mut body = vec![1, 0, 0, 7];
        push_attribute(&mut body, 2, &[0; 4]);
        push_attribute(&mut body, NFTA_TABLE_NAME, b"mine\0");
        assert_eq!(table(&body).unwrap(), (1, "mine".into()));
        for length in 0..body.len() {
            if let Ok((_, name)) = table(&body[..length]) {
                assert!(name.is_empty() || length >= body.len() - 3, "{length}: {name}");
            }
        }
    }
}
