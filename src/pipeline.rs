//! A whole run on one page. In: a job (policy, inputs, options). Out: the outputs as one set, and
//! what the run saw, for the account and the exit code.
//!
//! The scans are read first: their targets decide which log lines matter. No clock and no terminal
//! here; the caller shows progress and holds signals off while the outputs are swapped.

mod between;
mod remembered;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::correlate::{Correlator, Evidence, Interest, World};
use crate::error::{Error, Result};
use crate::judge::Judge;
use crate::logs::mail::Finished;
use crate::logs::read::{LogInput, ReadOptions, Selection, Sink, read_logs};
use crate::logs::source::{Compression, STDIN, expand, open_text};
use crate::model::finding::Scan;
use crate::model::flow::FlowEvent;
use crate::model::input::{Devices, InputKind, InputReport, Span, Status, Tally};
use crate::model::judged::{JudgedTarget, Judgement, Priority};
use crate::model::policy::Policy;
use crate::model::time::Timestamp;
use crate::pipeline::remembered::Remembered;
use crate::scan::read::{ScanOptions, read_scan};
use crate::scan::targets::merge_scans;
use crate::state::{Changes, State};
use crate::tickets::{Author, Setting, Standings, Status as TicketStatus};
use crate::writers::escape::{CsvCells, CsvSafe};
use crate::writers::outdir::OutDir;
use crate::writers::profiles::Chosen;
use crate::writers::publish::{Hook, Written};
use crate::writers::{Account, NewSet, Run, write_outputs};

/// What to do: everything that decides the outputs.
#[derive(Debug, Clone)]
pub struct Job {
    /// Networks, assets, input settings; flags are already in it.
    pub policy: Policy,
    /// Nessus exports: files, folders, globs.
    pub scan: Vec<String>,
    /// Firewall logs: files, folders, globs, `-`.
    pub firewall: Vec<String>,
    /// Mail logs: files, folders, globs, `-`.
    pub mail: Vec<String>,
    /// The output folder.
    pub out: PathBuf,
    /// Ticket systems whose import files are wanted.
    pub profiles: Chosen,
    /// What becomes of CSV cells that a spreadsheet would take for formulas.
    pub csv_safe: CsvSafe,
    /// The file of what must outlive the run, if there is to be one.
    pub state: Option<PathBuf>,
    /// Replaces every modification time as the reference for missing years.
    pub now: Option<Timestamp>,
    /// When the run takes place: `now`, else the clock's time. Decides whether a risk is still
    /// accepted, and from when a raised priority is due.
    pub clock: Timestamp,
    /// Which events count.
    pub window: Window,
    /// Which findings make targets, and what to do with a truncated export.
    pub scan_options: ScanOptions,
    /// Share of unreadable lines, in per cent, above which an input counts as unreadable.
    pub max_reject: u8,
    /// Options that decide the outputs, for run.json.
    pub arguments: BTreeMap<String, Vec<String>>,
}

/// The times between which events count; events without a time always do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// `--since`.
    pub since: Option<Timestamp>,
    /// `--until`.
    pub until: Option<Timestamp>,
}

impl Window {
    fn holds(self, time: Option<Timestamp>) -> bool {
        time.is_none_or(|time| {
            self.since.is_none_or(|since| time >= since)
                && self.until.is_none_or(|until| time <= until)
        })
    }

    /// The part of a span inside the window, if there is any.
    fn clip(self, span: Span) -> Option<Span> {
        let first = self.since.map_or(span.first, |since| since.max(span.first));
        let last = self.until.map_or(span.last, |until| until.min(span.last));
        (first <= last).then_some(Span { first, last })
    }

    /// The same, but for what lies before that day since 1970.
    fn starting_on(self, day: Option<i32>) -> Self {
        let start = day.map(|day| Timestamp(0).plus_seconds(i64::from(day).saturating_mul(86_400)));
        Self { since: self.since.max(start), ..self }
    }

    /// The reports as judging may use them: what a log holds outside the window covers nothing.
    fn seen(self, reports: &[InputReport]) -> Cow<'_, [InputReport]> {
        if self == Self::default() {
            return Cow::Borrowed(reports);
        }
        let mut reports = reports.to_vec();
        for report in &mut reports {
            report.span = report.span.and_then(|span| self.clip(span));
            let servers = std::mem::take(&mut report.servers);
            let inside = servers.into_iter().filter_map(|(name, s)| Some((name, self.clip(s)?)));
            report.servers = inside.collect();
        }
        Cow::Owned(reports)
    }
}

/// Is told bytes as they are read, from any thread.
pub type Progress<'a> = dyn Fn(u64) + Sync + 'a;

/// A run that was published.
#[derive(Debug)]
pub struct Published {
    /// What became of the inputs.
    pub inputs: Vec<InputReport>,
    /// The targets as judged.
    pub judgement: Judgement,
    /// Which of them have a ticket, and where it stands.
    pub standings: Standings,
    /// Warnings and what makes the run incomplete.
    pub account: Account,
    /// The files of the set.
    pub written: Vec<Written>,
    /// CSV cells that were altered so that no spreadsheet takes them for a formula.
    pub altered_cells: u64,
    /// Events outside the window, left out.
    pub left_out: u64,
    /// What was done for earlier runs, each a sentence.
    pub late: Vec<String>,
}

impl Published {
    /// The targets that have a ticket, most urgent first.
    pub fn tickets(&self) -> impl Iterator<Item = &JudgedTarget> {
        self.judgement.targets.iter().filter(|target| self.standings.of(target).is_some())
    }

    /// The most urgent band of a ticket that is not resolved and whose risk the policy does not
    /// accept, if there is any.
    pub fn most_urgent(&self) -> Option<Priority> {
        let is_settled = |target: &&JudgedTarget| {
            let status = self.standings.of(target).map(|standing| standing.status);
            matches!(status, Some(TicketStatus::AcceptedRisk | TicketStatus::Resolved))
        };
        let tickets = self.tickets().filter(|target| !is_settled(target));
        tickets.map(|target| target.priority).min()
    }
}

/// A pool of that many threads, or one per core: what scans and logs are read on.
///
/// # Errors
/// Of kind `Usage` where the system does not grant the threads.
pub fn workers(threads: Option<u16>) -> Result<ThreadPool> {
    ThreadPoolBuilder::new()
        .num_threads(threads.map_or(0, usize::from))
        .build()
        .map_err(|error| Error::usage(format!("the worker threads cannot be started: {error}")))
}

/// Bytes on disk that a job will read, for progress; what cannot be looked at counts nothing.
pub fn size_of_inputs(job: &Job) -> u64 {
    let patterns = [&job.scan, &job.firewall, &job.mail].into_iter().flatten();
    let files = expand(&patterns.collect::<Vec<_>>()).files;
    files.iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum()
}

/// Does a job on the current rayon pool; `before` is told the steps of writing.
///
/// # Errors
/// Of kind `Locked` at once where another run works into the same folder; `NoScan` where no export
/// could be used; `Output` where the outputs could not be written. The previous set is whole then.
pub fn run(job: &Job, progress: &Progress<'_>, before: &mut Hook<'_>) -> Result<Published> {
    let mut state = job.state.as_deref().map(State::open).transpose()?;
    let out = OutDir::open(&job.out)?;
    let late = match &mut state {
        Some(state) => between::deliver_late(state, &out, before)?,
        None => Vec::new(),
    };
    let Inputs { scans, logs, refused } = find_inputs(job)?;
    let (scans, mut reports) = read_scans(job, &scans, &refused, progress)?;
    let mut remembered = state.as_ref().map(Remembered::read).transpose()?;
    let world = match &mut remembered {
        Some(known) => known.world(job, &scans),
        None => World::new(&merge_scans(&scans, &job.scan_options.plugins), &job.policy),
    };
    let (evidence, devices, log_reports, left_out) =
        correlate(job, &world, logs, reports.len(), progress);
    reports.extend(log_reports);
    let seen = job.window.starting_on(oldest_day(job, &reports)).seen(&reports);
    let judge = Judge::new(&world, &job.policy, &evidence, &seen, &devices);
    let mut judgement = judge.judge();
    let standings = match &mut remembered {
        Some(known) => known.settle(&mut judgement, &judge, &job.policy, job.clock),
        None => Standings::new(&judgement.targets, &job.policy, job.clock),
    };
    let mut account = account(job, &reports, &scans, &refused, left_out);
    let author = Author::new(Setting { policy: &job.policy, inputs: &reports })?;
    let csv = CsvCells::new(job.csv_safe);
    let run = Run {
        judgement: &judgement,
        author: &author,
        standing: &|target| standings.of(target),
        sources: &|target| Box::new(judge.sources(target)),
        inputs: &reports,
        account: &account,
        profiles: &job.profiles,
        csv: &csv,
    };
    let NewSet { written, notes } = match &mut state {
        Some(state) => {
            let record = |changes: &Changes<'_>, id| match &remembered {
                Some(known) => known.write(changes, id, job.clock),
                None => Ok(()),
            };
            between::commit_and_publish(state, job.clock, (&out, &run), record, before)?
        }
        None => write_outputs(&out, &run, before)?,
    };
    account.warnings.extend(notes);
    let altered_cells = csv.altered();
    Ok(Published {
        judgement,
        standings,
        account,
        written,
        altered_cells,
        left_out,
        late,
        inputs: reports,
    })
}

/// What is wrong with an export of a policy, or of a scan that nothing answered.
const NO_HOST: &str = "holds no scanned host";

/// The files of a run.
struct Inputs {
    scans: Vec<PathBuf>,
    logs: BTreeMap<PathBuf, InputKind>,
    refused: Vec<Error>,
}

/// Expands what was typed, the scans' faults first. A log that is given as both kinds is read once.
fn find_inputs(job: &Job) -> Result<Inputs> {
    if job.scan.is_empty() {
        return Err(Error::usage(
            "no scan given; expected --scan FILE, or scan = [...] under [inputs] of --config FILE",
        ));
    }
    let scans = expand(&job.scan);
    let mut refused = scans.refused;
    let mut logs = BTreeMap::new();
    for (kind, patterns) in [(InputKind::Firewall, &job.firewall), (InputKind::Mail, &job.mail)] {
        let found = expand(patterns);
        refused.extend(found.refused);
        for file in found.files {
            logs.entry(file)
                .and_modify(|known| {
                    if *known != kind {
                        *known = InputKind::Log;
                    }
                })
                .or_insert(kind);
        }
    }
    let stdin = Path::new(STDIN);
    if logs.contains_key(stdin) && scans.files.iter().any(|file| file == stdin) {
        return Err(Error::usage("standard input is given as a scan and as a log; expected one"));
    }
    Ok(Inputs { scans: scans.files, logs, refused })
}

/// Reads every export; one that cannot be used does not cost the others their tickets.
fn read_scans(
    job: &Job,
    paths: &[PathBuf],
    refused: &[Error],
    progress: &Progress<'_>,
) -> Result<(Vec<Scan>, Vec<InputReport>)> {
    let (mut scans, mut reports) = (Vec::new(), Vec::new());
    for path in paths {
        let mut report = InputReport::new(path.clone(), InputKind::Scan);
        match read_one_scan(job, &mut report, reports.len() as u32, progress) {
            Ok(scan) => {
                report.tally = scan_tally(&scan);
                scans.push(scan);
            }
            Err(error) => report.status = Status::Unreadable(error),
        }
        reports.push(report);
    }
    if scans.iter().all(|scan| scan.hosts.is_empty()) {
        return Err(no_scan(&reports, refused));
    }
    Ok((scans, reports))
}

/// Why there is nothing to judge; an export without a host is as good as none.
fn no_scan(reports: &[InputReport], refused: &[Error]) -> Error {
    let read = reports.iter().map(|report| match &report.status {
        Status::Unreadable(error) => error.to_string(),
        _ => format!("{}: {NO_HOST}", report.path.display()),
    });
    let faults: Vec<_> = refused.iter().map(ToString::to_string).chain(read).collect();
    Error::no_scan(format!(
        "no usable scan, so nothing was published and the previous outputs stand: {}",
        faults.join("; ")
    ))
}

fn read_one_scan(
    job: &Job,
    report: &mut InputReport,
    number: u32,
    progress: &Progress<'_>,
) -> Result<Scan> {
    let mut text = open_text(&report.path)?;
    report.compression = text.compression.map(Compression::word);
    let path = report.path.clone();
    let mut counted = Counted { inner: &mut text, progress };
    let zone = job.policy.input_settings(&path).zone;
    let options = ScanOptions { zone, ..job.scan_options.clone() };
    let scan = read_scan(&mut counted, &path, number, &options)?;
    report.notes.extend(text.notes().iter().cloned());
    Ok(scan)
}

/// Items of an export in the words of the tally: its lines are not counted.
fn scan_tally(scan: &Scan) -> Tally {
    let tally = &scan.tally;
    let events = tally.findings.saturating_sub(tally.set_aside);
    Tally {
        lines: tally.items,
        events,
        ignored: tally.items.saturating_sub(events).saturating_sub(tally.rejected),
        rejected: tally.rejected,
        duplicates: 0,
        bytes: tally.bytes,
    }
}

/// Tells progress of what is read through it.
struct Counted<'a, R> {
    inner: &'a mut R,
    progress: &'a Progress<'a>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        (self.progress)(count as u64);
        Ok(count)
    }
}

/// Folds the logs' events into evidence.
struct Folding {
    correlator: Correlator,
    window: Window,
    left_out: u64,
}

impl Sink for Folding {
    fn flow(&mut self, event: FlowEvent, _devices: &Devices) {
        if self.window.holds(event.flow.time) {
            self.correlator.flow(&event);
        } else {
            self.left_out += 1;
        }
    }

    fn session(&mut self, finished: Finished) {
        if self.window.holds(finished.session.start) {
            self.correlator.session(&finished.session, finished.format);
        } else {
            self.left_out += 1;
        }
    }
}

fn correlate(
    job: &Job,
    world: &World,
    logs: BTreeMap<PathBuf, InputKind>,
    first_number: usize,
    progress: &Progress<'_>,
) -> (Evidence, Devices, Vec<InputReport>, u64) {
    let policy = &job.policy;
    let interest = Interest::new(world, policy);
    let ports: BTreeSet<u16> = interest.ports().iter().copied().collect();
    let tolerance = policy.correlation.tolerance_seconds;
    let mut folding = Folding {
        correlator: Correlator::new(interest, tolerance),
        window: job.window,
        left_out: 0,
    };
    let inputs = (first_number..).zip(logs).map(|(number, (path, kind))| LogInput {
        settings: policy.input_settings(&path),
        number: number as u32,
        path,
        kind,
    });
    let options =
        ReadOptions { now: job.now, ..ReadOptions::new(Selection::Ports(ports), &policy.verdicts) };
    let mut devices = Devices::default();
    let reports = read_logs(inputs.collect(), &options, &mut devices, &mut folding, progress);
    let mut evidence = folding.correlator.finish();
    if let Some(day) = oldest_day(job, &reports) {
        evidence.drop_days_before(day);
    }
    (evidence, devices, reports, folding.left_out)
}

/// `[correlation] window`: the first day that counts still, that far before the newest log line.
fn oldest_day(job: &Job, reports: &[InputReport]) -> Option<i32> {
    let inside = reports.iter().filter_map(|report| job.window.clip(report.span?));
    let newest = inside.map(|span| span.last).max()?;
    let days = job.policy.correlation.window_days?;
    Some(newest.day().saturating_sub(i32::try_from(days).unwrap_or(i32::MAX)))
}

/// What makes the run incomplete, and what the operator should know of the inputs.
fn account(
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
        Status::DuplicateOf(_) => None,
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
            "{path}: {} items of a check's number were set aside: not SMTP (34861 is an AIX patch in \
             Tenable's feed), or port 0",
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
