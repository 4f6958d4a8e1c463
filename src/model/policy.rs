//! What the user's policy says. In: nothing (facts only; `policy` reads and checks the TOML file).
//! Out: the networks, assets, roles and settings that later stages look up.
//!
//! Which class a source gets and what a role expects is decided where evidence is judged, not here.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use chrono::offset::LocalResult;
use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;
use globset::GlobMatcher;
use ipnet::IpNet;

use crate::model::flow::Action;
use crate::model::net::{NetSet, is_private};
use crate::model::time::Timestamp;

/// The whole policy. The default is what a run without a policy file uses.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The file it was read from, if any.
    pub path: Option<PathBuf>,
    /// What `run --config` reads and writes.
    pub inputs: Inputs,
    /// What logs do not say themselves: the file's blocks in order, then the flags'.
    pub input_rules: Vec<InputRule>,
    /// What is written besides the set of every run.
    pub outputs: Outputs,
    /// The folder of templates that take the place of built-in ones.
    pub templates: Option<PathBuf>,
    /// Networks whose addresses have a class.
    pub networks: Networks,
    /// The assets in the order of the file.
    pub assets: Vec<AssetPolicy>,
    /// Words of log prefixes and whether they permit or deny (only [`Action::Allow`] and
    /// [`Action::Deny`] occur).
    pub verdicts: BTreeMap<String, Action>,
    /// How firewall and mail log are held together.
    pub correlation: Correlation,
    /// Days until a ticket is due.
    pub priority: DuePlan,
    /// Tickets whose risk is accepted for now, in the order of the file.
    pub accepted_risks: Vec<AcceptedRisk>,
}

/// The section `[inputs]`: globs already joined to the policy's folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Globs of .nessus exports.
    pub scan: Vec<String>,
    /// Globs of firewall logs.
    pub firewall: Vec<String>,
    /// Globs of mail logs.
    pub mail: Vec<String>,
    /// The output folder.
    pub out: Option<PathBuf>,
    /// The file of what must outlive a run.
    pub state: Option<PathBuf>,
}

/// The section `[outputs]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outputs {
    /// Names of ticket systems' profiles.
    pub profiles: Vec<String>,
    /// Issues that Jira has: CSV exports.
    pub jira_export: Vec<PathBuf>,
    /// Whether CSV cells that a spreadsheet would take for formulas are altered; they are where
    /// nothing is said.
    pub csv_safe: Option<bool>,
}

/// What one `[[input]]` block or one flag says of the inputs that it matches.
#[derive(Debug, Clone)]
pub struct InputRule {
    /// The pattern as written.
    pub pattern: String,
    /// The pattern made absolute, compiled; it matches a file or one of the folders it is in.
    pub glob: GlobMatcher,
    /// The settings; what a block does not set is none or empty.
    pub settings: InputSettings,
}

/// What is known of one input besides its content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InputSettings {
    /// The forced format's name.
    pub format: Option<String>,
    /// The zone of times that have none.
    pub zone: Option<Zone>,
    /// The mail server that wrote a log without a host name.
    pub server: Option<String>,
    /// The firewall that wrote the log.
    pub device: Option<String>,
    /// Networks that a firewall log speaks of even where nothing is logged.
    pub covers: Vec<IpNet>,
    /// The field or column of a structured export that holds the raw line.
    pub raw_field: Option<String>,
}

/// A time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// An IANA zone with its daylight-saving rules.
    Named(Tz),
    /// A fixed offset from UTC.
    Fixed(FixedOffset),
}

impl Zone {
    /// Seconds east of UTC at a local time, given in seconds since 1970 as if it were UTC: the
    /// offset of the earlier of two times where clocks were set back, the one before the gap where
    /// they were set forward.
    pub fn offset_of_local(self, local: i64) -> i64 {
        let zone = match self {
            Self::Fixed(offset) => return i64::from(offset.local_minus_utc()),
            Self::Named(zone) => zone,
        };
        let Some(naive) = DateTime::from_timestamp(local, 0).map(|time| time.naive_utc()) else {
            return 0;
        };
        let offset_at = |naive: &NaiveDateTime| match zone.offset_from_local_datetime(naive) {
            LocalResult::Single(offset) | LocalResult::Ambiguous(offset, _) => {
                Some(i64::from(offset.fix().local_minus_utc()))
            }
            LocalResult::None => None,
        };
        offset_at(&naive).or_else(|| offset_at(&(naive - TimeDelta::hours(3)))).unwrap_or_default()
    }
}

/// The section `[networks]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks {
    /// Sources that are always expected.
    pub trusted: NetSet,
    /// Owned ranges besides the private ones.
    pub internal: NetSet,
    /// Vulnerability scanners besides those that the scan itself names.
    pub scanners: NetSet,
    /// Load balancers that hide the client.
    pub proxies: NetSet,
}

impl Networks {
    /// Whether an address is one of the organisation's own: RFC 1918, RFC 6598, unique local,
    /// link-local, or in the policy's internal networks.
    pub fn is_internal(&self, ip: IpAddr) -> bool {
        is_private(ip) || self.internal.contains(ip)
    }
}

/// What a mail server is there for (facts: the roles' table of the design).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AssetRole {
    /// Nobody is expected beyond trusted and expected networks.
    #[default]
    None,
    /// Receives mail for local users from anyone.
    Mx,
    /// Relays for its expected networks only.
    Relay,
    /// Takes mail from anyone who authenticates.
    Submission,
    /// Serves internal clients.
    Internal,
}

impl AssetRole {
    /// Every role, in the order in which messages list them.
    pub const ALL: [Self; 5] =
        [Self::Mx, Self::Relay, Self::Submission, Self::Internal, Self::None];

    /// The word in the policy and in tickets.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Mx => "mx",
            Self::Relay => "relay",
            Self::Submission => "submission",
            Self::Internal => "internal",
        }
    }
}

/// One `[[asset]]` block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssetPolicy {
    /// Joins all hosts that the block matches into one asset of this key.
    pub id: Option<String>,
    /// Which hosts of the scan it is about.
    pub matches: Vec<AssetMatch>,
    /// Further addresses under which logs know the asset (NAT), canonical.
    pub addresses: Vec<IpAddr>,
    /// Names under which mail logs know it, lower case.
    pub log_names: Vec<String>,
    /// What it is there for.
    pub role: AssetRole,
    /// Sources that may use it.
    pub expected: NetSet,
    /// Recipient domains whose onward delivery is no relaying, lower case.
    pub local_domains: Vec<String>,
    /// Who gets the ticket.
    pub owner: Option<String>,
    /// Raises the priority by one step.
    pub critical: bool,
    /// Where its firewall rules may be applied.
    pub ansible: Option<AnsibleHosts>,
}

/// The hosts on which a playbook may apply an asset's firewall rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnsibleHosts {
    /// Names of the inventory, at least one: letters, digits, `.`, `-` and `_` only.
    pub hosts: Vec<String>,
    /// What guards them.
    pub firewall: HostFirewall,
}

/// A firewall of a Linux host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostFirewall {
    /// nftables, on the server itself or on a firewall in front.
    #[default]
    Nftables,
    /// firewalld, on the server itself.
    Firewalld,
}

impl HostFirewall {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Nftables, Self::Firewalld];

    /// The word in the policy and in playbooks.
    pub fn word(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Firewalld => "firewalld",
        }
    }
}

/// One entry of `match` in an `[[asset]]` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssetMatch {
    /// An address (as a network of its full length) or a network.
    Network(IpNet),
    /// A name of the scanned host, lower case, without a final dot.
    Name(String),
}

impl AssetPolicy {
    /// How closely the block matches a host: none if not at all; a name or a whole address counts
    /// most, a network by its length.
    fn closeness(&self, ips: &[IpAddr], names: &[&str]) -> Option<u8> {
        self.matches.iter().filter_map(|m| m.closeness(ips, names)).max()
    }
}

impl AssetMatch {
    fn closeness(&self, ips: &[IpAddr], names: &[&str]) -> Option<u8> {
        match self {
            Self::Network(net) => ips
                .iter()
                .any(|ip| net.contains(&ip.to_canonical()))
                .then(|| (128 - net.max_prefix_len()).saturating_add(net.prefix_len())),
            Self::Name(name) => names
                .iter()
                .any(|n| n.trim_end_matches('.').eq_ignore_ascii_case(name))
                .then_some(128),
        }
    }
}

/// The section `[correlation]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Correlation {
    /// How far, in seconds, a permitted flow may lie from the session that it corroborates.
    pub tolerance_seconds: i64,
    /// Evidence of UTC days older than this is dropped; none keeps all.
    pub window_days: Option<u32>,
}

impl Default for Correlation {
    fn default() -> Self {
        Self { tolerance_seconds: 120, window_days: None }
    }
}

/// Days from `opened` to the due date, by priority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuePlan {
    /// The profile's name; `own` where the policy gives numbers.
    pub name: String,
    /// Days for P1, P2, P3, P4.
    pub days: [u32; 4],
}

impl DuePlan {
    /// The profiles that a policy can name; the first is the default.
    pub const PROFILES: [(&'static str, [u32; 4]); 3] = [
        ("bod-26-04", [3, 14, 60, 180]),
        ("strict", [4, 14, 30, 180]),
        ("classic", [7, 30, 90, 120]),
    ];
}

impl Default for DuePlan {
    fn default() -> Self {
        let (name, days) = Self::PROFILES[0];
        Self { name: name.to_owned(), days }
    }
}

/// One `[[accepted_risk]]` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedRisk {
    /// The ticket's id.
    pub ticket: String,
    /// The last day (UTC) on which the risk is accepted.
    pub until: NaiveDate,
    /// Why.
    pub reason: String,
}

impl AcceptedRisk {
    /// Whether the risk is still accepted at that time.
    pub fn holds_at(&self, now: Timestamp) -> bool {
        let last = self.until.signed_duration_since(NaiveDate::default()).num_days();
        i64::from(now.day()) <= last
    }
}

impl Policy {
    /// The block that accepts the risk of a ticket under one of its ids, expired or not: the one
    /// that holds longest.
    pub fn accepted_risk(&self, ids: &[String]) -> Option<&AcceptedRisk> {
        let named = self.accepted_risks.iter().filter(|risk| ids.contains(&risk.ticket));
        named.max_by_key(|risk| risk.until)
    }

    /// What the policy's blocks and the flags say of an input: for every key the last matching
    /// rule that sets it. `-` is standard input.
    pub fn input_settings(&self, path: &Path) -> InputSettings {
        let path = absolute(path);
        let mut merged = InputSettings::default();
        for rule in self.input_rules.iter().filter(|rule| rule.applies_to(&path)) {
            merged.overlay(&rule.settings);
        }
        merged
    }

    /// The block of a scanned host, by its addresses and names: the closest match (a name or a
    /// whole address, then the longest network), the last of equal ones.
    pub fn asset(&self, ips: &[IpAddr], names: &[&str]) -> Option<&AssetPolicy> {
        self.assets
            .iter()
            .filter_map(|asset| Some((asset.closeness(ips, names)?, asset)))
            .max_by_key(|(closeness, _)| *closeness)
            .map(|(_, asset)| asset)
    }
}

impl InputRule {
    fn applies_to(&self, path: &Path) -> bool {
        path.ancestors().any(|part| self.glob.is_match(part))
    }
}

impl InputSettings {
    /// Takes over every key that `later` sets.
    fn overlay(&mut self, later: &Self) {
        let Self { format, zone, server, device, covers, raw_field } = later.clone();
        self.format = format.or(self.format.take());
        self.zone = zone.or(self.zone);
        self.server = server.or(self.server.take());
        self.device = device.or(self.device.take());
        self.raw_field = raw_field.or(self.raw_field.take());
        if !covers.is_empty() {
            self.covers = covers;
        }
    }
}

/// A path made absolute, `.` and `..` resolved by the text alone; `-` (standard input) stays.
pub fn absolute(path: &Path) -> PathBuf {
    if path == Path::new("-") {
        return path.to_path_buf();
    }
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut clean = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asset(owner: &str, matches: &[&str]) -> AssetPolicy {
        let matches = matches
            .iter()
            .map(|text| match crate::model::net::parse_network(text) {
                Some(net) => AssetMatch::Network(net),
                None => AssetMatch::Name((*text).to_owned()),
            })
            .collect();
        AssetPolicy { owner: Some(owner.to_owned()), matches, ..AssetPolicy::default() }
    }

    #[test]
    fn the_closest_block_wins_then_the_last() {
        let policy = Policy {
            assets: vec![
                asset("host", &["203.0.113.25"]),
                asset("range", &["203.0.113.0/24"]),
                asset("wide", &["203.0.0.0/16", "2001:db8::/32"]),
                asset("named", &["mx9.example.com"]),
                asset("later", &["203.0.113.0/24"]),
            ],
            ..Policy::default()
        };
        let cases = [
            ("203.0.113.25", "", Some("host")),
            ("::ffff:203.0.113.25", "", Some("host")),
            ("203.0.113.9", "", Some("later")),
            ("203.0.9.9", "", Some("wide")),
            ("203.0.9.9", "MX9.example.com.", Some("named")),
            ("2001:db8::25", "", Some("wide")),
            ("192.0.2.1", "other.example.com", None),
        ];
        for (ip, name, expected) in cases {
            let got = policy.asset(&[ip.parse().unwrap()], &[name]);
            assert_eq!(got.and_then(|a| a.owner.as_deref()), expected, "{ip} {name}");
        }
    }

    #[test]
    fn an_accepted_risk_holds_to_the_end_of_its_day() {
        let risk = AcceptedRisk {
            ticket: "helo-192.0.2.25-25".to_owned(),
            until: NaiveDate::from_ymd_opt(2027, 1, 31).unwrap(),
            reason: "reviewed".to_owned(),
        };
        for (now, holds) in [
            ("2026-12-01T00:00:00Z", true),
            ("2027-01-31T23:59:59Z", true),
            ("2027-02-01T00:00:00Z", false),
        ] {
            assert_eq!(risk.holds_at(Timestamp::parse_rfc3339(now).unwrap()), holds, "{now}");
        }
    }

    #[test]
    fn internal_is_private_or_named() {
        let networks = Networks {
            internal: NetSet::new(vec!["203.0.113.0/24".parse().unwrap()]),
            ..Networks::default()
        };
        for (ip, expected) in
            [("10.0.0.1", true), ("203.0.113.9", true), ("192.0.2.1", false), ("fd00::1", true)]
        {
            assert_eq!(networks.is_internal(ip.parse().unwrap()), expected, "{ip}");
        }
    }
}
