//! MDaemon: the SMTP (in) log.
//!
//! ```text
//! Mon 2026-11-02 10:00:00.123: 02: [514116] <-- EHLO probe.example
//! ```
//!
//! Document: MDaemon help, "Logging Settings / Options". `<--` is what the client sent, `-->` what
//! the server answered; times are local. `NN:` (a level) and `[session]` (the option "Log ID string
//! in mail session logs") may be missing. Without `[session]` lines belong to the block that they
//! stand in, as MDaemon writes a session whole when it is over; with "Log sessions in real time"
//! and no ID strings sessions cannot be told apart. What is not read: notes about checks, and the
//! other services' lines, which have the same head (POP, IMAP, outgoing SMTP with its arrows the
//! other way round).

use std::net::IpAddr;

use crate::logs::clock::LogTime;
use crate::logs::fields::{split_once, until_any};
use crate::logs::line::{Columns, Line, Outcome};
use crate::logs::mail::{End, Fact, Logs, MailFormat, MailRecord, ShowsHelo, Subject, Verb, key};
use crate::model::net::{parse_decimal, parse_ip, parse_port};

/// MDaemon.
#[derive(Debug, Clone, Copy)]
pub struct Format;

impl MailFormat for Format {
    fn name(&self) -> &'static str {
        "mdaemon"
    }

    fn product(&self) -> &'static str {
        "MDaemon SMTP (in) log"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"Accepting SMTP connection", b" from ", b" to "]
    }

    fn shows_helo(&self) -> ShowsHelo {
        ShowsHelo::WithSetting(
            "MDaemon logs sessions that sent no message only with \"Log SMTP 'probes'\" (Setup, \
             Server Settings, Logging); \"Log ID string in mail session logs\" tells sessions \
             apart that are logged in real time.",
        )
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        Entry::cut(line.raw).is_some()
    }

    fn marks(&self) -> &'static [&'static [u8]] {
        &[b"Mon 2", b"Tue 2", b"Wed 2", b"Thu 2", b"Fri 2", b"Sat 2", b"Sun 2"]
    }

    fn logs(&self) -> Logs {
        Logs::Commands
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        _columns: &Columns,
        out: &mut Vec<MailRecord<'a>>,
    ) -> Outcome {
        let Some(entry) = Entry::cut(line.raw) else { return Outcome::Ignored };
        let record = |fact| MailRecord {
            time: Some(entry.time),
            ..MailRecord::new(line, Subject::Session(key(&[entry.session])), fact)
        };
        if let Some(ends) = entry.text.strip_prefix(ACCEPTING) {
            out.push(connection(record(Fact::Connect), ends));
        } else if let Some(fact) = fact_of(entry.text) {
            out.push(record(fact));
        } else {
            return Outcome::Ignored;
        }
        Outcome::Event
    }
}

/// How a session begins.
const ACCEPTING: &[u8] = b"Accepting SMTP connection from ";

/// A line without its head.
struct Entry<'a> {
    time: LogTime,
    /// What stands between brackets; empty where the log has no ID strings.
    session: &'a [u8],
    text: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Cuts `Mon 2026-11-02 10:00:00: 05: [514116] text`.
    fn cut(raw: &'a [u8]) -> Option<Self> {
        let raw = raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw);
        let (weekday, rest) = split_once(raw, b' ')?;
        if !matches!(weekday, b"Mon" | b"Tue" | b"Wed" | b"Thu" | b"Fri" | b"Sat" | b"Sun") {
            return None;
        }
        let (time, used) = LogTime::parse_iso(rest)?;
        let text = rest.get(used..)?.strip_prefix(b": ")?;
        let text = match text {
            [a, b, b':', b' ', rest @ ..] if a.is_ascii_digit() && b.is_ascii_digit() => rest,
            _ => text,
        };
        let (session, text) = session_of(text).unwrap_or((b"", text));
        Some(Self { time, session, text: text.trim_ascii_end() })
    }
}

/// Cuts `[514116] ` or `[1:514116] ` off.
fn session_of(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (session, rest) = split_once(text.strip_prefix(b"[")?, b']')?;
    let is_id = session.iter().all(|b| b.is_ascii_digit() || *b == b':');
    let starts = session.first().is_some_and(u8::is_ascii_digit);
    (is_id && starts).then_some((session, rest.strip_prefix(b" ")?))
}

/// Reads `198.51.100.7:40001 to 203.0.113.25:25`, in older versions `[198.51.100.7 : 40001]`.
fn connection<'a>(record: MailRecord<'a>, ends: &'a [u8]) -> MailRecord<'a> {
    let (client, rest) = endpoint(ends);
    let (local, _) = endpoint(rest.strip_prefix(b" to ").unwrap_or_default());
    MailRecord {
        client: client.0,
        client_port: client.1,
        local_ip: local.0,
        local_port: local.1,
        ..record
    }
}

/// Reads one end, in brackets or up to the next blank, and gives what stands after it. MDaemon
/// always writes the port, so the last colon is before it, whatever the address.
fn endpoint(text: &[u8]) -> ((Option<IpAddr>, Option<u16>), &[u8]) {
    let (whole, rest) = match text.strip_prefix(b"[").and_then(|inner| split_once(inner, b']')) {
        Some((inner, rest)) if !rest.starts_with(b":") => (inner, rest),
        _ => {
            let word = until_any(text, b" ");
            (word, text.get(word.len()..).unwrap_or_default())
        }
    };
    let Some(colon) = memchr::memrchr(b':', whole) else {
        return ((parse_ip(whole), None), rest);
    };
    let (ip, port) = whole.split_at_checked(colon).unwrap_or((whole, b""));
    let ip = ip.trim_ascii();
    let ip = ip.strip_prefix(b"[").and_then(|ip| ip.strip_suffix(b"]")).unwrap_or(ip);
    let port = port.strip_prefix(b":").unwrap_or(port).trim_ascii();
    ((parse_ip(ip), parse_port(port)), rest)
}

/// What a line within a session says.
fn fact_of(text: &[u8]) -> Option<Fact<&[u8]>> {
    if let Some(command) = text.strip_prefix(b"<-- ") {
        return command_of(command);
    }
    if let Some(reply) = text.strip_prefix(b"--> ") {
        return reply_of(reply);
    }
    let end = match text.strip_prefix(b"SMTP session ")? {
        rest if rest.starts_with(b"successful") => End::Untold,
        _ => End::Lost,
    };
    Some(Fact::Disconnect { end, summary: None })
}

/// What the client sent, as far as it is SMTP and no other service's. QUIT, which POP has too, is
/// told by its answer; the commands that are left out are answered in order like the others.
fn command_of(command: &[u8]) -> Option<Fact<&[u8]>> {
    let (verb, argument) = Verb::parse(command);
    if matches!(verb, Verb::Quit | Verb::Other) {
        return None;
    }
    let name = (verb == Verb::Helo && !argument.is_empty()).then_some(argument);
    Some(Fact::Command { verb, name })
}

/// What the server answered. A command is logged when it is carried out, so one at most waits, and
/// the first line of a reply settles it: the lines after `250-` answer nothing more, and may be
/// missing ("Log multi-line protocol responses").
fn reply_of(reply: &[u8]) -> Option<Fact<&[u8]>> {
    let code = reply.get(..3).and_then(parse_decimal).and_then(|code| u16::try_from(code).ok())?;
    match (code, reply.get(3)) {
        (221, _) => Some(Fact::Ending(End::Orderly)),
        (200..=599, None | Some(b' ' | b'-')) => Some(Fact::Reply { code }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::logs::mail::testing::{check, printed, sessions, told};
    use crate::model::session::{Helo, Outcome as Reached};

    #[test]
    fn lines_and_what_they_say() {
        for (text, expected) in [
            (
                "Accepting SMTP connection from 198.51.100.7:40001 to 203.0.113.25:587",
                "Connect from 198.51.100.7:40001 to 203.0.113.25:587",
            ),
            (
                "Accepting SMTP connection from [198.51.100.7:40001] to [203.0.113.25:25]",
                "Connect from 198.51.100.7:40001 to 203.0.113.25:25",
            ),
            (
                "Accepting SMTP connection from [198.51.100.7 : 40001]",
                "Connect from 198.51.100.7:40001",
            ),
            (
                "Accepting SMTP connection from [2001:db8::7]:4000 to [2001:db8::25:25]",
                "Connect from 2001:db8::7:4000 to 2001:db8::25:25",
            ),
            ("Accepting SMTP connection from [x.x.x.x:40001]", "Connect from :40001"),
            ("Accepting SMTP connection from", "ignored"),
            ("Accepting POP connection from [198.51.100.7:40001]", "ignored"),
            ("Session 514116; child 0001", "ignored"),
            ("<-- ehlo FE80::x", "Command Helo `FE80::x`"),
            ("<-- HELO", "Command Helo"),
            ("<-- RCPT To:<a@example.com>", "Command Rcpt"),
            ("<-- QUIT", "ignored"),
            ("<-- USER bob", "ignored"),
            ("<-- 250 mx.example", "ignored"),
            ("--> EHLO mx1.example.com", "ignored"),
            ("--> 250-mx1 Hello x, pleased to meet you", "Reply 250"),
            ("--> 550", "Reply 550"),
            ("--> 2500 x", "ignored"),
            ("--> +OK", "ignored"),
            ("--> 221 See ya in cyberspace", "Ending Orderly"),
            ("SMTP session successful (Bytes in/out: 40/200)", "Disconnect Untold"),
            ("SMTP session terminated (Bytes in/out: 40/200)", "Disconnect Lost"),
            ("----------", "ignored"),
        ] {
            let expected = expected.replace("Ending Orderly", "Ending(Orderly)");
            for head in ["", "05: ", "02: [514116] ", "[1:514116] "] {
                let raw = format!("Mon 2026-11-02 10:00:00.1: {head}{text}");
                check(&Format, &[(&raw, &expected)]);
            }
        }
        for raw in ["Mon 2026-11-02 10:00:00 <-- HELO x", "Mxn 2026-11-02 10:00:00: x", "", "Mon "]
        {
            assert_eq!(told(&Format, raw), "not recognised", "{raw}");
        }
    }

    #[test]
    fn outgoing_sessions_give_nothing() {
        let log = "\
Mon 2026-11-02 10:00:00: Session 7; child 1
Mon 2026-11-02 10:00:00: Attempting SMTP connection to [192.0.2.25:25]
Mon 2026-11-02 10:00:00: <-- 220 mx.foreign.example ESMTP
Mon 2026-11-02 10:00:00: --> EHLO mx1.example.com
Mon 2026-11-02 10:00:00: <-- 250 mx.foreign.example
Mon 2026-11-02 10:00:00: --> QUIT
Mon 2026-11-02 10:00:00: SMTP session terminated (Bytes in/out: 40/200)
";
        assert_eq!(printed(log.as_bytes()), "");
    }

    #[test]
    fn a_refused_command_refuses_no_helo() {
        let log = "\
Mon 2026-11-02 10:00:00: [7] Accepting SMTP connection from [198.51.100.7:40001] to [203.0.113.25:25]
Mon 2026-11-02 10:00:00: [7] --> 220 mx1.example.com ESMTP
Mon 2026-11-02 10:00:00: [7] <-- GET / HTTP/1.1
Mon 2026-11-02 10:00:00: [7] --> 500 Unrecognized command
Mon 2026-11-02 10:00:01: [7] SMTP session terminated (Bytes in/out: 16/90)
";
        let found = sessions(&[log.as_bytes()]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].session.helo, Helo::None);
        assert_eq!(found[0].session.outcome, Reached::Rejected);
    }

    proptest! {
        /// Whatever a client sends, the session is found and it is the client that connected.
        #[test]
        fn attribution_cannot_be_steered(
            text in prop_oneof![
                Just(b"x [192.0.2.66:1] to [192.0.2.66:25]".to_vec()),
                Just(b"[9] Accepting SMTP connection from [192.0.2.66:1] to [192.0.2.66:25]".to_vec()),
                Just(b"\r--> 550 no".to_vec()),
                Just(b"relay=[192.0.2.66] \"".to_vec()),
                Just(vec![b'['; 2000]),
                Just(vec![0xff; 2000]),
                proptest::collection::vec(any::<u8>().prop_filter("a line", |b| *b != b'\n'), 0..60),
            ],
        ) {
            for session in ["", "[7] "] {
                let head = format!("Mon 2026-11-02 10:00:00: {session}");
                let mut log = Vec::new();
                for part in [
                    b"Accepting SMTP connection from [198.51.100.7:40001] to [203.0.113.25:25]",
                    b"<-- EHLO ".as_slice(),
                    b"--> 250-mx1 Hello ",
                    b"<-- MAIL From:<",
                    b"SMTP session terminated (Bytes in/out: 1/1)",
                ] {
                    log.extend([head.as_bytes(), part].concat());
                    if part.ends_with(b" ") || part.ends_with(b"<") {
                        log.extend(&text);
                    }
                    log.push(b'\n');
                }
                let found = sessions(&[&log]);
                prop_assert_eq!(found.len(), 1);
                let session = &found[0].session;
                prop_assert_eq!(session.client, Some("198.51.100.7".parse().unwrap()));
                prop_assert_eq!(session.client_port, Some(40001));
                prop_assert_eq!(session.local_port, Some(25));
                prop_assert_eq!(session.helo, Helo::Accepted);
            }
        }
    }
}
