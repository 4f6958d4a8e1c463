//! Reads all logs of a run: THE hot path. In: files and what is known of them. Out: flows and
//! sessions, handed to a [`Sink`] in one order that depends on nothing but the files' content and
//! names; and for each input a report in which every line is accounted for.
//!
//! ```text
//! plan ─► copies ─► rounds ─┬─► fill: streams decompress their next stretch ─┐
//!  (parallel: heads,        ├─► scan: blocks of lines -> flows and facts     ├─► next round
//!   formats, first times)   └─► consume: what the last round scanned, in order ─► sink
//! ```
//!
//! One round runs its three kinds of work side by side on the caller's thread pool: while a round
//! scans, the sequential part takes in what the round before scanned, and compressed streams
//! decompress what the next one will scan. So one large file, one large archive and a hundred
//! thousand small files all keep every core busy, and memory holds a round, never a file.

mod block;
mod consume;
mod copies;
mod jobs;
mod lines;
mod names;
mod needles;
mod plan;
mod numbers;
mod recipe;
mod resume;
mod rounds;
mod scan;
mod stream;
mod verdicts;
#[cfg(test)]
mod resume_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::logs::carried::Carried;
use crate::logs::mail::Keep;
use crate::model::flow::{Action, FlowEvent};
#[cfg(doc)]
use crate::model::input::Status;
use crate::model::input::{Devices, InputKind, InputReport};
use crate::model::policy::InputSettings;
use crate::model::reading::{Cursor, Reached};
use crate::model::session::SessionView;
use crate::model::time::Timestamp;

/// Takes what the logs tell, in the order of the inputs and their lines.
pub trait Sink: Send {
    /// One record of a firewall; `devices` names the firewalls known so far.
    fn flow(&mut self, event: FlowEvent, devices: &Devices);

    /// One finished session, and the format that it was read in.
    fn session(&mut self, session: &SessionView<'_>, format: &'static str);

    /// One session that the end of the logs cut, as it stands. Where a later run goes on from
    /// there, it comes again when it is finished.
    fn cut_session(&mut self, session: &SessionView<'_>, format: &'static str) {
        self.session(session, format);
    }

    /// Whether reading on is of any use; asked once a round.
    fn wants_more(&self) -> bool {
        true
    }
}

/// Which lines are worth parsing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Flows to these ports, and every mail session: all other lines are only counted.
    Ports(BTreeSet<u16>),
    /// All (`inspect`).
    Everything,
}

/// One log to read.
#[derive(Debug, Clone)]
pub struct LogInput {
    /// Its path; `-` for standard input.
    pub path: PathBuf,
    /// What it was given as.
    pub kind: InputKind,
    /// Its number in the run's list of inputs: what citations hold.
    pub number: u32,
    /// What policy and flags say of it.
    pub settings: InputSettings,
}

/// How to read.
#[derive(Debug, Clone)]
pub struct ReadOptions<'a> {
    /// Which lines are worth parsing.
    pub selection: Selection,
    /// `--now`: replaces every modification time as the reference for missing years.
    pub now: Option<Timestamp>,
    /// Words of log prefixes and their actions (`[verdicts]`).
    pub verdicts: &'a BTreeMap<String, Action>,
    /// Which lines sessions keep.
    pub keep: Keep,
    /// Rejected lines kept of each input; beyond it they are only counted.
    pub kept_rejects: usize,
    /// Bytes that are read and scanned at once.
    pub block_size: usize,
}

/// What a run goes on from that keeps its state between runs.
#[derive(Debug)]
pub struct Nightly<'a> {
    /// How far earlier runs have read which content.
    pub cursors: &'a [Cursor],
    /// The number of the first content that is new; those of the cursors are lower.
    pub first_number: u32,
    /// What the logs left open; after reading, what they leave open now.
    pub carried: Carried,
}

/// What became of an input of such a run.
#[derive(Debug, Clone)]
pub struct ReadInput {
    /// What was read of it in this run.
    pub report: InputReport,
    /// The number of its content: what citations hold.
    pub number: u32,
    /// The content of an earlier run that it goes on with, where it is the one that does.
    pub continues: Option<u32>,
    /// How far it is read now; none where a later run is to begin where this one did.
    pub reached: Option<Reached>,
}

/// Block size: large enough that a system call and a task cost nothing, small enough to stay in a
/// core's cache between reading, searching and counting.
pub const BLOCK_SIZE: usize = 512 << 10;

impl<'a> ReadOptions<'a> {
    /// Reading with the usual sizes.
    pub fn new(selection: Selection, verdicts: &'a BTreeMap<String, Action>) -> Self {
        let keep = match selection {
            Selection::Ports(_) => Keep::Proofs,
            Selection::Everything => Keep::AllLines,
        };
        Self { selection, now: None, verdicts, keep, kept_rejects: 1000, block_size: BLOCK_SIZE }
    }
}

/// Reads the logs on the current rayon pool. Reports come in the order of the inputs; `progress`
/// is called with bytes as they are read from disk, from any thread.
pub fn read_logs(
    inputs: Vec<LogInput>,
    options: &ReadOptions<'_>,
    devices: &mut Devices,
    sink: &mut dyn Sink,
    progress: &(dyn Fn(u64) + Sync),
) -> Vec<InputReport> {
    let mut plans = plan::plan(inputs, options, None);
    copies::mark(&mut plans);
    let read = rounds::read(plans, options, None, devices, sink, progress);
    read.into_iter().map(|input| input.report).collect()
}

/// Reads the logs whole, like [`read_logs`], but numbers them as [`read_new`] does, from
/// `first_number` on.
pub fn read_all(
    inputs: Vec<LogInput>,
    options: &ReadOptions<'_>,
    first_number: u32,
    devices: &mut Devices,
    sink: &mut dyn Sink,
    progress: &(dyn Fn(u64) + Sync),
) -> Vec<ReadInput> {
    let mut plans = plan::plan(inputs, options, None);
    copies::mark(&mut plans);
    numbers::assign(&mut plans, &resume::Known::new(&[]), first_number);
    rounds::read(plans, options, None, devices, sink, progress)
}

/// Reads of the logs what earlier runs have not read. Inputs are numbered here: one that goes on
/// with a known content has that content's number, new ones follow in the order of their first
/// line's time. [`Status::DuplicateOf`] holds such a number.
pub fn read_new(
    inputs: Vec<LogInput>,
    options: &ReadOptions<'_>,
    nightly: &mut Nightly<'_>,
    devices: &mut Devices,
    sink: &mut dyn Sink,
    progress: &(dyn Fn(u64) + Sync),
) -> Vec<ReadInput> {
    let known = resume::Known::new(nightly.cursors);
    let mut plans = plan::plan(inputs, options, Some(&known));
    copies::mark(&mut plans);
    numbers::assign(&mut plans, &known, nightly.first_number);
    rounds::read(plans, options, Some(&mut nightly.carried), devices, sink, progress)
}
