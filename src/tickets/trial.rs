//! Tickets that nobody gets: they show before a run whether the templates can be rendered. In:
//! templates. Out: the first error, or none; the names that templates can use.
//!
//! The targets are of every verdict, role, mail server and firewall, on the usual ports and
//! another, known by addresses of both families or by name only, with all that a ticket may tell
//! and with nothing of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::error::Result;
use crate::model::citation::Citation;
use crate::model::finding::{Role, ScanHelo};
use crate::model::input::{InputKind, InputReport, Span};
use crate::model::judged::{
    CitationKind, CitedLine, Class, Confidence, Counts, JudgedAsset, JudgedSource, JudgedTarget,
    Priority, Proof, Rule, ScanFacts, TargetCoverage, Verdict,
};
use crate::model::policy::{AssetRole, Policy};
use crate::model::session::Proves;
use crate::model::time::Timestamp;
use crate::tickets::templates::Templates;
use crate::tickets::{Author, Setting, Standing};

const SERVERS: [&str; 6] = ["postfix", "exim", "sendmail", "exchange", "opensmtpd", "haraka"];
const FIREWALLS: [&str; 5] = ["netfilter", "cisco_asa", "fortigate", "panos", "filterlog"];
const PORTS: [u16; 5] = [25, 465, 587, 2525, 8025];

const FOUR: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 25));
const SIX: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x25));
const ADDRESSES: [&[IpAddr]; 4] = [&[FOUR], &[SIX], &[FOUR, SIX], &[]];

/// What a target of the trial has to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Everything,
    Nothing,
}

/// The names that templates can use, sorted.
pub(super) fn names(templates: &Templates) -> Result<Vec<String>> {
    let policy = Policy::default();
    let author = Author::new(Setting { policy: &policy, inputs: &[], templates });
    let values = author.values(&target(0, Verdict::Abused, AssetRole::None, Told::Nothing));
    let mut names = Vec::new();
    for key in values.try_iter().map_err(|error| templates.wrong("values", &error.to_string()))? {
        names.push(key.to_string());
    }
    names.sort_unstable();
    Ok(names)
}

/// Writes the tickets of every kind of target.
///
/// # Errors
/// The first that a template gives, and that of a summary without a word.
pub(super) fn check(templates: &Templates) -> Result<()> {
    let pairs = SERVERS.iter().flat_map(|server| FIREWALLS.map(|firewall| (*server, firewall)));
    let kinds = || Verdict::ALL.iter().flat_map(|v| AssetRole::ALL.map(|role| (*v, role)));
    for (pair, (server, firewall)) in pairs.enumerate() {
        let inputs = [input(firewall, InputKind::Firewall), input(server, InputKind::Mail)];
        let policy = policy(if pair % 3 == 2 { Told::Nothing } else { Told::Everything });
        let author = Author::new(Setting { policy: &policy, inputs: &inputs, templates });
        for (number, (verdict, role)) in kinds().enumerate() {
            let told = if (pair + number) % 2 == 0 { Told::Everything } else { Told::Nothing };
            let target = target(pair + number, verdict, role, told);
            let ticket = author.ticket(&target, Standing::new(&target))?;
            if ticket.texts.summary.is_empty() {
                return Err(templates.wrong("summary.txt", "the summary of a ticket is empty"));
            }
        }
    }
    Ok(())
}

fn policy(told: Told) -> Policy {
    let mut policy = Policy::default();
    if told == Told::Everything {
        let four = Ipv4Net::new_assert(Ipv4Addr::new(10, 20, 0, 0), 16);
        let six = Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0), 48);
        policy.networks.trusted.insert(IpNet::V4(four));
        policy.networks.trusted.insert(IpNet::V6(six));
    }
    policy
}

fn input(format: &'static str, kind: InputKind) -> InputReport {
    let mut input = InputReport::new(format!("{format}.log").into(), kind);
    input.formats.insert(format, 1);
    input
}

fn span() -> Span {
    Span { first: Timestamp::from_seconds(1_793_000_000), last: time() }
}

fn time() -> Timestamp {
    Timestamp::from_seconds(1_793_600_000)
}

/// A target; `turn` decides its port and its addresses.
fn target(turn: usize, verdict: Verdict, role: AssetRole, told: Told) -> JudgedTarget {
    let all = told == Told::Everything;
    let port = PORTS.get(turn % PORTS.len()).copied().unwrap_or(25);
    let addresses = ADDRESSES.get(turn % ADDRESSES.len()).copied().unwrap_or_default();
    let counts = if all { counts() } else { Counts::default() };
    let spans = if all { vec![span(), span()] } else { Vec::new() };
    JudgedTarget {
        asset: asset(addresses, role, told),
        port,
        scan: scan(told),
        verdict,
        rule: if all { Rule::R15 } else { Rule::R0 },
        priority: if all { Priority::P1 } else { Priority::P4 },
        score: 99,
        confidence: if all { Confidence::High } else { Confidence::None },
        reasons: vec!["P1 99".to_owned()],
        due_days: 3,
        deciding: all.then_some(SIX),
        unexpected_sources: if all { 9 } else { 0 },
        external_sources: if all { 9 } else { 0 },
        counts,
        first_seen: all.then(time),
        last_seen: all.then(time),
        reached: all.then(time),
        top_sources: if all { vec![source()] } else { Vec::new() },
        helo_names: Vec::new(),
        sources: Vec::new(),
        matched: Vec::new(),
        coverage: TargetCoverage {
            firewall: spans.clone(),
            mail: spans,
            hidden_helo: all.then_some("A setting would show it."),
        },
        misses_control: false,
        notes: if all { vec!["A note.".to_owned()] } else { Vec::new() },
        proof: (all && verdict == Verdict::Quiet).then(proof),
    }
}

fn asset(addresses: &[IpAddr], role: AssetRole, told: Told) -> JudgedAsset {
    let name = || "mx1.example.com".to_owned();
    let all = told == Told::Everything;
    let ip = addresses.first().copied();
    JudgedAsset {
        key: ip.map_or_else(name, |ip| ip.to_string()),
        former_keys: Vec::new(),
        ip,
        fqdn: all.then(name),
        addresses: addresses.to_vec(),
        names: if all { vec![name()] } else { Vec::new() },
        role,
        in_policy: role != AssetRole::None,
        owner: all.then(|| "mail-team".to_owned()),
        critical: all,
    }
}

fn scan(told: Told) -> ScanFacts {
    let all = told == Told::Everything;
    let check = (18_528, "SMTP Server Connection Check".to_owned());
    ScanFacts {
        detected_by: vec![if all { check } else { (10_263, String::new()) }],
        roles: if all { vec![Role::Check, Role::Relay] } else { vec![Role::Detects] },
        scan_helo: if all { ScanHelo::Accepted } else { ScanHelo::Unknown },
        severity: 0,
        opened: all.then(time),
        scan_time: all.then(time),
        outputs: if all { vec!["a banner of no known server".to_owned()] } else { Vec::new() },
    }
}

fn counts() -> Counts {
    Counts {
        helo_accepted: 3,
        corroborated: 2,
        mail_accepted: 2,
        relayed: 1,
        auth_ok: 1,
        auth_failed: 1,
        helo_rejected: 1,
        sessions: 5,
        fw_permitted: 4,
        fw_denied: 1,
        fw_other: 1,
    }
}

fn source() -> JudgedSource {
    let cited =
        |kind, input| CitedLine { kind, time: Some(time()), at: Citation { input, line: 1 } };
    JudgedSource {
        ip: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)),
        class: Class::External,
        rule: Some(Rule::R15),
        step_down: None,
        counts: counts(),
        first_seen: Some(time()),
        last_seen: Some(time()),
        helo_names: vec!["probe.example".into()],
        sasl_usernames: vec!["sales".into()],
        citations: vec![
            cited(CitationKind::Permitted, 0),
            cited(CitationKind::Mail(Proves::Helo), 1),
        ],
    }
}

fn proof() -> Proof {
    Proof { scan: "a scan".to_owned(), ended: time(), last_open: Some(time()), denied: None }
}
