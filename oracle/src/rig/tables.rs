//! Tables taken away over netlink, all in one transaction: a program for it would be started for every ruleset
//! (net/netfilter/nfnetlink.c, nf_tables_api.c).

use std::io;

use portolan_core::wire::netlink::{self, Payload, push_attribute};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{RecvFlags, SendFlags, recv, sendto};

use super::conntrack;

/// Removes tables, by family and name, with everything in them.
///
/// # Errors
/// Where one is not there; then none is removed.
pub fn remove(tables: &[(String, String)]) -> io::Result<()> {
    let Some(last) = u32::try_from(tables.len()).ok().filter(|last| *last > 0) else {
        return Ok(());
    };
    let mut batch = netlink::request(BEGIN, 0, 0, &BATCH);
    for (number, (family, name)) in (1..).zip(tables) {
        let mut body = vec![number_of(family)?, 0, 0, 0];
        push_attribute(&mut body, NAME, &[name.as_bytes(), &[0]].concat());
        let flags = if number == last { netlink::ACKNOWLEDGE } else { 0 };
        batch.extend(netlink::request(DELETE, flags, number, &body));
    }
    batch.extend(netlink::request(END, 0, last + 1, &BATCH));
    let socket = conntrack::open()?;
    sendto(&socket, &batch, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut room = [0; 4096];
    loop {
        let (_, length) = recv(&socket, &mut room[..], RecvFlags::empty())?;
        for message in netlink::messages(&room[..length.min(4096)]) {
            let message = message.map_err(io::Error::other)?;
            match message.payload {
                Payload::Acknowledged(Ok(())) if message.sequence == last => return Ok(()),
                Payload::Acknowledged(Err(errno)) => {
                    return Err(io::Error::from_raw_os_error(errno.0));
                }
                _ => {}
            }
        }
    }
}

/// NFPROTO_* (include/uapi/linux/netfilter.h).
fn number_of(family: &str) -> io::Result<u8> {
    Ok(match family {
        "inet" => 1,
        "ip" => 2,
        "ip6" => 10,
        other => return Err(io::Error::other(format!("family {other}"))),
    })
}

/// NFNL_MSG_BATCH_BEGIN and its end.
const BEGIN: u16 = 16;
const END: u16 = 17;
/// NFNL_SUBSYS_NFTABLES with NFT_MSG_DELTABLE.
const DELETE: u16 = 10 << 8 | 2;
/// Of which subsystem the batch is.
const BATCH: [u8; 4] = [0, 0, 0, 10];
/// NFTA_TABLE_NAME.
const NAME: u16 = 1;
