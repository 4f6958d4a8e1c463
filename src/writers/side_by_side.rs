//! Writes the files of the set at the same time. In: a run. Out: every output but the manifest, in the
//! private folder.
//!
//! Targets are cut into parts of some hundred sources. A part is rendered on one thread for all files:
//! its ticket once, and the facts of each source once, which are given back at once. Parts are taken a
//! few at a time: while the last few are written, each file on its own thread, the next few are
//! rendered on the others. So never more of the run is in memory than a few parts, however many it has,
//! and the order of the targets and sources, and so the bytes, is that of the judgement. Profiles open
//! files as they go, so they take their turn after the others.

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::model::judged::{JudgedTarget, RankedSource};
use crate::tickets::{Ticket, ticket_id};
use crate::writers::outdir::told;
use crate::writers::profiles::Exports;
use crate::writers::publish::{Draft, Hook, Staging, Step};
use crate::writers::{OUTPUTS, Output, Part, Run, SourceLookup};

/// Sources of a part: some hundred kilobytes in all files.
const SOURCES: usize = 256;

/// Bytes of a source in a file: in tickets.jsonl, where it takes most, nearly always less.
const A_SOURCE: usize = 1600;

/// Parts that are rendered and written at once.
const A_FEW: usize = 128;

/// Sources in them.
const MANY: usize = 32 * SOURCES;

/// Writes all files that the run has anything for, and gives what the profiles want told.
pub(super) fn write(
    run: &Run<'_>,
    staging: &mut Staging<'_>,
    before: &mut Hook<'_>,
) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for output in OUTPUTS.iter().filter(|output| output.is_wanted(run)) {
        tell_step(*output, staging, before)?;
        let mut draft = staging.begin(output.name().to_owned())?;
        draft.write(|to| output.write_head(run, to))?;
        files.push(File { output: *output, draft });
    }
    let outputs: Vec<_> = files.iter().map(|file| file.output).collect();
    let mut exports = Exports::begin(run);
    let mut cuts = cuts(run, SOURCES);
    let mut now = render(run, &outputs, with_buffers(a_few(&mut cuts), &mut Vec::new()))?;
    let mut free = Vec::new();
    while !now.is_empty() {
        for file in &files {
            tell_step(file.output, staging, before)?;
        }
        let few = with_buffers(a_few(&mut cuts), &mut free);
        let (written, next) =
            rayon::join(|| append(&mut files, &now), || render(run, &outputs, few));
        written?;
        let tickets = now.iter().filter_map(|part| Some((part.ticket.as_ref()?, part.target)));
        exports.take(tickets, staging, before)?;
        free.extend(now.into_iter().map(|part| part.bytes));
        now = next?;
    }
    finish(files, staging)?;
    exports.finish(staging, before)
}

/// A file and what writes it.
struct File {
    output: &'static dyn Output,
    draft: Draft,
}

/// Which sources of a target make a part.
pub(super) struct Cut<'a> {
    target: &'a JudgedTarget,
    /// Place of the first of them among the target's.
    from: usize,
    sources: &'a [RankedSource],
    lookup: Arc<SourceLookup<'a>>,
}

/// Cuts the targets into parts of at most so many sources.
pub(super) fn cuts<'a>(run: &Run<'a>, most: usize) -> impl Iterator<Item = Cut<'a>> + use<'a> {
    let run = *run;
    run.judgement.targets.iter().flat_map(move |target| {
        // A look at all that belongs to the target, which its parts share.
        let lookup: Arc<SourceLookup<'a>> = Arc::from((run.sources)(target));
        // What has no source is one part all the same.
        let without = target.sources.is_empty().then_some(&target.sources[..]);
        let parts = target.sources.chunks(most).chain(without);
        parts.scan(0, move |place, sources| {
            let from = *place;
            *place += sources.len();
            Some(Cut { target, from, sources, lookup: Arc::clone(&lookup) })
        })
    })
}

/// Takes the next parts.
fn a_few<'a>(cuts: &mut impl Iterator<Item = Cut<'a>>) -> Vec<Cut<'a>> {
    let (mut few, mut sources) = (Vec::new(), 0);
    while few.len() < A_FEW && sources < MANY {
        let Some(cut) = cuts.next() else { break };
        sources += cut.sources.len();
        few.push(cut);
    }
    few
}

impl<'a> Cut<'a> {
    /// Looks at the sources, and renders the ticket if the target begins here.
    pub(super) fn part(&self, run: &Run<'_>) -> Result<Part<'a>> {
        let Self { target, from, sources, lookup } = self;
        let standing = (run.standing)(target);
        let begins = standing.filter(|_| *from == 0);
        let ticket = begins.map(|standing| run.author.ticket(target, standing)).transpose()?;
        let sources: Result<Vec<_>> = sources
            .iter()
            .map(|source| lookup(*source).ok_or_else(|| unknown(target, *source)))
            .collect();
        let sources = sources?;
        Ok(Part { target, has_ticket: standing.is_some(), ticket, from: *from, sources })
    }
}

/// A ticket without one of its sources would be a wrong one.
fn unknown(target: &JudgedTarget, source: RankedSource) -> Error {
    let id = ticket_id(&target.asset.key, target.port);
    Error::output(Path::new(&id), format!("nothing is known of its source {}", source.ip()))
}

/// What parts are rendered into, a buffer for each file.
type Buffers = Vec<Vec<u8>>;

/// Gives each part the buffers of one that is written: memory that is not new to the process costs
/// nothing, while new memory is as dear as what is written into it.
fn with_buffers<'a>(few: Vec<Cut<'a>>, free: &mut Vec<Buffers>) -> Vec<(Cut<'a>, Buffers)> {
    few.into_iter().map(|cut| (cut, free.pop().unwrap_or_default())).collect()
}

/// A part as bytes.
struct Rendered<'a> {
    target: &'a JudgedTarget,
    /// The ticket, if it is told here.
    ticket: Option<Ticket>,
    /// What each file gets.
    bytes: Buffers,
}

fn render<'a>(
    run: &Run<'_>,
    outputs: &[&dyn Output],
    few: Vec<(Cut<'a>, Buffers)>,
) -> Result<Vec<Rendered<'a>>> {
    let render_one = |(cut, mut buffers): (Cut<'a>, Buffers)| {
        let part = cut.part(run)?;
        buffers.resize_with(outputs.len(), Vec::new);
        for (output, bytes) in outputs.iter().zip(&mut buffers) {
            bytes.clear();
            bytes.reserve(part.sources.len() * A_SOURCE);
            output
                .push_part(run, &part, bytes)
                .map_err(|e| Error::output(Path::new(output.name()), told(&e)))?;
        }
        Ok(Rendered { target: part.target, ticket: part.ticket, bytes: buffers })
    };
    let parts: Vec<_> = few.into_par_iter().with_max_len(1).map(render_one).collect();
    parts.into_iter().collect()
}

/// Has each file take what it gets of the parts; of several that fail the first is told.
fn append(files: &mut [File], parts: &[Rendered<'_>]) -> Result<()> {
    let append_one = |(place, file): (usize, &mut File)| {
        let bytes = parts.iter().filter_map(|part| part.bytes.get(place));
        bytes.into_iter().try_for_each(|bytes| file.draft.append(bytes))
    };
    let files = files.par_iter_mut().with_max_len(1).enumerate();
    let written: Vec<Result<()>> = files.map(append_one).collect();
    written.into_iter().collect()
}

/// Tells the caller that a file is written to, who may want to stop here.
fn tell_step(output: &dyn Output, staging: &Staging<'_>, before: &mut Hook<'_>) -> Result<()> {
    let path = || staging.path().join(output.name());
    before(Step::Write(output.name())).map_err(|e| Error::output(&path(), told(&e)))
}

/// Flushes the files to disk, which takes longest, at the same time too.
fn finish(files: Vec<File>, staging: &mut Staging<'_>) -> Result<()> {
    let finish_one = |file: File| file.draft.finish();
    let finished: Vec<_> = files.into_par_iter().with_max_len(1).map(finish_one).collect();
    for written in finished {
        staging.add(written?);
    }
    Ok(())
}
