//! sources.csv: one row for every target and unexpected source, those that were only denied
//! included; strongest first within a target. The rows of tickets.csv tell only the first five.

use std::io::{self, Write};

use crate::model::judged::{JudgedSource, JudgedTarget, StepDown};
use crate::tickets::{Place, ticket_id};
use crate::writers::escape::{csv_list, csv_text};
use crate::writers::tickets_csv::time;
use crate::writers::{Output, Run};

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

    fn write(&self, run: &Run<'_>, to: &mut dyn Write) -> io::Result<()> {
        let mut csv = csv::Writer::from_writer(to);
        csv.write_record(COLUMNS)?;
        for target in &run.judgement.targets {
            let head = head(target);
            for source in (run.sources)(target) {
                for cell in head.iter().map(String::as_str) {
                    csv.write_field(cell)?;
                }
                csv.write_record(cells(&source, run))?;
            }
        }
        csv.flush()
    }
}

/// What all sources of a target share: the first four columns.
fn head(target: &JudgedTarget) -> [String; 4] {
    let asset = &target.asset;
    [
        ticket_id(&asset.key, target.port),
        csv_text(&asset.key).into_owned(),
        asset.ip.map_or_else(String::new, |ip| ip.to_string()),
        target.port.to_string(),
    ]
}

/// The other columns.
fn cells(source: &JudgedSource, run: &Run<'_>) -> [String; 20] {
    let counts = &source.counts;
    let places = source.citations.iter().filter_map(|line| Place::of(line.at, run.inputs));
    [
        source.ip.to_string(),
        source.class.word().to_owned(),
        source.rule.map_or("", |rule| rule.word()).to_owned(),
        source.step_down.map_or("", step_down).to_owned(),
        time(source.first_seen),
        time(source.last_seen),
        counts.helo_accepted.to_string(),
        counts.corroborated.to_string(),
        counts.mail_accepted.to_string(),
        counts.relayed.to_string(),
        counts.auth_ok.to_string(),
        counts.auth_failed.to_string(),
        counts.helo_rejected.to_string(),
        counts.sessions.to_string(),
        counts.fw_permitted.to_string(),
        counts.fw_denied.to_string(),
        counts.fw_other.to_string(),
        csv_list(source.helo_names.iter().map(|name| &**name)),
        csv_list(source.sasl_usernames.iter().map(|name| &**name)),
        csv_list(places.map(|place| place.to_string())),
    ]
}

/// The word for a step down.
pub(super) fn step_down(step: StepDown) -> &'static str {
    match step {
        StepDown::Silent => "silent",
        StepDown::BlockedSince => "blocked since",
        StepDown::Stale => "stale",
    }
}
