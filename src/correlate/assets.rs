//! Assets and targets: scanned hosts and policy blocks joined. In: merged hosts, the policy. Out:
//! assets with all their addresses and names, and their targets.
//!
//! A block with an id joins all hosts that it matches into one asset, a virtual address and its
//! backends for example; a block without applies to each host that it matches (design, section 5).

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::finding::{Role, ScanHelo};
use crate::model::input::Span;
use crate::model::judged::{JudgedAsset, ScanFacts};
use crate::model::net::{NetSet, parse_ip};
use crate::model::policy::{AssetMatch, AssetPolicy, Policy};
use crate::model::target::{MergedHost, ScanTarget};
use crate::scan::catalogue::plugin_name;

/// An asset with what decides about its sources.
#[derive(Debug, Clone)]
pub struct Asset {
    /// What tickets say of it.
    pub facts: JudgedAsset,
    /// Names that the policy gives to it in mail logs.
    pub log_names: Vec<String>,
    /// Sources that may use it.
    pub expected: NetSet,
    /// Recipient domains whose onward delivery is no relaying, lower case.
    pub local_domains: Vec<String>,
    /// Places of its targets, by port.
    pub targets: Vec<usize>,
    /// When it was scanned, newest first.
    pub windows: Vec<ScanWindow>,
}

/// One scan of an asset: the time in which logs should show the scanner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScanWindow {
    /// From start to end of the host's scan.
    pub span: Span,
    /// The scanner's addresses, canonical.
    pub scanners: Vec<IpAddr>,
}

/// A target: an asset's port that a scan names.
#[derive(Debug, Clone)]
pub struct Target {
    /// Place of its asset.
    pub asset: usize,
    /// TCP port.
    pub port: u16,
    /// What the scan says.
    pub scan: ScanFacts,
    /// How many plugins tell a weakness.
    pub weakens: u32,
    /// Whether the scan holds a refusal although HELO was accepted.
    pub also_refused: bool,
}

/// Hosts of one asset and their block.
type Group<'a> = (Vec<&'a MergedHost>, Option<&'a AssetPolicy>);

/// Where the key of an asset is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Host,
    Policy,
}

/// Joins hosts and policy. Assets come in the order of their keys, targets in that of assets and
/// ports.
pub fn join(hosts: &[MergedHost], policy: &Policy) -> (Vec<Asset>, Vec<Target>) {
    let mut groups: BTreeMap<(String, Key), Group> = BTreeMap::new();
    for block in policy.assets.iter().filter(|block| block.id.is_some()) {
        let id = block.id.clone().unwrap_or_default();
        groups.insert((id, Key::Policy), (Vec::new(), Some(block)));
    }
    for host in hosts {
        let ips: Vec<IpAddr> = host.ip.into_iter().collect();
        let names: Vec<&str> = host.names.iter().map(String::as_str).collect();
        let block = policy.asset(&ips, &names);
        let id = block.and_then(|block| block.id.clone());
        let key = match id {
            Some(id) => (id, Key::Policy),
            None => (host.key.clone(), Key::Host),
        };
        groups.entry(key).or_insert((Vec::new(), block)).0.push(host);
    }
    let (mut assets, mut targets) = (Vec::new(), Vec::new());
    for ((key, _), (hosts, block)) in groups {
        let mut asset = asset(key, &hosts, block);
        for target in targets_of(assets.len(), &hosts) {
            asset.targets.push(targets.len());
            targets.push(target);
        }
        assets.push(asset);
    }
    (assets, targets)
}

fn asset(key: String, hosts: &[&MergedHost], block: Option<&AssetPolicy>) -> Asset {
    let none = AssetPolicy::default();
    let policy = block.unwrap_or(&none);
    let ips = || hosts.iter().filter_map(|host| host.ip).map(|ip| ip.to_canonical());
    let mut addresses: Vec<IpAddr> = ips().chain(policy.addresses.iter().copied()).collect();
    // A host without host-ip may have its address for a name, and a block that is one asset may
    // give its address where the scan has only a name.
    addresses.extend(hosts.iter().filter_map(|host| parse_ip(host.key.as_bytes())));
    if policy.id.is_some() {
        addresses.extend(policy.matches.iter().filter_map(single_address));
    }
    addresses.sort_unstable();
    addresses.dedup();
    let mut names = policy.log_names.clone();
    for name in hosts.iter().flat_map(|host| &host.names) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let mut former_keys: Vec<String> = hosts.iter().map(|host| host.key.clone()).collect();
    former_keys.retain(|former| *former != key);
    former_keys.sort_unstable();
    former_keys.dedup();
    Asset {
        facts: JudgedAsset {
            key,
            former_keys,
            ip: ips().min(),
            fqdn: hosts.iter().find_map(|host| host.fqdn.clone()),
            addresses,
            names,
            role: policy.role,
            in_policy: block.is_some(),
            owner: policy.owner.clone(),
            critical: policy.critical,
        },
        log_names: policy.log_names.clone(),
        expected: policy.expected.clone(),
        local_domains: policy.local_domains.clone(),
        targets: Vec::new(),
        windows: windows(hosts),
    }
}

fn single_address(entry: &AssetMatch) -> Option<IpAddr> {
    match entry {
        AssetMatch::Network(net) if net.prefix_len() == net.max_prefix_len() => Some(net.addr()),
        AssetMatch::Network(_) | AssetMatch::Name(_) => None,
    }
}

fn windows(hosts: &[&MergedHost]) -> Vec<ScanWindow> {
    let mut windows: Vec<ScanWindow> = Vec::new();
    for scan in hosts.iter().flat_map(|host| &host.scans) {
        if let (Some(first), Some(last)) = (scan.started, scan.ended) {
            let mut scanners: Vec<IpAddr> =
                scan.scanners.iter().map(IpAddr::to_canonical).collect();
            scanners.sort_unstable();
            windows.push(ScanWindow { span: Span { first, last: last.max(first) }, scanners });
        }
    }
    windows.sort_by(|a, b| b.cmp(a));
    windows
}

/// The targets of an asset by port: what several joined hosts have on one port is one target.
fn targets_of(asset: usize, hosts: &[&MergedHost]) -> Vec<Target> {
    let mut by_port: BTreeMap<u16, Target> = BTreeMap::new();
    for found in hosts.iter().flat_map(|host| &host.targets) {
        let fresh = || Target {
            asset,
            port: found.port,
            scan: ScanFacts {
                detected_by: Vec::new(),
                roles: Vec::new(),
                scan_helo: ScanHelo::Unknown,
                severity: 0,
                opened: None,
                scan_time: None,
                outputs: Vec::new(),
            },
            weakens: 0,
            also_refused: false,
        };
        by_port.entry(found.port).or_insert_with(fresh).add(found);
    }
    by_port.into_values().collect()
}

impl Target {
    fn add(&mut self, found: &ScanTarget) {
        let scan = &mut self.scan;
        // The strongest answer of the joined hosts; a contradiction is told as within one host.
        let refusal = |helo| matches!(helo, ScanHelo::Refused | ScanHelo::Rejected);
        let both = scan.scan_helo.max(found.scan_helo) == ScanHelo::Accepted
            && (refusal(scan.scan_helo) || refusal(found.scan_helo));
        self.also_refused |= found.also_refused || both;
        self.weakens = self.weakens.max(found.weakens);
        scan.scan_helo = scan.scan_helo.max(found.scan_helo);
        scan.severity = scan.severity.max(found.severity);
        scan.opened = match (scan.opened, found.opened) {
            (Some(known), Some(new)) => Some(known.min(new)),
            (known, new) => known.or(new),
        };
        scan.scan_time = scan.scan_time.max(found.scan_time);
        for &id in &found.detected_by {
            scan.detected_by.push((id, plugin_name(id).unwrap_or_default().to_owned()));
        }
        scan.detected_by.sort_unstable();
        scan.detected_by.dedup();
        scan.roles.extend(&found.roles);
        scan.roles.sort_unstable();
        scan.roles.dedup();
        if !found.output.is_empty() && !scan.outputs.contains(&found.output) {
            scan.outputs.push(found.output.clone());
        }
    }

    /// Whether a plugin tells open relaying.
    pub fn has_relay_plugin(&self) -> bool {
        self.scan.roles.contains(&Role::Relay)
    }
}
