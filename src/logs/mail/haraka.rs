//! Haraka, from its log file or through syslog, in the forms DEFAULT, LOGFMT and JSON.
//!
//! ```text
//! [NOTICE] [3E6A027F-8307-4DA4-B105-2A39EC4B58D4] [core] disconnect ip=198.51.100.7 rdns=NXDOMAIN helo=probe.example relay=N early=N esmtp=Y tls=N pipe=N errors=0 txns=0 rcpts=0/0/0 msgs=0/0/0 bytes=0 lr="" time=0.007
//! ```
//!
//! Document: Haraka's `docs/Logging.md` and `connection.js`. The id names the session. The last
//! line shows the name of a HELO that was accepted (or is still being asked about), `esmtp=Y` once
//! an EHLO was, and `lr` the last refusal. At level PROTOCOL the conversation is there too.
//! Skipped: what plugins say, but for failed AUTH; the server's own messages; DATA.

use crate::logs::fields::until_any;
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::logs::mail::fact::{
    Answer, End, Fact, MailRecord, Subject, Success, Summary, Verb, Weight, key,
};
use crate::logs::mail::{MailFormat, ShowsHelo};
use crate::model::net::{parse_decimal, parse_ip};

mod entry;
#[cfg(test)]
mod tests;

use entry::Entry;

/// The format.
pub struct Format;

impl MailFormat for Format {
    fn name(&self) -> &'static str {
        "haraka"
    }

    fn product(&self) -> &'static str {
        "Haraka"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"[core]", b"helo=", b"rcpts=", b"msgs="]
    }

    fn shows_helo(&self) -> ShowsHelo {
        ShowsHelo::WithSetting(
            "Haraka logs an accepted HELO at level NOTICE and above (config/log.ini: \
             level=NOTICE), a refused one for certain at level INFO",
        )
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        Entry::cut(line).is_some()
    }

    fn marks(&self) -> &'static [&'static [u8]] {
        &[
            b"[core] ",
            b"[outbound] ",
            b"origin=core ",
            b"origin=outbound ",
            b"\"origin\":\"core\"",
            b"\"origin\":\"outbound\"",
            b"delaying for ",
        ]
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        _columns: &Columns,
        out: &mut Vec<MailRecord<'a>>,
    ) -> Outcome {
        let Some(entry) = Entry::cut(line) else { return Outcome::Ignored };
        let Some(id) = entry.session() else { return Outcome::Ignored };
        let earlier = out.len();
        let mut teller = Teller { line, entry: &entry, id, out };
        let mut read = Ok(());
        match entry.origin {
            b"core" => read = teller.core(),
            b"outbound" => teller.outbound(),
            origin if origin.starts_with(b"auth") => teller.auth(),
            _ => {}
        }
        match read {
            Err(reject) => Outcome::Rejected(reject),
            Ok(()) if out.len() > earlier => Outcome::Event,
            Ok(()) => Outcome::Ignored,
        }
    }
}

/// Whether reading an entry worked.
type Read = Result<(), Reject>;

const NO_CLIENT: Reject = Reject::new("ip", "the client's address");

/// Turns one entry into records.
struct Teller<'e, 'a> {
    line: &'e Line<'a>,
    entry: &'e Entry<'a>,
    id: &'a [u8],
    out: &'e mut Vec<MailRecord<'a>>,
}

impl<'a> Teller<'_, 'a> {
    /// What the server itself says. Only messages that never come after the last line of a session
    /// are told: a later one would be a session of its own.
    fn core(&mut self) -> Read {
        let entry = self.entry;
        if entry.level == b"PROTOCOL" {
            self.protocol();
        } else if entry.says(b"connect") {
            return self.connect();
        } else if entry.says(b"disconnect") {
            return self.disconnect();
        } else if entry.says(b"HAProxy") {
            return self.proxied();
        } else if entry.says(b"sender") {
            // MAIL is taken up after an accepted HELO only.
            let (answer, weight) = (Answer::Accepted, Weight::Hint);
            self.say(Fact::Helo { answer, weight, name: None });
        } else if entry.says(b"recipient") || entry.says(b"message") {
            self.say(Fact::Seen);
        } else if entry.says(b"queue") {
            self.queue();
        } else if entry.says(b"client") && !entry.says(b"client has disconnected") {
            self.say(Fact::Ending(End::Lost));
        } else if matches!(entry.value("hook"), Some(b"helo" | b"ehlo")) {
            self.hook();
        }
        Ok(())
    }

    /// `connect ip=... port=... local_ip=... local_port=...`
    fn connect(&mut self) -> Read {
        let entry = self.entry;
        let client = entry.address("ip").ok_or(NO_CLIENT)?;
        let record = self.record(Fact::Connect);
        self.out.push(MailRecord {
            client: Some(client),
            client_port: entry.port("port"),
            local_ip: entry.address("local_ip"),
            local_port: entry.port("local_port"),
            ..record
        });
        Ok(())
    }

    /// `HAProxy proto=TCP4 src_ip=ADDRESS:PORT dst_ip=ADDRESS:PORT`: a proxy that the server trusts
    /// says who the client is; the connection so far was the proxy's.
    fn proxied(&mut self) -> Read {
        let client = self.entry.endpoint("src_ip").ok_or(NO_CLIENT)?;
        let local = self.entry.endpoint("dst_ip");
        let record = self.record(Fact::Connect);
        self.out.push(MailRecord {
            client: Some(client.ip),
            client_port: Some(client.port),
            local_ip: local.map(|local| local.ip),
            local_port: local.map(|local| local.port),
            ..record
        });
        Ok(())
    }

    /// The last line of a session.
    fn disconnect(&mut self) -> Read {
        let last = LastLine::read(self.entry);
        let client = Some(self.entry.address("ip").ok_or(NO_CLIENT)?);
        if let Some(answer) = last.answer() {
            let name = Some(last.helo).filter(|name| !name.is_empty());
            let fact = Fact::Helo { answer, weight: Weight::Proof, name };
            let record = self.record(fact);
            self.out.push(MailRecord { client, ..record });
        }
        let summary = Some(last.summary());
        let record = self.record(Fact::Disconnect { end: End::Untold, summary });
        self.out.push(MailRecord { client, ..record });
        Ok(())
    }

    /// `queue code=OK msg="..."`: a message was accepted; CONT before it says that the outbound
    /// queue takes it.
    fn queue(&mut self) {
        let queue = self.entry.transaction().map(message_key);
        match (self.entry.value("code"), queue) {
            (Some(b"OK"), queue) => self.say(Fact::Queued { queue }),
            (Some(b"CONT"), Some(queue)) => self.say(Fact::Announced { queue }),
            (Some(code), _) if code.starts_with(b"DENY") => self.say(Fact::Refused),
            _ => self.say(Fact::Seen),
        }
    }

    /// `hook=ehlo plugin=... params=NAME retval=DENY`: a plugin refuses a HELO.
    fn hook(&mut self) {
        let denied = self.entry.value("retval").is_some_and(|retval| retval.starts_with(b"DENY"));
        if denied {
            let name = self.entry.value("params").filter(|name| !name.is_empty());
            let (answer, weight) = (Answer::Rejected, Weight::Proof);
            self.say(Fact::Helo { answer, weight, name });
        }
    }

    /// `C: EHLO probe.example state=1` and `S: 250-...`.
    fn protocol(&mut self) {
        if let Some(command) = self.entry.message.strip_prefix(b"C: ") {
            if !command.starts_with(b"(after-disconnect)") {
                self.say(told_command(command));
            }
        } else if let Some(reply) = self.entry.message.strip_prefix(b"S: ") {
            self.say(told_reply(reply));
        }
    }

    /// `delaying for 1 seconds`, which every plugin for AUTH says when it refuses.
    fn auth(&mut self) {
        if self.entry.message.starts_with(b"delaying for ") {
            self.say(Fact::Auth { success: Success::Failed, user: None });
        }
    }

    /// `delivered file=... domain=... host=... ip=... mode=SMTP`. LMTP is local delivery.
    fn outbound(&mut self) {
        let entry = self.entry;
        let delivered = entry.message.starts_with(b"delivered file=")
            || entry.value("delivered file").is_some()
            || (entry.message.is_empty() && entry.value("file").is_some());
        let Some(transaction) = entry.transaction().filter(|_| delivered) else { return };
        if entry.value("mode") == Some(b"LMTP") || entry.level == b"PROTOCOL" {
            return;
        }
        let next_hop = entry.value("ip").and_then(parse_ip);
        let domain = entry.value("domain").unwrap_or_default();
        let fact = Fact::Delivery { next_hop, domain, queued_as: None };
        let subject = Subject::Message(message_key(transaction));
        let record = self.record(fact);
        self.out.push(MailRecord { subject, ..record });
    }

    fn say(&mut self, fact: Fact<&'a [u8]>) {
        let record = self.record(fact);
        self.out.push(record);
    }

    fn record(&self, fact: Fact<&'a [u8]>) -> MailRecord<'a> {
        let subject = Subject::Session(key(&[b"haraka", self.id]));
        let record = MailRecord::new(self.line, subject, fact);
        MailRecord { time: self.entry.time, ..record }
    }
}

fn message_key(transaction: &[u8]) -> u64 {
    key(&[b"haraka", transaction])
}

/// A command, with or without the server's state behind it.
fn told_command(text: &[u8]) -> Fact<&[u8]> {
    let (verb, argument) = Verb::parse(text);
    // Haraka takes the first word and lets the rest go.
    let word = until_any(argument, b" ");
    let given = !word.is_empty() && !argument.starts_with(b"state=");
    let name = Some(word).filter(|_| verb == Verb::Helo && given);
    Fact::Command { verb, name }
}

/// A reply; one that goes on in further lines proves nothing yet.
fn told_reply(text: &[u8]) -> Fact<&[u8]> {
    let code = text.get(..3).and_then(parse_decimal).and_then(|code| u16::try_from(code).ok());
    match (code, text.get(3)) {
        (Some(code), None | Some(b' ')) => Fact::Reply { code },
        _ => Fact::Seen,
    }
}

/// What the last line of a session says of it.
struct LastLine<'a> {
    /// The name of the last HELO, unless a refusal or TLS took it back.
    helo: &'a [u8],
    /// An EHLO was accepted at some time.
    esmtp: bool,
    /// Transactions begun.
    transactions: u64,
    /// Unknown commands and commands out of order.
    errors: u64,
    /// Recipients and messages (older versions count none): accepted, put off, refused.
    recipients: [u64; 3],
    messages: Option<[u64; 3]>,
    /// The last refusal: code and text.
    refusal: &'a [u8],
}

impl<'a> LastLine<'a> {
    fn read(entry: &Entry<'a>) -> Self {
        let number = |name| entry.value(name).and_then(parse_decimal).unwrap_or_default();
        Self {
            helo: entry.value("helo").unwrap_or_default(),
            esmtp: entry.value("esmtp") == Some(b"Y"),
            transactions: number("txns"),
            errors: number("errors"),
            recipients: entry.value("rcpts").map(three).unwrap_or_default(),
            messages: entry.value("msgs").map(three),
            refusal: entry.value("lr").unwrap_or_default(),
        }
    }

    /// What became of HELO, if this line shows it. Code 550 or 450 answers a HELO that a plugin
    /// refuses; the name is kept if the plugin hangs up with it.
    fn answer(&self) -> Option<Answer> {
        let hello_refused = self.refusal.starts_with(b"550 ") || self.refusal.starts_with(b"450 ");
        let other = [&b"550 Authentication required"[..], b"550 Access Denied"];
        let maybe = hello_refused && !other.contains(&self.refusal);
        let syntax = [&b"501 HELO "[..], b"501 EHLO "];
        if self.esmtp || self.transactions > 0 {
            Some(Answer::Accepted)
        } else if !self.helo.is_empty() {
            Some(if maybe { Answer::Sent } else { Answer::Accepted })
        } else if maybe || syntax.iter().any(|start| self.refusal.starts_with(start)) {
            Some(Answer::Rejected)
        } else if self.refusal.is_empty() && self.errors == 0 {
            Some(Answer::NotSent)
        } else {
            None
        }
    }

    fn summary(&self) -> Summary {
        let [_, rcpts_later, rcpts_never] = self.recipients;
        let [_, later, never] = self.messages.unwrap_or_default();
        let counted = [rcpts_later, rcpts_never, later, never, self.errors];
        let timed_out = self.refusal == b"421 timeout";
        Summary {
            helo: None,
            auth: self.refusal.starts_with(b"535").then_some(Success::Failed),
            messages: self
                .messages
                .map(|[accepted, ..]| u32::try_from(accepted).unwrap_or(u32::MAX)),
            refused: counted.iter().any(|count| *count > 0)
                || !(self.refusal.is_empty() || timed_out),
        }
    }
}

/// `accepted/deferred/rejected`.
fn three(text: &[u8]) -> [u64; 3] {
    let mut counts = [0; 3];
    for (count, part) in counts.iter_mut().zip(text.split(|&b| b == b'/')) {
        *count = parse_decimal(part).unwrap_or_default();
    }
    counts
}
