//! What the texts of all profiles share: lengths as importers count them, dates, the whole of a
//! ticket as one plain text. In: tickets. Out: texts that are not yet made harmless for CSV, but
//! for [`whole`] and [`host`], which are.
//!
//! Lengths are UTF-16 units, which Java and JavaScript count; others count characters, of which
//! there are never more.

use std::borrow::Cow;
use std::fmt::Write as _;

use chrono::DateTime;
use sha2::{Digest, Sha256};

use crate::model::judged::Priority;
use crate::model::time::Timestamp;
use crate::tickets::Ticket;
use crate::writers::escape::CsvCells;
use crate::writers::profiles::short::fitted;
use crate::writers::publish::hex;

/// A text of at most so many units; what was cut is told as `...`.
pub(super) fn cut(text: &str, most: usize) -> Cow<'_, str> {
    shortened(text, most, "...")
}

/// A text of at most so many units; where something was cut, it ends with `pointer`, which says
/// where the whole is.
pub(super) fn shortened<'t>(text: &'t str, most: usize, pointer: &str) -> Cow<'t, str> {
    if units(text) <= most {
        return Cow::Borrowed(text);
    }
    let room = most.saturating_sub(units(pointer));
    Cow::Owned(longest(text, room, char::len_utf16).to_owned() + pointer)
}

/// The same for a limit of a CSV row: `most` bytes, quotes counted twice as a CSV file has them.
pub(super) fn shortened_bytes<'t>(text: &'t str, most: usize, pointer: &str) -> Cow<'t, str> {
    let size = |c: char| if c == '"' { 2 } else { c.len_utf8() };
    let bytes = |text: &str| text.chars().map(size).sum::<usize>();
    if bytes(text) <= most {
        return Cow::Borrowed(text);
    }
    Cow::Owned(longest(text, most.saturating_sub(bytes(pointer)), size).to_owned() + pointer)
}

fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// The longest start of a text whose characters are together no larger than `room`.
fn longest(text: &str, room: usize, size: impl Fn(char) -> usize) -> &str {
    let mut used = 0usize;
    let end = text.char_indices().find(|(_, c)| {
        used = used.saturating_add(size(*c));
        used > room
    });
    text.get(..end.map_or(text.len(), |(at, _)| at)).unwrap_or_default()
}

/// A ticket's id of at most so many bytes: where it is longer, its end is replaced by a digest of
/// the whole, so that different ids stay different.
pub(super) fn short_id(ticket_id: &str, most: usize) -> Cow<'_, str> {
    const DIGEST: usize = 16;
    if ticket_id.len() <= most {
        return Cow::Borrowed(ticket_id);
    }
    let digest = hex(&Sha256::digest(ticket_id));
    let head = longest(ticket_id, most.saturating_sub(DIGEST + 1), char::len_utf8);
    Cow::Owned(format!("{head}-{}", longest(&digest, DIGEST, char::len_utf8)))
}

/// A time in the form of a strftime pattern, UTC; empty where there is none.
pub(super) fn date(time: Option<Timestamp>, pattern: &str) -> String {
    let time = time.and_then(|time| DateTime::from_timestamp(time.seconds(), 0));
    time.map_or_else(String::new, |time| time.format(pattern).to_string())
}

/// `2026-11-15`.
pub(super) const ISO_DATE: &str = "%Y-%m-%d";

/// The name under which people know the asset, harmless.
pub(super) fn host<'t>(ticket: &'t Ticket, csv: &CsvCells) -> Cow<'t, str> {
    csv.text(ticket.fqdn.as_deref().unwrap_or(&ticket.asset))
}

/// A word of each band.
pub(super) fn by_priority<T: Copy>(priority: Priority, [p1, p2, p3, p4]: [T; 4]) -> T {
    match priority {
        Priority::P1 => p1,
        Priority::P2 => p2,
        Priority::P3 => p3,
        Priority::P4 => p4,
    }
}

/// What a run that updates nothing else should still tell: id, priority, status, due date.
pub(super) fn standing(ticket: &Ticket) -> String {
    let mut text = format!(
        "Ticket {}: {}, score {}, status {}",
        ticket.ticket_id,
        ticket.priority.word(),
        ticket.score,
        ticket.status.word()
    );
    if let Some(due) = ticket.due_date {
        // Writing to a String cannot fail.
        let _ = write!(text, ", due {due}");
    }
    text
}

/// What a shortened text ends with: at most 350 characters.
pub(super) fn pointer(ticket: &Ticket) -> String {
    let id = cut(&ticket.ticket_id, 255);
    format!("\n... shortened: the whole text stands in tickets.csv under {id}")
}

/// What a part of a ticket's text is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartKind {
    Seen,
    Do,
    Verify,
    RollBack,
}

/// A part of a ticket's text, harmless: plain lines, `- ` lists.
#[derive(Debug, Clone)]
pub(super) struct Part<'t> {
    pub(super) kind: PartKind,
    pub(super) title: &'static str,
    pub(super) text: Cow<'t, str>,
}

/// The parts of a ticket's text.
pub(super) fn parts<'t>(ticket: &'t Ticket, csv: &CsvCells) -> [Part<'t>; 4] {
    let texts = &ticket.texts;
    let part = |kind, title, text: &'t str| Part { kind, title, text: csv.prose(text) };
    [
        part(PartKind::Seen, "What was seen", &texts.description),
        part(PartKind::Do, "What to do", &texts.remediation),
        part(PartKind::Verify, "How to verify", &texts.verification),
        part(PartKind::RollBack, "How to roll back", &texts.rollback),
    ]
}

/// The whole ticket as one plain text, harmless; where it does not fit, shortened by whole items.
pub(super) fn whole(ticket: &Ticket, csv: &CsvCells, fits: &dyn Fn(&str) -> bool) -> String {
    fitted(&standing(ticket), &parts(ticket, csv), &pointer(ticket), fits)
}

/// Whether a text has at most so many units.
pub(super) fn has_units(text: &str, most: usize) -> bool {
    units(text) <= most
}

/// Whether a text has at most so many bytes, quotes counted twice as a CSV file has them.
pub(super) fn has_bytes(text: &str, most: usize) -> bool {
    text.len() + text.matches('"').count() <= most
}

/// Text of several lines as a block of Markdown in which nothing acts: its fence is longer than any
/// row of backticks inside.
pub(super) fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.saturating_add(1).max(3));
    format!("{fence}text\n{text}\n{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_characters() {
        let cases = [
            ("abcdef", 6, "abcdef"),
            ("abcdefg", 6, "abc..."),
            ("\u{1f600}\u{1f600}\u{1f600}", 6, "\u{1f600}\u{1f600}\u{1f600}"),
            ("\u{1f600}\u{1f600}\u{1f600}\u{1f600}", 6, "\u{1f600}..."),
            ("abc", 2, "..."),
        ];
        for (text, most, expected) in cases {
            assert_eq!(cut(text, most), expected);
        }
        assert_eq!(shortened_bytes("a\"b\u{e9}cd", 8, "#"), "a\"b\u{e9}cd");
        assert_eq!(shortened_bytes("a\"b\u{e9}cd", 7, "#"), "a\"b\u{e9}#");
    }

    #[test]
    fn no_line_closes_its_fence() {
        let cases = [
            ("a", "```text\na\n```"),
            ("a\n```\n/close", "````text\na\n```\n/close\n````"),
            ("`x` `````", "``````text\n`x` `````\n``````"),
        ];
        for (text, expected) in cases {
            assert_eq!(fenced(text), expected);
        }
    }

    #[test]
    fn long_ids_stay_different() {
        let (a, b) = ("helo-".to_owned() + &"a".repeat(300), "helo-".to_owned() + &"a".repeat(301));
        let (short_a, short_b) = (short_id(&a, 100), short_id(&b, 100));
        assert_eq!((short_a.len(), short_b.len()), (100, 100));
        assert!(short_a != short_b && short_a.starts_with("helo-aaa"));
        assert_eq!(short_id("helo-192.0.2.1-25", 100), "helo-192.0.2.1-25");
    }

    #[test]
    fn dates_are_english_and_utc() {
        let time = Timestamp::parse_rfc3339("2026-11-05T00:04:09+01:00");
        assert_eq!(date(time, "%d/%b/%y %-I:%M %p"), "04/Nov/26 11:04 PM");
        assert_eq!((&*date(time, ISO_DATE), &*date(None, ISO_DATE)), ("2026-11-04", ""));
    }
}
