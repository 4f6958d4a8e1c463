//! How the evidence of one source on one server's port is held: a single event in 40 bytes, a few
//! events side by side, many of them as one [`Piece`] a day. In: events. Out: pieces.
//!
//! Most sources of a hostile internet are seen once or twice. What does not fit the small form
//! (deliveries, user names, sessions of many lines, events without a time) is held as a piece.

use crate::correlate::piece::{FlowFact, FlowKind, Piece, SessionFact, SessionKind};
use crate::model::citation::Citation;
use crate::model::judged::CitationKind;
use crate::model::session::{Auth, Helo, Outcome, Proves, Session};
use crate::model::time::Timestamp;

/// The day of events without a time.
pub const NO_DAY: i32 = i32::MIN;

/// More single events than this become pieces.
const FEW: usize = 4;

/// Lines of a session that fit the small form.
const LINES: usize = 4;

/// The evidence of one source on one server's port.
#[derive(Debug, Clone)]
pub enum Cell {
    /// One event.
    One(Event),
    /// A few events, in no order.
    Few(Box<[Event]>),
    /// One piece a day, ascending.
    Many(Box<Vec<(i32, Piece)>>),
}

/// One event in its small form.
#[derive(Debug, Clone)]
pub enum Event {
    /// A flow with a time.
    Flow {
        /// When.
        time: Timestamp,
        /// Which firewall.
        device: u32,
        /// How many connections it stands for.
        count: u32,
        /// Index of its input.
        input: u32,
        /// Its line.
        line: u32,
        /// What it counts as.
        kind: FlowKind,
    },
    /// A session with a time.
    Session {
        /// When it began.
        start: Timestamp,
        /// The name given in HELO; behind a thin pointer, as most sessions have none.
        helo_name: Option<Box<Name>>,
        /// How long it lasted, in microseconds.
        lasted: u32,
        /// Index of its lines' input.
        input: u32,
        /// Its first line.
        line: u32,
        /// How far each further line lies from the one before.
        steps: [u16; LINES - 1],
        /// What each line proves.
        proves: [Option<Proves>; LINES],
        /// What became of it.
        kind: PackedKind,
    },
}

/// A [`SessionKind`] in one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedKind(u8);

const HELOS: [Helo; 4] = [Helo::Unknown, Helo::None, Helo::Rejected, Helo::Accepted];
const AUTHS: [Auth; 4] = [Auth::Unknown, Auth::None, Auth::Failed, Auth::Ok];
const OUTCOMES: [Outcome; 6] = [
    Outcome::Unknown,
    Outcome::Dropped,
    Outcome::HeloOnly,
    Outcome::Rejected,
    Outcome::Queued,
    Outcome::Relayed,
];

impl PackedKind {
    fn new(kind: SessionKind) -> Self {
        Self(kind.helo as u8 | (kind.auth as u8) << 2 | (kind.outcome as u8) << 4)
    }

    fn kind(self) -> SessionKind {
        let at = |shift: u8, mask: u8| usize::from(self.0 >> shift & mask);
        SessionKind {
            helo: HELOS.get(at(0, 3)).copied().unwrap_or(Helo::Unknown),
            auth: AUTHS.get(at(2, 3)).copied().unwrap_or(Auth::Unknown),
            outcome: OUTCOMES.get(at(4, 7)).copied().unwrap_or(Outcome::Unknown),
        }
    }
}

/// A name given in HELO: the client's text. Short ones lie in place, as millions of sources may
/// each have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// The first `length` bytes.
    Short {
        /// How many of the bytes are the name's.
        length: u8,
        /// The name, then zeros.
        bytes: [u8; SHORT],
    },
    /// A longer name.
    Long(Box<str>),
}

/// The longest name that lies in place, in bytes: the whole takes 24.
const SHORT: usize = 22;

impl Name {
    /// Keeps a name.
    pub fn new(name: &str) -> Self {
        let mut bytes = [0; SHORT];
        match bytes.get_mut(..name.len()) {
            Some(start) => {
                start.copy_from_slice(name.as_bytes());
                Self::Short { length: name.len() as u8, bytes }
            }
            None => Self::Long(name.into()),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Short { length, bytes } => {
                let name = bytes.get(..usize::from(*length)).unwrap_or_default();
                std::str::from_utf8(name).unwrap_or_default()
            }
            Self::Long(name) => name,
        }
    }
}

/// One event on its way into a cell.
pub enum Incoming {
    /// It fits the small form.
    Small(Event),
    /// It does not: the piece of its day.
    Large(i32, Box<Piece>),
}

impl Incoming {
    /// A flow.
    pub fn flow(flow: &FlowFact) -> Self {
        let small = || {
            Some(Event::Flow {
                time: flow.time?,
                device: flow.device,
                count: flow.count,
                input: flow.at.input,
                line: u32::try_from(flow.at.line).ok()?,
                kind: flow.kind,
            })
        };
        small().map_or_else(
            || {
                let mut piece = Piece::default();
                piece.add_flow(flow, 0);
                Self::Large(day(flow.time), Box::new(piece))
            },
            Self::Small,
        )
    }

    /// A session.
    pub fn session(session: &Session) -> Self {
        let fact = SessionFact::of(session);
        let start = fact.lasted.map(|(start, _)| start);
        let mut piece = Piece::default();
        for line in &session.lines {
            let at = Citation { input: line.input, line: line.line };
            piece.cite(CitationKind::Mail(line.proves), start, at);
        }
        if let Some(event) = small_session(&fact, &piece) {
            return Self::Small(event);
        }
        piece.add_session(&fact);
        Self::Large(day(start), Box::new(piece))
    }
}

/// The small form of a session whose lines the piece cites, if it fits.
fn small_session(fact: &SessionFact<'_>, piece: &Piece) -> Option<Event> {
    let (start, end) = fact.lasted?;
    if fact.sasl_name.is_some() || !fact.deliveries.is_empty() {
        return None;
    }
    let mut lines: Vec<(Citation, Proves)> = Vec::with_capacity(LINES);
    for &(kind, (earliest, latest)) in &piece.cited {
        let CitationKind::Mail(proves) = kind else { return None };
        lines.push((earliest.1, proves));
        lines.push((latest.1, proves));
    }
    lines.sort_unstable();
    lines.dedup();
    let &(first, _) = lines.first()?;
    if lines.len() > LINES || lines.iter().any(|(at, _)| at.input != first.input) {
        return None;
    }
    let mut steps = [0; LINES - 1];
    for (step, pair) in steps.iter_mut().zip(lines.windows(2)) {
        if let [(one, _), (next, _)] = pair {
            *step = u16::try_from(next.line - one.line).ok()?;
        }
    }
    let mut proves = [None; LINES];
    for (slot, &(_, what)) in proves.iter_mut().zip(&lines) {
        *slot = Some(what);
    }
    Some(Event::Session {
        start,
        helo_name: fact.helo_name.map(|name| Box::new(Name::new(name))),
        lasted: u32::try_from(end.0.checked_sub(start.0)?).ok()?,
        input: first.input,
        line: u32::try_from(first.line).ok()?,
        steps,
        proves,
        kind: PackedKind::new(fact.kind),
    })
}

impl Event {
    fn day(&self) -> i32 {
        match self {
            Self::Flow { time, .. } => time.day(),
            Self::Session { start, .. } => start.day(),
        }
    }

    /// Adds the event to the piece of its day.
    fn add_to(&self, piece: &mut Piece, join: i64) {
        match self {
            &Self::Flow { time, device, count, input, line, kind } => {
                let at = Citation { input, line: u64::from(line) };
                piece.add_flow(&FlowFact { time: Some(time), device, kind, count, at }, join);
            }
            Self::Session { start, helo_name, lasted, input, line, steps, proves, kind } => {
                let end = Timestamp(start.0.saturating_add(i64::from(*lasted)));
                piece.add_session(&SessionFact {
                    lasted: Some((*start, end)),
                    kind: kind.kind(),
                    helo_name: helo_name.as_ref().map(|name| name.as_str()),
                    sasl_name: None,
                    deliveries: &[],
                });
                let mut line = u64::from(*line);
                let steps = std::iter::once(0).chain(steps.iter().copied());
                for (step, proves) in steps.zip(proves) {
                    line += u64::from(step);
                    if let Some(proves) = *proves {
                        let at = Citation { input: *input, line };
                        piece.cite(CitationKind::Mail(proves), Some(*start), at);
                    }
                }
            }
        }
    }
}

impl Cell {
    /// A cell of one event.
    pub fn new(incoming: Incoming) -> Self {
        match incoming {
            Incoming::Small(event) => Self::One(event),
            Incoming::Large(day, piece) => Self::Many(Box::new(vec![(day, *piece)])),
        }
    }

    /// Adds an event.
    pub fn add(&mut self, incoming: Incoming, join: i64) {
        match incoming {
            Incoming::Small(event) => self.add_small(event, join),
            Incoming::Large(day, piece) => {
                self.change_days(join, |days| days.merge_day(day, &piece, join));
            }
        }
    }

    /// Adds the evidence of another cell.
    pub fn merge(&mut self, other: Self, join: i64) {
        match other {
            Self::One(event) => self.add_small(event, join),
            Self::Few(events) => {
                for event in events {
                    self.add_small(event, join);
                }
            }
            Self::Many(days) => {
                self.change_days(join, |known| {
                    for (day, piece) in *days {
                        known.merge_day(day, &piece, join);
                    }
                });
            }
        }
    }

    /// The evidence of each day, ascending.
    pub fn days(&self, join: i64) -> Vec<(i32, Piece)> {
        let mut days = Vec::new();
        match self {
            Self::One(event) => days.add_event(event, join),
            Self::Few(events) => events.iter().for_each(|event| days.add_event(event, join)),
            Self::Many(pieces) => days.clone_from(pieces),
        }
        days
    }

    /// Forgets days before the given one, but not what has no day; whether anything is left.
    pub fn drop_days_before(&mut self, day: i32, join: i64) -> bool {
        let stays = |known: i32| known == NO_DAY || known >= day;
        match self {
            Self::One(event) => stays(event.day()),
            Self::Few(events) if events.iter().all(|event| stays(event.day())) => true,
            Self::Few(_) | Self::Many(_) => {
                let mut days = self.days(join);
                days.retain(|&(known, _)| stays(known));
                let left = !days.is_empty();
                *self = Self::Many(Box::new(days));
                left
            }
        }
    }

    /// Adds the evidence of all days to one piece.
    pub fn add_to(&self, piece: &mut Piece, join: i64) {
        match self {
            Self::One(event) => event.add_to(piece, join),
            Self::Few(events) => events.iter().for_each(|event| event.add_to(piece, join)),
            Self::Many(days) => days.iter().for_each(|(_, day)| piece.merge(day, join)),
        }
    }

    fn add_small(&mut self, event: Event, join: i64) {
        match self {
            Self::One(first) => *self = Self::Few(Box::new([first.clone(), event])),
            Self::Few(events) if events.len() < FEW => {
                let mut more = std::mem::take(events).into_vec();
                more.push(event);
                *events = more.into_boxed_slice();
            }
            Self::Few(_) | Self::Many(_) => {
                self.change_days(join, |days| days.add_event(&event, join));
            }
        }
    }

    /// Changes the evidence as pieces, and keeps it as such.
    fn change_days(&mut self, join: i64, change: impl FnOnce(&mut Vec<(i32, Piece)>)) {
        match self {
            Self::Many(days) => change(days),
            small => {
                let mut days = small.days(join);
                change(&mut days);
                *small = Self::Many(Box::new(days));
            }
        }
    }
}

/// Pieces by day.
trait Days {
    fn day_mut(&mut self, day: i32) -> &mut Piece;

    fn add_event(&mut self, event: &Event, join: i64) {
        event.add_to(self.day_mut(event.day()), join);
    }

    fn merge_day(&mut self, day: i32, piece: &Piece, join: i64) {
        self.day_mut(day).merge(piece, join);
    }
}

impl Days for Vec<(i32, Piece)> {
    fn day_mut(&mut self, day: i32) -> &mut Piece {
        let found = self.binary_search_by_key(&day, |&(known, _)| known);
        let at = found.unwrap_or_else(|at| {
            self.insert(at, (day, Piece::default()));
            at
        });
        &mut self[at].1
    }
}

fn day(time: Option<Timestamp>) -> i32 {
    time.map_or(NO_DAY, Timestamp::day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_event_takes_at_most_64_bytes_with_its_key() {
        assert_eq!(size_of::<Cell>(), 40);
        assert_eq!(size_of::<(crate::correlate::evidence::Key, Cell)>(), 64);
    }

    #[test]
    fn names_of_any_length_are_kept() {
        assert_eq!(size_of::<Name>(), 24);
        for length in [0, 1, SHORT - 1, SHORT, SHORT + 1, 255] {
            let name = "ö".repeat(length / 2) + &"x".repeat(length % 2);
            assert_eq!(Name::new(&name).as_str(), name);
        }
    }

    #[test]
    fn a_packed_kind_unpacks_to_itself() {
        for helo in HELOS {
            for auth in AUTHS {
                for outcome in OUTCOMES {
                    let kind = SessionKind { helo, auth, outcome };
                    assert_eq!(PackedKind::new(kind).kind(), kind);
                }
            }
        }
    }
}
