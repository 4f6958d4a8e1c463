//! What the flags and the policy together say of inputs. In: the typed arguments. Out: a policy
//! whose input rules end with the flags', and the reference time.

use std::path::Path;

use crate::error::{Error, Result};
use crate::model::policy::Policy;
use crate::model::time::Timestamp;
use crate::policy::{InputFlag, Known, parse_input_flag, read_policy};
use crate::tickets::Templates;
use crate::writers::profiles;

use super::args::InputArguments;
use super::format_names;

/// The policy of the file, or an empty one, with the flags' rules after its own.
pub(super) fn policy_with_flags(file: Option<&Path>, flags: &InputArguments) -> Result<Policy> {
    let (names, profiles) = (format_names(), profiles::names());
    let known = Known { formats: &names, profiles: &profiles };
    let mut policy = match file {
        Some(file) => read_policy(file, known)?,
        None => Policy::default(),
    };
    let kinds = [
        (InputFlag::Format, &flags.format),
        (InputFlag::Zone, &flags.zone),
        (InputFlag::Server, &flags.server),
    ];
    for (flag, texts) in kinds {
        for text in texts {
            policy.input_rules.push(parse_input_flag(flag, text, &names)?);
        }
    }
    Ok(policy)
}

/// The templates of a policy, checked.
pub(super) fn templates(policy: &Policy) -> Result<Templates> {
    policy.templates.as_deref().map_or_else(Templates::built_in, Templates::read)
}

/// Reads the time of a flag.
pub(super) fn parse_time(flag: &str, text: Option<&str>) -> Result<Option<Timestamp>> {
    let Some(text) = text else { return Ok(None) };
    Timestamp::parse_rfc3339(text).map(Some).ok_or_else(|| {
        Error::usage(format!(
            "{flag}: {text:?} is no time; expected for example 2026-11-20T06:00:00Z"
        ))
    })
}
