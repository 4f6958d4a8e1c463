//! Juniper SRX session log (`RT_FLOW`), structured and unstructured.
//!
//! `<14>1 2026-11-02T10:00:00.184+01:00 srx1 RT_FLOW - RT_FLOW_SESSION_CREATE [junos@2636.1.1.1.2.40
//! source-address="198.51.100.7" source-port="40001" destination-address="203.0.113.25"
//! destination-port="25" .. nat-destination-address="10.0.0.25" nat-destination-port="25" ..
//! protocol-id="6" ..]`
//!
//! Document: Juniper, "Information Provided in Session Log Entries for SRX Series Services
//! Gateways"; System Log Explorer, `RT_FLOW_SESSION_*`. Skipped: `APPTRACK_*`, which repeats the
//! sessions, all other messages of Junos, and everything but TCP.

use crate::logs::clock::LogTime;
use crate::logs::fields::{after, before, split_once, value};
use crate::logs::firewall::ends::{Parsed, conclude, end, other_end};
use crate::logs::firewall::{FirewallFormat, FlowRecord, Shows};
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::model::flow::{Action, Answer};
use memchr::memmem;

/// Juniper SRX.
pub(super) struct Format;

impl FirewallFormat for Format {
    fn name(&self) -> &'static str {
        "juniper_srx"
    }

    fn product(&self) -> &'static str {
        "Juniper SRX RT_FLOW"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[
            b"RT_FLOW",
            b"source-address=",
            b"destination-address=",
            b"destination-port=",
            b"protocol-id=",
        ]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Allow, Shows::Deny, Shows::Close, Shows::Nat, Shows::Zone]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        // A program with a pid may quote text of strangers.
        const MARKS: [&[u8]; 3] = [b"RT_FLOW", b"APPTRACK_SESSION", b"[junos@"];
        line.pid.is_none() && MARKS.iter().any(|mark| memmem::find(line.raw, mark).is_some())
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        vec![format!("-port=\"{port}\"").into_bytes(), format!("/{port} ").into_bytes()]
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        _columns: &Columns,
        out: &mut Vec<FlowRecord<'a>>,
    ) -> Outcome {
        let Some(event) = after(line.raw, b"RT_FLOW_SESSION_") else { return Outcome::Ignored };
        let action = match event.split(|b| !b.is_ascii_uppercase()).next() {
            Some(b"CREATE") => Action::Allow,
            Some(b"DENY") => Action::Deny,
            Some(b"CLOSE") => Action::Close,
            _ => return Outcome::Ignored,
        };
        let sentence = after(event, b": session ").filter(|_| !event.contains(&b'['));
        let parsed = match sentence {
            Some(text) => parse_sentence(line, text, action),
            None => parse_pairs(line, event, action),
        };
        conclude(parsed.map(|found| found.map(|record| with_own_head(line, record))), out)
    }
}

/// Behind a relay the record has a head of its own right before the tag: `TIME HOST RT_FLOW`.
fn with_own_head<'a>(line: &Line<'a>, record: FlowRecord<'a>) -> FlowRecord<'a> {
    let head = before(line.raw, b"RT_FLOW").unwrap_or_default().trim_ascii_end();
    let mut words = head.rsplit(|&b| b == b' ');
    let (host, time) = (words.next(), words.next().unwrap_or_default());
    match LogTime::parse_iso(time).filter(|(_, used)| *used == time.len()) {
        Some((time, _)) => FlowRecord { time: Some(time), device: host, ..record },
        None => record,
    }
}

/// `key="value"` pairs, in any order.
fn parse_pairs<'a>(line: &Line<'a>, text: &'a [u8], action: Action) -> Parsed<'a> {
    let field = |key: &[u8]| value(text, key, b" ");
    if !matches!(field(b"protocol-id"), Some(b"6" | b"tcp" | b"TCP")) {
        return Ok(None);
    }
    let src =
        end((field(b"source-address"), "source-address"), (field(b"source-port"), "source-port"))?;
    let dst = end(
        (field(b"destination-address"), "destination-address"),
        (field(b"destination-port"), "destination-port"),
    )?;
    let mut record = FlowRecord::new(line, action, src, dst);
    record.nat_src = other_end(src, field(b"nat-source-address"), field(b"nat-source-port"));
    record.nat_dst =
        other_end(dst, field(b"nat-destination-address"), field(b"nat-destination-port"));
    let (sent, answered) = (field(b"packets-from-client"), field(b"packets-from-server"));
    record.answer = answer_of(action, sent, answered);
    Ok(Some(record))
}

/// `created A/p->B/p [0x0] service NA/np->NB/np [0x0] rules.. proto policy ..`, `denied A/p->B/p
/// [0x0] service proto(icmp-type) policy ..`, `closed REASON: ..` as created, with the packets and
/// bytes of client and server as `46(4109)`.
fn parse_sentence<'a>(line: &Line<'a>, text: &'a [u8], action: Action) -> Parsed<'a> {
    let text = match action {
        Action::Close => after(text, b": "),
        _ => split_once(text, b' ').map(|(_, rest)| rest),
    };
    let text = text.ok_or(Reject::new("session", "a source and a destination"))?;
    let sentence = Sentence::read(text, action);
    if sentence.protocol != Some(b"6") {
        return Ok(None);
    }
    let (src, dst) = sentence.flow;
    let src = end((src.0, "source-address"), (src.1, "source-port"))?;
    let dst = end((dst.0, "destination-address"), (dst.1, "destination-port"))?;
    let mut record = FlowRecord::new(line, action, src, dst);
    if let Some((nat_src, nat_dst)) = sentence.translated {
        record.nat_src = other_end(src, nat_src.0, nat_src.1);
        record.nat_dst = other_end(dst, nat_dst.0, nat_dst.1);
    }
    record.answer = answer_of(action, sentence.sent, sentence.answered);
    Ok(Some(record))
}

/// The words of an unstructured record that matter.
struct Sentence<'a> {
    flow: FlowText<'a>,
    translated: Option<FlowText<'a>>,
    protocol: Option<&'a [u8]>,
    /// Packets from the client.
    sent: Option<&'a [u8]>,
    /// Packets from the server.
    answered: Option<&'a [u8]>,
}

impl<'a> Sentence<'a> {
    fn read(text: &'a [u8], action: Action) -> Self {
        let mut words = text.split(|&b| b == b' ').filter(|word| !word.is_empty());
        let flow = split_flow(words.next().unwrap_or_default());
        let mut sentence =
            Self { flow, translated: None, protocol: None, sent: None, answered: None };
        for word in words {
            if sentence.protocol.is_some() {
                sentence.note_packets(word);
            } else if memmem::find(word, b"->").is_some() {
                sentence.translated = Some(split_flow(word));
            } else if sentence.translated.is_some() || action == Action::Deny {
                sentence.protocol = number_of_protocol(word, action);
            }
        }
        sentence
    }

    fn note_packets(&mut self, word: &'a [u8]) {
        let Some(count) = count_of_packets(word) else { return };
        match (self.sent, self.answered) {
            (None, _) => self.sent = Some(count),
            (Some(_), None) => self.answered = Some(count),
            _ => {}
        }
    }
}

/// An end's address and port as printed.
type EndText<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// Both ends as printed.
type FlowText<'a> = (EndText<'a>, EndText<'a>);

/// `A/p->B/p`.
fn split_flow(word: &[u8]) -> FlowText<'_> {
    (split_end(before(word, b"->")), split_end(after(word, b"->")))
}

/// `A/p`.
fn split_end(text: Option<&[u8]>) -> EndText<'_> {
    let Some(text) = text else { return (None, None) };
    let slash = memchr::memrchr(b'/', text);
    let parts = slash.and_then(|at| text.split_at_checked(at));
    parts.map_or((None, None), |(host, port)| (Some(host), port.get(1..)))
}

/// The protocol's number: a bare one behind the translated ends, `6(0)` where it was denied.
fn number_of_protocol(word: &[u8], action: Action) -> Option<&[u8]> {
    let number = match action {
        Action::Deny => before(word, b"(")?,
        _ => word,
    };
    let is_number = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
    is_number.then_some(number)
}

/// `46(4109)`: packets and bytes.
fn count_of_packets(word: &[u8]) -> Option<&[u8]> {
    let count = before(word, b"(")?;
    let bytes = after(word, b"(")?.strip_suffix(b")")?;
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    (digits(count) && digits(bytes)).then_some(count)
}

/// A session that ended without a packet from the server, though the client sent some.
fn answer_of(action: Action, sent: Option<&[u8]>, answered: Option<&[u8]>) -> Answer {
    let silent = answered == Some(b"0") && sent.is_some_and(|count| count != b"0");
    if action == Action::Close && silent { Answer::Never } else { Answer::Untold }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::firewall::testing::told;

    const FLOW: &str = "198.51.100.7:4 > 203.0.113.25:25";

    #[test]
    fn structured() {
        let line = |event: &str, more: &str| {
            format!(
                "<14>1 2026-11-02T11:00:00.184+01:00 srx1 RT_FLOW - {event} [junos@2636.1.1.1.2.40 \
                 reason=\"x\" nat-source-address=\"198.51.100.7\" nat-source-port=\"4\" \
                 source-address=\"198.51.100.7\" source-port=\"4\" destination-address=\"203.0.113.25\" \
                 destination-port=\"25\" protocol-id=\"6\"{more}]"
            )
        };
        let nat = " nat-destination-address=\"10.0.0.25\" nat-destination-port=\"2525\"";
        let silent =
            " packets-from-client=\"3\" packets-from-server=\"0\" if=\u{201d}st0.0\u{201d}";
        let none = " packets-from-client=\"0\" packets-from-server=\"0\"";
        let cases = [
            (
                line("RT_FLOW_SESSION_CREATE", nat),
                format!("allow {FLOW} nat_dst=10.0.0.25:2525 @srx1"),
            ),
            (line("RT_FLOW_SESSION_CREATE_LS", ""), format!("allow {FLOW} @srx1")),
            (line("RT_FLOW_SESSION_DENY", ""), format!("deny {FLOW} @srx1")),
            (line("RT_FLOW_SESSION_CLOSE", silent), format!("close {FLOW} unanswered @srx1")),
            (line("RT_FLOW_SESSION_CLOSE", none), format!("close {FLOW} @srx1")),
            (line("APPTRACK_SESSION_CLOSE", ""), "ignored".to_owned()),
            (
                line("RT_FLOW_SESSION_DENY", "").replace("id=\"6\"", "id=\"17\""),
                "ignored".to_owned(),
            ),
            (
                line("RT_FLOW_SESSION_DENY", "").replace("\"25\"", "\"65536\""),
                "rejected destination-port".to_owned(),
            ),
        ];
        for (raw, expected) in cases {
            let time = if expected.contains('>') { "2026-11-02T10:00:00Z " } else { "" };
            assert_eq!(told(&Format, &raw), format!("{time}{expected}"), "{raw}");
        }
    }

    #[test]
    fn unstructured() {
        let cases = [
            (
                "CREATE: session created 198.51.100.7/4->203.0.113.25/25 None 198.51.100.7/4->10.0.0.25/25 r1 None 6 p a b 7",
                format!("allow {FLOW} nat_dst=10.0.0.25:25"),
            ),
            (
                "CREATE: session created 198.51.100.7/4->203.0.113.25/25 0x0 junos-smtp 198.51.100.7/4->203.0.113.25/25 0x0 N/A N/A N/A N/A 6 p a b 7",
                format!("allow {FLOW}"),
            ),
            (
                "CLOSE: session closed TCP FIN: 198.51.100.7/4->203.0.113.25/25 None 198.51.100.7/4->203.0.113.25/25 None None 6 p a b 7 46(4109) 42(4812) 31",
                format!("close {FLOW}"),
            ),
            (
                "CLOSE: session closed idle Timeout: 2001:db8::7/4->2001:db8::25/25 None 2001:db8::7/4->2001:db8::25/25 None None 6 p a b 7 3(180) 0(0) 31",
                "close 2001:db8::7:4 > 2001:db8::25:25 unanswered".to_owned(),
            ),
            (
                "DENY: session denied 198.51.100.7/4->203.0.113.25/25 None 6(0) p a b",
                format!("deny {FLOW}"),
            ),
            (
                "DENY: session denied 198.51.100.7/4->203.0.113.25/25 0x0 junos-smtp 6(0) p a b",
                format!("deny {FLOW}"),
            ),
            (
                "DENY: session denied 198.51.100.7/8->203.0.113.25/0 icmp 1(8) p a b",
                "ignored".to_owned(),
            ),
            (
                "DENY: session denied 198.51.100.7/4 203.0.113.25/25 None 6(0) p a b",
                "rejected source-address".to_owned(),
            ),
            ("CLOSE: session closed 198.51.100.7/4", "rejected session".to_owned()),
        ];
        for (text, expected) in cases {
            let time = if expected.contains('>') { "2026-11-02T10:00:00Z " } else { "" };
            let raw = format!("Nov  2 10:00:00 RT_FLOW: RT_FLOW_SESSION_{text}");
            assert_eq!(told(&Format, &raw), format!("{time}{expected}"), "{raw}");
        }
    }

    #[test]
    fn the_records_own_head_wins() {
        let text = "RT_FLOW - RT_FLOW_SESSION_DENY: session denied 198.51.100.7/4->203.0.113.25/25 None 6(0) p a b";
        let cases = [
            (
                "Nov  3 00:00:00 relay junos-flow: 2026-11-02T10:00:00Z srx1 ",
                "2026-11-02T10:00:00Z",
                " @srx1",
            ),
            ("42 2026-11-02T10:00:00Z srx1 ", "2026-11-02T10:00:00Z", " @srx1"),
            ("1 2026-11-02T10:00:00.375 srx1 ", "2026-11-02T10:00:00Z", " @srx1"),
            ("Nov  2 10:00:00  srx1 ", "2026-11-02T10:00:00Z", " @srx1"),
        ];
        for (head, time, device) in cases {
            let raw = format!("{head}{text}");
            assert_eq!(told(&Format, &raw), format!("{time} deny {FLOW}{device}"), "{head}");
        }
        let quoting = format!("Nov  2 10:00:00 mx1 exim[7]: {text}");
        assert_eq!(told(&Format, &quoting), "not recognised");
    }
}
