//! Blocks of an uncompressed file. In: a file and a range of it. Out: the lines whose text begins in
//! the range, whole, in a buffer that the worker keeps.
//!
//! Blocks are read with `pread` by the workers themselves: no mapping (a file that shrinks would
//! kill the process), no reader thread that all bytes would have to pass through. A line belongs to
//! the block that holds its first byte; after a hole (a run of NULs) a new line begins. Both can be
//! decided with the eight bytes before a block, so any cutting into blocks gives the same lines.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use memchr::{memchr, memchr_iter, memmem, memrchr};

use crate::logs::read::lines::{HOLE, after_hole, kept_of_long};
use crate::logs::read::scan::Ending;

/// Bytes that are read beyond a block at first, to reach the end of its last line.
const BEYOND: usize = 4096;

/// Bytes at a time when the end of a long line is looked for.
const STEP: usize = 64 << 10;

/// A page: the unit of holes in files, and of the system's copy of them in memory.
const PAGE: u64 = 4096;

/// A range of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Size of the file when the run began.
    pub(super) size: u64,
}

/// The lines of a block: a part of the buffer that was passed in.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) text: std::ops::Range<usize>,
    /// Where the text begins in the file.
    pub(super) offset: u64,
    pub(super) ending: Ending,
    /// True length of the last line where only its beginning was kept.
    pub(super) long_line: Option<u64>,
    /// NULs of holes in the range, counted by pages.
    pub(super) nul_bytes: u64,
    /// The file ended before the size it had when the run began.
    pub(super) shrank_to: Option<u64>,
}

/// Reads a block into the buffer.
pub(super) fn load(
    file: &File,
    range: Range,
    longest_line: usize,
    buffer: &mut Vec<u8>,
) -> io::Result<Loaded> {
    let first_end = range.end.saturating_add(BEYOND as u64).min(range.size);
    let from = begin(range.start, first_end, buffer);
    let mut window = Window { file, from, size: range.size, longest_line, buffer };
    window.start(first_end)?;
    let local = |position: u64| (position.saturating_sub(from)) as usize;
    let (block_start, block_end) = (local(range.start), local(range.end));
    let nul_bytes = window.nul_bytes(range);
    let shrank_to = (window.end() < first_end).then(|| window.end());
    let start = if range.start == 0 {
        Some(if window.buffer.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 })
    } else {
        first_start(window.buffer, block_start).filter(|start| *start < block_end)
    };
    let mut loaded = Loaded {
        text: 0..0,
        offset: range.start,
        ending: Ending::Continues,
        long_line: None,
        nul_bytes,
        shrank_to,
    };
    let Some(start) = start else { return Ok(loaded) };
    loaded.offset = from.saturating_add(start as u64);
    let end = window.find_end(start, block_end, &mut loaded)?;
    loaded.text = start..end.max(start);
    Ok(loaded)
}

/// Where reading begins for a block: at least the bytes before it that tell where its first line
/// begins, and as many more, less than a page, as it takes that a byte lies at the same place of a
/// page in memory as in the file; a file's first block lies as it comes. Memory that lies some bytes
/// further, as an allocator's does, takes up to four times as long to copy into on some processors
/// (`rep movsb` on AMD's Zen 3).
fn begin(start: u64, first_end: u64, buffer: &mut Vec<u8>) -> u64 {
    let latest = start.saturating_sub(HOLE.len() as u64);
    let longest = first_end.saturating_sub(latest).saturating_add(PAGE) as usize;
    // What is reserved now stays where it is while the first part is read.
    buffer.reserve(longest.saturating_sub(buffer.len()));
    let memory = buffer.as_ptr().addr() as u64;
    latest.saturating_sub(latest.wrapping_sub(memory) % PAGE)
}

/// A part of a file in memory.
struct Window<'a> {
    file: &'a File,
    from: u64,
    size: u64,
    longest_line: usize,
    buffer: &'a mut Vec<u8>,
}

impl Window<'_> {
    /// Position in the file of the end of what is in memory.
    fn end(&self) -> u64 {
        self.from.saturating_add(self.buffer.len() as u64)
    }

    /// Reads the first part over what the buffer held: clearing it first would have every byte
    /// written twice.
    fn start(&mut self, position: u64) -> io::Result<()> {
        let want = position.min(self.size).saturating_sub(self.from) as usize;
        self.buffer.resize(want, 0);
        self.read_from(0)
    }

    /// Reads on up to that position of the file, or to its end.
    fn extend_to(&mut self, position: u64) -> io::Result<()> {
        let have = self.buffer.len();
        let want = position.min(self.size).saturating_sub(self.from) as usize;
        if want <= have {
            return Ok(());
        }
        self.buffer.resize(want, 0);
        self.read_from(have)
    }

    /// Fills the buffer from that place on, and cuts it where the file ends.
    fn read_from(&mut self, have: usize) -> io::Result<()> {
        let mut at = have;
        while at < self.buffer.len() {
            let Some(free) = self.buffer.get_mut(at..) else { break };
            match self.file.read_at(free, self.from.saturating_add(at as u64)) {
                Ok(0) => break,
                Ok(read) => at = at.saturating_add(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.buffer.truncate(at);
        Ok(())
    }

    /// Where the last line that begins before `block_end` ends, its line end included.
    fn find_end(
        &mut self,
        start: usize,
        block_end: usize,
        loaded: &mut Loaded,
    ) -> io::Result<usize> {
        if block_end >= self.buffer.len() && self.end() >= self.size || loaded.shrank_to.is_some() {
            loaded.ending = Ending::Ends;
            return Ok(self.buffer.len());
        }
        let line_start = self.last_start(start, block_end);
        let mut looked_to = block_end;
        loop {
            if let Some(stop) = first_stop(self.buffer, looked_to) {
                return Ok(stop);
            }
            if self.end() >= self.size {
                loaded.ending = Ending::Ends;
                return Ok(self.buffer.len());
            }
            if self.buffer.len().saturating_sub(line_start) > self.longest_line {
                return self.cut_long_line(line_start, loaded);
            }
            looked_to = self.buffer.len();
            let before = self.buffer.len();
            self.extend_to(self.end().saturating_add(STEP as u64))?;
            if self.buffer.len() == before {
                loaded.shrank_to = Some(self.end());
            }
            if loaded.shrank_to.is_some() {
                loaded.ending = Ending::Ends;
                return Ok(self.buffer.len());
            }
        }
    }

    fn last_start(&self, start: usize, block_end: usize) -> usize {
        let block = self.buffer.get(start..block_end).unwrap_or_default();
        let line = memrchr(b'\n', block).map_or(0, |at| at.saturating_add(1));
        let hole = after_hole(block.get(line..).unwrap_or_default());
        start.saturating_add(line).saturating_add(hole)
    }

    /// Keeps the beginning of a line that is too long, and finds where it really ends.
    fn cut_long_line(&mut self, line_start: usize, loaded: &mut Loaded) -> io::Result<usize> {
        let begins = self.from.saturating_add(line_start as u64);
        let mut position = self.end();
        let kept = line_start.saturating_add(kept_of_long(self.longest_line));
        self.buffer.truncate(kept);
        let mut step = vec![0; STEP];
        loop {
            let read = self.file.read_at(&mut step, position)?;
            let remaining = self.size.saturating_sub(position);
            let part = step.get(..read.min(remaining as usize)).unwrap_or_default();
            if part.is_empty() {
                loaded.ending = Ending::Ends;
                loaded.long_line = Some(position.saturating_sub(begins));
                return Ok(self.buffer.len());
            }
            let line_end = memchr(b'\n', part);
            let hole = memmem::find(part, &HOLE);
            match (line_end, hole) {
                (Some(end), hole) if hole.is_none_or(|hole| end < hole) => {
                    let length = position.saturating_add(end as u64).saturating_sub(begins);
                    loaded.long_line = Some(length);
                    self.buffer.push(b'\n');
                    return Ok(self.buffer.len());
                }
                // What stands before a hole is no line.
                (_, Some(_)) => return Ok(line_start),
                _ => position = position.saturating_add(part.len() as u64),
            }
        }
    }

    /// NULs in the pages of the range that begin with one. A hole covers whole pages, so one byte
    /// of each tells.
    fn nul_bytes(&self, range: Range) -> u64 {
        let first = range.start.next_multiple_of(PAGE);
        (first..range.end.min(self.end()))
            .step_by(PAGE as usize)
            .map(|page| (page.saturating_sub(self.from)) as usize)
            .filter(|at| self.buffer.get(*at) == Some(&0))
            .map(|at| {
                let end = at.saturating_add(PAGE as usize).min(self.buffer.len());
                let page = self.buffer.get(at..end).unwrap_or_default();
                memchr_iter(0, page).count() as u64
            })
            .sum()
    }
}

/// The first place at or after `from` where a line's text begins: after a line end, or where a hole
/// ends. Eight bytes before `from` are in the buffer.
fn first_start(bytes: &[u8], from: usize) -> Option<usize> {
    if from.checked_sub(1).and_then(|at| bytes.get(at)) == Some(&b'\n') {
        return Some(from);
    }
    let after_line_end = |from: usize| {
        let found = memchr(b'\n', bytes.get(from..)?)?;
        from.checked_add(found)?.checked_add(1)
    };
    let line = after_line_end(from);
    let hole_from = from.saturating_sub(HOLE.len());
    let to = line.unwrap_or(bytes.len());
    let hole = memmem::find(bytes.get(hole_from..to)?, &HOLE).and_then(|at| {
        let run = bytes.get(hole_from.checked_add(at)?..)?.iter().take_while(|b| **b == 0).count();
        let start = hole_from.checked_add(at)?.checked_add(run)?;
        (start >= from && start < bytes.len()).then_some(start)
    });
    match (line, hole) {
        (Some(line), Some(hole)) => Some(line.min(hole)),
        (line, hole) => line.or(hole),
    }
}

/// The first place at or after `from` that a line cannot go beyond: after a line end, or after
/// eight NULs.
fn first_stop(bytes: &[u8], from: usize) -> Option<usize> {
    let look_from = from.saturating_sub(1);
    let line = memchr(b'\n', bytes.get(look_from..)?)
        .and_then(|at| look_from.checked_add(at)?.checked_add(1));
    let hole_from = from.saturating_sub(HOLE.len());
    let to = line.unwrap_or(bytes.len());
    let hole = memmem::find(bytes.get(hole_from..to)?, &HOLE)
        .and_then(|at| hole_from.checked_add(at)?.checked_add(HOLE.len()));
    hole.or(line)
}
