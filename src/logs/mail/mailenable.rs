//! MailEnable: the SMTP activity log (`SMTP-Activity-YYMMDD.log`), columns apart by tabs.
//!
//! ```text
//! 11/02/26 10:00:00 SMTP-IN 6AB90D17F2.MAI 880 198.51.100.7 EHLO EHLO probe.example 250-example.com [198.51.100.7], this server offers 4 extensions 120 18
//! ```
//!
//! Document: MailEnable knowledge base, ME020170. Columns are local time, direction, message file,
//! socket, client, command, its line (`{blank}` for a user name), reply, bytes out and in, user. A
//! session is a socket and client between two greetings: its message file changes from message to
//! message. Dates are MM/DD/YY or DD/MM/YY by the server's locale: read by their values where these
//! decide, else as MM/DD. What is not read: `SMTP-OU` (deliveries, whose files have other names),
//! the debug log, the W3C copy, and replies of rows in which a client's tabs may have moved them.

use crate::logs::clock::{Civil, LogTime};
use crate::logs::fields::split_once;
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::logs::mail::{
    End, Fact, Logs, MailFormat, MailRecord, ShowsHelo, Subject, Success, Verb, key,
};
use crate::model::net::{parse_decimal, parse_ip};

/// MailEnable.
#[derive(Debug, Clone, Copy)]
pub struct Format;

/// Columns of a row; versions leave the last one or two out.
const MOST_COLUMNS: usize = 12;

impl MailFormat for Format {
    fn name(&self) -> &'static str {
        "mailenable"
    }

    fn product(&self) -> &'static str {
        "MailEnable SMTP activity log"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"SMTP-IN", b"EHLO", b"250"]
    }

    fn shows_helo(&self) -> ShowsHelo {
        ShowsHelo::Default(
            "MailEnable's SMTP activity log has every command with its reply; it is on unless \
             switched off (SMTP connector, Logging).",
        )
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        Row::cut(line.raw).is_some()
    }

    fn marks(&self) -> &'static [&'static [u8]] {
        &[b"\tSMTP-IN\t"]
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
            return Outcome::Rejected(Reject::new("row", "time, direction, file, socket, client"));
        };
        if row.direction != b"SMTP-IN" {
            return Outcome::Ignored;
        }
        let Some(client) = parse_ip(row.client) else {
            return Outcome::Rejected(Reject::new("client", "an IP address"));
        };
        let subject = Subject::Session(key(&[row.socket, row.client]));
        row.say(|fact| {
            out.push(MailRecord {
                time: Some(row.time),
                client: Some(client),
                ..MailRecord::new(line, subject, fact)
            });
        });
        Outcome::Event
    }
}

/// A row; all that the server alone writes stands before the command.
struct Row<'a> {
    time: LogTime,
    direction: &'a [u8],
    socket: &'a [u8],
    client: &'a [u8],
    /// Command, its line, reply, bytes out and in, user; missing ones are empty.
    cells: [&'a [u8]; MOST_COLUMNS - 5],
    /// Columns after the client.
    count: usize,
}

impl<'a> Row<'a> {
    fn cut(raw: &'a [u8]) -> Option<Self> {
        let raw = raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw);
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        let (time, rest) = split_once(raw, b'\t')?;
        let (direction, rest) = split_once(rest, b'\t')?;
        if !matches!(direction, b"SMTP-IN" | b"SMTP-OU") {
            return None;
        }
        let time = parse_time(time)?;
        let (_file, rest) = split_once(rest, b'\t')?;
        let (socket, rest) = split_once(rest, b'\t')?;
        let (client, rest) = split_once(rest, b'\t')?;
        parse_decimal(socket)?;
        let mut cells: [&[u8]; MOST_COLUMNS - 5] = [&[]; MOST_COLUMNS - 5];
        let mut columns = rest.split(|&b| b == b'\t');
        for (cell, column) in cells.iter_mut().zip(columns.by_ref()) {
            *cell = column;
        }
        let count = memchr::memchr_iter(b'\t', rest).count().saturating_add(1);
        Some(Self { time, direction, socket, client, cells, count })
    }

    /// The reply's code, if it stands in its place: a client's tab before it would leave something
    /// else than bytes out and in behind it, or too many columns.
    fn code(&self) -> Option<u16> {
        let [_, _, reply, sent, received, ..] = self.cells;
        let in_place = self.count <= self.cells.len()
            && parse_decimal(sent).is_some()
            && parse_decimal(received).is_some();
        let code = reply.get(..3).and_then(parse_decimal).filter(|_| in_place)?;
        u16::try_from(code).ok().filter(|code| (200..600).contains(code))
    }

    /// What the row says: the greeting, or a command and its reply.
    fn say(&self, mut say: impl FnMut(Fact<&'a [u8]>)) {
        let [command, argument, _, _, _, user, _] = self.cells;
        let code = self.code();
        if command.is_empty() {
            say(if code == Some(220) { Fact::Connect } else { Fact::Seen });
        } else {
            say(command_of(command, argument));
        }
        let Some(code) = code else { return };
        say(Fact::Reply { code });
        match code {
            221 => say(Fact::Disconnect { end: End::Orderly, summary: None }),
            235 if !user.is_empty() => {
                say(Fact::Auth { success: Success::Ok, user: Some(user) });
            }
            421 => say(Fact::Disconnect { end: End::Lost, summary: None }),
            _ => {}
        }
    }
}

/// The client's command; its line stands beside it, with the command once more.
fn command_of<'a>(command: &'a [u8], line: &'a [u8]) -> Fact<&'a [u8]> {
    let (verb, _) = Verb::parse(command);
    let name = match Verb::parse(line) {
        (Verb::Helo, argument) => argument,
        _ => line.trim_ascii(),
    };
    let name = (verb == Verb::Helo && !name.is_empty()).then_some(name);
    Fact::Command { verb, name }
}

/// Reads `11/02/26 10:00:00`, with the month first unless that cannot be.
fn parse_time(text: &[u8]) -> Option<LogTime> {
    let (date, clock) = split_once(text, b' ')?;
    let (first, rest) = split_once(date, b'/')?;
    let (second, year) = split_once(rest, b'/')?;
    let (first, second) = (two_digits(first)?, two_digits(second)?);
    let (month, day) = if first > 12 { (second, first) } else { (first, second) };
    let year = match year.len() {
        2 => 2000u64.checked_add(parse_decimal(year)?)?,
        4 => parse_decimal(year)?,
        _ => return None,
    };
    let (hour, rest) = split_once(clock, b':')?;
    let (minute, second) = split_once(rest, b':')?;
    let civil = Civil {
        year: i32::try_from(year).ok(),
        month,
        day,
        hour: two_digits(hour)?,
        minute: two_digits(minute)?,
        second: two_digits(second)?,
        micros: 0,
        offset: None,
    };
    civil.is_valid().then_some(LogTime::Civil(civil))
}

fn two_digits(text: &[u8]) -> Option<u8> {
    parse_decimal(text).filter(|_| text.len() <= 2).and_then(|number| u8::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::logs::mail::testing::{check, clock, sessions, told};
    use crate::model::session::Helo;

    fn row(rest: &str) -> String {
        format!("11/02/26 10:00:00\tSMTP-IN\t6AB90D17F2.MAI\t880\t198.51.100.7\t{rest}")
    }

    #[test]
    fn rows_and_what_they_say() {
        for (rest, facts) in [
            ("\t\t220 mx ESMTP\t0\t0", &["Connect", "Reply 220"][..]),
            ("EHLO\tEHLO a b\t250-mx [x], this\t120\t11\t\t", &["Command Helo `a b`", "Reply 250"]),
            ("HELO\tprobe\t250 mx\t1\t1", &["Command Helo `probe`", "Reply 250"]),
            ("HELO\tHELO\t501 no\t1\t1", &["Command Helo", "Reply 501"]),
            ("AUTH\t{blank}\t334 UGFz\t18\t6\tbob\t", &["Command Auth", "Reply 334"]),
            (
                "AUTH\t{blank}\t235 Authenticated\t19\t42\tbob@example.com\t",
                &["Command Auth", "Reply 235", "Auth Ok `bob@example.com`"],
            ),
            ("QUIT\tQUIT\t221 bye\t4\t6", &["Command Quit", "Reply 221", "Disconnect Orderly"]),
            ("\t\t421 too many\t4\t6", &["Seen", "Reply 421", "Disconnect Lost"]),
            ("DATA\t\t250 okay\t4\t6\t\t", &["Command Data", "Reply 250"]),
            // A tab of the client's in front of the server's reply.
            ("EHLO\tEHLO x\t250 ok\t501 no\t1\t1", &["Command Helo `x`"]),
            ("EHLO\tEHLO x\t250 ok\t1\t1\t501 no\t1\t1", &["Command Helo `x`"]),
            ("EHLO\tEHLO x", &["Command Helo `x`"]),
            ("", &["Seen"]),
        ] {
            let expected: Vec<String> =
                facts.iter().map(|fact| format!("{fact} from 198.51.100.7")).collect();
            check(&Format, &[(&row(rest), &expected.join(" | "))]);
        }
        let out = row("EHLO\tx\t250 x\t1\t1").replace("SMTP-IN", "SMTP-OU");
        let bad = row("x").replace("198.51.100.7", "198.51.100");
        let file = "[11/02/26 10:00:00]****** LOG FILE STARTED ******";
        check(&Format, &[(&out, "ignored"), (&bad, "rejected client"), (file, "not recognised")]);
        assert_eq!(told(&Format, &row("").replace("880", "x")), "not recognised");
    }

    #[test]
    fn dates_by_their_values() {
        for (text, expected) in [
            ("11/02/26 10:00:00", "2026-11-02T10:00:00Z"),
            ("13/02/26 10:00:00", "2026-02-13T10:00:00Z"),
            ("02/13/2026 9:05:00", "2026-02-13T09:05:00Z"),
            ("13/13/26 10:00:00", ""),
            ("11/02/26 10:00", ""),
            ("11/02/260 10:00:00", ""),
        ] {
            let time = parse_time(text.as_bytes()).and_then(|time| clock().resolve(time));
            let time = time.map(|time| time.to_string()).unwrap_or_default();
            assert_eq!(time, expected, "{text}");
        }
    }

    proptest! {
        /// Whatever a client sends, the session is found and it is the client that connected.
        #[test]
        fn attribution_cannot_be_steered(
            text in prop_oneof![
                Just(b"x\t192.0.2.66\tEHLO\tx\t250 ok\t1\t1".to_vec()),
                Just(b"x\tSMTP-IN\tA.MAI\t880\t192.0.2.66\t\t220 x\t0\t0".to_vec()),
                Just(b"[192.0.2.66] relay=[192.0.2.66] \"".to_vec()),
                Just(b"x\r221 bye".to_vec()),
                Just(vec![b'\t'; 2000]),
                Just(vec![0xff; 2000]),
                proptest::collection::vec(any::<u8>().prop_filter("a line", |b| *b != b'\n'), 0..60),
            ],
        ) {
            let mut log = row("\t\t220 mx\t0\t0\t\t\n").into_bytes();
            log.extend([row("EHLO\tEHLO ").as_bytes(), &text, b"\t550 no\t1\t1\t\t\n"].concat());
            log.extend([row("AUTH\t{blank}\t334 x\t1\t1\t").as_bytes(), &text, b"\t\n"].concat());
            let found = sessions(&[&log]);
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(found[0].session.client, Some("198.51.100.7".parse().unwrap()));
            prop_assert!(matches!(found[0].session.helo, Helo::Rejected | Helo::Unknown));
        }
    }
}
