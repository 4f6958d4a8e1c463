//! Random small cases for the oracle. In: a seed. Out: hosts, policy, events and input reports
//! drawn from short lists, so that addresses, names and times collide often.

use std::collections::BTreeMap;
use std::net::IpAddr;

use globset::Glob;
use helotriage::logs::mail::ShowsHelo;
use helotriage::model::citation::Citation;
use helotriage::model::finding::{Login, Role, ScanHelo};
use helotriage::model::flow::{Action, Answer, Flow, FlowEvent, Host, Packet};
use helotriage::model::input::{Devices, InputKind, InputReport, Span, Status, Tally};
use helotriage::model::net::{Endpoint, NetSet, parse_network};
use helotriage::model::policy::{
    AssetMatch, AssetPolicy, AssetRole, InputRule, InputSettings, Networks, Policy,
};
use helotriage::model::session::{Auth, Delivery, Helo, Outcome, ProofLine, Proves, Session};
use helotriage::model::target::{HostScan, MergedHost, ScanTarget};
use helotriage::model::time::{SECOND, Timestamp};

use crate::case::rng::Rng;

/// A session and the format it was read in.
pub(super) struct MadeSession {
    pub(super) session: Session,
    pub(super) format: &'static str,
}

/// One case.
pub(super) struct Made {
    pub(super) hosts: Vec<MergedHost>,
    pub(super) policy: Policy,
    pub(super) flows: Vec<FlowEvent>,
    pub(super) sessions: Vec<MadeSession>,
    pub(super) reports: Vec<InputReport>,
    pub(super) devices: Devices,
}

/// The formats of the cases and what their logs can show.
pub(super) fn shows_helo(format: &str) -> Option<ShowsHelo> {
    match format {
        "shows" => Some(ShowsHelo::Default("Nothing to change.")),
        "setting" => Some(ShowsHelo::WithSetting("Set it.")),
        "never" => Some(ShowsHelo::Never("Capture packets.")),
        _ => None,
    }
}

/// Clients of all classes; some in forms that must be made canonical.
const CLIENTS: [&str; 14] = [
    "198.51.100.7",
    "198.51.100.8",
    "::ffff:198.51.100.7",
    "192.0.2.130",
    "10.20.0.5",
    "10.9.9.9",
    "10.5.5.5",
    "10.5.5.6",
    "203.0.113.25",
    "127.0.0.1",
    "10.30.0.1",
    "2001:db8::1",
    "2001:db8::2",
    "2001:db8:0:1::1",
];

const SERVERS: [&str; 6] =
    ["203.0.113.25", "203.0.113.26", "10.0.0.27", "10.0.1.25", "::ffff:203.0.113.25", "192.0.2.99"];

const SERVER_NAMES: [&str; 8] =
    ["mx1", "mx1.example.com", "MX2.example.com.", "mx2", "mail01", "10.0.0.27", "", "elsewhere"];

const PORTS: [u16; 4] = [25, 587, 465, 2525];

/// 23:50 of the first day; most events follow within minutes, around midnight too.
const START: i64 = 20_000 * 86_400 + 86_400 - 600;

/// Makes the case of a seed.
pub(super) fn case(seed: u64) -> Made {
    let mut rng = Rng::new(seed);
    let rng = &mut rng;
    let hosts = hosts(rng);
    let policy = policy(rng);
    let mut devices = Devices::default();
    devices.index_of("fw-a");
    devices.index_of("fw-b");
    // Few or many events, so that every form in which evidence is held occurs.
    let most = rng.pick(&[4, 12, 40]);
    // All clients or a few, so that some have many events.
    let few = [0; 3].map(|_| rng.pick(&CLIENTS));
    let clients = if rng.chance(50) { &CLIENTS[..] } else { &few[..] };
    let flows = (0..rng.below(most)).map(|line| flow(rng, line + 1, clients)).collect();
    let formats = [0, 1].map(|_| rng.pick(&["shows", "shows", "setting", "never"]));
    let sessions =
        (0..rng.below(most)).map(|line| session(rng, line * 10 + 1, formats, clients)).collect();
    Made { hosts, policy, flows, sessions, reports: reports(rng, formats), devices }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn nets(texts: &[&str]) -> NetSet {
    NetSet::new(texts.iter().map(|text| parse_network(text).unwrap()).collect())
}

fn maybe<T>(rng: &mut Rng, percent: u64, value: impl FnOnce(&mut Rng) -> T) -> Option<T> {
    rng.chance(percent).then(|| value(rng))
}

fn time(rng: &mut Rng) -> Timestamp {
    let day = rng.pick(&[0, 0, 0, 0, 1, 2, 9, 40]);
    let second = rng.pick(&[0, 1, 2, 60, 61, 120, 121, 240, 241, 500, 590, 600, 610, 840]);
    let micros = rng.pick(&[0, 0, 0, 1]);
    Timestamp((START + day * 86_400 + second) * SECOND + micros)
}

fn hosts(rng: &mut Rng) -> Vec<MergedHost> {
    let known = [
        ("203.0.113.25", vec!["mx1.example.com", "mx1"]),
        ("203.0.113.26", vec!["mx2.example.com"]),
        ("10.0.0.27", vec!["mx2.internal.example", "mail01"]),
    ];
    let mut hosts = Vec::new();
    for (address, names) in known {
        if hosts.is_empty() || rng.chance(50) {
            let started = time(rng);
            hosts.push(MergedHost {
                key: address.to_owned(),
                ip: Some(ip(address)),
                names: names.iter().map(|name| (*name).to_owned()).collect(),
                fqdn: names.first().map(|name| (*name).to_owned()),
                scans: vec![HostScan {
                    input: 9,
                    started: Some(started),
                    ended: Some(started.plus_seconds(300)),
                    scanners: vec![ip("10.9.9.9")],
                    enabled: None,
                    ports: None,
                    finished: true,
                    login: Login::Unknown,
                    named: Vec::new(),
                }],
                targets: targets(rng),
            });
        }
    }
    hosts
}

fn targets(rng: &mut Rng) -> Vec<ScanTarget> {
    let mut targets = Vec::new();
    for port in [25, 465, 587] {
        if rng.chance(55) {
            let relay = rng.chance(15);
            let mut roles = vec![Role::Detects];
            roles.extend(relay.then_some(Role::Relay));
            targets.push(ScanTarget {
                port,
                detected_by: vec![10263],
                context: Vec::new(),
                roles,
                scan_helo: rng.pick(&[ScanHelo::Unknown, ScanHelo::Accepted]),
                also_refused: false,
                severity: 0,
                weakens: rng.pick(&[0, 0, 0, 1, 2, 3]),
                relays: Vec::new(),
                opened: None,
                scan_time: maybe(rng, 80, time),
                login: Login::Unknown,
                input: 9,
                output: String::new(),
            });
        }
    }
    targets
}

fn policy(rng: &mut Rng) -> Policy {
    let networks = Networks {
        trusted: nets(&["10.20.0.0/16"]),
        internal: nets(&["203.0.113.0/24"]),
        scanners: nets(&["10.9.9.10"]),
        proxies: if rng.chance(30) { nets(&["10.30.0.1"]) } else { NetSet::default() },
    };
    let mut policy = Policy { networks, ..Policy::default() };
    policy.correlation.tolerance_seconds = rng.pick(&[0, 1, 60, 120]);
    for number in 0..rng.below(3) {
        policy.assets.push(block(rng, number));
    }
    if rng.chance(30) {
        policy.input_rules.push(InputRule {
            pattern: "fw0.log".to_owned(),
            glob: Glob::new("**/fw0.log").unwrap().compile_matcher(),
            settings: InputSettings {
                covers: vec![parse_network("203.0.113.25/32").unwrap()],
                ..InputSettings::default()
            },
        });
    }
    policy
}

fn block(rng: &mut Rng, number: u64) -> AssetPolicy {
    let network = |text: &str| AssetMatch::Network(parse_network(text).unwrap());
    let matches = match rng.below(4) {
        0 => vec![network("203.0.113.25")],
        1 => vec![network("203.0.113.0/24")],
        2 => vec![AssetMatch::Name("mx1.example.com".to_owned()), network("10.0.0.27")],
        _ => vec![network("10.0.0.0/8")],
    };
    AssetPolicy {
        id: maybe(rng, 40, |_| format!("asset-{number}")),
        matches,
        addresses: maybe(rng, 50, |_| ip("10.0.1.25")).into_iter().collect(),
        log_names: maybe(rng, 40, |_| "mail01".to_owned()).into_iter().collect(),
        role: rng.pick(&AssetRole::ALL),
        expected: if rng.chance(40) { nets(&["192.0.2.128/25"]) } else { NetSet::default() },
        local_domains: maybe(rng, 60, |_| "example.com".to_owned()).into_iter().collect(),
        owner: None,
        critical: rng.chance(25),
        ansible: None,
    }
}

fn flow(rng: &mut Rng, line: u64, clients: &[&'static str]) -> FlowEvent {
    let host = |rng: &mut Rng, list: &[&'static str]| {
        if rng.chance(4) { Host::Name("named".into()) } else { Host::Ip(ip(rng.pick(list))) }
    };
    let src = host(rng, clients);
    FlowEvent {
        flow: Flow {
            time: maybe(rng, 95, time),
            action: rng.pick(&[
                Action::Allow,
                Action::Allow,
                Action::Close,
                Action::Deny,
                Action::Unknown,
            ]),
            src,
            src_port: 40_000,
            dst: host(rng, &SERVERS),
            dst_port: rng.pick(&PORTS),
            nat_src: maybe(rng, 20, |rng| Endpoint { ip: ip(rng.pick(clients)), port: 9 }),
            nat_dst: maybe(rng, 25, |rng| Endpoint {
                ip: ip(rng.pick(&SERVERS)),
                port: rng.pick(&PORTS),
            }),
            answer: if rng.chance(8) { Answer::Never } else { Answer::Untold },
            packet: rng.pick(&[Packet::Connection, Packet::Connection, Packet::Syn, Packet::Stray]),
            count: rng.pick(&[1, 1, 1, 3]),
        },
        at: Citation { input: rng.pick(&[0, 1]), line },
        device: rng.pick(&[0, 1]),
        format: "netfilter",
    }
}

fn session(
    rng: &mut Rng,
    line: u64,
    formats: [&'static str; 2],
    clients: &[&'static str],
) -> MadeSession {
    let file = rng.below(2) as u32;
    let start = maybe(rng, 95, time);
    let lasted = rng.pick(&[0, 1, 30, 4000]);
    let end = start.map(|start| start.plus_seconds(lasted)).filter(|_| rng.chance(95));
    let outcome = rng.pick(&[
        Outcome::Unknown,
        Outcome::Dropped,
        Outcome::HeloOnly,
        Outcome::HeloOnly,
        Outcome::Rejected,
        Outcome::Queued,
        Outcome::Relayed,
    ]);
    let deliveries = match outcome {
        Outcome::Queued | Outcome::Relayed if rng.chance(70) => deliveries(rng),
        _ => Vec::new(),
    };
    let mut auths = vec![Auth::Unknown, Auth::None, Auth::None, Auth::None, Auth::Failed];
    auths.extend(rng.chance(50).then_some(Auth::Ok));
    let session = Session {
        server: rng.pick(&SERVER_NAMES).into(),
        local_ip: maybe(rng, 25, |rng| ip(rng.pick(&SERVERS))),
        local_port: maybe(rng, 60, |rng| rng.pick(&PORTS)),
        client: maybe(rng, 95, |rng| ip(rng.pick(clients))),
        client_port: None,
        start,
        end,
        helo: rng.pick(&[
            Helo::Accepted,
            Helo::Accepted,
            Helo::Rejected,
            Helo::None,
            Helo::Unknown,
        ]),
        helo_name: maybe(rng, 60, |rng| format!("name{}", rng.below(20)).into()),
        auth: rng.pick(&auths),
        sasl_username: maybe(rng, 10, |rng| format!("user{}", rng.below(12)).into()),
        outcome,
        deliveries,
        lines: lines(rng, 2 + file, line),
    };
    MadeSession { session, format: formats[file as usize] }
}

fn deliveries(rng: &mut Rng) -> Vec<Delivery> {
    let mut made: Vec<Delivery> = (0..=rng.below(2))
        .map(|_| Delivery {
            next_hop: maybe(rng, 85, |rng| {
                ip(rng.pick(&["198.51.100.99", "10.0.0.9", "10.20.0.9", "192.0.2.200"]))
            }),
            domain: rng.pick(&["example.com", "Example.com", "other.example", ""]).into(),
        })
        .collect();
    made.sort();
    made.dedup();
    made
}

fn lines(rng: &mut Rng, input: u32, first: u64) -> Vec<ProofLine> {
    let far = rng.pick(&[1, 1, 1, 70_000]);
    let proofs = [
        Proves::Presence,
        Proves::Connection,
        Proves::Helo,
        Proves::Auth,
        Proves::Queued,
        Proves::Delivery,
    ];
    let lines = 1 + rng.below(5);
    (0..lines)
        .map(|n| ProofLine { input, line: first + n * far, proves: rng.pick(&proofs) })
        .collect()
}

fn span(rng: &mut Rng) -> Span {
    let (one, other) = (time(rng), time(rng));
    Span { first: one.min(other), last: one.max(other) }
}

fn reports(rng: &mut Rng, formats: [&'static str; 2]) -> Vec<InputReport> {
    (0..4)
        .map(|input| {
            let is_mail = input >= 2;
            let kind = if is_mail { InputKind::Mail } else { InputKind::Firewall };
            let (name, format) =
                if is_mail { ("mail", formats[input - 2]) } else { ("fw", "netfilter") };
            let mut servers = BTreeMap::new();
            if is_mail {
                for _ in 0..rng.below(3) {
                    servers.insert(rng.pick(&SERVER_NAMES).into(), span(rng));
                }
            }
            InputReport {
                path: format!("{name}{input}.log").into(),
                kind,
                compression: None,
                formats: BTreeMap::from([(format, 1)]),
                tally: Tally::default(),
                span: maybe(rng, 90, span),
                servers,
                years_inferred: false,
                zone_guessed: false,
                unterminated: false,
                notes: Vec::new(),
                rejects: Vec::new(),
                status: Status::Complete,
            }
        })
        .collect()
}
