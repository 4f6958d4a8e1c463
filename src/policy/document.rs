//! A TOML text as typed sections. In: the text. Out: values of the type that a key needs, each
//! with the line it stands on; or the one-line error `FILE: line N: found; expected`.
//!
//! What the keys mean is `sections`'; what their texts mean is `values`'.

use std::ops::Range;
use std::path::Path;

use chrono::NaiveDate;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};
use toml::value::{Date, Datetime};

use crate::error::{Error, Kind, Place, Result};

/// A policy's text and where it came from.
pub(super) struct Document<'a> {
    /// The whole text.
    pub(super) text: &'a str,
    /// Named in errors.
    pub(super) path: &'a Path,
}

/// A table of the document.
#[derive(Clone)]
pub(super) struct Section<'a> {
    document: &'a Document<'a>,
    /// As errors name it: `[networks]`, `[[asset]]`; empty for the top of the file.
    name: String,
    table: &'a DeTable<'a>,
    span: Range<usize>,
}

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct Found<'a, T> {
    document: &'a Document<'a>,
    /// The key it belongs to.
    key: String,
    /// The value.
    pub(super) value: T,
    span: Range<usize>,
}

impl<'a> Document<'a> {
    /// Reads the TOML syntax.
    pub(super) fn parse(&'a self) -> Result<Spanned<DeTable<'a>>> {
        DeTable::parse(self.text).map_err(|error| {
            let span = error.span().unwrap_or_default();
            let message = one_line(error.message());
            self.error(
                &span,
                format!("no valid TOML: {message}; expected for example key = \"text\""),
            )
        })
    }

    /// The top of the file as a section.
    pub(super) fn root(&'a self, table: &'a Spanned<DeTable<'a>>) -> Section<'a> {
        Section { document: self, name: String::new(), table: table.get_ref(), span: table.span() }
    }

    fn error(&self, span: &Range<usize>, message: String) -> Error {
        let before = self.text.as_bytes().get(..span.start).unwrap_or(self.text.as_bytes());
        Error::input(self.path, Place::Line(line_after(before)), message).with_kind(Kind::Usage)
    }
}

impl<'a> Section<'a> {
    /// Refuses keys other than `known`, naming the nearest one.
    pub(super) fn check_keys(&self, known: &[&str]) -> Result<()> {
        let mut keys: Vec<_> = self.table.keys().collect();
        keys.sort_by_key(|key| key.span().start);
        for key in keys {
            let word = key.get_ref().as_ref();
            if known.contains(&word) {
                continue;
            }
            let place =
                if self.name.is_empty() { String::new() } else { format!(" in {}", self.name) };
            let message = format!("unknown key {word:?}{place}; {}", expected_one_of(word, known));
            return Err(self.document.error(&key.span(), message));
        }
        Ok(())
    }

    /// The sub-table of a key.
    pub(super) fn section(&self, key: &str) -> Result<Option<Section<'a>>> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        match value.get_ref() {
            DeValue::Table(table) => Ok(Some(Section {
                document: self.document,
                name: format!("[{key}]"),
                table,
                span: value.span(),
            })),
            other => Err(self.wrong_type(key, &value.span(), other, &format!("a section [{key}]"))),
        }
    }

    /// The tables of an array of tables.
    pub(super) fn blocks(&self, key: &str) -> Result<Vec<Section<'a>>> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let needed = format!("a block [[{key}]], with two brackets");
        let DeValue::Array(array) = value.get_ref() else {
            return Err(self.wrong_type(key, &value.span(), value.get_ref(), &needed));
        };
        array
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::Table(table) => Ok(Section {
                    document: self.document,
                    name: format!("[[{key}]]"),
                    table,
                    span: item.span(),
                }),
                other => Err(self.wrong_type(key, &item.span(), other, &needed)),
            })
            .collect()
    }

    /// A text.
    pub(super) fn text(&self, key: &str) -> Result<Option<Found<'a, &'a str>>> {
        self.value(key, "a text in quotes", as_text)
    }

    /// A list of texts; empty where the key is missing.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<Found<'a, &'a str>>> {
        self.list(key, "a list of texts such as [\"a\", \"b\"]", as_text)
    }

    /// `true` or `false`.
    pub(super) fn truth(&self, key: &str) -> Result<Option<Found<'a, bool>>> {
        self.value(key, "true or false", |value| match value {
            DeValue::Boolean(truth) => Some(*truth),
            _ => None,
        })
    }

    /// A day without a time, `2027-01-31`.
    pub(super) fn date(&self, key: &str) -> Result<Option<Found<'a, NaiveDate>>> {
        self.value(key, "a date such as 2027-01-31, without quotes", |value| match value {
            DeValue::Datetime(Datetime { date: Some(date), time: None, offset: None }) => {
                let Date { year, month, day } = *date;
                NaiveDate::from_ymd_opt(year.into(), month.into(), day.into())
            }
            _ => None,
        })
    }

    /// A list of whole numbers; empty where the key is missing.
    pub(super) fn numbers(&self, key: &str) -> Result<Vec<Found<'a, i64>>> {
        self.list(key, "a list of whole numbers", |value| match value {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        })
    }

    /// Every key of the section with its text, in the order of the file.
    pub(super) fn entries(&self) -> Result<Vec<(&'a str, Found<'a, &'a str>)>> {
        let mut keys: Vec<_> = self.table.keys().collect();
        keys.sort_by_key(|key| key.span().start);
        let mut entries = Vec::new();
        for key in keys {
            let word = key.get_ref().as_ref();
            if let Some(found) = self.text(word)? {
                entries.push((word, found));
            }
        }
        Ok(entries)
    }

    /// An error about the section as a whole.
    pub(super) fn error(&self, message: &str) -> Error {
        self.document.error(&self.span, format!("{} {message}", self.name))
    }

    fn value<T>(
        &self,
        key: &str,
        needed: &str,
        read: impl Fn(&'a DeValue<'a>) -> Option<T>,
    ) -> Result<Option<Found<'a, T>>> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        self.found(key, needed, value, read).map(Some)
    }

    fn list<T>(
        &self,
        key: &str,
        needed: &str,
        read: impl Fn(&'a DeValue<'a>) -> Option<T>,
    ) -> Result<Vec<Found<'a, T>>> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let items: &'a DeArray<'a> = match value.get_ref() {
            DeValue::Array(items) => items,
            other => return Err(self.wrong_type(key, &value.span(), other, needed)),
        };
        items.iter().map(|item| self.found(key, needed, item, &read)).collect()
    }

    fn found<T>(
        &self,
        key: &str,
        needed: &str,
        value: &'a Spanned<DeValue<'a>>,
        read: impl Fn(&'a DeValue<'a>) -> Option<T>,
    ) -> Result<Found<'a, T>> {
        match read(value.get_ref()) {
            Some(read) => Ok(Found {
                document: self.document,
                key: key.to_owned(),
                value: read,
                span: value.span(),
            }),
            None => Err(self.wrong_type(key, &value.span(), value.get_ref(), needed)),
        }
    }

    fn wrong_type(&self, key: &str, span: &Range<usize>, got: &DeValue, needed: &str) -> Error {
        let got = match got {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a section",
        };
        self.document.error(span, format!("{} is {got}; expected {needed}", shown_key(key)))
    }
}

impl<T: Copy> Found<'_, T> {
    /// The value as `check` reads it; its error gets the key, file and line.
    pub(super) fn check<R>(
        &self,
        check: impl FnOnce(T) -> std::result::Result<R, String>,
    ) -> Result<R> {
        check(self.value).map_err(|message| {
            self.document.error(&self.span, format!("{}: {message}", shown_key(&self.key)))
        })
    }
}

/// `expected A, B or C`, the nearest first as a question where one is near.
pub(super) fn expected_one_of(word: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|k| (strsim::damerau_levenshtein(&word.to_lowercase(), &k.to_lowercase()), *k))
        .min()
        .filter(|(distance, k)| *distance <= k.len().max(3) / 3 + 1);
    match near {
        Some((_, nearest)) => format!("expected {nearest:?}, the nearest of {}", known.join(", ")),
        None => format!("expected one of {}", known.join(", ")),
    }
}

/// The number of the line that follows these bytes on.
pub(super) fn line_after(before: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', before).count() as u64 + 1
}

fn as_text<'a>(value: &'a DeValue<'a>) -> Option<&'a str> {
    match value {
        DeValue::String(text) => Some(text.as_ref()),
        _ => None,
    }
}

/// A key as messages show it: quoted unless it is a plain word.
fn shown_key(key: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if key.bytes().all(plain) { key.to_owned() } else { format!("{key:?}") }
}

/// A foreign message without line breaks, its blanks single.
fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
