//! Rows of receive logs: one thing that happened in a session. In: a row. Out: what it says of the
//! session, and both ends. Endpoints stand before the client's text, and the text is quoted.
//!
//! Nearly every row has its columns in the order of current versions, and nothing quoted before the
//! client's text: it is read from its first byte on. Any other row is cut into cells first.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};

use memchr::memmem;

use super::cells::{Field, Row, is_event, is_session};
use crate::logs::clock::LogTime;
use crate::logs::fields;
use crate::logs::line::{Line, Outcome, Reject};
use crate::logs::mail::{End, Fact, MailRecord, Subject, Success, Verb, key};
use crate::model::net::{Endpoint, parse_decimal, parse_ip, parse_port};

pub(super) const BAD_TIME: Reject = Reject::new("date-time", "an ISO 8601 time in UTC");

const BAD_ENDS: Reject = Reject::new("remote-endpoint", "address:port of both ends");

/// The columns of a row of a receive log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReceiveRow<'a> {
    time: Option<LogTime>,
    connector: &'a [u8],
    session: &'a [u8],
    local: &'a [u8],
    remote: &'a [u8],
    event: &'a [u8],
    data: &'a [u8],
    context: &'a [u8],
}

impl<'a> ReceiveRow<'a> {
    /// The columns of a row that was cut into cells.
    pub(super) fn of(row: &Row<'a, '_>) -> Self {
        Self {
            time: row.time(),
            connector: row.get(Field::Connector),
            session: row.get(Field::Session),
            local: row.get(Field::Local),
            remote: row.get(Field::Remote),
            event: row.get(Field::Event),
            data: row.get(Field::Data),
            context: row.get(Field::Context),
        }
    }

    /// The columns of a row as current versions write it; none for every row that is not certainly
    /// one.
    pub(super) fn of_current(raw: &'a [u8]) -> Option<Self> {
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        let (time, rest) = raw.split_first_chunk()?;
        let time = LogTime::parse_iso_millis(time)?;
        let (connector, rest) = unquoted(rest.strip_prefix(b",")?)?;
        let (session, rest) = unquoted(rest)?;
        let (_number, rest) = unquoted(rest)?;
        let (local, rest) = unquoted(rest)?;
        let (remote, rest) = unquoted(rest)?;
        let (event, rest) = rest.split_at_checked(1)?;
        if !is_session(session) || !is_event(event) {
            return None;
        }
        let mut texts = fields::columns(rest.strip_prefix(b",")?, b',');
        let (data, context) = (texts.next()?, texts.next().unwrap_or_default());
        Some(Self { time: Some(time), connector, session, local, remote, event, data, context })
    }

    /// What the row says.
    pub(super) fn tell(&self, line: &Line<'a>, out: &mut Vec<MailRecord<'a>>) -> Outcome {
        // Send connectors belong to the organisation and have no server before their name.
        let Some(slash) = fields::find_near(self.connector, b'\\') else {
            return Outcome::Ignored;
        };
        if self.time.is_none() {
            return Outcome::Rejected(BAD_TIME);
        }
        let Some(talk) = self.talk() else {
            return Outcome::Rejected(BAD_ENDS);
        };
        let record = MailRecord {
            time: self.time,
            server: self.connector.get(..slash),
            client: Some(talk.client.ip),
            client_port: Some(talk.client.port),
            local_ip: Some(talk.local.ip),
            local_port: Some(talk.local.port),
            ..MailRecord::new(line, talk.subject, self.fact())
        };
        out.push(record);
        if self.event == b">"
            && let Some(queue) = queued_id(self.data)
        {
            out.push(MailRecord { fact: Fact::Queued { queue: Some(queue) }, ..record });
        }
        Outcome::Event
    }

    /// The session that the row is of, which mostly is that of the row before.
    fn talk(&self) -> Option<Talk> {
        LAST_TALK.with_borrow_mut(|last| {
            let names = [self.session, self.local, self.remote];
            let known = last.names.iter().zip(names).all(|(known, name)| fields::same(known, name));
            if !known {
                last.talk = Talk::read(names);
                for (known, name) in last.names.iter_mut().zip(names) {
                    known.clear();
                    known.extend_from_slice(name);
                }
            }
            last.talk
        })
    }

    fn fact(&self) -> Fact<&'a [u8]> {
        match self.event {
            b"+" => Fact::Connect,
            b"-" => Fact::Disconnect { end: End::Lost, summary: None },
            b"<" => command(self.data),
            b">" => reply(self.data),
            _ => note(self.data, self.context),
        }
    }
}

/// A session, and who talks in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Talk {
    subject: Subject,
    client: Endpoint,
    local: Endpoint,
}

impl Talk {
    /// The talk of a session's id, the local and the remote endpoint.
    fn read([session, local, remote]: [&[u8]; 3]) -> Option<Self> {
        Some(Self {
            subject: Subject::Session(key(&[session, remote])),
            client: parse_endpoint(remote)?,
            local: parse_endpoint(local)?,
        })
    }
}

/// The session of the last row, by what its row calls it.
#[derive(Debug)]
struct LastTalk {
    names: [Vec<u8>; 3],
    talk: Option<Talk>,
}

thread_local! {
    static LAST_TALK: RefCell<LastTalk> =
        const { RefCell::new(LastTalk { names: [const { Vec::new() }; 3], talk: None }) };
}

/// A cell that is not quoted, and what follows its comma.
fn unquoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if text.first() == Some(&b'"') {
        return None;
    }
    let (cell, rest) = text.split_at_checked(fields::find_near(text, b',')?)?;
    Some((cell, rest.get(1..)?))
}

/// What the client sent.
fn command(data: &[u8]) -> Fact<&[u8]> {
    let (verb, argument) = Verb::parse(data);
    let name = (verb == Verb::Helo && !argument.is_empty()).then_some(argument);
    Fact::Command { verb, name }
}

/// What the server sent: `250 ...`; `250-...` goes on (one row per line up to Exchange 2010).
fn reply(data: &[u8]) -> Fact<&[u8]> {
    let code = data.get(..3).and_then(parse_decimal).and_then(|code| u16::try_from(code).ok());
    match (code, data.get(3)) {
        (Some(code), None | Some(b' ')) => Fact::Reply { code },
        _ => Fact::Seen,
    }
}

/// The message of `250 2.6.0 <id> [InternalId=123, Hostname=ex1] Queued mail for delivery`. The
/// message id is the client's text and stands before it, so the last bracket counts.
fn queued_id(data: &[u8]) -> Option<u64> {
    const MARK: &[u8] = b"[InternalId=";
    if !data.starts_with(b"250 2.6.0 ") {
        return None;
    }
    let at = memmem::rfind(data, MARK)?.checked_add(MARK.len())?;
    let digits = fields::until_any(data.get(at..)?, b",] ");
    parse_decimal(digits).map(|_| key(&[digits]))
}

/// What the server noted.
fn note<'a>(data: &'a [u8], context: &'a [u8]) -> Fact<&'a [u8]> {
    let failed = context.starts_with(b"Inbound AUTH ") || context.starts_with(b"Inbound authent");
    if failed && memmem::find(context, b" failed").is_some() {
        Fact::Auth { success: Success::Failed, user: None }
    } else if context == b"authenticated" {
        let user = (!data.is_empty()).then_some(data);
        Fact::Auth { success: Success::Ok, user }
    } else {
        Fact::Seen
    }
}

/// Reads `10.0.0.25:25` or `[2001:db8::25]:25`.
fn parse_endpoint(text: &[u8]) -> Option<Endpoint> {
    if let Some(endpoint) = parse_v4_endpoint(text) {
        return Some(endpoint);
    }
    let colon = memchr::memrchr(b':', text)?;
    let ip = parse_ip(text.get(..colon)?)?;
    let port = parse_port(text.get(colon.checked_add(1)?..)?)?;
    Some(Endpoint::new(ip, port))
}

/// Reads `10.0.0.25:25` in one pass; none where anything else stands there.
fn parse_v4_endpoint(text: &[u8]) -> Option<Endpoint> {
    if text.len() > LONGEST_V4 {
        return None;
    }
    let (mut address, mut parts) = (0u32, 0u8);
    let (mut number, mut digits) = (0u32, 0u8);
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            number = number.wrapping_mul(10).wrapping_add(u32::from(digit));
            digits = digits.wrapping_add(1);
            continue;
        }
        // A number with a leading zero would be octal elsewhere.
        let least = match digits {
            1 => 0,
            2 => 10,
            3 => 100,
            _ => return None,
        };
        let end = if parts == 3 { b':' } else { b'.' };
        if byte != end || parts > 3 || !(least..256).contains(&number) {
            return None;
        }
        address = address << 8 | number;
        parts = parts.wrapping_add(1);
        (number, digits) = (0, 0);
    }
    let whole = parts == 4 && (1..=5).contains(&digits);
    let port = u16::try_from(number).ok().filter(|_| whole)?;
    Some(Endpoint::new(IpAddr::V4(Ipv4Addr::from_bits(address)), port))
}

/// Bytes of `255.255.255.255:65535`.
const LONGEST_V4: usize = 21;

#[cfg(test)]
mod tests {
    use super::super::cells::{Cells, NO_HEADER};
    use super::*;
    use proptest::prelude::*;

    const ROWS: [&str; 6] = [
        r"2026-11-02T10:00:00.100Z,EX1\Default,08D9A1B2C3D4E5F6,2,10.0.0.25:25,198.51.100.7:4,+,,",
        r"2026-11-02T10:00:00.100Z,EX1\D,08D9A1B2C3D4E5F6,12,[::1]:25,[2001:db8::7]:4,<,EHLO a,",
        r#"2026-11-02T10:00:00.100Z,EX1\D,08D9A1B2,2,10.0.0.25:25,198.51.100.7:4,>,"220 a,b ""c""",x"#,
        r"2026-11-02T10:00:00.100Z,EX1\D,08D9A1B2C3D4E5F6,2,10.0.0.25:25,198.51.100.7:4,*,bob,authenticated",
        r#"2026-11-02T10:00:00.100Z,EX1\D,08D9A1B2,2,10.0.0.25:25,198.51.100.7:4,>,"250 2.6.0 <a@b> [InternalId=7, Hostname=e]","#,
        r"2026-11-02T10:00:00.1Z,Internet Send,08D9A1B2,2,10.0.0.25:25,198.51.100.7:4,-,,Remote",
    ];

    /// What stands in for a part of a row.
    const DAMAGE: [&str; 14] =
        ["", ",", ",,", "\"", "\"\"", "\r", "Z", "#", "+", ".", "0", "-", "\\", "T10:00:00,5Z,"];

    proptest! {
        #[test]
        fn rows_are_cut_alike(
            row in prop::sample::select(&ROWS[..]),
            at in 0usize..150,
            length in 0usize..4,
            damage in prop::sample::select(&DAMAGE[..]),
        ) {
            let row = row.as_bytes();
            let from = at.min(row.len());
            let to = (from + length).min(row.len());
            let raw = [&row[..from], damage.as_bytes(), &row[to..]].concat();
            if let Some(row) = ReceiveRow::of_current(&raw) {
                let cells = Cells::cut(&raw);
                let cut = cells.row(&NO_HEADER);
                prop_assert_eq!(cut.kind(), super::super::cells::Kind::Protocol);
                prop_assert_eq!(row, ReceiveRow::of(&cut));
            }
        }

        #[test]
        fn talks_are_those_of_their_own_rows(
            rows in prop::collection::vec(("A|B", r"1\.2\.3\.4:5|1\.2\.3\.4:6|x|", r"1\.2\.3\.4:5|\[::1\]:6|x"), 1..9),
        ) {
            for (session, local, remote) in &rows {
                let row = ReceiveRow {
                    time: None,
                    connector: b"",
                    session: session.as_bytes(),
                    local: local.as_bytes(),
                    remote: remote.as_bytes(),
                    event: b"+",
                    data: b"",
                    context: b"",
                };
                prop_assert_eq!(row.talk(), Talk::read([row.session, row.local, row.remote]));
            }
        }

        #[test]
        fn endpoints_are_read_alike(text in "[0-9]{0,4}(\\.[0-9]{0,3}){2,4}:?[0-9:.]{0,6}") {
            let colon = memchr::memrchr(b':', text.as_bytes());
            let general = colon.and_then(|colon| {
                let (ip, port) = (&text.as_bytes()[..colon], &text.as_bytes()[colon + 1..]);
                Some(Endpoint::new(parse_ip(ip)?, parse_port(port)?))
            });
            prop_assert_eq!(parse_endpoint(text.as_bytes()), general);
        }
    }

    #[test]
    fn whole_rows_are_read_without_cutting() {
        for row in &ROWS[..5] {
            assert!(ReceiveRow::of_current(row.as_bytes()).is_some(), "{row}");
        }
        let most = "255.255.255.255:65535";
        assert!(parse_v4_endpoint(most.as_bytes()).is_some());
        for text in ["1.2.3.4", "1.2.3:4", "01.2.3.4:5", "1.2.3.256:5", "1.2.3.4:65536", "1.2.3.4:"]
        {
            assert_eq!(parse_v4_endpoint(text.as_bytes()), None, "{text}");
        }
    }
}
