//! Tickets and findings of earlier runs in the flow of this one. In: the state, this run's scans,
//! the targets as judged. Out: the world with the targets that only earlier scans had, where each
//! ticket stands, and what the state is to keep.

use std::collections::BTreeSet;

use crate::correlate::World;
use crate::error::Result;
use crate::judge::Judge;
use crate::model::finding::Scan;
use crate::model::input::{InputKind, InputReport, Status};
use crate::model::judged::{JudgedTarget, Judgement};
use crate::pipeline::Job;
use crate::scan::targets::merge_scans;
use crate::state::{Changes, Findings, Logs, RunId, State, Tickets, Tonight};
use crate::tickets::{Standings, former_ids, ticket_id};
use crate::writers::profiles::Chosen;

/// What earlier runs knew, and as the run goes on what this one knows.
pub(super) struct Remembered {
    tickets: Tickets,
    findings: Findings,
    /// Ticket systems that know the tickets.
    profiles: BTreeSet<String>,
}

impl Remembered {
    pub(super) fn read(state: &State) -> Result<Self> {
        let (tickets, findings) = (state.tickets()?, state.findings()?);
        Ok(Self { tickets, findings, profiles: state.profiles()? })
    }

    /// The same profiles, and which of them come late.
    pub(super) fn profiles(&self, chosen: &Chosen) -> Chosen {
        let names = chosen.profiles.iter().map(|profile| profile.name());
        let late_comers = names.filter(|name| !self.profiles.contains(*name)).collect();
        Chosen { late_comers, ..chosen.clone() }
    }

    /// The assets and targets of this run's scans, and those that only earlier scans had.
    pub(super) fn world(&mut self, job: &Job, scans: &[Scan]) -> World {
        let selection = &job.scan_options.plugins;
        let mut hosts = merge_scans(scans, selection);
        self.findings.take(&mut hosts, scans, selection);
        World::new(&hosts, &job.policy).with_scanners(self.findings.scanners())
    }

    /// Says where the tickets stand, and looks for the proof of those that this run resolves.
    pub(super) fn settle(
        &mut self,
        judgement: &mut Judgement,
        judge: &Judge<'_>,
        tonight: &Tonight<'_>,
    ) -> Standings {
        let targets = &mut judgement.targets;
        let standings = self.tickets.take(targets, &mut self.findings, tonight);
        for target in targets {
            let Some(mut proof) = target.proof.take() else { continue };
            proof.denied = judge.denied_after(target, proof.last_open);
            target.proof = Some(proof);
        }
        standings
    }

    /// Keeps it.
    pub(super) fn write(
        &self,
        changes: &Changes<'_>,
        run: RunId,
        (job, scans): (&Job, &[Scan]),
    ) -> Result<()> {
        changes.put_scans(scans, run)?;
        changes.put_tickets(&self.tickets, run, job.clock)?;
        changes.put_findings(&self.findings)?;
        changes.put_profiles(job.profiles.profiles.iter().map(|profile| profile.name()))
    }
}

/// What a run over these inputs knows of its logs.
pub(super) fn tonight<'j>(job: &'j Job, reports: &[InputReport]) -> Tonight<'j> {
    let is_broken = |report: &InputReport| {
        let is_log = report.kind != InputKind::Scan;
        is_log && matches!(report.status, Status::Partial(_) | Status::Unreadable(_))
    };
    let logs = if reports.iter().any(is_broken) { Logs::Broken } else { Logs::Whole };
    Tonight { policy: &job.policy, at: job.clock, logs }
}

/// Warnings of accepted risks of the policy that no ticket is.
pub(super) fn pointless_risks(
    job: &Job,
    targets: &[JudgedTarget],
    remembered: Option<&Remembered>,
) -> Vec<String> {
    let own = |target: &JudgedTarget| ticket_id(&target.asset.key, target.port);
    let ids: BTreeSet<String> =
        targets.iter().flat_map(|target| former_ids(target).chain([own(target)])).collect();
    let is_known =
        |id: &String| ids.contains(id) || remembered.is_some_and(|known| known.tickets.knows(id));
    let risks = job.policy.accepted_risks.iter().map(|risk| &risk.ticket);
    let pointless: BTreeSet<&String> = risks.filter(|id| !is_known(id)).collect();
    let warn = |id| {
        format!("the policy accepts the risk of {id}, but no ticket has this id: see tickets.csv")
    };
    pointless.into_iter().map(warn).collect()
}
