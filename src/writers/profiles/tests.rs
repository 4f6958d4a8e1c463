//! The profiles' files as their importers read them: one test a system, and names of every kind of
//! hostility through all of them.

use std::collections::BTreeMap;
use std::fs;

use crate::model::judged::JudgedTarget;
use crate::model::judged::Judgement;
use crate::model::policy::Policy;
use crate::tickets::fixtures::{inputs, policy, target, time};
use crate::tickets::{Author, Change, Setting, Standing, Status};
use crate::writers::outdir::OutDir;
use crate::writers::profiles::*;
use crate::writers::{Account, tickets_csv, write_outputs};

/// The files of a run by name.
type Set = BTreeMap<String, Vec<u8>>;

/// What a run over these targets writes, and what it tells. `standing` is asked for each.
fn publish(
    chosen: &Chosen,
    targets: Vec<JudgedTarget>,
    standing: &(dyn Fn(&JudgedTarget) -> Option<Standing> + Sync),
) -> (Set, Vec<String>) {
    let temp = tempfile::tempdir().unwrap();
    let out = OutDir::open(&temp.path().join("out")).unwrap();
    let judgement = Judgement { targets, ..Judgement::default() };
    let inputs = inputs("netfilter", "postfix");
    let policy: Policy = policy(&["10.20.0.0/16"]);
    let author = Author::new(Setting { policy: &policy, inputs: &inputs }).unwrap();
    let run = Run {
        judgement: &judgement,
        author: &author,
        standing,
        sources: &|target| Box::new(target.top_sources.iter().cloned()),
        inputs: &inputs,
        account: &Account::default(),
        profiles: chosen,
    };
    let notes = write_outputs(&out, &run, &mut |_| Ok(())).unwrap().notes;
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())
    };
    (fs::read_dir(out.path()).unwrap().map(read).collect(), notes)
}

fn chosen(name: &str) -> Chosen {
    let chosen = Chosen::named(&[name.to_owned()]);
    assert_eq!(chosen.profiles.len(), 1, "{name}");
    chosen
}

/// A target for each change, on ports 1 to 4, and one without a ticket.
fn one_of_each_change() -> Vec<JudgedTarget> {
    let on_port = |port| JudgedTarget { port, ..target() };
    (1..=5).map(on_port).collect()
}

fn by_port(target: &JudgedTarget) -> Option<Standing> {
    let (status, change) = match target.port {
        1 => (Status::New, Change::Raised),
        2 => (Status::Open, Change::Changed),
        3 => (Status::Resolved, Change::Closed),
        4 => (Status::Open, Change::Same),
        _ => return None,
    };
    Some(Standing { status, change, due_date: Some(time("2026-11-15T10:00:00Z")) })
}

/// A CSV file's header and rows; all of one length, or the reader fails.
fn table(csv: &[u8]) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = ::csv::Reader::from_reader(csv);
    let header = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let row = |record: ::csv::Result<::csv::StringRecord>| {
        record.unwrap().iter().map(str::to_owned).collect()
    };
    (header, reader.records().map(row).collect())
}

#[test]
fn file_names_are_told_apart() {
    let cases = [
        ("a-new-NNN.csv", "a-new-001.csv", true),
        ("a-new-NNN.csv", "a-new-1000.csv", true),
        ("a-new-NNN.csv", "a-new-01.csv", false),
        ("a-new-NNN.csv", "a-new-1x1.csv", false),
        ("a-new-NNN.csv", "a-new-.csv", false),
        ("a-new-NNN.csv", "a-new-001.csv.bak", false),
        ("a-new-NNN.csv", "x/a-new-001.csv", false),
        ("a.json", "a.json", true),
        ("a.json", "a.jsonl", false),
    ];
    for (pattern, file, expected) in cases {
        assert_eq!(matches(pattern, file), expected, "{pattern} {file}");
    }
    let files: Vec<_> = PROFILES.iter().flat_map(|profile| profile.files()).collect();
    for (index, file) in files.iter().enumerate() {
        assert!(owns(&numbered(file, 1)) && !files[..index].contains(file), "{file}");
    }
}

#[test]
fn without_profiles_the_set_is_what_it_was() {
    let (bare, notes) = publish(&Chosen::default(), one_of_each_change(), &by_port);
    let names: Vec<_> = bare.keys().map(String::as_str).collect();
    let lock = ".helotriage.lock";
    assert_eq!(names, [lock, "run.json", "sources.csv", "tickets.csv", "tickets.jsonl"]);
    assert_eq!(notes, [""; 0]);
    let all = Chosen { profiles: PROFILES.to_vec() };
    let (whole, _) = publish(&all, one_of_each_change(), &by_port);
    for name in ["sources.csv", "tickets.csv", "tickets.jsonl"] {
        assert_eq!(bare[name], whole[name], "{name}");
    }
    let manifest: serde_json::Value = serde_json::from_slice(&whole["run.json"]).unwrap();
    for name in whole.keys().filter(|name| !["run.json", lock].contains(&&***name)) {
        assert_eq!(manifest["outputs"][name]["bytes"], whole[name].len(), "{name}");
    }
}

#[test]
fn csv_is_tickets_csv_cut_by_change() {
    let (set, _) = publish(&chosen("csv"), one_of_each_change(), &by_port);
    let (_, all) = table(&set["tickets.csv"]);
    for (name, index) in
        [("tickets-new.csv", 0), ("tickets-changed.csv", 1), ("tickets-closed.csv", 2)]
    {
        let (header, rows) = table(&set[name]);
        assert_eq!(header, tickets_csv::COLUMNS);
        assert_eq!(rows, [all[index].clone()], "{name}");
    }
    let same = JudgedTarget { port: 4, ..target() };
    let (set, _) = publish(&chosen("csv"), vec![same], &by_port);
    assert_eq!(set.len(), 5, "no rows, no file: {:?}", set.keys());
}
