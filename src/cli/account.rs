//! The run's account on standard error: what an operator asks at 7 a.m. In: a published run. Out:
//! text, foreign names in it made safe. Was everything read? Is anything missing? What is urgent?

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::model::input::{InputKind, InputReport, Status, Tally};
use crate::model::judged::{JudgedTarget, Judgement, Verdict};
use crate::model::time::Timestamp;
use crate::pipeline::{self, Job, Published};
use crate::tickets::{Status as TicketStatus, ticket_id};
use crate::writers::escape;
use crate::writers::profiles;

use super::progress::{Verbosity, size};
use super::terminal;

/// Inputs, servers and warnings that are told one by one; more are only counted.
const MOST: usize = 20;

/// Tickets to look at first.
const FIRST: usize = 5;

/// Tells the account: all of it, or with `--quiet` what is missing only.
pub(super) fn tell(published: &Published, job: &Job, verbosity: Verbosity) {
    let mut text = String::new();
    if verbosity == Verbosity::Normal {
        inputs(&mut text, &published.inputs);
        targets(&mut text, &published.judgement);
        statuses(&mut text, published);
        first(&mut text, published);
        gaps(&mut text, &published.judgement);
    }
    missing(&mut text, published);
    if verbosity == Verbosity::Normal {
        written(&mut text, published, &job.out);
    }
    terminal::tell(&text);
}

/// Where the tickets are, and how to see why the first one stands there.
fn written(text: &mut String, published: &Published, out: &Path) {
    let count = counted(published.tickets().count() as u64, "ticket");
    let out = shown_folder(out);
    let names = published.written.iter().map(|file| &*file.name);
    let others = files(names.filter(|name| *name != "tickets.csv"));
    line(text, &format!("{count} in {out}/tickets.csv (beside it: {others})"));
    if published.altered_cells > 0 {
        let cells = counted(published.altered_cells, "cell");
        line(
            text,
            &format!(
                "{cells} got an apostrophe in front, since a spreadsheet would take the text for a formula (--csv-safe)"
            ),
        );
    }
    if let Some(first) = published.tickets().next() {
        let id = ticket_id(&first.asset.key, first.port);
        line(text, &format!("Why, with the log lines: helotriage explain {id} --out {out}"));
    }
}

/// Files by name, those that a profile numbers together: `jira-new-001.csv to jira-new-016.csv`.
fn files<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for name in names {
        let kind = profiles::pattern(name).unwrap_or(name);
        match groups.iter_mut().find(|(other, _)| *other == kind) {
            Some((_, group)) => group.push(name),
            None => groups.push((kind, vec![name])),
        }
    }
    let told = groups.iter().map(|(_, group)| match group.as_slice() {
        [first, .., last] => format!("{first} to {last}"),
        group => group.concat(),
    });
    told.collect::<Vec<_>>().join(", ")
}

/// The output folder as one would type it here.
fn shown_folder(out: &Path) -> String {
    let whole = out.canonicalize().unwrap_or_else(|_| out.to_path_buf());
    let here = std::env::current_dir().and_then(|here| here.canonicalize()).unwrap_or_default();
    let short = whole.strip_prefix(here).ok().filter(|short| !short.as_os_str().is_empty());
    escape::terminal(&short.unwrap_or(&whole).to_string_lossy()).into_owned()
}

/// `1 ticket`, `2 tickets`.
fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// One line about an input: how its lines ended.
pub(super) fn of_input(report: &InputReport) -> String {
    let path = escape::terminal(&report.path.to_string_lossy()).into_owned();
    let mut formats: Vec<_> = report.formats.keys().copied().collect();
    if formats.is_empty() {
        formats.push("no line of a known format");
    }
    let compression = report.compression.map(|word| format!(", {word}")).unwrap_or_default();
    format!("{path}: {}{compression}, {}\n", formats.join(" and "), tally(&report.tally, "lines"))
}

/// Why an input could not be read as a whole, if so.
pub(super) fn fault(report: &InputReport) -> Option<String> {
    pipeline::fault(report, 100)
}

fn line(text: &mut String, content: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{content}");
}

fn tally(tally: &Tally, what: &str) -> String {
    let Tally { lines, events, ignored, rejected, duplicates, bytes } = tally;
    format!(
        "{}, {lines} {what} = {events} events + {ignored} ignored + {rejected} rejected + {duplicates} duplicates",
        size(*bytes)
    )
}

fn inputs(text: &mut String, reports: &[InputReport]) {
    line(text, "Read:");
    for (kind, what, unit) in [
        (InputKind::Scan, "scan", "items"),
        (InputKind::Firewall, "firewall log", "lines"),
        (InputKind::Mail, "mail log", "lines"),
        (InputKind::Log, "mixed log", "lines"),
    ] {
        let of_kind: Vec<_> = reports.iter().filter(|report| report.kind == kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        let mut sum = Tally::default();
        let mut formats: BTreeMap<&str, u64> = BTreeMap::new();
        for report in &of_kind {
            sum.add(&report.tally);
            for (format, lines) in &report.formats {
                *formats.entry(format).or_default() += lines;
            }
        }
        let names: Vec<_> = formats.keys().copied().collect();
        let names =
            if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
        line(
            text,
            &format!("  {}{names}: {}", counted(of_kind.len() as u64, what), tally(&sum, unit)),
        );
    }
}

fn targets(text: &mut String, judgement: &Judgement) {
    let mut verdicts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for target in &judgement.targets {
        *verdicts.entry(target.verdict).or_default() += 1;
    }
    let counts: Vec<_> =
        verdicts.iter().map(|(verdict, count)| format!("{count} {}", verdict.word())).collect();
    let counts = if counts.is_empty() { String::new() } else { format!(": {}", counts.join(", ")) };
    line(text, &format!("{}{counts}", counted(judgement.targets.len() as u64, "target")));
}

/// Where the tickets stand.
fn statuses(text: &mut String, published: &Published) {
    let mut counts = BTreeMap::new();
    for standing in published.tickets().filter_map(|target| published.standings.of(target)) {
        *counts.entry(standing.status).or_insert(0u64) += 1;
    }
    if !counts.is_empty() {
        let all = counts.values().sum();
        let counts: Vec<_> =
            counts.iter().map(|(status, count)| format!("{count} {}", status.word())).collect();
        line(text, &format!("{}: {}", counted(all, "ticket"), counts.join(", ")));
    }
}

fn first(text: &mut String, published: &Published) {
    let is_open = |target: &&JudgedTarget| {
        published.standings.of(target).is_some_and(|at| at.status != TicketStatus::Resolved)
    };
    for (number, target) in published.tickets().filter(is_open).take(FIRST).enumerate() {
        if number == 0 {
            line(text, "Look at first:");
        }
        line(text, &format!("  {}", ticket(target)));
    }
}

fn ticket(target: &JudgedTarget) -> String {
    let id = ticket_id(&target.asset.key, target.port);
    let name = target.asset.fqdn.as_deref().map(|name| format!(" ({})", escape::terminal(name)));
    let who = match (target.external_sources, target.unexpected_sources) {
        (_, 0) => String::new(),
        (external, all) => {
            format!(", {}, {external} external", counted(all, "unexpected source"))
        }
    };
    let seen = |time: Timestamp| format!(", last seen {time}");
    format!(
        "{} {:2} {id}{}: {}{who}{}",
        target.priority.word(),
        target.score,
        name.unwrap_or_default(),
        target.verdict.word(),
        target.last_seen.map(seen).unwrap_or_default()
    )
}

/// What is missing or was guessed: said with `--quiet` too.
fn missing(text: &mut String, published: &Published) {
    let Published { inputs, judgement, account, .. } = published;
    list(text, "note: ", published.remarks.iter().cloned());
    list(text, "INCOMPLETE: ", account.incomplete.iter().cloned());
    list(text, "note: ", account.warnings.iter().chain(&judgement.warnings).cloned());
    let reference = if account.reference_time.is_some() { "--now" } else { "the file's time" };
    let guessed = inputs.iter().filter(|r| r.zone_guessed || r.years_inferred);
    let guessed = guessed.map(|report| guess(report, reference));
    list(text, "guessed: ", guessed);
    let copies = inputs.iter().filter_map(|report| match report.status {
        Status::DuplicateOf(other) => {
            let other = inputs.get(other as usize).map(|r| r.path.display().to_string());
            Some(format!("{} is a copy of {}", report.path.display(), other.unwrap_or_default()))
        }
        _ => None,
    });
    list(text, "note: ", copies);
}

fn guess(report: &InputReport, reference: &str) -> String {
    let path = report.path.display();
    match (report.years_inferred, report.zone_guessed) {
        (true, true) => format!("{path}: years from {reference}, zone UTC; --zone says it"),
        (true, false) => format!("{path}: years from {reference}"),
        _ => format!("{path}: zone UTC; --zone says it"),
    }
}

/// Where the logs fall short, target by target; the tickets say it too.
fn gaps(text: &mut String, judgement: &Judgement) {
    let ids = |wanted: &dyn Fn(&&JudgedTarget) -> bool| -> Vec<String> {
        judgement.targets.iter().filter(wanted).map(|t| ticket_id(&t.asset.key, t.port)).collect()
    };
    named(text, "no log covers", &ids(&|target| target.verdict == Verdict::Uncovered));
    let what = "the scanner's own connection is missing in a log that shows it elsewhere (see the \
                tickets' notes)";
    named(text, what, &ids(&|target| target.misses_control));
}

/// What is so of some targets: their number and the first of them.
fn named(text: &mut String, what: &str, ids: &[String]) {
    if ids.is_empty() {
        return;
    }
    let more = ids.len().saturating_sub(FIRST);
    let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
    let first = ids.get(..FIRST).unwrap_or(ids).join(", ");
    line(text, &format!("note: {what}: {}", escape::terminal(&format!("{first}{rest}"))));
}

fn list(text: &mut String, head: &str, items: impl Iterator<Item = String>) {
    let mut more = 0usize;
    for (number, item) in items.enumerate() {
        if number < MOST {
            line(text, &format!("{head}{}", escape::terminal(&item)));
        } else {
            more += 1;
        }
    }
    if more > 0 {
        line(text, &format!("{head}and {more} more, see run.json"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_files_are_told_together() {
        let names = [
            "sources.csv",
            "jira-new-001.csv",
            "servicenow.csv",
            "jira-new-002.csv",
            "jira-new-003.csv",
            "jira-update-001.csv",
            "run.json",
        ];
        let expected = "sources.csv, jira-new-001.csv to jira-new-003.csv, servicenow.csv, \
                        jira-update-001.csv, run.json";
        assert_eq!(files(names.into_iter()), expected);
    }
}
