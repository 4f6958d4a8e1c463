//! The profiles' files as their importers read them: one test or more a system. In: the fixtures'
//! targets, standing as a state would have them. Out: the files of a run, read back under the rules of
//! the importer's documentation.

mod hostile;

use std::collections::BTreeMap;
use std::fs;

use chrono::{NaiveDate, NaiveDateTime};

use crate::model::judged::{JudgedTarget, Judgement, Priority, Verdict};
use crate::model::policy::Policy;
use crate::tickets::fixtures::{inputs, policy, target, time, with_sources};
use crate::tickets::{Author, Change, Setting, Standing, Status, Templates};
use crate::writers::cited::CitedFiles;
use crate::writers::escape::CsvCells;
use crate::writers::outdir::OutDir;
use crate::writers::profiles::*;
use crate::writers::tests::top_sources_of;
use crate::writers::{Account, tickets_csv, write_outputs};

/// The files of a run by name.
pub(super) type Set = BTreeMap<String, Vec<u8>>;

/// What a run over these targets writes, and what it tells. `standing` is asked for each.
fn publish(
    chosen: &Chosen,
    targets: Vec<JudgedTarget>,
    standing: &(dyn Fn(&JudgedTarget) -> Option<Standing> + Sync),
) -> (Set, Vec<String>) {
    publish_under(&policy(&["10.20.0.0/16"]), chosen, targets, standing)
}

/// The same under a policy.
pub(super) fn publish_under(
    policy: &Policy,
    chosen: &Chosen,
    targets: Vec<JudgedTarget>,
    standing: &(dyn Fn(&JudgedTarget) -> Option<Standing> + Sync),
) -> (Set, Vec<String>) {
    let temp = tempfile::tempdir().unwrap();
    let out = OutDir::open(&temp.path().join("out")).unwrap();
    let judgement = Judgement { targets, ..Judgement::default() };
    let inputs = inputs("netfilter", "postfix");
    let templates = Templates::built_in().unwrap();
    let setting = Setting { policy, inputs: &inputs, templates: &templates };
    let author = Author::new(setting);
    let run = Run {
        judgement: &judgement,
        author: &author,
        standing,
        sources: &top_sources_of,
        inputs: &inputs,
        cited: &CitedFiles::new(&inputs, &CsvCells::default()),
        account: &Account::default(),
        profiles: chosen,
        csv: &CsvCells::default(),
    };
    let notes = write_outputs(&out, &run, &mut |_| Ok(())).unwrap().notes;
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())
    };
    (fs::read_dir(out.path()).unwrap().map(read).collect(), notes)
}

pub(super) fn chosen(name: &str) -> Chosen {
    let chosen = Chosen::named(&[name.to_owned()]);
    assert_eq!(chosen.profiles.len(), 1, "{name}");
    chosen
}

/// A target for each change, on ports 1 to 4, and one without a ticket.
fn one_of_each_change() -> Vec<JudgedTarget> {
    let on_port = |port| JudgedTarget { port, ..target() };
    (1..=5).map(on_port).collect()
}

fn by_port(target: &JudgedTarget) -> Option<Standing> {
    let (status, change) = match target.port {
        1 => (Status::New, Change::Raised),
        2 => (Status::Open, Change::Changed),
        3 => (Status::Resolved, Change::Closed),
        4 => (Status::Open, Change::Same),
        _ => return None,
    };
    Some(Standing { status, change, due_date: Some(time("2026-11-15T10:00:00Z")) })
}

/// A CSV file's header and rows; all of one length, or the reader fails.
fn table(csv: &[u8]) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = ::csv::Reader::from_reader(csv);
    let header = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let row = |record: ::csv::Result<::csv::StringRecord>| {
        record.unwrap().iter().map(str::to_owned).collect()
    };
    (header, reader.records().map(row).collect())
}

#[test]
fn file_names_are_told_apart() {
    let cases = [
        ("a-new-NNN.csv", "a-new-001.csv", true),
        ("a-new-NNN.csv", "a-new-1000.csv", true),
        ("a-new-NNN.csv", "a-new-01.csv", false),
        ("a-new-NNN.csv", "a-new-1x1.csv", false),
        ("a-new-NNN.csv", "a-new-.csv", false),
        ("a-new-NNN.csv", "a-new-001.csv.bak", false),
        ("a-new-NNN.csv", "x/a-new-001.csv", false),
        ("a.json", "a.json", true),
        ("a.json", "a.jsonl", false),
    ];
    for (pattern, file, expected) in cases {
        assert_eq!(matches(pattern, file), expected, "{pattern} {file}");
    }
    let files: Vec<_> = PROFILES.iter().flat_map(|profile| profile.files()).collect();
    for (index, file) in files.iter().enumerate() {
        assert!(owns(&numbered(file, 1)) && !files[..index].contains(file), "{file}");
    }
}

#[test]
fn without_profiles_the_set_is_what_it_was() {
    let (bare, notes) = publish(&Chosen::default(), one_of_each_change(), &by_port);
    let names: Vec<_> = bare.keys().map(String::as_str).collect();
    let lock = ".helotriage.lock";
    assert_eq!(names, [lock, "run.json", "sources.csv", "tickets.csv", "tickets.jsonl"]);
    assert_eq!(notes, [""; 0]);
    let all = Chosen { profiles: PROFILES.to_vec(), ..Chosen::default() };
    let (whole, _) = publish(&all, one_of_each_change(), &by_port);
    for name in ["sources.csv", "tickets.csv", "tickets.jsonl"] {
        assert_eq!(bare[name], whole[name], "{name}");
    }
    let manifest: serde_json::Value = serde_json::from_slice(&whole["run.json"]).unwrap();
    for name in whole.keys().filter(|name| !["run.json", lock].contains(&&***name)) {
        assert_eq!(manifest["outputs"][name]["bytes"], whole[name].len(), "{name}");
    }
}

#[test]
fn csv_is_tickets_csv_cut_by_change() {
    let (set, _) = publish(&chosen("csv"), one_of_each_change(), &by_port);
    let (_, all) = table(&set["tickets.csv"]);
    for (name, index) in
        [("tickets-new.csv", 0), ("tickets-changed.csv", 1), ("tickets-closed.csv", 2)]
    {
        let (header, rows) = table(&set[name]);
        assert_eq!(header, tickets_csv::COLUMNS);
        assert_eq!(rows, [all[index].clone()], "{name}");
    }
    let same = JudgedTarget { port: 4, ..target() };
    let (set, _) = publish(&chosen("csv"), vec![same], &by_port);
    assert_eq!(set.len(), 5, "no rows, no file: {:?}", set.keys());
}

/// The width that Java and JavaScript measure.
fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// A target with so many unexpected sources and long names that its texts are longer than most
/// systems take.
fn huge() -> JudgedTarget {
    let name = "\u{1f600}\"".repeat(1_000);
    let sources: Vec<_> = (1..=5).map(|n| (format!("198.51.100.{n}"), name.clone())).collect();
    let sources: Vec<_> = sources.iter().map(|(ip, helo)| (ip.as_str(), helo.as_str())).collect();
    let mut target = with_sources(&sources);
    target.asset.fqdn = Some("\u{e4}".repeat(3_000));
    target.asset.key = "K".repeat(3_000);
    target.asset.owner = Some("\u{1f600}".repeat(3_000));
    target.notes =
        (0..2_000).map(|n| format!("Note {n} says \"something\" of \u{1f600}.")).collect();
    target
}

fn column(table: &(Vec<String>, Vec<Vec<String>>), name: &str) -> Vec<String> {
    let at = table.0.iter().position(|column| column == name).unwrap();
    table.1.iter().map(|row| row[at].clone()).collect()
}

/// The profile's table in this file, of one target that is told for the first time.
fn written(profile: &str, file: &str, target: JudgedTarget) -> (Vec<String>, Vec<Vec<String>>) {
    let (set, _) = publish(&chosen(profile), vec![target], &Standing::without_state);
    table(&set[file])
}

#[test]
fn jira_reads_new_issues() {
    let issues = written("jira", "jira-new-001.csv", target());
    let columns = "Summary,Issue Type,Priority,Due Date,Description,Labels,Labels,Labels,Component,\
                   External ID,Asset,Service Port,Risk Score";
    assert_eq!(issues.0.join(","), columns);
    assert!(issues.0.iter().all(|name| name.chars().all(|c| c.is_alphanumeric() || c == ' ')));
    let row = &issues.1[0];
    let facts = [
        (1, "Task"),
        (2, "High"),
        (3, "15/Nov/26 10:00 AM"),
        (5, "smtp-helo"),
        (6, "p2"),
        (7, "helo-203.0.113.25-25"),
        (8, "mail-team"),
        (9, "helo-203.0.113.25-25"),
        (10, "mx1.example.com"),
        (11, "25"),
        (12, "74"),
    ];
    for (at, expected) in facts {
        assert_eq!(row[at], expected, "{}", issues.0[at]);
    }
    let due = NaiveDateTime::parse_from_str(&row[3], "%d/%b/%y %I:%M %p").unwrap();
    assert_eq!(due.to_string(), "2026-11-15 10:00:00");
    assert!(row[4].starts_with("Ticket helo-203.0.113.25-25: P2, score 74, status new, due 2026-"));
    assert!(row[4].contains("\n\nWhat to do\n") && row[4].contains("\n- "));

    let issues = written("jira", "jira-new-001.csv", huge());
    let row = &issues.1[0];
    assert!((32_000..=32_767).contains(&units(&row[4])), "no more is left out than has to be");
    assert!(row[4].contains("... shortened: the whole text stands in tickets.csv under helo-kkkk"));
    assert!(units(&row[0]) <= 254);
    for label in [&row[5], &row[6], &row[7]] {
        assert!(units(label) <= 255 && !label.contains(char::is_whitespace), "{label}");
    }
}

#[test]
fn jira_takes_250_rows_a_file() {
    let targets = (1..=501).map(|port| JudgedTarget { port, ..target() }).collect();
    let (set, _) = publish(&chosen("jira"), targets, &Standing::without_state);
    let rows = |name: &str| table(&set[name]).1.len();
    assert_eq!(rows("jira-new-001.csv"), 250);
    assert_eq!((rows("jira-new-002.csv"), rows("jira-new-003.csv")), (250, 1));
    assert!(!set.contains_key("jira-new-004.csv"));
}

#[test]
fn jira_updates_what_the_export_has() {
    let temp = tempfile::tempdir().unwrap();
    let export = temp.path().join("export.csv");
    let id = |port: u16| format!("helo-203.0.113.25-{port}");
    let rows = format!(
        "Issue key,Labels,Labels\nSEC-1,{},\nSEC-2,,{}\nSEC-3,{},\nSEC-4,{},\nSEC-5,{},\n",
        id(1),
        id(2),
        id(3),
        id(6),
        id(6)
    );
    fs::write(&export, rows).unwrap();
    let exports = [export];
    let issues = jira_export::read_jira_exports(&exports).unwrap();
    let known = Chosen { jira_issues: Some(issues), ..chosen("jira") };
    let standing = |target: &JudgedTarget| match target.port {
        6 | 7 => by_port(&JudgedTarget { port: 2, ..target.clone() }),
        _ => by_port(target),
    };
    let targets = || (1..=7).map(|port| JudgedTarget { port, ..target() }).collect::<Vec<_>>();
    let (set, notes) = publish(&known, targets(), &standing);
    let update = table(&set["jira-update-001.csv"]);
    assert_eq!((&*update.0[0], &*update.0[14], update.0.len()), ("Issue Key", "Comment", 15));
    assert_eq!(column(&update, "Issue Key"), ["SEC-1", "SEC-2", "SEC-3"]);
    assert!(update.1[2][14].starts_with("helotriage: resolved, P2, confirmed. SMTP port 3 on "));
    // Labels are only ever added: the priority's would pile up.
    let labels: Vec<_> = update.1.iter().map(|row| row[6..9].join(",")).collect();
    assert_eq!(labels[0], format!("smtp-helo,,{}", id(1)));
    // Neither 4, which is as it was told, nor 6, which two issues claim.
    assert_eq!(column(&table(&set["jira-new-001.csv"]), "External ID"), [id(4), id(7)]);
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].starts_with("jira: 2 tickets told before, but with no issue in the export"));
    assert!(notes[1].starts_with("jira: 1 ticket with several issues of their label"), "{notes:?}");
    let manifest: serde_json::Value = serde_json::from_slice(&set["run.json"]).unwrap();
    assert_eq!(manifest["warnings"][1], *notes[1]);

    let (set, notes) = publish(&chosen("jira"), targets(), &standing);
    assert_eq!(column(&table(&set["jira-new-001.csv"]), "External ID"), [id(1)]);
    assert!(!set.contains_key("jira-update-001.csv"));
    assert!(notes[0].starts_with("jira: 4 tickets changed or closed, and in no jira file"));
}

#[test]
fn servicenow_reads_incidents() {
    let incidents = written("servicenow", "servicenow.csv", target());
    let columns = "correlation_id,correlation_display,short_description,description,impact,urgency,\
                   category,cmdb_ci,assignment_group,due_date,u_source_ids,u_risk_score,u_status";
    assert_eq!(incidents.0.join(","), columns);
    let row = &incidents.1[0];
    let facts = [
        (0, "helo-203.0.113.25-25"),
        (4, "2"),
        (5, "1"),
        (7, "mx1.example.com"),
        (8, "mail-team"),
        (9, "2026-11-15 10:00:00"),
        (10, "10263; 34861"),
        (11, "74"),
        (12, "new"),
    ];
    for (at, expected) in facts {
        assert_eq!(row[at], expected, "{}", incidents.0[at]);
    }
    NaiveDateTime::parse_from_str(&row[9], "%Y-%m-%d %H:%M:%S").unwrap();
    for (priority, expected) in
        [(Priority::P1, "1/1"), (Priority::P2, "2/1"), (Priority::P3, "2/2"), (Priority::P4, "2/3")]
    {
        let (_, rows) =
            written("servicenow", "servicenow.csv", JudgedTarget { priority, ..target() });
        assert_eq!(rows[0][4..6].join("/"), expected);
    }
}

#[test]
fn servicenow_takes_rows_of_8126_bytes() {
    let mut null = target();
    null.asset.fqdn = Some("NULL".to_owned());
    null.asset.owner = Some("NULL".to_owned());
    let (set, _) = publish(&chosen("servicenow"), vec![null, huge()], &Standing::without_state);
    let file = String::from_utf8(set["servicenow.csv"].clone()).unwrap();
    let incidents = table(file.as_bytes());
    assert_eq!(incidents.1.len(), 2);
    assert!(incidents.1.iter().flatten().all(|cell| cell != "NULL"));
    assert_eq!(incidents.1[0][7..9].join(" "), "null null");
    for row in &incidents.1 {
        assert!(sheet::encoded(row).len() <= 8_126 && units(&row[2]) <= 160);
        assert!(!row[0].is_empty() && row[0].len() <= 100 && row[0] == row[0].to_lowercase());
    }
    let huge = &incidents.1[1];
    assert!(huge[3].contains(" items are left out\n"), "{}", huge[3]);
    assert!(huge[3].contains("... shortened: the whole text stands in tickets.csv under helo-kkk"));
    let written = sheet::encoded(huge);
    assert!(file.as_bytes().ends_with(&written), "the size was that of the row as it is written");
}

/// A policy of a large site: the rules of its tickets are longer than a row of `ServiceNow`.
#[test]
fn servicenow_leaves_whole_items_out_and_says_so() {
    let networks: Vec<String> = (0..90).map(|n| format!("10.{n}.0.0/24")).collect();
    let policy = policy(&networks.iter().map(String::as_str).collect::<Vec<_>>());
    let (standing, servicenow) = (&Standing::without_state, chosen("servicenow"));
    let sources = [("198.51.100.7", "a.example"), ("198.51.100.8", "b.example")];
    let (set, _) = publish_under(&policy, &servicenow, vec![with_sources(&sources)], standing);
    let rows = table(&set["servicenow.csv"]).1;
    assert!(sheet::encoded(&rows[0]).len() <= 8_126);
    let text = &rows[0][3];
    for whole in [
        "HELO \"b.example\"; see",
        "    nft -f /etc/nftables.d/helo-203.0.113.25-25.nft\n",
        "\nWhat could break: ",
        "\n... 1 item is left out\n\nHow to verify\nAfter the change:\n",
    ] {
        assert!(text.contains(whole), "{whole} in {text}");
    }
    assert!(!text.contains("firewall-cmd --permanent"), "{text}");
    let end = "\n... shortened: the whole text stands in tickets.csv under helo-203.0.113.25-25";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn servicenow_vr_fills_the_template() {
    let targets: Vec<_> = (1..=1001).map(|port| JudgedTarget { port, ..target() }).collect();
    let (set, _) = publish(&chosen("servicenow-vr"), targets, &by_port_or_new);
    let items = table(&set["servicenow-vr-001.csv"]);
    let columns = "Asset ID,MAC Address,FQDN,NETBIOS,IP Address,Hostname,Vulnerability ID,\
                   Vulnerability Summary,Severity,Port,Protocol,Proof,State";
    assert_eq!(items.0.join(","), columns);
    assert_eq!((items.1.len(), table(&set["servicenow-vr-002.csv"]).1.len()), (1_000, 1));
    assert_eq!(items.1[0][..7].join(","), "203.0.113.25,,mx1.example.com,,203.0.113.25,,TEN-34861");
    assert_eq!(items.1[2][12], "fixed");
    assert_eq!(items.1[3][8..].join(",").split(",What").next().unwrap(), "high,4,tcp");
    let mut nameless = huge();
    nameless.asset.ip = None;
    nameless.scan.detected_by = vec![(22_964, "x".to_owned()), (10_263, "y".to_owned())];
    let (_, rows) = written("servicenow-vr", "servicenow-vr-001.csv", nameless);
    for (at, most) in [(0, 255), (2, 255), (5, 255), (6, 255), (7, 512), (10, 40), (11, 4_000)] {
        assert!(!rows[0][at].is_empty() && units(&rows[0][at]) <= most, "{}", items.0[at]);
    }
    assert_eq!(rows[0][6], "TEN-10263");
    for row in items.1.iter().chain(&rows) {
        assert!(["critical", "high", "medium", "low", "none"].contains(&&*row[8]));
        assert!(row[9].parse::<u16>().is_ok() && ["open", "fixed"].contains(&&*row[12]));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-.+_ ()@".contains(c);
    assert!(set.keys().all(|name| name.chars().all(allowed)));
}

fn by_port_or_new(target: &JudgedTarget) -> Option<Standing> {
    by_port(target).or_else(|| Standing::without_state(target))
}

/// The keys that DefectDojo's parser takes of a finding; it refuses a file with any other.
const DEFECTDOJO: &str = "title severity description date cwe cve epss_score epss_percentile cvssv3 \
    cvssv3_score cvssv4 cvssv4_score mitigation impact steps_to_reproduce severity_justification \
    references active verified false_p out_of_scope risk_accepted under_review is_mitigated \
    thread_id mitigated numerical_severity param payload line file_path component_name \
    component_version static_finding dynamic_finding scanner_confidence unique_id_from_tool \
    vuln_id_from_tool sast_source_object sast_sink_object sast_source_line sast_source_file_path \
    nb_occurences publish_date service planned_remediation_date planned_remediation_version \
    effort_for_fixing tags kev_date known_exploited ransomware_used fix_available fix_version \
    endpoints";

fn findings(targets: Vec<JudgedTarget>) -> Vec<serde_json::Value> {
    let (set, _) = publish(&chosen("defectdojo"), targets, &by_port_or_new);
    let mut file: serde_json::Value = serde_json::from_slice(&set["defectdojo.json"]).unwrap();
    assert_eq!((&file["name"], &file["type"]), (&"helotriage".into(), &"helotriage".into()));
    serde_json::from_value(file["findings"].take()).unwrap()
}

#[test]
fn defectdojo_reads_findings() {
    let all = findings(one_of_each_change());
    let ids: Vec<_> = all.iter().map(|finding| finding["unique_id_from_tool"].clone()).collect();
    let id = |port| format!("helo-203.0.113.25-{port}");
    // What is resolved is left out: a reimport closes it.
    assert_eq!(ids, [id(1), id(2), id(4), id(5)]);
    assert_eq!(findings(vec![]), [""; 0], "a reimport of nothing closes everything");
    let allowed: Vec<_> = DEFECTDOJO.split_whitespace().collect();
    for finding in all.iter().chain(&findings(vec![huge()])) {
        for (key, value) in finding.as_object().unwrap() {
            assert!(allowed.contains(&key.as_str()), "{key}");
            assert!(!value.is_null() && value != "", "{key}");
        }
        assert!(finding["title"].as_str().unwrap().chars().count() <= 511);
        assert!(finding["unique_id_from_tool"].as_str().unwrap().len() <= 500);
        assert_eq!(finding["severity"], "High");
        for key in ["date", "planned_remediation_date"] {
            NaiveDate::parse_from_str(finding[key].as_str().unwrap(), "%Y-%m-%d").unwrap();
        }
        for tag in finding["tags"].as_array().unwrap() {
            assert!(!tag.as_str().unwrap().contains([' ', ',', '"']), "{tag}");
        }
        assert!(finding.get("service").is_none(), "it would keep a reimport from closing");
    }
    let endpoint = serde_json::json!({"protocol": "smtp", "host": "203.0.113.25", "port": 1});
    assert_eq!(all[0]["endpoints"], serde_json::json!([endpoint]));
}

#[test]
fn what_defectdojo_hashes_stays_from_run_to_run() {
    let hashed = |target: JudgedTarget| {
        let finding = findings(vec![target]).remove(0);
        ["title", "description"].map(|key| finding[key].clone())
    };
    let mut later = with_sources(&[("198.51.100.7", "a"), ("198.51.100.8", "b")]);
    later.priority = Priority::P1;
    later.score = 99;
    later.verdict = Verdict::Abused;
    later.last_seen = Some(time("2026-11-09T11:00:00Z"));
    later.scan.scan_time = Some(time("2026-11-09T11:00:00Z"));
    later.asset.fqdn = Some("renamed.example".to_owned());
    assert_eq!(hashed(target()), hashed(later));
    assert_ne!(hashed(target()), hashed(JudgedTarget { port: 587, ..target() }));
}

#[test]
fn gitlab_reads_issues() {
    let (set, _) = publish(&chosen("gitlab"), one_of_each_change(), &by_port);
    for (kind, port) in [("new", "1"), ("changed", "2"), ("closed", "3")] {
        let issues = table(&set[&format!("gitlab-{kind}-001.csv")]);
        assert_eq!(issues.0.join(","), "title,description,due_date,ticket_id,status,priority");
        assert_eq!(column(&issues, "ticket_id"), [format!("helo-203.0.113.25-{port}")]);
        assert_eq!(column(&issues, "due_date"), ["2026-11-15"]);
        let description = &column(&issues, "description")[0];
        assert!(description.ends_with("\n\n/label ~smtp-helo ~p2"), "{description}");
    }
    let (_, rows) = written("gitlab", "gitlab-new-001.csv", huge());
    assert!(rows[0][0].chars().count() <= 255 && rows[0][1].chars().count() < 1_048_576);
}

#[test]
fn gitlab_takes_10_megabytes_a_file() {
    let targets = (1..=200).map(|port| JudgedTarget { port, ..huge() }).collect();
    let (set, _) = publish(&chosen("gitlab"), targets, &Standing::without_state);
    let files: Vec<_> = set.iter().filter(|(name, _)| name.starts_with("gitlab-new-")).collect();
    assert!(files.len() > 1 && files.iter().all(|(_, bytes)| bytes.len() <= 10_000_000));
    assert_eq!(files.iter().map(|(_, bytes)| table(bytes).1.len()).sum::<usize>(), 200);
}

#[test]
fn redmine_reads_issues() {
    let (set, _) = publish(&chosen("redmine"), one_of_each_change(), &by_port);
    for (kind, port) in [("new", "1"), ("changed", "2"), ("closed", "3")] {
        let issues = table(&set[&format!("redmine-{kind}-001.csv")]);
        let columns = "Subject,Description,Priority,Due date,Category,Ticket,Ticket status";
        assert_eq!(issues.0.join(","), columns);
        assert_eq!(column(&issues, "Ticket"), [format!("helo-203.0.113.25-{port}")]);
        assert_eq!(issues.1[0][2..5].join(","), "High,2026-11-15,mail-team");
    }
    let (_, rows) = written("redmine", "redmine-new-001.csv", huge());
    assert!(rows[0][0].chars().count() <= 255 && rows[0][1].len() <= 65_535);
    assert!(rows[0][4].chars().count() <= 60 && rows[0][5].len() <= 255);
}
