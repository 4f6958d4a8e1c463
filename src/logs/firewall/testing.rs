//! What the formats' tests share. In: a format and a line. Out: what became of it as one short
//! text, so that a unit test is a table of (line, expected). The tests here walk the list: every
//! format has samples, and on each sample line the needles hold, the parser gives what
//! `expected.jsonl` says, and no damage to the line makes it panic.

use std::fmt::Write;
use std::path::PathBuf;

use super::{FORMATS, FirewallFormat, FlowRecord, HostText};
use crate::logs::clock::{Clock, Zone};
use crate::logs::inspect::flow_line;
use crate::logs::line::{Columns, Outcome};
use crate::logs::{envelope, fields};
use crate::model::citation::Citation;
use crate::model::flow::{Answer, FlowEvent, Packet};
use crate::model::input::Devices;
use crate::model::net::Endpoint;
use crate::model::time::Timestamp;

/// The reference time of all samples and tables; their zone is UTC.
pub(crate) fn clock() -> Clock {
    let reference = Timestamp::parse_rfc3339("2026-11-30T00:00:00Z").unwrap();
    Clock::new(Zone::Guessed, reference)
}

/// Compares what each line of a table gives; see [`told_after`].
pub(crate) fn check(format: &dyn FirewallFormat, cases: &[(&str, &str)]) {
    for (raw, expected) in cases {
        assert_eq!(told(format, raw), *expected, "{raw}");
    }
}

/// What a line without a header before it gives; see [`told_after`].
pub(crate) fn told(format: &dyn FirewallFormat, raw: &str) -> String {
    told_after(format, &Columns::NONE, raw)
}

/// What a line gives under these columns: `ignored`, `rejected FIELD`, `not recognised`, or per
/// record `TIME ACTION SRC:PORT > DST:PORT` and what else is known of it, records parted by ` | `.
pub(crate) fn told_after(format: &dyn FirewallFormat, columns: &Columns, raw: &str) -> String {
    let line = envelope::open(raw.as_bytes());
    if columns.is_empty() && !format.recognises(&line) {
        return "not recognised".to_owned();
    }
    let mut records = Vec::new();
    match format.parse(&line, columns, &mut records) {
        Outcome::Ignored => "ignored".to_owned(),
        Outcome::Rejected(reject) => format!("rejected {}", reject.field),
        Outcome::Event => records.iter().map(told_record).collect::<Vec<_>>().join(" | "),
    }
}

fn told_record(record: &FlowRecord<'_>) -> String {
    let time = record.time.and_then(|time| clock().resolve(time));
    let time = time.map_or("-".to_owned(), |time| time.to_string());
    let mut text = format!(
        "{time} {} {}:{} > {}:{}",
        record.action.word(),
        told_host(record.src),
        record.src_port,
        told_host(record.dst),
        record.dst_port
    );
    let end = |end: Endpoint| format!("{}:{}", end.ip, end.port);
    let word = |mark: &str, bytes: &[u8]| format!("{mark}{}", fields::shown(bytes));
    let more = [
        record.nat_src.map(|nat| format!("nat_src={}", end(nat))),
        record.nat_dst.map(|nat| format!("nat_dst={}", end(nat))),
        (record.answer == Answer::Never).then(|| "unanswered".to_owned()),
        match record.packet {
            Packet::Connection => None,
            Packet::Syn => Some("syn".to_owned()),
            Packet::Stray => Some("stray".to_owned()),
        },
        (record.count != 1).then(|| format!("x{}", record.count)),
        record.device.map(|device| word("@", device)),
        record.prefix.map(|prefix| word("prefix=", prefix)),
    ];
    for part in more.into_iter().flatten() {
        write!(text, " {part}").unwrap();
    }
    text
}

fn told_host(host: HostText<'_>) -> String {
    match host {
        HostText::Ip(ip) => ip.to_string(),
        HostText::Name(name) => fields::shown(name).into_string(),
    }
}

/// The sample logs of a format, in order of their names: path and content.
fn samples(format: &dyn FirewallFormat) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("samples/firewall");
    let folder = folder.join(format.name());
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|_| panic!("{}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "log"));
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Calls back with every line of the format's samples, its number, and the columns before it.
fn each_sample_line(
    format: &dyn FirewallFormat,
    mut visit: impl FnMut(&PathBuf, u64, &[u8], &Columns),
) {
    for (path, content) in samples(format) {
        let mut columns = Columns::NONE;
        for (number, raw) in (1..).zip(content.split(|&b| b == b'\n')) {
            match format.header(raw) {
                Some(found) => columns = found,
                None if raw.is_empty() => {}
                None => visit(&path, number, raw, &columns),
            }
        }
    }
}

#[test]
fn every_sample_line_goes_to_its_format() {
    for format in FORMATS {
        let mut lines = 0;
        each_sample_line(*format, |path, number, raw, columns| {
            lines += 1;
            let line = envelope::open(raw);
            let found = FORMATS.iter().find(|format| format.recognises(&line));
            let found = found.map_or("none", |format| format.name());
            let right = found == format.name() || (found == "none" && !columns.is_empty());
            assert!(right, "{}:{number} goes to {found}", path.display());
        });
        assert!(lines > 0, "{} has no sample lines", format.name());
    }
}

#[test]
fn needles_are_in_the_lines_that_they_are_for() {
    for format in FORMATS {
        each_sample_line(*format, |path, number, raw, columns| {
            let mut records = Vec::new();
            format.parse(&envelope::open(raw), columns, &mut records);
            for record in records {
                let nat_port = record.nat_dst.map(|nat| nat.port);
                for port in [Some(record.dst_port), nat_port].into_iter().flatten() {
                    let needles = format.needles(port);
                    let hit = needles.iter().any(|n| memchr::memmem::find(raw, n).is_some());
                    assert!(hit, "{}:{number} lacks every needle of {port}", path.display());
                }
            }
        });
    }
}

#[test]
fn samples_give_what_is_expected() {
    let update = std::env::var_os("UPDATE_SAMPLES").is_some();
    for format in FORMATS {
        let mut got = String::new();
        each_sample_line(*format, |_, line, raw, columns| {
            let mut records = Vec::new();
            format.parse(&envelope::open(raw), columns, &mut records);
            for record in &records {
                let mut devices = Devices::default();
                let name = record.device.map_or_else(Box::default, fields::shown);
                let device = devices.index_of(&name);
                let at = Citation { input: 0, line };
                let flow = record.to_flow(&clock());
                let event = FlowEvent { flow, at, device, format: format.name() };
                got += &flow_line(&event, &devices).unwrap();
                got.push('\n');
            }
        });
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("samples/firewall");
        let path = folder.join(format.name()).join("expected.jsonl");
        if update {
            std::fs::write(&path, &got).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        for (got, expected) in got.lines().zip(expected.lines()) {
            assert_eq!(got, expected, "{}", path.display());
        }
        assert_eq!(got.lines().count(), expected.lines().count(), "{}", path.display());
    }
}

#[test]
fn damaged_lines_never_panic() {
    for format in FORMATS {
        each_sample_line(*format, |_, _, raw, columns| {
            // Long lines are cut more sparsely: the work grows with the square of their length.
            for cut in (0..raw.len()).step_by(raw.len() / 256 + 1) {
                let (head, tail) = raw.split_at(cut);
                let first = tail.first().map_or(0, |byte| byte ^ 0x15);
                let flipped = [head, &[first], tail.get(1..).unwrap_or_default()].concat();
                for damaged in [head, tail, &flipped] {
                    let line = envelope::open(damaged);
                    let mut records = Vec::new();
                    format.recognises(&line);
                    format.header(damaged);
                    format.parse(&line, columns, &mut records);
                }
            }
        });
    }
}
