//! What a line is, before any format is asked. In: the bytes between two line ends. Out: the line's
//! text without damage at its ends, and what it says of its time.

use memchr::{memchr, memchr_iter, memmem};

use crate::logs::clock::LogTime;
use crate::logs::detect::FormatId;
use crate::logs::envelope;
use crate::logs::line::{Columns, Line};
use crate::logs::read::recipe::{Recipe, Routing};
use crate::logs::wrapping::Unwrapped;

/// A run of this many NULs or more is a hole that a truncation or a crash left; what stands after
/// it is a line of its own. Shorter runs are damage inside a line.
pub(super) const HOLE: [u8; 8] = [0; 8];

/// Bytes kept of a line that is longer than the longest: enough to be still too long without damage
/// at its ends.
pub(super) fn kept_of_long(longest: usize) -> usize {
    longest.saturating_add(2 * HOLE.len())
}

/// Where the text behind the last hole begins; 0 without a hole, the length if nothing follows it.
pub(super) fn after_hole(bytes: &[u8]) -> usize {
    let Some(at) = memmem::rfind(bytes, &HOLE) else { return 0 };
    let rest = bytes.get(at..).unwrap_or_default();
    let run = rest.iter().take_while(|byte| **byte == 0).count();
    at.saturating_add(run)
}

/// How many lines end in the text. The compiler makes vector code of the inner loop, as its sums are
/// bytes, side by side; they are added up before any can overflow.
pub(super) fn count_line_ends(text: &[u8]) -> u64 {
    const SIDE_BY_SIDE: usize = 64;
    // Not worth adding up 64 sums for.
    const SHORT: usize = 1024;
    if text.len() < SHORT {
        return memchr_iter(b'\n', text).count() as u64;
    }
    let (rows, rest) = text.as_chunks::<SIDE_BY_SIDE>();
    let in_rows = rows.chunks(usize::from(u8::MAX)).map(|rows| {
        let mut sums = [0u8; SIDE_BY_SIDE];
        for row in rows {
            for (sum, byte) in sums.iter_mut().zip(row) {
                *sum = sum.wrapping_add(u8::from(*byte == b'\n'));
            }
        }
        sums.iter().map(|sum| u64::from(*sum)).sum::<u64>()
    });
    in_rows.sum::<u64>() + memchr_iter(b'\n', rest).count() as u64
}

/// A line without its carriage return, without a few NULs at its end, and without what stands
/// before a hole in it.
pub(super) fn clean(raw: &[u8]) -> &[u8] {
    let line = raw.strip_suffix(b"\r").unwrap_or(raw);
    if memchr(0, line).is_none() {
        return line;
    }
    let line = line.get(after_hole(line)..).unwrap_or_default();
    let start = line.iter().take_while(|b| **b == 0).count();
    let line = line.get(start..).unwrap_or_default();
    let end = line.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
    let line = line.get(..end).unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The time of a line, and the mail server that wrote it.
pub(super) struct Timed<'a> {
    pub(super) time: LogTime,
    pub(super) is_mail: bool,
    pub(super) server: Option<&'a [u8]>,
}

/// What a line says of its time: the record's own, else the head's.
pub(super) fn time_of_line<'a>(
    recipe: &Recipe,
    columns: &Columns,
    raw: &'a [u8],
    scratch: &'a mut Vec<u8>,
) -> Option<Timed<'a>> {
    let line = match &recipe.wrapping {
        Some(wrapping) => open_unwrapped(&wrapping.unwrap(raw, scratch)?),
        None => envelope::open(raw),
    };
    let in_force = |id: FormatId| recipe.columns_for(id, columns);
    let forced = recipe.routing == Routing::Forced;
    let mut mails = recipe.formats.mail();
    if let Some((index, format)) = mails.find(|(_, format)| forced || format.recognises(&line)) {
        let mut records = Vec::new();
        format.parse(&line, in_force(FormatId::Mail(index)), &mut records);
        let first = records.first();
        let time = first.and_then(|record| record.time).or(line.time)?;
        let server = first.map_or(line.host, |record| record.server);
        return Some(Timed { time, is_mail: true, server });
    }
    let mut firewalls = recipe.formats.firewall();
    let (index, format) = firewalls.find(|(_, format)| forced || format.recognises(&line))?;
    let mut records = Vec::new();
    format.parse(&line, in_force(FormatId::Firewall(index)), &mut records);
    let time = records.first().and_then(|record| record.time).or(line.time)?;
    Some(Timed { time, is_mail: false, server: None })
}

/// Opens a line that was taken out of a wrapping; what the line lacks the wrapping gives.
pub(super) fn open_unwrapped<'a>(inner: &Unwrapped<'a>) -> Line<'a> {
    let mut line = envelope::open(inner.text);
    line.time = line.time.or(inner.time);
    line.host = line.host.or(inner.host);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_end_is_counted() {
        for (length, every) in [(0, 1), (63, 2), (64, 1), (65, 64), (100_000, 1), (70_001, 3)] {
            let byte = |at: usize| if at.is_multiple_of(every) { b'\n' } else { 11 };
            let text: Vec<u8> = (0..length).map(byte).collect();
            let expected = text.len().div_ceil(every) as u64;
            assert_eq!(count_line_ends(&text), expected, "{length} {every}");
        }
    }

    #[test]
    fn damage_at_the_ends_of_a_line_is_cut_off() {
        let cases: [(&[u8], &[u8]); 8] = [
            (b"text\r", b"text"),
            (b"text\0\0", b"text"),
            (b"text\r\0", b"text"),
            (b"\0\0text", b"text"),
            (b"te\0xt", b"te\0xt"),
            (b"old\0\0\0\0\0\0\0\0\0new", b"new"),
            (b"old\0\0\0\0\0\0\0\0", b""),
            (b"", b""),
        ];
        for (raw, expected) in cases {
            assert_eq!(clean(raw), expected, "{raw:?}");
        }
    }
}
