//! What a record in a SIEM's format (CEF, LEEF) says was done, by the product that it comes from.
//! In: vendor, product, kind of event and the product's word. Out: an action, or none for events
//! that are no verdict on a connection. Products that have a format of their own keep their words.

use crate::logs::clock::{Civil, LogTime, Zone};
use crate::logs::firewall::{checkpoint, fortigate, panos, sonicwall};
use crate::model::flow::Action;

/// What the header and the action field of a record say.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Event<'a> {
    /// `Fortinet`, `Check Point`, `Palo Alto Networks`, ...
    pub(super) vendor: &'a [u8],
    /// `VPN-1 & FireWall-1`.
    pub(super) product: &'a [u8],
    /// The vendor's identifier or subtype of the event: `end`, `98`.
    pub(super) id: &'a [u8],
    /// The event's name or log type: `TRAFFIC`, `traffic:forward close`, `Connection_Allowed`.
    pub(super) name: &'a [u8],
    /// The action field, where there is one.
    pub(super) word: Option<&'a [u8]>,
}

/// The action of an event that is about a connection.
pub(super) fn action_of(event: &Event<'_>) -> Option<Action> {
    let word = event.word.unwrap_or_default();
    match event.vendor.to_ascii_lowercase().as_slice() {
        b"palo alto networks" => pan_action(event, word),
        b"fortinet" => event.name.starts_with(b"traffic").then(|| fortigate::action_of(word)),
        b"check point" => {
            checkpoint::action_of(word).filter(|_| checkpoint::is_firewall(event.product))
        }
        b"sonicwall" => sonicwall::action_of(event.id, event.word),
        // What a rule that only watches would have done: `IDS:Reset`.
        b"trend micro" if word.starts_with(b"IDS:") => None,
        _ => match event.word {
            Some(word) => words_action(word).or_else(|| reset_action(word)),
            None => words_action(event.name),
        },
    }
}

/// A firewall writes the log's subtype, then its type; the logging service (`LF`) the other way
/// round.
fn pan_action(event: &Event<'_>, word: &[u8]) -> Option<Action> {
    let is_traffic = |text: &[u8]| text.eq_ignore_ascii_case(b"traffic");
    match (is_traffic(event.name), is_traffic(event.id)) {
        (true, _) => panos::action_of(event.id, word),
        (_, true) => panos::action_of(event.name, word),
        _ => None,
    }
}

/// The usual words; a name such as `Connection_Refused` is read word by word, a refusal counting
/// more than a permission (`Allowed connection blocked`). Whole words only: `Endpoint` ends nothing,
/// a `Password` passes nothing.
fn words_action(text: &[u8]) -> Option<Action> {
    const DENY: [&[u8]; 17] = [
        b"deny",
        b"denied",
        b"denies",
        b"drop",
        b"dropped",
        b"drops",
        b"block",
        b"blocked",
        b"blocks",
        b"reject",
        b"rejected",
        b"refuse",
        b"refused",
        b"discard",
        b"discarded",
        b"prevent",
        b"prevented",
    ];
    const CLOSE: [&[u8]; 6] = [b"close", b"closed", b"teardown", b"timeout", b"end", b"ended"];
    const ALLOW: [&[u8]; 11] = [
        b"allow",
        b"allowed",
        b"accept",
        b"accepted",
        b"permit",
        b"permitted",
        b"pass",
        b"passed",
        b"built",
        b"start",
        b"started",
    ];
    let text = text.to_ascii_lowercase();
    let has = |known: &[&[u8]]| words_of(&text).any(|word| known.contains(&word));
    [(&DENY[..], Action::Deny), (&CLOSE, Action::Close), (&ALLOW, Action::Allow)]
        .into_iter()
        .find(|(known, _)| has(known))
        .map(|(_, action)| action)
}

/// `reset`, `TCP-Reset`, `reset-both`: what an action field calls a refusal; in an event's name it
/// may be anything's.
fn reset_action(word: &[u8]) -> Option<Action> {
    let word = word.to_ascii_lowercase();
    words_of(&word).any(|part| part == b"reset").then_some(Action::Deny)
}

fn words_of(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|b| !b.is_ascii_alphanumeric())
}

/// Whether a protocol field says TCP: `TCP`, `6`, `tcp/smtp`.
pub(super) fn is_tcp(protocol: Option<&[u8]>) -> bool {
    let name = protocol.and_then(|text| text.split(|&b| b == b'/').next()).unwrap_or_default();
    name == b"6" || name.eq_ignore_ascii_case(b"tcp")
}

/// An epoch, `Nov 02 2026 10:00:00` with or without ` GMT`, or ISO 8601.
pub(super) fn parse_time(text: &[u8]) -> Option<LogTime> {
    if let Some(epoch) = LogTime::parse_epoch(text) {
        return Some(epoch);
    }
    let (time, used) = LogTime::parse_rfc3164(text).or_else(|| LogTime::parse_iso(text))?;
    match (time, text.get(used..).unwrap_or_default().trim_ascii()) {
        (LogTime::Civil(civil), b"GMT" | b"UTC" | b"Z") => {
            Some(LogTime::Civil(Civil { offset: Some(0), ..civil }))
        }
        _ => Some(time),
    }
}

/// A time with the zone that the record names beside it, where the time itself has none: `UTC`,
/// `GMT` or an offset. Other names are not read.
pub(super) fn in_zone(time: LogTime, zone: Option<&[u8]>) -> LogTime {
    let zone = zone.and_then(|name| std::str::from_utf8(name).ok()).and_then(Zone::parse);
    match (time, zone) {
        (LogTime::Civil(civil), Some(Zone::Fixed(offset))) if civil.offset.is_none() => {
            LogTime::Civil(Civil { offset: Some(offset), ..civil })
        }
        _ => time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendors_keep_their_words() {
        let cases = [
            ("Palo Alto Networks", "PAN-OS", "end", "TRAFFIC", Some("allow"), "close"),
            ("Palo Alto Networks", "PAN-OS", "end", "TRAFFIC", Some("reset-both"), "deny"),
            ("Palo Alto Networks", "PAN-OS", "url", "THREAT", Some("allow"), "none"),
            ("Palo Alto Networks", "LF", "TRAFFIC", "end", Some("allow"), "close"),
            ("Palo Alto Networks", "LF", "deny", "traffic", Some("deny"), "deny"),
            ("Palo Alto Networks", "LF", "THREAT", "url", Some("allow"), "none"),
            ("Fortinet", "Fortigate", "13", "traffic:forward close", Some("close"), "close"),
            ("Fortinet", "Fortigate", "13", "utm:webfilter", Some("blocked"), "none"),
            ("Check Point", "VPN-1 & FireWall-1", "Log", "smtp", Some("Accept"), "allow"),
            ("Check Point", "VPN-1 & FireWall-1", "Log", "smtp", Some("Bypass"), "none"),
            ("Check Point", "SmartDefense", "Log", "x", Some("Drop"), "none"),
            ("SonicWall", "TZ 500", "98", "Connection Opened", None, "allow"),
            ("FORCEPOINT", "Firewall", "70018", "Connection_Allowed", Some("Allow"), "allow"),
            ("FORCEPOINT", "Firewall", "70019", "Connection_Discarded", None, "deny"),
            ("FORCEPOINT", "Firewall", "70021", "Connection_Closed", None, "close"),
            ("Other", "Firewall", "1", "x", Some("DENIED"), "deny"),
            ("Other", "Firewall", "1", "x", Some("TCP-Reset"), "deny"),
            ("Other", "Web", "1", "Endpoint password reset", None, "none"),
            ("Other", "Web", "1", "Dropbox passwords", None, "none"),
            ("Trend Micro", "Deep Security Agent", "1", "x", Some("IDS:Reset"), "none"),
            ("Trend Micro", "Deep Security Agent", "21", "Deny", Some("Deny"), "deny"),
            ("Other", "Web", "1", "Web request", None, "none"),
            ("Other", "Web", "1", "Sender accepted", None, "allow"),
        ];
        for (vendor, product, id, name, word, expected) in cases {
            let event = Event {
                vendor: vendor.as_bytes(),
                product: product.as_bytes(),
                id: id.as_bytes(),
                name: name.as_bytes(),
                word: word.map(str::as_bytes),
            };
            let got = action_of(&event).map_or("none", Action::word);
            assert_eq!(got, expected, "{vendor} {name} {word:?}");
        }
    }
}
