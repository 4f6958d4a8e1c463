//! What to advise. In: a judged target, the policy, the inputs that its citations stand in. Out:
//! which mail server it runs, which firewall stands in front, what to do about the port, and the
//! networks that keep their access.
//!
//! The words are in `templates/`; nothing here writes text for people.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::finding::Role;
use crate::model::input::InputReport;
use crate::model::judged::{CitationKind, JudgedTarget, Verdict};
use crate::model::policy::{AssetRole, Policy};

/// Mail servers whose settings the remediation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServerKind {
    Postfix,
    Exim,
    Sendmail,
    Exchange,
    OpenSmtpd,
    Generic,
}

impl ServerKind {
    /// Words of banners, the most telling first: Sendmail's own banner is its name and version,
    /// but others mention sendmail too.
    const BANNERS: [(&'static str, Self); 5] = [
        ("postfix", Self::Postfix),
        ("exim", Self::Exim),
        ("microsoft esmtp", Self::Exchange),
        ("opensmtpd", Self::OpenSmtpd),
        ("sendmail", Self::Sendmail),
    ];

    const FORMATS: [(&'static str, Self); 6] = [
        ("postfix", Self::Postfix),
        ("exim", Self::Exim),
        ("sendmail", Self::Sendmail),
        ("exchange", Self::Exchange),
        ("exchange_tracking", Self::Exchange),
        ("opensmtpd", Self::OpenSmtpd),
    ];

    /// The name of its template.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Postfix => "postfix",
            Self::Exim => "exim",
            Self::Sendmail => "sendmail",
            Self::Exchange => "exchange",
            Self::OpenSmtpd => "opensmtpd",
            Self::Generic => "generic",
        }
    }

    /// From the scan's banner, else from the format of the mail log that is cited.
    pub(super) fn of(target: &JudgedTarget, inputs: &[InputReport]) -> Self {
        let banner = target.scan.outputs.iter().find_map(|output| {
            let output = output.to_ascii_lowercase();
            Self::BANNERS.iter().find(|(word, _)| output.contains(word)).map(|(_, kind)| *kind)
        });
        let logged = || cited_format(target, inputs, is_mail, &Self::FORMATS);
        banner.or_else(logged).unwrap_or(Self::Generic)
    }
}

/// Firewalls whose rules the remediation writes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FirewallKind {
    Netfilter,
    Asa,
    FortiGate,
    PanOs,
    Generic,
}

impl FirewallKind {
    const FORMATS: [(&'static str, Self); 4] = [
        ("netfilter", Self::Netfilter),
        ("cisco_asa", Self::Asa),
        ("fortigate", Self::FortiGate),
        ("panos", Self::PanOs),
    ];

    /// The name of its template.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Netfilter => "netfilter",
            Self::Asa => "asa",
            Self::FortiGate => "fortigate",
            Self::PanOs => "panos",
            Self::Generic => "generic",
        }
    }

    /// From the format of the firewall log that is cited.
    pub(super) fn of(target: &JudgedTarget, inputs: &[InputReport]) -> Self {
        let is_firewall = |kind| !is_mail(kind);
        cited_format(target, inputs, is_firewall, &Self::FORMATS).unwrap_or(Self::Generic)
    }
}

fn is_mail(kind: CitationKind) -> bool {
    matches!(kind, CitationKind::Mail(_))
}

/// The kind of the first cited input in which one of the formats was recognised; of several, the
/// one with most lines.
fn cited_format<K: Copy>(
    target: &JudgedTarget,
    inputs: &[InputReport],
    wanted: impl Fn(CitationKind) -> bool,
    formats: &[(&'static str, K)],
) -> Option<K> {
    let citations = target.top_sources.iter().flat_map(|source| &source.citations);
    let cited = citations.filter(|line| wanted(line.kind));
    cited.filter_map(|line| inputs.get(line.at.input as usize)).find_map(|input| {
        let lines = |name: &str| input.formats.get(name).copied().unwrap_or(0);
        let most = formats.iter().rev().max_by_key(|(name, _)| lines(name))?;
        (lines(most.0) > 0).then_some(most.1)
    })
}

/// What has to be done about the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Approach {
    /// Only trusted and expected networks keep their access.
    Restrict,
    /// The port stays open (an MX has to take mail from anyone); relaying is closed.
    CloseRelay,
    /// The port stays open; nothing is taken without a login.
    RequireAuth,
    /// Nothing got through: make sure that it stays so.
    ConfirmBlock,
    /// Logs are missing.
    FindLogs,
}

impl Approach {
    /// The word that templates compare.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Restrict => "restrict",
            Self::CloseRelay => "close_relay",
            Self::RequireAuth => "require_auth",
            Self::ConfirmBlock => "confirm_block",
            Self::FindLogs => "find_logs",
        }
    }

    /// From verdict, role and port.
    pub(super) fn of(target: &JudgedTarget) -> Self {
        let relay = target.has_role(Role::Relay);
        match (target.verdict, target.asset.role) {
            (Verdict::Blocked | Verdict::Quiet, _) if !relay => Self::ConfirmBlock,
            (Verdict::Uncovered, _) if !relay => Self::FindLogs,
            (_, AssetRole::Mx) if target.port == 25 => Self::CloseRelay,
            (_, AssetRole::Mx | AssetRole::Submission) => Self::RequireAuth,
            _ => Self::Restrict,
        }
    }
}

/// Networks that keep their access to the target: the policy's trusted networks and the asset's
/// expected ones; for role `internal` the organisation's own too.
pub(super) fn allowed_networks(target: &JudgedTarget, policy: &Policy) -> Vec<IpNet> {
    let names: Vec<&str> = target.asset.names.iter().map(String::as_str).collect();
    let asset = policy.asset(&target.asset.addresses, &names);
    let expected = asset.map_or(&[][..], |asset| asset.expected.networks());
    let mut networks: Vec<IpNet> =
        policy.networks.trusted.networks().iter().chain(expected).copied().collect();
    if target.asset.role == AssetRole::Internal {
        networks.extend(policy.networks.internal.networks());
        networks.extend(PRIVATE.iter().filter_map(|text| text.parse::<IpNet>().ok()));
    }
    IpNet::aggregate(&networks)
}

/// RFC 1918, RFC 6598, RFC 4193: what class internal holds whatever the policy says.
const PRIVATE: [&str; 5] =
    ["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

/// Those of the networks that are of the address's family.
pub(super) fn of_family(networks: &[IpNet], ip: IpAddr) -> Vec<IpNet> {
    let same = |net: &&IpNet| net.addr().is_ipv4() == ip.is_ipv4();
    networks.iter().filter(same).copied().collect()
}
