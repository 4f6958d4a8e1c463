//! `--profile jira`: `jira-new-NNN.csv`, which creates issues, at most 250 rows each (what Jira takes
//! without administrator rights), and `jira-update-NNN.csv`, whose `Issue Key` makes the importer
//! update. Keys are learnt from exports of Jira by the label that is the ticket's id
//! (`jira_export`); without an export the update file is not written, and what it lacks is told.
//!
//! Headers without punctuation; a column repeats for each label, since Jira cuts no cell; summary at
//! most 254 characters, description 32,767; dates as Jira reads them by default,
//! `dd/MMM/yy h:mm a`, in UTC. Labels of an issue are added to and never taken away: the one for the
//! priority is set on creation only. Jira reads a description as wiki markup: a backslash keeps
//! brackets, braces and exclamation marks from linking, mentioning or loading anything.
//!
//! Atlassian documentation: Importing data from CSV; Create issues using the CSV importer.

use crate::error::Result;
use crate::model::judged::JudgedTarget;
use crate::tickets::{Change, Ticket};
use crate::writers::Run;
use crate::writers::escape::CsvCells;
use crate::writers::profiles::jira_export::{JiraIssues, Match};
use crate::writers::profiles::sheet::{Limits, Sheet};
use crate::writers::profiles::texts::{
    by_priority, cut, date, has_units, host, pointer, short_id, shortened, whole,
};
use crate::writers::profiles::{Export, Files, Profile};

/// The profile.
#[derive(Debug)]
pub(super) struct Jira;

const NEW: &str = "jira-new-NNN.csv";
const UPDATE: &str = "jira-update-NNN.csv";

/// The columns of new issues, in their order.
const COLUMNS: [&str; 13] = [
    "Summary",
    "Issue Type",
    "Priority",
    "Due Date",
    "Description",
    "Labels",
    "Labels",
    "Labels",
    "Component",
    "External ID",
    "Asset",
    "Service Port",
    "Risk Score",
];

const LIMITS: Limits = Limits { rows: 250, bytes: u64::MAX };

const SUMMARY: usize = 254;
const DESCRIPTION: usize = 32_767;
/// Labels, components and the other short fields.
const SHORT: usize = 255;

/// A cell of this empties the field.
const CLEAR: &str = "<<!clear!>>";

const DATE: &str = "%d/%b/%y %-I:%M %p";

impl Profile for Jira {
    fn name(&self) -> &'static str {
        "jira"
    }

    fn system(&self) -> &'static str {
        "Atlassian Jira, Cloud and Data Center, by CSV import"
    }

    fn files(&self) -> &'static [&'static str] {
        &[NEW, UPDATE]
    }

    fn begin<'r>(&self, run: &Run<'r>) -> Box<dyn Export + 'r> {
        let update: Vec<_> = ["Issue Key"].into_iter().chain(COLUMNS).chain(["Comment"]).collect();
        Box::new(Issues {
            new: Sheet::new(NEW, &COLUMNS, LIMITS),
            update: Sheet::new(UPDATE, &update, LIMITS),
            csv: run.csv,
            known: run.profiles.jira_issues.as_ref(),
            untold: Tickets::default(),
            missing: Tickets::default(),
            ambiguous: Tickets::default(),
        })
    }
}

struct Issues<'r> {
    new: Sheet,
    update: Sheet,
    csv: &'r CsvCells,
    /// What Jira has, if an export was given.
    known: Option<&'r JiraIssues>,
    /// Told to Jira before, in neither file: nobody says which issues they are.
    untold: Tickets,
    /// Told before, and no export has them.
    missing: Tickets,
    /// Of more than one issue.
    ambiguous: Tickets,
}

impl Export for Issues<'_> {
    fn take(&mut self, ticket: &Ticket, _target: &JudgedTarget, files: &mut Files) -> Result<()> {
        let issue = self.known.map(|known| known.issue(&label(ticket)));
        match (issue, ticket.change) {
            (None | Some(Match::One(_)), Change::Same) | (Some(Match::None), Change::Closed) => {}
            (None, Change::Raised) => self.new.write(&cells(ticket, self.csv), files)?,
            (None, Change::Changed | Change::Closed) => self.untold.add(ticket),
            (Some(Match::One(key)), _) => {
                self.update.write(&updating_cells(key, ticket, self.csv), files)?;
            }
            (Some(Match::None), change) => {
                if change != Change::Raised {
                    self.missing.add(ticket);
                }
                self.new.write(&cells(ticket, self.csv), files)?;
            }
            (Some(Match::Several), _) => self.ambiguous.add(ticket),
        }
        Ok(())
    }

    fn finish(self: Box<Self>, files: &mut Files) -> Result<Vec<String>> {
        self.new.finish(files)?;
        self.update.finish(files)?;
        let told = [
            (
                self.untold,
                "changed or closed, and in no jira file: give --jira-export, so that their issues are known",
            ),
            (self.missing, "told before, but with no issue in the export: in jira-new again"),
            (
                self.ambiguous,
                "with several issues of their label in the export, and in no jira file: take the \
                 label from all but one",
            ),
        ];
        Ok(told.iter().filter_map(|(tickets, what)| tickets.told(what)).collect())
    }
}

/// Tickets that something is true of: how many, and the first of them.
#[derive(Default)]
struct Tickets {
    count: u64,
    first: Vec<String>,
}

impl Tickets {
    fn add(&mut self, ticket: &Ticket) {
        const FIRST: usize = 5;
        self.count = self.count.saturating_add(1);
        if self.first.len() < FIRST {
            self.first.push(ticket.ticket_id.clone());
        }
    }

    /// A sentence about them, if there are any.
    fn told(&self, what: &str) -> Option<String> {
        let Self { count, first } = self;
        let more = if *count > first.len() as u64 { ", ..." } else { "" };
        let tickets = if *count == 1 { "ticket" } else { "tickets" };
        let told = || format!("jira: {count} {tickets} {what} ({}{more})", first.join(", "));
        (*count > 0).then(told)
    }
}

/// The label that is an issue's alone.
fn label(ticket: &Ticket) -> String {
    short_id(&ticket.ticket_id, SHORT).into_owned()
}

/// The cells of a new issue, in the order of [`COLUMNS`].
fn cells(ticket: &Ticket, csv: &CsvCells) -> Vec<String> {
    cells_with_label(ticket, &ticket.priority.word().to_ascii_lowercase(), csv)
}

/// The cells of an issue that is there: its key, the columns, what happened.
fn updating_cells(key: &str, ticket: &Ticket, csv: &CsvCells) -> Vec<String> {
    let mut cells = cells_with_label(ticket, "", csv);
    cells.insert(0, key.to_owned());
    cells.push(comment(ticket, csv));
    cells
}

fn cells_with_label(ticket: &Ticket, priority: &str, csv: &CsvCells) -> Vec<String> {
    let fits = |text: &str| has_units(&plain(text), DESCRIPTION);
    let description = plain(&whole(ticket, csv, &fits));
    let short = |name: &str| cut(&name.replace(CLEAR, "<clear>"), SHORT).into_owned();
    vec![
        cut(&csv.text(&ticket.texts.summary), SUMMARY).into_owned(),
        "Task".to_owned(),
        by_priority(ticket.priority, ["Highest", "High", "Medium", "Low"]).to_owned(),
        date(ticket.due_date, DATE),
        shortened(&description, DESCRIPTION, &pointer(ticket)).into_owned(),
        "smtp-helo".to_owned(),
        priority.to_owned(),
        label(ticket),
        short(&csv.text(ticket.owner.as_deref().unwrap_or_default())),
        label(ticket),
        short(&host(ticket, csv)),
        ticket.port.to_string(),
        ticket.score.to_string(),
    ]
}

/// What happened, for whoever watches the issue. Without semicolons: Jira takes what stands before
/// one for a date and an author.
fn comment(ticket: &Ticket, csv: &CsvCells) -> String {
    let (status, priority) = (ticket.status.word(), ticket.priority.word());
    let verdict = ticket.verdict.word();
    let summary = plain(&csv.text(&ticket.texts.summary)).replace(';', ",");
    format!("helotriage: {status}, {priority}, {verdict}. {summary}")
}

/// Text in which no character starts a link, a mention, an image or a macro of wiki markup.
fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let acts = matches!(c, '[' | '{' | '!') && rest.peek().is_some_and(|c| !c.is_whitespace());
        if acts {
            safe.push('\\');
        }
        safe.push(c);
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wiki_markup_is_plain() {
        let cases = [
            ("a !http://x.example/a.png! b", "a \\!http://x.example/a.png! b"),
            ("[~admin] {html}", "\\[~admin] \\{html}"),
            ("saddr != { 10.0.0.0/8 } !", "saddr \\!= { 10.0.0.0/8 } !"),
        ];
        for (text, expected) in cases {
            assert_eq!(plain(text), expected);
        }
    }
}
