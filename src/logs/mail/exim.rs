//! Exim, the main log (and the reject log, which repeats lines of it), as a file or through syslog.
//!
//! `2026-11-02 10:00:00 [67] H=(probe.example) [198.51.100.7]:40001 I=[203.0.113.25]:25 F=<a@b.example> rejected RCPT <c@d.example>: relay not permitted`
//!
//! Document: the Exim specification, chapter 53, "Log files". The default selectors write nothing
//! for a client that only connects or only says HELO: no line never means that none was accepted.
//! Lines that name the client's port belong to one session by address and port; without port and
//! pid every line is a session of its own. Messages are followed by their id. Skipped: queue runs,
//! local submission, the headers in the reject log.

use std::cell::Cell;

use crate::logs::clock::LogTime;
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::logs::mail::fact::{Answer, Deed, End, Fact, MailRecord, Said, Subject, Weight, key};
use crate::logs::mail::{MailFormat, ShowsHelo};

mod conversation;
mod host;
mod pieces;

use conversation::{
    Facts, Kind, authenticator, locate, logged_in, refused_alone, take_start, tell,
};
use host::{Client, split_client};
use pieces::{
    after_bounce, delivery_fact, protocol_and_login, skip_address, split_id, take_pid, take_zone,
};

/// The format.
pub struct Format;

impl MailFormat for Format {
    fn name(&self) -> &'static str {
        "exim"
    }

    fn product(&self) -> &'static str {
        "Exim main log and reject log"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"H=", b"P=", b"SMTP connection from "]
    }

    fn shows_helo(&self) -> ShowsHelo {
        ShowsHelo::WithSetting(
            "Exim logs an accepted HELO without mail only with log_selector = +smtp_connection \
             +smtp_no_mail +incoming_port +incoming_interface",
        )
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        Entry::parse(line).is_some_and(|entry| entry.is_own())
    }

    fn marks(&self) -> &'static [&'static [u8]] {
        &[
            b" <= ",
            b" => ",
            b" -> ",
            b" H=",
            b"onnection from ",
            b"SMTP ",
            b" rejected ",
            b"authenticator failed",
            b" Completed",
        ]
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
        Entry::parse(line).map_or(Outcome::Ignored, |entry| entry.tell(out))
    }

    fn parse_own<'a>(
        &self,
        line: &Line<'a>,
        _columns: &Columns,
        out: &mut Vec<MailRecord<'a>>,
    ) -> Option<Outcome> {
        Entry::parse(line).filter(Entry::is_own).map(|entry| entry.tell(out))
    }

    fn parse_bare<'a>(
        &self,
        raw: &'a [u8],
        _columns: &Columns,
        out: &mut Vec<MailRecord<'a>>,
    ) -> Option<(Option<LogTime>, Outcome)> {
        let (time, rest) = take_head(raw)?;
        let entry = Entry::of_file(raw, time, rest);
        entry.is_certain().then(|| (Some(time), entry.tell(out)))
    }
}

/// What stands before a client.
const CLIENT_START: &[u8] = b"H=";

/// How the messages begin that name no message id.
const STARTS: &[&[u8]] = &[
    CLIENT_START,
    b"SMTP connection from ",
    b"no MAIL in SMTP connection from ",
    b"rejected EHLO from ",
    b"rejected HELO from ",
    b"rejected MAIL from ",
    b"rejected \"",
    b"temporarily rejected ",
    b"SMTP protocol ",
    b"SMTP syntax error in ",
    b"SMTP call from ",
    b"SMTP command timeout on ",
    b"SMTP data timeout",
    b"unexpected disconnection while reading SMTP command from ",
    b"TLS error on connection from ",
    b"no host name found for IP address ",
    b"no IP address found for host ",
    b"Start queue run: pid=",
    b"End queue run: pid=",
    b"exim 4.",
    b"cwd=",
];

/// How the last line about a message begins.
const COMPLETED: &[u8] = b"Completed";

/// Bytes of the head that most logs have, `2026-11-02 10:00:00 `.
const HEAD_COLUMNS: usize = 20;

thread_local! {
    /// The last such head that the thread read: neighbouring lines often share their second.
    static LAST_HEAD: Cell<Option<([u8; HEAD_COLUMNS], LogTime)>> = const { Cell::new(None) };
}

/// The time that a line begins with, and what follows the blank behind it; read once for lines that
/// follow each other.
fn take_head(raw: &[u8]) -> Option<(LogTime, &[u8])> {
    let Some((head, rest)) = raw.split_first_chunk() else { return take_time(raw) };
    match LAST_HEAD.get() {
        Some((known, time)) if known == *head => Some((time, rest)),
        _ => {
            if let Some((time, [])) = take_time(head) {
                LAST_HEAD.set(Some((*head, time)));
            }
            take_time(raw)
        }
    }
}

/// The same, of a line by itself.
fn take_time(raw: &[u8]) -> Option<(LogTime, &[u8])> {
    let (time, used) = LogTime::parse_iso(raw)?;
    let [b' ', rest @ ..] = raw.get(used..)? else { return None };
    Some((time, rest))
}

/// One entry of the log: its time, process and text.
#[derive(Debug, Clone, Copy)]
struct Entry<'a> {
    raw: &'a [u8],
    time: LogTime,
    /// The host of a syslog head.
    host: Option<&'a [u8]>,
    pid: Option<&'a [u8]>,
    /// The message's id, where the text begins with one.
    id: Option<&'a [u8]>,
    /// What follows the id.
    text: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Cuts the log's own head off: `2026-11-02 10:00:00.123 +0100 [67] `, which syslog may leave
    /// out.
    fn parse(line: &Line<'a>) -> Option<Self> {
        if !line.tag.is_some_and(|tag| tag.starts_with(b"exim")) {
            let (time, rest) = take_time(line.raw)?;
            return Some(Self::of_file(line.raw, time, rest));
        }
        let (time, rest) = match LogTime::parse_iso(line.body) {
            Some((time, used)) => take_zone(time, line.body.get(used..)?.strip_prefix(b" ")?),
            None => (line.time?, line.body),
        };
        let entry = Self::new(line.raw, time, rest);
        Some(Self { host: line.host, pid: entry.pid.or(line.pid), ..entry })
    }

    /// The entry of a line whose time ends before `rest`, where a zone may follow.
    fn of_file(raw: &'a [u8], time: LogTime, rest: &'a [u8]) -> Self {
        let (time, rest) = take_zone(time, rest);
        Self::new(raw, time, rest)
    }

    /// The entry whose head ends before `rest`.
    fn new(raw: &'a [u8], time: LogTime, rest: &'a [u8]) -> Self {
        let (pid, text) = take_pid(rest);
        let (id, text) = split_id(text).map_or((None, text), |(id, text)| (Some(id), text));
        Self { raw, time, host: None, pid, id, text }
    }

    /// Whether it begins as the entries of no other program do.
    fn is_own(&self) -> bool {
        self.id.is_some()
            || STARTS.iter().any(|start| take_start(self.text, start).is_some())
            || authenticator(self.text).is_some()
    }

    /// Whether it goes on, behind time, process and message id, as the most frequent entries do: not
    /// with anything that could be the tag of a syslog head.
    fn is_certain(&self) -> bool {
        match self.text {
            [b'H', b'=', ..] => true,
            [b'<' | b'=', b'=', b' ', ..]
            | [b'=' | b'-', b'>', b' ', ..]
            | [b'*', b'*', b' ', ..] => self.id.is_some(),
            text => self.id.is_some() && text.starts_with(COMPLETED),
        }
    }

    /// Everything that it says.
    fn tell(&self, out: &mut Vec<MailRecord<'a>>) -> Outcome {
        let before = out.len();
        let read = match self.id {
            Some(id) => self.message(id, self.text, out),
            None => self.conversation(self.text, out),
        };
        match read {
            Err(reject) => Outcome::Rejected(reject),
            Ok(()) if out.len() > before => Outcome::Event,
            Ok(()) => Outcome::Ignored,
        }
    }

    /// A line about a message.
    fn message(&self, id: &'a [u8], text: &'a [u8], out: &mut Vec<MailRecord<'a>>) -> Read {
        let queue = key(&[b"exim", id]);
        let fact = match text {
            [b'<', b'=', b' ', arrival @ ..] => return self.arrival(queue, arrival, out),
            [b'=' | b'-', b'>', b' ', delivery @ ..] => delivery_fact(delivery),
            [b'*', b'*', b' ', ..] | [b'=', b'=', b' ', ..] => Some(Fact::Seen),
            _ if text.starts_with(COMPLETED) => Some(Fact::Removed),
            _ => return self.conversation(text, out),
        };
        if let Some(fact) = fact {
            out.push(self.record(Subject::Message(queue), fact));
        }
        Ok(())
    }

    /// `sender H=host (name) [address]:port P=esmtpsa A=plain:user ...`: a message was accepted.
    fn arrival(&self, queue: u64, text: &'a [u8], out: &mut Vec<MailRecord<'a>>) -> Read {
        let rest = skip_address(text);
        let at_client = match rest {
            [b' ', b'H', b'=', at_client @ ..] => at_client,
            _ => match after_bounce(rest) {
                Some(at_client) => at_client,
                None => return Ok(()),
            },
        };
        let (client, fields) = split_client(at_client).ok_or(NO_CLIENT)?;
        let (protocol, login) = protocol_and_login(fields);
        let extended = protocol.is_some_and(|protocol| protocol.starts_with(b"esmtp"));
        let name = client.helo.or(client.host.filter(|_| extended));
        let helo = (name.is_some() || extended).then_some(Answer::Accepted);
        let session = self.session(&client);
        if session.lines == Lines::One && login.is_none() {
            self.push(&session, Fact::Alone { helo, name, deed: Deed::Queued { queue } }, out);
            return Ok(());
        }
        let helo = helo.map(|answer| Fact::Helo { answer, weight: Weight::Hint, name });
        let queued = Fact::Queued { queue: Some(queue) };
        self.push_all(&session, [helo, login.map(logged_in), Some(queued)], out);
        Ok(())
    }

    /// A line about a conversation.
    fn conversation(&self, text: &'a [u8], out: &mut Vec<MailRecord<'a>>) -> Read {
        let Some((kind, at_client)) = locate(text) else { return Ok(()) };
        let Some((client, rest)) = split_client(at_client) else {
            // Local callers have no address; anything else should have one.
            return if at_client.contains(&b'[') { Err(NO_CLIENT) } else { Ok(()) };
        };
        let session = self.session(&client);
        match (kind, session.lines) {
            (Kind::Verdict, Lines::One) if let Some(alone) = refused_alone(&client, rest) => {
                self.push(&session, alone, out);
            }
            _ => self.push_all(&session, tell(kind, &client, session.lines, rest), out),
        }
        Ok(())
    }

    /// The session of a client: by its port, else by the process that speaks with it, else the
    /// line alone.
    fn session<'c>(&self, client: &'c Client<'a>) -> Session<'a, 'c> {
        let (subject, lines) = match (client.port_text, self.pid) {
            (Some(port), _) => (key(&[b"exim:", client.address, port]), Lines::Many),
            (None, Some(pid)) => (key(&[b"exim#", pid, client.address]), Lines::Many),
            (None, None) => (key(&[b"exim=", self.raw]), Lines::One),
        };
        Session { client, subject: Subject::Session(subject), lines }
    }

    /// Everything that a line says of its session. A session that is one line ends with it.
    fn push_all(&self, session: &Session<'a, '_>, facts: Facts<'a>, out: &mut Vec<MailRecord<'a>>) {
        if session.lines == Lines::One
            && let Some(alone) = at_once(&facts)
        {
            return self.push(session, alone, out);
        }
        for fact in facts.into_iter().flatten() {
            self.push(session, fact, out);
        }
        let over = out.last().is_some_and(|last| matches!(last.fact, Fact::Disconnect { .. }));
        if session.lines == Lines::One && !over {
            self.push(session, Fact::Disconnect { end: End::Untold, summary: None }, out);
        }
    }

    fn push(&self, session: &Session<'a, '_>, fact: Fact<&'a [u8]>, out: &mut Vec<MailRecord<'a>>) {
        let client = session.client;
        out.push(MailRecord {
            client: client.ip,
            client_port: client.port,
            local_ip: client.local_ip,
            local_port: client.local_port,
            ..self.record(session.subject, fact)
        });
    }

    /// A record that knows nothing of the ends.
    fn record(&self, subject: Subject, fact: Fact<&'a [u8]>) -> MailRecord<'a> {
        MailRecord::of(Some(self.time), self.host, Said::of(subject, fact))
    }
}

/// Whether reading a line worked.
type Read = std::result::Result<(), Reject>;

/// The facts of a session's only line as one, if there is one for them.
fn at_once<'a>(facts: &Facts<'a>) -> Option<Fact<&'a [u8]>> {
    let (mut helo, mut name, mut deed) = (None, None, None);
    for fact in facts.iter().flatten() {
        match *fact {
            Fact::Helo { answer, weight: Weight::Hint, name: given } => {
                (helo, name) = (Some(answer), given);
            }
            Fact::Refused => deed = Some(Deed::Refused),
            Fact::Queued { queue: Some(queue) } => deed = Some(Deed::Queued { queue }),
            _ => return None,
        }
    }
    Some(Fact::Alone { helo, name, deed: deed? })
}

const NO_CLIENT: Reject = Reject::new("client", "host (helo) [address]:port");

/// A client's session as one line sees it.
struct Session<'a, 'c> {
    client: &'c Client<'a>,
    subject: Subject,
    lines: Lines,
}

/// Whether the session's other lines can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lines {
    Many,
    One,
}

#[cfg(test)]
mod tests;
