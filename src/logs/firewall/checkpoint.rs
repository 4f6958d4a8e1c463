//! Check Point firewall logs, as the Log Exporter sends them and as SmartView Tracker and
//! `fwm logexport` save them.
//!
//! ```text
//! <134>1 2026-11-02T10:00:00Z mgmt CheckPoint 19 - [action:"Accept"; origin:"192.0.2.1"; dst:
//! "203.0.113.25"; product:"VPN-1 & FireWall-1"; proto:"6"; s_port:"40001"; service:"25"; src:...]
//! ```
//!
//! Shapes: that one and the others of `shapes` (structured data, JSON, `key=value|`, `fw log`), and
//! rows under a header that names the columns. Documents: Log Exporter guide (sk122323), Logging
//! and Monitoring guide, "Special log fields" (records with one `loguid` are updates of one log),
//! CLI reference, "fw log". `xlate*` fields are the translated ends, 0 or 0.0.0.0 where there is
//! none. CEF and LEEF have their own files. Skipped: products that are no firewall, actions that are
//! no verdict on a connection (Key Install, Log In), all but TCP, services by name other than
//! SMTP's, exports without a source port.

mod shapes;

use memchr::memmem;

use crate::logs::clock::{LogTime, month_number};
use crate::logs::fields::{Pairs, between, columns, split_once};
use crate::logs::firewall::ends::{Parsed, conclude, other_end, port, read_host};
use crate::logs::firewall::{FirewallFormat, FlowRecord, HostText, Join, JoinRule, Shows};
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::model::flow::Action;

/// The format.
pub(super) struct Format;

/// A connection's log is updated while it lasts.
const RETOLD_WITHIN_SECONDS: u32 = 3600;

/// Fields by the Log Exporter's names, then the same by the column names of exported files.
const FIELDS: [(&str, &str); 15] = [
    ("action", "action"),
    ("src", "source"),
    ("s_port", "source port"),
    ("dst", "destination"),
    ("service", "service"),
    ("proto", "protocol"),
    ("product", "product"),
    ("blade", "blade"),
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
        "Check Point firewall (Log Exporter, LEA clients, fw log, exported rows)"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"CheckPoint", b"product", b"action", b"src", b"dst", b"service"]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Allow, Shows::Deny, Shows::Nat, Shows::Zone]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        shapes::recognises(line)
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        const MARKS: [&str; 9] = ["=", "=\"", ":", ":\"", ": ", "\":\"", "\": \"", "\":", "\": "];
        let keys = ["service", "svc", "xlatedport", "xlatedport_svc"];
        let mut needles: Vec<String> =
            keys.iter().flat_map(|key| MARKS.map(|mark| format!("{key}{mark}{port}"))).collect();
        needles.extend(
            ["\"{port}\" \"", ";{port};", "\"{port}\",", ",{port},", "TCP/{port})"]
                .map(|row| row.replace("{port}", &port.to_string())),
        );
        for (name, _) in SERVICES.iter().filter(|(_, number)| *number == port) {
            let marked =
                ["service: {name};", "svc: {name};", "\"{name}\" \"", ";{name};", ",{name},"];
            needles.extend(marked.map(|row| row.replace("{name}", name)));
        }
        needles.into_iter().map(String::into_bytes).collect()
    }

    fn header(&self, line: &[u8]) -> Option<Columns> {
        let separator = match line.trim_ascii_start() {
            text @ [b'"', ..] if memmem::find(text, b"\",\"").is_some() => b',',
            [b'"', ..] => b' ',
            text if text.starts_with(b"num;date;time;") => b';',
            text if text.starts_with(b"Time,") => b',',
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
        let fields = match shapes::read_pairs(line) {
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

fn parse<'a>(line: &Line<'a>, fields: &Pairs<'a>) -> Parsed<'a> {
    if !fields.any(&["product", "ProductName", "blade"]).is_none_or(is_firewall) {
        return Ok(None);
    }
    let Some(action) = fields.any(&["Action", "action"]).and_then(action_of) else {
        return Ok(None);
    };
    let service = fields.any(&["service", "svc"]);
    let service_protocol = service.and_then(|text| between(text, b"(", b"/"));
    let proto = fields.get("proto").or(service_protocol);
    match proto.ok_or(Reject::new("proto", "an IP protocol number"))? {
        b"6" | b"tcp" | b"TCP" => {}
        _ => return Ok(None),
    }
    let Some(service) = service_port(service)? else { return Ok(None) };
    let dst = (host(fields.get("dst"), "dst")?, service);
    let src_port = port(fields.any(&["s_port", "sport_svc"]), "s_port")?;
    let src = (host(fields.get("src"), "src")?, src_port);
    let mut record = FlowRecord::new(line, action, src, dst);
    record.time = own_time(fields).or(line.time);
    record.device = fields.any(&["origin", "orig", "Origin"]).or(line.host);
    let other = |main, ip: &str, ports: &[&str]| other_end(main, fields.get(ip), fields.any(ports));
    record.nat_src = other(src, "xlatesrc", &["xlatesport", "xlatesport_svc"]);
    record.nat_dst = other(dst, "xlatedst", &["xlatedport", "xlatedport_svc"]);
    let rule = JoinRule::Once { within: RETOLD_WITHIN_SECONDS };
    record.join = fields.get("loguid").map(|uid| Join::new(rule, uid));
    Ok(Some(record))
}

/// An address, the name of an object, or both: `mx1 (203.0.113.25)`.
fn host<'a>(text: Option<&'a [u8]>, field: &'static str) -> Result<HostText<'a>, Reject> {
    let text = text.map(|text| between(text, b"(", b")").unwrap_or(text));
    text.and_then(read_host).ok_or(Reject::new(field, "an address or a name"))
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

/// `25`, `smtp`, `smtp (TCP/25)`.
fn service_port(text: Option<&[u8]>) -> Result<Option<u16>, Reject> {
    let text = text.map(|text| between(text, b"/", b")").unwrap_or(text));
    let by_name = text.filter(|name| name.first().is_some_and(u8::is_ascii_alphabetic));
    let Some(name) = by_name else { return port(text, "service").map(Some) };
    let known = SERVICES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
    Ok(known.map(|(_, port)| *port))
}

/// `time` is an epoch, a date and time, or a clock time beside a `date`.
fn own_time(fields: &Pairs<'_>) -> Option<LogTime> {
    let time = fields.any(&["time", "HeaderDateHour"])?;
    if let Some(date) = fields.get("date") {
        return parse_tracker_time(date, time);
    }
    LogTime::parse_epoch(time)
        .or_else(|| LogTime::parse_iso(time).map(|(time, _)| time))
        .or_else(|| split_once(time.trim_ascii(), b' ').and_then(|(d, t)| parse_tracker_time(d, t)))
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
    fn other_tools() {
        let flow = "198.51.100.7:40001 > 203.0.113.25:25";
        let lea = "action=drop|orig=192.0.2.1|i/f_dir=inbound|product=VPN-1 & FireWall-1|\
                   __policy_id_tag=product=x[date=1;action=accept]|src=198.51.100.7|s_port=40001|\
                   dst=203.0.113.25|service=25|proto=tcp";
        let fw = "inzone: External; service_id: smtp; src: 198.51.100.7; dst: 203.0.113.25; proto: \
                  tcp; xlatedst: 10.0.0.25; rule: 13; product: VPN-1 & FireWall-1; service: 25; \
                  s_port: 40001; xlatedport: 2525; product_family: Network;";
        let r80 = "LogId: 0; OriginSicName: cn=cp_mgmt,o=gw; src: 198.51.100.7; dst: mx1; proto: tcp; \
                   UP_match_table: TABLE_START; action: 2; ProductName: VPN-1 & FireWall-1; svc: smtp; \
                   sport_svc: 40001; ProductFamily: Network;";
        check(
            &Format,
            &[
                (
                    &format!(
                        "<165>Nov  2 10:00:05 h fw1-loggrabber[9]: time=2026-11-02 10:00:00|{lea}"
                    ),
                    &format!("2026-11-02T10:00:00Z deny {flow} @192.0.2.1"),
                ),
                (
                    &format!("Nov  2 10:00:05 h lea: loc=7|time=2Nov2026 10:00:00|{lea}"),
                    &format!("2026-11-02T10:00:00Z deny {flow} @192.0.2.1"),
                ),
                (
                    &format!("2Nov2026 10:00:00 accept gw >eth0 {fw}"),
                    &format!("2026-11-02T10:00:00Z allow {flow} nat_dst=10.0.0.25:2525 @gw"),
                ),
                (
                    &format!("Nov  2 10:00:05 h Checkpoint: 2Nov2026 10:00:00 drop gw >eth0 {fw}"),
                    &format!("2026-11-02T10:00:00Z deny {flow} nat_dst=10.0.0.25:2525 @gw"),
                ),
                (
                    &format!(" 10:00:00 5 N/A  1  drop   gw < eth1  {r80}"),
                    "- deny 198.51.100.7:40001 > mx1:25 @gw",
                ),
                (
                    &format!("HeaderDateHour: 2Nov2026 10:00:00; Action: drop; Origin: gw; {r80}"),
                    "2026-11-02T10:00:00Z deny 198.51.100.7:40001 > mx1:25 @gw",
                ),
                (
                    "<134>1 2026-11-02T10:00:05Z mgmt CheckPoint 7 - [action:Accept; time:1793613600; \
                     __policy_id_tag:product=x[db_tag={1};date=1;action=drop\\]; dst:203.0.113.25; \
                     product:VPN-1 & FireWall-1; proto:6; s_port:40001; service:25; src:198.51.100.7]",
                    &format!("2026-11-02T10:00:00Z allow {flow} @mgmt"),
                ),
                (
                    "<134>Nov  2 10:00:05 mgmt {\"action\":\"Drop\",\"origin\":\"192.0.2.1\",\"time\":\
                     \"1793613600\",\"dst\":\"203.0.113.25\",\"product\":\"VPN-1 & FireWall-1\",\
                     \"proto\":\"6\",\"s_port\":\"40001\",\"service\":\"25\",\"src\":\"198.51.100.7\"}",
                    &format!("2026-11-02T10:00:00Z deny {flow} @192.0.2.1"),
                ),
                (
                    "Nov  2 10:00:00 mx1 postfix/smtpd[7]: x: 2Nov2026 10:00:00 accept gw >eth0 \
                     product: VPN-1 & FireWall-1; service: 25;",
                    "not recognised",
                ),
            ],
        );
    }

    #[test]
    fn rows_under_a_header() {
        let tracker = "\"Number\" \"Date\" \"Time\" \"Origin\" \"Action\" \"Service\" \
                       \"Source Port\" \"Source\" \"Destination\" \"Protocol\" \"Product\"";
        let console = "\"Time\",\"Blade\",\"Action\",\"Origin\",\"Source\",\"Source Port\",\
                       \"Destination\",\"Service\"";
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
            (
                console,
                "\"2026-11-02T10:00:00Z\",\"Firewall\",\"Drop\",\"gw\",\"h1 (198.51.100.7)\",\"40001\",\
                 \"203.0.113.25\",\"smtp (TCP/25)\"",
                "2026-11-02T10:00:00Z deny 198.51.100.7:40001 > 203.0.113.25:25 @gw",
            ),
            (
                console,
                "\"2026-11-02T10:00:00Z\",\"Firewall\",\"Drop\",\"gw\",\"198.51.100.7\",\"1\",\
                 \"203.0.113.25\",\"domain-udp (UDP/53)\"",
                "ignored",
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
