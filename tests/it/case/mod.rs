//! A case of the program's job with known truth. In: a seed. Out: the files of a small company
//! (scan, firewall logs, mail logs, policy) and the rows that tickets.csv must have for them.
//!
//! Written from the design document alone. The truth is kept by bookkeeping while the events are
//! made; no log line is ever parsed here.

mod act;
mod build;
mod cisco_asa;
mod exchange;
mod files;
mod mailer;
mod nessus;
mod netfilter;
mod postfix;
pub(crate) mod rng;
mod stamp;
mod truth;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub(crate) use files::Files;
pub(crate) use truth::Row;

/// One case.
pub(crate) struct Case {
    /// Paths relative to the case's folder, and contents; `policy.toml` explains the others.
    pub(crate) files: Files,
    /// The reference time to run it with, RFC 3339.
    pub(crate) now: String,
    /// The expected tickets by id.
    pub(crate) expected: BTreeMap<String, Row>,
}

/// Makes the case of a seed.
pub(crate) fn generate(seed: u64) -> Case {
    let mut rng = rng::Rng::new(seed);
    let mut world = build::world(&mut rng);
    act::play(&mut world, &mut rng);
    let files = files::lay_out(&world, &mut rng);
    let now = stamp::Style::IsoZulu.text(world.end + 10 * stamp::HOUR);
    Case { files, now, expected: truth::expected_rows(&world) }
}

/// Writes a case's files below a folder.
pub(crate) fn write_files(folder: &Path, files: &Files) {
    for (path, content) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

#[test]
fn the_same_seed_makes_the_same_case() {
    let (one, two) = (generate(5), generate(5));
    assert_eq!(one.files, two.files);
    assert_eq!(one.expected, two.expected);
    assert_ne!(one.files, generate(6).files);
}

#[test]
fn the_cases_have_every_verdict_role_priority_and_rule() {
    let mut seen: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for row in (0..24).flat_map(|seed| generate(seed).expected.into_values()) {
        for (column, value) in row {
            seen.entry(column).or_default().insert(value);
        }
    }
    let expected: [(&str, &[&str]); 4] = [
        (
            "verdict",
            &["abused", "accepted", "blocked", "confirmed", "quiet", "reachable", "uncovered"],
        ),
        ("priority", &["P1", "P2", "P3", "P4"]),
        ("role", &["internal", "mx", "none", "relay", "submission"]),
        ("rule", &["R0", "R10", "R11", "R13", "R14", "R15", "R3", "R6", "R7"]),
    ];
    for (column, values) in expected {
        assert!(seen[column].iter().eq(values), "{column}: {:?}", seen[column]);
    }
}

#[test]
fn a_case_is_laid_out_as_files() {
    let case = generate(1);
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path(), &case.files);
    for path in ["policy.toml", "scan/mail.nessus", "mail/forgotten.log"] {
        assert!(folder.path().join(path).is_file(), "{path}");
    }
    assert!(chrono::DateTime::parse_from_rfc3339(&case.now).is_ok());
    let policy = folder.path().join("policy.toml");
    let policy =
        helotriage::policy::read_policy(&policy, helotriage::policy::Known::default()).unwrap();
    assert_eq!(policy.verdicts.len(), 2);
}
