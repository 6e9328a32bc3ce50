//! The tables in tests/data/procnet were copied from a real kernel; its README says how.

use proptest::prelude::*;

use super::*;

fn table(file: &str) -> Table {
    Table::ALL.into_iter().find(|table| table.file == file).unwrap()
}

/// `local peer state uid` of each row.
fn rows(file: &str, text: &[u8]) -> Vec<String> {
    let line = |row: Result<Row, LineError>| match row {
        Err(error) => error.to_string(),
        Ok(Row { socket, .. }) => {
            let peer = socket.peer.as_ref().map_or("-".to_owned(), spoken);
            let uid = socket.uid.map_or("-".to_owned(), |uid| uid.to_string());
            format!("{} {peer} {} {uid}", spoken(&socket.local), socket.state)
        }
    };
    table(file).rows(text, 1).map(line).collect()
}

fn spoken(address: &Address) -> String {
    match address {
        Address::Inet(endpoint) => endpoint.to_string(),
        Address::Unix(name) => name.as_deref().unwrap_or("-").to_owned(),
        Address::Packet { protocol } => format!("{protocol:#06x}"),
    }
}

macro_rules! sample {
    ($file:literal) => {
        rows($file, include_bytes!(concat!("../../../tests/data/procnet/", $file)))
    };
}

#[test]
fn tcp_rows_are_read() {
    assert_eq!(
        sample!("tcp"),
        [
            "127.0.0.1:8080 - listen 0",
            "203.0.113.1:52196 203.0.113.9:81 syn-sent 0",
            "127.0.0.1:59624 127.0.0.1:8080 established 0",
            "127.0.0.1:59634 127.0.0.1:8080 established 0",
            "127.0.0.1:8080 127.0.0.1:59624 established 0",
            "127.0.0.1:8080 127.0.0.1:59634 established -",
            "127.0.0.1:47510 127.0.0.1:8443 close-wait 0",
        ]
    );
}

#[test]
fn tcp6_rows_keep_mapped_addresses_and_leave_mini_sockets_to_nobody() {
    assert_eq!(
        sample!("tcp6"),
        [
            "[::]:8443 - listen 0",
            "[::1]:5432 - listen 0",
            "[::ffff:127.0.0.1]:8443 [::ffff:127.0.0.1]:47510 fin-wait-2 -",
            "[::1]:5432 [::1]:60886 time-wait -",
        ]
    );
}

#[test]
fn udp_rows_are_read() {
    assert_eq!(
        sample!("udp"),
        [
            "127.0.0.1:42141 127.0.0.1:53 established 0",
            "127.0.0.1:9999 - unconn 1000",
            "0.0.0.0:5353 - unconn 0",
        ]
    );
    assert_eq!(sample!("udp6"), ["[::1]:40177 [::1]:53 established 0", "[::]:5355 - unconn 0"]);
    assert_eq!(sample!("udplite"), ["127.0.0.1:7777 - unconn 0"]);
    assert_eq!(sample!("udplite6"), ["[::1]:7777 - unconn 0"]);
}

#[test]
fn raw_and_echo_sockets_have_the_protocol_or_identifier_as_their_port() {
    assert_eq!(sample!("raw"), ["127.0.0.1:89 - unconn 0", "0.0.0.0:1 - unconn 0"]);
    assert_eq!(sample!("raw6"), ["[::]:58 - unconn 0"]);
    assert_eq!(sample!("icmp"), ["127.0.0.1:4242 - unconn 0"]);
    assert_eq!(sample!("icmp6"), ["[::1]:4243 - unconn 0"]);
}

#[test]
fn unix_rows_keep_blanks_in_their_paths() {
    assert_eq!(
        sample!("unix"),
        [
            "/tmp/wiresock/app one.sock - established -",
            "/tmp/wiresock/app one.sock - listen -",
            "- - established -",
            "@seq - listen -",
            "@05c86 - unconn -",
            "@portolan@sample - unconn -",
        ]
    );
}

#[test]
fn packet_rows_tell_the_interface() {
    assert_eq!(sample!("packet"), ["0x0003 - unconn 0", "0x0800 - unconn 0"]);
    let text = include_bytes!("../../../tests/data/procnet/packet");
    let interfaces: Vec<_> =
        table("packet").rows(text, 1).map(|row| row.unwrap().interface).collect();
    assert_eq!(interfaces, [1, 0]);
}

#[test]
fn queues_come_in_the_order_send_receive() {
    let text = include_bytes!("../../../tests/data/procnet/tcp");
    let sockets: Vec<_> = table("tcp").rows(text, 7).map(|row| row.unwrap().socket).collect();
    assert_eq!(sockets[1].queues, Queues { receive: 0, send: 1 });
    assert_eq!(sockets[4].queues, Queues { receive: 3, send: 0 });
    assert!(sockets.iter().all(|s| s.netns == 7 && s.cookie.is_none()));
}

#[test]
fn a_bad_line_is_told_with_its_number_and_the_next_one_is_read() {
    let text = b"  sl  local_address\n   0: 0100007F:ZZ 0:0\n\
        \x20  1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:0 0 0 0 9\n   2: 0100007F:1F90\n";
    assert_eq!(
        rows("tcp", text),
        [
            "/proc/net/tcp, line 2: the local address cannot be read",
            "127.0.0.1:8080 - listen 0",
            "/proc/net/tcp, line 4: no remote address",
        ]
    );
}

#[test]
fn a_queue_that_ran_negative_is_the_largest_number() {
    let text = b"\n 0: 0100007F:1F90 00000000:0000 01 FFFFFFFFFFFFFFFF:00000000 00:0 0 0 0 9\n";
    let row = table("tcp").rows(text, 1).next().unwrap().unwrap();
    assert_eq!(row.socket.queues.send, u32::MAX);
}

#[test]
fn an_empty_table_has_no_rows() {
    for table in Table::ALL {
        assert_eq!(table.rows(b"", 1).count(), 0);
        assert_eq!(table.rows(b"heading\n", 1).count(), 0);
    }
}

#[test]
fn a_table_cut_anywhere_has_at_most_one_bad_row() {
    let text = include_bytes!("../../../tests/data/procnet/tcp6");
    for length in 0..text.len() {
        let bad = table("tcp6").rows(&text[..length], 1).filter(Result::is_err).count();
        assert!(bad <= 1, "at {length}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_rows_or_errors(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for table in Table::ALL {
            let _ = table.rows(&bytes, 1).count();
        }
    }

    #[test]
    fn any_printable_columns_are_rows_or_errors(text in "([0-9A-F:]{1,40} {1,3}){0,14}") {
        let lines = format!("heading\n{text}\n");
        for table in Table::ALL {
            let _ = table.rows(lines.as_bytes(), 1).count();
        }
    }
}
