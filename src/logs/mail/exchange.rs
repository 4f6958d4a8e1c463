//! Microsoft Exchange: the SMTP receive protocol logs (Frontend and Hub) and the message tracking
//! log.
//!
//! ```text
//! 2026-11-02T10:00:00.100Z,EX1\Default Frontend EX1,08D9A1B2C3D4E5F6,2,10.0.0.25:25,198.51.100.7:40001,<,EHLO probe.example,
//! ```
//!
//! Document: Microsoft Learn, "Protocol logging" and "Search message tracking logs". Rows are CSV
//! in UTC under a `#Fields:` line; a row without one is read in the order of current versions.
//! What is not read: SMTP send logs (same columns, but the connector has no `SERVER\` before its
//! name), tracking events that are neither an SMTP RECEIVE nor an SMTP SEND.

use std::net::IpAddr;
use std::sync::LazyLock;

use memchr::memmem;

use crate::logs::clock::LogTime;
use crate::logs::fields;
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::logs::mail::{
    Answer, End, Fact, Logs, MailFormat, MailRecord, ShowsHelo, Subject, Success, Verb, Weight, key,
};
use crate::model::net::{Endpoint, parse_decimal, parse_ip, parse_port};

/// Microsoft Exchange.
#[derive(Debug, Clone, Copy)]
pub struct Format;

/// The columns that are read, of both logs.
const FIELDS: &[&str] = &[
    "date-time",
    "connector-id",
    "session-id",
    "local-endpoint",
    "remote-endpoint",
    "event",
    "data",
    "context",
    "client-ip",
    "client-hostname",
    "server-ip",
    "server-hostname",
    "source",
    "event-id",
    "internal-message-id",
    "recipient-address",
    "original-client-ip",
];

/// A column, as its place in [`FIELDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Time,
    Connector,
    Session,
    Local,
    Remote,
    Event,
    Data,
    Context,
    ClientIp,
    ClientHost,
    ServerIp,
    ServerHost,
    Source,
    EventId,
    Message,
    Recipients,
    OriginalClient,
}

/// The header of protocol logs of all versions.
const PROTOCOL_HEADER: &[u8] = b"date-time,connector-id,session-id,sequence-number,\
    local-endpoint,remote-endpoint,event,data,context";

/// The header of tracking logs since Exchange 2013.
const TRACKING_HEADER: &[u8] = b"date-time,client-ip,client-hostname,server-ip,server-hostname,\
    source-context,connector-id,source,event-id,internal-message-id,message-id,\
    network-message-id,recipient-address,recipient-status,total-bytes,recipient-count,\
    related-recipient-address,reference,message-subject,sender-address,return-path,message-info,\
    directionality,tenant-id,original-client-ip";

/// Columns that a row is cut into; more are of no use here.
const MOST_COLUMNS: usize = 32;

impl MailFormat for Format {
    fn name(&self) -> &'static str {
        "exchange"
    }

    fn product(&self) -> &'static str {
        "Microsoft Exchange receive protocol and message tracking logs"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"#Fields:", b"connector-id", b"session-id", b"remote-endpoint"]
    }

    fn shows_helo(&self) -> ShowsHelo {
        ShowsHelo::WithSetting(
            "Exchange writes the conversation only for receive connectors whose \
             ProtocolLoggingLevel is Verbose (Set-ReceiveConnector -ProtocolLoggingLevel Verbose); \
             the message tracking log shows accepted messages only.",
        )
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        Cells::cut(line.raw).row(&NO_HEADER).kind() != Kind::None
    }

    fn marks(&self) -> &'static [&'static [u8]] {
        &[b",<,", b",>,", b",+,", b",-,", b",*,", b",SMTP,"]
    }

    fn header(&self, line: &[u8]) -> Option<Columns> {
        let names =
            line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).strip_prefix(b"#Fields: ")?;
        let columns = read_header(names);
        let known = [Field::Time, Field::Connector];
        let kind = [Field::Session, Field::EventId];
        let has = |field: &Field| columns.position(*field as usize).is_some();
        (known.iter().all(has) && kind.iter().any(has)).then_some(columns)
    }

    fn logs(&self) -> Logs {
        Logs::Commands
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        columns: &Columns,
        out: &mut Vec<MailRecord<'a>>,
    ) -> Outcome {
        if line.raw.starts_with(b"#") || line.raw.starts_with(b"\xef\xbb\xbf#") {
            return Outcome::Ignored;
        }
        let cells = Cells::cut(line.raw);
        let row = cells.row(columns);
        parse_row(line, &row, row.kind(), out)
    }

    fn parse_own<'a>(
        &self,
        line: &Line<'a>,
        columns: &Columns,
        out: &mut Vec<MailRecord<'a>>,
    ) -> Option<Outcome> {
        let cells = Cells::cut(line.raw);
        cells.parse_own(&cells.row(&NO_HEADER), line, columns, out)
    }

    fn parse_bare<'a>(
        &self,
        raw: &'a [u8],
        columns: &Columns,
        out: &mut Vec<MailRecord<'a>>,
    ) -> Option<(Line<'a>, Outcome)> {
        let cells = Cells::cut(raw);
        let own = cells.row(&NO_HEADER);
        // A comma behind the time: no syslog head.
        own.time()?;
        let line = Line::bare(raw);
        Some((line, cells.parse_own(&own, &line, columns, out)?))
    }
}

fn parse_row<'a>(
    line: &Line<'a>,
    row: &Row<'a, '_>,
    kind: Kind,
    out: &mut Vec<MailRecord<'a>>,
) -> Outcome {
    match kind {
        Kind::Protocol => parse_protocol(line, row, out),
        Kind::Tracking => parse_tracking(line, row, out),
        Kind::None => Outcome::Rejected(Reject::new("row", "the columns of the #Fields line")),
    }
}

fn read_header(names: &[u8]) -> Columns {
    Columns::find(FIELDS, names.split(|&b| b == b','), b',')
}

static NO_HEADER: Columns = Columns::NONE;

/// The columns of protocol logs without a header.
static PROTOCOL: LazyLock<Columns> = LazyLock::new(|| read_header(PROTOCOL_HEADER));

/// The columns of tracking logs without a header.
static TRACKING: LazyLock<Columns> = LazyLock::new(|| read_header(TRACKING_HEADER));

/// A line cut at its commas.
struct Cells<'a> {
    cells: [&'a [u8]; MOST_COLUMNS],
    count: usize,
}

/// A row and where its columns stand.
struct Row<'a, 'c> {
    cells: &'c Cells<'a>,
    columns: &'c Columns,
}

/// Which log a row is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Protocol,
    Tracking,
    None,
}

impl<'a> Cells<'a> {
    /// Cuts a line; one that does not begin as a time does has no cells.
    fn cut(raw: &'a [u8]) -> Self {
        let raw = raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw);
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        let mut cells: [&[u8]; MOST_COLUMNS] = [&[]; MOST_COLUMNS];
        let mut count = 0usize;
        let starts_with_time = raw.first().is_some_and(u8::is_ascii_digit);
        if starts_with_time {
            for (cell, column) in cells.iter_mut().zip(fields::columns(raw, b',')) {
                *cell = column;
                count = count.saturating_add(1);
            }
        }
        Self { cells, count }
    }

    /// The row; without a header the current order of whichever log fits.
    fn row<'c>(&'c self, columns: &'c Columns) -> Row<'a, 'c> {
        if !columns.is_empty() {
            return Row { cells: self, columns };
        }
        let protocol = Row { cells: self, columns: &PROTOCOL };
        if protocol.kind() == Kind::Protocol {
            return protocol;
        }
        Row { cells: self, columns: &TRACKING }
    }

    /// Reads a line that is one of ours without any header (`own`), by the header in force.
    fn parse_own(
        &self,
        own: &Row<'a, '_>,
        line: &Line<'a>,
        columns: &Columns,
        out: &mut Vec<MailRecord<'a>>,
    ) -> Option<Outcome> {
        let kind = own.kind();
        if kind == Kind::None {
            return None;
        }
        // Most headers are those of the current versions.
        if columns.is_empty() || columns == own.columns {
            return Some(parse_row(line, own, kind, out));
        }
        let row = self.row(columns);
        Some(parse_row(line, &row, row.kind(), out))
    }
}

impl<'a> Row<'a, '_> {
    fn get(&self, field: Field) -> &'a [u8] {
        let at = self.columns.position(field as usize);
        at.and_then(|at| self.cells.cells.get(at)).copied().unwrap_or_default()
    }

    fn kind(&self) -> Kind {
        // 16 hexadecimal digits in all versions so far; nothing promises it.
        let id = |text: &[u8]| {
            (4..=64).contains(&text.len()) && text.iter().all(u8::is_ascii_alphanumeric)
        };
        let word = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_uppercase);
        if !self.get(Field::Time).ends_with(b"Z") {
            Kind::None
        } else if id(self.get(Field::Session)) && is_event(self.get(Field::Event)) {
            Kind::Protocol
        } else if word(self.get(Field::Source)) && word(self.get(Field::EventId)) && self.is_whole()
        {
            Kind::Tracking
        } else {
            Kind::None
        }
    }

    /// Whether the row reaches the last column that is read; a subject with a line end cuts it.
    fn is_whole(&self) -> bool {
        let last = self.columns.position(Field::OriginalClient as usize);
        last.or(self.columns.position(Field::Recipients as usize))
            .is_some_and(|at| at < self.cells.count)
    }

    fn time(&self) -> Option<LogTime> {
        let text = self.get(Field::Time);
        LogTime::parse_iso(text).filter(|(_, used)| *used == text.len()).map(|(time, _)| time)
    }
}

fn is_event(text: &[u8]) -> bool {
    matches!(text, b"+" | b"-" | b"<" | b">" | b"*")
}

/// One row of a receive log. Endpoints stand before the client's text; the text is quoted.
fn parse_protocol<'a>(
    line: &Line<'a>,
    row: &Row<'a, '_>,
    out: &mut Vec<MailRecord<'a>>,
) -> Outcome {
    // Send connectors belong to the organisation and have no server before their name.
    let Some((server, _)) = fields::split_once(row.get(Field::Connector), b'\\') else {
        return Outcome::Ignored;
    };
    let Some(time) = row.time() else {
        return Outcome::Rejected(Reject::new("date-time", "an ISO 8601 time in UTC"));
    };
    let remote = row.get(Field::Remote);
    let (Some(client), Some(local)) =
        (parse_endpoint(remote), parse_endpoint(row.get(Field::Local)))
    else {
        return Outcome::Rejected(Reject::new("remote-endpoint", "address:port of both ends"));
    };
    let subject = Subject::Session(key(&[row.get(Field::Session), remote]));
    let mut say = |fact| {
        out.push(MailRecord {
            time: Some(time),
            server: Some(server),
            client: Some(client.ip),
            client_port: Some(client.port),
            local_ip: Some(local.ip),
            local_port: Some(local.port),
            ..MailRecord::new(line, subject, fact)
        });
    };
    let data = row.get(Field::Data);
    match row.get(Field::Event) {
        b"+" => say(Fact::Connect),
        b"-" => say(Fact::Disconnect { end: End::Lost, summary: None }),
        b"<" => say(command(data)),
        b">" => {
            say(reply(data));
            if let Some(queue) = queued_id(data) {
                say(Fact::Queued { queue: Some(queue) });
            }
        }
        _ => say(note(data, row.get(Field::Context))),
    }
    Outcome::Event
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

/// One row of a tracking log. An SMTP RECEIVE names the client of a message; where the protocol
/// log told of it already, only the message's way goes on.
fn parse_tracking<'a>(
    line: &Line<'a>,
    row: &Row<'a, '_>,
    out: &mut Vec<MailRecord<'a>>,
) -> Outcome {
    let message = row.get(Field::Message);
    if row.get(Field::Source) != b"SMTP" || parse_decimal(message).is_none() {
        return Outcome::Ignored;
    }
    let Some(time) = row.time() else {
        return Outcome::Rejected(Reject::new("date-time", "an ISO 8601 time in UTC"));
    };
    let queue = key(&[message]);
    let record = |server, fact| MailRecord {
        time: Some(time),
        server: Some(unqualified(server)),
        ..MailRecord::new(line, Subject::Message(queue), fact)
    };
    match row.get(Field::EventId) {
        b"RECEIVE" => {
            let Some(client) = submitter(row) else { return Outcome::Ignored };
            let server = row.get(Field::ServerHost);
            let ends = |fact| MailRecord {
                client: Some(client),
                local_ip: parse_ip(row.get(Field::ServerIp)),
                ..record(server, fact)
            };
            out.push(ends(Fact::Queued { queue: Some(queue) }));
            // Exchange takes no MAIL before HELO.
            let (answer, weight) = (Answer::Accepted, Weight::Hint);
            out.push(ends(Fact::Helo { answer, weight, name: None }));
        }
        b"SEND" => {
            let server = row.get(Field::ClientHost);
            let next_hop = parse_ip(row.get(Field::ServerIp));
            for recipient in row.get(Field::Recipients).split(|&b| b == b';').take(64) {
                let at = memchr::memrchr(b'@', recipient).map(|at| at.saturating_add(1));
                let domain = at.and_then(|at| recipient.get(at..)).unwrap_or_default();
                let fact = Fact::Delivery { next_hop, domain, queued_as: None };
                out.push(record(server, fact));
            }
        }
        _ => return Outcome::Ignored,
    }
    Outcome::Event
}

/// Who brought a message: behind a Frontend service its client, else the client itself.
fn submitter(row: &Row<'_, '_>) -> Option<IpAddr> {
    let original = parse_ip(row.get(Field::OriginalClient));
    original.filter(|ip| !ip.is_loopback()).or_else(|| parse_ip(row.get(Field::ClientIp)))
}

/// A host name without its domain, as protocol logs write the server.
fn unqualified(host: &[u8]) -> &[u8] {
    if parse_ip(host).is_some() { host } else { fields::until_any(host, b".") }
}

/// Reads `10.0.0.25:25` or `[2001:db8::25]:25`.
fn parse_endpoint(text: &[u8]) -> Option<Endpoint> {
    let colon = memchr::memrchr(b':', text)?;
    let ip = parse_ip(text.get(..colon)?)?;
    let port = parse_port(text.get(colon.checked_add(1)?..)?)?;
    Some(Endpoint::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::mail::testing::{check, printed, sessions};
    use crate::model::session::Outcome as Reached;

    fn row(event: &str) -> String {
        format!(
            "2026-11-02T10:00:00.1Z,EX1\\Default,08D9A1B2C3D4E5F6,2,10.0.0.25:25,\
             198.51.100.7:40001,{event}"
        )
    }

    #[test]
    fn rows_of_the_protocol_log() {
        let ends = " from 198.51.100.7:40001 to 10.0.0.25:25";
        for (event, expected) in [
            ("+,,", "Connect"),
            ("-,,Remote", "Disconnect Lost"),
            ("<,EHLO probe.example,", "Command Helo `probe.example`"),
            ("<,\"HELO a, \"\"b\"\"\",", "Command Helo `a, \"\"b\"\"`"),
            ("<,MAIL FROM:<a@example.com>,", "Command Mail"),
            (">,250-more,", "Seen"),
            (">,250 ok,", "Reply 250"),
            (">,hello,", "Seen"),
            ("*,,Inbound AUTH NTLM failed because of LogonDenied", "Auth Failed"),
            ("*,EXAMPLE\\bob,authenticated", "Auth Ok `EXAMPLE\\bob`"),
            ("*,,Tarpit", "Seen"),
        ] {
            check(&Format, &[(&row(event), &format!("{expected}{ends}"))]);
        }
        check(&Format, &[("2026-11-02 10:00:00,x,y", "not recognised"), ("", "not recognised")]);
        let send = row("+,,").replace("EX1\\Default", "Internet Send");
        let bad = row("+,,").replace("198.51.100.7:40001", "198.51.100.7");
        check(&Format, &[(&send, "ignored"), (&bad, "rejected remote-endpoint")]);
    }

    #[test]
    fn a_message_is_told_once_by_both_logs() {
        let protocol = [
            row("+,,"),
            row("<,EHLO x,"),
            row(">,250 hello,"),
            row(">,\"250 2.6.0 <a@b> [InternalId=77, Hostname=ex1] Queued mail for delivery\","),
            row("-,,Remote"),
        ]
        .join("\n");
        let tracked = |ends: &str, event: &str| {
            format!(
                "2026-11-02T10:00:01.1Z,{ends},,c,SMTP,{event},77,<a@b>,1,v@foreign.example,,1,1,,,s,a,b,,,,,,"
            )
        };
        let tracking = [
            tracked("198.51.100.7,probe.example,10.0.0.25,EX1", "RECEIVE"),
            tracked("10.0.0.25,EX1,192.0.2.25,mx.foreign.example", "SEND"),
        ]
        .join("\n");
        for logs in [[&protocol, &tracking], [&tracking, &protocol]] {
            let found = sessions(&[logs[0].as_bytes(), logs[1].as_bytes()]);
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].session.outcome, Reached::Relayed);
            assert_eq!(found[0].session.helo_name.as_deref(), Some("x"));
        }
        assert!(printed(tracking.as_bytes()).contains(r#""outcome":"relayed""#));
    }

    #[test]
    fn headers_of_both_logs() {
        for header in [PROTOCOL_HEADER, TRACKING_HEADER] {
            assert!(Format.header(&[b"#Fields: ", header].concat()).is_some());
        }
        assert!(Format.header(b"#Fields: date time s-ip").is_none());
        assert!(Format.header(b"#Version: 15.0.0.0").is_none());
    }
}
