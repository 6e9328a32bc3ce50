//! The texts in `tests/data/complaints` are what the programs really print; see the README there.

use proptest::prelude::*;

use super::*;

/// What was read, in a line: errno, transport, host and port, the line it stands in.
fn told(text: &str) -> Vec<String> {
    let reading = read(text);
    reading
        .complaints
        .iter()
        .map(|c| {
            let host = match &c.host {
                Some(Host::Address(IpAddr::V6(address))) => format!("[{address}]"),
                Some(Host::Address(address)) => address.to_string(),
                Some(Host::Name(name)) => name.to_string(),
                Some(Host::Any) => "*".to_owned(),
                None => String::new(),
            };
            let transport = c.transport.map_or("?", Transport::as_str);
            format!("{} {transport} {host}:{} line {}", c.refused.as_str(), c.port, c.line)
        })
        .collect()
}

macro_rules! printed {
    ($name:literal) => {
        include_str!(concat!("../../../tests/data/complaints/", $name, ".txt"))
    };
}

#[test]
fn what_runtimes_and_servers_print_names_the_place() {
    for (text, expected) in [
        (printed!("node"), "EADDRINUSE ? [::]:3000 line 5"),
        (printed!("node-address"), "EADDRINUSE ? 127.0.0.1:5000 line 5"),
        (printed!("node-udp"), "EADDRINUSE udp 0.0.0.0:5353 line 5"),
        (printed!("node-eacces"), "EACCES ? 0.0.0.0:81 line 5"),
        (printed!("node-notavail"), "EADDRNOTAVAIL ? 10.99.99.99:80 line 5"),
        (printed!("python-asyncio"), "EADDRINUSE ? 127.0.0.1:5000 line 18"),
        (printed!("python-create-server"), "EADDRINUSE ? 127.0.0.1:5000 line 5"),
        (printed!("uvicorn"), "EADDRINUSE ? 127.0.0.1:5000 line 4"),
        (printed!("gunicorn"), "EADDRINUSE ? 127.0.0.1:5000 line 2"),
        (printed!("flask"), "EADDRINUSE ? :5000 line 4"),
        (printed!("redis"), "EADDRINUSE tcp *:8080 line 5"),
        (printed!("redis-bind"), "EADDRINUSE tcp 127.0.0.1:5000 line 5"),
        (printed!("postgres"), "EADDRINUSE ? 127.0.0.1:5000 line 3"),
        (printed!("php"), "EADDRINUSE ? 127.0.0.1:5000 line 1"),
        (printed!("ruby"), "EADDRINUSE ? 0.0.0.0:8080 line 1"),
        (printed!("ruby-notavail"), "EADDRNOTAVAIL ? 10.99.99.99:81 line 1"),
    ] {
        assert_eq!(told(text), [expected], "{text}");
    }
}

#[test]
fn every_place_that_a_server_could_not_have_is_read_once() {
    let both = ["EADDRINUSE ? 0.0.0.0:8080 line 1", "EADDRINUSE ? [::]:3000 line 2"];
    assert_eq!(told(printed!("nginx")), both);
    let both = ["EADDRINUSE ? [::]:8080 line 1", "EADDRINUSE ? 0.0.0.0:8080 line 2"];
    assert_eq!(told(printed!("apache")), both);
}

#[test]
fn a_text_without_a_port_is_an_error_without_a_place() {
    for text in [
        printed!("python-socket"),
        printed!("python-http-server"),
        printed!("java"),
        printed!("rust"),
        printed!("django"),
        "bind: Address already in use",
        "nc: Address already in use",
        "in `initialize': Address already in use - \"/tmp/server.sock\" (Errno::EADDRINUSE)",
    ] {
        let reading = read(text);
        assert_eq!((reading.complaints, reading.refused), (vec![], Some(Refused::InUse)), "{text}");
    }
}

#[test]
fn what_is_no_error_about_ports_is_none() {
    for text in [
        "",
        "listening on 0.0.0.0:8080",
        "open /var/run/x: permission denied",
        "dial tcp 10.0.0.1:5432: connect: connection refused",
        "GET http://localhost:3000/ 200",
    ] {
        assert_eq!(read(text), Reading::default(), "{text}");
    }
}

#[test]
fn the_wording_of_others_is_read_too() {
    for (text, expected) in [
        // Go
        ("listen tcp 0.0.0.0:5000: bind: address already in use", "EADDRINUSE tcp 0.0.0.0:5000"),
        ("listen tcp :8080: bind: address already in use", "EADDRINUSE tcp *:8080"),
        ("listen tcp4 127.0.0.1:80: bind: permission denied", "EACCES tcp 127.0.0.1:80"),
        ("listen tcp [::1]:443: bind: permission denied", "EACCES tcp [::1]:443"),
        ("listen udp 0.0.0.0:53: bind: address already in use", "EADDRINUSE udp 0.0.0.0:53"),
        (
            "listen tcp 10.9.9.9:80: bind: cannot assign requested address",
            "EADDRNOTAVAIL tcp 10.9.9.9:80",
        ),
        (
            "manet.Listen(/ip4/127.0.0.1/tcp/8080) failed: address already in use",
            "EADDRINUSE tcp 127.0.0.1:8080",
        ),
        // Docker
        (
            "docker: Error response from daemon: driver failed programming external connectivity on \
             endpoint web (f1a2): Bind for 0.0.0.0:8080 failed: port is already allocated.",
            "EADDRINUSE ? 0.0.0.0:8080",
        ),
        (
            "Error response from daemon: failed to set up container networking: failed to bind host \
             port for 0.0.0.0:8080:172.17.0.2:80/tcp: address already in use",
            "EADDRINUSE tcp 0.0.0.0:8080",
        ),
        (
            "failed to bind host port 0.0.0.0:5353/udp: address already in use",
            "EADDRINUSE udp 0.0.0.0:5353",
        ),
        (
            "Error response from daemon: Ports are not available: exposing port TCP 0.0.0.0:50070 -> \
             0.0.0.0:0: listen tcp 0.0.0.0:50070: bind: An attempt was made to access a socket in a \
             way forbidden by its access permissions.",
            "WSAEACCES (10013) tcp 0.0.0.0:50070",
        ),
        (
            "Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use",
            "EADDRINUSE tcp 0.0.0.0:80",
        ),
        // Windows
        (
            "bind() to 0.0.0.0:80 failed (10013: An attempt was made to access a socket in a way \
             forbidden by its access permissions)",
            "WSAEACCES (10013) ? 0.0.0.0:80",
        ),
        (
            "OSError: [Errno 10048] error while attempting to bind on address ('0.0.0.0', 8080): only \
             one usage of each socket address (protocol/network address/port) is normally permitted",
            "WSAEADDRINUSE (10048) ? 0.0.0.0:8080",
        ),
        // Java
        ("Web server failed to start. Port 8080 was already in use.", "EADDRINUSE ? :8080"),
        (
            "The Tomcat connector configured to listen on port 8080 failed to start. The port may \
             already be in use or the connector may be misconfigured.",
            "EADDRINUSE ? :8080",
        ),
        (
            "FAILED ServerConnector@3207d26a{HTTP/1.1}{0.0.0.0:9022}: java.net.BindException: Address \
             already in use",
            "EADDRINUSE ? 0.0.0.0:9022",
        ),
        // others
        (
            "binder.rb:334:in `initialize': Address already in use - bind(2) for \"127.0.0.1\" port \
             3206 (Errno::EADDRINUSE)",
            "EADDRINUSE ? 127.0.0.1:3206",
        ),
        (
            "error: Bind to port 22 on 0.0.0.0 failed: Address already in use.",
            "EADDRINUSE ? 0.0.0.0:22",
        ),
        (
            "dnsmasq: failed to create listening socket for port 53: Address already in use",
            "EADDRINUSE ? :53",
        ),
        ("cannot bind socket (Address already in use) [0.0.0.0:80]", "EADDRINUSE ? 0.0.0.0:80"),
        (
            "Failed to bind to address http://127.0.0.1:5000: address already in use.",
            "EADDRINUSE ? 127.0.0.1:5000",
        ),
        ("Error: Port 5173 is already in use", "EADDRINUSE ? :5173"),
        (
            "Failed to listen on localhost:8000 (reason: Address already in use)",
            "EADDRINUSE ? localhost:8000",
        ),
        ("Error: listen EADDRINUSE: address already in use ::1:3000", "EADDRINUSE ? [::1]:3000"),
        ("gunicorn: connection in use: ('::', 8000, 0, 0)", "EADDRINUSE ? [::]:8000"),
        ("20:50:44 web.1 | port=3000 --port 3000 EADDRINUSE", "EADDRINUSE ? :3000"),
    ] {
        assert_eq!(told(text), [format!("{expected} line 1")], "{text}");
    }
}

#[test]
fn the_port_may_stand_in_a_line_near_the_error() {
    let django = "Starting development server at http://127.0.0.1:8000/\n\
                  Quit the server with CONTROL-C.\nError: That port is already in use.\n";
    let [complaint] = &read(django).complaints[..] else { panic!("one complaint") };
    assert_eq!((complaint.port, complaint.line, complaint.is_apart), (Port(8000), 1, true));
    let tomcat = "SEVERE: Failed to initialize connector [Connector[\"http-nio-8080\"]]\n\
                  org.apache.catalina.LifecycleException: Protocol handler initialization failed\n\
                  \tat org.apache.catalina.connector.Connector.initInternal(Connector.java:1076)\n\
                  Caused by: java.net.BindException: Address already in use\n";
    assert_eq!(told(tomcat), ["EADDRINUSE ? :8080 line 1"]);
    let mysql = "[ERROR] Can't start server: Bind on TCP/IP port: Address already in use\n\
                 [ERROR] Do you already have another mysqld server running on port: 3306 ?\n";
    assert_eq!(told(mysql), ["EADDRINUSE ? :3306 line 2"]);
}

#[test]
fn times_files_and_numbers_of_errors_are_no_ports() {
    for text in [
        "2026-11-23T02:50:53 net.js:1908:16 EADDRINUSE",
        "(node:net:1908:16) EADDRINUSE [Errno 98]",
        "at Net.bind(Net.java:555) address already in use",
        "support 80 reported EADDRINUSE by ports 8080",
        "EADDRINUSE 0.0.0.0:0",
        "EADDRINUSE 0.0.0.0:70000 port 99999",
    ] {
        assert_eq!(told(text), [""; 0], "{text}");
    }
}

#[test]
fn a_scheme_before_a_letter_of_several_bytes_is_no_bracket() {
    assert_eq!(told("EADDRINUSE ://\u{e9}::1]:80"), [""; 0]);
    assert_eq!(told("EADDRINUSE tcp://[::1]:80"), ["EADDRINUSE tcp [::1]:80 line 1"]);
}

#[test]
fn the_place_in_the_text_is_told() {
    let text = "first\nlisten tcp 0.0.0.0:5000: bind: address already in use";
    let complaint = &read(text).complaints[0];
    let line = text.lines().nth(complaint.line - 1).unwrap();
    assert_eq!(&line[complaint.span.clone()], "0.0.0.0:5000");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_and_every_place_lies_in_its_line(
        text in "([ -~]|listen |EADDRINUSE|port |://|:|\\[|::|'|\"|, |é|\n|0.0.0.0:|80|//){0,60}",
    ) {
        for complaint in read(&text).complaints {
            let line = text.lines().nth(complaint.line - 1).expect("a line of the text");
            prop_assert!(line.get(complaint.span.clone()).is_some());
            prop_assert!(complaint.port != Port(0));
        }
    }

    #[test]
    fn go_names_any_address_and_port(address: IpAddr, port in 1u16..) {
        let place = std::net::SocketAddr::new(address, port);
        let reading = read(&format!("listen tcp {place}: bind: address already in use"));
        prop_assert_eq!(reading.complaints.len(), 1);
        prop_assert_eq!(&reading.complaints[0].host, &Some(Host::Address(address)));
        prop_assert_eq!(reading.complaints[0].port, Port(port));
    }
}

#[test]
fn an_error_at_the_end_of_a_long_build_is_found() {
    let text =
        "compiling\n".repeat(100_000) + "Error: listen EADDRINUSE: address already in use :::3000";
    let reading = read(&text);
    assert_eq!((reading.complaints[0].port, reading.complaints[0].line), (Port(3000), 100_001));
}

/// Every line was once held against every other.
#[test]
fn a_program_that_fails_again_and_again_is_read_at_once() {
    let text = "Error: listen EADDRINUSE: address already in use :::3000\n".repeat(200_000);
    assert_eq!(read(&text).complaints.len(), 1);
}
