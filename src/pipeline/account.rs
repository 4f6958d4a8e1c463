//! What a run tells its operator of the inputs. In: the job, the reports of scans and logs. Out: what
//! makes the run incomplete, and warnings, each a sentence that names the file and what was expected.
//!
//! Pure: nothing is read or printed here.

use crate::error::Error;
use crate::model::finding::Scan;
use crate::model::input::{InputReport, Status, Tally};
use crate::writers::Account;

use super::{Job, NO_HOST};

/// What makes the run incomplete, and what the operator should know of the inputs.
pub(super) fn account(
    job: &Job,
    reports: &[InputReport],
    scans: &[Scan],
    refused: &[Error],
    left_out: u64,
) -> Account {
    let mut incomplete: Vec<String> = refused.iter().map(ToString::to_string).collect();
    incomplete.extend(reports.iter().filter_map(|report| fault(report, job.max_reject)));
    let mut warnings = Vec::new();
    for scan in scans {
        scan_words(scan, reports, &mut incomplete, &mut warnings);
    }
    for report in reports {
        let path = report.path.display();
        warnings.extend(report.notes.iter().map(|note| format!("{path}: {note}")));
    }
    if left_out > 0 {
        warnings.push(format!("{left_out} events outside --since and --until were left out"));
    }
    let reference_time = job.now;
    Account { reference_time, arguments: job.arguments.clone(), incomplete, warnings }
}

/// Why an input makes the run incomplete, if it does: unreadable, cut, of no known format, or more
/// than `max_reject` per cent of the lines that matter rejected.
pub fn fault(report: &InputReport, max_reject: u8) -> Option<String> {
    let path = report.path.display();
    match &report.status {
        Status::Complete => over_budget(report, max_reject),
        Status::DuplicateOf(_) | Status::Gone => None,
        Status::Unrecognised(guesses) => Some(unrecognised(report, guesses)),
        Status::Misnamed(format, like) => Some(misnamed(report, format, like)),
        Status::Partial(error) => Some(format!("{error}; what stood before counts")),
        Status::Unreadable(error) => Some(match error.path {
            Some(_) => error.to_string(),
            None => format!("{path}: {error}"),
        }),
    }
}

fn unrecognised(report: &InputReport, guesses: &[(&'static str, String)]) -> String {
    let nearest: Vec<String> =
        guesses.iter().map(|(name, missing)| format!("{name}, which lacks {missing}")).collect();
    let nearest =
        if nearest.is_empty() { "none is near".to_owned() } else { nearest.join("; or ") };
    format!(
        "{}: no known log format ({nearest}); say which with --format GLOB=NAME, see helotriage formats",
        report.path.display()
    )
}

fn misnamed(report: &InputReport, format: &str, like: &[&str]) -> String {
    let instead = if like.is_empty() {
        "it looks like no format that is known".to_owned()
    } else {
        format!("it looks like {}", like.join(", "))
    };
    format!(
        "{}: named as {format}, but no line of it is one ({instead}); expected the format that it \
         is in, or none to have it recognised",
        report.path.display()
    )
}

fn over_budget(report: &InputReport, max_reject: u8) -> Option<String> {
    let Tally { events, rejected, .. } = report.tally;
    let share = u128::from(rejected) * 100;
    let over = share > u128::from(max_reject) * (u128::from(events) + u128::from(rejected));
    over.then(|| {
        format!(
            "{}: {rejected} of {} lines that matter could not be read, more than {max_reject} %; \
             rejects.jsonl has the first of them",
            report.path.display(),
            events.saturating_add(rejected)
        )
    })
}

fn scan_words(
    scan: &Scan,
    reports: &[InputReport],
    incomplete: &mut Vec<String>,
    warnings: &mut Vec<String>,
) {
    let Some(report) = reports.get(scan.input as usize) else { return };
    let path = report.path.display();
    let tally = &scan.tally;
    if scan.truncated {
        incomplete.push(format!(
            "{path}: ends early; {} complete hosts were kept, {} cut ones were not",
            scan.hosts.len(),
            tally.hosts_cut
        ));
    }
    if scan.hosts.is_empty() {
        warnings.push(format!("{path}: {NO_HOST}"));
    }
    if tally.set_aside > 0 {
        warnings.push(format!(
            "{path}: items set aside although they have a check's number: {}; not SMTP (34861 is \
             an AIX patch in Tenable's feed), or port 0",
            tally.set_aside
        ));
    }
    warnings.extend(
        tally
            .rejects
            .iter()
            .map(|item| format!("{path}: byte {}: item left out: {}", item.offset, item.reason)),
    );
    for (count, what) in [
        (tally.replaced, "bytes that are no UTF-8 were replaced"),
        (tally.zones_guessed, "hosts whose times name no zone were read as UTC (--zone names it)"),
        (tally.untimed, "hosts have no readable time"),
        (tally.broken_fqdns, "hosts have a host-fqdns that cannot be read"),
    ] {
        if count > 0 {
            warnings.push(format!("{path}: {count} {what}"));
        }
    }
}
