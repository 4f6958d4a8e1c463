//! UTF-16 text. In: bytes with a byte order mark, or without one where every other byte is NUL (the
//! way Windows tools export logs). Out: UTF-8; what is no UTF-16 becomes U+FFFD.

use std::io::{self, Read};

/// Byte order of UTF-16, and how it was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Utf16 {
    /// Whether the high byte comes first.
    order: Order,
    /// Whether a byte order mark says so.
    known_by: KnownBy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KnownBy {
    Mark,
    NulPattern,
}

impl Utf16 {
    /// Whether this start of a file is UTF-16.
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0xff, 0xfe, ..] => {
                return Some(Self { order: Order::Little, known_by: KnownBy::Mark });
            }
            [0xfe, 0xff, ..] => return Some(Self { order: Order::Big, known_by: KnownBy::Mark }),
            _ => {}
        }
        let units = head.chunks_exact(2);
        let count = units.len();
        if count < 8 {
            return None;
        }
        let (mut first_nul, mut second_nul) = (0, 0);
        for unit in units {
            match unit {
                [0, low] if *low != 0 => first_nul += 1,
                [low, 0] if *low != 0 => second_nul += 1,
                _ => {}
            }
        }
        // Mostly ASCII: nine units of ten.
        let most = count - count / 10;
        let order = if second_nul >= most {
            Order::Little
        } else if first_nul >= most {
            Order::Big
        } else {
            return None;
        };
        Some(Self { order, known_by: KnownBy::NulPattern })
    }

    /// A line feed.
    pub fn line_feed(self) -> [u8; 2] {
        if self.order == Order::Little { [b'\n', 0] } else { [0, b'\n'] }
    }

    /// The remark in the account, where it was guessed.
    pub fn note(self) -> Option<String> {
        let order = if self.order == Order::Little { "LE" } else { "BE" };
        (self.known_by == KnownBy::NulPattern)
            .then(|| format!("looks like UTF-16{order} without a byte order mark; decoded"))
    }
}

/// Reads UTF-16 as UTF-8, without the byte order mark.
pub struct Utf16Reader<R> {
    inner: R,
    order: Order,
    /// Bytes of an incomplete unit or surrogate pair.
    pending: Vec<u8>,
    /// UTF-8 not yet given out.
    ready: Vec<u8>,
    ready_at: usize,
    at_start: bool,
    raw: Vec<u8>,
}

impl<R: Read> Utf16Reader<R> {
    /// A reader at the start of the text.
    pub fn new(inner: R, utf16: Utf16) -> Self {
        Self {
            inner,
            order: utf16.order,
            pending: Vec::new(),
            ready: Vec::new(),
            ready_at: 0,
            at_start: true,
            raw: vec![0; 32 << 10],
        }
    }

    /// What it reads from.
    pub fn inner(&self) -> &R {
        &self.inner
    }

    /// Decodes the next stretch; false at the end.
    fn decode_more(&mut self) -> io::Result<bool> {
        let read = self.inner.read(&mut self.raw)?;
        let fresh = self.raw.get(..read).unwrap_or_default();
        self.pending.extend_from_slice(fresh);
        self.ready.clear();
        self.ready_at = 0;
        let whole = self.whole_bytes(read == 0);
        let order = self.order;
        let units =
            self.pending.get(..whole).unwrap_or_default().chunks(2).map(|pair| match pair {
                [a, b] if order == Order::Little => u16::from_le_bytes([*a, *b]),
                [a, b] => u16::from_be_bytes([*a, *b]),
                _ => 0xfffd,
            });
        for decoded in char::decode_utf16(units) {
            let letter = decoded.unwrap_or(char::REPLACEMENT_CHARACTER);
            let mark = std::mem::take(&mut self.at_start) && letter == '\u{feff}';
            if !mark {
                let mut utf8 = [0; 4];
                self.ready.extend_from_slice(letter.encode_utf8(&mut utf8).as_bytes());
            }
        }
        self.pending.drain(..whole);
        Ok(read > 0)
    }

    /// Bytes of `pending` that can be decoded now: whole units, and no high surrogate at the end
    /// whose partner is still to come.
    fn whole_bytes(&self, at_end: bool) -> usize {
        let length = self.pending.len();
        if at_end {
            return length;
        }
        let whole = length - length % 2;
        let high = match (self.order, self.pending.get(whole.saturating_sub(2)..whole)) {
            (Order::Little, Some([_, high])) | (Order::Big, Some([high, _])) => *high,
            _ => 0,
        };
        if (0xd8..0xdc).contains(&high) { whole.saturating_sub(2) } else { whole }
    }
}

impl<R: Read> Read for Utf16Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.ready_at >= self.ready.len() && !buffer.is_empty() {
            if !self.decode_more()? && self.ready.is_empty() {
                return Ok(0);
            }
        }
        let waiting = self.ready.get(self.ready_at..).unwrap_or_default();
        let count = waiting.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), waiting.get(..count)) {
            to.copy_from_slice(from);
        }
        self.ready_at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(text: &str, order: Order) -> Vec<u8> {
        text.encode_utf16()
            .flat_map(|unit| match order {
                Order::Little => unit.to_le_bytes(),
                Order::Big => unit.to_be_bytes(),
            })
            .collect()
    }

    #[test]
    fn both_orders_with_and_without_mark() {
        let text = "Nov  2 10:00:00 fw1 kernel: DPT=25 \u{e9} \u{1f600}\n";
        for order in [Order::Little, Order::Big] {
            for mark in ["\u{feff}", ""] {
                let bytes = encode(&format!("{mark}{text}"), order);
                let utf16 = Utf16::of(&bytes).unwrap();
                assert_eq!(utf16.order, order);
                assert_eq!(utf16.note().is_some(), mark.is_empty());
                // One byte at a time: units and surrogate pairs are cut everywhere.
                let mut reader = Utf16Reader::new(OneByte(&bytes), utf16);
                let mut got = String::new();
                reader.read_to_string(&mut got).unwrap();
                assert_eq!(got, text);
            }
        }
    }

    #[test]
    fn other_text_is_not_utf16() {
        assert_eq!(Utf16::of(b"Nov  2 10:00:00 fw1 kernel: DPT=25"), None);
        assert_eq!(Utf16::of(&[0; 64]), None);
        assert_eq!(Utf16::of(b""), None);
    }

    #[test]
    fn a_lone_surrogate_and_half_a_unit_are_replaced() {
        let mark = Utf16 { order: Order::Little, known_by: KnownBy::Mark };
        let bytes = [0xff, 0xfe, b'a', 0, 0x00, 0xd8, b'b', 0, 0x41];
        let mut got = String::new();
        Utf16Reader::new(&bytes[..], mark).read_to_string(&mut got).unwrap();
        assert_eq!(got, "a\u{fffd}b\u{fffd}");
    }

    struct OneByte<'a>(&'a [u8]);

    impl Read for OneByte<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer.get_mut(..1).unwrap_or_default())
        }
    }
}
