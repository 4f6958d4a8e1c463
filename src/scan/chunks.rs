//! Cuts an export into chunks. In: its text as UTF-8. Out: chunks of about a megabyte, each
//! cut where most likely an item or a host begins, with a guess of what it stands in.
//!
//! A cut is only a proposal: `<ReportItem` may stand in a comment. What a chunk really stands in
//! is known once those before it have been walked over (`assemble`), which holds the guess
//! against it. That is what lets chunks, even of one huge host, be walked over at the same time.

use std::io::{self, Read};

use memchr::{memmem, memrchr};

use crate::scan::encoding::fill;
use crate::scan::surroundings::Spot;
use crate::scan::walk::Ending;

/// Bytes of a chunk: enough to be worth a task, few enough to stay in the cache.
pub(super) const CHUNK: usize = 1024 * 1024;

/// A piece of an export.
pub(super) struct Chunk {
    /// A buffer, of which the first `filled` bytes count.
    buffer: Vec<u8>,
    filled: usize,
    /// Offset of the first byte in the export.
    pub(super) offset: u64,
    /// What comes behind it.
    pub(super) ending: Ending,
    /// What it most likely stands in, if it begins with a host or an item.
    pub(super) guess: Option<Spot>,
}

impl Chunk {
    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }
}

/// The chunks of an export, in order.
pub(super) struct Chunks<'r> {
    input: &'r mut (dyn Read + Send),
    size: usize,
    /// What stood behind the last cut.
    leftover: Vec<u8>,
    offset: u64,
    finished: bool,
    /// Buffers of chunks that are done with.
    spare: Vec<Vec<u8>>,
    /// Why the input could not be read to its end.
    pub(super) failure: Option<io::Error>,
}

impl<'r> Chunks<'r> {
    /// Chunks of about `size` bytes.
    pub(super) fn new(input: &'r mut (dyn Read + Send), size: usize) -> Self {
        let leftover = Vec::new();
        Self { input, size, leftover, offset: 0, finished: false, spare: Vec::new(), failure: None }
    }

    /// Offset of the first byte that was not handed out.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next `count` chunks; none at the end. Where reading fails, the last chunk ends there.
    pub(super) fn next_batch(&mut self, count: usize) -> Vec<Chunk> {
        let mut batch = Vec::with_capacity(count);
        while batch.len() < count && !self.finished {
            batch.push(self.next_chunk());
        }
        batch
    }

    /// Takes back the buffers of chunks that are done with.
    pub(super) fn recycle(&mut self, batch: Vec<Chunk>) {
        self.spare.extend(batch.into_iter().map(|chunk| chunk.buffer));
    }

    fn next_chunk(&mut self) -> Chunk {
        let mut buffer = self.spare.pop().unwrap_or_else(|| vec![0; self.size]);
        let kept = self.leftover.len();
        if let Some(start) = buffer.get_mut(..kept) {
            start.copy_from_slice(&self.leftover);
        }
        let room = buffer.get_mut(kept..).unwrap_or_default();
        let (read, failure) = fill(self.input, room);
        self.failure = self.failure.take().or(failure);
        let filled = kept.saturating_add(read);
        let text = buffer.get(..filled).unwrap_or_default();
        self.finished = filled < buffer.len();
        let (cut, ending) = if self.finished { (filled, Ending::Eof) } else { cut(text) };
        self.leftover.clear();
        self.leftover.extend_from_slice(text.get(cut..).unwrap_or_default());
        let guess = if self.finished { None } else { guess(text) };
        let offset = self.offset;
        self.offset = offset.saturating_add(cut as u64);
        Chunk { buffer, filled: cut, offset, ending, guess }
    }
}

/// Where to cut: before the last item or host, else before the last `<`, else at the end.
fn cut(text: &[u8]) -> (usize, Ending) {
    match last_item(text).or_else(|| memrchr(b'<', text)).filter(|&at| at > 0) {
        Some(at) => (at, Ending::Markup),
        None => (text.len(), Ending::Anywhere),
    }
}

/// Where the last item or host begins, but for one at the very front. Searches forwards in ever
/// larger ends of the text: searching backwards is many times slower.
fn last_item(text: &[u8]) -> Option<usize> {
    let mut window = 16 * 1024;
    loop {
        let start = text.len().saturating_sub(window).max(1);
        let end = text.get(start..)?;
        if let Some(last) = memmem::find_iter(end, b"<Report").last() {
            return Some(start.saturating_add(last));
        }
        if start == 1 {
            return None;
        }
        window = window.saturating_mul(4);
    }
}

fn guess(text: &[u8]) -> Option<Spot> {
    if text.starts_with(b"<ReportItem") {
        return Some(Spot::Host);
    }
    text.starts_with(b"<ReportHost").then_some(Spot::HostParent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_cut_before_items_and_hold_every_byte() {
        let text = "<R><ReportHost><ReportItem>one</ReportItem><ReportItem>two</ReportItem>\
                    </ReportHost></R><!-- a long comment without a cut ---------------------- -->";
        for size in [16, 30, 40, 1000] {
            let mut input = text.as_bytes();
            let mut chunks = Chunks::new(&mut input, size);
            let (mut whole, mut batches) = (Vec::new(), 0);
            loop {
                let batch = chunks.next_batch(2);
                if batch.is_empty() {
                    break;
                }
                for chunk in &batch {
                    assert_eq!(chunk.offset, whole.len() as u64);
                    whole.extend_from_slice(chunk.bytes());
                    batches += 1;
                }
                chunks.recycle(batch);
            }
            assert_eq!(String::from_utf8(whole).unwrap(), text);
            assert!(batches > 0);
        }
    }

    #[test]
    fn where_to_cut_and_what_to_guess() {
        let cases = [
            ("a<ReportItem x><b>", 1, Ending::Markup),
            ("<ReportItem x><b>", 14, Ending::Markup),
            ("<ReportItem x", 13, Ending::Anywhere),
            ("text", 4, Ending::Anywhere),
        ];
        for (text, at, ending) in cases {
            assert_eq!(cut(text.as_bytes()), (at, ending), "{text}");
        }
        assert_eq!(guess(b"<ReportItem "), Some(Spot::Host));
        assert_eq!(guess(b"<ReportHost "), Some(Spot::HostParent));
        assert_eq!(guess(b"<Report name"), None);
    }
}
