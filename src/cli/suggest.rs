//! `policy suggest`. In: the typed arguments. Out: commented TOML on standard output, and on
//! standard error what is missing in the inputs.

use crate::error::Result;
use crate::pipeline;
use crate::writers::policy_draft::policy_draft;

use super::args::ReadArguments;
use super::progress::{Progress, Verbosity};
use super::reading::reading;
use super::terminal;

/// Exit code where some input was unreadable or over its reject budget.
const INCOMPLETE: u8 = 3;

/// Reads, and prints what the evidence suggests; exit code 0, or 3 where inputs were incomplete.
pub(super) fn suggest(arguments: &ReadArguments) -> Result<u8> {
    let job = reading(arguments)?;
    let verbosity = if arguments.quiet { Verbosity::Quiet } else { Verbosity::Normal };
    let progress = Progress::new(verbosity, pipeline::size_of_inputs(&job));
    let pool = pipeline::workers(arguments.threads)?;
    let result = pool.install(|| pipeline::suggest(&job, &|bytes| progress.add(bytes)));
    progress.finish();
    let (suggestions, account) = result?;
    for fault in account.incomplete.iter().chain(&account.warnings) {
        terminal::say(fault);
    }
    terminal::print(policy_draft(&suggestions).as_bytes())?;
    Ok(if account.incomplete.is_empty() { 0 } else { INCOMPLETE })
}
