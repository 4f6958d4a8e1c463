//! `policy init`, `policy check` and `policy templates`. In: a file name. Out: a starter policy, what
//! a policy resolves to, or the built-in templates of ticket texts.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};
use crate::policy::{Known, STARTER, describe, read_policy};
use crate::tickets::BUILT_IN;
use crate::writers::profiles;

use super::args::PolicyCommand;
use super::inputs::templates;
use super::suggest::suggest;
use super::{format_names, terminal};

/// Does what the command says; exit code 0, or 2 for a policy that is not right.
pub(super) fn policy(command: &PolicyCommand) -> Result<u8> {
    match command {
        PolicyCommand::Init { file: None } => terminal::print(STARTER.as_bytes()),
        PolicyCommand::Init { file: Some(file) } => init(file),
        PolicyCommand::Suggest(arguments) => suggest(arguments),
        PolicyCommand::Check { file } => {
            let known = Known { formats: &format_names(), profiles: &profiles::names() };
            let policy = read_policy(file, known)?;
            templates(&policy)?;
            terminal::print(describe(&policy).as_bytes())
        }
        PolicyCommand::Templates { out, names } => write_templates(out, names),
    }
}

/// Writes built-in templates of these names, or all, to files that do not exist yet.
fn write_templates(folder: &Path, names: &[String]) -> Result<u8> {
    fs::create_dir_all(folder)
        .map_err(|error| Error::usage(format!("{}: {error}", folder.display())))?;
    let asked = |name: &str| names.is_empty() || names.iter().any(|asked| asked == name);
    let wanted: Vec<_> = BUILT_IN.iter().filter(|(name, _)| asked(name)).collect();
    // All or none: nobody should have to find out which of them are new.
    if let Some(file) = wanted
        .iter()
        .map(|(name, _)| folder.join(name))
        .find(|file| file.symlink_metadata().is_ok())
    {
        return Err(Error::usage(format!(
            "{}: exists already; expected another --out, or the names of templates to write",
            file.display()
        )));
    }
    for (name, text) in &wanted {
        create(&folder.join(name), text)?;
    }
    terminal::tell(&format!(
        "{} templates written to {}; change them, delete the others, and name the folder in the \
         policy: [templates] dir = \"...\"\n",
        wanted.len(),
        folder.display()
    ));
    Ok(0)
}

/// Writes the starter policy to a file that does not exist yet.
fn init(file: &Path) -> Result<u8> {
    create(file, STARTER)?;
    terminal::tell(&format!(
        "{} written; fill in [networks] and the assets, then: helotriage policy check {}\n",
        file.display(),
        file.display()
    ));
    Ok(0)
}

fn create(file: &Path, text: &str) -> Result<()> {
    let mut out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .map_err(|error| Error::usage(format!("{}: {error}", file.display())))?;
    out.write_all(text.as_bytes()).map_err(|error| Error::output(file, error.to_string()))
}
