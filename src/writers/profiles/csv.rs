//! `--profile csv`: tickets.csv cut by what this run did to each ticket, for systems that can only
//! create: `tickets-new.csv` (first told, or reopened: import it), `tickets-changed.csv` (status,
//! priority or verdict is different) and `tickets-closed.csv` (resolved by this run), for a person
//! or a script that edits what is there.
//!
//! Columns and cells are those of tickets.csv, which itself always holds every ticket and is what
//! systems take that update by `ticket_id`. Without state every ticket is new to every run.

use crate::writers::Run;
use crate::writers::profiles::by_change::ByChange;
use crate::writers::profiles::sheet::Limits;
use crate::writers::profiles::{Export, Profile};
use crate::writers::tickets_csv::{COLUMNS, cells};

/// The profile.
#[derive(Debug)]
pub(super) struct Csv;

const FILES: [&str; 3] = ["tickets-new.csv", "tickets-changed.csv", "tickets-closed.csv"];

impl Profile for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn system(&self) -> &'static str {
        "any system that can only create"
    }

    fn files(&self) -> &'static [&'static str] {
        &FILES
    }

    fn begin<'r>(&self, run: &Run<'r>) -> Box<dyn Export + 'r> {
        let csv = run.csv;
        Box::new(ByChange::new(
            FILES,
            &COLUMNS,
            Limits::NONE,
            Box::new(|ticket| cells(ticket, csv).to_vec()),
        ))
    }
}
