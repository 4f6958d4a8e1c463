//! What the heads of the lines before said. In: heads as they are read. Out: the same of heads that
//! begin with the same bytes, without reading them again; a property test holds that lines read the
//! same whatever was read before.

use super::pid_at_start;
use crate::logs::clock::LogTime;
use crate::logs::line::Line;

/// What the heads of the last lines said, for the next: neighbouring lines often share their second,
/// and one of a few hosts and programs. `N` is what the reader of the lines notes of a host and tag.
#[derive(Debug, Clone)]
pub struct LastHeads<'a, N> {
    time: Option<([u8; COLUMNS], LogTime)>,
    /// Whether that time is the last line's.
    time_is_last: bool,
    names: [Option<(KnownNames, N)>; KNOWN_NAMES],
    /// Which of them is the oldest.
    oldest: usize,
    /// The last line's, if its names are remembered: a process often writes several lines a second.
    whole: Option<WholeHead<'a>>,
}

/// A head to the last byte before the body.
#[derive(Debug, Clone, Copy)]
struct WholeHead<'a> {
    bytes: &'a [u8],
    time: LogTime,
    host: &'a [u8],
    pid: Option<&'a [u8]>,
    /// Where its names are remembered.
    names: usize,
}

impl<N: Copy> Default for LastHeads<'_, N> {
    fn default() -> Self {
        let names = [None; KNOWN_NAMES];
        Self { time: None, time_is_last: false, names, oldest: 0, whole: None }
    }
}

/// A line whose host and tag are those of a line before.
#[derive(Debug)]
pub struct Known<'a, 'n, N> {
    /// The time of its head.
    pub time: LogTime,
    /// Whether that is certain to be the time of the line before.
    pub same_time: bool,
    /// As [`Line::host`].
    pub host: &'a [u8],
    /// As [`Line::pid`].
    pub pid: Option<&'a [u8]>,
    /// As [`Line::body`].
    pub body: &'a [u8],
    /// What was noted of its host and tag.
    pub notes: &'n mut N,
}

/// Bytes of `Nov  2 10:00:00`.
const COLUMNS: usize = 15;

/// Bytes of it that do not change within a minute.
const MINUTE_COLUMNS: usize = 13;

/// Pairs of host and program that are remembered.
const KNOWN_NAMES: usize = 8;

impl<'a, N: Copy + Default> LastHeads<'a, N> {
    /// The time in the columns of RFC 3164 or at the start in ISO form, whether it is certain to be
    /// that of the line before, and what follows.
    #[inline]
    pub(super) fn take_time(&mut self, raw: &'a [u8]) -> Option<(LogTime, bool, &'a [u8])> {
        self.whole = None;
        if raw.first()?.is_ascii_digit() {
            self.pass_over_time();
            let (time, used) = LogTime::parse_iso(raw)?;
            return Some((time, false, raw.get(used..)?));
        }
        let (columns, rest) = raw.split_first_chunk()?;
        let (time, same) = self.read_columns(columns)?;
        Some((time, same, rest))
    }

    fn read_columns(&mut self, columns: &[u8; COLUMNS]) -> Option<(LogTime, bool)> {
        let was_last = std::mem::replace(&mut self.time_is_last, true);
        let time = match self.time {
            Some((known, time)) if known == *columns => return Some((time, was_last)),
            Some((known, time)) if known[..MINUTE_COLUMNS] == columns[..MINUTE_COLUMNS] => {
                time.at_second([columns[MINUTE_COLUMNS], columns[MINUTE_COLUMNS + 1]])?
            }
            _ => LogTime::parse_rfc3164_columns(columns)?,
        };
        self.time = Some((*columns, time));
        Some((time, false))
    }

    /// The last line had no time, or had it elsewhere.
    pub(super) fn pass_over_time(&mut self) {
        self.time_is_last = false;
        self.whole = None;
    }

    /// The names that a text begins with, and where they are remembered.
    #[inline]
    pub(super) fn names_of(&self, text: &[u8]) -> Option<(usize, &KnownNames)> {
        let mut known = self.names.iter().enumerate();
        known.find_map(|(at, names)| match names {
            Some((names, _)) if names.begin(text) => Some((at, names)),
            _ => None,
        })
    }

    /// Opens a line whose host and tag are remembered. None for any other: it is not certain what
    /// that is.
    #[inline]
    pub fn open_known(&mut self, raw: &'a [u8]) -> Option<Known<'a, '_, N>> {
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        if let Some((WholeHead { time, host, pid, names, .. }, body)) = self.same_head(raw) {
            let notes = self.notes(names)?;
            return Some(Known { time, same_time: true, host, pid, body, notes });
        }
        let (time, same_time, text) = self.take_time(raw)?;
        let opened = self.names_of(text).and_then(|(at, names)| {
            let (pid, body) = names.pid_and_body(text)?;
            let host = text.get(names.host.0..names.host.1)?;
            let bytes = raw.get(..raw.len().checked_sub(body.len())?)?;
            Some((WholeHead { bytes, time, host, pid, names: at }, body))
        });
        let Some((head, body)) = opened else {
            // It is to be read again, and is not the line before itself.
            self.time_is_last = false;
            return None;
        };
        // Only behind a blank does the body of another line begin at the same place for certain.
        self.whole = Some(head).filter(|head| head.bytes.ends_with(b" "));
        let WholeHead { host, pid, names, .. } = head;
        Some(Known { time, same_time, host, pid, body, notes: self.notes(names)? })
    }

    /// The last line's head and what follows it, if the line begins with the same bytes.
    #[inline]
    fn same_head(&self, raw: &'a [u8]) -> Option<(WholeHead<'a>, &'a [u8])> {
        let whole = self.whole?;
        let (start, body) = raw.split_at_checked(whole.bytes.len())?;
        // In its last bytes, the pid's, it mostly differs.
        let same = start.last_chunk::<8>() == whole.bytes.last_chunk() && start == whole.bytes;
        (same && body.first()?.is_ascii_graphic()).then_some((whole, body))
    }

    /// What was noted of the names that are remembered there.
    #[inline]
    pub(super) fn notes(&mut self, names: usize) -> Option<&mut N> {
        self.names.get_mut(names)?.as_mut().map(|(_, notes)| notes)
    }

    /// Remembers what stood between the time and the pid, or between the time and the body; tells
    /// where.
    pub(super) fn remember(&mut self, names: KnownNames) -> usize {
        let at = self.oldest;
        self.whole = None;
        if let Some(slot) = self.names.get_mut(at) {
            *slot = Some((names, N::default()));
        }
        self.oldest = (at + 1) % KNOWN_NAMES;
        at
    }
}

/// ` mx1 postfix/smtpd[` or ` fw1 kernel: ` as it stood behind a time. By what is seen before it and
/// in it alone it is a host and a tag, so it is the same wherever it stands behind a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownNames {
    bytes: [u8; LONGEST_KNOWN],
    length: usize,
    /// Its last bytes, in which it mostly differs from the others.
    last: [u8; 8],
    host: (usize, usize),
    tag: (usize, usize),
}

/// Longest names that are remembered.
const LONGEST_KNOWN: usize = 64;

impl KnownNames {
    /// The names of a line whose time ends where `text` begins. None where they are unusually long.
    pub(super) fn of(text: &[u8], host: &[u8], tag: &[u8]) -> Option<Self> {
        let place = |part: &[u8]| {
            let start = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
            Some((start, start.checked_add(part.len())?))
        };
        let (host, tag) = (place(host)?, place(tag)?);
        let end = match text.get(tag.1..)? {
            [b'[', ..] => tag.1.checked_add(1)?,
            [b':', b' ', ..] => tag.1.checked_add(2)?,
            _ => return None,
        };
        let names = text.get(..end)?;
        let mut bytes = [0; LONGEST_KNOWN];
        bytes.get_mut(..end)?.copy_from_slice(names);
        Some(Self { bytes, length: end, last: *names.last_chunk()?, host, tag })
    }

    #[inline]
    fn begin(&self, text: &[u8]) -> bool {
        let Some(start) = text.get(..self.length) else { return false };
        // Word by word: a call to compare so few bytes takes longer.
        let words = || start.as_chunks::<8>().0.iter().zip(self.bytes.as_chunks::<8>().0);
        start.last_chunk() == Some(&self.last) && words().all(|(word, known)| word == known)
    }

    /// The line that `text` is the end of, behind its time.
    #[inline]
    pub(super) fn open<'a>(
        &self,
        raw: &'a [u8],
        text: &'a [u8],
        time: LogTime,
    ) -> Option<Line<'a>> {
        let (pid, body) = self.pid_and_body(text)?;
        let (host, tag) = (text.get(self.host.0..self.host.1), text.get(self.tag.0..self.tag.1));
        Some(Line { raw, body, time: Some(time), host, tag, pid })
    }

    /// What stands behind the names.
    #[inline]
    fn pid_and_body<'a>(&self, text: &'a [u8]) -> Option<(Option<&'a [u8]>, &'a [u8])> {
        let rest = text.get(self.length..)?;
        match self.last {
            [.., b'['] => pid_at_start(rest).map(|(pid, body)| (Some(pid), body)),
            _ => Some((None, rest.trim_ascii_start())),
        }
    }
}
