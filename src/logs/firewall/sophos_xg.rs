//! Sophos Firewall (SFOS, XG and XGS) and Sophos UTM 9 packet filter.
//!
//! ```text
//! device="SFW" date=2026-11-02 time=10:00:00 timezone="CET" device_id=S1 log_type="Firewall"
//! log_subtype="Allowed" src_ip=198.51.100.7 dst_ip=203.0.113.25 protocol="TCP" src_port=40001
//! dst_port=25 tran_dst_ip=10.0.0.25 tran_dst_port=25 connevent="Start" connid="7"
//! 2026:11:02-10:00:00 utm ulogd[7]: id="2001" sub="packetfilter" action="drop" srcip=... dstport="25"
//! ```
//!
//! Sophos Firewall syslog guide, firewall logs, in its two forms (`timestamp=`, `src_trans_ip` and
//! `con_event` in the newer one); UTM 9 `packetfilter.log`. `tran_*` are the translated ends, empty
//! where there is none. "Invalid Traffic" is packets outside any connection, UTM prints TCP flags.
//! Skipped: all log types but Firewall, all but TCP.

use memchr::memmem;

use crate::logs::clock::LogTime;
use crate::logs::fields::{Pairs, starts_soon};
use crate::logs::firewall::ends::{Parsed, conclude, end, other_end};
use crate::logs::firewall::{FirewallFormat, FlowRecord, Join, JoinRule, Shows};
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::model::flow::{Action, Answer, Packet};

/// The format.
pub(super) struct Format;

/// Start and interim records of one connection count once.
const RETOLD_WITHIN_SECONDS: u32 = 3600;

impl FirewallFormat for Format {
    fn name(&self) -> &'static str {
        "sophos_xg"
    }

    fn product(&self) -> &'static str {
        "Sophos Firewall (SFOS) and Sophos UTM 9 packet filter"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"device=\"SFW\"", b"log_type=", b"src_ip=", b"dst_ip=", b"dst_port="]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Allow, Shows::Deny, Shows::Close, Shows::Nat, Shows::Zone]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        // In the newer form the device's name is what the administrator called it.
        let has = |mark: &[u8]| memmem::find(line.body, mark).is_some();
        let sfos = starts_soon(line.body, b"device=\"SFW\"")
            || starts_soon(line.body, b"device_name=\"")
                && has(b" log_type=\"")
                && has(b" device_");
        sfos && line.pid.is_none()
            || (line.tag == Some(b"ulogd") || utm_head(line.raw).0.is_some())
                && memmem::find(line.raw, b" sub=\"packetfilter\"").is_some()
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        ["dst_port=", "dst_port=\"", "dstport=\"", "dst_trans_port=", "dst_trans_port=\""]
            .iter()
            .map(|key| format!("{key}{port}").into_bytes())
            .collect()
    }

    fn parse<'a>(&self, line: &Line<'a>, _: &Columns, out: &mut Vec<FlowRecord<'a>>) -> Outcome {
        let fields = Pairs::read(line.body, b" ");
        match fields.get("sub") {
            Some(b"packetfilter") => conclude(parse_utm(line, &fields), out),
            Some(_) => Outcome::Ignored,
            None => conclude(parse_sfos(line, &fields), out),
        }
    }
}

fn parse_sfos<'a>(line: &Line<'a>, fields: &Pairs<'a>) -> Parsed<'a> {
    if fields.get("log_type") != Some(b"Firewall") {
        return Ok(None);
    }
    match fields.get("protocol").ok_or(Reject::new("protocol", "a protocol's name"))? {
        b"TCP" | b"6" => {}
        _ => return Ok(None),
    }
    let verdict = fields.any(&["log_subtype", "status"]).unwrap_or_default();
    let event = fields.any(&["connevent", "con_event"]);
    let action = match (verdict, event) {
        (b"Allowed" | b"Allow", Some(b"Stop")) => Action::Close,
        (b"Allowed" | b"Allow", _) => Action::Allow,
        (b"Denied" | b"Dropped" | b"Drop" | b"Rejected" | b"Deny", _) => Action::Deny,
        _ => return Err(Reject::new("log_subtype", "Allowed, Denied or Dropped")),
    };
    let src = end((fields.get("src_ip"), "src_ip"), (fields.get("src_port"), "src_port"))?;
    let dst = end((fields.get("dst_ip"), "dst_ip"), (fields.get("dst_port"), "dst_port"))?;
    let mut record = FlowRecord::new(line, action, src, dst);
    record.time = sfos_time(fields).or(line.time);
    record.device = fields.any(&["device_id", "device_serial_id"]).or(line.host);
    let other =
        |main, ip: [&str; 2], port: [&str; 2]| other_end(main, fields.any(&ip), fields.any(&port));
    record.nat_src =
        other(src, ["tran_src_ip", "src_trans_ip"], ["tran_src_port", "src_trans_port"]);
    record.nat_dst =
        other(dst, ["tran_dst_ip", "dst_trans_ip"], ["tran_dst_port", "dst_trans_port"]);
    if fields.get("log_component") == Some(b"Invalid Traffic") {
        record.packet = Packet::Stray;
    }
    if action == Action::Close && fields.any(&["recv_pkts", "packets_received"]) == Some(b"0") {
        record.answer = Answer::Never;
    }
    if action == Action::Allow {
        let rule = JoinRule::Once { within: RETOLD_WITHIN_SECONDS };
        record.join = fields.any(&["connid", "con_id"]).map(|id| Join::new(rule, id));
    }
    Ok(Some(record))
}

/// `timestamp="2026-11-02T10:00:00+0100"`, or date, time and a zone by name or offset.
fn sfos_time(fields: &Pairs<'_>) -> Option<LogTime> {
    let whole = fields.get("timestamp").and_then(LogTime::parse_iso).map(|(time, _)| time);
    whole.or_else(|| {
        let zone = fields.get("timezone").map(|zone| offset_of(zone).unwrap_or(zone));
        LogTime::parse_fields(fields.get("date")?, fields.get("time")?, zone)
    })
}

/// Offsets of zone names that mean one thing everywhere; others are the input's zone.
fn offset_of(name: &[u8]) -> Option<&'static [u8]> {
    Some(match name {
        b"WET" => b"+00",
        b"WEST" | b"CET" => b"+01",
        b"CEST" | b"EET" => b"+02",
        b"EEST" | b"MSK" => b"+03",
        b"JST" => b"+09",
        b"AEST" => b"+10",
        b"AEDT" => b"+11",
        b"EDT" => b"-04",
        b"EST" => b"-05",
        b"MDT" => b"-06",
        b"PDT" => b"-07",
        b"PST" => b"-08",
        _ => return None,
    })
}

fn parse_utm<'a>(line: &Line<'a>, fields: &Pairs<'a>) -> Parsed<'a> {
    if fields.get("proto").ok_or(Reject::new("proto", "an IP protocol number"))? != b"6" {
        return Ok(None);
    }
    let action = match fields.get("action").ok_or(Reject::new("action", "a word"))? {
        b"accept" => Action::Allow,
        b"drop" | b"reject" => Action::Deny,
        _ => Action::Unknown,
    };
    let src = end((fields.get("srcip"), "srcip"), (fields.get("srcport"), "srcport"))?;
    let dst = end((fields.get("dstip"), "dstip"), (fields.get("dstport"), "dstport"))?;
    let mut record = FlowRecord::new(line, action, src, dst);
    let (time, host) = utm_head(line.raw);
    record.time = time.or(line.time);
    record.device = host.or(line.host);
    if let Some(flags) = fields.get("tcpflags") {
        let has = |flag: &[u8]| flags.split(|&b| b == b' ').any(|word| word == flag);
        record.packet = if has(b"SYN") && !has(b"ACK") { Packet::Syn } else { Packet::Stray };
    }
    Ok(Some(record))
}

/// UTM's own head, `2026:11:02-10:00:00 HOST ulogd[7]:`, wherever a relay left it.
fn utm_head(raw: &[u8]) -> (Option<LogTime>, Option<&[u8]>) {
    let head = memmem::find(raw, b" ulogd[").and_then(|at| raw.get(..at)).unwrap_or_default();
    let mut words = head.rsplit(|&b| b == b' ');
    let host = words.next();
    // Older units write no name.
    if let Some(time) = host.and_then(parse_utm_time) {
        return (Some(time), None);
    }
    let Some(time) = words.next().and_then(parse_utm_time) else { return (None, None) };
    (Some(time), host)
}

fn parse_utm_time(text: &[u8]) -> Option<LogTime> {
    let (date, time) = text.split_at_checked(10)?;
    let date: Vec<u8> = date.iter().map(|&b| if b == b':' { b'-' } else { b }).collect();
    LogTime::parse_fields(&date, time.strip_prefix(b"-")?, None)
}

#[cfg(test)]
mod tests {
    use super::Format;
    use crate::logs::firewall::testing::check;

    #[test]
    fn sfos() {
        let line = |more: &str| {
            format!(
                "<30>device=\"SFW\" date=2026-11-02 time=10:00:00 timezone=\"CET\" device_id=S1 \
                 log_type=\"Firewall\" src_ip=198.51.100.7 dst_ip=203.0.113.25 protocol=\"TCP\" \
                 src_port=40001 dst_port=25 {more}"
            )
        };
        let ends = "198.51.100.7:40001 > 203.0.113.25:25";
        check(
            &Format,
            &[
                (
                    &line(
                        "log_subtype=\"Allowed\" connevent=\"Start\" tran_dst_ip=10.0.0.25 \
                           tran_dst_port=2525",
                    ),
                    &format!("2026-11-02T09:00:00Z allow {ends} nat_dst=10.0.0.25:2525 @S1"),
                ),
                (
                    &line(
                        "log_subtype=\"Allowed\" connevent=\"Stop\" recv_pkts=0 tran_src_ip=\"\" \
                           tran_dst_ip= tran_dst_port=0srczonetype=\"VPN\"",
                    ),
                    &format!("2026-11-02T09:00:00Z close {ends} unanswered @S1"),
                ),
                (
                    &line("log_subtype=\"Denied\" log_component=\"Invalid Traffic\""),
                    &format!("2026-11-02T09:00:00Z deny {ends} stray @S1"),
                ),
                (&line("log_subtype=\"Other\""), "rejected log_subtype"),
                (&line("").replace("TCP", "UDP"), "ignored"),
                (&line("").replace("\"Firewall\"", "\"Anti-Spam\""), "ignored"),
            ],
        );
    }

    #[test]
    fn the_newer_form() {
        check(
            &Format,
            &[(
                "<30>device_name=\"SFW\" timestamp=\"2026-11-02T10:00:00-0400\" \
                 device_serial_id=\"X1\" log_type=\"Firewall\" log_component=\"Firewall Rule\" \
                 log_subtype=\"Allowed\" src_ip=\"198.51.100.7\" dst_ip=\"203.0.113.25\" \
                 protocol=\"TCP\" src_port=40001 dst_port=25 src_trans_ip=\"192.0.2.1\" \
                 con_event=\"Stop\" con_id=\"9\"",
                "2026-11-02T14:00:00Z close 198.51.100.7:40001 > 203.0.113.25:25 \
                 nat_src=192.0.2.1:40001 @X1",
            )],
        );
        let renamed = "<30>1 2026-11-02T10:00:05Z fw1 sfos - - - device_name=\"edge 1\" \
                       timestamp=\"2026-11-02T10:00:00Z\" device_model=\"XGS116\" \
                       device_serial_id=\"X1\" log_type=\"Firewall\" log_subtype=\"Denied\" \
                       src_ip=\"198.51.100.7\" dst_ip=\"203.0.113.25\" protocol=\"TCP\" \
                       src_port=\"40001\" dst_port=\"25\" message=\"x log_subtype=Allowed\"";
        let expected = "2026-11-02T10:00:00Z deny 198.51.100.7:40001 > 203.0.113.25:25 @X1";
        check(&Format, &[(renamed, expected)]);
    }

    #[test]
    fn utm() {
        let line = |action: &str, flags: &str| {
            format!(
                "2026:11:02-10:00:00 utm-1 ulogd[4711]: id=\"2001\" sys=\"SecureNet\" \
                 sub=\"packetfilter\" action=\"{action}\" srcip=\"198.51.100.7\" \
                 dstip=\"203.0.113.25\" proto=\"6\" srcport=\"40001\" dstport=\"25\" \
                 tcpflags=\"{flags}\""
            )
        };
        let ends = "198.51.100.7:40001 > 203.0.113.25:25";
        check(
            &Format,
            &[
                (&line("drop", "SYN"), &format!("2026-11-02T10:00:00Z deny {ends} syn @utm-1")),
                (
                    &format!("<30>Nov  2 10:00:03 relay {}", line("accept", "ACK SYN")),
                    &format!("2026-11-02T10:00:00Z allow {ends} stray @utm-1"),
                ),
                (&line("log", "SYN"), &format!("2026-11-02T10:00:00Z unknown {ends} syn @utm-1")),
                (
                    &line("drop", "SYN").replace(" utm-1", ""),
                    &format!("2026-11-02T10:00:00Z deny {ends} syn"),
                ),
                (
                    &line("drop", "SYN").replace("2026:11:02-10:00:00", "Nov  2 10:00:00"),
                    &format!("2026-11-02T10:00:00Z deny {ends} syn @utm-1"),
                ),
            ],
        );
    }
}
