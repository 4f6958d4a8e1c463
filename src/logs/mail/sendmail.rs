//! Sendmail through syslog, `LogLevel` 9 to 15: the daemon (`sendmail`, `sm-mta`), and lines of any
//! tag that hold one of its queue ids.
//!
//! `Nov  2 10:00:00 mx1 sm-mta[711]: 6B2A00xy000711: from=<a@b.example>, size=151, class=0, nrcpts=1, msgid=<1@b.example>, proto=ESMTP, daemon=MTA, relay=mx.b.example [198.51.100.7]`
//!
//! Document: the Sendmail Installation and Operation Guide, section 2.1, "The System Log"; the
//! texts are those of `srvrsmtp.c`, `collect.c`, `headers.c` and `deliver.c`. One process serves one
//! connection, so its pid names the session, whatever queue ids it hands out. Below level 15 an
//! accepted HELO without mail is in no line. Skipped: queue runs, local submission, the client side.

use memchr::memmem;

use crate::logs::fields::{after, split_once};
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::logs::mail::fact::{Answer, End, Fact, MailRecord, Subject, Success, Verb, Weight, key};
use crate::logs::mail::{MailFormat, ShowsHelo};

mod peer;
mod queue;

use peer::{Peer, peer_at_end, peer_at_start, relay_of_ruleset};

/// The format.
#[derive(Debug, Clone, Copy)]
pub struct Format;

impl MailFormat for Format {
    fn name(&self) -> &'static str {
        "sendmail"
    }

    fn product(&self) -> &'static str {
        "Sendmail (LogLevel 9 to 15)"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"relay=", b"from=", b"nrcpts=", b"proto="]
    }

    fn shows_helo(&self) -> ShowsHelo {
        ShowsHelo::WithSetting(
            "Sendmail logs an accepted HELO without mail only with LogLevel=15, which is noisy and \
             writes credentials into the log; LogLevel=10 adds a line for each connection.",
        )
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        let Some(tag) = line.tag else { return false };
        tag == b"sendmail" || tag.starts_with(b"sm-") || tag.starts_with(b"sendmail-") || {
            take_id(skip_solaris_id(line.body))
                .is_some_and(|(id, text)| is_modern_id(id) && queue::is_characteristic(text))
        }
    }

    fn marks(&self) -> &'static [&'static [u8]] {
        &[b"sendmail", b" sm-", b", class=", b", stat=", b", reject=", b" did not issue MAIL"]
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        _columns: &Columns,
        out: &mut Vec<MailRecord<'a>>,
    ) -> Outcome {
        let before = out.len();
        let body = skip_solaris_id(line.body);
        let (id, text) = take_id(body).map_or((None, body), |(id, text)| (Some(id), text));
        let text = text.strip_prefix(b"NOQUEUE: ").unwrap_or(text).trim_ascii_end();
        let Some(process) = line.pid.or(id) else { return Outcome::Ignored };
        let subject = Subject::Session(key(&[b"sendmail", process]));
        let read = Entry { line, id, subject, text }.read(out);
        match read {
            Err(reject) => Outcome::Rejected(reject),
            Ok(()) if out.len() > before => Outcome::Event,
            Ok(()) => Outcome::Ignored,
        }
    }
}

/// Whether reading a line worked.
type Read = std::result::Result<(), Reject>;

const NO_CLIENT: Reject = Reject::new("relay", "host [address]");

/// One line, its queue id cut off.
struct Entry<'a, 'l> {
    line: &'l Line<'a>,
    id: Option<&'a [u8]>,
    subject: Subject,
    text: &'a [u8],
}

impl<'a> Entry<'a, '_> {
    fn read(&self, out: &mut Vec<MailRecord<'a>>) -> Read {
        let text = self.text;
        if let Some(id) = self.id {
            if text.starts_with(b"from=") {
                return self.read_from(id, out);
            }
            if let Some(facts) = queue::message_facts(text) {
                let record = |fact| MailRecord::new(self.line, Subject::Message(key(&[id])), fact);
                out.extend(facts.into_iter().map(record));
                return Ok(());
            }
            if let Some(old) = queue::cloned_from(text) {
                let renamed = Fact::Renamed { queue: key(&[id]) };
                out.push(MailRecord::new(self.line, Subject::Message(key(&[old])), renamed));
                return Ok(());
            }
        }
        if text.starts_with(b"ruleset=") {
            return self.read_ruleset(out);
        }
        if let Some(said) = text.strip_prefix(b"<-- ") {
            self.say(None, command(said), out);
        } else if let Some(said) = text.strip_prefix(b"--- ") {
            self.say(None, reply(said), out);
        } else if let Some(rest) = text.strip_prefix(b"Milter: ") {
            self.read_milter(rest, out);
        } else if !self.read_auth(out) && !self.read_conclusion(out) {
            self.read_client_first(out);
        }
        Ok(())
    }

    fn say(&self, peer: Option<Peer>, fact: Fact<&'a [u8]>, out: &mut Vec<MailRecord<'a>>) {
        let mut record = MailRecord::new(self.line, self.subject, fact);
        record.client = peer.map(|peer| peer.ip);
        out.push(record);
    }

    /// Facts of a line that always names its client: without one it is cut and says nothing.
    fn say_all(&self, peer: Option<Peer>, facts: &[Fact<&'a [u8]>], out: &mut Vec<MailRecord<'a>>) {
        if peer.is_some() {
            for fact in facts {
                self.say(peer, *fact, out);
            }
        }
    }

    /// `from=<a>, size=151, class=0, nrcpts=1, msgid=<x>, proto=ESMTP, daemon=MTA, relay=h [ip]`: an
    /// envelope ended. EHLO was accepted where the protocol is ESMTP, but where the server warned
    /// that none was.
    fn read_from(&self, id: &[u8], out: &mut Vec<MailRecord<'a>>) -> Read {
        let Some(envelope) = queue::Envelope::parse(self.text) else { return Ok(()) };
        let Some(peer) = peer_at_end(envelope.relay) else {
            let network = envelope.protocol.is_some() && envelope.relay.contains(&b'[');
            return if network { Err(NO_CLIENT) } else { Ok(()) };
        };
        let first = out.len();
        let queue = key(&[id]);
        let peer = Some(peer);
        if envelope.protocol.is_some_and(|protocol| protocol.starts_with(b"ESMTP")) {
            self.say(peer, ACCEPTED, out);
        }
        self.say(peer, Fact::Announced { queue }, out);
        if envelope.complete == queue::Complete::Yes {
            self.say(peer, Fact::Queued { queue: Some(queue) }, out);
        }
        let port = envelope.daemon.and_then(daemon_port);
        out.iter_mut().skip(first).for_each(|record| record.local_port = port);
        Ok(())
    }

    /// `ruleset=check_rcpt, arg1=<a>, relay=h [ip], reject=550 5.7.1 <a>... Relaying denied`.
    fn read_ruleset(&self, out: &mut Vec<MailRecord<'a>>) -> Read {
        if memmem::find(self.text, b", reject=").is_none() {
            return Ok(());
        }
        let peer = relay_of_ruleset(self.text);
        if peer.is_none() && memmem::find(self.text, b", relay=").is_none() {
            return Err(NO_CLIENT);
        }
        self.say(peer, Fact::Refused, out);
        Ok(())
    }

    /// What a milter decided: `connect: host=h, addr=ip, rejecting commands`, `to=<a>, reject=550`.
    /// A message that was refused at its end was told as received before.
    fn read_milter(&self, text: &'a [u8], out: &mut Vec<MailRecord<'a>>) {
        let data = text.starts_with(b"data, ");
        let refused =
            after(text, b", reject=").is_some() || text.ends_with(b", rejecting commands");
        if !refused {
            return;
        }
        self.say(None, Fact::Refused, out);
        if let Some(id) = self.id.filter(|_| data) {
            let message = Subject::Message(key(&[id]));
            out.push(MailRecord::new(self.line, message, Fact::Refused));
        }
    }

    /// Lines about AUTH and STARTTLS; gives whether this is one.
    fn read_auth(&self, out: &mut Vec<MailRecord<'a>>) -> bool {
        let text = self.text;
        if let Some(rest) = text.strip_prefix(b"AUTH=server, relay=") {
            // The client comes first; the user, who is the client's text, behind it.
            let Some((peer, rest)) = peer_at_start(rest) else { return true };
            let user = after(rest, b", authid=")
                .and_then(|user| user.get(..memmem::rfind(user, b", mech=")?));
            self.say(Some(peer), Fact::Auth { success: Success::Ok, user }, out);
        } else if text.starts_with(b"AUTH failure (") {
            let failed = Fact::Auth { success: Success::Failed, user: None };
            let at = memmem::rfind(text, b", relay=").unwrap_or(text.len());
            self.say_all(text.get(at..).and_then(peer_at_end), &[failed], out);
        } else if let Some(rest) = text.strip_prefix(b"STARTTLS=server, relay=") {
            if let Some((peer, _)) = peer_at_start(rest) {
                self.say(Some(peer), Fact::Seen, out);
            }
        } else {
            return text.starts_with(b"AUTH") || text.starts_with(b"STARTTLS");
        }
        true
    }

    /// Lines that begin with the server's own words; gives whether this is one.
    fn read_conclusion(&self, out: &mut Vec<MailRecord<'a>>) -> bool {
        let text = self.text;
        if let Some(rest) = text.strip_prefix(b"connect from ") {
            if let Some(peer) = peer_at_end(rest) {
                self.say(Some(peer), Fact::Connect, out);
            }
        } else if let Some(rest) = text.strip_prefix(b"invalid domain name (") {
            let name = memmem::rfind(rest, b") from ").and_then(|at| rest.get(..at));
            let name = name.filter(|name| *name != b"too long");
            let refused = Fact::Helo { answer: Answer::Rejected, weight: Weight::Hint, name };
            self.say_all(peer_at_end(rest), &[refused, Fact::Refused], out);
        } else if let Some(rest) = text.strip_prefix(b"Authentication-Warning: ") {
            if let Some(at_client) = rest.strip_suffix(b" didn't use HELO protocol") {
                let weight = Weight::Proof;
                let none = Fact::Helo { answer: Answer::NoneAccepted, weight, name: None };
                self.say_all(peer_at_end(at_client), &[none], out);
            }
        } else if let Some(rest) = text.strip_prefix(b"rejecting ") {
            self.read_rejecting(rest, out);
        } else if let Some(rest) = text.strip_prefix(b"SMTP MAIL command (") {
            let client = rest.strip_suffix(b" tempfailed (due to previous checks)");
            self.say_all(client.and_then(peer_at_end), &[Fact::Refused], out);
        } else if text.starts_with(b"<") && memmem::find(text, b">... ").is_some() {
            self.say(None, Fact::Refused, out);
        } else {
            return self.read_loss(out);
        }
        true
    }

    /// `rejecting commands from h [ip] due to pre-greeting traffic after 0 seconds` and
    /// `rejecting server EHLO from h [ip] due to traffic before response`.
    fn read_rejecting(&self, text: &'a [u8], out: &mut Vec<MailRecord<'a>>) {
        let Some(at) = memmem::rfind(text, b" due to ") else { return };
        let peer = text.get(..at).and_then(peer_at_end);
        if text.starts_with(b"server EHLO from ") || text.starts_with(b"server HELO from ") {
            let answer = Answer::Rejected;
            let refused = Fact::Helo { answer, weight: Weight::Hint, name: None };
            self.say_all(peer, &[refused], out);
        }
        self.say_all(peer, &[Fact::Refused], out);
    }

    /// Lines about a connection that broke; gives whether this is one.
    fn read_loss(&self, out: &mut Vec<MailRecord<'a>>) -> bool {
        let text = self.text;
        let client = if let Some(rest) = text.strip_prefix(b"lost input channel from ") {
            memmem::rfind(rest, b" to ").and_then(|at| rest.get(..at)).unwrap_or(rest)
        } else if let Some(rest) = text.strip_prefix(b"timeout waiting for input from ") {
            let Some(at) = memmem::rfind(rest, b" during ") else { return true };
            let (client, phase) = rest.split_at_checked(at).unwrap_or_default();
            if !phase.starts_with(b" during server ") && phase != b" during message collect" {
                return true;
            }
            client
        } else if let Some(rest) = text.strip_prefix(b"collect: ") {
            // The sender's address stands behind the client.
            let lost = Fact::Ending(End::Lost);
            if let Some(client) = rest.strip_prefix(b"relay=") {
                self.say_all(peer_at_start(client).map(|(peer, _)| peer), &[lost], out);
            } else if rest.starts_with(b"premature EOM") {
                self.say(None, lost, out);
            }
            return true;
        } else {
            return false;
        };
        self.say(peer_at_end(client), Fact::Ending(End::Lost), out);
        true
    }

    /// Lines that begin with the client.
    fn read_client_first(&self, out: &mut Vec<MailRecord<'a>>) {
        const NOTHING: &[u8] = b" did not issue MAIL/EXPN/VRFY/ETRN during connection to ";
        let Some((peer, rest)) = peer_at_start(self.text) else { return };
        if let Some(daemon) = rest.strip_prefix(NOTHING) {
            let over = Fact::Disconnect { end: End::Untold, summary: None };
            self.say(Some(peer), over, out);
            if let Some(record) = out.last_mut() {
                record.local_port = daemon_port(daemon);
            }
            return;
        }
        let Some(said) = rest.strip_prefix(b": ") else { return };
        if said.starts_with(b"possible SMTP attack: command=AUTH,") {
            let failed = Fact::Auth { success: Success::Failed, user: None };
            self.say(Some(peer), failed, out);
        } else if said.starts_with(b"possible SMTP attack: ") {
            self.say(Some(peer), Fact::Seen, out);
        } else if said.starts_with(b"probable open proxy: ") || is_refused_lookup(said) {
            self.say(Some(peer), Fact::Refused, out);
        } else if is_lookup(said) {
            self.say(Some(peer), Fact::Seen, out);
        }
    }
}

const ACCEPTED: Fact<&[u8]> =
    Fact::Helo { answer: Answer::Accepted, weight: Weight::Hint, name: None };

/// A command as level 15 logs it.
fn command(said: &[u8]) -> Fact<&[u8]> {
    let (verb, argument) = Verb::parse(said.trim_ascii_start());
    let name = Some(argument).filter(|name| verb == Verb::Helo && !name.is_empty());
    Fact::Command { verb, name }
}

/// A reply as level 15 logs it. That the connection is gone is told in the form of a reply.
fn reply(said: &[u8]) -> Fact<&'static [u8]> {
    let Some((digits, rest)) = said.split_first_chunk::<3>() else { return Fact::Seen };
    let number = |code: u16, digit: &u8| code * 10 + u16::from(digit & 15);
    let code = digits.iter().fold(0, number);
    let gone = rest.starts_with(b" 4.4.1 ");
    match (digits, rest.first()) {
        (b"421", Some(b' ')) if gone => Fact::Ending(End::Lost),
        ([b'2'..=b'5', b'0'..=b'9', b'0'..=b'9'], None | Some(b' ')) => Fact::Reply { code },
        _ => Fact::Seen,
    }
}

/// Whether the client asked for an address or a queue run.
fn is_lookup(said: &[u8]) -> bool {
    let verb = said.get(..4).unwrap_or_default().to_ascii_uppercase();
    matches!(verb.as_slice(), b"VRFY" | b"EXPN" | b"ETRN")
}

fn is_refused_lookup(said: &[u8]) -> bool {
    is_lookup(said) && said.ends_with(b" [rejected]")
}

/// The port of a listener that has its usual name; plain `MTA` is also what others are called.
fn daemon_port(name: &[u8]) -> Option<u16> {
    match name {
        b"MSA" => Some(587),
        b"TLSMTA" => Some(465),
        _ => None,
    }
}

/// Cuts `[ID 801593 mail.info] ` off, which Solaris puts before the text.
fn skip_solaris_id(body: &[u8]) -> &[u8] {
    let rest = body.strip_prefix(b"[ID ").and_then(|rest| split_once(rest, b']'));
    rest.and_then(|(_, rest)| rest.strip_prefix(b" ")).unwrap_or(body)
}

/// A queue id at the start, and what follows `ID: `: letters and digits, the last five or more of
/// which are the number of the process that made it.
fn take_id(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = body.iter().take(24).take_while(|b| b.is_ascii_alphanumeric()).count();
    let (id, rest) = body.split_at_checked(length)?;
    let digits = id.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let text = rest.strip_prefix(b": ")?;
    (id.len() >= 8 && digits >= 5).then_some((id, text))
}

/// Whether an id has the form that 8.12 and later give: eight characters of time and count, then
/// six digits or more.
fn is_modern_id(id: &[u8]) -> bool {
    let process = id.get(8..).unwrap_or_default();
    (6..=10).contains(&process.len()) && process.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests;
