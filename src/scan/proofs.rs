//! Tests of the reader as a whole. In: the samples of `samples/scan`, and a few exports made to be
//! too deep, too large or cut. Out: nothing; they hold the reader against what was written down
//! for each. What must hold for every export is in `proofs_random`.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::error::{Place, Result};
use crate::model::finding::Scan;
use crate::scan::catalogue::PluginSelection;
use crate::scan::inspect::finding_lines;
use crate::scan::read::{ScanOptions, Truncated, read_in_chunks, read_scan};
use crate::scan::targets::merge_scans;

pub(super) fn samples() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("samples/scan");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut samples: Vec<(String, Vec<u8>)> = paths
        .filter(|path| path.extension().is_some_and(|e| e == "nessus"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(&path).unwrap())
        })
        .collect();
    samples.sort();
    samples
}

fn sample(name: &str) -> Vec<u8> {
    samples().into_iter().find(|(found, _)| found == name).unwrap().1
}

pub(super) fn read(mut bytes: &[u8], size: usize) -> Result<Scan> {
    read_in_chunks(&mut bytes, Path::new("x.nessus"), 0, &ScanOptions::default(), size)
}

fn keep(mut bytes: &[u8]) -> Result<Scan> {
    let options = ScanOptions { truncated: Truncated::Keep, ..ScanOptions::default() };
    read_scan(&mut bytes, Path::new("x.nessus"), 0, &options)
}

/// What must not depend on cuts: the scan, or where the fault is.
pub(super) fn outcome(result: Result<Scan>) -> std::result::Result<Scan, Place> {
    result.map_err(|error| error.place)
}

#[test]
fn every_sample_gives_what_is_written_down_for_it() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("samples/scan");
    let expected = std::fs::read_to_string(folder.join("expected.jsonl")).unwrap();
    let expected: Vec<serde_json::Value> =
        expected.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut got = Vec::new();
    for (name, bytes) in samples() {
        match read(&bytes, 1 << 20) {
            Ok(scan) => got.extend(finding_lines(&scan).map(|line| {
                let mut line = serde_json::to_value(line).unwrap();
                line["file"] = name.clone().into();
                line
            })),
            Err(error) => {
                let text = error.to_string().replace("x.nessus: ", "");
                got.push(serde_json::json!({"file": name, "error": text}));
            }
        }
    }
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(&expected) {
        assert_eq!(got, expected);
    }
}

#[test]
fn encodings_give_the_same_scan() {
    let with_tick = read(&sample("bom.nessus"), 1 << 20).unwrap();
    let utf16 = read(&sample("utf16.nessus"), 1 << 20).unwrap();
    assert_eq!(with_tick.hosts, utf16.hosts);
    assert_eq!(with_tick.hosts[0].findings[0].output, "220 müx ✓");
    let latin1 = read(&sample("latin1.nessus"), 1 << 20).unwrap();
    assert_eq!(latin1.hosts[0].findings[0].output, "220 müx v");
}

#[test]
fn the_account_tells_what_was_not_used() {
    let lacks = read(&sample("lacks.nessus"), 1 << 20).unwrap().tally;
    assert_eq!((lacks.items, lacks.findings, lacks.rejected), (6, 1, 5));
    let reasons: Vec<&str> = lacks.rejects.iter().map(|reject| reject.reason).collect();
    assert_eq!(
        reasons,
        [
            "ReportItem lacks port",
            "ReportItem lacks severity",
            "ReportItem lacks pluginID",
            "port is no number up to 65535",
            "severity is no number from 0 to 4",
        ]
    );
    let bytes = sample("lacks.nessus");
    assert!(bytes[lacks.rejects[1].offset as usize..].starts_with(b"<ReportItem port=\"25\" plug"));
    assert_eq!(read(&sample("bad-bytes.nessus"), 1 << 20).unwrap().tally.replaced, 5);
    let aix = read(&sample("aix.nessus"), 1 << 20).unwrap().tally;
    assert_eq!((aix.findings, aix.set_aside), (2, 1));
    let identity = read(&sample("identity.nessus"), 1 << 20).unwrap().tally;
    assert_eq!((identity.zones_guessed, identity.untimed, identity.broken_fqdns), (1, 2, 1));
}

#[test]
fn identities_and_plugin_sets_are_kept() {
    let scan = read(&sample("identity.nessus"), 1 << 20).unwrap();
    let keys: Vec<(String, usize)> = merge_scans(&[scan], &PluginSelection::Smtp)
        .iter()
        .map(|host| (host.key.clone(), host.targets.len()))
        .collect();
    let expected = [
        ("2001:db8::25", 1),
        ("203.0.113.25", 2),
        ("empty.example.com", 0),
        ("mx3.example.com", 1),
        ("odd", 1),
    ];
    assert_eq!(keys, expected.map(|(key, targets)| (key.to_string(), targets)));
    let policy = read(&sample("plugin-set.nessus"), 1 << 20).unwrap();
    assert_eq!(policy.plugin_set, Some(vec![10263, 18528, 19506, 42088]));
    assert_eq!((policy.name.as_str(), policy.hosts.len()), ("Mail servers", 2));
    let scanner = read(&sample("refusals.nessus"), 1 << 20).unwrap();
    assert_eq!(scanner.hosts[0].scanners, ["192.0.2.9".parse::<std::net::IpAddr>().unwrap()]);
}

#[test]
fn a_cut_export_keeps_its_complete_hosts_only_if_asked() {
    for name in ["cut-between-tags.nessus", "cut-in-output.nessus", "cut-in-tag.nessus"] {
        let scan = keep(&sample(name)).unwrap();
        assert!(scan.truncated, "{name}");
        let hosts: Vec<&str> = scan.hosts.iter().map(|host| host.name.as_str()).collect();
        assert_eq!((hosts, scan.tally.hosts_cut), (vec!["192.0.2.61"], 1), "{name}");
    }
    for name in ["unescaped.nessus", "mismatched.nessus", "trailing.nessus", "version1.nessus"] {
        assert!(keep(&sample(name)).is_err(), "{name}");
    }
    assert!(!keep(&sample("aix.nessus")).unwrap().truncated);
}

/// Hands out bytes a few at a time, then fails.
pub(super) struct Failing<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) step: usize,
    pub(super) kind: Option<io::ErrorKind>,
}

impl Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() {
            return self.kind.map_or(Ok(0), |kind| Err(kind.into()));
        }
        let count = self.step.min(buffer.len());
        (&mut self.bytes).take(count as u64).read(buffer)
    }
}

#[test]
fn an_input_that_fails_is_refused_even_behind_its_root() {
    let whole = sample("aix.nessus");
    let fail = |kind, truncated| {
        let mut input = Failing { bytes: &whole, step: 7, kind: Some(kind) };
        let options = ScanOptions { truncated, ..ScanOptions::default() };
        read_scan(&mut input, Path::new("x.nessus"), 0, &options)
    };
    let early = io::ErrorKind::UnexpectedEof;
    let error = fail(early, Truncated::Refuse).unwrap_err().to_string();
    let expected = format!("x.nessus: byte {}: cannot be read further: ", whole.len());
    assert!(error.starts_with(&expected), "{error}");
    assert!(fail(early, Truncated::Keep).unwrap().truncated);
    assert!(fail(io::ErrorKind::InvalidData, Truncated::Keep).is_err());
}

#[test]
fn one_piece_of_more_than_64_mib_is_refused() {
    let head = b"<NessusClientData_v2><Report><ReportHost name='x'><ReportItem port='25' \
                 severity='0' pluginID='10263'><plugin_output>";
    let mut input = head.chain(io::repeat(b'x'));
    let result = read_scan(&mut input, Path::new("x.nessus"), 0, &ScanOptions::default());
    assert_eq!(
        result.unwrap_err().to_string(),
        "x.nessus: byte 50: limit: a tag, text, comment or item of more than 64 MiB"
    );
}

#[test]
fn an_item_larger_than_any_chunk_is_read_and_a_huge_one_passed_over() {
    let text = "y".repeat(300);
    let item = |id| {
        format!(
            "<ReportItem port='25' severity='0' pluginID='{id}'><a>{text}</a><b/><plugin_output>220 x</plugin_output></ReportItem>"
        )
    };
    let export = format!(
        "<NessusClientData_v2><Report><ReportHost name='x'>{}{}</ReportHost></Report></NessusClientData_v2>",
        item(10287),
        item(10263)
    );
    for size in [32, 64, 100, 4096] {
        let scan = read(export.as_bytes(), size).unwrap();
        assert_eq!((scan.tally.items, scan.hosts[0].findings.len()), (2, 1), "{size}");
    }
}

#[test]
fn nothing_may_follow_a_host_that_is_the_root_wherever_the_cuts_are() {
    let items = "<ReportItem port='25' severity='0' pluginID='10287'/>".repeat(20);
    let host = format!("<ReportHost name='x'>{items}</ReportHost>");
    assert_eq!(read(host.as_bytes(), 100).unwrap().tally.items, 20);
    for tail in [host.as_str(), "text", "<![CDATA[x]]>"] {
        let export = format!("{host}{tail}<!--{items}-->");
        for size in [60, 100, 700, 1 << 20] {
            let place = read(export.as_bytes(), size).unwrap_err().place;
            assert_eq!(place, Place::Byte(host.len() as u64), "{size} {tail}");
        }
    }
}
