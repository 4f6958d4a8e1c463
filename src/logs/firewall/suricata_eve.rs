//! Suricata EVE JSON: flow, drop, alert and netflow events.
//!
//! ```text
//! {"timestamp":"2026-11-02T10:00:09.123456+0100","flow_id":7,"event_type":"flow","src_ip":
//! "198.51.100.7","src_port":40001,"dest_ip":"203.0.113.25","dest_port":25,"proto":"TCP","flow":
//! {"pkts_toserver":9,"pkts_toclient":8,"start":"2026-11-02T10:00:00.0+0100","state":"closed"}}
//! ```
//!
//! Suricata User Guide, "Eve JSON Format". A flow event has the client as source and is told at its
//! end, its time being the flow's start; one that was established had been let pass. `drop` events
//! and alerts that blocked are refusals of a packet, which may be the server's. Netflow events are
//! one direction of a flow and say nothing of a verdict. Skipped: alerts that let pass, protocol
//! events (smtp, tls), all but TCP.

use memchr::memmem;

use crate::logs::clock::LogTime;
use crate::logs::firewall::ends::{Parsed, conclude, end};
use crate::logs::firewall::{FirewallFormat, FlowRecord, Shows};
use crate::logs::json::Json;
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::model::flow::{Action, Answer, Packet};

/// The format.
pub(super) struct Format;

impl FirewallFormat for Format {
    fn name(&self) -> &'static str {
        "suricata_eve"
    }

    fn product(&self) -> &'static str {
        "Suricata EVE JSON (flow, drop, alert, netflow)"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"\"event_type\"", b"\"flow_id\"", b"\"src_ip\"", b"\"dest_ip\"", b"\"dest_port\""]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Deny, Shows::Close, Shows::Zone]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        let has = |mark: &[u8]| memmem::find(line.raw, mark).is_some();
        has(b"\"event_type\":")
            && (has(b"\"flow_id\":") || has(b"\"dest_ip\":") || has(b"\"stats\":"))
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        ["", " ", "\"", " \""].map(|gap| format!("\"dest_port\":{gap}{port}").into_bytes()).to_vec()
    }

    fn parse<'a>(&self, line: &Line<'a>, _: &Columns, out: &mut Vec<FlowRecord<'a>>) -> Outcome {
        conclude(parse(line), out)
    }
}

fn parse<'a>(line: &Line<'a>) -> Parsed<'a> {
    let broken = Reject::new("event", "one JSON object on the line");
    let event = Json::read_object(line.raw).and_then(|event| event.holding("event_type"));
    let event = event.ok_or(broken)?;
    if event.text_of("proto").is_none_or(|proto| proto != b"TCP") {
        return Ok(None);
    }
    let flow = event.get("flow");
    let (action, packet) = match event.text_of("event_type") {
        Some(b"flow") => (flow_action(flow), Packet::Connection),
        Some(b"drop") => (Action::Deny, dropped_packet(event)),
        Some(b"alert") if is_blocked(event) => (Action::Deny, Packet::Connection),
        Some(b"netflow") => (Action::Unknown, Packet::Connection),
        _ => return Ok(None),
    };
    let ends = alert_ends(event).unwrap_or(event);
    let src = end((ends.text_of("src_ip"), "src_ip"), (ends.text_of("src_port"), "src_port"))?;
    let dst = end((ends.text_of("dest_ip"), "dest_ip"), (ends.text_of("dest_port"), "dest_port"))?;
    let mut record = FlowRecord::new(line, action, src, dst);
    let start = flow.filter(|_| action == Action::Close).and_then(|flow| flow.text_of("start"));
    let time = start.or_else(|| event.text_of("timestamp"));
    record.time = time.and_then(LogTime::parse_iso).map(|(time, _)| time).or(line.time);
    record.device = event.text_of("host").or(line.host);
    record.packet = packet;
    record.answer = flow.map_or(Answer::Untold, |flow| answer_of(action, flow));
    Ok(Some(record))
}

/// The alert's own word, or the verdict that Suricata 7 adds.
fn is_blocked(event: Json<'_>) -> bool {
    let text = |path: &[&str]| event.at(path).and_then(Json::text);
    text(&["alert", "action"]) == Some(b"blocked") || text(&["verdict", "action"]) == Some(b"drop")
}

/// Suricata 7 names the verdict; before, the state tells whether the handshake was finished.
fn flow_action(flow: Option<Json<'_>>) -> Action {
    let text = |key: &str| flow.and_then(|flow| flow.text_of(key));
    match (text("action"), text("state")) {
        (Some(b"drop"), _) => Action::Deny,
        (_, Some(b"established" | b"closed")) => Action::Close,
        _ => Action::Unknown,
    }
}

/// A flow that stayed new and in which the server sent nothing.
fn answer_of(action: Action, flow: Json<'_>) -> Answer {
    let silent = flow.text_of("pkts_toclient") == Some(b"0");
    if action == Action::Unknown && silent { Answer::Never } else { Answer::Untold }
}

fn dropped_packet(event: Json<'_>) -> Packet {
    let Some(packet) = event.get("drop") else { return Packet::Connection };
    let flag = |name: &str| packet.get(name).is_some_and(Json::is_true);
    match (packet.get("syn").is_some(), flag("syn") && !flag("ack")) {
        (false, _) => Packet::Connection,
        (true, true) => Packet::Syn,
        (true, false) => Packet::Stray,
    }
}

/// An alert's own ends are its packet's; since Suricata 7 its flow has the connection's.
fn alert_ends(event: Json<'_>) -> Option<Json<'_>> {
    event.get("alert")?;
    event.get("flow").filter(|flow| flow.get("src_ip").is_some())
}

#[cfg(test)]
mod tests {
    use super::Format;
    use crate::logs::firewall::testing::check;

    fn event(kind: &str, more: &str) -> String {
        format!(
            "{{\"timestamp\":\"2026-11-02T10:00:09.123456+0100\",\"flow_id\":7,\
             \"event_type\":\"{kind}\",\"src_ip\":\"198.51.100.7\",\"src_port\":40001,\
             \"dest_ip\":\"203.0.113.25\",\"dest_port\":25,\"proto\":\"TCP\"{more}}}"
        )
    }

    #[test]
    fn events() {
        let ends = "198.51.100.7:40001 > 203.0.113.25:25";
        let flow = |more: &str| {
            event("flow", &format!(",\"flow\":{{\"start\":\"2026-11-02T10:00:00.5+0100\",{more}}}"))
        };
        let cases = [
            (flow("\"state\":\"closed\""), format!("2026-11-02T09:00:00Z close {ends}")),
            (flow("\"state\":\"established\""), format!("2026-11-02T09:00:00Z close {ends}")),
            (
                flow("\"state\":\"new\",\"pkts_toclient\":0"),
                format!("2026-11-02T09:00:09Z unknown {ends} unanswered"),
            ),
            (
                flow("\"state\":\"new\",\"action\":\"drop\""),
                format!("2026-11-02T09:00:09Z deny {ends}"),
            ),
            (
                event("drop", ",\"drop\":{\"len\":60,\"syn\":true,\"ack\":false}"),
                format!("2026-11-02T09:00:09Z deny {ends} syn"),
            ),
            (
                event("drop", ",\"drop\":{\"syn\":true,\"ack\":true}"),
                format!("2026-11-02T09:00:09Z deny {ends} stray"),
            ),
            (
                event("alert", ",\"alert\":{\"action\":\"blocked\"}"),
                format!("2026-11-02T09:00:09Z deny {ends}"),
            ),
            (
                event(
                    "alert",
                    ",\"alert\":{\"action\":\"blocked\"},\"flow\":{\"src_ip\":\"192.0.2.1\",\
                     \"src_port\":9,\"dest_ip\":\"192.0.2.2\",\"dest_port\":25}",
                ),
                "2026-11-02T09:00:09Z deny 192.0.2.1:9 > 192.0.2.2:25".to_owned(),
            ),
            (event("netflow", ""), format!("2026-11-02T09:00:09Z unknown {ends}")),
            (
                event(
                    "alert",
                    ",\"alert\":{\"action\":\"allowed\"},\"verdict\":{\"action\":\"drop\"}",
                ),
                format!("2026-11-02T09:00:09Z deny {ends}"),
            ),
            (
                format!("{{\"rule\":{{\"id\":1}},\"data\":{}}}", event("netflow", ""))
                    .replace(":25,", ":\"25\","),
                format!("2026-11-02T09:00:09Z unknown {ends}"),
            ),
            (
                event(
                    "flow",
                    ",\"flow\":{\"state\":\"new\"},\"http\":{\"url\":\"\\\"event_type\\\":\\\"drop\\\"\"}",
                ),
                format!("2026-11-02T09:00:09Z unknown {ends}"),
            ),
            (event("alert", ",\"alert\":{\"action\":\"allowed\"}"), "ignored".to_owned()),
            (event("smtp", ""), "ignored".to_owned()),
            (event("flow", "").replace("TCP", "UDP"), "ignored".to_owned()),
            (event("netflow", "").replace("198.", "x"), "rejected src_ip".to_owned()),
            ("{\"event_type\":\"flow\",\"flow_id\":1".to_owned(), "rejected event".to_owned()),
        ];
        for (line, expected) in &cases {
            check(&Format, &[(line, expected)]);
        }
    }
}
