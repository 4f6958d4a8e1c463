//! Draws the company of a case: which mail servers it has, how scan, policy and logs know them. In:
//! choices. Out: a world in which nothing has happened yet.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use chrono_tz::Tz;

use super::cisco_asa::CiscoAsa;
use super::exchange::Exchange;
use super::mailer::Mailer;
use super::netfilter::Netfilter;
use super::postfix::Postfix;
use super::rng::Rng;
use super::stamp::{DAY, HOUR, Seconds, Style};
use super::world::{Asset, Block, Firewall, MailLog, Networks, Role, Target, World};

/// How much happens to an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// No log knows it.
    Uncovered,
    /// Firewall records that say neither permitted nor denied.
    UnknownOnly,
    /// Only those who may.
    Quiet,
    /// Refused at the firewall.
    Denied,
    /// Permitted by the firewall, no mail session.
    Firewall,
    /// Sessions that achieve nothing.
    Harmless,
    /// Mail accepted, relayed, AUTH.
    Abuse,
}

/// The moods of a case's assets; every case has each of them.
pub(crate) const MOODS: [Mood; 16] = [
    Mood::Uncovered,
    Mood::UnknownOnly,
    Mood::Quiet,
    Mood::Denied,
    Mood::Firewall,
    Mood::Firewall,
    Mood::Harmless,
    Mood::Harmless,
    Mood::Harmless,
    Mood::Harmless,
    Mood::Abuse,
    Mood::Abuse,
    Mood::Abuse,
    Mood::Abuse,
    Mood::Quiet,
    Mood::Denied,
];

/// Ends of the logs: one has its logs cross New Year, one a change to summer time; none has a change
/// back, when a local time without zone means two.
const ENDS: [&str; 5] = [
    "2026-01-20T00:00:00Z",
    "2026-05-10T00:00:00Z",
    "2026-07-15T00:00:00Z",
    "2026-09-30T00:00:00Z",
    "2026-12-20T00:00:00Z",
];

/// Days that the logs span.
pub(crate) const SPAN: Seconds = 45;

/// How many days before the end a mail log starts that does not cover everything.
const LATE: Seconds = 12;

/// The company, with empty logs and books.
pub(crate) fn world(rng: &mut Rng) -> World {
    let end = chrono::DateTime::parse_from_rfc3339(rng.pick(&ENDS)).unwrap().timestamp();
    let start = end - SPAN * DAY;
    let mut assets: Vec<Asset> = Vec::new();
    for (index, mood) in MOODS.into_iter().enumerate() {
        // Roles and moods drift against each other from case to case.
        let role = (index + rng.below(6) as usize) % 6;
        assets.push(asset(rng, index, role, mood, (start, end)));
    }
    let mail_logs = assets
        .iter()
        .enumerate()
        .filter_map(|(i, asset)| Some((i, mail_log(rng, asset, asset.mail?))))
        .collect();
    World {
        start,
        end,
        scan_time: end - 9 * DAY + 3 * HOUR,
        networks: networks(),
        assets,
        ledgers: BTreeMap::new(),
        edge: CiscoAsa::new("fw-edge", cisco_style(rng)),
        ufw: Netfilter::new("gw1", syslog_style(rng), true),
        custom: Netfilter::new("gw2", syslog_style(rng), false),
        mail_logs,
    }
}

fn networks() -> Networks {
    let nets = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect();
    Networks {
        trusted: nets(&["10.20.0.0/16", "192.0.2.240/28"]),
        internal: nets(&["203.0.113.0/25", "2001:db8:aaaa::/48"]),
        scanners: nets(&["10.9.9.10/32"]),
        export_scanner: "10.9.9.9".parse().unwrap(),
    }
}

fn zone(rng: &mut Rng) -> Tz {
    rng.pick(&[Tz::UTC, Tz::Europe__Berlin, Tz::America__New_York])
}

fn syslog_style(rng: &mut Rng) -> Style {
    let zone = zone(rng);
    if rng.chance(50) { Style::Rfc3164(zone) } else { Style::Iso(zone) }
}

fn cisco_style(rng: &mut Rng) -> Style {
    let zone = zone(rng);
    rng.pick(&[Style::Rfc3164(zone), Style::IsoZulu, Style::CiscoYear(zone)])
}

fn mail_log(rng: &mut Rng, asset: &Asset, mail: MailLog) -> Mailer {
    let style = syslog_style(rng);
    let long_ids = rng.chance(30);
    // Exchange's log names the machine's own address: scan or policy must know it.
    if mail.shows_helo && asset.known.contains(&asset.real) && rng.chance(20) {
        let name = if asset.alias { &asset.log_name } else { &asset.short };
        return Mailer::Exchange(Exchange::new(name.to_uppercase()));
    }
    Mailer::Postfix(Postfix::new(asset.log_name.clone(), style, mail.shows_helo, long_ids))
}

fn asset(rng: &mut Rng, index: usize, role: usize, mood: Mood, span: (Seconds, Seconds)) -> Asset {
    let short = format!("srv{index}");
    let fqdn = format!("{short}.corp.example");
    let listed = block(rng, role);
    let mail = mail_of(rng, mood, span);
    let firewalls = firewalls(rng, mood, mail.is_some());
    let (real, mapped) = addresses(rng, index as u8, &firewalls);
    let only_edge = firewalls == [Firewall::Edge];
    // Without a policy block the scan must show the address that the logs print.
    let show_mapped = mapped.is_some() && (listed.is_some() || only_edge) && rng.chance(50);
    let host_ip = if show_mapped { mapped } else { Some(real) };
    let has_name = listed.is_none() || rng.chance(60);
    let report_name = (has_name && rng.chance(40)).then(|| fqdn.clone());
    let named_only = listed.is_some() && report_name.is_some() && rng.chance(25);
    let v6 = (listed.is_some() && rng.chance(30))
        .then(|| format!("2001:db8:aaaa::{:x}", 0x20 + index).parse().unwrap());
    let mut asset = Asset {
        host_ip: host_ip.filter(|_| !named_only),
        twin_ip: None,
        fqdn: (has_name && (report_name.is_none() || rng.chance(50))).then(|| fqdn.clone()),
        report_name,
        real,
        mapped,
        v6,
        known: Vec::new(),
        log_name: String::new(),
        alias: false,
        targets: targets(rng, role, listed.is_some()),
        listed,
        mail,
        firewalls,
        covered_by_policy: false,
        short,
    };
    if named_only && let Some(block) = &mut asset.listed {
        block.by_name = true;
    }
    add_twin(rng, &mut asset, index as u8);
    add_names(rng, &mut asset, &fqdn);
    asset.known = known(&asset);
    let unseen = mood == Mood::Quiet && asset.mail.is_none();
    asset.covered_by_policy = unseen && asset.host_ip.is_some() && rng.chance(60);
    if asset.twin_ip.is_some() || asset.host_ip.is_none() {
        // Which of its addresses decides about "public" is left to the program.
        asset.targets.iter_mut().for_each(|target| target.relay_plugin = false);
    }
    asset
}

fn block(rng: &mut Rng, role: usize) -> Option<Block> {
    let role = match role {
        0 => Role::Mx,
        1 => Role::Submission,
        2 => Role::Relay,
        3 => Role::Internal,
        4 => Role::None,
        _ => return None,
    };
    Some(Block {
        role,
        with_id: rng.chance(40),
        by_name: false,
        partners: role == Role::Relay || rng.chance(40),
        local_domains: rng.chance(60),
        critical: rng.chance(20),
    })
}

fn targets(rng: &mut Rng, role: usize, listed: bool) -> Vec<Target> {
    let ports: &[u16] = match role {
        0 => rng.pick(&[&[25][..], &[25, 587], &[25, 465]]),
        1 => rng.pick(&[&[587][..], &[465, 587]]),
        4 if listed => rng.pick(&[&[25][..], &[2525]]),
        5 => rng.pick(&[&[25][..], &[25, 587]]),
        _ => &[25],
    };
    let mut target = |port| Target { port, relay_plugin: rng.chance(12), mix: rng.below(6) };
    ports.iter().map(|port| target(*port)).collect()
}

fn mail_of(rng: &mut Rng, mood: Mood, (start, end): (Seconds, Seconds)) -> Option<MailLog> {
    let likely = match mood {
        Mood::Uncovered | Mood::UnknownOnly => 0,
        Mood::Quiet | Mood::Denied => 50,
        Mood::Firewall => 65,
        Mood::Harmless | Mood::Abuse => 92,
    };
    let from = if rng.chance(15) { end - LATE * DAY } else { start };
    let shows_helo = mood == Mood::Abuse || rng.chance(88);
    rng.chance(likely).then_some(MailLog { from, to: end, shows_helo })
}

fn firewalls(rng: &mut Rng, mood: Mood, has_mail: bool) -> Vec<Firewall> {
    use Firewall::{Custom, Edge, Ufw};
    if mood == Mood::UnknownOnly {
        return vec![rng.pick(&[Ufw, Custom])];
    }
    if has_mail && matches!(mood, Mood::Harmless | Mood::Abuse) && rng.chance(15) {
        return Vec::new();
    }
    rng.pick(&[&[Edge][..], &[Edge], &[Ufw], &[Custom], &[Edge, Ufw], &[Edge, Custom]]).to_vec()
}

/// The machine's own address and the one that the outside dials.
fn addresses(rng: &mut Rng, index: u8, firewalls: &[Firewall]) -> (IpAddr, Option<IpAddr>) {
    let private = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 20 + index));
    let public = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 20 + index));
    if firewalls.contains(&Firewall::Edge) && rng.chance(60) {
        return (private, Some(public));
    }
    (if rng.chance(50) { private } else { public }, None)
}

fn add_twin(rng: &mut Rng, asset: &mut Asset, index: u8) {
    let joined = asset.listed.is_some_and(|b| b.with_id && !b.by_name);
    if joined && asset.host_ip.is_some() && rng.chance(30) {
        asset.twin_ip = Some(IpAddr::V4(Ipv4Addr::new(10, 0, 1, 20 + index)));
    }
}

/// The name in the mail log, and what ties it to the asset.
fn add_names(rng: &mut Rng, asset: &mut Asset, fqdn: &str) {
    let named = asset.fqdn.is_some() || asset.report_name.is_some();
    let alias = asset.listed.is_some() && (!named || rng.chance(30));
    asset.alias = alias;
    asset.log_name = if alias {
        format!("mailnode-{}", asset.short)
    } else if rng.chance(50) {
        fqdn.to_owned()
    } else {
        asset.short.clone()
    };
}

fn known(asset: &Asset) -> Vec<IpAddr> {
    let mut known: Vec<IpAddr> = asset.host_ip.into_iter().chain(asset.twin_ip).collect();
    if asset.listed.is_some() {
        known.extend([asset.real]);
        known.extend(asset.mapped);
        known.extend(asset.v6);
    }
    known.sort();
    known.dedup();
    known
}
