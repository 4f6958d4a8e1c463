//! The walk over the lines of a stretch. In: the stretch and the needles. Out: the lines that hold one
//! are taken, each once; all others are counted.

use memchr::{memchr, memchr_iter, memrchr};

use super::{Ending, Scan};
use crate::logs::line::Reject;
use crate::logs::read::lines::{clean, count_line_ends};
use crate::logs::read::needles::Search;

impl Scan<'_, '_> {
    /// Jumps from line to line that holds a needle; what lies between is only counted.
    pub(super) fn walk(&mut self) {
        let text = self.stretch.text;
        let search = &self.recipe.search;
        let mut hits = search.hits();
        let (mut at, mut column) = (0, 0);
        loop {
            let known_end = end_if_found_at(search, text, at, column);
            let (start, end) = if let Some(end) = known_end {
                (at, end)
            } else {
                let Some(hit) = hits.next(text, at) else { break };
                let before = text.get(at..hit).unwrap_or_default();
                let start = last_line_start(before).map_or(at, |found| at + found);
                let after = text.get(hit..).unwrap_or_default();
                self.pass_over(at, start);
                column = hit - start;
                (start, memchr(b'\n', after).map_or(text.len(), |found| hit + found))
            };
            self.take_line(start, end);
            if end == text.len() {
                return self.end_without_line_end(start);
            }
            self.batch.lines += 1;
            at = end + 1;
        }
        self.pass_over(at, text.len());
        let tail = text.get(at..).unwrap_or_default();
        let last = memrchr(b'\n', tail).map_or(at, |found| at + found + 1);
        if text.len() - last > self.recipe.longest_line {
            self.take_line(last, text.len());
        }
        self.end_without_line_end(last);
    }

    /// Counts the lines of a part that no needle stands in. A line that is too long covers at least
    /// one step without a line end.
    fn pass_over(&mut self, from: usize, to: usize) {
        let part = self.stretch.text.get(from..to).unwrap_or_default();
        let mut suspicious = false;
        let mut lines = 0;
        let step_size = self.recipe.longest_line / 2;
        for step in part.chunks(step_size) {
            let found = count_line_ends(step);
            suspicious |= found == 0 && step.len() == step_size;
            lines += found;
        }
        if suspicious {
            self.reject_long_lines(from, to);
        } else {
            self.batch.lines += lines;
        }
    }

    fn reject_long_lines(&mut self, from: usize, to: usize) {
        let part = self.stretch.text.get(from..to).unwrap_or_default();
        let mut start = from;
        for found in memchr_iter(b'\n', part) {
            let end = from + found;
            if end - start > self.recipe.longest_line {
                self.take_line(start, end);
            }
            self.batch.lines += 1;
            start = end + 1;
        }
    }

    /// The last line of the input may lack its end; a stretch that is followed by more ends in a
    /// line end or in a hole, and then there is no line.
    fn end_without_line_end(&mut self, start: usize) {
        let rest = self.stretch.text.get(start..).unwrap_or_default();
        if self.stretch.ending == Ending::Continues || clean(rest).is_empty() {
            return;
        }
        self.batch.unterminated = true;
        if self.stretch.ending == Ending::Torn {
            const TORN: Reject = Reject::new("line", "a whole line; the data breaks off inside it");
            self.reject(start, rest, TORN, "");
        }
        self.batch.lines += 1;
    }
}

/// The end of the line that begins at `start`, if a needle stands at that column of it.
fn end_if_found_at(search: &Search, text: &[u8], start: usize, column: usize) -> Option<usize> {
    if !search.stands_at(text, start + column) {
        return None;
    }
    let line = text.get(start..)?;
    let length = memchr(b'\n', line).unwrap_or(line.len());
    (column < length).then_some(start + length)
}

/// Where the line begins that what follows `before` stands in, if not at its start.
fn last_line_start(before: &[u8]) -> Option<usize> {
    // In a log of which every line is read it is the next line: a search from behind pays off only
    // where lines are passed over.
    const SHORT: usize = 64;
    if before.len() < SHORT && memchr(b'\n', before).is_none() {
        return None;
    }
    memrchr(b'\n', before).map(|at| at + 1)
}
