//! The vocabulary of mail logs. In: nothing (facts only). Out: what one line can say of a session
//! or of a message, whatever the server: [`MailRecord`], borrowed from the line.
//!
//! A server that logs the conversation gives [`Fact::Command`] and [`Fact::Reply`]; one that logs
//! its conclusions gives [`Fact::Helo`], [`Fact::Auth`], [`Fact::Refused`] and so on. Keys are
//! hashes of text that the *server* wrote (pid, session id, queue id), never of the client's.

use std::net::IpAddr;

use crate::logs::clock::LogTime;
use crate::logs::line::Line;

/// What one line says of one session or message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailRecord<'a> {
    /// The record's own time, else the head's.
    pub time: Option<LogTime>,
    /// The mail server as the line names it; none where only the input's settings can tell.
    pub server: Option<&'a [u8]>,
    /// What it is about.
    pub subject: Subject,
    /// The client, from the place where the server writes it; canonical.
    pub client: Option<IpAddr>,
    /// The client's port.
    pub client_port: Option<u16>,
    /// The server's own address; canonical.
    pub local_ip: Option<IpAddr>,
    /// The server's port, from an endpoint or from the service's name.
    pub local_port: Option<u16>,
    /// What is said.
    pub fact: Fact<&'a [u8]>,
}

impl<'a> MailRecord<'a> {
    /// A record that knows its subject and nothing of the ends; time and server are the head's.
    pub fn new(line: &Line<'a>, subject: Subject, fact: Fact<&'a [u8]>) -> Self {
        Self::of(line.time, line.host, Said::of(subject, fact))
    }

    /// What is said, when and by which server.
    pub fn of(time: Option<LogTime>, server: Option<&'a [u8]>, said: Said<'a>) -> Self {
        let Said { subject, client, client_port, local_ip, local_port, fact } = said;
        Self { time, server, subject, client, client_port, local_ip, local_port, fact }
    }

    /// What it says, whenever and wherever.
    #[inline]
    pub(in crate::logs) fn said(&self) -> Said<'a> {
        let &Self { subject, client, client_port, local_ip, local_port, fact, .. } = self;
        Said { subject, client, client_port, local_ip, local_port, fact }
    }
}

/// What a line says of one session or message, without its time and server: those of a program's
/// lines are the head's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said<'a> {
    /// What it is about.
    pub subject: Subject,
    /// See [`MailRecord::client`].
    pub client: Option<IpAddr>,
    /// See [`MailRecord::client_port`].
    pub client_port: Option<u16>,
    /// See [`MailRecord::local_ip`].
    pub local_ip: Option<IpAddr>,
    /// See [`MailRecord::local_port`].
    pub local_port: Option<u16>,
    /// What is said.
    pub fact: Fact<&'a [u8]>,
}

impl<'a> Said<'a> {
    /// What is said of a subject, and nothing of the ends.
    pub fn of(subject: Subject, fact: Fact<&'a [u8]>) -> Self {
        Self { subject, client: None, client_port: None, local_ip: None, local_port: None, fact }
    }
}

/// Where what is said goes.
pub type Say<'s, 'a> = &'s mut dyn FnMut(Said<'a>);

/// What a record is about. The numbers come from [`key`]; they need to differ only among the
/// sessions, or messages, of one server and product at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A session, by what the server calls it.
    Session(u64),
    /// A message, by its queue id.
    Message(u64),
}

/// One thing said. `T` is a text: bytes of the line, or a place in a batch's texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact<T> {
    /// The client connected: opens the session, and closes an older one of the same key.
    Connect,
    /// A line of the session or message that proves nothing more.
    Seen,
    /// A conclusion about HELO or EHLO.
    Helo {
        /// What became of it.
        answer: Answer,
        /// How much the line is worth.
        weight: Weight,
        /// The name, where the line has it and the client gave it in HELO.
        name: Option<T>,
    },
    /// The client sent a command (logs of the conversation). The next final reply answers it.
    Command {
        /// Which one.
        verb: Verb,
        /// The argument of HELO, EHLO; none for others.
        name: Option<T>,
    },
    /// The server's final reply to the oldest unanswered command, or its greeting; lines `250-`
    /// that continue are none.
    Reply {
        /// Three digits.
        code: u16,
    },
    /// AUTH succeeded or failed.
    Auth {
        /// Which.
        success: Success,
        /// The user, where the line has it.
        user: Option<T>,
    },
    /// A command other than HELO or AUTH, or the connection itself, was refused. For a record about
    /// a message: the message, which another line told as accepted.
    Refused,
    /// The server gave a queue id to a message that is still coming in.
    Announced {
        /// The message.
        queue: u64,
    },
    /// A message was accepted.
    Queued {
        /// The message, where the line has its id. For a record about a message: the same.
        queue: Option<u64>,
    },
    /// How the session is ending; its last line is still to come.
    Ending(End),
    /// The session ended.
    Disconnect {
        /// How, where this line tells.
        end: End,
        /// What the server itself says of the whole session.
        summary: Option<Summary>,
    },
    /// [`Fact::Connect`] and, `lines` lines further at the same time, [`Fact::Disconnect`], with
    /// nothing said between: the session of a client that came to look. Batches make it of the two.
    Visit {
        /// How many lines further the session ended.
        lines: u32,
        /// See [`Fact::Disconnect`].
        end: End,
        /// See [`Fact::Disconnect`].
        summary: Option<Summary>,
    },
    /// All that is told of a session whose other lines cannot be known: what its only line says, in
    /// one fact. The same as [`Fact::Helo`] as a hint, the deed, and [`Fact::Disconnect`].
    Alone {
        /// What became of HELO, where the line tells.
        helo: Option<Answer>,
        /// The name that the client gave in it.
        name: Option<T>,
        /// What else the line tells.
        deed: Deed,
    },
    /// Another process of this server goes on with the connection: the next session that opens
    /// with this client under another key is the same one.
    HandOver,
    /// The message was delivered by SMTP (only deliveries that succeeded).
    Delivery {
        /// The next hop, where its address is known.
        next_hop: Option<IpAddr>,
        /// The domain of the recipient as the client gave it; empty where unknown.
        domain: T,
        /// The queue id that the next hop gave it, where the hop is a loopback address and so
        /// a content filter that hands the message back.
        queued_as: Option<u64>,
    },
    /// The message goes on under another queue id of this server. Of a session that is open: it
    /// goes on under another key, whose [`Fact::Connect`] comes next.
    Renamed {
        /// The other id, or the session's other key.
        queue: u64,
    },
    /// The message left the queue: nothing more will be said of it.
    Removed,
}

/// What became of HELO. Of several proofs the greatest counts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Answer {
    /// Not sent.
    NotSent,
    /// Sent; the answer is not known.
    Sent,
    /// None was accepted: refused where another line shows that one was sent, else not sent.
    NoneAccepted,
    /// Refused.
    Rejected,
    /// Answered 2xx.
    Accepted,
}

/// How much a line's word about HELO is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weight {
    /// It follows from another command; gives way to any proof.
    Hint,
    /// The server says so.
    Proof,
}

/// Whether something worked.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Success {
    /// It failed.
    Failed,
    /// It worked.
    Ok,
}

/// How a session ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum End {
    /// The line does not tell.
    Untold,
    /// After QUIT, or as the server meant it.
    Orderly,
    /// Lost, timed out, cut.
    Lost,
}

/// What a session's only line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// As [`Fact::Refused`].
    Refused,
    /// As [`Fact::Queued`].
    Queued {
        /// The message.
        queue: u64,
    },
}

/// What a server says at the end of the whole session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// What became of HELO; none where it does not tell.
    pub helo: Option<Answer>,
    /// What became of AUTH; none where there was none.
    pub auth: Option<Success>,
    /// Messages accepted; none where it does not tell.
    pub messages: Option<u32>,
    /// Whether a command was refused.
    pub refused: bool,
}

/// An SMTP command, as far as sessions differ by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// HELO, EHLO, LHLO.
    Helo,
    /// AUTH. Lines that continue it are no commands.
    Auth,
    /// MAIL FROM, which servers that insist on HELO refuse without it.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// DATA: its 354 is no final reply, the one after the message is.
    Data,
    /// `BDAT n LAST`, or the end of a message where the log shows it: its 2xx accepts the message.
    MessageEnd,
    /// QUIT.
    Quit,
    /// Any other.
    Other,
}

impl Verb {
    /// The verb at the start of a command line, in any case; what follows it is the argument.
    pub fn parse(command: &[u8]) -> (Self, &[u8]) {
        let end = command.iter().position(|b| b" \t:".contains(b)).unwrap_or(command.len());
        let (word, rest) = command.split_at_checked(end).unwrap_or((command, b""));
        let argument = rest.trim_ascii();
        let word = <[u8; 4]>::try_from(word).unwrap_or_default();
        let verb = match &word.map(|byte| byte.to_ascii_uppercase()) {
            b"HELO" | b"EHLO" | b"LHLO" => Self::Helo,
            b"AUTH" => Self::Auth,
            b"MAIL" => Self::Mail,
            b"RCPT" => Self::Rcpt,
            b"DATA" => Self::Data,
            b"BDAT" if argument.to_ascii_uppercase().ends_with(b"LAST") => Self::MessageEnd,
            b"QUIT" => Self::Quit,
            _ => Self::Other,
        };
        (verb, argument)
    }
}

/// Hashes what a server calls a session or message. The same on every machine and in every
/// version: keys outlive a run in extracts and in the state.
pub fn key(parts: &[&[u8]]) -> u64 {
    parts.iter().fold(NO_PARTS, |hash, part| key_with(hash, part))
}

/// The key of no parts.
const NO_PARTS: u64 = 0x9e37_79b9_7f4a_7c15;

/// The key of some parts and one more, by the key of those: what many keys begin with is hashed once.
#[inline]
pub fn key_with(parts: u64, last: &[u8]) -> u64 {
    let mut hash = parts;
    let mut rest = last;
    while let Some((chunk, after)) = rest.split_first_chunk() {
        hash = fold(hash ^ u64::from_le_bytes(*chunk), 0xa076_1d64_78bd_642f);
        rest = after;
    }
    if !rest.is_empty() {
        hash = fold(hash ^ short_word(rest), 0xa076_1d64_78bd_642f);
    }
    fold(hash ^ last.len() as u64, 0xe703_7ed1_a0b4_28db)
}

/// Up to seven bytes as a number, the first lowest.
#[inline]
fn short_word(bytes: &[u8]) -> u64 {
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        // Where the two overlap they say the same.
        (Some(first), Some(last)) => {
            let shift = 8 * (bytes.len() as u32 - 4);
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << shift
        }
        _ => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// The two halves of a 128-bit product, mixed.
#[inline]
pub(super) fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left ^ 0x8ebc_6af0_9c88_c6e3).wrapping_mul(u128::from(right));
    (product as u64) ^ (product >> 64) as u64
}

impl<T> Fact<T> {
    /// Whether it opens a session, and closes an older one of the same key.
    pub(super) fn connects(&self) -> bool {
        matches!(self, Self::Connect | Self::Visit { .. })
    }

    /// The same fact with its texts mapped.
    pub(super) fn map<U>(self, text: impl FnMut(T) -> U) -> Fact<U> {
        self.map_both(text, |queue| queue)
    }

    /// The same fact with its texts and the keys of messages or sessions in it mapped.
    pub(super) fn map_both<U>(
        self,
        mut text: impl FnMut(T) -> U,
        key: impl Fn(u64) -> u64,
    ) -> Fact<U> {
        match self {
            Self::Connect => Fact::Connect,
            Self::Seen => Fact::Seen,
            Self::Helo { answer, weight, name } => {
                Fact::Helo { answer, weight, name: name.map(text) }
            }
            Self::Command { verb, name } => Fact::Command { verb, name: name.map(text) },
            Self::Reply { code } => Fact::Reply { code },
            Self::Auth { success, user } => Fact::Auth { success, user: user.map(text) },
            Self::Refused => Fact::Refused,
            Self::Announced { queue } => Fact::Announced { queue: key(queue) },
            Self::Queued { queue } => Fact::Queued { queue: queue.map(key) },
            Self::Ending(end) => Fact::Ending(end),
            Self::Disconnect { end, summary } => Fact::Disconnect { end, summary },
            Self::Visit { lines, end, summary } => Fact::Visit { lines, end, summary },
            Self::Alone { helo, name, deed } => {
                let deed = match deed {
                    Deed::Refused => Deed::Refused,
                    Deed::Queued { queue } => Deed::Queued { queue: key(queue) },
                };
                Fact::Alone { helo, name: name.map(text), deed }
            }
            Self::HandOver => Fact::HandOver,
            Self::Delivery { next_hop, domain, queued_as } => {
                Fact::Delivery { next_hop, domain: text(domain), queued_as: queued_as.map(key) }
            }
            Self::Renamed { queue } => Fact::Renamed { queue: key(queue) },
            Self::Removed => Fact::Removed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_by_part_and_place() {
        let keys = [
            key(&[b"postfix/smtpd", b"12"]),
            key(&[b"postfix/smtpd1", b"2"]),
            key(&[b"postfix/smtpd", b"13"]),
            key(&[b"12", b"postfix/smtpd"]),
            key(&[]),
            key(&[b""]),
        ];
        for (i, left) in keys.iter().enumerate() {
            for right in keys.iter().skip(i + 1) {
                assert_ne!(left, right);
            }
        }
        assert_eq!(key(&[b"A1B2"]), key(&[b"A1B2"]));
        assert_eq!(keys[0], key_with(key(&[b"postfix/smtpd"]), b"12"));
    }

    #[test]
    fn verbs_in_any_case() {
        let cases: [(&[u8], Verb, &[u8]); 7] = [
            (b"ehlo  probe.example", Verb::Helo, b"probe.example"),
            (b"HELO", Verb::Helo, b""),
            (b"MAIL FROM:<a@example.com>", Verb::Mail, b"FROM:<a@example.com>"),
            (b"BDAT 12 LAST", Verb::MessageEnd, b"12 LAST"),
            (b"BDAT 12", Verb::Other, b"12"),
            (b"quit", Verb::Quit, b""),
            (b"", Verb::Other, b""),
        ];
        for (line, verb, argument) in cases {
            assert_eq!(Verb::parse(line), (verb, argument));
        }
    }
}
