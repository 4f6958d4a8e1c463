//! Zeek (Bro) connection log `conn.log`, tab-separated or JSON.
//!
//! ```text
//! #fields  ts  uid  id.orig_h  id.orig_p  id.resp_h  id.resp_p  proto  ...  conn_state  ...
//! 1793613600.123456  CHhAvVGS1DHFjwGM9  198.51.100.7  40001  203.0.113.25  25  tcp  ...  SF  ...
//! ```
//!
//! Zeek documentation, `base/protocols/conn/main.zeek` (`conn_state`) and the ASCII log writer. Zeek
//! watches, it decides nothing: an established connection had been let pass and is told at its end;
//! REJ is a refusal by the server or by something before it; a SYN without answer proves only that.
//! `#fields` is read each time it appears. Skipped: Zeek's other logs, all but TCP.

use memchr::memmem;

use crate::logs::clock::LogTime;
use crate::logs::fields::columns;
use crate::logs::firewall::ends::{Parsed, conclude, end};
use crate::logs::firewall::{FirewallFormat, FlowRecord, Shows};
use crate::logs::json::Json;
use crate::logs::line::{Columns, Line, Outcome};
use crate::model::flow::{Action, Answer};

/// The format.
pub(super) struct Format;

/// The fields that are read.
const WANTED: [&str; 7] =
    ["ts", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "conn_state"];

/// Where they stand in a row whose header is missing: the order has been the same since Bro 2.
const USUAL_PLACES: [usize; 7] = [0, 2, 3, 4, 5, 6, 11];

impl FirewallFormat for Format {
    fn name(&self) -> &'static str {
        "zeek_conn"
    }

    fn product(&self) -> &'static str {
        "Zeek conn.log (tab-separated, JSON)"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"id.orig_h", b"id.resp_h", b"id.resp_p", b"conn_state"]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Deny, Shows::Close, Shows::Zone]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        const HEADERS: [&[u8]; 7] = [
            b"#separator \\x09",
            b"#set_separator\t",
            b"#empty_field\t",
            b"#unset_field\t",
            b"#path\t",
            b"#types\t",
            b"#close\t",
        ];
        HEADERS.iter().any(|header| line.raw.starts_with(header))
            || line.raw.starts_with(b"#open\t")
            || memmem::find(line.raw, b"\"id.orig_h\"").is_some()
            || is_row(line.raw)
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        [format!("\t{port}\t"), format!("\"id.resp_p\":{port}"), format!("\"id.resp_p\": {port}")]
            .map(String::into_bytes)
            .to_vec()
    }

    fn header(&self, line: &[u8]) -> Option<Columns> {
        let names = line.strip_prefix(b"#fields\t")?.trim_ascii_end();
        Some(Columns::find(&WANTED, columns(names, b'\t'), b'\t'))
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        columns: &Columns,
        out: &mut Vec<FlowRecord<'a>>,
    ) -> Outcome {
        if line.raw.starts_with(b"#") {
            return Outcome::Ignored;
        }
        conclude(parse(line, &read_fields(line.raw, columns)), out)
    }
}

/// An epoch with a fraction, then an identifier that starts with C.
fn is_row(raw: &[u8]) -> bool {
    let mut row = raw.split(|&b| b == b'\t');
    let time = row.next().filter(|time| time.contains(&b'.')).and_then(LogTime::parse_epoch);
    let uid = row.next().unwrap_or_default();
    time.is_some() && uid.starts_with(b"C") && uid.len() >= 12
}

/// A row's fields in the order of [`WANTED`]; `-` is unset.
type Fields<'a> = [Option<&'a [u8]>; WANTED.len()];

fn read_fields<'a>(raw: &'a [u8], header: &Columns) -> Fields<'a> {
    if let Some(object) = Json::read_object(raw).filter(|object| object.get("ts").is_some()) {
        return WANTED.map(|name| object.text_of(name));
    }
    let row: Vec<&[u8]> = raw.split(|&b| b == b'\t').collect();
    std::array::from_fn(|field| {
        let place = if header.is_empty() {
            USUAL_PLACES.get(field).copied()
        } else {
            header.position(field)
        };
        row.get(place?).copied().filter(|text| *text != b"-")
    })
}

fn parse<'a>(line: &Line<'a>, fields: &Fields<'a>) -> Parsed<'a> {
    let [time, src, src_port, dst, dst_port, proto, Some(state)] = *fields else { return Ok(None) };
    if proto != Some(b"tcp") {
        return Ok(None);
    }
    let (action, answer) = verdict_of(state);
    let src = end((src, "id.orig_h"), (src_port, "id.orig_p"))?;
    let dst = end((dst, "id.resp_h"), (dst_port, "id.resp_p"))?;
    let mut record = FlowRecord::new(line, action, src, dst);
    record.time = time.and_then(parse_time).or(line.time);
    record.answer = answer;
    Ok(Some(record))
}

/// S0, RSTOS0 and SH are a client's SYN that was never answered; SHR, RSTRH and OTH are pieces.
fn verdict_of(state: &[u8]) -> (Action, Answer) {
    match state {
        b"S1" | b"S2" | b"S3" | b"SF" | b"RSTO" | b"RSTR" => (Action::Close, Answer::Untold),
        b"REJ" => (Action::Deny, Answer::Untold),
        b"S0" | b"RSTOS0" | b"SH" => (Action::Unknown, Answer::Never),
        _ => (Action::Unknown, Answer::Untold),
    }
}

/// An epoch with a fraction, or ISO 8601 by the writer's setting.
fn parse_time(text: &[u8]) -> Option<LogTime> {
    LogTime::parse_epoch(text).or_else(|| LogTime::parse_iso(text).map(|(time, _)| time))
}

#[cfg(test)]
mod tests {
    use super::Format;
    use crate::logs::firewall::FirewallFormat;
    use crate::logs::firewall::testing::{check, told_after};

    #[test]
    fn states() {
        let ends = "198.51.100.7:40001 > 203.0.113.25:25";
        for (state, expected) in [
            ("SF", format!("close {ends}")),
            ("RSTR", format!("close {ends}")),
            ("REJ", format!("deny {ends}")),
            ("S0", format!("unknown {ends} unanswered")),
            ("OTH", format!("unknown {ends}")),
        ] {
            let row = format!(
                "1793613600.123456\tCHhAvVGS1DHFjwGM9\t198.51.100.7\t40001\t203.0.113.25\t25\ttcp\t\
                 smtp\t1.5\t10\t20\t{state}\t-\t-\t0\tShADad"
            );
            check(&Format, &[(&row, &format!("2026-11-02T10:00:00Z {expected}"))]);
        }
    }

    #[test]
    fn the_header_orders_the_fields() {
        let header = b"#fields\tts\tproto\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tconn_state";
        let columns = Format.header(header).unwrap();
        let row = "1793613600.0\ttcp\t2001:db8::7\t40001\t2001:db8::25\t25\tSF";
        let expected = "2026-11-02T10:00:00Z close 2001:db8::7:40001 > 2001:db8::25:25";
        assert_eq!(told_after(&Format, &columns, row), expected);
        let smtp = Format.header(b"#fields\tts\tuid\tid.orig_h\thelo").unwrap();
        assert_eq!(told_after(&Format, &smtp, "1793613600.0\tC1\t192.0.2.1\tx"), "ignored");
    }

    #[test]
    fn json() {
        check(
            &Format,
            &[
                (
                    "{\"ts\":\"2026-11-02T10:00:00.5Z\",\"uid\":\"C1\",\"id.orig_h\":\
                     \"198.51.100.7\",\"id.orig_p\":40001,\"id.resp_h\":\"203.0.113.25\",\
                     \"id.resp_p\":25,\"proto\":\"tcp\",\"conn_state\":\"S1\"}",
                    "2026-11-02T10:00:00Z close 198.51.100.7:40001 > 203.0.113.25:25",
                ),
                ("{\"ts\":1793613600.1,\"id.orig_h\":\"192.0.2.1\",\"helo\":\"x\"}", "ignored"),
                (
                    "{\"ts\":1793613600.1,\"id.orig_h\":\"x\",\"proto\":\"tcp\",\
                     \"conn_state\":\"SF\"}",
                    "rejected id.orig_h",
                ),
            ],
        );
    }
}
