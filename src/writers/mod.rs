//! Tickets to bytes. In: the run as judged and its account. Out: the files of `--out`, replaced
//! as one set.
//!
//! Adding an output: write its file here with an [`Output`], add it to [`OUTPUTS`], and its name
//! to [`publish::NAMES`]; a ticket system's files are a profile (`profiles`). `escape` alone escapes,
//! `publish` alone replaces files, `side_by_side` writes them at the same time, part by part: a run
//! may have millions of sources.

pub mod cited;
pub mod escape;
pub mod explain;
pub mod outdir;
pub mod policy_draft;
pub mod profiles;
pub mod publish;
pub mod rejects_jsonl;
pub mod run_json;
mod side_by_side;
mod source_json;
pub mod sources_csv;
pub mod tickets_csv;
pub mod tickets_jsonl;
mod typed;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::error::Result;
use crate::model::input::InputReport;
use crate::model::judged::{JudgedSource, JudgedTarget, Judgement, RankedSource};
use crate::model::time::Timestamp;
use crate::tickets::{Author, Standing, Ticket};
use crate::writers::cited::CitedFiles;
use crate::writers::escape::CsvCells;
use crate::writers::outdir::OutDir;
use crate::writers::profiles::Chosen;
use crate::writers::publish::{Hook, MANIFEST, Staging, Step, Written};

/// Every output but the manifest, in the order in which they are written.
pub static OUTPUTS: &[&dyn Output] = &[
    &tickets_csv::TicketsCsv,
    &tickets_jsonl::TicketsJsonl,
    &sources_csv::SourcesCsv,
    &rejects_jsonl::RejectsJsonl,
];

/// One file of the set: a head, then what it tells of each target, part by part. The bytes depend on
/// `run` alone, wherever the targets are cut.
pub trait Output: Sync {
    /// Its name in `--out`, one of [`publish::NAMES`].
    fn name(&self) -> &'static str;

    /// Whether this run has anything for it; a file without content is not written.
    fn is_wanted(&self, _run: &Run<'_>) -> bool {
        true
    }

    /// Writes what stands before the targets; of a file that is not about targets, all of it.
    fn write_head(&self, _run: &Run<'_>, _to: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// Appends what the file tells of a part of a target.
    fn push_part(&self, _run: &Run<'_>, _part: &Part<'_>, _to: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }
}

/// A target on its way into the files; of one with many sources, a part of it.
#[derive(Debug)]
pub struct Part<'a> {
    /// The target.
    pub target: &'a JudgedTarget,
    /// Whether it gets a ticket.
    pub has_ticket: bool,
    /// Its ticket, rendered once, for all files: in its first part.
    pub ticket: Option<Ticket>,
    /// Place of the first of `sources` among the target's.
    pub from: usize,
    /// The sources of this part in full.
    pub sources: Vec<JudgedSource>,
}

impl Part<'_> {
    /// Whether the target ends with this part.
    pub fn is_last(&self) -> bool {
        self.from + self.sources.len() == self.target.sources.len()
    }
}

/// Gives all facts of one of a target's sources.
pub type SourceLookup<'a> = dyn Fn(RankedSource) -> Option<JudgedSource> + Send + Sync + 'a;

/// The same of every target: `judge::Judge::sources_of`.
pub type SourcesOf<'a> = dyn Fn(&JudgedTarget) -> Box<SourceLookup<'a>> + Sync + 'a;

/// Where a target's ticket stands; none for a target without a ticket.
pub type StandingLookup<'a> = dyn Fn(&JudgedTarget) -> Option<Standing> + Sync + 'a;

/// All that outputs are made from.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// The targets as judged, in the order of the tickets.
    pub judgement: &'a Judgement,
    /// Writes their tickets.
    pub author: &'a Author<'a>,
    /// The tickets' standing.
    pub standing: &'a StandingLookup<'a>,
    /// The targets' sources.
    pub sources: &'a SourcesOf<'a>,
    /// What became of the inputs.
    pub inputs: &'a [InputReport],
    /// What citations may name: the inputs, or with a state those of earlier runs too.
    pub cited: &'a CitedFiles,
    /// What else run.json tells.
    pub account: &'a Account,
    /// Ticket systems whose import files are wanted.
    pub profiles: &'a Chosen,
    /// Makes the CSV cells.
    pub csv: &'a CsvCells,
}

/// What run.json tells of the run besides inputs and judgement. No clock and nothing that depends
/// on threads or the order of the arguments belongs in here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// `--now`, or the reference time that the run took.
    pub reference_time: Option<Timestamp>,
    /// Options and policy values that decide the outputs, by name.
    pub arguments: BTreeMap<String, Vec<String>>,
    /// Why the run is not complete (exit code 3): inputs that were unreadable, cut, or over their
    /// reject budget, each a sentence.
    pub incomplete: Vec<String>,
    /// What the operator should look at, besides the judgement's own warnings.
    pub warnings: Vec<String>,
}

impl<'a> Run<'a> {
    /// The targets that get a ticket, in order.
    pub fn ticket_targets(&self) -> impl Iterator<Item = &'a JudgedTarget> + use<'a> {
        let standing = self.standing;
        self.judgement.targets.iter().filter(move |target| standing(target).is_some())
    }
}

/// A set that was published.
#[derive(Debug)]
pub struct NewSet {
    /// Its files.
    pub written: Vec<Written>,
    /// What the profiles want the operator to read, as run.json has it among the warnings.
    pub notes: Vec<String>,
}

/// Writes every output of the run and makes them the valid set, see [`stage_outputs`].
///
/// # Errors
/// [`crate::error::Kind::Output`]; the previous set is still there then, whole.
pub fn write_outputs(out: &OutDir, run: &Run<'_>, before: &mut Hook<'_>) -> Result<NewSet> {
    let (staging, notes) = stage_outputs(out, run, before)?;
    Ok(NewSet { written: staging.publish(before)?, notes })
}

/// Writes every output of the run beside the previous set, which stays the valid one until
/// [`Staging::publish`], and gives [`NewSet::notes`] with it. `before` is told each step, see
/// [`Step`].
///
/// # Errors
/// [`crate::error::Kind::Output`].
pub fn stage_outputs<'o>(
    out: &'o OutDir,
    run: &Run<'_>,
    before: &mut Hook<'_>,
) -> Result<(Staging<'o>, Vec<String>)> {
    let mut staging = out.stage()?;
    let notes = side_by_side::write(run, &mut staging, before)?;
    let written = staging.written().to_vec();
    staging.write(MANIFEST, |to| {
        before(Step::Write(MANIFEST))?;
        run_json::write_manifest(run, &written, &notes, to)
    })?;
    Ok((staging, notes))
}
