//! What each kind of line proves in the wordings of all versions, and that the client whom a line
//! blames is the one the server wrote.

use proptest::prelude::*;

use super::*;
use crate::logs::envelope;
use crate::logs::mail::testing::{check, printed};

/// Lines since 6.0: what stands after the id.
const LINES: &[(&str, &str)] = &[
    ("smtp connected address=198.51.100.7 host=<unknown>", "Connect from 198.51.100.7"),
    ("smtp event=connected address=[2001:db8::7] host=x.example", "Connect from 2001:db8::7"),
    ("smtp connected address=IPv6:2001:db8::7 host=x.example", "Connect from 2001:db8::7"),
    ("smtp connected address=local host=mx1", "Connect"),
    ("smtp connected address=x host=mx1", "rejected address"),
    (
        "smtp failed-command command=\"EHLO a b\" result=\"501 5.5.4 Invalid domain name\"",
        "Refused | Proof Rejected `a b`",
    ),
    ("smtp failed-command command=\"HELO\" result=\"501 5.5.1 no\"", "Refused | Proof Rejected"),
    (
        "smtp failed-command command=\"HELO x\" result=\"503 5.5.1 Invalid command: Already identified\"",
        "Refused | Proof Accepted",
    ),
    (
        "smtp event=failed-command address=198.51.100.7 host=x command=\"RCPT TO:<a@b.example>\" result=\"550 Invalid recipient\"",
        "Refused from 198.51.100.7 | Proof Accepted from 198.51.100.7",
    ),
    (
        "smtp failed-command command=\"DATA\" result=\"451 Try again later\"",
        "Refused | Proof Accepted",
    ),
    (
        "smtp failed-command command=\"MAIL FROM:<a@b.example>\" result=\"503 5.5.1 Invalid command: Command not allowed at this point.\"",
        "Refused",
    ),
    (
        "smtp failed-command command=\"MAIL FROM:<a@b.example>\" result=\"530 5.5.1 Invalid command: Must issue a STARTTLS command first\"",
        "Refused",
    ),
    ("smtp failed-command command=\"RCPT TO:<\" result=\"550 x>\" result=\"503 x\"", "Refused"),
    ("smtp failed-command command=\"\" result=\"550 no rDNS\"", "Refused"),
    (
        "smtp failed-command command=\"AUTH LOGIN\" result=\"503 5.5.1 Invalid command: Command not supported\"",
        "Auth Failed",
    ),
    (
        "smtp failed-command command=\"AUTH PLAIN (...)\" result=\"535 Authentication failed\"",
        "Auth Failed | Proof Accepted",
    ),
    ("smtp bad-input result=\"500 5.5.1 Invalid command: Pipelining not supported\"", "Refused"),
    ("smtp authentication user=bob result=ok", "Proof Accepted | Auth Ok `bob`"),
    (
        "smtp event=authentication user=address=192.0.2.66 address=198.51.100.7 host=x result=ok",
        "Proof Accepted | Auth Ok `address=192.0.2.66`",
    ),
    ("smtp authentication user=x result=ok result=permfail", "Proof Accepted | Auth Failed"),
    ("smtp message msgid=4296f490 size=3 nrcpt=1 proto=ESMTP", "Proof Accepted | Queued"),
    ("smtp envelope evpid=4296f490d1f0a3c2 from=<a@b.example> to=<c@d.example>", "Seen"),
    ("smtp tls ciphers=TLSv1.3:x", "Seen"),
    ("smtp event=proxy address=192.0.2.1", "ignored"),
    ("smtp disconnected reason=quit", "Ending(Orderly) | Disconnect Orderly"),
    ("smtp disconnected  reason=no more", "Ending(Lost) | Disconnect Lost"),
    ("smtp disconnected reason=\"io-error: x\"", "Ending(Lost) | Disconnect Lost"),
    (
        "smtp event=closed address=198.51.100.7 host=x reason=quit",
        "Ending(Orderly) from 198.51.100.7 | Disconnect Orderly from 198.51.100.7",
    ),
    (
        "mta delivery evpid=4296f490d1f0a3c2 from=<a@b.example> to=<c@D.example> rcpt=<-> source=\"203.0.113.25\" relay=\"192.0.2.8 (mx.d.example)\" delay=0s result=\"Ok\" stat=\"250 ok\"",
        "Delivery of `D.example` by 192.0.2.8",
    ),
    (
        "mta event=delivery evpid=4296f490d1f0a3c2 from=<a@b.example> to=<c@d.example> rcpt=<-> source=\"127.0.0.1\" relay=\"127.0.0.1 (localhost)\" delay=0s result=\"Ok\" stat=\"250 2.0.0: 5296f491 Message accepted for delivery\"",
        "Delivery of `d.example` by 127.0.0.1 and back",
    ),
    (
        "mta delivery evpid=4296f490d1f0a3c2 from=<a@b.example> to=<c@d.example> relay=\"192.0.2.8 (x)\" result=\"TempFail\" stat=\"450 no\"",
        "ignored",
    ),
    ("mta connected", "ignored"),
    ("mda delivery evpid=4296f490d1f0a3c2 result=Ok", "ignored"),
    ("local delivery", "not recognised"),
];

/// Lines up to 5.x.
const OLDER_LINES: &[(&str, &str)] = &[
    (
        "smtp-in: New session e3ab9bda8ac033b0 from host x [192.0.2.66] [198.51.100.7]",
        "Connect from 198.51.100.7",
    ),
    (
        "smtp-in: New session e3ab9bda8ac033b0 from host x [[2001:db8::7]]",
        "Connect from 2001:db8::7",
    ),
    ("smtp-in: New session e3ab9bda8ac033b0 from host mx1 [local]", "Connect"),
    ("smtp-in: New session e3ab9bda8ac033b0 from host mx1 [x", "rejected address"),
    (
        "smtp-in: Accepted message 4296f490 on session e3ab9bda8ac033b0: from=<a@b.example>, to=<c@d.example>, size=9, ndest=1, proto=ESMTP",
        "Proof Accepted | Queued",
    ),
    (
        "smtp-in: Failed command on session e3ab9bda8ac033b0: \"RCPT TO:<a@b.example>\" => 550 Invalid recipient",
        "Refused | Proof Accepted",
    ),
    (
        "smtp-in: Failed command on session e3ab9bda8ac033b0: \"HELO x\" => 530 Hello rejected",
        "Refused | Proof Rejected `x`",
    ),
    (
        "smtp-in: Failed command on session e3ab9bda8ac033b0: \"AUTH [...]\" => 535 Authentication failed",
        "Auth Failed | Proof Accepted",
    ),
    ("smtp-in: Failed command on session e3ab9bda8ac033b0: \"NOOP\" => 2 \" => 550 x", "Refused"),
    (
        "smtp-in: Accepted authentication for user bob on session e3ab9bda8ac033b0",
        "Proof Accepted | Auth Ok `bob`",
    ),
    (
        "smtp-in: Authentication failed for user bob on session e3ab9bda8ac033b0",
        "Proof Accepted | Auth Failed",
    ),
    ("smtp-in: Bad input on session e3ab9bda8ac033b0: 500 Line too long", "Refused"),
    ("smtp-in: Started TLS on session e3ab9bda8ac033b0: version=TLSv1.2", "Seen"),
    ("smtp-in: Closing session e3ab9bda8ac033b0", "Ending(Orderly) | Disconnect Orderly"),
    (
        "smtp-in: Received disconnect from session e3ab9bda8ac033b0",
        "Ending(Lost) | Disconnect Lost",
    ),
    (
        "smtp-in: Disconnecting session e3ab9bda8ac033b0: session timeout",
        "Ending(Lost) | Disconnect Lost",
    ),
    ("smtp-in: Failed to do anything", "ignored"),
    (
        "relay: Ok for 4296f490d1f0a3c2: session=08d856b172f69c5c, from=<a@b.example>, to=<c@d.example>, rcpt=<->, source=203.0.113.25, relay=192.0.2.8 (mx.d.example), delay=2s, stat=250 2.0.0 OK",
        "Delivery of `d.example` by 192.0.2.8",
    ),
    ("relay: TempFail for 4296f490d1f0a3c2: session=08d856b172f69c5c, from=<>", "ignored"),
    ("delivery: Ok for 4296f490d1f0a3c2: from=<>, to=<u@example.com>, user=u", "ignored"),
    ("relay: ok", "not recognised"),
];

#[test]
fn lines_and_what_they_say() {
    let since_6 = LINES.iter().map(|(text, told)| (format!("e3ab9bda8ac033b0 {text}"), *told));
    let older = OLDER_LINES.iter().map(|(text, told)| ((*text).to_owned(), *told));
    for (line, expected) in since_6.chain(older) {
        let syslog = format!("Nov  2 10:00:00 mx1 smtpd[28]: {line}");
        check(&Format, &[(&line, expected), (&syslog, expected)]);
    }
}

#[test]
fn an_end_alone_is_a_session() {
    let found = printed(b"e3ab9bda8ac033b0 smtp disconnected reason=\"io-error: x\"\n");
    assert!(found.contains(r#""helo":"unknown","auth":"none","outcome":"dropped""#), "{found}");
}

#[test]
fn a_refused_helo_and_an_accepted_one_after_it() {
    let log = b"e3ab9bda8ac033b0 smtp connected address=198.51.100.7 host=x\n\
        e3ab9bda8ac033b0 smtp failed-command command=\"EHLO _\" result=\"501 no\"\n\
        e3ab9bda8ac033b0 smtp message msgid=4296f490 size=3 nrcpt=1 proto=SMTP\n\
        e3ab9bda8ac033b0 smtp disconnected reason=quit\n";
    let found = printed(log);
    assert!(found.contains(r#""helo":"accepted","auth":"none","outcome":"queued""#), "{found}");
}

proptest! {
    /// Whatever a client says in a command, as its user or in its name in the DNS, it is the
    /// client that the server wrote who is blamed, and the session is still found.
    #[test]
    fn attribution_cannot_be_steered(
        text in prop_oneof![
            Just(b"192.0.2.66".to_vec()),
            Just(b"[192.0.2.66]".to_vec()),
            Just(b"x address=192.0.2.66 host=y".to_vec()),
            Just(b"x\" result=\"503 Already identified".to_vec()),
            Just(b"relay=\"192.0.2.66, relay=[192.0.2.66]\r".to_vec()),
            Just(b"e3ab9bda8ac033b1 smtp connected address=192.0.2.66 host=z".to_vec()),
            Just(vec![0xff; 2000]),
            proptest::collection::vec(any::<u8>().prop_filter("a line", |b| *b != b'\n'), 0..60),
        ],
    ) {
        let address: IpAddr = "198.51.100.7".parse().unwrap();
        let connects = [
            [b"e3ab9bda8ac033b0 smtp connected address=198.51.100.7 host=".as_slice(), &text].concat(),
            [b"smtp-in: New session e3ab9bda8ac033b0 from host ".as_slice(), &text, b" [198.51.100.7]"].concat(),
            [b"e3ab9bda8ac033b0 smtp event=failed-command address=198.51.100.7 host=x command=\"".as_slice(), &text, b"\" result=\"500 no\""].concat(),
        ];
        for raw in &connects {
            let mut records = Vec::new();
            Format.parse(&envelope::open(raw), &Columns::NONE, &mut records);
            prop_assert!(!records.is_empty(), "{}", String::from_utf8_lossy(raw));
            for record in records {
                prop_assert_eq!(record.client, Some(address));
                prop_assert_eq!(record.subject, Subject::Session(key(&[b"opensmtpd", b"e3ab9bda8ac033b0"])));
            }
        }
        let others = [
            [b"e3ab9bda8ac033b0 smtp failed-command command=\"RCPT TO:<".as_slice(), &text, b">\" result=\"550 no\""].concat(),
            [b"smtp-in: Failed command on session e3ab9bda8ac033b0: \"EHLO ".as_slice(), &text, b"\" => 501 no"].concat(),
            [b"e3ab9bda8ac033b0 smtp event=authentication user=".as_slice(), &text, b" address=198.51.100.7 host=x result=ok"].concat(),
        ];
        for raw in &others {
            let mut records = Vec::new();
            Format.parse(&envelope::open(raw), &Columns::NONE, &mut records);
            prop_assert!(!records.is_empty(), "{}", String::from_utf8_lossy(raw));
            prop_assert!(records.iter().all(|record| record.client.is_none()));
        }
    }
}
