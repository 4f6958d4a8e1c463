//! A firewall's record of one TCP connection. In: nothing (facts only). Out: the type that
//! firewall parsers produce, correlation counts and `inspect` prints.

use std::net::IpAddr;

use crate::model::net::Endpoint;
use crate::model::time::Timestamp;

/// What the firewall did.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Action {
    /// Permitted, at the start of the connection.
    Allow,
    /// Refused or dropped.
    Deny,
    /// Ended, so it had been permitted.
    Close,
    /// The record does not say.
    Unknown,
}

impl Action {
    /// The word in `inspect`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Close => "close",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether the record proves that the server never answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// The record does not tell.
    Untold,
    /// It never answered (SYN time-out with 0 bytes, `ip-conn`, Zeek S0, only SYN seen).
    Never,
    /// It never answered, and an earlier record had told the same connection as permitted.
    NeverOfPermitted,
}

/// Which packet the record is about, where it prints TCP flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Packet {
    /// No flags printed, or a record of a whole connection: evidence.
    Connection,
    /// A SYN without ACK: a connection attempt, evidence.
    Syn,
    /// Any other packet (a reply, late traffic): printed by `inspect`, no evidence.
    Stray,
}

/// One end of a connection: an address, or the name that the firewall prints instead of it.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Host {
    /// Canonical address.
    Ip(IpAddr),
    /// A name (`names` on a Cisco ASA), as printed.
    Name(Box<str>),
}

/// One record of one TCP connection, its time already resolved to UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// When, if the line says.
    pub time: Option<Timestamp>,
    /// What the firewall did.
    pub action: Action,
    /// The client (the end that opened the connection).
    pub src: Host,
    /// The client's port.
    pub src_port: u16,
    /// The server, as the record's main address has it.
    pub dst: Host,
    /// The server's port.
    pub dst_port: u16,
    /// The client's other address under NAT.
    pub nat_src: Option<Endpoint>,
    /// The server's other address under NAT.
    pub nat_dst: Option<Endpoint>,
    /// Whether the server is known not to have answered.
    pub answer: Answer,
    /// Which packet it is about.
    pub packet: Packet,
    /// How many connections or packets the one record stands for (ASA 106100 `hit-cnt`), usually 1.
    pub count: u32,
}

/// A flow in its place: what the log reader hands to correlation, in the order of the inputs and
/// their lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowEvent {
    /// The record.
    pub flow: Flow,
    /// Its line.
    pub at: crate::model::citation::Citation,
    /// Index of the firewall that wrote it in the run's list of devices (`model::input::Devices`):
    /// the policy's or the line's name, else one per input.
    pub device: u32,
    /// The format's name.
    pub format: &'static str,
}
