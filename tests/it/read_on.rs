//! What a run with a state tells of logs that earlier runs read: files that are gone, truncated or
//! replaced, ports that were not of interest, a tolerance that was larger, contents that nobody has
//! seen for more than a year.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::program::{Ticket, helotriage, read_tickets, told};

/// A copy of the demo's scan and logs that a test may change.
fn demo() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/demo");
    for part in ["scan", "firewall", "mail"] {
        fs::create_dir(folder.path().join(part)).unwrap();
        for entry in fs::read_dir(demo.join(part)).unwrap() {
            let path = entry.unwrap().path();
            let copy = folder.path().join(part).join(path.file_name().unwrap());
            fs::copy(&path, copy).unwrap();
        }
    }
    fs::write(folder.path().join("policy.toml"), "").unwrap();
    folder
}

/// A run over the folder with its state; the tickets and what the operator was told.
fn night(folder: &Path, now: &str) -> (BTreeMap<String, Ticket>, String) {
    let inputs = ["--scan", "scan", "--firewall", "firewall", "--mail", "mail"];
    let rest = ["--policy", "policy.toml", "--state", "state.db", "--out", "out", "--now", now];
    let output = helotriage(folder, &[&["run"], &inputs[..], &rest[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    (read_tickets(&folder.join("out/tickets.csv")), told(&output))
}

const FIRST: &str = "2026-12-01T00:00:00Z";
const SECOND: &str = "2026-12-02T00:00:00Z";

/// What a ticket says of sources, whatever its status.
fn counts(tickets: &BTreeMap<String, Ticket>) -> Vec<(&str, Vec<&str>)> {
    const COLUMNS: [&str; 8] = [
        "verdict",
        "priority",
        "unexpected_sources",
        "helo_accepted",
        "corroborated",
        "mail_accepted",
        "fw_permitted",
        "fw_denied",
    ];
    let mut counts = Vec::new();
    for (id, ticket) in tickets {
        counts.push((&**id, COLUMNS.map(|column| &*ticket[column]).to_vec()));
    }
    counts
}

#[test]
fn logs_that_are_gone_count_and_explain_says_so() {
    let folder = demo();
    let (first, _) = night(folder.path(), FIRST);
    fs::remove_dir_all(folder.path().join("mail")).unwrap();
    fs::create_dir(folder.path().join("mail")).unwrap();
    fs::write(folder.path().join("mail/mx1.log"), "").unwrap();
    let (second, _) = night(folder.path(), SECOND);
    assert_eq!(counts(&second), counts(&first));
    let cites_mail = |t: &&Ticket| t["verdict"] == "abused" && t["evidence"].contains("mail/");
    let id = &second.values().find(cites_mail).unwrap()["ticket_id"];
    let output = helotriage(folder.path(), &["explain", id, "--out", "out"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text.contains("an earlier run read it, and its file is gone"), "{text}");
    assert!(text.contains("firewall/"), "{text}");
}

#[test]
fn truncated_and_replaced_logs_are_new_and_what_they_held_stays() {
    let folder = demo();
    let (first, _) = night(folder.path(), FIRST);
    let log = folder.path().join("mail/mx2.log");
    let text = fs::read_to_string(&log).unwrap();
    // What follows a truncation is shorter than what stood there, then longer than it.
    let relayed = "198.51.100.23";
    let later = text.replace("2026-11-", "2026-10-").replace(relayed, "198.51.100.24");
    assert_ne!(later, text);
    let half = later.split_inclusive('\n').take(6).collect::<String>();
    fs::write(&log, &half).unwrap();
    night(folder.path(), SECOND);
    fs::write(&log, format!("{later}{later}")).unwrap();
    fs::remove_file(folder.path().join("mail/dev1.log")).unwrap();
    fs::rename(&log, folder.path().join("mail/dev1.log")).unwrap();
    let (last, _) = night(folder.path(), "2026-12-03T00:00:00Z");
    let number = |tickets: &BTreeMap<String, Ticket>, column: &str| -> u64 {
        let of_mx2 = tickets.values().find(|t| t["ip"] == "203.0.113.26").unwrap();
        of_mx2[column].parse().unwrap()
    };
    assert_eq!(number(&last, "unexpected_sources"), number(&first, "unexpected_sources") + 1);
    // The new text is there twice and begins as its own copy: its sessions are two of each.
    assert_eq!(number(&last, "mail_accepted"), 3 * number(&first, "mail_accepted"));
}

#[test]
fn a_port_that_was_not_of_interest_is_told() {
    let folder = demo();
    night(folder.path(), FIRST);
    let scan = folder.path().join("scan/mail-servers.nessus");
    let text = fs::read_to_string(&scan).unwrap();
    fs::write(&scan, text.replace("port=\"587\"", "port=\"10587\"")).unwrap();
    let (second, _) = night(folder.path(), SECOND);
    let note = "Evidence for port 10587 is kept since the run of 2026-12-02T00:00:00Z only";
    for ticket in second.values() {
        let told = ticket["description"].contains(note);
        assert_eq!(told, ticket["port"] == "10587", "{}", ticket["ticket_id"]);
    }
    assert!(second.values().any(|ticket| ticket["port"] == "10587"));
}

#[test]
fn a_tolerance_that_was_larger_is_told() {
    let folder = demo();
    let policy = folder.path().join("policy.toml");
    fs::write(&policy, "[correlation]\ntolerance = \"300s\"\n").unwrap();
    night(folder.path(), FIRST);
    fs::write(&policy, "").unwrap();
    let (_, stderr) = night(folder.path(), SECOND);
    assert!(
        stderr.contains("the tolerance was 300 s in an earlier run and is 120 s now"),
        "{stderr}"
    );
}

#[test]
fn contents_that_no_run_found_for_400_days_are_not_known_again_and_what_they_told_stays() {
    let folder = demo();
    let (first, _) = night(folder.path(), FIRST);
    let log = folder.path().join("mail/mx2.log");
    let text = fs::read(&log).unwrap();
    fs::remove_file(&log).unwrap();
    let known = |folder: &Path| -> Vec<u64> {
        let output = helotriage(folder, &["state", "export", "--state", "state.db"]);
        let rows = String::from_utf8(output.stdout).unwrap();
        let rows = rows.lines().map(|row| serde_json::from_str::<serde_json::Value>(row).unwrap());
        rows.filter(|row| row["table"] == "content" && row["path"] == "mail/mx2.log")
            .map(|row| row["head_length"].as_u64().unwrap())
            .collect()
    };
    night(folder.path(), "2028-01-05T00:00:00Z");
    assert!(known(folder.path())[0] > 0, "400 days have not passed");
    let (second, _) = night(folder.path(), "2028-01-06T00:00:00Z");
    assert_eq!(known(folder.path()), [0]);
    assert_eq!(counts(&second), counts(&first));
    fs::write(&log, text).unwrap();
    let (third, _) = night(folder.path(), "2028-01-07T00:00:00Z");
    assert_eq!(known(folder.path()).len(), 2);
    // The log is read anew, and its sessions are still known to have been told.
    assert_eq!(counts(&third), counts(&first));
}
