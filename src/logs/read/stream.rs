//! Texts that can only be read from front to back: compressed files, standard input, UTF-16, and
//! files whose header lines say what the columns after them mean. In: a text. Out: chunks of whole
//! lines, each with the header in force at its start.
//!
//! One task at a time reads on while others scan the chunk before. A line that is too long is cut
//! here, so memory holds a chunk whatever the text holds. A text that an earlier run has read is
//! gone through up to where that run ended; only a plain file can be opened there.

use std::io::{self, Read};

use std::path::Path;

use memchr::{memchr, memmem, memrchr};

use crate::error::{Error, Place, Result};
use crate::logs::detect::{FormatSet, Header, name_of};
use crate::logs::line::Columns;
use crate::logs::read::lines::{HOLE, after_hole, kept_of_long};
use crate::logs::read::plan::header_by;
use crate::logs::read::recipe::Recipe;
use crate::logs::read::scan::Ending;
use crate::logs::source::{Text, open_plain, open_text, open_text_to};
use crate::model::reading::{HeaderLine, Reached};

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
    /// The line that the header was read from.
    header_line: Option<HeaderLine>,
}

/// How a text is opened.
#[derive(Debug, Clone)]
pub(super) enum Opening {
    /// From its start to its end.
    Whole,
    /// A part of a plain file: from which byte to which, and how much of the text lies before it.
    Part { from: u64, to: u64, offset: u64 },
    /// From its start up to a byte of the file, but for so much of the text; both ends of the text
    /// are kept.
    Behind { to: u64, offset: u64 },
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
    pub(super) fn new(text: Text, carry: Vec<u8>) -> Self {
        Self { text, carry, offset: 0, header: None, header_line: None }
    }

    /// Opens a text; `header` is the header line in force where it begins.
    pub(super) fn open(
        path: &Path,
        opening: &Opening,
        header: Option<&HeaderLine>,
    ) -> Result<Self> {
        let (text, skipped, offset) = match *opening {
            Opening::Whole => return Ok(Self::new(open_text(path)?, Vec::new())),
            // With the byte before, which tells whether a line begins here.
            Opening::Part { from, to, offset } => {
                let before = u64::from(offset > 0);
                (open_plain(path, from.saturating_sub(before), to)?, before, offset)
            }
            Opening::Behind { to, offset } => (open_text_to(path, to)?.tracked(), offset, offset),
        };
        let mut stream = Self { offset, ..Self::new(text, Vec::new()) };
        stream.skip(skipped).map_err(|error| {
            Error::input(path, Place::Byte(offset), format!("{error}; an earlier run read to here"))
        })?;
        stream.header = header.and_then(|known| {
            let id = FormatSet::named(&known.format).iter().next()?;
            Some((id, header_by(id, &known.line)?))
        });
        stream.header_line = header.cloned();
        Ok(stream)
    }

    /// Passes over so many bytes, and over the rest of a line that they end in.
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let mut buffer = vec![0; STEP];
        let (mut left, mut last) = (count, b'\n');
        while left > 0 || last != b'\n' {
            let wanted = if left > 0 { left.min(STEP as u64) as usize } else { STEP };
            let read = self.text.read(buffer.get_mut(..wanted).unwrap_or_default())?;
            let part = buffer.get(..read).unwrap_or_default();
            if part.is_empty() {
                return if left > 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) };
            }
            if left == 0 {
                let end = memchr(b'\n', part).map_or(read, |at| at.saturating_add(1));
                self.carry = part.get(end..).unwrap_or_default().to_vec();
                self.offset = self.offset.saturating_add(end as u64);
                last = part.get(end.saturating_sub(1)).copied().unwrap_or(b'\n');
            } else {
                left = left.saturating_sub(read as u64);
                last = part.last().copied().unwrap_or(b'\n');
            }
        }
        Ok(())
    }

    /// What a later run needs to go on where this text ends; `known` is what the plan knows of it.
    pub(super) fn reached(&self, known: Reached) -> Reached {
        let known = Reached { header: self.header_line.clone(), ..known };
        match self.text.track() {
            Some(track) => Reached {
                offset: track.total(),
                head: track.head_print(),
                tail: track.tail_print(),
                ..known
            },
            None => known,
        }
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
                    self.header_line =
                        Some(HeaderLine { format: name_of(id).into(), line: line.into() });
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
