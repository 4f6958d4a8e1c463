//! Exim, the main log (and the reject log, which repeats lines of it), as a file or through syslog.
//!
//! `2026-11-02 10:00:00 [67] H=(probe.example) [198.51.100.7]:40001 I=[203.0.113.25]:25 F=<a@b.example> rejected RCPT <c@d.example>: relay not permitted`
//!
//! Document: the Exim specification, chapter 53, "Log files". The default selectors write nothing
//! for a client that only connects or only says HELO: no line never means that none was accepted.
//! Lines that name the client's port belong to one session by address and port; without port and
//! pid every line is a session of its own. Messages are followed by their id. Skipped: queue runs,
//! local submission, the headers in the reject log.

use crate::logs::clock::LogTime;
use crate::logs::fields::split_once;
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::logs::mail::fact::{Answer, Deed, End, Fact, MailRecord, Subject, Success, Weight, key};
use crate::logs::mail::{MailFormat, ShowsHelo};

mod host;
mod pieces;

use host::{Client, split_client};
use pieces::{
    after_bounce, after_last, delivery_fact, field, protocol_and_login, skip_address, skip_fields,
    split_id, take_pid, take_zone,
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
    ) -> Option<(Line<'a>, Outcome)> {
        let (time, used) = LogTime::parse_iso(raw)?;
        let entry = Entry::of_file(raw, time, used)?;
        let starts = if entry.id.is_some() { MESSAGE_STARTS } else { CLIENT_STARTS };
        let is_certain = starts.iter().any(|start| take_start(entry.text, start).is_some());
        is_certain.then(|| (Line { time: Some(time), ..Line::bare(raw) }, entry.tell(out)))
    }
}

/// How the most frequent entries go on behind time, process and message id: not with anything that
/// could be the tag of a syslog head.
const MESSAGE_STARTS: &[&[u8]] =
    &[b"<= ", b"=> ", b"-> ", b"== ", b"** ", b"Completed", CLIENT_START];

/// How those begin that have no message id.
const CLIENT_STARTS: &[&[u8]] = &[CLIENT_START];

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

/// Where a message without an id names its client, and what its line proves. The client's own text
/// stands behind the client in all of these.
const ANCHORED: &[(&[u8], Kind)] = &[
    (CLIENT_START, Kind::Verdict),
    (b"SMTP connection from ", Kind::Connection),
    (b"no MAIL in SMTP connection from ", Kind::NoMail),
    (b"rejected EHLO from ", Kind::HeloRefused),
    (b"rejected HELO from ", Kind::HeloRefused),
    (b"rejected MAIL from ", Kind::NoHelo),
    (b"SMTP call from ", Kind::Dropped),
    (b"SMTP command timeout on connection from ", Kind::Lost),
    (b"SMTP command timeout on TLS connection from ", Kind::Lost),
    (b"SMTP data timeout (message abandoned) on connection from ", Kind::Lost),
    (b"SMTP data timeout (message abandoned) on TLS connection from ", Kind::Lost),
    (b"unexpected disconnection while reading SMTP command from ", Kind::Lost),
    (b"TLS error on connection from ", Kind::TlsLost),
    (b"SMTP protocol synchronization error (input sent without waiting for greeting): rejected connection from H=", Kind::Early),
];

/// What a line without a message id says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Its begin or its end, by what follows.
    Connection,
    /// The end of a session in which no mail was sent.
    NoMail,
    /// HELO refused for its syntax.
    HeloRefused,
    /// HELO refused by verification: the name stays with the session although it was refused.
    HeloFailed,
    /// A command refused for want of HELO.
    NoHelo,
    /// A command refused by the protocol.
    Protocol,
    /// The server hung up.
    Dropped,
    /// The connection was lost.
    Lost,
    /// TLS failed: STARTTLS, which resets the name, or TLS from the start.
    TlsLost,
    /// Refused before anything was read.
    Early,
    /// AUTH failed.
    AuthFailed,
    /// An access list's word.
    Verdict,
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
            let (time, used) = LogTime::parse_iso(line.raw)?;
            return Self::of_file(line.raw, time, used);
        }
        let (time, rest) = match LogTime::parse_iso(line.body) {
            Some((time, used)) => take_zone(time, line.body.get(used..)?.strip_prefix(b" ")?),
            None => (line.time?, line.body),
        };
        let entry = Self::new(line.raw, time, rest);
        Some(Self { host: line.host, pid: entry.pid.or(line.pid), ..entry })
    }

    /// The entry of a line that begins with its time, which ends at `used`.
    fn of_file(raw: &'a [u8], time: LogTime, used: usize) -> Option<Self> {
        let (time, rest) = take_zone(time, raw.get(used..)?.strip_prefix(b" ")?);
        Some(Self::new(raw, time, rest))
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
        let subject = Subject::Message(queue);
        if let Some(arrival) = text.strip_prefix(b"<= ") {
            return self.arrival(queue, arrival, out);
        }
        let delivered = text.strip_prefix(b"=> ").or_else(|| text.strip_prefix(b"-> "));
        let fact = match delivered {
            Some(delivery) => delivery_fact(delivery),
            None if text.starts_with(b"Completed") => Some(Fact::Removed),
            None if text.starts_with(b"** ") || text.starts_with(b"== ") => Some(Fact::Seen),
            None => return self.conversation(text, out),
        };
        if let Some(fact) = fact {
            out.push(self.record(subject, fact));
        }
        Ok(())
    }

    /// `sender H=host (name) [address]:port P=esmtpsa A=plain:user ...`: a message was accepted.
    fn arrival(&self, queue: u64, text: &'a [u8], out: &mut Vec<MailRecord<'a>>) -> Read {
        let rest = skip_address(text);
        let Some(at_client) = rest.strip_prefix(b" H=").or_else(|| after_bounce(rest)) else {
            return Ok(());
        };
        let (client, fields) = split_client(at_client).ok_or(NO_CLIENT)?;
        let session = self.session(client);
        let (protocol, login) = protocol_and_login(fields);
        let extended = protocol.is_some_and(|protocol| protocol.starts_with(b"esmtp"));
        let name = client.helo.or(client.host.filter(|_| extended));
        let helo = Fact::Helo { answer: Answer::Accepted, weight: Weight::Hint, name };
        let helo = (name.is_some() || extended).then_some(helo);
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
        let session = self.session(client);
        self.push_all(&session, tell(kind, &session, rest), out);
        Ok(())
    }

    /// The session of a client: by its port, else by the process that speaks with it, else the
    /// line alone.
    fn session(&self, client: Client<'a>) -> Session<'a> {
        let (subject, lines) = match (client.port_text, self.pid) {
            (Some(port), _) => (key(&[b"exim:", client.address, port]), Lines::Many),
            (None, Some(pid)) => (key(&[b"exim#", pid, client.address]), Lines::Many),
            (None, None) => (key(&[b"exim=", self.raw]), Lines::One),
        };
        Session { client, subject: Subject::Session(subject), lines }
    }

    /// Everything that a line says of its session. A session that is one line ends with it.
    fn push_all(&self, session: &Session<'a>, facts: Facts<'a>, out: &mut Vec<MailRecord<'a>>) {
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

    fn push(&self, session: &Session<'a>, fact: Fact<&'a [u8]>, out: &mut Vec<MailRecord<'a>>) {
        let client = &session.client;
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
        let line = Line { time: Some(self.time), host: self.host, ..Line::default() };
        MailRecord::new(&line, subject, fact)
    }
}

/// Whether reading a line worked.
type Read = std::result::Result<(), Reject>;

/// What one line tells of its session: at most this many facts.
type Facts<'a> = [Option<Fact<&'a [u8]>>; 3];

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
struct Session<'a> {
    client: Client<'a>,
    subject: Subject,
    lines: Lines,
}

/// Whether the session's other lines can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lines {
    Many,
    One,
}

/// The facts of a line about a conversation. A name in parentheses means an accepted HELO, but
/// where the line refuses that very HELO.
fn tell<'a>(kind: Kind, session: &Session<'a>, rest: &'a [u8]) -> Facts<'a> {
    let client = &session.client;
    let hint = |answer| Some(Fact::Helo { answer, weight: Weight::Hint, name: client.helo });
    let named = client.helo.and_then(|_| hint(Answer::Accepted));
    let not_sent = hint(Answer::NotSent);
    match kind {
        Kind::Connection => connection(client, rest, named),
        Kind::NoMail => no_mail(client, rest, named),
        // A name here is that of an earlier HELO: this one could not be read.
        Kind::HeloRefused => [named.or(hint(Answer::Rejected)), Some(Fact::Refused), None],
        Kind::HeloFailed => {
            let weight = Weight::Proof;
            let refused = Fact::Helo { answer: Answer::Rejected, weight, name: client.helo };
            [Some(refused), Some(Fact::Refused), None]
        }
        // Whether none was sent or one was refused, only the session's other lines can tell.
        Kind::NoHelo if session.lines == Lines::One => [Some(Fact::Refused), None, None],
        Kind::NoHelo => [not_sent, Some(Fact::Refused), None],
        Kind::Early => [not_sent, Some(Fact::Refused), Some(Fact::Ending(End::Lost))],
        Kind::Protocol => [named, Some(Fact::Refused), None],
        Kind::Dropped => {
            let none = not_sent.filter(|_| client.host.is_none());
            [named.or(none), Some(Fact::Refused), Some(Fact::Ending(End::Lost))]
        }
        Kind::TlsLost => [named.or(hint(Answer::Sent)), Some(Fact::Ending(End::Lost)), None],
        Kind::Lost => [named, Some(Fact::Ending(End::Lost)), None],
        Kind::AuthFailed => {
            [named, Some(Fact::Auth { success: Success::Failed, user: None }), None]
        }
        Kind::Verdict => verdict(client, rest, named),
    }
}

/// `SMTP connection from ...`: its begin, or how it ended. The line about a session without mail
/// comes after the end, so the session is left open for it.
fn connection<'a>(client: &Client<'a>, rest: &'a [u8], named: Option<Fact<&'a [u8]>>) -> Facts<'a> {
    if rest.starts_with(b" (TCP/IP connection count") {
        return [Some(Fact::Connect), None, None];
    }
    let end = if rest.starts_with(b" closed by QUIT") { End::Orderly } else { End::Lost };
    let lost_early = client.host.is_none() && rest.starts_with(b" lost");
    let none = Fact::Helo { answer: Answer::NotSent, weight: Weight::Hint, name: None };
    [named.or(lost_early.then_some(none)), Some(Fact::Ending(end)), None]
}

/// `no MAIL in SMTP connection from ...`: `C=` lists the commands. Where HELO is among them and no
/// name is shown, it was refused, or accepted and reset by STARTTLS; TLS that stands (`X=`) after
/// STARTTLS proves the latter, since Exim takes STARTTLS only after it offered it to an EHLO.
fn no_mail<'a>(client: &Client<'a>, rest: &'a [u8], named: Option<Fact<&'a [u8]>>) -> Facts<'a> {
    let commands = field(rest, b" C=").unwrap_or_default();
    let whole = !commands.starts_with(b"...");
    let said = commands.split(|&b| b == b',').any(|c| c == b"HELO" || c == b"EHLO");
    let starttls = commands.split(|&b| b == b',').any(|c| c == b"STARTTLS");
    let upgraded = said && starttls && field(rest, b" X=").is_some();
    let silent = whole && !said && client.helo.is_none();
    let helo = |answer| Fact::Helo { answer, weight: Weight::Hint, name: None };
    let unnamed = match (silent, upgraded) {
        (true, _) => Some(helo(Answer::NotSent)),
        (false, true) => Some(helo(Answer::Accepted)),
        (false, false) => None,
    };
    let end = if said || named.is_some() { End::Orderly } else { End::Lost };
    let over = Fact::Disconnect { end, summary: None };
    [named.or(unnamed), field(rest, b" A=").map(logged_in), Some(over)]
}

/// What `authenticator:user` says.
fn logged_in(authenticator: &[u8]) -> Fact<&[u8]> {
    let user = split_once(authenticator, b':').map(|(_, user)| user);
    Fact::Auth { success: Success::Ok, user }
}

/// What an access list said: what stands behind `H=host (name) [address]`. The client's own text
/// comes after the words that decide, or between angle brackets in front of them.
fn verdict<'a>(client: &Client<'a>, rest: &'a [u8], named: Option<Fact<&'a [u8]>>) -> Facts<'a> {
    let words = skip_fields(rest);
    let word = words.strip_prefix(b"temporarily ").unwrap_or(words);
    if word.starts_with(b"rejected EHLO or HELO ") {
        let name = client.helo;
        let refused = Fact::Helo { answer: Answer::Rejected, weight: Weight::Hint, name };
        return [Some(refused), Some(Fact::Refused), None];
    }
    if word.starts_with(b"rejected ") {
        return [named, Some(Fact::Refused), None];
    }
    if word.starts_with(b"Warning: ") {
        // May stand before the answer to HELO.
        return [Some(Fact::Seen), None, None];
    }
    [named, Some(Fact::Seen), None]
}

/// What follows `start`: most lines differ in the first byte, which is cheaper to compare than to
/// call for.
fn take_start<'a>(text: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    if text.first() == start.first() { text.strip_prefix(start) } else { None }
}

/// Kind and client's place of a line about a conversation.
fn locate(text: &[u8]) -> Option<(Kind, &[u8])> {
    let anchored =
        ANCHORED.iter().find_map(|(start, kind)| Some((*kind, take_start(text, start)?)));
    if anchored.is_some() {
        return anchored;
    }
    if let Some(at_client) = authenticator(text) {
        return Some((Kind::AuthFailed, at_client));
    }
    let refused = text.strip_prefix(b"temporarily ").unwrap_or(text);
    if let Some(command) = refused.strip_prefix(b"rejected \"") {
        return Some((Kind::HeloFailed, after_last(command, b"\" from ")?));
    }
    // The client's command stands between quotes, the server's words behind the host.
    let protocol =
        text.starts_with(b"SMTP protocol ") || text.starts_with(b"SMTP syntax error in ");
    protocol.then(|| Some((Kind::Protocol, after_last(text, b" H=")?))).flatten()
}

/// `plain authenticator failed for HOST`: the host's place.
fn authenticator(text: &[u8]) -> Option<&[u8]> {
    let head = text.get(..96).unwrap_or(text);
    let name = head.iter().take_while(|b| b.is_ascii_alphanumeric() || b"_-".contains(b)).count();
    text.get(name..)?.strip_prefix(b" authenticator failed for ").filter(|_| name > 0)
}

#[cfg(test)]
mod tests;
