//! Text of strangers made harmless for each kind of output. In: text as the logs and scans have
//! it. Out: cells that no spreadsheet takes for a formula, lines that no terminal obeys. JSON
//! needs nothing but `serde_json`; HTML is escaped by its template.
//!
//! Typed cells (ids, addresses, numbers, times) never come here: what is altered here is told by
//! one rule that can be undone ([`CsvCells::text`]).

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::text::{lossy, shown, shown_short};
use crate::writers::typed::push_number;

const LONGEST_NAME: usize = 255;

/// Whether cells that a spreadsheet would take for formulas are altered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CsvSafe {
    /// They are, see [`CsvCells::text`].
    #[default]
    On,
    /// They stand as they are: for importers only, never for a spreadsheet.
    Off,
}

/// Makes the CSV cells of a run from foreign text and prose, and counts those that it altered so
/// that no spreadsheet takes them for a formula.
#[derive(Debug, Default)]
pub struct CsvCells {
    safe: CsvSafe,
    altered: AtomicU64,
}

impl CsvCells {
    /// Cells of a run.
    pub fn new(safe: CsvSafe) -> Self {
        Self { safe, altered: AtomicU64::new(0) }
    }

    /// How many cells were altered so far.
    pub fn altered(&self) -> u64 {
        self.altered.load(Ordering::Relaxed)
    }

    /// A cell of foreign text on one line: control and bidirectional characters as `\xNN`; where
    /// the first character after blanks and apostrophes could start a formula (`= + - @`, their
    /// full-width, small and mathematical forms), one apostrophe is put in front.
    ///
    /// Undone by: where a cell starts with an apostrophe, and what follows all leading blanks and
    /// apostrophes could start a formula, take the first apostrophe away.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.counted(guard_formula(shown(text), self.safe))
    }

    /// The same for a cell that stands in so many rows.
    pub fn text_of_rows<'t>(&self, text: &'t str, rows: usize) -> Cow<'t, str> {
        let (cell, altered) = guard_formula(shown(text), self.safe);
        self.altered.fetch_add(if altered { rows as u64 } else { 0 }, Ordering::Relaxed);
        cell
    }

    /// A cell of several foreign texts, separated by `; `: each as [`CsvCells::text`], a semicolon
    /// inside one as `\x3b`, so that the list can be cut again.
    pub fn list(&self, items: impl IntoIterator<Item = impl AsRef<str>>) -> String {
        let mut cell = String::new();
        let mut any = false;
        for item in items {
            any |= push_item(&mut cell, shown(item.as_ref()), self.safe);
        }
        self.counted((cell, any))
    }

    /// A file's name, for cells of lines of files.
    pub fn file(&self, name: &str) -> FileCell {
        let mut text = String::new();
        // What follows the name cannot start a formula.
        let altered = push_item(&mut text, shown(&format!("{name}:")), self.safe);
        let in_quotes = text.bytes().any(wants_quotes);
        FileCell { text: text.replace('"', "\"\""), altered, in_quotes }
    }

    /// Appends a whole cell of lines of files, each as [`CsvCells::list`] has `file:line`.
    pub fn push_places<'f>(
        &self,
        to: &mut Vec<u8>,
        places: impl Iterator<Item = (&'f FileCell, u64)> + Clone,
    ) {
        let quote: &[u8] = if places.clone().any(|(file, _)| file.in_quotes) { b"\"" } else { b"" };
        let mut any = false;
        to.extend_from_slice(quote);
        for (place, (file, line)) in places.enumerate() {
            any |= file.altered;
            to.extend_from_slice(if place == 0 { b"" } else { b"; " });
            to.extend_from_slice(file.text.as_bytes());
            push_number(to, line);
        }
        to.extend_from_slice(quote);
        self.counted(((), any));
    }

    /// A cell of names that clients gave: as [`CsvCells::list`], each cut to 255 characters, the
    /// longest that a domain name or a mailbox can be. JSON has them whole.
    pub fn names(&self, names: &[Box<str>]) -> String {
        let mut cell = String::new();
        let mut any = false;
        for name in names {
            any |= push_item(&mut cell, shown_short(name, LONGEST_NAME), self.safe);
        }
        self.counted((cell, any))
    }

    /// A cell of our own prose of several lines: line ends stay, all else as [`CsvCells::text`].
    pub fn prose<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.counted(guard_formula(lines(text), self.safe))
    }

    fn counted<T>(&self, (cell, altered): (T, bool)) -> T {
        if altered {
            self.altered.fetch_add(1, Ordering::Relaxed);
        }
        cell
    }
}

/// A file's name in cells of its lines, see [`CsvCells::file`].
#[derive(Debug)]
pub struct FileCell {
    /// The name and a colon, quotes doubled.
    text: String,
    altered: bool,
    /// Whether a cell that holds it has to stand in quotes.
    in_quotes: bool,
}

/// Appends a cell to a row: in quotes where a reader would take it for more than one.
pub(super) fn push_cell(to: &mut Vec<u8>, cell: &str) {
    if !cell.bytes().any(wants_quotes) {
        return to.extend_from_slice(cell.as_bytes());
    }
    to.push(b'"');
    to.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
    to.push(b'"');
}

fn wants_quotes(byte: u8) -> bool {
    matches!(byte, b',' | b'"' | b'\n' | b'\r')
}

/// Appends a text to a list; whether it was altered.
fn push_item(list: &mut String, text: Cow<'_, str>, safe: CsvSafe) -> bool {
    if !list.is_empty() {
        list.push_str("; ");
    }
    let (text, altered) = guard_formula(text, safe);
    for (place, part) in text.split(';').enumerate() {
        list.push_str(if place == 0 { "" } else { "\\x3b" });
        list.push_str(part);
    }
    altered
}

/// Text of several lines: line ends stay, all else that acts as `\xNN`.
pub fn lines(text: &str) -> Cow<'_, str> {
    if !text.contains('\n') {
        return shown(text);
    }
    let lines: Vec<_> = text.split('\n').map(shown).collect();
    Cow::Owned(lines.join("\n"))
}

/// Text for a terminal, on one line.
pub fn terminal(text: &str) -> Cow<'_, str> {
    shown(text)
}

/// Bytes for a terminal, on one line: what is no UTF-8 as `\xNN` too.
pub fn terminal_bytes(bytes: &[u8]) -> String {
    shown(&lossy(bytes)).into_owned()
}

/// The cell, and whether it was altered.
fn guard_formula(text: Cow<'_, str>, safe: CsvSafe) -> (Cow<'_, str>, bool) {
    let first = text.chars().find(|c| !c.is_whitespace() && *c != '\'');
    if safe == CsvSafe::On && first.is_some_and(starts_formula) {
        (Cow::Owned(format!("'{text}")), true)
    } else {
        (text, false)
    }
}

/// Whether a cell that starts with this character may be taken for a formula.
pub(super) fn starts_formula(c: char) -> bool {
    matches!(
        c,
        '=' | '+'
            | '-'
            | '@'
            | '\u{ff1d}'
            | '\u{ff0b}'
            | '\u{ff0d}'
            | '\u{ff20}'
            | '\u{fe66}'
            | '\u{fe62}'
            | '\u{fe63}'
            | '\u{fe6b}'
            | '\u{2212}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn csv_text(text: &str) -> String {
        CsvCells::default().text(text).into_owned()
    }

    #[test]
    fn formulas_are_neutralised_and_nothing_else_is_touched() {
        let cases = [
            ("mx1.example.com", "mx1.example.com"),
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("  @SUM(1)", "'  @SUM(1)"),
            ("'=1", "''=1"),
            ("\u{ff1d}1", "'\u{ff1d}1"),
            ("\t=1", "\\x09=1"),
            ("a-b=c", "a-b=c"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(csv_text(text), expected, "{text:?}");
        }
    }

    #[test]
    fn lists_can_be_cut_again() {
        let cells = CsvCells::default();
        assert_eq!(cells.list(["a", "b;c", "=d"]), "a; b\\x3bc; '=d");
        assert_eq!(cells.list([""; 0]), "");
        let long = "a".repeat(2000).into_boxed_str();
        assert_eq!(cells.names(&[long, "@b".into()]), format!("{}...; '@b", "a".repeat(255)));
    }

    /// The cell as the csv crate would write it beside another.
    fn in_a_row(cell: &str) -> Vec<u8> {
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record([cell, ""]).unwrap();
        let mut row = csv.into_inner().unwrap();
        row.truncate(row.len() - ",\n".len());
        row
    }

    #[test]
    fn places_are_lists_of_lines() {
        for files in [
            ["a", "b;c", "b;c"],
            ["=d", "=d", " '+"],
            ["", "\x1b", "a"],
            ["a", "a", "a"],
            ["a,b", "say \"a\"", "a"],
        ] {
            let (as_list, as_places) = (CsvCells::default(), CsvCells::default());
            let list = files.iter().zip(9u64..).map(|(file, line)| format!("{file}:{line}"));
            let list = in_a_row(&as_list.list(list));
            let cells = files.map(|file| as_places.file(file));
            let mut places = Vec::new();
            as_places.push_places(&mut places, cells.iter().zip(9u64..));
            assert_eq!((places, as_places.altered()), (list, as_list.altered()), "{files:?}");
        }
    }

    #[test]
    fn prose_keeps_its_lines() {
        let cells = CsvCells::default();
        assert_eq!(cells.prose("one\n- two\x1b"), "one\n- two\\x1b");
        assert_eq!(cells.prose("- one\ntwo"), "'- one\ntwo");
    }

    #[test]
    fn altered_cells_are_counted_and_alteration_can_be_switched_off() {
        let (on, off) = (CsvCells::new(CsvSafe::On), CsvCells::new(CsvSafe::Off));
        for cells in [&on, &off] {
            cells.text("=1");
            cells.text("a=1");
            cells.text_of_rows("=1", 2);
            cells.text_of_rows("a=1", 2);
            cells.list(["=1", "@2"]);
            cells.prose("-1\n=2");
        }
        assert_eq!((on.altered(), off.altered()), (5, 0));
        assert_eq!(off.text("=1\x1b"), "=1\\x1b");
    }

    /// The documented way back.
    fn undone(cell: &str) -> &str {
        let rest = cell.trim_start_matches(|c: char| c.is_whitespace() || c == '\'');
        match cell.strip_prefix('\'') {
            Some(shorter) if rest.starts_with(starts_formula) => shorter,
            _ => cell,
        }
    }

    proptest! {
        #[test]
        fn no_cell_starts_a_formula_and_the_guard_can_be_undone(text in any::<String>()) {
            let cell = csv_text(&text);
            let first = cell.trim_start().chars().next();
            prop_assert!(!first.is_some_and(|c| starts_formula(c) || c.is_control()));
            prop_assert_eq!(undone(&cell), &*shown(&text));
        }

        #[test]
        fn cells_are_quoted_as_the_csv_crate_quotes(text in "[a,\"\r\n;ä']{0,6}") {
            let mut cell = Vec::new();
            push_cell(&mut cell, &text);
            prop_assert_eq!(cell, in_a_row(&text));
        }

        #[test]
        fn terminals_get_one_line_without_controls(bytes in any::<Vec<u8>>()) {
            let text = terminal_bytes(&bytes);
            let turns = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
            prop_assert!(!text.contains(turns));
        }
    }
}
