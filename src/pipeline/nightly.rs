//! The logs of a run with a state: what is new in them is read, and judged together with what
//! earlier runs read. In: the state, the files. Out: the evidence of all runs, and what this run
//! adds to the state.
//!
//! Sessions that the end of the logs cuts are judged as they stand but are no part of what the
//! state keeps as evidence: it keeps them open ([`Carried`]), and the run that finishes them adds
//! them, once. A file that cannot be read to its end (a broken archive, one that shrinks) counts in
//! this run's tickets up to the fault and leaves nothing in the state: all others are read again
//! without it, since nobody can take it out of the sessions that it was mixed with.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::path::PathBuf;

use crate::correlate::cell::NO_DAY;
use crate::correlate::rows::{Inward, Outward};
use crate::correlate::{Correlator, Evidence, Interest, World};
use crate::error::Result;
use crate::logs::carried::Carried;
use crate::logs::read::{LogInput, Nightly, ReadInput, read_new};
use crate::logs::source::STDIN;
use crate::model::input::{Devices, InputKind, InputReport, Status};
use crate::model::reading::{Cursor, Print, Reached};
use crate::model::time::Timestamp;
use crate::pipeline::logs::{self, Folding, Nights, Told};
use crate::pipeline::{Job, Progress, oldest_day};
use crate::state::{Changes, Content, Delta, Kept, State};

/// What earlier runs left.
struct Earlier {
    /// Contents, the first of which has the number `first_number`.
    contents: Vec<Content>,
    cursors: Vec<Cursor>,
    first_number: u32,
    evidence: Evidence,
    carried: Carried,
    kept: Kept,
    devices: Devices,
}

impl Earlier {
    fn read(state: &State, first_number: usize, tolerance: i64) -> Result<Self> {
        let mut contents = state.contents()?;
        // As new contents are numbered (`logs::read`): by their first line's time.
        contents.sort_by_key(|known| (known.first.is_none(), known.first, known.id));
        let first_number = first_number as u32;
        let numbers: BTreeMap<i64, u32> =
            contents.iter().map(|known| known.id).zip(first_number..).collect();
        let content = |id: i64| numbers.get(&id).copied();
        let mut devices = Devices::default();
        let mut names = Inward { content: &content, devices: &mut devices };
        let evidence = state.evidence(tolerance, &mut names)?;
        let mut carried = state.carried()?;
        carried.sessions.renumber(&|id| content(i64::from(id)));
        let cursors = contents.iter().zip(first_number..).filter_map(|(known, number)| {
            let reached = known.reached.clone()?;
            Some(Cursor { number, path: known.covers.path.clone(), reached })
        });
        let cursors = cursors.collect();
        let kept = state.kept_evidence()?;
        Ok(Self { contents, cursors, first_number, evidence, carried, kept, devices })
    }

    /// The number of the first content that is new.
    fn next_number(&self) -> u32 {
        self.first_number + self.contents.len() as u32
    }
}

/// What reading gave.
struct Pass {
    read: Vec<ReadInput>,
    firm: Evidence,
    cut: Evidence,
    carried: Carried,
    devices: Devices,
    left_out: u64,
}

/// Reads what is new.
struct Reader<'a> {
    job: &'a Job,
    interest: &'a Interest,
    cursors: &'a [Cursor],
}

impl Reader<'_> {
    fn read(
        &self,
        inputs: Vec<LogInput>,
        first_number: u32,
        carried: Carried,
        mut devices: Devices,
        progress: &Progress<'_>,
    ) -> Pass {
        let mut nightly = Nightly { cursors: self.cursors, first_number, carried };
        let mut folding = Folding::new(self.job, self.interest.clone());
        let tolerance = self.job.policy.correlation.tolerance_seconds;
        folding.cut = Some(Correlator::new(self.interest.clone(), tolerance));
        let options = logs::options(self.job, self.interest);
        let read = read_new(inputs, &options, &mut nightly, &mut devices, &mut folding, progress);
        let cut = folding.cut.map(Correlator::finish);
        Pass {
            read,
            firm: folding.correlator.finish(),
            cut: cut.unwrap_or_else(|| Evidence::new(tolerance)),
            carried: nightly.carried,
            devices,
            left_out: folding.left_out,
        }
    }

    /// Reads all inputs; where some cannot be read to their end, the others and those apart.
    fn read_all(
        &self,
        inputs: &[LogInput],
        earlier: &mut Earlier,
        progress: &Progress<'_>,
    ) -> (Pass, Option<Pass>) {
        let first_number = earlier.next_number();
        let carried = earlier.carried.clone();
        let devices = earlier.devices.clone();
        let all = self.read(inputs.to_vec(), first_number, carried, devices, progress);
        let (carried, devices) = (mem::take(&mut earlier.carried), mem::take(&mut earlier.devices));
        let is_bad = |input: &ReadInput| matches!(input.report.status, Status::Partial(_));
        let bad: BTreeSet<PathBuf> =
            all.read.iter().filter(|input| is_bad(input)).map(path_of).collect();
        if bad.is_empty() {
            return (all, None);
        }
        let (bad, good): (Vec<LogInput>, Vec<LogInput>) =
            inputs.iter().cloned().partition(|input| bad.contains(&input.path));
        let next = first_number + good.len() as u32;
        let good = self.read(good, first_number, carried, devices, &|_| ());
        let bad = self.read(bad, next, Carried::default(), good.devices.clone(), &|_| ());
        (good, Some(bad))
    }
}

fn path_of(input: &ReadInput) -> PathBuf {
    input.report.path.clone()
}

/// What a run adds to the state.
pub(super) struct Record {
    /// Ids of the contents of earlier runs, by number.
    ids: BTreeMap<u32, i64>,
    read: Vec<ReadInput>,
    /// Prints of contents that no input of this run goes on with.
    others: BTreeSet<Prints>,
    delta: Delta,
    carried: Carried,
    oldest_day: Option<i32>,
    ports: BTreeSet<u16>,
    tolerance: i64,
}

/// What a content is known by.
type Prints = (Print, u64, Print);

fn prints(reached: &Reached) -> Prints {
    (reached.head, reached.offset, reached.tail)
}

/// Reads what is new in the logs and joins it with what earlier runs read.
pub(super) fn correlate(
    job: &Job,
    world: &World,
    logs: BTreeMap<PathBuf, InputKind>,
    scans: &[InputReport],
    state: &State,
    progress: &Progress<'_>,
) -> Result<Told> {
    let interest = Interest::new(world, &job.policy);
    let tolerance = job.policy.correlation.tolerance_seconds;
    let mut earlier = Earlier::read(state, scans.len(), tolerance)?;
    let inputs = logs::inputs(job, logs);
    let cursors = mem::take(&mut earlier.cursors);
    let reader = Reader { job, interest: &interest, cursors: &cursors };
    let (good, bad) = reader.read_all(&inputs, &mut earlier, progress);
    let left_out = good.left_out + bad.as_ref().map_or(0, |bad| bad.left_out);
    let devices = bad.as_ref().unwrap_or(&good).devices.clone();

    let read: Vec<ReadInput> =
        good.read.iter().chain(bad.iter().flat_map(|bad| &bad.read)).cloned().collect();
    let book = book(scans, &earlier.contents, &read);
    let reports = reports(&inputs, read, scans.len());
    let oldest_day = oldest_day(job, &book);

    let (mut evidence, delta) = merged(earlier.evidence, good.firm, &good.cut, oldest_day);
    evidence.merge(good.cut);
    if let Some(bad) = bad {
        evidence.merge(bad.firm);
        evidence.merge(bad.cut);
    }
    if let Some(day) = oldest_day {
        evidence.drop_days_before(day);
    }
    let record = Record {
        ids: (earlier.first_number..).zip(earlier.contents.iter().map(|known| known.id)).collect(),
        others: others(&cursors, &good.read),
        read: good.read,
        delta,
        carried: good.carried,
        oldest_day,
        ports: interest.ports().iter().copied().collect(),
        tolerance,
    };
    let kept_since = kept_since(&earlier.kept, &record.ports, job.clock);
    let warnings = warnings(job, &earlier.kept, left_out);
    let nights = Some(Nights { warnings, kept_since });
    Ok(Told { evidence, devices, reports, book, left_out, nights, record: Some(record) })
}

/// Joins what is new with what is known, and says what is new.
fn merged(
    mut evidence: Evidence,
    new: Evidence,
    cut: &Evidence,
    oldest_day: Option<i32>,
) -> (Evidence, Delta) {
    let servers: Vec<_> = new.servers().iter().map(|(server, _)| server.clone()).collect();
    let places = new.places();
    let mut delta = Delta {
        devices: new.devices().to_vec(),
        named_ends: new.named_ends().clone(),
        ..Delta::default()
    };
    evidence.merge(new);
    let numbers: Vec<Option<u32>> = servers.iter().map(|known| evidence.number(known)).collect();
    let stays = |day: i32| day == NO_DAY || oldest_day.is_none_or(|oldest| day >= oldest);
    let places = places
        .into_iter()
        .filter(|&(_, _, day)| stays(day))
        .filter_map(|(server, source, day)| Some(((*numbers.get(server as usize)?)?, source, day)));
    delta.places = places.collect();
    delta.servers = numbers
        .iter()
        .filter_map(|number| evidence.servers().get((*number)? as usize).cloned())
        .collect();
    let new: BTreeSet<_> = delta.places.iter().copied().collect();
    for (server, source, day) in cut.places() {
        let server = cut.servers().get(server as usize);
        let Some(number) = server.and_then(|(server, _)| evidence.number(server)) else { continue };
        let place = (number, source, day);
        if let Some(piece) = evidence.piece(place).filter(|_| new.contains(&place)) {
            delta.uncut.insert(place, piece);
        }
    }
    (evidence, delta)
}

/// All that evidence may cite, by number: the scans, the contents of earlier runs with what this run
/// read of them, the new ones.
pub(super) fn book(
    scans: &[InputReport],
    earlier: &[Content],
    read: &[ReadInput],
) -> Vec<InputReport> {
    let mut book = scans.to_vec();
    for known in earlier {
        book.push(InputReport { status: Status::Gone, ..known.covers.clone() });
    }
    let first_new = book.len();
    let mut new: BTreeMap<u32, InputReport> = BTreeMap::new();
    for input in read {
        let number = input.number as usize;
        if number >= first_new {
            let report = InputReport { rejects: Vec::new(), ..input.report.clone() };
            new.insert(input.number, report);
        } else if let Some(known) = book.get_mut(number).filter(|_| input.continues.is_some()) {
            add_report(known, &input.report);
        }
    }
    for (number, report) in new {
        // Every number is an input's.
        book.resize_with((number as usize).max(book.len()), || {
            InputReport::new(PathBuf::new(), InputKind::Log)
        });
        book.push(report);
    }
    book
}

fn add_report(known: &mut InputReport, new: &InputReport) {
    known.path.clone_from(&new.path);
    known.kind = new.kind;
    known.compression = new.compression;
    known.status = Status::Complete;
    known.span = match (known.span, new.span) {
        (Some(known), Some(new)) => Some(known.union(new)),
        (known, new) => known.or(new),
    };
    for (format, lines) in &new.formats {
        *known.formats.entry(format).or_default() += lines;
    }
    for (name, span) in &new.servers {
        let known = known.servers.entry(name.clone()).or_insert(*span);
        *known = known.union(*span);
    }
}

/// The reports of this run's logs in the order of the inputs; what is a copy names the place of the
/// other's report, `before` reports standing before these.
pub(super) fn reports(
    inputs: &[LogInput],
    read: Vec<ReadInput>,
    before: usize,
) -> Vec<InputReport> {
    let order: BTreeMap<PathBuf, usize> =
        inputs.iter().map(|input| input.path.clone()).zip(before..).collect();
    let place = |input: &ReadInput| order.get(&input.report.path).copied().unwrap_or_default();
    let mut places: BTreeMap<u32, usize> = BTreeMap::new();
    for input in &read {
        if !matches!(input.report.status, Status::DuplicateOf(_)) {
            let known = places.entry(input.number).or_insert_with(|| place(input));
            if input.continues.is_some() {
                *known = place(input);
            }
        }
    }
    let mut reports: Vec<(usize, InputReport)> = Vec::with_capacity(read.len());
    for mut input in read {
        if let Status::DuplicateOf(number) = &mut input.report.status {
            *number = places.get(number).map_or(0, |place| *place as u32);
        }
        reports.push((place(&input), input.report));
    }
    reports.sort_by_key(|(place, _)| *place);
    reports.into_iter().map(|(_, report)| report).collect()
}

/// Prints of the contents that no input of this run goes on with.
fn others(cursors: &[Cursor], read: &[ReadInput]) -> BTreeSet<Prints> {
    let continued: BTreeSet<u32> = read.iter().filter_map(|input| input.continues).collect();
    let others = cursors.iter().filter(|cursor| !continued.contains(&cursor.number));
    others.map(|cursor| prints(&cursor.reached)).collect()
}

/// Ports that this run keeps evidence for and not every earlier run did.
fn kept_since(kept: &Kept, ports: &BTreeSet<u16>, now: Timestamp) -> BTreeMap<u16, Timestamp> {
    let Some(first) = kept.ports.values().min() else { return BTreeMap::new() };
    let since = |port: &u16| kept.ports.get(port).copied().unwrap_or(now);
    ports.iter().map(|port| (*port, since(port))).filter(|(_, since)| since > first).collect()
}

fn warnings(job: &Job, kept: &Kept, left_out: u64) -> Vec<String> {
    let mut warnings = Vec::new();
    let tolerance = job.policy.correlation.tolerance_seconds;
    if let Some(before) = kept.tolerance.filter(|before| *before > tolerance) {
        warnings.push(format!(
            "the tolerance was {before} s in an earlier run and is {tolerance} s now: flows of that \
             time that lie close together are still taken as one interval, so a session between \
             them counts as corroborated"
        ));
    }
    if left_out > 0 {
        warnings.push(
            "what --since and --until left out will not be read again: the state holds its logs as \
             read"
                .to_owned(),
        );
    }
    warnings
}

impl Record {
    /// Writes what the run adds to the state. `book` and `evidence` are those that were judged.
    pub(super) fn write(
        mut self,
        changes: &Changes<'_>,
        (book, evidence, devices): (&[InputReport], &Evidence, &Devices),
        now: Timestamp,
    ) -> Result<()> {
        let today = now.day();
        self.write_contents(changes, book, today)?;
        self.write_copies(changes, today)?;
        let content = |number: u32| self.ids.get(&number).copied();
        changes.put_evidence(&self.delta, evidence, &Outward { content: &content, devices })?;
        if let Some(day) = self.oldest_day {
            changes.drop_evidence_before(day)?;
        }
        changes.put_kept(&self.ports, self.tolerance, now)?;
        let mut carried = self.carried;
        carried.sessions.renumber(&|number| u32::try_from(content(number)?).ok());
        changes.put_carried(carried)?;
        changes.forget_lost_contents(today)
    }

    /// Moves the contents on that were read, and adds the new ones.
    fn write_contents(
        &mut self,
        changes: &Changes<'_>,
        book: &[InputReport],
        today: i32,
    ) -> Result<()> {
        let mut found = BTreeSet::new();
        self.read.sort_by_key(|input| input.number);
        for input in &self.read {
            let is_copy = matches!(input.report.status, Status::DuplicateOf(_));
            let known = self.ids.get(&input.number).copied();
            if is_copy || (known.is_some() && input.continues.is_none()) {
                continue;
            }
            let Some(covers) = book.get(input.number as usize) else { continue };
            let unknowable = Reached::default();
            let is_stdin = covers.path.as_os_str() == STDIN && input.report.tally.lines > 0;
            let reached = input.reached.as_ref().or(is_stdin.then_some(&unknowable));
            match (reached, known) {
                (Some(reached), _) => {
                    let id = changes.put_content(known, (reached, covers), today)?;
                    self.ids.insert(input.number, id);
                    self.others.insert(prints(reached));
                }
                (None, Some(id)) => {
                    found.insert(id);
                }
                (None, None) => {}
            }
        }
        changes.touch_contents(&found, today)
    }

    /// Remembers files that hold what others hold too, so that they are known when those have
    /// grown or are gone.
    fn write_copies(&mut self, changes: &Changes<'_>, today: i32) -> Result<()> {
        for input in &self.read {
            let Some(reached) = &input.reached else { continue };
            if self.others.insert(prints(reached)) {
                let covers = InputReport::new(input.report.path.clone(), input.report.kind);
                changes.put_content(None, (reached, &covers), today)?;
            }
        }
        Ok(())
    }
}
