//! Cisco Secure Firewall Threat Defense (Firepower) connection events: messages 430002 and 430003,
//! also as NGIPS sensors and the old management center (`SFIMS:`) write them.
//!
//! `2026-11-02T10:00:00Z ftd1 %FTD-1-430002: AccessControlRuleAction: Allow, SrcIP: 198.51.100.7,
//! DstIP: 203.0.113.25, SrcPort: 40001, DstPort: 25, Protocol: tcp, .., NAT_ResponderIP: 10.0.0.25`
//!
//! Document: Cisco Secure Firewall Threat Defense Syslog Messages, "Security Event Syslog
//! Messages". 430002 is the start of a connection, 430003 its end; what is blocked is told at the
//! start. Skipped: intrusion, file and malware events (430001, 430004, 430005), and Sourcefire's
//! 5.x sentence with the ends in braces. LINA messages of the same unit are `cisco_asa`'s.

use crate::logs::clock::LogTime;
use crate::logs::fields::until_any;
use crate::logs::firewall::cisco_asa::Message;
use crate::logs::firewall::ends::{Parsed, conclude, end, other_end};
use crate::logs::firewall::{FirewallFormat, FlowRecord, Join, JoinRule, Shows};
use crate::logs::line::{Columns, Line, Outcome};
use crate::model::flow::{Action, Answer};
use memchr::memmem;

/// Cisco FTD connection events.
pub(super) struct Format;

/// Seconds within which start and end of a blocked connection are told.
const RETOLD_WITHIN_SECONDS: u32 = 120;

impl FirewallFormat for Format {
    fn name(&self) -> &'static str {
        "cisco_ftd"
    }

    fn product(&self) -> &'static str {
        "Cisco Secure Firewall Threat Defense (Firepower) connection events"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"%FTD-", b"SrcIP:", b"DstIP:", b"SrcPort:", b"DstPort:", b"Protocol:"]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Allow, Shows::Deny, Shows::Close, Shows::Nat, Shows::Zone]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        Event::find(line).is_some()
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        let marks = ["DstPort: ", "NAT_ResponderPort: "];
        marks.iter().map(|mark| format!("{mark}{port}").into_bytes()).collect()
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        _columns: &Columns,
        out: &mut Vec<FlowRecord<'a>>,
    ) -> Outcome {
        match Event::find(line) {
            Some(event) => conclude(parse_event(line, &event), out),
            None => Outcome::Ignored,
        }
    }
}

/// When in a connection's life an event is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    Start,
    End,
    /// No connection event.
    Other,
}

/// An event's pairs.
struct Event<'a> {
    moment: Moment,
    text: &'a [u8],
    device: Option<&'a [u8]>,
}

impl<'a> Event<'a> {
    fn find(line: &Line<'a>) -> Option<Self> {
        if let Some(message) = Message::find(line) {
            let moment = match message.id {
                430_002 => Moment::Start,
                430_003 => Moment::End,
                _ => Moment::Other,
            };
            let Message { text, device, .. } = message;
            return message.is_connection_event().then_some(Self { moment, text, device });
        }
        let text = if line.tag == Some(b"SFIMS") { Some(line.body) } else { None };
        let text = text.or_else(|| line.body.strip_prefix(b"SFIMS: "))?;
        let moment = match first_value(text, b"ConnectType") {
            Some(b"Start") => Moment::Start,
            Some(b"End") => Moment::End,
            _ => Moment::Other,
        };
        Some(Self { moment, text, device: line.host })
    }
}

/// The value of the first `key: ` at the start or after a comma: up to the next comma and blank.
/// Values that strangers write (URL, User) stand behind the ones that are read so.
fn first_value<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    memmem::find_iter(text, key).find_map(|at| value_at(text, at, key.len()))
}

/// The same of the last one: the NAT pairs stand behind the URL.
fn last_value<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    memmem::find_iter(text, key).filter_map(|at| value_at(text, at, key.len())).last()
}

fn value_at(text: &[u8], at: usize, length: usize) -> Option<&[u8]> {
    let starts = at == 0 || text.get(..at).is_some_and(|head| head.ends_with(b", "));
    let value = text.get(at.checked_add(length)?..)?.strip_prefix(b":")?;
    starts.then(|| until_any(value.trim_ascii_start(), b",").trim_ascii())
}

fn parse_event<'a>(line: &Line<'a>, event: &Event<'a>) -> Parsed<'a> {
    let first = |key: &[u8]| first_value(event.text, key);
    let protocol = first(b"Protocol").unwrap_or_default();
    if event.moment == Moment::Other || !(protocol.eq_ignore_ascii_case(b"tcp") || protocol == b"6")
    {
        return Ok(None);
    }
    let src = end((first(b"SrcIP"), "SrcIP"), (first(b"SrcPort"), "SrcPort"))?;
    let dst = end((first(b"DstIP"), "DstIP"), (first(b"DstPort"), "DstPort"))?;
    let word = first(b"AccessControlRuleAction").unwrap_or_default();
    let mut record = FlowRecord::new(line, action_of(word, event.moment), src, dst);
    let last = |key: &[u8]| last_value(event.text, key);
    record.nat_src = other_end(src, last(b"NAT_InitiatorIP"), last(b"NAT_InitiatorPort"));
    record.nat_dst = other_end(dst, last(b"NAT_ResponderIP"), last(b"NAT_ResponderPort"));
    record.device = event.device;
    let began = first(b"FirstPacketSecond");
    record.time = line.time.or_else(|| began.and_then(LogTime::parse_iso).map(|(time, _)| time));
    if record.action == Action::Close && !was_answered(word, first) {
        record.answer = Answer::Never;
    }
    if let (Action::Deny, Some(number)) = (record.action, first(b"ConnectionID")) {
        let facts = (first(b"DeviceUUID"), first(b"InstanceID"), began, number);
        record.join = Some(Join::new(JoinRule::Once { within: RETOLD_WITHIN_SECONDS }, facts));
    }
    Ok(Some(record))
}

/// The vendor's words. A connection that closed before a rule matched has an empty action.
fn action_of(word: &[u8], moment: Moment) -> Action {
    match word {
        b"Allow" | b"Trust" | b"Fastpath" if moment == Moment::End => Action::Close,
        b"Allow" | b"Trust" | b"Fastpath" => Action::Allow,
        // `Block`, `Block with reset`, `Interactive Block` and its relatives.
        _ if memmem::find(word, b"Block").is_some() => Action::Deny,
        _ => Action::Unknown,
    }
}

/// Whether the server sent a packet. Trusted connections bypass the engine that counts.
fn was_answered<'a>(word: &[u8], first: impl Fn(&[u8]) -> Option<&'a [u8]>) -> bool {
    word != b"Allow"
        || first(b"ResponderPackets") != Some(b"0")
        || first(b"InitiatorPackets").is_none_or(|count| count == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::firewall::testing::told;

    #[test]
    fn connection_events() {
        let ends = "SrcIP: 198.51.100.7, DstIP: 203.0.113.25, SrcPort: 40001, DstPort: 25";
        let flow = "198.51.100.7:40001 > 203.0.113.25:25";
        let cases = [
            ("430002", "Allow", "Protocol: tcp", format!("allow {flow} @ftd1")),
            ("430002", "Trust", "Protocol: 6", format!("allow {flow} @ftd1")),
            ("430002", "Block with reset", "Protocol: tcp", format!("deny {flow} @ftd1")),
            ("430003", "Block", "Protocol: tcp", format!("deny {flow} @ftd1")),
            ("430003", "Fastpath", "Protocol: tcp", format!("close {flow} @ftd1")),
            (
                "430003",
                "Allow",
                "Protocol: tcp, InitiatorPackets: 2, ResponderPackets: 0",
                format!("close {flow} unanswered @ftd1"),
            ),
            (
                "430002",
                "Allow",
                "Protocol: tcp, URL: http://x/, NAT_ResponderIP: 192.0.2.1, y, \
                 NAT_InitiatorPort: 50000, NAT_ResponderPort: 2525, NAT_InitiatorIP: 192.0.2.9, \
                 NAT_ResponderIP: 10.0.0.25",
                format!("allow {flow} nat_src=192.0.2.9:50000 nat_dst=10.0.0.25:2525 @ftd1"),
            ),
            ("430002", "", "Protocol: tcp", format!("unknown {flow} @ftd1")),
            ("430002", "Allow", "Protocol: udp", "ignored".to_owned()),
            ("430001", "Allow", "Protocol: tcp", "ignored".to_owned()),
            ("430005", "Allow", "Protocol: tcp", "ignored".to_owned()),
            ("302013", "Allow", "Protocol: tcp", "not recognised".to_owned()),
            ("430002", "Default Action", "Protocol: tcp", format!("unknown {flow} @ftd1")),
        ];
        for (id, action, rest, expected) in cases {
            let raw = format!(
                "2026-11-02T10:00:00Z ftd1  %FTD-1-{id}: AccessControlRuleAction: {action}, \
                 {ends}, {rest}, User: a, DstPort: 99, SrcIP: 9.9.9.9"
            );
            let timed = expected.contains(" > ");
            let time = if timed { "2026-11-02T10:00:00Z " } else { "" };
            assert_eq!(told(&Format, &raw), format!("{time}{expected}"), "{raw}");
        }
    }

    #[test]
    fn the_other_heads() {
        let pairs = "SrcIP: 198.51.100.7, OriginalClientIP: ::, DstIP: 2001:db8::25, \
                     SrcPort: 40001, DstPort: 25";
        let flow = "198.51.100.7:40001 > 2001:db8::25:25";
        let cases = [
            (
                format!("Nov  2 10:00:00 fmc SFIMS: Protocol: TCP, {pairs}, ConnectType: End, AccessControlRuleAction: Allow"),
                format!("2026-11-02T10:00:00Z close {flow} @fmc"),
            ),
            (
                format!("%FTD-6-430002: FirstPacketSecond: 2026-11-02T10:00:00Z, ConnectionID: 7, AccessControlRuleAction: Block, {pairs}, Protocol: tcp"),
                format!("2026-11-02T10:00:00Z deny {flow}"),
            ),
            (
                format!("2026-11-02T10:00:00Z s Alerts %NGIPS-0-430003: AccessControlRuleAction: Allow, {pairs}, Protocol: tcp"),
                format!("2026-11-02T10:00:00Z close {flow} @s"),
            ),
            (
                "Nov  2 10:00:00 fmc SFIMS: [1:2:3] \"x\" [Priority: 1] {tcp} 198.51.100.7:4 -> 203.0.113.25:25".to_owned(),
                "ignored".to_owned(),
            ),
            (
                format!("%FTD-6-430002: AccessControlRuleAction: Block, {}, Protocol: tcp", pairs.replace("25", "256666")),
                "rejected DstIP".to_owned(),
            ),
        ];
        for (raw, expected) in cases {
            assert_eq!(told(&Format, &raw), expected, "{raw}");
        }
    }
}
