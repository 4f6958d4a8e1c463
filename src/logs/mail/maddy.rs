//! maddy: its smtp and submission endpoints and its queue, on standard error (journald, Docker),
//! in a file or through syslog.
//!
//! `2026-11-02T10:00:00.123Z smtp: incoming message<TAB>{"msg_id":"83bd4059","sender":"a@b.example","src_host":"probe.example","src_ip":"198.51.100.7:40001"}`
//!
//! Document: the source, `internal/endpoint/smtp/session.go`. `incoming message` is MAIL, which is
//! refused without HELO, and `src_host` its name; a client that only says HELO leaves no line.
//! Sessions are known by the client's address and port, messages by `msg_id`. Skipped: lmtp, the
//! debug lines, and the dialogue of `io_debug`, which names no client.

use std::net::IpAddr;

use crate::logs::clock::LogTime;
use crate::logs::fields::until_any;
use crate::logs::json::Json;
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::logs::mail::fact::{Answer, Fact, MailRecord, Subject, Success, Weight, key};
use crate::logs::mail::{MailFormat, ShowsHelo};
use crate::model::net::{parse_ip, parse_port};

/// The format.
pub struct Format;

impl MailFormat for Format {
    fn name(&self) -> &'static str {
        "maddy"
    }

    fn product(&self) -> &'static str {
        "maddy (smtp, submission, queue)"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"smtp: incoming message", b"\"src_ip\"", b"\"src_host\"", b"\"msg_id\""]
    }

    fn shows_helo(&self) -> ShowsHelo {
        ShowsHelo::Never(
            "maddy logs nothing before MAIL, and what io_debug adds names no client; use a packet \
             capture or Suricata (smtp events) in front of it",
        )
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        Entry::parse(line).is_some()
    }

    fn marks(&self) -> &'static [&'static [u8]] {
        &[b"\"msg_id\":", b"\"src_ip\":"]
    }

    fn idle_seconds(&self) -> i64 {
        900
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        _columns: &Columns,
        out: &mut Vec<MailRecord<'a>>,
    ) -> Outcome {
        let Some(entry) = Entry::parse(line) else { return Outcome::Ignored };
        let before = out.len();
        match entry.event {
            Event::Delivered => entry.delivered(out),
            _ if !entry.of_endpoint() => {}
            Event::Incoming | Event::AuthFailed | Event::Address => {
                if let Err(reject) = entry.conversation(out) {
                    return Outcome::Rejected(reject);
                }
            }
            Event::Accepted | Event::Aborted | Event::Refused | Event::Recipient => {
                entry.message(out);
            }
        }
        if out.len() > before { Outcome::Event } else { Outcome::Ignored }
    }
}

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// MAIL.
    Incoming,
    AuthFailed,
    /// Anything else that names the client.
    Address,
    /// The message was accepted.
    Accepted,
    /// The message was given up before that.
    Aborted,
    /// MAIL, RCPT or DATA was refused.
    Refused,
    /// RCPT was accepted.
    Recipient,
    /// The queue delivered the message for one recipient.
    Delivered,
}

/// The messages that are read. The server writes them as they stand here.
const EVENTS: &[(&[u8], Event)] = &[
    (b"incoming message", Event::Incoming),
    (b"authentication failed", Event::AuthFailed),
    (b"rDNS error", Event::Address),
    (b"too many RCPT errors, possible dictonary attack", Event::Address),
    (b"MAIL FROM repeated error a lot of times, possible dictonary attack", Event::Address),
    (b"accepted", Event::Accepted),
    (b"aborted", Event::Aborted),
    (b"MAIL FROM error", Event::Refused),
    (b"MAIL FROM error (deferred)", Event::Refused),
    (b"RCPT error", Event::Refused),
    (b"DATA error", Event::Refused),
    (b"RCPT ok", Event::Recipient),
    (b"delivered", Event::Delivered),
];

/// A line of maddy: who wrote it, what it is about, and its fields.
#[derive(Debug, Clone, Copy)]
struct Entry<'a> {
    line: Line<'a>,
    module: &'a [u8],
    event: Event,
    fields: Json<'a>,
}

impl<'a> Entry<'a> {
    /// `module: message<TAB>{fields}`, behind a syslog head whose tag may be the module, behind
    /// the name of a container, or behind maddy's own time.
    fn parse(line: &Line<'a>) -> Option<Self> {
        let brace = memchr::memchr(b'{', line.body)?;
        let (head, fields) = line.body.split_at_checked(brace)?;
        let (time, head) = take_time(skip_container(head));
        let head = head.trim_ascii_end();
        let head = head.strip_suffix(b"#011").unwrap_or(head).trim_ascii();
        let (module, message) = split_module(head, line.tag);
        let (_, event) = EVENTS.iter().find(|(known, _)| *known == message)?;
        let fields = Json::read(fields)?;
        fields.get("msg_id").or_else(|| fields.get("src_ip"))?;
        let line = Line { time: time.or(line.time), ..*line };
        Some(Self { line, module, event: *event, fields })
    }

    /// Whether an SMTP endpoint wrote it.
    fn of_endpoint(&self) -> bool {
        let endpoint = until_any(self.module, b"/");
        endpoint == b"smtp" || endpoint == b"submission"
    }

    /// A line that names the client.
    fn conversation(&self, out: &mut Vec<MailRecord<'a>>) -> std::result::Result<(), Reject> {
        const NO_CLIENT: Reject = Reject::new("src_ip", "address:port of the client");
        let source = self.fields.text_of("src_ip").ok_or(NO_CLIENT)?;
        let (client, port) = parse_endpoint(source).ok_or(NO_CLIENT)?;
        let subject = Subject::Session(key(&[b"maddy", source]));
        let mut say = |fact| {
            out.push(MailRecord {
                client: Some(client),
                client_port: Some(port),
                ..MailRecord::new(&self.line, subject, fact)
            });
        };
        match self.event {
            Event::Incoming => {
                let name = self.fields.text_of("src_host");
                say(Fact::Helo { answer: Answer::Accepted, weight: Weight::Hint, name });
                if let Some(user) = self.fields.text_of("username") {
                    say(Fact::Auth { success: Success::Ok, user: Some(user) });
                }
                if let Some(queue) = self.queue() {
                    say(Fact::Announced { queue });
                }
            }
            Event::AuthFailed => say(Fact::Auth { success: Success::Failed, user: None }),
            _ => say(Fact::Seen),
        }
        Ok(())
    }

    /// A line that names the message only.
    fn message(&self, out: &mut Vec<MailRecord<'a>>) {
        let Some(queue) = self.queue() else { return };
        let fact = match self.event {
            Event::Accepted => Fact::Queued { queue: Some(queue) },
            Event::Aborted => Fact::Removed,
            Event::Refused => Fact::Refused,
            _ => Fact::Seen,
        };
        out.push(MailRecord::new(&self.line, Subject::Message(queue), fact));
    }

    /// A line of the queue, which sends to other hosts; mail for local boxes passes it by.
    fn delivered(&self, out: &mut Vec<MailRecord<'a>>) {
        let of_queue = self.module.is_empty() || self.module.ends_with(b"queue");
        let (Some(queue), true) = (self.queue(), of_queue) else { return };
        let recipient = self.fields.text_of("rcpt").unwrap_or_default();
        let domain = memchr::memrchr(b'@', recipient)
            .and_then(|at| recipient.get(at.saturating_add(1)..))
            .unwrap_or_default();
        let fact = Fact::Delivery { next_hop: None, domain, queued_as: None };
        out.push(MailRecord::new(&self.line, Subject::Message(queue), fact));
    }

    fn queue(&self) -> Option<u64> {
        self.fields.text_of("msg_id").map(|id| key(&[b"maddy", id]))
    }
}

/// What follows `container  | `, which `docker compose logs` puts before every line.
fn skip_container(text: &[u8]) -> &[u8] {
    let name = until_any(text, b" |:{");
    let rest = text.get(name.len()..).unwrap_or_default().trim_ascii_start();
    match rest.strip_prefix(b"| ") {
        Some(rest) if !name.is_empty() => rest,
        _ => text,
    }
}

/// maddy's own time, or Docker's.
fn take_time(text: &[u8]) -> (Option<LogTime>, &[u8]) {
    LogTime::parse_iso(text)
        .and_then(|(time, used)| Some((Some(time), text.get(used..)?.strip_prefix(b" ")?)))
        .unwrap_or((None, text))
}

/// `module: message`; the module may have been taken for a syslog tag.
fn split_module<'a>(head: &'a [u8], tag: Option<&'a [u8]>) -> (&'a [u8], &'a [u8]) {
    let module = until_any(head, b": ");
    match head.get(module.len()..).and_then(|rest| rest.strip_prefix(b": ")) {
        Some(message) => (module, message.trim_ascii_start()),
        None => (tag.filter(|tag| *tag != b"maddy").unwrap_or_default(), head),
    }
}

/// `address:port` or `[address]:port`.
fn parse_endpoint(text: &[u8]) -> Option<(IpAddr, u16)> {
    let at = memchr::memrchr(b':', text)?;
    let (address, port) = (text.get(..at)?, text.get(at.checked_add(1)?..)?);
    let address = address.strip_prefix(b"[").map_or(address, |inner| until_any(inner, b"]"));
    Some((parse_ip(address)?, parse_port(port)?))
}

#[cfg(test)]
mod tests;
