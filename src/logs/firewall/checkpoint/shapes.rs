//! The shapes in which Check Point's tools write one log. In: a line. Out: its pairs of key and
//! value, or none where the line is in none of the shapes.
//!
//! ```text
//! [action:"Accept"; src:"198.51.100.7"; ...]       Log Exporter, syslog (relays may eat the quotes)
//! [sc4s@2620 action="Accept" src="198.51.100.7"]   the same as RFC 5424 structured data
//! {"action":"Accept","src":"198.51.100.7",...}     Log Exporter, JSON
//! time=1793613600|action=Accept|src=198.51.100.7   Log Exporter for Splunk; LEA clients
//! 2Nov2026 10:00:00 accept gw >eth0 src: 198.51.100.7; dst: ...;          fw log
//! ```
//!
//! What `fw log` prints before the pairs becomes pairs too, before the others: the first of equal
//! keys counts, and its tables of matched rules hold an `action` of their own.

use memchr::memmem;

use crate::logs::fields::{Pairs, split_once, until_any};
use crate::logs::json::Json;
use crate::logs::line::Line;

/// Longest name of a field, or of structured data, that is looked for behind a bracket.
const LONGEST_KEY: usize = 64;

/// A key and its value.
type Pair<'a> = (&'a [u8], &'a [u8]);

/// Whether the line is in one of the shapes. Other programs may quote such text; here it is the
/// whole message, or the structured data before an empty one.
pub(super) fn recognises(line: &Line<'_>) -> bool {
    let has = |mark: &[u8]| memmem::find(line.raw, mark).is_some();
    let whole = line.body.is_empty() || line.body.starts_with(b"[");
    line.tag.is_some_and(|tag| tag.eq_ignore_ascii_case(b"CheckPoint"))
        || whole && (has(b"[action:\"") || has(b"__policy_id_tag:") || has(b"@2620 "))
        || is_piped(line)
        || is_json(line.body)
        || memmem::find(line.body, b"FireWall-1;").is_some() && head_of_fw_log(line.body).is_some()
}

/// The pairs of a line.
pub(super) fn read_pairs<'a>(line: &Line<'a>) -> Option<Pairs<'a>> {
    if is_json(line.body) {
        let object = Json::read_object(line.body)?;
        return Some(object.members().filter_map(|(key, v)| Some((key, v.text()?))).collect());
    }
    if is_piped(line) {
        return Some(Pairs::read(line.body, b"|"));
    }
    if let Some((head, rest)) = head_of_fw_log(line.body) {
        return Some(head.into_iter().flatten().chain(spaced_pairs(rest)).collect());
    }
    for at in memchr::memchr_iter(b'[', line.raw) {
        let text = line.raw.get(at.checked_add(1)?..)?;
        let word = until_any(text.get(..LONGEST_KEY).unwrap_or(text), b":@ ]");
        match text.get(word.len()..) {
            Some([b':', b'"', ..]) => return Some(quoted_pairs(text).collect()),
            Some([b':', b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9', ..]) => {
                return Some(spaced_pairs(text.strip_suffix(b"]").unwrap_or(text)).collect());
            }
            Some([b'@', ..]) => return Some(Pairs::read(text, b" ]")),
            _ => {}
        }
    }
    None
}

fn is_json(body: &[u8]) -> bool {
    let has = |mark: &[u8]| memmem::find(body, mark).is_some();
    body.starts_with(b"{") && has(b"\"s_port\":") && has(b"\"product\":") && has(b"\"proto\":")
}

/// `key=value|key=value`, or the same after a bar.
fn is_piped(line: &Line<'_>) -> bool {
    let Some((first, _)) = split_once(line.body, b'|') else { return false };
    let key = until_any(first, b"=");
    let is_pair =
        key.len() < first.len() && key.iter().all(|b| b.is_ascii_lowercase() || *b == b'_');
    let has = |mark: &[u8]| memmem::find(line.body, mark).is_some();
    (is_pair || !first.contains(&b' '))
        && (has(b"|product=") || has(b"|action=") && has(b"|s_port="))
}

/// What `fw log` prints before the pairs, and the rest: `2Nov2026 10:00:00 accept gw >eth0 ...`,
/// `10:00:00 5 N/A 1 accept gw < eth1 ...` since R80, or nothing where it prints names
/// (`HeaderDateHour: ...; Action: accept; ...`).
fn head_of_fw_log(body: &[u8]) -> Option<([Option<Pair<'_>>; 4], &[u8])> {
    let body = body.trim_ascii_start();
    if body.starts_with(b"HeaderDateHour: ") || body.starts_with(b"ContentVersion: ") {
        return Some(([None; 4], body));
    }
    let mut rest = body;
    let mut next = || {
        let (word, tail) = split_once(rest, b' ')?;
        rest = tail.trim_ascii_start();
        Some(word)
    };
    let first = next()?;
    let is_time =
        |word: &[u8]| word.contains(&b':') && word.iter().all(|b| b"0123456789:".contains(b));
    let (date, time) = if is_time(first) { (None, first) } else { (Some(first), next()?) };
    if !is_time(time) || !first.first()?.is_ascii_digit() {
        return None;
    }
    // Numbers of the log and `N/A` stand before the word.
    let action = std::iter::from_fn(&mut next)
        .take(4)
        .find(|word| word.first().is_some_and(u8::is_ascii_lowercase))?;
    let origin = next()?;
    let interface = next()?;
    if !interface.starts_with(b">") && !interface.starts_with(b"<") {
        return None;
    }
    if interface.len() == 1 {
        next()?;
    }
    let key = |name: &'static str, value| (name.as_bytes(), value);
    let date = date.map(|date| key("date", date));
    Some((
        [date, Some(key("time", time)), Some(key("action", action)), Some(key("origin", origin))],
        rest,
    ))
}

/// Iterates over `key: value; key:value; ...`; a value ends at `; ` or with the text.
fn spaced_pairs(text: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (key, tail) = split_once(rest.trim_ascii_start(), b':')?;
        let end = memmem::find(tail, b"; ").unwrap_or(tail.len());
        rest = tail.get(end.checked_add(1)?..).unwrap_or_default();
        let value = tail.get(..end)?;
        Some((key, value.strip_suffix(b";").unwrap_or(value).trim_ascii()))
    })
}

/// Iterates over `key:"value"; key::"value"; ...`, up to what is none.
fn quoted_pairs(text: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (key, tail) = split_once(rest.trim_ascii_start(), b':')?;
        let inner = tail.strip_prefix(b":").unwrap_or(tail).strip_prefix(b"\"")?;
        let mut escaped = false;
        let end = inner.iter().position(|&b| {
            let closes = b == b'"' && !escaped;
            escaped = b == b'\\' && !escaped;
            closes
        })?;
        let tail = inner.get(end.checked_add(1)?..)?;
        rest = tail.strip_prefix(b";").unwrap_or(tail);
        Some((key, inner.get(..end)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_fw_log() {
        let cases = [
            (
                "2Nov2026 10:00:00 drop gw >eth0 rule: 5;",
                Some("date=2Nov2026 time=10:00:00 action=drop origin=gw | rule: 5;"),
            ),
            (
                "  9:00:00 5 N/A 1  accept gw < eth1  LogId: 0;",
                Some("time=9:00:00 action=accept origin=gw | LogId: 0;"),
            ),
            (
                "HeaderDateHour: 2Nov2026 10:00:00; Action: drop;",
                Some("| HeaderDateHour: 2Nov2026 10:00:00; Action: drop;"),
            ),
            ("10:00:00 drop gw eth0 rule: 5;", None),
            ("x 10:00:00 drop gw >eth0 rule: 5;", None),
            ("2026-11-02 10:00:00 [7] info", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let got = head_of_fw_log(text.as_bytes()).map(|(head, rest)| {
                let mut shown: Vec<String> = head
                    .into_iter()
                    .flatten()
                    .map(|(key, value)| {
                        format!(
                            "{}={}",
                            String::from_utf8_lossy(key),
                            String::from_utf8_lossy(value)
                        )
                    })
                    .collect();
                shown.push(format!("| {}", String::from_utf8_lossy(rest)));
                shown.join(" ")
            });
            assert_eq!(got.as_deref(), expected, "{text}");
        }
    }
}
