//! Which inputs an earlier run has read, and how far. In: the cursors of earlier runs; a file or a
//! text. Out: the cursor that it goes on from, known by content alone.
//!
//! A text goes on from a cursor if its first bytes hash to the cursor's head, it reaches to the
//! cursor's offset, and the bytes before the offset hash to its tail; of several the largest offset
//! wins. Names and inodes rotate and are used again: they prove nothing. Only a compressed file,
//! which would have to be decompressed for that, is taken for read where device, inode, size and
//! time of change are still those with which it was read to its end.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};

use memchr::memmem;
use sha2::{Digest, Sha256};

use crate::logs::source::{Text, Track, Utf16, print_of, read_fully};
use crate::model::reading::{Cursor, PRINT_BYTES, Print, Reached, Stamp};

/// Bytes at a time when the last line end is looked for, or a text is read through.
const STEP: usize = 64 << 10;

/// The cursors of earlier runs, looked up by content.
pub(super) struct Known<'a> {
    cursors: &'a [Cursor],
    /// Places of cursors by head, the largest offset first.
    by_head: HashMap<Print, Vec<usize>>,
    /// The lengths of all heads, ascending.
    lengths: Vec<u32>,
    by_file: HashMap<(u64, u64, u64, i64), usize>,
}

/// What is known of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It goes on from the cursor of this place.
    GoesOn(usize),
    /// It ends where the cursor of this place stands.
    Same(usize),
    /// It is new; a text that was read further begins like it.
    Like(usize),
    /// It is new.
    New,
}

impl<'a> Known<'a> {
    pub(super) fn new(cursors: &'a [Cursor]) -> Self {
        let mut by_head: HashMap<Print, Vec<usize>> = HashMap::new();
        let mut by_file = HashMap::new();
        for (place, cursor) in cursors.iter().enumerate() {
            if cursor.reached.head.length == 0 {
                continue;
            }
            by_head.entry(cursor.reached.head).or_default().push(place);
            if cursor.reached.stamp.compression.is_some() {
                by_file.insert(key_of(&cursor.reached.stamp), place);
            }
        }
        let mut lengths: Vec<u32> = by_head.keys().map(|head| head.length).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let offset = |place: &usize| cursors.get(*place).map_or(0, |known| known.reached.offset);
        let sort = |places: &mut Vec<usize>| {
            places.sort_by_key(|place| (std::cmp::Reverse(offset(place)), *place));
        };
        by_head.values_mut().for_each(sort);
        Self { cursors, by_head, lengths, by_file }
    }

    pub(super) fn cursor(&self, place: usize) -> Option<&'a Cursor> {
        self.cursors.get(place)
    }

    /// The cursor of a compressed file that has not changed since it was read to its end.
    pub(super) fn unchanged(&self, stamp: &Stamp) -> Option<usize> {
        let place = *self.by_file.get(&key_of(stamp))?;
        let known = &self.cursors.get(place)?.reached.stamp;
        (known == stamp).then_some(place)
    }

    /// What is known of a plain file whose text begins at byte `mark`.
    pub(super) fn of_plain(&self, file: &File, mark: u64, size: u64) -> io::Result<Found> {
        let mut head = vec![0; PRINT_BYTES.min(size.saturating_sub(mark) as usize)];
        let read = read_fully(file, &mut head, mark)?;
        head.truncate(read);
        let mut found = Found::New;
        for place in self.beginning_like(&head) {
            let Some(Reached { offset, tail, .. }) = self.reached(place) else { continue };
            let at = mark.saturating_add(*offset);
            if at > size {
                found = Found::Like(place);
            } else if print_before(file, at, tail.length)? == *tail {
                return Ok(if at == size { Found::Same(place) } else { Found::GoesOn(place) });
            }
        }
        Ok(found)
    }

    /// What is known of a text that can only be read through; it is read no further than to the
    /// largest offset that it may go on from.
    pub(super) fn of_text(&self, text: &mut Text) -> Found {
        let mut track = Track::default();
        let mut ended = !read_to(text, &mut track, PRINT_BYTES as u64).unwrap_or(true);
        let (mut best, mut longer) = (None, None);
        for place in self.beginning_like(track.head()).into_iter().rev() {
            let Some(Reached { offset, tail, .. }) = self.reached(place) else { continue };
            if *offset > track.total() && !ended {
                match read_to(text, &mut track, *offset) {
                    Ok(reached) => ended = !reached,
                    // What cannot be read ends nowhere; reading it tells why.
                    Err(_) => break,
                }
            }
            if *offset > track.total() {
                longer = Some(place);
            } else if track.holds(*offset, *tail) {
                best = Some((place, *offset));
            }
        }
        match (best, longer) {
            (Some((place, offset)), _) if offset == track.total() && ends_here(text, ended) => {
                Found::Same(place)
            }
            (Some((place, _)), _) => Found::GoesOn(place),
            (None, Some(place)) => Found::Like(place),
            (None, None) => Found::New,
        }
    }

    fn reached(&self, place: usize) -> Option<&'a Reached> {
        self.cursors.get(place).map(|cursor| &cursor.reached)
    }

    /// Places of the cursors whose head is the beginning of this one, the largest offset first.
    fn beginning_like(&self, head: &[u8]) -> Vec<usize> {
        let mut found: Vec<usize> = Vec::new();
        let (mut hash, mut hashed) = (Sha256::new(), 0);
        for &length in &self.lengths {
            let Some(part) = head.get(hashed..length as usize) else { break };
            hash.update(part);
            hashed = length as usize;
            let print = Print { length, hash: hash.clone().finalize().into() };
            found.extend(self.by_head.get(&print).into_iter().flatten());
        }
        let offset = |place: &usize| self.reached(*place).map_or(0, |reached| reached.offset);
        found.sort_by_key(|place| (std::cmp::Reverse(offset(place)), *place));
        found
    }
}

fn key_of(stamp: &Stamp) -> (u64, u64, u64, i64) {
    (stamp.device, stamp.inode, stamp.size, stamp.modified.0)
}

/// Reads on to that byte of the text; whether it is that long.
fn read_to(text: &mut Text, track: &mut Track, offset: u64) -> io::Result<bool> {
    let mut buffer = vec![0; STEP];
    while track.total() < offset {
        let missing = offset.saturating_sub(track.total()).min(STEP as u64) as usize;
        let read = text.read(buffer.get_mut(..missing).unwrap_or_default())?;
        if read == 0 {
            return Ok(false);
        }
        track.add(buffer.get(..read).unwrap_or_default());
    }
    Ok(true)
}

fn ends_here(text: &mut Text, ended: bool) -> bool {
    ended || matches!(text.read(&mut [0]), Ok(0))
}

/// The print of the bytes of a file before a place.
fn print_before(file: &File, at: u64, length: u32) -> io::Result<Print> {
    let mut bytes = vec![0; (length as usize).min(PRINT_BYTES)];
    let read = read_fully(file, &mut bytes, at.saturating_sub(u64::from(length)))?;
    Ok(print_of(bytes.get(..read).unwrap_or_default()))
}

/// How far a plain file is read that is read up to byte `to`, its text beginning at byte `mark`.
/// Its lines are not counted here.
pub(super) fn reached_in(file: &File, mark: u64, to: u64, stamp: Stamp) -> io::Result<Reached> {
    let offset = to.saturating_sub(mark);
    let length = offset.min(PRINT_BYTES as u64) as u32;
    Ok(Reached {
        offset,
        head: print_before(file, mark.saturating_add(u64::from(length)), length)?,
        tail: print_before(file, to, length)?,
        stamp,
        ..Reached::default()
    })
}

/// Where the last whole line of a file ends; `from` if there is no line end behind it.
pub(super) fn whole_lines_end(
    file: &File,
    (from, to): (u64, u64),
    utf16: Option<Utf16>,
) -> io::Result<u64> {
    let mut buffer = vec![0; STEP];
    let mut end = to;
    // Blocks begin at even places, so that none cuts a unit of UTF-16.
    while end > from {
        let start = (end.saturating_sub(1) / STEP as u64 * STEP as u64).max(from);
        let wanted = (end.saturating_sub(start) as usize).min(STEP);
        let part = buffer.get_mut(..wanted).unwrap_or_default();
        let read = read_fully(file, part, start)?;
        let found = last_line_feed(buffer.get(..read).unwrap_or_default(), utf16);
        if let Some(after) = found {
            return Ok(start.saturating_add(after as u64));
        }
        end = start;
    }
    Ok(from)
}

/// The place after the last line feed.
fn last_line_feed(bytes: &[u8], utf16: Option<Utf16>) -> Option<usize> {
    match utf16 {
        None => memchr::memrchr(b'\n', bytes).map(|at| at.saturating_add(1)),
        Some(utf16) => {
            let line_feed = utf16.line_feed();
            let mut found = memmem::rfind_iter(bytes, &line_feed);
            found.find(|at| at % 2 == 0).map(|at| at.saturating_add(2))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_end_of_the_last_whole_line_is_found() {
        let little = Utf16::of(b"\xff\xfea\0").unwrap();
        let long = [vec![b'x'; 3 * STEP], b"\n".to_vec(), vec![b'y'; 2 * STEP]].concat();
        let cases: [(&[u8], u64, Option<Utf16>, u64); 7] = [
            (b"one\ntwo\nhalf", 0, None, 8),
            (b"one\n", 0, None, 4),
            (b"half", 0, None, 0),
            (b"one\nhalf", 4, None, 4),
            (b"", 0, None, 0),
            (&long, 0, None, 3 * STEP as u64 + 1),
            (b"\xff\xfea\0\n\0\x0a\x0a", 0, Some(little), 6),
        ];
        for (text, from, utf16, expected) in cases {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text).unwrap();
            let range = (from, text.len() as u64);
            assert_eq!(whole_lines_end(&file, range, utf16).unwrap(), expected);
        }
    }
}
