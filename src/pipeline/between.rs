//! The steps of a run that concern the runs before and after it. In: the open state, the staged
//! outputs. Out: the run committed, its outputs in place, the state told so, in this order.
//!
//! Outputs may lag behind the state, never lead it: whatever stops a run, the next one first puts
//! in place what was committed.

use std::io;
use std::path::Path;

use crate::error::{Error, Result};
use crate::model::time::Timestamp;
use crate::state::{Changes, Delivery, RunId, State, Undelivered};
use crate::writers::outdir::OutDir;
use crate::writers::publish::{Hook, Step};
use crate::writers::{NewSet, Run, stage_outputs};

/// Puts the outputs of stopped runs in place. What comes back are sentences for the operator.
///
/// # Errors
/// Of kind `Output` where this run's own folder cannot be written. Another folder that cannot be
/// written holds nothing up: what it would have held is told again by this run.
pub(super) fn deliver_late(
    state: &mut State,
    out: &OutDir,
    before: &mut Hook<'_>,
) -> Result<Vec<String>> {
    let mut told = Vec::new();
    let late = state.undelivered()?;
    for Undelivered { run, out: folder } in &late {
        let shown = folder.display();
        if is_same(folder, out.path()) {
            publish(state, *run, out, before)?;
            told.push(format!("{shown}: the outputs of a stopped run were put in place"));
        } else {
            let other = OutDir::open(folder);
            told.push(match other.and_then(|other| publish(state, *run, &other, before)) {
                Ok(()) => format!("{shown}: the outputs of a stopped run were put in place"),
                Err(error) => format!("the outputs of a stopped run are given up: {error}"),
            });
        }
        state.mark_delivered(*run, Delivery::Late)?;
    }
    if !late.is_empty() {
        step(Step::Delivered, before, state.path())?;
    }
    Ok(told)
}

fn publish(state: &State, run: RunId, out: &OutDir, before: &mut Hook<'_>) -> Result<()> {
    let mut staging = out.stage()?;
    state.stage(run, &mut staging)?;
    staging.publish(before).map(drop)
}

fn is_same(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Writes the run's outputs, commits it with all that `record` adds, then publishes them.
///
/// # Errors
/// Those of writing, of [`State::begin`] and [`Changes::commit`], and of publishing. After the
/// commit the next run publishes what this one could not.
pub(super) fn commit_and_publish(
    state: &mut State,
    at: Timestamp,
    (out, run): (&OutDir, &Run<'_>),
    record: impl FnOnce(&Changes<'_>, RunId) -> Result<()>,
    before: &mut Hook<'_>,
) -> Result<NewSet> {
    let (staged, notes) = stage_outputs(out, run, before)?;
    let path = state.path().to_path_buf();
    let changes = state.begin()?;
    let id = changes.add_run(at, out.path())?;
    record(&changes, id)?;
    changes.keep_outputs(id, &staged)?;
    step(Step::Record, before, &path)?;
    changes.commit()?;
    let written = staged.publish(before)?;
    step(Step::Mark, before, &path)?;
    state.mark_delivered(id, Delivery::ByItself)?;
    Ok(NewSet { written, notes })
}

fn step(step: Step<'_>, before: &mut Hook<'_>, path: &Path) -> Result<()> {
    let stopped = |error: io::Error| Error::output(path, format!("the run was stopped: {error}"));
    before(step).map_err(stopped)
}
