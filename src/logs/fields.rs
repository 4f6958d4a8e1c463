//! Cuts lines into fields, without allocation. In: a line's bytes. Out: slices of it.
//!
//! Only what several formats share; a format's own grammar lives in its file.

use std::fmt::Write;

use memchr::memmem;

/// What stands after the first occurrence of `mark`.
pub fn after<'a>(text: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    let at = memmem::find(text, mark)?;
    text.get(at.checked_add(mark.len())?..)
}

/// What stands before the first occurrence of `mark`.
pub fn before<'a>(text: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    text.get(..memmem::find(text, mark)?)
}

/// What stands between the first `open` and the next `close` after it.
pub fn between<'a>(text: &'a [u8], open: &[u8], close: &[u8]) -> Option<&'a [u8]> {
    before(after(text, open)?, close)
}

/// Splits at the first occurrence of a byte.
pub fn split_once(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(byte, text)?;
    Some((text.get(..at)?, text.get(at.checked_add(1)?..)?))
}

/// The leading run of bytes that are none of `stops`.
pub fn until_any<'a>(text: &'a [u8], stops: &[u8]) -> &'a [u8] {
    let end = text.iter().position(|b| stops.contains(b)).unwrap_or(text.len());
    text.get(..end).unwrap_or(text)
}

/// The value of the first `key=` that stands at the start of the text or after one of the given
/// separators: up to the closing quote where it is quoted (`\"` inside is kept), else up to the
/// next separator.
pub fn value<'a>(text: &'a [u8], key: &[u8], separators: &[u8]) -> Option<&'a [u8]> {
    let mut from = 0;
    while let Some(found) = memmem::find(text.get(from..)?, key) {
        let at = from.checked_add(found)?;
        let end = at.checked_add(key.len())?;
        let starts = at == 0 || text.get(at - 1).is_some_and(|b| separators.contains(b));
        if starts && text.get(end) == Some(&b'=') {
            return Some(unquote(text.get(end.checked_add(1)?..)?, separators));
        }
        from = at.checked_add(1)?;
    }
    None
}

/// A value at the start of the text: quoted, or up to the next separator.
fn unquote<'a>(text: &'a [u8], separators: &[u8]) -> &'a [u8] {
    let Some(inner) = text.strip_prefix(b"\"") else {
        return until_any(text, separators);
    };
    let mut escaped = false;
    let end = inner.iter().position(|&b| {
        let closes = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        closes
    });
    inner.get(..end.unwrap_or(inner.len())).unwrap_or(inner)
}

/// A stranger's bytes as text: what is no UTF-8 becomes `\xNN`, byte by byte.
pub fn shown(bytes: &[u8]) -> Box<str> {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text.into_boxed_str()
}

/// Iterates over the columns of a delimited row, quotes taken off (`"a,b"` is one column; a
/// doubled quote inside stays doubled: no column that is read here may hold one).
pub fn columns(row: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(row);
    std::iter::from_fn(move || {
        let text = rest?;
        let (column, remainder) = split_column(text, separator);
        rest = remainder;
        Some(column)
    })
}

fn split_column(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    let Some(inner) = text.strip_prefix(b"\"") else {
        return match split_once(text, separator) {
            Some((column, remainder)) => (column, Some(remainder)),
            None => (text, None),
        };
    };
    let mut from = 0;
    loop {
        let tail = inner.get(from..).unwrap_or_default();
        let Some(quote) = memchr::memchr(b'"', tail).map(|at| at.saturating_add(from)) else {
            return (inner, None);
        };
        match inner.get(quote.saturating_add(1)) {
            Some(b'"') => from = quote.saturating_add(2),
            Some(&next) if next == separator => {
                let remainder = inner.get(quote.saturating_add(2)..);
                return (inner.get(..quote).unwrap_or(inner), remainder);
            }
            None => return (inner.get(..quote).unwrap_or(inner), None),
            // Text after a closing quote: a stray quote, part of the value.
            Some(_) => from = quote.saturating_add(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_at_the_start_of_a_word() {
        let line = b"transport=25 dstport=587 msg=\"a b \\\"c\\\" d\" port=1";
        let cases: [(&[u8], Option<&[u8]>); 4] = [
            (b"port", Some(b"1")),
            (b"dstport", Some(b"587")),
            (b"msg", Some(b"a b \\\"c\\\" d")),
            (b"sport", None),
        ];
        for (key, expected) in cases {
            assert_eq!(value(line, key, b" "), expected);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_spelt_out() {
        assert_eq!(&*shown("mx-\u{e4}".as_bytes()), "mx-\u{e4}");
        assert_eq!(&*shown(b"a\xffb\xc3"), "a\\xffb\\xc3");
    }

    #[test]
    fn quoted_columns_keep_separators() {
        let row = b"1,\"a,b\",,\"say \"\"x\"\"\",end";
        let got: Vec<&[u8]> = columns(row, b',').collect();
        assert_eq!(got, [&b"1"[..], b"a,b", b"", b"say \"\"x\"\"", b"end"]);
        assert_eq!(columns(b"", b',').count(), 1);
        assert_eq!(columns(b"\"open", b',').collect::<Vec<_>>(), [b"open"]);
    }
}
