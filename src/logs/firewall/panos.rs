//! Palo Alto Networks PAN-OS, TRAFFIC log in the default comma-separated syslog form.
//!
//! ```text
//! Nov  2 10:00:00 pa-1 1,2026/11/02 10:00:00,0123456789,TRAFFIC,end,2561,2026/11/02 10:00:00,
//! 198.51.100.7,203.0.113.25,198.51.100.7,10.0.0.25,mail in,,,smtp,vsys1,untrust,dmz,...,tcp,allow,...
//! ```
//!
//! PAN-OS Administrator's Guide, "Traffic Log Fields" (8.0 to 11.x; older releases have fewer
//! columns, a relay may eat the first). Addresses and ports are the ones of the original session,
//! the NAT columns those after translation. A `start` or `end` whose action is not `allow` was
//! refused, as were `drop` and `deny`. Skipped: all other log types (THREAT records are verdicts
//! inside a session that has its own TRAFFIC record) and all but TCP.

use crate::logs::clock::{Civil, LogTime};
use crate::logs::fields::{columns, split_once};
use crate::logs::firewall::ends::{Parsed, conclude, end, other_end};
use crate::logs::firewall::{FirewallFormat, FlowRecord, Join, JoinRule, Shows};
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::model::flow::{Action, Answer};
use crate::model::net::parse_decimal;

/// The format.
pub(super) struct Format;

/// Columns by the guide's order, the type being the fourth, as distances from the type.
mod column {
    pub(super) const SUBTYPE: usize = 0;
    pub(super) const GENERATED: usize = 2;
    pub(super) const SOURCE: usize = 3;
    pub(super) const DESTINATION: usize = 4;
    pub(super) const NAT_SOURCE: usize = 5;
    pub(super) const NAT_DESTINATION: usize = 6;
    pub(super) const SESSION: usize = 18;
    pub(super) const REPEAT_COUNT: usize = 19;
    pub(super) const SOURCE_PORT: usize = 20;
    pub(super) const DESTINATION_PORT: usize = 21;
    pub(super) const NAT_SOURCE_PORT: usize = 22;
    pub(super) const NAT_DESTINATION_PORT: usize = 23;
    pub(super) const PROTOCOL: usize = 25;
    pub(super) const ACTION: usize = 26;
    pub(super) const PACKETS_RECEIVED: usize = 41;
    pub(super) const DEVICE: usize = 48;
    pub(super) const HIGH_RESOLUTION: usize = 98;
    pub(super) const ALL: usize = 99;
}

/// The guide's log types.
const TYPES: [&[u8]; 16] = [
    b"TRAFFIC",
    b"THREAT",
    b"SYSTEM",
    b"CONFIG",
    b"HIPMATCH",
    b"HIP-MATCH",
    b"CORRELATION",
    b"USERID",
    b"GLOBALPROTECT",
    b"AUTHENTICATION",
    b"DECRYPTION",
    b"TUNNEL",
    b"SCTP",
    b"IPTAG",
    b"GTP",
    b"URL",
];

/// A session may be told to start more than once, as its application is recognised.
const RETOLD_WITHIN_SECONDS: u32 = 3600;

impl FirewallFormat for Format {
    fn name(&self) -> &'static str {
        "panos"
    }

    fn product(&self) -> &'static str {
        "Palo Alto Networks PAN-OS TRAFFIC log (CSV)"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b",TRAFFIC,", b",tcp,", b"vsys", b",allow,"]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Allow, Shows::Deny, Shows::Close, Shows::Nat, Shows::Zone]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        log_type(line.body).is_some()
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        vec![format!(",{port},").into_bytes()]
    }

    fn parse<'a>(&self, line: &Line<'a>, _: &Columns, out: &mut Vec<FlowRecord<'a>>) -> Outcome {
        conclude(parse(line), out)
    }
}

/// The log's type and the columns after it: it stands after the serial number and a time, with or
/// without the reserved column before them.
fn log_type(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = body;
    for position in 0..4 {
        let (column, remainder) = split_once(rest, b',')?;
        if position >= 2 && TYPES.contains(&column) {
            return Some((column, remainder));
        }
        rest = remainder;
    }
    None
}

fn parse<'a>(line: &Line<'a>) -> Parsed<'a> {
    let Some((b"TRAFFIC", rest)) = log_type(line.body) else { return Ok(None) };
    let mut row = [None; column::ALL];
    for (slot, column) in row.iter_mut().zip(columns(rest, b',')) {
        *slot = Some(column);
    }
    let at = |position: usize| row.get(position).copied().flatten();
    let protocol = at(column::PROTOCOL).ok_or(Reject::new("Protocol", "a protocol's name"))?;
    if protocol != b"tcp" {
        return Ok(None);
    }
    let subtype = at(column::SUBTYPE).unwrap_or_default();
    let action = action_of(subtype, at(column::ACTION).unwrap_or_default())
        .ok_or(Reject::new("Threat/Content Type", "start, end, drop or deny"))?;
    let src =
        end((at(column::SOURCE), "Source Address"), (at(column::SOURCE_PORT), "Source Port"))?;
    let dst = end(
        (at(column::DESTINATION), "Destination Address"),
        (at(column::DESTINATION_PORT), "Destination Port"),
    )?;
    let mut record = FlowRecord::new(line, action, src, dst);
    record.time = own_time(at(column::GENERATED), at(column::HIGH_RESOLUTION)).or(line.time);
    record.device = at(column::DEVICE).filter(|name| !name.is_empty()).or(line.host);
    record.nat_src = other_end(src, at(column::NAT_SOURCE), at(column::NAT_SOURCE_PORT));
    record.nat_dst = other_end(dst, at(column::NAT_DESTINATION), at(column::NAT_DESTINATION_PORT));
    record.count = repeat_count(at(column::REPEAT_COUNT));
    if action == Action::Close && at(column::PACKETS_RECEIVED) == Some(b"0") {
        record.answer = Answer::Never;
    }
    if action == Action::Allow {
        let session = [column::SESSION, column::SOURCE, column::SOURCE_PORT].map(at);
        record.join = Some(Join::new(JoinRule::Once { within: RETOLD_WITHIN_SECONDS }, session));
    }
    Ok(Some(record))
}

pub(super) fn action_of(subtype: &[u8], action: &[u8]) -> Option<Action> {
    match (subtype, action) {
        (b"start", b"allow") => Some(Action::Allow),
        (b"end", b"allow") => Some(Action::Close),
        (b"start" | b"end" | b"drop" | b"deny", _) => Some(Action::Deny),
        _ => None,
    }
}

/// "Number of sessions with same source, destination, application and subtype seen within five
/// seconds."
fn repeat_count(text: Option<&[u8]>) -> u32 {
    let count = text.and_then(parse_decimal).and_then(|count| u32::try_from(count).ok());
    count.unwrap_or(1).max(1)
}

/// The generated time. The high-resolution one of PAN-OS 10 is the same with a zone; it is taken
/// where it agrees to the minute, which tells it from whatever else stands in that column.
fn own_time(generated: Option<&[u8]>, high_resolution: Option<&[u8]>) -> Option<LogTime> {
    let generated = generated.and_then(parse_time)?;
    let precise = high_resolution.and_then(LogTime::parse_iso).map(|(time, _)| time);
    match (generated, precise) {
        (LogTime::Civil(own), Some(LogTime::Civil(zoned))) if same_minute(own, zoned) => precise,
        _ => Some(generated),
    }
}

fn same_minute(a: Civil, b: Civil) -> bool {
    let minute = |c: Civil| (c.year, c.month, c.day, c.hour, c.minute);
    minute(a) == minute(b)
}

/// `2026/11/02 10:00:00`, ISO 8601, or what a spreadsheet makes of it: `11/2/26 10:00`.
fn parse_time(text: &[u8]) -> Option<LogTime> {
    LogTime::parse_iso(text).map(|(time, _)| time).or_else(|| parse_spreadsheet_time(text))
}

fn parse_spreadsheet_time(text: &[u8]) -> Option<LogTime> {
    let (date, time) = split_once(text, b' ')?;
    let (month, rest) = split_once(date, b'/')?;
    let (day, year) = split_once(rest, b'/')?;
    let (hour, minute) = split_once(time, b':')?;
    let small = |digits: &[u8]| u8::try_from(parse_decimal(digits)?).ok();
    let year = small(year)?;
    let civil = Civil {
        year: Some(2000 + i32::from(year)),
        month: small(month)?,
        day: small(day)?,
        hour: small(hour)?,
        minute: small(minute)?,
        second: 0,
        micros: 0,
        offset: None,
    };
    civil.is_valid().then_some(LogTime::Civil(civil))
}

#[cfg(test)]
mod tests {
    use super::Format;
    use crate::logs::firewall::testing::check;

    const HEAD: &str = "Nov  2 10:00:02 pa-1 1,2026/11/02 10:00:01,0123,TRAFFIC";

    #[test]
    fn records() {
        let tail = "\"mail, in\",,,smtp,vsys1,untrust,dmz,ae1,ae2,log,2026/11/02 10:00:00,77,1";
        let close = format!(
            "{HEAD},end,2561,2026/11/02 10:00:00,198.51.100.7,203.0.113.25,0.0.0.0,10.0.0.25,{tail},\
             40001,25,0,2525,0x400053,tcp,allow,900,500,400,0,2026/11/02 09:59:50,10,any,0,1,0x0,\
             US,DE,0,3,0,aged-out,0,0,0,0,,pa-edge,from-policy"
        );
        let deny = format!(
            "1,2026/11/02 10:00:01,0123,TRAFFIC,end,1,11/2/26 10:00,198.51.100.7,203.0.113.25,\
             0.0.0.0,0.0.0.0,{tail},40001,25,0,0,0x0,tcp,reset-both,0"
        );
        let start = "2026/11/02 10:00:01,0123,TRAFFIC,start,1,2026-11-02T10:00:00+01:00,2001:db8::7,\
             2001:db8::25,,,rule,,,smtp,vsys1,u,d,a,b,log,x,77,3,40001,25,0,0,0x0,tcp,allow,0";
        check(
            &Format,
            &[
                (
                    &close,
                    "2026-11-02T10:00:00Z close 198.51.100.7:40001 > 203.0.113.25:25 \
                 nat_dst=10.0.0.25:2525 unanswered @pa-edge",
                ),
                (&deny, "2026-11-02T10:00:00Z deny 198.51.100.7:40001 > 203.0.113.25:25"),
                (start, "2026-11-02T09:00:00Z allow 2001:db8::7:40001 > 2001:db8::25:25 x3"),
            ],
        );
    }

    #[test]
    fn the_high_resolution_time_has_the_zone() {
        let ports = format!("192.0.2.1,192.0.2.2{}1,25,,,,tcp", ",".repeat(16));
        let row = |high: &str| {
            format!("{HEAD},drop,1,2026/11/02 10:00:00,{ports}{}{high}", ",".repeat(73))
        };
        let denied = "deny 192.0.2.1:1 > 192.0.2.2:25 @pa-1";
        check(
            &Format,
            &[
                (&row("2026-11-02T10:00:00.123+01:00"), &format!("2026-11-02T09:00:00Z {denied}")),
                (&row("1970-01-01T00:00:00.000Z"), &format!("2026-11-02T10:00:00Z {denied}")),
            ],
        );
    }

    #[test]
    fn lines_without_a_record() {
        check(
            &Format,
            &[
                ("1,2026/11/02 10:00:01,0123,THREAT,url,1,x,198.51.100.7,\",TRAFFIC,\"", "ignored"),
                ("1,2026/11/02 10:00:01,0123,TRAFFIC,end,1,x,198.51.100.7", "rejected Protocol"),
                ("1,2,3,4,5,TRAFFIC,end", "not recognised"),
            ],
        );
    }
}
