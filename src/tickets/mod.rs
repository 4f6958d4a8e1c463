//! Judged targets to tickets. In: a target as judged, the policy, the run's inputs. Out: a typed
//! ticket, one field for each column of tickets.csv in the column's order, with texts for the
//! person who gets it.
//!
//! Nothing is written or escaped here for a particular output; that is `writers`'.

mod advice;
mod commands;
mod firewall;
mod identity;
mod place;
mod proof;
mod restriction;
mod templates;
mod texts;
mod trial;
mod words;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use crate::model::finding::ScanHelo;
use crate::model::input::InputReport;
use crate::model::judged::{Confidence, JudgedTarget, Priority, Rule, Verdict};
use crate::model::policy::{AssetRole, Policy};
use crate::model::time::Timestamp;

pub use identity::{former_ids, ticket_id};
pub use place::{Place, file_name};
pub use restriction::{Restricted, Restriction};
pub use templates::{BUILT_IN, Templates};
pub use texts::{Author, Texts};

/// Where a ticket stands in its life; runs without state know only [`Status::New`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// First raised by this run.
    New,
    /// Raised before, and still there.
    Open,
    /// Resolved before, and there again.
    Reopened,
    /// Scanned again, gone, and reached by no unexpected source since.
    Resolved,
    /// A risk that the policy accepts for now.
    AcceptedRisk,
    /// Its host was not scanned again: still open.
    NotRetested,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::New,
        Self::Open,
        Self::Reopened,
        Self::Resolved,
        Self::AcceptedRisk,
        Self::NotRetested,
    ];

    /// The word in outputs.
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Open => "open",
            Self::Reopened => "reopened",
            Self::Resolved => "resolved",
            Self::AcceptedRisk => "accepted_risk",
            Self::NotRetested => "not_retested",
        }
    }
}

/// What this run did to a ticket, for systems that cannot be told the same thing twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// No earlier run told it, or it is reopened.
    Raised,
    /// Told before, and something that a reader acts on is different: status, priority, verdict.
    Changed,
    /// Resolved by this run.
    Closed,
    /// As the run before told it.
    Same,
}

/// What earlier runs know of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its status.
    pub status: Status,
    /// What this run did to it.
    pub change: Change,
    /// When it is due; none where no scan says when it was opened.
    pub due_date: Option<Timestamp>,
}

impl Standing {
    /// Of a target as a run without state sees it: new, if it makes a ticket.
    pub fn without_state(target: &JudgedTarget) -> Option<Self> {
        target.makes_ticket().then(|| Self::new(target))
    }

    /// Of a target's ticket at that time, if no earlier run knows it: new, or accepted by the policy.
    pub fn by_policy(target: &JudgedTarget, policy: &Policy, at: Timestamp) -> Self {
        let ids = [ticket_id(&target.asset.key, target.port)];
        let ids: Vec<String> = ids.into_iter().chain(former_ids(target)).collect();
        let is_accepted = policy.accepted_risk(&ids).is_some_and(|risk| risk.holds_at(at));
        let standing = Self::new(target);
        let status = if is_accepted { Status::AcceptedRisk } else { standing.status };
        Self { status, ..standing }
    }

    /// Of a ticket that no earlier run knows: new, due the band's days after it was opened.
    pub fn new(target: &JudgedTarget) -> Self {
        let opened = target.scan.opened.or(target.scan.scan_time);
        let seconds = i64::from(target.due_days) * 86_400;
        Self {
            status: Status::New,
            change: Change::Raised,
            due_date: opened.map(|time| time.plus_seconds(seconds)),
        }
    }
}

/// Where the tickets of a run stand, by asset key and port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standings(BTreeMap<(String, u16), Standing>);

impl Standings {
    /// As a run at that time sees them which knows no earlier one: new, or accepted by the policy.
    pub fn new(targets: &[JudgedTarget], policy: &Policy, at: Timestamp) -> Self {
        let mut standings = Self::default();
        for target in targets.iter().filter(|target| target.makes_ticket()) {
            standings.set(target, Standing::by_policy(target, policy, at));
        }
        standings
    }

    /// Says where a target's ticket stands.
    pub fn set(&mut self, target: &JudgedTarget, standing: Standing) {
        self.0.insert((target.asset.key.clone(), target.port), standing);
    }

    /// That of a target's ticket; none if it has no ticket.
    pub fn of(&self, target: &JudgedTarget) -> Option<Standing> {
        self.0.get(&(target.asset.key.clone(), target.port)).copied()
    }
}

/// A plugin that names the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plugin {
    /// Nessus plugin id.
    pub id: u32,
    /// Its name as the scan has it.
    pub name: String,
}

/// A ticket: the columns of tickets.csv, typed, in their order (design, section 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Stays the same from run to run.
    pub ticket_id: String,
    /// Where it stands in its life.
    pub status: Status,
    /// What this run did to it; no column.
    pub change: Change,
    /// The band.
    pub priority: Priority,
    /// 0 to 99; sorts inside the band.
    pub score: u8,
    /// How far the logs agree.
    pub confidence: Confidence,
    /// What the evidence says.
    pub verdict: Verdict,
    /// When it is due.
    pub due_date: Option<Timestamp>,
    /// First unexpected evidence.
    pub first_seen: Option<Timestamp>,
    /// Last unexpected evidence.
    pub last_seen: Option<Timestamp>,
    /// The asset's key.
    pub asset: String,
    /// host-ip.
    pub ip: Option<IpAddr>,
    /// The scan's name for the host: foreign text.
    pub fqdn: Option<String>,
    /// TCP port.
    pub port: u16,
    /// What the policy says the asset is for.
    pub role: AssetRole,
    /// Who gets it.
    pub owner: Option<String>,
    /// The plugins that name it.
    pub detected_by: Vec<Plugin>,
    /// The scan's own answer about HELO.
    pub scan_helo: ScanHelo,
    /// 0 to 4.
    pub severity: u8,
    /// End of the scan that it is from.
    pub scan_time: Option<Timestamp>,
    /// Distinct unexpected sources with any evidence, denials included.
    pub unexpected_sources: u64,
    /// Those of class external.
    pub external_sources: u64,
    /// Sessions of unexpected sources whose HELO was accepted.
    pub helo_accepted: u64,
    /// Those of them that the firewall corroborates.
    pub corroborated: u64,
    /// Sessions in which a message was queued.
    pub mail_accepted: u64,
    /// Sessions whose message was relayed.
    pub relayed: u64,
    /// Sessions in which AUTH succeeded.
    pub auth_ok: u64,
    /// Sessions in which AUTH failed.
    pub auth_failed: u64,
    /// Sessions in which every HELO was refused.
    pub helo_rejected: u64,
    /// Connections that firewalls permitted.
    pub fw_permitted: u64,
    /// Connections that firewalls denied.
    pub fw_denied: u64,
    /// At most 5 sources, strongest first.
    pub top_sources: Vec<IpAddr>,
    /// The earliest HELO names: foreign text.
    pub helo_names: Vec<Box<str>>,
    /// The lines that prove it.
    pub evidence: Vec<Place>,
    /// The deciding row of the table.
    pub rule: Rule,
    /// Priority and score, term by term.
    pub reasons: Vec<String>,
    /// What was seen, for the person who gets it, and what to do.
    pub texts: Texts,
}

impl Ticket {
    /// The protocol of every target.
    pub const PROTOCOL: &'static str = "tcp";

    /// The ticket of a target.
    pub fn of(
        target: &JudgedTarget,
        standing: Standing,
        inputs: &[InputReport],
        texts: Texts,
    ) -> Self {
        let JudgedTarget { asset, scan, counts, .. } = target;
        let plugin = |(id, name): &(u32, String)| Plugin { id: *id, name: name.clone() };
        Self {
            ticket_id: ticket_id(&asset.key, target.port),
            status: standing.status,
            change: standing.change,
            priority: target.priority,
            score: target.score,
            confidence: target.confidence,
            verdict: target.verdict,
            due_date: standing.due_date,
            first_seen: target.first_seen,
            last_seen: target.last_seen,
            asset: asset.key.clone(),
            ip: asset.ip,
            fqdn: asset.fqdn.clone(),
            port: target.port,
            role: asset.role,
            owner: asset.owner.clone(),
            detected_by: scan.detected_by.iter().map(plugin).collect(),
            scan_helo: scan.scan_helo,
            severity: scan.severity,
            scan_time: scan.scan_time,
            unexpected_sources: target.unexpected_sources,
            external_sources: target.external_sources,
            helo_accepted: counts.helo_accepted,
            corroborated: counts.corroborated,
            mail_accepted: counts.mail_accepted,
            relayed: counts.relayed,
            auth_ok: counts.auth_ok,
            auth_failed: counts.auth_failed,
            helo_rejected: counts.helo_rejected,
            fw_permitted: counts.fw_permitted,
            fw_denied: counts.fw_denied,
            top_sources: target.top_sources.iter().map(|source| source.ip).collect(),
            helo_names: target.helo_names.clone(),
            evidence: place::evidence(target, inputs),
            rule: target.rule,
            reasons: target.reasons.clone(),
            texts,
        }
    }
}

/// What tickets need besides the targets.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// The run's inputs, in the order of `Citation::input`.
    pub inputs: &'a [InputReport],
    /// What the texts are made from.
    pub templates: &'a Templates,
}
