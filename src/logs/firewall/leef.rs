//! IBM QRadar Log Event Extended Format (LEEF), versions 1.0 and 2.0, from any firewall.
//!
//! ```text
//! LEEF:2.0|Fortinet|FortiGate|7.4|13|^|devTime=Nov 02 2026 10:00:00 GMT^src=198.51.100.7^
//! srcPort=40001^dst=203.0.113.25^dstPort=25^proto=6^action=close
//! ```
//!
//! "LEEF overview", IBM QRadar DSM guide. Attributes are separated by tabs; version 2 has a column
//! for another separator (a character, `x5E` or `0x5E`), which may be empty or left out; PAN-OS
//! separates by `|` in version 1; relays spell tabs out. `*PostNAT` and `*PreNAT` are an end after
//! and before translation. What was done is the vendor's word (`verdict`). Skipped: events that are
//! no verdict on a connection, all but TCP.

use memchr::memmem;

use crate::logs::fields::{Pairs, after, before, split_once};
use crate::logs::firewall::ends::{Parsed, conclude, end, other_end};
use crate::logs::firewall::verdict::{Event, action_of, is_tcp, parse_time};
use crate::logs::firewall::{FirewallFormat, FlowRecord, Shows};
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::model::flow::Answer;

/// The format.
pub(super) struct Format;

impl FirewallFormat for Format {
    fn name(&self) -> &'static str {
        "leef"
    }

    fn product(&self) -> &'static str {
        "IBM QRadar LEEF from any firewall"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"LEEF:", b"src=", b"dst=", b"dstPort=", b"proto="]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Allow, Shows::Deny, Shows::Close, Shows::Nat, Shows::Zone]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        message(line).is_some()
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        ["dstPort=", "dstPostNATPort=", "dstPreNATPort="]
            .map(|key| format!("{key}{port}").into_bytes())
            .to_vec()
    }

    fn parse<'a>(&self, line: &Line<'a>, _: &Columns, out: &mut Vec<FlowRecord<'a>>) -> Outcome {
        conclude(parse(line), out)
    }
}

/// The text after `LEEF:`, from the version on.
fn message<'a>(line: &Line<'a>) -> Option<&'a [u8]> {
    let text = line.from_tag();
    let at = memmem::find(text.get(..80).unwrap_or(text), b"LEEF:")?;
    let text = text.get(at.checked_add(5)?..)?.trim_ascii_start();
    (text.starts_with(b"1.0|") || text.starts_with(b"2.0|")).then_some(text)
}

/// The attributes, from what follows the event's id.
fn attributes<'a>(version: &[u8], rest: &'a [u8]) -> Pairs<'a> {
    let declared = split_once(rest, b'|').filter(|(column, _)| !column.contains(&b'='));
    let (separator, text) = match (version, declared) {
        (b"2.0", Some((column, text))) => (declared_separator(column), text),
        _ if rest.contains(&b'\t') || spelt_tab(rest).is_some() => (b'\t', rest),
        _ => (b'|', rest),
    };
    // Tabs are spelt out by relays that escape control characters.
    match spelt_tab(text).filter(|_| separator == b'\t' && !text.contains(&b'\t')) {
        Some(tab) => pairs(split_at(text, tab)),
        None => pairs(text.split(move |&b| b == separator)),
    }
}

fn pairs<'a>(attributes: impl Iterator<Item = &'a [u8]>) -> Pairs<'a> {
    attributes
        .filter_map(|attribute| split_once(attribute, b'='))
        .map(|(key, value)| (key.trim_ascii(), value.trim_ascii()))
        .collect()
}

/// How a text spells tabs: as rsyslog does, or as a backslash and a letter.
fn spelt_tab(text: &[u8]) -> Option<&'static [u8]> {
    [b"#011".as_slice(), b"\\t"].into_iter().find(|tab| memmem::find(text, tab).is_some())
}

fn split_at<'a>(text: &'a [u8], mark: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        rest = after(text, mark);
        Some(before(text, mark).unwrap_or(text))
    })
}

/// `^`, `x5E`, `0x5E`; a tab where nothing or nothing readable (`\t`) is declared.
fn declared_separator(column: &[u8]) -> u8 {
    if let [one] = column {
        return *one;
    }
    let digits = column.strip_prefix(b"0").unwrap_or(column);
    let digits = digits.strip_prefix(b"x").or_else(|| digits.strip_prefix(b"X"));
    let number = digits.and_then(|digits| std::str::from_utf8(digits).ok());
    number.and_then(|number| u8::from_str_radix(number, 16).ok()).unwrap_or(b'\t')
}

fn parse<'a>(line: &Line<'a>) -> Parsed<'a> {
    let mut columns = message(line).unwrap_or_default().splitn(6, |&b| b == b'|');
    let [version, vendor, product, _, id, rest] = std::array::from_fn(|_| columns.next());
    let broken = Reject::new("header", "version, vendor, product, version, event, attributes");
    let (version, rest) = version.zip(rest).ok_or(broken)?;
    let fields = attributes(version, rest);
    let word = fields.any(&["action", "act", "Action"]).or(id);
    let event = Event {
        vendor: vendor.unwrap_or_default(),
        product: product.unwrap_or_default(),
        id: fields.any(&["Subtype", "SubType", "subtype"]).or(id).unwrap_or_default(),
        name: fields.any(&["Type", "type", "cat"]).unwrap_or_default(),
        word,
    };
    let Some(action) = action_of(&event) else { return Ok(None) };
    if !is_tcp(fields.get("proto")) || fields.get("dstPort").is_none() {
        return Ok(None);
    }
    let src = end((fields.get("src"), "src"), (fields.get("srcPort"), "srcPort"))?;
    let dst = end((fields.get("dst"), "dst"), (fields.get("dstPort"), "dstPort"))?;
    let mut record = FlowRecord::new(line, action, src, dst);
    record.time = fields.get("devTime").and_then(parse_time).or(line.time);
    record.device = fields.any(&["DeviceName", "devname", "devName"]).or(line.host);
    let other = |main, ip: &str, port: &str| other_end(main, fields.get(ip), fields.get(port));
    record.nat_src = other(src, "srcPostNAT", "srcPostNATPort")
        .or_else(|| other(src, "srcPreNAT", "srcPreNATPort"));
    record.nat_dst = other(dst, "dstPostNAT", "dstPostNATPort")
        .or_else(|| other(dst, "dstPreNAT", "dstPreNATPort"));
    if word == Some(b"ip-conn") {
        record.answer = Answer::Never;
    }
    Ok(Some(record))
}

#[cfg(test)]
mod tests {
    use super::Format;
    use crate::logs::firewall::testing::check;

    #[test]
    fn separators() {
        let attributes = "devTime=Nov 02 2026 10:00:00 GMT^src=198.51.100.7^srcPort=40001^\
                          dst=203.0.113.25^dstPort=25^proto=6^action=close";
        let expected = "2026-11-02T10:00:00Z close 198.51.100.7:40001 > 203.0.113.25:25";
        let cases = [
            ("LEEF:1.0|Fortinet|FortiGate|7|13|type=traffic^", "\t"),
            ("LEEF:1.0|Fortinet|FortiGate|7|13|type=traffic^", "|"),
            ("LEEF:2.0|Fortinet|FortiGate|7|13|^|type=traffic^", "^"),
            ("LEEF:2.0|Fortinet|FortiGate|7|13|x5E|type=traffic^", "^"),
            ("LEEF:2.0|Fortinet|FortiGate|7|13|0x7c|type=traffic^", "|"),
            ("LEEF:2.0|Fortinet|FortiGate|7|13||type=traffic^", "\t"),
            ("LEEF:2.0|Fortinet|FortiGate|7|13|type=traffic^", "\t"),
            ("LEEF:2.0|Fortinet|FortiGate|7|13|type=traffic^", "|"),
            ("LEEF:2.0|Fortinet|FortiGate|7|13|\\t|type=traffic^", "\t"),
            ("LEEF:2.0|Fortinet|FortiGate|7|13|x09|type=traffic^", "#011"),
            ("LEEF:1.0|Fortinet|FortiGate|7|13|type=traffic^", "#011"),
            ("LEEF:1.0|Fortinet|FortiGate|7|13|type=traffic^", "\\t"),
        ];
        for (head, separator) in cases {
            let head = match head.strip_suffix("type=traffic^") {
                Some(rest) => format!("{rest}type=traffic{separator}"),
                None => head.to_owned(),
            };
            let line = format!("{head}{}", attributes.replace('^', separator));
            check(&Format, &[(&line, expected)]);
        }
    }

    #[test]
    fn vendors() {
        let pan = |subtype: &str, kind: &str| {
            format!(
                "<14>Nov  2 10:00:05 relay LEEF:1.0|Palo Alto Networks|PAN-OS|8.1.8|allow|\
                 cat={kind}|Type={kind}|Subtype={subtype}|devTime=Nov 02 2026 10:00:00 GMT|\
                 src=198.51.100.7|dst=203.0.113.25|srcPostNAT=0.0.0.0|dstPostNAT=10.0.0.25|\
                 srcPort=40001|dstPort=25|srcPostNATPort=0|dstPostNATPort=2525|proto=tcp|\
                 action=allow|DeviceName=pa-1"
            )
        };
        let flow = "198.51.100.7:40001 > 203.0.113.25:25 nat_dst=10.0.0.25:2525 @pa-1";
        check(
            &Format,
            &[
                (&pan("end", "TRAFFIC"), &format!("2026-11-02T10:00:00Z close {flow}")),
                (&pan("start", "TRAFFIC"), &format!("2026-11-02T10:00:00Z allow {flow}")),
                (&pan("drop", "TRAFFIC"), &format!("2026-11-02T10:00:00Z deny {flow}")),
                (&pan("end", "traffic"), &format!("2026-11-02T10:00:00Z close {flow}")),
                (
                    &pan("end", "TRAFFIC").replace("PostNAT", "PreNAT"),
                    &format!("2026-11-02T10:00:00Z close {flow}"),
                ),
                (&pan("url", "THREAT"), "ignored"),
                (&pan("end", "TRAFFIC").replace("=tcp", "=udp"), "ignored"),
                (&pan("end", "TRAFFIC").replace("=25|", "=x|"), "rejected dstPort"),
                ("LEEF:1.0|V|P|1|anomaly|src=192.0.2.1\tdst=192.0.2.2\tdstPort=25", "ignored"),
                ("LEEF:1.0|V|P", "rejected header"),
                ("LEEF:3.0|V|P", "not recognised"),
            ],
        );
    }
}
