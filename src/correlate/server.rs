//! The server end of an event as the log has it: the first half of the key of evidence. In: flows
//! and sessions. Out: a [`LoggedServer`] and what is known of it whoever the client was.
//!
//! Which target it is, and whether it is one at all, is decided when evidence is judged
//! (`correlate::world`), so that a new scan or policy reads old evidence rightly.

use std::net::IpAddr;

use crate::model::flow::{Action, Flow, Host};
use crate::model::net::Endpoint;
use crate::model::session::{Helo, Outcome, SessionView};

/// A server's port as a log names it.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum LoggedServer {
    /// The server end of firewall records.
    Flow {
        /// The record's main address, or the name printed instead of it.
        host: Host,
        /// Its TCP port.
        port: u16,
        /// The other address and port under NAT, if they differ.
        nat: Option<Endpoint>,
        /// The other address of the clients under NAT: a mail log may show it instead of theirs.
        nat_src: Option<IpAddr>,
    },
    /// The server end of SMTP sessions.
    Mail {
        /// The mail server's name; empty where the log has none.
        name: Box<str>,
        /// Its address, where the log has it.
        ip: Option<IpAddr>,
        /// Its port, where the log has it.
        port: Option<u16>,
    },
}

impl LoggedServer {
    /// The server end of a flow. `client` is the source that the evidence is kept for.
    pub fn of_flow(flow: &Flow, client: Option<IpAddr>) -> Self {
        let main = match flow.dst {
            Host::Ip(ip) => Some(Endpoint::new(ip, flow.dst_port)),
            Host::Name(_) => None,
        };
        Self::Flow {
            host: match &flow.dst {
                Host::Ip(ip) => Host::Ip(ip.to_canonical()),
                Host::Name(name) => Host::Name(name.clone()),
            },
            port: flow.dst_port,
            nat: flow.nat_dst.map(|e| Endpoint::new(e.ip, e.port)).filter(|e| Some(*e) != main),
            nat_src: flow.nat_src.map(|e| e.ip.to_canonical()).filter(|ip| Some(*ip) != client),
        }
    }

    /// The server end of a session.
    pub fn of_session(session: &SessionView<'_>) -> Self {
        Self::Mail {
            name: session.server.trim_end_matches('.').to_ascii_lowercase().into(),
            ip: session.local_ip.map(|ip| ip.to_canonical()),
            port: session.local_port,
        }
    }

    /// The addresses and ports under which firewall records name it; none for mail servers.
    pub fn endpoints(&self) -> impl Iterator<Item = Endpoint> {
        let (main, nat) = match self {
            Self::Flow { host: Host::Ip(ip), port, nat, .. } => {
                (Some(Endpoint { ip: *ip, port: *port }), *nat)
            }
            Self::Flow { nat, .. } => (None, *nat),
            Self::Mail { .. } => (None, None),
        };
        main.into_iter().chain(nat)
    }
}

/// What the logs say of a server's port whoever the client was. Merges by sum and union.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerFacts {
    /// The inputs that speak of it, ascending, and whether with a known action (sessions always).
    pub inputs: Vec<(u32, Spoken)>,
    /// The mail formats that sessions were read in, ascending.
    pub formats: Vec<&'static str>,
    /// Sessions, whoever the client was.
    pub sessions: u64,
    /// Those whose client's address the log does not have.
    pub clientless: u64,
    /// Sessions of which the log shows that HELO was accepted although nothing else happened.
    pub bare_helos: u64,
    /// Sessions of which the log does not say what became of HELO.
    pub undecided: u64,
}

/// How an input speaks of a server; the greater counts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Spoken {
    /// Only with flows whose action is unknown.
    Unknown,
    /// With a permission, a denial or a session.
    Known,
}

impl ServerFacts {
    /// Takes note of a flow.
    pub fn add_flow(&mut self, action: Action, input: u32) {
        let spoken = if action == Action::Unknown { Spoken::Unknown } else { Spoken::Known };
        self.add_input(input, spoken);
    }

    /// Takes note of a session that was read in a format.
    pub fn add_session(&mut self, session: &SessionView<'_>, format: &'static str) {
        self.add_format(format);
        let mut last = None;
        for line in session.lines {
            if last != Some(line.input) {
                self.add_input(line.input, Spoken::Known);
                last = Some(line.input);
            }
        }
        let short = matches!(session.outcome, Outcome::Dropped | Outcome::HeloOnly);
        self.sessions += 1;
        self.clientless += u64::from(session.client.is_none());
        self.undecided += u64::from(session.helo == Helo::Unknown);
        self.bare_helos += u64::from(short && session.helo == Helo::Accepted);
    }

    /// Adds what another part of the logs says of the same server.
    pub fn merge(&mut self, other: &Self) {
        for &(input, spoken) in &other.inputs {
            self.add_input(input, spoken);
        }
        for format in &other.formats {
            self.add_format(format);
        }
        self.sessions += other.sessions;
        self.clientless += other.clientless;
        self.bare_helos += other.bare_helos;
        self.undecided += other.undecided;
    }

    fn add_format(&mut self, format: &'static str) {
        if self.formats.iter().any(|known| std::ptr::eq(*known, format)) {
            return;
        }
        if let Err(at) = self.formats.binary_search(&format) {
            self.formats.insert(at, format);
        }
    }

    fn add_input(&mut self, input: u32, spoken: Spoken) {
        match self.inputs.binary_search_by_key(&input, |&(known, _)| known) {
            Ok(at) => {
                if let Some(entry) = self.inputs.get_mut(at) {
                    entry.1 = entry.1.max(spoken);
                }
            }
            Err(at) => self.inputs.insert(at, (input, spoken)),
        }
    }
}
