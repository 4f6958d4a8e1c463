//! `--profile servicenow`: `servicenow.csv` for an import set of the incident table, every ticket,
//! every run. The transform map coalesces on `correlation_id`, so a rerun updates.
//!
//! `correlation_id` is lower case and never empty; `priority` is not sent, since ServiceNow computes
//! it from impact and urgency; `due_date` is `yyyy-MM-dd HH:mm:ss` in UTC, which the importing
//! user's time zone has to be. A row of more than 8,126 bytes would be skipped: of the
//! description whole items are left out then, and their number is told. `NULL` in capitals would
//! clear a field: no cell has it. `u_status` tells the ticket's status, for a rule that resolves the
//! incident.
//!
//! ServiceNow documentation: Importing data using import sets; Coalesce; Priority lookup rules;
//! Importing date and time values.

use crate::tickets::Ticket;
use crate::writers::Run;
use crate::writers::escape::CsvCells;
use crate::writers::profiles::sheet::{EveryTicket, Limits, Sheet, encoded};
use crate::writers::profiles::texts::{
    by_priority, cut, date, has_bytes, host, pointer, short_id, shortened_bytes, whole,
};
use crate::writers::profiles::{Export, Profile};

/// The profile.
#[derive(Debug)]
pub(super) struct ServiceNow;

const FILE: &str = "servicenow.csv";

/// The columns, in their order.
const COLUMNS: [&str; 13] = [
    "correlation_id",
    "correlation_display",
    "short_description",
    "description",
    "impact",
    "urgency",
    "category",
    "cmdb_ci",
    "assignment_group",
    "due_date",
    "u_source_ids",
    "u_risk_score",
    "u_status",
];

/// Where the description stands in [`COLUMNS`].
const DESCRIPTION: usize = 3;

/// Bytes of a row, its line end included.
const ROW: usize = 8_126;

/// Length of `correlation_id` in a new instance.
const CORRELATION_ID: usize = 100;

const SHORT_DESCRIPTION: usize = 160;

/// Length of the names that references are looked up by, and of the other short fields.
const NAME: usize = 255;

impl Profile for ServiceNow {
    fn name(&self) -> &'static str {
        "servicenow"
    }

    fn system(&self) -> &'static str {
        "ServiceNow incidents, by import set and transform map"
    }

    fn files(&self) -> &'static [&'static str] {
        &[FILE]
    }

    fn begin<'r>(&self, run: &Run<'r>) -> Box<dyn Export + 'r> {
        let (sheet, csv) = (Sheet::new(FILE, &COLUMNS, Limits::NONE), run.csv);
        Box::new(EveryTicket { sheet, cells: Box::new(|ticket| cells(ticket, csv)) })
    }
}

/// One ticket's cells, in the order of [`COLUMNS`].
fn cells(ticket: &Ticket, csv: &CsvCells) -> Vec<String> {
    let (impact, urgency) =
        by_priority(ticket.priority, [("1", "1"), ("2", "1"), ("2", "2"), ("2", "3")]);
    let plugins: Vec<_> = ticket.detected_by.iter().map(|plugin| plugin.id.to_string()).collect();
    let mut cells: Vec<String> = vec![
        short_id(&ticket.ticket_id, CORRELATION_ID).into_owned(),
        "helotriage".to_owned(),
        cut(&csv.text(&ticket.texts.summary), SHORT_DESCRIPTION).into_owned(),
        String::new(),
        impact.to_owned(),
        urgency.to_owned(),
        "network".to_owned(),
        named(&host(ticket, csv)),
        named(&csv.text(ticket.owner.as_deref().unwrap_or_default())),
        date(ticket.due_date, "%Y-%m-%d %H:%M:%S"),
        cut(&plugins.join("; "), NAME).into_owned(),
        ticket.score.to_string(),
        ticket.status.word().to_owned(),
    ];
    // Two bytes for the quotes around the description.
    let room = ROW.saturating_sub(encoded(&cells).len() + 2);
    let text = whole(ticket, csv, &|text| has_bytes(text, room));
    let description = shortened_bytes(&text, room, &pointer(ticket)).into_owned();
    if let Some(cell) = cells.get_mut(DESCRIPTION) {
        *cell = description;
    }
    cells
}

/// A name of at most 255 characters that is not the word which clears a field.
pub(super) fn named(name: &str) -> String {
    if name == "NULL" { "null".to_owned() } else { cut(name, NAME).into_owned() }
}
