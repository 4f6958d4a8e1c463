//! `policy suggest` over logs of two weeks: what a person would write by hand is drafted, and what
//! is drafted is a policy. In: a scan and Postfix logs that the test writes.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::program::{helotriage, read_tickets, told};

const DAYS: u32 = 14;

/// A scanned host with an SMTP server on a port.
fn host(name: &str, ip: &str, port: u16) -> String {
    format!(
        r#"<ReportHost name="{name}"><HostProperties><tag name="host-ip">{ip}</tag>
<tag name="HOST_END_TIMESTAMP">1793844000</tag></HostProperties><ReportItem port="{port}"
svc_name="smtp" protocol="tcp" severity="0" pluginID="10263" pluginName="SMTP Server Detection"
pluginFamily="Service detection"></ReportItem></ReportHost>
"#
    )
}

/// One delivery of local mail.
fn delivery(log: &mut String, (day, minute): (u32, u32), server: &str, client: &str) {
    let head = format!("Nov {day:2} 10:{minute:02}:00 {server} postfix/");
    let queue = format!("4Abc{day:02}{minute:02}xyzt");
    writeln!(log, "{head}smtpd[7]: connect from unknown[{client}]").unwrap();
    writeln!(log, "{head}smtpd[7]: {queue}: client=unknown[{client}]").unwrap();
    writeln!(log, "{head}cleanup[8]: {queue}: message-id=<{day}.{minute}@example.org>").unwrap();
    writeln!(log, "{head}smtpd[7]: disconnect from unknown[{client}] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5").unwrap();
    writeln!(log, "{head}local[9]: {queue}: to=<a@example.com>, relay=local, delay=0.1, delays=0/0/0/0.1, dsn=2.0.0, status=sent (delivered to mailbox)").unwrap();
    writeln!(log, "{head}qmgr[6]: {queue}: removed").unwrap();
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let hosts = host("mx1.example.com", "203.0.113.25", 25)
        + &host("app.example.com", "203.0.113.30", 25)
        + &host("203.0.113.40", "203.0.113.40", 25);
    let scan =
        format!("<NessusClientData_v2><Report name=\"r\">{hosts}</Report></NessusClientData_v2>");
    let mut log = String::new();
    for day in 1..=DAYS {
        for minute in 0..12 {
            // Strangers come on another day each; the MX has some of them every day.
            let client = format!("198.51.100.{}", minute * 15 + day);
            delivery(&mut log, (day, minute), "mx1", &client);
        }
        delivery(&mut log, (day, 20), "app", "10.7.0.5");
        delivery(&mut log, (day, 21), "app", "192.0.2.77");
        if day % 4 == 0 {
            delivery(&mut log, (day, 22), "app", "10.7.0.6");
        }
        delivery(&mut log, (day, 23), "oldname", "10.7.0.7");
    }
    for (name, text) in [("s.nessus", scan), ("mail.log", log)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn suggested(at: &Path, more: &[&str]) -> String {
    let arguments = ["policy", "suggest", "--quiet", "--scan", "s.nessus", "--mail", "mail.log"];
    let output =
        helotriage(at, &[&arguments[..], &["--now", "2026-11-20T00:00:00Z"], more].concat());
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_a_person_would_write_is_drafted_with_its_numbers() {
    let folder = folder();
    let at = folder.path();
    let draft = suggested(at, &[]);
    let joined = draft.replace("\n# ", " ");
    for expected in [
        "Port 25: 168 sources delivered mail without relaying any (168 mails, on 14 of 14 days); 0 \
         did otherwise. The DNS",
        "#match = [\"203.0.113.25\"] Port 25",
        "#role = \"mx\"\n",
        " 192.0.2.77: mail accepted on port 25 on 14 of 14 days, 14 of 14 sessions, none relayed, \
         2026-11-01 to 2026-11-14. It is outside: expect it only if you know whose it is.\n",
        " 10.7.0.5: mail accepted on port 25 on 14 of 14 days, 14 of 14 sessions, none relayed, \
         2026-11-01 to 2026-11-14.\n#expected = [\"10.7.0.5\"]\n",
        " Mail server \"oldname\": 14 sessions of no target: mail server seen in logs, not in the scan. \
         It may be 203.0.113.40; put the right one into match.\n\
         #[[asset]]\n#match = [\"203.0.113.40\"]\n#log_names = [\"oldname\"]\n",
    ] {
        assert!(joined.contains(expected), "{expected}\nis not in\n{draft}");
    }
    assert!(!draft.contains("10.7.0.6"), "three days of fourteen are not every day:\n{draft}");
    assert_eq!(draft, suggested(at, &["--threads", "1"]));
}

#[test]
fn a_draft_that_is_taken_over_is_a_policy_that_changes_the_tickets() {
    let folder = folder();
    let at = folder.path();
    let draft = suggested(at, &[]);
    let taken: Vec<&str> = draft
        .lines()
        .filter_map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')))
        .collect();
    let networks = "[networks]\ninternal = [\"10.0.0.0/8\"]\n";
    fs::write(at.join("p.toml"), format!("{networks}{}\n", taken.join("\n"))).unwrap();
    let output = helotriage(at, &["policy", "check", "p.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let arguments = ["run", "--quiet", "--scan", "s.nessus", "--mail", "mail.log", "--out", "out"];
    let more = ["--now", "2026-11-20T00:00:00Z", "--policy", "p.toml"];
    let output = helotriage(at, &[&arguments[..], &more].concat());
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let tickets = read_tickets(&at.join("out/tickets.csv"));
    let ids: Vec<&str> = tickets.keys().map(String::as_str).collect();
    assert!(!ids.contains(&"helo-203.0.113.25-25"), "the MX takes mail from anyone: {ids:?}");
    assert!(ids.contains(&"helo-203.0.113.30-25"), "a stranger is expected by nobody: {ids:?}");
    // The role is no longer a suggestion, and a draft writes nothing.
    let again = suggested(at, &["--policy", "p.toml"]);
    assert!(!again.contains("role ="), "{again}");
    assert!(!again.contains("oldname"), "{again}");
}

#[test]
fn suggesting_writes_nothing_into_a_state_and_knows_what_it_holds() {
    let folder = folder();
    let at = folder.path();
    let arguments = ["run", "--quiet", "--scan", "s.nessus", "--mail", "mail.log", "--out", "out"];
    let more = ["--now", "2026-11-20T00:00:00Z", "--state", "state.db"];
    let output = helotriage(at, &[&arguments[..], &more].concat());
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let before = fs::read(at.join("state.db")).unwrap();
    let whole = suggested(at, &[]);
    fs::write(at.join("mail.log"), "").unwrap();
    let remembered = suggested(at, &["--state", "state.db"]);
    assert_eq!(remembered.contains("#role = \"mx\"\n"), whole.contains("#role = \"mx\"\n"));
    assert!(remembered.contains("#expected = [\"10.7.0.5\"]\n"), "{remembered}");
    assert_eq!(fs::read(at.join("state.db")).unwrap(), before);
}
