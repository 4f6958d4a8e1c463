//! `--profile gitlab`: `gitlab-new-NNN.csv` to import, which always creates issues; and
//! `gitlab-changed-NNN.csv`, `gitlab-closed-NNN.csv`, which say what to edit (importing them would
//! create the same issues again). Without state every ticket is new to every run.
//!
//! GitLab reads `title`, `description` and `due_date` and leaves the other columns aside; a file has
//! at most 10 MB. A description is Markdown, and a line that starts with `/` is a quick action: the
//! ticket's texts stand in fences that nothing inside them can close, so no text of strangers acts,
//! mentions anybody or loads an image. The one quick action is ours, the last line: labels, which
//! GitLab leaves out where the project has none of these names.
//!
//! GitLab documentation: Importing issues from CSV; Quick actions.

use std::fmt::Write as _;

use crate::tickets::Ticket;
use crate::writers::Run;
use crate::writers::escape::CsvCells;
use crate::writers::profiles::by_change::ByChange;
use crate::writers::profiles::sheet::Limits;
use crate::writers::profiles::short::fitted_part;
use crate::writers::profiles::texts::{
    ISO_DATE, cut, date, fenced, has_units, parts, pointer, shortened, standing,
};
use crate::writers::profiles::{Export, Profile};

/// The profile.
#[derive(Debug)]
pub(super) struct GitLab;

const FILES: [&str; 3] = ["gitlab-new-NNN.csv", "gitlab-changed-NNN.csv", "gitlab-closed-NNN.csv"];

/// The columns that GitLab reads, then those that tell a script which issue it is.
const COLUMNS: [&str; 6] = ["title", "description", "due_date", "ticket_id", "status", "priority"];

const LIMITS: Limits = Limits { rows: u64::MAX, bytes: 10_000_000 };

const TITLE: usize = 255;

/// A part of the description; GitLab takes 1,048,576 characters in all.
const PART: usize = 200_000;

impl Profile for GitLab {
    fn name(&self) -> &'static str {
        "gitlab"
    }

    fn system(&self) -> &'static str {
        "GitLab issues, by CSV import"
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
    vec![
        cut(&csv.text(&ticket.texts.summary), TITLE).into_owned(),
        description(ticket, csv),
        date(ticket.due_date, ISO_DATE),
        ticket.ticket_id.clone(),
        ticket.status.word().to_owned(),
        ticket.priority.word().to_owned(),
    ]
}

fn description(ticket: &Ticket, csv: &CsvCells) -> String {
    let mut text = standing(ticket);
    for part in parts(ticket, csv) {
        let short = fitted_part(&part, &pointer(ticket), &|text| has_units(text, PART));
        let (title, part) = (part.title, fenced(&shortened(&short, PART, &pointer(ticket))));
        // Writing to a String cannot fail.
        let _ = write!(text, "\n\n**{title}**\n\n{part}");
    }
    let priority = ticket.priority.word().to_ascii_lowercase();
    let _ = write!(text, "\n\n/label ~smtp-helo ~{priority}");
    text
}
