//! What `run` and `policy suggest` read. In: the typed arguments. Out: a job without outputs, which
//! `run` adds.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::model::policy::Inputs;
use crate::model::time::Timestamp;
use crate::pipeline::{Job, Window};
use crate::scan::catalogue::PluginSelection;
use crate::scan::read::{ScanOptions, Truncated};
use crate::writers::escape::CsvSafe;
use crate::writers::profiles::Chosen;

use super::args::ReadArguments;
use super::inputs::{parse_time, policy_with_flags, templates};

/// What the arguments and the policy together ask to read; flags override the policy's inputs
/// section.
pub(super) fn reading(arguments: &ReadArguments) -> Result<Job> {
    let file = arguments.config.as_deref().or(arguments.policy.as_deref());
    let policy = policy_with_flags(file, &arguments.inputs)?;
    let inputs = if arguments.config.is_some() { policy.inputs.clone() } else { Inputs::default() };
    let given = |typed: &[String], written: Vec<String>| {
        if typed.is_empty() { written } else { typed.to_vec() }
    };
    let templates = templates(&policy)?;
    let now = parse_time("--now", arguments.inputs.now.as_deref())?;
    let plugins = PluginSelection::parse(&arguments.plugins).map_err(Error::usage)?;
    let truncated = if arguments.allow_truncated { Truncated::Keep } else { Truncated::Refuse };
    Ok(Job {
        scan: given(&arguments.scan, inputs.scan),
        firewall: given(&arguments.firewall, inputs.firewall),
        mail: given(&arguments.mail, inputs.mail),
        out: PathBuf::new(),
        arguments: BTreeMap::new(),
        templates,
        profiles: Chosen::default(),
        csv_safe: CsvSafe::On,
        state: arguments.state.clone().or(inputs.state),
        now,
        clock: now.unwrap_or_else(clock),
        window: window(arguments)?,
        scan_options: ScanOptions { truncated, plugins, zone: None },
        max_reject: arguments.max_reject,
        policy,
    })
}

/// The time of day.
#[allow(clippy::disallowed_methods, reason = "the clock is the command line's")]
fn clock() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_seconds(i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX))
}

fn window(arguments: &ReadArguments) -> Result<Window> {
    let since = parse_time("--since", arguments.since.as_deref())?;
    let until = parse_time("--until", arguments.until.as_deref())?;
    match (since, until) {
        (Some(from), Some(to)) if from > to => {
            Err(Error::usage(format!("--since {from} is after --until {to}; nothing lies between")))
        }
        _ => Ok(Window { since, until }),
    }
}
