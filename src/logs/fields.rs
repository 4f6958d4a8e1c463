//! Cuts lines into fields, without allocation. In: a line's bytes. Out: slices of it.
//!
//! Only what several formats share; a format's own grammar lives in its file.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::LazyLock;

use memchr::memmem;

/// A mark that nearly every line is searched for: its searcher is built once, which takes longer
/// than searching a line does.
///
/// ```text
/// static PROTO: Mark = Mark::new(|| Finder::new(b" PROTO="));
/// ```
pub type Mark = LazyLock<memmem::Finder<'static>>;

/// A byte in every byte of a word.
const fn repeated(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The first place of a byte that is expected within a few bytes: eight are compared at once, in
/// place. `memchr` is faster only where it is further.
#[inline]
pub fn find_near(text: &[u8], byte: u8) -> Option<usize> {
    let (chunks, rest) = text.as_chunks::<8>();
    let mut at = 0;
    for chunk in chunks {
        // A byte is zero where it is equal; the lowest one that borrows is the first of them.
        let apart = u64::from_le_bytes(*chunk) ^ repeated(byte);
        let zeros = apart.wrapping_sub(repeated(0x01)) & !apart & repeated(0x80);
        if zeros != 0 {
            return Some(at + (zeros.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    rest.iter().position(|&b| b == byte).map(|found| at + found)
}

/// The words between single blanks; two blanks side by side have an empty word between them.
#[inline]
pub fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let split = find_near(text, b' ').and_then(|at| text.split_at_checked(at));
        let (word, after) = split.unwrap_or((text, b""));
        rest = after.get(1..);
        Some(word)
    })
}

/// Whether two texts are equal. Empty ones are told by their length: comparing them by a call reads
/// from the address that stands for nothing, which processors with masked loads do very slowly.
pub fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && (left.is_empty() || left == right)
}

/// The first place of a short mark. Looks for its rarest byte: building a searcher for two bytes at
/// a time, as `memmem::find` does, takes longer than a line is worth.
pub fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    let (mut rarest, mut byte, mut least) = (0, 0, u8::MAX);
    for (at, &candidate) in mark.iter().enumerate() {
        if frequency(candidate) < least {
            (rarest, byte, least) = (at, candidate, frequency(candidate));
        }
    }
    if mark.is_empty() {
        return Some(0);
    }
    memchr::memchr_iter(byte, text).find_map(|at| {
        let start = at.checked_sub(rarest)?;
        text.get(start..)?.starts_with(mark).then_some(start)
    })
}

/// How often a byte stands in log lines, roughly: digits, blanks and some letters are everywhere,
/// capitals are rarer, other marks are rare.
fn frequency(byte: u8) -> u8 {
    match byte {
        b' ' | b'0'..=b'9' | b'.' | b'e' | b'i' | b'n' | b'o' | b's' | b't' => 3,
        b'a'..=b'z' | b'=' | b':' | b',' | b'/' | b'"' | b'-' => 2,
        b'A'..=b'Z' => 1,
        _ => 0,
    }
}

/// What stands after the first occurrence of `mark`.
pub fn after<'a>(text: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    let at = find(text, mark)?;
    text.get(at.checked_add(mark.len())?..)
}

/// What stands before the first occurrence of `mark`.
pub fn before<'a>(text: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    text.get(..find(text, mark)?)
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

/// Whether a message starts with this, or does so after one word: relays that write a head of
/// their own may leave the sender's address before the message.
pub fn starts_soon(text: &[u8], start: &[u8]) -> bool {
    let second = memchr::memchr(b' ', text).and_then(|blank| text.get(blank..));
    text.starts_with(start) || second.is_some_and(|rest| rest.trim_ascii_start().starts_with(start))
}

/// Iterates over the `key=value` pairs of a line in order. A value is quoted (quotes taken off,
/// `\"` inside kept) or goes up to the next separator; a quoted value may be followed by the next
/// key without a separator, and a whole pair may stand in quotes (`"key=value"`). Words without `=`
/// are passed over. What stands inside quotes is never taken for a key.
pub fn pairs<'a>(
    text: &'a [u8],
    separators: &'static [u8],
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    let separators = Separators::new(text, separators);
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let start = rest.iter().position(|&b| !separators.has(b))?;
            rest = rest.get(start..)?;
            let (word, in_quotes) = match rest.strip_prefix(b"\"") {
                Some(inner) => (inner, true),
                None => (rest, false),
            };
            let equals = find_near(word, b'=').unwrap_or(word.len());
            let key = word.get(..equals).unwrap_or_default();
            let end = separators.first(key).unwrap_or(equals);
            let (key, tail) = word.split_at_checked(end)?;
            let Some(tail) = tail.strip_prefix(b"=") else {
                rest = tail;
                continue;
            };
            let bare = || tail.get(..separators.first(tail).unwrap_or(tail.len())).unwrap_or(tail);
            let value = if in_quotes {
                until_any(tail, b"\"")
            } else {
                unquoted(tail).unwrap_or_else(bare)
            };
            let quotes = if tail.starts_with(b"\"") { 2 } else { 0 };
            rest = tail.get(value.len().saturating_add(quotes)..).unwrap_or_default();
            return Some((key, value));
        }
    })
}

/// What parts the pairs of a text. Of several separators that a product uses most lines have one,
/// the blank, which is found eight bytes at a time; else a table tells, byte by byte.
struct Separators {
    table: [bool; 256],
    only_blanks: bool,
}

impl Separators {
    fn new(text: &[u8], separators: &[u8]) -> Self {
        let mut table = [false; 256];
        for &separator in separators {
            if let Some(entry) = table.get_mut(usize::from(separator)) {
                *entry = true;
            }
        }
        let mut others = separators.iter().filter(|&&separator| separator != b' ');
        let only_blanks = separators.contains(&b' ')
            && !others.any(|&separator| memchr::memchr(separator, text).is_some());
        Self { table, only_blanks }
    }

    fn has(&self, byte: u8) -> bool {
        self.table.get(usize::from(byte)) == Some(&true)
    }

    fn first(&self, text: &[u8]) -> Option<usize> {
        if self.only_blanks {
            find_near(text, b' ')
        } else {
            text.iter().position(|&b| self.has(b))
        }
    }
}

/// The pairs of a line, looked up by key; of equal keys the first counts.
#[derive(Debug)]
pub struct Pairs<'a>(Vec<(u64, &'a [u8], &'a [u8])>);

/// Pairs that most lines have room for.
const USUAL_PAIRS: usize = 40;

impl<'a> Pairs<'a> {
    /// Cuts a line as [`pairs`] does.
    pub fn read(text: &'a [u8], separators: &'static [u8]) -> Self {
        pairs(text, separators).collect()
    }

    /// The value of a key.
    #[inline]
    pub fn get(&self, key: &str) -> Option<&'a [u8]> {
        let (key, digest) = (key.as_bytes(), digest(key.as_bytes()));
        let found = self.0.iter().find(|(known, name, _)| *known == digest && *name == key);
        found.map(|(_, _, value)| *value)
    }

    /// The value of the first of these keys that is there: names that a field had over time.
    #[inline]
    pub fn any(&self, keys: &[&str]) -> Option<&'a [u8]> {
        keys.iter().find_map(|key| self.get(key))
    }
}

/// The end and the length of a key: one number that tells nearly all keys of a line apart.
#[inline]
fn digest(key: &[u8]) -> u64 {
    let end = key.last_chunk().map_or_else(
        || key.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)),
        |last| u64::from_le_bytes(*last),
    );
    end ^ (key.len() as u64) << 56
}

impl<'a> FromIterator<(&'a [u8], &'a [u8])> for Pairs<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a [u8], &'a [u8])>>(pairs: I) -> Self {
        let mut known = Vec::with_capacity(USUAL_PAIRS);
        known.extend(pairs.into_iter().map(|(key, value)| (digest(key), key, value)));
        Self(known)
    }
}

/// A value at the start of the text: quoted, or up to the next separator.
fn unquote<'a>(text: &'a [u8], separators: &[u8]) -> &'a [u8] {
    unquoted(text).unwrap_or_else(|| until_any(text, separators))
}

/// The value between quotes at the start of the text; `\"` inside is kept.
fn unquoted(text: &[u8]) -> Option<&[u8]> {
    let inner = text.strip_prefix(b"\"")?;
    let mut from = 0;
    loop {
        // Up to the next quote; an odd number of backslashes before it makes it part of the value.
        let Some(found) = find_near(inner.get(from..).unwrap_or_default(), b'"') else {
            return Some(inner);
        };
        let quote = from + found;
        let value = inner.get(..quote).unwrap_or(inner);
        let escapes = value.iter().rev().take_while(|&&b| b == b'\\').count();
        if escapes % 2 == 0 {
            return Some(value);
        }
        from = quote + 1;
    }
}

/// A stranger's bytes as text: what is no UTF-8 becomes `\xNN`, byte by byte.
pub fn shown(bytes: &[u8]) -> Box<str> {
    shown_text(bytes).into()
}

/// The same, without a copy where there is no byte to be shown otherwise.
pub fn shown_text(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    Cow::Owned(text)
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
        let split = find_near(text, separator).and_then(|at| text.split_at_checked(at));
        return match split {
            Some((column, remainder)) => (column, remainder.get(1..)),
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
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn near_bytes_are_found_where_they_stand(text in prop::collection::vec(0u8..4, 0..40)) {
            let text: Vec<u8> = text.into_iter().map(|b| b"\x80 \xffa"[usize::from(b)]).collect();
            for mark in [&b" "[..], b"a", b"a ", b" a ", b"a\xff\x80 "] {
                prop_assert_eq!(find(&text, mark), memmem::find(&text, mark));
            }
            for byte in [b' ', 0x80, 0xff, 0x7f] {
                let expected = text.iter().position(|&b| b == byte);
                prop_assert_eq!(find_near(&text, byte), expected);
            }
            let split: Vec<&[u8]> = text.split(|&b| b == b' ').collect();
            prop_assert_eq!(words(&text).collect::<Vec<_>>(), split);
        }
    }

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
    fn a_word_may_stand_before_the_message() {
        let cases =
            [("id=1", true), ("10.0.0.1 id=1", true), ("a b id=1", false), ("xid=1", false)];
        for (text, expected) in cases {
            assert_eq!(starts_soon(text.as_bytes(), b"id="), expected, "{text}");
        }
    }

    #[test]
    fn pairs_in_order_quotes_hide_keys() {
        let line = b" a=1 word b=\"x y=2 \\\" z\"733 c=\"\"d=4  \"e=5 6\" f= g=\"open h=7";
        let got: Vec<String> = pairs(line, b" ,")
            .map(|(key, value)| {
                format!("{}:{}", String::from_utf8_lossy(key), String::from_utf8_lossy(value))
            })
            .collect();
        assert_eq!(got, ["a:1", "b:x y=2 \\\" z", "c:", "d:4", "e:5 6", "f:", "g:open h=7"]);
        assert_eq!(pairs(b"\"", b" ").count(), 0);
        let commas: Vec<_> = pairs(b"a=1,b=2 c=\"x, y\",d=4 e", b" ,").collect();
        let expected: [(&[u8], &[u8]); 4] =
            [(b"a", b"1"), (b"b", b"2"), (b"c", b"x, y"), (b"d", b"4")];
        assert_eq!(commas, expected);
        let looked_up = Pairs::read(b"src=1 dst=2 src=3", b" ");
        assert_eq!(looked_up.any(&["srcip", "src"]), Some(&b"1"[..]));
        assert_eq!(looked_up.get("dstip"), None);
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
