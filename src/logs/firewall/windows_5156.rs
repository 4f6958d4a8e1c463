//! Windows Security events 5156, 5157 and 5152 of the Filtering Platform, as shippers write them.
//!
//! ```text
//! {"EventTime":"2026-11-02 10:00:00","Hostname":"mx1","EventID":5156,"SourceName":
//! "Microsoft-Windows-Security-Auditing","Direction":"%%14592","SourceAddress":"198.51.100.7",
//! "SourcePort":"40001","DestAddress":"203.0.113.25","DestPort":"25","Protocol":"6"}
//! ```
//!
//! Microsoft Learn, "5156(S): The Windows Filtering Platform has permitted a connection", 5157 (blocked
//! a connection) and 5152 (blocked a packet). The source is the end that opened the connection,
//! whichever the direction. Read are the named fields of NXLog, Winlogbeat, Wazuh and others (JSON),
//! of the event's XML, and the English message; messages in other languages only beside named
//! fields. Skipped: listening and binding (5154, 5155, 5158, 5159), all but TCP.

use memchr::memmem;

use crate::logs::clock::LogTime;
use crate::logs::fields::{after, between, until_any};
use crate::logs::firewall::ends::{Parsed, conclude, end};
use crate::logs::firewall::{FirewallFormat, FlowRecord, Shows};
use crate::logs::json::Json;
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::model::flow::Action;

/// The format.
pub(super) struct Format;

const MARK: &[u8] = b"Microsoft-Windows-Security-Auditing";

/// A field by its name in JSON and XML, by the name that Wazuh gives it, and in the message.
#[derive(Clone, Copy)]
struct Name {
    named: &'static str,
    wazuh: &'static str,
    message: &'static str,
}

impl Name {
    const fn new(named: &'static str, wazuh: &'static str, message: &'static str) -> Self {
        Self { named, wazuh, message }
    }
}

const SOURCE: Name = Name::new("SourceAddress", "sourceAddress", "Source Address:");
const SOURCE_PORT: Name = Name::new("SourcePort", "sourcePort", "Source Port:");
const SERVER: Name = Name::new("DestAddress", "destAddress", "Destination Address:");
const SERVER_PORT: Name = Name::new("DestPort", "destPort", "Destination Port:");
const PROTOCOL: Name = Name::new("Protocol", "protocol", "Protocol:");

impl FirewallFormat for Format {
    fn name(&self) -> &'static str {
        "windows_5156"
    }

    fn product(&self) -> &'static str {
        "Windows Filtering Platform events 5156, 5157, 5152 (JSON, XML, text)"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[
            b"Microsoft-Windows-Security-Auditing",
            b"SourceAddress",
            b"DestAddress",
            b"DestPort",
            b"Protocol",
        ]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Allow, Shows::Deny, Shows::Zone]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        memmem::find(line.raw, MARK).is_some()
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        // `Dest` and `dest`; the message with its tabs as they are and as JSON escapes them.
        vec![
            format!("estPort\":\"{port}\""),
            format!("estPort\": \"{port}\""),
            format!("estPort\":{port}"),
            format!("estPort\": {port}"),
            format!("DestPort\">{port}<"),
            format!("DestPort'>{port}<"),
            format!("Destination Port:\\t\\t{port}\\"),
            format!("Destination Port:\t\t{port}"),
        ]
        .into_iter()
        .map(String::into_bytes)
        .collect()
    }

    fn parse<'a>(&self, line: &Line<'a>, _: &Columns, out: &mut Vec<FlowRecord<'a>>) -> Outcome {
        conclude(parse(line), out)
    }
}

fn parse<'a>(line: &Line<'a>) -> Parsed<'a> {
    let raw = line.raw;
    let Some(action) = event_id(raw).and_then(action_of) else { return Ok(None) };
    match field(raw, PROTOCOL).ok_or(Reject::new("Protocol", "an IP protocol number"))? {
        b"6" => {}
        _ => return Ok(None),
    }
    let src = end((field(raw, SOURCE), "SourceAddress"), (field(raw, SOURCE_PORT), "SourcePort"))?;
    let dst = end((field(raw, SERVER), "DestAddress"), (field(raw, SERVER_PORT), "DestPort"))?;
    let mut record = FlowRecord::new(line, action, src, dst);
    record.time = own_time(raw).or(line.time);
    record.device = json_any(raw, &["Hostname", "computer_name", "computer", "Computer"])
        .or_else(|| between(raw, b"<Computer>", b"<"))
        .or(line.host);
    Ok(Some(record))
}

fn action_of(event: &[u8]) -> Option<Action> {
    match event {
        b"5156" => Some(Action::Allow),
        b"5157" | b"5152" => Some(Action::Deny),
        _ => None,
    }
}

fn event_id(raw: &[u8]) -> Option<&[u8]> {
    json_any(raw, &["EventID", "event_id", "eventID", "EventId"])
        .or_else(|| after(after(raw, b"<EventID")?, b">").map(|text| until_any(text, b"<")))
}

fn field(raw: &[u8], name: Name) -> Option<&[u8]> {
    let text = json_any(raw, &[name.named, name.wazuh]);
    text.or_else(|| xml_field(raw, name.named)).or_else(|| message_field(raw, name.message))
}

/// The text of the first of these keys, at any depth. A quote inside a string is escaped, so no
/// string can hold what looks like a key.
fn json_any<'a>(raw: &'a [u8], keys: &[&str]) -> Option<&'a [u8]> {
    keys.iter().find_map(|key| {
        let rest = after(raw, format!("\"{key}\"").as_bytes())?;
        Json::read(rest.trim_ascii_start().strip_prefix(b":")?)?.text()
    })
}

fn xml_field<'a>(raw: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let rest = after(raw, format!("Name=\"{name}\">").as_bytes())
        .or_else(|| after(raw, format!("Name='{name}'>").as_bytes()))?;
    Some(until_any(rest, b"<"))
}

/// A value of the message: after tabs, which JSON writes as `\\t`.
fn message_field<'a>(raw: &'a [u8], label: &str) -> Option<&'a [u8]> {
    let mut rest = after(raw, label.as_bytes())?.trim_ascii_start();
    while let Some(more) = rest.strip_prefix(b"\\t") {
        rest = more;
    }
    Some(until_any(rest, b" \t\r\n\\\""))
}

fn own_time(raw: &[u8]) -> Option<LogTime> {
    let text =
        json_any(raw, &["EventTime", "TimeCreated", "systemTime", "SystemTime", "@timestamp"])
            .or_else(|| between(raw, b"SystemTime=\"", b"\""))
            .or_else(|| between(raw, b"SystemTime='", b"'"))?;
    LogTime::parse_iso(text).map(|(time, _)| time).or_else(|| LogTime::parse_epoch(text))
}

#[cfg(test)]
mod tests {
    use super::Format;
    use crate::logs::firewall::testing::check;

    #[test]
    fn shippers() {
        let flow = "198.51.100.7:40001 > 203.0.113.25:25 @mx1";
        let flat = |event: &str, protocol: &str| {
            format!(
                "{{\"EventTime\":\"2026-11-02 10:00:00\",\"Hostname\":\"mx1\",\"EventID\":{event},\
                 \"SourceName\":\"Microsoft-Windows-Security-Auditing\",\"Message\":\"Port source \
                 :\\t\\t9 \\\"DestPort\\\":\\\"80\\\"\",\"SourceAddress\":\"198.51.100.7\",\
                 \"SourcePort\":\"40001\",\"DestAddress\":\"203.0.113.25\",\"DestPort\":\"25\",\
                 \"Protocol\":\"{protocol}\"}}"
            )
        };
        check(
            &Format,
            &[
                (&flat("5156", "6"), &format!("2026-11-02T10:00:00Z allow {flow}")),
                (&flat("5157", "6"), &format!("2026-11-02T10:00:00Z deny {flow}")),
                (&flat("5152", "6"), &format!("2026-11-02T10:00:00Z deny {flow}")),
                (&flat("5156", "17"), "ignored"),
                (&flat("5154", "6"), "ignored"),
                (&flat("5156", "6").replace("40001", "x"), "rejected SourcePort"),
                (
                    "{\"@timestamp\":\"2026-11-02T10:00:00.1Z\",\"winlog\":{\"provider_name\":\
                     \"Microsoft-Windows-Security-Auditing\",\"event_id\":\"5156\",\
                     \"computer_name\":\"mx1\",\"event_data\":{\"SourceAddress\":\"198.51.100.7\",\
                     \"SourcePort\":\"40001\",\"DestAddress\":\"203.0.113.25\",\"DestPort\":\"25\",\
                     \"Protocol\":\"6\"}}}",
                    &format!("2026-11-02T10:00:00Z allow {flow}"),
                ),
                (
                    "<Event><System><Provider Name='Microsoft-Windows-Security-Auditing'/>\
                     <EventID>5157</EventID><TimeCreated SystemTime='2026-11-02T10:00:00.1Z'/>\
                     <Computer>mx1</Computer></System><EventData><Data Name='SourceAddress'>\
                     198.51.100.7</Data><Data Name='SourcePort'>40001</Data>\
                     <Data Name='DestAddress'>203.0.113.25</Data><Data Name='DestPort'>25</Data>\
                     <Data Name='Protocol'>6</Data></EventData></Event>",
                    &format!("2026-11-02T10:00:00Z deny {flow}"),
                ),
                (
                    "{\"EventID\":5156,\"Hostname\":\"mx1\",\"SourceName\":\
                     \"Microsoft-Windows-Security-Auditing\",\"Message\":\"... permitted a \
                     connection.\\r\\n\\tSource Address:\\t\\t198.51.100.7\\r\\n\\tSource Port:\\t\\t\
                     40001\\r\\n\\tDestination Address:\\t203.0.113.25\\r\\n\\tDestination Port:\\t\
                     \\t25\\r\\n\\tProtocol:\\t\\t6\\r\\n\"}",
                    &format!("- allow {flow}"),
                ),
            ],
        );
    }
}
