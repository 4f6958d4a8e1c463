//! Import files for ticket systems, from the command line and from a policy. In: a scan of two hosts,
//! one of which has a formula for a name. Out: the files of each run, what the operator is told.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::program::{helotriage, told};

const SCAN: &str = r#"<NessusClientData_v2><Report name="r">
<ReportHost name="203.0.113.25"><HostProperties><tag name="host-ip">203.0.113.25</tag>
<tag name="host-fqdn">=cmd.example</tag><tag name="HOST_END_TIMESTAMP">1793844000</tag>
</HostProperties><ReportItem port="25" svc_name="smtp" protocol="tcp" severity="0" pluginID="10263"
pluginName="SMTP Server Detection" pluginFamily="Service detection"></ReportItem></ReportHost>
<ReportHost name="203.0.113.26"><HostProperties><tag name="host-ip">203.0.113.26</tag>
<tag name="HOST_END_TIMESTAMP">1793844000</tag></HostProperties>
<ReportItem port="25" svc_name="smtp" protocol="tcp" severity="0" pluginID="10263"
pluginName="SMTP Server Detection" pluginFamily="Service detection"></ReportItem></ReportHost></Report>
</NessusClientData_v2>"#;

const ALWAYS: [&str; 4] = ["run.json", "sources.csv", "tickets.csv", "tickets.jsonl"];

fn folder(policy: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.nessus"), SCAN).unwrap();
    fs::write(folder.path().join("policy.toml"), policy).unwrap();
    folder
}

/// Exit code and standard error of a run over the scan with these arguments too.
fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let all = [&["run", "--scan", "s.nessus", "--out", "out"], arguments].concat();
    let output = helotriage(folder, &all);
    (output.status.code(), told(&output))
}

/// The names in the output folder, less those of every run.
fn extra_files(folder: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(folder.join("out")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.starts_with('.') && !ALWAYS.contains(&name.as_str())).collect()
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join("out").join(name)).unwrap()
}

#[test]
fn profiles_come_and_go_with_the_set() {
    let folder = folder("");
    let at = folder.path();
    let (code, told) =
        run(at, &["--profile", "csv", "--profile", "servicenow", "--profile", "csv"]);
    assert_eq!(code, Some(0), "{told}");
    let files = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(extra_files(at), files(&["servicenow.csv", "tickets-new.csv"]));
    assert!(told.contains("tickets-new.csv, run.json)\n"), "{told}");
    let before: Vec<_> =
        ["tickets.csv", "tickets.jsonl"].iter().map(|name| read(at, name)).collect();
    fs::write(at.join("out/servicenow-vr-001.csv"), "a user's").unwrap();
    let (code, _) = run(at, &["--profile", "redmine"]);
    assert_eq!(code, Some(0));
    assert_eq!(extra_files(at), files(&["redmine-new-001.csv", "servicenow-vr-001.csv"]));
    run(at, &[]);
    assert_eq!(extra_files(at), files(&["servicenow-vr-001.csv"]));
    let after: Vec<_> =
        ["tickets.csv", "tickets.jsonl"].iter().map(|name| read(at, name)).collect();
    assert_eq!(before, after);
}

#[test]
fn the_policy_names_profiles_and_the_flag_overrides_it() {
    let folder = folder("[outputs]\nprofiles = [\"gitlab\"]\ncsv_safe = false\n");
    let at = folder.path();
    assert_eq!(run(at, &["--policy", "policy.toml"]).0, Some(0));
    assert_eq!(extra_files(at), ["gitlab-new-001.csv".to_owned()].into());
    assert!(read(at, "tickets.csv").contains(",=cmd"));
    let manifest: serde_json::Value = serde_json::from_str(&read(at, "run.json")).unwrap();
    assert_eq!(manifest["arguments"]["profile"], serde_json::json!(["gitlab"]));
    assert_eq!(manifest["arguments"]["csv-safe"], serde_json::json!(["off"]));
    assert!(manifest.get("altered_cells").is_none());
    let flags = ["--policy", "policy.toml", "--profile", "csv", "--csv-safe", "on"];
    let (code, told) = run(at, &flags);
    assert_eq!((code, extra_files(at)), (Some(0), ["tickets-new.csv".to_owned()].into()));
    assert!(told.contains("\n2 cells got an apostrophe in front, "), "{told}");
    for name in ["tickets.csv", "tickets-new.csv"] {
        assert!(read(at, name).contains("'=cmd.example"), "{name}");
    }
    let manifest: serde_json::Value = serde_json::from_str(&read(at, "run.json")).unwrap();
    assert_eq!(manifest["altered_cells"], 2);
}

#[test]
fn unknown_profiles_are_refused_with_the_nearest() {
    let folder = folder("[outputs]\nprofiles = [\"jirra\"]\n");
    let cases: [(&[&str], &str); 3] = [
        (
            &["--policy", "policy.toml"],
            "line 2: profiles: unknown profile \"jirra\"; expected \"jira\"",
        ),
        (&["--profile", "service-now"], "a similar value exists: 'servicenow'"),
        (&["--jira-export", "jira.csv"], "expected --profile jira with it"),
    ];
    for (arguments, why) in cases {
        let (code, told) = run(folder.path(), arguments);
        assert_eq!(code, Some(2), "{told}");
        assert!(told.contains(why), "{told}");
        assert!(!folder.path().join("out").exists());
    }
}

/// As a user does it: import, export, run again.
#[test]
fn jira_updates_the_issues_that_an_export_shows() {
    let policy = "[outputs]\nprofiles = [\"jira\"]\njira_export = [\"jira.csv\"]\n";
    let folder = folder(policy);
    let at = folder.path();
    assert_eq!(run(at, &["--profile", "jira"]).0, Some(0));
    let mut export = csv::Writer::from_path(at.join("jira.csv")).unwrap();
    export.write_record(["Summary", "Issue key", "Labels", "Labels", "Labels"]).unwrap();
    let new = read(at, "jira-new-001.csv");
    for (number, row) in csv::Reader::from_reader(new.as_bytes()).records().enumerate() {
        let row = row.unwrap();
        let key = format!("SEC-{}", number + 1);
        export.write_record([&row[0], &key, &row[5], &row[6], &row[7]]).unwrap();
    }
    export.flush().unwrap();
    let (code, told) = run(at, &["--policy", "policy.toml"]);
    assert_eq!(
        (code, extra_files(at)),
        (Some(0), ["jira-update-001.csv".to_owned()].into()),
        "{told}"
    );
    let update = read(at, "jira-update-001.csv");
    assert!(update.starts_with("Issue Key,Summary,"));
    assert!(update.contains("\n\"SEC-1\",") && update.contains("\n\"SEC-2\","));
    fs::write(at.join("jira.csv"), "Summary,Status\nx,Open\n").unwrap();
    let before = read(at, "run.json");
    let (code, told) = run(at, &["--policy", "policy.toml"]);
    assert_eq!((code, read(at, "run.json")), (Some(2), before));
    assert!(
        told.contains("jira.csv: line 1: the Jira export has no column \"Issue key\""),
        "{told}"
    );
}
