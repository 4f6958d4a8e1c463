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
mod needles;
mod plan;
mod recipe;
mod rounds;
mod scan;
mod stream;
mod verdicts;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::logs::mail::{Finished, Keep};
use crate::model::flow::{Action, FlowEvent};
use crate::model::input::{Devices, InputKind, InputReport};
use crate::model::policy::InputSettings;
use crate::model::time::Timestamp;

/// Takes what the logs tell, in the order of the inputs and their lines.
pub trait Sink: Send {
    /// One record of a firewall; `devices` names the firewalls known so far.
    fn flow(&mut self, event: FlowEvent, devices: &Devices);

    /// One finished session.
    fn session(&mut self, session: Finished);

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
    let mut plans = plan::plan(inputs, options);
    copies::mark(&mut plans);
    rounds::read(plans, options, devices, sink, progress)
}
