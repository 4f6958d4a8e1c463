//! The user's policy file. In: TOML text. Out: a checked [`Policy`], or one line that says where
//! the file is wrong, what was expected and what to do.
//!
//! What the policy means for sources and targets is decided where evidence is judged.

mod describe;
mod document;
mod sections;
mod values;

use std::path::Path;

use crate::error::{Error, Kind, Place, Result};
use crate::model::policy::{InputRule, InputSettings, Policy};

pub use describe::describe;

/// A commented policy to start from, as `helotriage policy init` writes it.
pub const STARTER: &str = include_str!("starter.toml");

/// Names of later modules that a policy may use.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// Log formats, for `format`.
    pub formats: &'a [&'a str],
    /// Profiles of ticket systems, for `profiles`.
    pub profiles: &'a [&'a str],
}

/// Reads and checks a policy file. Errors are of kind [`Kind::Usage`] and name the file and the
/// line.
pub fn read_policy(path: &Path, known: Known<'_>) -> Result<Policy> {
    let bytes = std::fs::read(path).map_err(|error| {
        let message = format!("cannot read the policy: {error}; name a readable TOML file");
        Error::input(path, Place::Whole, message).with_kind(Kind::Usage)
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let at = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let message = "text that is no UTF-8; expected a TOML file saved as UTF-8";
        Error::input(path, Place::Line(document::line_after(at)), message).with_kind(Kind::Usage)
    })?;
    parse_policy(text, path, known)
}

/// Checks the text of a policy file; relative paths in it are relative to the folder of `path`.
pub fn parse_policy(text: &str, path: &Path, known: Known<'_>) -> Result<Policy> {
    let document = document::Document { text, path };
    let root = document.parse()?;
    sections::policy(&document.root(&root), path, known)
}

/// Which key of an input a command-line flag sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputFlag {
    /// `--format GLOB=NAME`
    Format,
    /// `--zone GLOB=Area/City`
    Zone,
    /// `--server GLOB=HOST`
    Server,
}

impl InputFlag {
    fn usage(self) -> &'static str {
        match self {
            Self::Format => "--format GLOB=NAME",
            Self::Zone => "--zone GLOB=Area/City",
            Self::Server => "--server GLOB=HOST",
        }
    }
}

/// Checks one flag's text. Its glob is relative to the current folder; one without a slash matches
/// file names in any folder. Pushed to the end of `Policy::input_rules`, the rule overrides the
/// file's blocks.
pub fn parse_input_flag(flag: InputFlag, text: &str, formats: &[&str]) -> Result<InputRule> {
    let wrong = |message: String| Error::usage(format!("{}: {message}", flag.usage()));
    let (pattern, value) = text
        .rsplit_once('=')
        .filter(|(pattern, value)| !pattern.is_empty() && !value.is_empty())
        .ok_or_else(|| {
            wrong(format!("{text:?} has no GLOB=VALUE; expected for example {}", flag.usage()))
        })?;
    let mut settings = InputSettings::default();
    match flag {
        InputFlag::Format => {
            settings.format = Some(values::format_name(value, formats).map_err(wrong)?);
        }
        InputFlag::Zone => settings.zone = Some(values::zone(value).map_err(wrong)?),
        InputFlag::Server => settings.server = Some(value.to_ascii_lowercase()),
    }
    let anywhere = !pattern.contains('/') && pattern != "-";
    let whole = if anywhere { format!("/**/{pattern}") } else { pattern.to_owned() };
    let glob = values::glob(&whole, Path::new("")).map_err(wrong)?;
    Ok(InputRule { pattern: pattern.to_owned(), glob, settings })
}

#[cfg(test)]
mod tests;
