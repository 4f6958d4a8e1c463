//! What judging says of a target: verdict, rule, priority, score, confidence, counts and reasons.
//! In: nothing (facts only; `judge` makes them). Out: the types that tickets are written from.
//!
//! A target may have millions of sources: it holds them as ranked addresses of 24 bytes, and the
//! full facts of one source are made when they are asked for (`judge::Judge::source`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::citation::Citation;
use crate::model::finding::{Role, ScanHelo};
use crate::model::input::Span;
use crate::model::policy::AssetRole;
use crate::model::session::Proves;
use crate::model::time::Timestamp;

/// What a source is to an asset; the first that fits, in this order (design, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A vulnerability scanner that the scan or the policy names.
    Scanner,
    /// A trusted network, loopback, or the asset itself.
    Trusted,
    /// Expected by the asset's networks or its role.
    Expected,
    /// One of the organisation's own addresses: unexpected.
    Internal,
    /// Anybody else: unexpected.
    External,
}

impl Class {
    /// The word in outputs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Scanner => "scanner",
            Self::Trusted => "trusted",
            Self::Expected => "expected",
            Self::Internal => "internal",
            Self::External => "external",
        }
    }

    /// Whether evidence of such a source counts against the target.
    pub fn is_unexpected(self) -> bool {
        matches!(self, Self::Internal | Self::External)
    }
}

/// What the evidence says of a target, strongest first (design, section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// An unexpected source got beyond HELO: mail queued or relayed, or AUTH succeeded.
    Abused,
    /// HELO accepted, and the firewall agrees.
    Confirmed,
    /// HELO accepted, no firewall record agrees.
    Accepted,
    /// Permitted by the firewall or seen by the mail server, no HELO accepted.
    Reachable,
    /// Only denials of unexpected sources.
    Blocked,
    /// Logs cover the target, and nothing unexpected reached it.
    Quiet,
    /// No log speaks of the target, or only with actions unknown.
    Uncovered,
}

impl Verdict {
    /// Every verdict, strongest first.
    pub const ALL: [Self; 7] = [
        Self::Abused,
        Self::Confirmed,
        Self::Accepted,
        Self::Reachable,
        Self::Blocked,
        Self::Quiet,
        Self::Uncovered,
    ];

    /// The word in outputs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Abused => "abused",
            Self::Confirmed => "confirmed",
            Self::Accepted => "accepted",
            Self::Reachable => "reachable",
            Self::Blocked => "blocked",
            Self::Quiet => "quiet",
            Self::Uncovered => "uncovered",
        }
    }
}

/// A row of the priority table; the order is that of the table, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Abuse, external, total impact.
    R15,
    /// Abuse, not external, total impact.
    R13,
    /// No abuse, external, total impact.
    R14,
    /// Abuse, external, partial impact.
    R11,
    /// No abuse, external, partial impact.
    R7,
    /// Abuse, not external, partial impact.
    R6,
    /// No abuse, not external, total impact.
    R10,
    /// No abuse, not external, partial impact.
    R3,
    /// No source reached the target.
    R0,
}

impl Rule {
    /// The name in outputs.
    pub fn word(self) -> &'static str {
        match self {
            Self::R15 => "R15",
            Self::R13 => "R13",
            Self::R14 => "R14",
            Self::R11 => "R11",
            Self::R7 => "R7",
            Self::R6 => "R6",
            Self::R10 => "R10",
            Self::R3 => "R3",
            Self::R0 => "R0",
        }
    }

    /// Whether the remediation asks for a compromise check.
    pub fn wants_compromise_check(self) -> bool {
        matches!(self, Self::R15 | Self::R13 | Self::R11)
    }
}

/// The band of a ticket, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Within days.
    P1,
    /// Within two weeks or so.
    P2,
    /// Within a quarter.
    P3,
    /// With the next upgrade.
    P4,
}

impl Priority {
    /// Every band, the most urgent first.
    pub const ALL: [Self; 4] = [Self::P1, Self::P2, Self::P3, Self::P4];

    /// The name in outputs.
    pub fn word(self) -> &'static str {
        match self {
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
            Self::P4 => "P4",
        }
    }

    /// The index into `DuePlan::days`.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// How far the two kinds of logs agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// Corroborated: firewall and mail log agree.
    High,
    /// HELO accepted but not corroborated, or firewall only where no mail log covers the server.
    Medium,
    /// Firewall only, although the mail log covers the server.
    Low,
    /// No source reached the target.
    None,
}

impl Confidence {
    /// The word in outputs.
    pub fn word(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::None => "none",
        }
    }
}

/// Why the deciding source counts one band lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepDown {
    /// No HELO accepted although the mail log covers all its permitted flows and can show HELOs.
    Silent,
    /// The newest firewall record is a denial later than everything permitted and accepted.
    BlockedSince,
    /// Its last reach is more than 30 days before the newest log line that covers the target.
    Stale,
}

/// Counts as the columns of tickets.csv have them: sessions and connections, not lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sessions whose HELO was accepted.
    pub helo_accepted: u64,
    /// Those of them near which the firewall permitted a connection of the source.
    pub corroborated: u64,
    /// Sessions in which a message was queued (relayed ones too).
    pub mail_accepted: u64,
    /// Sessions whose message was delivered to a foreign host for a foreign recipient.
    pub relayed: u64,
    /// Sessions in which AUTH succeeded.
    pub auth_ok: u64,
    /// Sessions in which AUTH was tried and never succeeded.
    pub auth_failed: u64,
    /// Sessions in which every HELO was refused.
    pub helo_rejected: u64,
    /// Sessions of any kind.
    pub sessions: u64,
    /// Permitted connections: the greater of allows and closes, per firewall, summed.
    pub fw_permitted: u64,
    /// Denials.
    pub fw_denied: u64,
    /// Records that neither permit nor deny (unknown action, or no answer from the server).
    pub fw_other: u64,
}

impl Counts {
    /// Adds another source's counts.
    pub fn add(&mut self, other: &Self) {
        self.helo_accepted += other.helo_accepted;
        self.corroborated += other.corroborated;
        self.mail_accepted += other.mail_accepted;
        self.relayed += other.relayed;
        self.auth_ok += other.auth_ok;
        self.auth_failed += other.auth_failed;
        self.helo_rejected += other.helo_rejected;
        self.sessions += other.sessions;
        self.fw_permitted += other.fw_permitted;
        self.fw_denied += other.fw_denied;
        self.fw_other += other.fw_other;
    }

    /// Whether the source got beyond HELO.
    pub fn is_abuse(&self) -> bool {
        self.mail_accepted > 0 || self.auth_ok > 0
    }

    /// Whether the source reached the server at all.
    pub fn is_reach(&self) -> bool {
        self.sessions > 0 || self.fw_permitted > 0
    }
}

/// What a cited line proves.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum CitationKind {
    /// A firewall permitted a connection.
    Permitted,
    /// A firewall denied one.
    Denied,
    /// A firewall record that does neither.
    Seen,
    /// A mail-log line of a session.
    Mail(Proves),
}

impl CitationKind {
    /// The word in outputs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Permitted => "permitted",
            Self::Denied => "denied",
            Self::Seen => "seen",
            Self::Mail(Proves::Presence) => "session",
            Self::Mail(Proves::Connection) => "connection",
            Self::Mail(Proves::Helo) => "helo",
            Self::Mail(Proves::Auth) => "auth",
            Self::Mail(Proves::Queued) => "queued",
            Self::Mail(Proves::Delivery) => "delivery",
        }
    }
}

/// A line to cite: the earliest and the latest of each kind are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CitedLine {
    /// What it proves.
    pub kind: CitationKind,
    /// Time of its event (of a session: of its first line), if logged.
    pub time: Option<Timestamp>,
    /// Where it stands.
    pub at: Citation,
}

/// One source of a target in the order of sources.csv: strongest rule first (denials only last),
/// then most HELOs accepted, then address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RankedSource {
    /// Place of the rule in the table; sources without a rule come last.
    pub(crate) rank: u8,
    /// `u32::MAX` minus the HELOs accepted (saturated): most first.
    pub(crate) fewest: u32,
    /// The address, IPv4 as IPv4-mapped IPv6.
    pub(crate) address: [u8; 16],
}

impl RankedSource {
    /// The source's canonical address.
    pub fn ip(&self) -> IpAddr {
        IpAddr::from(self.address).to_canonical()
    }
}

/// Everything about one unexpected source on one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedSource {
    /// Canonical address.
    pub ip: IpAddr,
    /// Internal or external.
    pub class: Class,
    /// Its row of the table; none if it was only denied or only seen.
    pub rule: Option<Rule>,
    /// Why it counts one band lower, if so.
    pub step_down: Option<StepDown>,
    /// What it did.
    pub counts: Counts,
    /// Time of the first evidence.
    pub first_seen: Option<Timestamp>,
    /// Time of the last evidence.
    pub last_seen: Option<Timestamp>,
    /// The earliest 8 HELO names: the client's text.
    pub helo_names: Vec<Box<str>>,
    /// The earliest 8 user names of successful AUTH: the client's text.
    pub sasl_usernames: Vec<Box<str>>,
    /// The lines that prove it, by kind, earliest first.
    pub citations: Vec<CitedLine>,
}

/// The asset that a target stands on: scan and policy joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedAsset {
    /// The asset key (design, section 7), before it is made part of a ticket id: policy id, else
    /// host-ip, else ReportHost name.
    pub key: String,
    /// Keys under which tickets of the same asset may have been written before the policy gave
    /// it an id, sorted.
    pub former_keys: Vec<String>,
    /// host-ip, if any (of several joined hosts the lowest).
    pub ip: Option<IpAddr>,
    /// host-fqdn, else the first FQDN of host-fqdns, else host-rdns if it is a name.
    pub fqdn: Option<String>,
    /// All addresses under which scan and policy know it, sorted.
    pub addresses: Vec<IpAddr>,
    /// All names under which scan and policy know it, in the order in which logs are matched.
    pub names: Vec<String>,
    /// Its role.
    pub role: AssetRole,
    /// Whether a policy block names it.
    pub in_policy: bool,
    /// Who gets the ticket.
    pub owner: Option<String>,
    /// Whether the policy marks it critical.
    pub critical: bool,
}

/// What the scan says of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanFacts {
    /// Plugins that name the host:port: id and name, sorted.
    pub detected_by: Vec<(u32, String)>,
    /// What they mean together, sorted.
    pub roles: Vec<Role>,
    /// The scan's own answer about HELO.
    pub scan_helo: ScanHelo,
    /// 0 to 4, of the strongest plugin.
    pub severity: u8,
    /// End of the earliest scan that raised it.
    pub opened: Option<Timestamp>,
    /// End of the scan that the facts are from.
    pub scan_time: Option<Timestamp>,
    /// Beginning of plugin outputs worth showing (banner, refusal text).
    pub outputs: Vec<String>,
}

/// What the logs can say about a target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetCoverage {
    /// When a firewall log covers it: disjoint, ascending.
    pub firewall: Vec<Span>,
    /// When a mail log covers its server: disjoint, ascending.
    pub mail: Vec<Span>,
    /// Which setting would make the mail log show an accepted HELO, where it cannot.
    pub hidden_helo: Option<&'static str>,
}

impl TargetCoverage {
    /// The newest log line that covers the target.
    pub fn newest(&self) -> Option<Timestamp> {
        [self.firewall.last(), self.mail.last()].into_iter().flatten().map(|span| span.last).max()
    }
}

/// A target with all that its ticket needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedTarget {
    /// The asset.
    pub asset: JudgedAsset,
    /// TCP port.
    pub port: u16,
    /// What the scan says.
    pub scan: ScanFacts,
    /// What the evidence says.
    pub verdict: Verdict,
    /// The deciding row.
    pub rule: Rule,
    /// The final band.
    pub priority: Priority,
    /// 0 to 99.
    pub score: u8,
    /// How far the logs agree.
    pub confidence: Confidence,
    /// The whole account of priority and score, term by term; tickets join it with ` | `.
    pub reasons: Vec<String>,
    /// Days from `opened` to the due date: those of the final band.
    pub due_days: u32,
    /// The deciding source; none for R0.
    pub deciding: Option<IpAddr>,
    /// Distinct unexpected sources with any evidence.
    pub unexpected_sources: u64,
    /// Those of class external.
    pub external_sources: u64,
    /// Sums over unexpected sources.
    pub counts: Counts,
    /// Time of the first unexpected evidence.
    pub first_seen: Option<Timestamp>,
    /// Time of the last unexpected evidence.
    pub last_seen: Option<Timestamp>,
    /// When an unexpected source last reached the server: a flow was permitted, or a session ended.
    pub reached: Option<Timestamp>,
    /// The 5 strongest sources in full.
    pub top_sources: Vec<JudgedSource>,
    /// The earliest 8 HELO names over unexpected sources.
    pub helo_names: Vec<Box<str>>,
    /// All unexpected sources, ranked.
    pub sources: Vec<RankedSource>,
    /// The addresses, NAT ones included, under which logs spoke of the target, as `address:port`,
    /// sorted.
    pub matched: Vec<String>,
    /// What the logs can say.
    pub coverage: TargetCoverage,
    /// Whether a log shows the scanner elsewhere during the scan but not here: a note says so.
    pub misses_control: bool,
    /// What a reader of the ticket should know besides: whole sentences, foreign names in them not
    /// yet made safe.
    pub notes: Vec<String>,
    /// What resolves its ticket, if this run does.
    pub proof: Option<Proof>,
}

/// What shows that a target is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The name of the scan that no longer reports it: foreign text.
    pub scan: String,
    /// End of that scan of the host.
    pub ended: Timestamp,
    /// When a scan or a log last showed it open.
    pub last_open: Option<Timestamp>,
    /// The earliest and the latest line known of unexpected sources that were denied after that.
    pub denied: Option<(CitedLine, CitedLine)>,
}

/// The reason of a target that takes local mail from many outside and has no role.
pub const LOOKS_LIKE_MX: &str = "looks like an mx: give it a role";

impl JudgedTarget {
    /// Whether it is most likely an MX that the policy gives no role.
    pub fn looks_like_mx(&self) -> bool {
        self.reasons.iter().any(|reason| reason == LOOKS_LIKE_MX)
    }

    /// Whether it gets a ticket: `quiet` ones do not, but for a `relay` plugin.
    pub fn makes_ticket(&self) -> bool {
        self.verdict != Verdict::Quiet || self.has_role(Role::Relay)
    }

    /// Whether a plugin of that role names the target.
    pub fn has_role(&self, role: Role) -> bool {
        self.scan.roles.contains(&role)
    }
}

/// Why sessions of a mail server belong to no target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unmatched {
    /// No scanned host has the server's name or address.
    NotInScan,
    /// The host was scanned, but has no finding on the port.
    NoFinding,
    /// Several assets have the name.
    AmbiguousName,
    /// The log names no port, and the asset has several targets, none on port 25.
    UnclearPort,
}

impl Unmatched {
    /// What to tell the reader of the account.
    pub fn text(self) -> &'static str {
        match self {
            Self::NotInScan => "mail server seen in logs, not in the scan",
            Self::NoFinding => "the scan has no finding on this port",
            Self::AmbiguousName => "several assets have this name",
            Self::UnclearPort => "the log names no port, and the asset has several targets",
        }
    }
}

/// Sessions of one mail server that belong to no target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnmatchedServer {
    /// Name or address as logged; empty where the log has neither.
    pub server: String,
    /// The port, where the log has it.
    pub port: Option<u16>,
    /// Why.
    pub why: Unmatched,
    /// How many sessions.
    pub sessions: u64,
    /// The keys of the assets that it may be, sorted.
    pub candidates: Vec<String>,
}

/// The whole run judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Every target, most urgent first: by band, score (highest first), asset key, port.
    pub targets: Vec<JudgedTarget>,
    /// Sessions without a target, by server.
    pub unmatched: Vec<UnmatchedServer>,
    /// When which mail server's log speaks, by name as logged: disjoint, ascending.
    pub mail_coverage: BTreeMap<String, Vec<Span>>,
    /// When which firewall's log speaks, by device name: disjoint, ascending.
    pub firewall_coverage: BTreeMap<String, Vec<Span>>,
    /// What the operator should look at: whole sentences, foreign names not yet made safe.
    pub warnings: Vec<String>,
}
