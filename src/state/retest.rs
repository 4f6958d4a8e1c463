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
use crate::scan::catalogue::PluginSelection;

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
    /// Whether this run gave a name of its host to another.
    pub(super) is_moved: bool,
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
    /// Whether a later scan found it gone; nothing is later than a scan without a time.
    fn is_gone(&self) -> bool {
        let seen = self.target.scan_time;
        seen.is_some() && self.gone.as_ref().map(|gone| gone.at) > seen
    }

    /// Whether it makes a target: it has a ticket, or is there and one of these plugins saw it.
    fn is_target(&self, selection: &PluginSelection) -> bool {
        let is_selected = || self.target.detected_by.iter().any(|id| selection.selects(*id));
        self.ticket.is_some() || (!self.is_gone() && is_selected())
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
    /// Takes over what a run's scans say, of which `selection` makes targets. `hosts` get what only
    /// earlier scans had: their names, and targets that are gone or were not looked at. A name that
    /// a host of this run has is no longer that of a host which only earlier scans have.
    pub fn take(
        &mut self,
        hosts: &mut Vec<MergedHost>,
        scans: &[Scan],
        selection: &PluginSelection,
    ) {
        let names: BTreeMap<u32, &str> =
            scans.iter().map(|scan| (scan.input, scan.name.as_str())).collect();
        let taken: BTreeSet<String> = hosts.iter().flat_map(|host| host.names.clone()).collect();
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
            let is_here = by_key.get(key).is_some_and(|host| !host.scans.is_empty());
            for scan in by_key.get(key).into_iter().flat_map(|host| &host.scans) {
                finding.visit(*port, scan, &names);
            }
            if !finding.is_target(selection) {
                continue;
            }
            if !is_here {
                let before = finding.names.len();
                finding.names.retain(|name| !taken.contains(name));
                finding.is_moved = finding.names.len() < before;
            }
            let host = by_key.entry(key.clone()).or_insert_with(|| host_of(key, finding));
            finding.missed = missed(*port, finding, host, newest);
            add_to(host, *port, finding);
        }
        hosts.extend(by_key.into_values());
        self.drop_what_is_gone();
    }

    /// Findings that went before they had a ticket.
    fn drop_what_is_gone(&mut self) {
        let dropped = &mut self.dropped;
        self.known.retain(|key, finding| {
            let stays = finding.ticket.is_some() || !finding.is_gone();
            if !stays {
                dropped.push(key.clone());
            }
            stays
        });
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
                is_moved: false,
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
    pub(super) fn say(&self, hosts: &[&str], port: u16) -> ScansSay {
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

    /// Whether this run gave names of all these hosts to others.
    pub(super) fn are_moved(&self, hosts: &[&str], port: u16) -> bool {
        let mut findings = self.on(hosts, port).map(|(_, finding)| finding).peekable();
        findings.peek().is_some() && findings.all(|finding| finding.is_moved)
    }

    /// Their tickets as earlier runs had them.
    pub(super) fn tickets(&self, hosts: &[&str], port: u16) -> Vec<String> {
        self.on(hosts, port).filter_map(|(_, finding)| finding.ticket.clone()).collect()
    }

    /// Says whose ticket is about the port of these hosts. What is gone on one of them only is
    /// forgotten there.
    pub(super) fn set_ticket(&mut self, hosts: &[&str], port: u16, ticket: &str) {
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

    /// Forgets what scans say of the port of these hosts.
    pub(super) fn drop_on(&mut self, hosts: &[&str], port: u16) {
        let keys: Vec<(String, u16)> = self.on(hosts, port).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.known.remove(&key);
            self.dropped.push(key);
        }
    }

    fn on<'s>(
        &'s self,
        hosts: &'s [&str],
        port: u16,
    ) -> impl Iterator<Item = (&'s (String, u16), &'s Finding)> {
        hosts.iter().filter_map(move |host| self.known.get_key_value(&((*host).to_owned(), port)))
    }
}

/// A host that this run's scans do not have, with nothing in it yet.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::{Finding as Item, Role, ScanHelo, ScannedHost};
    use crate::scan::targets::merge_scans;

    const MX: &str = "203.0.113.25";

    fn day(n: i64) -> Timestamp {
        Timestamp::from_seconds(n * 86_400)
    }

    /// The scan of one host on a day, with port 25 if it is seen.
    fn host(ip: &str, on: i64, ports: &[u16]) -> ScannedHost {
        let item = |&port: &u16| Item {
            port,
            plugin_id: 10263,
            plugin_name: String::new(),
            roles: vec![Role::Detects],
            severity: 0,
            scan_helo: ScanHelo::Unknown,
            output: format!("seen on day {on}"),
            set_aside: None,
        };
        ScannedHost {
            name: "mx1.example.com".to_owned(),
            ip: ip.parse().ok(),
            started: Some(day(on)),
            ended: Some(day(on)),
            finished: true,
            findings: ports.iter().map(item).collect(),
            ..ScannedHost::default()
        }
    }

    /// A run over these hosts of one export; what it says of port 25 of the server.
    fn take(findings: &mut Findings, hosts: Vec<ScannedHost>) -> (ScansSay, Vec<MergedHost>) {
        let scan = Scan { name: "weekly".to_owned(), hosts, ..Scan::default() };
        let scans = [scan];
        let selection = PluginSelection::Smtp;
        let mut merged = merge_scans(&scans, &selection);
        findings.take(&mut merged, &scans, &selection);
        findings.set_ticket(&[MX], 25, "helo-203.0.113.25-25");
        (findings.say(&[MX], 25), merged)
    }

    /// Days of the runs' scans and whether each has the finding; seen last, gone.
    type Row = (&'static [(i64, bool)], i64, Option<i64>);

    #[test]
    fn the_newest_scan_decides_in_any_order() {
        let rows: [Row; 6] = [
            (&[(1, true)], 1, None),
            (&[(1, true), (2, true)], 2, None),
            (&[(1, true), (2, false)], 1, Some(2)),
            (&[(1, true), (3, false), (2, true)], 2, Some(3)),
            (&[(2, true), (1, false)], 2, None),
            (&[(1, true), (2, false), (3, true)], 3, None),
        ];
        for (runs, seen, gone) in rows {
            let mut findings = Findings::default();
            let mut says = ScansSay::default();
            for &(on, is_there) in runs {
                let ports: &[u16] = if is_there { &[25] } else { &[] };
                says = take(&mut findings, vec![host(MX, on, ports)]).0;
            }
            assert_eq!(says.seen_at, Some(day(seen)), "{runs:?}");
            assert_eq!(says.gone.map(|gone| gone.at), gone.map(day), "{runs:?}");
            assert_eq!(says.missed, None, "{runs:?}");
        }
    }

    #[test]
    fn facts_are_those_of_the_newest_scan_and_opened_is_the_first() {
        let mut findings = Findings::default();
        for on in [3, 1, 2] {
            let (_, hosts) = take(&mut findings, vec![host(MX, on, &[25])]);
            assert_eq!(hosts[0].targets[0].output, "seen on day 3");
            assert_eq!(hosts[0].targets[0].opened, Some(day(if on == 3 { 3 } else { 1 })));
        }
    }

    #[test]
    fn a_host_that_a_run_does_not_scan_is_still_judged_and_gives_its_names_away() {
        let mut findings = Findings::default();
        take(&mut findings, vec![host(MX, 1, &[25, 587])]);
        let other = || host("203.0.113.26", 2, &[]);
        let (says, hosts) = take(&mut findings, vec![other()]);
        assert_eq!((says.gone, says.missed), (None, Some(Missed::Host)));
        let ports: Vec<u16> = hosts[0].targets.iter().map(|target| target.port).collect();
        // Port 587 has no ticket, and none less is a target.
        assert_eq!((hosts[0].key.as_str(), ports), (MX, vec![25, 587]));
        assert!(hosts[0].names.is_empty() && hosts[0].scans.is_empty());
        assert_eq!(hosts[1].names, ["mx1.example.com"]);
        // Gone without a ticket: forgotten. Gone with one: still judged.
        let (_, hosts) = take(&mut findings, vec![host(MX, 3, &[])]);
        let ports: Vec<u16> = hosts[0].targets.iter().map(|target| target.port).collect();
        assert_eq!((ports, findings.known.len()), (vec![25], 1));
        assert_eq!(findings.dropped, [(MX.to_owned(), 587)]);
    }

    #[test]
    fn scans_without_times_decide_nothing() {
        let untimed = |ports: &[u16]| ScannedHost { ended: None, ..host(MX, 0, ports) };
        let mut findings = Findings::default();
        take(&mut findings, vec![untimed(&[25])]);
        assert_eq!(take(&mut findings, vec![host(MX, 2, &[])]).0.gone, None);
        let mut findings = Findings::default();
        take(&mut findings, vec![host(MX, 1, &[25])]);
        assert_eq!(take(&mut findings, vec![untimed(&[])]).0.gone, None);
    }
}
