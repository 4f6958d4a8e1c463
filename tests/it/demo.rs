//! The demo that the README shows: its outputs are, byte for byte, those in samples/demo/expected.
//! After a wanted change: `HELOTRIAGE_BLESS=1 cargo test --test it demo`, and read the difference.

use std::path::Path;

use crate::program::{helotriage, told};

/// The outputs that are compared.
const OUTPUTS: [&str; 2] = ["tickets.csv", "sources.csv"];

/// The morning after the demo's logs end.
const NOW: &str = "2026-11-16T06:00:00Z";

/// What the account on standard error tells a newcomer.
const ACCOUNT: [&str; 8] = [
    "  1 scan: 14.4 kB, 29 items = 28 events + 1 ignored + 0 rejected + 0 duplicates\n",
    "  3 firewall logs (cisco_asa, netfilter): ",
    "  7 mail logs (exchange, postfix): ",
    "11 targets: 3 abused, 2 confirmed, 1 accepted, 1 reachable, 1 blocked, 2 quiet, 1 uncovered\n",
    "  P1 92 helo-203.0.113.26-25 (mx2.example.com): abused, 1 unexpected source, 1 external, ",
    "note: no log covers: helo-203.0.113.62-25\n",
    "the scanner's own connection is missing in a log that shows it elsewhere",
    "Why, with the log lines: helotriage explain helo-203.0.113.26-25 --out ",
];

#[test]
fn the_demo_gives_what_its_readme_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("out");
    let config = "samples/demo/triage.toml";
    let arguments = ["run", "--config", config, "--now", NOW, "--out", out.to_str().unwrap()];
    let output = helotriage(root, &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let account = String::from_utf8_lossy(&output.stderr);
    for line in ACCOUNT {
        assert!(account.contains(line), "{line:?} is not in the account:\n{account}");
    }
    let expected = root.join("samples/demo/expected");
    for name in OUTPUTS {
        let got = std::fs::read(out.join(name)).unwrap();
        if std::env::var_os("HELOTRIAGE_BLESS").is_some() {
            std::fs::write(expected.join(name), &got).unwrap();
        }
        let wanted = std::fs::read(expected.join(name)).unwrap();
        let (got, wanted) = (String::from_utf8_lossy(&got), String::from_utf8_lossy(&wanted));
        for (line, (g, w)) in got.lines().zip(wanted.lines()).enumerate() {
            assert_eq!(g, w, "{name} line {}", line + 1);
        }
        assert!(got == wanted, "{name} has another length");
    }
}
