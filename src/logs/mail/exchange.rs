//! Microsoft Exchange: the SMTP receive protocol logs (Frontend and Hub) and the message tracking
//! log.
//!
//! ```text
//! 2026-11-02T10:00:00.100Z,EX1\Default Frontend EX1,08D9A1B2C3D4E5F6,2,10.0.0.25:25,198.51.100.7:40001,<,EHLO probe.example,
//! ```
//!
//! Document: Microsoft Learn, "Protocol logging" and "Search message tracking logs". Rows are CSV
//! in UTC under a `#Fields:` line; a row without one is read in the order of current versions.
//! What is not read: SMTP send logs (same columns, but the connector has no `SERVER\` before its
//! name), tracking events that are neither an SMTP RECEIVE nor an SMTP SEND.

use crate::logs::clock::LogTime;
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::logs::mail::{Logs, MailFormat, MailRecord, ShowsHelo};

mod cells;
mod receive;
mod tracking;

use cells::{Cells, Field, Kind, NO_HEADER, Row, in_current_order, read_header};
use receive::ReceiveRow;
use tracking::parse_tracking;

/// Microsoft Exchange.
#[derive(Debug, Clone, Copy)]
pub struct Format;

impl MailFormat for Format {
    fn name(&self) -> &'static str {
        "exchange"
    }

    fn product(&self) -> &'static str {
        "Microsoft Exchange receive protocol and message tracking logs"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"#Fields:", b"connector-id", b"session-id", b"remote-endpoint"]
    }

    fn shows_helo(&self) -> ShowsHelo {
        ShowsHelo::WithSetting(
            "Exchange writes the conversation only for receive connectors whose \
             ProtocolLoggingLevel is Verbose (Set-ReceiveConnector -ProtocolLoggingLevel Verbose); \
             the message tracking log shows accepted messages only.",
        )
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        Cells::cut(line.raw).row(&NO_HEADER).kind() != Kind::None
    }

    fn marks(&self) -> &'static [&'static [u8]] {
        &[b",<,", b",>,", b",+,", b",-,", b",*,", b",SMTP,"]
    }

    fn header(&self, line: &[u8]) -> Option<Columns> {
        let names =
            line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).strip_prefix(b"#Fields: ")?;
        let columns = read_header(names);
        let known = [Field::Time, Field::Connector];
        let kind = [Field::Session, Field::EventId];
        let has = |field: &Field| columns.position(*field as usize).is_some();
        (known.iter().all(has) && kind.iter().any(has)).then_some(columns)
    }

    fn logs(&self) -> Logs {
        Logs::Commands
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        columns: &Columns,
        out: &mut Vec<MailRecord<'a>>,
    ) -> Outcome {
        if line.raw.starts_with(b"#") || line.raw.starts_with(b"\xef\xbb\xbf#") {
            return Outcome::Ignored;
        }
        let cells = Cells::cut(line.raw);
        let row = cells.row(columns);
        parse_row(line, &row, row.kind(), out)
    }

    fn parse_own<'a>(
        &self,
        line: &Line<'a>,
        columns: &Columns,
        out: &mut Vec<MailRecord<'a>>,
    ) -> Option<Outcome> {
        let cells = Cells::cut(line.raw);
        parse_own_row(&cells, &cells.row(&NO_HEADER), line, columns, out)
    }

    fn parse_bare<'a>(
        &self,
        raw: &'a [u8],
        columns: &Columns,
        out: &mut Vec<MailRecord<'a>>,
    ) -> Option<(Option<LogTime>, Outcome)> {
        let line = Line::bare(raw);
        if in_current_order(columns)
            && let Some(row) = ReceiveRow::of_current(raw)
        {
            return Some((None, row.tell(&line, out)));
        }
        let cells = Cells::cut(raw);
        let own = cells.row(&NO_HEADER);
        // A comma behind the time: no syslog head.
        own.time()?;
        Some((None, parse_own_row(&cells, &own, &line, columns, out)?))
    }
}

/// Reads a row that is one of ours without any header (`own`), by the header in force.
fn parse_own_row<'a>(
    cells: &Cells<'a>,
    own: &Row<'a, '_>,
    line: &Line<'a>,
    columns: &Columns,
    out: &mut Vec<MailRecord<'a>>,
) -> Option<Outcome> {
    let kind = own.kind();
    if kind == Kind::None {
        return None;
    }
    // Most headers are those of the current versions.
    if columns.is_empty() || own.is_by(columns) {
        return Some(parse_row(line, own, kind, out));
    }
    let row = cells.row(columns);
    Some(parse_row(line, &row, row.kind(), out))
}

fn parse_row<'a>(
    line: &Line<'a>,
    row: &Row<'a, '_>,
    kind: Kind,
    out: &mut Vec<MailRecord<'a>>,
) -> Outcome {
    match kind {
        Kind::Protocol => ReceiveRow::of(row).tell(line, out),
        Kind::Tracking => parse_tracking(line, row, out),
        Kind::None => Outcome::Rejected(Reject::new("row", "the columns of the #Fields line")),
    }
}

#[cfg(test)]
mod tests;
