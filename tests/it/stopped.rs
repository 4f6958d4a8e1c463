//! A run with a state file that dies at each step of committing and publishing, and the run after
//! it: the outputs end as if nothing had happened. The dying run is this test binary started again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use helotriage::error::Kind;
use helotriage::model::policy::Policy;
use helotriage::model::time::Timestamp;
use helotriage::pipeline::{self, Job, Published, Window};
use helotriage::scan::read::ScanOptions;
use helotriage::state::State;
use helotriage::tickets::Templates;
use helotriage::writers::escape::CsvSafe;
use helotriage::writers::profiles::Chosen;
use helotriage::writers::publish::Step;

/// Says where the started binary works, and at which step it dies: one of writing, or these two.
const FOLDER: &str = "HELOTRIAGE_TEST_FOLDER";
const DIES_AT: &str = "HELOTRIAGE_TEST_DIES_AT";
/// In the middle of the inputs.
const READING: &str = "Reading";
/// After all.
const DONE: &str = "Done";

/// Does the demo's job in a folder, or that of the folder's own scan and logs; `before` sees every
/// step's name.
fn run(folder: &Path, before: &mut dyn FnMut(&str)) -> helotriage::error::Result<Published> {
    attempt(folder, &mut |step| {
        before(step);
        Ok(())
    })
}

/// The same; `before` may stop it.
pub(crate) fn attempt(
    folder: &Path,
    before: &mut dyn FnMut(&str) -> io::Result<()>,
) -> helotriage::error::Result<Published> {
    patiently(|| attempt_at_once(folder, before))
}

/// Does something again while a lock is held. Another test that starts a program holds the locks of
/// all tests for a moment, between fork and exec.
fn patiently<T>(
    mut what: impl FnMut() -> helotriage::error::Result<T>,
) -> helotriage::error::Result<T> {
    for _ in 0..200 {
        match what() {
            Err(error) if error.kind == Kind::Locked => thread::sleep(Duration::from_millis(10)),
            done => return done,
        }
    }
    what()
}

fn attempt_at_once(
    folder: &Path,
    before: &mut dyn FnMut(&str) -> io::Result<()>,
) -> helotriage::error::Result<Published> {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/demo");
    let from = if folder.join("scan").exists() { folder } else { &demo };
    let inside = |name: &str| vec![from.join(name).to_string_lossy().into_owned()];
    let now = Timestamp::parse_rfc3339("2027-01-01T00:00:00Z").unwrap();
    let job = Job {
        policy: Policy::default(),
        scan: inside("scan"),
        firewall: inside("firewall"),
        mail: inside("mail"),
        out: folder.join("out"),
        templates: Templates::built_in().unwrap(),
        profiles: Chosen::named(&["csv".to_owned()]),
        csv_safe: CsvSafe::default(),
        state: Some(folder.join("state.db")),
        now: Some(now),
        clock: now,
        window: Window::default(),
        scan_options: ScanOptions::default(),
        max_reject: 20,
        arguments: BTreeMap::new(),
    };
    let mut before = |step: Step<'_>| before(&format!("{step:?}"));
    pipeline::run(&job, &|_| die_if(READING), &mut before)
}

/// Dies where the started binary is to die at that step; the test binary itself never is.
fn die_if(step: &str) {
    if std::env::var(DIES_AT).is_ok_and(|at| at == step) {
        std::process::abort();
    }
}

/// Not a test of its own: what the started binary does.
#[test]
fn dying_run() {
    let (Ok(folder), Ok(dies_at)) = (std::env::var(FOLDER), std::env::var(DIES_AT)) else { return };
    let done = run(&PathBuf::from(folder), &mut |step| {
        if step == dies_at {
            std::process::abort();
        }
    });
    done.unwrap();
    die_if(DONE);
}

pub(crate) fn die(folder: &Path, at: &str) {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "stopped::dying_run"])
        .env(FOLDER, folder)
        .env(DIES_AT, at)
        .output()
        .unwrap()
        .status;
    assert!(status.code().is_none(), "no run died at {at}: {status}");
}

pub(crate) fn outputs(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder.join("out")).map(|entries| {
        let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let visible = paths.filter(|path| !name(path).starts_with('.'));
        visible.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
    });
    files.unwrap_or_default()
}

/// The outputs, but for what the account tells of the lines that the run read.
fn but_for_the_lines(mut outputs: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let mut run: serde_json::Value = serde_json::from_slice(&outputs["run.json"]).unwrap();
    for input in run["inputs"].as_array_mut().unwrap() {
        input.as_object_mut().unwrap().retain(|key, _| !OF_LINES.contains(&&**key));
    }
    run["totals"].take();
    outputs.insert("run.json".to_owned(), serde_json::to_vec_pretty(&run).unwrap());
    outputs
}

/// What an input of which nothing is left to be read tells otherwise.
const OF_LINES: [&str; 9] =
    ["formats", "lines", "events", "ignored", "rejected", "duplicates", "bytes", "span", "servers"];

/// The names of the files that are not the same in both.
fn differing(one: &BTreeMap<String, Vec<u8>>, other: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let names: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

fn waiting(folder: &Path) -> usize {
    patiently(|| State::open(&folder.join("state.db"))?.undelivered()).unwrap().len()
}

/// Steps at which a run dies, and how many committed runs it leaves without outputs in place.
const DEATHS: [(&str, usize); 10] = [
    (READING, 0),
    ("Write(\"tickets.csv\")", 0),
    ("Record", 0),
    ("Swap", 1),
    ("Journal", 1),
    ("Replace(\"tickets.csv\")", 1),
    ("Replace(\"run.json\")", 1),
    ("Sync", 1),
    ("Commit", 1),
    ("Mark", 1),
];

#[test]
fn whatever_kills_a_run_the_next_one_puts_things_right() {
    let whole = tempfile::tempdir().unwrap();
    assert_eq!(run(whole.path(), &mut |_| ()).unwrap().remarks, [""; 0]);
    let expected = outputs(whole.path());
    assert!(expected.contains_key("tickets.csv") && expected.contains_key("run.json"));
    for (step, left) in DEATHS {
        let temp = tempfile::tempdir().unwrap();
        die(temp.path(), step);
        assert_eq!(waiting(temp.path()), left, "{step}");
        let mut delivered = BTreeMap::new();
        let next = run(temp.path(), &mut |step| {
            if step == "Delivered" {
                delivered = outputs(temp.path());
            }
        });
        let next = next.unwrap();
        assert_eq!(next.remarks.len(), left, "{step}: {:?}", next.remarks);
        let told = outputs(temp.path());
        if left == 0 {
            assert_eq!(differing(&told, &expected), [""; 0], "{step}");
        } else {
            // What was committed is read, and its outputs are delivered as they were to be.
            assert_eq!(differing(&delivered, &expected), [""; 0], "{step}");
            let (told, whole) = (but_for_the_lines(told), but_for_the_lines(expected.clone()));
            assert_eq!(differing(&told, &whole), [""; 0], "{step}");
        }
        assert_eq!(waiting(temp.path()), 0, "{step}");
    }
}

#[test]
fn a_run_that_dies_after_all_leaves_nothing_to_be_done() {
    let (dead, alive) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    die(dead.path(), DONE);
    run(alive.path(), &mut |_| ()).unwrap();
    assert_eq!(differing(&outputs(dead.path()), &outputs(alive.path())), [""; 0]);
    assert_eq!(waiting(dead.path()), 0);
    for folder in [dead.path(), alive.path()] {
        assert_eq!(run(folder, &mut |_| ()).unwrap().remarks, [""; 0]);
    }
    assert_eq!(differing(&outputs(dead.path()), &outputs(alive.path())), [""; 0]);
}

#[test]
fn a_run_that_dies_while_it_delivers_late_is_no_different() {
    let temp = tempfile::tempdir().unwrap();
    die(temp.path(), "Swap");
    for step in ["Swap", "Replace(\"tickets.csv\")", "Commit"] {
        die(temp.path(), step);
        assert_eq!(waiting(temp.path()), 1, "{step}");
    }
    let mut seen_before_reading = BTreeMap::new();
    let next = run(temp.path(), &mut |step| {
        if step == "Delivered" {
            seen_before_reading = outputs(temp.path());
        }
    });
    next.unwrap();
    let (late, told) = (but_for_the_lines(seen_before_reading), outputs(temp.path()));
    assert_eq!(differing(&late, &but_for_the_lines(told)), [""; 0]);
}

#[test]
fn a_second_run_exits_at_once() {
    let temp = tempfile::tempdir().unwrap();
    let first = State::open(&temp.path().join("state.db")).unwrap();
    let error = attempt_at_once(temp.path(), &mut |_| Ok(())).unwrap_err();
    assert_eq!(error.exit_code(), 6, "{error}");
    assert!(!temp.path().join("out").exists());
    drop(first);
    run(temp.path(), &mut |_| ()).unwrap();
}
