//! What a parser gets and gives. In: one line, already taken out of its envelope, and the columns
//! of the file's header where the format has one. Out: records in a buffer that the caller owns,
//! and how the line ended.

use crate::logs::clock::LogTime;

/// Longest line that is read, in bytes without its end, unless a format says otherwise; longer ones
/// are rejected.
pub const LONGEST_LINE: usize = 65_536;

/// One log line without its line end, taken out of its envelope.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line<'a> {
    /// The whole line as it stands in the (decompressed, unwrapped) log.
    pub raw: &'a [u8],
    /// What the program wrote: `raw` without the syslog or journal head. Equal to `raw` where
    /// there is no head. For `head: postfix/smtpd[12]: connect from ...` this is
    /// `connect from ...`.
    pub body: &'a [u8],
    /// The time of the head, where there is one.
    pub time: Option<LogTime>,
    /// The host of the head, where there is one.
    pub host: Option<&'a [u8]>,
    /// The tag of the head without the pid: `postfix/smtpd`, `kernel`, `%ASA-6-302013`.
    pub tag: Option<&'a [u8]>,
    /// The pid of the tag: digits between brackets.
    pub pid: Option<&'a [u8]>,
}

impl<'a> Line<'a> {
    /// A line without a head.
    pub fn bare(raw: &'a [u8]) -> Self {
        Self { raw, body: raw, ..Self::default() }
    }

    /// The part of the line from the tag on (tag, pid and body): what a format sees that writes
    /// no tag of its own, or whose own head was taken for a tag.
    pub fn from_tag(&self) -> &'a [u8] {
        match self.tag {
            Some(tag) => {
                let at = (tag.as_ptr() as usize).saturating_sub(self.raw.as_ptr() as usize);
                self.raw.get(at..).unwrap_or(self.body)
            }
            None => self.body,
        }
    }
}

/// How a line of a recognised format ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It gave at least one record.
    Event,
    /// It is understood and says nothing about a TCP connection or an SMTP session.
    Ignored,
    /// It should have given a record and cannot be read. The text is made once, in the summary.
    Rejected(Reject),
}

/// Why a line was rejected: what was found wrong and what was expected, in static words, so that
/// rejecting a line costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reject {
    /// The field that is wrong, in the vendor's word: `dstport`.
    pub field: &'static str,
    /// What was expected there: `a port from 0 to 65535`.
    pub expected: &'static str,
}

impl Reject {
    /// A rejection for this field.
    pub const fn new(field: &'static str, expected: &'static str) -> Self {
        Self { field, expected }
    }
}

/// Where the columns that a format wants stand, read from a header line of the file. Formats
/// without header lines get [`Columns::NONE`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// For each field of the format's own list, its position in a row.
    at: Vec<Option<u16>>,
    /// The byte that separates the columns.
    pub separator: u8,
}

impl Columns {
    /// No header.
    pub const NONE: Self = Self { at: Vec::new(), separator: b',' };

    /// Looks up the wanted names in a header's names (compared without case and blanks around).
    pub fn find<'h>(
        wanted: &[&str],
        header: impl Iterator<Item = &'h [u8]>,
        separator: u8,
    ) -> Self {
        let mut at = vec![None; wanted.len()];
        for (position, name) in header.enumerate() {
            for (slot, want) in at.iter_mut().zip(wanted) {
                if slot.is_none() && name.trim_ascii().eq_ignore_ascii_case(want.as_bytes()) {
                    *slot = u16::try_from(position).ok();
                }
            }
        }
        Self { at, separator }
    }

    /// The position of the n-th wanted field, if the header has it.
    pub fn position(&self, field: usize) -> Option<usize> {
        self.at.get(field).copied().flatten().map(usize::from)
    }

    /// Whether the first wanted fields, so many of them, stand where another header has them.
    pub fn agrees(&self, other: &Self, fields: usize) -> bool {
        let first = self.at.get(..fields);
        first.is_some() && first == other.at.get(..fields) && self.separator == other.separator
    }

    /// Whether no header was seen.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name() {
        let header = b"date time action src-ip";
        let names = header.split(|&b| b == b' ');
        let columns = Columns::find(&["action", "dst-ip", "DATE"], names, b' ');
        assert_eq!(columns.position(0), Some(2));
        assert_eq!(columns.position(1), None);
        assert_eq!(columns.position(2), Some(0));
    }
}
