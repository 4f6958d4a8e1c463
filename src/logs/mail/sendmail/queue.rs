//! Lines about messages. In: the text behind a queue id. Out: what became of the envelope
//! (`from=`), of its recipients (`to=`), and of the message.
//!
//! Addresses and message ids are the client's text and a reply is another server's: the fields are
//! read from where the server writes them, and a line on which two places look so proves only
//! that the message was delivered.

use std::net::IpAddr;

use memchr::memmem;

use super::peer::{peer_at_end, skip_address};
use crate::logs::fields::{after, until_any};
use crate::logs::mail::fact::{Fact, key};

/// The facts of one line, at most two.
pub(super) type Facts<'a> = Vec<Fact<&'a [u8]>>;

/// Whether a whole message came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Complete {
    Yes,
    No,
}

/// The envelope of a `from=` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Envelope<'a> {
    pub(super) complete: Complete,
    pub(super) protocol: Option<&'a [u8]>,
    pub(super) daemon: Option<&'a [u8]>,
    /// What stands behind the last `relay=`.
    pub(super) relay: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Reads the fields from the end, where nothing is the client's but the host name.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        const RELAY: &[u8] = b", relay=";
        let at = memmem::rfind(text, RELAY)?;
        let (fields, relay) = text.split_at_checked(at)?;
        let relay = relay.strip_prefix(RELAY)?;
        let protocol = memmem::rfind(fields, b", proto=").and_then(|at| fields.get(at..));
        let protocol = protocol.and_then(|rest| rest.strip_prefix(b", proto="));
        let daemon = protocol.and_then(|rest| after(rest, b", daemon="));
        let word = |rest| until_any(rest, b", ");
        let complete = read_counts(fields).unwrap_or(Complete::No);
        Some(Self { complete, protocol: protocol.map(word), daemon: daemon.map(word), relay })
    }
}

/// `from=<a>, size=151, class=0, nrcpts=1, msgid=<x>`: the size is that of what came in, the message
/// id is there once all of it has, and no recipients means that all were refused.
fn read_counts(fields: &[u8]) -> Option<Complete> {
    const LONGEST_SENDER: usize = 200;
    let sender = fields.strip_prefix(b"from=")?;
    let whole = skip_address(sender).filter(|rest| rest.starts_with(b", size="));
    let cut = || sender.get(LONGEST_SENDER..).filter(|rest| rest.starts_with(b", size="));
    let (size, mut rest) = take_number(whole.or_else(cut)?, b", size=")?;
    for name in [b", class=".as_slice(), b", pri="] {
        rest = take_number(rest, name).map_or(rest, |(_, rest)| rest);
    }
    let (recipients, rest) = take_number(rest, b", nrcpts=")?;
    let all = is_some_number(size) && is_some_number(recipients) && rest.starts_with(b", msgid=");
    Some(if all { Complete::Yes } else { Complete::No })
}

/// The value of a field that is a number, as written.
fn take_number<'a>(text: &'a [u8], name: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let value = text.strip_prefix(name)?;
    let length = value.iter().take_while(|b| b.is_ascii_digit() || **b == b'-').count();
    value.split_at_checked(length).filter(|_| length > 0)
}

/// Whether a number is more than nothing.
fn is_some_number(digits: &[u8]) -> bool {
    digits.iter().all(u8::is_ascii_digit) && digits.iter().any(|b| *b != b'0')
}

/// What a line says of a message: `to=...` or `done; ...`; none for any other.
pub(super) fn message_facts(text: &[u8]) -> Option<Facts<'_>> {
    if text.starts_with(b"done; delay=") {
        return Some(vec![Fact::Removed]);
    }
    let recipients = text.strip_prefix(b"to=")?;
    Some(match Attempt::find(recipients) {
        Attempt::None => vec![Fact::Seen],
        // Delivery is tried only of what was accepted.
        Attempt::Unclear => vec![
            Fact::Queued { queue: None },
            Fact::Delivery { next_hop: None, domain: b"", queued_as: None },
        ],
        Attempt::Once { at, mailer, relay, status } => {
            let mut facts = vec![Fact::Queued { queue: None }];
            let given = recipients.get(..at).unwrap_or_default();
            facts.extend(delivery(given, mailer, relay, status));
            facts
        }
    })
}

/// The message that this one is a part of: `clone 6B2A00xy000711, owner=...`.
pub(super) fn cloned_from(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"clone ")?;
    let id = until_any(rest, b", ");
    (id.len() >= 8 && id.iter().all(u8::is_ascii_alphanumeric)).then_some(id)
}

/// Whether no other program writes this behind a queue id.
pub(super) fn is_characteristic(text: &[u8]) -> bool {
    let has = |words: &[u8]| memmem::find(text, words).is_some();
    (text.starts_with(b"from=") && has(b", class=") && has(b", nrcpts="))
        || (text.starts_with(b"to=") && has(b", delay=") && has(b", stat="))
        || (text.starts_with(b"ruleset=") && has(b", arg1=") && has(b", relay="))
        || has(b" did not issue MAIL/EXPN/VRFY/ETRN during connection to ")
}

/// An attempt to deliver, as the server writes it behind the recipients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt<'a> {
    /// None was made.
    None,
    Once {
        /// Where the server's own fields begin.
        at: usize,
        mailer: &'a [u8],
        relay: Option<&'a [u8]>,
        status: &'a [u8],
    },
    /// Foreign text on the line looks like the server's fields.
    Unclear,
}

impl<'a> Attempt<'a> {
    /// Looks for `, delay=D, xdelay=D, mailer=M, pri=N, relay=R, dsn=D, stat=S`.
    fn find(text: &'a [u8]) -> Self {
        let mut found = Self::None;
        for at in memmem::find_iter(text, b", delay=") {
            let Some(attempt) = text.get(at..).and_then(|rest| Self::read(rest, at)) else {
                continue;
            };
            if found != Self::None {
                return Self::Unclear;
            }
            found = attempt;
        }
        found
    }

    fn read(text: &'a [u8], at: usize) -> Option<Self> {
        let time = |rest: &'a [u8], name: &[u8]| {
            let value = rest.strip_prefix(name)?;
            let length = value.iter().take_while(|b| b.is_ascii_digit() || b":+".contains(b));
            value.get(length.count()..)
        };
        let rest = time(text, b", delay=")?;
        let rest = time(rest, b", xdelay=").unwrap_or(rest);
        let mailer = until_any(rest.strip_prefix(b", mailer=")?, b", ");
        let rest = rest.get(b", mailer=".len().saturating_add(mailer.len())..)?;
        let rest = time(rest, b", pri=").unwrap_or(rest);
        let relay = rest.strip_prefix(b", relay=").map(|relay| until_any(relay, b","));
        let rest = match relay {
            Some(relay) => rest.get(b", relay=".len().saturating_add(relay.len())..)?,
            None => rest,
        };
        let status = after(rest, b", stat=").filter(|_| rest.starts_with(b", "))?;
        Some(Self::Once { at, mailer, relay, status })
    }
}

/// The delivery that an attempt was, where it went to another host and succeeded.
fn delivery<'a>(
    recipients: &'a [u8],
    mailer: &[u8],
    relay: Option<&[u8]>,
    status: &[u8],
) -> Option<Fact<&'a [u8]>> {
    const LOCAL: &[&[u8]] = &[b"local", b"prog", b"procmail", b"cyrus", b"lmtp", b"*"];
    let here = LOCAL.iter().any(|name| mailer.starts_with(name));
    let next_hop = relay.and_then(peer_at_end).map(|peer| peer.ip);
    let smtp = [b"smtp".as_slice(), b"esmtp", b"dsmtp", b"relay"];
    let there = next_hop.is_some() || smtp.iter().any(|name| mailer.starts_with(name));
    if here || !there || !status.starts_with(b"Sent") {
        return None;
    }
    let queued_as = next_hop.filter(IpAddr::is_loopback).and_then(|_| next_id(status));
    Some(Fact::Delivery { next_hop, domain: first_domain(recipients), queued_as })
}

/// The domain of the first recipient; all of one line go to one host.
fn first_domain(recipients: &[u8]) -> &[u8] {
    let first = match skip_address(recipients) {
        Some(rest) => recipients.get(..recipients.len().saturating_sub(rest.len())),
        None => Some(until_any(recipients, b", ")),
    };
    let address = first.unwrap_or_default();
    let address = address.strip_suffix(b">").unwrap_or(address);
    match memchr::memrchr(b'@', address) {
        Some(at) => address.get(at.saturating_add(1)..).unwrap_or_default(),
        None => b"",
    }
}

/// The id under which this host goes on: `Sent (6B2A00xz000712 Message accepted for delivery)` or
/// `Sent (Ok: queued as ...)`.
fn next_id(status: &[u8]) -> Option<u64> {
    let words = b" Message accepted for delivery";
    let before = memmem::rfind(status, words).and_then(|at| status.get(..at));
    let id = if let Some(before) = before {
        before.rsplit(|b| !b.is_ascii_alphanumeric()).next()?
    } else {
        let rest = after(status, b"queued as ")?;
        let length = rest.iter().take(32).take_while(|b| b.is_ascii_alphanumeric()).count();
        rest.get(..length)?
    };
    (id.len() >= 8).then(|| key(&[id]))
}
