//! The made-up company: its networks, its mail servers as scan, policy and logs know them, and the
//! books of what was done to them. In: nothing. Out: the facts that truth and files are made from.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::cisco_asa::CiscoAsa;
use super::mailer::Mailer;
use super::netfilter::Netfilter;
use super::stamp::Seconds;
use super::truth::Ledger;

/// A role in the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Mx,
    Relay,
    Submission,
    Internal,
    None,
}

impl Role {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Mx => "mx",
            Self::Relay => "relay",
            Self::Submission => "submission",
            Self::Internal => "internal",
            Self::None => "none",
        }
    }
}

/// The networks of the policy.
#[derive(Debug, Clone)]
pub(crate) struct Networks {
    pub(crate) trusted: Vec<IpNet>,
    pub(crate) internal: Vec<IpNet>,
    pub(crate) scanners: Vec<IpNet>,
    /// The scanner that the export itself names.
    pub(crate) export_scanner: IpAddr,
}

impl Networks {
    pub(crate) fn is_scanner(&self, ip: IpAddr) -> bool {
        ip == self.export_scanner || contains(&self.scanners, ip)
    }

    pub(crate) fn is_trusted(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || contains(&self.trusted, ip)
    }

    pub(crate) fn is_internal(&self, ip: IpAddr) -> bool {
        is_private(ip) || contains(&self.internal, ip)
    }
}

pub(crate) fn contains(nets: &[IpNet], ip: IpAddr) -> bool {
    nets.iter().any(|net| net.contains(&ip))
}

fn is_private(ip: IpAddr) -> bool {
    let private = [
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "fc00::/7",
        "fe80::/10",
    ];
    private.iter().any(|net| net.parse::<IpNet>().unwrap().contains(&ip))
}

/// What the policy says of an asset that has a block.
#[allow(clippy::struct_excessive_bools, reason = "independent keys of the policy")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) role: Role,
    pub(crate) with_id: bool,
    /// Whether the block matches by name instead of by address.
    pub(crate) by_name: bool,
    /// Whether the partners' network is expected.
    pub(crate) partners: bool,
    pub(crate) local_domains: bool,
    pub(crate) critical: bool,
}

/// A port of an asset that the scan has a finding for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) port: u16,
    pub(crate) relay_plugin: bool,
    /// Which mix of plugins the export shows.
    pub(crate) mix: u64,
}

impl Target {
    /// What the scan's items say of HELO: accepted wins.
    pub(crate) fn scan_helo(&self) -> &'static str {
        let relay_accepts = self.relay_plugin && self.mix % 3 != 1;
        match self.mix {
            1 if !relay_accepts => "refused",
            2 if !relay_accepts => "unknown",
            _ => "accepted",
        }
    }
}

/// How an asset's mail log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MailLog {
    pub(crate) from: Seconds,
    pub(crate) to: Seconds,
    /// Postfix since 3.0 counts commands when a client disconnects; older ones cannot show a
    /// session that ended after HELO.
    pub(crate) shows_helo: bool,
}

/// A firewall in front of an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Firewall {
    /// A Cisco ASA that translates addresses.
    Edge,
    /// A netfilter host with UFW words.
    Ufw,
    /// A netfilter host with words that only the policy explains.
    Custom,
}

/// One mail server.
#[derive(Debug, Clone)]
pub(crate) struct Asset {
    /// Its short name, unique.
    pub(crate) short: String,
    /// The `ReportHost name`; None where the scan shows its address.
    pub(crate) report_name: Option<String>,
    /// `host-ip`, if the export has it.
    pub(crate) host_ip: Option<IpAddr>,
    /// A second scanned host that the policy's id joins to this asset.
    pub(crate) twin_ip: Option<IpAddr>,
    /// `host-fqdn`, if the export has it.
    pub(crate) fqdn: Option<String>,
    /// The address of the machine itself.
    pub(crate) real: IpAddr,
    /// The address that the outside dials, where it differs.
    pub(crate) mapped: Option<IpAddr>,
    /// An IPv6 address, known from the policy only.
    pub(crate) v6: Option<IpAddr>,
    /// Every address under which scan or policy know it.
    pub(crate) known: Vec<IpAddr>,
    /// The name in its mail log.
    pub(crate) log_name: String,
    /// Whether only the policy's `log_names` tie that name to the asset.
    pub(crate) alias: bool,
    pub(crate) listed: Option<Block>,
    pub(crate) targets: Vec<Target>,
    pub(crate) mail: Option<MailLog>,
    /// From the outside in.
    pub(crate) firewalls: Vec<Firewall>,
    /// Whether an `[[input]]` block says that a firewall log speaks of it.
    pub(crate) covered_by_policy: bool,
}

impl Asset {
    /// The key in its ticket ids.
    pub(crate) fn key(&self) -> String {
        match (self.listed.is_some_and(|b| b.with_id), self.host_ip) {
            (true, _) => format!("a-{}", self.short),
            (false, Some(ip)) => ip.to_string(),
            (false, None) => self.report_name.clone().unwrap(),
        }
    }

    pub(crate) fn policy_role(&self) -> Role {
        self.listed.map_or(Role::None, |block| block.role)
    }

    /// Whether the policy expects this source by network.
    pub(crate) fn expects(&self, ip: IpAddr) -> bool {
        self.listed.is_some_and(|b| b.partners) && partners().contains(&ip)
    }

    /// None of the private ranges, whatever the policy calls internal.
    pub(crate) fn is_public(&self) -> bool {
        self.host_ip.is_some_and(|ip| !is_private(ip))
    }
}

/// The network that some assets expect.
pub(crate) fn partners() -> IpNet {
    "192.0.2.128/26".parse().unwrap()
}

/// Domains that listed assets may call local.
pub(crate) const LOCAL_DOMAIN: &str = "corp.example";

/// Everything that a case is made of.
pub(crate) struct World {
    pub(crate) start: Seconds,
    pub(crate) end: Seconds,
    pub(crate) scan_time: Seconds,
    pub(crate) networks: Networks,
    pub(crate) assets: Vec<Asset>,
    pub(crate) ledgers: BTreeMap<(usize, u16), Ledger>,
    pub(crate) edge: CiscoAsa,
    pub(crate) ufw: Netfilter,
    pub(crate) custom: Netfilter,
    /// One mail log for each asset that has one.
    pub(crate) mail_logs: BTreeMap<usize, Mailer>,
}
