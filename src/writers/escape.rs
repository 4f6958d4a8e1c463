//! Text of strangers made harmless for each kind of output. In: text as the logs and scans have
//! it. Out: cells that no spreadsheet takes for a formula, lines that no terminal obeys. JSON
//! needs nothing but `serde_json`; HTML is escaped by its template.
//!
//! Typed cells (ids, addresses, numbers, times) never come here: what is altered here is told by
//! one rule that can be undone ([`csv_text`]).

use std::borrow::Cow;

use crate::model::text::{lossy, shown, shown_short};

const LONGEST_NAME: usize = 255;

/// A CSV cell of foreign text on one line: control and bidirectional characters as `\xNN`; where
/// the first character after blanks and apostrophes could start a formula (`= + - @`, their
/// full-width, small and mathematical forms), one apostrophe is put in front.
///
/// Undone by: where a cell starts with an apostrophe, and what follows all leading blanks and
/// apostrophes could start a formula, take the first apostrophe away.
pub fn csv_text(text: &str) -> Cow<'_, str> {
    guard_formula(shown(text))
}

/// A CSV cell of several foreign texts, separated by `; `: each as [`csv_text`], a semicolon
/// inside one as `\x3b`, so that the list can be cut again.
pub fn csv_list(items: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut cell = String::new();
    for item in items {
        if !cell.is_empty() {
            cell.push_str("; ");
        }
        cell.push_str(&csv_text(item.as_ref()).replace(';', "\\x3b"));
    }
    cell
}

/// A CSV cell of names that clients gave: as [`csv_list`], each cut to 255 characters, the longest
/// that a domain name or a mailbox can be. JSON has them whole.
pub fn csv_names(names: &[Box<str>]) -> String {
    csv_list(names.iter().map(|name| shown_short(name, LONGEST_NAME)))
}

/// A CSV cell of our own prose of several lines: line ends stay, all else as [`csv_text`].
pub fn csv_prose(text: &str) -> Cow<'_, str> {
    if !text.contains('\n') {
        return csv_text(text);
    }
    let lines: Vec<_> = text.split('\n').map(shown).collect();
    guard_formula(Cow::Owned(lines.join("\n")))
}

/// Text for a terminal, on one line.
pub fn terminal(text: &str) -> Cow<'_, str> {
    shown(text)
}

/// Bytes for a terminal, on one line: what is no UTF-8 as `\xNN` too.
pub fn terminal_bytes(bytes: &[u8]) -> String {
    shown(&lossy(bytes)).into_owned()
}

fn guard_formula(text: Cow<'_, str>) -> Cow<'_, str> {
    let first = text.chars().find(|c| !c.is_whitespace() && *c != '\'');
    if first.is_some_and(starts_formula) { Cow::Owned(format!("'{text}")) } else { text }
}

fn starts_formula(c: char) -> bool {
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
        assert_eq!(csv_list(["a", "b;c", "=d"]), "a; b\\x3bc; '=d");
        assert_eq!(csv_list([""; 0]), "");
        let long = "a".repeat(2000).into_boxed_str();
        assert_eq!(csv_names(&[long, "@b".into()]), format!("{}...; '@b", "a".repeat(255)));
    }

    #[test]
    fn prose_keeps_its_lines() {
        assert_eq!(csv_prose("one\n- two\x1b"), "one\n- two\\x1b");
        assert_eq!(csv_prose("- one\ntwo"), "'- one\ntwo");
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
            prop_assert_eq!(undone(&cell), shown(&text));
        }

        #[test]
        fn terminals_get_one_line_without_controls(bytes in any::<Vec<u8>>()) {
            let text = terminal_bytes(&bytes);
            let turns = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
            prop_assert!(!text.contains(turns));
        }
    }
}
