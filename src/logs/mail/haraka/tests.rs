//! What each kind of line proves in each of the three forms, and that the client whom a session
//! blames is the one the server wrote.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::logs::envelope;
use crate::logs::mail::testing::{check, printed, told};

const ID: &str = "3E6A027F-8307-4DA4-B105-2A39EC4B58D4";

fn line(level: &str, number: &str, origin: &str, message: &str) -> String {
    format!("[{level}] [{ID}{number}] [{origin}] {message}")
}

fn last(rest: &str) -> String {
    line("NOTICE", "", "core", &format!("disconnect ip=198.51.100.7 rdns=NXDOMAIN {rest}"))
}

#[test]
fn lines_and_what_they_say() {
    let cases = [
        (
            "NOTICE",
            "",
            "core",
            "connect ip=198.51.100.7 port=4001 local_ip=203.0.113.25 local_port=25",
            "Connect from 198.51.100.7:4001 to 203.0.113.25:25",
        ),
        (
            "NOTICE",
            "",
            "core",
            "connect ip=::ffff:198.51.100.7 port=4001 local_ip=:: local_port=25",
            "Connect from 198.51.100.7:4001 to :25",
        ),
        ("NOTICE", "", "core", "connect port=4001", "rejected ip"),
        (
            "INFO",
            "",
            "core",
            "HAProxy proto=TCP4 src_ip=198.51.100.7:4001 dst_ip=203.0.113.25:25",
            "Connect from 198.51.100.7:4001 to 203.0.113.25:25",
        ),
        (
            "INFO",
            "",
            "core",
            "HAProxy proto=TCP6 src_ip=2001:db8::7:4001 dst_ip=2001:db8::25:25",
            "Connect from 2001:db8::7:4001 to 2001:db8::25:25",
        ),
        ("PROTOCOL", "", "core", "C: EHLO probe.example state=1", "Command Helo `probe.example`"),
        ("PROTOCOL", "", "core", "C: ehlo  a b<c> state=1", "Command Helo `a`"),
        ("PROTOCOL", "", "core", "C: HELO state=1", "Command Helo"),
        ("PROTOCOL", "", "core", "C: AUTH PLAIN AGJvYgBiYWQ= state=1", "Command Auth"),
        ("PROTOCOL", "", "core", "C: (after-disconnect): QUIT state=100", "ignored"),
        ("PROTOCOL", "", "core", "S: 250-PIPELINING", "Seen"),
        ("PROTOCOL", "", "core", "S: 250 ok", "Reply 250"),
        ("DATA", ".1", "core", "C: HELO in.a.message", "ignored"),
        ("PROTOCOL", ".1.1", "outbound", "C: EHLO mx1.example.com", "ignored"),
        ("PROTOCOL", ".1", "queue/smtp_forward", "S: 250 ok", "ignored"),
        (
            "INFO",
            "",
            "core",
            " hook=ehlo plugin=helo.checks function=hook_ehlo params=probe.example retval=DENY msg=\"no, not you\"",
            "Proof Rejected `probe.example`",
        ),
        (
            "DEBUG",
            "",
            "core",
            " hook=ehlo plugin=x function=hook_ehlo params=\"a\\\" retval=DENY\" retval=CONT msg=\"\"",
            "ignored",
        ),
        ("INFO", "", "core", "client half closed connection ip=198.51.100.7", "Ending(Lost)"),
        ("WARN", "", "core", "client x.example [198.51.100.7] dropped connection", "Ending(Lost)"),
        ("DEBUG", "", "core", "client has disconnected", "ignored"),
        ("NOTICE", ".1", "core", "sender <a@b.example> code=CONT msg=\"\"", "Hint Accepted"),
        (
            "NOTICE",
            ".1",
            "core",
            "recipient <c@d.example> code=OK msg=\"\" sender=a@b.example",
            "Seen",
        ),
        ("NOTICE", ".1", "core", "queue code=CONT msg=\"Message Queued\"", "Announced"),
        ("NOTICE", ".1", "core", "queue code=OK msg=\"Message Queued\"", "Queued"),
        ("NOTICE", ".1", "core", "queue code=DENYSOFT msg=\"later\"", "Refused"),
        ("NOTICE", "", "auth/flat_file", "delaying for 2 seconds", "Auth Failed"),
        (
            "NOTICE",
            ".1.1",
            "outbound",
            " delivered file=1_2_3 domain=far.example host=mx.far.example ip=192.0.2.8 port=25 mode=SMTP tls=Y auth=N response=\"ok ip=192.0.2.9\" delay=1 fails=0 rcpts=1/0/0",
            "Delivery of `far.example` by 192.0.2.8",
        ),
        (
            "NOTICE",
            ".1.1",
            &format!("outbound] [{ID}"),
            "delivered file=1_2_3 domain=\"far.example\" host=\"mx.far.example\" ip=192.0.2.8 response=\"ok\" delay=1",
            "Delivery of `far.example` by 192.0.2.8",
        ),
        (
            "NOTICE",
            ".1.1",
            "outbound",
            " delivered file=1 domain=example.com host=x ip=/run/lmtp port=24 mode=LMTP tls=N",
            "ignored",
        ),
        ("INFO", "", "spf", "identity=helo ip=198.51.100.7 result=None", "ignored"),
    ];
    for (level, number, origin, message, expected) in cases {
        let raw = line(level, number, origin, message);
        let head = "Nov  2 10:00:00 mx1 haraka[7]: ";
        for head in ["", "2026-11-02T10:00:00.123Z ", "2026-11-02 10:00:00.123456500  ", head] {
            check(&Format, &[(&format!("{head}{raw}"), expected)]);
        }
    }
}

#[test]
fn the_last_line_of_a_session() {
    let quiet = "msgs=0/0/0 bytes=0";
    let cases = [
        (
            "helo=probe.example relay=N esmtp=N errors=0 txns=0 rcpts=0/0/0",
            "\"\"",
            "Proof Accepted `probe.example` | Disconnect Untold None None Some(0) fine",
        ),
        (
            "helo=\"\" relay=N esmtp=N errors=0 txns=0 rcpts=0/0/0",
            "\"\"",
            "Proof NotSent | Disconnect Untold None None Some(0) fine",
        ),
        (
            "helo=\"\" relay=N esmtp=N errors=2 txns=0 rcpts=0/0/0",
            "\"503 Use MAIL before RCPT\"",
            "Disconnect Untold None None Some(0) refused",
        ),
        (
            "helo=\"\" relay=N esmtp=N errors=0 txns=0 rcpts=0/0/0",
            "\"421 timeout\"",
            "Disconnect Untold None None Some(0) fine",
        ),
        (
            "helo=\"\" relay=N esmtp=N errors=0 txns=0 rcpts=0/0/0",
            "\"554 very bad karma score\"",
            "Disconnect Untold None None Some(0) refused",
        ),
        (
            "helo=\"\" relay=N esmtp=N errors=0 txns=0 rcpts=0/0/0",
            "\"501 EHLO requires domain/address - see RFC-2821 4.1.1.1\"",
            "Proof Rejected | Disconnect Untold None None Some(0) refused",
        ),
        (
            "helo=\"\" relay=N esmtp=N errors=0 txns=0 rcpts=0/0/0",
            "\"550 HELO denied\"",
            "Proof Rejected | Disconnect Untold None None Some(0) refused",
        ),
        (
            "helo=\"\" relay=N esmtp=Y errors=0 txns=0 rcpts=0/0/0",
            "\"\"",
            "Proof Accepted | Disconnect Untold None None Some(0) fine",
        ),
        (
            "helo=probe.example relay=N esmtp=N errors=0 txns=0 rcpts=0/0/0",
            "\"550 HELO denied\"",
            "Proof Sent `probe.example` | Disconnect Untold None None Some(0) refused",
        ),
        (
            "helo=probe.example relay=N esmtp=N errors=1 txns=0 rcpts=0/0/0",
            "\"550 Authentication required\"",
            "Proof Accepted `probe.example` | Disconnect Untold None None Some(0) refused",
        ),
        (
            "helo=probe.example relay=N esmtp=Y errors=0 txns=1 rcpts=0/0/1",
            "\"550 no <\\\"msgs=9/0/0 \\\"@x>\"",
            "Proof Accepted `probe.example` | Disconnect Untold None None Some(0) refused",
        ),
        (
            "helo=probe.example relay=N esmtp=Y errors=0 txns=0 rcpts=0/0/0",
            "\"535 5.7.8 Authentication failed\"",
            "Proof Accepted `probe.example` | Disconnect Untold None Some(Failed) Some(0) refused",
        ),
        (
            "helo=\"a\"msgs=9/0/0\" relay=N esmtp=Y txns=0 rcpts=0/0/0",
            "\"\"",
            "Proof Accepted `a\"msgs=9/0/0` | Disconnect Untold None None Some(0) fine",
        ),
    ];
    for (helo, refusal, expected) in cases {
        let raw = last(&format!("{helo} {quiet} lr={refusal} time=0.1"));
        let got = told(&Format, &raw);
        assert_eq!(got.matches(" from 198.51.100.7").count(), got.split(" | ").count());
        assert_eq!(got.replace(" from 198.51.100.7", ""), expected, "{raw}");
    }
    let older = told(&Format, &last("helo=\"probe.example\" relay=N txns=0 bytes=0 lr=\"\""));
    assert!(older.ends_with("Disconnect Untold None None None fine from 198.51.100.7"), "{older}");
}

#[test]
fn all_forms_say_the_same() {
    let texts = [
        (
            last("helo=\"\" esmtp=Y txns=1 rcpts=1/0/0 msgs=1/0/0 lr=\"550 a\\\"b\""),
            [
                format!(
                    r#"level=NOTICE uuid={ID} origin=core message=disconnect ip=198.51.100.7 rdns=NXDOMAIN helo="" esmtp=Y txns=1 rcpts=1/0/0 msgs=1/0/0 lr="550 a\"b""#
                ),
                format!(
                    r#"{{"level":"NOTICE","uuid":"{ID}","origin":"core","message":"disconnect","ip":"198.51.100.7","rdns":"NXDOMAIN","helo":"","esmtp":"Y","txns":1,"rcpts":"1/0/0","msgs":"1/0/0","lr":"550 a\"b"}}"#
                ),
            ],
        ),
        (
            line("PROTOCOL", "", "core", "C: HELO a state=1"),
            [
                format!(r#"level=PROTOCOL uuid={ID} origin=core message="C: HELO a" state=1"#),
                format!(
                    r#"{{"level":"PROTOCOL","uuid":"{ID}","origin":"core","message":"C: HELO a","state":1}}"#
                ),
            ],
        ),
        (
            line("NOTICE", ".1.1", "outbound", "delivered file=1 domain=far.example ip=192.0.2.8"),
            [
                format!(
                    r#"level=NOTICE uuid={ID}.1.1 origin=outbound message="" delivered file=1 domain=far.example ip=192.0.2.8"#
                ),
                format!(
                    r#"{{"level":"NOTICE","uuid":"{ID}.1.1","origin":"outbound","message":"","delivered file":"1","domain":"far.example","ip":"192.0.2.8"}}"#
                ),
            ],
        ),
    ];
    for (default, others) in &texts {
        for other in others {
            assert_eq!(told(&Format, other), told(&Format, default), "{other}");
        }
    }
}

#[test]
fn other_programs_are_not_recognised() {
    for raw in [
        "[NOTICE] [1] [core] connect ip=198.51.100.7",
        "[error] [3E6A027F-8307-4DA4-B105-2A39EC4B58D4] [core] x",
        "level=info uuid=- origin=core message=x",
        "level=NOTICE msg=x",
        r#"{"level":"NOTICE","message":"connect"}"#,
        r#"{"level":"NOTICE","uuid":"x","origin":"core","message":"connect"}"#,
        "Nov  2 10:00:00 mx1 rspamd[4]: <03d22c>; task; queue-id: <3E6A027F-8307-4DA4-B105-2A39EC4B58D4.1>",
        "",
    ] {
        assert_eq!(told(&Format, raw), "not recognised", "{raw}");
    }
    assert_eq!(told(&Format, "[INFO] [-] [server] Listening on 192.0.2.25:25"), "ignored");
}

#[test]
fn behind_a_proxy_its_client_is_blamed() {
    let log = [
        line("NOTICE", "", "core", "connect ip=10.0.0.2 port=5 local_ip=10.0.0.25 local_port=25"),
        line(
            "INFO",
            "",
            "core",
            "HAProxy proto=TCP4 src_ip=198.51.100.7:4001 dst_ip=203.0.113.25:25",
        ),
        last("helo=probe.example esmtp=Y lr=\"\""),
    ]
    .join("\n");
    let found = printed(log.as_bytes());
    let last = found.lines().last().unwrap_or_default();
    assert!(last.contains(r#""client_ip":"198.51.100.7","client_port":4001"#), "{found}");
    assert!(last.contains(r#""helo":"accepted""#), "{found}");
    assert!(
        found.starts_with(r#"{"kind":"session","lines":[1],"client_ip":"10.0.0.2""#),
        "{found}"
    );
}

proptest! {
    /// Whatever a client says in HELO, in its addresses or in its name in the DNS, it is the client
    /// that the server wrote who is blamed.
    #[test]
    fn attribution_cannot_be_steered(
        text in prop_oneof![
            Just(b"192.0.2.66".to_vec()),
            Just(b"[192.0.2.66]".to_vec()),
            Just(b"x ip=192.0.2.66 port=1 relay=Y".to_vec()),
            Just(b"x\" ip=192.0.2.66 helo=\"y".to_vec()),
            Just(b"\",\"ip\":\"192.0.2.66\",\"x\":\"".to_vec()),
            Just(b"relay=[192.0.2.66]\r".to_vec()),
            Just(vec![0xff; 2000]),
            proptest::collection::vec(any::<u8>().prop_filter("a line", |b| *b != b'\n'), 0..60),
        ],
    ) {
        let address: IpAddr = "198.51.100.7".parse().unwrap();
        let escaped: Vec<u8> = text
            .iter()
            .flat_map(|b| if b"\"\\".contains(b) { vec![b'\\', *b] } else { vec![*b] })
            .collect();
        let head = format!("[NOTICE] [{ID}] [core] disconnect ip=198.51.100.7 rdns=").into_bytes();
        let logfmt = format!(
            "level=NOTICE uuid={ID} origin=core message=disconnect ip=198.51.100.7 rdns=x helo=\""
        ).into_bytes();
        let json = format!(
            "{{\"level\":\"NOTICE\",\"uuid\":\"{ID}\",\"origin\":\"core\",\
             \"message\":\"disconnect\",\"ip\":\"198.51.100.7\",\"rdns\":\"x\",\"helo\":\""
        ).into_bytes();
        let lines: [Vec<u8>; 5] = [
            [head.as_slice(), &text, b" helo=x relay=N"].concat(),
            [head.as_slice(), b"x helo=\"", &text, b"\" relay=N lr=\"\""].concat(),
            [head.as_slice(), b"x helo=x relay=N lr=\"550 no ", &escaped, b"\" time=1"].concat(),
            [logfmt.as_slice(), &escaped, b"\" relay=N lr=\"\""].concat(),
            [json.as_slice(), &escaped, b"\",\"relay\":\"N\",\"lr\":\"\"}"].concat(),
        ];
        for raw in &lines {
            let mut records = Vec::new();
            Format.parse(&envelope::open(raw), &Columns::NONE, &mut records);
            prop_assert!(!records.is_empty(), "{}", String::from_utf8_lossy(raw));
            for record in records {
                prop_assert_eq!(record.client, Some(address));
                let last = matches!(record.fact, Fact::Helo { .. } | Fact::Disconnect { .. });
                prop_assert!(last);
            }
        }
    }
}
