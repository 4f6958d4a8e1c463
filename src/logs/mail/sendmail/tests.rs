//! What each kind of line proves, and that the client whom a line blames is the one the server
//! wrote.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::logs::envelope;
use crate::logs::mail::testing::{check, sessions};
use crate::model::session::Outcome;

fn check_texts(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let raw = format!("Nov  2 10:00:00 mx1 sm-mta[711]: 6B2A00xy000711: {text}");
        check(&Format, &[(&raw, expected)]);
    }
}

#[test]
fn lines_about_connections() {
    check_texts(&[
        (
            "a.example [198.51.100.7] did not issue MAIL/EXPN/VRFY/ETRN during connection to MSA",
            "Disconnect Untold from 198.51.100.7 to :587",
        ),
        (
            "[IPv6:2001:db8::7] did not issue MAIL/EXPN/VRFY/ETRN during connection to MTA-v6",
            "Disconnect Untold from 2001:db8::7",
        ),
        (
            "rejecting server HELO from [198.51.100.7] [198.51.100.7] due to traffic before response",
            "Hint Rejected from 198.51.100.7 | Refused from 198.51.100.7",
        ),
        (
            "rejecting commands from  [198.51.100.7] due to pre-greeting traffic after 0 seconds",
            "Refused from 198.51.100.7",
        ),
        (
            "lost input channel from a.example [198.51.100.7] (may be forged) to MTA after rcpt",
            "Ending(Lost) from 198.51.100.7",
        ),
        ("timeout waiting for input from a.example during server cmd read", "Ending(Lost)"),
        ("timeout waiting for input from mx.b.example. during client greeting", "ignored"),
        (
            "invalid domain name (a_$) from x[y) from [198.51.100.7]",
            "Hint Rejected `a_$) from x[y` from 198.51.100.7 | Refused from 198.51.100.7",
        ),
        (
            "Authentication-Warning: mx1.example.com: u@a.example [198.51.100.7] didn't use HELO protocol",
            "Proof NoneAccepted from 198.51.100.7",
        ),
        (
            "[198.51.100.7]: possible SMTP attack: command=AUTH, count=5",
            "Auth Failed from 198.51.100.7",
        ),
        (
            "[198.51.100.7]: possible SMTP attack: command=HELO/EHLO, count=9",
            "Seen from 198.51.100.7",
        ),
        ("[198.51.100.7]: VRFY a: b [192.0.2.1]", "Seen from 198.51.100.7"),
        ("[198.51.100.7]: vrfy a [rejected]", "Refused from 198.51.100.7"),
        ("<- HELO x", "ignored"),
        ("<-- ehlo  x y", "Command Helo `x y`"),
        ("--- 250-x", "Seen"),
        ("--- 250 x", "Reply 250"),
        ("--- 250", "Reply 250"),
        ("--- 050 x", "Seen"),
        ("--- 421 4.4.1 mx1 Lost input channel from [198.51.100.7]", "Ending(Lost)"),
        ("Milter: to=<a@b>, reject=550 5.1.1 no", "Refused"),
        ("Milter: data, reject=550 5.7.1 no", "Refused | Refused"),
        ("Milter: accepted", "ignored"),
        (
            "STARTTLS=server, relay=a.example [198.51.100.7], version=TLSv1.3, verify=NO",
            "Seen from 198.51.100.7",
        ),
        ("STARTTLS=client, relay=mx.b.example., version=TLSv1.3", "ignored"),
    ]);
}

#[test]
fn lines_about_envelopes_and_messages() {
    let relay = "proto=ESMTP, daemon=MTA, relay=a.example [198.51.100.7]";
    let envelope = |counts: &str| format!("from=<a@b.example>, {counts}, {relay}");
    let accepted = "Hint Accepted from 198.51.100.7 | Announced from 198.51.100.7";
    let queued = format!("{accepted} | Queued from 198.51.100.7");
    check_texts(&[
        (&envelope("size=9, class=0, nrcpts=1, msgid=<1@b>"), &queued),
        (&envelope("size=9, class=0, pri=30009, nrcpts=1, msgid=<1@b>"), &queued),
        (&envelope("size=9, class=0, nrcpts=0, msgid=<1@b>"), accepted),
        (&envelope("size=0, class=0, nrcpts=1"), accepted),
        (&envelope("size=17, class=0, nrcpts=1"), accepted),
        (
            "from=<\"x>, size=9, class=0, nrcpts=1, msgid=\"@b>, size=0, class=0, nrcpts=1, proto=SMTP, daemon=MTA, relay=[198.51.100.7]",
            "Announced from 198.51.100.7",
        ),
        ("from=root, size=9, class=0, nrcpts=1, msgid=<1@b>, relay=root@localhost", "ignored"),
        ("from=<a@b>, size=9, class=0, nrcpts=1, proto=SMTP, relay=[x]", "rejected relay"),
        (
            "to=<a@D.example>,<b@e.example>, delay=1+00:00:01, xdelay=00:00:01, mailer=esmtp, pri=30151, relay=mx.d.example. [203.0.113.80], dsn=2.0.0, stat=Sent (ok)",
            "Queued | Delivery of `D.example` by 203.0.113.80",
        ),
        (
            "to=<a@d.example>, delay=00:00:01, xdelay=00:00:01, mailer=esmtp, pri=30151, relay=mx.d.example. [203.0.113.80], dsn=4.0.0, stat=Deferred: no",
            "Queued",
        ),
        (
            "to=<a@d.example>, delay=00:00:01, mailer=local, pri=30151, dsn=2.0.0, stat=Sent",
            "Queued",
        ),
        ("to=<a@d.example>, delay=00:00:01, pri=0, stat=aborted by sender", "Seen"),
        ("done; delay=00:00:01, ntries=1", "Removed"),
        ("clone 6B2A00xy000710, owner=list-owner", "Renamed"),
    ]);
}

#[test]
fn other_tags_need_a_queue_id_and_known_words() {
    let words = "[198.51.100.7] did not issue MAIL/EXPN/VRFY/ETRN during connection to MTA";
    check(
        &Format,
        &[
            (
                &format!("Nov  2 10:00:00 mx1 mail-in[7]: 6B2A00xy000711: {words}"),
                "Disconnect Untold from 198.51.100.7",
            ),
            (&format!("Nov  2 10:00:00 mx1 mail-in[7]: {words}"), "not recognised"),
            (
                "Nov  2 10:00:00 mx1 milter[7]: 6B2A00xy000711: from=<a>, relay=[::1]",
                "not recognised",
            ),
            ("Nov  2 10:00:00 mx1 sm-mta[7]: gethostbyaddr(10.0.0.1) failed: 1", "ignored"),
            (
                "Nov  2 10:00:00 mx1 postfix/smtpd[7]: connect from x[198.51.100.7]",
                "not recognised",
            ),
            (
                "Nov  2 10:00:00 mx1 sm-mta[7]: NOQUEUE: connect from a [198.51.100.7]",
                "Connect from 198.51.100.7",
            ),
            (
                "Nov  2 10:00:00 mx1 sm-mta[7]: ruleset=check_relay, arg1=a, arg2=198.51.100.7, relay=a [198.51.100.7], reject=421 4.3.2 no",
                "Refused from 198.51.100.7",
            ),
            (
                "Nov  2 10:00:00 mx1 sm-mta[7]: AUTH=server, relay=a [198.51.100.7] (may be forged), authid=bob, mech=x, mech=PLAIN, bits=0",
                "Auth Ok `bob, mech=x` from 198.51.100.7",
            ),
        ],
    );
}

#[test]
fn a_message_that_a_milter_refuses_is_not_queued() {
    let line = |text: &str| format!("Nov  2 10:00:00 mx1 sm-mta[711]: 6B2A00xy000711: {text}\n");
    let from = "from=<a@b>, size=9, class=0, nrcpts=1, msgid=<1@b>, proto=SMTP, daemon=MTA, relay=[198.51.100.7]";
    let outcome = |log: &str| sessions(&[log.as_bytes()])[0].session.outcome;
    assert_eq!(outcome(&line(from)), Outcome::Queued);
    let refused = [line(from), line("Milter: data, reject=550 5.7.1 Spam")].concat();
    assert_eq!(outcome(&refused), Outcome::Rejected);
}

fn hostile() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"192.0.2.66".to_vec()),
        Just(b"[192.0.2.66]".to_vec()),
        Just(b"x>, relay=y [192.0.2.66], reject=550 z".to_vec()),
        Just(b"x, relay=y [192.0.2.66] (may be forged)".to_vec()),
        Just(b"x>, delay=00:00:00, mailer=esmtp, relay=y [192.0.2.66], stat=Sent (".to_vec()),
        Just(b"x>, size=9, class=0, nrcpts=9, msgid=<x>, proto=ESMTP, relay=[192.0.2.66]".to_vec()),
        Just(b"' [192.0.2.66] didn't use HELO protocol\r".to_vec()),
        Just(b" [192.0.2.66] did not issue MAIL/EXPN/VRFY/ETRN during connection to MTA".to_vec()),
        Just(vec![0xff; 2000]),
        proptest::collection::vec(any::<u8>().prop_filter("a line", |b| *b != b'\n'), 0..60),
    ]
}

proptest! {
    /// Whatever a client says in an address, a message id, a user's name or HELO, it is the client
    /// that the server wrote who is blamed. Addresses are quoted, since no others are accepted.
    #[test]
    fn attribution_cannot_be_steered(text in hostile()) {
        let address: IpAddr = "198.51.100.7".parse().unwrap();
        let quoted: Vec<u8> = text.iter().copied().filter(|b| !b"\"\\".contains(b)).collect();
        let (text, quoted) = (text.as_slice(), quoted.as_slice());
        let lines: [&[&[u8]]; 8] = [
            &[b"from=<\"", quoted, b"\"@b>, size=9, class=0, nrcpts=1, msgid=<1@b>, proto=ESMTP, daemon=MTA, relay=a [198.51.100.7]"],
            &[b"from=<a@b>, size=9, class=0, nrcpts=1, msgid=<", text, b">, proto=ESMTP, daemon=MTA, relay=a [198.51.100.7]"],
            &[b"ruleset=check_rcpt, arg1=<\"", quoted, b"\"@b>, relay=a [198.51.100.7], reject=550 5.7.1 <\"", quoted, b"\"@b>... Relaying denied"],
            &[b"AUTH failure (PLAIN): authentication failure (-13), user=", text, b", relay=a [198.51.100.7]"],
            &[b"AUTH=server, relay=a [198.51.100.7], authid=", text, b", mech=PLAIN, bits=0"],
            &[b"invalid domain name (", text, b") from a [198.51.100.7]"],
            &[b"collect: relay=a [198.51.100.7], from=<", text, b">, info=unexpected close"],
            &[b"a [198.51.100.7]: probable open proxy: command=GET ", quoted, b"\\r\\n"],
        ];
        for parts in lines {
            let head: &[u8] = b"Nov  2 10:00:00 mx1 sm-mta[711]: 6B2A00xy000711: ";
            let raw = [head, &parts.concat()].concat();
            let mut out = Vec::new();
            Format.parse(&envelope::open(&raw), &Columns::NONE, &mut out);
            prop_assert!(!out.is_empty(), "{}", String::from_utf8_lossy(&raw));
            for record in out {
                prop_assert_eq!(record.client, Some(address));
            }
        }
    }

    /// A recipient's text never makes up a next hop.
    #[test]
    fn deliveries_cannot_be_made_up(text in hostile()) {
        let raw = [b"Nov  2 10:00:00 mx1 sm-mta[711]: 6B2A00xy000711: to=<".as_slice(), &text, b"@b>, delay=00:00:01, xdelay=00:00:01, mailer=esmtp, pri=1, relay=m [203.0.113.80], dsn=2.0.0, stat=Sent (ok)"].concat();
        let planted: IpAddr = "192.0.2.66".parse().unwrap();
        let mut out = Vec::new();
        Format.parse(&envelope::open(&raw), &Columns::NONE, &mut out);
        let is_delivery = |record: &MailRecord<'_>| matches!(record.fact, Fact::Delivery { .. });
        prop_assert!(out.iter().any(is_delivery));
        for record in out {
            if let Fact::Delivery { next_hop, .. } = record.fact {
                prop_assert!(next_hop != Some(planted));
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
        let line = [b"Nov  2 10:00:00 mx1 sm-mta[7]: 6B2A00xy000711: ".as_slice(), &raw].concat();
        let mut out = Vec::new();
        Format.parse(&envelope::open(&line), &Columns::NONE, &mut out);
        Format.recognises(&envelope::open(&raw));
    }
}
