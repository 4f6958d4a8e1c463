//! The sequential part of reading. In: what the workers scanned, in order. Out: flows paired and
//! sessions assembled, given to the sink with their place; tallies and the reports of the inputs.

use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::error::Error;
use crate::logs::carried::Carried;
use crate::logs::detect::name_of;
use crate::logs::firewall;
use crate::logs::join::{Joiner, Told};
use crate::logs::mail::{Assembler, FactBatch, Limits};
use crate::logs::read::names::rotated;
use crate::logs::read::plan::{Plan, Ready, State};
use crate::logs::read::recipe::Wanted;
use crate::logs::read::scan::{Batch, EndTime, LineFlow};
use crate::logs::read::{ReadInput, ReadOptions, Sink};
use crate::logs::source::Compression;
use crate::model::citation::Citation;
use crate::model::flow::{Flow, FlowEvent};
use crate::model::input::{Devices, InputReport, RejectedLine, Span, Status, Tally};
use crate::model::reading::Reached;
use crate::model::session::SessionView;
use crate::model::time::Timestamp;

/// Bytes of rejected lines that a run keeps.
const MOST_REJECTED_BYTES: usize = 32 << 20;

/// A scanned stretch of an input.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub(super) batch: Batch,
    /// Bytes of the text that it stands for.
    pub(super) bytes: u64,
    pub(super) nul_bytes: u64,
    /// Why the input ends here.
    pub(super) error: Option<Error>,
    pub(super) notes: Vec<String>,
    /// The file was another one: nothing of it was read.
    pub(super) left: bool,
}

impl Scanned {
    /// Nothing but a fault.
    pub(super) fn failed(error: Error) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    /// About how much memory it holds.
    pub(super) fn estimated_bytes(&self) -> usize {
        const A_FACT: usize = 192;
        let rejected: usize = self.batch.rejects.iter().map(|reject| reject.raw.len()).sum();
        self.batch.flows.len() * size_of::<LineFlow>() + self.batch.facts.len() * A_FACT + rejected
    }
}

/// What the rounds hand over, in order; numbers are indexes of plans.
pub(super) enum Step {
    /// The next stretch of an input.
    Batch(usize, Box<Scanned>),
    /// The input's end.
    End(usize, Box<Ended>),
}

/// How an input ended.
pub(super) struct Ended {
    /// What was noticed about it.
    pub(super) notes: Vec<String>,
    /// How far it was read, where a later run is to go on there.
    pub(super) reached: Option<Reached>,
}

/// Takes in what was scanned.
pub(super) struct Consumer<'a> {
    devices: &'a mut Devices,
    sink: &'a mut dyn Sink,
    wanted: Wanted,
    kept_rejects: usize,
    rejected_bytes: usize,
    joiner: Joiner,
    assembler: Assembler,
    reports: Vec<Progress>,
    /// For each input, the time from which on its sessions may be told again by a later one.
    again_from: Vec<Timestamp>,
    spare: Arc<Spare>,
    /// Where what is open at the end goes, if a later run is to go on with it.
    carried: Option<&'a mut Carried>,
}

/// Empty batches of facts whose memory is used again: fresh memory costs more than filling it.
#[derive(Debug, Default)]
pub(super) struct Spare(Mutex<Vec<FactBatch>>);

/// Batches that are kept.
const MOST_SPARE: usize = 256;

impl Spare {
    /// An empty batch.
    pub(super) fn take(&self) -> FactBatch {
        self.0.lock().ok().and_then(|mut batches| batches.pop()).unwrap_or_default()
    }

    fn give(&self, mut batch: FactBatch) {
        if batch.is_empty() {
            return;
        }
        batch.clear();
        if let Ok(mut batches) = self.0.lock()
            && batches.len() < MOST_SPARE
        {
            batches.push(batch);
        }
    }
}

/// An input's report as far as it is known.
struct Progress {
    number: u32,
    report: InputReport,
    /// The device that the policy names for it.
    policy_device: Option<String>,
    own_device: Option<u32>,
    failed: bool,
    /// What its status is if no line gives anything.
    misnamed: Option<Status>,
    nul_bytes: u64,
    /// Records whose time lies too far ahead to be true.
    ahead: u64,
    first: Option<EndTime>,
    last: Option<EndTime>,
    /// Lines that an earlier run has read.
    lines_before: u64,
    continues: Option<u32>,
    reached: Option<Reached>,
    /// Whether it is read from night to night: its firewall's own name must outlive rotation.
    of_nights: bool,
}

impl<'a> Consumer<'a> {
    pub(super) fn new(
        plans: &[Plan],
        options: &ReadOptions<'_>,
        mut carried: Option<&'a mut Carried>,
        devices: &'a mut Devices,
        sink: &'a mut dyn Sink,
    ) -> Self {
        // What this run reads, an input of a later run may tell again.
        let again_from = if carried.is_some() { Vec::new() } else { again_from(plans) };
        let Carried { sessions, pairs } =
            carried.as_deref_mut().map(std::mem::take).unwrap_or_default();
        Self {
            joiner: Joiner::restored(pairs, devices),
            assembler: Assembler::restored(options.keep, Limits::default(), sessions),
            carried,
            devices,
            sink,
            wanted: Wanted::of(&options.selection),
            kept_rejects: options.kept_rejects,
            rejected_bytes: 0,
            reports: plans.iter().map(|plan| Progress::of(plan, plans)).collect(),
            again_from,
            spare: Arc::default(),
        }
    }

    /// Whether the sink has any use for more.
    pub(super) fn wants_more(&self) -> bool {
        self.sink.wants_more()
    }

    /// The memory that workers use again.
    pub(super) fn spare(&self) -> &Arc<Spare> {
        &self.spare
    }

    /// Takes the steps of a round.
    pub(super) fn consume(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Batch(index, scanned) => self.take(index, *scanned),
                Step::End(index, ended) => {
                    if let Some(progress) = self.reports.get_mut(index) {
                        progress.end(*ended);
                    }
                }
            }
        }
    }

    /// Ends the sessions that are still open, and gives the reports.
    pub(super) fn finish(mut self) -> Vec<ReadInput> {
        if let Some(carried) = self.carried.take() {
            carried.sessions = self.assembler.carried();
            carried.pairs = self.joiner.carried(self.devices);
        }
        let Self { assembler, sink, .. } = &mut self;
        assembler.finish(&mut |session, format| sink.cut_session(session, format));
        self.reports.into_iter().map(Progress::finish).collect()
    }

    fn take(&mut self, index: usize, scanned: Scanned) {
        let Some(progress) = self.reports.get_mut(index) else { return };
        if progress.failed {
            return;
        }
        let before = progress.lines();
        progress.add(&scanned);
        if let Some(error) = scanned.error {
            progress.fail(error);
        }
        let number = progress.number;
        self.take_rejects(index, before, scanned.batch.rejects);
        let lost = self.take_flows(index, before, scanned.batch.flows, &scanned.batch.devices);
        let facts = scanned.batch.facts;
        let again_from = self.again_from.get(index).copied();
        self.assembler.told_again_from(again_from.unwrap_or(Timestamp(i64::MIN)));
        let Self { assembler, sink, .. } = self;
        let mut give = |session: &SessionView<'_>, format| sink.session(session, format);
        let again = assembler.take(&facts, number, before + 1, &mut give);
        self.spare.give(facts);
        if let Some(progress) = self.reports.get_mut(index) {
            let tally = &mut progress.report.tally;
            let duplicates = lost.duplicates.saturating_add(again);
            tally.duplicates += duplicates;
            tally.events = tally.events.saturating_sub(duplicates + lost.unwanted);
            tally.ignored = tally
                .lines
                .saturating_sub(tally.events)
                .saturating_sub(tally.rejected)
                .saturating_sub(tally.duplicates);
        }
    }

    /// Pairs the flows and gives them to the sink; tells how many lines gave none after all.
    fn take_flows(
        &mut self,
        index: usize,
        before: u64,
        flows: Vec<LineFlow>,
        names: &[Box<[u8]>],
    ) -> Lost {
        let mut lost = Lost::default();
        if flows.is_empty() {
            return lost;
        }
        let devices: Vec<u32> = names.iter().map(|name| self.device(index, Some(name))).collect();
        let mut line = LineCount::default();
        for event in flows {
            if event.line != line.line {
                lost.add(&line);
                line = LineCount { line: event.line, ..LineCount::default() };
            }
            let known = event.device.and_then(|device| devices.get(device as usize).copied());
            let device = known.unwrap_or_else(|| self.device(index, None));
            let mut flow = event.flow;
            let told = self.joiner.take(device, event.join, &mut flow);
            match told {
                Told::Again => line.again += 1,
                Told::First if !is_wanted(&self.wanted, &flow) => line.unwanted += 1,
                Told::First => line.told += 1,
            }
            // `inspect` shows every record, also one that another line had told.
            let shown = told == Told::First || matches!(self.wanted, Wanted::All);
            if shown && is_wanted(&self.wanted, &flow) {
                let number = self.reports.get(index).map_or(0, |progress| progress.number);
                let at = Citation { input: number, line: before + u64::from(event.line) + 1 };
                let format =
                    firewall::FORMATS.get(usize::from(event.format)).map_or("", |f| f.name());
                let event = FlowEvent { flow, at, device, format };
                self.sink.flow(event, self.devices);
            }
        }
        lost.add(&line);
        lost
    }

    /// The firewall of a line: the policy's name, the line's, else the input's own.
    fn device(&mut self, index: usize, named: Option<&[u8]>) -> u32 {
        let Some(progress) = self.reports.get_mut(index) else { return 0 };
        if let (None, Some(name)) = (&progress.policy_device, named) {
            return self.devices.index_of(&crate::logs::fields::shown(name));
        }
        if let Some(device) = progress.own_device {
            return device;
        }
        let own = if progress.of_nights {
            rotated(&progress.report.path).0
        } else {
            progress.report.path.display().to_string()
        };
        let name = progress.policy_device.as_deref().unwrap_or(&own);
        let device = self.devices.index_of(name);
        progress.own_device = Some(device);
        device
    }

    fn take_rejects(&mut self, index: usize, before: u64, rejects: Vec<RejectedLine>) {
        let Some(progress) = self.reports.get_mut(index) else { return };
        for mut reject in rejects {
            let full = progress.report.rejects.len() >= self.kept_rejects;
            if full || self.rejected_bytes + reject.raw.len() > MOST_REJECTED_BYTES {
                break;
            }
            self.rejected_bytes += reject.raw.len();
            reject.line += before + 1;
            progress.report.rejects.push(reject);
        }
    }
}

/// Seconds that the earliest line of an input may lie before its first: lines of one server are
/// not written in the order of their times.
const FIRST_LINE_SLACK: i64 = 3600;

/// For each input, when the next one begins that may hold lines of a mail server.
fn again_from(plans: &[Plan]) -> Vec<Timestamp> {
    let mut order: Vec<(usize, &Ready)> = Vec::new();
    for (index, plan) in plans.iter().enumerate() {
        if let State::Read(ready) = &plan.state {
            order.push((index, ready));
        }
    }
    let path = |index: usize| plans.get(index).map_or(Path::new(""), |plan| &plan.input.path);
    order.sort_by(|(a, left), (b, right)| left.turn(path(*a)).cmp(&right.turn(path(*b))));
    let mut times = vec![Timestamp(i64::MAX); plans.len()];
    let mut next = Timestamp(i64::MAX);
    for (index, ready) in order.into_iter().rev() {
        if let Some(time) = times.get_mut(index) {
            *time = next;
        }
        if ready.recipe.may_hold_mail {
            let first = ready.first.map(|first| first.time.plus_seconds(-FIRST_LINE_SLACK));
            next = next.min(first.unwrap_or(Timestamp(i64::MIN)));
        }
    }
    times
}

/// The flows of one line.
#[derive(Debug, Default)]
struct LineCount {
    line: u32,
    told: u64,
    again: u64,
    unwanted: u64,
}

/// Lines that were events for the worker and are none after pairing.
#[derive(Debug, Default)]
struct Lost {
    duplicates: u64,
    unwanted: u64,
}

impl Lost {
    fn add(&mut self, line: &LineCount) {
        if line.told > 0 {
            return;
        }
        if line.again > 0 {
            self.duplicates += 1;
        } else if line.unwanted > 0 {
            self.unwanted += 1;
        }
    }
}

/// Whether a flow, its ends now in their final order, goes to a wanted port.
fn is_wanted(wanted: &Wanted, flow: &Flow) -> bool {
    wanted.has(flow.dst_port) || flow.nat_dst.is_some_and(|end| wanted.has(end.port))
}

impl Progress {
    fn of(plan: &Plan, plans: &[Plan]) -> Self {
        let mut report = InputReport::new(plan.input.path.clone(), plan.input.kind);
        let mut misnamed = None;
        match &plan.state {
            State::Read(ready) => {
                let is_new = ready.standing.as_ref().is_none_or(|s| s.before.offset == 0);
                misnamed = ready.misnamed.clone().filter(|_| is_new);
                report.compression = ready.compression.map(Compression::word);
            }
            State::Copy { of, tally, compression, .. } => {
                report.compression = compression.map(Compression::word);
                report.tally = *tally;
                let of = plans.get(*of).map_or(0, |original| original.input.number);
                report.status = Status::DuplicateOf(of);
            }
            State::Same(same) => {
                report.compression = same.compression.map(Compression::word);
            }
            State::Skip(status) => report.status = status.clone(),
        }
        let standing = match &plan.state {
            State::Read(ready) => ready.standing.as_ref(),
            _ => None,
        };
        Self {
            lines_before: standing.map_or(0, |standing| standing.before.lines),
            of_nights: standing.is_some(),
            continues: plan.continues,
            reached: match &plan.state {
                State::Same(same) => Some(same.reached.clone()),
                State::Copy { reached, .. } => reached.as_deref().cloned(),
                State::Read(_) | State::Skip(_) => None,
            },
            number: plan.input.number,
            report,
            policy_device: plan.input.settings.device.clone(),
            own_device: None,
            failed: false,
            misnamed,
            nul_bytes: 0,
            ahead: 0,
            first: None,
            last: None,
        }
    }

    fn add(&mut self, scanned: &Scanned) {
        let batch = &scanned.batch;
        let report = &mut self.report;
        report.tally.lines += batch.lines;
        report.tally.events += batch.events;
        report.tally.rejected += batch.rejected;
        report.tally.bytes += scanned.bytes;
        report.unterminated |= batch.unterminated;
        report.years_inferred |= batch.guesses.years > 0;
        report.zone_guessed |= batch.guesses.zones > 0;
        report.span = join_spans(report.span, batch.span);
        for (id, count) in &batch.looked_at {
            *report.formats.entry(name_of(*id)).or_default() += count;
        }
        for (name, span) in &batch.servers {
            add_server(report, name, *span);
        }
        report.notes.extend(scanned.notes.iter().cloned());
        if self.first.is_none() {
            self.first.clone_from(&batch.first);
        }
        if batch.last.is_some() {
            self.last.clone_from(&batch.last);
        }
        self.nul_bytes += scanned.nul_bytes;
        self.ahead += batch.ahead;
    }

    /// Lines before the next one.
    fn lines(&self) -> u64 {
        self.lines_before.saturating_add(self.report.tally.lines)
    }

    /// What became of the input.
    fn finish(self) -> ReadInput {
        let Self { number, continues, report, reached, .. } = self;
        ReadInput { report, number, continues, reached }
    }

    fn fail(&mut self, error: Error) {
        self.failed = true;
        self.report.status = Status::Partial(error);
    }

    /// Ends the report. Coverage reaches from the first to the last timed line of the input,
    /// whatever they say.
    fn end(&mut self, Ended { notes, reached }: Ended) {
        let lines = self.lines();
        self.reached = reached
            .filter(|reached| reached.offset > 0 && !self.failed)
            .map(|reached| Reached { lines, ..reached });
        for end in [self.first.take(), self.last.take()].into_iter().flatten() {
            let span = Span { first: end.time, last: end.time };
            self.report.span = join_spans(self.report.span, Some(span));
            if let Some(server) = &end.server {
                add_server(&mut self.report, server, span);
            }
        }
        self.report.notes.extend(notes);
        let Tally { events, rejected, .. } = self.report.tally;
        if let (Some(misnamed), 0, Status::Complete) =
            (self.misnamed.take(), events + rejected, &self.report.status)
        {
            self.report.status = misnamed;
            self.reached = None;
        }
        if self.nul_bytes > 0 {
            self.report.notes.push(format!("{} NUL bytes skipped", self.nul_bytes));
        }
        if self.ahead > 0 {
            self.report.notes.push(format!(
                "{} events lie more than 48 hours after the reference time (the file's, or --now): \
                 counted, but not as a time that the log covers",
                self.ahead
            ));
        }
    }
}

fn add_server(report: &mut InputReport, name: &[u8], span: Span) {
    let name = crate::logs::fields::shown(name);
    let known = report.servers.entry(name).or_insert(span);
    *known = known.union(span);
}

fn join_spans(a: Option<Span>, b: Option<Span>) -> Option<Span> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.union(b)),
        (a, b) => a.or(b),
    }
}
