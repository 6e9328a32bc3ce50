//! What nf_tables tells of a packet it traces (`meta nftrace set 1`): one message a rule that held, a
//! message for each chain's end.
//!
//! Messages NFT_MSG_TRACE of the multicast group NFNLGRP_NFTRACE (include/uapi/linux/netfilter/
//! nf_tables.h, net/netfilter/nf_tables_trace.c). Numbers stand in network byte order. Attributes that
//! newer kernels add are passed over.

use super::netlink::{Attribute, NetlinkError, attributes, push_attribute};

/// The kind of a trace message: NFNL_SUBSYS_NFTABLES and NFT_MSG_TRACE.
pub const TRACE: u16 = 10 << 8 | 17;

/// The multicast group of trace messages (NFNLGRP_NFTRACE, include/uapi/linux/netfilter/nfnetlink.h).
pub const GROUP: u32 = 9;

/// One step of a traced packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceEvent {
    /// The family of the table, NFPROTO_*: 1 inet, 2 IPv4, 10 IPv6.
    pub family: u8,
    /// Which packet: the same for all its steps.
    pub id: u32,
    /// The table.
    pub table: Box<str>,
    /// The chain.
    pub chain: Box<str>,
    /// The kernel's number for the rule; `None` for a policy or the end of a chain.
    pub rule: Option<u64>,
    /// What happened.
    pub kind: TraceKind,
    /// What follows.
    pub verdict: TraceVerdict,
    /// The number of the interface it came in by.
    pub interface_in: Option<u32>,
    /// The number of the interface it leaves by.
    pub interface_out: Option<u32>,
    /// The first bytes of the packet from its IP header on; only with the first step in a chain.
    pub network: Vec<u8>,
    /// The first bytes of its transport header.
    pub transport: Vec<u8>,
}

/// What happened at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TraceKind {
    /// A rule held.
    Rule,
    /// A chain came back to where it was asked.
    Return,
    /// A base chain ended with its policy.
    Policy,
    /// Something this does not know.
    Other(u32),
}

/// What follows a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TraceVerdict {
    /// The packet ends.
    Drop,
    /// The base chain ends, the packet goes on.
    Accept,
    /// The packet goes on with the next rule, another chain, or back.
    GoesOn(i32),
    /// Taken away: to a queue, by a flow table, for an answer of our own.
    Taken(i32),
}

impl TraceEvent {
    /// Reads the body of a [`TRACE`] message; `None` where it names no chain.
    ///
    /// # Errors
    /// Bytes that are no netlink.
    pub fn parse(body: &[u8]) -> Result<Option<Self>, NetlinkError> {
        let rest =
            body.get(FIXED..).ok_or(NetlinkError::Header { found: body.len(), needed: FIXED })?;
        let mut event = Self {
            family: body[0],
            id: 0,
            table: "".into(),
            chain: "".into(),
            rule: None,
            kind: TraceKind::Other(0),
            verdict: TraceVerdict::GoesOn(CONTINUE),
            interface_in: None,
            interface_out: None,
            network: Vec::new(),
            transport: Vec::new(),
        };
        for attribute in attributes(rest) {
            event.take(&attribute?)?;
        }
        Ok((!event.chain.is_empty()).then_some(event))
    }

    fn take(&mut self, attribute: &Attribute<'_>) -> Result<(), NetlinkError> {
        match attribute.kind {
            TABLE => self.table = text(attribute.value),
            CHAIN => self.chain = text(attribute.value),
            RULE_HANDLE => self.rule = attribute.value.try_into().ok().map(u64::from_be_bytes),
            TYPE => self.kind = kind(big32(attribute).unwrap_or(0)),
            VERDICT => self.verdict = verdict(attribute.value)?,
            ID => self.id = big32(attribute).unwrap_or(0),
            NETWORK_HEADER => self.network = attribute.value.to_vec(),
            TRANSPORT_HEADER => self.transport = attribute.value.to_vec(),
            IIF => self.interface_in = big32(attribute),
            OIF => self.interface_out = big32(attribute),
            // What a policy decides stands here, its event has no verdict.
            POLICY => self.verdict = of_code(big32(attribute).map_or(1, u32::cast_signed)),
            _ => {}
        }
        Ok(())
    }

    /// The event as the kernel writes it, as far as it is read here.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let mut body = vec![self.family, 0, 0, 0];
        let number = |body: &mut Vec<u8>, kind, value: u32| {
            push_attribute(body, kind, &value.to_be_bytes());
        };
        number(&mut body, ID, self.id);
        let type_number = match self.kind {
            TraceKind::Policy => 1,
            TraceKind::Return => 2,
            TraceKind::Rule => 3,
            TraceKind::Other(n) => n,
        };
        number(&mut body, TYPE, type_number);
        if let Some(handle) = self.rule {
            push_attribute(&mut body, RULE_HANDLE, &handle.to_be_bytes());
        }
        push_attribute(&mut body, TABLE, &[self.table.as_bytes(), b"\0"].concat());
        push_attribute(&mut body, CHAIN, &[self.chain.as_bytes(), b"\0"].concat());
        let code = match self.verdict {
            TraceVerdict::Drop => 0,
            TraceVerdict::Accept => 1,
            TraceVerdict::GoesOn(code) | TraceVerdict::Taken(code) => code,
        };
        let mut nested = Vec::new();
        push_attribute(&mut nested, VERDICT_CODE, &code.to_be_bytes());
        push_attribute(&mut body, VERDICT | NESTED, &nested);
        if let Some(interface) = self.interface_in {
            number(&mut body, IIF, interface);
        }
        if let Some(interface) = self.interface_out {
            number(&mut body, OIF, interface);
        }
        if !self.network.is_empty() {
            push_attribute(&mut body, NETWORK_HEADER, &self.network);
        }
        if !self.transport.is_empty() {
            push_attribute(&mut body, TRANSPORT_HEADER, &self.transport);
        }
        body
    }
}

fn big32(attribute: &Attribute<'_>) -> Option<u32> {
    attribute.value.try_into().ok().map(u32::from_be_bytes)
}

/// A name up to its zero byte.
fn text(bytes: &[u8]) -> Box<str> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into()
}

const fn kind(number: u32) -> TraceKind {
    match number {
        1 => TraceKind::Policy,
        2 => TraceKind::Return,
        3 => TraceKind::Rule,
        n => TraceKind::Other(n),
    }
}

fn verdict(nested: &[u8]) -> Result<TraceVerdict, NetlinkError> {
    for attribute in attributes(nested) {
        let attribute = attribute?;
        if attribute.kind == VERDICT_CODE {
            return Ok(of_code(big32(&attribute).map_or(CONTINUE, u32::cast_signed)));
        }
    }
    Ok(TraceVerdict::GoesOn(CONTINUE))
}

/// The lower half is the verdict; a drop may carry an error number, a queue its number above it.
const fn of_code(code: i32) -> TraceVerdict {
    match code {
        0 => TraceVerdict::Drop,
        1 => TraceVerdict::Accept,
        code if code < 0 => TraceVerdict::GoesOn(code),
        code => TraceVerdict::Taken(code),
    }
}

/// struct nfgenmsg: family, version, resource number.
const FIXED: usize = 4;
const NESTED: u16 = 0x8000;
const TABLE: u16 = 1;
const CHAIN: u16 = 2;
const RULE_HANDLE: u16 = 3;
const TYPE: u16 = 4;
const VERDICT: u16 = 5;
const ID: u16 = 6;
const NETWORK_HEADER: u16 = 8;
const TRANSPORT_HEADER: u16 = 9;
const IIF: u16 = 10;
const OIF: u16 = 12;
const POLICY: u16 = 16;
const VERDICT_CODE: u16 = 1;
/// NFT_CONTINUE.
const CONTINUE: i32 = -1;

#[cfg(test)]
mod tests {
    use super::*;

    fn dropped() -> TraceEvent {
        TraceEvent {
            family: 2,
            id: 0xfeed,
            table: "filter".into(),
            chain: "INPUT".into(),
            rule: Some(17),
            kind: TraceKind::Rule,
            verdict: TraceVerdict::Drop,
            interface_in: Some(3),
            interface_out: None,
            network: vec![0x45, 0, 0, 40],
            transport: vec![0xc3, 0x50, 0, 80],
        }
    }

    #[test]
    fn an_event_is_read_as_it_is_written() {
        let on = TraceEvent { verdict: TraceVerdict::GoesOn(-3), rule: None, ..dropped() };
        for event in [dropped(), on] {
            assert_eq!(TraceEvent::parse(&event.body()), Ok(Some(event)));
        }
    }

    #[test]
    fn a_policy_says_its_verdict_elsewhere() {
        let mut body = vec![1, 0, 0, 0];
        push_attribute(&mut body, CHAIN, b"in\0");
        push_attribute(&mut body, TYPE, &1_u32.to_be_bytes());
        push_attribute(&mut body, POLICY, &0_u32.to_be_bytes());
        let event = TraceEvent::parse(&body).unwrap().unwrap();
        assert_eq!((event.kind, event.verdict), (TraceKind::Policy, TraceVerdict::Drop));
    }

    #[test]
    fn cut_off_anywhere_it_is_an_error_or_less_and_no_panic() {
        let body = dropped().body();
        for end in 0..body.len() {
            assert_ne!(TraceEvent::parse(&body[..end]), Ok(Some(dropped())), "{end}");
        }
    }
}
