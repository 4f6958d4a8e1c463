//! Takes log lines out of what exporters put around them. In: a line of NDJSON (journald's
//! `-o json`, Docker's json-file, exports of SIEMs) or a row of CSV. Out: the line that the program
//! wrote, in a buffer that the caller owns, with time and host of the wrapping where it has them.
//!
//! `{"log":"Nov  2 10:00:00 mx1 postfix/smtpd[12]: connect from ...\n","stream":"stdout","time":..}`
//!
//! Rows that span several lines are not put together: a line is a line.

use crate::logs::clock::LogTime;
use crate::logs::fields::columns;

/// Names under which exports keep the raw line, most telling first; dots go into objects.
const RAW_FIELDS: [&str; 5] = ["event.original", "_raw", "message", "log", "MESSAGE"];

/// Names under which exports keep the time and the host of a line.
const TIME_FIELDS: [&str; 5] = ["@timestamp", "time", "timestamp", "_time", "ts"];
const HOST_FIELDS: [&str; 4] = ["host.name", "hostname", "host", "_HOSTNAME"];

/// How the lines of a file are wrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrapping {
    /// journald's export: the head is in fields of its own.
    Journal,
    /// JSON objects that hold the line in this field; dots go into objects.
    Json(Box<str>),
    /// Rows that hold the line in this column, from 0.
    Csv {
        /// Position of the column.
        column: usize,
        /// Between columns.
        separator: u8,
    },
}

/// A line taken out of its wrapping; what the line itself lacks may come from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unwrapped<'a> {
    /// The line.
    pub text: &'a [u8],
    /// The wrapping's time.
    pub time: Option<LogTime>,
    /// The wrapping's host.
    pub host: Option<&'a [u8]>,
}

impl Wrapping {
    /// How this line is wrapped, if it is an object or a header row that names a field of a raw
    /// line; `raw_field` is the policy's.
    pub fn of(line: &[u8], raw_field: Option<&str>) -> Option<Self> {
        let line = line.trim_ascii();
        if line.starts_with(b"{") {
            return Self::of_object(line, raw_field);
        }
        let separator = [b',', b'\t', b';'].into_iter().find(|s| line.contains(s))?;
        let is_raw = |name: &[u8]| match raw_field {
            Some(field) => name == field.as_bytes(),
            None => RAW_FIELDS.iter().take(3).any(|field| name == field.as_bytes()),
        };
        let column = columns(line, separator).position(|name| is_raw(name.trim_ascii()))?;
        Some(Self::Csv { column, separator })
    }

    fn of_object(line: &[u8], raw_field: Option<&str>) -> Option<Self> {
        if let Some(field) = raw_field {
            return find(line, field).map(|_| Self::Json(field.into()));
        }
        let has = |field: &str| find(line, field).is_some();
        if has("MESSAGE") && (has("__REALTIME_TIMESTAMP") || has("SYSLOG_IDENTIFIER")) {
            return Some(Self::Journal);
        }
        let field = RAW_FIELDS
            .iter()
            .find(|field| find(line, field).is_some_and(|value| value.starts_with(b"\"")))?;
        Some(Self::Json((*field).into()))
    }

    /// Takes a line out; none where the line is not wrapped this way.
    pub fn unwrap<'a>(&self, line: &'a [u8], scratch: &'a mut Vec<u8>) -> Option<Unwrapped<'a>> {
        scratch.clear();
        match self {
            Self::Journal => {
                write_journal_line(line, scratch)?;
                Some(Unwrapped { text: first_line(scratch), time: None, host: None })
            }
            Self::Json(field) => {
                unescape(find(line, field)?, scratch)?;
                let time = TIME_FIELDS.iter().find_map(|name| parse_time(find(line, name)?));
                let host = HOST_FIELDS.iter().find_map(|name| plain_text(find(line, name)?));
                Some(Unwrapped { text: first_line(scratch), time, host })
            }
            Self::Csv { column, separator } => {
                let value = columns(line, *separator).nth(*column)?;
                for piece in split_doubled_quotes(value) {
                    scratch.extend_from_slice(piece);
                }
                Some(Unwrapped { text: first_line(scratch), time: None, host: None })
            }
        }
    }
}

/// Writes `TIME HOST TAG[PID]: MESSAGE`, what `journalctl -o short-iso` would print.
fn write_journal_line(line: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let field = |name| find(line, name).and_then(plain_text);
    let message = find(line, "MESSAGE")?;
    if let Some(micros) = field("__REALTIME_TIMESTAMP").and_then(parse_micros) {
        let time = chrono::DateTime::from_timestamp_micros(micros)?;
        out.extend_from_slice(time.format("%Y-%m-%dT%H:%M:%S%.6fZ ").to_string().as_bytes());
        out.extend_from_slice(field("_HOSTNAME").unwrap_or(b"-"));
        out.push(b' ');
        if let Some(tag) = field("SYSLOG_IDENTIFIER").or_else(|| field("_COMM")) {
            out.extend_from_slice(tag);
            if let Some(pid) = field("SYSLOG_PID").or_else(|| field("_PID")) {
                out.push(b'[');
                out.extend_from_slice(pid);
                out.push(b']');
            }
            out.extend_from_slice(b": ");
        }
    }
    if message.starts_with(b"[") { write_byte_array(message, out) } else { unescape(message, out) }
}

fn parse_micros(digits: &[u8]) -> Option<i64> {
    i64::try_from(crate::model::net::parse_decimal(digits)?).ok()
}

/// journald writes a message that is no UTF-8 as an array of numbers.
fn write_byte_array(array: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let inner = array.strip_prefix(b"[")?.strip_suffix(b"]")?;
    for number in inner.split(|&b| b == b',') {
        let byte = crate::model::net::parse_decimal(number.trim_ascii())?;
        out.push(u8::try_from(byte).ok()?);
    }
    Some(())
}

fn first_line(text: &[u8]) -> &[u8] {
    let end = memchr::memchr2(b'\n', b'\r', text).unwrap_or(text.len());
    text.get(..end).unwrap_or(text)
}

fn parse_time(value: &[u8]) -> Option<LogTime> {
    let text = plain_text(value)?;
    LogTime::parse_iso(text).map(|(time, _)| time).or_else(|| LogTime::parse_epoch(text))
}

/// The text of a string without escapes, or of a number.
fn plain_text(value: &[u8]) -> Option<&[u8]> {
    let text = match value.strip_prefix(b"\"") {
        Some(rest) => rest.strip_suffix(b"\"")?,
        None => value,
    };
    (!text.is_empty() && !text.iter().any(|b| b"\\{[".contains(b))).then_some(text)
}

/// The pieces of a CSV value between doubled quotes, each but the last ending in one quote.
fn split_doubled_quotes(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = value;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        match memchr::memmem::find(rest, b"\"\"") {
            Some(at) => {
                let piece = rest.get(..=at)?;
                rest = rest.get(at.checked_add(2)?..)?;
                Some(piece)
            }
            None => Some(std::mem::take(&mut rest)),
        }
    })
}

/// The value of a field of a JSON object, as it is written: the literal name first, then the name
/// with its dots taken as objects within objects.
pub(crate) fn find<'a>(object: &'a [u8], field: &str) -> Option<&'a [u8]> {
    if let Some(value) = member(object, field.as_bytes()) {
        return Some(value);
    }
    let (outer, inner) = field.split_once('.')?;
    find(member(object, outer.as_bytes())?, inner)
}

fn member<'a>(object: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = object.trim_ascii_start().strip_prefix(b"{")?;
    loop {
        rest = rest.trim_ascii_start();
        rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
        let key_end = end_of_value(rest).filter(|_| rest.starts_with(b"\""))?;
        let key = rest.get(1..key_end.checked_sub(1)?)?;
        rest = rest.get(key_end..)?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        let value_end = end_of_value(rest)?;
        if key == name {
            return rest.get(..value_end);
        }
        rest = rest.get(value_end..)?;
    }
}

/// Length of the JSON value at the start of the text; brackets are counted, not matched by kind.
fn end_of_value(text: &[u8]) -> Option<usize> {
    match text.first()? {
        b'"' => end_of_string(text),
        b'{' | b'[' => {
            let mut depth = 0usize;
            let mut at = 0usize;
            loop {
                let rest = text.get(at..)?;
                let step = rest.iter().position(|b| b"\"{}[]".contains(b))?;
                at = at.checked_add(step)?;
                match text.get(at)? {
                    b'"' => {
                        at = at.checked_add(end_of_string(text.get(at..)?)?)?;
                        continue;
                    }
                    b'{' | b'[' => depth = depth.checked_add(1)?,
                    _ => depth = depth.checked_sub(1)?,
                }
                at = at.checked_add(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
        _ => {
            let stop = |b: &u8| b",}]".contains(b) || b.is_ascii_whitespace();
            let end = text.iter().position(stop).unwrap_or(text.len());
            (end > 0).then_some(end)
        }
    }
}

fn end_of_string(text: &[u8]) -> Option<usize> {
    let mut at = 1usize;
    loop {
        let step = memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        at = at.checked_add(step)?;
        match text.get(at)? {
            b'"' => return at.checked_add(1),
            _ => at = at.checked_add(2)?,
        }
    }
}

/// Writes what a JSON string says; none where it is no string. Unknown escapes are kept as they
/// stand.
fn unescape(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(rest.get(..at)?);
        let letter = *rest.get(at.checked_add(1)?)?;
        rest = rest.get(at.checked_add(2)?..)?;
        match letter {
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'"' | b'\\' | b'/' => out.push(letter),
            b'u' => rest = write_unicode(rest, out),
            other => out.extend_from_slice(&[b'\\', other]),
        }
    }
    out.extend_from_slice(rest);
    Some(())
}

/// Writes the character of `XXXX` (with a second `\uXXXX` for a surrogate pair); gives what follows.
fn write_unicode<'a>(text: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let unit = |text: &[u8]| -> Option<u16> {
        let digits = std::str::from_utf8(text.get(..4)?).ok()?;
        u16::from_str_radix(digits, 16).ok()
    };
    let Some(first) = unit(text) else {
        out.extend_from_slice(b"\\u");
        return text;
    };
    let after = text.get(4..).unwrap_or_default();
    let second = after.strip_prefix(b"\\u").and_then(unit);
    let units = [first, second.unwrap_or_default()];
    let mut decoded = char::decode_utf16(units);
    let letter = decoded.next().and_then(Result::ok);
    let used_both = letter.is_some_and(|letter| letter as u32 > 0xffff);
    let mut utf8 = [0; 4];
    let letter = letter.unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(letter.encode_utf8(&mut utf8).as_bytes());
    if used_both { after.get(6..).unwrap_or_default() } else { after }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unwrapped(line: &str, raw_field: Option<&str>) -> Option<(String, bool, String)> {
        let wrapping = Wrapping::of(line.as_bytes(), raw_field)?;
        let mut scratch = Vec::new();
        let got = wrapping.unwrap(line.as_bytes(), &mut scratch)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some((text(got.text), got.time.is_some(), text(got.host.unwrap_or_default())))
    }

    #[test]
    fn lines_come_out_of_json() {
        let cases = [
            (
                r#"{"log":"connect from a\tb\n","stream":"stdout","time":"2026-11-02T10:00:00.5Z"}"#,
                None,
                ("connect from a\tb", true, ""),
            ),
            (
                r#"{ "MESSAGE" : "a \"b\" \u00e9\ud83d\ude00", "_PID":"12", "_HOSTNAME":"mx1", "SYSLOG_IDENTIFIER":"postfix/smtpd", "__REALTIME_TIMESTAMP":"1793613600123456"}"#,
                None,
                (
                    "2026-11-02T10:00:00.123456Z mx1 postfix/smtpd[12]: a \"b\" \u{e9}\u{1f600}",
                    false,
                    "",
                ),
            ),
            (
                r#"{"__REALTIME_TIMESTAMP":"1793613600000000","MESSAGE":[104, 105]}"#,
                None,
                ("2026-11-02T10:00:00.000000Z - hi", false, ""),
            ),
            (
                r#"{"event":{"x":[1,"]"],"original":"raw"},"host":{"name":"fw1"},"message":"no"}"#,
                None,
                ("raw", false, "fw1"),
            ),
            (r#"{"event.original":"raw","message":"no"}"#, None, ("raw", false, "")),
            (r#"{"a":{"b":"x"},"message":"no"}"#, Some("a.b"), ("x", false, "")),
        ];
        for (line, field, (text, timed, host)) in cases {
            let got = unwrapped(line, field);
            assert_eq!(got, Some((text.to_owned(), timed, host.to_owned())), "{line}");
        }
    }

    #[test]
    fn what_is_not_wrapped_is_left_alone() {
        for line in [r#"{"a":1}"#, r#"{"message":1}"#, "{", "", "a,b", r#"{"message":"#, "{\"a"] {
            assert_eq!(Wrapping::of(line.as_bytes(), None), None, "{line}");
        }
    }

    #[test]
    fn rows_of_csv() {
        let wrapping = Wrapping::of(b"_time,host,\"_raw\"", None).unwrap();
        assert_eq!(wrapping, Wrapping::Csv { column: 2, separator: b',' });
        let mut scratch = Vec::new();
        let row = br#"2026-11-02,fw1,"a=""1"" b,c""#;
        let got = wrapping.unwrap(row, &mut scratch).unwrap();
        assert_eq!(String::from_utf8_lossy(got.text), r#"a="1" b,c"#);
        assert_eq!(wrapping.unwrap(b"one", &mut scratch), None);
    }
}
