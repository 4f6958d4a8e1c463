//! Text written by strangers (HELO names, banners, host names, file names) made safe to show
//! inside text of our own. In: bytes or text. Out: text in which every character that could move
//! the cursor, turn the reading direction or hide stands as `\xNN`, byte by byte.
//!
//! What an output needs beyond this (CSV formulas, HTML) is `writers::escape`'s.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Bytes as text: valid UTF-8 stays as it is, every other byte becomes `\xNN`.
pub fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        push_hex(&mut text, chunk.invalid());
    }
    Cow::Owned(text)
}

/// Text as a part of an id: lower case, characters other than ASCII letters, digits and `.:-` as
/// `_`. Different texts may give the same part.
pub fn id_part(text: &str) -> String {
    let safe = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '.' | ':' | '-') => c,
        _ => '_',
    };
    text.chars().map(safe).collect()
}

/// Text on one line, every control, bidirectional and invisible character as the `\xNN` of its
/// UTF-8 bytes.
pub fn shown(text: &str) -> Cow<'_, str> {
    // Nearly all text is plain ASCII, which needs no look at its characters.
    let plain = text.bytes().all(|b| matches!(b, b' '..=b'~'));
    if plain || !text.contains(is_unshowable) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unshowable(c) {
            push_hex(&mut safe, c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// [`shown`], cut to a number of characters; what was cut is told as `...`.
pub fn shown_short(text: &str, most: usize) -> Cow<'_, str> {
    let text = shown(text);
    if text.len() <= most {
        return text;
    }
    match text.char_indices().nth(most) {
        Some((at, _)) => Cow::Owned(text.get(..at).unwrap_or_default().to_owned() + "..."),
        None => text,
    }
}

/// C0 and C1 controls, line and paragraph separators, marks that turn the reading direction, and
/// characters without a shape of their own (zero width, byte-order mark, tags).
fn is_unshowable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_utf8_become_hex() {
        let cases: [(&[u8], &str); 4] = [
            (b"mail.example", "mail.example"),
            ("m\u{fc}ller".as_bytes(), "m\u{fc}ller"),
            (b"a\xffb\xc3", "a\\xffb\\xc3"),
            (b"", ""),
        ];
        for (bytes, expected) in cases {
            assert_eq!(lossy(bytes), expected);
        }
    }

    #[test]
    fn characters_that_act_become_hex() {
        let cases = [
            ("mail.example", "mail.example"),
            ("a\x1b[2Jb\r\n", "a\\x1b[2Jb\\x0d\\x0a"),
            ("\u{9b}31m", "\\xc2\\x9b31m"),
            ("abc\u{202e}txt", "abc\\xe2\\x80\\xaetxt"),
            ("\u{feff}=1", "\\xef\\xbb\\xbf=1"),
            ("caf\u{e9}", "caf\u{e9}"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected);
        }
        assert_eq!(shown_short("abcdef", 3), "abc...");
        assert_eq!(shown_short("abc", 3), "abc");
        assert_eq!(shown_short("a\nb", 3), "a\\x...");
    }
}
