//! What the evidence suggests for a policy: facts with their numbers. In: nothing (`judge` makes
//! them). Out: the types that `writers::policy_draft` writes as commented TOML.
//!
//! None of it is a judgement: logs are written in part by strangers, and a person decides.

use std::net::IpAddr;

use crate::model::judged::{JudgedAsset, UnmatchedServer};
use crate::model::policy::AssetRole;
use crate::model::time::Timestamp;

/// All that a run's evidence suggests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suggestions {
    /// By asset, in the order of their keys; only assets for which there is something to say.
    pub assets: Vec<AssetSuggestion>,
    /// Mail servers of the logs that belong to no target, in the order of their names.
    pub unmatched: Vec<UnmatchedServer>,
    /// Keys of scanned assets with an SMTP finding of which no mail log speaks, sorted: one of
    /// them may be what an unmatched server is.
    pub without_mail_log: Vec<String>,
}

/// What one asset's block might say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetSuggestion {
    /// The asset.
    pub asset: JudgedAsset,
    /// What it looks like, if it has no role.
    pub role: Option<RoleSuggestion>,
    /// Whether a ticket of it says that it looks like an MX (`JudgedTarget::looks_like_mx`), for
    /// which fewer sources do than for a role.
    pub looks_like_mx: bool,
    /// Unexpected sources that deliver to it day after day and relay nothing: internal ones
    /// first, then by address and port.
    pub regulars: Vec<Regular>,
}

/// Why an asset looks like a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleSuggestion {
    /// The role.
    pub role: AssetRole,
    /// The TCP port whose sources show it.
    pub port: u16,
    /// Distinct sources that behaved as the role has it.
    pub sources: u64,
    /// Distinct unexpected sources that delivered mail or authenticated otherwise.
    pub others: u64,
    /// Sessions of the former in which mail was accepted.
    pub mails: u64,
    /// UTC days on which there were such sessions.
    pub days: u32,
    /// UTC days of which a mail log of the server speaks.
    pub covered_days: u32,
}

/// A source that delivers to a target day after day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regular {
    /// Its address.
    pub ip: IpAddr,
    /// Whether it is one of the organisation's own.
    pub is_internal: bool,
    /// The target's TCP port.
    pub port: u16,
    /// UTC days with accepted mail.
    pub days: u32,
    /// UTC days of which a mail log of the server speaks.
    pub covered_days: u32,
    /// Sessions in which mail was accepted.
    pub mails: u64,
    /// Sessions of any kind.
    pub sessions: u64,
    /// Time of the first evidence.
    pub first_seen: Option<Timestamp>,
    /// Time of the last evidence.
    pub last_seen: Option<Timestamp>,
    /// The earliest HELO names: the client's text.
    pub helo_names: Vec<Box<str>>,
}
