//! Lines of postscreen. In: one line. Out: what it says of the connection, whose key is the
//! client's address and port: postscreen is one process for all.
//!
//! postscreen prints both ends of a connection. One that passes is handed over to smtpd; one that
//! stays is answered by postscreen's own engine, which logs no accepted HELO.

use super::peer::{Peer, take_peer};
use super::{WORDS, helo_name, run_length};
use crate::logs::fields;
use crate::logs::mail::{Answer, End, Fact, Program, Said, Say, Subject, Weight, key};

/// Longest text of postscreen's own before a client.
const LONGEST_WORDS: usize = 100;

/// Reads a line of postscreen.
pub(super) fn parse<'a>(_: &Program, _: Option<&[u8]>, body: &'a [u8], say: Say<'_, 'a>) {
    let Some((words, peer, rest)) = split_client(body) else { return };
    let end = body.len().saturating_sub(rest.len());
    let client = body.get(words.len()..end).unwrap_or_default();
    let subject = Subject::Session(key(&[b"postscreen", client]));
    let mut say = |fact| {
        let mut said = Said::of(subject, fact);
        (said.client, said.client_port) = (peer.ip, peer.port);
        if fact == Fact::Connect
            && let Some((local, _)) = rest.strip_prefix(b" to ").and_then(take_peer)
        {
            (said.local_ip, said.local_port) = (local.ip, local.port);
        }
        say(said);
    };
    match words {
        b"CONNECT from " => say(Fact::Connect),
        b"PASS OLD " | b"PASS NEW " | b"ALLOWLISTED " | b"WHITELISTED " => say(Fact::HandOver),
        b"DISCONNECT " => say(Fact::Disconnect { end: End::Lost, summary: None }),
        _ if words.starts_with(b"HANGUP after ") => {
            say(Fact::Ending(End::Lost));
            if rest.starts_with(b" in tests before SMTP handshake") {
                say(helo(Answer::NotSent, Weight::Proof, None));
            }
        }
        _ if words.starts_with(b"PREGREET ") => {
            say(helo(Answer::Sent, Weight::Proof, early_name(rest)));
        }
        _ if words.starts_with(b"NOQUEUE: reject: ") => {
            say(Fact::Refused);
            match helo_name(rest) {
                Some(b"") => say(helo(Answer::NotSent, Weight::Hint, None)),
                Some(name) => say(helo(Answer::Accepted, Weight::Proof, Some(name))),
                None => {}
            }
        }
        _ => {
            say(Fact::Seen);
            // A command after HELO broke a rule, so HELO had been answered.
            if let Some(after) = rest.strip_prefix(b" after ")
                && matches!(fields::until_any(after, b": "), b"HELO" | b"EHLO")
            {
                say(helo(Answer::Accepted, Weight::Hint, None));
            }
        }
    }
}

fn helo(answer: Answer, weight: Weight, name: Option<&[u8]>) -> Fact<&[u8]> {
    Fact::Helo { answer, weight, name }
}

/// postscreen's own words (capitals, numbers), the client `[address]:port`, and what follows. A
/// bracket of a client's text cannot come first: all such text stands behind the client.
fn split_client(body: &[u8]) -> Option<(&[u8], Peer, &[u8])> {
    let open = run_length(body, LONGEST_WORDS, WORDS);
    let words = body.get(..open)?;
    if words.starts_with(b"warning") {
        return None;
    }
    let (peer, rest) = take_peer(body.get(open..)?)?;
    (peer.ip.is_some() && peer.port.is_some()).then_some((words, peer, rest))
}

/// The name in `: EHLO x\r\n`, the client's text with control characters escaped.
fn early_name(rest: &[u8]) -> Option<&[u8]> {
    let text = rest.strip_prefix(b": ")?;
    let verb = text.get(..5)?.to_ascii_uppercase();
    let name = fields::until_any(text.get(5..)?, b"\\").trim_ascii();
    (matches!(verb.as_slice(), b"HELO " | b"EHLO ") && !name.is_empty()).then_some(name)
}
