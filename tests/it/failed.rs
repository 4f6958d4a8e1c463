//! Runs with a state that fail or die in the middle of a ticket's life: nothing of a failed run changes
//! the state, and what a stopped run would have told is told by the next.

use std::fs;
use std::io;
use std::path::Path;

use helotriage::state::View;
use proptest::prelude::*;

use crate::life::{GONE, ID, OPEN, connection, scan};
use crate::program::read_tickets;
use crate::stopped::{attempt, die, outputs};

/// Puts the export and the log of a night into the folder.
fn prepare(folder: &Path, day: u32, hosts: &[(&'static str, &[u16])], words: &[&str]) {
    for name in ["scan", "firewall", "mail"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    scan(day, hosts).write(&folder.join("scan/weekly.nessus"));
    let log: String = (1u32..).zip(words).map(|(day, word)| connection(day, word)).collect();
    fs::write(folder.join("firewall/fw.log"), log).unwrap();
}

fn whole_run(folder: &Path) {
    attempt(folder, &mut |_| Ok(())).unwrap();
}

/// Every row of the state; empty where there is none.
fn rows(folder: &Path) -> String {
    let path = folder.join("state.db");
    let mut rows = Vec::new();
    if path.exists() {
        View::open(&path).unwrap().export(&mut rows).unwrap().unwrap();
    }
    String::from_utf8(rows).unwrap()
}

fn status(folder: &Path) -> Option<String> {
    let tickets = read_tickets(&folder.join("out/tickets.csv"));
    tickets.get(ID).map(|ticket| ticket["status"].clone())
}

#[test]
fn what_a_stopped_run_resolved_is_told_as_resolved_by_the_next() {
    for step in ["Swap", "Replace(\"tickets.csv\")", "Commit", "Mark"] {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path();
        prepare(folder, 3, OPEN, &["ALLOW"]);
        whole_run(folder);
        prepare(folder, 4, GONE, &["ALLOW", "BLOCK"]);
        die(folder, step);
        whole_run(folder);
        assert_eq!(status(folder).as_deref(), Some("resolved"), "{step}");
        assert!(outputs(folder).contains_key("tickets-closed.csv"), "{step}");
        whole_run(folder);
        assert_eq!(status(folder), None, "{step}");
    }
}

#[test]
fn a_run_that_dies_before_it_is_committed_resolves_nothing() {
    for step in ["Write(\"tickets.csv\")", "Record"] {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path();
        prepare(folder, 3, OPEN, &["ALLOW"]);
        whole_run(folder);
        let before = (rows(folder), outputs(folder));
        prepare(folder, 4, GONE, &["ALLOW"]);
        die(folder, step);
        assert_eq!((rows(folder), outputs(folder)), before, "{step}");
        prepare(folder, 5, OPEN, &["ALLOW"]);
        whole_run(folder);
        assert_eq!(status(folder).as_deref(), Some("open"), "{step}");
    }
}

/// What makes a run fail.
#[derive(Debug, Clone, Copy)]
enum Failure {
    /// The n-th step says stop.
    Step(usize),
    /// The export ends in the middle.
    Scan,
    /// Nobody can write into the output folder.
    Out,
}

fn failure() -> impl Strategy<Value = Failure> {
    prop_oneof![
        4 => (0usize..6).prop_map(Failure::Step),
        1 => Just(Failure::Scan),
        1 => Just(Failure::Out),
    ]
}

/// Makes a run fail; whether it had committed before.
fn fail(folder: &Path, failure: Failure) -> bool {
    let mut committed = false;
    match failure {
        Failure::Step(at) => {
            let mut number = 0;
            let stopped = attempt(folder, &mut |step| {
                committed |= step == "Swap";
                number += 1;
                if number > at { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
            });
            stopped.unwrap_err();
        }
        Failure::Scan => {
            fs::write(folder.join("scan/weekly.nessus"), "<NessusClientData_v2><Report>").unwrap();
            assert_eq!(attempt(folder, &mut |_| Ok(())).unwrap_err().exit_code(), 4);
        }
        Failure::Out => {
            let (out, aside) = (folder.join("out"), folder.join("aside"));
            fs::rename(&out, &aside).unwrap();
            fs::write(&out, "a file").unwrap();
            assert_eq!(attempt(folder, &mut |_| Ok(())).unwrap_err().exit_code(), 5);
            fs::remove_file(&out).unwrap();
            fs::rename(&aside, &out).unwrap();
        }
    }
    committed
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_of_a_failed_run_changes_the_state(
        nights in prop::collection::vec((any::<bool>(), any::<bool>()), 1..4),
        (is_gone, is_reached) in (any::<bool>(), any::<bool>()),
        failure in failure(),
    ) {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path();
        let hosts = |is_gone| if is_gone { GONE } else { OPEN };
        let word = |is_reached| if is_reached { "ALLOW" } else { "BLOCK" };
        let (mut day, mut words) = (2, vec!["ALLOW"]);
        for (is_gone, is_reached) in nights {
            (day, words) = (day + 1, [words, vec![word(is_reached)]].concat());
            prepare(folder, day, hosts(is_gone), &words);
            whole_run(folder);
        }
        let before = (rows(folder), outputs(folder));
        prepare(folder, day + 1, hosts(is_gone), &[words, vec![word(is_reached)]].concat());
        if !fail(folder, failure) {
            prop_assert_eq!((rows(folder), outputs(folder)), before);
        }
    }
}
