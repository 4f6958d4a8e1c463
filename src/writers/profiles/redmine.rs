//! `--profile redmine`: `redmine-new-NNN.csv` to import, which always creates issues; and
//! `redmine-changed-NNN.csv`, `redmine-closed-NNN.csv`, which say what to edit (or what a plugin that
//! updates by a unique field may take, with `Ticket` as that field). Without state every ticket is
//! new to every run.
//!
//! The headers are Redmine's field names, so that its importer maps them by itself; the priorities
//! are those of a new installation. Subject at most 255 characters, description at most 65,535 bytes
//! (`MySQL`). The description stands in `<pre>`, in Textile as in Markdown, and no tag can begin
//! inside it: no text of strangers acts, mentions anybody or loads an image.
//!
//! Redmine: Importing issues from CSV; `app/models/issue_import.rb`, which only creates.

use crate::tickets::Ticket;
use crate::writers::Run;
use crate::writers::escape::CsvCells;
use crate::writers::profiles::by_change::ByChange;
use crate::writers::profiles::sheet::Limits;
use crate::writers::profiles::texts::{
    ISO_DATE, by_priority, cut, date, has_bytes, pointer, short_id, shortened_bytes, whole,
};
use crate::writers::profiles::{Export, Profile};

/// The profile.
#[derive(Debug)]
pub(super) struct Redmine;

const FILES: [&str; 3] =
    ["redmine-new-NNN.csv", "redmine-changed-NNN.csv", "redmine-closed-NNN.csv"];

/// The columns, in their order.
const COLUMNS: [&str; 7] =
    ["Subject", "Description", "Priority", "Due date", "Category", "Ticket", "Ticket status"];

/// Below the 5 MB that a new installation takes as one attachment.
const LIMITS: Limits = Limits { rows: u64::MAX, bytes: 5_000_000 };

const SUBJECT: usize = 255;

/// Less than 65,535 bytes with the tags around it; a quote is counted twice.
const DESCRIPTION: usize = 65_500;

/// Length of a category's name in Redmine.
const CATEGORY: usize = 60;

impl Profile for Redmine {
    fn name(&self) -> &'static str {
        "redmine"
    }

    fn system(&self) -> &'static str {
        "Redmine issues, by CSV import"
    }

    fn files(&self) -> &'static [&'static str] {
        &FILES
    }

    fn begin<'r>(&self, run: &Run<'r>) -> Box<dyn Export + 'r> {
        let csv = run.csv;
        Box::new(ByChange::new(FILES, &COLUMNS, LIMITS, Box::new(|ticket| cells(ticket, csv))))
    }
}

/// One ticket's cells, in the order of [`COLUMNS`].
fn cells(ticket: &Ticket, csv: &CsvCells) -> Vec<String> {
    let fits = |text: &str| has_bytes(&without_tags(text), DESCRIPTION);
    let text = without_tags(&whole(ticket, csv, &fits));
    let text = shortened_bytes(&text, DESCRIPTION, &pointer(ticket));
    let owner = csv.text(ticket.owner.as_deref().unwrap_or_default());
    vec![
        cut(&csv.text(&ticket.texts.summary), SUBJECT).into_owned(),
        format!("<pre>\n{text}\n</pre>"),
        by_priority(ticket.priority, ["Urgent", "High", "Normal", "Low"]).to_owned(),
        date(ticket.due_date, ISO_DATE),
        cut(&owner, CATEGORY).into_owned(),
        short_id(&ticket.ticket_id, SUBJECT).into_owned(),
        ticket.status.word().to_owned(),
    ]
}

/// The text with `<` as an entity wherever a tag could begin.
fn without_tags(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let begins = |next: &char| next.is_ascii_alphabetic() || ['/', '!', '?'].contains(next);
        if c == '<' && rest.peek().is_some_and(begins) {
            safe.push_str("&lt;");
        } else {
            safe.push(c);
        }
    }
    safe
}
