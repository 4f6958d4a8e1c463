//! Thirty nightly runs with a state, the logs growing and rotating in between, and one run over
//! everything: the same tickets, sources and citations.
//!
//! The logs are those of the cases with known truth, whose rows `known_truth` checks. Each night
//! they grow by a part that may end anywhere, in the middle of a session or of a line; on some nights they are rotated, by renaming
//! or by copying, older ones are compressed, and the run follows after more lines.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::case::rng::Rng;
use crate::case::{self, Case};
use crate::program::{Ticket, helotriage, read_tickets, told};

const NIGHTS: usize = 30;

/// A log as it would be if nobody ever rotated it.
struct Log {
    path: String,
    /// Lines at its start that every file of it begins with.
    head: String,
    text: String,
}

#[test]
fn thirty_nights_and_one_run_give_the_same_tickets() {
    compare_nights(&[0, 3, 5, 22], Seconds::LeftOut);
}

/// Which of two logs is cited depends on which told of a session first.
#[test]
fn a_second_log_of_the_same_lines_tells_nothing_again_on_any_night() {
    compare_nights(&[0, 1], Seconds::Kept);
}

/// What becomes of second logs that hold the lines of a first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seconds {
    LeftOut,
    Kept,
}

fn compare_nights(seeds: &[u64], seconds: Seconds) {
    for &seed in seeds {
        let case = case::generate(seed);
        let folder = tempfile::tempdir().unwrap();
        let logs = logs_of(&case, seconds);
        case::write_files(folder.path(), &case.files);
        for (path, _) in case.files.iter().filter(|(path, _)| is_log(path)) {
            fs::remove_file(folder.path().join(path)).unwrap();
        }
        let mut rng = Rng::new(seed);
        let mut at = vec![0; logs.len()];
        for night in 1..=NIGHTS {
            grow(folder.path(), &logs, &mut at, night * 2 - 1, &mut rng);
            if night % 7 == 4 {
                rotate(folder.path(), &logs, &mut at, night);
            }
            grow(folder.path(), &logs, &mut at, night * 2, &mut rng);
            run(folder.path(), &case, &["--state", "nights.db", "--out", "nights"]);
        }
        run(folder.path(), &case, &["--state", "once.db", "--out", "once"]);
        run(folder.path(), &case, &["--out", "stateless"]);
        let read = |out: &str| {
            let mut tickets = read_tickets(&folder.path().join(out).join("tickets.csv"));
            // A ticket of the first nights, whose logs did not cover its target, stays open until
            // the next scan.
            tickets.retain(|_, ticket| ticket["verdict"] != "quiet");
            tickets
        };
        let (nights, once) = (read("nights"), read("once"));
        // A priority that was raised on some night is due from then.
        let mut but = vec!["status", "due_date"];
        match seconds {
            Seconds::Kept => but.extend(["evidence", "description"]),
            Seconds::LeftOut => {
                let cited = |out: &str| citations(folder.path(), out);
                assert_eq!(cited("nights"), cited("once"), "{seed}");
                assert_eq!(cited("nights"), cited("stateless"), "{seed}");
            }
        }
        compare(seed, &nights, &once, &but);
        compare(seed, &nights, &read("stateless"), &but);
        // What was read is not read again, and nothing changes by that.
        run(folder.path(), &case, &["--state", "nights.db", "--out", "again"]);
        compare(seed, &nights, &read("again"), &["status"]);
        assert_eq!(lines_read(&folder.path().join("again")), 0);
    }
}

fn is_log(path: &str) -> bool {
    path.starts_with("firewall/") || path.starts_with("mail/")
}

/// The case's logs, rotated and compressed ones put together.
fn logs_of(case: &Case, seconds: Seconds) -> Vec<Log> {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for (path, content) in case.files.iter().filter(|(path, _)| is_log(path)) {
        if path.ends_with(".syslog") && seconds == Seconds::LeftOut {
            continue;
        }
        let mut text = String::new();
        if Path::new(path).extension().is_some_and(|ending| ending == "gz") {
            flate2::read::GzDecoder::new(&**content).read_to_string(&mut text).unwrap();
        } else {
            text = String::from_utf8(content.clone()).unwrap();
        }
        let base = path.trim_end_matches(".gz").trim_end_matches(".1").to_owned();
        let known = texts.entry(base).or_default();
        // The older part comes first, whatever the names.
        *known = if path.ends_with(".1") { text + known } else { known.clone() + &text };
    }
    texts
        .into_iter()
        .map(|(path, text)| {
            let length = text.lines().take_while(|line| line.starts_with('#')).map(|l| l.len() + 1);
            let (head, text) = text.split_at(length.sum());
            Log { path, head: head.to_owned(), text: text.to_owned() }
        })
        .collect()
}

/// Appends to every log up to about the same share of it, wherever that ends.
fn grow(folder: &Path, logs: &[Log], at: &mut [usize], step: usize, rng: &mut Rng) {
    for (log, at) in logs.iter().zip(at) {
        let to = if step == 2 * NIGHTS {
            log.text.len()
        } else {
            let share = log.text.len() * step / (2 * NIGHTS);
            (share + rng.below(200) as usize).clamp(*at, log.text.len())
        };
        let head = if *at == 0 { log.head.as_bytes() } else { b"" };
        append(&folder.join(&log.path), &[head, &log.text.as_bytes()[*at..to]].concat());
        *at = to;
    }
}

fn append(path: &Path, text: &[u8]) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text).unwrap();
}

/// Rotates every log, by copying on every other time, and compresses the one before.
fn rotate(folder: &Path, logs: &[Log], at: &mut [usize], night: usize) {
    for (log, at) in logs.iter().zip(at) {
        let path = folder.join(&log.path);
        let number =
            |n: usize, ending: &str| PathBuf::from(format!("{}.{n}{ending}", path.display()));
        // A line is never divided between two files.
        let rest = &log.text.as_bytes()[*at..];
        let end = *at + rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |line| line + 1);
        append(&path, &log.text.as_bytes()[*at..end]);
        *at = end;
        for old in (2..20).rev() {
            if number(old, ".gz").exists() {
                fs::rename(number(old, ".gz"), number(old + 1, ".gz")).unwrap();
            }
        }
        if number(1, "").exists() {
            let text = fs::read(number(1, "")).unwrap();
            let file = fs::File::create(number(2, ".gz")).unwrap();
            let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            encoder.write_all(&text).unwrap();
            encoder.finish().unwrap();
            fs::remove_file(number(1, "")).unwrap();
        }
        if night % 14 == 4 {
            fs::copy(&path, number(1, "")).unwrap();
        } else {
            fs::rename(&path, number(1, "")).unwrap();
        }
        fs::write(&path, &log.head).unwrap();
    }
}

fn run(folder: &Path, case: &Case, more: &[&str]) {
    let arguments = ["run", "--config", "policy.toml", "--now", &case.now];
    let output = helotriage(folder, &[&arguments, more].concat());
    let stderr = told(&output);
    // The very first lines of a log may be none of its mail server's: it is read when there are more.
    let unknown = stderr.contains("no known log format");
    assert_eq!(output.status.code(), Some(if unknown { 3 } else { 0 }), "{stderr}");
}

fn compare(
    seed: u64,
    one: &BTreeMap<String, Ticket>,
    other: &BTreeMap<String, Ticket>,
    but: &[&str],
) {
    assert!(one.keys().eq(other.keys()), "{seed}: {:?} {:?}", one.keys(), other.keys());
    for (id, ticket) in one {
        for (column, value) in ticket.iter().filter(|(column, _)| !but.contains(&&***column)) {
            assert_eq!(*value, other[id][column], "{seed}: {id}: {column}");
        }
    }
}

/// The sources of all tickets, each citation with the text of the line that it names.
fn citations(folder: &Path, out: &str) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(folder.join(out).join("tickets.jsonl")).unwrap();
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut ticket = |line: &str| {
        let mut ticket: serde_json::Value = serde_json::from_str(line).unwrap();
        if ticket["verdict"] == "quiet" {
            return None;
        }
        for source in ticket["sources"].as_array_mut().unwrap() {
            for citation in source["citations"].as_array_mut().unwrap() {
                let file = citation["file"].as_str().unwrap().to_owned();
                let lines =
                    files.entry(file).or_insert_with_key(|file| lines_of(&folder.join(file)));
                let line = citation["line"].as_u64().unwrap() as usize;
                citation["text"] = (&*lines[line - 1]).into();
            }
        }
        Some(serde_json::json!([ticket["ticket_id"], ticket["sources"]]))
    };
    text.lines().filter_map(&mut ticket).collect()
}

fn lines_of(path: &Path) -> Vec<String> {
    let mut text = String::new();
    if path.extension().is_some_and(|ending| ending == "gz") {
        let file = fs::File::open(path).unwrap();
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    } else {
        text = fs::read_to_string(path).unwrap();
    }
    text.lines().map(str::to_owned).collect()
}

/// Lines of logs that a run read.
fn lines_read(out: &Path) -> u64 {
    let run: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(out.join("run.json")).unwrap()).unwrap();
    let inputs = run["inputs"].as_array().unwrap().iter();
    let logs = inputs.filter(|input| input["kind"] != "scan");
    logs.map(|input| input["lines"].as_u64().unwrap()).sum()
}
