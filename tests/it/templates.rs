//! Texts of tickets in the user's own words, from the command line. In: a folder of templates. Out:
//! tickets with their texts, or one line that says what is wrong before any input is read.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::program::{helotriage, read_tickets, told};

const SCAN: &str = r#"<NessusClientData_v2><Report name="r"><ReportHost name="mx1"><HostProperties>
<tag name="host-ip">203.0.113.25</tag><tag name="HOST_END_TIMESTAMP">1793844000</tag>
</HostProperties><ReportItem port="25" svc_name="smtp" protocol="tcp" severity="0" pluginID="10263"
pluginName="SMTP Server Detection" pluginFamily="Service detection"></ReportItem></ReportHost></Report>
</NessusClientData_v2>"#;

const POLICY: &str = "[templates]\ndir = \"words\"\n";

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("s.nessus", SCAN), ("triage.toml", POLICY)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    fs::create_dir(folder.path().join("words")).unwrap();
    folder
}

/// Exit code and standard error of a run with the policy.
fn run(folder: &Path) -> (Option<i32>, String) {
    let arguments =
        ["run", "--quiet", "--scan", "s.nessus", "--out", "out", "--policy", "triage.toml"];
    let output = helotriage(folder, &arguments);
    (output.status.code(), told(&output))
}

#[test]
fn built_in_templates_written_out_change_nothing() {
    let folder = folder();
    let at = folder.path();
    assert_eq!(run(at).0, Some(0));
    let before = fs::read(at.join("out/tickets.csv")).unwrap();
    let output = helotriage(at, &["policy", "templates", "--out", "words"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(told(&output).starts_with("19 templates written to words; "), "{}", told(&output));
    assert_eq!(run(at), (Some(0), String::new()));
    assert_eq!(fs::read(at.join("out/tickets.csv")).unwrap(), before);
    let manifest = fs::read_to_string(at.join("out/run.json")).unwrap();
    assert!(manifest.contains("\"compromise.txt\""), "{manifest}");
}

#[test]
fn templates_are_written_by_name_and_none_is_overwritten() {
    let folder = folder();
    let at = folder.path();
    fs::write(at.join("words/rollback.txt"), "mine").unwrap();
    let write = |names: &[&str]| {
        helotriage(at, &[&["policy", "templates", "--out", "words"], names].concat())
    };
    let output = write(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains("words/rollback.txt: exists already"), "{}", told(&output));
    assert_eq!(fs::read_dir(at.join("words")).unwrap().count(), 1, "all or none");
    assert_eq!(write(&["summary.txt"]).status.code(), Some(0));
    assert_eq!(fs::read_dir(at.join("words")).unwrap().count(), 2);
    assert_eq!(fs::read_to_string(at.join("words/rollback.txt")).unwrap(), "mine");
    assert_eq!(write(&["sumary.txt"]).status.code(), Some(2));
}

#[test]
fn own_words_stand_in_the_ticket_and_act_in_no_cell() {
    let folder = folder();
    let at = folder.path();
    fs::write(at.join("words/summary.txt"), "Mail\non {{ host }}:{{ port }}").unwrap();
    fs::write(at.join("words/rollback.txt"), "=1+1 {{ host }}").unwrap();
    assert_eq!(run(at), (Some(0), String::new()));
    let ticket = read_tickets(&at.join("out/tickets.csv")).remove("helo-203.0.113.25-25").unwrap();
    assert_eq!(ticket["summary"], "Mail on 203.0.113.25:25");
    assert_eq!(ticket["rollback"], "'=1+1 203.0.113.25");
    assert!(ticket["description"].starts_with("What it is: 203.0.113.25"));
}

#[test]
fn a_wrong_template_stops_check_and_run_before_anything_is_read() {
    let folder = folder();
    let at = folder.path();
    assert_eq!(run(at).0, Some(0));
    let before = fs::read(at.join("out/run.json")).unwrap();
    fs::write(at.join("words/summary.txt"), "a\n{{ hots }}").unwrap();
    // A scan that cannot be read is not looked at any more.
    fs::write(at.join("s.nessus"), "no scan").unwrap();
    let why = "words/summary.txt: line 2: \"hots\" is a name that tickets do not have; expected \
               \"host\"";
    let (code, told_by_run) = run(at);
    assert_eq!(code, Some(2), "{told_by_run}");
    assert!(told_by_run.contains(why), "{told_by_run}");
    assert_eq!(fs::read(at.join("out/run.json")).unwrap(), before);
    let output = helotriage(at, &["policy", "check", "triage.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains(why), "{}", told(&output));
}
