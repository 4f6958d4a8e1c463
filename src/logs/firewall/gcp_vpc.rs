//! Google Cloud: VPC firewall rules logging and VPC flow logs, one entry an object.
//!
//! ```text
//! {"jsonPayload":{"connection":{"src_ip":"198.51.100.7","src_port":40001,"dest_ip":"10.0.0.25",
//! "dest_port":25,"protocol":6},"disposition":"ALLOWED","instance":{"vm_name":"mx1"}},
//! "timestamp":"2026-11-02T10:00:00.123456789Z"}
//! ```
//!
//! Google Cloud documentation, "Firewall Rules Logging" and "VPC Flow Logs: record format". A firewall
//! entry has a disposition. A flow has none: ingress is sampled after the firewall, so what the
//! destination reports was permitted; egress is sampled before it, so the source's report proves
//! nothing. Flows are sampled, both ways and by both ends, and told again each interval. An array
//! of entries may be one line, or have one entry a line, or be printed for people, which
//! `source::records` puts together. Skipped: all but TCP.

use memchr::memmem;

use crate::logs::clock::LogTime;
use crate::logs::firewall::ends::{Parsed, end};
use crate::logs::firewall::{FirewallFormat, FlowRecord, Join, JoinRule, Shows};
use crate::logs::json::Json;
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::model::flow::Action;

/// The format.
pub(super) struct Format;

/// The longest aggregation interval of flows is 15 minutes.
const RETOLD_WITHIN_SECONDS: u32 = 1200;

impl FirewallFormat for Format {
    fn name(&self) -> &'static str {
        "gcp_vpc"
    }

    fn product(&self) -> &'static str {
        "Google Cloud firewall rules logging and VPC flow logs (JSON)"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"\"connection\"", b"\"src_ip\"", b"\"dest_ip\"", b"\"dest_port\"", b"\"protocol\""]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Allow, Shows::Deny, Shows::Zone]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        let has = |mark: &[u8]| memmem::find(line.raw, mark).is_some();
        has(b"\"connection\":") && has(b"\"dest_ip\":") && !has(b"\"event_type\":")
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        ["", " ", "\"", " \""].map(|gap| format!("\"dest_port\":{gap}{port}").into_bytes()).to_vec()
    }

    fn parse<'a>(&self, line: &Line<'a>, _: &Columns, out: &mut Vec<FlowRecord<'a>>) -> Outcome {
        let before = out.len();
        let mut rejected = None;
        for entry in entries(line.raw) {
            match parse(line, entry) {
                Ok(record) => out.extend(record),
                Err(reject) => rejected = Some(reject),
            }
        }
        match rejected {
            _ if out.len() > before => Outcome::Event,
            Some(reject) => Outcome::Rejected(reject),
            None => Outcome::Ignored,
        }
    }
}

/// The entries of a line: an array's, or the one object.
fn entries(raw: &[u8]) -> impl Iterator<Item = Json<'_>> {
    let array = Json::read(raw).filter(|value| value.elements().next().is_some());
    let single = if array.is_none() { Json::read_object(raw) } else { None };
    array.into_iter().flat_map(Json::elements).chain(single)
}

fn parse<'a>(line: &Line<'a>, entry: Json<'a>) -> Parsed<'a> {
    // A push subscription and some collectors put the entry into an object of their own.
    let entry = entry.holding("jsonPayload").unwrap_or(entry);
    let payload = entry.get("jsonPayload").unwrap_or(entry);
    let connection = payload.get("connection").ok_or(Reject::new("connection", "an object"))?;
    // Tables hold every number as a floating one: `25.0`.
    let field = |key: &str| connection.text_of(key).map(|t| t.strip_suffix(b".0").unwrap_or(t));
    if field("protocol") != Some(b"6") {
        return Ok(None);
    }
    let src = end((field("src_ip"), "src_ip"), (field("src_port"), "src_port"))?;
    let dst = end((field("dest_ip"), "dest_ip"), (field("dest_port"), "dest_port"))?;
    let text = |path: &[&str]| payload.at(path).and_then(Json::text);
    let reporter = text(&["reporter"]);
    let (action, instance) = match (text(&["disposition"]), reporter) {
        (Some(b"ALLOWED"), _) => (Action::Allow, "instance"),
        (Some(b"DENIED"), _) => (Action::Deny, "instance"),
        (Some(_), _) => return Err(Reject::new("disposition", "ALLOWED or DENIED")),
        (None, Some(b"DEST")) => (Action::Allow, "dest_instance"),
        (None, _) => (Action::Unknown, "src_instance"),
    };
    let mut record = FlowRecord::new(line, action, src, dst);
    let time = text(&["start_time"]).or_else(|| entry.text_of("timestamp"));
    record.time = time.and_then(LogTime::parse_iso).map(|(time, _)| time);
    record.device = text(&[instance, "vm_name"]);
    if reporter.is_some() {
        let rule = JoinRule::Once { within: RETOLD_WITHIN_SECONDS };
        record.join = Some(Join::new(rule, (src, dst)));
    }
    Ok(Some(record))
}

#[cfg(test)]
mod tests {
    use super::Format;
    use crate::logs::firewall::testing::check;

    fn entry(payload: &str) -> String {
        format!(
            "{{\"jsonPayload\":{{\"connection\":{{\"dest_ip\":\"10.0.0.25\",\"dest_port\":25,\
             \"protocol\":6,\"src_ip\":\"198.51.100.7\",\"src_port\":40001}},{payload}}},\
             \"timestamp\":\"2026-11-02T10:00:05.123456789Z\"}}"
        )
    }

    #[test]
    fn entries() {
        let ends = "198.51.100.7:40001 > 10.0.0.25:25";
        let start = "\"start_time\":\"2026-11-02T10:00:00.1Z\"";
        let denied = format!("2026-11-02T10:00:05Z deny {ends}");
        let cases = [
            (
                entry("\"disposition\":\"ALLOWED\",\"instance\":{\"vm_name\":\"mx1\"}"),
                format!("2026-11-02T10:00:05Z allow {ends} @mx1"),
            ),
            (entry("\"disposition\":\"DENIED\""), denied.clone()),
            (
                entry(&format!(
                    "\"reporter\":\"DEST\",{start},\"dest_instance\":{{\"vm_name\":\"mx1\"}}"
                )),
                format!("2026-11-02T10:00:00Z allow {ends} @mx1"),
            ),
            (
                entry(&format!("\"reporter\":\"SRC\",{start}")),
                format!("2026-11-02T10:00:00Z unknown {ends}"),
            ),
            (format!("[{},", entry("\"disposition\":\"DENIED\"")), denied.clone()),
            (
                format!("[{0}, {0}]", entry("\"disposition\":\"DENIED\"")),
                format!("{denied} | {denied}"),
            ),
            (
                format!("{{\"data\":{},\"x\":1}}", entry("\"disposition\":\"DENIED\"")),
                denied.clone(),
            ),
            (
                entry("\"disposition\":\"DENIED\"")
                    .replace(":25,", ":25.0,")
                    .replace(":6,", ":6.0,")
                    .replace(":40001}", ":\"40001\"}"),
                denied.clone(),
            ),
            (entry("\"disposition\":\"x\""), "rejected disposition".to_owned()),
            (entry("\"reporter\":\"SRC\"").replace(":6,", ":17,"), "ignored".to_owned()),
        ];
        for (line, expected) in &cases {
            check(&Format, &[(line, expected)]);
        }
    }
}
