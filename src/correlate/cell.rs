//! How the evidence of one source on one server's port is held: a single event in 40 bytes, a few
//! events side by side, many of them as one [`Piece`] a day. In: events. Out: pieces.
//!
//! Most sources of a hostile internet are seen once or twice. Those that come often are added to
//! their pieces a dozen events at a time: a piece lies in ten places of the memory, and fetching
//! them costs more than the adding. What does not fit the small form (deliveries, user names,
//! sessions of many lines, events without a time) is held as a piece at once.

use crate::correlate::piece::{FlowFact, FlowKind, Piece, SessionFact, SessionKind};
use crate::model::citation::Citation;
use crate::model::judged::CitationKind;
use crate::model::session::{Auth, Helo, Outcome, ProofLine, Proves, Session};
use crate::model::time::Timestamp;

/// The day of events without a time.
pub const NO_DAY: i32 = i32::MIN;

/// More single events than this become pieces: about as many as take the room of a piece.
const FEW: usize = 12;

/// The evidence of one source on one server's port.
#[derive(Debug, Clone)]
pub enum Cell {
    /// One event.
    One(Event),
    /// A few events, in no order.
    Few(Vec<Event>),
    /// Pieces, and a few events.
    Many(Box<Many>),
}

/// The evidence of a source that came often, or in a way that only a piece can hold.
#[derive(Debug, Clone, Default)]
pub struct Many {
    /// One piece a day, ascending.
    days: Vec<(i32, Piece)>,
    /// Events that are in no piece yet.
    recent: Vec<Event>,
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
        /// What its lines prove, and how far each lies from the one before.
        lines: PackedLines,
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

/// What up to six lines of a session prove, and how far each lies from the one before, in ten
/// bytes: three bits for what each of the six proves, and the other 62 shared by the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedLines([u8; 10]);

const LINES: usize = 6;
const PROVES_BITS: usize = 3;
const STEPS_BITS: usize = 80 - LINES * PROVES_BITS;

const PROVES: [Proves; LINES] = [
    Proves::Presence,
    Proves::Connection,
    Proves::Helo,
    Proves::Auth,
    Proves::Queued,
    Proves::Delivery,
];

impl PackedLines {
    /// Packs ascending lines; none where they do not fit, or where some of them are neither the
    /// earliest nor the latest of what they prove, and so not worth keeping.
    fn new(lines: &[ProofLine]) -> Option<Self> {
        let input = lines.first()?.input;
        if lines.len() > LINES {
            return None;
        }
        let width = Self::width(lines.len());
        let mut bits = 0u128;
        let (mut twice, mut once) = (0u8, 0u8);
        for (at, line) in lines.iter().enumerate() {
            let kind = 1 << line.proves as u8;
            if twice & kind != 0 || line.input != input {
                return None;
            }
            twice |= once & kind;
            once |= kind;
            bits |= u128::from(line.proves as u8 + 1) << (at * PROVES_BITS);
            if let Some(before) = at.checked_sub(1) {
                let step = line.line.checked_sub(lines.get(before)?.line)?;
                if step >> width != 0 {
                    return None;
                }
                bits |= u128::from(step) << (LINES * PROVES_BITS + before * width);
            }
        }
        bits.to_le_bytes().first_chunk().copied().map(Self)
    }

    /// The lines, the first of which is given, and what they prove.
    fn unpack(self, first: u32) -> impl Iterator<Item = (u64, Proves)> {
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(self.0).for_each(|(to, from)| *to = from);
        let bits = u128::from_le_bytes(bytes);
        let mut kinds = bits as u32 & !(u32::MAX << (LINES * PROVES_BITS));
        let mut steps = (bits >> (LINES * PROVES_BITS)) as u64;
        // What a line proves is never zero, so the highest bit is the last line's.
        let count = (u32::BITS - kinds.leading_zeros()).div_ceil(PROVES_BITS as u32);
        let width = Self::width(count as usize);
        let mut line = u64::from(first);
        std::iter::from_fn(move || {
            let proves = *PROVES.get((kinds as usize & 7).checked_sub(1)?)?;
            let at = line;
            kinds >>= PROVES_BITS;
            line += steps & !(u64::MAX << width);
            steps >>= width;
            Some((at, proves))
        })
    }

    /// Bits of each step.
    fn width(lines: usize) -> usize {
        STEPS_BITS / lines.saturating_sub(1).max(1)
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
#[derive(Debug)]
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
        if let Some(event) = small_session(session, &fact) {
            return Self::Small(event);
        }
        let start = fact.lasted.map(|(start, _)| start);
        let mut piece = Piece::default();
        for line in &session.lines {
            let at = Citation { input: line.input, line: line.line };
            piece.cite(CitationKind::Mail(line.proves), start, at);
        }
        piece.add_session(&fact);
        Self::Large(day(start), Box::new(piece))
    }
}

/// The small form of a session, if it fits.
fn small_session(session: &Session, fact: &SessionFact<'_>) -> Option<Event> {
    let (start, end) = fact.lasted?;
    if fact.sasl_name.is_some() || !fact.deliveries.is_empty() {
        return None;
    }
    let first = session.lines.first()?;
    Some(Event::Session {
        start,
        helo_name: fact.helo_name.map(|name| Box::new(Name::new(name))),
        lasted: u32::try_from(end.0.checked_sub(start.0)?).ok()?,
        input: first.input,
        line: u32::try_from(first.line).ok()?,
        lines: PackedLines::new(&session.lines)?,
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
            Self::Session { start, helo_name, lasted, input, line, lines, kind } => {
                let end = Timestamp(start.0.saturating_add(i64::from(*lasted)));
                piece.add_session(&SessionFact {
                    lasted: Some((*start, end)),
                    kind: kind.kind(),
                    helo_name: helo_name.as_ref().map(|name| name.as_str()),
                    sasl_name: None,
                    deliveries: &[],
                });
                for (line, proves) in lines.unpack(*line) {
                    let at = Citation { input: *input, line };
                    piece.cite(CitationKind::Mail(proves), Some(*start), at);
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
            Incoming::Large(day, piece) => {
                Self::Many(Box::new(Many { days: vec![(day, *piece)], recent: Vec::new() }))
            }
        }
    }

    /// Adds an event.
    pub fn add(&mut self, incoming: Incoming, join: i64) {
        match incoming {
            Incoming::Small(event) => self.add_small(event, join),
            Incoming::Large(day, piece) => self.many().merge_day(day, &piece, join),
        }
    }

    /// Adds the evidence of another cell.
    pub fn merge(&mut self, other: Self, join: i64) {
        let mut add = |event| self.add_small(event, join);
        match other {
            Self::One(event) => add(event),
            Self::Few(events) => events.into_iter().for_each(add),
            Self::Many(other) => {
                other.recent.into_iter().for_each(add);
                for (day, piece) in other.days {
                    self.many().merge_day(day, &piece, join);
                }
            }
        }
    }

    /// The evidence of each day, ascending.
    pub fn days(&self, join: i64) -> Vec<(i32, Piece)> {
        let mut all = Many::default();
        match self {
            Self::One(event) => all.add_event(event, join),
            Self::Few(events) => events.iter().for_each(|event| all.add_event(event, join)),
            Self::Many(many) => {
                all.days.clone_from(&many.days);
                many.recent.iter().for_each(|event| all.add_event(event, join));
            }
        }
        all.days
    }

    /// Forgets days before the given one, but not what has no day; whether anything is left.
    pub fn drop_days_before(&mut self, day: i32) -> bool {
        let stays = |known: i32| known == NO_DAY || known >= day;
        match self {
            Self::One(event) => stays(event.day()),
            Self::Few(events) => {
                events.retain(|event| stays(event.day()));
                !events.is_empty()
            }
            Self::Many(many) => {
                many.recent.retain(|event| stays(event.day()));
                many.days.retain(|&(known, _)| stays(known));
                !many.recent.is_empty() || !many.days.is_empty()
            }
        }
    }

    /// Adds the evidence of all days to one piece.
    pub fn add_to(&self, piece: &mut Piece, join: i64) {
        match self {
            Self::One(event) => event.add_to(piece, join),
            Self::Few(events) => events.iter().for_each(|event| event.add_to(piece, join)),
            Self::Many(many) => {
                many.days.iter().for_each(|(_, day)| piece.merge(day, join));
                many.recent.iter().for_each(|event| event.add_to(piece, join));
            }
        }
    }

    fn add_small(&mut self, event: Event, join: i64) {
        let events = match self {
            Self::One(first) => {
                *self = Self::Few(vec![first.clone(), event]);
                return;
            }
            Self::Few(events) if events.len() < FEW => events,
            Self::Few(_) | Self::Many(_) => {
                let many = self.many();
                if many.recent.len() >= FEW {
                    many.fold(join);
                }
                &mut many.recent
            }
        };
        if events.len() == events.capacity() {
            // Twice the room, but none beyond what is ever used.
            let left = FEW.saturating_sub(events.len()).max(1);
            events.reserve_exact(events.len().clamp(1, left));
        }
        events.push(event);
    }

    /// Turns the cell into one that can hold pieces, if it is none.
    fn many(&mut self) -> &mut Many {
        loop {
            let recent = match self {
                Self::Many(many) => return many,
                Self::One(first) => vec![first.clone()],
                Self::Few(events) => std::mem::take(events),
            };
            *self = Self::Many(Box::new(Many { days: Vec::new(), recent }));
        }
    }
}

impl Many {
    /// Adds the single events to the pieces of their days.
    fn fold(&mut self, join: i64) {
        let mut recent = std::mem::take(&mut self.recent);
        for event in recent.drain(..) {
            self.add_event(&event, join);
        }
        self.recent = recent;
    }

    fn add_event(&mut self, event: &Event, join: i64) {
        event.add_to(self.day_mut(event.day()), join);
    }

    fn merge_day(&mut self, day: i32, piece: &Piece, join: i64) {
        self.day_mut(day).merge(piece, join);
    }

    fn day_mut(&mut self, day: i32) -> &mut Piece {
        let found = self.days.binary_search_by_key(&day, |&(known, _)| known);
        let at = found.unwrap_or_else(|at| {
            // Most sources are seen on a few days, and a piece is large.
            if self.days.len() < FEW {
                self.days.reserve_exact(1);
            }
            self.days.insert(at, (day, Piece::default()));
            at
        });
        &mut self.days[at].1
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
