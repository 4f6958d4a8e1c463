//! Windows Security events 5156, 5157 and 5152 of the Filtering Platform, as shippers write them.
//!
//! ```text
//! {"EventTime":"2026-11-02 10:00:00","Hostname":"mx1","EventID":5156,"SourceName":
//! "Microsoft-Windows-Security-Auditing","Direction":"%%14592","SourceAddress":"198.51.100.7",
//! "SourcePort":"40001","DestAddress":"203.0.113.25","DestPort":"25","Protocol":"6"}
//! ```
//!
//! Microsoft Learn, "5156(S): The Windows Filtering Platform has permitted a connection", 5157 (blocked
//! a connection) and 5152 (blocked a packet). The source is the end that opened the connection; but
//! of inbound connections some versions print the listening end first (the examples of 5156 and
//! 5157 do): there a source port of SMTP's tells the server. Read are the named fields of NXLog,
//! Winlogbeat, Wazuh, evtx dumps and others (JSON), of the event's XML, and the English message (also
//! Snare's); messages in other languages only beside named fields. Skipped: listening and binding
//! (5154, 5155, 5158, 5159), all but TCP.

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
const DIRECTION: Name = Name::new("Direction", "direction", "Direction:");

/// Names of the machine, in NXLog's, Winlogbeat's, Wazuh's, PowerShell's and Fluent Bit's records.
const DEVICE: [&str; 6] =
    ["Hostname", "computer_name", "computer", "Computer", "MachineName", "ComputerName"];

/// Ports on which mail servers listen and from which no client connects.
const MAIL_PORTS: [u16; 4] = [25, 465, 587, 2525];

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
        // `Dest` and `dest`; the message with its tabs as they are, as JSON and as relays escape
        // them, and with the blanks of Snare.
        let end = |json: &str, message: &str| {
            [
                format!("{json}Port\":\"{port}\""),
                format!("{json}Port\": \"{port}\""),
                format!("{json}Port\":{port}"),
                format!("{json}Port\": {port}"),
                format!("{json}Port\">{port}<"),
                format!("{json}Port'>{port}<"),
                format!("{message} Port:\\t\\t{port}\\"),
                format!("{message} Port:\t\t{port}"),
                format!("{message} Port:#011#011{port}"),
                format!("{message} Port:  {port} "),
                format!("{message} Port: {port} "),
            ]
        };
        let mut needles = end("est", "Destination").to_vec();
        needles.extend(end("ource", "Source"));
        needles.into_iter().map(String::into_bytes).collect()
    }

    fn parse<'a>(&self, line: &Line<'a>, _: &Columns, out: &mut Vec<FlowRecord<'a>>) -> Outcome {
        conclude(parse(line), out)
    }
}

fn parse<'a>(line: &Line<'a>) -> Parsed<'a> {
    let raw = line.raw;
    let Some(action) = event_id(raw).and_then(action_of) else { return Ok(None) };
    match field(raw, PROTOCOL).ok_or(Reject::new("Protocol", "an IP protocol number"))? {
        b"6" | b"TCP" => {}
        _ => return Ok(None),
    }
    let src = end((field(raw, SOURCE), "SourceAddress"), (field(raw, SOURCE_PORT), "SourcePort"))?;
    let dst = end((field(raw, SERVER), "DestAddress"), (field(raw, SERVER_PORT), "DestPort"))?;
    let (src, dst) = if listener_first(raw, src.1, dst.1) { (dst, src) } else { (src, dst) };
    let mut record = FlowRecord::new(line, action, src, dst);
    record.time = own_time(raw).or_else(|| snare_time(raw)).or(line.time);
    record.device =
        json_any(raw, &DEVICE).or_else(|| between(raw, b"<Computer>", b"<")).or(line.host);
    Ok(Some(record))
}

/// Whether an inbound connection is told with its listening end as the source.
fn listener_first(raw: &[u8], source: u16, destination: u16) -> bool {
    let inbound = matches!(field(raw, DIRECTION), Some(b"%%14592" | b"Inbound"));
    inbound && MAIL_PORTS.contains(&source) && !MAIL_PORTS.contains(&destination)
}

fn action_of(event: &[u8]) -> Option<Action> {
    match event {
        b"5156" => Some(Action::Allow),
        b"5157" | b"5152" => Some(Action::Deny),
        _ => None,
    }
}

/// The event's number: by its name, else by the message's first sentence.
fn event_id(raw: &[u8]) -> Option<&[u8]> {
    json_any(raw, &["EventID", "event_id", "eventID", "EventId"])
        .or_else(|| after(after(raw, b"<EventID")?, b">").map(|text| until_any(text, b"<")))
        .or_else(|| {
            let sentence = after(raw, b"The Windows Filtering Platform has ")?;
            SENTENCES.iter().find(|(start, _)| sentence.starts_with(start)).map(|(_, id)| *id)
        })
}

/// What the platform has done, and the event's number.
const SENTENCES: [(&[u8], &[u8]); 4] = [
    (b"permitted a connection", b"5156"),
    (b"allowed a connection", b"5156"),
    (b"blocked a connection", b"5157"),
    (b"blocked a packet", b"5152"),
];

fn field(raw: &[u8], name: Name) -> Option<&[u8]> {
    let text = json_any(raw, &[name.named, name.wazuh]);
    text.or_else(|| xml_field(raw, name.named)).or_else(|| message_field(raw, name.message))
}

/// The text of the first of these keys, at any depth. A quote inside a string is escaped, so no
/// string can hold what looks like a key.
fn json_any<'a>(raw: &'a [u8], keys: &[&str]) -> Option<&'a [u8]> {
    keys.iter().find_map(|key| {
        let rest = after(raw, format!("\"{key}\"").as_bytes())?;
        let value = Json::read(rest.trim_ascii_start().strip_prefix(b":")?)?;
        // Dumps of event files give an element with attributes as an object.
        value.text().or_else(|| value.text_of("Value").or_else(|| value.text_of("#text")))
    })
}

fn xml_field<'a>(raw: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let rest = after(raw, format!("Name=\"{name}\">").as_bytes())
        .or_else(|| after(raw, format!("Name='{name}'>").as_bytes()))?;
    Some(until_any(rest, b"<"))
}

/// A value of the message: after tabs, which JSON writes as `\\t` and rsyslog as `#011`.
fn message_field<'a>(raw: &'a [u8], label: &str) -> Option<&'a [u8]> {
    let mut rest = after(raw, label.as_bytes())?.trim_ascii_start();
    while let Some(more) = rest.strip_prefix(b"\\t").or_else(|| rest.strip_prefix(b"#011")) {
        rest = more;
    }
    Some(until_any(rest, b" \t\r\n\\\"#"))
}

fn own_time(raw: &[u8]) -> Option<LogTime> {
    const NAMES: [&str; 6] =
        ["EventTime", "TimeCreated", "systemTime", "SystemTime", "TimeGenerated", "@timestamp"];
    let text = json_any(raw, &NAMES)
        .or_else(|| between(raw, b"SystemTime=\"", b"\""))
        .or_else(|| between(raw, b"SystemTime='", b"'"))?;
    // `\/Date(1793613600000)\/`, as Windows PowerShell writes it.
    let text = between(text, b"Date(", b")").unwrap_or(text);
    // `2026-11-02 10:00:00 +0100`, as Fluent Bit writes it.
    let mut words = text.split(|&b| b == b' ');
    let [date, time, zone] = std::array::from_fn(|_| words.next().unwrap_or_default());
    LogTime::parse_fields(date, time, Some(zone))
        .or_else(|| LogTime::parse_iso(text).map(|(time, _)| time))
        .or_else(|| LogTime::parse_epoch(text))
}

/// `MSWinEventLog`, criticality, log, counter, `Mon Nov 02 10:00:00 2026`, between tabs.
fn snare_time(raw: &[u8]) -> Option<LogTime> {
    let fields = after(raw, b"MSWinEventLog")?;
    let time = fields.split(|&b| b == b'\t').nth(4)?;
    LogTime::parse_rfc3164(time.get(4..)?).map(|(time, _)| time)
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
                (&flat("{\"Value\":5156}", "6"), &format!("2026-11-02T10:00:00Z allow {flow}")),
                (
                    &flat("5156", "6").replace("10:00:00\"", "10:00:00 +0100\""),
                    &format!("2026-11-02T09:00:00Z allow {flow}"),
                ),
                (
                    &flat("5156", "6")
                        .replace("2026-11-02 10:00:00\"", "\\/Date(1793613600000)\\/\""),
                    &format!("2026-11-02T10:00:00Z allow {flow}"),
                ),
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

    #[test]
    fn records_of_powershell() {
        let record = "{ \"Message\":  \"The Windows Filtering Platform has blocked a connection.\\r\\n\\t\
                      Source Address:\\t\\t198.51.100.7\\r\\n\\tSource Port:\\t\\t40001\\r\\n\\t\
                      Destination Address:\\t203.0.113.25\\r\\n\\tDestination Port:\\t\\t25\\r\\n\\t\
                      Protocol:\\t\\t6\\r\\n\", \"Id\":  5157, \"ProviderName\":  \
                      \"Microsoft-Windows-Security-Auditing\", \"MachineName\":  \"mx1\" },";
        let expected = "- deny 198.51.100.7:40001 > 203.0.113.25:25 @mx1";
        check(&Format, &[(record, expected)]);
    }

    #[test]
    fn the_listening_end_may_stand_first() {
        let event = |direction: &str, source: u16, destination: u16| {
            format!(
                "<Event><System><Provider Name=\"Microsoft-Windows-Security-Auditing\"/>\
                 <EventID>5156</EventID><Computer>mx1</Computer></System><EventData>\
                 <Data Name=\"Direction\">{direction}</Data>\
                 <Data Name=\"SourceAddress\">203.0.113.25</Data>\
                 <Data Name=\"SourcePort\">{source}</Data>\
                 <Data Name=\"DestAddress\">198.51.100.7</Data>\
                 <Data Name=\"DestPort\">{destination}</Data>\
                 <Data Name=\"Protocol\">6</Data></EventData></Event>"
            )
        };
        let as_printed = |source: u16, destination: u16| {
            format!("- allow 203.0.113.25:{source} > 198.51.100.7:{destination} @mx1")
        };
        check(
            &Format,
            &[
                (&event("%%14592", 25, 40001), "- allow 198.51.100.7:40001 > 203.0.113.25:25 @mx1"),
                (&event("%%14592", 40001, 25), &as_printed(40001, 25)),
                (&event("%%14593", 25, 40001), &as_printed(25, 40001)),
                (&event("%%14592", 25, 25), &as_printed(25, 25)),
            ],
        );
    }

    #[test]
    fn messages_alone() {
        let message = |sentence: &str, tab: &str, end: &str| {
            format!(
                "The Windows Filtering Platform has {sentence}.{end}Network Information:{end}\
                 Direction:{tab}{tab}Inbound{end}Source Address:{tab}{tab}198.51.100.7{end}\
                 Source Port:{tab}{tab}40001{end}Destination Address:{tab}203.0.113.25{end}\
                 Destination Port:{tab}{tab}25{end}Protocol:{tab}{tab}6{end}Filter"
            )
        };
        let flow = "198.51.100.7:40001 > 203.0.113.25:25";
        let source = "Microsoft-Windows-Security-Auditing";
        check(
            &Format,
            &[
                (
                    &format!(
                        "mx1\tMSWinEventLog\t1\tSecurity\t7\tMon Nov 02 10:00:00 2026\t5156\t{source}\t\
                         N/A\tN/A\tSuccess Audit\tmx1\tFiltering Platform Connection\t\t{}",
                        message("permitted a connection", " ", "   ")
                    ),
                    &format!("2026-11-02T10:00:00Z allow {flow}"),
                ),
                (
                    &format!(
                        "<13>Nov  2 10:00:00 mx1 {source}[4]: 5157: {}",
                        message("blocked a connection", "#011", "#015#012#011")
                    ),
                    &format!("2026-11-02T10:00:00Z deny {flow} @mx1"),
                ),
                (
                    &format!(
                        "Nov  2 10:00:00 mx1 {source}: {}",
                        message("blocked a packet", "\t", " ")
                    ),
                    &format!("2026-11-02T10:00:00Z deny {flow} @mx1"),
                ),
                (
                    &format!(
                        "Nov  2 10:00:00 mx1 {source}: {}",
                        message("permitted a bind to a local port", "\t", " ")
                    ),
                    "ignored",
                ),
            ],
        );
    }
}
