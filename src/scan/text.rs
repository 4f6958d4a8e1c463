//! Text of an export as it is kept. In: bytes and references as the file has them. Out: a string
//! that holds only characters which XML allows; what was replaced by U+FFFD is counted.
//!
//! Banners are written by strangers: one bad byte must cost neither the item nor the scan.

use crate::model::net::parse_decimal;

/// Decodes UTF-8. Bytes that are none, and control characters but tab and line ends, become
/// U+FFFD; the second value counts them.
pub(super) fn decode(bytes: &[u8]) -> (String, u64) {
    let plain = |&b: &u8| matches!(b, b'\t' | b'\n' | b'\r' | b' '..=0x7f);
    if let (true, Ok(text)) = (bytes.iter().all(plain), std::str::from_utf8(bytes)) {
        return (text.to_string(), 0);
    }
    let mut text = String::with_capacity(bytes.len());
    let mut replaced = 0u64;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            text.push(allowed(c, &mut replaced));
        }
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
            replaced = replaced.saturating_add(chunk.invalid().len() as u64);
        }
    }
    (text, replaced)
}

/// The character itself if XML 1.0 allows it (section 2.2), else U+FFFD.
fn allowed(c: char, replaced: &mut u64) -> char {
    match c {
        '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' => c,
        c if c > '\u{ffff}' => c,
        _ => {
            *replaced = replaced.saturating_add(1);
            char::REPLACEMENT_CHARACTER
        }
    }
}

/// The character that a reference stands for, `name` without `&` and `;`. Numbers that are no
/// character of XML become U+FFFD and are counted.
pub(super) fn resolve(name: &str, replaced: &mut u64) -> char {
    let number = match name {
        "lt" => return '<',
        "gt" => return '>',
        "amp" => return '&',
        "quot" => return '"',
        "apos" => return '\'',
        _ => name.strip_prefix('#').and_then(parse_number),
    };
    match number.and_then(char::from_u32) {
        Some(c) => allowed(c, replaced),
        None => allowed('\0', replaced),
    }
}

fn parse_number(digits: &str) -> Option<u32> {
    match digits.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => parse_decimal(digits.as_bytes()).and_then(|n| u32::try_from(n).ok()),
    }
}

/// Replaces the references of an attribute value.
pub(super) fn unescape(raw: &str, replaced: &mut u64) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('&') {
        text.push_str(before);
        if let Some((name, tail)) = after.split_once(';') {
            text.push(resolve(name, replaced));
            rest = tail;
        } else {
            text.push('&');
            rest = after;
        }
    }
    text.push_str(rest);
    text
}

/// Line ends as the reader of a ticket expects them: CRLF and lone CR become LF.
pub(super) fn unify_lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// The first `limit` characters.
pub(super) fn first_chars(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_bytes_and_control_characters_are_replaced_and_counted() {
        let cases: [(&[u8], &str, u64); 4] = [
            (b"220 mx\r\n\tready", "220 mx\r\n\tready", 0),
            (b"a\0b\x1b[31m", "a\u{fffd}b\u{fffd}[31m", 2),
            (b"\xff\xfeab\xc3", "\u{fffd}\u{fffd}ab\u{fffd}", 3),
            ("é\u{10000}".as_bytes(), "é\u{10000}", 0),
        ];
        for (bytes, expected, count) in cases {
            assert_eq!(decode(bytes), (expected.to_string(), count));
        }
    }

    #[test]
    fn references_stand_for_characters() {
        let mut replaced = 0;
        let text =
            unescape("a &lt;b&gt; &amp;&quot;&apos; &#65;&#x42;&#xd; &#0;&#xd800;", &mut replaced);
        assert_eq!(text, "a <b> &\"' AB\r \u{fffd}\u{fffd}");
        assert_eq!(replaced, 2);
        assert_eq!(unify_lines("a\r\nb\rc\n"), "a\nb\nc\n");
        assert_eq!(first_chars("äöü", 2), "äö");
    }
}
