//! The oracle's look at one target. In: its flows and sessions. Out: every source's and the target's
//! facts, counted anew from the events each time they are needed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use helotriage::model::citation::Citation;
use helotriage::model::finding::Role;
use helotriage::model::flow::{Action, Answer, Flow, FlowEvent, Host};
use helotriage::model::input::Span;
use helotriage::model::judged::{
    CitationKind, Class, Confidence, Counts, Priority, Rule, StepDown, Verdict,
};
use helotriage::model::net::is_public;
use helotriage::model::policy::{AssetPolicy, AssetRole};
use helotriage::model::session::{Auth, Helo, Outcome, Session};
use helotriage::model::target::ScanTarget;
use helotriage::model::time::{SECOND, Timestamp};

use super::naive::{NaiveSource, NaiveTarget, Oracle};

const DAY: i64 = 86_400 * SECOND;

/// One target with its events.
pub(super) struct Scene<'a> {
    oracle: &'a Oracle<'a>,
    asset: usize,
    port: u16,
    flows: Vec<&'a FlowEvent>,
    sessions: Vec<&'a Session>,
    found: Vec<&'a ScanTarget>,
    mail: Vec<Span>,
    firewall: Vec<Span>,
    covered: bool,
}

/// The client that a flow is evidence of.
fn client_of(flow: &Flow) -> Option<IpAddr> {
    match flow.src {
        Host::Ip(ip) => Some(ip.to_canonical()),
        Host::Name(_) => flow.nat_src.map(|end| end.ip.to_canonical()),
    }
}

fn is_permitted(flow: &Flow) -> bool {
    matches!(flow.action, Action::Allow | Action::Close) && flow.answer == Answer::Untold
}

fn ends(session: &Session) -> Option<(Timestamp, Timestamp)> {
    let start = session.start.or(session.end)?;
    Some((start, session.end.unwrap_or(start)))
}

impl<'a> Scene<'a> {
    pub(super) fn new(oracle: &'a Oracle<'a>, asset: usize, port: u16) -> Self {
        let flows = oracle.flows(asset, port);
        let mail = oracle.mail_spans(asset);
        let (firewall, by_firewall) = oracle.firewall_spans(asset, &flows);
        let hosts = &oracle.assets[asset].hosts;
        let found = hosts.iter().flat_map(|host| &host.targets).filter(|t| t.port == port);
        Self {
            oracle,
            asset,
            port,
            sessions: oracle.sessions(asset, port),
            found: found.collect(),
            covered: by_firewall || !mail.is_empty(),
            flows,
            mail,
            firewall,
        }
    }

    fn block(&self) -> &AssetPolicy {
        &self.oracle.assets[self.asset].block
    }

    fn relay_plugin(&self) -> bool {
        self.found.iter().any(|target| target.roles.contains(&Role::Relay))
    }

    fn newest(&self) -> Option<Timestamp> {
        self.mail.iter().chain(&self.firewall).map(|span| span.last).max()
    }

    pub(super) fn clients(&self) -> BTreeSet<IpAddr> {
        let flows = self.flows.iter().filter_map(|event| client_of(&event.flow));
        let sessions = self.sessions.iter().filter_map(|session| session.client);
        flows.chain(sessions.map(|ip| ip.to_canonical())).collect()
    }

    fn sessions_of(&self, ip: IpAddr) -> Vec<&'a Session> {
        let own = |session: &&&Session| session.client.map(|c| c.to_canonical()) == Some(ip);
        self.sessions.iter().filter(own).copied().collect()
    }

    fn flows_of(&self, ip: IpAddr) -> Vec<&'a FlowEvent> {
        let own = |event: &&&FlowEvent| client_of(&event.flow) == Some(ip);
        self.flows.iter().filter(own).copied().collect()
    }

    fn counts(&self, flows: &[&FlowEvent], sessions: &[&Session], ip: IpAddr) -> Counts {
        let count = |fits: &dyn Fn(&Session) -> bool| {
            sessions.iter().filter(|session| fits(session)).count() as u64
        };
        let hits = |fits: &dyn Fn(&FlowEvent) -> bool| -> u64 {
            flows.iter().filter(|e| fits(e)).map(|e| u64::from(e.flow.count)).sum()
        };
        let action = |event: &FlowEvent, device: u32, action: Action| {
            event.device == device && event.flow.action == action && is_permitted(&event.flow)
        };
        let permitted = |device| {
            let allows = hits(&|event| action(event, device, Action::Allow));
            allows.max(hits(&|event| action(event, device, Action::Close)))
        };
        Counts {
            helo_accepted: count(&|s| s.helo == Helo::Accepted),
            corroborated: count(&|s| s.helo == Helo::Accepted && self.is_corroborated(s, ip)),
            mail_accepted: count(&|s| matches!(s.outcome, Outcome::Queued | Outcome::Relayed)),
            relayed: count(&|s| self.oracle.is_relayed(self.asset, s)),
            auth_ok: count(&|s| s.auth == Auth::Ok),
            auth_failed: count(&|s| s.auth == Auth::Failed),
            helo_rejected: count(&|s| s.helo == Helo::Rejected),
            sessions: count(&|_| true),
            fw_permitted: permitted(0) + permitted(1),
            fw_denied: hits(&|event| event.flow.action == Action::Deny),
            fw_other: hits(&|e| e.flow.action != Action::Deny && !is_permitted(&e.flow)),
        }
    }

    /// A permitted flow whose client is, or may be behind NAT, the session's.
    fn is_corroborated(&self, session: &Session, ip: IpAddr) -> bool {
        let Some((start, end)) = ends(session) else { return false };
        let tolerance = self.oracle.tolerance();
        self.flows.iter().any(|event| {
            let flow = &event.flow;
            let other = flow.nat_src.map(|end| end.ip.to_canonical());
            let same = client_of(flow) == Some(ip) || other == Some(ip);
            // A flow without any client's address is no evidence of anybody.
            let known = client_of(flow).is_some();
            let near =
                |time: Timestamp| start.0 - tolerance <= time.0 && time.0 <= end.0 + tolerance;
            is_permitted(flow) && known && same && flow.time.is_some_and(near)
        })
    }

    fn role_expects(&self, class: Class, counts: &Counts, sessions: &[&Session]) -> bool {
        let mail_without_auth = sessions.iter().any(|s| {
            matches!(s.outcome, Outcome::Queued | Outcome::Relayed)
                && matches!(s.auth, Auth::None | Auth::Failed)
        });
        match (self.block().role, self.port) {
            (AssetRole::Mx, 25) => counts.relayed == 0 && counts.auth_ok == 0,
            (AssetRole::Mx, 465 | 587) | (AssetRole::Submission, _) => !mail_without_auth,
            (AssetRole::Internal, _) => class == Class::Internal,
            _ => false,
        }
    }

    pub(super) fn source(&self, ip: IpAddr) -> Option<NaiveSource> {
        let class = self.oracle.class(self.asset, ip);
        let (flows, sessions) = (self.flows_of(ip), self.sessions_of(ip));
        let counts = self.counts(&flows, &sessions, ip);
        if self.oracle.made.policy.networks.proxies.contains(ip)
            || !matches!(class, Class::Internal | Class::External)
            || self.role_expects(class, &counts, &sessions)
        {
            return None;
        }
        let abuse = counts.mail_accepted + counts.auth_ok > 0;
        let total = counts.relayed > 0 || counts.auth_ok > 0 || self.relay_plugin();
        let reached = counts.sessions > 0 || counts.fw_permitted > 0;
        let rule = match (abuse, class == Class::External, total) {
            _ if !reached => None,
            (true, true, true) => Some(Rule::R15),
            (true, false, true) => Some(Rule::R13),
            (false, true, true) => Some(Rule::R14),
            (true, true, false) => Some(Rule::R11),
            (false, true, false) => Some(Rule::R7),
            (true, false, false) => Some(Rule::R6),
            (false, false, true) => Some(Rule::R10),
            (false, false, false) => Some(Rule::R3),
        };
        let times = flows.iter().filter_map(|event| event.flow.time);
        let spans = || sessions.iter().filter_map(|session| ends(session));
        let named = |name: &dyn Fn(&Session) -> Option<String>| earliest(&sessions, name);
        Some(NaiveSource {
            ip,
            class,
            rule,
            step_down: rule.filter(|_| !abuse).and_then(|_| self.step(&flows, &sessions)),
            counts,
            first: times.clone().chain(spans().map(|(start, _)| start)).min(),
            last: times.chain(spans().map(|(_, end)| end)).max(),
            helo_names: texts(&named(&|s| s.helo_name.as_ref().map(ToString::to_string))),
            sasl_names: texts(&named(&|s| s.sasl_username.as_ref().map(ToString::to_string))),
            cited: cited(&flows, &sessions),
        })
    }

    fn step(&self, flows: &[&FlowEvent], sessions: &[&Session]) -> Option<StepDown> {
        let accepted = |s: &&Session| s.helo == Helo::Accepted;
        let helo = sessions.iter().copied().filter(accepted).filter_map(ends).map(|(_, end)| end);
        let time = |fits: &dyn Fn(&Flow) -> bool| {
            flows.iter().filter(|e| fits(&e.flow)).filter_map(|e| e.flow.time).max()
        };
        let denied = time(&|flow| flow.action == Action::Deny);
        let other = time(&|flow| flow.action != Action::Deny);
        let reached = sessions.iter().filter_map(|s| ends(s)).map(|(_, end)| end);
        let reached = reached.max().max(time(&is_permitted));
        let stale = reached.zip(self.newest()).is_some_and(|(t, new)| new.0 - t.0 > 30 * DAY);
        if self.is_silent(flows, sessions) {
            Some(StepDown::Silent)
        } else if denied.is_some() && other < denied && helo.max() < denied {
            Some(StepDown::BlockedSince)
        } else {
            stale.then_some(StepDown::Stale)
        }
    }

    fn is_silent(&self, flows: &[&FlowEvent], sessions: &[&Session]) -> bool {
        let maybe = |s: &&Session| matches!(s.helo, Helo::Accepted | Helo::Unknown);
        let proxies = &self.oracle.made.policy.networks.proxies;
        let others: Vec<IpAddr> = flows
            .iter()
            .filter_map(|event| event.flow.nat_src.map(|end| end.ip.to_canonical()))
            .collect();
        let hidden = self.sessions.iter().copied().filter(maybe).any(|session| {
            let client = session.client.map(|ip| ip.to_canonical());
            client.is_some_and(|ip| proxies.contains(ip) || others.contains(&ip))
        });
        let mut permits = flows.iter().filter(|event| is_permitted(&event.flow));
        !self.mail.is_empty()
            && self.oracle.shows_helo(self.asset)
            && !hidden
            && !sessions.iter().any(maybe)
            && permits.all(|event| event.flow.time.is_some_and(|time| self.in_mail_log(time)))
    }

    /// Inside the mail log's spans, or in a gap that says nothing.
    fn in_mail_log(&self, time: Timestamp) -> bool {
        let before = self.mail.iter().filter(|span| span.first <= time).map(|span| span.last).max();
        let after = self.mail.iter().filter(|span| span.first > time).map(|span| span.first).min();
        let gap = 2 * self.oracle.tolerance();
        before.is_some_and(|before| {
            before >= time || after.is_some_and(|after| after.0 - before.0 <= gap)
        })
    }

    pub(super) fn target(&self, sources: Vec<NaiveSource>) -> NaiveTarget {
        let mut counts = Counts::default();
        for source in &sources {
            counts.add(&source.counts);
        }
        let (rule, before) = self.rule_and_band(&sources);
        let critical = self.block().critical;
        let band = if critical { (before - 1).max(1) } else { before };
        let priority =
            [Priority::P1, Priority::P2, Priority::P3, Priority::P4][usize::from(band) - 1];
        let unexpected: BTreeSet<IpAddr> = sources.iter().map(|source| source.ip).collect();
        let sessions: Vec<&Session> =
            unexpected.iter().flat_map(|&ip| self.sessions_of(ip)).collect();
        let score = 20 * (5 - band) + self.points(&sources, &counts, &sessions).min(19);
        NaiveTarget {
            key: self.oracle.assets[self.asset].key.clone(),
            port: self.port,
            verdict: self.verdict(&counts),
            rule,
            priority,
            score,
            confidence: match rule {
                Rule::R0 => Confidence::None,
                _ if counts.corroborated > 0 => Confidence::High,
                _ if counts.helo_accepted > 0 => Confidence::Medium,
                _ if self.has_mail_log_of(&sources, &counts) => Confidence::Low,
                _ => Confidence::Medium,
            },
            due_days: [3, 14, 60, 180][usize::from(band) - 1],
            external: sources.iter().filter(|s| s.class == Class::External).count() as u64,
            counts,
            first: sources.iter().filter_map(|source| source.first).min(),
            last: sources.iter().filter_map(|source| source.last).max(),
            helo_names: texts(&earliest(&sessions, &|s| {
                s.helo_name.as_ref().map(ToString::to_string)
            })),
            sources,
        }
    }

    fn verdict(&self, counts: &Counts) -> Verdict {
        match counts {
            c if c.mail_accepted + c.relayed + c.auth_ok > 0 => Verdict::Abused,
            c if c.corroborated > 0 => Verdict::Confirmed,
            c if c.helo_accepted > 0 => Verdict::Accepted,
            c if c.fw_permitted + c.sessions > 0 => Verdict::Reachable,
            c if c.fw_denied > 0 => Verdict::Blocked,
            _ if self.covered => Verdict::Quiet,
            _ => Verdict::Uncovered,
        }
    }

    fn rule_and_band(&self, sources: &[NaiveSource]) -> (Rule, u8) {
        let ranked = sources.iter().filter_map(|source| {
            let rule = source.rule?;
            let band = match rule {
                Rule::R15 | Rule::R13 | Rule::R14 | Rule::R11 => 1,
                Rule::R7 | Rule::R6 => 2,
                _ => 3,
            };
            Some((if source.step_down.is_some() { 4.min(band + 1) } else { band }, rule))
        });
        let public = match self.oracle.assets[self.asset].hosts.iter().filter_map(|h| h.ip).min() {
            Some(ip) => is_public(ip),
            None => unreachable!("targets stand on hosts"),
        };
        match ranked.min() {
            Some((band, rule)) => (rule, band),
            None if self.relay_plugin() => (Rule::R0, if public { 2 } else { 3 }),
            None => (Rule::R0, 4),
        }
    }

    /// Whether the mail log covers some of what is known of the sources.
    fn has_mail_log_of(&self, sources: &[NaiveSource], counts: &Counts) -> bool {
        counts.sessions > 0
            || sources.iter().any(|source| {
                let times: Vec<i64> = self
                    .flows_of(source.ip)
                    .iter()
                    .filter(|event| is_permitted(&event.flow))
                    .filter_map(|event| event.flow.time.map(|time| time.0))
                    .collect();
                // Flows at most twice the tolerance apart are one stretch of time.
                let joined = |a: i64, b: i64| b - a <= 2 * self.oracle.tolerance();
                let mut sorted = times.clone();
                sorted.sort_unstable();
                let stretches = sorted.windows(2).filter(|pair| joined(pair[0], pair[1]));
                let points = sorted.iter().map(|&t| (t, t));
                points.chain(stretches.map(|pair| (pair[0], pair[1]))).any(|(from, to)| {
                    self.mail.iter().any(|span| span.first.0 <= to && from <= span.last.0)
                })
            })
    }

    fn points(&self, sources: &[NaiveSource], counts: &Counts, sessions: &[&Session]) -> u8 {
        let reached: Vec<&NaiveSource> = sources.iter().filter(|s| s.rule.is_some()).collect();
        let agreement = match counts {
            _ if reached.is_empty() => 0,
            c if c.corroborated > 0 => 6,
            c if c.helo_accepted > 0 => 4,
            c if c.fw_permitted > 0 && !self.has_mail_log_of(sources, counts) => 2,
            _ => 1,
        };
        let networks: BTreeSet<String> = reached
            .iter()
            .map(|source| match source.ip {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("{:?}", &ip.segments()[..4]),
            })
            .collect();
        let distinct = match networks.len() {
            0 => 0,
            1 => 1,
            2..=3 => 2,
            4..=7 => 3,
            8..=15 => 4,
            _ => 5,
        };
        let flows = reached.iter().flat_map(|source| self.flows_of(source.ip));
        let permitted = flows.filter(|e| is_permitted(&e.flow)).filter_map(|e| e.flow.time);
        let ended = sessions.iter().filter_map(|s| ends(s)).map(|(_, end)| end);
        let behind = permitted.chain(ended).max().zip(self.newest()).map(|(t, new)| new.0 - t.0);
        let recency = match behind {
            Some(behind) if behind <= DAY => 4,
            Some(behind) if behind <= 7 * DAY => 3,
            Some(behind) if behind <= 30 * DAY => 1,
            _ => 0,
        };
        let scanned = self.found.iter().filter_map(|target| target.scan_time).max();
        let after = sessions.iter().filter(|s| s.helo == Helo::Accepted).any(|session| {
            ends(session).zip(scanned).is_some_and(|((start, _), scanned)| start > scanned)
        });
        let weakens = self.found.iter().map(|target| target.weakens).max().unwrap_or(0).min(2);
        agreement + distinct + recency + if after { 2 } else { 0 } + weakens as u8
    }
}

type Named = Vec<(Option<i64>, String)>;

/// The earliest 8 names, those without a time last.
fn earliest(sessions: &[&Session], name: &dyn Fn(&Session) -> Option<String>) -> Named {
    let mut first: BTreeMap<String, i64> = BTreeMap::new();
    for session in sessions {
        if let Some(name) = name(session) {
            let time = ends(session).map_or(i64::MAX, |(start, _)| start.0);
            let known = first.entry(name).or_insert(time);
            *known = time.min(*known);
        }
    }
    let mut names: Vec<(Option<i64>, String)> =
        first.into_iter().map(|(name, time)| (Some(time), name)).collect();
    names.sort();
    names.truncate(8);
    names
}

fn texts(names: &Named) -> Vec<String> {
    names.iter().map(|(_, name)| name.clone()).collect()
}

/// The earliest and the latest line of each kind.
fn cited(
    flows: &[&FlowEvent],
    sessions: &[&Session],
) -> Vec<(CitationKind, Option<Timestamp>, Citation)> {
    let mut lines: BTreeMap<CitationKind, BTreeSet<(Option<Timestamp>, Citation)>> =
        BTreeMap::new();
    for event in flows {
        let kind = match event.flow.action {
            Action::Deny => CitationKind::Denied,
            _ if is_permitted(&event.flow) => CitationKind::Permitted,
            _ => CitationKind::Seen,
        };
        lines.entry(kind).or_default().insert((event.flow.time, event.at));
    }
    for session in sessions {
        let start = ends(session).map(|(start, _)| start);
        for line in &session.lines {
            let at = Citation { input: line.input, line: line.line };
            lines.entry(CitationKind::Mail(line.proves)).or_default().insert((start, at));
        }
    }
    let mut cited = BTreeSet::new();
    for (kind, spots) in lines {
        for (time, at) in spots.first().into_iter().chain(spots.last()) {
            cited.insert((kind, *time, *at));
        }
    }
    cited.into_iter().collect()
}
