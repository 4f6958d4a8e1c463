//! What Jira has. In: CSV exports of an issue search (all fields; Jira gives at most 1,000 issues
//! each, so there may be several). Out: the key of the issue for each label of a ticket.
//!
//! `Summary,Issue key,Issue id,...,Labels,Labels,...`: columns repeat, their order varies, the
//! separator is a comma, semicolon, tab, `|` or `^`. All columns but the key and the labels are left
//! aside; so are labels that are no ticket's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use csv::ByteRecord;

use crate::error::{Error, Kind, Place, Result};
use crate::model::text::shown_short;

/// What every ticket's label starts with.
const PREFIX: &str = "helo-";

const SEPARATORS: [u8; 5] = [b',', b';', b'\t', b'|', b'^'];

/// Longest header that is looked at for its separator; exports of all fields have hundreds.
const HEADER: u64 = 1 << 20;

/// The issues of Jira that tickets made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JiraIssues {
    keys: BTreeMap<String, BTreeSet<String>>,
}

/// What is known of a ticket's issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match<'k> {
    /// No issue has the label.
    None,
    /// The key of the one that has.
    One(&'k str),
    /// Several have it.
    Several,
}

impl JiraIssues {
    /// The issue with this label.
    pub fn issue(&self, label: &str) -> Match<'_> {
        let Some(keys) = self.keys.get(label) else { return Match::None };
        match (keys.first(), keys.len()) {
            (Some(key), 1) => Match::One(key),
            _ => Match::Several,
        }
    }
}

/// Reads exports of Jira.
///
/// # Errors
/// Of kind [`Kind::Usage`]: one cannot be read, lacks the column of keys or of labels, or has an
/// issue key that is none.
pub fn read_jira_exports(paths: &[PathBuf]) -> Result<JiraIssues> {
    let mut issues = JiraIssues::default();
    for path in paths {
        let file = File::open(path).map_err(|e| fault(path, Place::Whole, &unread(&e)))?;
        parse_export(BufReader::new(file), path, &mut issues)?;
    }
    Ok(issues)
}

fn unread(error: &impl std::fmt::Display) -> String {
    format!("the Jira export cannot be read: {error}; expected a CSV export of an issue search")
}

fn fault(path: &Path, place: Place, message: &str) -> Error {
    Error::input(path, place, message).with_kind(Kind::Usage)
}

fn parse_export(mut text: impl BufRead, path: &Path, issues: &mut JiraIssues) -> Result<()> {
    let mut first = Vec::new();
    text.by_ref()
        .take(HEADER)
        .read_until(b'\n', &mut first)
        .map_err(|e| fault(path, Place::Whole, &unread(&e)))?;
    let header = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&first);
    let Some((separator, columns)) = SEPARATORS.iter().find_map(|s| Columns::of(header, *s)) else {
        let message = "the Jira export has no column \"Issue key\", or none \"Labels\"; expected an \
                       export with all fields, made in English";
        return Err(fault(path, Place::Line(1), message));
    };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .from_reader(text);
    let mut record = ByteRecord::new();
    while reader
        .read_byte_record(&mut record)
        .map_err(|e| fault(path, Place::Whole, &unread(&e)))?
    {
        // The reader does not know of the header.
        let line = record.position().map_or(0, csv::Position::line).saturating_add(1);
        let key = columns.key(&record);
        for label in columns.labels(&record) {
            let key = parse_key(&key).map_err(|m| fault(path, Place::Line(line), &m))?;
            issues.keys.entry(label).or_default().insert(key.to_owned());
        }
    }
    Ok(())
}

/// `PROJ-123`.
fn parse_key(text: &str) -> std::result::Result<&str, String> {
    let (project, number) = text.rsplit_once('-').unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let right = project.starts_with(|c: char| c.is_ascii_alphabetic())
        && project.bytes().all(plain)
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit());
    if right {
        return Ok(text);
    }
    Err(format!("{:?} is no issue key; expected one such as \"SEC-123\"", shown_short(text, 40)))
}

/// Where the key and the labels stand.
struct Columns {
    key: usize,
    labels: Vec<usize>,
}

impl Columns {
    /// Of a header that the separator cuts into names.
    fn of(header: &[u8], separator: u8) -> Option<(u8, Self)> {
        let mut reader =
            csv::ReaderBuilder::new().delimiter(separator).has_headers(false).from_reader(header);
        let mut names = ByteRecord::new();
        reader.read_byte_record(&mut names).ok()?;
        let at = |wanted: &'static str| {
            let is = move |name: &[u8]| name.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes());
            names.iter().enumerate().filter(move |(_, name)| is(name)).map(|(index, _)| index)
        };
        let labels: Vec<_> = at("Labels").collect();
        let key = at("Issue key").next().filter(|_| !labels.is_empty())?;
        Some((separator, Self { key, labels }))
    }

    fn key(&self, record: &ByteRecord) -> String {
        let cell = record.get(self.key).unwrap_or_default();
        String::from_utf8_lossy(cell.trim_ascii()).into_owned()
    }

    /// The labels of tickets. A label has no blanks: some exports put several into a cell.
    fn labels(&self, record: &ByteRecord) -> Vec<String> {
        let cells = self.labels.iter().filter_map(|index| record.get(*index));
        let labels = cells.flat_map(|cell| {
            let text = String::from_utf8_lossy(cell).into_owned();
            let labels = text.split_whitespace().filter(|label| label.starts_with(PREFIX));
            labels.map(str::to_owned).collect::<Vec<_>>()
        });
        labels.collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<JiraIssues> {
        let mut issues = JiraIssues::default();
        parse_export(text.as_bytes(), Path::new("jira.csv"), &mut issues).map(|()| issues)
    }

    #[test]
    fn keys_are_learnt_by_label() {
        let text = "\u{feff}Summary,Issue key,Labels,Issue id,Labels,Labels\n\
            \"a, b\nc\",SEC-1,smtp-helo,1,helo-192.0.2.1-25,p2\n\
            x,SEC-2,helo-192.0.2.2-25 smtp-helo,2,,\n\
            x,SEC-3,helo-192.0.2.2-25,3,,\n\
            x,SEC-1,helo-192.0.2.1-25,1\n\
            x,,p2,4,,\n";
        let issues = parse(text).unwrap();
        let cases = [
            ("helo-192.0.2.1-25", Match::One("SEC-1")),
            ("helo-192.0.2.2-25", Match::Several),
            ("helo-192.0.2.9-25", Match::None),
            ("smtp-helo", Match::None),
        ];
        for (label, expected) in cases {
            assert_eq!(issues.issue(label), expected, "{label}");
        }
    }

    #[test]
    fn separators_are_told_by_the_header() {
        for separator in [",", ";", "\t", "|", "^"] {
            let text = "issue key,LABELS\r\n\"A_B-7\",\"helo-x-25\"\r\n".replace(',', separator);
            assert_eq!(parse(&text).unwrap().issue("helo-x-25"), Match::One("A_B-7"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>(), header in any::<bool>()) {
            let head = if header { &b"Issue key,Labels\nA-1,helo-x-25\n"[..] } else { b"" };
            let text = [head, &bytes].concat();
            let mut issues = JiraIssues::default();
            match parse_export(&*text, Path::new("jira.csv"), &mut issues) {
                Ok(()) => prop_assert!(!header || issues.issue("helo-x-25") != Match::None),
                Err(error) => prop_assert_eq!(error.exit_code(), 2),
            }
        }
    }

    #[test]
    fn what_is_no_export_is_refused() {
        let columns = "jira.csv: line 1: the Jira export has no column \"Issue key\", or none \
            \"Labels\"; expected an export with all fields, made in English";
        let cases = [
            ("", columns),
            ("Summary,Labels\nx,helo-x-25\n", columns),
            ("Issue key,Summary\nA-1,x\n", columns),
            (
                "Issue key,Labels\nA-1,helo-x-25\n=cmd()\u{1b}-1,helo-y-25\n",
                "jira.csv: line 3: \"=cmd()\\\\x1b-1\" is no issue key; expected one such as \"SEC-123\"",
            ),
        ];
        for (text, expected) in cases {
            let error = parse(text).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.exit_code()), (expected, 2));
        }
        let missing = read_jira_exports(&["/nonexistent/jira.csv".into()]).unwrap_err();
        let message = missing.to_string();
        assert!(message.starts_with("/nonexistent/jira.csv: the Jira export cannot be read: "));
    }
}
