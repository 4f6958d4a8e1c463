//! sources.csv: one row for every target and unexpected source, those that were only denied
//! included; strongest first within a target. The rows of tickets.csv tell only the first five.

use std::io::{self, Write};

use crate::model::judged::{JudgedSource, Rule};
use crate::tickets::ticket_id;
use crate::writers::escape::push_cell;
use crate::writers::typed::{in_order, push_ip, push_number, push_time, step_down};
use crate::writers::{Output, Part, Run};

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

    fn push_part(&self, run: &Run<'_>, part: &Part<'_>, to: &mut Vec<u8>) -> io::Result<()> {
        let mut target = Vec::new();
        push_target(&mut target, part, run);
        for source in &part.sources {
            to.extend_from_slice(&target);
            push_source(to, source, run);
        }
        Ok(())
    }
}

/// The cells that all rows of a part have in front.
fn push_target(to: &mut Vec<u8>, part: &Part<'_>, run: &Run<'_>) {
    let asset = &part.target.asset;
    push_cell(to, &ticket_id(&asset.key, part.target.port));
    to.push(b',');
    push_cell(to, &run.csv.text_of_rows(&asset.key, part.sources.len()));
    to.push(b',');
    if let Some(ip) = asset.ip {
        push_ip(to, ip);
    }
    to.push(b',');
    push_number(to, u64::from(part.target.port));
}

/// The rest of a source's row.
fn push_source(to: &mut Vec<u8>, source: &JudgedSource, run: &Run<'_>) {
    to.push(b',');
    push_ip(to, source.ip);
    let rule = source.rule.map_or("", Rule::word);
    for word in [source.class.word(), rule, source.step_down.map_or("", step_down)] {
        to.push(b',');
        to.extend_from_slice(word.as_bytes());
    }
    for time in [source.first_seen, source.last_seen] {
        to.push(b',');
        if let Some(time) = time {
            push_time(to, time);
        }
    }
    for count in in_order(&source.counts) {
        to.push(b',');
        push_number(to, count);
    }
    for names in [&source.helo_names, &source.sasl_usernames] {
        to.push(b',');
        push_cell(to, &run.csv.names(names));
    }
    to.push(b',');
    let lines = source.citations.iter();
    let places = lines.filter_map(|line| Some((&run.cited.of(line.at)?.csv, line.at.line)));
    run.csv.push_places(to, places);
    to.push(b'\n');
}
