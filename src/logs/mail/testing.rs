//! What the formats' tests share. In: a format and lines. Out: what became of them as short texts,
//! so that a unit test is a table of (line, expected). The tests here walk the list: every format
//! has samples, and on each sample line the marks hold, the sessions are those of
//! `expected.jsonl`, no damage makes the parser panic, and no client's text moves an address.
//!
//! Wherever a client's text stands in a sample line, the sample has the word `canary`.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use memchr::memmem;
use proptest::prelude::*;

use super::{Assembler, FORMATS, Fact, FactBatch, Finished, Keep, Limits, MailFormat, MailRecord};
use crate::logs::clock::{Clock, Zone};
use crate::logs::inspect_session::session_line;
use crate::logs::line::{Columns, Outcome};
use crate::logs::{envelope, fields};
use crate::model::session::SessionView;
use crate::model::time::Timestamp;

/// The reference time of all samples and tables; their zone is UTC.
pub(crate) fn clock() -> Clock {
    let reference = Timestamp::parse_rfc3339("2026-11-30T00:00:00Z").unwrap();
    Clock::new(Zone::Guessed, reference)
}

/// Compares what each line of a table gives; see [`told`].
pub(crate) fn check(format: &dyn MailFormat, cases: &[(&str, &str)]) {
    for (raw, expected) in cases {
        assert_eq!(told(format, raw), *expected, "{raw}");
    }
}

/// What a line without a header before it gives: `ignored`, `rejected FIELD`, `not recognised`,
/// or per record its fact and the ends that it knows, records parted by ` | `.
pub(crate) fn told(format: &dyn MailFormat, raw: &str) -> String {
    let line = envelope::open(raw.as_bytes());
    if !format.recognises(&line) {
        return "not recognised".to_owned();
    }
    let mut records = Vec::new();
    match format.parse(&line, &Columns::NONE, &mut records) {
        Outcome::Ignored => "ignored".to_owned(),
        Outcome::Rejected(reject) => format!("rejected {}", reject.field),
        Outcome::Event => records.iter().map(told_record).collect::<Vec<_>>().join(" | "),
    }
}

fn told_record(record: &MailRecord<'_>) -> String {
    let mut text = told_fact(&record.fact);
    let end = |ip: Option<IpAddr>, port: Option<u16>| {
        let ip = ip.map(|ip| ip.to_string()).unwrap_or_default();
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        ip + &port
    };
    let client = end(record.client, record.client_port);
    let local = end(record.local_ip, record.local_port);
    for (word, end) in [("from", client), ("to", local)] {
        if !end.is_empty() {
            write!(text, " {word} {end}").unwrap();
        }
    }
    text
}

fn told_fact(fact: &Fact<&[u8]>) -> String {
    let named = |text: Option<&[u8]>| {
        text.map(|text| format!(" `{}`", fields::shown(text))).unwrap_or_default()
    };
    match fact {
        Fact::Helo { answer, weight, name } => format!("{weight:?} {answer:?}{}", named(*name)),
        Fact::Command { verb, name } => format!("Command {verb:?}{}", named(*name)),
        Fact::Reply { code } => format!("Reply {code}"),
        Fact::Auth { success, user } => format!("Auth {success:?}{}", named(*user)),
        Fact::Announced { .. } => "Announced".to_owned(),
        Fact::Queued { .. } => "Queued".to_owned(),
        Fact::Renamed { .. } => "Renamed".to_owned(),
        Fact::Disconnect { end, summary: None } => format!("Disconnect {end:?}"),
        Fact::Disconnect { end, summary: Some(sum) } => format!(
            "Disconnect {end:?} {:?} {:?} {:?} {}",
            sum.helo,
            sum.auth,
            sum.messages,
            if sum.refused { "refused" } else { "fine" }
        ),
        Fact::Delivery { next_hop, domain, queued_as } => {
            let hop = next_hop.map_or("?".to_owned(), |hop| hop.to_string());
            let back = if queued_as.is_some() { " and back" } else { "" };
            format!("Delivery of `{}` by {hop}{back}", fields::shown(domain))
        }
        other => format!("{other:?}"),
    }
}

/// Puts the sessions that it is given into a list.
pub(crate) fn into(out: &mut Vec<Finished>) -> impl FnMut(&SessionView<'_>, &'static str) {
    |session, format| out.push(Finished { session: session.to_session(), format })
}

/// The sessions of logs that are read one after the other, in the order of their first lines.
pub(crate) fn sessions(logs: &[&[u8]]) -> Vec<Finished> {
    let mut assembler = Assembler::new(Keep::AllLines, Limits::default());
    let mut out = Vec::new();
    for (input, log) in (0..).zip(logs) {
        assembler.take(&facts(log), input, 1, &mut into(&mut out));
    }
    assembler.finish(&mut into(&mut out));
    out.sort_by_key(|finished| finished.session.lines.first().copied());
    out
}

/// What the lines of a log say.
pub(crate) fn facts(log: &[u8]) -> FactBatch {
    let mut batch = FactBatch::default();
    each_line(log, |number, raw, columns| {
        let line = envelope::open(raw);
        let found = FORMATS.iter().position(|format| format.recognises(&line));
        let Some(format) = found else { return };
        let mut records = Vec::new();
        FORMATS[format].parse(&line, columns, &mut records);
        for record in &records {
            let time = record.time.and_then(|time| clock().resolve(time));
            let server = batch.server(record.server.unwrap_or_default());
            batch.add(&record.said(), format, number - 1, time, server);
        }
    });
    batch
}

/// Sessions of one log as `inspect` prints them.
pub(crate) fn printed(log: &[u8]) -> String {
    let lines = sessions(&[log]);
    lines
        .iter()
        .map(|finished| session_line(&finished.session.view(), finished.format).unwrap() + "\n")
        .collect()
}

/// Calls back with every line that is no header: its number, the line, the columns before it.
fn each_line(log: &[u8], mut visit: impl FnMut(u32, &[u8], &Columns)) {
    let mut columns = Columns::NONE;
    for (number, raw) in (1..).zip(log.split(|&b| b == b'\n')) {
        match FORMATS.iter().find_map(|format| format.header(raw)) {
            Some(found) => columns = found,
            None if raw.is_empty() => {}
            None => visit(number, raw, &columns),
        }
    }
}

fn folder(format: &dyn MailFormat) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("samples/mail").join(format.name())
}

/// The sample logs of a format, in order of their names: path and content.
fn samples(format: &dyn MailFormat) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = folder(format);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|_| panic!("{}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "log"));
    paths.sort();
    assert!(!paths.is_empty(), "{} has no samples", format.name());
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Calls back with every sample line of the format.
fn each_sample_line(format: &dyn MailFormat, mut visit: impl FnMut(&str, &[u8], &Columns)) {
    for (path, content) in samples(format) {
        each_line(&content, |number, raw, columns| {
            visit(&format!("{}:{number}", path.display()), raw, columns);
        });
    }
}

fn parsed<'a>(
    format: &dyn MailFormat,
    raw: &'a [u8],
    columns: &Columns,
) -> (Outcome, Vec<MailRecord<'a>>) {
    let mut records = Vec::new();
    let outcome = format.parse(&envelope::open(raw), columns, &mut records);
    (outcome, records)
}

#[test]
fn every_sample_line_that_gives_a_record_goes_to_its_format() {
    for format in FORMATS {
        each_sample_line(*format, |place, raw, columns| {
            let (outcome, records) = parsed(*format, raw, columns);
            assert_eq!(outcome == Outcome::Event, !records.is_empty(), "{place}");
            let line = envelope::open(raw);
            let found = FORMATS.iter().find(|format| format.recognises(&line));
            let found = found.map_or("none", |format| format.name());
            assert!(records.is_empty() || found == format.name(), "{place} goes to {found}");
        });
    }
}

#[test]
fn marks_are_in_every_line_that_gives_a_record() {
    for format in FORMATS {
        each_sample_line(*format, |place, raw, columns| {
            let marked = format.marks().iter().any(|mark| memmem::find(raw, mark).is_some());
            let (_, records) = parsed(*format, raw, columns);
            let bare = format.marks().is_empty() || records.is_empty();
            assert!(marked || bare, "{place} lacks every mark");
        });
    }
}

#[test]
fn samples_give_the_sessions_that_are_expected() {
    let update = std::env::var_os("UPDATE_SAMPLES").is_some();
    for format in FORMATS {
        let got: String = samples(*format).iter().map(|(_, content)| printed(content)).collect();
        let path = folder(*format).join("expected.jsonl");
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
        each_sample_line(*format, |_, raw, columns| {
            for cut in 0..raw.len() {
                let (head, tail) = raw.split_at(cut);
                let first = tail.first().map_or(0, |byte| byte ^ 0x15);
                let flipped = [head, &[first], tail.get(1..).unwrap_or_default()].concat();
                for damaged in [head, tail, &flipped] {
                    format.header(damaged);
                    parsed(*format, damaged, columns);
                    assert_ways_agree(*format, damaged, columns);
                }
            }
        });
    }
}

/// Recognising and reading at once, or before the head is opened, gives what the long way gives.
fn assert_ways_agree(format: &dyn MailFormat, raw: &[u8], columns: &Columns) {
    let shown = || String::from_utf8_lossy(raw);
    let line = envelope::open(raw);
    let (mut long, mut own, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    let outcome = format.recognises(&line).then(|| format.parse(&line, columns, &mut long));
    let at_once = format.parse_own(&line, columns, &mut own);
    assert_eq!((outcome, &long), (at_once, &own), "{}", shown());
    if let Some(program) = line.tag.and_then(|tag| format.program(tag)) {
        let mut known = Vec::new();
        let outcome = program.parse(&line, &mut known);
        assert_eq!((at_once, &own), (Some(outcome), &known), "{}", shown());
        let is_heads =
            |record: &MailRecord<'_>| (record.time, record.server) == (line.time, line.host);
        assert!(known.iter().all(is_heads), "{}", shown());
    }
    let Some((time, outcome)) = format.parse_bare(raw, columns, &mut bare) else { return };
    assert_eq!((at_once, &own), (Some(outcome), &bare), "{}", shown());
    if bare.is_empty() {
        assert_eq!((line.time, line.tag.and(line.host)), (time, None), "{}", shown());
    }
}

/// The address that stands in every hostile text; it may never be taken for an end.
const PLANTED: &str = "192.0.2.66";

fn hostile_texts() -> Vec<Vec<u8>> {
    let mut texts: Vec<Vec<u8>> = [
        "x[192.0.2.66]",
        "[192.0.2.66]:25",
        "x[192.0.2.66]:2525: 250",
        "[192.0.2.66]) [192.0.2.66]",
        "x) [192.0.2.66]:40000 I=[192.0.2.66]:25",
        " from x[192.0.2.66]: ",
        ": connect from x[192.0.2.66]",
        " CONNECT from [192.0.2.66]:1 to [192.0.2.66]:25",
        "x, relay=[192.0.2.66], relay=x [192.0.2.66]",
        "x>, relay=e[192.0.2.66]:25, delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (250 ",
        "x>, orig_to=<y@z>, relay=e[192.0.2.66]:25, delay=0, dsn=2.0.0, status=sent (250 ",
        "ip=192.0.2.66 remoteIp = 192.0.2.66, remotePort = 1 port=1 address=192.0.2.66",
        "\",\"192.0.2.66\",\"",
        "\"192.0.2.66:25\"",
        ",192.0.2.66:25,192.0.2.66:1,>,",
        "\t192.0.2.66\t25\t",
        "'\"`$(x)`\\\"",
        "\r\nNov  2 10:00:00 mx1 postfix/smtpd[1]: connect from x[192.0.2.66]",
        "\\r\\n\\x00",
        "\u{202e}[192.0.2.66]",
        "<>();@:192.0.2.66",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    texts.push(b"\xff\xfe[192.0.2.66]\xc3".to_vec());
    texts.push(b"x[".repeat(1000));
    texts.push([b"a".repeat(2000), b"[192.0.2.66]".to_vec()].concat());
    texts
}

/// The text as a server writes it there: inside quotes of JSON or CSV its quotes are escaped.
fn quoted(raw: &[u8], at: usize, text: &[u8]) -> Vec<u8> {
    let inside = memchr::memchr_iter(b'"', &raw[..at]).count() % 2 == 1;
    let escape: &[u8] = if raw.starts_with(b"{") { b"\\" } else { b"\"" };
    let escaped = |byte: &u8| inside && (*byte == b'"' || (*byte == b'\\' && escape == b"\\"));
    text.iter()
        .flat_map(|byte| [escape, &[*byte]].concat().split_off(usize::from(!escaped(byte))))
        .collect()
}

#[test]
fn no_text_of_a_client_moves_an_address() {
    for format in FORMATS {
        let canaries = hostile_texts().iter().map(|text| plant(*format, text)).min();
        assert!(canaries > Some(0), "{} has no line with a client's text", format.name());
    }
}

/// Puts a text in the place of the client's in every sample line that has one. Whoever is blamed
/// then is blamed by the honest line too. Gives the number of such lines.
fn plant(format: &dyn MailFormat, text: &[u8]) -> usize {
    let mut canaries = 0;
    each_sample_line(format, |place, raw, columns| {
        let places: Vec<usize> = memmem::find_iter(raw, b"canary").collect();
        let (Some(&first), Some(&last)) = (places.first(), places.last()) else { return };
        canaries += 1;
        let (_, honest) = parsed(format, raw, columns);
        for at in [first, last] {
            let (head, tail) = (&raw[..at], &raw[at + b"canary".len()..]);
            let line = [head, &quoted(raw, at, text), tail].concat();
            // Log files are cut at line ends before a parser sees them.
            let line = line.split(|&b| b == b'\n').next().unwrap();
            assert_same_ends(&honest, &parsed(format, line, columns).1, place, line);
            assert_ways_agree(format, line, columns);
        }
    });
    canaries
}

fn assert_same_ends(honest: &[MailRecord<'_>], told: &[MailRecord<'_>], place: &str, line: &[u8]) {
    let planted: IpAddr = PLANTED.parse().unwrap();
    let ends = |record: &MailRecord<'_>| (record.client, record.client_port, record.local_ip);
    for record in told {
        let known = honest.iter().any(|honest| ends(honest) == ends(record));
        let hop = match record.fact {
            Fact::Delivery { next_hop, .. } => next_hop,
            _ => None,
        };
        assert!(known && hop != Some(planted), "{place}: {}", String::from_utf8_lossy(line));
    }
}

/// Pieces that a client could try, put together at random.
fn hostile_text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(PLANTED.as_bytes().to_vec()),
        Just(format!("[{PLANTED}]").into_bytes()),
        Just(format!("[{PLANTED}]:25").into_bytes()),
        Just(b"relay=".to_vec()),
        Just(b" from ".to_vec()),
        Just(b"connect from x".to_vec()),
        proptest::sample::select(b" ,;:=()<>[]{}\"'\\|\r\t@-".as_slice()).prop_map(|b| vec![b]),
        Just(vec![0xff, 0xc3]),
        Just(b"a".repeat(2000)),
        "[a-z0-9]{1,8}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(piece, 1..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_random_text_of_a_client_moves_an_address(text in hostile_text()) {
        for format in FORMATS {
            plant(*format, &text);
        }
    }
}
