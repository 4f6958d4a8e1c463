//! `policy suggest`: scans and logs to suggestions. In: a job, whose outputs are left aside. Out:
//! what the evidence suggests, and what to tell the operator of the inputs.
//!
//! The evidence of a state's earlier runs counts, and nothing is written to it.

use crate::correlate::World;
use crate::error::Result;
use crate::judge::Judge;
use crate::model::suggestion::Suggestions;
use crate::pipeline::account::account;
use crate::pipeline::logs::{self, Told};
use crate::pipeline::remembered::Remembered;
use crate::pipeline::{Inputs, Job, Progress, find_inputs, nightly, oldest_day, read_scans};
use crate::scan::targets::merge_scans;
use crate::state::State;
use crate::writers::Account;

/// Reads a job's inputs on the current rayon pool and looks at what they suggest.
///
/// # Errors
/// Of kind `NoScan` where no export could be used, `Locked` where a run has the state open.
pub fn suggest(job: &Job, progress: &Progress<'_>) -> Result<(Suggestions, Account)> {
    let known = job.state.as_deref().filter(|path| path.exists());
    let state = known.map(State::open).transpose()?;
    let Inputs { scans, logs, refused } = find_inputs(job)?;
    let (scans, mut reports) = read_scans(job, &scans, &refused, progress)?;
    let world = match &state {
        Some(state) => Remembered::read(state)?.world(job, &scans),
        None => World::new(&merge_scans(&scans, &job.scan_options.plugins), &job.policy),
    };
    let told = match &state {
        Some(state) => nightly::correlate(job, &world, logs, &reports, state, progress)?,
        None => logs::correlate(job, &world, logs, &reports, progress),
    };
    let Told { evidence, devices, reports: of_logs, book, left_out, .. } = told;
    reports.extend(of_logs);
    let seen = job.window.starting_on(oldest_day(job, &book)).seen(&book);
    let judge = Judge::new(&world, &job.policy, &evidence, &seen, &devices);
    let suggestions = judge.suggest(&judge.judge());
    Ok((suggestions, account(job, &reports, &scans, &refused, left_out)))
}
