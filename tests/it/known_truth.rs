//! The whole program on cases with known truth: tickets.csv must have exactly the expected tickets,
//! each with the expected verdict, priority, rule and counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::case::{self, Case, Row};
use crate::program::{Ticket, helotriage, read_tickets, told};

/// How many cases are run.
const CASES: u64 = 24;

#[test]
fn tickets_are_as_the_books_say() {
    let mut differences = String::new();
    for seed in 0..CASES {
        let case = case::generate(seed);
        let (got, stderr) = run(&case);
        let found = compare(&case.expected, &got);
        if !found.is_empty() {
            let _ = write!(differences, "case {seed}\n{found}{stderr}\n");
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

/// Runs the program on a case.
fn run(case: &Case) -> (BTreeMap<String, Ticket>, String) {
    let folder = tempfile::tempdir().unwrap();
    case::write_files(folder.path(), &case.files);
    let arguments = ["run", "--config", "policy.toml", "--now", &case.now, "--out", "out"];
    let output = helotriage(folder.path(), &arguments);
    let stderr = told(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    (read_tickets(&folder.path().join("out/tickets.csv")), stderr)
}

/// A line for every ticket that is missing, too many, or has another value in a compared column.
fn compare(expected: &BTreeMap<String, Row>, got: &BTreeMap<String, Ticket>) -> String {
    let mut text = String::new();
    for id in expected.keys().chain(got.keys()).collect::<BTreeSet<_>>() {
        match (expected.get(id), got.get(id)) {
            (Some(row), None) => {
                let _ = writeln!(text, "  {id}: missing; expected {row:?}");
            }
            (None, Some(ticket)) => {
                let _ = writeln!(
                    text,
                    "  {id}: not expected; {} by {}",
                    ticket["verdict"], ticket["reasons"]
                );
            }
            (Some(row), Some(ticket)) => {
                for (column, value) in row.iter().filter(|(c, v)| ticket[**c] != **v) {
                    let got = &ticket[*column];
                    let _ = writeln!(text, "  {id}: {column} is {got}; expected {value}");
                }
            }
            (None, None) => {}
        }
    }
    text
}
