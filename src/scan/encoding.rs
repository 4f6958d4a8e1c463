//! The character encoding of an export. In: its bytes. Out: the same text as UTF-8, without a
//! byte order mark.
//!
//! Nessus writes UTF-8; people and tools turn exports into UTF-16 (with or without a mark) or
//! Latin-1 (`encoding="ISO-8859-1"`). UTF-8 passes through uncopied, faulty bytes included: what
//! is kept of the text is checked where it is read (`text`).

use std::io::{self, Read};

/// Bytes looked at to tell the encoding.
const HEAD: usize = 1024;
/// Bytes decoded at a time.
const BLOCK: usize = 64 * 1024;

/// The encodings that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
    Latin1,
}

/// An export as UTF-8.
pub(super) struct Decoder<'r> {
    input: &'r mut (dyn Read + Send),
    /// Why the head could not be read whole, to be told behind it.
    failure: Option<io::Error>,
    encoding: Encoding,
    /// Bytes read and not yet handed out: raw ones for UTF-8, else decoded ones.
    ready: Vec<u8>,
    /// How many of them were handed out.
    taken: usize,
    /// Raw bytes of a character that is not complete yet.
    rest: Vec<u8>,
    /// Where raw bytes are read to before they are decoded.
    block: Vec<u8>,
}

impl<'r> Decoder<'r> {
    /// Reads the head of the input and tells its encoding. The error names one that is not read.
    pub(super) fn open(input: &'r mut (dyn Read + Send)) -> Result<Self, String> {
        let mut head = vec![0; HEAD];
        let (filled, failure) = fill(input, &mut head);
        head.truncate(filled);
        let (encoding, skip) = tell(&head)?;
        let (ready, rest, block) = (Vec::new(), Vec::new(), vec![0; BLOCK]);
        let mut decoder = Self { input, failure, encoding, ready, taken: 0, rest, block };
        let text = head.get(skip..).unwrap_or_default();
        if encoding == Encoding::Utf8 {
            decoder.ready = text.to_vec();
        } else {
            decoder.decode(text);
        }
        Ok(decoder)
    }

    /// Whether offsets in the text differ from offsets in the file.
    pub(super) fn recodes(&self) -> bool {
        self.encoding != Encoding::Utf8
    }

    fn decode(&mut self, raw: &[u8]) {
        self.ready.clear();
        self.taken = 0;
        let mut out = String::new();
        if self.encoding == Encoding::Latin1 {
            out.extend(raw.iter().map(|&b| char::from(b)));
        } else {
            self.rest.extend_from_slice(raw);
            let whole = self.whole_units();
            let units = self.rest.get(..whole).unwrap_or_default().chunks_exact(2);
            let units = units.filter_map(|pair| <[u8; 2]>::try_from(pair).ok()).map(|pair| {
                match self.encoding {
                    Encoding::Utf16Be => u16::from_be_bytes(pair),
                    _ => u16::from_le_bytes(pair),
                }
            });
            let chars = char::decode_utf16(units);
            out.extend(chars.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
            self.rest.drain(..whole);
        }
        self.ready.extend_from_slice(out.as_bytes());
    }

    /// How many bytes of `rest` hold whole characters: an even number, without a first half of a
    /// surrogate pair at the end.
    fn whole_units(&self) -> usize {
        let even = self.rest.len() & !1;
        let high = if self.encoding == Encoding::Utf16Be { 2 } else { 1 };
        let last = even.checked_sub(high).and_then(|at| self.rest.get(at));
        if last.is_some_and(|b| (0xd8..0xdc).contains(b)) { even.saturating_sub(2) } else { even }
    }

    /// Hands out bytes that are ready.
    fn take_ready(&mut self, buffer: &mut [u8]) -> usize {
        let ready = self.ready.get(self.taken..).unwrap_or_default();
        let count = ready.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), ready.get(..count)) {
            to.copy_from_slice(from);
        }
        self.taken = self.taken.saturating_add(count);
        count
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.take_ready(buffer);
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if self.encoding == Encoding::Utf8 {
                return self.input.read(buffer);
            }
            let mut block = std::mem::take(&mut self.block);
            let read = self.input.read(&mut block);
            if let Ok(filled) = read {
                self.decode(block.get(..filled).unwrap_or_default());
            }
            self.block = block;
            if read? == 0 {
                if self.rest.is_empty() {
                    return Ok(0);
                }
                self.rest.clear();
                self.ready.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }
}

/// Reads until the buffer is full or the input ends: how much was read, and why no more if the
/// input failed.
pub(super) fn fill(input: &mut (dyn Read + Send), buffer: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut filled = 0usize;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match input.read(room) {
            Ok(0) => break,
            Ok(count) => filled = filled.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Some(error)),
        }
    }
    (filled, None)
}

/// The encoding that the head of an export shows, and how many bytes its mark takes.
fn tell(head: &[u8]) -> Result<(Encoding, usize), String> {
    match head {
        [0xef, 0xbb, 0xbf, ..] => return Ok((Encoding::Utf8, 3)),
        [0xff, 0xfe, ..] => return Ok((Encoding::Utf16Le, 2)),
        [0xfe, 0xff, ..] => return Ok((Encoding::Utf16Be, 2)),
        [b'<', 0, ..] => return Ok((Encoding::Utf16Le, 0)),
        [0, b'<', ..] => return Ok((Encoding::Utf16Be, 0)),
        _ => {}
    }
    let declared = declared(head).unwrap_or_default().to_ascii_lowercase();
    match declared.as_str() {
        "" | "utf-8" | "utf8" | "us-ascii" | "ascii" | "utf-16" => Ok((Encoding::Utf8, 0)),
        "iso-8859-1" | "latin1" | "windows-1252" => Ok((Encoding::Latin1, 0)),
        other => Err(format!(
            "found the encoding {other:?}; expected UTF-8, UTF-16 or ISO-8859-1: convert the file"
        )),
    }
}

/// The value of `encoding` in the XML declaration.
fn declared(head: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(head);
    let (_, declaration) = text.split_once("<?xml")?;
    let (declaration, _) = declaration.split_once("?>")?;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    value.strip_prefix(quote)?.split(quote).next().map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out at most `step` bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(buffer.len());
            (&mut self.0).take(count as u64).read(buffer)
        }
    }

    fn decoded(bytes: &[u8], step: usize) -> Result<String, String> {
        let mut slow = Slow(bytes, step);
        let mut decoder = Decoder::open(&mut slow)?;
        let mut text = String::new();
        decoder.read_to_string(&mut text).unwrap();
        Ok(text)
    }

    fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn every_encoding_gives_the_same_text() {
        let text = format!("<a>é\u{1f600}{}</a>", "x\u{1f600}".repeat(2000));
        let marked = format!("\u{feff}{text}");
        let latin = "<?xml version=\"1.0\" encoding='ISO-8859-1'?><a>é</a>";
        let latin_bytes: Vec<u8> = latin.chars().map(|c| c as u8).collect();
        for step in [1, 3, 4096] {
            assert_eq!(decoded(text.as_bytes(), step).unwrap(), text);
            assert_eq!(decoded(marked.as_bytes(), step).unwrap(), text);
            for twin in [
                utf16(&text, u16::to_le_bytes),
                utf16(&text, u16::to_be_bytes),
                utf16(&marked, u16::to_le_bytes),
                utf16(&marked, u16::to_be_bytes),
            ] {
                assert_eq!(decoded(&twin, step).unwrap(), text);
            }
            assert_eq!(decoded(&latin_bytes, step).unwrap(), latin);
        }
    }

    #[test]
    fn half_characters_and_foreign_encodings() {
        assert_eq!(decoded(&[0xff, 0xfe, b'a', 0, b'b'], 1).unwrap(), "a\u{fffd}");
        assert_eq!(decoded(&[0xff, 0xfe, 0, 0xd8], 2).unwrap(), "\u{fffd}");
        let foreign = b"<?xml version=\"1.0\" encoding=\"EBCDIC\"?><a/>";
        assert_eq!(
            decoded(foreign, 9).unwrap_err(),
            "found the encoding \"ebcdic\"; expected UTF-8, UTF-16 or ISO-8859-1: convert the file"
        );
        assert_eq!(decoded(b"", 1).unwrap(), "");
    }
}
