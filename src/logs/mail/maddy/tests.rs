//! What each kind of line proves, and that the client whom a line blames is the one the server
//! wrote.

use proptest::prelude::*;

use super::*;
use crate::logs::envelope;
use crate::logs::mail::testing::check;

#[test]
fn lines_and_what_they_prove() {
    let ends = "from 198.51.100.7:40001";
    let incoming = format!("Hint Accepted `probe.example` {ends} | Announced {ends}");
    let with_user = format!("Hint Accepted {ends} | Auth Ok `ann` {ends} | Announced {ends}");
    let failed = format!("Auth Failed {ends}");
    let seen = format!("Seen {ends}");
    let cases: [(&str, &str); 17] = [
        (
            r#"smtp: incoming message	{"msg_id":"83bd4059","sender":"a@b.example","src_host":"probe.example","src_ip":"198.51.100.7:40001"}"#,
            &incoming,
        ),
        (
            r#"smtp: incoming message {"msg_id":"83bd4059","src_host":"probe.example","src_ip":"198.51.100.7:40001"}"#,
            &incoming,
        ),
        (
            r#"submission: incoming message	{"msg_id":"83bd4059","src_ip":"198.51.100.7:40001","username":"ann"}"#,
            &with_user,
        ),
        (
            r#"smtp: incoming message#011{"msg_id":"","src_ip":"[2001:db8::7]:5","src_host":"a"}"#,
            "Hint Accepted `a` from 2001:db8::7:5",
        ),
        (
            r#"submission/sasl: authentication failed	{"reason":"no","src_ip":"198.51.100.7:40001","username":"bob"}"#,
            &failed,
        ),
        (r#"smtp: rDNS error	{"reason":"no","src_ip":"198.51.100.7:40001"}"#, &seen),
        (r#"smtp: RCPT ok	{"msg_id":"83bd4059","rcpt":"c@d.example"}"#, "Seen"),
        (
            r#"smtp: RCPT error	{"msg_id":"83bd4059","rcpt":"c@d.example","smtp_code":550}"#,
            "Refused",
        ),
        (r#"smtp: MAIL FROM error (deferred)	{"msg_id":"83bd4059","reason":"no"}"#, "Refused"),
        (r#"smtp: accepted	{"msg_id":"83bd4059"}"#, "Queued"),
        (r#"smtp: aborted	{"msg_id":"83bd4059"}"#, "Removed"),
        (
            r#"queue: delivered	{"attempt":1,"msg_id":"83bd4059","rcpt":"c@d.example"}"#,
            "Delivery of `d.example` by ?",
        ),
        (r#"smtp: incoming message	{"msg_id":"83bd4059","src_ip":"pipe"}"#, "rejected src_ip"),
        (r#"lmtp: incoming message	{"msg_id":"83bd4059","src_ip":"127.0.0.1:5"}"#, "ignored"),
        (r#"imap/sasl: authentication failed	{"src_ip":"198.51.100.7:40001"}"#, "ignored"),
        (r#"[debug] smtp: reset	{"msg_id":"83bd4059"}"#, "not recognised"),
        (r#"smtp: EHLO {"src_ip":"198.51.100.7:40001"}"#, "not recognised"),
    ];
    for head in [
        "",
        "maddy-maddy-1  | ",
        "mail.1.abc@node1    | 2026-11-02T10:00:00.123456789Z ",
        "2026-11-02T10:00:00.123Z ",
        "Nov  2 10:00:00 mx1 maddy[612]: ",
        "Nov  2 10:00:00 mx1 maddy: ",
    ] {
        for (text, expected) in cases {
            check(&Format, &[(&format!("{head}{text}"), expected)]);
        }
    }
    check(
        &Format,
        &[
            ("delivered\t{\"attempt\":1,\"msg_id\":\"8\",\"rcpt\":\"c\"}", "Delivery of `` by ?"),
            ("{\"msg_id\":\"8\",\"src_ip\":\"198.51.100.7:1\"}", "not recognised"),
            ("smtp: incoming message", "not recognised"),
        ],
    );
}

#[test]
fn times_are_read_wherever_they_stand() {
    let text = "maddy-1  | 2026-11-02T10:00:00Z smtp: accepted\t{\"msg_id\":\"8\"}";
    let mut records = Vec::new();
    Format.parse(&envelope::open(text.as_bytes()), &Columns::NONE, &mut records);
    let expected = LogTime::parse_iso(b"2026-11-02T10:00:00Z").map(|(time, _)| time);
    assert_eq!(records.first().and_then(|record| record.time), expected);
}

proptest! {
    /// Whatever a client says, it is the client that the server wrote who is blamed; the server
    /// escapes what it writes into JSON.
    #[test]
    fn attribution_cannot_be_steered(
        text in prop_oneof![
            Just("192.0.2.66:25".to_owned()),
            Just("\",\"src_ip\":\"192.0.2.66:25".to_owned()),
            Just("}\tsmtp: incoming message\t{\"src_ip\":\"192.0.2.66:25\"".to_owned()),
            Just("[192.0.2.66] relay=192.0.2.66\r\n".to_owned()),
            Just("\u{fffd}".repeat(2000)),
            ".{0,60}",
        ],
    ) {
        let address: IpAddr = "198.51.100.7".parse().unwrap();
        let quoted = serde_json::to_string(&text).unwrap();
        let lines = [
            format!("smtp: incoming message\t{{\"msg_id\":\"8\",\"sender\":{quoted},\"src_host\":{quoted},\"src_ip\":\"198.51.100.7:4\",\"username\":{quoted}}}"),
            format!("Nov  2 10:00:00 mx1 maddy[6]: smtp/sasl: authentication failed\t{{\"reason\":{quoted},\"src_ip\":\"198.51.100.7:4\"}}"),
        ];
        for raw in &lines {
            let mut records = Vec::new();
            let outcome =
                Format.parse(&envelope::open(raw.as_bytes()), &Columns::NONE, &mut records);
            prop_assert_eq!(outcome, Outcome::Event, "{}", raw);
            for record in records {
                prop_assert_eq!(record.client, Some(address));
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_read_too(
        raw in proptest::collection::vec(any::<u8>().prop_filter("plain", |b| !b"\"\\\n".contains(b)), 0..200),
    ) {
        let line = [b"smtp: incoming message\t{\"src_host\":\"", raw.as_slice(), b"\",\"src_ip\":\"198.51.100.7:4\"}"].concat();
        let mut records = Vec::new();
        Format.parse(&envelope::open(&line), &Columns::NONE, &mut records);
        prop_assert_eq!(records.first().and_then(|record| record.client_port), Some(4));
        let _ = Format.parse(&envelope::open(&raw), &Columns::NONE, &mut records);
    }
}
