//! What each kind of line proves, and that the client whom a line blames is the one the server
//! wrote.

use proptest::prelude::*;

use super::*;
use crate::logs::envelope;
use crate::logs::mail::testing::check;

const ENDS_SHOWN: &str = "from 198.51.100.7:40001 to 203.0.113.25:25";

#[test]
fn lines_and_what_they_prove() {
    let connect = format!("Connect {ENDS_SHOWN}");
    let denied = format!(
        "Connect {ENDS_SHOWN} | Proof NotSent {ENDS_SHOWN} | Refused {ENDS_SHOWN} | Disconnect Lost {ENDS_SHOWN}"
    );
    let cases = [
        ("tcpserver: ok 47 mx1:203.0.113.25:25 c.example:198.51.100.7::40001", connect.as_str()),
        ("sslserver: ok 47 :203.0.113.25:25 :198.51.100.7:me:40001", &connect),
        ("qmail-tcpsrv: ok 47 :::ffff:203.0.113.25:25 :::ffff:198.51.100.7::40001", &connect),
        ("tcpserver: deny 47 mx1:203.0.113.25:25 c.example:198.51.100.7::40001", &denied),
        (
            "tcpserver: ok 47 0:2001:db8::25:587 :2001:db8::7::40001",
            "Connect from 2001:db8::7:40001 to 2001:db8::25:587",
        ),
        (
            "tcpserver: ok 47 0:2001?db8??25:587 :2001?db8??7::40001",
            "Connect from 2001:db8::7:40001 to 2001:db8::25:587",
        ),
        ("tcpserver: ok 47 mx1:203.0.113.25:110 :198.51.100.7::40001", "ignored"),
        ("tcpserver: pid 47 from 198.51.100.7", "ignored"),
        ("tcpserver: end 47 status 256", "ignored"),
        ("tcpserver: status: 3/40", "ignored"),
        ("tcpserver: ok 47 mx1:203.0.113.25:25", "rejected ok"),
        ("tcpserver: ok 47 mx1:203.0.113.25:25 c:198.51.100.7::", "rejected ok"),
        (
            "rblsmtpd: 198.51.100.7 pid 47: 451 http://bl.example/198.51.100.7",
            "Refused from 198.51.100.7",
        ),
        ("rblsmtpd: 198.51.100.7 pid 47 bl.example: 553 no", "Refused from 198.51.100.7"),
        ("rblsmtpd: 198.51.100.7 pid 47: greetdelay: 20", "Seen from 198.51.100.7"),
        (
            "rblsmtpd: bl.example blocked 198.51.100.7 c.example -",
            "Refused from 198.51.100.7 | Disconnect Untold from 198.51.100.7",
        ),
        ("rblsmtpd: x pid 47: 451 no", "rejected client"),
        ("rblsmtpd: fatal: out of memory", "ignored"),
        (
            "qmail-smtpd: 421 badiprbl: ip 198.51.100.7 rbl: bl.example",
            "Refused from 198.51.100.7 | Disconnect Untold from 198.51.100.7",
        ),
        (
            "qmail-smtpd: pid 47 from 198.51.100.7 HELO <192.0.2.66> MAIL from: <>",
            "Seen from 198.51.100.7",
        ),
        ("qmail-smtpd: read failed", "ignored"),
    ];
    for head in [
        "@4000000065502f1a0b9c3d8c ",
        "1762077600.485077 ",
        "Nov  2 10:00:00 mx1 ",
        "Nov  2 10:00:00 mx1 qmail: 1762077600.485077 ",
        "Nov  2 10:00:00 mx1 qmail-smtpd: 1762077600.485077 ",
        "Nov  2 10:00:00 mx1 smtpd: @4000000065502f1a0b9c3d8c ",
        "2026-11-02 10:00:00.485077500 ",
        "",
    ] {
        for (text, expected) in cases {
            check(&Format, &[(&format!("{head}{text}"), expected)]);
        }
    }
}

#[test]
fn lines_of_others() {
    check(
        &Format,
        &[
            ("@4000000065502f1a0b9c3d8c new msg 53", "ignored"),
            ("Nov  2 10:00:00 mx1 qmail: 1762077600.48 end msg 53", "ignored"),
            ("new msg 53", "not recognised"),
            ("@4000000065502f1a0b9c3d8c dnscache: starting", "not recognised"),
            (
                "Nov  2 10:00:00 mx1 postfix/smtpd[4]: tcpserver ok 1 a:b:25 c:d::1",
                "not recognised",
            ),
            ("Nov  2 10:00:00 mx1 tcpserverd: ok 1 a:b:25 c:d::1", "not recognised"),
        ],
    );
}

proptest! {
    /// Whatever the client's ident or a list's text says, it is the client that the server wrote
    /// who is blamed.
    #[test]
    fn attribution_cannot_be_steered(
        text in prop_oneof![
            Just(b"192.0.2.66".to_vec()),
            Just(b":192.0.2.66::25".to_vec()),
            Just(b"[192.0.2.66]".to_vec()),
            Just(b" tcpserver: ok 1 x:192.0.2.66:25 y:192.0.2.66::1".to_vec()),
            Just(b"relay=192.0.2.66 blocked 192.0.2.66 \"\r".to_vec()),
            Just(vec![0xff; 2000]),
            proptest::collection::vec(any::<u8>().prop_filter("a line", |b| *b != b'\n'), 0..60),
        ],
    ) {
        let address: IpAddr = "198.51.100.7".parse().unwrap();
        let head = b"@4000000065502f1a0b9c3d8c ".as_slice();
        let lines: [Vec<u8>; 4] = [
            [head, b"tcpserver: ok 47 mx1:203.0.113.25:25 c.example:198.51.100.7:", &text, b":40001"].concat(),
            [head, b"tcpserver: deny 47 mx1:203.0.113.25:25 c.example:198.51.100.7:", &text, b":40001"].concat(),
            [head, b"rblsmtpd: 198.51.100.7 pid 47: 451 ", &text].concat(),
            [head, b"qmail-smtpd: pid 47 from 198.51.100.7 HELO <", &text, b">"].concat(),
        ];
        for raw in &lines {
            let mut records = Vec::new();
            let outcome = Format.parse(&envelope::open(raw), &Columns::NONE, &mut records);
            prop_assert_eq!(outcome, Outcome::Event, "{}", String::from_utf8_lossy(raw));
            for record in records {
                prop_assert_eq!(record.client, Some(address));
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
        for start in [b"tcpserver: ok ".as_slice(), b"rblsmtpd: ", b"qmail-smtpd: ", b"@", b"1."] {
            let line = [start, &raw].concat();
            let _ = Format.parse(&envelope::open(&line), &Columns::NONE, &mut Vec::new());
        }
    }
}
