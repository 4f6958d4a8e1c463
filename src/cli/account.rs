//! The run's account on standard error: what an operator asks at 7 a.m. In: a published run. Out:
//! text, foreign names in it made safe. Was everything read? Is anything missing? What is urgent?

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::model::input::{InputKind, InputReport, Status, Tally};
use crate::model::judged::{JudgedTarget, Judgement, Verdict};
use crate::model::time::Timestamp;
use crate::pipeline::{self, Job, Published};
use crate::tickets::ticket_id;
use crate::writers::escape;

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
        first(&mut text, &published.judgement);
    }
    missing(&mut text, published);
    if verbosity == Verbosity::Normal {
        let tickets = published.judgement.targets.iter().filter(|t| t.makes_ticket()).count();
        let out = escape::terminal(&job.out.to_string_lossy()).into_owned();
        let names: Vec<_> = published.written.iter().map(|file| file.name).collect();
        line(
            &mut text,
            &format!("{tickets} tickets in {out}/tickets.csv (also there: {})", names.join(", ")),
        );
    }
    terminal::tell(&text);
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
        (InputKind::Scan, "scans", "items"),
        (InputKind::Firewall, "firewall logs", "lines"),
        (InputKind::Mail, "mail logs", "lines"),
        (InputKind::Log, "logs of both kinds", "lines"),
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
        line(text, &format!("  {} {what}{names}: {}", of_kind.len(), tally(&sum, unit)));
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
    line(text, &format!("{} targets{counts}", judgement.targets.len()));
}

fn first(text: &mut String, judgement: &Judgement) {
    let tickets: Vec<_> = judgement.targets.iter().filter(|t| t.makes_ticket()).collect();
    if tickets.is_empty() {
        return;
    }
    line(text, "Look at first:");
    for target in tickets.iter().take(FIRST) {
        line(text, &format!("  {}", ticket(target)));
    }
}

fn ticket(target: &JudgedTarget) -> String {
    let id = ticket_id(&target.asset.key, target.port);
    let name = target.asset.fqdn.as_deref().map(|name| format!(" ({})", escape::terminal(name)));
    let who = match (target.external_sources, target.unexpected_sources) {
        (_, 0) => String::new(),
        (external, all) => format!(", {all} unexpected sources, {external} external"),
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
