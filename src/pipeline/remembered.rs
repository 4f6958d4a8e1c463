//! Tickets and findings of earlier runs in the flow of this one. In: the state, this run's scans,
//! the targets as judged. Out: the world with the targets that only earlier scans had, where each
//! ticket stands, and what the state is to keep.

use crate::correlate::World;
use crate::error::Result;
use crate::judge::Judge;
use crate::model::finding::Scan;
use crate::model::judged::Judgement;
use crate::model::policy::Policy;
use crate::model::time::Timestamp;
use crate::pipeline::Job;
use crate::scan::targets::merge_scans;
use crate::state::{Changes, Findings, RunId, State, Tickets};
use crate::tickets::Standings;

/// What earlier runs knew, and as the run goes on what this one knows.
pub(super) struct Remembered {
    tickets: Tickets,
    findings: Findings,
}

impl Remembered {
    pub(super) fn read(state: &State) -> Result<Self> {
        Ok(Self { tickets: state.tickets()?, findings: state.findings()? })
    }

    /// The assets and targets of this run's scans, and those that earlier runs have tickets for.
    pub(super) fn world(&mut self, job: &Job, scans: &[Scan]) -> World {
        let mut hosts = merge_scans(scans, &job.scan_options.plugins);
        self.findings.take(&mut hosts, scans);
        World::new(&hosts, &job.policy).with_scanners(self.findings.scanners())
    }

    /// Says where the tickets stand, and looks for the proof of those that this run resolves.
    pub(super) fn settle(
        &mut self,
        judgement: &mut Judgement,
        judge: &Judge<'_>,
        policy: &Policy,
        at: Timestamp,
    ) -> Standings {
        let targets = &mut judgement.targets;
        let standings = self.tickets.take(targets, &mut self.findings, policy, at);
        for target in targets {
            let Some(mut proof) = target.proof.take() else { continue };
            proof.denied = judge.denied_after(target, proof.last_open);
            target.proof = Some(proof);
        }
        standings
    }

    /// Keeps it.
    pub(super) fn write(&self, changes: &Changes<'_>, run: RunId, at: Timestamp) -> Result<()> {
        changes.put_tickets(&self.tickets, run, at)?;
        changes.put_findings(&self.findings)
    }
}
