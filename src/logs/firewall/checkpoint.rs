//! Check Point firewall logs, as the Log Exporter sends them and as SmartView Tracker and
//! `fwm logexport` save them.
//!
//! ```text
//! <134>1 2026-11-02T10:00:00Z mgmt CheckPoint 19 - [action:"Accept"; origin:"192.0.2.1"; dst:
//! "203.0.113.25"; product:"VPN-1 & FireWall-1"; proto:"6"; s_port:"40001"; service:"25"; src:...]
//! ```
//!
//! Shapes: that one, structured data (`[sc4s@2620 action="Accept" ...]`), `|key=value|` (Splunk),
//! and rows under a header that names the columns. Documents: Log Exporter guide (sk122323),
//! Logging and Monitoring guide, "Special log fields" (records with one `loguid` are updates of one
//! log). `xlate*` fields are the translated ends, 0 or 0.0.0.0 where there is none. CEF and LEEF
//! have their own files. Skipped: products that are no firewall, actions that are no verdict on a
//! connection (Key Install, Log In), all but TCP, services by name other than SMTP's.

use memchr::memmem;

use crate::logs::clock::{LogTime, month_number};
use crate::logs::fields::{Pairs, columns, split_once, until_any};
use crate::logs::firewall::ends::{Parsed, address, conclude, other_end, port};
use crate::logs::firewall::{FirewallFormat, FlowRecord, HostText, Join, JoinRule, Shows};
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::model::flow::Action;

/// The format.
pub(super) struct Format;

/// A connection's log is updated while it lasts.
const RETOLD_WITHIN_SECONDS: u32 = 3600;

/// Longest name of a field, or of structured data, that is looked for behind a bracket.
const LONGEST_KEY: usize = 64;

/// Fields by the Log Exporter's names, then the same by the column names of exported files.
const FIELDS: [(&str, &str); 14] = [
    ("action", "action"),
    ("src", "source"),
    ("s_port", "source port"),
    ("dst", "destination"),
    ("service", "service"),
    ("proto", "protocol"),
    ("product", "product"),
    ("origin", "orig"),
    ("xlatesrc", "xlatesrc"),
    ("xlatesport", "xlatesport"),
    ("xlatedst", "xlatedst"),
    ("xlatedport", "xlatedport"),
    ("date", "date"),
    ("time", "time"),
];

impl FirewallFormat for Format {
    fn name(&self) -> &'static str {
        "checkpoint"
    }

    fn product(&self) -> &'static str {
        "Check Point firewall (Log Exporter syslog, structured data, |key=value|, exported rows)"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"CheckPoint", b"product", b"action", b"src", b"dst", b"service"]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Allow, Shows::Deny, Shows::Nat, Shows::Zone]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        let has = |mark: &[u8]| memmem::find(line.raw, mark).is_some();
        // Other programs may quote such text; here it is the whole message, or the structured data
        // before an empty one.
        let whole = line.body.is_empty() || line.body.starts_with(b"[");
        line.tag == Some(b"CheckPoint")
            || whole && (has(b"[action:\"") || has(b"__policy_id_tag:") || has(b"@2620 "))
            || until_any(line.body, b" ").contains(&b'|') && has(b"|product=")
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        let mut needles: Vec<String> = ["service", "xlatedport"]
            .iter()
            .flat_map(|key| {
                [format!("{key}:\"{port}\""), format!("{key}=\"{port}\""), format!("{key}={port}|")]
            })
            .collect();
        needles.extend([format!("\"{port}\" \""), format!(";{port};")]);
        for (name, _) in SERVICES.iter().filter(|(_, number)| *number == port) {
            needles.extend([format!("\"{name}\" \""), format!(";{name};")]);
        }
        needles.into_iter().map(String::into_bytes).collect()
    }

    fn header(&self, line: &[u8]) -> Option<Columns> {
        let separator = match line.trim_ascii_start() {
            [b'"', ..] => b' ',
            text if text.starts_with(b"num;date;time;") => b';',
            _ => return None,
        };
        let wanted: Vec<&str> =
            FIELDS.iter().flat_map(|(field, column)| [*field, *column]).collect();
        let found = Columns::find(&wanted, columns(line.trim_ascii(), separator), separator);
        let has = |key: &str| column_of(&found, key).is_some();
        (has("action") && has("src") && has("dst") && has("service")).then_some(found)
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        columns: &Columns,
        out: &mut Vec<FlowRecord<'a>>,
    ) -> Outcome {
        let fields = match read_pairs(line) {
            Some(pairs) => pairs,
            None if columns.is_empty() => return Outcome::Ignored,
            None => read_row(line.raw, columns),
        };
        conclude(parse(line, &fields), out)
    }
}

/// The position of a field in rows under this header.
fn column_of(columns: &Columns, key: &str) -> Option<usize> {
    let index = FIELDS.iter().position(|(field, _)| *field == key)?;
    let at = index.checked_mul(2)?;
    columns.position(at).or_else(|| columns.position(at.checked_add(1)?))
}

fn read_row<'a>(raw: &'a [u8], header: &Columns) -> Pairs<'a> {
    let row: Vec<&[u8]> = columns(raw.trim_ascii(), header.separator).collect();
    FIELDS
        .iter()
        .filter_map(|(key, _)| Some((key.as_bytes(), *row.get(column_of(header, key)?)?)))
        .collect()
}

/// The pairs of a line in one of the Log Exporter's shapes.
fn read_pairs<'a>(line: &Line<'a>) -> Option<Pairs<'a>> {
    for at in memchr::memchr_iter(b'[', line.raw) {
        let text = line.raw.get(at.checked_add(1)?..)?;
        let word = until_any(text.get(..LONGEST_KEY).unwrap_or(text), b":@ ]");
        match text.get(word.len()..) {
            Some([b':', b'"', ..]) => return Some(quoted_pairs(text).collect()),
            Some([b'@', ..]) => return Some(Pairs::read(text, b" ]")),
            _ => {}
        }
    }
    memmem::find(line.body, b"|product=").map(|_| Pairs::read(line.body, b"|"))
}

/// Iterates over `key:"value"; key::"value"; ...`, up to what is none.
fn quoted_pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (key, tail) = split_once(rest.trim_ascii_start(), b':')?;
        let inner = tail.strip_prefix(b":").unwrap_or(tail).strip_prefix(b"\"")?;
        let mut escaped = false;
        let end = inner.iter().position(|&b| {
            let closes = b == b'"' && !escaped;
            escaped = b == b'\\' && !escaped;
            closes
        })?;
        let tail = inner.get(end.checked_add(1)?..)?;
        rest = tail.strip_prefix(b";").unwrap_or(tail);
        Some((key, inner.get(..end)?))
    })
}

fn parse<'a>(line: &Line<'a>, fields: &Pairs<'a>) -> Parsed<'a> {
    if !fields.get("product").is_none_or(is_firewall) {
        return Ok(None);
    }
    let Some(action) = fields.any(&["action", "Action"]).and_then(action_of) else {
        return Ok(None);
    };
    match fields.get("proto").ok_or(Reject::new("proto", "an IP protocol number"))? {
        b"6" | b"tcp" | b"TCP" => {}
        _ => return Ok(None),
    }
    let Some(service) = service_port(fields.get("service"))? else { return Ok(None) };
    let dst = (HostText::Ip(address(fields.get("dst"), "dst")?), service);
    let src =
        (HostText::Ip(address(fields.get("src"), "src")?), port(fields.get("s_port"), "s_port")?);
    let mut record = FlowRecord::new(line, action, src, dst);
    record.time = own_time(fields).or(line.time);
    record.device = fields.get("origin").or(line.host);
    record.nat_src = other_end(src, fields.get("xlatesrc"), fields.get("xlatesport"));
    record.nat_dst = other_end(dst, fields.get("xlatedst"), fields.get("xlatedport"));
    let rule = JoinRule::Once { within: RETOLD_WITHIN_SECONDS };
    record.join = fields.get("loguid").map(|uid| Join::new(rule, uid));
    Ok(Some(record))
}

/// `VPN-1 & FireWall-1`, `Firewall`, `VPN & FireWall`.
pub(super) fn is_firewall(product: &[u8]) -> bool {
    memmem::find(&product.to_ascii_lowercase(), b"firewall").is_some()
}

pub(super) fn action_of(word: &[u8]) -> Option<Action> {
    match word.to_ascii_lowercase().as_slice() {
        b"accept" | b"allow" | b"encrypt" | b"decrypt" => Some(Action::Allow),
        b"drop" | b"reject" | b"block" | b"prevent" => Some(Action::Deny),
        _ => None,
    }
}

/// Exported rows may name a service; only SMTP's names are read.
const SERVICES: [(&str, u16); 3] = [("smtp", 25), ("smtps", 465), ("submission", 587)];

fn service_port(text: Option<&[u8]>) -> Result<Option<u16>, Reject> {
    let by_name = text.filter(|name| name.first().is_some_and(u8::is_ascii_alphabetic));
    let Some(name) = by_name else { return port(text, "service").map(Some) };
    let known = SERVICES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
    Ok(known.map(|(_, port)| *port))
}

/// `time` is an epoch, and a clock time beside a `date` in exported rows.
fn own_time(fields: &Pairs<'_>) -> Option<LogTime> {
    let time = fields.get("time")?;
    match fields.get("date") {
        Some(date) => parse_tracker_time(date, time),
        None => LogTime::parse_epoch(time).or_else(|| LogTime::parse_iso(time).map(|(t, _)| t)),
    }
}

/// `2Nov2026` and `10:00:00`.
fn parse_tracker_time(date: &[u8], time: &[u8]) -> Option<LogTime> {
    let day = date.iter().take_while(|b| b.is_ascii_digit()).count();
    let (day, rest) = date.split_at_checked(day)?;
    let (month, year) = rest.split_at_checked(3)?;
    let month = month_number(month)?.to_string();
    let date = [year, month.as_bytes(), day].join(&b'-');
    LogTime::parse_fields(&date, time.trim_ascii(), None)
}

#[cfg(test)]
mod tests {
    use super::Format;
    use crate::logs::firewall::FirewallFormat;
    use crate::logs::firewall::testing::{check, told_after};

    #[test]
    fn the_exporters_shapes() {
        let allowed = "2026-11-02T10:00:00Z allow 198.51.100.7:40001 > 203.0.113.25:25";
        check(
            &Format,
            &[
                (
                    "<134>1 2026-11-02T10:00:05Z mgmt CheckPoint 19 - [action:\"Accept\"; \
                     origin:\"192.0.2.1\"; time:\"1793613600\"; \
                     __policy_id_tag:\"product=x[db_tag={1};dst:\\\"192.0.2.9\\\"\\]\"; \
                     msg::\"a; proto:\"; dst:\"203.0.113.25\"; product:\"VPN-1 & FireWall-1\"; \
                     proto:\"6\"; s_port:\"40001\"; service:\"25\"; src:\"198.51.100.7\"; \
                     xlatedport:\"0\"; xlatedst:\"10.0.0.25\"; xlatesport:\"0\"; \
                     xlatesrc:\"0.0.0.0\"]",
                    &format!("{allowed} nat_dst=10.0.0.25:25 @192.0.2.1"),
                ),
                (
                    "<134>1 2026-11-02T10:00:00Z gw CheckPoint 19 - [sc4s@2620 action=\"Accept\" \
                     dst=\"203.0.113.25\" product=\"Firewall\" proto=\"6\" s_port=\"40001\" \
                     service=\"25\" src=\"198.51.100.7\"]",
                    &format!("{allowed} @gw"),
                ),
                (
                    "Nov  2 10:00:00 gw time=1793613600|product=Firewall|action=Drop|\
                     origin=192.0.2.1|192.0.2.2|dst=203.0.113.25|proto=6|s_port=40001|service=25|\
                     src=198.51.100.7|",
                    "2026-11-02T10:00:00Z deny 198.51.100.7:40001 > 203.0.113.25:25 @192.0.2.1",
                ),
            ],
        );
    }

    #[test]
    fn rows_under_a_header() {
        let tracker = "\"Number\" \"Date\" \"Time\" \"Origin\" \"Action\" \"Service\" \
                       \"Source Port\" \"Source\" \"Destination\" \"Protocol\" \"Product\"";
        let export = "num;date;time;orig;action;product;src;dst;proto;service;s_port";
        let cases = [
            (
                tracker,
                "\"1\" \"2Nov2026\" \"10:00:00\" \"gw\" \"Drop\" \"25\" \"40001\" \
                 \"198.51.100.7\" \"203.0.113.25\" \"tcp\" \"VPN-1 & FireWall-1\"",
                "2026-11-02T10:00:00Z deny 198.51.100.7:40001 > 203.0.113.25:25 @gw",
            ),
            (
                export,
                "0;2Nov2026; 9:00:00;gw;accept;VPN-1 & FireWall-1;198.51.100.7;203.0.113.25;tcp;\
                 smtp;40001",
                "2026-11-02T09:00:00Z allow 198.51.100.7:40001 > 203.0.113.25:25 @gw",
            ),
            (export, "0;2Nov2026;9:00:00;gw;accept;x;192.0.2.1;192.0.2.2;tcp;25;1", "ignored"),
        ];
        for (header, row, expected) in cases {
            let columns = Format.header(header.as_bytes()).unwrap();
            assert_eq!(told_after(&Format, &columns, row), expected, "{row}");
        }
        assert!(Format.header(b"\"a\" \"b\"").is_none());
    }

    #[test]
    fn lines_without_a_record() {
        let of = |rest: &str| format!("Nov  2 10:00:00 gw |origin=192.0.2.1|{rest}");
        check(
            &Format,
            &[
                (&of("product=IPS|action=Drop|proto=6|service=25"), "ignored"),
                (&of("product=Firewall|action=Key Install|proto=6"), "ignored"),
                (&of("product=Firewall|action=Drop|proto=17"), "ignored"),
                (&of("product=Firewall|action=Drop|proto=6|service=http"), "ignored"),
                (&of("product=Firewall|action=Drop|proto=6|service=99999"), "rejected service"),
                ("Nov  2 10:00:00 mx1 postfix/smtpd[7]: warning: |product=x", "not recognised"),
            ],
        );
    }
}
