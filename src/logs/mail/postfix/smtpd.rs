//! Lines of smtpd. In: one line. Out: what it says of the session, whose key is the tag and the
//! pid: a process serves one client after the other.
//!
//! The client is read where smtpd writes it, right behind its own words; everything after it
//! (envelope, HELO name, user, replies) is the client's text and cannot move it.

use std::cell::RefCell;

use memchr::memmem;

use super::peer::{Peer, known_peer, new_peer};
use super::{DIGIT, helo_name, run_length, take_queue_id};
use crate::logs::fields;
use crate::logs::mail::fact::fold;
use crate::logs::mail::{
    Answer, End, Fact, Program, Said, Say, Subject, Success, Summary, Weight, key_with,
};
use crate::model::net::parse_decimal;

/// A line being read.
struct Reader<'a, 'out> {
    /// The session's key.
    session: u64,
    local_port: Option<u16>,
    out: Say<'out, 'a>,
}

/// Reads a line of smtpd.
pub(super) fn parse<'a>(smtpd: &Program, pid: Option<&[u8]>, body: &'a [u8], say: Say<'_, 'a>) {
    let session = key_with(smtpd.key, pid.unwrap_or_default());
    Reader { session, local_port: smtpd.port, out: say }.read(body);
}

impl<'a> Reader<'a, '_> {
    fn read(&mut self, body: &'a [u8]) {
        if let Some(rest) = body.strip_prefix(b"connect from ") {
            if let Some((peer, _)) = new_peer(self.session, rest) {
                self.say(peer, Fact::Connect);
            }
        } else if let Some(rest) = body.strip_prefix(b"disconnect from ") {
            self.read_disconnect(rest);
        } else if let Some(rest) = body.strip_prefix(b"warning: ") {
            self.read_warning(rest);
        } else if let Some(rest) = body.strip_prefix(b"NOQUEUE: ") {
            self.read_event(None, rest);
        } else if let Some((queue, rest)) = take_queue_id(body) {
            self.read_event(Some(queue), rest);
        } else {
            self.read_trouble(body);
        }
    }

    fn say(&mut self, peer: Peer, fact: Fact<&'a [u8]>) {
        (self.out)(Said {
            client: peer.ip,
            client_port: peer.port,
            local_port: self.local_port,
            ..Said::of(Subject::Session(self.session), fact)
        });
    }

    /// The client at the start of the text, mostly that of the session's line before, and what
    /// follows.
    fn take_peer<'t>(&self, text: &'t [u8]) -> Option<(Peer, &'t [u8])> {
        known_peer(self.session, text)
    }

    /// A fact of the client that stands at the start of the text; gives what follows.
    fn say_of(&mut self, text: &'a [u8], fact: Fact<&'a [u8]>) -> Option<&'a [u8]> {
        let (peer, rest) = self.take_peer(text)?;
        self.say(peer, fact);
        Some(rest)
    }

    /// `name[ip] ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4`; before 3.0 without counters.
    fn read_disconnect(&mut self, text: &'a [u8]) {
        let Some((peer, rest)) = self.take_peer(text) else { return };
        let (end, summary) = match known_counters(rest) {
            Some((end, summary)) => (end, Some(summary)),
            None => (End::Orderly, None),
        };
        self.say(peer, Fact::Disconnect { end, summary });
    }

    /// What stands behind `NOQUEUE: ` or a queue id.
    fn read_event(&mut self, queue: Option<u64>, text: &'a [u8]) {
        if let Some(rest) = text.strip_prefix(b"client=") {
            return self.read_client(queue, rest);
        }
        let Some((action, rest)) = split_at(text, b": ") else {
            return self.read_trouble(text);
        };
        // The command is smtpd's own word, so the first ` from ` is smtpd's too.
        match split_at(rest, b" from ") {
            Some((command, rest)) if is_word(action) => {
                self.read_action(action, command, rest);
            }
            _ => self.read_trouble(text),
        }
    }

    /// `client=name[ip], sasl_method=PLAIN, sasl_username=user`. Other fields stand before
    /// the user, whose text ends the line.
    fn read_client(&mut self, queue: Option<u64>, text: &'a [u8]) {
        let Some((peer, mut rest)) = self.take_peer(text) else { return };
        match queue {
            Some(queue) => self.say(peer, Fact::Announced { queue }),
            None => self.say(peer, Fact::Seen),
        }
        while let Some(field) = rest.strip_prefix(b", ") {
            if let Some(user) = field.strip_prefix(b"sasl_username=") {
                let user = memmem::rfind(user, b", sasl_sender=")
                    .and_then(|at| user.get(..at))
                    .unwrap_or(user);
                return self.say(peer, Fact::Auth { success: Success::Ok, user: Some(user) });
            }
            let length = memmem::find(field, b", ").unwrap_or(field.len());
            rest = field.get(length..).unwrap_or_default();
        }
    }

    /// `reject: RCPT from name[ip]: 554 5.7.1 ...; from=<> to=<> proto=ESMTP helo=<x>` and the
    /// like (`log_whatsup` in `smtpd_check.c`, `milter-reject`, `proxy-accept`).
    fn read_action(&mut self, action: &[u8], command: &[u8], text: &'a [u8]) {
        let Some((peer, rest)) = self.take_peer(text) else { return };
        let refused = matches!(action, b"reject" | b"milter-reject" | b"proxy-reject");
        let name = helo_name(rest);
        let given = name.filter(|name| !name.is_empty());
        if matches!(command, b"HELO" | b"EHLO") && refused {
            let answer = Answer::Rejected;
            return self.say(peer, Fact::Helo { answer, weight: Weight::Proof, name: given });
        }
        if refused {
            self.say(peer, Fact::Refused);
        } else if action == b"proxy-accept" {
            let queue = super::queue::queued_as(rest);
            self.say(peer, Fact::Queued { queue });
        } else {
            self.say(peer, Fact::Seen);
        }
        match (given, name) {
            (Some(_), _) if command != b"CONNECT" => {
                let answer = Answer::Accepted;
                self.say(peer, Fact::Helo { answer, weight: Weight::Proof, name: given });
            }
            (None, Some(_)) => {
                let answer = Answer::NotSent;
                self.say(peer, Fact::Helo { answer, weight: Weight::Hint, name: None });
            }
            _ => {}
        }
    }

    /// `lost connection after HELO from name[ip]` and other ends and oddities.
    fn read_trouble(&mut self, text: &'a [u8]) {
        for (words, fact) in TROUBLES {
            let Some(rest) = text.strip_prefix(*words) else { continue };
            let Some((command, rest)) = split_at(rest, b" from ") else { return };
            let Some((peer, _)) = self.take_peer(rest) else { return };
            self.say(peer, *fact);
            let answer = match command {
                b"CONNECT" => Answer::NotSent,
                b"HELO" | b"EHLO" => Answer::Accepted,
                _ => return,
            };
            if *fact == Fact::Ending(End::Lost) {
                self.say(peer, Fact::Helo { answer, weight: Weight::Hint, name: None });
            }
            return;
        }
        self.read_tls(text);
    }

    /// `Anonymous TLS connection established from name[ip]: ...` and what went before.
    fn read_tls(&mut self, text: &'a [u8]) {
        for words in TLS {
            if let Some(rest) = text.strip_prefix(*words) {
                self.say_of(rest, Fact::Seen);
                return;
            }
        }
    }

    /// `name[ip]: SASL LOGIN authentication failed: ...`, limits, and commands of other protocols.
    fn read_warning(&mut self, text: &'a [u8]) {
        if let Some(rest) = text.strip_prefix(b"non-SMTP command from ") {
            self.say_of(rest, Fact::Seen);
        } else if let Some(rest) = limit_exceeded(text) {
            self.say_of(rest, Fact::Refused);
        } else if let Some(rest) = text.strip_prefix(b"Illegal address syntax from ") {
            self.say_of(rest, Fact::Refused);
        } else if let Some((peer, rest)) = self.take_peer(text)
            && let Some(rest) = rest.strip_prefix(b": SASL ")
            && fields::after(rest, b" authentication failed").is_some()
        {
            self.say(peer, Fact::Auth { success: Success::Failed, user: None });
            let answer = Answer::Accepted;
            self.say(peer, Fact::Helo { answer, weight: Weight::Hint, name: None });
        }
    }
}

/// Words before the last command and ` from `.
const TROUBLES: &[(&[u8], Fact<&[u8]>)] = &[
    (b"lost connection after ", Fact::Ending(End::Lost)),
    (b"timeout after ", Fact::Ending(End::Lost)),
    (b"too many errors after ", Fact::Ending(End::Lost)),
    (b"improper command pipelining after ", Fact::Seen),
];

/// Words before a client that is setting up TLS.
const TLS: &[&[u8]] = &[
    b"Anonymous TLS connection established from ",
    b"Untrusted TLS connection established from ",
    b"Trusted TLS connection established from ",
    b"Verified TLS connection established from ",
    b"setting up TLS connection from ",
    b"SSL_accept error from ",
    b"SSL_accept:error from ",
];

/// What follows `... limit exceeded: 31 from `: smtpd's own words and a number.
fn limit_exceeded(text: &[u8]) -> Option<&[u8]> {
    let (words, rest) = split_at(text, b" limit exceeded: ")?;
    let plain = words.iter().all(|b| b.is_ascii_alphabetic() || *b == b' ');
    let (count, rest) = split_at(rest, b" from ")?;
    (plain && parse_decimal(count).is_some()).then_some(rest)
}

thread_local! {
    /// The counters that the thread read last, by a number of their text.
    static COUNTERS: RefCell<[KnownCounters; KNOWN]> = const { RefCell::new([KnownCounters::NONE; KNOWN]) };
}

/// A text of counters and what it says. Most clients talk in one of a few ways.
#[derive(Clone, Copy)]
struct KnownCounters {
    text: [u8; LONGEST_KNOWN],
    length: usize,
    said: Option<(End, Summary)>,
}

/// Texts of counters that are remembered.
const KNOWN: usize = 32;

/// Longest text of counters that is remembered.
const LONGEST_KNOWN: usize = 72;

impl KnownCounters {
    const NONE: Self = Self { text: [0; LONGEST_KNOWN], length: 0, said: None };
}

/// What [`read_counters`] says, which is asked where the text was not seen lately.
fn known_counters(text: &[u8]) -> Option<(End, Summary)> {
    let ends = text.first_chunk().zip(text.last_chunk());
    let Some((first, last)) = ends.filter(|_| text.len() <= LONGEST_KNOWN) else {
        return read_counters(text);
    };
    let mixed = fold(u64::from_le_bytes(*first) ^ text.len() as u64, u64::from_le_bytes(*last));
    COUNTERS.with_borrow_mut(|all| {
        let known = all.get_mut(mixed as usize % KNOWN)?;
        if known.text.get(..known.length) != Some(text) {
            known.text.get_mut(..text.len())?.copy_from_slice(text);
            (known.length, known.said) = (text.len(), read_counters(text));
        }
        known.said
    })
}

/// Reads the counters of a disconnect line: `cmd=ok` or `cmd=ok/total`, `commands=` last.
fn read_counters(text: &[u8]) -> Option<(End, Summary)> {
    let mut counted = false;
    let (mut end, mut helo, mut messages) = (End::Lost, Answer::NotSent, 0u32);
    let mut summary = Summary::default();
    let mut rest = text.trim_ascii_start();
    while !rest.is_empty() {
        let name = rest.get(..rest.iter().position(|&b| b == b'=' || b == b' ')?)?;
        let (ok, after) = take_number(rest.get(name.len()..)?.strip_prefix(b"=")?)?;
        let (total, after) = match after.strip_prefix(b"/") {
            Some(after) => take_number(after)?,
            None => (ok, after),
        };
        if !after.is_empty() && !after.starts_with(b" ") {
            return None;
        }
        rest = after.trim_ascii_start();
        match name {
            b"commands" => {
                counted = true;
                continue;
            }
            b"helo" | b"ehlo" if ok > 0 => helo = Answer::Accepted,
            b"helo" | b"ehlo" => helo = helo.max(Answer::Rejected),
            b"auth" if ok > 0 => summary.auth = Some(Success::Ok),
            b"auth" => summary.auth = Some(Success::Failed),
            b"data" => messages = messages.saturating_add(u32::try_from(ok).unwrap_or(u32::MAX)),
            b"bdat" if ok > 0 => messages = messages.saturating_add(1),
            b"quit" if ok > 0 => end = End::Orderly,
            // Another protocol on this port, or a handshake that failed: nothing was refused.
            b"unknown" | b"starttls" => continue,
            _ => {}
        }
        summary.refused |= ok < total;
    }
    summary.helo = Some(helo);
    summary.messages = Some(messages);
    counted.then_some((end, summary))
}

/// A decimal number at the start of the text, and what follows it.
fn take_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let length = run_length(text, 20, DIGIT);
    Some((parse_decimal(text.get(..length)?)?, text.get(length..)?))
}

/// Splits at the first occurrence of a separator of a few bytes. Its places are found by its first
/// byte: they are near the start, and building a searcher would cost more than the search.
fn split_at<'t>(text: &'t [u8], separator: &[u8]) -> Option<(&'t [u8], &'t [u8])> {
    let first = *separator.first()?;
    memchr::memchr_iter(first, text).find_map(|at| {
        let rest = text.get(at..)?.strip_prefix(separator)?;
        Some((text.get(..at)?, rest))
    })
}

/// Whether this is one of smtpd's action words.
fn is_word(text: &[u8]) -> bool {
    text.len() <= 24 && text.iter().all(|b| b.is_ascii_lowercase() || b"-_".contains(b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{known_counters, read_counters};

    proptest! {
        #[test]
        fn remembered_counters_are_those_that_stand_there(
            texts in prop::collection::vec(
                "( (ehlo|helo|auth|rcpt|data|bdat|quit|x)=[0-2](/[12])?){0,4}( commands=[1-3])?[ x]?",
                1..40,
            ),
        ) {
            for text in texts.iter().chain(&texts) {
                let text = text.as_bytes();
                prop_assert_eq!(known_counters(text), read_counters(text));
            }
        }
    }
}
