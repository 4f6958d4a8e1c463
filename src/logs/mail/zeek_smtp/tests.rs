//! Rows as Zeek writes them, and that no client's text moves an end.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::logs::detect::{FormatId, header_of};
use crate::logs::envelope;
use crate::logs::mail::FORMATS;
use crate::logs::mail::testing::{check, printed};

const ENDS: &str = " from 198.51.100.7:40001 to 203.0.113.25:25";

/// A row of current versions: HELO and the envelope, the headers up to `subject`, the reply, TLS.
fn row(envelope: &str, headers: &str, reply: &str, tls: &str) -> String {
    format!(
        "1793613600.123456\tCHhAvVGS1DHFjwGM9\t198.51.100.7\t40001\t203.0.113.25\t25\t1\t{envelope}\t\
         {headers}\t-\t-\t-\t{reply}\t203.0.113.25,198.51.100.7\t-\t{tls}\t-"
    )
}

const NO_HEADERS: &str = "-\t-\t-\t-\t-\t-\t-\t-";
const HEADERS: &str = "Mon, 2 Nov 2026\ta@example.com\t-\t-\t-\t-\t-\t-";

#[test]
fn rows() {
    let mail = "x\ta@example.com\tb@example.com";
    let sent = format!("Proof Sent `x`{ENDS}");
    let accepted = format!("{sent} | Hint Accepted{ENDS}");
    for (envelope, headers, reply, tls, expected) in [
        (mail, HEADERS, "250 ok", "F", format!("{accepted} | Queued{ENDS}")),
        (mail, NO_HEADERS, "250 OK id=1xVg28", "F", format!("{accepted} | Queued{ENDS}")),
        (mail, NO_HEADERS, "250 2.1.5 Ok", "F", accepted.clone()),
        (mail, NO_HEADERS, "354 go on", "F", accepted.clone()),
        (mail, NO_HEADERS, "550 5.7.1 relaying denied", "F", format!("{sent} | Refused{ENDS}")),
        (mail, NO_HEADERS, "221 bye", "F", sent.clone()),
        (mail, NO_HEADERS, "-", "F", sent.clone()),
        ("x\t-\t-", NO_HEADERS, "220 go", "T", accepted),
        ("x\t-\t-", NO_HEADERS, "535 no", "F", format!("{sent} | Auth Failed{ENDS}")),
        ("-\ta@example.com\t-", NO_HEADERS, "250 ok", "F", format!("Seen{ENDS}")),
    ] {
        check(&Format, &[(&row(envelope, headers, reply, tls), &expected)]);
    }
}

#[test]
fn json() {
    let record = |more: &str| {
        format!(
            "{{\"ts\":1793613600.5,\"uid\":\"CHhAvVGS1DHFjwGM9\",\"id.orig_h\":\"198.51.100.7\",\
             \"id.orig_p\":40001,\"id.resp_h\":\"203.0.113.25\",\"id.resp_p\":25,\
             \"trans_depth\":1{more}}}"
        )
    };
    let sent = format!("Proof Sent `x`{ENDS}");
    for (more, expected) in [
        (
            ",\"helo\":\"x\",\"mailfrom\":\"a@b\",\"subject\":\"s\",\"last_reply\":\"250 ok\"",
            format!("{sent} | Hint Accepted{ENDS} | Queued{ENDS}"),
        ),
        (",\"helo\":\"x\",\"tls\":true", format!("{sent} | Hint Accepted{ENDS}")),
        (",\"helo\":\"x\",\"rcptto\":[],\"tls\":false", sent),
        (",\"method\":\"GET\"", "not recognised".to_owned()),
    ] {
        check(&Format, &[(&record(more), &expected)]);
    }
    let bad = record(",\"helo\":\"x\"").replace("198.51.100.7", "x");
    let cut = record(",\"helo\":\"x\"").replace("\"uid\"", "\"id\"");
    check(&Format, &[(&bad, "rejected id.orig_h"), (&cut, "rejected uid")]);
}

#[test]
fn other_logs_of_zeek_are_not_taken() {
    let ends = "1793613600.1\tCHhAvVGS1DHFjwGM9\t198.51.100.7\t40001\t203.0.113.25\t25";
    let conn = format!("{ends}\ttcp\tsmtp\t1.5\t10\t20\tSF\t-\t-\t0\tShADad");
    let http = format!("{ends}\t1\tGET\texample.com\t/\t-\t1.1\tx\t-\t0\t0\t200\tOK");
    check(&Format, &[(&conn, "not recognised"), (&http, "not recognised"), ("", "not recognised")]);
    let smtp = b"#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\thelo\tmailfrom";
    let conn = b"#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tconn_state";
    let Some((FormatId::Mail(index), _)) = header_of(smtp) else { panic!("no mail header") };
    assert_eq!(FORMATS[usize::from(index)].name(), "zeek_smtp");
    assert!(matches!(header_of(conn), Some((FormatId::Firewall(_), _))));
}

#[test]
fn the_header_orders_the_fields() {
    let log = "#fields\tuid\tx\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tts\thelo\tlast_reply\t\
               mailfrom\tpath\n\
               1793613600.1\tCHhAvVGS1DHFjwGM9\t198.51.100.7\t40001\t203.0.113.25\t25\t\
               1793613600.5\tprobe.example\t550 no\ta@b\t203.0.113.25,198.51.100.7\n";
    let found = printed(log.as_bytes());
    assert!(found.contains("\"helo_name\":\"probe.example\""), "{found}");
    assert!(found.contains("\"outcome\":\"rejected\""), "{found}");
}

#[test]
fn rows_of_one_connection_are_one_session() {
    let first = row("x\ta@b\tc@d", NO_HEADERS, "250 ok", "F");
    let second = row("x\ta@b\tc@d", HEADERS, "250 ok", "F");
    let other = row("y\ta@b\tc@d", NO_HEADERS, "250 ok", "F").replace("CHh", "CXh");
    let found = printed([first, other, second].join("\n").as_bytes());
    let lines: Vec<&str> = found.lines().collect();
    assert_eq!(lines.len(), 2, "{found}");
    assert!(lines[0].contains("\"lines\":[1,3]") && lines[0].contains("\"outcome\":\"queued\""));
}

proptest! {
    /// Whatever a client says (Zeek writes tabs and line ends as `\x09`, `\x0a`), the ends stay
    /// those of the connection.
    #[test]
    fn attribution_cannot_be_steered(
        text in prop_oneof![
            Just(b"192.0.2.66".to_vec()),
            Just(b"203.0.113.25,198.51.100.7".to_vec()),
            Just(b"[192.0.2.66] relay=[192.0.2.66] \\x09192.0.2.66\\x0a\"".to_vec()),
            Just(vec![0xff; 2000]),
            proptest::collection::vec(any::<u8>(), 1..60),
        ],
        json in any::<bool>(),
    ) {
        let text: Vec<u8> = text
            .iter()
            .flat_map(|byte| match byte {
                b'\t' => b"\\x09".to_vec(),
                b'\n' => b"\\x0a".to_vec(),
                b'"' | b'\\' if json => vec![b'\\', *byte],
                byte => vec![*byte],
            })
            .collect();
        let sample = if json {
            "{\"uid\":\"CHhAvVGS1DHFjwGM9\",\"id.orig_h\":\"198.51.100.7\",\"id.orig_p\":40001,\
             \"id.resp_h\":\"203.0.113.25\",\"id.resp_p\":25,\"trans_depth\":1,\
             \"helo\":\"canary\",\"mailfrom\":\"canary\"}".to_owned()
        } else {
            row("canary\tcanary\tcanary", HEADERS, "250 ok", "F")
        };
        let parts: Vec<&[u8]> = sample.split("canary").map(str::as_bytes).collect();
        let raw = parts.join(text.as_slice());
        let line = envelope::open(&raw);
        prop_assert!(Format.recognises(&line));
        let mut records = Vec::new();
        Format.parse(&line, &Columns::NONE, &mut records);
        let address: IpAddr = "198.51.100.7".parse().unwrap();
        prop_assert!(!records.is_empty());
        for record in records {
            prop_assert_eq!(record.client, Some(address));
            prop_assert_eq!((record.client_port, record.local_port), (Some(40001), Some(25)));
        }
    }
}
