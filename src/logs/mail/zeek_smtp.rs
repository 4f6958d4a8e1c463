//! Zeek (Bro) `smtp.log`, tab-separated or JSON: one row a mail transaction.
//!
//! ```text
//! #fields  ts  uid  id.orig_h  id.orig_p  id.resp_h  id.resp_p  trans_depth  helo  mailfrom  ...
//! 1793613600.123456  CHhAvVGS1DHFjwGM9  198.51.100.7  40001  203.0.113.25  25  1  probe.example ...
//! ```
//!
//! Zeek documentation, `base/protocols/smtp/main.zeek`. A row is written only once MAIL, RCPT or
//! STARTTLS was seen: after the reply to the message, before the next MAIL, or at the connection's
//! end. `helo` is what the client sent; `last_reply` is the server's, and the only reply there is.
//! Not read: the message's headers, but that there were any.

use memchr::memmem;

use crate::logs::clock::LogTime;
use crate::logs::json::Json;
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::logs::mail::{
    Answer, Fact, MailFormat, MailRecord, ShowsHelo, Subject, Success, Weight, key,
};
use crate::model::net::{Endpoint, parse_decimal, parse_ip, parse_port};

/// The format.
#[derive(Debug, Clone, Copy)]
pub struct Format;

/// The fields that are read; from `date` on they come from the message.
const WANTED: [&str; 19] = [
    "ts",
    "uid",
    "id.orig_h",
    "id.orig_p",
    "id.resp_h",
    "id.resp_p",
    "helo",
    "mailfrom",
    "rcptto",
    "last_reply",
    "tls",
    "date",
    "from",
    "to",
    "reply_to",
    "msg_id",
    "subject",
    "first_received",
    "user_agent",
];

/// Where the message's headers begin in [`WANTED`].
const HEADERS: usize = 11;

/// What stands in a server's reply to a message that it took, whatever the server.
const TAKEN: [&[u8]; 5] = [b"queued", b"Queued", b"id=", b"accepted for delivery", b" qp "];

impl MailFormat for Format {
    fn name(&self) -> &'static str {
        "zeek_smtp"
    }

    fn product(&self) -> &'static str {
        "Zeek smtp.log (tab-separated, JSON)"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"id.orig_h", b"id.resp_h", b"helo", b"mailfrom", b"last_reply"]
    }

    fn shows_helo(&self) -> ShowsHelo {
        ShowsHelo::Never(
            "Zeek writes no row for a session that stops after HELO, and of others the HELO that \
             was sent, not its answer; use the mail server's own log.",
        )
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        if memchr::memchr(b'\t', line.raw).is_some() {
            Row::cut(line.raw).is_some_and(|row| row.path.is_some())
        } else {
            is_record(line.raw)
        }
    }

    fn marks(&self) -> &'static [&'static [u8]] {
        &[b"\tC", b"\"trans_depth\""]
    }

    fn header(&self, line: &[u8]) -> Option<Columns> {
        let names = line.strip_prefix(b"#fields\t")?.trim_ascii_end();
        let columns = Columns::find(&WANTED, names.split(|&b| b == b'\t'), b'\t');
        let has = |name: &str| {
            let field = WANTED.iter().position(|wanted| *wanted == name);
            field.and_then(|field| columns.position(field)).is_some()
        };
        (has("helo") && has("mailfrom")).then_some(columns)
    }

    fn idle_seconds(&self) -> i64 {
        // Rows of one connection lie as far apart as its messages.
        6 * 3600
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        columns: &Columns,
        out: &mut Vec<MailRecord<'a>>,
    ) -> Outcome {
        if line.raw.starts_with(b"#") || columns.is_empty() && !self.recognises(line) {
            return Outcome::Ignored;
        }
        let Some(fields) = read_fields(line.raw, columns) else {
            return Outcome::Rejected(Reject::new("row", "the columns of smtp.log"));
        };
        match parse(line, &fields, out) {
            Ok(()) => Outcome::Event,
            Err(reject) => Outcome::Rejected(reject),
        }
    }
}

/// Whether a JSON line is a row of `smtp.log`; `http.log` counts transactions too.
fn is_record(raw: &[u8]) -> bool {
    const OWN: [&[u8]; 4] = [b"\"helo\":", b"\"mailfrom\":", b"\"rcptto\":", b"\"last_reply\":"];
    let has = |mark: &[u8]| memmem::find(raw, mark).is_some();
    has(b"\"trans_depth\"") && has(b"\"id.orig_h\"") && OWN.iter().any(|mark| has(mark))
}

/// Columns that a row is cut into; more are of no use here.
const MOST_COLUMNS: usize = 40;

/// A tab-separated row. The first seven columns have been the same since Bro 2; `path` begins with
/// the two ends of the connection, which tells `smtp.log` from every other log.
struct Row<'a> {
    cells: Vec<&'a [u8]>,
    path: Option<usize>,
}

impl<'a> Row<'a> {
    fn cut(raw: &'a [u8]) -> Option<Self> {
        let cells: Vec<&[u8]> = raw.split(|&b| b == b'\t').take(MOST_COLUMNS).collect();
        let [_, uid, orig, _, resp, ..] = *cells.as_slice() else { return None };
        if !uid.starts_with(b"C") || uid.len() < 12 {
            return None;
        }
        let is_path = |cell: &&[u8]| {
            let tail = cell.strip_prefix(resp).and_then(|rest| rest.strip_prefix(b","));
            tail.and_then(|tail| tail.strip_prefix(orig))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b","))
        };
        // The client's own text stands before the path, so the last one counts.
        let path = cells.iter().rposition(is_path);
        Some(Self { cells, path })
    }

    /// The usual place of a field in a row whose header is missing.
    fn usual_place(&self, field: usize) -> Option<usize> {
        match field {
            0..=5 => Some(field),
            6..=8 => Some(field + 1),
            9 => self.path?.checked_sub(1),
            10 => self.path?.checked_add(2),
            11..=13 => Some(field - 1),
            _ => None,
        }
    }
}

/// A row's fields in the order of [`WANTED`].
type Fields<'a> = [Option<&'a [u8]>; WANTED.len()];

fn read_fields<'a>(raw: &'a [u8], header: &Columns) -> Option<Fields<'a>> {
    if memchr::memchr(b'\t', raw).is_none() {
        let object = Json::read_object(raw)?;
        return Some(WANTED.map(|name| object.get(name).and_then(Json::shown)));
    }
    let row = Row::cut(raw)?;
    Some(std::array::from_fn(|field| {
        let place = if header.is_empty() { row.usual_place(field) } else { header.position(field) };
        let cell = row.cells.get(place?).copied()?;
        (!matches!(cell, b"-" | b"(empty)" | b"")).then_some(cell)
    }))
}

fn parse<'a>(
    line: &Line<'a>,
    fields: &Fields<'a>,
    out: &mut Vec<MailRecord<'a>>,
) -> Result<(), Reject> {
    let [time, uid, orig, orig_port, resp, resp_port, helo, mail, rcpt, reply, tls, ..] = *fields;
    let uid = uid.ok_or(Reject::new("uid", "a connection's id"))?;
    let client = end((orig, "id.orig_h"), (orig_port, "id.orig_p"))?;
    let server = end((resp, "id.resp_h"), (resp_port, "id.resp_p"))?;
    let sensor = line.host.unwrap_or_default();
    let mut say = |fact| {
        out.push(MailRecord {
            time: time.and_then(parse_time).or(line.time),
            // The head's host is the sensor, not the mail server.
            server: None,
            client: Some(client.ip),
            client_port: Some(client.port),
            local_ip: Some(server.ip),
            local_port: Some(server.port),
            ..MailRecord::new(line, Subject::Session(key(&[uid, sensor])), fact)
        });
    };
    say(match helo {
        Some(_) => Fact::Helo { answer: Answer::Sent, weight: Weight::Proof, name: helo },
        None => Fact::Seen,
    });
    let code = reply.and_then(reply_code);
    let in_mail = mail.or(rcpt).is_some();
    let went_on = in_mail && matches!(code, Some(250 | 251 | 252 | 354));
    if helo.is_some() && (went_on || matches!(tls, Some(b"T" | b"true"))) {
        say(Fact::Helo { answer: Answer::Accepted, weight: Weight::Hint, name: None });
    }
    let has_headers = fields.iter().skip(HEADERS).any(Option::is_some);
    let is_taken =
        || reply.is_some_and(|text| TAKEN.iter().any(|m| memmem::find(text, m).is_some()));
    match code {
        Some(250) if has_headers || (in_mail && is_taken()) => say(Fact::Queued { queue: None }),
        Some(235) => say(Fact::Auth { success: Success::Ok, user: None }),
        Some(534 | 535) => say(Fact::Auth { success: Success::Failed, user: None }),
        Some(400..) => say(Fact::Refused),
        _ => {}
    }
    Ok(())
}

/// The code of `250 2.0.0 Ok: queued as ABC`.
fn reply_code(reply: &[u8]) -> Option<u16> {
    let code = reply.get(..3).and_then(parse_decimal)?;
    let whole = matches!(reply.get(3), None | Some(b' '));
    u16::try_from(code).ok().filter(|code| whole && (200..=599).contains(code))
}

/// An epoch with a fraction, or ISO 8601 by the writer's setting.
fn parse_time(text: &[u8]) -> Option<LogTime> {
    LogTime::parse_epoch(text).or_else(|| LogTime::parse_iso(text).map(|(time, _)| time))
}

type Field<'a> = (Option<&'a [u8]>, &'static str);

fn end((ip, ip_field): Field<'_>, (port, port_field): Field<'_>) -> Result<Endpoint, Reject> {
    let ip = ip.and_then(parse_ip).ok_or(Reject::new(ip_field, "an IPv4 or IPv6 address"))?;
    let port = port.and_then(parse_port);
    let port = port.ok_or(Reject::new(port_field, "a port from 0 to 65535"))?;
    Ok(Endpoint::new(ip, port))
}

#[cfg(test)]
mod tests;
