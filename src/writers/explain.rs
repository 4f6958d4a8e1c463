//! `explain`: one ticket's score term by term, and the raw log lines that it cites. In: tickets.jsonl
//! as `tickets_jsonl` writes it, and a way to fetch cited lines. Out: text for a terminal.
//!
//! A ticket may have millions of sources: only the first are kept while its entry is read. Lines
//! are shown with credentials redacted and nothing in them that a terminal would obey.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::IpAddr;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};

use crate::logs::redact::redact;
use crate::tickets::{Place, Status};
use crate::writers::escape::{terminal, terminal_bytes};

/// Why a line of a file that was rotated away is not shown.
const GONE: &str = "the text is no longer there: an earlier run read it, and its file is gone";

/// Sources that are explained with their lines.
const SOURCES: usize = 5;

/// A ticket as tickets.jsonl has it: what explaining needs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Entry {
    ticket_id: String,
    status: String,
    priority: String,
    score: u8,
    confidence: String,
    verdict: String,
    due_date: Option<String>,
    unexpected_sources: u64,
    reasons: Vec<String>,
    summary: String,
    #[serde(default)]
    verification: String,
    #[serde(deserialize_with = "first_sources")]
    sources: Vec<Source>,
}

/// One of its sources.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Source {
    ip: IpAddr,
    class: String,
    rule: Option<String>,
    step_down: Option<String>,
    counts: BTreeMap<String, u64>,
    citations: Vec<Citation>,
}

/// A cited line and what it proves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Citation {
    time: Option<String>,
    file: String,
    line: u64,
    kind: String,
    #[serde(default)]
    gone: bool,
}

/// The entry of a ticket; none if the file has no such ticket.
///
/// # Errors
/// What reading gives, and an entry that is no ticket of this version.
pub fn read_entry(tickets: impl Read, ticket_id: &str) -> io::Result<Option<Entry>> {
    for entry in serde_json::Deserializer::from_reader(tickets).into_iter::<Entry>() {
        let entry = entry?;
        if entry.ticket_id == ticket_id {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

impl Entry {
    /// The lines to fetch, by file.
    pub fn cited(&self) -> BTreeMap<&str, BTreeSet<u64>> {
        let mut cited: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
        let citations = self.sources.iter().flat_map(|source| &source.citations);
        for citation in citations.filter(|citation| !citation.gone) {
            cited.entry(&citation.file).or_default().insert(citation.line);
        }
        cited
    }
}

/// A cited line as it was fetched: its bytes, or why it cannot be shown.
pub type Fetched = Result<Vec<u8>, String>;

/// Writes the explanation; `fetch` gives a cited line as it stands in the log.
pub fn write_explanation(
    entry: &Entry,
    fetch: &dyn Fn(&Place) -> Fetched,
    to: &mut dyn Write,
) -> io::Result<()> {
    let due = entry.due_date.as_deref().unwrap_or("no date");
    writeln!(to, "{}: {}, due {}", shown(&entry.ticket_id), shown(&entry.status), shown(due))?;
    writeln!(to, "{}", shown(&entry.summary))?;
    writeln!(
        to,
        "\nVerdict {}, confidence {}. How {} {} came about:",
        shown(&entry.verdict),
        shown(&entry.confidence),
        shown(&entry.priority),
        entry.score
    )?;
    for reason in &entry.reasons {
        writeln!(to, "  {}", shown(reason))?;
    }
    if entry.status == Status::Resolved.word() {
        writeln!(to, "\nWhat resolves it, and how to check:")?;
        for line in entry.verification.lines() {
            writeln!(to, "  {}", shown(line))?;
        }
    }
    for source in &entry.sources {
        write_source(source, fetch, to)?;
    }
    let more = entry.unexpected_sources.saturating_sub(entry.sources.len() as u64);
    if more > 0 {
        writeln!(to, "\n{more} more sources in sources.csv and tickets.jsonl")?;
    }
    Ok(())
}

fn write_source(
    source: &Source,
    fetch: &dyn Fn(&Place) -> Fetched,
    to: &mut dyn Write,
) -> io::Result<()> {
    let rule = source.rule.as_deref().unwrap_or("no rule");
    write!(to, "\n{} ({}, {}", source.ip, shown(&source.class), shown(rule))?;
    if let Some(step) = &source.step_down {
        write!(to, ", one step down: {}", shown(step))?;
    }
    let told: Vec<String> = source
        .counts
        .iter()
        .filter(|(_, n)| **n > 0)
        .map(|(what, n)| format!("{} {n}", shown(what)))
        .collect();
    writeln!(to, "): {}", told.join(", "))?;
    let mut citations = source.citations.clone();
    citations.sort();
    for Citation { time, file, line, kind, gone } in citations {
        let place = Place { file, line };
        let time = time.as_deref().unwrap_or("no time");
        writeln!(to, "  {} {} {}", shown(time), shown(&kind), shown(&place.to_string()))?;
        let fetched = if gone { Err(GONE.to_owned()) } else { fetch(&place) };
        match fetched {
            Ok(raw) => writeln!(to, "    {}", terminal_bytes(&redact(&raw)))?,
            Err(why) => writeln!(to, "    (not shown: {})", shown(&why))?,
        }
    }
    Ok(())
}

fn shown(text: &str) -> std::borrow::Cow<'_, str> {
    terminal(text)
}

/// Keeps the first sources and passes over the others.
fn first_sources<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Source>, D::Error> {
    struct First;

    impl<'de> Visitor<'de> for First {
        type Value = Vec<Source>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of sources")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut first = Vec::new();
            while first.len() < SOURCES {
                let Some(source) = list.next_element()? else { return Ok(first) };
                first.push(source);
            }
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(first)
        }
    }

    deserializer.deserialize_seq(First)
}
