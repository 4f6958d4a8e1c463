//! OpenSMTPD, from syslog or from standard error, in the wordings of 6.4 and later, of 6.0 to 6.3
//! and of 5.x.
//!
//! ```text
//! e3ab9bda8ac033b0 smtp connected address=198.51.100.7 host=<unknown>
//! e3ab9bda8ac033b0 smtp event=connected address=198.51.100.7 host=<unknown>
//! smtp-in: New session e3ab9bda8ac033b0 from host <unknown> [198.51.100.7]
//! ```
//!
//! Document: smtpd(8) and the source of `smtp_session.c` and `mta.c`. The 16 hexadecimal digits
//! name the session. An accepted HELO is never logged; MAIL and AUTH need one, so what the server
//! says to them shows it. 503 shows nothing: MAIL without HELO and MAIL given twice get the same.
//! Skipped: local delivery, local submission's address, what the outgoing side says on its way.

use std::net::IpAddr;

use memchr::memmem;

use crate::logs::fields::{after, before, split_once, until_any};
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::logs::mail::fact::{Answer, End, Fact, MailRecord, Subject, Success, Verb, Weight, key};
use crate::logs::mail::{MailFormat, ShowsHelo};
use crate::model::net::parse_ip;

#[cfg(test)]
mod tests;

/// The format.
pub struct Format;

impl MailFormat for Format {
    fn name(&self) -> &'static str {
        "opensmtpd"
    }

    fn product(&self) -> &'static str {
        "OpenSMTPD 5.x to 7.x"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"smtpd", b"smtp connected", b"address="]
    }

    fn shows_helo(&self) -> ShowsHelo {
        ShowsHelo::Never(
            "OpenSMTPD logs no accepted HELO in any usable setting: capture packets or run \
             Suricata for the question",
        )
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        Entry::cut(line.body).is_some()
    }

    fn marks(&self) -> &'static [&'static [u8]] {
        &[b" smtp ", b" mta ", b"smtp-in: ", b"relay: Ok for "]
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        _columns: &Columns,
        out: &mut Vec<MailRecord<'a>>,
    ) -> Outcome {
        let Some(entry) = Entry::cut(line.body) else { return Outcome::Ignored };
        let (id, told) = match entry {
            Entry::Session(id, event) => (id, tell(event)),
            Entry::Incoming(text) => match tell_older(text) {
                Some((id, told)) => (id, Some(told)),
                None => return Outcome::Ignored,
            },
            Entry::Delivery { envelope, text, relay } => {
                return match read_delivery(line, envelope, text, relay) {
                    Some(record) => {
                        out.push(record);
                        Outcome::Event
                    }
                    None => Outcome::Ignored,
                };
            }
            Entry::Other => return Outcome::Ignored,
        };
        let Some(told) = told else { return Outcome::Ignored };
        if told.facts.first() == Some(&Some(Fact::Connect)) && told.peer == Peer::Unread {
            return Outcome::Rejected(Reject::new("address", "an address or local"));
        }
        let subject = Subject::Session(key(&[b"opensmtpd", id]));
        let client = match told.peer {
            Peer::Address(ip) => Some(ip),
            Peer::Local | Peer::Unread => None,
        };
        let facts = told.facts.into_iter().flatten();
        out.extend(facts.map(|fact| MailRecord { client, ..MailRecord::new(line, subject, fact) }));
        Outcome::Event
    }
}

/// What a line is about.
#[derive(Debug, Clone, Copy)]
enum Entry<'a> {
    /// A session's id and what happened, since 6.0.
    Session(&'a [u8], &'a [u8]),
    /// What stands after `smtp-in: `, up to 5.x.
    Incoming(&'a [u8]),
    /// A message went out: its envelope's id, what is said of it, and what stands before the relay.
    Delivery { envelope: &'a [u8], text: &'a [u8], relay: &'static [u8] },
    /// Anything else of this server.
    Other,
}

impl<'a> Entry<'a> {
    /// Cuts what the program wrote; none where it is not OpenSMTPD's.
    fn cut(body: &'a [u8]) -> Option<Self> {
        if let Some(text) = body.strip_prefix(b"smtp-in: ") {
            return Some(Self::Incoming(text));
        }
        if let Some(rest) = body.strip_prefix(b"relay: ").or(body.strip_prefix(b"delivery: ")) {
            return Self::cut_older_delivery(body, rest);
        }
        let (id, rest) = body.split_at_checked(16).filter(|(id, _)| is_hex(id))?;
        if let Some(event) = rest.strip_prefix(b" smtp ") {
            return Some(Self::Session(id, event.strip_prefix(b"event=").unwrap_or(event)));
        }
        if rest.starts_with(b" mda ") {
            return Some(Self::Other);
        }
        let event = rest.strip_prefix(b" mta ")?;
        let event = event.strip_prefix(b"event=").unwrap_or(event);
        let delivery = event.strip_prefix(b"delivery evpid=").and_then(|d| d.split_at_checked(16));
        let Some((envelope, text)) = delivery else { return Some(Self::Other) };
        after(text, b" result=\"Ok\"").map_or(Some(Self::Other), |_| {
            Some(Self::Delivery { envelope, text, relay: b" relay=\"" })
        })
    }

    /// `relay: Ok for ENVELOPE: session=..., from=<...>, to=<...>, ..., relay=ADDRESS (HOST), ...`
    fn cut_older_delivery(body: &'a [u8], rest: &'a [u8]) -> Option<Self> {
        let (word, rest) = split_once(rest, b' ')?;
        let (envelope, text) = rest.strip_prefix(b"for ")?.split_at_checked(16)?;
        let known = [&b"Ok"[..], b"TempFail", b"PermFail", b"Loop"].contains(&word);
        if !known || !is_hex(envelope) {
            return None;
        }
        let sent = word == b"Ok" && body.starts_with(b"relay: ");
        Some(if sent { Self::Delivery { envelope, text, relay: b", relay=" } } else { Self::Other })
    }
}

fn is_hex(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_hexdigit)
}

/// Who the other end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    Address(IpAddr),
    /// A program of the same machine.
    Local,
    /// Not named, or not to be read.
    Unread,
}

impl Peer {
    /// An address as OpenSMTPD writes it: version 6 with or without brackets and prefix.
    fn read(word: &[u8]) -> Self {
        let bare = word.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).unwrap_or(word);
        match bare.strip_prefix(b"IPv6:").unwrap_or(bare) {
            b"local" => Self::Local,
            address => parse_ip(address).map_or(Self::Unread, Self::Address),
        }
    }

    /// `address=... host=... ` at the start of a text, and what follows; the host is the client's.
    fn take(text: &[u8]) -> (Self, &[u8]) {
        let Some(rest) = text.strip_prefix(b"address=") else { return (Self::Unread, text) };
        let (address, rest) = split_once(rest, b' ').unwrap_or((rest, b""));
        let rest = match rest.strip_prefix(b"host=") {
            Some(host) => split_once(host, b' ').map_or(&b""[..], |(_, rest)| rest),
            None => rest,
        };
        (Self::read(address), rest)
    }
}

/// What one line tells of its session.
#[derive(Debug, Clone, Copy)]
struct Told<'a> {
    peer: Peer,
    facts: Facts<'a>,
}

/// At most this many facts.
type Facts<'a> = [Option<Fact<&'a [u8]>>; 2];

impl<'a> Told<'a> {
    fn of(facts: Facts<'a>) -> Self {
        Self { peer: Peer::Unread, facts }
    }
}

/// The server took a command that it takes after an accepted HELO only.
const ACCEPTED: Option<Fact<&[u8]>> =
    Some(Fact::Helo { answer: Answer::Accepted, weight: Weight::Proof, name: None });

/// What happened in a session, since 6.0; the peer comes before the client's text from 6.1 on.
fn tell(event: &[u8]) -> Option<Told<'_>> {
    let (word, rest) = split_once(event, b' ').unwrap_or((event, b""));
    if word == b"authentication" {
        return Some(authentication(rest));
    }
    let (peer, rest) = Peer::take(rest.trim_ascii_start());
    let facts = match word {
        b"connected" => [Some(Fact::Connect), None],
        b"failed-command" => match rest.strip_prefix(b"command=\"") {
            Some(text) => failed_command(text, b"\" result=\""),
            None => [Some(Fact::Refused), None],
        },
        b"bad-input" => [Some(Fact::Refused), None],
        b"message" => message(rest.strip_prefix(b"msgid=").unwrap_or_default()),
        b"disconnected" | b"closed" => match rest.strip_prefix(b"reason=") {
            Some(b"quit") => ended(End::Orderly),
            _ => ended(End::Lost),
        },
        b"envelope" | b"tls" | b"starttls" | b"client-cert-check" => [Some(Fact::Seen), None],
        _ => return None,
    };
    Some(Told { peer, facts })
}

/// `user=... [address=... host=...] result=ok`. The peer is left alone, as it stands behind the
/// client's text.
fn authentication(text: &[u8]) -> Told<'_> {
    let user = text.strip_prefix(b"user=").map(|rest| until_any(rest, b" "));
    let (success, user) =
        if text.ends_with(b" result=ok") { (Success::Ok, user) } else { (Success::Failed, None) };
    Told::of([ACCEPTED, Some(Fact::Auth { success, user })])
}

/// A message was accepted under this id.
fn message(rest: &[u8]) -> Facts<'_> {
    let queue = rest.get(..8).filter(|id| is_hex(id)).map(message_key);
    [ACCEPTED, Some(Fact::Queued { queue })]
}

fn message_key(id: &[u8]) -> u64 {
    key(&[b"opensmtpd", id])
}

/// The end is told twice, so that a session of which only its end is left is still one.
fn ended<'a>(end: End) -> Facts<'a> {
    [Some(Fact::Ending(end)), Some(Fact::Disconnect { end, summary: None })]
}

/// A refused command: the client's line in quotes that are not escaped, then the reply. Where
/// more than one reply could be meant, the line proves no more than that something was refused.
fn failed_command<'a>(text: &'a [u8], between: &[u8]) -> Facts<'a> {
    let refused = Some(Fact::Refused);
    let once = memmem::find(text, between) == memmem::rfind(text, between);
    let (Some(command), Some(reply)) = (before(text, between), after(text, between)) else {
        return [refused, None];
    };
    if !once {
        return [refused, None];
    }
    let code = until_any(reply, b" \"");
    let (verb, argument) = Verb::parse(command);
    match verb {
        // HELO after an accepted one.
        Verb::Helo if code == b"503" => {
            [refused, ACCEPTED.filter(|_| after(reply, b"Already identified").is_some())]
        }
        Verb::Helo => {
            let name = Some(argument).filter(|name| !name.is_empty());
            let (answer, weight) = (Answer::Rejected, Weight::Proof);
            [refused, Some(Fact::Helo { answer, weight, name })]
        }
        Verb::Auth => {
            let failed = Some(Fact::Auth { success: Success::Failed, user: None });
            [failed, ACCEPTED.filter(|_| code == b"535")]
        }
        Verb::Mail | Verb::Rcpt | Verb::Data => {
            let too_early = matches!(code, b"500" | b"501" | b"503")
                || after(reply, b"Invalid command: Must issue").is_some();
            [refused, ACCEPTED.filter(|_| !too_early)]
        }
        _ => [refused, None],
    }
}

/// What happened in a session up to 5.x: its id and what is told of it.
fn tell_older(text: &[u8]) -> Option<(&[u8], Told<'_>)> {
    if let Some(rest) = text.strip_prefix(b"New session ") {
        let (id, rest) = take_id(rest)?;
        // The host in front is the client's, the last bracket the server's.
        let bracket = memmem::rfind(rest, b" [").and_then(|at| rest.get(at.checked_add(1)?..));
        let peer = bracket.map_or(Peer::Unread, |address| Peer::read(strip_brackets(address)));
        return Some((id, Told { peer, facts: [Some(Fact::Connect), None] }));
    }
    if let Some(rest) = text.strip_prefix(b"Accepted message ") {
        let (_, on) = split_once(rest, b' ')?;
        let (id, _) = take_id(on.strip_prefix(b"on session ")?)?;
        return Some((id, Told::of(message(rest))));
    }
    if let Some(rest) = text.strip_prefix(b"Failed command on session ") {
        let (id, rest) = take_id(rest)?;
        let command = rest.strip_prefix(b": \"").unwrap_or_default();
        return Some((id, Told::of(failed_command(command, b"\" => "))));
    }
    for (start, facts) in OLDER {
        if let Some(rest) = text.strip_prefix(*start) {
            return take_id(rest).map(|(id, _)| (id, Told::of(*facts)));
        }
    }
    authentication_older(text)
}

/// How lines begin that name their session next, and what they tell.
const OLDER: &[(&[u8], Facts<'static>)] = &[
    (b"Bad input on session ", [Some(Fact::Refused), None]),
    (b"Ending session ", [Some(Fact::Refused), None]),
    (b"Started TLS on session ", [Some(Fact::Seen), None]),
    (
        b"Closing session ",
        [
            Some(Fact::Ending(End::Orderly)),
            Some(Fact::Disconnect { end: End::Orderly, summary: None }),
        ],
    ),
    (
        b"Received disconnect from session ",
        [Some(Fact::Ending(End::Lost)), Some(Fact::Disconnect { end: End::Lost, summary: None })],
    ),
    (
        b"Disconnecting session ",
        [Some(Fact::Ending(End::Lost)), Some(Fact::Disconnect { end: End::Lost, summary: None })],
    ),
];

/// `Accepted authentication for user USER on session ID`, and how it failed.
fn authentication_older(text: &[u8]) -> Option<(&[u8], Told<'_>)> {
    const MARK: &[u8] = b" on session ";
    let (success, rest) = match text.strip_prefix(b"Accepted authentication for user ") {
        Some(rest) => (Success::Ok, rest),
        None => (Success::Failed, text.strip_prefix(b"Authentication ")?),
    };
    let at = memmem::rfind(rest, MARK)?;
    let (id, _) = take_id(rest.get(at.checked_add(MARK.len())?..)?)?;
    let user = rest.get(..at).filter(|_| success == Success::Ok);
    Some((id, Told::of([ACCEPTED, Some(Fact::Auth { success, user })])))
}

/// A session's id at the start of a text, and what follows it.
fn take_id(text: &[u8]) -> Option<(&[u8], &[u8])> {
    text.split_at_checked(16).filter(|(id, _)| is_hex(id))
}

fn strip_brackets(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).unwrap_or(text)
}

/// `... from=<a@b> to=<c@d> ... relay="address (host)" delay=1s ... stat="250 ..."`. The first half
/// of the envelope's id is the message's.
fn read_delivery<'a>(
    line: &Line<'a>,
    envelope: &'a [u8],
    text: &'a [u8],
    relay: &[u8],
) -> Option<MailRecord<'a>> {
    let subject = Subject::Message(message_key(envelope.get(..8)?));
    let recipient = after(text, b" to=<").and_then(|to| before(to, b">")).unwrap_or_default();
    let domain = recipient.rsplit(|&b| b == b'@').next().filter(|d| d.len() < recipient.len());
    // A recipient may hold the words of the next hop: two of them and none can be believed.
    let once = memmem::find(text, relay) == memmem::rfind(text, relay);
    let hop = after(text, relay).filter(|_| once);
    let next_hop = match hop.map(|hop| Peer::read(until_any(hop, b" \","))) {
        Some(Peer::Address(ip)) => Some(ip),
        _ => None,
    };
    let filter = next_hop.is_some_and(|ip| ip.is_loopback());
    let queued_as = hop.filter(|_| filter).and_then(handed_back);
    let fact = Fact::Delivery { next_hop, domain: domain.unwrap_or_default(), queued_as };
    Some(MailRecord::new(line, subject, fact))
}

/// The id under which a filter handed the message back to this server, from its last reply.
fn handed_back(text: &[u8]) -> Option<u64> {
    let reply = before(text, b" Message accepted for delivery")?;
    let start = reply.len().checked_sub(8)?;
    reply.get(start..).filter(|id| is_hex(id)).map(message_key)
}
