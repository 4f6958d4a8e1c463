//! The outputs as bytes: golden rows, hostile names read back, disks that are full.

use std::collections::BTreeMap;
use std::fs::OpenOptions;

use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;
use crate::model::input::{RejectedLine, Status};
use crate::model::judged::{Priority, Unmatched, UnmatchedServer, Verdict};
use crate::model::policy::Policy;
use crate::model::text::shown_short;
use crate::tickets::fixtures::{asset, inputs, policy, target, time, with_sources};
use crate::tickets::{Setting, Templates};

/// One run over these targets, handed to `check`.
fn with_run<T>(targets: Vec<JudgedTarget>, check: impl FnOnce(&Run<'_>) -> T) -> T {
    with_inputs(targets, &inputs("netfilter", "postfix"), check)
}

fn with_inputs<T>(
    targets: Vec<JudgedTarget>,
    inputs: &[InputReport],
    check: impl FnOnce(&Run<'_>) -> T,
) -> T {
    let judgement = Judgement {
        targets,
        unmatched: vec![UnmatchedServer {
            server: "mx9".to_owned(),
            port: Some(25),
            why: Unmatched::NotInScan,
            sessions: 7,
            candidates: Vec::new(),
        }],
        warnings: vec!["One server is unknown.".to_owned()],
        ..Judgement::default()
    };
    let policy: Policy = policy(&["10.20.0.0/16"]);
    let templates = Templates::built_in().unwrap();
    let setting = Setting { policy: &policy, inputs, templates: &templates };
    let author = Author::new(setting);
    let account = Account {
        reference_time: Some(time("2026-11-04T00:00:00Z")),
        arguments: BTreeMap::from([("plugins".to_owned(), vec!["smtp".to_owned()])]),
        ..Account::default()
    };
    check(&Run {
        judgement: &judgement,
        author: &author,
        standing: &Standing::without_state,
        sources: &top_sources_of,
        inputs,
        cited: &CitedFiles::new(inputs, &CsvCells::default()),
        account: &account,
        profiles: &Chosen::default(),
        csv: &CsvCells::default(),
    })
}

/// The fixtures' targets have no sources beyond those of the ticket.
pub(super) fn top_sources_of<'a>(target: &JudgedTarget) -> Box<SourceLookup<'a>> {
    let sources = target.top_sources.clone();
    Box::new(move |ranked| sources.iter().find(|source| source.ip == ranked.ip()).cloned())
}

fn bytes(output: &dyn Output, run: &Run<'_>) -> Vec<u8> {
    bytes_in_parts(output, run, usize::MAX)
}

/// The file as it comes out where parts have at most so many sources.
fn bytes_in_parts(output: &dyn Output, run: &Run<'_>, most: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(output, run, most, &mut bytes).unwrap();
    bytes
}

fn write(output: &dyn Output, run: &Run<'_>, most: usize, to: &mut dyn Write) -> io::Result<()> {
    output.write_head(run, to)?;
    for cut in side_by_side::cuts(run, most) {
        let mut bytes = Vec::new();
        output.push_part(run, &cut.part(run).unwrap(), &mut bytes)?;
        to.write_all(&bytes)?;
    }
    Ok(())
}

/// The rows of a CSV file as maps from column to cell.
fn rows(csv: &[u8]) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_reader(csv).deserialize().collect::<csv::Result<_>>().unwrap()
}

#[test]
fn tickets_csv_has_the_columns_in_their_order() {
    let columns = "ticket_id, status, priority, score, confidence, verdict, due_date, first_seen, \
        last_seen, asset, ip, fqdn, port, protocol, role, owner, detected_by, scan_helo, severity, \
        scan_time, unexpected_sources, external_sources, helo_accepted, corroborated, \
        mail_accepted, relayed, auth_ok, auth_failed, helo_rejected, fw_permitted, fw_denied, \
        top_sources, helo_names, evidence, rule, reasons, summary, description, remediation, \
        verification, rollback";
    let csv = with_run(vec![], |run| bytes(&tickets_csv::TicketsCsv, run));
    assert_eq!(String::from_utf8(csv).unwrap(), columns.replace(", ", ",") + "\n");
}

#[test]
fn a_row_of_tickets_csv() {
    let csv = with_run(vec![target()], |run| bytes(&tickets_csv::TicketsCsv, run));
    let golden = "helo-203.0.113.25-25,new,P2,74,high,confirmed,2026-11-15T10:00:00Z,\
        2026-11-02T10:00:00Z,2026-11-02T11:00:00Z,203.0.113.25,203.0.113.25,mx1.example.com,25,\
        tcp,none,mail-team,10263 SMTP Server Detection; 34861 SMTP Server Connection Check,\
        accepted,0,2026-11-03T10:00:00Z,1,1,3,2,0,0,0,0,0,4,1,198.51.100.7,probe.example,\
        mail/mail.log.1.gz:12; fw/edge.log:3,R7,\
        \"P2 74 | R7: no abuse, external, partial impact\",\
        \"SMTP port 25 on mx1.example.com: 1 unexpected source, HELO accepted in 3 sessions, \
        firewall agrees\",\"What it is: ";
    let text = String::from_utf8(csv).unwrap();
    let row = text.split_once('\n').unwrap().1;
    assert!(row.starts_with(golden), "{row}");
    assert!(!text.contains('\r') && !text.starts_with('\u{feff}'));
}

#[test]
fn empty_cells_and_nulls_where_nothing_is_known() {
    let mut target = with_sources(&[]);
    target.asset = asset("", "=evil host", crate::model::policy::AssetRole::Mx);
    target.asset.owner = None;
    target.scan.opened = None;
    target.scan.scan_time = None;
    target.first_seen = None;
    target.last_seen = None;
    with_run(vec![target], |run| {
        let row = &rows(&bytes(&tickets_csv::TicketsCsv, run))[0];
        for column in ["due_date", "first_seen", "last_seen", "ip", "owner", "scan_time"] {
            assert_eq!(row[column], "", "{column}");
        }
        assert_eq!(row["ticket_id"], "helo-_evil_host-25");
        assert_eq!((&*row["asset"], &*row["fqdn"]), ("'=evil host", "'=evil host"));
        let json: Value =
            serde_json::from_slice(&bytes(&tickets_jsonl::TicketsJsonl, run)).unwrap();
        assert_eq!((&json["ip"], &json["due_date"]), (&Value::Null, &Value::Null));
        assert_eq!(json["asset"], "=evil host");
        assert_eq!(json["sources"], serde_json::json!([]));
    });
}

#[test]
fn tickets_jsonl_has_the_same_facts_typed() {
    with_run(vec![target()], |run| {
        let json: Value =
            serde_json::from_slice(&bytes(&tickets_jsonl::TicketsJsonl, run)).unwrap();
        for column in tickets_csv::COLUMNS {
            assert!(json.get(column).is_some(), "{column}");
        }
        assert_eq!(json["helo_accepted"], 3);
        assert_eq!(json["detected_by"][1]["id"], 34861);
        assert_eq!(json["evidence"][0], "mail/mail.log.1.gz:12");
        assert_eq!(json["reasons"][0], "P2 74");
        let source = &json["sources"][0];
        assert_eq!(source["counts"]["fw_permitted"], 4);
        assert_eq!((&source["class"], &source["rule"]), (&"external".into(), &"R7".into()));
        assert_eq!(
            source["citations"][0],
            serde_json::json!({"kind": "permitted", "time": "2026-11-02T10:00:00Z",
                "file": "fw/edge.log", "line": 3})
        );
    });
}

#[test]
fn sources_csv_has_a_row_for_each_source() {
    let target = with_sources(&[("198.51.100.7", "a"), ("2001:db8::7", "@b")]);
    let csv = with_run(vec![target], |run| bytes(&sources_csv::SourcesCsv, run));
    let rows = rows(&csv);
    assert_eq!(rows.len(), 2);
    assert_eq!((&*rows[1]["source"], &*rows[1]["helo_names"]), ("2001:db8::7", "'@b"));
    assert_eq!(&*rows[0]["evidence"], "fw/edge.log:3; mail/mail.log.1.gz:12");
    assert_eq!(rows[0].len(), sources_csv::COLUMNS.len());
}

#[test]
fn quiet_targets_have_no_ticket_but_stand_in_run_json() {
    let mut quiet = with_sources(&[]);
    quiet.verdict = Verdict::Quiet;
    quiet.priority = Priority::P4;
    with_run(vec![target(), quiet], |run| {
        assert_eq!(rows(&bytes(&tickets_csv::TicketsCsv, run)).len(), 1);
        let mut json = Vec::new();
        run_json::write_manifest(run, &[], &[], &mut json).unwrap();
        let json: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!((&json["targets"], &json["tickets"]), (&2.into(), &1.into()));
        assert_eq!(json["verdicts"]["quiet"], 1);
        assert_eq!(json["priorities"], serde_json::json!({"P2": 1}));
        assert_eq!(json["quiet"][0]["ticket_id"], "helo-203.0.113.25-25");
        assert_eq!(json["unmatched_servers"][0]["why"], Unmatched::NotInScan.text());
        assert_eq!(json["inputs"][0]["lines"], 9);
        assert_eq!(json["totals"]["rejected"], 2);
        assert_eq!(json["complete"], true);
    });
}

#[test]
fn inputs_tell_how_they_ended() {
    let mut inputs = inputs("netfilter", "postfix");
    inputs[0].status = Status::Unrecognised(vec![("netfilter", "no SRC=".to_owned())]);
    inputs[1].status = Status::DuplicateOf(0);
    with_inputs(vec![], &inputs, |run| {
        let mut json = Vec::new();
        run_json::write_manifest(run, &[], &[], &mut json).unwrap();
        let json: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["inputs"][0]["status"], "unrecognised");
        assert_eq!(json["inputs"][0]["guesses"][0]["lacks"], "no SRC=");
        assert_eq!(json["inputs"][1]["duplicate_of"], "fw/edge.log");
    });
}

#[test]
fn rejects_are_written_only_if_there_are_any() {
    let mut inputs = inputs("netfilter", "postfix");
    with_inputs(vec![], &inputs, |run| assert!(!rejects_jsonl::RejectsJsonl.is_wanted(run)));
    inputs[0].rejects.push(RejectedLine {
        line: 4,
        offset: 310,
        length: 9,
        format: "netfilter",
        field: "DPT",
        expected: "a port from 0 to 65535",
        raw: b"DPT=\xff\x1b\"9 AUTH LOGIN dXNlcg==".to_vec(),
    });
    with_inputs(vec![], &inputs, |run| {
        assert!(rejects_jsonl::RejectsJsonl.is_wanted(run));
        let text = String::from_utf8(bytes(&rejects_jsonl::RejectsJsonl, run)).unwrap();
        assert_eq!(
            text,
            "{\"file\":\"fw/edge.log\",\"line\":4,\"offset\":310,\"length\":9,\
             \"format\":\"netfilter\",\"field\":\"DPT\",\"expected\":\"a port from 0 to 65535\",\
             \"raw\":\"DPT=\\\\xff\\u001b\\\"9 AUTH LOGIN [redacted]\"}\n"
        );
    });
}

#[test]
fn the_set_is_published_with_its_digests() {
    let temp = tempfile::tempdir().unwrap();
    let out = OutDir::open(&temp.path().join("out")).unwrap();
    let mut steps = Vec::new();
    with_run(vec![target()], |run| {
        write_outputs(&out, run, &mut |step| {
            steps.push(format!("{step:?}"));
            Ok(())
        })
        .unwrap();
        // A second run gives the same bytes.
        let first = std::fs::read(out.path().join(MANIFEST)).unwrap();
        write_outputs(&out, run, &mut |_| Ok(())).unwrap();
        assert_eq!(std::fs::read(out.path().join(MANIFEST)).unwrap(), first);
    });
    assert_eq!(steps[0], format!("{:?}", Step::Write("tickets.csv")));
    let manifest = std::fs::read(out.path().join(MANIFEST)).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    for name in ["tickets.csv", "tickets.jsonl", "sources.csv"] {
        let content = std::fs::read(out.path().join(name)).unwrap();
        let digest = publish::hex(&Sha256::digest(&content));
        assert_eq!(manifest["outputs"][name]["sha256"], digest.as_str(), "{name}");
        assert_eq!(manifest["outputs"][name]["bytes"], content.len(), "{name}");
    }
    assert!(manifest["outputs"].get("rejects.jsonl").is_none());
}

#[test]
fn files_of_many_targets_hold_them_all_in_their_order() {
    let several = |n: usize| {
        let mut target = target();
        target.asset.key = format!("host-{n}");
        target.verdict = if n.is_multiple_of(3) { Verdict::Quiet } else { target.verdict };
        target
    };
    let temp = tempfile::tempdir().unwrap();
    let out = OutDir::open(&temp.path().join("out")).unwrap();
    with_run((0..300).map(several).collect(), |run| {
        write_outputs(&out, run, &mut |_| Ok(())).unwrap();
        for output in OUTPUTS.iter().filter(|output| output.is_wanted(run)) {
            let written = std::fs::read(out.path().join(output.name())).unwrap();
            assert!(written == bytes(*output, run), "{}", output.name());
        }
    });
}

#[test]
fn it_does_not_matter_where_targets_are_cut() {
    let names: Vec<String> = (1..=7).map(|n| format!("198.51.100.{n}")).collect();
    let sources: Vec<(&str, &str)> = names.iter().map(|ip| (ip.as_str(), "x")).collect();
    let mut quiet = with_sources(&sources);
    quiet.verdict = Verdict::Quiet;
    let targets = [with_sources(&[]), with_sources(&sources), quiet, target()];
    with_run(targets.to_vec(), |run| {
        for output in OUTPUTS {
            let whole = bytes(*output, run);
            for most in 1..9 {
                assert!(bytes_in_parts(*output, run, most) == whole, "{} {most}", output.name());
            }
        }
        let json = bytes(&tickets_jsonl::TicketsJsonl, run);
        let tickets = serde_json::Deserializer::from_slice(&json).into_iter::<Value>();
        let counts: Vec<_> =
            tickets.map(|ticket| ticket.unwrap()["sources"].as_array().unwrap().len()).collect();
        assert_eq!(counts, [0, 7, 1]);
        assert_eq!(rows(&bytes(&sources_csv::SourcesCsv, run)).len(), 15);
    });
}

#[test]
fn a_source_of_which_nothing_is_known_is_an_error() {
    let temp = tempfile::tempdir().unwrap();
    let out = OutDir::open(&temp.path().join("out")).unwrap();
    with_run(vec![target()], |run| {
        let run = Run { sources: &|_| Box::new(|_| None), ..*run };
        let error = write_outputs(&out, &run, &mut |_| Ok(())).unwrap_err();
        assert!(
            error.to_string().ends_with("nothing is known of its source 198.51.100.7"),
            "{error}"
        );
    });
}

#[test]
fn a_signal_before_the_swap_leaves_the_previous_set() {
    let temp = tempfile::tempdir().unwrap();
    let out = OutDir::open(&temp.path().join("out")).unwrap();
    with_run(vec![target()], |run| write_outputs(&out, run, &mut |_| Ok(())).unwrap());
    let before = std::fs::read(out.path().join(MANIFEST)).unwrap();
    for stop in [Step::Write("sources.csv"), Step::Swap] {
        with_run(vec![], |run| {
            write_outputs(&out, run, &mut |step| {
                if step == stop { Err(io::Error::other("stopped by a signal")) } else { Ok(()) }
            })
            .unwrap_err()
        });
        assert_eq!(std::fs::read(out.path().join(MANIFEST)).unwrap(), before);
    }
}

/// Takes a number of bytes, then has no space.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let taken = buffer.len().min(self.0);
        self.0 -= taken;
        if taken == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn every_output_notices_a_full_disk() {
    let mut inputs = inputs("netfilter", "postfix");
    inputs[0].rejects.push(RejectedLine {
        line: 1,
        offset: 0,
        length: 1,
        format: "netfilter",
        field: "DPT",
        expected: "a port",
        raw: b"x".to_vec(),
    });
    with_inputs(vec![target()], &inputs, |run| {
        for output in OUTPUTS {
            let length = bytes(*output, run).len();
            for space in [0, 1, length / 2, length - 1] {
                let error = write(*output, run, 1, &mut Full(space)).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{}", output.name());
            }
            let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
            let error = write(*output, run, 1, &mut full).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{}", output.name());
        }
        let error = run_json::write_manifest(run, &[], &[], &mut Full(9)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    });
}

/// Text as attackers write it.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("=cmd|' /C calc'!A0"),
        Just("\u{ff1d}HYPERLINK(\"http://x.example\")"),
        Just("\r\nP1,closed"),
        Just("\"; "),
        Just("<script>alert(1)</script>"),
        Just("\x1b]0;owned\x07"),
        Just("\u{202e}gpj.exe"),
        Just("{{ 7 * 7 }}{% include 'x' %}"),
        Just("\n/close"),
        Just("$(reboot) `id` ' ;"),
        Just("mail.example"),
    ];
    (proptest::collection::vec(pieces.prop_map(str::to_owned), 0..4), any::<String>())
        .prop_map(|(pieces, any)| pieces.concat() + &any)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn hostile_names_come_back_as_they_were_and_act_nowhere(
        helo in hostile(), host in hostile(), user in hostile(), banner in hostile(),
    ) {
        let mut target = with_sources(&[("198.51.100.7", &helo)]);
        target.verdict = Verdict::Abused;
        target.asset.fqdn = Some(host.clone());
        target.asset.names = vec![host.clone()];
        target.scan.outputs = vec![banner];
        target.top_sources[0].sasl_usernames = vec![user.as_str().into()];
        with_run(vec![target], |run| {
            let csv = bytes(&tickets_csv::TicketsCsv, run);
            let cells = rows(&csv);
            prop_assert_eq!(cells.len(), 1);
            for (column, cell) in &cells[0] {
                let first = cell.trim_start().chars().next().unwrap_or('a');
                prop_assert!(!"=+-@\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}".contains(first), "{}", column);
                let acts = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
                prop_assert!(!cell.contains(acts), "{}", column);
            }
            for line in cells[0]["description"].lines().chain(cells[0]["remediation"].lines()) {
                prop_assert!(!line.starts_with('/'));
            }
            let prefix = cells[0]["helo_names"].strip_prefix('\'').unwrap_or(&cells[0]["helo_names"]);
            let shown_helo = shown_short(&helo, 255).replace(';', "\\x3b");
            prop_assert!(prefix == shown_helo || cells[0]["helo_names"] == shown_helo);
            let commands = cells[0]["verification"].clone() + &cells[0]["rollback"];
            prop_assert!(!commands.contains("$(reboot)"));

            let json = bytes(&tickets_jsonl::TicketsJsonl, run);
            prop_assert_eq!(json.iter().filter(|b| **b < 0x20).count(), 1);
            let json: Value = serde_json::from_slice(&json).unwrap();
            prop_assert_eq!(&json["sources"][0]["helo_names"][0], &Value::from(helo));
            prop_assert_eq!(&json["sources"][0]["sasl_usernames"][0], &Value::from(user));
            prop_assert_eq!(&json["fqdn"], &Value::from(host));
            prop_assert_eq!(rows(&bytes(&sources_csv::SourcesCsv, run)).len(), 1);
            Ok(())
        })?;
    }
}

#[test]
fn explain_prints_the_score_and_the_cited_lines() {
    let mut other = target();
    other.port = 587;
    let names: Vec<String> = (1..=7).map(|n| format!("198.51.100.{n}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|ip| (ip.as_str(), "x")).collect();
    let jsonl =
        with_run(vec![other, with_sources(&many)], |run| bytes(&tickets_jsonl::TicketsJsonl, run));
    assert_eq!(explain::read_entry(&*jsonl, "helo-192.0.2.1-25").unwrap(), None);
    let entry = explain::read_entry(&*jsonl, "helo-203.0.113.25-25").unwrap().unwrap();
    let cited: Vec<_> = entry.cited().into_iter().collect();
    assert_eq!(cited, [("fw/edge.log", [3].into()), ("mail/mail.log.1.gz", [12].into())]);
    let fetch = |place: &crate::tickets::Place| match &*place.file {
        "fw/edge.log" => Ok(b"SRC=198.51.100.1\x1b[31m AUTH PLAIN c2VjcmV0".to_vec()),
        _ => Err("no longer exists".to_owned()),
    };
    let mut text = Vec::new();
    explain::write_explanation(&entry, &fetch, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let expected = "\
helo-203.0.113.25-25: new, due 2026-11-15T10:00:00Z
SMTP port 25 on mx1.example.com: 7 unexpected sources, HELO accepted in 21 sessions, firewall agrees

Verdict confirmed, confidence high. How P2 74 came about:
  P2 74
  R7: no abuse, external, partial impact

198.51.100.1 (external, R7): corroborated 2, fw_denied 1, fw_permitted 4, helo_accepted 3, sessions 3
  2026-11-02T10:00:00Z permitted fw/edge.log:3
    SRC=198.51.100.1\\x1b[31m AUTH PLAIN [redacted]
  2026-11-02T10:00:00Z helo mail/mail.log.1.gz:12
    (not shown: no longer exists)
";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.ends_with("\n2 more sources in sources.csv and tickets.jsonl\n"), "{text}");
    assert_eq!(text.matches("SRC=").count(), 5);
}

#[test]
fn explain_refuses_what_is_no_ticket() {
    let error = explain::read_entry(&b"{\"ticket_id\": 7}"[..], "x").unwrap_err();
    assert!(error.to_string().contains("expected a string"), "{error}");
}
