//! What the reader of a ticket, and of the run's account, should know besides the figures. In: what
//! judging met on its way. Out: whole sentences; foreign names in them are not yet made safe.

use std::collections::BTreeMap;

use crate::correlate::evidence::Evidence;
use crate::correlate::server::LoggedServer;
use crate::correlate::world::World;
use crate::judge::links::{Links, keys_of};
use crate::judge::score::counted;
use crate::judge::source::Scene;
use crate::judge::totals::Totals;
use crate::model::input::{Devices, InputReport};
use crate::model::judged::Unmatched;
use crate::model::policy::AssetRole;
use crate::model::text::id_part;

/// How many names a sentence lists.
const LISTED: usize = 5;

/// The notes of one target, the control sample's apart.
pub(super) fn of_target(
    scene: &Scene<'_>,
    totals: &Totals,
    links: &Links,
    devices: &Devices,
) -> Vec<String> {
    let mut notes = Vec::new();
    if scene.target.also_refused {
        notes.push(
            "The scan holds both answers: the server refused the scanner, and it accepted HELO."
                .to_owned(),
        );
    }
    notes.extend(visibility(scene));
    notes.extend(series(totals, devices));
    notes.extend(oversteps(scene, totals));
    notes.extend(lost_sessions(scene, links));
    if scene.proxied {
        notes.push(
            "Sessions came through a load balancer of the policy; the mail log does not show their \
             clients."
                .to_owned(),
        );
    }
    notes
}

/// What the mail log cannot show, and its gaps.
fn visibility(scene: &Scene<'_>) -> Vec<String> {
    let facts = &scene.covered.facts;
    let mut notes = Vec::new();
    if let Some(setting) = facts.hidden_helo {
        notes.push(format!(
            "This server's log does not show every accepted HELO, so their absence proves \
             nothing. {setting}"
        ));
    }
    for (kind, spans) in [("mail", &facts.mail), ("firewall", &facts.firewall)] {
        if let [first, .., last] = spans.as_slice() {
            notes.push(format!(
                "The {kind} log has {} between {} and {}.",
                counted(spans.len() as u64 - 1, "gap", "gaps"),
                first.first,
                last.last
            ));
        }
    }
    notes
}

fn series(totals: &Totals, devices: &Devices) -> Option<String> {
    let names: Vec<&str> = totals.series.iter().map(|&device| devices.name(device)).collect();
    let list = listed(&mut names.iter().map(|name| (*name).to_owned()).collect());
    (names.len() > 1).then(|| {
        format!("Firewalls in series count the same connections once each in fw_permitted: {list}.")
    })
}

fn oversteps(scene: &Scene<'_>, totals: &Totals) -> Option<String> {
    let covers = match scene.asset.facts.role {
        AssetRole::Mx if scene.target.port == 25 => "mail for local users, no relaying and no AUTH",
        _ => "authenticated mail",
    };
    (totals.overstepped > 0).then(|| {
        format!(
            "{} did what the role {} does not cover ({covers}).",
            counted(totals.overstepped, "source", "sources"),
            scene.asset.facts.role.word()
        )
    })
}

/// Sessions that may belong to the target but do not count.
fn lost_sessions(scene: &Scene<'_>, links: &Links) -> Vec<String> {
    let mut notes = Vec::new();
    let servers = scene.servers.iter().filter_map(|&n| scene.evidence.servers().get(n as usize));
    let clientless: u64 = servers.map(|(_, facts)| facts.clientless).sum();
    if clientless > 0 {
        let sessions = counted(clientless, "session", "sessions");
        notes.push(format!("The mail log does not show the client of {sessions}."));
    }
    let lost = links.lost.get(&scene.asset.facts.key).into_iter().flatten();
    for server in lost.filter_map(|&place| links.unmatched.get(place)) {
        let sessions = counted(server.sessions, "session", "sessions");
        let name = &server.server;
        match server.why {
            Unmatched::AmbiguousName => notes.push(format!(
                "{sessions} of the mail server {name} count nowhere: the name fits {}; tell them \
                 apart by log_names in the policy.",
                listed(&mut server.candidates.clone())
            )),
            Unmatched::UnclearPort => notes.push(format!(
                "{sessions} of the mail server {name} count nowhere: the log names no port, and \
                 the host has several SMTP ports."
            )),
            Unmatched::NotInScan | Unmatched::NoFinding => {}
        }
    }
    notes
}

/// The warnings of the run.
pub(super) fn of_run(
    world: &World,
    evidence: &Evidence,
    reports: &[InputReport],
    devices: &Devices,
    links: &Links,
) -> Vec<String> {
    let mut warnings = Vec::new();
    for (ip, assets) in world.shared_addresses() {
        warnings.push(format!(
            "The address {ip} belongs to several assets, and its evidence counts for each: {}.",
            listed(&mut keys_of(world, assets))
        ));
    }
    warnings.extend(same_ids(world));
    warnings.extend(links.unmatched.iter().map(|server| {
        let port = server.port.map(|port| format!(" port {port}")).unwrap_or_default();
        let name = if server.server.is_empty() { "(no name)" } else { &server.server };
        let sessions = counted(server.sessions, "session", "sessions");
        let fits = listed(&mut server.candidates.clone());
        let fits = if fits.is_empty() { fits } else { format!(" ({fits})") };
        format!("{name}{port}: {}{fits}: {sessions}.", server.why.text())
    }));
    let named = evidence.named_ends();
    let records: u64 = named.values().sum();
    if records > 0 {
        let mut names: Vec<String> = named.keys().map(ToString::to_string).collect();
        warnings.push(format!(
            "{} name an end that should be an address and count nowhere: {}.",
            counted(records, "firewall record", "firewall records"),
            listed(&mut names)
        ));
    }
    warnings.extend(overlaps(evidence, reports, devices));
    warnings
}

/// Targets whose tickets have one and the same id, since their assets' keys differ by characters
/// that ids do not have, or one is the policy's id and the other an address.
fn same_ids(world: &World) -> Vec<String> {
    let mut by_id: BTreeMap<(String, u16), Vec<String>> = BTreeMap::new();
    for target in world.targets() {
        let Some(asset) = world.assets().get(target.asset) else { continue };
        let facts = &asset.facts;
        let address = facts.ip.map(|ip| format!(" ({ip})")).unwrap_or_default();
        let name = format!("{}{address}", facts.key);
        by_id.entry((id_part(&facts.key), target.port)).or_default().push(name);
    }
    let shared = by_id.into_iter().filter(|(_, assets)| assets.len() > 1);
    let warn = |((_, port), mut assets): (_, Vec<String>)| {
        let assets = listed(&mut assets);
        format!(
            "Assets have one ticket id on port {port}, give them others in the policy: {assets}."
        )
    };
    shared.map(warn).collect()
}

/// Logs of one firewall that overlap in time may tell the same connections twice.
fn overlaps(evidence: &Evidence, reports: &[InputReport], devices: &Devices) -> Vec<String> {
    let mut by_device: BTreeMap<&str, Vec<&InputReport>> = BTreeMap::new();
    for &(device, input) in evidence.devices() {
        if let Some(report) = reports.get(input as usize).filter(|report| report.span.is_some()) {
            by_device.entry(devices.name(device)).or_default().push(report);
        }
    }
    let mut warnings = Vec::new();
    for (device, mut logs) in by_device {
        logs.sort_by_key(|report| (report.span, report.path.clone()));
        let mut latest: Option<&InputReport> = None;
        for log in logs {
            let end = |report: &InputReport| report.span.map(|span| span.last);
            let start = log.span.map(|span| span.first);
            if let Some(before) = latest.filter(|before| end(before) > start) {
                warnings.push(format!(
                    "The logs {} and {} of the firewall {device} overlap in time: connections that \
                     both hold count twice.",
                    before.path.display(),
                    log.path.display()
                ));
            }
            if latest.is_none_or(|before| end(before) < end(log)) {
                latest = Some(log);
            }
        }
    }
    warnings
}

/// Names sorted and joined, the many cut short.
fn listed(names: &mut Vec<String>) -> String {
    names.sort_unstable();
    names.dedup();
    let more = names.len().saturating_sub(LISTED);
    names.truncate(LISTED);
    let list = names.join(", ");
    if more > 0 { format!("{list} and {more} more") } else { list }
}

/// The addresses and ports under which firewall records name a target, sorted.
pub(super) fn endpoints_text(servers: &[&LoggedServer]) -> Vec<String> {
    let ends = servers.iter().flat_map(|server| server.endpoints());
    let mut texts: Vec<String> = ends
        .map(|end| match end.ip {
            std::net::IpAddr::V4(ip) => format!("{ip}:{}", end.port),
            std::net::IpAddr::V6(ip) => format!("[{ip}]:{}", end.port),
        })
        .collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}
