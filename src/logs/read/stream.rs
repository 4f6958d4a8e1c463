//! Texts that can only be read from front to back: compressed files, standard input, UTF-16, and
//! files whose header lines say what the columns after them mean. In: a text. Out: chunks of whole
//! lines, each with the header in force at its start.
//!
//! One task at a time reads on while others scan the chunk before. A line that is too long is cut
//! here, so memory holds a chunk whatever the text holds.

use std::io::{self, Read};

use memchr::{memchr, memmem, memrchr};

use crate::logs::detect::Header;
use crate::logs::line::Columns;
use crate::logs::read::lines::{HOLE, after_hole, kept_of_long};
use crate::logs::read::plan::header_by;
use crate::logs::read::recipe::Recipe;
use crate::logs::read::scan::Ending;
use crate::logs::source::Text;

/// Bytes at a time when the end of a long line is looked for.
const STEP: usize = 64 << 10;

/// A text that is being read.
pub(super) struct Stream {
    text: Text,
    /// What was read beyond the last chunk.
    carry: Vec<u8>,
    /// Where `carry` begins in the text.
    offset: u64,
    header: Option<Header>,
}

/// A chunk of whole lines.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) offset: u64,
    pub(super) ending: Ending,
    pub(super) long_line: Option<u64>,
    pub(super) nul_bytes: u64,
    /// Parts of the bytes, each with the columns in force; a part ends before a header line.
    pub(super) parts: Vec<(std::ops::Range<usize>, Columns)>,
    /// Why the text breaks off.
    pub(super) error: Option<String>,
}

impl Stream {
    /// A text at its start, or behind what was already read of it.
    pub(super) fn new(text: Text, carry: Vec<u8>, header: Option<Header>) -> Self {
        Self { text, carry, offset: 0, header }
    }

    /// What was noticed besides the text.
    pub(super) fn notes(&self) -> &[String] {
        self.text.notes()
    }

    /// Bytes taken from the file so far.
    pub(super) fn bytes_taken(&self) -> u64 {
        self.text.bytes_taken()
    }

    /// Reads the next chunk of about that size.
    pub(super) fn fill(&mut self, size: usize, recipe: &Recipe) -> Chunk {
        let mut chunk = Chunk {
            bytes: std::mem::take(&mut self.carry),
            offset: self.offset,
            ending: Ending::Continues,
            long_line: None,
            nul_bytes: 0,
            parts: Vec::new(),
            error: None,
        };
        self.fill_bytes(size, recipe.longest_line, &mut chunk);
        self.offset = chunk.offset.saturating_add(match chunk.long_line {
            Some(length) => length.saturating_add(1),
            None => chunk.bytes.len() as u64,
        });
        self.divide(&mut chunk, recipe);
        chunk
    }

    fn fill_bytes(&mut self, size: usize, longest_line: usize, chunk: &mut Chunk) {
        let mut wanted = size.max(1);
        loop {
            self.read_to(wanted, chunk);
            if chunk.ending != Ending::Continues {
                return;
            }
            if let Some(at) = memrchr(b'\n', &chunk.bytes) {
                self.carry = chunk.bytes.split_off(at.saturating_add(1));
                return;
            }
            drop_hole(chunk);
            if chunk.bytes.len() > longest_line {
                self.cut_long_line(longest_line, chunk);
                return;
            }
            wanted = chunk.bytes.len().saturating_add(size.max(1));
        }
    }

    /// Reads until the chunk has that many bytes, or the text ends.
    fn read_to(&mut self, wanted: usize, chunk: &mut Chunk) {
        let have = chunk.bytes.len();
        chunk.bytes.reserve(wanted.saturating_sub(have));
        let missing = wanted.saturating_sub(have) as u64;
        let result = (&mut self.text).take(missing).read_to_end(&mut chunk.bytes);
        Self::note_end(result.map(|read| (read as u64) < missing), chunk);
    }

    fn note_end(ended: io::Result<bool>, chunk: &mut Chunk) {
        match ended {
            Ok(false) => {}
            Ok(true) => chunk.ending = Ending::Ends,
            Err(error) => {
                chunk.ending = Ending::Torn;
                chunk.error = Some(error.to_string());
            }
        }
    }

    /// Keeps the beginning of a line that is too long, and reads on to where it ends.
    fn cut_long_line(&mut self, longest_line: usize, chunk: &mut Chunk) {
        let mut length = chunk.bytes.len() as u64;
        chunk.bytes.truncate(kept_of_long(longest_line));
        let mut step = Vec::with_capacity(STEP);
        loop {
            step.clear();
            let result = (&mut self.text).take(STEP as u64).read_to_end(&mut step);
            Self::note_end(result.map(|read| read < STEP), chunk);
            let line_end = memchr(b'\n', &step);
            let hole =
                memmem::find(step.get(..line_end.unwrap_or(step.len())).unwrap_or(&step), &HOLE);
            let stop = hole.or(line_end);
            length = length.saturating_add(stop.unwrap_or(step.len()) as u64);
            if let Some(at) = stop {
                // The rest may end the text, which the next read will find again.
                if hole.is_some() {
                    chunk.bytes.clear();
                    chunk.nul_bytes = chunk.nul_bytes.saturating_add(length);
                    chunk.offset = chunk.offset.saturating_add(length);
                    self.carry = step.split_off(at);
                } else {
                    chunk.bytes.push(b'\n');
                    chunk.long_line = Some(length);
                    self.carry = step.split_off(at.saturating_add(1));
                }
                if chunk.error.is_none() {
                    chunk.ending = Ending::Continues;
                }
                return;
            }
            if chunk.ending != Ending::Continues {
                chunk.long_line = Some(length);
                return;
            }
        }
    }

    /// Finds header lines, so that every part is read with the columns that hold for it.
    fn divide(&mut self, chunk: &mut Chunk, recipe: &Recipe) {
        let columns = |header: &Option<Header>| match header {
            Some((_, columns)) => columns.clone(),
            None => Columns::NONE,
        };
        let mut from = 0;
        if let Some((id, _)) = recipe.header {
            for at in header_lines(&chunk.bytes, &recipe.header_start) {
                let rest = chunk.bytes.get(at..).unwrap_or_default();
                let line = rest.get(..memchr(b'\n', rest).unwrap_or(rest.len())).unwrap_or(rest);
                if let Some(found) = header_by(id, line) {
                    chunk.parts.push((from..at, columns(&self.header)));
                    self.header = Some((id, found));
                    from = at;
                }
            }
        }
        chunk.parts.push((from..chunk.bytes.len(), columns(&self.header)));
    }
}

/// Forgets what stands before the end of a hole in an unfinished line. Where nothing follows the
/// hole yet its last bytes stay: what is read next may go on with it.
fn drop_hole(chunk: &mut Chunk) {
    let end = after_hole(&chunk.bytes);
    let kept = if end == chunk.bytes.len() { HOLE.len() } else { 0 };
    let dropped = end.saturating_sub(kept);
    chunk.bytes.drain(..dropped);
    chunk.offset = chunk.offset.saturating_add(dropped as u64);
    chunk.nul_bytes = chunk.nul_bytes.saturating_add(dropped as u64);
}

/// Starts of lines that begin like a header line.
fn header_lines<'a>(text: &'a [u8], start: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    memmem::find_iter(text, start)
        .filter(|at| at.checked_sub(1).is_none_or(|before| text.get(before) == Some(&b'\n')))
}
