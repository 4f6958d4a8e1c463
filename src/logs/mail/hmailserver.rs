//! hMailServer; columns apart by tabs.
//!
//! ```text
//! "SMTPD" 4512 154 "2026-11-02 10:00:05.204" "198.51.100.7" "RECEIVED: HELO probe.example"
//! ```
//!
//! Document: hMailServer reference, "Logging" (SMTP must be ticked). `SMTPD` has thread, session,
//! local time, client and text, with `[nl]` for the line ends of a reply. A `TCPIP` row alone has the
//! server's port, but no session: on plain ports the same thread sends the greeting next. On 465
//! a TLS handshake comes first, and other ports may be other services': such rows are not read.
//! `DEBUG` rows tell when a session ended. A client's bare line feed stands raw in its row: the rest
//! is no row, unless the client gave it the full shape of one, which nothing tells from a real
//! row. What else is not read: `SMTPC` (deliveries).

use crate::logs::clock::LogTime;
use crate::logs::fields::{after, split_once};
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::logs::mail::{End, Fact, Logs, MailFormat, MailRecord, ShowsHelo, Subject, Verb, key};
use crate::model::net::{Endpoint, parse_decimal, parse_ip, parse_port};

/// hMailServer.
#[derive(Debug, Clone, Copy)]
pub struct Format;

/// Ports that speak SMTP, with the greeting first.
const PLAIN_PORTS: [u16; 4] = [25, 26, 587, 2525];

impl MailFormat for Format {
    fn name(&self) -> &'static str {
        "hmailserver"
    }

    fn product(&self) -> &'static str {
        "hMailServer"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"\"SMTPD\"", b"RECEIVED:", b"SENT:"]
    }

    fn shows_helo(&self) -> ShowsHelo {
        ShowsHelo::WithSetting(
            "hMailServer writes the conversation only with logging enabled and SMTP ticked \
             (Settings, Logging); TCP/IP adds the port, Debug the end of each session.",
        )
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        Row::cut(line.raw).is_some()
    }

    fn marks(&self) -> &'static [&'static [u8]] {
        &[b"\"SMTPD\"\t", b"\t\"TCP - ", b"\t\"Ending session "]
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
        let Some(row) = Row::cut(line.raw) else {
            return Outcome::Rejected(Reject::new("row", "source, thread, columns in quotes"));
        };
        match row.source {
            b"SMTPD" => parse_talk(line, &row, out),
            b"TCPIP" => parse_connection(line, &row, out),
            b"DEBUG" => parse_end(line, &row, out),
            _ => Outcome::Ignored,
        }
    }
}

/// The start of a row of any kind.
struct Row<'a> {
    source: &'a [u8],
    thread: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Row<'a> {
    /// Cuts `"SMTPD"`, thread and what follows apart.
    fn cut(raw: &'a [u8]) -> Option<Self> {
        let raw = raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw);
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        let (source, rest) = split_once(raw.strip_prefix(b"\"")?, b'"')?;
        let known: [&[u8]; 10] = [
            b"SMTPD",
            b"SMTPC",
            b"TCPIP",
            b"DEBUG",
            b"APPLICATION",
            b"ERROR",
            b"POP3D",
            b"POP3C",
            b"IMAPD",
            b"BACKUP",
        ];
        let (thread, rest) = split_once(rest.strip_prefix(b"\t")?, b'\t')?;
        parse_decimal(thread)?;
        known.contains(&source).then_some(Self { source, thread, rest })
    }
}

/// The next column, in quotes, and what follows its tab.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (inner, rest) = split_once(text.strip_prefix(b"\"")?, b'"')?;
    Some((inner, rest.strip_prefix(b"\t")?))
}

/// The last column: up to the quote at the end, which is missing where the text has a line feed.
fn last(text: &[u8]) -> Option<&[u8]> {
    let text = text.strip_prefix(b"\"")?;
    Some(text.strip_suffix(b"\"").unwrap_or(text))
}

/// The time, if it is one and nothing else.
fn whole_time(text: &[u8]) -> Option<LogTime> {
    LogTime::parse_iso(text).filter(|(_, used)| *used == text.len()).map(|(time, _)| time)
}

/// A row of the conversation. All that the server writes stands before the text.
fn parse_talk<'a>(line: &Line<'a>, row: &Row<'a>, out: &mut Vec<MailRecord<'a>>) -> Outcome {
    const SHAPE: Reject = Reject::new("row", "thread, session, time, address, text");
    let cut = || {
        let (session, rest) = split_once(row.rest, b'\t')?;
        parse_decimal(session)?;
        let (time, rest) = quoted(rest)?;
        let (client, rest) = quoted(rest)?;
        Some((session, whole_time(time)?, client, last(rest)?))
    };
    let Some((session, time, client, text)) = cut() else { return Outcome::Rejected(SHAPE) };
    let Some(client) = parse_ip(client) else {
        return Outcome::Rejected(Reject::new("address", "an IP address"));
    };
    let session = key(&[session]);
    let mut tell = |key, fact| {
        out.push(MailRecord {
            time: Some(time),
            client: Some(client),
            ..MailRecord::new(line, Subject::Session(key), fact)
        });
    };
    if let Some(command) = text.strip_prefix(b"RECEIVED: ") {
        tell(session, command_of(command));
    } else if let Some(reply) = text.strip_prefix(b"SENT: ") {
        if is_greeting(reply) {
            tell(accept_key(row.thread), Fact::Renamed { queue: session });
        }
        say_reply(reply, |fact| tell(session, fact));
    } else {
        tell(session, Fact::Seen);
    }
    Outcome::Event
}

/// `TCP - 198.51.100.7 connected to 203.0.113.25:25.`
fn parse_connection<'a>(line: &Line<'a>, row: &Row<'a>, out: &mut Vec<MailRecord<'a>>) -> Outcome {
    let cut = || {
        let (time, rest) = quoted(row.rest)?;
        let text = last(rest)?.strip_prefix(b"TCP - ")?;
        let (client, _) = split_once(text, b' ')?;
        let local = after(text, b" connected to ")?.strip_suffix(b".")?;
        Some((time, parse_ip(client)?, endpoint(local)?))
    };
    let Some((time, client, local)) = cut() else { return Outcome::Ignored };
    let time = whole_time(time).or(line.time);
    let subject = Subject::Session(accept_key(row.thread));
    if !PLAIN_PORTS.contains(&local.port) {
        // What the thread accepted before was never greeted; no later greeting is its.
        let fact = Fact::Renamed { queue: key(&[b"dropped", row.thread]) };
        out.push(MailRecord { time, ..MailRecord::new(line, subject, fact) });
        return Outcome::Event;
    }
    out.push(MailRecord {
        time,
        client: Some(client),
        local_ip: Some(local.ip),
        local_port: Some(local.port),
        ..MailRecord::new(line, subject, Fact::Connect)
    });
    Outcome::Event
}

/// `Ending session 154`, of whatever service: an end alone opens no session.
fn parse_end<'a>(line: &Line<'a>, row: &Row<'a>, out: &mut Vec<MailRecord<'a>>) -> Outcome {
    let cut = || {
        let (time, rest) = quoted(row.rest)?;
        let session = last(rest)?.strip_prefix(b"Ending session ")?;
        let session = session.strip_suffix(b".").unwrap_or(session);
        parse_decimal(session).map(|_| (whole_time(time), session))
    };
    let Some((time, session)) = cut() else { return Outcome::Ignored };
    let fact = Fact::Disconnect { end: End::Lost, summary: None };
    let record = MailRecord::new(line, Subject::Session(key(&[session])), fact);
    out.push(MailRecord { time: time.or(line.time), ..record });
    Outcome::Event
}

/// The key of a connection from its accept to its greeting, which one thread does at a time.
fn accept_key(thread: &[u8]) -> u64 {
    key(&[b"accept", thread])
}

/// Reads `203.0.113.25:25` or `2001:db8::25:25`.
fn endpoint(text: &[u8]) -> Option<Endpoint> {
    let (ip, port) = text.split_at_checked(memchr::memrchr(b':', text)?)?;
    Some(Endpoint::new(parse_ip(ip)?, parse_port(port.strip_prefix(b":")?)?))
}

/// What the client sent.
fn command_of(command: &[u8]) -> Fact<&[u8]> {
    let (verb, argument) = Verb::parse(command);
    let name = (verb == Verb::Helo && !argument.is_empty()).then_some(argument);
    Fact::Command { verb, name }
}

fn is_greeting(reply: &[u8]) -> bool {
    reply.starts_with(b"220") && !reply.starts_with(b"220 Ready to start TLS")
}

/// What the server sent. The greeting opens the session; after 221 and 421 it closes it.
fn say_reply<'a>(reply: &[u8], mut say: impl FnMut(Fact<&'a [u8]>)) {
    // Sent in place of a 5xx reply.
    let too_many = reply.starts_with(b"Too many invalid commands");
    let code = reply.get(..3).and_then(parse_decimal).and_then(|code| u16::try_from(code).ok());
    let Some(code) = code.or(too_many.then_some(500)) else {
        return say(Fact::Seen);
    };
    if is_greeting(reply) {
        say(Fact::Connect);
    }
    // Nobody asked anything of an idle connection: it is lost, not refused.
    if !reply.starts_with(b"421 Connection timeout") {
        say(Fact::Reply { code });
    }
    match code {
        221 => say(Fact::Disconnect { end: End::Orderly, summary: None }),
        421 => say(Fact::Disconnect { end: End::Lost, summary: None }),
        _ if too_many => say(Fact::Disconnect { end: End::Lost, summary: None }),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::logs::mail::testing::{check, printed, sessions};
    use crate::model::session::Helo;

    fn row(session: u32, text: &str) -> String {
        format!("\"SMTPD\"\t12\t{session}\t\"2026-11-02 10:00:00.1\"\t\"198.51.100.7\"\t\"{text}\"")
    }

    fn short(source: &str, text: &str) -> String {
        format!("\"{source}\"\t12\t\"2026-11-02 10:00:00.1\"\t\"{text}\"")
    }

    #[test]
    fn rows_and_what_they_say() {
        for (text, facts) in [
            ("SENT: 220 mx ESMTP", &["Renamed", "Connect", "Reply 220"][..]),
            ("SENT: 220 Ready to start TLS", &["Reply 220"]),
            ("RECEIVED: HELO a \"b\"", &["Command Helo `a \"b\"`"]),
            ("RECEIVED: HELO", &["Command Helo"]),
            ("RECEIVED: ***", &["Command Other"]),
            ("SENT: 250-mx[nl]250 AUTH LOGIN", &["Reply 250"]),
            ("SENT: 221 goodbye", &["Reply 221", "Disconnect Orderly"]),
            ("SENT: 421 late", &["Reply 421", "Disconnect Lost"]),
            ("SENT: 421 Connection timeout.", &["Disconnect Lost"]),
            ("SENT: Too many invalid commands. Bye!", &["Reply 500", "Disconnect Lost"]),
            ("SENT: hello", &["Seen"]),
            ("note", &["Seen"]),
        ] {
            let expected: Vec<String> =
                facts.iter().map(|fact| format!("{fact} from 198.51.100.7")).collect();
            check(&Format, &[(&row(7, text), &expected.join(" | "))]);
        }
        let open = row(7, "RECEIVED: HELO a");
        let cut = open.strip_suffix('"').unwrap();
        check(&Format, &[(cut, "Command Helo `a` from 198.51.100.7"), ("b\"", "not recognised")]);
    }

    #[test]
    fn rows_of_other_kinds() {
        let ends = "from 198.51.100.7 to 203.0.113.25:25";
        let to = |port: u16| format!("TCP - 198.51.100.7 connected to 203.0.113.25:{port}.");
        let opens = format!("Connect {ends}");
        let opens_six = "Connect from 2001:db8::7 to 2001:db8::25:25";
        for (source, text, expected) in [
            ("TCPIP", &*to(25), &*opens),
            ("TCPIP", "TCP - 2001:db8::7 connected to 2001:db8::25:25.", opens_six),
            ("TCPIP", &to(465), "Renamed"),
            ("TCPIP", &to(110), "Renamed"),
            ("TCPIP", "TCP - Connection dropped - No matching IP range.", "ignored"),
            ("DEBUG", "Ending session 154", "Disconnect Lost"),
            ("DEBUG", "Ending session x", "ignored"),
            ("DEBUG", &to(25), "ignored"),
            ("APPLICATION", "SMTPDeliverer - Message 1: done", "ignored"),
            ("NOTICE", "x", "not recognised"),
            ("SMTPD", "x", "rejected row"),
        ] {
            check(&Format, &[(&short(source, text), expected)]);
        }
        let bad = row(7, "SENT: 220 mx").replace("198.51.100.7", "198.51.100");
        check(&Format, &[(&bad, "rejected address"), ("\"SMTPD\"\tx\t", "not recognised")]);
    }

    #[test]
    fn a_greeting_takes_the_port_that_its_thread_accepted() {
        let accept = |port: u16| {
            short("TCPIP", &format!("TCP - 198.51.100.7 connected to 203.0.113.25:{port}."))
        };
        let thread = |row: String| row.replace("\t12\t", "\t13\t");
        let log = [
            accept(587),
            thread(accept(25)),
            thread(row(8, "SENT: 220 mx")),
            row(7, "SENT: 220 mx"),
            thread(accept(25)),
            thread(accept(465)),
            thread(row(9, "SENT: 220 mx")),
            row(7, "RECEIVED: HELO a"),
            row(7, "SENT: 250 Hello."),
            short("DEBUG", "Ending session 7"),
            short("DEBUG", "Ending session 8"),
        ]
        .join("\n");
        let found = sessions(&[log.as_bytes()]);
        let told: Vec<_> = found.iter().map(|f| (f.session.local_port, f.session.helo)).collect();
        let expected = [
            (Some(587), Helo::Accepted),
            (Some(25), Helo::None),
            // Never greeted; the last greeting is not its.
            (Some(25), Helo::Unknown),
            (None, Helo::Unknown),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn an_end_alone_is_no_session() {
        assert_eq!(printed(short("DEBUG", "Ending session 9").as_bytes()), "");
    }

    proptest! {
        /// Whatever a client sends in one line, the session is found and it is the client that
        /// connected; a line feed makes no row of what follows.
        #[test]
        fn attribution_cannot_be_steered(
            text in prop_oneof![
                Just(b"x\"\t\"192.0.2.66\"\t\"SENT: 250 Hello.".to_vec()),
                Just(b"x\"\r\"SMTPD\"\t1\t2\t\"192.0.2.66\"".to_vec()),
                Just(b"x\n192.0.2.66\"\t\"SENT: 250 Hello.".to_vec()),
                Just(b"x\n\"SMTPD\"\t1\t7\t\"192.0.2.66\"\t\"SENT: 250".to_vec()),
                Just(b"TCP - 192.0.2.66 connected to 192.0.2.66:25.".to_vec()),
                Just(vec![b'"'; 2000]),
                Just(vec![0xff; 2000]),
                proptest::collection::vec(any::<u8>(), 0..60),
            ],
        ) {
            let mut log = short("TCPIP", "TCP - 198.51.100.7 connected to 203.0.113.25:25.").into_bytes();
            log.push(b'\n');
            log.extend([row(7, "SENT: 220 mx").as_bytes(), b"\n"].concat());
            let open = row(7, "RECEIVED: EHLO ");
            let open = open.strip_suffix('"').unwrap_or(&open);
            log.extend([open.as_bytes(), &text, b"\"\n"].concat());
            log.extend(row(7, "SENT: 550 no").as_bytes());
            let found = sessions(&[&log]);
            prop_assert_eq!(found.len(), 1);
            let session = &found[0].session;
            prop_assert_eq!(session.client, Some("198.51.100.7".parse().unwrap()));
            prop_assert_eq!(session.local_port, Some(25));
            prop_assert_eq!(session.helo, Helo::Rejected);
        }
    }
}
