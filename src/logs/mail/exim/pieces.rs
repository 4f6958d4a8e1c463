//! The pieces of Exim's lines: fields, mail addresses, message ids, deliveries, the head of an
//! entry. In: text. Out: slices of it. What a line proves is the parent's.

use crate::logs::clock::LogTime;
use crate::logs::fields::{after, between, find_near, split_once, words};
use crate::logs::mail::exim::host::split_client;
use crate::logs::mail::fact::{Fact, key};

/// Skips ` X=...`, ` CV=no`, ` SNI=...`, ` A=...`, ` U=...` and ` F=<sender>`.
pub(super) fn skip_fields(mut rest: &[u8]) -> &[u8] {
    while let [b' ', text @ ..] = rest {
        let key = text.iter().take_while(|b| b.is_ascii_uppercase()).count();
        match text.get(key) {
            Some(b'=') if key > 0 => {}
            _ => return text,
        }
        let value = text.get(key.saturating_add(1)..).unwrap_or_default();
        rest = match value {
            [b'<', address @ ..] => skip_bracketed(address),
            _ => value.get(value.iter().take_while(|b| **b != b' ').count()..).unwrap_or(b""),
        };
    }
    rest
}

/// What follows the `>` that ends an address; one inside quotes does not.
fn skip_bracketed(address: &[u8]) -> &[u8] {
    let end = find_unquoted(address, b'>');
    end.and_then(|end| address.get(end.saturating_add(1)..)).unwrap_or_default()
}

/// What follows the sender's address of an arrival: quoted local parts may hold blanks.
pub(super) fn skip_address(text: &[u8]) -> &[u8] {
    find_unquoted(text, b' ').and_then(|end| text.get(end..)).unwrap_or_default()
}

/// The first place of a byte that stands in no quotes.
fn find_unquoted(text: &[u8], byte: u8) -> Option<usize> {
    // Hardly any address has quotes.
    let first = find_near(text, byte)?;
    if find_near(text.get(..first)?, b'"').is_none() {
        return Some(first);
    }
    find_unquoted_by_bytes(text, byte)
}

/// The same, byte by byte.
fn find_unquoted_by_bytes(text: &[u8], byte: u8) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.iter().position(|&b| {
        let found = b == byte && !quoted;
        quoted ^= b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        found
    })
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

/// The values of ` P=` and ` A=` as [`field`] finds them, in one pass.
pub(super) fn protocol_and_login(fields: &[u8]) -> (Option<&[u8]>, Option<&[u8]>) {
    let (mut protocol, mut login) = (None, None);
    for word in words(fields).skip(1) {
        match word {
            [b'P', b'=', value @ ..] => protocol = protocol.or(Some(value)),
            [b'A', b'=', value @ ..] => login = login.or(Some(value)),
            _ => {}
        }
    }
    (protocol, login)
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
    id_of_length::<16>(text, 13).or_else(|| id_of_length::<23>(text, 18))
}

/// A message id of this length, its second dash at this place.
fn id_of_length<const LENGTH: usize>(text: &[u8], dash: usize) -> Option<(&[u8], &[u8])> {
    let (id, rest) = text.split_first_chunk::<LENGTH>()?;
    if id.get(dash) != Some(&b'-') {
        return None;
    }
    // All others are counted: that is quicker than to stop at the first that does not fit.
    let others = id
        .iter()
        .fold(0u8, |count, byte| count.wrapping_add(u8::from(byte.is_ascii_alphanumeric())));
    let [b' ', rest @ ..] = rest else { return None };
    (usize::from(others).checked_add(2) == Some(LENGTH)).then_some((id.as_slice(), rest))
}

/// `recipient <original> R=router T=transport H=host [address]:port ... C="250 OK id=..."`.
pub(super) fn delivery_fact(text: &[u8]) -> Option<Fact<&[u8]>> {
    let recipient = fields_start(text)?;
    let fields = text.get(recipient.len()..)?;
    let Some(at_host) = after(fields, b" H=") else { return Some(Fact::Seen) };
    let (hop, rest) = split_client(at_host)?;
    let original = between(recipient, b"<", b">").unwrap_or(recipient).trim_ascii();
    let domain = original.rsplit(|&b| b == b'@').next().unwrap_or_default();
    let domain = if original.contains(&b'@') { domain } else { b"" };
    let filter = hop.ip.is_some_and(|ip| ip.is_loopback());
    let queued_as = filter.then(|| next_id(rest)).flatten();
    Some(Fact::Delivery { next_hop: hop.ip, domain, queued_as })
}

/// The recipient of a delivery: what stands before ` R=`, quotes honoured.
fn fields_start(text: &[u8]) -> Option<&[u8]> {
    let mut quoted = false;
    let mut from = 0usize;
    loop {
        let rest = text.get(from..)?;
        let at = find_near(rest, b' ')?;
        quoted = rest.get(..at)?.iter().fold(quoted, |quoted, &b| quoted ^ (b == b'"'));
        if !quoted && rest.get(at..)?.starts_with(b" R=") {
            return text.get(..from.checked_add(at)?);
        }
        from = from.checked_add(at)?.checked_add(1)?;
    }
}

/// The id that a content filter on this host gave the message: `C="250 OK id=1xVg28-00002a-3D"`.
fn next_id(rest: &[u8]) -> Option<u64> {
    let answer = after(rest, b" C=\"")?;
    let id = after(answer, b" id=").or_else(|| after(answer, b"queued as "))?;
    let length = id.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'-').count();
    id.get(..length).filter(|id| !id.is_empty()).map(|id| key(&[b"exim", id]))
}

/// A zone of its own word after the time: `+0100 `.
#[inline]
pub(super) fn take_zone(time: LogTime, rest: &[u8]) -> (LogTime, &[u8]) {
    let sign = match rest.first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return (time, rest),
    };
    let LogTime::Civil(mut civil) = time else { return (time, rest) };
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A message id as it is defined, part by part.
    fn split_id_by_parts(text: &[u8]) -> Option<(&[u8], &[u8])> {
        [[6usize, 6, 2], [6, 11, 4]].into_iter().find_map(|shape| {
            let (id, rest) = text.split_at_checked(shape.iter().sum::<usize>() + 2)?;
            let parts: Vec<&[u8]> = id.split(|&b| b == b'-').collect();
            let words = parts.iter().all(|part| part.iter().all(u8::is_ascii_alphanumeric));
            let fits = words && parts.iter().map(|part| part.len()).eq(shape);
            Some((id, rest.strip_prefix(b" ")?)).filter(|_| fits)
        })
    }

    /// The recipient of a delivery, place by place.
    fn fields_start_by_bytes(text: &[u8]) -> Option<&[u8]> {
        let mut quoted = false;
        let end = (0..text.len()).find(|&at| {
            quoted ^= text[at] == b'"';
            !quoted && text[at..].starts_with(b" R=")
        })?;
        text.get(..end)
    }

    proptest! {
        #[test]
        fn ids_are_split_alike(
            text in "[0-9A-Za-z]{5,6}[-x][0-9A-Za-z_-]{5,6}[-x]?[0-9A-Za-z-]{1,6}-?[0-9a]{0,4} ?.?",
        ) {
            let text = text.as_bytes();
            prop_assert_eq!(split_id(text), split_id_by_parts(text));
        }

        #[test]
        fn quotes_are_honoured_alike(text in "[a>\" \\\\@]{0,20}( R=|>| )?[a\" =R]{0,20}") {
            let text = text.as_bytes();
            for byte in [b'>', b' '] {
                prop_assert_eq!(find_unquoted(text, byte), find_unquoted_by_bytes(text, byte));
            }
            prop_assert_eq!(fields_start(text), fields_start_by_bytes(text));
        }

        #[test]
        fn fields_are_found_alike(text in "( ?[PAS]=[a=PA:]{0,4}| |\" ){0,6}") {
            let text = text.as_bytes();
            let expected = (field(text, b" P="), field(text, b" A="));
            prop_assert_eq!(protocol_and_login(text), expected);
        }
    }

    #[test]
    fn ids_of_both_shapes() {
        for text in ["1xVg28-00002a-3D x", "1xVg28-00000000abc-3Dab x"] {
            assert!(split_id(text.as_bytes()).is_some(), "{text}");
        }
    }
}
