//! Targets and events to evidence. In: flows and sessions in any order, what the scans and the
//! policy name. Out: [`Evidence`], which merges in any order, and the [`World`] of assets and
//! targets that it is held against.
//!
//! `piece` is what is known of one source on one server's port and day, `note` a single event of it,
//! `cell` and `evidence` hold millions of them, `interest` says which are kept. `assets`, `names` and
//! `world` say what a logged server and a source are, `coverage` what the logs can show. Verdicts are
//! `judge`'s.

pub mod times;
pub mod lasting;
pub mod piece;
pub mod note;
pub mod server;
pub mod cell;
pub mod evidence;
pub mod assets;
pub mod names;
pub mod world;
pub mod interest;
pub mod coverage;
pub mod rows;

use std::collections::HashMap;
use std::net::IpAddr;

use ahash::RandomState;

use crate::correlate::cell::piece_of;
use crate::correlate::evidence::{Key, Waiting, address_of};
use crate::correlate::note::{write_flow, write_session};
use crate::correlate::piece::{FlowFact, FlowKind};
use crate::correlate::server::LoggedServer;
use crate::logs::fields::same;
use crate::model::flow::{Flow, FlowEvent, Host, Packet};
use crate::model::net::Endpoint;
use crate::model::session::SessionView;

pub use crate::correlate::evidence::Evidence;
pub use crate::correlate::interest::Interest;
pub use crate::correlate::world::World;

/// Folds events into evidence.
#[derive(Debug)]
pub struct Correlator {
    interest: Interest,
    evidence: Evidence,
    waiting: Waiting,
    last_server: Option<LastServer>,
    /// The numbers of servers that firewalls tell by one address: nearly all of them.
    plain_servers: HashMap<Endpoint, u32, RandomState>,
}

/// The server of the last session, as the log has it: most sessions are of the same.
#[derive(Debug)]
struct LastServer {
    name: Box<str>,
    ip: Option<IpAddr>,
    port: Option<u16>,
    number: u32,
}

impl Correlator {
    /// A correlator for what is of interest. `tolerance_seconds` as in the policy's
    /// `[correlation]`.
    pub fn new(interest: Interest, tolerance_seconds: i64) -> Self {
        let evidence = Evidence::new(tolerance_seconds);
        Self {
            interest,
            evidence,
            waiting: Waiting::default(),
            last_server: None,
            plain_servers: HashMap::default(),
        }
    }

    /// Adds a flow, if it is evidence on a server of interest.
    pub fn flow(&mut self, event: &FlowEvent) {
        let flow = &event.flow;
        self.evidence.add_device(event.device, event.at.input);
        if flow.packet == Packet::Stray {
            return;
        }
        let client = match (&flow.src, flow.nat_src) {
            (Host::Ip(ip), _) => Some(ip.to_canonical()),
            (Host::Name(_), nat) => nat.map(|end| end.ip.to_canonical()),
        };
        let Some(number) = self.server_of_flow(flow, client) else { return };
        self.evidence.facts_mut(number, |facts| facts.add_flow(flow.action, event.at.input));
        let Some(client) = client else {
            if let Host::Name(name) = &flow.src {
                self.evidence.add_named_end(name.clone(), u64::from(flow.count));
            }
            return;
        };
        let fact = FlowFact {
            time: flow.time,
            device: event.device,
            kind: FlowKind::of(flow),
            count: flow.count,
            at: event.at,
        };
        let key = Key { server: number, source: address_of(client) };
        self.waiting.put(&mut self.evidence, key, |notes| {
            write_flow(&fact, notes);
            true
        });
    }

    /// The number of a flow's server, if it is of interest.
    fn server_of_flow(&mut self, flow: &Flow, client: Option<IpAddr>) -> Option<u32> {
        let plain = match (&flow.dst, flow.nat_dst, flow.nat_src) {
            (Host::Ip(ip), None, None) => Some(Endpoint::new(*ip, flow.dst_port)),
            _ => None,
        };
        if let Some(&number) = plain.and_then(|end| self.plain_servers.get(&end)) {
            return Some(number);
        }
        let server = LoggedServer::of_flow(flow, client);
        if !server.endpoints().any(|end| self.interest.has(end)) {
            self.note_named_server(&server, flow.count);
            return None;
        }
        let number = self.evidence.number_of(server);
        self.plain_servers.extend(plain.map(|end| (end, number)));
        Some(number)
    }

    /// Adds a session that was read in a mail format.
    pub fn session(&mut self, session: &SessionView<'_>, format: &'static str) {
        let number = self.server_of(session);
        self.evidence.facts_mut(number, |facts| facts.add_session(session, format));
        let kept = session.local_port.is_none_or(|port| self.interest.has_port(port));
        if let (Some(client), true) = (session.client, kept) {
            let key = Key { server: number, source: address_of(client.to_canonical()) };
            let (waiting, evidence) = (&mut self.waiting, &mut self.evidence);
            let write = |notes: &mut Vec<u8>| write_session(session, notes);
            if !waiting.pass(evidence, key, session) && !waiting.put(evidence, key, write) {
                let (day, piece) = piece_of(session);
                evidence.put_piece(key, day, piece);
            }
        }
    }

    /// The number of a session's server.
    fn server_of(&mut self, session: &SessionView<'_>) -> u32 {
        if let Some(last) = &self.last_server
            && last.ip == session.local_ip
            && last.port == session.local_port
            && same(last.name.as_bytes(), session.server.as_bytes())
        {
            return last.number;
        }
        let number = self.evidence.number_of(LoggedServer::of_session(session));
        self.last_server = Some(LastServer {
            name: session.server.into(),
            ip: session.local_ip,
            port: session.local_port,
            number,
        });
        number
    }

    /// The evidence of all events so far.
    pub fn finish(mut self) -> Evidence {
        self.waiting.settle(&mut self.evidence);
        self.evidence
    }

    /// A server that the firewall prints as a name, on a port of interest, cannot be matched.
    fn note_named_server(&mut self, server: &LoggedServer, count: u32) {
        if let LoggedServer::Flow { host: Host::Name(name), port, nat: None, .. } = server
            && self.interest.has_port(*port)
        {
            self.evidence.add_named_end(name.clone(), u64::from(count));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::correlate::note::tests::sessions;
    use crate::model::policy::Policy;
    use crate::model::session::Session;
    use crate::model::time::Timestamp;

    const TOLERANCE: i64 = 5;

    /// The evidence of sessions, as nothing but the definition has it.
    fn plain(sessions: &[Session]) -> Evidence {
        let mut evidence = Evidence::new(TOLERANCE);
        for session in sessions {
            let number = evidence.number_of(LoggedServer::of_session(&session.view()));
            let source = address_of(session.client.unwrap());
            let (day, piece) = piece_of(&session.view());
            evidence.put_piece(Key { server: number, source }, day, piece);
        }
        evidence
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        /// Of two sources hundreds of sessions come on two days, which are not kept as they come.
        #[test]
        fn sessions_are_the_pieces_of_their_days_on_whatever_way_they_come(
            drawn in prop::collection::vec((sessions(), 0u8..8), 600..900),
        ) {
            let drawn = drawn.into_iter().enumerate().map(|(number, (mut session, client))| {
                let day = 20_720 + number as i64 / 500;
                let in_day = |time: Timestamp| {
                    Timestamp(day * 86_400_000_000 + time.0.rem_euclid(86_400_000_000))
                };
                (session.start, session.end) = (session.start.map(in_day), session.end.map(in_day));
                session.client = Some(IpAddr::from([198, 51, 100, client / 7]));
                session
            });
            let sessions: Vec<Session> = drawn.collect();
            let world = World::new(&[], &Policy::default());
            let interest = Interest::new(&world, &Policy::default());
            let mut correlator = Correlator::new(interest, TOLERANCE);
            for session in &sessions {
                correlator.session(&session.view(), "postfix");
            }
            prop_assert!(correlator.waiting.has_dense());
            let (evidence, expected) = (correlator.finish(), plain(&sessions));
            prop_assert_eq!(evidence.rows(), expected.rows());
        }
    }
}
