//! A whole run on one page. In: a job (policy, inputs, options). Out: the outputs as one set, and
//! what the run saw, for the account and the exit code.
//!
//! The scans are read first: their targets decide which log lines matter. No clock and no terminal
//! here; the caller shows progress and holds signals off while the outputs are swapped.

mod account;
mod between;
mod logs;
mod nightly;
mod remembered;
mod suggest;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::correlate::World;
use crate::error::{Error, Result};
use crate::judge::Judge;
use crate::logs::source::{Compression, STDIN, expand, open_text};
use crate::model::finding::Scan;
use crate::model::input::{InputKind, InputReport, Span, Status, Tally};
use crate::model::judged::{JudgedTarget, Judgement, Priority};
use crate::model::policy::Policy;
use crate::model::time::Timestamp;
use crate::pipeline::account::account;
pub use crate::pipeline::account::fault;
use crate::pipeline::logs::Told;
use crate::pipeline::remembered::{Remembered, pointless_risks, tonight};
use crate::scan::read::{ScanOptions, read_scan};
use crate::scan::targets::merge_scans;
use crate::state::{Changes, State};
use crate::tickets::{Author, Setting, Standings, Status as TicketStatus, Templates};
use crate::writers::cited::CitedFiles;
use crate::writers::escape::{CsvCells, CsvSafe};
use crate::writers::outdir::OutDir;
use crate::writers::profiles::Chosen;
use crate::writers::publish::{Hook, Written};
use crate::writers::{Account, NewSet, Run, write_outputs};

pub use suggest::suggest;

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
    /// What the tickets' texts are made from.
    pub templates: Templates,
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

    /// The same, but without what lies before that day since 1970.
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
    /// What was done for earlier runs, and what speaks against the place of the state, each a
    /// sentence. Not in run.json: it is the same on every machine.
    pub remarks: Vec<String>,
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
    let mut remarks = Vec::new();
    if let Some(state) = &mut state {
        remarks.extend(state.network_file_system().map(remote_state));
        remarks.extend(between::deliver_late(state, &out, before)?);
    }
    let Inputs { scans, logs, refused } = find_inputs(job)?;
    let (scans, mut reports) = read_scans(job, &scans, &refused, progress)?;
    let mut remembered = state.as_ref().map(Remembered::read).transpose()?;
    let world = match &mut remembered {
        Some(known) => known.world(job, &scans),
        None => World::new(&merge_scans(&scans, &job.scan_options.plugins), &job.policy),
    };
    let told = match &state {
        Some(state) => nightly::correlate(job, &world, logs, &reports, state, progress)?,
        None => logs::correlate(job, &world, logs, &reports, progress),
    };
    let Told { evidence, devices, reports: of_logs, book, left_out, nights, record } = told;
    reports.extend(of_logs);
    let seen = job.window.starting_on(oldest_day(job, &book)).seen(&book);
    let judge = Judge::new(&world, &job.policy, &evidence, &seen, &devices);
    let mut judgement = judge.judge();
    let standings = match &mut remembered {
        Some(known) => known.settle(&mut judgement, &judge, &tonight(job, &reports)),
        None => Standings::new(&judgement.targets, &job.policy, job.clock),
    };
    let mut account = account(job, &reports, &scans, &refused, left_out);
    if let Some(nights) = &nights {
        note_ports(&mut judgement, &nights.kept_since);
        account.warnings.extend(nights.warnings.iter().cloned());
    }
    account.warnings.extend(pointless_risks(job, &judgement.targets, remembered.as_ref()));
    let setting = Setting { policy: &job.policy, inputs: &book, templates: &job.templates };
    let author = Author::new(setting);
    let csv = CsvCells::new(job.csv_safe);
    let profiles = remembered.as_ref().map(|known| known.profiles(&job.profiles));
    let profiles = profiles.unwrap_or_else(|| job.profiles.clone());
    let run = Run {
        judgement: &judgement,
        author: &author,
        standing: &|target| standings.of(target),
        sources: &|target| Box::new(judge.sources_of(target)),
        inputs: &reports,
        cited: &CitedFiles::new(&book, &csv),
        account: &account,
        profiles: &profiles,
        csv: &csv,
    };
    let NewSet { written, notes } = match &mut state {
        Some(state) => {
            let judged = (&*book, &evidence, &devices);
            let record = |changes: &Changes<'_>, id| {
                remembered.iter().try_for_each(|known| known.write(changes, id, (job, &scans)))?;
                record.map_or(Ok(()), |record| record.write(changes, judged, job.clock))
            };
            between::commit_and_publish(state, job.clock, (&out, &run), record, before)?
        }
        None => write_outputs(&out, &run, before)?,
    };
    account.warnings.extend(notes);
    let altered_cells = csv.altered();
    // Nobody waits until millions of pieces are given back one by one.
    rayon::spawn(move || drop(evidence));
    Ok(Published {
        judgement,
        standings,
        account,
        written,
        altered_cells,
        left_out,
        remarks,
        inputs: reports,
    })
}

/// Tells in the tickets where evidence of earlier logs is missing.
fn note_ports(judgement: &mut Judgement, kept_since: &BTreeMap<u16, Timestamp>) {
    for target in &mut judgement.targets {
        if let Some(since) = kept_since.get(&target.port) {
            target.notes.push(format!(
                "Evidence for port {} is kept since the run of {since} only: what earlier runs read \
                 of it was not of interest then.",
                target.port
            ));
        }
    }
}

fn remote_state(system: &str) -> String {
    format!(
        "the state lies on a network file system ({system}), where locks may not keep a second run \
         out; expected a local disk"
    )
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

/// `[correlation] window`: the first day that counts still, that far before the newest log line.
fn oldest_day(job: &Job, reports: &[InputReport]) -> Option<i32> {
    let inside = reports.iter().filter_map(|report| job.window.clip(report.span?));
    let newest = inside.map(|span| span.last).max()?;
    let days = job.policy.correlation.window_days?;
    Some(newest.day().saturating_sub(i32::try_from(days).unwrap_or(i32::MAX)))
}
