//! What the logs can say about targets: "no evidence" is only worth something inside it. In: what
//! became of each input, the evidence's servers, the policy's `covers`. Out: spans of time for
//! each target, and which setting would make its mail log show an accepted HELO.
//!
//! A log covers from its first to its last timed line, and gaps between files are gaps.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::correlate::evidence::Evidence;
use crate::correlate::names::tidy;
use crate::correlate::server::{LoggedServer, ServerFacts, Spoken};
use crate::correlate::world::{Matched, World};
use crate::logs::mail::{FORMATS, ShowsHelo};
use crate::model::input::{Devices, InputKind, InputReport, Span};
use crate::model::judged::TargetCoverage;
use crate::model::net::NetSet;
use crate::model::policy::Policy;
use crate::model::time::Timestamp;

/// Joins spans that overlap or touch; ascending.
pub fn union(spans: Vec<Span>) -> Vec<Span> {
    bridge(spans, 0)
}

/// Joins spans that lie at most `gap` microseconds apart; ascending.
fn bridge(mut spans: Vec<Span>, gap: i64) -> Vec<Span> {
    spans.sort_unstable();
    let mut joined: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.first.0 <= last.last.0.saturating_add(gap) => {
                *last = last.union(span);
            }
            _ => joined.push(span),
        }
    }
    joined
}

/// Whether one of the disjoint, ascending spans holds the whole of the given one.
pub fn holds(spans: &[Span], first: Timestamp, last: Timestamp) -> bool {
    let at = spans.partition_point(|span| span.last < last);
    spans.get(at).is_some_and(|span| span.first <= first)
}

/// Whether one of the disjoint, ascending spans meets the given one.
pub fn meets(spans: &[Span], first: Timestamp, last: Timestamp) -> bool {
    let at = spans.partition_point(|span| span.last < first);
    spans.get(at).is_some_and(|span| span.first <= last)
}

/// What a target's logs cover, and how firmly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Covered {
    /// The spans and the setting, for the ticket.
    pub facts: TargetCoverage,
    /// Whether anything but flows of unknown action speaks of the target.
    pub is_covered: bool,
    /// The mail log's spans; gaps too short to say anything about a flow in them (twice the
    /// tolerance, as between the last line of a rotated log and the next) are none here.
    pub mail_bridged: Vec<Span>,
    /// Whether the mail log can show an accepted HELO of a session that did nothing else.
    pub shows_helo: bool,
}

/// How a format's log shows HELO; none for firewall formats and unknown names.
pub type ShowsHeloOf = fn(&str) -> Option<ShowsHelo>;

/// What the list of mail formats says.
pub fn shows_helo_of(format: &str) -> Option<ShowsHelo> {
    FORMATS.iter().find(|known| known.name() == format).map(|known| known.shows_helo())
}

/// Coverage of all targets.
pub struct Coverage<'a> {
    world: &'a World,
    evidence: &'a Evidence,
    reports: &'a [InputReport],
    shows_helo: ShowsHeloOf,
}

/// What is known of one asset's mail log.
#[derive(Default)]
struct MailLog {
    spans: Vec<Span>,
    formats: BTreeSet<String>,
    /// Formats of the inputs that name the server, whoever wrote the lines.
    around: BTreeSet<&'static str>,
    bare_helos: u64,
    undecided: u64,
}

impl<'a> Coverage<'a> {
    /// What the inputs' reports and the evidence say. Inputs are numbered as in citations.
    pub fn new(
        world: &'a World,
        evidence: &'a Evidence,
        reports: &'a [InputReport],
        shows_helo: ShowsHeloOf,
    ) -> Self {
        Self { world, evidence, reports, shows_helo }
    }

    /// The coverage of each target, in the order of the world's targets.
    pub fn of_targets(&self, policy: &Policy) -> Vec<Covered> {
        let mut covered = vec![Covered::default(); self.world.targets().len()];
        self.add_policy(policy, &mut covered);
        self.add_flows(&mut covered);
        let logs: Vec<MailLog> = self.mail_logs();
        for (target, covered) in self.world.targets().iter().zip(&mut covered) {
            if let Some(log) = logs.get(target.asset) {
                self.add_mail(log, covered);
            }
            covered.facts.firewall = union(std::mem::take(&mut covered.facts.firewall));
        }
        covered
    }

    /// When which mail server's log speaks, by name.
    pub fn by_mail_server(&self) -> BTreeMap<String, Vec<Span>> {
        let mut spans: BTreeMap<String, Vec<Span>> = BTreeMap::new();
        for (name, span) in self.reports.iter().flat_map(|report| &report.servers) {
            spans.entry(tidy(name)).or_default().push(*span);
        }
        spans.into_iter().map(|(name, spans)| (name, union(spans))).collect()
    }

    /// When which firewall's log speaks, by name.
    pub fn by_firewall(&self, devices: &Devices) -> BTreeMap<String, Vec<Span>> {
        let mut spans: BTreeMap<String, Vec<Span>> = BTreeMap::new();
        for &(device, input) in self.evidence.devices() {
            if let Some(span) = self.report(input).and_then(|report| report.span) {
                spans.entry(devices.name(device).to_owned()).or_default().push(span);
            }
        }
        spans.into_iter().map(|(name, spans)| (name, union(spans))).collect()
    }

    fn report(&self, input: u32) -> Option<&'a InputReport> {
        self.reports.get(input as usize)
    }

    /// What the policy says that firewall logs cover.
    fn add_policy(&self, policy: &Policy, covered: &mut [Covered]) {
        let mut spans: BTreeMap<Vec<IpNet>, Vec<Span>> = BTreeMap::new();
        let logs = self
            .reports
            .iter()
            .filter(|report| matches!(report.kind, InputKind::Firewall | InputKind::Log));
        for report in logs {
            let covers = policy.input_settings(&report.path).covers;
            if let (false, Some(span)) = (covers.is_empty(), report.span) {
                spans.entry(covers).or_default().push(span);
            }
        }
        for (networks, spans) in spans {
            let (networks, spans) = (NetSet::new(networks), union(spans));
            for (target, covered) in self.world.targets().iter().zip(&mut *covered) {
                let asset = self.world.assets().get(target.asset);
                let addresses = asset.map_or(&[][..], |asset| &asset.facts.addresses);
                if addresses.iter().any(|&ip| networks.contains(ip)) {
                    covered.facts.firewall.extend(&spans);
                    covered.is_covered = true;
                }
            }
        }
    }

    /// A firewall log covers a target when it holds any flow to its address and port.
    fn add_flows(&self, covered: &mut [Covered]) {
        for (server, facts) in self.evidence.servers() {
            let (LoggedServer::Flow { .. }, Matched::Targets(targets)) =
                (server, self.world.matched(server))
            else {
                continue;
            };
            let spans = facts.inputs.iter().filter_map(|&(input, _)| self.report(input)?.span);
            let spans: Vec<Span> = spans.collect();
            let is_known = facts.inputs.iter().any(|&(_, spoken)| spoken == Spoken::Known);
            for target in targets {
                if let Some(covered) = covered.get_mut(target) {
                    covered.facts.firewall.extend(&spans);
                    covered.is_covered |= is_known;
                }
            }
        }
    }

    /// A mail log covers an asset when it holds lines of its server.
    fn mail_logs(&self) -> Vec<MailLog> {
        let mut logs: Vec<MailLog> = Vec::new();
        logs.resize_with(self.world.assets().len(), MailLog::default);
        for report in self.reports {
            for (name, span) in &report.servers {
                for asset in self.world.mail_assets(name, None) {
                    if let Some(log) = logs.get_mut(asset) {
                        log.spans.push(*span);
                        log.around.extend(report.formats.keys());
                    }
                }
            }
        }
        for (server, facts) in self.evidence.servers() {
            let LoggedServer::Mail { name, ip, .. } = server else { continue };
            for asset in self.world.mail_assets(name, *ip) {
                if let Some(log) = logs.get_mut(asset) {
                    self.add_sessions(log, name, facts);
                }
            }
        }
        logs
    }

    fn add_sessions(&self, log: &mut MailLog, name: &str, facts: &ServerFacts) {
        log.bare_helos += facts.bare_helos;
        log.undecided += facts.undecided;
        log.formats.extend(facts.formats.iter().map(|&format| format.to_owned()));
        for &(input, _) in &facts.inputs {
            let Some(report) = self.report(input) else { continue };
            let mut own = report.servers.iter().filter(|(logged, _)| tidy(logged) == name);
            let span = own.next().map(|(_, span)| *span).or(report.span);
            log.spans.extend(span);
        }
    }

    fn add_mail(&self, log: &MailLog, covered: &mut Covered) {
        covered.facts.mail = union(log.spans.clone());
        if covered.facts.mail.is_empty() {
            return;
        }
        covered.is_covered = true;
        covered.mail_bridged = bridge(covered.facts.mail.clone(), self.evidence.join());
        let around = log.around.iter().map(|format| (*format).to_owned());
        let formats: BTreeSet<String> =
            if log.formats.is_empty() { around.collect() } else { log.formats.clone() };
        let known: Vec<ShowsHelo> =
            formats.iter().filter_map(|format| (self.shows_helo)(format)).collect();
        let hiding = known.iter().find(|shows| !log.shows(**shows));
        covered.shows_helo = hiding.is_none() && !known.is_empty();
        covered.facts.hidden_helo = hiding.map(|shows| shows.advice());
    }
}

impl MailLog {
    /// Whether this server's log shows accepted HELOs, by what its format can do and what it has
    /// shown. Old versions and missing settings betray themselves by sessions left undecided.
    fn shows(&self, format: ShowsHelo) -> bool {
        match format {
            ShowsHelo::Default(_) => self.bare_helos > 0 || self.undecided == 0,
            ShowsHelo::WithSetting(_) => self.bare_helos > 0,
            ShowsHelo::Never(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(first: i64, last: i64) -> Span {
        Span { first: Timestamp(first), last: Timestamp(last) }
    }

    #[test]
    fn gaps_between_files_are_gaps() {
        let spans = union(vec![span(20, 30), span(0, 5), span(5, 10), span(22, 25)]);
        assert_eq!(spans, [span(0, 10), span(20, 30)]);
        for (first, last, held, met) in [
            (0, 10, true, true),
            (3, 7, true, true),
            (9, 11, false, true),
            (9, 21, false, true),
            (11, 19, false, false),
            (25, 30, true, true),
            (30, 31, false, true),
            (31, 31, false, false),
        ] {
            let ends = (Timestamp(first), Timestamp(last));
            assert_eq!(holds(&spans, ends.0, ends.1), held, "{first} {last}");
            assert_eq!(meets(&spans, ends.0, ends.1), met, "{first} {last}");
        }
    }
}
