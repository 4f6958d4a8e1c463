//! What several scans say of a host and its SMTP ports together. In: nothing (facts only). Out:
//! hosts under the key that an asset without a policy id has, their targets and their scans.
//!
//! Joining hosts into the assets of a policy is `correlate`'s.

use std::net::IpAddr;

use crate::model::finding::{Login, Role, ScanHelo};
use crate::model::time::Timestamp;

/// Everything that all scans say of one host: those with one `host-ip`, else with one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedHost {
    /// The address (RFC 5952), else the `ReportHost` name in lower case.
    pub key: String,
    /// The address, where a scan has it.
    pub ip: Option<IpAddr>,
    /// Names of all scans, lower case, without a trailing dot, newest scan first and in the order
    /// in which logs are matched: `ReportHost` name, host-fqdn, host-fqdns, host-rdns, hostname,
    /// netbios-name. No addresses, no URLs, no `localhost`.
    pub names: Vec<String>,
    /// For the ticket's `fqdn`: host-fqdn, else the first of host-fqdns, else host-rdns if it is a
    /// name, of the newest scan that has one.
    pub fqdn: Option<String>,
    /// The scans of the host, newest first. One without findings counts too.
    pub scans: Vec<HostScan>,
    /// Its targets, in the order of their ports.
    pub targets: Vec<ScanTarget>,
}

/// One export's scan of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostScan {
    /// Index of the export in the run's list of inputs.
    pub input: u32,
    /// Start of the scan: with `ended`, the window in which logs should show the scanner.
    pub started: Option<Timestamp>,
    /// End of the scan.
    pub ended: Option<Timestamp>,
    /// Addresses of the scanner: what 19506 says of this host, else of the export's other hosts.
    pub scanners: Vec<IpAddr>,
    /// Which of the plugins that are looked for were enabled, sorted; none where the export does
    /// not say.
    pub enabled: Option<Vec<u32>>,
    /// The TCP ports that were scanned, first and last of each range; none where the export does
    /// not list them.
    pub ports: Option<Vec<(u16, u16)>>,
    /// Whether the scan of the host ran to its end.
    pub finished: bool,
    /// Whether the scanner could log in.
    pub login: Login,
    /// The ports about which it has findings, each with the plugin that names it, sorted.
    pub named: Vec<(u16, u32)>,
}

impl HostScan {
    /// Whether the scan could have reported what these plugins reported on a port in a scan with
    /// that login: it ran to its end, scanned the port, had one of them enabled, and could log in
    /// where the other did.
    pub fn could_report(&self, port: u16, plugins: &[u32], login: Login) -> bool {
        let enabled = |id| self.enabled.as_ref().is_none_or(|set| set.binary_search(id).is_ok());
        let holds = |&(first, last): &(u16, u16)| (first..=last).contains(&port);
        let in_range = self.ports.as_ref().is_none_or(|ranges| ranges.iter().any(holds));
        let as_far = login != Login::Yes || self.login != Login::No;
        self.finished && in_range && as_far && plugins.iter().any(enabled)
    }

    /// Whether one of these plugins names the port.
    pub fn names(&self, port: u16, plugins: &[u32]) -> bool {
        self.named.iter().any(|&(named, id)| named == port && plugins.contains(&id))
    }
}

impl MergedHost {
    /// End of the newest scan of the host.
    pub fn last_scanned(&self) -> Option<Timestamp> {
        self.scans.iter().filter_map(|scan| scan.ended).max()
    }
}

/// An SMTP port of a host, as the newest scan that could have reported it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanTarget {
    /// TCP port.
    pub port: u16,
    /// Selected plugins that name it, sorted.
    pub detected_by: Vec<u32>,
    /// Catalogue plugins that name it but were not selected, sorted.
    pub context: Vec<u32>,
    /// The roles of all of them, sorted.
    pub roles: Vec<Role>,
    /// The scan's own answer to "was HELO accepted?".
    pub scan_helo: ScanHelo,
    /// Whether the scan also holds a refusal although HELO was accepted.
    pub also_refused: bool,
    /// 0 (Info) to 4 (Critical), of the strongest of these plugins.
    pub severity: u8,
    /// How many plugins tell a weakness of the server.
    pub weakens: u32,
    /// Plugins that tell open relaying, sorted.
    pub relays: Vec<u32>,
    /// End of the earliest scan that raised it.
    pub opened: Option<Timestamp>,
    /// End of the scan whose findings these are.
    pub scan_time: Option<Timestamp>,
    /// With which login it can be seen: that of the scan, or none if any scan saw it without.
    pub login: Login,
    /// That scan's export: its index in the run's list of inputs.
    pub input: u32,
    /// The banner or refusal that the first of the findings shows, as `Finding::output`.
    pub output: String,
}
