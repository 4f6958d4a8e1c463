//! Lines about conversations. In: the text of a line without a message id, or behind one. Out: where
//! it names its client, and the facts that it proves. Who the client is `host` reads; which session
//! a line is of is the parent's.

use super::Lines;
use super::host::Client;
use super::pieces::{after_last, field, skip_fields};
use crate::logs::fields::split_once;
use crate::logs::mail::fact::{Answer, Deed, End, Fact, Success, Weight};

/// What one line tells of its session: at most this many facts.
pub(super) type Facts<'a> = [Option<Fact<&'a [u8]>>; 3];

/// Where a message without an id names its client, and what its line proves. The client's own text
/// stands behind the client in all of these.
const ANCHORED: &[(&[u8], Kind)] = &[
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
pub(super) enum Kind {
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

/// The facts of a line about a conversation. A name in parentheses means an accepted HELO, but
/// where the line refuses that very HELO.
pub(super) fn tell<'a>(kind: Kind, client: &Client<'a>, lines: Lines, rest: &'a [u8]) -> Facts<'a> {
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
        Kind::NoHelo if lines == Lines::One => [Some(Fact::Refused), None, None],
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
pub(super) fn logged_in(authenticator: &[u8]) -> Fact<&[u8]> {
    let user = split_once(authenticator, b':').map(|(_, user)| user);
    Fact::Auth { success: Success::Ok, user }
}

/// What an access list said: what stands behind `H=host (name) [address]`. The client's own text
/// comes after the words that decide, or between angle brackets in front of them.
fn verdict<'a>(client: &Client<'a>, rest: &'a [u8], named: Option<Fact<&'a [u8]>>) -> Facts<'a> {
    let refused = Fact::Helo { answer: Answer::Rejected, weight: Weight::Hint, name: client.helo };
    match Word::of(rest) {
        Word::Refuses => [named, Some(Fact::Refused), None],
        Word::RefusesHelo => [Some(refused), Some(Fact::Refused), None],
        // May stand before the answer to HELO.
        Word::Warns => [Some(Fact::Seen), None, None],
        Word::Other => [named, Some(Fact::Seen), None],
    }
}

/// The same in one fact, of a session whose only line refuses something.
pub(super) fn refused_alone<'a>(client: &Client<'a>, rest: &[u8]) -> Option<Fact<&'a [u8]>> {
    let helo = match Word::of(rest) {
        Word::Refuses => client.helo.map(|_| Answer::Accepted),
        Word::RefusesHelo => Some(Answer::Rejected),
        Word::Warns | Word::Other => return None,
    };
    Some(Fact::Alone { helo, name: client.helo, deed: Deed::Refused })
}

/// An access list's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Refuses,
    RefusesHelo,
    Warns,
    Other,
}

impl Word {
    /// What stands behind the client.
    fn of(rest: &[u8]) -> Self {
        let words = skip_fields(rest);
        let words = words.strip_prefix(b"temporarily ").unwrap_or(words);
        match words.strip_prefix(b"rejected ") {
            Some(what) if what.starts_with(b"EHLO or HELO ") => Self::RefusesHelo,
            Some(_) => Self::Refuses,
            None if words.starts_with(b"Warning: ") => Self::Warns,
            None => Self::Other,
        }
    }
}

/// What follows `start`: most lines differ in the first byte, which is cheaper to compare than to
/// call for.
pub(super) fn take_start<'a>(text: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    if text.first() == start.first() { text.strip_prefix(start) } else { None }
}

/// Kind and client's place of a line about a conversation.
pub(super) fn locate(text: &[u8]) -> Option<(Kind, &[u8])> {
    if let [b'H', b'=', at_client @ ..] = text {
        return Some((Kind::Verdict, at_client));
    }
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
pub(super) fn authenticator(text: &[u8]) -> Option<&[u8]> {
    let head = text.get(..96).unwrap_or(text);
    let name = head.iter().take_while(|b| b.is_ascii_alphanumeric() || b"_-".contains(b)).count();
    text.get(name..)?.strip_prefix(b" authenticator failed for ").filter(|_| name > 0)
}
