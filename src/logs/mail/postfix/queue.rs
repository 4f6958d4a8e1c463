//! Lines about messages: cleanup, qmgr, smtp, lmtp. In: one line. Out: what it says of the message
//! with that queue id.
//!
//! Recipients and the next hop's replies are foreign text and stand on both sides of the server's
//! own fields. Those are read only where they occur as a whole and once; a line that holds two
//! such groups tells of a delivery, but not to whom.

use std::net::IpAddr;
use std::sync::LazyLock;

use memchr::memmem;

use super::{helo_name, rfind_field, take_queue_id};
use crate::logs::fields;
use crate::logs::mail::{Answer, Fact, Program, Said, Say, Subject, Weight, key};
use crate::model::net::{is_private, parse_ip};

/// Reads `QID: from=<a@b>, size=1, nrcpt=1 (queue active)` and `QID: removed`.
pub(super) fn parse_qmgr<'a>(_: &Program, _: Option<&[u8]>, body: &'a [u8], say: Say<'_, 'a>) {
    let Some((queue, rest)) = take_queue_id(body) else { return };
    let fact = match rest {
        b"removed" => Fact::Removed,
        _ if !rest.starts_with(b"from=<") => return,
        _ if rest.ends_with(b"(queue active)") => Fact::Queued { queue: Some(queue) },
        _ => Fact::Seen,
    };
    say(Said::of(Subject::Message(queue), fact));
}

/// Reads `QID: message-id=<...>` and what header checks and milters did: `QID: hold: header ...;
/// from=<> to=<> proto=ESMTP helo=<x>`, `QID: milter-reject: END-OF-MESSAGE from ...`.
pub(super) fn parse_cleanup<'a>(_: &Program, _: Option<&[u8]>, body: &'a [u8], say: Say<'_, 'a>) {
    let Some((queue, rest)) = take_queue_id(body) else { return };
    let mut say = |fact| say(Said::of(Subject::Message(queue), fact));
    let refused = [b"reject: ".as_slice(), b"milter-reject: "];
    if rest.starts_with(b"message-id=") {
        return say(Fact::Seen);
    }
    say(if refused.iter().any(|word| rest.starts_with(word)) { Fact::Refused } else { Fact::Seen });
    if let Some(name) = helo_name(rest).filter(|name| !name.is_empty()) {
        let answer = Answer::Accepted;
        say(Fact::Helo { answer, weight: Weight::Proof, name: Some(name) });
    }
}

/// Reads `QID: to=<a@d>, relay=mx.d[ip]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (...)`.
pub(super) fn parse_smtp<'a>(_: &Program, _: Option<&[u8]>, body: &'a [u8], say: Say<'_, 'a>) {
    let Some((queue, rest)) = take_queue_id(body) else { return };
    let subject = Subject::Message(queue);
    let Some(recipients) = rest.strip_prefix(b"to=<") else { return };
    let fact: Fact<&[u8]> = match find_relay(recipients) {
        Relay::Once(relay) if relay.status == b"sent" => Fact::Delivery {
            next_hop: relay.hop,
            domain: recipient_domain(relay.before),
            queued_as: relay.hop.filter(|ip| is_near(*ip)).and_then(|_| queued_as(relay.reply)),
        },
        Relay::Unclear => Fact::Delivery { next_hop: None, domain: &[], queued_as: None },
        Relay::Once(_) | Relay::None => Fact::Seen,
    };
    say(Said::of(subject, fact));
}

/// Reads the same of lmtp, whose next hop is a mailbox or a content filter: only the queue id
/// under which a filter handed the message back matters.
pub(super) fn parse_lmtp<'a>(_: &Program, _: Option<&[u8]>, body: &'a [u8], say: Say<'_, 'a>) {
    let Some((queue, rest)) = take_queue_id(body) else { return };
    let Some(recipients) = rest.strip_prefix(b"to=<") else { return };
    let renamed = match find_relay(recipients) {
        Relay::Once(relay) if relay.status == b"sent" => queued_as(relay.reply),
        _ => None,
    };
    let fact = renamed.map_or(Fact::Seen, |queue| Fact::Renamed { queue });
    say(Said::of(Subject::Message(queue), fact));
}

/// The queue id in a reply: `250 2.0.0 Ok: queued as 3F1A2B3C4D`, the last where a filter reports
/// another's.
pub(super) fn queued_as(reply: &[u8]) -> Option<u64> {
    const WORDS: &[u8] = b"queued as ";
    let at = memmem::rfind(reply, WORDS)?.checked_add(WORDS.len())?;
    let rest = reply.get(at..)?;
    let length = rest.iter().take(32).take_while(|b| b.is_ascii_alphanumeric()).count();
    rest.get(..length).filter(|id| id.len() >= 5).map(|id| key(&[id]))
}

/// Whether a next hop can be this site's content filter.
fn is_near(ip: IpAddr) -> bool {
    ip.is_loopback() || is_private(ip)
}

/// The server's own fields of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fields<'a> {
    /// What stands before them: the recipients.
    before: &'a [u8],
    hop: Option<IpAddr>,
    status: &'a [u8],
    reply: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relay<'a> {
    None,
    Once(Fields<'a>),
    /// Foreign text on the line looks like the server's fields.
    Unclear,
}

/// What begins the server's own fields.
const START: &[u8] = b", relay=";

static FIND_START: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(START));

/// Looks for the group `, relay=R, [conn_use=N, ]delay=..., delays=..., dsn=..., status=S (`.
fn find_relay(text: &[u8]) -> Relay<'_> {
    let mut found = Relay::None;
    let mut from = 0usize;
    while let Some(offset) = text.get(from..).and_then(|rest| FIND_START.find(rest)) {
        let at = from.saturating_add(offset);
        let after = at.saturating_add(START.len());
        if let Some(fields) = text.get(after..).and_then(|rest| read_fields(rest, text, at)) {
            if found != Relay::None {
                return Relay::Unclear;
            }
            found = Relay::Once(fields);
        }
        from = after;
    }
    found
}

fn read_fields<'a>(rest: &'a [u8], text: &'a [u8], at: usize) -> Option<Fields<'a>> {
    let relay = fields::until_any(rest, b", ");
    let mut rest = rest.get(relay.len()..)?;
    for (name, required) in [
        (b", conn_use=".as_slice(), Required::No),
        (b", delay=", Required::Yes),
        (b", delays=", Required::No),
        (b", dsn=", Required::Yes),
    ] {
        match rest.strip_prefix(name) {
            Some(after) => {
                let value = fields::until_any(after, b", ");
                let number = value.iter().all(|b| b.is_ascii_digit() || b"./e+-".contains(b));
                rest = after.get(value.len()..).filter(|_| number)?;
            }
            None if required == Required::Yes => return None,
            None => {}
        }
    }
    let after = rest.strip_prefix(b", status=")?;
    let status = fields::until_any(after, b", (");
    let reply = after.get(status.len()..)?;
    Some(Fields { before: text.get(..at)?, hop: hop_address(relay), status, reply })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Required {
    Yes,
    No,
}

/// The address in `mx.example.com[192.0.2.1]:25`.
fn hop_address(relay: &[u8]) -> Option<IpAddr> {
    fields::between(relay, b"[", b"]").and_then(parse_ip)
}

/// The domain of the recipient as the client gave it: `a@d>`, or of `a@d>, orig_to=<b@e>` the
/// second. A recipient without a domain has none.
fn recipient_domain(recipients: &[u8]) -> &[u8] {
    let address = recipients.strip_suffix(b">").unwrap_or(recipients);
    let given = match rfind_field(address, b">, orig_to=<") {
        Some(at) => address.get(at..).unwrap_or_default(),
        None => address,
    };
    match memchr::memrchr(b'@', given) {
        Some(at) => given.get(at.saturating_add(1)..).unwrap_or_default(),
        None => b"",
    }
}
