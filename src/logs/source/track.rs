//! What a text is known by: its first bytes and its last ones so far. In: the bytes as they are
//! read. Out: their number and the prints of both ends.

use sha2::{Digest, Sha256};

use crate::model::reading::{PRINT_BYTES, Print};

/// The ends of a text that is being read.
#[derive(Debug, Clone, Default)]
pub struct Track {
    head: Vec<u8>,
    /// At least the last bytes; cut now and then.
    tail: Vec<u8>,
    total: u64,
}

/// The print of these bytes, of which there are at most [`PRINT_BYTES`].
pub fn print_of(bytes: &[u8]) -> Print {
    Print { length: bytes.len() as u32, hash: Sha256::digest(bytes).into() }
}

impl Track {
    /// Takes the next bytes of the text.
    pub fn add(&mut self, bytes: &[u8]) {
        let missing = PRINT_BYTES.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(bytes.get(..missing).unwrap_or_default());
        if self.tail.len() > 8 * PRINT_BYTES {
            self.tail.drain(..self.tail.len().saturating_sub(PRINT_BYTES));
        }
        let from = bytes.len().saturating_sub(PRINT_BYTES);
        if from > 0 {
            self.tail.clear();
        }
        self.tail.extend_from_slice(bytes.get(from..).unwrap_or_default());
        self.total = self.total.saturating_add(bytes.len() as u64);
    }

    /// Bytes so far.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The first bytes, at most [`PRINT_BYTES`].
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The last bytes, at most so many.
    pub fn last(&self, count: usize) -> &[u8] {
        self.tail.get(self.tail.len().saturating_sub(count)..).unwrap_or_default()
    }

    /// Whether the bytes before an offset hash to a print: the offset is the end so far, or lies
    /// within the first [`PRINT_BYTES`].
    pub fn holds(&self, offset: u64, print: Print) -> bool {
        let length = print.length as usize;
        let bytes = if offset == self.total {
            Some(self.last(length))
        } else {
            let end = offset as usize;
            self.head.get(end.saturating_sub(length)..end)
        };
        bytes.is_some_and(|bytes| print_of(bytes) == print)
    }

    /// The print of the first bytes.
    pub fn head_print(&self) -> Print {
        print_of(&self.head)
    }

    /// The print of the last bytes.
    pub fn tail_print(&self) -> Print {
        print_of(self.last(PRINT_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_kept_however_the_text_is_cut() {
        let text: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        for step in [1000, 4095, 4096, 4097, 70_000, text.len()] {
            let mut track = Track::default();
            text.chunks(step).for_each(|part| track.add(part));
            assert_eq!(track.total(), text.len() as u64);
            assert_eq!(track.head_print(), print_of(&text[..PRINT_BYTES]), "{step}");
            assert_eq!(track.tail_print(), print_of(&text[text.len() - PRINT_BYTES..]), "{step}");
        }
        let mut short = Track::default();
        short.add(b"one line\n");
        assert_eq!((short.head_print(), short.last(5)), (short.tail_print(), &b"line\n"[..]));
        assert!(short.holds(9, print_of(b"line\n")) && short.holds(3, print_of(b"ne")));
        assert!(!short.holds(3, print_of(b"on")) && !short.holds(100, print_of(b"one")));
    }
}
