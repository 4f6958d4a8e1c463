//! What evidence is held against: assets, targets, networks. In: merged hosts and the policy. Out:
//! which targets a logged server means, and who a source is to an asset.
//!
//! Everything here is looked up when evidence is judged, never when it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::correlate::assets::{Asset, Target, join};
use crate::correlate::names::{Names, Resolved, tidy};
use crate::correlate::server::LoggedServer;
use crate::model::judged::{Class, Unmatched};
use crate::model::net::parse_ip;
use crate::model::policy::{Networks, Policy};
use crate::model::session::Delivery;
use crate::model::target::MergedHost;

/// Assets, targets and networks of a run.
#[derive(Debug, Clone)]
pub struct World {
    assets: Vec<Asset>,
    targets: Vec<Target>,
    /// Assets by address; more than one only where scan or policy say so.
    by_address: BTreeMap<IpAddr, Vec<usize>>,
    names: Names,
    scanners: BTreeSet<IpAddr>,
    networks: Networks,
}

/// The targets that a logged server means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matched {
    /// Places of the targets, ascending, at least one.
    Targets(Vec<usize>),
    /// None, why, and the places of the assets that the server may be.
    None(Unmatched, Vec<usize>),
}

/// The assets that a logged mail server means.
enum Owners {
    Assets(Vec<usize>),
    Ambiguous(Vec<usize>),
}

impl World {
    /// Joins what the scans and the policy say.
    pub fn new(hosts: &[MergedHost], policy: &Policy) -> Self {
        let (assets, targets) = join(hosts, policy);
        let mut by_address: BTreeMap<IpAddr, Vec<usize>> = BTreeMap::new();
        let mut names = Names::default();
        for (place, asset) in assets.iter().enumerate() {
            for &ip in &asset.facts.addresses {
                by_address.entry(ip).or_default().push(place);
            }
            names.add(place, &asset.log_names, &asset.facts.names);
        }
        let scans = hosts.iter().flat_map(|host| &host.scans);
        let scanners = scans.flat_map(|scan| &scan.scanners).map(IpAddr::to_canonical);
        Self {
            assets,
            targets,
            by_address,
            names,
            scanners: scanners.collect(),
            networks: policy.networks.clone(),
        }
    }

    /// The same, with scanners that earlier scans named.
    #[must_use]
    pub fn with_scanners(mut self, scanners: impl Iterator<Item = IpAddr>) -> Self {
        self.scanners.extend(scanners.map(|ip| ip.to_canonical()));
        self
    }

    /// The assets, in the order of their keys.
    pub fn assets(&self) -> &[Asset] {
        &self.assets
    }

    /// The targets, in the order of asset and port.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The scanners' addresses that the scans themselves name, ascending.
    pub fn scanners(&self) -> impl Iterator<Item = IpAddr> {
        self.scanners.iter().copied()
    }

    /// Addresses that belong to several assets, with their places.
    pub fn shared_addresses(&self) -> impl Iterator<Item = (IpAddr, &[usize])> {
        let shared = self.by_address.iter().filter(|(_, assets)| assets.len() > 1);
        shared.map(|(ip, assets)| (*ip, assets.as_slice()))
    }

    /// Whether the address is a load balancer's, which is never a source of its own.
    pub fn is_proxy(&self, ip: IpAddr) -> bool {
        self.networks.proxies.contains(ip)
    }

    /// Whether the policy names any load balancer.
    pub fn has_proxies(&self) -> bool {
        !self.networks.proxies.networks().is_empty()
    }

    /// The targets that a logged server means. Flows match by either of their addresses and
    /// ports; sessions by their local address, else by the server's name.
    pub fn matched(&self, server: &LoggedServer) -> Matched {
        match server {
            LoggedServer::Flow { .. } => {
                let ends = server.endpoints();
                let found = ends.flat_map(|end| {
                    let assets = self.by_address.get(&end.ip).into_iter().flatten();
                    assets.filter_map(move |&asset| self.target_on(asset, end.port))
                });
                let found: BTreeSet<usize> = found.collect();
                if found.is_empty() {
                    Matched::None(Unmatched::NotInScan, Vec::new())
                } else {
                    Matched::Targets(found.into_iter().collect())
                }
            }
            LoggedServer::Mail { name, ip, port } => match self.owners(name, *ip) {
                Owners::Ambiguous(assets) => Matched::None(Unmatched::AmbiguousName, assets),
                Owners::Assets(assets) => self.session_targets(&assets, *port),
            },
        }
    }

    /// The assets whose mail log this is; none if nobody or several fit.
    pub fn mail_assets(&self, name: &str, ip: Option<IpAddr>) -> Vec<usize> {
        match self.owners(name, ip) {
            Owners::Assets(assets) => assets,
            Owners::Ambiguous(_) => Vec::new(),
        }
    }

    /// Who a source is by its address alone; what a role expects is not part of it.
    pub fn class(&self, asset: &Asset, ip: IpAddr) -> Class {
        let networks = &self.networks;
        if self.scanners.contains(&ip) || networks.scanners.contains(ip) {
            Class::Scanner
        } else if networks.trusted.contains(ip)
            || ip.is_loopback()
            || asset.facts.addresses.binary_search(&ip).is_ok()
        {
            Class::Trusted
        } else if asset.expected.contains(ip) {
            Class::Expected
        } else if networks.is_internal(ip) {
            Class::Internal
        } else {
            Class::External
        }
    }

    /// Whether a delivery is relaying: to a next hop of class external, for a recipient outside
    /// the asset's local domains. A next hop without an address counts as foreign.
    pub fn is_relaying(&self, asset: &Asset, delivery: &Delivery) -> bool {
        let foreign = |hop: IpAddr| self.class(asset, hop.to_canonical()) == Class::External;
        let domain = tidy(&delivery.domain);
        delivery.next_hop.is_none_or(foreign) && !asset.local_domains.contains(&domain)
    }

    fn owners(&self, name: &str, ip: Option<IpAddr>) -> Owners {
        let literal = || parse_ip(name.as_bytes());
        let by_address = ip.into_iter().chain(literal()).find_map(|ip| self.by_address.get(&ip));
        if let Some(assets) = by_address {
            return Owners::Assets(assets.clone());
        }
        // An address that nobody knows (the machine's own behind NAT) tells less than the name.
        match self.names.resolve(name) {
            Resolved::One(asset) => Owners::Assets(vec![asset]),
            Resolved::None => Owners::Assets(Vec::new()),
            Resolved::Several(assets) => Owners::Ambiguous(assets),
        }
    }

    fn session_targets(&self, assets: &[usize], port: Option<u16>) -> Matched {
        let (mut found, mut why) = (Vec::new(), Unmatched::NotInScan);
        for &asset in assets {
            match self.session_target(asset, port) {
                Ok(target) => found.push(target),
                Err(reason) => why = reason,
            }
        }
        if found.is_empty() { Matched::None(why, assets.to_vec()) } else { Matched::Targets(found) }
    }

    /// The target of a session on an asset: its port; where the log names none the asset's only
    /// target, else port 25.
    fn session_target(&self, asset: usize, port: Option<u16>) -> Result<usize, Unmatched> {
        let targets = self.assets.get(asset).map_or(&[][..], |asset| &asset.targets);
        match (port, targets) {
            (Some(port), _) => self.target_on(asset, port).ok_or(Unmatched::NoFinding),
            (None, []) => Err(Unmatched::NoFinding),
            (None, &[only]) => Ok(only),
            (None, _) => self.target_on(asset, 25).ok_or(Unmatched::UnclearPort),
        }
    }

    fn target_on(&self, asset: usize, port: u16) -> Option<usize> {
        let targets = &self.assets.get(asset)?.targets;
        targets.iter().copied().find(|&t| self.targets.get(t).is_some_and(|t| t.port == port))
    }
}
