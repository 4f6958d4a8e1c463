//! One source on one target: all its evidence, its class, its counts, its row of the table. In:
//! the evidence and what the target knows. Out: a [`Source`], made anew whenever it is asked for,
//! so that millions of them need no memory.

use std::collections::BTreeMap;

use crate::correlate::assets::{Asset, Target};
use crate::correlate::cell::Cell;
use crate::correlate::coverage::{Covered, holds};
use crate::correlate::evidence::{Address, Evidence, Key, address_of, ip_of};
use crate::correlate::piece::{FlowKind, Traces};
use crate::correlate::server::LoggedServer;
use crate::correlate::times::Times;
use crate::correlate::world::World;
use crate::judge::sum::Sum;
use crate::judge::table::{Abuse, Impact, rule_of};
use crate::model::judged::{Class, Counts, Rule, StepDown};
use crate::model::policy::AssetRole;
use crate::model::session::Delivery;
use crate::model::time::Timestamp;

/// Days after which a source counts as gone.
const STALE_DAYS: i64 = 30;

/// What judging one target needs to know beside the evidence.
pub(super) struct Scene<'a> {
    pub(super) world: &'a World,
    pub(super) evidence: &'a Evidence,
    pub(super) asset: &'a Asset,
    pub(super) target: &'a Target,
    /// Numbers of the logged servers that mean the target.
    pub(super) servers: &'a [u32],
    pub(super) covered: &'a Covered,
    /// Clients' other addresses under NAT, as firewall records of the target have them.
    pub(super) others: BTreeMap<Address, OtherClient>,
    /// Whether sessions came through a load balancer that hides the client.
    pub(super) proxied: bool,
}

/// A client's other address under NAT: the mail log may show it instead of the client's.
#[derive(Debug, Default)]
pub(super) struct OtherClient {
    /// Permitted flows of all clients behind it; only where it has accepted sessions.
    pub(super) permitted: Times,
    /// Whether it has sessions whose HELO was accepted, or may have been.
    pub(super) may_have_helo: bool,
}

/// One unexpected source on one target.
#[derive(Debug)]
pub(super) struct Source<'e> {
    pub(super) class: Class,
    /// What its evidence adds up to.
    pub(super) sum: Sum<'e>,
    pub(super) counts: Counts,
    /// Its row; none if it did not reach the target.
    pub(super) rule: Option<Rule>,
    pub(super) step_down: Option<StepDown>,
    /// Whether its role would have expected it, had it done less.
    pub(super) overstepped: bool,
}

impl<'a> Scene<'a> {
    /// Looks at the target's clients behind NAT and load balancers. `sources` gives the sources of
    /// a logged server.
    pub(super) fn new(
        (world, evidence): (&'a World, &'a Evidence),
        (asset, target): (&'a Asset, &'a Target),
        (servers, covered): (&'a [u32], &'a Covered),
        sources: &dyn Fn(u32) -> &'a [Key],
    ) -> Self {
        let mut scene = Self {
            world,
            evidence,
            asset,
            target,
            servers,
            covered,
            others: BTreeMap::new(),
            proxied: false,
        };
        scene.look_behind_nat(sources);
        scene.proxied = world.has_proxies()
            && servers.iter().filter(|&&number| scene.is_mail(number)).any(|&number| {
                let proxies =
                    sources(number).iter().filter(|key| world.is_proxy(ip_of(key.source)));
                let mut sums = proxies.filter_map(|key| scene.sum_of(*key));
                sums.any(|sum| sum.may_have_helo)
            });
        scene
    }

    fn look_behind_nat(&mut self, sources: &dyn Fn(u32) -> &'a [Key]) {
        for &number in self.servers {
            let Some(LoggedServer::Flow { nat_src: Some(ip), .. }) = self.server(number) else {
                continue;
            };
            let address = address_of(*ip);
            let sessions = self.sessions_of(address);
            let mut other = self.others.remove(&address).unwrap_or_default();
            other.may_have_helo = sessions.may_have_helo;
            if sessions.newest_accepted.is_some() {
                for sum in sources(number).iter().filter_map(|key| self.sum_of(*key)) {
                    other.permitted.merge(&sum.permitted, self.evidence.join());
                }
            }
            self.others.insert(address, other);
        }
    }

    fn server(&self, number: u32) -> Option<&'a LoggedServer> {
        self.evidence.servers().get(number as usize).map(|(server, _)| server)
    }

    fn is_mail(&self, number: u32) -> bool {
        matches!(self.server(number), Some(LoggedServer::Mail { .. }))
    }

    fn sum_of(&self, key: Key) -> Option<Sum<'a>> {
        let mut sum = Sum::default();
        sum.add(self.evidence.cell(key)?, None, self.evidence.join());
        Some(sum)
    }

    fn sessions_of(&self, source: Address) -> Sum<'a> {
        let mut sum = Sum::default();
        for &server in self.servers.iter().filter(|&&number| self.is_mail(number)) {
            if let Some(cell) = self.evidence.cell(Key { server, source }) {
                sum.add(cell, None, self.evidence.join());
            }
        }
        sum
    }

    /// The evidence of a source on the target.
    fn cells(&self, source: Address) -> impl Iterator<Item = &'a Cell> {
        let evidence = self.evidence;
        self.servers.iter().filter_map(move |&server| evidence.cell(Key { server, source }))
    }

    /// Tells HELO names of a source, see [`Cell::tell_helo_names`].
    pub(super) fn tell_helo_names(&self, source: Address, mut tell: impl FnMut(i64, &[u8])) {
        self.cells(source).for_each(|cell| cell.tell_helo_names(&mut tell));
    }

    /// Judges a source; none if it is expected, a load balancer, or not of this target.
    pub(super) fn source(&self, source: Address) -> Option<Source<'a>> {
        self.judged(source, &self.look_up(&[source]), None)
    }

    /// Judges sources and hands on those of which [`Scene::source`] gives any.
    pub(super) fn each_source(
        &self,
        sources: &[Address],
        mut take: impl FnMut(Address, &Source<'a>),
    ) {
        let cells = self.look_up(sources);
        for (&source, cells) in sources.iter().zip(cells.chunks(self.servers.len().max(1))) {
            if let Some(judged) = self.judged(source, cells, None) {
                take(source, &judged);
            }
        }
    }

    /// What there is of sources, for each of them by the target's servers: looked up in a row, as such
    /// lookups do not wait for one another's memory.
    fn look_up(&self, sources: &[Address]) -> Vec<Option<&'a Cell>> {
        let keys = sources
            .iter()
            .flat_map(|&source| self.servers.iter().map(move |&server| Key { server, source }));
        keys.map(|key| self.evidence.cell(key)).collect()
    }

    /// The same, with what can be shown of it.
    pub(super) fn shown_source(&self, source: Address) -> Option<(Source<'a>, Traces)> {
        let mut traces = Traces::default();
        let source = self.judged(source, &self.look_up(&[source]), Some(&mut traces))?;
        Some((source, traces))
    }

    fn judged(
        &self,
        source: Address,
        cells: &[Option<&'a Cell>],
        mut traces: Option<&mut Traces>,
    ) -> Option<Source<'a>> {
        let ip = ip_of(source);
        if self.world.is_proxy(ip) {
            return None;
        }
        let class = self.world.class(self.asset, ip);
        if !class.is_unexpected() {
            return None;
        }
        let (mut sum, mut behind) = (Sum::default(), Vec::new());
        for (&server, cell) in self.servers.iter().zip(cells) {
            let Some(cell) = cell else { continue };
            sum.add(cell, traces.as_deref_mut(), self.evidence.join());
            if let Some(LoggedServer::Flow { nat_src: Some(ip), .. }) = self.server(server) {
                behind.push(address_of(*ip));
            }
        }
        let counts = self.counts(&sum, source);
        let role = role_expects(self.asset.facts.role, self.target.port);
        let is_expected = match role {
            Expects::Nobody => false,
            Expects::Internal => class == Class::Internal,
            Expects::LocalMail => counts.relayed == 0 && counts.auth_ok == 0,
            Expects::Authenticated => sum.mail_without_auth == 0,
        };
        if is_expected {
            return None;
        }
        let mut judged = Source {
            class,
            rule: None,
            step_down: None,
            overstepped: matches!(role, Expects::LocalMail | Expects::Authenticated),
            counts,
            sum,
        };
        if judged.counts.is_reach() {
            judged.rule = Some(self.rule(&judged));
            judged.step_down = self.step_down(source, &judged, &behind);
        }
        Some(judged)
    }

    fn counts(&self, sum: &Sum<'_>, source: Address) -> Counts {
        let mut counts = sum.sessions;
        let relays = |to: &Delivery| self.world.is_relaying(self.asset, to);
        for (deliveries, n) in &sum.delivered {
            counts.relayed += if deliveries.iter().any(relays) { *n } else { 0 };
        }
        if sum.relayed_somewhere > 0 && relays(&Delivery::untold()) {
            counts.relayed += sum.relayed_somewhere;
        }
        let other = self.others.get(&source).map(|other| &other.permitted);
        let known: Vec<&Times> = [Some(&sum.permitted), other]
            .into_iter()
            .flatten()
            .filter(|times| !times.is_empty())
            .collect();
        if !known.is_empty() {
            counts.corroborated = self.accepted_near(&known, source);
        }
        count_flows(&sum.flows, &mut counts);
        counts
    }

    /// How many of a source's sessions with an accepted HELO lie near some of these times.
    fn accepted_near(&self, known: &[&Times], source: Address) -> u64 {
        let (tolerance, mut near) = (self.evidence.tolerance(), 0);
        for cell in self.cells(source) {
            cell.tell_accepted(|start, end, n| {
                let first = start.0.saturating_sub(tolerance);
                let last = end.0.saturating_add(tolerance);
                near += if known.iter().any(|times| times.meets(first, last)) { n } else { 0 };
            });
        }
        near
    }

    fn rule(&self, source: &Source) -> Rule {
        let counts = &source.counts;
        let total = counts.relayed > 0 || counts.auth_ok > 0 || self.target.has_relay_plugin();
        let abuse = if counts.is_abuse() { Abuse::Seen } else { Abuse::NotSeen };
        rule_of(abuse, source.class, if total { Impact::Total } else { Impact::Partial })
    }

    fn step_down(
        &self,
        address: Address,
        source: &Source<'_>,
        behind: &[Address],
    ) -> Option<StepDown> {
        if source.counts.is_abuse() {
            None
        } else if self.is_silent(source, behind) {
            Some(StepDown::Silent)
        } else if self.is_blocked_since(address, &source.sum) {
            Some(StepDown::BlockedSince)
        } else if self.is_stale(&source.sum) {
            Some(StepDown::Stale)
        } else {
            None
        }
    }

    /// No HELO of it was accepted, and the mail log would show it: it covers the server at all
    /// permitted flows, can show HELOs, and shows clients under the addresses that firewalls log.
    fn is_silent(&self, source: &Source<'_>, behind: &[Address]) -> bool {
        let mail = &self.covered.mail_bridged;
        let hidden = self.proxied
            || behind.iter().any(|at| self.others.get(at).is_some_and(|o| o.may_have_helo));
        let sum = &source.sum;
        self.covered.shows_helo
            && !mail.is_empty()
            && !hidden
            && !sum.may_have_helo
            && !sum.has_untimed_permit
            && sum
                .permitted
                .intervals()
                .iter()
                .all(|&(first, last)| holds(mail, Timestamp(first), Timestamp(last)))
    }

    /// The newest firewall record is a denial, later than everything permitted and accepted.
    fn is_blocked_since(&self, source: Address, sum: &Sum<'_>) -> bool {
        let Some(denied) = sum.latest.denied else { return false };
        let others = [sum.latest.permitted, sum.latest.seen];
        if others.into_iter().flatten().any(|time| time >= denied) {
            return false;
        }
        let mut is_newest = true;
        for cell in self.cells(source) {
            cell.tell_accepted(|_, end, _| is_newest &= end < denied);
        }
        is_newest
    }

    fn is_stale(&self, sum: &Sum<'_>) -> bool {
        match (sum.reached, self.covered.facts.newest()) {
            (Some(reached), Some(newest)) => reached.plus_seconds(STALE_DAYS * 86_400) < newest,
            _ => false,
        }
    }
}

fn count_flows(flows: &[((u32, FlowKind), u64)], counts: &mut Counts) {
    for flows in flows.chunk_by(|((one, _), _), ((other, _), _)| one == other) {
        let (mut allows, mut closes, mut withdrawn) = (0u64, 0u64, 0u64);
        for &((_, kind), n) in flows {
            match kind {
                FlowKind::Allow => allows += n,
                FlowKind::Close => closes += n,
                FlowKind::Deny => counts.fw_denied += n,
                FlowKind::Other => counts.fw_other += n,
                FlowKind::Withdrawn => {
                    withdrawn += n;
                    counts.fw_other += n;
                }
            }
        }
        counts.fw_permitted += closes.max(allows.saturating_sub(withdrawn));
    }
}

/// Firewalls that permitted connections of the source.
pub(super) fn permitting_devices(sum: &Sum<'_>) -> Vec<u32> {
    let permitted = sum.flows.iter().filter(|((_, kind), _)| kind.is_permitted());
    let mut devices: Vec<u32> = permitted.map(|&((device, _), _)| device).collect();
    devices.dedup();
    devices
}

/// What a role expects on a port besides scanner, trusted and expected networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expects {
    Nobody,
    Internal,
    /// Anyone, up to delivery of local mail: no relaying, no AUTH.
    LocalMail,
    /// Anyone who authenticates, and anyone who got nowhere: no mail without AUTH.
    Authenticated,
}

fn role_expects(role: AssetRole, port: u16) -> Expects {
    match (role, port) {
        (AssetRole::Mx, 25) => Expects::LocalMail,
        (AssetRole::Mx, 465 | 587) | (AssetRole::Submission, _) => Expects::Authenticated,
        (AssetRole::Internal, _) => Expects::Internal,
        (AssetRole::Mx | AssetRole::Relay | AssetRole::None, _) => Expects::Nobody,
    }
}
