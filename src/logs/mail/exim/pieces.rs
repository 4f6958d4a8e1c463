//! The pieces of Exim's lines: fields, mail addresses, message ids, deliveries, the head of an
//! entry. In: text. Out: slices of it. What a line proves is the parent's.

use crate::logs::clock::LogTime;
use crate::logs::fields::{after, between, split_once};
use crate::logs::mail::exim::host::split_client;
use crate::logs::mail::fact::{Fact, key};

/// Skips ` X=...`, ` CV=no`, ` SNI=...`, ` A=...`, ` U=...` and ` F=<sender>`.
pub(super) fn skip_fields(mut rest: &[u8]) -> &[u8] {
    while let Some(text) = rest.strip_prefix(b" ") {
        let key = text.iter().take_while(|b| b.is_ascii_uppercase()).count();
        match text.get(key) {
            Some(b'=') if key > 0 => {}
            _ => return text,
        }
        let value = text.get(key.saturating_add(1)..).unwrap_or_default();
        rest = match value.strip_prefix(b"<") {
            Some(address) => skip_bracketed(address),
            None => value.get(value.iter().take_while(|b| **b != b' ').count()..).unwrap_or(b""),
        };
    }
    rest
}

/// What follows the `>` that ends an address; one inside quotes does not.
fn skip_bracketed(address: &[u8]) -> &[u8] {
    let (mut quoted, mut escaped) = (false, false);
    let end = address.iter().position(|&b| {
        let ends = b == b'>' && !quoted;
        quoted ^= b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        ends
    });
    end.and_then(|end| address.get(end.saturating_add(1)..)).unwrap_or_default()
}

/// What follows the sender's address of an arrival: quoted local parts may hold blanks.
pub(super) fn skip_address(text: &[u8]) -> &[u8] {
    let (mut quoted, mut escaped) = (false, false);
    let end = text.iter().position(|&b| {
        let ends = b == b' ' && !quoted;
        quoted ^= b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        ends
    });
    end.and_then(|end| text.get(end..)).unwrap_or_default()
}

/// A bounce names the message that it is about before its host.
pub(super) fn after_bounce(rest: &[u8]) -> Option<&[u8]> {
    split_once(rest.strip_prefix(b" R=")?, b' ')?.1.strip_prefix(b"H=")
}

/// The value of a field that the server wrote, up to the next blank.
pub(super) fn field<'a>(fields: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = after(fields, name)?;
    Some(value.get(..value.iter().take_while(|b| **b != b' ').count()).unwrap_or(value))
}

pub(super) fn after_last<'a>(text: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    let at = memchr::memmem::rfind(text, mark)?;
    text.get(at.saturating_add(mark.len())..)
}

/// A message id in front (6-6-2 letters and digits, since 4.97 6-11-4) and what follows it.
pub(super) fn split_id(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if text.get(6) != Some(&b'-') {
        return None;
    }
    [[6usize, 6, 2], [6, 11, 4]].into_iter().find_map(|shape| {
        let length = shape.iter().sum::<usize>().saturating_add(2);
        let id = text.get(..length)?;
        let mut parts = id.split(|&b| b == b'-');
        let fits = shape.iter().all(|&size| {
            parts.next().is_some_and(|p| p.len() == size && p.iter().all(u8::is_ascii_alphanumeric))
        });
        let rest = text.get(length..)?.strip_prefix(b" ")?;
        (fits && parts.next().is_none()).then_some((id, rest))
    })
}

/// `recipient <original> R=router T=transport H=host [address]:port ... C="250 OK id=..."`.
pub(super) fn delivery_fact(text: &[u8]) -> Option<Fact<&[u8]>> {
    let recipient = fields_start(text)?;
    let original = between(recipient, b"<", b">").unwrap_or(recipient).trim_ascii();
    let fields = text.get(recipient.len()..)?;
    let Some(at_host) = after(fields, b" H=").filter(|_| fields.starts_with(b" R=")) else {
        return Some(Fact::Seen);
    };
    let (hop, rest) = split_client(at_host)?;
    let domain = original.rsplit(|&b| b == b'@').next().unwrap_or_default();
    let domain = if original.contains(&b'@') { domain } else { b"" };
    let filter = hop.ip.is_some_and(|ip| ip.is_loopback());
    let queued_as = filter.then(|| next_id(rest)).flatten();
    Some(Fact::Delivery { next_hop: hop.ip, domain, queued_as })
}

/// The recipient of a delivery: what stands before ` R=`, quotes honoured.
fn fields_start(text: &[u8]) -> Option<&[u8]> {
    let mut quoted = false;
    let end = (0..text.len()).find(|&at| {
        quoted ^= text.get(at) == Some(&b'"');
        !quoted && text.get(at..).is_some_and(|rest| rest.starts_with(b" R="))
    })?;
    text.get(..end)
}

/// The id that a content filter on this host gave the message: `C="250 OK id=1xVg28-00002a-3D"`.
fn next_id(rest: &[u8]) -> Option<u64> {
    let answer = after(rest, b" C=\"")?;
    let id = after(answer, b" id=").or_else(|| after(answer, b"queued as "))?;
    let length = id.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'-').count();
    id.get(..length).filter(|id| !id.is_empty()).map(|id| key(&[b"exim", id]))
}

/// A zone of its own word after the time: `+0100 `.
pub(super) fn take_zone(time: LogTime, rest: &[u8]) -> (LogTime, &[u8]) {
    let LogTime::Civil(mut civil) = time else { return (time, rest) };
    let sign = match rest.first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return (time, rest),
    };
    let digits = rest.get(1..5).filter(|d| d.iter().all(u8::is_ascii_digit));
    let (Some([a, b, c, d]), Some(after)) =
        (digits, rest.get(5..).and_then(|rest| rest.strip_prefix(b" ")))
    else {
        return (time, rest);
    };
    let number = |tens: &u8, ones: &u8| i32::from(tens & 15) * 10 + i32::from(ones & 15);
    civil.offset = Some(sign * (number(a, b) * 3600 + number(c, d) * 60));
    (LogTime::Civil(civil), after)
}

/// `[67] ` in front of the text.
pub(super) fn take_pid(text: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let taken = text.strip_prefix(b"[").and_then(|inner| {
        let (pid, rest) = split_once(inner, b']')?;
        let digits = !pid.is_empty() && pid.iter().all(u8::is_ascii_digit);
        digits.then_some((pid, rest.strip_prefix(b" ")?))
    });
    match taken {
        Some((pid, rest)) => (Some(pid), rest),
        None => (None, text),
    }
}
