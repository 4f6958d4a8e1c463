//! Firewall formats: one file a product, and the one list that names them. In: lines. Out: records
//! of TCP connections. Parsers are pure functions of one line (and of the file's header); what
//! needs two lines carries a [`Join`] and is paired later, by `logs::join`.
//!
//! Adding a format: write `NAME.rs` here, add `mod NAME;` and `&NAME::Format` below, put samples
//! into `samples/firewall/NAME/*.log`, write `expected.jsonl` beside them with
//! `UPDATE_SAMPLES=1 cargo test samples_give`, and review it line by line.

mod aws_vpcflow;
mod azure_nsg;
mod cef;
mod checkpoint;
mod cisco_asa;
mod cisco_ftd;
mod ends;
mod filterlog;
mod fortigate;
mod gcp_vpc;
mod juniper_srx;
mod key;
mod leef;
mod mikrotik;
mod netfilter;
mod netscreen;
mod panos;
mod pf_tcpdump;
mod sonicwall;
mod sophos_xg;
mod suricata_eve;
mod verdict;
mod windows_5156;
mod windows_fw;
mod zeek_conn;
#[cfg(test)]
pub(crate) mod testing;

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use crate::logs::clock::{Clock, LogTime};
use crate::logs::fields::shown;
use crate::logs::line::{Columns, LONGEST_LINE, Line, Outcome};
use crate::model::flow::{Action, Answer, Flow, Host, Packet};
use crate::model::net::Endpoint;

/// Every firewall format, in the order of recognition: the first that recognises a line has it.
#[rustfmt::skip] // One a line.
pub static FORMATS: &[&dyn FirewallFormat] = &[
    &leef::Format,
    &cef::Format,
    &suricata_eve::Format,
    &gcp_vpc::Format,
    &azure_nsg::Format,
    &windows_5156::Format,
    &zeek_conn::Format,
    &aws_vpcflow::Format,
    &windows_fw::Format,
    &cisco_asa::Format,
    &cisco_ftd::Format,
    &juniper_srx::Format,
    &netscreen::Format,
    &checkpoint::Format,
    &sonicwall::Format,
    &sophos_xg::Format,
    &fortigate::Format,
    &panos::Format,
    &filterlog::Format,
    &mikrotik::Format,
    &pf_tcpdump::Format,
    &netfilter::Format,
];

/// One firewall product's log format.
pub trait FirewallFormat: Sync {
    /// The module's name, the value of `--format`, the sample folder.
    fn name(&self) -> &'static str;

    /// The product, in a few words: `Linux netfilter LOG (iptables, nftables, UFW, ...)`.
    fn product(&self) -> &'static str;

    /// Words that its records or header lines have, the surest first: by them the nearest guesses
    /// are found for a file that nothing recognises, and told what it lacks.
    fn words(&self) -> &'static [&'static [u8]];

    /// What its records can show, for `formats` and the README.
    fn shows(&self) -> &'static [Shows];

    /// Whether this line is of the format, whatever it says: a cheap test on bytes that no other
    /// product writes. Used for voting on a file and for routing line by line.
    fn recognises(&self, line: &Line<'_>) -> bool;

    /// Byte patterns for a port: a line that is evidence for that *destination* port contains at
    /// least one of them (with any client port, NAT port included where a NAT address can be the
    /// target). Searched for over whole blocks, so they should be as rare as they can be. One that
    /// ends in a digit stands only where no other digit follows.
    fn needles(&self, port: u16) -> Vec<Vec<u8>>;

    /// Longest line that the product writes, in bytes: more than the usual limit only where a whole
    /// document is one line.
    fn longest_line(&self) -> usize {
        LONGEST_LINE
    }

    /// Reads a header line that names columns, where the format has such lines; none for any
    /// other line. A later header replaces an earlier one.
    fn header(&self, _line: &[u8]) -> Option<Columns> {
        None
    }

    /// Reads one line that the format recognises (or that the user says is of this format), any
    /// port. Records go to `out`, which is not cleared here.
    fn parse<'a>(
        &self,
        line: &Line<'a>,
        columns: &Columns,
        out: &mut Vec<FlowRecord<'a>>,
    ) -> Outcome;

    /// Reads one line if the format recognises it. A format whose recognition is the beginning of
    /// reading does both at once.
    fn parse_own<'a>(
        &self,
        line: &Line<'a>,
        columns: &Columns,
        out: &mut Vec<FlowRecord<'a>>,
    ) -> Option<Outcome> {
        self.recognises(line).then(|| self.parse(line, columns, out))
    }
}

/// What a format's records can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shows {
    /// Permitted connections at their start.
    Allow,
    /// Denied connections.
    Deny,
    /// The end of permitted connections.
    Close,
    /// Both addresses of a translated end.
    Nat,
    /// Times with a zone.
    Zone,
}

impl Shows {
    /// The word in `formats`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Close => "close",
            Self::Nat => "NAT",
            Self::Zone => "zone",
        }
    }
}

/// One end's host as printed: an address, or a name instead of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HostText<'a> {
    /// Canonical address.
    Ip(IpAddr),
    /// A name (Cisco's `names`).
    Name(&'a [u8]),
}

impl HostText<'_> {
    /// The same, owned.
    pub fn to_host(self) -> Host {
        match self {
            Self::Ip(ip) => Host::Ip(ip),
            Self::Name(name) => Host::Name(shown(name)),
        }
    }
}

/// A record as a parser reads it: times not yet resolved, texts still in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowRecord<'a> {
    /// The record's own time, else the head's.
    pub time: Option<LogTime>,
    /// What the firewall did.
    pub action: Action,
    /// The client.
    pub src: HostText<'a>,
    /// The client's port.
    pub src_port: u16,
    /// The server.
    pub dst: HostText<'a>,
    /// The server's port.
    pub dst_port: u16,
    /// The client's other address under NAT; only where it differs from `src`.
    pub nat_src: Option<Endpoint>,
    /// The server's other address under NAT; only where it differs from `dst`.
    pub nat_dst: Option<Endpoint>,
    /// Whether the server is known not to have answered.
    pub answer: Answer,
    /// Which packet it is about.
    pub packet: Packet,
    /// Connections or packets that this record stands for, usually 1.
    pub count: u32,
    /// The firewall that wrote it, where the line says so.
    pub device: Option<&'a [u8]>,
    /// How it pairs with other records of the device.
    pub join: Option<Join>,
    /// The administrator's words (a netfilter or MikroTik log prefix) that the policy's
    /// `[verdicts]` may map to an action; where it does, that wins over `action`.
    pub prefix: Option<&'a [u8]>,
}

impl<'a> FlowRecord<'a> {
    /// A record of one whole connection with nothing known but its ends and the action; time and
    /// device are the head's.
    pub fn new(
        line: &Line<'a>,
        action: Action,
        src: (HostText<'a>, u16),
        dst: (HostText<'a>, u16),
    ) -> Self {
        Self {
            time: line.time,
            action,
            src: src.0,
            src_port: src.1,
            dst: dst.0,
            dst_port: dst.1,
            nat_src: None,
            nat_dst: None,
            answer: Answer::Untold,
            packet: Packet::Connection,
            count: 1,
            device: line.host,
            join: None,
            prefix: None,
        }
    }

    /// The record as a flow, its time resolved by the input's clock.
    pub fn to_flow(&self, clock: &Clock) -> Flow {
        Flow {
            time: self.time.and_then(|time| clock.resolve(time)),
            action: self.action,
            src: self.src.to_host(),
            src_port: self.src_port,
            dst: self.dst.to_host(),
            dst_port: self.dst_port,
            nat_src: self.nat_src,
            nat_dst: self.nat_dst,
            answer: self.answer,
            packet: self.packet,
            count: self.count,
        }
    }
}

/// How a record pairs with others of the same device: a key (hash of what the vendor says is
/// equal in them) and a rule. Applied in order of time by the bounded joiner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Join {
    /// Equal for records of one connection.
    pub key: u64,
    /// What the pair means.
    pub rule: JoinRule,
}

impl Join {
    /// A join by these facts. The hash is the same on every machine and in every run.
    pub fn new(rule: JoinRule, facts: impl Hash) -> Self {
        let mut hasher = key::KeyHasher::default();
        facts.hash(&mut hasher);
        Self { key: hasher.finish(), rule }
    }

    /// A join by the two ends of a connection.
    pub fn of_ends(rule: JoinRule, src: (HostText<'_>, u16), dst: (HostText<'_>, u16)) -> Self {
        Self::new(rule, (src, dst))
    }
}

/// What pairing does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JoinRule {
    /// This record knows which end is the client; a later [`JoinRule::AsBuilt`] of the key, and
    /// with the same pair of ends, takes its order from here. Where a [`JoinRule::Once`] by its
    /// ends ([`Join::of_ends`]) was told before, it is a duplicate itself.
    Orients,
    /// The line does not say which end is the client: as the earlier record of the key has it,
    /// else as the parser guessed.
    AsBuilt,
    /// A second record of the same key and action less than this many seconds from the last is
    /// the same event told again: a duplicate.
    Once {
        /// Seconds.
        within: u32,
    },
    /// The key is one packet's, which may be told with a verdict and without: a record of unknown
    /// action less than this many seconds from one that knows is a duplicate. Records of one action
    /// are not (a packet's retransmission may share its key).
    Verdict {
        /// Seconds.
        within: u32,
    },
}
