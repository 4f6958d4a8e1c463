//! Amazon VPC flow logs: the default (version 2) rows, rows under a header that names the columns,
//! JSON objects.
//!
//! ```text
//! 2 123456789010 eni-0123456789abcdef0 198.51.100.7 10.0.0.25 40001 25 6 20 4249 1793613600 1793613660 ACCEPT OK
//! ```
//!
//! VPC User Guide, "Flow log records". A row is what passed one interface in one direction in an
//! interval of 1 or 10 minutes: a connection is many rows, ACCEPT says that security group and
//! network ACL let it pass. `tcp-flags` is the union of the interval's flags, ACK only beside SYN:
//! 2 is the client's side, 18 the server's; a client that sent one packet got no answer to it, while
//! 2 over several packets proves nothing (its ACKs are not shown). `pkt-srcaddr` and `pkt-dstaddr`
//! are the packet's addresses behind a NAT gateway or an intermediate interface. Skipped: NODATA
//! and SKIPDATA, headers without ports, all but TCP.

use memchr::memmem;

use crate::logs::clock::LogTime;
use crate::logs::fields::{columns, until_any};
use crate::logs::firewall::ends::{Parsed, conclude, end, other_end};
use crate::logs::firewall::{FirewallFormat, FlowRecord, Join, JoinRule, Shows};
use crate::logs::json::Json;
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::model::flow::{Action, Answer, Packet};
use crate::model::net::parse_decimal;

/// The format.
pub(super) struct Format;

/// The columns that are read; the first ones in the order of version 2, where its two other columns
/// (packets and bytes come before start) stand as they do there.
const WANTED: [&str; 17] = [
    "version",
    "account-id",
    "interface-id",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "start",
    "end",
    "action",
    "log-status",
    "tcp-flags",
    "pkt-srcaddr",
    "pkt-dstaddr",
];

/// Columns of a version 2 row.
const DEFAULT_COLUMNS: usize = 14;

/// A connection's next row comes an interval later, at most ten minutes.
const RETOLD_WITHIN_SECONDS: u32 = 900;

impl FirewallFormat for Format {
    fn name(&self) -> &'static str {
        "aws_vpcflow"
    }

    fn product(&self) -> &'static str {
        "Amazon VPC flow logs (version 2, custom with header, JSON)"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"eni-", b" 6 ", b" ACCEPT ", b" OK"]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Allow, Shows::Deny, Shows::Nat, Shows::Zone]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        const WORDS: [&[u8]; 4] = [b" ACCEPT ", b" REJECT ", b" NODATA", b" SKIPDATA"];
        let has = |mark: &[u8]| memmem::find(line.raw, mark).is_some();
        has(b" eni-") && WORDS.iter().any(|word| has(word))
            || has(b"\"interface_id\"") && has(b"\"eni-")
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        [" P ", "\tP\t", ",P,", "\"dstport\":P", "\"dstport\": P"]
            .iter()
            .map(|form| form.replace('P', &port.to_string()).into_bytes())
            .collect()
    }

    fn header(&self, line: &[u8]) -> Option<Columns> {
        memmem::find(line, b"srcaddr").filter(|_| !line.contains(&b'{'))?;
        let line = line.to_ascii_lowercase();
        let names: Vec<u8> = line.iter().map(|&b| if b == b'_' { b'-' } else { b }).collect();
        let separator = *b"\t, ".iter().find(|separator| names.contains(separator))?;
        let found = Columns::find(&WANTED, columns(names.trim_ascii(), separator), separator);
        (found.position(3).is_some() && found.position(4).is_some()).then_some(found)
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        columns: &Columns,
        out: &mut Vec<FlowRecord<'a>>,
    ) -> Outcome {
        let fields = match read_fields(line.raw, columns) {
            Ok(fields) => fields,
            Err(reject) => return Outcome::Rejected(reject),
        };
        conclude(parse(line, &fields), out)
    }
}

/// A row's fields in the order of [`WANTED`]; `-` and what is missing are none.
type Fields<'a> = [Option<&'a [u8]>; WANTED.len()];

fn read_fields<'a>(raw: &'a [u8], header: &Columns) -> Result<Fields<'a>, Reject> {
    if let Some(object) = Json::read_object(raw) {
        return Ok(WANTED
            .map(|name| object.text_of(name).or_else(|| object.text_of(&name.replace('-', "_")))));
    }
    let raw = skip_export_time(raw.trim_ascii());
    if header.is_empty() {
        let row: Vec<&[u8]> = columns(raw, b' ').collect();
        if row.len() != DEFAULT_COLUMNS || row.first() != Some(&b"2".as_slice()) {
            return Err(Reject::new("version", "2 and 14 columns, or a header before"));
        }
        return Ok(std::array::from_fn(|field| given(row.get(field))));
    }
    let row: Vec<&[u8]> = columns(raw, header.separator).collect();
    if (0..WANTED.len()).filter_map(|field| header.position(field)).any(|at| at >= row.len()) {
        return Err(Reject::new("columns", "as many as the header names"));
    }
    Ok(std::array::from_fn(|field| given(row.get(header.position(field)?))))
}

fn given<'a>(column: Option<&&'a [u8]>) -> Option<&'a [u8]> {
    column.copied().filter(|text| *text != b"-" && !text.is_empty())
}

/// An export from CloudWatch Logs puts its own time before each row.
fn skip_export_time(row: &[u8]) -> &[u8] {
    let word = until_any(row, b" ");
    match LogTime::parse_iso(word) {
        Some((_, used)) if used == word.len() => {
            row.get(used..).unwrap_or_default().trim_ascii_start()
        }
        _ => row,
    }
}

fn parse<'a>(line: &Line<'a>, fields: &Fields<'a>) -> Parsed<'a> {
    let [_, _, interface, src_ip, dst_ip, src_port, dst_port, protocol, ..] = *fields;
    let [.., packets, _, start, end_time, action, status, flags, packet_src, packet_dst] = *fields;
    let has_data = status.is_none_or(|status| status == b"OK");
    if !has_data || src_port.is_none() || protocol.map(whole) != Some(b"6") {
        return Ok(None);
    }
    let action = match action {
        Some(b"ACCEPT") => Action::Allow,
        Some(b"REJECT") => Action::Deny,
        None => Action::Unknown,
        Some(_) => return Err(Reject::new("action", "ACCEPT or REJECT")),
    };
    let src = end((src_ip, "srcaddr"), (src_port.map(whole), "srcport"))?;
    let dst = end((dst_ip, "dstaddr"), (dst_port.map(whole), "dstport"))?;
    let mut record = FlowRecord::new(line, action, src, dst);
    record.time = start.or(end_time).and_then(|time| LogTime::parse_epoch(whole(time)));
    record.device = interface;
    record.nat_src = other_end(src, packet_src, None);
    record.nat_dst = other_end(dst, packet_dst, None);
    if let Some(flags) = flags.and_then(|flags| parse_decimal(whole(flags))) {
        record.packet = packet_of(flags);
        if action == Action::Allow && flags == 2 && packets.map(whole) == Some(b"1") {
            record.answer = Answer::Never;
        }
    }
    let rule = JoinRule::Once { within: RETOLD_WITHIN_SECONDS };
    record.join = Some(Join::new(rule, (src_ip, src_port, dst_ip, dst_port)));
    Ok(Some(record))
}

/// Query engines turn numbers into floats: `25.0`.
fn whole(number: &[u8]) -> &[u8] {
    number.strip_suffix(b".0").unwrap_or(number)
}

/// SYN is 2, ACK 16. Without SYN a row is a later part of a connection, its side unknown.
fn packet_of(flags: u64) -> Packet {
    match (flags & 2 != 0, flags & 16 != 0) {
        (true, true) => Packet::Stray,
        (true, false) => Packet::Syn,
        _ => Packet::Connection,
    }
}

#[cfg(test)]
mod tests {
    use super::Format;
    use crate::logs::firewall::FirewallFormat;
    use crate::logs::firewall::testing::{check, told_after};

    #[test]
    fn default_rows() {
        let at = "2026-11-02T10:00:00Z";
        check(
            &Format,
            &[
                (
                    "2 1234 eni-01 198.51.100.7 10.0.0.25 40001 25 6 20 4249 1793613600 1793613660 \
                     ACCEPT OK",
                    &format!("{at} allow 198.51.100.7:40001 > 10.0.0.25:25 @eni-01"),
                ),
                (
                    "2026-11-02T10:00:00.000Z 2 1234 eni-01 2001:db8::7 2001:db8::25 40001 25 6 1 \
                     60 1793613600 1793613660 REJECT OK",
                    &format!("{at} deny 2001:db8::7:40001 > 2001:db8::25:25 @eni-01"),
                ),
                ("2 1234 eni-01 - - - - - - - 1793613600 1793613660 - NODATA", "ignored"),
                (
                    "2 1234 eni-01 192.0.2.1 192.0.2.2 0 0 1 4 336 1793613600 1793613660 ACCEPT OK",
                    "ignored",
                ),
                ("5 1234 eni-01 192.0.2.1 192.0.2.2 40001 25 6 ACCEPT OK", "rejected version"),
            ],
        );
    }

    #[test]
    fn rows_under_a_header() {
        let header = b"version interface-id srcaddr dstaddr srcport dstport protocol packets \
                       tcp-flags pkt-srcaddr pkt-dstaddr action log-status start";
        let columns = Format.header(header).unwrap();
        let row = |packets: &str, flags: &str, real: &str| {
            format!(
                "3 eni-01 198.51.100.7 10.0.0.25 40001 25 6 {packets} {flags} 198.51.100.7 {real} \
                 ACCEPT OK 1793613600"
            )
        };
        let flow = "2026-11-02T10:00:00Z allow 198.51.100.7:40001 > 10.0.0.25:25";
        let cases = [
            (row("8", "2", "10.0.0.25"), format!("{flow} syn @eni-01")),
            (row("1", "2", "10.0.0.25"), format!("{flow} unanswered syn @eni-01")),
            (row("8", "19", "10.0.0.25"), format!("{flow} stray @eni-01")),
            (row("8", "0", "10.0.0.99"), format!("{flow} nat_dst=10.0.0.99:25 @eni-01")),
        ];
        for (row, expected) in cases {
            assert_eq!(told_after(&Format, &columns, &row), expected, "{row}");
        }
        assert_eq!(told_after(&Format, &columns, "3 eni-01 x"), "rejected columns");
        let without_ports = Format.header(b"instance-id interface-id srcaddr dstaddr").unwrap();
        assert_eq!(told_after(&Format, &without_ports, "- eni-01 192.0.2.1 192.0.2.2"), "ignored");
    }

    #[test]
    fn json() {
        check(
            &Format,
            &[(
                "{\"version\":2,\"interface_id\":\"eni-01\",\"srcaddr\":\"198.51.100.7\",\
                 \"dstaddr\":\"10.0.0.25\",\"srcport\":40001.0,\"dstport\":25.0,\"protocol\":6,\
                 \"start\":1793613600,\"action\":\"REJECT\",\"log_status\":\"OK\"}",
                "2026-11-02T10:00:00Z deny 198.51.100.7:40001 > 10.0.0.25:25 @eni-01",
            )],
        );
    }
}
