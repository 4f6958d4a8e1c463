//! From several scans to the hosts and targets that tickets are about. In: scans, and which
//! plugins make targets. Out: hosts under one key each, with their targets (design, section 5).
//!
//! Hosts with one `host-ip` are one host; without it the `ReportHost` name counts. Of a target's
//! scans the newest that could have reported it decides: if it does not, the target is gone. The
//! result does not depend on the order of the scans. The policy's assets are not known here.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::model::finding::{Finding, Login, Role, Scan, ScanHelo, ScannedHost};
use crate::model::net::parse_ip;
use crate::model::target::{HostScan, MergedHost, ScanTarget};
use crate::model::time::Timestamp;
use crate::scan::catalogue::PluginSelection;

/// Merges scans into hosts, in the order of their keys.
pub fn merge_scans(scans: &[Scan], selection: &PluginSelection) -> Vec<MergedHost> {
    let mut hosts: BTreeMap<String, BTreeMap<u32, Vec<&ScannedHost>>> = BTreeMap::new();
    let by_input: BTreeMap<u32, &Scan> = scans.iter().map(|scan| (scan.input, scan)).collect();
    for scan in by_input.values() {
        for host in &scan.hosts {
            hosts.entry(key(host)).or_default().entry(scan.input).or_default().push(host);
        }
    }
    let scanners: BTreeMap<u32, Vec<IpAddr>> =
        by_input.values().map(|scan| (scan.input, scanners_of(&scan.hosts))).collect();
    hosts
        .into_iter()
        .map(|(key, exports)| {
            let mut visits: Vec<Visit> = exports
                .into_iter()
                .filter_map(|(input, hosts)| {
                    let scan = by_input.get(&input)?;
                    Some(Visit::new(scan, hosts, scanners.get(&input).map_or(&[], Vec::as_slice)))
                })
                .collect();
            visits.sort_by_key(|visit| Reverse(visit.order()));
            merge_host(key, &visits, selection)
        })
        .collect()
}

/// The scanners' addresses that the scans tell, sorted.
pub fn scanner_addresses(scans: &[Scan]) -> Vec<IpAddr> {
    let hosts = scans.iter().flat_map(|scan| &scan.hosts);
    let all: BTreeSet<IpAddr> = hosts.flat_map(|host| host.scanners.iter().copied()).collect();
    all.into_iter().collect()
}

fn scanners_of(hosts: &[ScannedHost]) -> Vec<IpAddr> {
    let all: BTreeSet<IpAddr> = hosts.iter().flat_map(|h| h.scanners.iter().copied()).collect();
    all.into_iter().collect()
}

/// The address of a host: `host-ip`, else the `ReportHost` name if it is an address.
fn address(host: &ScannedHost) -> Option<IpAddr> {
    host.ip.or_else(|| parse_ip(host.name.as_bytes()))
}

fn key(host: &ScannedHost) -> String {
    address(host).map_or_else(|| host.name.to_lowercase(), |ip| ip.to_string())
}

/// All `ReportHost`s of one export that are one host (virtual hosts on one address).
struct Visit<'a> {
    hosts: Vec<&'a ScannedHost>,
    scan: HostScan,
}

impl<'a> Visit<'a> {
    fn new(scan: &Scan, hosts: Vec<&'a ScannedHost>, export_scanners: &[IpAddr]) -> Self {
        let own: BTreeSet<IpAddr> = hosts.iter().flat_map(|h| h.scanners.iter().copied()).collect();
        let scanners =
            if own.is_empty() { export_scanners.to_vec() } else { own.into_iter().collect() };
        let scan = HostScan {
            input: scan.input,
            started: hosts.iter().filter_map(|h| h.started).min(),
            ended: hosts.iter().filter_map(|h| h.ended).max(),
            scanners,
            enabled: scan.plugin_set.clone(),
            ports: scan.ports.clone(),
            finished: hosts.iter().all(|host| host.finished),
            login: hosts.iter().map(|host| host.login).max().unwrap_or_default(),
            named: named(&hosts),
        };
        Self { hosts, scan }
    }

    /// Newer scans are greater.
    fn order(&self) -> (Option<Timestamp>, u32) {
        (self.scan.ended, self.scan.input)
    }

    /// Findings about SMTP on a port.
    fn findings(&self) -> impl Iterator<Item = &'a Finding> + '_ {
        findings(&self.hosts)
    }
}

fn findings<'a>(hosts: &[&'a ScannedHost]) -> impl Iterator<Item = &'a Finding> {
    let all = hosts.iter().flat_map(|host| &host.findings);
    all.filter(|f| f.set_aside.is_none() && !f.roles.contains(&Role::Scanner))
}

/// Ports and the plugins that name them.
fn named(hosts: &[&ScannedHost]) -> Vec<(u16, u32)> {
    let all: BTreeSet<(u16, u32)> = findings(hosts).map(|f| (f.port, f.plugin_id)).collect();
    all.into_iter().collect()
}

/// `visits` are in the order newest first.
fn merge_host(key: String, visits: &[Visit], selection: &PluginSelection) -> MergedHost {
    let mut names = Vec::new();
    for host in visits.iter().flat_map(|visit| &visit.hosts) {
        for name in host_names(host) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    MergedHost {
        key,
        ip: visits.iter().flat_map(|visit| &visit.hosts).find_map(|host| address(host)),
        names,
        fqdn: visits.iter().flat_map(|visit| &visit.hosts).find_map(|host| fqdn(host)),
        scans: visits.iter().map(|visit| visit.scan.clone()).collect(),
        targets: merge_targets(visits, selection),
    }
}

fn merge_targets(visits: &[Visit], selection: &PluginSelection) -> Vec<ScanTarget> {
    let mut namers: BTreeMap<u16, BTreeSet<u32>> = BTreeMap::new();
    for finding in visits.iter().flat_map(Visit::findings) {
        if selection.selects(finding.plugin_id) {
            namers.entry(finding.port).or_default().insert(finding.plugin_id);
        }
    }
    namers
        .into_iter()
        .filter_map(|(port, plugins)| {
            let plugins: Vec<u32> = plugins.into_iter().collect();
            merge_target(port, &plugins, visits, selection)
        })
        .collect()
}

/// The target on a port that these plugins named in any of the scans; none if it is gone.
fn merge_target(
    port: u16,
    plugins: &[u32],
    visits: &[Visit],
    selection: &PluginSelection,
) -> Option<ScanTarget> {
    let names_it =
        |visit: &&Visit| visit.findings().any(|f| f.port == port && selection.selects(f.plugin_id));
    let seen = visits.iter().filter(names_it).map(|visit| visit.scan.login);
    let login = seen.min_by_key(|login| needed(*login)).unwrap_or_default();
    let decides = |visit: &&Visit| visit.scan.could_report(port, plugins, login);
    let newest = visits.iter().find(|visit| names_it(visit) || decides(visit))?;
    if !names_it(&newest) {
        return None;
    }
    let findings: Vec<&Finding> = newest.findings().filter(|f| f.port == port).collect();
    let opened = visits.iter().filter(names_it).filter_map(|visit| visit.scan.ended).min();
    let target = target(port, &findings, selection, &newest.scan, opened);
    Some(ScanTarget { login, ..target })
}

/// Logins in the order of how little they prove to be needed.
fn needed(login: Login) -> u8 {
    match login {
        Login::No => 0,
        Login::Unknown => 1,
        Login::Yes => 2,
    }
}

fn target(
    port: u16,
    findings: &[&Finding],
    selection: &PluginSelection,
    scan: &HostScan,
    opened: Option<Timestamp>,
) -> ScanTarget {
    let plugins = |wanted: &dyn Fn(&Finding) -> bool| -> Vec<u32> {
        let ids: BTreeSet<u32> =
            findings.iter().filter(|f| wanted(f)).map(|f| f.plugin_id).collect();
        ids.into_iter().collect()
    };
    let roles: BTreeSet<Role> = findings.iter().flat_map(|f| f.roles.iter().copied()).collect();
    let scan_helo = findings.iter().map(|f| f.scan_helo).max().unwrap_or(ScanHelo::Unknown);
    let refused =
        findings.iter().any(|f| matches!(f.scan_helo, ScanHelo::Refused | ScanHelo::Rejected));
    let weakens = plugins(&|f| f.roles.contains(&Role::Weakens)).len();
    let shown = findings.iter().find(|f| selection.selects(f.plugin_id) && !f.output.is_empty());
    ScanTarget {
        port,
        detected_by: plugins(&|f| selection.selects(f.plugin_id)),
        context: plugins(&|f| !selection.selects(f.plugin_id)),
        roles: roles.into_iter().collect(),
        scan_helo,
        also_refused: scan_helo == ScanHelo::Accepted && refused,
        severity: findings.iter().map(|f| f.severity).max().unwrap_or(0),
        weakens: u32::try_from(weakens).unwrap_or(u32::MAX),
        relays: plugins(&|f| f.roles.contains(&Role::Relay)),
        opened,
        scan_time: scan.ended,
        login: scan.login,
        input: scan.input,
        output: shown.map(|f| f.output.clone()).unwrap_or_default(),
    }
}

/// The names of a host, in the order in which logs are matched.
fn host_names(host: &ScannedHost) -> impl Iterator<Item = String> {
    let fields = [Some(&host.name), host.fqdn.as_ref()].into_iter().flatten();
    let rest = [host.rdns.as_ref(), host.hostname.as_ref(), host.netbios.as_ref()];
    let all = fields.chain(&host.fqdns).chain(rest.into_iter().flatten());
    all.filter_map(|name| clean_name(name))
}

/// A name that logs could have: lower case, without a trailing dot; no address, URL, `localhost`,
/// and nothing with blanks.
fn clean_name(name: &str) -> Option<String> {
    let name = name.trim().trim_end_matches('.').to_lowercase();
    let nothing = name.is_empty()
        || parse_ip(name.as_bytes()).is_some()
        || name.contains(['/', ':', ' ', '\t', '\n'])
        || name == "localhost"
        || name.starts_with("localhost.");
    (!nothing).then_some(name)
}

fn fqdn(host: &ScannedHost) -> Option<String> {
    let fqdn = host.fqdn.as_deref().and_then(clean_name);
    let first = || host.fqdns.iter().find_map(|name| clean_name(name));
    let rdns = || host.rdns.as_deref().and_then(clean_name);
    fqdn.or_else(first).or_else(rdns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::catalogue::Catalogue;

    fn finding(port: u16, plugin_id: u32, scan_helo: ScanHelo) -> Finding {
        let catalogue = Catalogue::new(&PluginSelection::Smtp);
        Finding {
            port,
            plugin_id,
            plugin_name: String::new(),
            roles: catalogue.get(plugin_id).unwrap().roles.clone(),
            severity: (plugin_id % 5) as u8,
            scan_helo,
            output: format!("output of {plugin_id}"),
            set_aside: None,
        }
    }

    fn host(name: &str, ip: &str, day: i64, findings: &[(u16, u32)]) -> ScannedHost {
        let helo = |id| match id {
            18528 => ScanHelo::Refused,
            54580 | 34861 => ScanHelo::Accepted,
            _ => ScanHelo::Unknown,
        };
        ScannedHost {
            name: name.to_string(),
            ip: ip.parse().ok(),
            started: Some(Timestamp::from_seconds(day * 86_400)),
            ended: Some(Timestamp::from_seconds(day * 86_400 + 3600)),
            finished: true,
            findings: findings.iter().map(|&(port, id)| finding(port, id, helo(id))).collect(),
            ..ScannedHost::default()
        }
    }

    fn scan(input: u32, set: Option<&[u32]>, hosts: Vec<ScannedHost>) -> Scan {
        Scan { input, hosts, plugin_set: set.map(<[u32]>::to_vec), ..Scan::default() }
    }

    fn ports(hosts: &[MergedHost]) -> Vec<(String, Vec<u16>)> {
        let ports = |h: &MergedHost| h.targets.iter().map(|t| t.port).collect();
        hosts.iter().map(|host| (host.key.clone(), ports(host))).collect()
    }

    #[test]
    fn one_address_is_one_host_and_a_name_stands_in_for_it() {
        let scans = [scan(
            0,
            None,
            vec![
                host("www.example.com", "192.0.2.25", 1, &[(25, 10263)]),
                host("mx1.example.com", "192.0.2.25", 1, &[(587, 10263)]),
                host("192.0.2.25", "", 1, &[(465, 10263)]),
                host("MX2.example.com", "", 1, &[]),
            ],
        )];
        let merged = merge_scans(&scans, &PluginSelection::Smtp);
        let expected =
            [("192.0.2.25".to_string(), vec![25, 465, 587]), ("mx2.example.com".into(), vec![])];
        assert_eq!(ports(&merged), expected);
        assert_eq!(merged[0].names, ["www.example.com", "mx1.example.com"]);
        assert_eq!(merged[1].last_scanned(), Some(Timestamp::from_seconds(86_400 + 3600)));
    }

    #[test]
    fn the_newest_scan_that_could_have_reported_a_target_decides() {
        type Case<'a> = (&'a str, Option<&'a [u32]>, &'a [u16]);
        let old = || host("mx1", "192.0.2.25", 1, &[(25, 10263), (587, 42088)]);
        let gone = || host("mx1", "192.0.2.25", 2, &[]);
        let cases: [Case; 4] = [
            ("a newer scan that says nothing of its plugins", None, &[]),
            ("a newer scan of everything", Some(&[10263, 42088]), &[]),
            ("a newer scan without the plugin of port 587", Some(&[10263]), &[587]),
            ("a newer scan of something else", Some(&[19506]), &[25, 587]),
        ];
        for (what, set, expected) in cases {
            let scans = [scan(0, None, vec![old()]), scan(1, set, vec![gone()])];
            let merged = merge_scans(&scans, &PluginSelection::Smtp);
            assert_eq!(ports(&merged)[0].1, expected, "{what}");
            let [first, second] = scans;
            let turned = merge_scans(&[second, first], &PluginSelection::Smtp);
            assert_eq!(turned, merged, "{what}");
            assert_eq!(merged[0].scans.len(), 2);
        }
    }

    #[test]
    fn a_target_is_opened_by_its_first_scan_and_told_by_its_last() {
        let scans = [
            scan(0, None, vec![host("mx1", "192.0.2.25", 3, &[(25, 54580), (25, 18528)])]),
            scan(1, None, vec![host("mx1", "192.0.2.25", 1, &[(25, 18528)])]),
            scan(2, None, vec![host("other", "192.0.2.26", 9, &[])]),
        ];
        let merged = merge_scans(&scans, &PluginSelection::Smtp);
        let target = &merged[0].targets[0];
        assert_eq!(target.opened, Some(Timestamp::from_seconds(86_400 + 3600)));
        assert_eq!(target.scan_time, Some(Timestamp::from_seconds(3 * 86_400 + 3600)));
        assert_eq!((target.scan_helo, target.also_refused), (ScanHelo::Accepted, true));
        assert_eq!(target.detected_by, [18528, 54580]);
        assert_eq!((target.input, target.severity), (0, 3));
    }

    #[test]
    fn selected_plugins_make_targets_and_the_others_stay_context() {
        let hosts = vec![host(
            "mx1",
            "192.0.2.25",
            1,
            &[(25, 34861), (25, 10262), (25, 10249), (587, 10263)],
        )];
        let scans = [scan(0, None, hosts)];
        let merged = merge_scans(&scans, &PluginSelection::Ids(vec![34861]));
        assert_eq!(ports(&merged)[0].1, [25]);
        let target = &merged[0].targets[0];
        assert_eq!(
            (&target.detected_by[..], &target.context[..]),
            (&[34861][..], &[10249, 10262][..])
        );
        assert_eq!((target.weakens, &target.relays[..]), (1, &[10262][..]));
        assert_eq!(target.output, "output of 34861");
        assert_eq!(target.roles, [Role::Check, Role::Accepts, Role::Weakens, Role::Relay]);
    }

    #[test]
    fn what_is_set_aside_or_about_the_scanner_is_no_target() {
        let mut aix = host("mx1", "192.0.2.25", 1, &[(0, 34861), (0, 19506)]);
        aix.findings[0].set_aside = Some(crate::model::finding::SetAside::NotSmtp);
        aix.scanners = vec!["192.0.2.9".parse().unwrap()];
        let scans = [scan(0, None, vec![aix, host("mx2", "192.0.2.26", 1, &[])])];
        let merged = merge_scans(&scans, &PluginSelection::Smtp);
        assert!(merged.iter().all(|host| host.targets.is_empty()));
        assert_eq!(scanner_addresses(&scans), ["192.0.2.9".parse::<IpAddr>().unwrap()]);
        assert_eq!(merged[1].scans[0].scanners, scanner_addresses(&scans));
        assert!(merged[1].scans[0].could_report(25, &[10263], Login::Unknown));
    }

    #[test]
    fn names_in_the_order_of_matching() {
        let full = ScannedHost {
            name: "198.51.100.1".into(),
            fqdn: Some("MX1.example.com.".into()),
            fqdns: vec!["192.0.2.25".into(), "mail.example.com".into(), "mx1.example.com".into()],
            rdns: Some("https://mx1.example.com/".into()),
            hostname: Some("localhost".into()),
            netbios: Some("MX1".into()),
            ..ScannedHost::default()
        };
        let names: Vec<String> = host_names(&full).collect();
        assert_eq!(names, ["mx1.example.com", "mail.example.com", "mx1.example.com", "mx1"]);
        assert_eq!(fqdn(&full).as_deref(), Some("mx1.example.com"));
        let rdns = ScannedHost { rdns: Some("a.example".into()), ..ScannedHost::default() };
        assert_eq!(fqdn(&rdns).as_deref(), Some("a.example"));
    }
}
