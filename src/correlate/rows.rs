//! Evidence as rows that outlive a run: one for each logged server's port, source and UTC day. In:
//! evidence, and names for the numbers in it. Out: plain values that are written and read with
//! serde; and evidence again.
//!
//! Inputs are written as the lasting ids of their contents and firewalls by name, so that a row
//! means the same in every run. A row replaces the one before it: what was merged is written.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::correlate::cell::Cell;
use crate::correlate::evidence::{Address, Evidence, Key, address_of, ip_of};
use crate::correlate::piece::{FlowKind, Piece, SessionKind, Traces};
use crate::correlate::server::{LoggedServer, ServerFacts, Spoken};
use crate::logs::mail::FORMATS;
use crate::model::citation::Citation;
use crate::model::input::Devices;
use crate::model::judged::CitationKind;
use crate::model::session::{Auth, Delivery, Helo, Outcome};
use crate::model::time::Timestamp;

/// Names for the numbers of a run.
pub struct Outward<'a> {
    /// The lasting id of an input's content; none for an input that is not kept.
    pub content: &'a dyn Fn(u32) -> Option<i64>,
    /// The firewalls.
    pub devices: &'a Devices,
}

/// Numbers for the names in rows.
pub struct Inward<'a> {
    /// The number of a content; none for one that is not known any more.
    pub content: &'a dyn Fn(i64) -> Option<u32>,
    /// The firewalls, to which those of the rows are added.
    pub devices: &'a mut Devices,
}

/// Time in microseconds, content id, line.
type SpotRow = (Option<i64>, i64, u64);

/// The evidence of one day.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PieceRow {
    /// Firewall, kind, records.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flows: Vec<(Box<str>, FlowKind, u64)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    permitted: Vec<(i64, i64)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sessions: Vec<(Helo, Auth, Outcome, u64)>,
    /// From, to, sessions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accepted: Vec<(i64, i64, u64)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    delivered: Vec<(Box<[Delivery]>, u64)>,
    /// Earliest time, name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    helo_names: Vec<(i64, Box<str>)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sasl_names: Vec<(i64, Box<str>)>,
    /// Kind, earliest line, latest line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cited: Vec<(CitationKind, SpotRow, SpotRow)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reached: Option<i64>,
}

/// What is known of a server whoever the client was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FactsRow {
    /// Content id, and whether it tells more than unknown actions.
    inputs: Vec<(i64, Spoken)>,
    formats: Vec<Box<str>>,
    sessions: u64,
    clientless: u64,
    bare_helos: u64,
    undecided: u64,
}

impl PieceRow {
    /// A piece with lasting names.
    pub fn new(piece: &Piece, names: &Outward<'_>) -> Self {
        let micros = |time: Option<Timestamp>| time.map(|time| time.0);
        let spot = |(time, at): (Option<Timestamp>, Citation)| {
            Some((micros(time), (names.content)(at.input)?, at.line))
        };
        let flows = piece.flows.iter();
        let sessions = piece.sessions.iter();
        let cited = piece.traces.cited.iter();
        Self {
            flows: flows
                .map(|&((device, kind), n)| (names.devices.name(device).into(), kind, n))
                .collect(),
            permitted: piece.permitted.intervals().to_vec(),
            sessions: sessions.map(|&(k, n)| (k.helo, k.auth, k.outcome, n)).collect(),
            accepted: piece.accepted.iter().map(|((a, b), n)| (a.0, b.0, n)).collect(),
            delivered: piece.delivered.clone(),
            helo_names: piece.traces.helo_names.clone(),
            sasl_names: piece.traces.sasl_names.clone(),
            cited: cited
                .filter_map(|&(kind, (one, other))| Some((kind, spot(one)?, spot(other)?)))
                .collect(),
            first: micros(piece.first),
            last: micros(piece.last),
            reached: micros(piece.reached),
        }
    }

    /// The piece; its numbers are those of this run.
    pub fn into_piece(self, names: &mut Inward<'_>, join: i64) -> Piece {
        let mut piece = Piece {
            delivered: self.delivered,
            traces: Traces {
                helo_names: self.helo_names,
                sasl_names: self.sasl_names,
                cited: Vec::new(),
            },
            first: self.first.map(Timestamp),
            last: self.last.map(Timestamp),
            reached: self.reached.map(Timestamp),
            ..Piece::default()
        };
        for (device, kind, n) in self.flows {
            piece.flows.push(((names.devices.index_of(&device), kind), n));
        }
        piece.flows.sort_unstable();
        for (first, last) in self.permitted {
            piece.permitted.add(first, last, join);
        }
        for (helo, auth, outcome, n) in self.sessions {
            piece.sessions.push((SessionKind { helo, auth, outcome }, n));
        }
        piece.sessions.sort_unstable();
        for (first, last, n) in self.accepted {
            piece.accepted.add((Timestamp(first), Timestamp(last)), n);
        }
        for (kind, one, other) in self.cited {
            let spot = |(time, content, line): SpotRow| {
                let input = (names.content)(content)?;
                Some((time.map(Timestamp), Citation { input, line }))
            };
            if let (Some(one), Some(other)) = (spot(one), spot(other)) {
                piece.traces.cited.push((kind, (one.min(other), one.max(other))));
            }
        }
        piece.traces.cited.sort_unstable();
        piece
    }
}

impl FactsRow {
    /// Facts with lasting names.
    pub fn new(facts: &ServerFacts, names: &Outward<'_>) -> Self {
        let inputs = facts.inputs.iter();
        let lasting = inputs.filter_map(|&(input, spoken)| Some(((names.content)(input)?, spoken)));
        Self {
            inputs: lasting.collect(),
            formats: facts.formats.iter().map(|format| (*format).into()).collect(),
            sessions: facts.sessions,
            clientless: facts.clientless,
            bare_helos: facts.bare_helos,
            undecided: facts.undecided,
        }
    }

    /// The facts; formats that this version does not have are left out.
    pub fn into_facts(self, names: &Inward<'_>) -> ServerFacts {
        let inputs = self.inputs.into_iter();
        let known = inputs.filter_map(|(id, spoken)| Some(((names.content)(id)?, spoken)));
        let mut inputs: Vec<(u32, Spoken)> = known.collect();
        inputs.sort_unstable();
        let all = FORMATS.iter().map(|format| format.name());
        let mut formats: Vec<&'static str> =
            all.filter(|name| self.formats.iter().any(|known| **known == **name)).collect();
        formats.sort_unstable();
        ServerFacts {
            inputs,
            formats,
            sessions: self.sessions,
            clientless: self.clientless,
            bare_helos: self.bare_helos,
            undecided: self.undecided,
        }
    }
}

/// Where a row belongs: the server's number, the source, the day.
pub type Place = (u32, Address, i32);

impl Evidence {
    /// Where there is evidence, ascending.
    pub fn places(&self) -> Vec<Place> {
        let mut places = Vec::with_capacity(self.len());
        for key in self.sorted_keys() {
            let days = self.cell(key).map(Cell::day_numbers).unwrap_or_default();
            places.extend(days.into_iter().map(|day| (key.server, key.source, day)));
        }
        places
    }

    /// The evidence of one place.
    pub fn piece(&self, (server, source, day): Place) -> Option<Piece> {
        self.cell(Key { server, source })?.piece(day, self.join())
    }

    /// Adds what is known of a server; gives its number.
    pub fn add_server(&mut self, server: LoggedServer, facts: &ServerFacts) -> u32 {
        let number = self.number_of(server);
        self.facts_mut(number, |known| known.merge(facts));
        number
    }

    /// Adds the evidence of one place.
    pub fn add_piece(&mut self, server: u32, source: IpAddr, day: i32, piece: Piece) {
        self.put_piece(Key { server, source: address_of(source) }, day, piece);
    }

    /// Notes that a content holds records of a firewall.
    pub fn add_firewall(&mut self, device: u32, input: u32) {
        self.add_device(device, input);
    }

    /// Adds records whose end is a name.
    pub fn add_name(&mut self, name: Box<str>, count: u64) {
        self.add_named_end(name, count);
    }
}

/// The source of a place as rows have it.
pub fn source_text(source: Address) -> String {
    ip_of(source).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::cell::NO_DAY;
    use crate::correlate::piece::{FlowFact, SessionFact};
    use crate::model::session::Proves;

    fn piece() -> Piece {
        let mut piece = Piece::default();
        let at = |input, line| Citation { input, line };
        for (time, kind) in [(7, FlowKind::Allow), (900, FlowKind::Close), (5, FlowKind::Deny)] {
            let time = Some(Timestamp(time));
            piece.add_flow(&FlowFact { time, device: 1, kind, count: 2, at: at(0, 3) }, 10);
        }
        let deliveries =
            [Delivery { next_hop: "192.0.2.9".parse().ok(), domain: "foreign.example".into() }];
        let (helo, auth, outcome) = (Helo::Accepted, Auth::Ok, Outcome::Relayed);
        piece.add_session(&SessionFact {
            lasted: Some((Timestamp(40), Timestamp(90))),
            kind: SessionKind { helo, auth, outcome },
            helo_name: Some(b"probe.example"),
            sasl_name: Some(b"user"),
            deliveries: &deliveries,
        });
        piece.traces.cite(CitationKind::Mail(Proves::Helo), Some(Timestamp(40)), at(1, 8));
        piece.traces.cite(CitationKind::Seen, None, at(2, 1));
        piece
    }

    #[test]
    fn a_row_means_the_same_in_another_run() {
        let mut devices = Devices::default();
        devices.index_of("fw1");
        devices.index_of("fw2");
        let content = |input: u32| (input < 2).then_some(i64::from(input) + 70);
        let row = PieceRow::new(&piece(), &Outward { content: &content, devices: &devices });
        let text = serde_json::to_string(&row).unwrap();
        assert!(text.len() < 700, "{text}");
        let mut later = Devices::default();
        later.index_of("fw3");
        let content = |id: i64| u32::try_from(id - 60).ok();
        let mut names = Inward { content: &content, devices: &mut later };
        let read: PieceRow = serde_json::from_str(&text).unwrap();
        let read = read.into_piece(&mut names, 10);
        let mut expected = piece();
        // The input without an id, and what was cited of it, did not outlive its run.
        expected.traces.cited.retain(|(kind, _)| *kind != CitationKind::Seen);
        for (_, (one, other)) in &mut expected.traces.cited {
            one.1.input += 10;
            other.1.input += 10;
        }
        assert_eq!(read, expected, "{text}");
        assert_eq!(later.name(1), "fw2");
    }

    #[test]
    fn evidence_is_found_by_place() {
        let mut evidence = Evidence::new(0);
        let server = LoggedServer::Mail { name: "mx1".into(), ip: None, port: Some(25) };
        let number = evidence.add_server(server.clone(), &ServerFacts::default());
        let ip: IpAddr = "198.51.100.7".parse().unwrap();
        for day in [3, NO_DAY, 3] {
            evidence.add_piece(number, ip, day, piece());
        }
        let places = evidence.places();
        assert_eq!(places, [(number, address_of(ip), NO_DAY), (number, address_of(ip), 3)]);
        assert_eq!(evidence.piece(places[0]), Some(piece()));
        assert_ne!(evidence.piece(places[1]), Some(piece()));
        assert_eq!(evidence.piece((number, address_of(ip), 4)), None);
        assert_eq!(evidence.number(&server), Some(0));
        assert_eq!(source_text(places[0].1), "198.51.100.7");
    }
}
