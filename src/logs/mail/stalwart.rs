//! Stalwart Mail Server: the events of its text log, also behind a journal's or syslog's head and
//! in colours.
//!
//! ```text
//! 2026-11-02T10:00:00Z INFO SMTP EHLO command (smtp.ehlo) listenerId = "smtp", localPort = 25, remoteIp = 198.51.100.7, remotePort = 40001, domain = "probe.example"
//! ```
//!
//! Stalwart documentation, "Events" and "Tracing and logging". The server writes an event's name and
//! the session's ends before anything of the client's; texts are quoted, and quotes inside them
//! older versions do not escape. Events over several lines (`multiline`) are put together by
//! `source::records`, but not where a journal's head stands on each. Skipped: other protocols' events
//! (their listeners authenticate too), raw input and output.

use std::net::IpAddr;

use crate::logs::clock::LogTime;
use crate::logs::fields;
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::logs::mail::{
    Answer, End, Fact, MailFormat, MailRecord, ShowsHelo, Subject, Success, Weight, key,
};
use crate::model::net::{parse_decimal, parse_ip, parse_port};

mod events;

/// The format.
#[derive(Debug, Clone, Copy)]
pub struct Format;

/// The words for an event's level.
const LEVELS: [&[u8]; 5] = [b"INFO", b"DEBUG", b"TRACE", b"WARN", b"ERROR"];

/// How far into a line the level may stand: behind two heads and a time.
const HEAD: usize = 256;

/// How long the description of an event and its name may be.
const TITLE: usize = 160;

impl MailFormat for Format {
    fn name(&self) -> &'static str {
        "stalwart"
    }

    fn product(&self) -> &'static str {
        "Stalwart Mail Server"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"smtp.", b"remoteIp", b"remotePort", b"listenerId"]
    }

    fn shows_helo(&self) -> ShowsHelo {
        ShowsHelo::Default(
            "Stalwart writes every accepted HELO and EHLO at level info (event smtp.ehlo); level \
             debug adds commands that were refused.",
        )
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        Event::read(line.raw).is_some()
    }

    fn marks(&self) -> &'static [&'static [u8]] {
        &[
            b"(smtp.",
            b"(auth.",
            b"(security.",
            b"(queue.",
            b"(delivery.",
            b"(tls.",
            b"(network.",
            b"(milter.",
            b"(mta-hook.",
            b"(sieve.",
        ]
    }

    fn parse<'a>(&self, line: &Line<'a>, _: &Columns, out: &mut Vec<MailRecord<'a>>) -> Outcome {
        let Some(event) = Event::read(line.raw) else { return Outcome::Ignored };
        let told = match event.name.split(|&b| b == b'.').next() {
            Some(b"delivery") => message_facts(&event).map(|fact| vec![fact]),
            _ => session_facts(&event),
        };
        match told {
            Ok(facts) if facts.is_empty() => Outcome::Ignored,
            Ok(facts) => {
                out.extend(facts.into_iter().map(|told| record(line, &event, told)));
                Outcome::Event
            }
            Err(reject) => Outcome::Rejected(reject),
        }
    }
}

/// A fact and what it is about.
type Told<'a> = (Subject, Fact<&'a [u8]>);

fn record<'a>(line: &Line<'a>, event: &Event<'a>, (subject, fact): Told<'a>) -> MailRecord<'a> {
    let is_session = matches!(subject, Subject::Session(_));
    // Without a head of the journal's the level is what stands where a host would.
    let server = line.host.filter(|_| line.tag.is_some_and(|tag| tag.starts_with(b"stalwart")));
    MailRecord {
        time: event.time.or(line.time),
        server,
        client: event.ends.ip.filter(|_| is_session),
        client_port: event.ends.port.filter(|_| is_session),
        local_port: event.ends.local_port.filter(|_| is_session),
        ..MailRecord::new(line, subject, fact)
    }
}

/// What an event says of a session.
fn session_facts<'a>(event: &Event<'a>) -> Result<Vec<Told<'a>>, Reject> {
    if !event.ends.is_mail(event.name) {
        return Ok(Vec::new());
    }
    let facts = events::facts(event.name, event.tail);
    if facts.is_empty() {
        return Ok(Vec::new());
    }
    let ends = &event.ends;
    let (Some(_), Some(_)) = (ends.ip, ends.port) else {
        return Err(Reject::new("remoteIp", "an address and a port of the client"));
    };
    let subject = Subject::Session(key(&[ends.ip_text, ends.port_text, ends.listener]));
    Ok(facts.into_iter().map(|fact| (subject, fact)).collect())
}

/// What an event of a delivery says of its message.
fn message_facts<'a>(event: &Event<'a>) -> Result<Told<'a>, Reject> {
    let queue = events::queue_id(event.tail);
    let queue = queue.ok_or(Reject::new("queueId", "a decimal number"))?;
    let fact = match event.name {
        b"delivery.delivered" => events::delivery(event.tail),
        b"delivery.completed" => Fact::Removed,
        _ => Fact::Seen,
    };
    Ok((Subject::Message(queue), fact))
}

/// One event, cut up to the first field that is not about the session's ends.
#[derive(Debug, Clone, Copy)]
struct Event<'a> {
    time: Option<LogTime>,
    name: &'a [u8],
    ends: Ends<'a>,
    tail: &'a [u8],
}

/// The ends of a session as the server writes them.
#[derive(Debug, Clone, Copy, Default)]
struct Ends<'a> {
    listener: &'a [u8],
    protocol: &'a [u8],
    local_port: Option<u16>,
    ip_text: &'a [u8],
    ip: Option<IpAddr>,
    port_text: &'a [u8],
    port: Option<u16>,
}

impl<'a> Event<'a> {
    fn read(raw: &'a [u8]) -> Option<Self> {
        let (time, rest) = split_at_level(raw)?;
        let title = rest.get(..TITLE).unwrap_or(rest);
        let open = memchr::memchr(b'(', title)?;
        let name = rest.get(open.checked_add(1)?..)?;
        let close = memchr::memchr(b')', name.get(..TITLE).unwrap_or(name))?;
        let (name, fields) = name.split_at_checked(close)?;
        let part = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(b);
        if !name.iter().all(part) || !name.contains(&b'.') {
            return None;
        }
        let fields = fields.strip_prefix(b")")?;
        let fields = fields.strip_prefix(b" ").unwrap_or(fields);
        let (first, _) = split_field(fields)?;
        if !matches!(first, b"listenerId" | b"queueId") {
            return None;
        }
        let (ends, tail) = Ends::read(fields);
        Some(Self { time, name, ends, tail })
    }
}

/// The event's own time, and what follows its level.
fn split_at_level(raw: &[u8]) -> Option<(Option<LogTime>, &[u8])> {
    let head = raw.get(..HEAD).unwrap_or(raw);
    let mut from = 0;
    loop {
        let blank = memchr::memchr(b' ', head.get(from..)?)?.checked_add(from)?;
        from = blank.checked_add(1)?;
        let rest = skip_colour(raw.get(from..)?);
        let level = LEVELS.iter().find_map(|level| rest.strip_prefix(*level));
        let Some(after) = level.and_then(|after| skip_colour(after).strip_prefix(b" ")) else {
            continue;
        };
        let before = raw.get(..blank)?;
        let word = before.rsplit(|&b| b == b' ').next().unwrap_or_default();
        let word = without_colour(word);
        let time = LogTime::parse_iso(word).filter(|(_, used)| *used == word.len());
        if let Some((time, _)) = time {
            return Some((Some(time), skip_colour(after)));
        }
    }
}

/// A text without a colour before and after it.
fn without_colour(text: &[u8]) -> &[u8] {
    let text = skip_colour(text);
    fields::until_any(text, b"\x1b")
}

/// What follows a colour: `ESC [ digits m`.
fn skip_colour(text: &[u8]) -> &[u8] {
    let Some(code) = text.strip_prefix(b"\x1b[") else { return text };
    let digits = code.iter().take(8).take_while(|b| b.is_ascii_digit() || **b == b';').count();
    match code.get(digits..) {
        Some([b'm', rest @ ..]) => skip_colour(rest),
        _ => text,
    }
}

/// The key of the field at the start of the text, and what stands from its value on.
fn split_field(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = skip_colour(text);
    let length = text.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
    let (key, rest) = text.split_at_checked(length)?;
    Some((key, skip_colour(rest).strip_prefix(b" = ")?))
}

impl<'a> Ends<'a> {
    /// Reads the fields at the start of the text that are about a session's ends, and gives what
    /// follows. None of their values is the client's.
    fn read(text: &'a [u8]) -> (Self, &'a [u8]) {
        let mut ends = Self::default();
        let mut rest = text;
        while let Some((name, value)) = split_field(rest) {
            let text = fields::until_any(value, b",");
            match name {
                b"listenerId" => ends.listener = unquoted(text),
                b"protocol" => ends.protocol = unquoted(text),
                b"localPort" => ends.local_port = parse_port(text),
                b"localIp" => {}
                b"remoteIp" => (ends.ip_text, ends.ip) = (text, parse_ip(text)),
                b"remotePort" => (ends.port_text, ends.port) = (text, parse_port(text)),
                _ => break,
            }
            rest = value.get(text.len()..).unwrap_or_default();
            let Some(next) = rest.strip_prefix(b", ") else { break };
            rest = next;
        }
        (ends, rest)
    }

    /// Whether the session is one of SMTP: every listener authenticates and speaks TLS.
    fn is_mail(&self, event: &[u8]) -> bool {
        if event.starts_with(b"smtp.") {
            return true;
        }
        if !self.protocol.is_empty() {
            return self.protocol.eq_ignore_ascii_case(b"smtp");
        }
        let named = [&b"smtp"[..], b"submission", b"lmtp", b"mx"];
        matches!(self.local_port, Some(25 | 465 | 587 | 2525))
            || named.iter().any(|name| self.listener.starts_with(name))
    }
}

fn unquoted(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text)
}

#[cfg(test)]
mod tests;
