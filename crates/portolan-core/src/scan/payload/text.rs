//! Requests in words.

/// SSDP's search for root devices (UPnP Device Architecture 2.0 §1.3.2).
pub(super) fn ssdp() -> Vec<u8> {
    lines(&[
        "M-SEARCH * HTTP/1.1",
        "HOST: 239.255.255.250:1900",
        "MAN: \"ssdp:discover\"",
        "MX: 1",
        "ST: upnp:rootdevice",
    ])
}

/// SIP's question for abilities (RFC 3261 §11.1), answered where it came from (RFC 3581).
pub(super) fn sip() -> Vec<u8> {
    lines(&[
        "OPTIONS sip:portolan.invalid SIP/2.0",
        "Via: SIP/2.0/UDP portolan.invalid;branch=z9hG4bKportolan;rport",
        "Max-Forwards: 0",
        "From: <sip:nobody@portolan.invalid>;tag=portolan",
        "To: <sip:portolan.invalid>",
        "Call-ID: portolan@portolan.invalid",
        "CSeq: 1 OPTIONS",
        "Contact: <sip:nobody@portolan.invalid>",
        "Accept: application/sdp",
        "Content-Length: 0",
    ])
}

/// WS-Discovery's probe for any device (WS-Discovery, April 2005, §5.2: what printers, cameras and
/// Windows speak).
pub(super) fn ws_discovery() -> Vec<u8> {
    concat!(
        r#"<?xml version="1.0" encoding="utf-8"?>"#,
        r#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope""#,
        r#" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing""#,
        r#" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><s:Header>"#,
        "<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action>",
        "<a:MessageID>urn:uuid:706f7274-6f6c-416e-8070-6f72746f6c61</a:MessageID>",
        "<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>",
        "</s:Header><s:Body><d:Probe/></s:Body></s:Envelope>",
    )
    .into()
}

fn lines(lines: &[&str]) -> Vec<u8> {
    format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_end_with_an_empty_line() {
        for bytes in [ssdp(), sip()] {
            let text = String::from_utf8(bytes).unwrap();
            let head = text.strip_suffix("\r\n\r\n").unwrap();
            let mut fields = head.split("\r\n").skip(1);
            assert!(fields.all(|field| field.split_once(": ").is_some()), "{text}");
        }
    }

    #[test]
    fn the_envelope_is_closed() {
        let text = String::from_utf8(ws_discovery()).unwrap();
        let mut reader = quick_xml::Reader::from_str(&text);
        while reader.read_event().unwrap() != quick_xml::events::Event::Eof {}
    }
}
