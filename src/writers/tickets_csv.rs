//! tickets.csv: one row a ticket, for ticket systems' imports. RFC 4180 quoting, UTF-8 without a
//! byte-order mark, LF; times RFC 3339 in UTC, numbers plain integers, lists separated by `; `,
//! reasons by ` | `.
//!
//! Cells of foreign text and of prose go through `escape`; all others are typed and never touched.

use std::io::{self, Write};
use std::net::IpAddr;

use crate::model::time::Timestamp;
use crate::tickets::{Plugin, Ticket};
use crate::writers::escape::CsvCells;
use crate::writers::{Output, Part, Run};

/// The columns, in their order.
pub const COLUMNS: [&str; 41] = [
    "ticket_id",
    "status",
    "priority",
    "score",
    "confidence",
    "verdict",
    "due_date",
    "first_seen",
    "last_seen",
    "asset",
    "ip",
    "fqdn",
    "port",
    "protocol",
    "role",
    "owner",
    "detected_by",
    "scan_helo",
    "severity",
    "scan_time",
    "unexpected_sources",
    "external_sources",
    "helo_accepted",
    "corroborated",
    "mail_accepted",
    "relayed",
    "auth_ok",
    "auth_failed",
    "helo_rejected",
    "fw_permitted",
    "fw_denied",
    "top_sources",
    "helo_names",
    "evidence",
    "rule",
    "reasons",
    "summary",
    "description",
    "remediation",
    "verification",
    "rollback",
];

/// The output.
pub struct TicketsCsv;

impl Output for TicketsCsv {
    fn name(&self) -> &'static str {
        "tickets.csv"
    }

    fn write_head(&self, _run: &Run<'_>, to: &mut dyn Write) -> io::Result<()> {
        let mut csv = csv::Writer::from_writer(to);
        csv.write_record(COLUMNS)?;
        csv.flush()
    }

    fn push_part(&self, run: &Run<'_>, part: &Part<'_>, to: &mut Vec<u8>) -> io::Result<()> {
        let Some(ticket) = &part.ticket else { return Ok(()) };
        let mut csv = csv::Writer::from_writer(to);
        csv.write_record(cells(ticket, run.csv))?;
        csv.flush()
    }
}

/// One ticket's cells, in the order of [`COLUMNS`].
pub(super) fn cells(ticket: &Ticket, csv: &CsvCells) -> [String; 41] {
    let texts = &ticket.texts;
    [
        ticket.ticket_id.clone(),
        ticket.status.word().to_owned(),
        ticket.priority.word().to_owned(),
        ticket.score.to_string(),
        ticket.confidence.word().to_owned(),
        ticket.verdict.word().to_owned(),
        time(ticket.due_date),
        time(ticket.first_seen),
        time(ticket.last_seen),
        csv.text(&ticket.asset).into_owned(),
        ticket.ip.map_or_else(String::new, |ip| ip.to_string()),
        csv.text(ticket.fqdn.as_deref().unwrap_or_default()).into_owned(),
        ticket.port.to_string(),
        Ticket::PROTOCOL.to_owned(),
        ticket.role.word().to_owned(),
        csv.text(ticket.owner.as_deref().unwrap_or_default()).into_owned(),
        detected_by(&ticket.detected_by, csv),
        ticket.scan_helo.word().to_owned(),
        ticket.severity.to_string(),
        time(ticket.scan_time),
        ticket.unexpected_sources.to_string(),
        ticket.external_sources.to_string(),
        ticket.helo_accepted.to_string(),
        ticket.corroborated.to_string(),
        ticket.mail_accepted.to_string(),
        ticket.relayed.to_string(),
        ticket.auth_ok.to_string(),
        ticket.auth_failed.to_string(),
        ticket.helo_rejected.to_string(),
        ticket.fw_permitted.to_string(),
        ticket.fw_denied.to_string(),
        addresses(&ticket.top_sources),
        csv.names(&ticket.helo_names),
        csv.list(ticket.evidence.iter().map(ToString::to_string)),
        ticket.rule.word().to_owned(),
        csv.text(&ticket.reasons.join(" | ")).into_owned(),
        csv.text(&texts.summary).into_owned(),
        csv.prose(&texts.description).into_owned(),
        csv.prose(&texts.remediation).into_owned(),
        csv.prose(&texts.verification).into_owned(),
        csv.prose(&texts.rollback).into_owned(),
    ]
}

/// A time, or an empty cell.
fn time(time: Option<Timestamp>) -> String {
    time.map_or_else(String::new, |time| time.to_string())
}

fn addresses(ips: &[IpAddr]) -> String {
    ips.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn detected_by(plugins: &[Plugin], csv: &CsvCells) -> String {
    csv.list(plugins.iter().map(|plugin| format!("{} {}", plugin.id, plugin.name)))
}
