//! Events as Suricata writes them, and that no client's text moves an end.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::logs::envelope;
use crate::logs::mail::testing::{check, printed};

const CLIENT: &str = "\"src_ip\":\"198.51.100.7\",\"src_port\":40001,\
    \"dest_ip\":\"203.0.113.25\",\"dest_port\":25";
const SERVER: &str = "\"src_ip\":\"203.0.113.25\",\"src_port\":25,\
    \"dest_ip\":\"198.51.100.7\",\"dest_port\":40001";

fn event(kind: &str, ends: &str, more: &str) -> String {
    format!(
        "{{\"timestamp\":\"2026-11-02T10:00:00.1+0000\",\"flow_id\":7,\"event_type\":\"{kind}\",\
         {ends},\"proto\":\"TCP\",{more}}}"
    )
}

fn alert(payload: &str) -> String {
    let more = format!("\"smtp\":{{\"helo\":\"x\"}},\"payload_printable\":\"{payload}\"");
    event("alert", SERVER, &more)
}

const ENDS: &str = " from 198.51.100.7:40001 to 203.0.113.25:25";

#[test]
fn events() {
    let email = "\"smtp\": {\"helo\":\"x\"},\"email\":{\"status\":\"PARSE_DONE\"}";
    let refused = "\"smtp\":{},\"alert\":{\"gid\":1,\"signature_id\":2220008}";
    for (line, expected) in [
        (event("smtp", CLIENT, "\"smtp\":{\"helo\":\"x\"}"), format!("Proof Sent `x`{ENDS}")),
        (event("smtp", CLIENT, "\"smtp\":{}"), format!("Seen{ENDS}")),
        (
            format!("{{\"rule\":{{}},\"data\":{}}}", event("smtp", CLIENT, "\"smtp\":{}")),
            format!("Seen{ENDS}"),
        ),
        (event("fileinfo", CLIENT, email), format!("Proof Sent `x`{ENDS} | Hint Accepted{ENDS}")),
        (event("alert", SERVER, refused), format!("Seen{ENDS} | Refused{ENDS}")),
        (event("smtp", CLIENT, "\"smtp\":{\"helo\":\"\"}"), format!("Seen{ENDS}")),
        (event("flow", CLIENT, "\"app_proto\":\"smtp\""), "not recognised".to_owned()),
        (event("stats", CLIENT, "\"stats\":{\"smtp\":{\"gap\":1}}"), "ignored".to_owned()),
        (
            event("smtp", "\"src_port\":1", "\"smtp\":{\"helo\":\"x\"}"),
            "rejected src_ip".to_owned(),
        ),
        (
            event("smtp", &CLIENT.replace(":40001", ":70001"), "\"smtp\":{}"),
            "rejected src_port".to_owned(),
        ),
        (event("smtp", CLIENT, "\"smtp\":{}").replace('}', ""), "rejected event".to_owned()),
    ] {
        check(&Format, &[(&line, &expected)]);
    }
}

#[test]
fn replies_in_an_alert() {
    let sent = format!("Proof Sent `x`{ENDS}");
    for (payload, proven) in [
        ("220 mx\\r\\n250-mx\\r\\n250 SIZE\\r\\n", "Proof Accepted"),
        ("220 mx\\r\\n501 who?\\r\\n", "Proof Rejected | Refused"),
        ("535 5.7.8 no\\r\\n", "Auth Failed"),
        ("334 VXNlcg==\\r\\n454 later\\r\\n", "Auth Failed"),
        ("235 2.7.0 yes\\r\\n", "Auth Ok"),
        ("354 go\\r\\n250 queued\\r\\n", "Queued"),
        ("250 ok\\r\\n", ""),
        ("", ""),
    ] {
        let mut expected = sent.clone();
        for fact in proven.split(" | ").filter(|fact| !fact.is_empty()) {
            expected = format!("{expected} | {fact}{ENDS}");
        }
        check(&Format, &[(&alert(payload), &expected)]);
    }
    // The client's side of the stream holds no reply.
    let own = alert("220 mx\\r\\n250 ok\\r\\n").replace(SERVER, CLIENT);
    check(&Format, &[(&own, &sent)]);
}

#[test]
fn the_side_of_an_alert() {
    let odd = SERVER.replace(":25,", ":2526,");
    let ends = " from 198.51.100.7:40001 to 203.0.113.25:2526";
    let flow = "\"flow\":{\"src_ip\":\"198.51.100.7\",\"src_port\":40001},\"smtp\":{}";
    let direction = "\"direction\":\"to_client\",\"smtp\":{}";
    for more in [flow, direction] {
        check(&Format, &[(&event("alert", &odd, more), &format!("Seen{ends}"))]);
    }
    check(
        &Format,
        &[(
            &event("alert", &odd, "\"smtp\":{}"),
            "Seen from 203.0.113.25:2526 to 198.51.100.7:40001",
        )],
    );
}

#[test]
fn one_flow_is_one_session() {
    let log = [
        event("smtp", CLIENT, "\"smtp\":{\"helo\":\"x\"}"),
        format!("Nov  2 10:00:01 ids1 suricata[9]: {}", event("smtp", CLIENT, "\"smtp\":{}")),
        event("smtp", CLIENT, "\"smtp\":{\"helo\":\"y\"}").replace("d\":7", "d\":8"),
        alert("220 a\\r\\n250 b\\r\\n535 no\\r\\n"),
    ]
    .join("\n");
    let found = printed(log.as_bytes());
    let lines: Vec<&str> = found.lines().collect();
    assert_eq!(lines.len(), 3, "{found}");
    assert!(lines[0].contains("\"lines\":[1,4]") && lines[0].contains("\"auth\":\"failed\""));
    assert!(lines[0].contains("\"helo\":\"accepted\"") && lines[0].contains("\"rejected\""));
    assert!(lines[1].contains("\"helo\":\"unknown\""), "another sensor's flow: {found}");
    assert!(lines[2].contains("\"helo\":\"unknown\"") && lines[2].contains("\"y\""));
}

proptest! {
    /// Whatever a client says, escaped as JSON escapes it, the ends stay those of the flow.
    #[test]
    fn attribution_cannot_be_steered(
        text in prop_oneof![
            Just(b"192.0.2.66".to_vec()),
            Just(b"\",\"src_ip\":\"192.0.2.66\",\"x\":\"".to_vec()),
            Just(b"\"},\"flow\":{\"src_ip\":\"192.0.2.66\",\"src_port\":1}".to_vec()),
            Just(b"[192.0.2.66] relay=[192.0.2.66]\r\n\\".to_vec()),
            Just(vec![0xff; 2000]),
            proptest::collection::vec(any::<u8>(), 0..60),
        ],
    ) {
        let escaped: Vec<u8> = text
            .iter()
            .flat_map(|byte| match byte {
                b'"' | b'\\' => vec![b'\\', *byte],
                b'\n' => b"\\n".to_vec(),
                byte => vec![*byte],
            })
            .collect();
        let address: IpAddr = "198.51.100.7".parse().unwrap();
        let sample = event("smtp", CLIENT, "\"smtp\":{\"mail_from\":\"canary\",\"helo\":\"canary\"}");
        let parts: Vec<&[u8]> = sample.split("canary").map(str::as_bytes).collect();
        let raw = parts.join(escaped.as_slice());
        let line = envelope::open(&raw);
        prop_assert!(Format.recognises(&line));
        let mut records = Vec::new();
        Format.parse(&line, &Columns::NONE, &mut records);
        prop_assert!(!records.is_empty());
        for record in records {
            prop_assert_eq!(record.client, Some(address));
            prop_assert_eq!((record.client_port, record.local_port), (Some(40001), Some(25)));
        }
    }
}
