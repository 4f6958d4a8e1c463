//! What a run refuses, and what it must not conclude. In: small inputs that are wrong in one way.
//! Out: the exit code, the words on standard error, and a previous set of outputs that still stands.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::program::{helotriage, read_tickets, told};

const SCAN: &str = r#"<NessusClientData_v2><Report name="r"><ReportHost name="mx1"><HostProperties>
<tag name="host-ip">203.0.113.25</tag><tag name="HOST_END_TIMESTAMP">1793844000</tag>
</HostProperties><ReportItem port="25" svc_name="smtp" protocol="tcp" severity="0" pluginID="10263"
pluginName="SMTP Server Detection" pluginFamily="Service detection"></ReportItem></ReportHost></Report>
</NessusClientData_v2>"#;

/// A scan policy: an export without a host.
const POLICY_ONLY: &str = "<NessusClientData_v2><Policy/></NessusClientData_v2>";

const MAIL: &str = "\
2026-11-06T10:00:00Z mx1 postfix/smtpd[1]: connect from probe.example[198.51.100.7]
2026-11-06T10:00:01Z mx1 postfix/smtpd[1]: disconnect from probe.example[198.51.100.7] ehlo=1 quit=1 commands=2
";

fn inputs() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("s.nessus", SCAN), ("p.nessus", POLICY_ONLY), ("mail.log", MAIL)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// Exit code and standard error of `run` with these arguments and `--out out`.
fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let all = [&["run", "--quiet", "--out", "out"], arguments].concat();
    let output = helotriage(folder, &all);
    (output.status.code(), told(&output))
}

#[test]
fn a_run_without_a_usable_scan_says_why_and_leaves_the_outputs() {
    let folder = inputs();
    let at = folder.path();
    assert_eq!(run(at, &["--scan", "s.nessus", "--mail", "mail.log"]).0, Some(0));
    let before = fs::read(at.join("out/run.json")).unwrap();
    let cases: [(&[&str], &str); 3] = [
        (&["--scan", "none.nessus"], "none.nessus: no longer exists, or never did"),
        (&["--scan", "no*.nessus"], "no*.nessus: no file matches"),
        (&["--scan", "p.nessus"], "p.nessus: holds no scanned host"),
    ];
    for (arguments, why) in cases {
        let (code, told) = run(at, arguments);
        assert_eq!(code, Some(4), "{told}");
        assert!(told.contains(why), "{told}");
        assert_eq!(fs::read(at.join("out/run.json")).unwrap(), before);
    }
    let (code, told) = run(at, &["--scan", "s.nessus", "--scan", "p.nessus"]);
    assert_eq!((code, told.as_str()), (Some(0), "note: p.nessus: holds no scanned host\n"));
}

#[test]
fn contradicting_arguments_are_usage_errors() {
    let folder = inputs();
    let cases: [(&[&str], &str); 2] = [
        (&["--scan", "-", "--mail", "-"], "standard input is given as a scan and as a log"),
        (
            &[
                "--scan",
                "s.nessus",
                "--since",
                "2026-11-07T00:00:00Z",
                "--until",
                "2026-11-06T00:00:00Z",
            ],
            "--since 2026-11-07T00:00:00Z is after --until 2026-11-06T00:00:00Z",
        ),
    ];
    for (arguments, why) in cases {
        let (code, told) = run(folder.path(), arguments);
        assert_eq!(code, Some(2), "{told}");
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn a_log_that_ends_before_the_window_covers_nothing() {
    let folder = inputs();
    let verdict = |since: &str| {
        let arguments = ["--scan", "s.nessus", "--mail", "mail.log", "--since", since];
        let (code, told) = run(folder.path(), &arguments);
        assert_eq!(code, Some(0), "{told}");
        let tickets = read_tickets(&folder.path().join("out/tickets.csv"));
        tickets.get("helo-203.0.113.25-25").map(|ticket| ticket["verdict"].clone())
    };
    assert_eq!(verdict("2026-11-06T00:00:00Z").as_deref(), Some("accepted"));
    assert_eq!(verdict("2026-11-07T00:00:00Z").as_deref(), Some("uncovered"));
}

#[test]
fn days_before_the_policys_window_are_not_covered() {
    let folder = inputs();
    let at = folder.path();
    fs::write(at.join("policy.toml"), "[correlation]\nwindow = \"5d\"\n").unwrap();
    fs::write(at.join("other.log"), MAIL.replace("mx1", "mx2").replace("11-06", "11-20")).unwrap();
    let arguments = ["--policy", "policy.toml", "--scan", "s.nessus", "--mail", "mail.log"];
    let verdict = |more: &[&str]| {
        let (code, told) = run(at, &[&arguments, more].concat());
        assert_eq!(code, Some(0), "{told}");
        let tickets = read_tickets(&at.join("out/tickets.csv"));
        tickets.get("helo-203.0.113.25-25").map(|ticket| ticket["verdict"].clone())
    };
    assert_eq!(verdict(&[]).as_deref(), Some("accepted"));
    assert_eq!(verdict(&["--mail", "other.log"]).as_deref(), Some("uncovered"));
}

#[test]
fn what_any_line_lacks_is_no_guess() {
    let folder = inputs();
    for text in ["1\n2\n3\n", "{\"a\":1}\n", "import sys\n"] {
        fs::write(folder.path().join("odd.log"), text).unwrap();
        let (code, told) = run(folder.path(), &["--scan", "s.nessus", "--mail", "odd.log"]);
        assert_eq!(code, Some(3), "{told}");
        assert!(told.contains("odd.log: no known log format (none is near)"), "{told}");
    }
}

#[test]
fn credentials_that_a_client_sent_too_early_are_not_shown() {
    let folder = inputs();
    let early = "2026-11-06T10:00:00Z mx1 postfix/smtpd[1]: improper command pipelining after AUTH \
                 from probe.example[198.51.100.7]: AGJvYgBodW50ZXIy\\r\\n";
    fs::write(folder.path().join("mail.log"), MAIL.replacen('\n', &format!("\n{early}\n"), 1))
        .unwrap();
    assert_eq!(run(folder.path(), &["--scan", "s.nessus", "--mail", "mail.log"]).0, Some(0));
    let shown = helotriage(folder.path(), &["explain", "helo-203.0.113.25-25", "--out", "out"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("[198.51.100.7]: [redacted]"), "{shown}");
    assert!(!shown.contains("AGJvYg"), "{shown}");
}
