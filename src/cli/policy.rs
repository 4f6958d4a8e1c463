//! `policy init` and `policy check`. In: a file name. Out: a starter policy, or what a policy
//! resolves to.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};
use crate::policy::{Known, STARTER, describe, read_policy};
use crate::writers::profiles;

use super::args::PolicyCommand;
use super::{format_names, terminal};

/// Does what the command says; exit code 0, or 2 for a policy that is not right.
pub(super) fn policy(command: &PolicyCommand) -> Result<u8> {
    match command {
        PolicyCommand::Init { file: None } => terminal::print(STARTER.as_bytes()),
        PolicyCommand::Init { file: Some(file) } => init(file),
        PolicyCommand::Check { file } => {
            let known = Known { formats: &format_names(), profiles: &profiles::names() };
            let policy = read_policy(file, known)?;
            terminal::print(describe(&policy).as_bytes())
        }
    }
}

/// Writes the starter policy to a file that does not exist yet.
fn init(file: &Path) -> Result<u8> {
    let mut out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .map_err(|error| Error::usage(format!("{}: {error}", file.display())))?;
    out.write_all(STARTER.as_bytes()).map_err(|error| Error::output(file, error.to_string()))?;
    terminal::tell(&format!(
        "{} written; fill in [networks] and the assets, then: helotriage policy check {}\n",
        file.display(),
        file.display()
    ));
    Ok(0)
}
