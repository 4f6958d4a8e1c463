//! What each kind of line proves, and that the client whom a line blames is the one the server
//! wrote.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::logs::envelope;

fn records(raw: &[u8]) -> (Outcome, Vec<MailRecord<'_>>) {
    let mut out = Vec::new();
    let outcome = Format.parse(&envelope::open(raw), &Columns::NONE, &mut out);
    (outcome, out)
}

fn facts(raw: &str) -> String {
    let (_, records) = records(raw.as_bytes());
    let word = |record: &MailRecord<'_>| match record.fact {
        Fact::Helo { answer, weight, name } => {
            let name = String::from_utf8_lossy(name.unwrap_or(b"-")).into_owned();
            format!("helo {answer:?} {weight:?} {name}")
        }
        Fact::Auth { success, user } => {
            format!("auth {success:?} {}", String::from_utf8_lossy(user.unwrap_or(b"-")))
        }
        Fact::Ending(end) | Fact::Disconnect { end, .. } => format!("end {end:?}"),
        Fact::Delivery { next_hop, domain, queued_as } => format!(
            "to {:?} {} {}",
            next_hop,
            String::from_utf8_lossy(domain),
            if queued_as.is_some() { "filter" } else { "hop" }
        ),
        Fact::Queued { .. } => "queued".to_owned(),
        Fact::Alone { helo, name, deed } => {
            let name = String::from_utf8_lossy(name.unwrap_or(b"-")).into_owned();
            let deed = if deed == Deed::Refused { "refused" } else { "queued" };
            helo.map_or(format!("alone {deed}"), |helo| format!("alone {helo:?} {name} {deed}"))
        }
        other => format!("{other:?}"),
    };
    records.iter().map(word).collect::<Vec<_>>().join("; ")
}

#[test]
fn lines_and_what_they_prove() {
    let client = "(probe.example) [198.51.100.7]:4001 I=[203.0.113.25]:25";
    let cases = [
        ("SMTP connection from [198.51.100.7]:4001 I=[203.0.113.25]:25 (TCP/IP connection count = 1)".to_owned(), "Connect"),
        (format!("SMTP connection from {client} closed by QUIT"), "helo Accepted Hint probe.example; end Orderly"),
        ("SMTP connection from [198.51.100.7]:4001 lost D=2s".to_owned(), "helo NotSent Hint -; end Lost"),
        (format!("no MAIL in SMTP connection from {client} D=0.2s A=plain:ann C=EHLO,AUTH,QUIT"), "helo Accepted Hint probe.example; auth Ok ann; end Orderly"),
        ("no MAIL in SMTP connection from [198.51.100.7]:4001 D=5s C=QUIT".to_owned(), "helo NotSent Hint -; end Lost"),
        ("no MAIL in SMTP connection from [198.51.100.7]:4001 D=5s X=TLS1.3:x C=EHLO,STARTTLS".to_owned(), "helo Accepted Hint -; end Orderly"),
        (format!("H={client} F=<a@b.example> rejected RCPT <c@d.example>: relay not permitted"), "helo Accepted Hint probe.example; Refused"),
        (format!("H={client} rejected EHLO or HELO probe.example: banned"), "helo Rejected Hint probe.example; Refused"),
        (format!("temporarily rejected \"EHLO probe.example\" from {client}"), "helo Rejected Proof probe.example; Refused"),
        ("rejected EHLO from [198.51.100.7]:4001: syntactically invalid argument(s): _x".to_owned(), "helo Rejected Hint -; Refused"),
        ("[67] rejected MAIL from [198.51.100.7]: no HELO/EHLO given".to_owned(), "helo NotSent Hint -; Refused"),
        ("rejected MAIL from [198.51.100.7]: no HELO/EHLO given".to_owned(), "alone refused"),
        ("H=(probe.example) [198.51.100.7] F=<a@b.example> rejected RCPT <c@d.example>: no".to_owned(), "alone Accepted probe.example refused"),
        ("1xVg28-00002a-3D <= a@b.example H=mx.example [198.51.100.7] P=esmtp S=363".to_owned(), "alone Accepted mx.example queued"),
        ("1xVg28-00002a-3D <= a@b.example H=mx.example [198.51.100.7] P=esmtpa A=plain:ann S=363".to_owned(), "helo Accepted Hint mx.example; auth Ok ann; queued; end Untold"),
        (format!("plain authenticator failed for {client}: 535 Incorrect authentication data (set_id=bob)"), "helo Accepted Hint probe.example; auth Failed -"),
        ("SMTP protocol error in \"AUTH LOGIN\" H=(probe.example) [198.51.100.7]:4001 AUTH command used when not advertised".to_owned(), "helo Accepted Hint probe.example; Refused"),
        ("1xVg28-00002a-3D <= a@b.example H=mx.example [198.51.100.7]:4001 P=esmtpsa X=TLS1.3 A=plain:ann S=363".to_owned(), "helo Accepted Hint mx.example; auth Ok ann; queued"),
        ("1xVg28-00002a-3D <= <> H=[198.51.100.7]:4001 P=smtp S=363".to_owned(), "queued"),
        ("1xVg28-00000000abc-3Dab => v@far.example R=remote T=remote_smtp H=mx.far.example [192.0.2.8] C=\"250 OK\"".to_owned(), "to Some(192.0.2.8) far.example hop"),
        ("1xVg28-00002a-3D => u <u@Local.example> R=filter T=smtp H=localhost [127.0.0.1]:10024 C=\"250 OK id=1xVg29-00002b-3D\"".to_owned(), "to Some(127.0.0.1) Local.example filter"),
        ("1xVg28-00002a-3D => u <u@local.example> R=local_user T=maildir".to_owned(), "Seen"),
        ("1xVg28-00002a-3D Completed".to_owned(), "Removed"),
        ("1xVg28-00002a-3D <= root@b.example U=root P=local S=363".to_owned(), ""),
        ("Start queue run: pid=80".to_owned(), ""),
    ];
    for (text, expected) in cases {
        for head in ["2026-11-02 10:00:00 ", "2026-11-02 10:00:00.123 +0100 "] {
            assert_eq!(facts(&format!("{head}{text}")), expected, "{text}");
        }
        let syslog = format!("Nov  2 10:00:00 mx1 exim[9]: {text}");
        let recognised = Format.recognises(&envelope::open(syslog.as_bytes()));
        assert!(recognised, "{syslog}");
    }
}

#[test]
fn a_missing_address_is_rejected() {
    let (outcome, _) = records(b"2026-11-02 10:00:00 H=(x) [198.51.100.7 rejected RCPT");
    assert_eq!(outcome, Outcome::Rejected(NO_CLIENT));
}

/// Lines with the heads and beginnings that occur, and some that do not.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let head = prop::sample::select(vec![
        "2026-11-02 10:00:00 ",
        "2026-11-02 10:00:00 ",
        "2026-11-02 10:00:01 ",
        "2026-11-02 10:00:00.123 ",
        "2026-11-02 10:00:00 +0100 ",
        "2026-11-02 10:00:00 -0330 ",
        "2026-11-02T10:00:00 ",
        "2026-11-2 10:00:00 1",
        "2026-02-30 10:00:00 ",
        "Nov  2 10:00:00 mx1 exim[9]: ",
    ]);
    let pid = prop::sample::select(vec!["", "", "[67] ", "[x] "]);
    let id = prop::sample::select(vec![
        "",
        "1xVg28-00002a-3D ",
        "1xVg28-00000000abc-3Dab ",
        "1xVg28-00002a-3 ",
    ]);
    let text = prop::sample::select(vec![
        "H=(a.example) [198.51.100.7] F=<x@a.example> rejected RCPT <b@c.example>: no",
        "H=(a.example) [198.51.100.7]:41 rejected EHLO or HELO a.example: no",
        "H=a.example [2001:db8::7] Warning: slow",
        "H=[198.51.100.7] temporarily rejected connection",
        "<= x@a.example H=mail.example [198.51.100.7] P=esmtp S=1",
        "<= x@a.example H=(h) [198.51.100.7]:41 P=esmtpsa A=plain:ann S=1",
        "<= <> R=1xVg28-00002a-3D U=mail P=local S=1",
        "=> a@c.example R=local_user T=maildir_home",
        "-> a@c.example R=dns T=smtp H=mx.example [192.0.2.8] C=\"250 OK\"",
        "== a@c.example R=dns T=smtp defer (-1)",
        "** a@c.example: unrouteable",
        "Completed",
        "Completed QT=1s",
        "SMTP connection from [198.51.100.7] lost D=2s",
        "rejected MAIL from [198.51.100.7]: no HELO/EHLO given",
        "End queue run: pid=80",
    ]);
    (head, pid, id, text)
        .prop_map(|(head, pid, id, text)| format!("{head}{pid}{id}{text}").into_bytes())
}

proptest! {
    /// Whatever a client says in HELO, in its address or as its user, it is the client that
    /// the server wrote who is blamed.
    #[test]
    fn attribution_cannot_be_steered(
        text in prop_oneof![
            Just(b"192.0.2.66".to_vec()),
            Just(b"[192.0.2.66]".to_vec()),
            Just(b"x) [192.0.2.66]:25 I=[192.0.2.66]:25 rejected".to_vec()),
            Just(b"relay=[192.0.2.66], H=(y) [192.0.2.66]".to_vec()),
            Just(b"\" from (y) [192.0.2.66]\r".to_vec()),
            Just(vec![0xff; 2000]),
            proptest::collection::vec(any::<u8>().prop_filter("a line", |b| *b != b'\n'), 0..60),
        ],
    ) {
        let address: IpAddr = "198.51.100.7".parse().unwrap();
        let quoted: Vec<u8> = text.iter().copied().filter(|b| !b"\"\\".contains(b)).collect();
        let lines: [Vec<u8>; 3] = [
            [b"2026-11-02 10:00:00 H=(", text.as_slice(), b") [198.51.100.7]:4001 rejected RCPT <a@b.example>"].concat(),
            [b"2026-11-02 10:00:00 H=(x) [198.51.100.7]:4001 F=<\"".as_slice(), &quoted, b"\"@b.example> rejected RCPT <a@b.example>: no"].concat(),
            [b"2026-11-02 10:00:00 plain authenticator failed for (x) [198.51.100.7]:4001: 535 Incorrect (set_id=", text.as_slice(), b")"].concat(),
        ];
        for raw in &lines {
            let (_, records) = records(raw);
            prop_assert!(!records.is_empty(), "{}", String::from_utf8_lossy(raw));
            for record in records {
                prop_assert_eq!(record.client, Some(address));
            }
        }
    }

    /// What is read in the order of a file, heads remembered, is what each line says by itself.
    #[test]
    fn lines_of_a_file_are_read_as_each_by_itself(
        lines in prop::collection::vec((line(), 0usize..120, prop::sample::select(
            b" :[]()<=>-\0\xffaA9.+".to_vec(),
        ), 0u8..4), 1..20),
    ) {
        for (mut raw, at, byte, kind) in lines {
            match (kind, raw.get_mut(at)) {
                (0, Some(damaged)) => *damaged = byte,
                (1, _) => raw.truncate(at),
                _ => {}
            }
            let (mut own, mut bare) = (Vec::new(), Vec::new());
            let opened = envelope::open(&raw);
            let outcome = Format.parse_own(&opened, &Columns::NONE, &mut own);
            if let Some((time, told)) = Format.parse_bare(&raw, &Columns::NONE, &mut bare) {
                prop_assert_eq!((Some(told), &bare), (outcome, &own));
                let (alone, _) = LogTime::parse_iso(&raw).unwrap();
                prop_assert_eq!(time, Some(alone));
            }
        }
    }

    #[test]
    fn a_refusal_is_one_fact_or_its_parts(
        name in prop::option::of("[a-z]{1,3}"),
        fields in "( X=TLS1.3| F=<\"? ?b@c>| CV=no){0,3}",
        words in "( temporarily)?( rejected)?( EHLO or HELO| RCPT| Warning:| AUTH)?( x)?",
    ) {
        let name = name.map_or(String::new(), |name| format!("({name}) "));
        let text = format!("{name}[198.51.100.7]{fields}{words}");
        let (client, rest) = split_client(text.as_bytes()).unwrap();
        let parts = tell(Kind::Verdict, &client, Lines::One, rest);
        prop_assert_eq!(refused_alone(&client, rest), at_once(&parts));
    }

    #[test]
    fn no_bytes_make_it_panic(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
        let line = [b"2026-11-02 10:00:00 H=".as_slice(), &raw].concat();
        let _ = records(&line);
        let _ = records(&raw);
    }
}
