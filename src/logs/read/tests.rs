//! The reader on files: any cutting, any compression, any number of threads gives the same events;
//! damaged inputs cost only themselves; every line is accounted for.

#![allow(clippy::indexing_slicing, reason = "a test that indexes wrongly fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::*;
use crate::logs::line::LONGEST_LINE;
use crate::logs::mail::Finished;
use crate::model::input::{Status, Tally};
use crate::model::session::SessionView;

#[derive(Default)]
struct Seen {
    flows: Vec<FlowEvent>,
    sessions: Vec<Finished>,
}

impl Sink for Seen {
    fn flow(&mut self, event: FlowEvent, _devices: &Devices) {
        self.flows.push(event);
    }

    fn session(&mut self, session: &SessionView<'_>, format: &'static str) {
        self.sessions.push(Finished { session: session.to_session(), format });
    }
}

struct Outcome {
    flows: Vec<String>,
    sessions: Vec<Finished>,
    reports: Vec<InputReport>,
}

struct Setup {
    block: usize,
    threads: usize,
    selection: Selection,
    settings: InputSettings,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            block: BLOCK_SIZE,
            threads: 2,
            selection: ports(),
            settings: InputSettings::default(),
        }
    }
}

fn ports() -> Selection {
    Selection::Ports(BTreeSet::from([25, 465, 587]))
}

fn read(paths: &[PathBuf], setup: &Setup) -> Outcome {
    let inputs = paths
        .iter()
        .enumerate()
        .map(|(number, path)| LogInput {
            path: path.clone(),
            kind: InputKind::Log,
            number: number as u32,
            settings: setup.settings.clone(),
        })
        .collect();
    let verdicts = BTreeMap::new();
    let mut options = ReadOptions::new(setup.selection.clone(), &verdicts);
    options.block_size = setup.block;
    options.now = Timestamp::parse_rfc3339("2026-12-01T00:00:00Z");
    let mut devices = Devices::default();
    let mut seen = Seen::default();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(setup.threads).build().unwrap();
    let reports = pool.install(|| read_logs(inputs, &options, &mut devices, &mut seen, &|_| {}));
    for report in &reports {
        assert!(report.tally.adds_up(), "{report:?}");
    }
    let flows = seen
        .flows
        .iter()
        .map(|event| {
            let flow = &event.flow;
            let device = devices.name(event.device);
            let time = flow.time.map(|time| time.to_string()).unwrap_or_default();
            format!(
                "{}:{} {time} {device} {:?} {}",
                event.at.input, event.at.line, flow.src, flow.dst_port
            )
        })
        .collect();
    Outcome { flows, sessions: seen.sessions, reports }
}

fn packet(n: usize, port: u16) -> String {
    format!(
        "Nov  2 10:{:02}:{:02} fw1 kernel: FWD-ACCEPT IN=eth0 OUT=eth1 SRC=198.51.100.{} \
         DST=203.0.113.25 LEN=60 TOS=0x00 PREC=0x00 TTL=50 ID={n} DF PROTO=TCP SPT={} DPT={port} \
         WINDOW=64240 RES=0x00 SYN URGP=0",
        n / 60 % 60,
        n % 60,
        n % 250 + 1,
        40000 + n % 1000
    )
}

/// Lines of a firewall, every fourth to a mail port.
fn log(lines: usize) -> String {
    let ports = [443, 25, 80, 2500, 8025, 587, 22, 3389];
    (0..lines).map(|n| packet(n, ports[n % ports.len()]) + "\n").collect()
}

fn write(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    path
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(content: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn xz(content: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(content, 1).unwrap()
}

/// Reads one file of this content.
fn read_content(content: &[u8], setup: &Setup) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "fw.log", content);
    let mut outcome = read(&[path], setup);
    for report in &mut outcome.reports {
        report.path = PathBuf::new();
    }
    outcome
}

#[test]
fn lines_with_a_wanted_port_become_flows_with_their_line_numbers() {
    let outcome = read_content(log(8).as_bytes(), &Setup::default());
    assert_eq!(
        outcome.flows,
        [
            "0:2 2026-11-02T10:00:01Z fw1 Ip(198.51.100.2) 25",
            "0:6 2026-11-02T10:00:05Z fw1 Ip(198.51.100.6) 587"
        ]
    );
    let report = &outcome.reports[0];
    let expected = Tally { lines: 8, events: 2, ignored: 6, ..Tally::default() };
    assert_eq!(Tally { bytes: 0, ..report.tally }, expected);
    assert_eq!(report.status, Status::Complete);
    let span = report.span.unwrap();
    assert_eq!(span.first.to_string(), "2026-11-02T10:00:00Z");
    assert_eq!(span.last.to_string(), "2026-11-02T10:00:07Z");
    assert!(report.years_inferred && report.zone_guessed && !report.unterminated);
}

#[test]
fn blocks_and_threads_do_not_matter() {
    let mut content = log(2000).into_bytes();
    content.extend(vec![b'x'; 70_000]);
    content.extend_from_slice(b"\r\n\n");
    content.extend_from_slice(&[0; 9000]);
    content.extend_from_slice(log(300).as_bytes());
    content.extend_from_slice(packet(7, 25).as_bytes());
    let whole = read_content(&content, &Setup::default());
    assert_eq!(whole.flows.len(), 500 + 75 + 1);
    assert_eq!(whole.reports[0].tally.rejected, 1);
    assert!(whole.reports[0].unterminated);
    for (block, threads) in [(64, 2), (1000, 1), (4096, 8), (65_537, 3), (300_000, 2)] {
        let setup = Setup { block, threads, ..Setup::default() };
        let cut = read_content(&content, &setup);
        assert_eq!(cut.flows, whole.flows, "{block} {threads}");
        assert_eq!(cut.reports[0].tally, whole.reports[0].tally, "{block} {threads}");
        assert_eq!(cut.reports[0].rejects, whole.reports[0].rejects, "{block} {threads}");
        assert_eq!(cut.reports[0].span, whole.reports[0].span, "{block} {threads}");
        let stream = read_content(&zstd(&content), &setup);
        assert_eq!(stream.flows, whole.flows, "zstd {block} {threads}");
        assert_eq!(stream.reports[0].rejects, whole.reports[0].rejects, "zstd {block}");
        assert_eq!(stream.reports[0].tally.lines, whole.reports[0].tally.lines, "zstd {block}");
    }
}

#[test]
fn compression_does_not_matter() {
    let text = log(5000);
    let content = text.as_bytes();
    let plain = read_content(content, &Setup::default());
    let (first, second) = content.split_at(content.len() / 2);
    let mut members = gzip(first);
    members.extend(gzip(b""));
    members.extend([0; 700]);
    members.extend(gzip(second));
    members.extend([0; 512]);
    let mut frames = zstd(first);
    frames.extend(zstd(second));
    let mut utf16 = vec![0xff, 0xfe];
    utf16.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    let mut marked = b"\xef\xbb\xbf".to_vec();
    marked.extend(content);
    let big_endian: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let variants = [
        ("gzip", members),
        ("zstd", frames),
        ("bzip2", bzip2(content)),
        ("xz", xz(content)),
        ("utf-16", utf16),
        ("utf-16 without mark", big_endian),
        ("mark", marked),
    ];
    for (name, bytes) in variants {
        let outcome = read_content(&bytes, &Setup::default());
        assert_eq!(outcome.flows, plain.flows, "{name}");
        assert_eq!(outcome.reports[0].tally.lines, 5000, "{name}");
        assert_eq!(outcome.reports[0].status, Status::Complete, "{name}");
        let compressed = outcome.reports[0].compression;
        assert_eq!(compressed.is_some(), ["gzip", "zstd", "bzip2", "xz"].contains(&name));
    }
}

#[test]
fn records_over_several_lines_are_one_each() {
    let entry = |n: usize| {
        format!(
            "  {{\n    \"jsonPayload\": {{\n      \"connection\": {{\n        \"dest_ip\": \
             \"203.0.113.25\",\n        \"dest_port\": 25,\n        \"protocol\": 6,\n        \
             \"src_ip\": \"198.51.100.7\",\n        \"src_port\": {}\n      }},\n      \
             \"disposition\": \"DENIED\"\n    }}\n  }}",
            40_000 + n
        )
    };
    let entries: Vec<String> = (0..300).map(entry).collect();
    let array = format!("[\n{}\n]\n", entries.join(",\n"));
    let utf16: Vec<u8> = array.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for content in [array.as_bytes().to_vec(), gzip(array.as_bytes()), utf16] {
        let outcome = read_content(&content, &Setup::default());
        let lines: Vec<&str> =
            outcome.flows.iter().filter_map(|flow| flow.split(' ').next()).collect();
        let expected: Vec<String> = (0..300).map(|n| format!("0:{}", 2 + n * 12)).collect();
        assert_eq!(lines, expected);
        assert_eq!(outcome.reports[0].tally.lines, array.lines().count() as u64);
    }
}

#[test]
fn damaged_archives_keep_what_stood_before() {
    let text = log(5000);
    let mut garbage = gzip(text.as_bytes());
    garbage.extend(b"47 bytes of something that is no gzip member...");
    let outcome = read_content(&garbage, &Setup::default());
    assert_eq!(outcome.flows.len(), 1250);
    assert_eq!(outcome.reports[0].notes, ["47 bytes after the last gzip member ignored"]);
    assert_eq!(outcome.reports[0].status, Status::Complete);
    for (name, bytes) in [("gzip", gzip(text.as_bytes())), ("zstd", zstd(text.as_bytes()))] {
        let cut = read_content(&bytes[..bytes.len() * 2 / 3], &Setup::default());
        let Status::Partial(error) = &cut.reports[0].status else { panic!("{name}") };
        let expected = format!("{name} data ends early after ");
        assert!(error.message.starts_with(&expected), "{error}");
        assert!(cut.flows.len() > 100 && cut.flows.len() < 1250, "{name}");
    }
    let mut wrong = gzip(text.as_bytes());
    let crc = wrong.len() - 8;
    wrong[crc] ^= 1;
    let outcome = read_content(&wrong, &Setup::default());
    assert_eq!(outcome.flows.len(), 1250);
    let Status::Partial(error) = &outcome.reports[0].status else { panic!() };
    assert!(error.message.starts_with("gzip checksum mismatch"), "{error}");
}

#[test]
fn copies_and_beginnings_are_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let text = log(3000);
    let half = text.len() / 2;
    let paths = [
        write(folder.path(), "a.log", text.as_bytes()),
        write(folder.path(), "b.log.gz", &gzip(text.as_bytes())),
        write(folder.path(), "c.log", &text.as_bytes()[..half]),
        write(folder.path(), "d.log", (packet(1, 25) + "\n" + &text).as_bytes()),
        write(folder.path(), "e.log", b"x\n"),
        write(folder.path(), "f.log", b""),
    ];
    let outcome = read(&paths, &Setup::default());
    let status: Vec<&Status> = outcome.reports.iter().map(|report| &report.status).collect();
    assert_eq!(status[0], &Status::Complete);
    assert_eq!(status[1], &Status::DuplicateOf(0));
    assert_eq!(status[2], &Status::DuplicateOf(0));
    assert_eq!(status[3], &Status::Complete);
    assert_eq!(outcome.reports[1].tally.duplicates, 3000);
    assert_eq!(outcome.reports[5].status, Status::Complete);
    assert_eq!(outcome.flows.len(), 750 + 751);
}

#[test]
fn inputs_are_read_in_the_order_of_their_first_lines() {
    let folder = tempfile::tempdir().unwrap();
    let paths = [
        write(folder.path(), "a.log", (packet(300, 25) + "\n").as_bytes()),
        write(folder.path(), "b.log.gz", &gzip((packet(100, 25) + "\n").as_bytes())),
        write(folder.path(), "c.log", (packet(200, 25) + "\n").as_bytes()),
    ];
    for threads in [1, 2, 8] {
        let outcome = read(&paths, &Setup { threads, ..Setup::default() });
        let order: Vec<&str> = outcome.flows.iter().filter_map(|flow| flow.get(..1)).collect();
        assert_eq!(order, ["1", "2", "0"]);
    }
}

#[test]
fn what_nobody_recognises_is_named() {
    let outcome = read_content(b"hello\nworld\n", &Setup::default());
    assert!(matches!(outcome.reports[0].status, Status::Unrecognised(_)));
    let missing = read(&[PathBuf::from("/nonexistent/x.log")], &Setup::default());
    let Status::Unreadable(error) = &missing.reports[0].status else { panic!() };
    assert_eq!(error.to_string(), "/nonexistent/x.log: no longer exists, or never did");
}

#[test]
fn a_format_that_nothing_is_of_is_named_with_what_the_log_looks_like() {
    for (format, expected) in [
        ("netfilter", Status::Complete),
        ("postfix", Status::Misnamed("postfix", vec!["netfilter"])),
    ] {
        let settings = InputSettings { format: Some(format.into()), ..InputSettings::default() };
        let setup = Setup { settings, ..Setup::default() };
        // No line about a wanted port: that alone says nothing against the name.
        let outcome = read_content((packet(1, 80) + "\n").as_bytes(), &setup);
        assert_eq!(outcome.reports[0].status, expected, "{format}");
    }
}

/// Sessions of one client each, as Postfix logs them.
fn mail(sessions: std::ops::Range<usize>) -> String {
    let mut log = String::new();
    for n in sessions {
        let head = format!(
            "Nov  2 {:02}:{:02}:{:02} mx1 postfix/smtpd[{}]:",
            n / 3600,
            n / 60 % 60,
            n % 60,
            100 + n
        );
        let peer = format!("unknown[198.51.100.{}]", n % 250 + 1);
        let noise = "Nov  2 10:00:00 mx1 sshd[9]: Connection closed";
        let bye = "ehlo=1 quit=1 commands=2";
        log += &[&head, " connect from ", &peer, "\n", noise, "\n"].concat();
        log += &[&head, " disconnect from ", &peer, " ", bye, "\n"].concat();
    }
    log
}

#[test]
fn a_session_may_go_on_in_the_next_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = mail(0..600);
    let cut = text.lines().take(901).map(|line| line.len() + 1).sum::<usize>();
    // The older part has the later name.
    let paths = [
        write(folder.path(), "mail.log", &text.as_bytes()[cut..]),
        write(folder.path(), "mail.log.1.gz", &gzip(&text.as_bytes()[..cut])),
    ];
    let whole = read(&[write(folder.path(), "whole.log", text.as_bytes())], &Setup::default());
    for (block, threads) in [(1000, 1), (4096, 8), (BLOCK_SIZE, 2)] {
        let outcome = read(&paths, &Setup { block, threads, ..Setup::default() });
        assert_eq!(outcome.sessions.len(), 600, "{block}");
        assert_eq!(whole.sessions.len(), 600);
        for (one, other) in outcome.sessions.iter().zip(&whole.sessions) {
            assert_eq!(one.session.client, other.session.client);
            assert_eq!(one.session.helo, crate::model::session::Helo::Accepted);
        }
        assert_eq!(outcome.reports[1].tally.events + outcome.reports[0].tally.events, 1200);
        assert_eq!(outcome.reports[0].servers.keys().map(|k| &**k).collect::<Vec<_>>(), ["mx1"]);
    }
}

#[test]
fn wrapped_lines_are_read_as_if_they_stood_bare() {
    let text = log(64);
    let bare = read_content(text.as_bytes(), &Setup::default());
    let quoted = |line: &str| serde_json::to_string(line).unwrap();
    let wrap = |before: &str, line: &str, after: &str| [before, &quoted(line), after].concat();
    let docker: Vec<String> = text
        .lines()
        .map(|line| wrap("{\"log\":", &[line, "\n"].concat(), ",\"stream\":\"stdout\"}\n"))
        .collect();
    let nested: Vec<String> = text
        .lines()
        .map(|line| wrap("{\"event\":{\"original\":", line, "},\"message\":\"-\"}\n"))
        .collect();
    let row = |line: &str| ["1,\"", &line.replace('"', "\"\""), "\"\n"].concat();
    let rows: Vec<String> = text.lines().map(row).collect();
    let csv = "_time,_raw\n".to_owned() + &rows.concat();
    for (name, wrapped) in [("docker", docker.concat()), ("nested", nested.concat())] {
        for block in [100, BLOCK_SIZE] {
            let outcome = read_content(wrapped.as_bytes(), &Setup { block, ..Setup::default() });
            assert_eq!(outcome.flows, bare.flows, "{name}");
        }
    }
    let rows = read_content(csv.as_bytes(), &Setup::default());
    assert_eq!(rows.flows.len(), bare.flows.len());
    assert_eq!(rows.reports[0].tally.lines, 65);
}

#[test]
fn a_journal_export_gives_sessions() {
    let line = |message: &str, micros: u64| {
        format!(
            "{{\"__REALTIME_TIMESTAMP\":\"{micros}\",\"_HOSTNAME\":\"mx1\",\
             \"SYSLOG_IDENTIFIER\":\"postfix/smtpd\",\"_PID\":\"7\",\"MESSAGE\":\"{message}\"}}\n"
        )
    };
    let journal = line("connect from unknown[198.51.100.7]", 1_793_613_600_000_000)
        + &line(
            "disconnect from unknown[198.51.100.7] ehlo=1 quit=1 commands=2",
            1_793_613_601_000_000,
        );
    let outcome = read_content(journal.as_bytes(), &Setup::default());
    assert_eq!(outcome.sessions.len(), 1);
    let session = &outcome.sessions[0].session;
    assert_eq!(&*session.server, "mx1");
    assert_eq!(session.start.unwrap().to_string(), "2026-11-02T10:00:00Z");
}

#[test]
fn a_stray_line_of_another_product_is_found() {
    let mut text = log(3000);
    let middle = text.lines().take(1500).map(|line| line.len() + 1).sum();
    text.insert_str(
        middle,
        "Nov  2 10:00:00 asa1 %ASA-6-302013: Built inbound TCP connection 7 for \
         outside:198.51.100.9/40001 (198.51.100.9/40001) to inside:203.0.113.25/25 \
         (203.0.113.25/25)\n",
    );
    for content in [text.clone().into_bytes(), zstd(text.as_bytes())] {
        let outcome = read_content(&content, &Setup::default());
        assert_eq!(outcome.flows.iter().filter(|flow| flow.contains("asa1")).count(), 1);
        assert_eq!(outcome.flows.len(), 751);
        assert_eq!(outcome.reports[0].formats.get("cisco_asa"), Some(&1));
    }
}

#[test]
fn holes_cost_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparse.log");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(log(8).as_bytes()).unwrap();
    let end = 200 << 30;
    file.set_len(end).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, log(8).as_bytes(), end - 1_000_000).unwrap();
    drop(file);
    let outcome = read(&[path], &Setup::default());
    assert_eq!(outcome.flows.len(), 4);
    let report = &outcome.reports[0];
    assert_eq!((report.tally.lines, report.tally.bytes), (16, end));
    assert!(report.notes[0].ends_with(" NUL bytes skipped"), "{:?}", report.notes);
}

#[test]
fn columns_are_those_of_the_header_above() {
    let mut text = String::from("#Version: 1.5\n#Software: Microsoft Windows Firewall\n");
    for turn in 0..50 {
        let fields = [
            "action protocol src-ip dst-ip src-port dst-port size tcpflags",
            "action protocol dst-ip src-ip dst-port src-port size tcpflags",
        ];
        text += &["#Fields: date time ", fields[turn % 2], "\n"].concat();
        let row = [
            "ALLOW TCP 198.51.100.7 203.0.113.25 40001 25 60 S",
            "ALLOW TCP 203.0.113.25 198.51.100.7 25 40001 60 S",
        ];
        let time = format!("2026-11-02 10:00:{turn:02} ");
        text += &[
            &time,
            row[turn % 2],
            "
",
        ]
        .concat();
    }
    for (block, threads) in [(64, 2), (1000, 8), (BLOCK_SIZE, 1)] {
        let outcome = read_content(text.as_bytes(), &Setup { block, threads, ..Setup::default() });
        assert_eq!(outcome.flows.len(), 50, "{block}");
        assert!(
            outcome.flows.iter().all(|flow| flow.contains("198.51.100.7") && flow.ends_with(" 25"))
        );
    }
}

#[test]
fn a_forced_format_rejects_what_it_cannot_read() {
    let settings = InputSettings { format: Some("netfilter".into()), ..InputSettings::default() };
    let setup = Setup { settings, selection: Selection::Everything, ..Setup::default() };
    let line = packet(1, 25).replace("SPT=40001", "SPT=x");
    let outcome = read_content((line + "\n").as_bytes(), &setup);
    let report = &outcome.reports[0];
    assert_eq!((report.tally.rejected, report.tally.events), (1, 0));
    let reject = &report.rejects[0];
    assert_eq!((reject.line, reject.format, reject.field), (1, "netfilter", "SPT"));
}

#[test]
fn a_document_of_one_line_is_read_whole() {
    let tuple = |n: usize| {
        let port = if n.is_multiple_of(3) { 25 } else { 443 };
        format!("\"1793613600,198.51.100.{},10.0.0.25,{},{port},T,I,A,B,,,,\"", n % 250, 1024 + n)
    };
    let tuples: Vec<String> = (0..6000).map(tuple).collect();
    let document = format!(
        "{{\"records\":[{{\"macAddress\":\"000D3A000001\",\"properties\":{{\"flows\":[{{\"flows\":\
         [{{\"flowTuples\":[{}]}}]}}]}}}}]}}",
        tuples.join(",")
    );
    for content in [document.clone().into_bytes(), gzip(document.as_bytes())] {
        for block in [64 << 10, BLOCK_SIZE] {
            let outcome = read_content(&content, &Setup { block, ..Setup::default() });
            assert_eq!(outcome.flows.len(), 2000);
            assert!(outcome.flows.iter().all(|flow| flow.starts_with("0:1 2026-11-02T10:00:00Z")));
            assert_eq!(outcome.reports[0].tally.events, 1);
        }
    }
    let long = format!("{}{}\n{}", log(8), "x".repeat(LONGEST_LINE + 1), log(8));
    assert_eq!(read_content(long.as_bytes(), &Setup::default()).reports[0].tally.rejected, 1);
}

#[test]
fn a_wrong_clock_moves_no_coverage_but_counts() {
    let ahead = log(2).replace("Nov  2 ", "2099-11-02T");
    let content = format!("{}{ahead}", log(8));
    let outcome = read_content(content.as_bytes(), &Setup::default());
    let report = &outcome.reports[0];
    let alone = read_content(log(8).as_bytes(), &Setup::default());
    assert_eq!(report.span, alone.reports[0].span);
    assert_eq!(report.tally.events, 3);
    assert!(report.notes[0].starts_with("1 events lie more than 48 hours"), "{:?}", report.notes);
    // Where the input begins with such times, it is the reference that is wrong.
    let outcome = read_content(ahead.as_bytes(), &Setup::default());
    assert_eq!(outcome.reports[0].span.unwrap().last.to_string(), "2099-11-02T10:00:01Z");
}

#[test]
fn a_bomb_is_given_up() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![b'\n'; 80 << 20]).unwrap();
    let outcome = read_content(&encoder.finish().unwrap(), &Setup::default());
    let status = format!("{:?}", outcome.reports[0].status);
    assert!(status.contains("over 200:1 after 64 MiB"), "{status}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 24, ..Default::default() })]

    #[test]
    fn every_line_of_any_bytes_is_accounted_for(
        pieces in proptest::collection::vec(
            proptest::prop_oneof![
                proptest::collection::vec(proptest::num::u8::ANY, 0..200),
                proptest::strategy::Just(log(5).into_bytes()),
                proptest::strategy::Just(vec![0; 20]),
                proptest::strategy::Just(b"\r\n\n".to_vec()),
                proptest::strategy::Just(vec![b'y'; 66_000]),
            ],
            0..20,
        ),
        block in 16usize..5000,
    ) {
        let mut content = log(4).into_bytes();
        content.extend(pieces.concat());
        let whole = read_content(&content, &Setup::default());
        let cut = read_content(&content, &Setup { block, threads: 3, ..Setup::default() });
        proptest::prop_assert_eq!(&whole.flows, &cut.flows);
        proptest::prop_assert_eq!(whole.reports[0].tally, cut.reports[0].tally);
        let stream = read_content(&gzip(&content), &Setup { block, ..Setup::default() });
        proptest::prop_assert_eq!(&whole.flows, &stream.flows);
        proptest::prop_assert_eq!(whole.reports[0].tally.rejected, stream.reports[0].tally.rejected);
    }
}
