//! One SMTP conversation rebuilt from a mail log. In: nothing (facts only). Out: the type that
//! session assembly produces, correlation counts and `inspect` prints.

use std::net::IpAddr;

use crate::model::time::Timestamp;

/// What the log shows of HELO or EHLO.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Helo {
    /// The log cannot tell.
    Unknown,
    /// The client sent none.
    None,
    /// Every HELO was refused.
    Rejected,
    /// A HELO was answered 2xx, or a later command implies it.
    Accepted,
}

impl Helo {
    /// The word in `inspect`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::None => "none",
            Self::Rejected => "rejected",
            Self::Accepted => "accepted",
        }
    }
}

/// What the log shows of AUTH.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Auth {
    /// The log cannot tell.
    Unknown,
    /// Not tried.
    None,
    /// Tried, never succeeded.
    Failed,
    /// Succeeded.
    Ok,
}

impl Auth {
    /// The word in `inspect`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::None => "none",
            Self::Failed => "failed",
            Self::Ok => "ok",
        }
    }
}

/// The furthest point of a session. The order is the design's precedence: if several fit, the
/// greatest counts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Outcome {
    /// The log cannot tell.
    Unknown,
    /// The connection was lost or cut before anything else happened.
    Dropped,
    /// HELO or less, then an orderly end.
    HeloOnly,
    /// A command was refused.
    Rejected,
    /// A message was accepted.
    Queued,
    /// A message was accepted and delivered by SMTP to another host. Whether that host and the
    /// recipient are foreign is judged later, from `Session::deliveries`.
    Relayed,
}

impl Outcome {
    /// The word in `inspect`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Dropped => "dropped",
            Self::HeloOnly => "helo_only",
            Self::Rejected => "rejected",
            Self::Queued => "queued",
            Self::Relayed => "relayed",
        }
    }
}

/// A delivery of a session's message to a next hop by SMTP.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Delivery {
    /// The next hop's address; none where the log names only a host (then it counts as foreign
    /// unless the recipient is local).
    pub next_hop: Option<IpAddr>,
    /// The domain of the recipient as the client gave it, lower case; empty where unknown.
    pub domain: Box<str>,
}

impl Delivery {
    /// One of which the log tells neither hop nor recipient.
    pub fn untold() -> Self {
        Self { next_hop: None, domain: Box::default() }
    }
}

/// One SMTP session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The mail server's name as the log has it, or as policy or flag say; empty where unknown.
    pub server: Box<str>,
    /// The server's own address, where the log has it.
    pub local_ip: Option<IpAddr>,
    /// The server's port, where the log says it (endpoint or service name).
    pub local_port: Option<u16>,
    /// The client, where the log has its address.
    pub client: Option<IpAddr>,
    /// The client's port, where the log has it.
    pub client_port: Option<u16>,
    /// Time of the first line.
    pub start: Option<Timestamp>,
    /// Time of the last line of the conversation; deliveries come later.
    pub end: Option<Timestamp>,
    /// What became of HELO.
    pub helo: Helo,
    /// The last name given in HELO or EHLO, where the log shows it: the client's text, shown
    /// lossily (bytes that are no UTF-8 as `\xNN`).
    pub helo_name: Option<Box<str>>,
    /// What became of AUTH.
    pub auth: Auth,
    /// The user of a successful AUTH: the client's text.
    pub sasl_username: Option<Box<str>>,
    /// The furthest point.
    pub outcome: Outcome,
    /// SMTP deliveries of the session's messages to hosts other than loopback, sorted, distinct.
    pub deliveries: Vec<Delivery>,
    /// The lines that prove it, ascending.
    pub lines: Vec<ProofLine>,
}

/// A session whose texts and lines lie elsewhere; each field is as in [`Session`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is that of Session")]
pub struct SessionView<'a> {
    pub server: &'a str,
    pub local_ip: Option<IpAddr>,
    pub local_port: Option<u16>,
    pub client: Option<IpAddr>,
    pub client_port: Option<u16>,
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
    pub helo: Helo,
    pub helo_name: Option<&'a str>,
    pub auth: Auth,
    pub sasl_username: Option<&'a str>,
    pub outcome: Outcome,
    pub deliveries: &'a [Delivery],
    pub lines: &'a [ProofLine],
}

impl Session {
    /// The session where it is.
    pub fn view(&self) -> SessionView<'_> {
        SessionView {
            server: &self.server,
            local_ip: self.local_ip,
            local_port: self.local_port,
            client: self.client,
            client_port: self.client_port,
            start: self.start,
            end: self.end,
            helo: self.helo,
            helo_name: self.helo_name.as_deref(),
            auth: self.auth,
            sasl_username: self.sasl_username.as_deref(),
            outcome: self.outcome,
            deliveries: &self.deliveries,
            lines: &self.lines,
        }
    }
}

impl SessionView<'_> {
    /// The session with texts and lines of its own.
    pub fn to_session(&self) -> Session {
        Session {
            server: self.server.into(),
            local_ip: self.local_ip,
            local_port: self.local_port,
            client: self.client,
            client_port: self.client_port,
            start: self.start,
            end: self.end,
            helo: self.helo,
            helo_name: self.helo_name.map(Into::into),
            auth: self.auth,
            sasl_username: self.sasl_username.map(Into::into),
            outcome: self.outcome,
            deliveries: self.deliveries.to_vec(),
            lines: self.lines.to_vec(),
        }
    }
}

/// A line of a session and what it proves.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct ProofLine {
    /// Index of the input in the run's list.
    pub input: u32,
    /// Line of the decompressed text, from 1.
    pub line: u64,
    /// What the line proves.
    pub proves: Proves,
}

/// What a session's line proves; decides which lines tickets cite first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Proves {
    /// Part of the session, proves nothing more.
    Presence,
    /// The connection.
    Connection,
    /// HELO accepted or refused.
    Helo,
    /// AUTH succeeded or failed.
    Auth,
    /// A message accepted.
    Queued,
    /// A delivery to the next hop.
    Delivery,
}
