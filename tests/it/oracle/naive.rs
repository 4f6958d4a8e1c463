//! The oracle: what the design says of each target, by looking at every event for every source. In:
//! a case. Out: verdict, rule, score, counts and sources of each target.
//!
//! No indexes, no merging, no intervals; quadratic and simple on purpose.

use std::collections::BTreeSet;
use std::net::IpAddr;

use helotriage::logs::mail::ShowsHelo;
use helotriage::model::citation::Citation;
use helotriage::model::flow::{Action, FlowEvent, Host, Packet};
use helotriage::model::input::Span;
use helotriage::model::judged::{
    CitationKind, Class, Confidence, Counts, Priority, Rule, StepDown, Verdict,
};
use helotriage::model::net::{Endpoint, is_private};
use helotriage::model::policy::{AssetMatch, AssetPolicy};
use helotriage::model::session::{Helo, Outcome, Session};
use helotriage::model::target::MergedHost;
use helotriage::model::time::{SECOND, Timestamp};

use super::make::{Made, MadeSession, shows_helo};
use super::scene::Scene;

/// The compared facts of a target.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NaiveTarget {
    pub(super) key: String,
    pub(super) port: u16,
    pub(super) verdict: Verdict,
    pub(super) rule: Rule,
    pub(super) priority: Priority,
    pub(super) score: u8,
    pub(super) confidence: Confidence,
    pub(super) due_days: u32,
    pub(super) external: u64,
    pub(super) counts: Counts,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    pub(super) helo_names: Vec<String>,
    pub(super) sources: Vec<NaiveSource>,
}

/// The compared facts of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NaiveSource {
    pub(super) ip: IpAddr,
    pub(super) class: Class,
    pub(super) rule: Option<Rule>,
    pub(super) step_down: Option<StepDown>,
    pub(super) counts: Counts,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    pub(super) helo_names: Vec<String>,
    pub(super) sasl_names: Vec<String>,
    pub(super) cited: Vec<(CitationKind, Option<Timestamp>, Citation)>,
}

/// A scanned host, or several that a block with an id joins.
pub(super) struct Asset<'a> {
    pub(super) key: String,
    pub(super) hosts: Vec<&'a MergedHost>,
    pub(super) block: AssetPolicy,
    addresses: BTreeSet<IpAddr>,
}

/// All targets of a case, most urgent first.
pub(super) fn targets(made: &Made) -> Vec<NaiveTarget> {
    let mut oracle = Oracle { made, assets: assets(made), session_owners: Vec::new() };
    oracle.session_owners = made
        .sessions
        .iter()
        .map(|made| oracle.owners(&made.session.server, made.session.local_ip))
        .collect();
    let mut targets = Vec::new();
    for asset in 0..oracle.assets.len() {
        for port in oracle.ports(asset) {
            targets.push(oracle.judge(asset, port));
        }
    }
    targets.sort_by_key(|t| (t.priority, std::cmp::Reverse(t.score), t.key.clone(), t.port));
    targets
}

fn assets(made: &Made) -> Vec<Asset<'_>> {
    let mut assets: Vec<Asset<'_>> = Vec::new();
    let mut blocks: Vec<(String, AssetPolicy, Vec<&MergedHost>)> = Vec::new();
    for block in &made.policy.assets {
        if let Some(id) = &block.id {
            blocks.push((id.clone(), block.clone(), Vec::new()));
        }
    }
    for host in &made.hosts {
        let names: Vec<&str> = host.names.iter().map(String::as_str).collect();
        let block = made.policy.asset(&[host.ip.unwrap()], &names).cloned().unwrap_or_default();
        match &block.id {
            Some(id) => blocks.iter_mut().find(|(known, ..)| known == id).unwrap().2.push(host),
            None => blocks.push((host.key.clone(), block, vec![host])),
        }
    }
    for (key, block, hosts) in blocks {
        let mut addresses: BTreeSet<IpAddr> = hosts.iter().map(|host| host.ip.unwrap()).collect();
        addresses.extend(&block.addresses);
        for entry in block.matches.iter().filter(|_| block.id.is_some()) {
            if let AssetMatch::Network(net) = entry
                && net.prefix_len() == net.max_prefix_len()
            {
                addresses.insert(net.addr());
            }
        }
        assets.push(Asset { key, hosts, block, addresses });
    }
    assets
}

pub(super) struct Oracle<'a> {
    pub(super) made: &'a Made,
    pub(super) assets: Vec<Asset<'a>>,
    /// The assets of each session's server.
    session_owners: Vec<Vec<usize>>,
}

impl<'a> Oracle<'a> {
    fn ports(&self, asset: usize) -> BTreeSet<u16> {
        let hosts = &self.assets[asset].hosts;
        hosts.iter().flat_map(|host| &host.targets).map(|target| target.port).collect()
    }

    pub(super) fn tolerance(&self) -> i64 {
        self.made.policy.correlation.tolerance_seconds * SECOND
    }

    /// Flows of the target, evidence or not.
    pub(super) fn flows(&self, asset: usize, port: u16) -> Vec<&'a FlowEvent> {
        let is_ours = |ip: IpAddr, p: u16| {
            p == port && self.assets[asset].addresses.contains(&ip.to_canonical())
        };
        let flows = self.made.flows.iter().filter(|event| {
            let flow = &event.flow;
            let main = matches!(flow.dst, Host::Ip(ip) if is_ours(ip, flow.dst_port));
            let nat = flow.nat_dst.is_some_and(|end: Endpoint| is_ours(end.ip, end.port));
            flow.packet != Packet::Stray && (main || nat)
        });
        flows.collect()
    }

    /// The assets whose server wrote a log, by address, else by name.
    fn owners(&self, name: &str, ip: Option<IpAddr>) -> Vec<usize> {
        let places = || 0..self.assets.len();
        let by = |fits: &dyn Fn(&Asset<'_>) -> bool| -> Vec<usize> {
            places().filter(|&place| fits(&self.assets[place])).collect()
        };
        let name = name.trim_end_matches('.').to_lowercase();
        let literal: Option<IpAddr> = name.parse().ok();
        for ip in ip.into_iter().chain(literal) {
            let found = by(&|asset| asset.addresses.contains(&ip.to_canonical()));
            if !found.is_empty() {
                return found;
            }
        }
        let scanned = |asset: &Asset<'_>| -> Vec<String> {
            asset.hosts.iter().flat_map(|host| host.names.clone()).collect()
        };
        let all = |asset: &Asset<'_>| [asset.block.log_names.clone(), scanned(asset)].concat();
        let label = name.split('.').next().unwrap().to_owned();
        let steps = [
            by(&|asset| asset.block.log_names.contains(&name)),
            by(&|asset| scanned(asset).contains(&name)),
            by(&|asset| {
                let names = all(asset);
                if name.contains('.') {
                    names.contains(&label)
                } else {
                    names.iter().any(|known| known.split('.').next() == Some(&label))
                }
            }),
        ];
        let first = steps.into_iter().find(|found| !found.is_empty()).unwrap_or_default();
        if first.len() == 1 { first } else { Vec::new() }
    }

    /// Sessions of the asset's server.
    fn sessions_at(&self, asset: usize) -> impl Iterator<Item = &'a MadeSession> {
        let owned = self.made.sessions.iter().zip(&self.session_owners);
        owned.filter(move |(_, owners)| owners.contains(&asset)).map(|(made, _)| made)
    }

    /// Sessions of the target.
    pub(super) fn sessions(&self, asset: usize, port: u16) -> Vec<&'a Session> {
        let ports = self.ports(asset);
        let assumed = if ports.len() == 1 { ports.first().copied() } else { Some(25) };
        let sessions = self.sessions_at(asset).map(|made| &made.session);
        sessions.filter(|session| session.local_port.or(assumed) == Some(port)).collect()
    }

    pub(super) fn class(&self, asset: usize, ip: IpAddr) -> Class {
        let networks = &self.made.policy.networks;
        let asset = &self.assets[asset];
        let mut scans = self.made.hosts.iter().flat_map(|host| &host.scans);
        if networks.scanners.contains(ip) || scans.any(|scan| scan.scanners.contains(&ip)) {
            Class::Scanner
        } else if networks.trusted.contains(ip) || ip.is_loopback() || asset.addresses.contains(&ip)
        {
            Class::Trusted
        } else if asset.block.expected.contains(ip) {
            Class::Expected
        } else if is_private(ip) || networks.internal.contains(ip) {
            Class::Internal
        } else {
            Class::External
        }
    }

    pub(super) fn is_relayed(&self, asset: usize, session: &Session) -> bool {
        let local =
            |domain: &str| self.assets[asset].block.local_domains.contains(&domain.to_lowercase());
        let foreign =
            |hop: Option<IpAddr>| hop.is_none_or(|hop| self.class(asset, hop) == Class::External);
        match session.outcome {
            Outcome::Relayed if session.deliveries.is_empty() => !local(""),
            Outcome::Relayed | Outcome::Queued => {
                session.deliveries.iter().any(|d| foreign(d.next_hop) && !local(&d.domain))
            }
            _ => false,
        }
    }

    /// When the mail log covers the asset.
    pub(super) fn mail_spans(&self, asset: usize) -> Vec<Span> {
        let mut spans = Vec::new();
        for report in &self.made.reports {
            for (name, span) in &report.servers {
                if self.owners(name, None).contains(&asset) {
                    spans.push(*span);
                }
            }
        }
        for made in self.sessions_at(asset) {
            let session = &made.session;
            let name = |name: &str| name.trim_end_matches('.').to_lowercase();
            for line in &session.lines {
                let report = &self.made.reports[line.input as usize];
                let mut own = report.servers.iter();
                let own = own.find(|(logged, _)| name(logged) == name(&session.server));
                spans.extend(own.map(|(_, span)| *span).or(report.span));
            }
        }
        spans
    }

    pub(super) fn shows_helo(&self, asset: usize) -> bool {
        let sessions = || self.sessions_at(asset);
        let mut formats: BTreeSet<&str> = sessions().map(|made| made.format).collect();
        if formats.is_empty() {
            for report in &self.made.reports {
                if report.servers.keys().any(|name| self.owners(name, None).contains(&asset)) {
                    formats.extend(report.formats.keys());
                }
            }
        }
        let bare = sessions().any(|made| {
            made.session.helo == Helo::Accepted
                && matches!(made.session.outcome, Outcome::HeloOnly | Outcome::Dropped)
        });
        let undecided = sessions().any(|made| made.session.helo == Helo::Unknown);
        let known: Vec<ShowsHelo> = formats.into_iter().filter_map(shows_helo).collect();
        !known.is_empty()
            && known.iter().all(|shows| match shows {
                ShowsHelo::Default(_) => bare || !undecided,
                ShowsHelo::WithSetting(_) => bare,
                ShowsHelo::Never(_) => false,
            })
    }

    pub(super) fn firewall_spans(&self, asset: usize, flows: &[&FlowEvent]) -> (Vec<Span>, bool) {
        let reports = &self.made.reports;
        let inputs: BTreeSet<u32> = flows.iter().map(|event| event.at.input).collect();
        let mut spans: Vec<Span> =
            inputs.iter().filter_map(|&input| reports[input as usize].span).collect();
        let mut covered = flows.iter().any(|event| event.flow.action != Action::Unknown);
        let covers = &self.made.policy.input_settings(&reports[0].path).covers;
        let named =
            covers.iter().any(|net| self.assets[asset].addresses.iter().any(|ip| net.contains(ip)));
        if let (true, Some(span)) = (named, reports[0].span) {
            spans.push(span);
            covered = true;
        }
        (spans, covered)
    }

    fn judge(&self, asset: usize, port: u16) -> NaiveTarget {
        let scene = Scene::new(self, asset, port);
        let mut sources: Vec<NaiveSource> =
            scene.clients().into_iter().filter_map(|ip| scene.source(ip)).collect();
        let address = |ip: IpAddr| match ip {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        sources.sort_by_key(|s| {
            (s.rule.is_none(), s.rule, u64::MAX - s.counts.helo_accepted, address(s.ip))
        });
        scene.target(sources)
    }
}
