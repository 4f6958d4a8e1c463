//! `run`. In: the typed arguments. Out: the published outputs, the account on standard error, the
//! exit code.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::model::judged::Priority;
use crate::model::policy::{Outputs, Policy};
use crate::pipeline::{self, Job, Published};
use crate::tickets::Templates;
use crate::writers::escape::CsvSafe;
use crate::writers::profiles::Chosen;
use crate::writers::profiles::jira_export::read_jira_exports;
use crate::writers::publish::Step;

use super::account;
use super::args::{FailOn, OnOff, RunArguments};
use super::progress::{Progress, Verbosity};
use super::reading::reading;
use super::signals::Signals;
use super::terminal;

/// Exit code of a complete run in which no ticket reached `--fail-on`.
const COMPLETE: u8 = 0;
/// Exit code where a ticket reached `--fail-on`.
const REACHED: u8 = 1;
/// Exit code where some input was unreadable or over its reject budget.
const INCOMPLETE: u8 = 3;

/// Does a run; exit codes as in the design, section 4.
pub(super) fn run(arguments: &RunArguments) -> Result<u8> {
    let job = job(arguments)?;
    let verbosity = if arguments.reads.quiet { Verbosity::Quiet } else { Verbosity::Normal };
    let progress = Progress::new(verbosity, pipeline::size_of_inputs(&job));
    let signals = Signals::install();
    let pool = pipeline::workers(arguments.reads.threads)?;
    let result = pool.install(|| {
        let mut before = |step: Step<'_>| {
            match step {
                Step::Record | Step::Swap => signals.disarm(),
                Step::Delivered if signals.rearm().is_some() => {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                _ => {}
            }
            Ok(())
        };
        pipeline::run(&job, &|bytes| progress.add(bytes), &mut before)
    });
    progress.finish();
    let signal = signals.rearm();
    let published = match (result, signal) {
        (Ok(published), _) => published,
        (Err(error), Some(code)) => {
            terminal::say(&error.to_string());
            return Ok(code);
        }
        (Err(error), None) => return Err(error),
    };
    account::tell(&published, &job, verbosity);
    Ok(signal.unwrap_or_else(|| exit_code(&published, arguments.fail_on)))
}

fn exit_code(published: &Published, fail_on: Option<FailOn>) -> u8 {
    let reached = |limit: FailOn| published.most_urgent().is_some_and(|p| band(p) <= limit.band());
    if !published.account.incomplete.is_empty() {
        INCOMPLETE
    } else if fail_on.is_some_and(reached) {
        REACHED
    } else {
        COMPLETE
    }
}

fn band(priority: Priority) -> u8 {
    priority.index() as u8 + 1
}

/// What the arguments and the policy together ask for; flags override the policy's inputs section.
fn job(arguments: &RunArguments) -> Result<Job> {
    let job = reading(&arguments.reads)?;
    let policy = &job.policy;
    let profiles = profiles(arguments, policy)?;
    let written = arguments.reads.config.as_ref().and_then(|_| policy.inputs.out.clone());
    Ok(Job {
        out: out_folder(arguments.out.as_deref(), written)?,
        arguments: told_arguments(arguments, policy, &profiles, &job.templates),
        profiles,
        csv_safe: csv_safe(arguments, policy),
        ..job
    })
}

/// The ticket systems to write for, and what Jira has.
fn profiles(arguments: &RunArguments, policy: &Policy) -> Result<Chosen> {
    let Outputs { profiles, jira_export, .. } = &policy.outputs;
    let names = if arguments.profile.is_empty() { profiles } else { &arguments.profile };
    let exports =
        if arguments.jira_export.is_empty() { jira_export } else { &arguments.jira_export };
    let mut chosen = Chosen::named(names);
    if chosen.profiles.iter().any(|profile| profile.name() == "jira") {
        if !exports.is_empty() {
            chosen.jira_issues = Some(read_jira_exports(exports)?);
        }
    } else if !arguments.jira_export.is_empty() {
        return Err(Error::usage(
            "--jira-export says which issues Jira has; expected --profile jira with it",
        ));
    }
    Ok(chosen)
}

fn csv_safe(arguments: &RunArguments, policy: &Policy) -> CsvSafe {
    let typed = arguments.csv_safe.map(|switch| switch == OnOff::On);
    match typed.or(policy.outputs.csv_safe) {
        Some(false) => CsvSafe::Off,
        _ => CsvSafe::On,
    }
}

fn out_folder(typed: Option<&Path>, written: Option<PathBuf>) -> Result<PathBuf> {
    typed.map(Path::to_path_buf).or(written).ok_or_else(|| {
        Error::usage("no output folder; expected --out DIR, or out = \"DIR\" under [inputs] of --config FILE")
    })
}

/// What decides the outputs besides the inputs, for run.json.
fn told_arguments(
    arguments: &RunArguments,
    policy: &Policy,
    profiles: &Chosen,
    templates: &Templates,
) -> BTreeMap<String, Vec<String>> {
    let reads = &arguments.reads;
    let mut told = BTreeMap::new();
    let mut tell = |name: &str, value: Vec<String>| {
        if !value.is_empty() {
            told.insert(name.to_owned(), value);
        }
    };
    tell("plugins", vec![reads.plugins.clone()]);
    tell("profile", profiles.profiles.iter().map(|p| p.name().to_owned()).collect());
    tell("templates", templates.files().map(str::to_owned).collect());
    if csv_safe(arguments, policy) == CsvSafe::Off {
        tell("csv-safe", vec!["off".to_owned()]);
    }
    tell("since", reads.since.iter().cloned().collect());
    tell("until", reads.until.iter().cloned().collect());
    tell("format", reads.inputs.format.clone());
    tell("zone", reads.inputs.zone.clone());
    tell("server", reads.inputs.server.clone());
    tell("max-reject", vec![reads.max_reject.to_string()]);
    tell("tolerance", vec![format!("{}s", policy.correlation.tolerance_seconds)]);
    tell("priority", vec![policy.priority.name.clone()]);
    told
}
