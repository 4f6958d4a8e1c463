//! ArcSight Common Event Format (CEF) from any firewall: FortiGate, PAN-OS, Check Point, SonicWall,
//! Forcepoint, UniFi and others.
//!
//! ```text
//! Nov  2 10:00:00 fw1 CEF:0|Fortinet|Fortigate|v7.4|00013|traffic:forward close|3|rt=1793613600000
//! src=198.51.100.7 spt=40001 dst=203.0.113.25 dpt=25 proto=6 act=close
//! ```
//!
//! "Implementing ArcSight Common Event Format". Values may hold blanks: a value ends where the next
//! ` key=` begins; `\=` and `\|` are escapes; of repeated keys the first counts. Relays eat `CEF:` or
//! put a blank behind it. What was done is the vendor's word (`verdict`). Skipped: events that are
//! no verdict on a connection, all but TCP.

use crate::logs::fields::{Pairs, after, starts_soon};
use crate::logs::firewall::ends::{Parsed, conclude, end, other_end};
use crate::logs::firewall::verdict::{Event, action_of, in_zone, is_tcp, parse_time};
use crate::logs::firewall::{FirewallFormat, FlowRecord, Shows};
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::model::flow::Answer;

/// The format.
pub(super) struct Format;

/// Columns before the extension.
const HEADER_COLUMNS: usize = 7;

impl FirewallFormat for Format {
    fn name(&self) -> &'static str {
        "cef"
    }

    fn product(&self) -> &'static str {
        "ArcSight CEF from any firewall"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"CEF:", b"src=", b"dst=", b"dpt=", b"proto="]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Allow, Shows::Deny, Shows::Close, Shows::Nat, Shows::Zone]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        message(line).is_some()
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        ["dpt=", "dpt= ", "destinationTranslatedPort="]
            .iter()
            .map(|key| format!("{key}{port}").into_bytes())
            .collect()
    }

    fn parse<'a>(&self, line: &Line<'a>, _: &Columns, out: &mut Vec<FlowRecord<'a>>) -> Outcome {
        conclude(parse(line), out)
    }
}

/// The text after `CEF:`, from the version on. It is the body behind an RFC 5424 head; behind
/// others `CEF:` itself, or a word before it, can have been taken for a tag.
fn message<'a>(line: &Line<'a>) -> Option<&'a [u8]> {
    versioned(line.body).or_else(|| versioned(line.from_tag()))
}

fn versioned(text: &[u8]) -> Option<&[u8]> {
    let text = if starts_soon(text, b"CEF:") { after(text, b"CEF:")? } else { text };
    let text = text.trim_ascii_start();
    let version = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let numbered = (1..=2).contains(&version) && text.get(version) == Some(&b'|');
    (numbered && next_pipe(text.get(version.checked_add(1)?..)?).is_some()).then_some(text)
}

/// The position of the first `|` that is not escaped.
fn next_pipe(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|&b| {
        let found = b == b'|' && !escaped;
        escaped = b == b'\\' && !escaped;
        found
    })
}

/// The header's columns and the extension.
fn split_header(text: &[u8]) -> Option<([&[u8]; HEADER_COLUMNS], &[u8])> {
    let mut rest = text;
    let mut header = [b"".as_slice(); HEADER_COLUMNS];
    for column in &mut header {
        let (value, tail) = rest.split_at_checked(next_pipe(rest)?)?;
        *column = value;
        rest = tail.get(1..)?;
    }
    Some((header, rest))
}

/// Iterates over the extension: a key is the word before an `=` that is not escaped.
fn extension(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (key, tail) = rest.split_at_checked(next_equals(rest)?)?;
        let tail = tail.get(1..)?;
        let key = key.rsplit(|&b| b == b' ').next()?;
        let (value, remainder) = tail.split_at_checked(next_key(tail).unwrap_or(tail.len()))?;
        rest = remainder;
        Some((key, value.trim_ascii()))
    })
}

/// Where ` key=` begins; an `=` without a blank before it is the value's own.
fn next_key(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let equals = next_equals(text.get(from..)?)?.checked_add(from)?;
        if let Some(blank) = memchr::memrchr(b' ', text.get(from..equals)?) {
            return from.checked_add(blank);
        }
        from = equals.checked_add(1)?;
    }
}

fn next_equals(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|&b| {
        let found = b == b'=' && !escaped;
        escaped = b == b'\\' && !escaped;
        found
    })
}

fn parse<'a>(line: &Line<'a>) -> Parsed<'a> {
    let header = message(line).and_then(split_header);
    let ([_, vendor, product, _, id, name, _], rest) =
        header.ok_or(Reject::new("header", "seven columns and an extension"))?;
    let fields: Pairs<'a> = extension(rest).collect();
    let word = fields.any(&["act", "FTNTFGTaction", "fw_action"]);
    let Some(action) = action_of(&Event { vendor, product, id, name, word }) else {
        return Ok(None);
    };
    if !is_tcp(fields.get("proto")) || fields.get("dpt").is_none() {
        return Ok(None);
    }
    // Where an end is known by name only, the record has no address for it.
    let (src_ip, dst_ip) = (fields.any(&["src", "c6a2"]), fields.any(&["dst", "c6a3"]));
    if src_ip.is_none() || dst_ip.is_none() {
        return Ok(None);
    }
    let src = end((src_ip, "src"), (fields.get("spt"), "spt"))?;
    let dst = end((dst_ip, "dst"), (fields.get("dpt"), "dpt"))?;
    let mut record = FlowRecord::new(line, action, src, dst);
    let time = fields.any(&["rt", "end", "start", "FTNTFGTeventtime", "UNIFIutcTime"]);
    let time = time.and_then(parse_time).map(|time| in_zone(time, fields.get("dtz")));
    record.time = time.or(line.time);
    record.device = fields.any(&["dvchost", "dvc", "deviceExternalId", "UNIFIhost"]).or(line.host);
    let other = |main, ip: &str, port: &str| other_end(main, fields.get(ip), fields.get(port));
    record.nat_src = other(src, "sourceTranslatedAddress", "sourceTranslatedPort");
    record.nat_dst = other(dst, "destinationTranslatedAddress", "destinationTranslatedPort");
    if word == Some(b"ip-conn") {
        record.answer = Answer::Never;
    }
    Ok(Some(record))
}

#[cfg(test)]
mod tests {
    use super::{Format, extension};
    use crate::logs::firewall::testing::check;

    #[test]
    fn extensions() {
        let text = b"a=1 msg=two words b\\=c spt= 12345 cs1=x=y d=  e=end ";
        let got: Vec<String> = extension(text)
            .map(|(key, value)| {
                format!("{}:{}", String::from_utf8_lossy(key), String::from_utf8_lossy(value))
            })
            .collect();
        assert_eq!(got, ["a:1", "msg:two words b\\=c", "spt:12345", "cs1:x=y", "d:", "e:end"]);
    }

    #[test]
    fn vendors() {
        let ends = "src=198.51.100.7 spt=40001 dst=203.0.113.25 dpt=25 proto=6";
        let flow = "198.51.100.7:40001 > 203.0.113.25:25";
        let at = "2026-11-02T10:00:00Z";
        check(
            &Format,
            &[
                (
                    &format!(
                        "<14>1 2026-11-02T10:00:05Z fw1 logforwarder - panwlogs - CEF:0|Palo Alto \
                         Networks|LF|2.0|TRAFFIC|end|3|dtz=UTC rt=Nov 02 2026 10:00:00 {ends} \
                         act=allow request=a act=deny"
                    ),
                    &format!("{at} close {flow} @fw1"),
                ),
                (
                    &format!(
                        "<14>1 2026-11-02T10:00:05Z gw CheckPoint 7 - - CEF:0|Check Point|VPN-1 & \
                         FireWall-1|R81|Log|smtp|5|act=Drop rt=1793613600 {ends}"
                    ),
                    &format!("{at} deny {flow} @gw"),
                ),
                (
                    &format!(
                        "Nov  2 10:00:00 fw1 CEF: 0|Fortinet|Fortigate|v7.4|00011|traffic:forward \
                         ip-conn|3|{ends} act=ip-conn"
                    ),
                    &format!("{at} close {flow} unanswered @fw1"),
                ),
                (
                    &format!(
                        "CEF:0|Check Point|VPN-1 & FireWall-1|Check Point|Log|smtp|Unknown|\
                         act=Accept destinationTranslatedAddress=10.0.0.25 \
                         destinationTranslatedPort=2525 rt=1793613600000 {ends} layer_name=a \
                         layer_name=b src=192.0.2.9"
                    ),
                    &format!("{at} allow {flow} nat_dst=10.0.0.25:2525"),
                ),
                (
                    &format!(
                        "0|Palo Alto\\|x|P|1|a|b|1|rt=Nov 02 2026 10:00:00 GMT act=blocked {ends} \
                         dvchost=fw 2"
                    ),
                    &format!("{at} deny {flow} @fw 2"),
                ),
                (&format!("CEF:0|Elastic|Vaporware|1|18|Web request|low|{ends}"), "ignored"),
                (&format!("CEF:0|X|Y|1|1|n|1|act=allow {ends}").replace("=6", "=17"), "ignored"),
                ("CEF:0|X|Y|1|1|n|1|act=allow dpt=25 proto=TCP src=192.0.2.1", "ignored"),
                (
                    &format!("CEF:0|X|Y|1|1|n|1|act=allow {ends} spt=x").replacen("40001", "x", 1),
                    "rejected spt",
                ),
                ("CEF:0|X|Y", "rejected header"),
                ("CEF:x|X|Y", "not recognised"),
            ],
        );
    }
}
