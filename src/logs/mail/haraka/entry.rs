//! One entry of Haraka's log, cut into its parts. In: a line. Out: level, id of the session or
//! transaction, origin, message and named values, whichever of the three forms the line has.
//!
//! ```text
//! [NOTICE] [ID] [core] connect ip=198.51.100.7 port=40001
//! level=NOTICE uuid=ID origin=core message=connect ip=198.51.100.7 port=40001
//! {"level":"NOTICE","uuid":"ID","origin":"core","message":"connect","ip":"198.51.100.7"}
//! ```
//!
//! What a value means is not known here.

use std::net::IpAddr;

use crate::logs::clock::LogTime;
use crate::logs::fields::split_once;
use crate::logs::json::Json;
use crate::logs::line::Line;
use crate::model::net::{Endpoint, parse_ip, parse_port};

/// The levels, as every entry begins.
const LEVELS: &[&[u8]] = &[
    b"DATA",
    b"PROTOCOL",
    b"DEBUG",
    b"INFO",
    b"NOTICE",
    b"WARN",
    b"ERROR",
    b"CRIT",
    b"ALERT",
    b"EMERG",
];

/// Digits and dashes of an id, without the numbers of transactions that may follow.
const ID_LENGTH: usize = 36;

/// One entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    /// The entry's own time, else the head's.
    pub(super) time: Option<LogTime>,
    pub(super) level: &'a [u8],
    /// `-`, or the session's id with the numbers of transaction and delivery.
    id: &'a [u8],
    /// `core`, `outbound` or a plugin.
    pub(super) origin: &'a [u8],
    pub(super) message: &'a [u8],
    values: Values<'a>,
}

/// Where the named values stand.
#[derive(Debug, Clone, Copy)]
enum Values<'a> {
    /// `key=value`, quoted where it must be, between words.
    Words(&'a [u8]),
    Object(Json<'a>),
}

impl<'a> Entry<'a> {
    /// Cuts a line, with or without Haraka's own time in front; none where it is not Haraka's.
    pub(super) fn cut(line: &Line<'a>) -> Option<Self> {
        let (own, body) = match LogTime::parse_iso(line.body) {
            Some((time, used)) => (Some(time), line.body.get(used..)?.trim_ascii_start()),
            None => (None, line.body),
        };
        let entry = match body.first()? {
            b'[' => cut_default(body),
            b'l' => cut_logfmt(body),
            b'{' => cut_json(body),
            _ => None,
        }?;
        let known = LEVELS.contains(&entry.level) && (entry.id == b"-" || is_id(entry.id));
        known.then_some(Self { time: own.or(line.time), ..entry })
    }

    /// The session's id; none where the entry is about the server.
    pub(super) fn session(&self) -> Option<&'a [u8]> {
        self.id.get(..ID_LENGTH)
    }

    /// The id of the transaction: the session's and its number.
    pub(super) fn transaction(&self) -> Option<&'a [u8]> {
        let number = self.id.get(ID_LENGTH..)?.strip_prefix(b".")?;
        let digits = number.iter().take_while(|b| b.is_ascii_digit()).count();
        let length = ID_LENGTH.checked_add(1)?.checked_add(digits)?;
        self.id.get(..length).filter(|_| digits > 0)
    }

    /// Whether the message begins with this word.
    pub(super) fn says(&self, word: &[u8]) -> bool {
        self.message
            .strip_prefix(word)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b" "))
    }

    /// The value of a name, the first of equal ones; empty where it is given as empty. Escapes
    /// stay as they are.
    pub(super) fn value(&self, name: &str) -> Option<&'a [u8]> {
        match self.values {
            Values::Words(text) => find_word(text, name.as_bytes()),
            Values::Object(object) => object.get(name).map(|value| value.text().unwrap_or(b"")),
        }
    }

    /// The address under a name; none where the server had none to bind to.
    pub(super) fn address(&self, name: &str) -> Option<IpAddr> {
        self.value(name).and_then(parse_ip).filter(|ip| !ip.is_unspecified())
    }

    /// The port under a name.
    pub(super) fn port(&self, name: &str) -> Option<u16> {
        self.value(name).and_then(parse_port)
    }

    /// The `address:port` under a name.
    pub(super) fn endpoint(&self, name: &str) -> Option<Endpoint> {
        let text = self.value(name)?;
        let colon = memchr::memrchr(b':', text)?;
        let ip = parse_ip(text.get(..colon)?)?;
        Some(Endpoint::new(ip, parse_port(text.get(colon.checked_add(1)?..)?)?))
    }
}

/// `[LEVEL] [ID] [origin] message`; deliveries of older versions may have a further id there.
fn cut_default(body: &[u8]) -> Option<Entry<'_>> {
    let (level, rest) = bracketed(body)?;
    let (id, rest) = bracketed(rest)?;
    let (origin, mut rest) = bracketed(rest)?;
    if origin == b"outbound"
        && let Some((_, after)) = bracketed(rest).filter(|(inner, _)| is_id(inner))
    {
        rest = after;
    }
    let message = rest.trim_ascii_start();
    Some(Entry { time: None, level, id, origin, message, values: Values::Words(message) })
}

/// The text in brackets at the start, and what follows it and a blank.
fn bracketed(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (inner, rest) = split_once(text.strip_prefix(b"[")?, b']')?;
    Some((inner, rest.strip_prefix(b" ").unwrap_or(rest)))
}

/// `level=LEVEL uuid=ID origin=... message=... key=value ...`
fn cut_logfmt(body: &[u8]) -> Option<Entry<'_>> {
    let (level, rest) = split_value(body.strip_prefix(b"level=")?);
    let (id, rest) = split_value(rest.strip_prefix(b"uuid=")?);
    let (origin, rest) = split_value(rest.strip_prefix(b"origin=")?);
    let (message, rest) = split_value(rest.strip_prefix(b"message=")?);
    Some(Entry { time: None, level, id, origin, message, values: Values::Words(rest) })
}

/// `{"level":"LEVEL","uuid":"ID","origin":"...","message":"...",...}`
fn cut_json(body: &[u8]) -> Option<Entry<'_>> {
    body.strip_prefix(b"{\"level\":\"")?;
    let object = Json::read(body)?;
    let text = |name: &str| object.text_of(name);
    Some(Entry {
        time: None,
        level: text("level")?,
        id: text("uuid")?,
        origin: text("origin")?,
        message: text("message").unwrap_or_default().trim_ascii_start(),
        values: Values::Object(object),
    })
}

/// Whether a text is an id: 8-4-4-4-12 hexadecimal digits, and numbers after dots.
fn is_id(text: &[u8]) -> bool {
    let Some((id, numbers)) = text.split_at_checked(ID_LENGTH) else { return false };
    let in_place = |(at, byte): (usize, &u8)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    id.iter().enumerate().all(in_place) && numbers.iter().all(|b| *b == b'.' || b.is_ascii_digit())
}

/// The value of the first word `name=...`; words within quotes are none.
fn find_word<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = text.trim_ascii_start();
    while !rest.is_empty() {
        let end = rest.iter().position(|b| b" =".contains(b)).unwrap_or(rest.len());
        let (word, tail) = rest.split_at_checked(end)?;
        let Some(tail) = tail.strip_prefix(b"=") else {
            rest = tail.trim_ascii_start();
            continue;
        };
        let (value, after) = split_value(tail);
        if word == name {
            return Some(value);
        }
        rest = after.trim_ascii_start();
    }
    None
}

/// A value at the start of a text and what follows it and a blank. A quoted value ends with the
/// first quote before a blank: older versions escape none within.
fn split_value(text: &[u8]) -> (&[u8], &[u8]) {
    let Some(inner) = text.strip_prefix(b"\"") else {
        return split_once(text, b' ').unwrap_or((text, b""));
    };
    let mut escaped = false;
    let mut bytes = inner.iter().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        let closes = *byte == b'"' && !escaped;
        if closes && bytes.peek().is_none_or(|(_, next)| **next == b' ') {
            let (value, rest) = inner.split_at_checked(at).unwrap_or((inner, b""));
            return (value, rest.get(2..).unwrap_or_default());
        }
        escaped = *byte == b'\\' && !escaped;
    }
    (inner, b"")
}
