//! Judged targets for tests. In: nothing. Out: targets as `judge` would hand them over, with
//! hostile names in them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::citation::Citation;
use crate::model::finding::{Role, ScanHelo};
use crate::model::input::{InputKind, InputReport, Span, Status, Tally};
use crate::model::judged::{
    CitationKind, CitedLine, Class, Confidence, Counts, JudgedAsset, JudgedSource, JudgedTarget,
    Priority, RankedSource, Rule, ScanFacts, TargetCoverage, Verdict,
};
use crate::model::policy::{AssetPolicy, AssetRole, Policy};
use crate::model::session::Proves;
use crate::model::time::Timestamp;

pub(crate) fn time(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

pub(crate) fn input(path: &str, format: &'static str) -> InputReport {
    InputReport {
        path: path.into(),
        kind: InputKind::Log,
        compression: None,
        formats: BTreeMap::from([(format, 9)]),
        tally: Tally { lines: 9, events: 6, ignored: 2, rejected: 1, duplicates: 0, bytes: 900 },
        span: Some(Span {
            first: time("2026-11-01T00:00:00Z"),
            last: time("2026-11-03T00:00:00Z"),
        }),
        servers: BTreeMap::new(),
        years_inferred: true,
        zone_guessed: true,
        unterminated: false,
        notes: Vec::new(),
        rejects: Vec::new(),
        status: Status::Complete,
    }
}

/// A firewall log (0) and a mail log (1).
pub(crate) fn inputs(firewall: &'static str, mail: &'static str) -> Vec<InputReport> {
    vec![input("fw/edge.log", firewall), input("mail/mail.log.1.gz", mail)]
}

pub(crate) fn policy(trusted: &[&str]) -> Policy {
    let mut policy = Policy::default();
    for network in trusted {
        policy.networks.trusted.insert(network.parse().unwrap());
    }
    policy.assets.push(AssetPolicy {
        matches: vec![crate::model::policy::AssetMatch::Name("mx1.example.com".to_owned())],
        local_domains: vec!["example.com".to_owned()],
        ..AssetPolicy::default()
    });
    policy
}

pub(crate) fn source(ip: &str, helo: &str) -> JudgedSource {
    let cited = |kind, input, line| CitedLine {
        kind,
        time: Some(time("2026-11-02T10:00:00Z")),
        at: Citation { input, line },
    };
    JudgedSource {
        ip: ip.parse().unwrap(),
        class: Class::External,
        rule: Some(Rule::R7),
        step_down: None,
        counts: Counts {
            helo_accepted: 3,
            corroborated: 2,
            sessions: 3,
            fw_permitted: 4,
            fw_denied: 1,
            ..Counts::default()
        },
        first_seen: Some(time("2026-11-02T10:00:00Z")),
        last_seen: Some(time("2026-11-02T11:00:00Z")),
        helo_names: vec![helo.into()],
        sasl_usernames: Vec::new(),
        citations: vec![
            cited(CitationKind::Permitted, 0, 3),
            cited(CitationKind::Mail(Proves::Helo), 1, 12),
        ],
    }
}

pub(crate) fn asset(ip: &str, name: &str, role: AssetRole) -> JudgedAsset {
    let ip: Option<IpAddr> = ip.parse().ok();
    JudgedAsset {
        key: ip.map_or_else(|| name.to_owned(), |ip| ip.to_string()),
        former_keys: Vec::new(),
        ip,
        fqdn: Some(name.to_owned()),
        addresses: ip.into_iter().collect(),
        names: vec![name.to_owned()],
        role,
        in_policy: role != AssetRole::None,
        owner: Some("mail-team".to_owned()),
        critical: false,
    }
}

/// A confirmed target with one source.
pub(crate) fn target() -> JudgedTarget {
    with_sources(&[("198.51.100.7", "probe.example")])
}

pub(crate) fn with_sources(sources: &[(&str, &str)]) -> JudgedTarget {
    let top: Vec<JudgedSource> = sources.iter().map(|(ip, helo)| source(ip, helo)).collect();
    let mut counts = Counts::default();
    for source in &top {
        counts.add(&source.counts);
    }
    JudgedTarget {
        asset: asset("203.0.113.25", "mx1.example.com", AssetRole::None),
        port: 25,
        scan: scan_facts(),
        verdict: Verdict::Confirmed,
        rule: Rule::R7,
        priority: Priority::P2,
        score: 74,
        confidence: Confidence::High,
        reasons: vec!["P2 74".to_owned(), "R7: no abuse, external, partial impact".to_owned()],
        due_days: 14,
        deciding: top.first().map(|source| source.ip),
        unexpected_sources: top.len() as u64,
        external_sources: top.len() as u64,
        counts,
        first_seen: Some(time("2026-11-02T10:00:00Z")),
        last_seen: Some(time("2026-11-02T11:00:00Z")),
        reached: Some(time("2026-11-02T11:00:00Z")),
        helo_names: sources.iter().map(|(_, helo)| (*helo).into()).collect(),
        sources: top.iter().map(ranked).collect(),
        top_sources: top,
        matched: vec!["203.0.113.25:25".to_owned()],
        coverage: coverage(),
        misses_control: false,
        notes: vec!["The scanner 192.0.2.9 was seen in the firewall log.".to_owned()],
        proof: None,
    }
}

fn scan_facts() -> ScanFacts {
    ScanFacts {
        detected_by: vec![
            (10263, "SMTP Server Detection".to_owned()),
            (34861, "SMTP Server Connection Check".to_owned()),
        ],
        roles: vec![Role::Check, Role::Detects],
        scan_helo: ScanHelo::Accepted,
        severity: 0,
        opened: Some(time("2026-11-01T10:00:00Z")),
        scan_time: Some(time("2026-11-03T10:00:00Z")),
        outputs: vec![
            "Remote SMTP server banner :\n\n220 mx1.example.com ESMTP Postfix".to_owned(),
        ],
    }
}

fn ranked(source: &JudgedSource) -> RankedSource {
    let address = match source.ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    RankedSource { rank: 0, fewest: 0, address }
}

fn coverage() -> TargetCoverage {
    let span = Span { first: time("2026-11-01T00:00:00Z"), last: time("2026-11-03T00:00:00Z") };
    TargetCoverage { firewall: vec![span], mail: vec![span], hidden_helo: None }
}
