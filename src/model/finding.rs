//! What a scan says. In: nothing (facts only). Out: findings, the hosts they stand on, and what
//! each plugin means (its roles, from the catalogue in `scan::catalogue`).

use std::net::IpAddr;

use crate::model::time::Timestamp;

/// What a plugin's item says about SMTP on a host:port (design, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The SMTP connection check itself (18528; 34861 where it is no AIX patch).
    Check,
    /// An SMTP server was seen.
    Detects,
    /// Proves that HELO or EHLO was answered with 250.
    Accepts,
    /// A weakness of the server.
    Weakens,
    /// Open relaying.
    Relay,
    /// Tells the scanner's own address (19506).
    Scanner,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] =
        [Self::Check, Self::Detects, Self::Accepts, Self::Weakens, Self::Relay, Self::Scanner];

    /// The word in the catalogue and in `inspect`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Detects => "detects",
            Self::Accepts => "accepts",
            Self::Weakens => "weakens",
            Self::Relay => "relay",
            Self::Scanner => "scanner",
        }
    }
}

/// The scan's own answer to "was HELO accepted?".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScanHelo {
    /// Nothing in the scan tells.
    Unknown,
    /// The banner refused the scanner (4xx or 5xx).
    Refused,
    /// HELO was answered, but not with 2xx.
    Rejected,
    /// HELO or EHLO was answered with 2xx.
    Accepted,
}

impl ScanHelo {
    /// Every answer, in order.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Refused, Self::Rejected, Self::Accepted];

    /// The word in tickets and in `inspect`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
            Self::Accepted => "accepted",
        }
    }
}

/// One `ReportItem` of a catalogue plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// TCP port; 0 for items about the host as a whole.
    pub port: u16,
    /// Nessus plugin id.
    pub plugin_id: u32,
    /// `pluginName` as the scan has it.
    pub plugin_name: String,
    /// What the plugin means, in the order of [`Role`].
    pub roles: Vec<Role>,
    /// The scan's number 0 (Info) to 4 (Critical).
    pub severity: u8,
    /// What this item alone says about HELO.
    pub scan_helo: ScanHelo,
    /// The first 512 characters of `plugin_output`: banner, refusal text.
    pub output: String,
    /// Why the item is no target (an AIX patch under the check's number, port 0), if so.
    pub set_aside: Option<SetAside>,
}

/// Why an item of a catalogue id is no target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SetAside {
    /// Family and name are not SMTP: the AIX patch that has the number 34861.
    NotSmtp,
    /// Port 0 names no service.
    NoPort,
    /// UDP or ICMP: no SMTP server's port.
    NotTcp,
}

impl SetAside {
    /// The reason in the run's account.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotSmtp => "family and name are not SMTP",
            Self::NoPort => "port 0",
            Self::NotTcp => "not TCP",
        }
    }
}

/// Whether the scanner could log in to a host (`Credentialed_Scan`). The SMTP checks need no login,
/// but without one the scanner may not learn of a port that listens behind the host's own firewall,
/// or outside of the usual ports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Login {
    /// The export does not say.
    #[default]
    Unknown,
    /// It could not, or was not to.
    No,
    /// It could.
    Yes,
}

impl Login {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Unknown, Self::No, Self::Yes];

    /// The word in the state.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::No => "no",
            Self::Yes => "yes",
        }
    }
}

/// One `ReportHost` of one export, with its catalogue findings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScannedHost {
    /// `ReportHost name`.
    pub name: String,
    /// `host-ip`, canonical, where it is an address.
    pub ip: Option<IpAddr>,
    /// `host-fqdn`.
    pub fqdn: Option<String>,
    /// Every name in `host-fqdns`, in order.
    pub fqdns: Vec<String>,
    /// `host-rdns`.
    pub rdns: Option<String>,
    /// `hostname`.
    pub hostname: Option<String>,
    /// `netbios-name`.
    pub netbios: Option<String>,
    /// Start of the host's scan, UTC.
    pub started: Option<Timestamp>,
    /// End of the host's scan, UTC: `HOST_END_TIMESTAMP`, else `HOST_END`, else the start.
    pub ended: Option<Timestamp>,
    /// Whether the export gives the end and the host was reached: a scan that was stopped does not,
    /// and a host that answered no ping was not.
    pub finished: bool,
    /// Whether the scanner could log in.
    pub login: Login,
    /// Addresses that 19506 gives as the scanner's, canonical, without loopback.
    pub scanners: Vec<IpAddr>,
    /// Catalogue findings, in the order of (port, plugin id, text).
    pub findings: Vec<Finding>,
}

/// One .nessus export.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// Index of the export in the run's list of inputs.
    pub input: u32,
    /// The report's name.
    pub name: String,
    /// Hosts in the order of the file; one without findings is kept too (it was scanned).
    pub hosts: Vec<ScannedHost>,
    /// Which of the plugins that are looked for the export's policy enabled (`plugin_set`), where
    /// it says so, sorted.
    pub plugin_set: Option<Vec<u32>>,
    /// The TCP ports that the export's policy had scanned, first and last of each range, where it
    /// lists them.
    pub ports: Option<Vec<(u16, u16)>>,
    /// Whether the export ended early and only its complete hosts were kept.
    pub truncated: bool,
    /// What was read, and what could not be used.
    pub tally: ScanTally,
}

/// The account of one export: what was read, set aside, rejected and replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScanTally {
    /// Bytes of the decompressed export.
    pub bytes: u64,
    /// `ReportItem`s of every plugin.
    pub items: u64,
    /// Findings of catalogue plugins, those set aside included.
    pub findings: u64,
    /// Findings that are no target, whatever the reason.
    pub set_aside: u64,
    /// Items that could not be read.
    pub rejected: u64,
    /// The first 20 of them.
    pub rejects: Vec<RejectedItem>,
    /// Bytes that are no UTF-8 and control characters, replaced by U+FFFD in what is kept.
    pub replaced: u64,
    /// Hosts whose times are written without a zone that anything in the export tells: read as UTC.
    pub zones_guessed: u64,
    /// Hosts without a readable time.
    pub untimed: u64,
    /// Hosts whose `host-fqdns` is no JSON list.
    pub broken_fqdns: u64,
    /// Hosts that were incomplete where the export ended, and are not kept.
    pub hosts_cut: u64,
}

/// A `ReportItem` that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedItem {
    /// Byte offset of the item in the decompressed export, from 0.
    pub offset: u64,
    /// What it lacks.
    pub reason: &'static str,
}
