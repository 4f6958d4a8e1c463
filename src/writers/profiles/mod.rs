//! Import files for ticket systems. In: the run's tickets, one after the other. Out: the files of
//! each profile that was asked for, as a part of the set in `--out`.
//!
//! Adding a profile: write its file here with a [`Profile`], and two lines in this one: `mod NAME;`
//! and its entry in [`PROFILES`]. The flag, the policy's key, the shell completions, the removal of
//! its old files and the hostile-name test follow from the list; a README row is checked by a test.
//!
//! What all tables share (quoting, numbered files) is in `sheet`, files by what a run did to a ticket
//! in `by_change`, lengths and dates in `texts`.

mod ansible;
mod by_change;
mod csv;
mod defectdojo;
mod gitlab;
mod jira;
pub mod jira_export;
mod redmine;
mod servicenow;
mod servicenow_vr;
mod sheet;
mod short;
mod texts;

#[cfg(test)]
mod tests;

use std::fmt::Debug;

use crate::error::{Error, Result};
use crate::model::judged::JudgedTarget;
use crate::tickets::{Change, Ticket};
use crate::writers::Run;
use crate::writers::outdir::told;
use crate::writers::profiles::jira_export::JiraIssues;
use crate::writers::publish::{Draft, Hook, Staging, Step};

/// Every profile, in the order in which their files are written.
pub static PROFILES: &[&dyn Profile] = &[
    &jira::Jira,
    &servicenow::ServiceNow,
    &servicenow_vr::ServiceNowVr,
    &defectdojo::DefectDojo,
    &gitlab::GitLab,
    &redmine::Redmine,
    &csv::Csv,
    &ansible::Ansible,
];

/// The files that one ticket system's import takes.
pub trait Profile: Debug + Sync {
    /// The value of `--profile`; its file here has the same name, with `_` for `-`.
    fn name(&self) -> &'static str;

    /// Which system reads the files, in a few words.
    fn system(&self) -> &'static str;

    /// The names of all files that it may write: fixed ones, or with `NNN` in the place of a
    /// number of three digits or more. No other profile may have the same.
    fn files(&self) -> &'static [&'static str];

    /// Begins its files for a run.
    fn begin<'r>(&self, run: &Run<'r>) -> Box<dyn Export + 'r>;
}

/// A profile's files while they are written.
pub trait Export {
    /// Takes the next ticket, in the order of tickets.csv, and the target that it is about.
    fn take(&mut self, ticket: &Ticket, target: &JudgedTarget, files: &mut Files) -> Result<()>;

    /// Ends the files. What comes back are sentences that the operator should read.
    fn finish(self: Box<Self>, files: &mut Files) -> Result<Vec<String>>;
}

/// The profiles of a run.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    /// Which, in the order of [`PROFILES`], none twice.
    pub profiles: Vec<&'static dyn Profile>,
    /// The issues that Jira has, if an export of it was given.
    pub jira_issues: Option<JiraIssues>,
    /// Names of those that no earlier run wrote although it told tickets: they get every ticket as a
    /// new one.
    pub late_comers: Vec<&'static str>,
}

impl Chosen {
    /// The profiles of these names; names that no profile has are left out (whoever reads names
    /// checks them against [`names`]).
    pub fn named(wanted: &[String]) -> Self {
        let asked = |profile: &&&dyn Profile| wanted.iter().any(|name| name == profile.name());
        Self { profiles: PROFILES.iter().filter(asked).copied().collect(), ..Self::default() }
    }
}

/// The names of all profiles.
pub fn names() -> Vec<&'static str> {
    PROFILES.iter().map(|profile| profile.name()).collect()
}

/// Whether a file of this name may be a profile's.
pub fn owns(file: &str) -> bool {
    pattern(file).is_some()
}

/// The name of [`Profile::files`] that a file of this name has.
pub fn pattern(file: &str) -> Option<&'static str> {
    let mut patterns = PROFILES.iter().flat_map(|profile| profile.files()).copied();
    patterns.find(|pattern| matches(pattern, file))
}

/// `pattern` is a name, or has `NNN` where `file` has three digits or more.
fn matches(pattern: &str, file: &str) -> bool {
    let Some((head, tail)) = pattern.split_once(NUMBER) else { return pattern == file };
    let middle = file.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail));
    middle.is_some_and(|digits| digits.len() >= 3 && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Where a file's number stands in the names of [`Profile::files`].
const NUMBER: &str = "NNN";

/// The name of a pattern's file of that number.
fn numbered(pattern: &str, number: u64) -> String {
    pattern.replace(NUMBER, &format!("{number:03}"))
}

/// The set that exports put their files into. Several can be open at a time.
pub struct Files<'f, 'o, 'h> {
    staging: &'f mut Staging<'o>,
    before: &'f mut Hook<'h>,
}

impl Files<'_, '_, '_> {
    /// Begins a file, by one of the names of [`Profile::files`].
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`]: it cannot be created, or the run is to stop.
    pub fn begin(&mut self, name: String) -> Result<Draft> {
        (self.before)(Step::Write(&name))
            .map_err(|e| Error::output(self.staging.path(), told(&e)))?;
        self.staging.begin(name)
    }

    /// Takes a file that is written to its end into the set.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`].
    pub fn keep(&mut self, draft: Draft) -> Result<()> {
        self.staging.keep(draft)
    }
}

/// The files of a run's profiles while they are written.
pub(super) struct Exports<'r>(Vec<Wanted<'r>>);

/// A profile's files, and what its readers know.
struct Wanted<'r> {
    export: Box<dyn Export + 'r>,
    readers: Readers,
}

/// Who reads a profile's files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readers {
    /// Those who know what earlier runs told.
    Regular,
    /// Those who know no ticket.
    LateComers,
}

impl Wanted<'_> {
    fn take(&mut self, ticket: &Ticket, target: &JudgedTarget, files: &mut Files) -> Result<()> {
        match (self.readers, ticket.change) {
            (Readers::LateComers, Change::Closed) => Ok(()),
            (Readers::LateComers, Change::Changed | Change::Same) => {
                let ticket = Ticket { change: Change::Raised, ..ticket.clone() };
                self.export.take(&ticket, target, files)
            }
            _ => self.export.take(ticket, target, files),
        }
    }
}

impl<'r> Exports<'r> {
    /// Begins the files of the run's profiles.
    pub(super) fn begin(run: &Run<'r>) -> Self {
        let Chosen { profiles, late_comers, .. } = run.profiles;
        let wanted = |profile: &&dyn Profile| Wanted {
            export: profile.begin(run),
            readers: if late_comers.contains(&profile.name()) {
                Readers::LateComers
            } else {
                Readers::Regular
            },
        };
        Self(profiles.iter().map(wanted).collect())
    }

    /// Has every profile take the next tickets, each with its target.
    pub(super) fn take<'t>(
        &mut self,
        tickets: impl Iterator<Item = (&'t Ticket, &'t JudgedTarget)>,
        staging: &mut Staging<'_>,
        before: &mut Hook<'_>,
    ) -> Result<()> {
        let mut files = Files { staging, before };
        for (ticket, target) in tickets {
            for wanted in &mut self.0 {
                wanted.take(ticket, target, &mut files)?;
            }
        }
        Ok(())
    }

    /// Ends the files, and gives what the profiles want told.
    pub(super) fn finish(
        self,
        staging: &mut Staging<'_>,
        before: &mut Hook<'_>,
    ) -> Result<Vec<String>> {
        let mut files = Files { staging, before };
        let mut notes = Vec::new();
        for wanted in self.0 {
            notes.extend(wanted.export.finish(&mut files)?);
        }
        Ok(notes)
    }
}
