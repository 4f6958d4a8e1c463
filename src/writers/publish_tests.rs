//! Every step of publishing fails once and dies once: the folder must hold the old set or the new
//! one, whole, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

type Set = BTreeMap<String, String>;

/// The old set has rejects and closed tickets of a profile, the new one a report and changed ones.
fn old_set() -> Set {
    set(
        &["tickets.csv", "sources.csv", "rejects.jsonl", "tickets-new.csv", "tickets-closed.csv"],
        "old",
    )
}

fn new_set() -> Set {
    set(
        &["tickets.csv", "sources.csv", "report.html", "tickets-new.csv", "tickets-changed.csv"],
        "new",
    )
}

/// Files that say who they are, and a manifest that names them.
fn set(names: &[&str], word: &str) -> Set {
    let mut set: Set =
        names.iter().map(|name| ((*name).to_owned(), format!("{word} {name}"))).collect();
    let outputs: BTreeMap<_, _> = names.iter().map(|name| (name, word)).collect();
    let manifest = serde_json::json!({"program": "helotriage", "outputs": outputs});
    set.insert(MANIFEST.to_owned(), manifest.to_string());
    set
}

/// What a user sees in the folder, private leftovers included, the lock file not.
fn seen(folder: &Path) -> Set {
    let mut files = Set::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name != ".helotriage.lock" {
            files.insert(name, fs::read_to_string(entry.path()).unwrap_or_default());
        }
    }
    files
}

fn publish(folder: &Path, files: &Set, before: &mut Hook<'_>) -> Result<Vec<Written>> {
    let out = OutDir::open(folder)?;
    let mut staging = out.stage()?;
    for (name, text) in files {
        staging.write(name, |to| to.write_all(text.as_bytes()))?;
    }
    staging.publish(before)
}

fn prepared(old: &Set) -> (tempfile::TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("out");
    if !old.is_empty() {
        publish(&folder, old, &mut |_| Ok(())).unwrap();
    }
    (temp, folder)
}

/// The steps of a run that nothing disturbs, as texts.
fn steps(old: &Set) -> Vec<String> {
    let (_temp, folder) = prepared(old);
    let mut steps = Vec::new();
    publish(&folder, &new_set(), &mut |step| {
        steps.push(format!("{step:?}"));
        Ok(())
    })
    .unwrap();
    steps
}

#[test]
fn a_set_replaces_the_previous_one_whole_and_private() {
    let (_temp, folder) = prepared(&old_set());
    let written = publish(&folder, &new_set(), &mut |_| Ok(())).unwrap();
    assert_eq!(seen(&folder), new_set());
    for name in new_set().keys() {
        let mode = fs::metadata(folder.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(written.len(), 6);
    let tickets = written.iter().find(|file| file.name == "tickets.csv").unwrap();
    assert_eq!(tickets.bytes, 15);
    assert_eq!(tickets.sha256, hex(&Sha256::digest("new tickets.csv")));
    let steps = steps(&old_set());
    let at = |step: Step| steps.iter().position(|other| *other == format!("{step:?}")).unwrap();
    assert!(at(Step::Remove("tickets-closed.csv")) < at(Step::Replace(MANIFEST)));
    assert_eq!((at(Step::Replace(MANIFEST)), at(Step::Commit)), (steps.len() - 3, steps.len() - 1));
}

#[test]
fn an_error_at_any_step_leaves_the_previous_set() {
    for old in [old_set(), Set::new()] {
        for failing in steps(&old) {
            let (_temp, folder) = prepared(&old);
            let error = publish(&folder, &new_set(), &mut |step| {
                if format!("{step:?}") == failing {
                    Err(io::Error::other("disk on fire"))
                } else {
                    Ok(())
                }
            })
            .unwrap_err();
            assert!(error.to_string().ends_with("cannot be written: disk on fire"), "{error}");
            assert_eq!(error.exit_code(), 5);
            assert_eq!(seen(&folder), old, "failed at {failing}");
            publish(&folder, &new_set(), &mut |_| Ok(())).unwrap();
            assert_eq!(seen(&folder), new_set());
        }
    }
}

#[test]
fn a_run_killed_at_any_step_is_put_right_by_the_next() {
    for old in [old_set(), Set::new()] {
        for dying in steps(&old) {
            let (temp, folder) = prepared(&old);
            let dead = temp.path().join("dead");
            publish(&folder, &new_set(), &mut |step| {
                if format!("{step:?}") == dying {
                    copy_tree(&folder, &dead);
                }
                Ok(())
            })
            .unwrap();
            drop(OutDir::open(&dead).unwrap());
            let expected =
                if ["Sync", "Commit"].contains(&&*dying) { new_set() } else { old.clone() };
            assert_eq!(seen(&dead), expected, "killed before {dying}");
        }
    }
}

#[test]
fn an_undoing_that_is_killed_is_carried_on() {
    let (temp, folder) = prepared(&old_set());
    let dead = temp.path().join("dead");
    publish(&folder, &new_set(), &mut |step| {
        if step == Step::Commit {
            copy_tree(&folder, &dead);
        }
        Ok(())
    })
    .unwrap();
    // All is renamed, flushing failed, undoing had just begun.
    fs::rename(dead.join(JOURNAL), dead.join(UNDO)).unwrap();
    drop(OutDir::open(&dead).unwrap());
    assert_eq!(seen(&dead), old_set());
}

#[test]
fn nothing_is_left_of_a_set_that_is_given_up() {
    let (_temp, folder) = prepared(&old_set());
    let out = OutDir::open(&folder).unwrap();
    let mut staging = out.stage().unwrap();
    staging.write("tickets.csv", |to| to.write_all(b"new")).unwrap();
    drop(staging);
    assert_eq!(seen(&folder), old_set());
}

#[test]
fn an_error_while_writing_names_the_file() {
    let (_temp, folder) = prepared(&old_set());
    let out = OutDir::open(&folder).unwrap();
    let mut staging = out.stage().unwrap();
    let error = staging
        .write("tickets.csv", |_| Err(io::Error::from(io::ErrorKind::StorageFull)))
        .unwrap_err();
    assert!(error.to_string().contains("out/tickets.csv: cannot be written: "), "{error}");
}

#[test]
fn a_folder_in_the_place_of_an_output_is_an_error_and_stays() {
    let (_temp, folder) = prepared(&Set::new());
    fs::create_dir_all(folder.join("sources.csv/mine")).unwrap();
    let error = publish(&folder, &new_set(), &mut |_| Ok(())).unwrap_err();
    assert_eq!(error.exit_code(), 5);
    assert_eq!(seen(&folder).keys().collect::<Vec<_>>(), ["sources.csv"]);
}

#[test]
fn files_that_the_previous_run_did_not_write_stay() {
    let (_temp, folder) = prepared(&old_set());
    fs::write(folder.join("tickets-changed.csv"), "a user's").unwrap();
    fs::write(folder.join("notes.csv"), "a user's").unwrap();
    let bare = set(&["tickets.csv"], "new");
    publish(&folder, &bare, &mut |_| Ok(())).unwrap();
    let mut expected = bare;
    for name in ["tickets-changed.csv", "notes.csv"] {
        expected.insert(name.to_owned(), "a user's".to_owned());
    }
    assert_eq!(seen(&folder), expected);
}

#[test]
fn a_manifest_of_others_names_nothing_to_remove() {
    let named = r#"{"../x": {}, "notes.csv": {}, "tickets-new.csv": {}}"#;
    for (program, removed) in [("other", false), ("helotriage", true)] {
        let (_temp, folder) = prepared(&old_set());
        fs::write(folder.join("notes.csv"), "a user's").unwrap();
        let manifest = format!("{{\"program\": \"{program}\", \"outputs\": {named}}}");
        fs::write(folder.join(MANIFEST), manifest).unwrap();
        publish(&folder, &set(&["tickets.csv"], "new"), &mut |_| Ok(())).unwrap();
        assert!(folder.join("notes.csv").exists() && folder.join("tickets-closed.csv").exists());
        assert_eq!(folder.join("tickets-new.csv").exists(), !removed, "{program}");
    }
}

#[test]
fn a_journal_of_another_version_is_refused() {
    let (_temp, folder) = prepared(&old_set());
    fs::write(folder.join(JOURNAL), r#"{"new":["../etc/passwd"],"old":[]}"#).unwrap();
    let error = OutDir::open(&folder).unwrap_err();
    assert!(error.message.contains("names a file that this version does not write"), "{error}");
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
