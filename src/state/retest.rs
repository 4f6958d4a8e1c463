//! What the scans of all runs say of the ports that tickets are about. In: the findings as earlier
//! runs left them, this run's hosts. Out: the same hosts with the targets that this run's scans do
//! not have, and for each finding when it was last seen, when it was found gone, and why it was not
//! looked at again.
//!
//! Pure. Scans decide, not runs: every time is the greatest of its kind, so exports that are given
//! again, and older ones that are given later, change nothing. A host scan that could not have
//! reported a finding (design, section 5) says nothing about it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::model::finding::{Login, Scan};
use crate::model::target::{HostScan, MergedHost, ScanTarget};
use crate::model::time::Timestamp;

/// A port of a host that a scan named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// Its ticket, once it has one.
    pub(super) ticket: Option<String>,
    pub(super) ip: Option<IpAddr>,
    pub(super) fqdn: Option<String>,
    pub(super) names: Vec<String>,
    /// What the newest scan that has it says; `scan_time` is that scan's end.
    pub(super) target: ScanTarget,
    /// The newest scan that could have reported it and did not.
    pub(super) gone: Option<Gone>,
    /// Why no newer scan of this run could have reported it, if so.
    pub(super) missed: Option<Missed>,
}

/// A scan that could have reported a finding and did not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Gone {
    /// End of the scan of the host.
    pub(super) at: Timestamp,
    /// The report's name.
    pub(super) scan: String,
}

/// What a run's scans lack, where they do not tell whether a finding is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Missed {
    /// The host.
    Host,
    /// The end of the scan of the host: it was stopped, or did not reach the host.
    End,
    /// The login that the scan had which saw it.
    Login,
    /// The port, or the plugins that saw it.
    Check,
}

impl Missed {
    /// Says so of the host.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Host => "the host is in no newer scan of this run",
            Self::Login => {
                "the newer scans of the host in this run could not log in, and the one that saw it could"
            }
            Self::End => "no newer scan of the host in this run ran to its end",
            Self::Check => {
                "the newer scans of the host in this run left out the port or the plugins that saw it"
            }
        }
    }
}

/// What scans say of a target: of one host's port, or of those of several hosts that are one asset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ScansSay {
    /// End of the newest scan that has it.
    pub(super) seen_at: Option<Timestamp>,
    /// The scan that found it gone, if the newest scan that could have reported it did.
    pub(super) gone: Option<Gone>,
    /// Why it was not looked at again, if so.
    pub(super) missed: Option<Missed>,
}

impl Finding {
    fn is_gone(&self) -> bool {
        self.gone.as_ref().map(|gone| gone.at) > self.target.scan_time
    }

    /// End of the scan that decides.
    fn decided_at(&self) -> Option<Timestamp> {
        self.target.scan_time.max(self.gone.as_ref().map(|gone| gone.at))
    }

    /// Takes over what a run's scans say of the port: newer facts win, nothing is opened later.
    fn see(&mut self, host: &MergedHost, target: &ScanTarget) {
        let opened = earliest(self.target.opened, target.opened);
        let without_login = [self.target.login, target.login].contains(&Login::No);
        if target.scan_time >= self.target.scan_time {
            self.target = target.clone();
            self.ip = host.ip.or(self.ip);
            self.fqdn = host.fqdn.clone().or(self.fqdn.take());
        }
        self.target.opened = opened;
        if without_login {
            self.target.login = Login::No;
        }
    }

    /// Takes over one scan of the host.
    fn visit(&mut self, port: u16, scan: &HostScan, names: &BTreeMap<u32, &str>) {
        let Some(ended) = scan.ended else { return };
        if scan.names(port, &self.target.detected_by) {
            self.target.scan_time = self.target.scan_time.max(Some(ended));
        } else if scan.could_report(port, &self.target.detected_by, self.target.login) {
            let scan = names.get(&scan.input).copied().unwrap_or_default().to_owned();
            self.gone = self.gone.take().max(Some(Gone { at: ended, scan }));
        }
    }
}

/// Findings of all runs by host and port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    pub(super) known: BTreeMap<(String, u16), Finding>,
    /// The scanners' addresses that any scan told.
    pub(super) scanners: BTreeSet<IpAddr>,
    /// Findings that are not to be remembered any longer.
    pub(super) dropped: Vec<(String, u16)>,
}

impl Findings {
    /// Takes over what a run's scans say. `hosts` get what only earlier scans had: their names, and
    /// targets that are gone or were not looked at.
    pub fn take(&mut self, hosts: &mut Vec<MergedHost>, scans: &[Scan]) {
        let names: BTreeMap<u32, &str> =
            scans.iter().map(|scan| (scan.input, scan.name.as_str())).collect();
        let visits = || hosts.iter().flat_map(|host| &host.scans);
        let newest = visits().filter_map(|scan| scan.ended).max();
        let told: Vec<IpAddr> = visits().flat_map(|scan| scan.scanners.clone()).collect();
        self.scanners.extend(told);
        for host in hosts.iter() {
            self.see(host);
        }
        let mut by_key: BTreeMap<String, MergedHost> =
            hosts.drain(..).map(|host| (host.key.clone(), host)).collect();
        for ((key, port), finding) in &mut self.known {
            let host = by_key.entry(key.clone()).or_insert_with(|| host_of(key, finding));
            for scan in &host.scans {
                finding.visit(*port, scan, &names);
            }
            finding.missed = missed(*port, finding, host, newest);
            add_to(host, *port, finding);
        }
        hosts.extend(by_key.into_values());
    }

    fn see(&mut self, host: &MergedHost) {
        for target in &host.targets {
            let fresh = || Finding {
                ticket: None,
                ip: host.ip,
                fqdn: host.fqdn.clone(),
                names: host.names.clone(),
                target: target.clone(),
                gone: None,
                missed: None,
            };
            let known = self.known.entry((host.key.clone(), target.port)).or_insert_with(fresh);
            known.see(host, target);
        }
    }

    /// The scanners' addresses of all scans, ascending.
    pub fn scanners(&self) -> impl Iterator<Item = IpAddr> {
        self.scanners.iter().copied()
    }

    /// What scans say of a port of these hosts together: it is gone once it is gone on all.
    pub(super) fn say(&self, hosts: &[&String], port: u16) -> ScansSay {
        let findings: Vec<&Finding> = self.on(hosts, port).map(|(_, finding)| finding).collect();
        let seen_at = findings.iter().filter_map(|finding| finding.target.scan_time).max();
        let left: Vec<&&Finding> = findings.iter().filter(|finding| !finding.is_gone()).collect();
        if left.is_empty() {
            let gone = findings.iter().filter_map(|finding| finding.gone.clone()).max();
            return ScansSay { seen_at, gone, missed: None };
        }
        let is_missed = left.iter().all(|finding| finding.missed.is_some());
        let missed = left.iter().filter_map(|finding| finding.missed).min();
        ScansSay { seen_at, gone: None, missed: missed.filter(|_| is_missed) }
    }

    /// Their tickets as earlier runs had them.
    pub(super) fn tickets(&self, hosts: &[&String], port: u16) -> Vec<String> {
        self.on(hosts, port).filter_map(|(_, finding)| finding.ticket.clone()).collect()
    }

    /// Says whose ticket is about the port of these hosts. What is gone on one of them only is
    /// forgotten there.
    pub(super) fn set_ticket(&mut self, hosts: &[&String], port: u16, ticket: &str) {
        let keys: Vec<(String, u16)> = self.on(hosts, port).map(|(key, _)| key.clone()).collect();
        let is_left = self.on(hosts, port).any(|(_, finding)| !finding.is_gone());
        for key in keys {
            let Some(finding) = self.known.get_mut(&key) else { continue };
            finding.ticket = Some(ticket.to_owned());
            if is_left && finding.is_gone() {
                self.known.remove(&key);
                self.dropped.push(key);
            }
        }
    }

    fn on<'s>(
        &'s self,
        hosts: &'s [&String],
        port: u16,
    ) -> impl Iterator<Item = (&'s (String, u16), &'s Finding)> {
        hosts.iter().filter_map(move |host| self.known.get_key_value(&((*host).clone(), port)))
    }
}

/// A host that this run's scans do not have.
fn host_of(key: &str, finding: &Finding) -> MergedHost {
    MergedHost {
        key: key.to_owned(),
        ip: finding.ip,
        names: Vec::new(),
        fqdn: finding.fqdn.clone(),
        scans: Vec::new(),
        targets: Vec::new(),
    }
}

/// Puts what is known of the port into the host, and the host's names into the finding.
fn add_to(host: &mut MergedHost, port: u16, finding: &mut Finding) {
    for name in &finding.names {
        if !host.names.contains(name) {
            host.names.push(name.clone());
        }
    }
    finding.names.clone_from(&host.names);
    host.ip = host.ip.or(finding.ip);
    host.fqdn = host.fqdn.take().or_else(|| finding.fqdn.clone());
    match host.targets.binary_search_by_key(&port, |target| target.port) {
        Ok(place) => {
            if let Some(target) = host.targets.get_mut(place) {
                target.clone_from(&finding.target);
            }
        }
        Err(place) => host.targets.insert(place, finding.target.clone()),
    }
}

/// Why this run's scans, `newest` being the end of the newest of all, do not decide.
fn missed(
    port: u16,
    finding: &Finding,
    host: &MergedHost,
    newest: Option<Timestamp>,
) -> Option<Missed> {
    let plugins = &finding.target.detected_by;
    let login = finding.target.login;
    let decides =
        |scan: &HostScan| scan.names(port, plugins) || scan.could_report(port, plugins, login);
    let is_there = host.targets.iter().any(|target| target.port == port);
    let is_older = newest.is_some() && newest <= finding.decided_at();
    if is_there || is_older || host.scans.iter().any(decides) {
        None
    } else if host.scans.is_empty() {
        Some(Missed::Host)
    } else if host.scans.iter().all(|scan| !scan.finished) {
        Some(Missed::End)
    } else if host.scans.iter().any(|scan| scan.could_report(port, plugins, Login::Unknown)) {
        Some(Missed::Login)
    } else {
        Some(Missed::Check)
    }
}

pub(super) fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
