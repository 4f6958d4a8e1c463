//! The state file: what is refused and left alone, what a stopped run leaves.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;

use super::*;
use crate::error::Kind;
use crate::model::time::Timestamp;
use crate::writers::outdir::OutDir;
use crate::writers::publish::Staging;

fn count_runs(path: &Path) -> i64 {
    let connection = Connection::open(path).unwrap();
    connection.query_row("SELECT count(*) FROM run", [], |row| row.get(0)).unwrap()
}

fn add_run(changes: &Changes<'_>) {
    let sql = "INSERT INTO run (at, version, out) VALUES (0, '1', x'2f')";
    changes.transaction.execute(sql, []).unwrap();
}

#[test]
fn a_new_state_is_private_and_one_file() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("state.db");
    let mut state = State::open(&path).unwrap();
    let changes = state.begin().unwrap();
    add_run(&changes);
    changes.commit().unwrap();
    drop(state);
    let mut names: Vec<_> =
        fs::read_dir(temp.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["state.db", "state.db.lock"]);
    for name in names {
        let mode = fs::metadata(temp.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(count_runs(&path), 1);
    assert!(State::open(&path).is_ok());
}

#[test]
fn a_second_run_is_refused_at_once() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("state.db");
    let first = State::open(&path).unwrap();
    let error = State::open(&path).unwrap_err();
    assert_eq!((error.kind, error.exit_code()), (Kind::Locked, 6));
    assert_eq!(error.message, "another run works with this state; nothing was done");
    drop(first);
    assert!(State::open(&path).is_ok());
}

#[test]
fn changes_that_are_not_committed_are_none() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("state.db");
    let mut state = State::open(&path).unwrap();
    add_run(&state.begin().unwrap());
    drop(state);
    assert_eq!(count_runs(&path), 0);
}

#[test]
fn a_state_that_another_program_changes_meanwhile_is_not_written() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("state.db");
    let mut state = State::open(&path).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute("INSERT INTO run (at, version, out) VALUES (0, '1', x'2f')", []).unwrap();
    let error = state.begin().unwrap_err();
    assert!(error.message.contains("changed the state while the run worked"), "{error}");
    assert_eq!(error.kind, Kind::Locked);
}

#[test]
fn what_is_no_state_is_refused_and_not_touched() {
    type Make = fn(&Path);
    let cases: [(&str, Make, Kind, &str); 7] = [
        ("text", |p| fs::write(p, "notes\n".repeat(40)).unwrap(), Kind::Usage, "is no state of"),
        ("short", |p| fs::write(p, "SQLite format 3\0").unwrap(), Kind::Usage, "is no state of"),
        ("empty", |p| fs::write(p, "").unwrap(), Kind::Usage, "is empty"),
        ("folder", |p| fs::create_dir(p).unwrap(), Kind::Usage, "is no plain file"),
        (
            "foreign",
            |p| Connection::open(p).unwrap().execute_batch("CREATE TABLE t (a)").unwrap(),
            Kind::Usage,
            "is no state of",
        ),
        ("newer", |p| set_version(p, 2), Kind::Usage, "version 2, and was not touched"),
        ("damaged", damage, Kind::Output, "is damaged and was not touched"),
    ];
    for (name, make, kind, told) in cases {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("state.db");
        make(&path);
        let before = fs::read(&path).ok();
        let error = State::open(&path).unwrap_err();
        assert_eq!(error.kind, kind, "{name}: {error}");
        assert!(error.to_string().contains(told), "{name}: {error}");
        assert_eq!(fs::read(&path).ok(), before, "{name}");
    }
}

fn set_version(path: &Path, version: u32) {
    drop(State::open(path).unwrap());
    Connection::open(path).unwrap().pragma_update(None, "user_version", version).unwrap();
}

/// Overwrites the second page and all that follow.
fn damage(path: &Path) {
    drop(State::open(path).unwrap());
    let mut bytes = fs::read(path).unwrap();
    bytes[4096..].fill(0x5a);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_symbolic_link_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let (path, link) = (temp.path().join("state.db"), temp.path().join("link.db"));
    drop(State::open(&path).unwrap());
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let error = State::open(&link).unwrap_err();
    assert!(error.message.contains("is no plain file"), "{error}");
}

#[test]
fn a_draft_of_a_stopped_run_is_replaced() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("state.db");
    fs::write(temp.path().join("state.db.new"), "half").unwrap();
    drop(State::open(&path).unwrap());
    assert!(!temp.path().join("state.db.new").exists());
}

/// The set of a run, staged in a folder beside the state.
fn stage(out: &OutDir) -> Staging<'_> {
    let mut staging = out.stage().unwrap();
    // Longer than one part, and not to be packed well.
    let long: Vec<u8> =
        (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    staging.write("tickets.csv", |to| to.write_all(&long)).unwrap();
    staging.write("sources.csv", |_| Ok(())).unwrap();
    staging.write("run.json", |to| to.write_all(b"{}\n")).unwrap();
    staging
}

#[test]
fn kept_outputs_are_given_back_to_the_byte_and_then_dropped() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("out");
    let mut state = State::open(&temp.path().join("state.db")).unwrap();
    let out = OutDir::open(&folder).unwrap();
    let staging = stage(&out);
    let changes = state.begin().unwrap();
    let run = changes.add_run(Timestamp(1), staging.path()).unwrap();
    changes.keep_outputs(run, &staging).unwrap();
    changes.commit().unwrap();
    let expected = staging.written().to_vec();
    drop(staging);
    assert_eq!(state.undelivered().unwrap(), [Undelivered { run, out: folder }]);
    let mut again = out.stage().unwrap();
    state.stage(run, &mut again).unwrap();
    assert_eq!(again.written(), expected);
    state.mark_delivered(run, Delivery::ByItself).unwrap();
    assert_eq!(state.undelivered().unwrap(), []);
    let left = "SELECT (SELECT count(*) FROM output) + (SELECT count(*) FROM output_part)";
    let left: i64 = state.connection.query_row(left, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}
