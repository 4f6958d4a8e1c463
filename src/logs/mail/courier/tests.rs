//! What each kind of line proves, and that the client whom a line blames is the one the server
//! wrote.

use proptest::prelude::*;

use super::*;
use crate::logs::envelope;
use crate::logs::mail::testing::{check, sessions};

#[test]
fn lines_and_what_they_prove() {
    let head = "Nov  2 10:00:00 mx1 ";
    let cases = [
        (
            "courieresmtpd: started,ip=[::ffff:198.51.100.7],port=[40001]",
            "Connect from 198.51.100.7:40001",
        ),
        ("courieresmtpd[12]: started,ip=[2001:db8::25]", "Connect from 2001:db8::25"),
        (
            "courieresmtpd-ssl: started,ip=[198.51.100.7],port=[1]",
            "Connect from 198.51.100.7:1 to :465",
        ),
        (
            "courieresmtpd-msa: started,ip=[198.51.100.7],port=[1]",
            "Connect from 198.51.100.7:1 to :587",
        ),
        (
            "courieresmtpd: error,relay=::ffff:198.51.100.7,port=4,msg=\"502 ESMTP command error\",cmd: HELO",
            "Proof Rejected from 198.51.100.7:4 | Refused from 198.51.100.7:4",
        ),
        (
            "courieresmtpd: error,relay=198.51.100.7,msg=\"400 no\",cmd: EHLO probe.example",
            "Proof Rejected `probe.example` from 198.51.100.7 | Refused from 198.51.100.7",
        ),
        (
            "courieresmtpd: error,relay=198.51.100.7,msg=\"writev: Broken pipe\",cmd: EHLO probe.example",
            "Ending(Lost) from 198.51.100.7",
        ),
        (
            "courieresmtpd: error,relay=198.51.100.7,msg=\"252 VRFY disabled\",cmd: VRFY x",
            "Seen from 198.51.100.7",
        ),
        (
            "courieresmtpd: error,relay=198.51.100.7,msg=\"535 Authentication failed.\",cmd: c2VjcmV0",
            "Auth Failed from 198.51.100.7 | Refused from 198.51.100.7",
        ),
        (
            "courieresmtpd: error,relay=198.51.100.7,msg=\"535 Authentication required.\",cmd: MAIL FROM:<>",
            "Refused from 198.51.100.7",
        ),
        (
            "courieresmtpd: error,relay=198.51.100.7,from=<,msg=\"535 Authentication failed\"@x>,to=<b@example.com>: 550 no",
            "Refused from 198.51.100.7",
        ),
        (
            "courieresmtpd: error,relay=198.51.100.7,ident=me,from=<a@b.example>: 417 DNS",
            "Refused from 198.51.100.7",
        ),
        ("courieresmtpd: EHLO probe.example", "ignored"),
        ("courieresmtpd: started,ip=[x],port=[1]", "rejected relay"),
        ("courieresmtpd: error,relay=,msg=\"\"", "rejected relay"),
        (
            "courierd: newmsg,id=5A.6.C: dns; probe.example (mail.example [::ffff:198.51.100.7])",
            "Queued from 198.51.100.7 | Hint Accepted `probe.example` from 198.51.100.7",
        ),
        (
            "courierd: newmsg,id=5A.6.C, auth=ann: dns; a (b (c [198.51.100.7])",
            "Queued from 198.51.100.7 | Hint Accepted `a (b` from 198.51.100.7 | Auth Ok `ann` from 198.51.100.7",
        ),
        ("courierd: newmsg,id=5A.6.C: unknown; unknown", "ignored"),
        ("courierd: completed,id=5A.6.C", "Removed"),
        ("courierd: SHUTDOWN: Stopping...", "ignored"),
        (
            "courieresmtp: id=5A.6.C,from=<a@b.example>,addr=<c@D.example>,size=329,success: delivered: mx.d.example [192.0.2.80]",
            "Delivery of `D.example` by 192.0.2.80",
        ),
        (
            "courieresmtp: id=5A.6.C,from=<>,addr=<c@d.example>: 250 x>,size=1,success: delivered: m [192.0.2.66]",
            "ignored",
        ),
        ("courieresmtp: id=5A.6.C,from=<>,addr=<c@d.example>,size=1,status: deferred", "ignored"),
        (
            "courierlocal: id=5A.6.C,from=<>,addr=<c@d.example>,size=1,success: Message delivered.",
            "ignored",
        ),
        ("courierpop3login: LOGIN, user=bob, ip=[198.51.100.7]", "not recognised"),
        ("postfix/smtpd[7]: error,relay=198.51.100.7,msg=\"5", "not recognised"),
    ];
    let lines: Vec<String> = cases.iter().map(|(text, _)| format!("{head}{text}")).collect();
    let cases: Vec<(&str, &str)> =
        lines.iter().zip(cases).map(|(line, (_, expected))| (line.as_str(), expected)).collect();
    check(&Format, &cases);
}

#[test]
fn without_ports_each_start_begins_a_session() {
    let log = b"Nov  2 10:00:00 mx1 courieresmtpd: started,ip=[198.51.100.7]\n\
        Nov  2 10:00:01 mx1 courieresmtpd: started,ip=[198.51.100.7]\n\
        Nov  2 10:00:02 mx1 courieresmtpd: error,relay=198.51.100.7,msg=\"502 x\",cmd: X\n";
    let lines: Vec<usize> =
        sessions(&[log]).iter().map(|finished| finished.session.lines.len()).collect();
    assert_eq!(lines, [1, 2]);
}

proptest! {
    /// Whatever a client says, it is the client that the server wrote who is blamed.
    #[test]
    fn attribution_cannot_be_steered(
        text in prop_oneof![
            Just(b"192.0.2.66".to_vec()),
            Just(b",relay=192.0.2.66,port=1,msg=\"535 Authentication failed\"".to_vec()),
            Just(b"\",cmd: HELO x\" started,ip=[192.0.2.66],port=[1]".to_vec()),
            Just(b"x (y [192.0.2.66])".to_vec()),
            Just(b">,size=1,success: delivered: x [192.0.2.66]".to_vec()),
            Just(vec![0xff; 2000]),
            proptest::collection::vec(any::<u8>().prop_filter("a line", |b| *b != b'\n'), 0..60),
        ],
    ) {
        let address: IpAddr = "198.51.100.7".parse().unwrap();
        let server = b"Nov  2 10:00:00 mx1 courieresmtpd: error,relay=::ffff:198.51.100.7,port=4".as_slice();
        let lines: [Vec<u8>; 4] = [
            [server, b",msg=\"502 ESMTP command error\",cmd: ", &text].concat(),
            [server, b",ident=\"", &text, b"\",msg=\"502 ESMTP command error\",cmd: X"].concat(),
            [server, b",from=<", &text, b">,to=<", &text, b">: 550 User unknown."].concat(),
            [
                b"Nov  2 10:00:00 mx1 courierd: newmsg,id=5A.6.C: dns; ".as_slice(),
                &text,
                b" (mail.example [::ffff:198.51.100.7])",
            ]
            .concat(),
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
        let head = b"Nov  2 10:00:00 mx1 courier".as_slice();
        for start in [b"esmtpd: error,relay=".as_slice(), b"d: newmsg,id=", b"esmtp: id=5A", b""] {
            let line = [head, start, &raw].concat();
            let _ = Format.parse(&envelope::open(&line), &Columns::NONE, &mut Vec::new());
        }
    }
}
