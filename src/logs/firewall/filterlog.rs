//! pfSense and OPNsense `filterlog`.
//!
//! `Nov  2 10:00:00 fw1 filterlog[722]: 53,,,1000000103,em0,match,block,in,4,0x0,,52,4711,0,DF,6,
//! tcp,60,198.51.100.7,203.0.113.25,40001,25,0,S,536001,,64240,,mss`
//!
//! Document: Netgate, "Raw Filter Log Format"; OPNsense writes the same columns. One line a packet,
//! and only of rules that log. A routed packet crosses the filter twice, coming in and going out:
//! both lines are told once. Skipped: everything but TCP, and fragments that have no ports.

use crate::logs::fields::{columns, split_once};
use crate::logs::firewall::ends::{Parsed, conclude, end};
use crate::logs::firewall::{FirewallFormat, FlowRecord, Join, JoinRule, Shows};
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::model::flow::{Action, Packet};

/// pfSense and OPNsense.
pub(super) struct Format;

/// Columns that are kept of a row; an IPv4 row has up to 29.
const MOST_COLUMNS: usize = 26;

impl FirewallFormat for Format {
    fn name(&self) -> &'static str {
        "filterlog"
    }

    fn product(&self) -> &'static str {
        "pfSense and OPNsense filterlog"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"filterlog", b",match,", b",tcp,"]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Allow, Shows::Deny]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        line.tag == Some(b"filterlog") || (line.tag.is_none() && looks_like_row(line.body))
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        vec![format!(",{port},").into_bytes()]
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        _columns: &Columns,
        out: &mut Vec<FlowRecord<'a>>,
    ) -> Outcome {
        conclude(parse_row(line), out)
    }
}

/// `53,,,1000000103,em0,match,block,in,4,`: a row without a head.
fn looks_like_row(text: &[u8]) -> bool {
    let Some((rule, _)) = split_once(text, b',') else { return false };
    let digits = !rule.is_empty() && rule.len() < 8 && rule.iter().all(u8::is_ascii_digit);
    let mut decision = columns(text, b',').skip(6);
    digits
        && matches!(decision.next(), Some(b"pass" | b"block" | b"reject"))
        && matches!(decision.next(), Some(b"in" | b"out"))
        && matches!(decision.next(), Some(b"4" | b"6"))
}

/// Where the columns of one IP version stand.
struct Layout {
    protocol: usize,
    src: usize,
}

const IPV4: Layout = Layout { protocol: 16, src: 18 };
const IPV6: Layout = Layout { protocol: 12, src: 15 };
/// The IPv4 fragment offset.
const OFFSET: usize = 13;

fn parse_row<'a>(line: &Line<'a>) -> Parsed<'a> {
    let mut row = [&b""[..]; MOST_COLUMNS];
    for (slot, column) in row.iter_mut().zip(columns(line.body, b',')) {
        *slot = column;
    }
    let column = |index: usize| row.get(index).copied().unwrap_or_default();
    let layout = match column(8) {
        b"4" => IPV4,
        b"6" => IPV6,
        _ => return Err(Reject::new("ip-version", "4 or 6")),
    };
    let fragment = column(8) == b"4" && !matches!(column(OFFSET), b"0" | b"");
    if !column(layout.protocol).eq_ignore_ascii_case(b"tcp") || fragment {
        return Ok(None);
    }
    let after_src = |offset: usize| Some(column(layout.src.saturating_add(offset)));
    let src = end((after_src(0), "source"), (after_src(2), "source-port"))?;
    let dst = end((after_src(1), "destination"), (after_src(3), "destination-port"))?;
    let (flags, sequence) = (after_src(5).unwrap_or_default(), after_src(6));
    let mut record = FlowRecord::new(line, action_of(column(6)), src, dst);
    record.packet = packet_of(flags);
    let rule = JoinRule::Once { within: 1 };
    record.join = Some(Join::new(rule, (src, dst, flags, sequence)));
    Ok(Some(record))
}

/// Translation rules (`rdr`, `nat`) log too, and decide nothing.
fn action_of(word: &[u8]) -> Action {
    match word {
        b"pass" => Action::Allow,
        b"block" | b"reject" => Action::Deny,
        _ => Action::Unknown,
    }
}

/// Flags are letters: `S`, `SA`, `PA`, `FA`, `.` for a bare ACK. A row cut before them says nothing.
fn packet_of(flags: &[u8]) -> Packet {
    match (flags.contains(&b'S'), flags.contains(&b'A')) {
        (true, false) => Packet::Syn,
        _ if flags.is_empty() => Packet::Connection,
        _ => Packet::Stray,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::firewall::testing::told;

    const V4: &str = "53,,,1000000103,em0,match,block,in,4,0x0,,52,4711,0,DF,6,tcp,60,\
                      198.51.100.7,203.0.113.25,40001,25,0,S,536001,,64240,,mss";
    const V6: &str = "82,,,0,em0,match,pass,in,6,0x00,0x00000,64,TCP,6,40,2001:db8::7,\
                      2001:db8::25,40001,587,0,S,1,,64800,,mss";

    #[test]
    fn rows_of_both_versions() {
        let v4 = "198.51.100.7:40001 > 203.0.113.25:25";
        let cases = [
            (V4.to_owned(), format!("deny {v4} syn")),
            (V4.replace(",S,", ",SA,"), format!("deny {v4} stray")),
            (V4.replace(",S,", ",.,"), format!("deny {v4} stray")),
            (V4.replace("block", "reject"), format!("deny {v4} syn")),
            (V4.replace("block", "pass"), format!("allow {v4} syn")),
            (V6.to_owned(), "allow 2001:db8::7:40001 > 2001:db8::25:587 syn".to_owned()),
            (V4.replace(",4711,0,", ",4711,1480,"), "ignored".to_owned()),
            (V4.replace(",6,tcp,", ",17,udp,"), "ignored".to_owned()),
            (V4.replace(",25,0,S", ",65536,0,S"), "rejected destination-port".to_owned()),
            (V4.replace("198.51.100.7", "198.51.100"), "rejected source".to_owned()),
        ];
        for (row, expected) in cases {
            let timed = expected.contains('>');
            let headed = format!("Nov  2 10:00:00 filterlog[7]: {row}");
            let time = if timed { "2026-11-02T10:00:00Z " } else { "" };
            assert_eq!(told(&Format, &headed), format!("{time}{expected}"), "{row}");
            let time = if timed { "- " } else { "" };
            assert_eq!(told(&Format, &row), format!("{time}{expected}"), "{row}");
        }
    }

    #[test]
    fn what_decides_nothing_or_is_no_row() {
        let head = "<134>1 2026-11-02T10:00:00+00:00 fw1 filterlog 7 - [meta sequenceId=\"1\"] ";
        let rdr = format!("{head}{}", V4.replace("block", "rdr"));
        let expected = "2026-11-02T10:00:00Z unknown 198.51.100.7:40001 > 203.0.113.25:25 syn @fw1";
        assert_eq!(told(&Format, &rdr), expected);
        assert_eq!(
            told(&Format, &format!("{head}5,,,1,em0,match,block,in,9,")),
            "rejected ip-version"
        );
        assert_eq!(told(&Format, "1,2,3,4,5,6,pass,in,7"), "not recognised");
        assert_eq!(
            told(&Format, "Nov  2 10:00:00 fw1 sshd[1]: 1,2,3,4,5,6,pass,in,4"),
            "not recognised"
        );
    }
}
