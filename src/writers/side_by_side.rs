//! Writes the files of the set at the same time. In: a run. Out: every output but the manifest, in the
//! private folder.
//!
//! Targets are taken a few at a time. While all files take in the last few, each on its own thread,
//! the tickets of the next few are rendered on the others: each ticket once, and never more of them
//! in memory than a few, however many the run has. The order of the targets, and so the bytes, is
//! that of the judgement. Profiles open files as they go, so they take their turn after the others.

use std::io::{self, Write};

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::model::judged::JudgedTarget;
use crate::writers::outdir::told;
use crate::writers::profiles::Exports;
use crate::writers::publish::{Draft, Hook, Staging, Step};
use crate::writers::{OUTPUTS, Output, Run, Told};

/// Targets whose tickets are rendered and written at once.
const A_FEW: usize = 128;

/// Writes all files that the run has anything for, and gives what the profiles want told.
pub(super) fn write(
    run: &Run<'_>,
    staging: &mut Staging<'_>,
    before: &mut Hook<'_>,
) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for output in OUTPUTS.iter().filter(|output| output.is_wanted(run)) {
        tell_step(*output, staging, before)?;
        files.push(File { output: *output, draft: staging.begin(output.name().to_owned())? });
    }
    let mut exports = Exports::begin(run);
    each(&mut files, |output, to| output.write_head(run, to))?;
    let mut few = run.judgement.targets.chunks(A_FEW);
    let mut now = render(run, few.next())?;
    while !now.is_empty() {
        for file in &files {
            tell_step(file.output, staging, before)?;
        }
        let (written, next) = rayon::join(
            || each(&mut files, |output, to| output.write_targets(run, &now, to)),
            || render(run, few.next()),
        );
        written?;
        exports.take(&now, staging, before)?;
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

/// Tells the caller that a file is written to, who may want to stop here.
fn tell_step(output: &dyn Output, staging: &Staging<'_>, before: &mut Hook<'_>) -> Result<()> {
    let path = || staging.path().join(output.name());
    before(Step::Write(output.name())).map_err(|e| Error::output(&path(), told(&e)))
}

/// Has every file written to; of several that fail the first is told.
fn each(
    files: &mut [File],
    write: impl Fn(&dyn Output, &mut dyn Write) -> io::Result<()> + Sync,
) -> Result<()> {
    let write_one = |file: &mut File| file.draft.write(|to| write(file.output, to));
    let written: Vec<Result<()>> = files.par_iter_mut().with_max_len(1).map(write_one).collect();
    written.into_iter().collect()
}

fn render<'a>(run: &Run<'a>, few: Option<&'a [JudgedTarget]>) -> Result<Vec<Told<'a>>> {
    let told: Vec<_> = few.unwrap_or_default().par_iter().map(|target| run.tell(target)).collect();
    told.into_iter().collect()
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
