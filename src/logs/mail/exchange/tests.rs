//! Rows of both logs, their headers, damaged rows.

use super::cells::{PROTOCOL_HEADER, TRACKING_HEADER};
use super::*;
use crate::logs::mail::testing::{check, printed, sessions};
use crate::model::session::Outcome as Reached;

fn row(event: &str) -> String {
    format!(
        "2026-11-02T10:00:00.1Z,EX1\\Default,08D9A1B2C3D4E5F6,2,10.0.0.25:25,\
         198.51.100.7:40001,{event}"
    )
}

#[test]
fn rows_of_the_protocol_log() {
    let ends = " from 198.51.100.7:40001 to 10.0.0.25:25";
    for (event, expected) in [
        ("+,,", "Connect"),
        ("-,,Remote", "Disconnect Lost"),
        ("<,EHLO probe.example,", "Command Helo `probe.example`"),
        ("<,\"HELO a, \"\"b\"\"\",", "Command Helo `a, \"\"b\"\"`"),
        ("<,MAIL FROM:<a@example.com>,", "Command Mail"),
        (">,250-more,", "Seen"),
        (">,250 ok,", "Reply 250"),
        (">,hello,", "Seen"),
        ("*,,Inbound AUTH NTLM failed because of LogonDenied", "Auth Failed"),
        ("*,EXAMPLE\\bob,authenticated", "Auth Ok `EXAMPLE\\bob`"),
        ("*,,Tarpit", "Seen"),
    ] {
        check(&Format, &[(&row(event), &format!("{expected}{ends}"))]);
    }
    check(&Format, &[("2026-11-02 10:00:00,x,y", "not recognised"), ("", "not recognised")]);
    let send = row("+,,").replace("EX1\\Default", "Internet Send");
    let bad = row("+,,").replace("198.51.100.7:40001", "198.51.100.7");
    check(&Format, &[(&send, "ignored"), (&bad, "rejected remote-endpoint")]);
}

#[test]
fn a_message_is_told_once_by_both_logs() {
    let protocol = [
        row("+,,"),
        row("<,EHLO x,"),
        row(">,250 hello,"),
        row(">,\"250 2.6.0 <a@b> [InternalId=77, Hostname=ex1] Queued mail for delivery\","),
        row("-,,Remote"),
    ]
    .join("\n");
    let tracked = |ends: &str, event: &str| {
        format!(
            "2026-11-02T10:00:01.1Z,{ends},,c,SMTP,{event},77,<a@b>,1,v@foreign.example,,1,1,,,s,a,b,,,,,,"
        )
    };
    let tracking = [
        tracked("198.51.100.7,probe.example,10.0.0.25,EX1", "RECEIVE"),
        tracked("10.0.0.25,EX1,192.0.2.25,mx.foreign.example", "SEND"),
    ]
    .join("\n");
    for logs in [[&protocol, &tracking], [&tracking, &protocol]] {
        let found = sessions(&[logs[0].as_bytes(), logs[1].as_bytes()]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].session.outcome, Reached::Relayed);
        assert_eq!(found[0].session.helo_name.as_deref(), Some("x"));
    }
    assert!(printed(tracking.as_bytes()).contains(r#""outcome":"relayed""#));
}

#[test]
fn headers_of_both_logs() {
    for header in [PROTOCOL_HEADER, TRACKING_HEADER] {
        assert!(Format.header(&[b"#Fields: ", header].concat()).is_some());
    }
    assert!(Format.header(b"#Fields: date time s-ip").is_none());
    assert!(Format.header(b"#Version: 15.0.0.0").is_none());
}
