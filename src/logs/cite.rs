//! Fetches cited lines. In: an input's path and line numbers. Out: the bytes of those lines, from
//! one pass over the decompressed text, however many lines are wanted; it ends with the last.
//!
//! Lines are counted as `logs::read` counts them: by line feeds. Nothing is redacted here.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::Path;

use memchr::memchr_iter;

use crate::error::{Error, Place, Result};
use crate::logs::source::{STDIN, open_text};

/// Bytes read at a time.
const BLOCK: usize = 256 << 10;

/// Bytes of a line that are kept.
const LONGEST: usize = 64 << 10;

/// The wanted lines (from 1) of an input, without their line ends; lines that the input does not
/// have any more are missing.
///
/// # Errors
/// What opening or reading gives; standard input cannot be read a second time.
pub fn read_lines(path: &Path, wanted: &BTreeSet<u64>) -> Result<BTreeMap<u64, Vec<u8>>> {
    if path == Path::new(STDIN) {
        let message = "standard input cannot be read again; keep the log to have its lines shown";
        return Err(Error::input(path, Place::Whole, message));
    }
    let mut text = open_text(path)?;
    pick_lines(&mut text, wanted).map_err(|e| Error::input(path, Place::Whole, e.to_string()))
}

fn pick_lines(text: &mut impl Read, wanted: &BTreeSet<u64>) -> io::Result<BTreeMap<u64, Vec<u8>>> {
    let Some(&last) = wanted.last() else { return Ok(BTreeMap::new()) };
    let mut picked = BTreeMap::new();
    let mut block = vec![0; BLOCK];
    let mut line = 1;
    while line <= last {
        let length = match text.read(&mut block) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let bytes = block.get(..length).unwrap_or_default();
        let mut start = 0;
        for end in memchr_iter(b'\n', bytes) {
            keep(&mut picked, wanted, line, bytes.get(start..end).unwrap_or_default());
            line += 1;
            start = end + 1;
        }
        keep(&mut picked, wanted, line, bytes.get(start..).unwrap_or_default());
    }
    for text in picked.values_mut() {
        if text.last() == Some(&b'\r') {
            text.pop();
        }
    }
    Ok(picked)
}

/// Adds a part of a line to what is kept of it.
fn keep(picked: &mut BTreeMap<u64, Vec<u8>>, wanted: &BTreeSet<u64>, line: u64, part: &[u8]) {
    // Nothing after the last line end is no line.
    if wanted.contains(&line) && (!part.is_empty() || picked.contains_key(&line)) {
        let kept = picked.entry(line).or_default();
        let room = LONGEST.saturating_sub(kept.len()).min(part.len());
        kept.extend_from_slice(part.get(..room).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(self.0.len()).min(buffer.len());
            let (now, later) = self.0.split_at(length);
            buffer.get_mut(..length).unwrap().copy_from_slice(now);
            self.0 = later;
            Ok(length)
        }
    }

    #[test]
    fn lines_are_picked_wherever_blocks_end() {
        let text = b"one\r\ntwo\n\nfour\nfive";
        let wanted = BTreeSet::from([1, 2, 4, 5, 9]);
        for step in [1, 2, 3, 5, 100] {
            let picked = pick_lines(&mut Slow(text, step), &wanted).unwrap();
            let expected: [(u64, &[u8]); 4] =
                [(1, b"one"), (2, b"two"), (4, b"four"), (5, b"five")];
            let expected = expected.map(|(line, text)| (line, text.to_vec())).into();
            assert_eq!(picked, expected, "{step} bytes at a time");
        }
    }

    #[test]
    fn long_lines_are_cut_and_nothing_is_read_for_nothing() {
        let mut text = vec![b'x'; LONGEST * 3];
        text.push(b'\n');
        let picked = pick_lines(&mut Slow(&text, 1000), &BTreeSet::from([1])).unwrap();
        assert_eq!(picked.get(&1).unwrap().len(), LONGEST);
        assert!(pick_lines(&mut Slow(&text, 1), &BTreeSet::new()).unwrap().is_empty());
    }

    #[test]
    fn missing_files_and_standard_input_are_told() {
        let wanted = BTreeSet::from([1]);
        let missing = Path::new("/nonexistent/mail.log");
        assert!(read_lines(missing, &wanted).unwrap_err().to_string().contains("no longer exists"));
        let stdin = read_lines(Path::new("-"), &wanted).unwrap_err();
        assert!(stdin.to_string().starts_with("-: standard input cannot be read again"));
    }
}
