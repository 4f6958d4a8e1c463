//! A small stage for the tests of judging: one mail server behind a firewall, and what happens to
//! it. In: events in few words. Out: the judged target.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::correlate::{Correlator, Interest, World};
use crate::judge::Judge;
use crate::logs::mail::ShowsHelo;
use crate::model::citation::Citation;
use crate::model::finding::{Login, Role, ScanHelo};
use crate::model::flow::{Action, Answer, Flow, FlowEvent, Host, Packet};
use crate::model::input::{Devices, InputKind, InputReport, Span, Status, Tally};
use crate::model::judged::{JudgedTarget, Judgement};
use crate::model::net::{NetSet, parse_network};
use crate::model::policy::{AssetMatch, AssetPolicy, AssetRole, Policy};
use crate::model::session::{Auth, Delivery, Helo, Outcome, ProofLine, Proves, Session};
use crate::model::suggestion::Suggestions;
use crate::model::target::{HostScan, MergedHost, ScanTarget};
use crate::model::time::Timestamp;

/// The server that most tests are about.
pub(super) const SERVER: &str = "203.0.113.25";

/// Noon of a day, counted from the first day of the logs.
pub(super) fn noon(day: i64) -> Timestamp {
    Timestamp::from_seconds((20_000 + day) * 86_400 + 43_200)
}

/// The newest line of both logs: 60 days after the first.
pub(super) const LAST_DAY: i64 = 60;

/// One mail server, its logs, its policy.
pub(super) struct Play {
    pub(super) hosts: Vec<MergedHost>,
    pub(super) policy: Policy,
    pub(super) flows: Vec<FlowEvent>,
    pub(super) sessions: Vec<Session>,
    pub(super) reports: Vec<InputReport>,
    pub(super) devices: Devices,
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn nets(texts: &[&str]) -> NetSet {
    NetSet::new(texts.iter().map(|text| parse_network(text).unwrap()).collect())
}

/// A scanned host with a finding on each port.
pub(super) fn host(address: &str, name: &str, ports: &[u16]) -> MergedHost {
    let target = |&port: &u16| ScanTarget {
        port,
        detected_by: vec![10263],
        context: Vec::new(),
        roles: vec![Role::Detects],
        scan_helo: ScanHelo::Accepted,
        also_refused: false,
        severity: 0,
        weakens: 0,
        relays: Vec::new(),
        opened: Some(noon(0)),
        scan_time: Some(noon(30)),
        login: Login::Unknown,
        input: 9,
        output: String::new(),
    };
    MergedHost {
        key: address.to_owned(),
        ip: Some(ip(address)),
        names: vec![name.to_owned()],
        fqdn: Some(name.to_owned()),
        scans: vec![HostScan {
            input: 9,
            started: Some(noon(30).plus_seconds(-600)),
            ended: Some(noon(30)),
            scanners: vec![ip("10.9.9.9")],
            enabled: None,
            ports: None,
            finished: true,
            login: Login::Unknown,
            named: Vec::new(),
        }],
        targets: ports.iter().map(target).collect(),
    }
}

fn report(kind: InputKind, name: &str, format: &'static str) -> InputReport {
    InputReport {
        path: name.into(),
        kind,
        compression: None,
        formats: BTreeMap::from([(format, 1)]),
        tally: Tally::default(),
        span: Some(Span { first: noon(0), last: noon(LAST_DAY) }),
        servers: BTreeMap::new(),
        years_inferred: false,
        zone_guessed: false,
        unterminated: false,
        notes: Vec::new(),
        rejects: Vec::new(),
        status: Status::Complete,
    }
}

fn shows_helo(format: &str) -> Option<ShowsHelo> {
    match format {
        "shows" => Some(ShowsHelo::Default("Nothing to change.")),
        "hides" => Some(ShowsHelo::Never("Capture packets instead.")),
        _ => None,
    }
}

impl Play {
    /// A firewall log without any record, and no mail log.
    pub(super) fn new(port: u16) -> Self {
        let mut policy = Policy::default();
        policy.networks.internal = nets(&["203.0.113.0/24"]);
        policy.networks.trusted = nets(&["10.20.0.0/16"]);
        let mut devices = Devices::default();
        devices.index_of("fw-a");
        devices.index_of("fw-b");
        Self {
            hosts: vec![host(SERVER, "mx1.example.com", &[port])],
            policy,
            flows: Vec::new(),
            sessions: Vec::new(),
            reports: vec![report(InputKind::Firewall, "fw.log", "netfilter")],
            devices,
        }
    }

    /// Gives the server a mail log that shows HELOs, or that does not (`hides`).
    pub(super) fn mail_log(mut self, format: &'static str) -> Self {
        let mut log = report(InputKind::Mail, "mail.log", format);
        let span = Span { first: noon(0), last: noon(LAST_DAY) };
        log.servers.insert("mx1".into(), span);
        self.reports.push(log);
        self
    }

    /// Gives the server a block in the policy.
    pub(super) fn role(mut self, role: AssetRole) -> Self {
        self.policy.assets = vec![AssetPolicy {
            matches: vec![AssetMatch::Network(parse_network(SERVER).unwrap())],
            role,
            expected: nets(&["192.0.2.128/25"]),
            local_domains: vec!["example.com".to_owned()],
            ..AssetPolicy::default()
        }];
        self
    }

    /// A firewall record.
    pub(super) fn flow(mut self, action: Action, src: &str, time: Timestamp) -> Self {
        self.flows.push(FlowEvent {
            flow: Flow {
                time: Some(time),
                action,
                src: Host::Ip(ip(src)),
                src_port: 40_000,
                dst: Host::Ip(ip(SERVER)),
                dst_port: self.hosts[0].targets[0].port,
                nat_src: None,
                nat_dst: None,
                answer: Answer::Untold,
                packet: Packet::Connection,
                count: 1,
            },
            at: Citation { input: 0, line: self.flows.len() as u64 + 1 },
            device: 0,
            format: "netfilter",
        });
        self
    }

    /// A session of a few seconds that did what `deed` says.
    pub(super) fn session(mut self, client: &str, time: Timestamp, deed: Deed) -> Self {
        let (helo, auth, outcome, deliveries) = deed.parts();
        let line = self.sessions.len() as u64 + 1;
        self.sessions.push(Session {
            server: "mx1".into(),
            local_ip: None,
            local_port: None,
            client: Some(ip(client)),
            client_port: None,
            start: Some(time),
            end: Some(time.plus_seconds(5)),
            helo,
            helo_name: Some("probe.example".into()),
            auth,
            sasl_username: None,
            outcome,
            deliveries,
            lines: vec![ProofLine { input: 1, line, proves: Proves::Helo }],
        });
        self
    }

    /// Everything judged.
    pub(super) fn judgement(&self) -> Judgement {
        let mut judged = Judgement::default();
        self.with_judge(|judge| judged = judge.judge());
        judged
    }

    /// What the evidence suggests for the policy.
    pub(super) fn suggestions(&self) -> Suggestions {
        let mut suggestions = Suggestions::default();
        self.with_judge(|judge| suggestions = judge.suggest(&judge.judge()));
        suggestions
    }

    fn with_judge(&self, ask: impl FnOnce(&Judge<'_>)) {
        let world = World::new(&self.hosts, &self.policy);
        let tolerance = self.policy.correlation.tolerance_seconds;
        let interest = Interest::new(&world, &self.policy);
        let mut correlator = Correlator::new(interest, tolerance);
        for flow in &self.flows {
            correlator.flow(flow);
        }
        let mail = self.reports.get(1);
        let format = mail.and_then(|log| log.formats.keys().next()).copied().unwrap_or("shows");
        for session in &self.sessions {
            correlator.session(&session.view(), format);
        }
        let evidence = correlator.finish();
        let (reports, devices) = (&self.reports, &self.devices);
        ask(&Judge::with_formats(&world, &self.policy, &evidence, reports, devices, shows_helo));
    }

    /// The most urgent target.
    pub(super) fn judge(&self) -> JudgedTarget {
        self.judgement().targets.swap_remove(0)
    }
}

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Connect,
    Helo,
    HeloRefused,
    Undecided,
    AuthFailed,
    AuthOk,
    LocalMail,
    AuthMail,
    Forward,
    Relay,
    AuthRelay,
}

impl Deed {
    fn parts(self) -> (Helo, Auth, Outcome, Vec<Delivery>) {
        let to = |hop: &str, domain: &str| {
            vec![Delivery { next_hop: Some(ip(hop)), domain: domain.into() }]
        };
        let abroad = || to("198.51.100.250", "foreign.example");
        let (helo, auth, outcome) = match self {
            Self::Connect => (Helo::None, Auth::None, Outcome::Dropped),
            Self::Helo => (Helo::Accepted, Auth::None, Outcome::HeloOnly),
            Self::HeloRefused => (Helo::Rejected, Auth::None, Outcome::Rejected),
            Self::Undecided => (Helo::Unknown, Auth::Unknown, Outcome::Unknown),
            Self::AuthFailed => (Helo::Accepted, Auth::Failed, Outcome::Rejected),
            Self::AuthOk => (Helo::Accepted, Auth::Ok, Outcome::HeloOnly),
            Self::LocalMail => (Helo::Accepted, Auth::None, Outcome::Queued),
            Self::AuthMail => (Helo::Accepted, Auth::Ok, Outcome::Queued),
            Self::Forward | Self::Relay => (Helo::Accepted, Auth::None, Outcome::Relayed),
            Self::AuthRelay => (Helo::Accepted, Auth::Ok, Outcome::Relayed),
        };
        let deliveries = match self {
            Self::Forward => to("10.0.0.9", "foreign.example"),
            Self::Relay | Self::AuthRelay => abroad(),
            _ => Vec::new(),
        };
        (helo, auth, outcome, deliveries)
    }
}
