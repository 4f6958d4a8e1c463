//! Windows Defender Firewall, `pfirewall.log` (Windows XP to 11 and Server).
//!
//! ```text
//! #Fields: date time action protocol src-ip dst-ip src-port dst-port size tcpflags ... info path
//! 2026-11-02 10:00:00 DROP TCP 198.51.100.7 203.0.113.25 40001 25 60 S 1 0 64240 - - - RECEIVE
//! ```
//!
//! Microsoft Learn, "Configure Windows Firewall logging": the header names the columns and may come
//! again with others (newer systems add `pid`). Times are local and have no zone, the file does not
//! say whose it is. Windows XP also wrote OPEN, OPEN-INBOUND and CLOSE. Skipped: INFO-EVENTS-LOST,
//! all but TCP.

use memchr::memmem;

use crate::logs::clock::LogTime;
use crate::logs::fields::columns;
use crate::logs::firewall::ends::{Parsed, conclude, end};
use crate::logs::firewall::{FirewallFormat, FlowRecord, Shows};
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::model::flow::{Action, Packet};

/// The format.
pub(super) struct Format;

/// The columns that are read, in the order that the file has them where its header is missing.
const WANTED: [&str; 10] = [
    "date", "time", "action", "protocol", "src-ip", "dst-ip", "src-port", "dst-port", "size",
    "tcpflags",
];

/// `date time` before the action.
const TIME_LENGTH: usize = 19;

const ACTIONS: [&[u8]; 6] =
    [b" ALLOW ", b" DROP ", b" OPEN ", b" OPEN-INBOUND ", b" CLOSE ", b" INFO-EVENTS-LOST "];

impl FirewallFormat for Format {
    fn name(&self) -> &'static str {
        "windows_fw"
    }

    fn product(&self) -> &'static str {
        "Windows Defender Firewall, pfirewall.log"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"#Fields:", b"src-ip", b"dst-ip", b"dst-port", b"action"]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Allow, Shows::Deny, Shows::Close]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        const HEADERS: [&[u8]; 3] =
            [b"#Software: Microsoft Windows Firewall", b"#Version: 1.5", b"#Time Format: Local"];
        HEADERS.contains(&line.raw.trim_ascii_end()) || row_of(line.raw).is_some()
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        vec![format!(" {port} ").into_bytes()]
    }

    fn header(&self, line: &[u8]) -> Option<Columns> {
        let names = line.strip_prefix(b"#Fields: ")?.trim_ascii_end();
        let found = Columns::find(&WANTED, columns(names, b' '), b' ');
        (0..8).all(|field| found.position(field).is_some()).then_some(found)
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        columns: &Columns,
        out: &mut Vec<FlowRecord<'a>>,
    ) -> Outcome {
        conclude(parse(line, columns), out)
    }
}

/// The row of a line, wherever a shipper's head ends.
fn row_of(raw: &[u8]) -> Option<&[u8]> {
    let action = ACTIONS.iter().filter_map(|word| memmem::find(raw, word)).min()?;
    let row = raw.get(action.checked_sub(TIME_LENGTH)?..)?;
    LogTime::parse_iso(row).filter(|(_, used)| *used == TIME_LENGTH).map(|_| row)
}

fn parse<'a>(line: &Line<'a>, header: &Columns) -> Parsed<'a> {
    let Some(row) = row_of(line.raw) else { return Ok(None) };
    let row: Vec<&[u8]> = columns(row.trim_ascii_end(), b' ').collect();
    let at = |field: usize| {
        let position = if header.is_empty() { Some(field) } else { header.position(field) };
        position.and_then(|position| row.get(position)).copied()
    };
    let [date, time, action, protocol, src_ip, dst_ip, src_port, dst_port, _, flags] =
        std::array::from_fn(at);
    if protocol != Some(b"TCP") {
        return Ok(None);
    }
    let action = match action {
        Some(b"ALLOW" | b"OPEN" | b"OPEN-INBOUND") => Action::Allow,
        Some(b"DROP") => Action::Deny,
        Some(b"CLOSE") => Action::Close,
        _ => return Err(Reject::new("action", "ALLOW, DROP, OPEN, OPEN-INBOUND or CLOSE")),
    };
    let src = end((src_ip, "src-ip"), (src_port, "src-port"))?;
    let dst = end((dst_ip, "dst-ip"), (dst_port, "dst-port"))?;
    let mut record = FlowRecord::new(line, action, src, dst);
    record.time = date.zip(time).and_then(|(date, time)| LogTime::parse_fields(date, time, None));
    record.packet = packet_of(flags.unwrap_or(b"-"));
    // A row begins like a syslog head, so what was taken for a host is a word of the row.
    record.device = None;
    Ok(Some(record))
}

/// `-` where nothing is known, else letters: `S`, `AP`, `FA`.
fn packet_of(flags: &[u8]) -> Packet {
    match (flags, flags.contains(&b'S'), flags.contains(&b'A')) {
        (b"-", ..) => Packet::Connection,
        (_, true, false) => Packet::Syn,
        _ => Packet::Stray,
    }
}

#[cfg(test)]
mod tests {
    use super::Format;
    use crate::logs::firewall::FirewallFormat;
    use crate::logs::firewall::testing::{check, told_after};

    #[test]
    fn rows_without_their_header() {
        let row = |action: &str, ports: &str, flags: &str| {
            format!(
                "2026-11-02 10:00:00 {action} TCP 198.51.100.7 203.0.113.25 {ports} 60 {flags} 1 0 \
                 64240 - - - RECEIVE\r"
            )
        };
        let ends = "198.51.100.7:40001 > 203.0.113.25:25";
        check(
            &Format,
            &[
                (&row("DROP", "40001 25", "S"), &format!("2026-11-02T10:00:00Z deny {ends} syn")),
                (
                    &row("DROP", "40001 25", "AP"),
                    &format!("2026-11-02T10:00:00Z deny {ends} stray"),
                ),
                (&row("ALLOW", "40001 25", "-"), &format!("2026-11-02T10:00:00Z allow {ends}")),
                (
                    &row("OPEN-INBOUND", "40001 25", "-"),
                    &format!("2026-11-02T10:00:00Z allow {ends}"),
                ),
                (&row("CLOSE", "40001 25", "-"), &format!("2026-11-02T10:00:00Z close {ends}")),
                (
                    &format!("<13>Nov  2 10:00:01 host1 pf: {}", row("DROP", "40001 25", "S")),
                    &format!("2026-11-02T10:00:00Z deny {ends} syn"),
                ),
                (&row("DROP", "- -", "-"), "rejected src-port"),
                (&row("DROP", "40001 25", "S").replace("TCP", "UDP"), "ignored"),
                ("2026-11-02 10:00:00 INFO-EVENTS-LOST - - - - - - - - - - - - 7 -", "ignored"),
                ("#Software: Microsoft Internet Information Services 10.0", "not recognised"),
            ],
        );
    }

    #[test]
    fn the_header_orders_the_columns() {
        let header = b"#Fields: date time action protocol dst-ip src-ip src-port dst-port pid\r";
        let columns = Format.header(header).unwrap();
        let row = "2026-11-02 10:00:00 ALLOW TCP 203.0.113.25 198.51.100.7 40001 25 4";
        let expected = "2026-11-02T10:00:00Z allow 198.51.100.7:40001 > 203.0.113.25:25";
        assert_eq!(told_after(&Format, &columns, row), expected);
        assert!(Format.header(b"#Fields: date time s-ip cs-method").is_none());
    }
}
