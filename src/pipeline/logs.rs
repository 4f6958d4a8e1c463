//! The logs of a run to evidence. In: the files, what the scans and the policy name. Out: the
//! evidence, the firewalls, and what became of each file.
//!
//! Without a state every log is read whole, here; with one, `nightly` reads what is new.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::correlate::{Correlator, Evidence, Interest, World};
use crate::logs::read::{LogInput, ReadOptions, Selection, Sink, read_all};
use crate::model::flow::FlowEvent;
use crate::model::input::{Devices, InputKind, InputReport};
use crate::model::session::SessionView;
use crate::model::time::Timestamp;
use crate::pipeline::nightly::{self, Record};
use crate::pipeline::{Job, Progress, Window, oldest_day};

/// What the logs say.
pub(super) struct Told {
    pub(super) evidence: Evidence,
    pub(super) devices: Devices,
    /// What became of this run's logs.
    pub(super) reports: Vec<InputReport>,
    /// All contents that evidence may cite, by number, the scans before them.
    pub(super) book: Vec<InputReport>,
    /// Events outside the window.
    pub(super) left_out: u64,
    /// With a state: what it knows.
    pub(super) nights: Option<Nights>,
    /// With a state: what goes into it.
    pub(super) record: Option<Record>,
}

/// What a run with a state knows beyond its own inputs.
pub(super) struct Nights {
    /// Sentences for the operator.
    pub(super) warnings: Vec<String>,
    /// Ports for which evidence of earlier logs was not kept, each with the first run that did.
    pub(super) kept_since: BTreeMap<u16, Timestamp>,
}

/// Folds the logs' events into evidence.
pub(super) struct Folding {
    pub(super) correlator: Correlator,
    /// Sessions that the end of the logs cut, where a later run goes on with them.
    pub(super) cut: Option<Correlator>,
    window: Window,
    pub(super) left_out: u64,
}

impl Folding {
    pub(super) fn new(job: &Job, interest: Interest) -> Self {
        let tolerance = job.policy.correlation.tolerance_seconds;
        let correlator = Correlator::new(interest, tolerance);
        Self { correlator, cut: None, window: job.window, left_out: 0 }
    }
}

impl Sink for Folding {
    fn flow(&mut self, event: FlowEvent, _devices: &Devices) {
        if self.window.holds(event.flow.time) {
            self.correlator.flow(&event);
        } else {
            self.left_out += 1;
        }
    }

    fn session(&mut self, session: &SessionView<'_>, format: &'static str) {
        if self.window.holds(session.start) {
            self.correlator.session(session, format);
        } else {
            self.left_out += 1;
        }
    }

    fn cut_session(&mut self, cut: &SessionView<'_>, format: &'static str) {
        match &mut self.cut {
            Some(correlator) if self.window.holds(cut.start) => correlator.session(cut, format),
            Some(_) => {}
            None => self.session(cut, format),
        }
    }
}

/// The logs as inputs; reading numbers them.
pub(super) fn inputs(job: &Job, logs: BTreeMap<PathBuf, InputKind>) -> Vec<LogInput> {
    let settings = |path: &PathBuf| job.policy.input_settings(path);
    let input = |(path, kind)| LogInput { settings: settings(&path), number: 0, path, kind };
    logs.into_iter().map(input).collect()
}

/// How they are read.
pub(super) fn options<'a>(job: &'a Job, interest: &Interest) -> ReadOptions<'a> {
    let ports: BTreeSet<u16> = interest.ports().iter().copied().collect();
    let verdicts = &job.policy.verdicts;
    ReadOptions { now: job.now, ..ReadOptions::new(Selection::Ports(ports), verdicts) }
}

/// Reads all logs whole.
pub(super) fn correlate(
    job: &Job,
    world: &World,
    logs: BTreeMap<PathBuf, InputKind>,
    scans: &[InputReport],
    progress: &Progress<'_>,
) -> Told {
    let interest = Interest::new(world, &job.policy);
    let options = options(job, &interest);
    let inputs = inputs(job, logs);
    let mut folding = Folding::new(job, interest);
    let mut devices = Devices::default();
    let first = scans.len() as u32;
    let read = read_all(inputs.clone(), &options, first, &mut devices, &mut folding, progress);
    let book = nightly::book(scans, &[], &read);
    let reports = nightly::reports(&inputs, read, scans.len());
    let mut evidence = folding.correlator.finish();
    if let Some(day) = oldest_day(job, &reports) {
        evidence.drop_days_before(day);
    }
    let left_out = folding.left_out;
    Told { evidence, devices, reports, book, left_out, nights: None, record: None }
}
