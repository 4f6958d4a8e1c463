//! sources.csv: one row for every target and unexpected source, those that were only denied
//! included; strongest first within a target. The rows of tickets.csv tell only the first five.

use std::fmt::{Display, Write as _};
use std::io::{self, Write};

use crate::model::judged::{Counts, JudgedSource, JudgedTarget, Rule, StepDown};
use crate::tickets::{file_name, ticket_id};
use crate::writers::{Output, Run, Told};

/// The columns, in their order.
pub const COLUMNS: [&str; 24] = [
    "ticket_id",
    "asset",
    "target_ip",
    "port",
    "source",
    "class",
    "rule",
    "step_down",
    "first_seen",
    "last_seen",
    "helo_accepted",
    "corroborated",
    "mail_accepted",
    "relayed",
    "auth_ok",
    "auth_failed",
    "helo_rejected",
    "sessions",
    "fw_permitted",
    "fw_denied",
    "fw_other",
    "helo_names",
    "sasl_usernames",
    "evidence",
];

/// The output.
pub struct SourcesCsv;

impl Output for SourcesCsv {
    fn name(&self) -> &'static str {
        "sources.csv"
    }

    fn write_head(&self, _run: &Run<'_>, to: &mut dyn Write) -> io::Result<()> {
        let mut csv = csv::Writer::from_writer(to);
        csv.write_record(COLUMNS)?;
        csv.flush()
    }

    fn write_targets<'a>(
        &self,
        run: &Run<'a>,
        targets: &[Told<'a>],
        to: &mut dyn Write,
    ) -> io::Result<()> {
        let mut table = Table { csv: csv::Writer::from_writer(to), cell: String::new() };
        for Told { target, .. } in targets {
            let id = ticket_id(&target.asset.key, target.port);
            for source in (run.sources)(target) {
                table.write_row(&id, target, &source, run)?;
            }
        }
        table.csv.flush()
    }
}

/// The file being written; one buffer serves every typed cell of millions of rows.
struct Table<'w> {
    csv: csv::Writer<&'w mut dyn Write>,
    cell: String,
}

impl Table<'_> {
    /// One source's row, in the order of [`COLUMNS`].
    fn write_row(
        &mut self,
        id: &str,
        target: &JudgedTarget,
        source: &JudgedSource,
        run: &Run<'_>,
    ) -> io::Result<()> {
        self.text(id)?;
        self.text(&run.csv.text(&target.asset.key))?;
        self.optional(target.asset.ip)?;
        self.typed(target.port)?;
        self.typed(source.ip)?;
        self.text(source.class.word())?;
        self.text(source.rule.map_or("", Rule::word))?;
        self.text(source.step_down.map_or("", step_down))?;
        self.optional(source.first_seen)?;
        self.optional(source.last_seen)?;
        self.counts(&source.counts)?;
        self.text(&run.csv.names(&source.helo_names))?;
        self.text(&run.csv.names(&source.sasl_usernames))?;
        let places = source.citations.iter().filter_map(|cited| {
            Some((file_name(run.book.get(cited.at.input as usize)?), cited.at.line))
        });
        self.text(&run.csv.places(places))?;
        Ok(self.csv.write_record(None::<&[u8]>)?)
    }

    fn counts(&mut self, counts: &Counts) -> io::Result<()> {
        for count in [
            counts.helo_accepted,
            counts.corroborated,
            counts.mail_accepted,
            counts.relayed,
            counts.auth_ok,
            counts.auth_failed,
            counts.helo_rejected,
            counts.sessions,
            counts.fw_permitted,
            counts.fw_denied,
            counts.fw_other,
        ] {
            self.typed(count)?;
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        Ok(self.csv.write_field(text)?)
    }

    fn typed(&mut self, value: impl Display) -> io::Result<()> {
        self.cell.clear();
        // Writing to a String cannot fail.
        let _ = write!(self.cell, "{value}");
        Ok(self.csv.write_field(&self.cell)?)
    }

    fn optional(&mut self, value: Option<impl Display>) -> io::Result<()> {
        match value {
            Some(value) => self.typed(value),
            None => self.text(""),
        }
    }
}

/// The word for a step down.
pub(super) fn step_down(step: StepDown) -> &'static str {
    match step {
        StepDown::Silent => "silent",
        StepDown::BlockedSince => "blocked since",
        StepDown::Stale => "stale",
    }
}
