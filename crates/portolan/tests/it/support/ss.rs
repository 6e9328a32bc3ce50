//! What ss(8) says, the oracle for sockets: its columns as values that compare with ours.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Netns;

/// A socket as both tools can tell it: transport, local end, peer, state.
pub(crate) type Row = (String, String, Option<String>, String);

/// The rows of `ss WORDS`, which must leave out the heading and show numbers: `-tuanH`. Where the
/// words ask for one state, ss leaves its column out, and it is empty here too.
#[track_caller]
pub(crate) fn rows(netns: &Netns, words: &str) -> BTreeSet<Row> {
    netns.output(&format!("ss {words}")).lines().map(|line| row(&fields(line))).collect()
}

/// `ours` without states, if `theirs` has none.
pub(crate) fn as_telling_as(theirs: &BTreeSet<Row>, ours: BTreeSet<Row>) -> BTreeSet<Row> {
    let silent = theirs.iter().any(|row| row.3.is_empty());
    let shorten = |row: Row| if silent { (row.0, row.1, row.2, String::new()) } else { row };
    ours.into_iter().map(shorten).collect()
}

/// The processes of each listener, by transport and local end: `ss -tulpnH`.
#[track_caller]
pub(crate) fn owners(netns: &Netns, words: &str) -> BTreeMap<(String, String), BTreeSet<u32>> {
    let output = netns.output(&format!("ss {words}"));
    let mut owners: BTreeMap<_, BTreeSet<u32>> = BTreeMap::new();
    for line in output.lines() {
        let (transport, local, ..) = row(&fields(line));
        let pids = line.split("pid=").skip(1).filter_map(|rest| rest.split(',').next());
        owners
            .entry((transport, local))
            .or_default()
            .extend(pids.filter_map(|p| p.parse::<u32>().ok()));
    }
    owners
}

/// The same of our own document.
pub(crate) fn owners_of(document: &Value) -> BTreeMap<(String, String), BTreeSet<u32>> {
    let mut owners: BTreeMap<_, BTreeSet<u32>> = BTreeMap::new();
    for socket in sockets(document) {
        let (transport, local, ..) = our_row(socket);
        let holders = socket["owners"].as_array().expect("owners is a list").iter();
        let pids = holders.filter_map(|h| h["pid"].as_u64()).filter_map(|p| u32::try_from(p).ok());
        owners.entry((transport, local)).or_default().extend(pids);
    }
    owners
}

/// Our rows, in the same terms.
pub(crate) fn our_rows(document: &Value) -> BTreeSet<Row> {
    sockets(document).iter().map(our_row).collect()
}

/// The sockets of one of our documents.
#[track_caller]
pub(crate) fn sockets(document: &Value) -> &[Value] {
    document["sockets"].as_array().expect("sockets is a list")
}

fn our_row(socket: &Value) -> Row {
    let end = |end: &Value| {
        let address = end["address"].as_str().expect("an IP socket has an address");
        format!("{address} {}", end["port"])
    };
    let text = |key: &str| socket[key].as_str().expect("it is a word").to_owned();
    let peer = (!socket["peer"].is_null()).then(|| end(&socket["peer"]));
    (text("transport"), end(&socket["local"]), peer, text("state"))
}

/// Netid, State, Recv-Q, Send-Q, Local, Peer.
fn fields(line: &str) -> Vec<&str> {
    let mut fields: Vec<&str> = line.split_whitespace().collect();
    if fields.get(1).is_some_and(|field| field.bytes().all(|b| b.is_ascii_digit())) {
        fields.insert(1, "");
    }
    assert!(fields.len() >= 6, "a line of ss: {line}");
    fields
}

fn row(fields: &[&str]) -> Row {
    let peer = (!fields[5].ends_with(":*")).then(|| end(fields[5]));
    (fields[0].to_owned(), end(fields[4]), peer, state(fields[1]).to_owned())
}

/// `127.0.0.1%lo:80`, `[::1]:80`, `*:80` (the IPv6 wildcard that serves IPv4 too) as address and port.
fn end(text: &str) -> String {
    let (address, port) = text.rsplit_once(':').expect("an address and a port");
    let address = address.split('%').next().expect("split gives one").trim_matches(['[', ']']);
    let address = if address == "*" { "::" } else { address };
    format!("{address} {port}")
}

fn state(word: &str) -> &'static str {
    match word {
        "LISTEN" => "listen",
        "ESTAB" => "established",
        "SYN-SENT" => "syn-sent",
        "SYN-RECV" => "syn-recv",
        "FIN-WAIT-1" => "fin-wait-1",
        "FIN-WAIT-2" => "fin-wait-2",
        "CLOSE-WAIT" => "close-wait",
        "LAST-ACK" => "last-ack",
        "CLOSING" => "closing",
        "TIME-WAIT" => "time-wait",
        "UNCONN" => "unconn",
        "" => "",
        other => panic!("a state of ss: {other}"),
    }
}
