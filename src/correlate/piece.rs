//! What the logs say of one source on one server's port on one UTC day. In: flows, sessions, other
//! pieces. Out: counts, times, names and citations.
//!
//! Every part merges by sum, union, min, max or k-smallest, so any order and any grouping of the
//! same events give the same piece. Nothing in it depends on targets, classes or roles: whether a
//! delivery was relaying is kept open as the set of next hops and domains of each session.

use std::cmp::Reverse;

use crate::correlate::lasting::Lasting;
use crate::correlate::times::Times;
use crate::model::citation::Citation;
use crate::model::flow::{Action, Answer, Flow};
use crate::model::judged::CitationKind;
use crate::model::session::{Auth, Delivery, Helo, Outcome, SessionView};
use crate::model::time::Timestamp;

/// How many names of a kind are kept.
pub const NAMES: usize = 8;

/// What a flow counts as.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum FlowKind {
    /// Permitted, at the start.
    Allow,
    /// Ended, so it had been permitted.
    Close,
    /// Refused.
    Deny,
    /// Neither: the action is unknown, or the server never answered.
    Other,
    /// The same, of a connection that another record had told as permitted.
    Withdrawn,
}

impl FlowKind {
    /// What a record counts as.
    pub fn of(flow: &Flow) -> Self {
        match (flow.action, flow.answer) {
            (Action::Deny, _) => Self::Deny,
            (Action::Unknown, _) | (_, Answer::Never) => Self::Other,
            (_, Answer::NeverOfPermitted) => Self::Withdrawn,
            (Action::Allow, Answer::Untold) => Self::Allow,
            (Action::Close, Answer::Untold) => Self::Close,
        }
    }

    /// Whether it proves that the firewall let a connection through.
    pub fn is_permitted(self) -> bool {
        matches!(self, Self::Allow | Self::Close)
    }

    fn citation(self) -> CitationKind {
        match self {
            Self::Allow | Self::Close => CitationKind::Permitted,
            Self::Deny => CitationKind::Denied,
            Self::Other | Self::Withdrawn => CitationKind::Seen,
        }
    }
}

/// What became of a session, as far as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKind {
    /// HELO.
    pub helo: Helo,
    /// AUTH.
    pub auth: Auth,
    /// The furthest point.
    pub outcome: Outcome,
}

/// A place in the logs with its time, ordered by time (none first), then place.
pub type Spot = (Option<Timestamp>, Citation);

/// The evidence of one day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece {
    /// Records by firewall and kind, ascending.
    pub flows: Vec<((u32, FlowKind), u64)>,
    /// When flows were permitted, in microseconds.
    pub permitted: Times,
    /// Sessions by what became of them, ascending.
    pub sessions: Vec<(SessionKind, u64)>,
    /// From when to when sessions lasted whose HELO was accepted, and how many.
    pub accepted: Lasting,
    /// Sessions with deliveries to other hosts, by the set of deliveries, ascending.
    pub delivered: Vec<(Box<[Delivery]>, u64)>,
    /// What can be shown of it.
    pub traces: Traces,
    /// The earliest time of all.
    pub first: Option<Timestamp>,
    /// The latest time of all.
    pub last: Option<Timestamp>,
    /// The latest time at which the server was reached: a flow was permitted, or a session ended.
    pub reached: Option<Timestamp>,
}

/// What can be shown of evidence beside numbers and times: of a source it is asked for last, and only
/// if somebody wants to see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traces {
    /// The earliest HELO names: time in microseconds (`i64::MAX` if none) and text, ascending.
    pub helo_names: Vec<(i64, Box<str>)>,
    /// The earliest user names of successful AUTH, likewise.
    pub sasl_names: Vec<(i64, Box<str>)>,
    /// The earliest and the latest line of each kind, ascending by kind.
    pub cited: Vec<(CitationKind, (Spot, Spot))>,
}

/// A flow, reduced to what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowFact {
    /// When.
    pub time: Option<Timestamp>,
    /// Which firewall.
    pub device: u32,
    /// What it counts as.
    pub kind: FlowKind,
    /// How many connections it stands for.
    pub count: u32,
    /// Its line.
    pub at: Citation,
}

/// A session, reduced to what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionFact<'a> {
    /// From when to when it lasted, in this order.
    pub lasted: Option<(Timestamp, Timestamp)>,
    /// What became of it.
    pub kind: SessionKind,
    /// The name given in HELO: UTF-8, which is not looked at before the name is kept.
    pub helo_name: Option<&'a [u8]>,
    /// The user of a successful AUTH, likewise.
    pub sasl_name: Option<&'a [u8]>,
    /// Its deliveries.
    pub deliveries: &'a [Delivery],
}

impl<'a> SessionFact<'a> {
    /// What counts of a session, but for its lines.
    #[inline]
    pub fn of(session: &SessionView<'a>) -> Self {
        let ends = session.start.or(session.end).zip(session.end.or(session.start));
        Self {
            lasted: ends.map(|(start, end)| (start.min(end), start.max(end))),
            kind: SessionKind { helo: session.helo, auth: session.auth, outcome: session.outcome },
            helo_name: session.helo_name.map(str::as_bytes),
            sasl_name: session.sasl_username.map(str::as_bytes),
            deliveries: session.deliveries,
        }
    }

    /// When it began.
    pub fn start(&self) -> Option<Timestamp> {
        self.lasted.map(|(start, _)| start)
    }

    /// From when to when it lasted, if its HELO was accepted.
    pub fn accepted(&self) -> Option<(Timestamp, Timestamp)> {
        self.lasted.filter(|_| self.kind.helo == Helo::Accepted)
    }

    /// Its time among those of names.
    pub fn name_time(&self) -> i64 {
        self.start().map_or(i64::MAX, |start| start.0)
    }
}

impl FlowFact {
    /// What its line is cited for.
    pub fn citation(&self) -> CitationKind {
        self.kind.citation()
    }
}

impl Piece {
    /// Adds a flow; permitted times at most `join` microseconds apart become one interval.
    pub fn add_flow(&mut self, flow: &FlowFact, join: i64) {
        count(&mut self.flows, (flow.device, flow.kind), u64::from(flow.count));
        if let (true, Some(time)) = (flow.kind.is_permitted(), flow.time) {
            self.permitted.add(time.0, time.0, join);
            self.reached = self.reached.max(flow.time);
        }
        self.traces.add_flow(flow);
        self.saw(flow.time, flow.time);
    }

    /// Adds a session without its lines.
    pub fn add_session(&mut self, session: &SessionFact<'_>) {
        count(&mut self.sessions, session.kind, 1);
        if let Some(lasted) = session.accepted() {
            self.accepted.add(lasted, 1);
        }
        match (session.kind.outcome, session.deliveries) {
            // Relayed, but the log does not say where to: neither hop nor recipient is known.
            (Outcome::Relayed, []) => count(&mut self.delivered, Box::new([Delivery::untold()]), 1),
            (Outcome::Relayed | Outcome::Queued, known @ [_, ..]) => {
                count(&mut self.delivered, known.into(), 1);
            }
            _ => {}
        }
        self.traces.add_names(session);
        let end = session.lasted.map(|(_, end)| end);
        self.reached = self.reached.max(end);
        self.saw(session.start(), end);
    }

    /// Adds the evidence of another part of the logs.
    pub fn merge(&mut self, other: &Self, join: i64) {
        for &(key, n) in &other.flows {
            count(&mut self.flows, key, n);
        }
        self.permitted.merge(&other.permitted, join);
        for &(kind, n) in &other.sessions {
            count(&mut self.sessions, kind, n);
        }
        self.accepted.merge(&other.accepted);
        for (deliveries, n) in &other.delivered {
            count(&mut self.delivered, deliveries.clone(), *n);
        }
        self.traces.merge(&other.traces);
        self.reached = self.reached.max(other.reached);
        self.saw(other.first, other.last);
    }

    fn saw(&mut self, first: Option<Timestamp>, last: Option<Timestamp>) {
        // Reverse: none is the least of all, and must not be the earliest.
        self.first = self.first.map(Reverse).max(first.map(Reverse)).map(|Reverse(time)| time);
        self.last = self.last.max(last);
    }
}

impl Traces {
    /// Adds a flow.
    pub fn add_flow(&mut self, flow: &FlowFact) {
        self.cite(flow.citation(), flow.time, flow.at);
    }

    /// Adds the names of a session.
    pub fn add_names(&mut self, session: &SessionFact<'_>) {
        let time = session.name_time();
        if let Some(name) = session.helo_name {
            keep_name(&mut self.helo_names, time, name);
        }
        if let Some(name) = session.sasl_name {
            keep_name(&mut self.sasl_names, time, name);
        }
    }

    /// Cites a line if it is the earliest or latest of its kind.
    pub fn cite(&mut self, kind: CitationKind, time: Option<Timestamp>, at: Citation) {
        let spot = (time, at);
        match self.cited.iter_mut().find(|(known, _)| *known == kind) {
            // Most come in the order of their times.
            Some((_, (_, latest))) if *latest < spot => *latest = spot,
            Some((_, (earliest, _))) if spot < *earliest => *earliest = spot,
            Some(_) => {}
            None => self.cite_both(kind, (spot, spot)),
        }
    }

    /// Adds those of another part of the logs.
    pub fn merge(&mut self, other: &Self) {
        for (time, name) in &other.helo_names {
            keep_name(&mut self.helo_names, *time, name.as_bytes());
        }
        for (time, name) in &other.sasl_names {
            keep_name(&mut self.sasl_names, *time, name.as_bytes());
        }
        for &(kind, spots) in &other.cited {
            self.cite_both(kind, spots);
        }
    }

    fn cite_both(&mut self, kind: CitationKind, (earliest, latest): (Spot, Spot)) {
        match self.cited.binary_search_by_key(&kind, |&(known, _)| known) {
            Ok(at) => {
                if let Some((_, spots)) = self.cited.get_mut(at) {
                    *spots = (spots.0.min(earliest), spots.1.max(latest));
                }
            }
            Err(at) => self.cited.insert(at, (kind, (earliest, latest))),
        }
    }
}

/// Adds to the count of a key in an ascending list. Most keys are new and last, or known.
pub(crate) fn count<K: Ord>(counts: &mut Vec<(K, u64)>, key: K, n: u64) {
    if counts.last().is_none_or(|(last, _)| *last < key) {
        return counts.push((key, n));
    }
    match counts.binary_search_by(|(known, _)| known.cmp(&key)) {
        Ok(at) => {
            if let Some((_, sum)) = counts.get_mut(at) {
                *sum = sum.saturating_add(n);
            }
        }
        Err(at) => counts.insert(at, (key, n)),
    }
}

/// Keeps the earliest distinct names, which are UTF-8. A name that was dropped had `NAMES` others
/// before it, and has them after every merge too: what is kept does not depend on the order.
pub(crate) fn keep_name(names: &mut Vec<(i64, Box<str>)>, time: i64, name: &[u8]) {
    // As events mostly come in the order of their times, there is seldom a place for one more; and a
    // name that is kept already is kept from an earlier time.
    let is_late = |last: &(i64, Box<str>)| (last.0, last.1.as_bytes()) < (time, name);
    if names.len() >= NAMES && names.last().is_some_and(is_late) {
        return;
    }
    if let Some(at) = names.iter().position(|(_, known)| known.as_bytes() == name) {
        if names.get(at).is_some_and(|&(known, _)| known <= time) {
            return;
        }
        names.remove(at);
    }
    let at = names.partition_point(|(t, n)| (*t, n.as_bytes()) < (time, name));
    if at < NAMES {
        names.insert(at, (time, String::from_utf8_lossy(name).into()));
        names.truncate(NAMES);
    }
}
