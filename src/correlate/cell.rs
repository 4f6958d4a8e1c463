//! How the evidence of one source on one server's port is held: as notes of its events, the first of
//! them in place; and where there are many a day, as one [`Piece`] a day. In: notes and pieces. Out:
//! pieces.
//!
//! Most sources of a hostile internet are seen once or twice, and many a few times on each of many
//! days. A piece takes the room of a score of notes and lies in ten places of the memory: adding to
//! it costs more than noting, so it is done for a dense stretch of notes at once.

use crate::correlate::note::{Note, Notes, day};
use crate::correlate::piece::{Piece, SessionFact};
use crate::model::citation::Citation;
use crate::model::judged::CitationKind;
use crate::model::session::{ProofLine, SessionView};
use crate::model::time::Timestamp;

pub use crate::correlate::note::NO_DAY;

/// Bytes of notes that lie in place: two or three flows, or a session.
const SHORT: usize = 38;

/// Notes of a day that take more bytes than this become a piece: about as many as it takes itself.
const A_PIECE: usize = 512;

/// Up to so many days get no more room than they need: most sources are seen on few.
const A_FEW_DAYS: usize = 12;

/// The evidence of one source on one server's port.
#[derive(Debug, Clone)]
pub enum Cell {
    /// Notes in place: the first `length` bytes.
    Short {
        /// How many of the bytes are notes.
        length: u8,
        /// The notes.
        bytes: [u8; SHORT],
    },
    /// More notes, in no order.
    Long(Vec<u8>),
    /// Pieces, and notes.
    Many(Box<Many>),
}

/// The evidence of a source that came often, or in a way that only a piece can hold.
#[derive(Debug, Clone, Default)]
pub struct Many {
    /// One piece a day, ascending.
    days: Vec<(i32, Piece)>,
    /// What is in no piece yet.
    notes: Vec<u8>,
}

/// The piece of a session that no note can hold, and its day.
pub(crate) fn piece_of(session: &SessionView<'_>) -> (i32, Piece) {
    let fact = SessionFact::of(session);
    let mut piece = Piece::default();
    add_session(&mut piece, &fact, session.lines);
    (day(fact.start()), piece)
}

fn add_session(piece: &mut Piece, fact: &SessionFact<'_>, lines: &[ProofLine]) {
    for line in lines {
        let at = Citation { input: line.input, line: line.line };
        piece.traces.cite(CitationKind::Mail(line.proves), fact.start(), at);
    }
    piece.add_session(fact);
}

impl Default for Cell {
    fn default() -> Self {
        Self::Short { length: 0, bytes: [0; SHORT] }
    }
}

impl Cell {
    /// Adds notes that stand one behind the other.
    pub fn add_notes(&mut self, notes: &[u8], join: i64) {
        match self {
            Self::Short { length, bytes } => {
                let used = usize::from(*length);
                if let Some(free) = bytes.get_mut(used..used + notes.len()) {
                    free.copy_from_slice(notes);
                    *length += notes.len() as u8;
                    return;
                }
                let mut long = Vec::new();
                append(&mut long, &[bytes.get(..used).unwrap_or_default(), notes]);
                *self = Self::Long(long);
            }
            Self::Long(known) if is_to_fold(known, known.capacity(), notes.len()) => {
                let mut many = Many { days: Vec::new(), notes: std::mem::take(known) };
                many.fold(join);
                append(&mut many.notes, &[notes]);
                *self = Self::Many(Box::new(many));
            }
            Self::Long(known) => append(known, &[notes]),
            Self::Many(many) => many.add_notes(notes, join),
        }
    }

    /// Adds a session at once to the last day's piece, if there is one and the session is of that day;
    /// whether it was.
    pub(crate) fn add_to_last_day(&mut self, session: &SessionView<'_>) -> bool {
        let Self::Many(many) = self else { return false };
        let fact = SessionFact::of(session);
        match many.days.last_mut() {
            Some((last, piece)) if *last == day(fact.start()) => {
                add_session(piece, &fact, session.lines);
                true
            }
            _ => false,
        }
    }

    /// Whether it has pieces.
    pub(crate) fn has_pieces(&self) -> bool {
        matches!(self, Self::Many(_))
    }

    /// Adds the piece of a day.
    pub fn add_piece(&mut self, day: i32, piece: Piece, join: i64) {
        self.many().add_piece(day, piece, join);
    }

    /// Adds the evidence of another cell.
    pub fn merge(&mut self, other: Self, join: i64) {
        self.add_notes(other.notes().0, join);
        if let Self::Many(other) = other {
            for (day, piece) in other.days {
                self.add_piece(day, piece, join);
            }
        }
    }

    /// The evidence of each day, ascending.
    pub fn days(&self, join: i64) -> Vec<(i32, Piece)> {
        let mut all = Many { days: self.pieces().to_vec(), notes: Vec::new() };
        all.add(self.notes(), join);
        all.days
    }

    /// The days of which there is evidence, ascending.
    pub fn day_numbers(&self) -> Vec<i32> {
        let mut days = self.notes().days();
        days.extend(self.pieces().iter().map(|(day, _)| *day));
        days.sort_unstable();
        days.dedup();
        days
    }

    /// The evidence of one day.
    pub fn piece(&self, day: i32, join: i64) -> Option<Piece> {
        let known = self.pieces().iter().find(|(known, _)| *known == day);
        let mut piece = known.map(|(_, piece)| piece.clone());
        for note in self.notes().filter(|note| note.day() == day) {
            note.add_to(piece.get_or_insert_default(), join);
        }
        piece
    }

    /// Forgets days before the given one, but not what has no day; whether anything is left.
    pub fn drop_days_before(&mut self, day: i32) -> bool {
        let stays = |known: i32| known == NO_DAY || known >= day;
        let mut left = Self::default();
        left.add_notes(&self.notes().of_days(stays), 0);
        match self {
            Self::Many(many) => {
                many.days.retain(|(known, _)| stays(*known));
                many.notes = left.notes().0.to_vec();
            }
            Self::Short { .. } | Self::Long(_) => *self = left,
        }
        !self.notes().0.is_empty() || !self.pieces().is_empty()
    }

    /// Tells each HELO name that may be among the earliest of all: its time in microseconds
    /// (`i64::MAX` if none) and its bytes, which are UTF-8.
    pub fn tell_helo_names(&self, mut tell: impl FnMut(i64, &[u8])) {
        for (time, name) in self.pieces().iter().flat_map(|(_, day)| &day.traces.helo_names) {
            tell(*time, name.as_bytes());
        }
        for note in self.notes() {
            if let Note::Session(session) = note
                && let Some(name) = session.fact.helo_name
            {
                tell(session.fact.name_time(), name);
            }
        }
    }

    /// Tells of all sessions whose HELO was accepted from when to when they lasted, and how many did.
    pub fn tell_accepted(&self, mut tell: impl FnMut(Timestamp, Timestamp, u64)) {
        for ((start, end), n) in self.pieces().iter().flat_map(|(_, day)| day.accepted.iter()) {
            tell(start, end, n);
        }
        for note in self.notes() {
            if let Note::Session(session) = note
                && let Some((start, end)) = session.fact.accepted()
            {
                tell(start, end, 1);
            }
        }
    }

    /// The events that are in no piece, in no order.
    pub fn notes(&self) -> Notes<'_> {
        Notes(match self {
            Self::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(notes) => notes,
            Self::Many(many) => &many.notes,
        })
    }

    /// The pieces, each with its day, ascending. Of a day there may be notes beside its piece.
    pub fn pieces(&self) -> &[(i32, Piece)] {
        match self {
            Self::Short { .. } | Self::Long(_) => &[],
            Self::Many(many) => &many.days,
        }
    }

    /// Turns the cell into one that can hold pieces, if it is none.
    fn many(&mut self) -> &mut Many {
        loop {
            let notes = match self {
                Self::Many(many) => return many,
                Self::Short { .. } => self.notes().0.to_vec(),
                Self::Long(notes) => std::mem::take(notes),
            };
            *self = Self::Many(Box::new(Many { days: Vec::new(), notes }));
        }
    }
}

/// Whether notes that have no room for more are better held as pieces: it is looked at only when
/// they would have to move, as days have to be counted for it.
fn is_to_fold(known: &[u8], capacity: usize, more: usize) -> bool {
    let is_full = capacity - known.len() < more;
    is_full && known.len() >= A_PIECE && Notes(known).are_of_at_most(known.len() / A_PIECE)
}

/// Appends notes. Millions of cells grow: half as much again is enough room for what comes, and all of
/// what the allocator sets aside for it, in steps of a fourth to an eighth.
fn append(known: &mut Vec<u8>, notes: &[&[u8]]) {
    let more: usize = notes.iter().map(|notes| notes.len()).sum();
    if known.capacity() - known.len() < more {
        let all = known.len() + more;
        let room = all + all / 2;
        let step = (room.next_power_of_two() / 8).max(1);
        known.reserve_exact(room.next_multiple_of(step) - known.len());
    }
    for notes in notes {
        known.extend_from_slice(notes);
    }
}

impl Many {
    /// Adds notes: at once to the last day's piece where they are of that day, as nearly all are that
    /// come to a source with pieces.
    fn add_notes(&mut self, notes: &[u8], join: i64) {
        let mut rest = Notes(notes);
        while let Some((last, piece)) = self.days.last_mut() {
            let before = rest.0;
            match rest.next() {
                Some(note) if note.day() == *last => note.add_to(piece, join),
                Some(_) => {
                    rest = Notes(before);
                    break;
                }
                None => return,
            }
        }
        if is_to_fold(&self.notes, self.notes.capacity(), rest.0.len()) {
            self.fold(join);
        }
        append(&mut self.notes, &[rest.0]);
    }

    /// Adds the notes to the pieces of their days.
    fn fold(&mut self, join: i64) {
        let mut notes = std::mem::take(&mut self.notes);
        self.add(Notes(&notes), join);
        notes.clear();
        notes.shrink_to(A_PIECE);
        self.notes = notes;
    }

    fn add(&mut self, notes: Notes<'_>, join: i64) {
        for note in notes {
            let at = self.place_of(note.day());
            if let Some((_, piece)) = self.days.get_mut(at) {
                note.add_to(piece, join);
            }
        }
    }

    /// The place of a day, which is added where it is new. Nearly all that comes is of the last day.
    fn place_of(&mut self, day: i32) -> usize {
        if self.days.last().is_some_and(|(last, _)| *last == day) {
            return self.days.len() - 1;
        }
        let found = self.days.binary_search_by_key(&day, |(known, _)| *known);
        found.unwrap_or_else(|at| {
            self.insert(at, day, Piece::default());
            at
        })
    }

    fn add_piece(&mut self, day: i32, piece: Piece, join: i64) {
        match self.days.binary_search_by_key(&day, |(known, _)| *known) {
            Ok(at) => {
                if let Some((_, known)) = self.days.get_mut(at) {
                    known.merge(&piece, join);
                }
            }
            Err(at) => self.insert(at, day, piece),
        }
    }

    fn insert(&mut self, at: usize, day: i32, piece: Piece) {
        if self.days.len() < A_FEW_DAYS {
            self.days.reserve_exact(1);
        }
        self.days.insert(at, (day, piece));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::note::{tests::flows, tests::sessions, write_flow, write_session};
    use crate::correlate::piece::{FlowFact, Traces};
    use crate::model::session::Session;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_single_event_takes_at_most_64_bytes_with_its_key() {
        assert_eq!(size_of::<Cell>(), 40);
        assert_eq!(size_of::<(crate::correlate::evidence::Key, Cell)>(), 64);
    }

    fn of(sessions: &[Session], flows: &[FlowFact]) -> Cell {
        let mut cell = Cell::default();
        for flow in flows {
            let mut note = Vec::new();
            write_flow(flow, &mut note);
            cell.add_notes(&note, JOIN);
        }
        for session in sessions {
            let mut note = Vec::new();
            if write_session(&session.view(), &mut note) {
                cell.add_notes(&note, JOIN);
            } else {
                let (day, piece) = piece_of(&session.view());
                cell.add_piece(day, piece, JOIN);
            }
        }
        cell
    }

    const JOIN: i64 = 10_000_000;

    /// Each event added to the piece of its day, as nothing but the definition has it.
    fn plain(sessions: &[Session], flows: &[FlowFact]) -> Vec<(i32, Piece)> {
        let mut days: BTreeMap<i32, Piece> = BTreeMap::new();
        for flow in flows {
            days.entry(day(flow.time)).or_default().add_flow(flow, JOIN);
        }
        for session in sessions {
            let (day, piece) = piece_of(&session.view());
            days.entry(day).or_default().merge(&piece, JOIN);
        }
        days.into_iter().collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        /// A hundred events on a few days are folded, once or more; a few stay notes.
        #[test]
        fn however_events_are_held_they_are_the_pieces_of_their_days(
            sessions in prop::collection::vec(sessions(), 0..120),
            flows in prop::collection::vec(flows(), 0..40),
            cut in 0usize..120, from in 20_710i32..20_730,
        ) {
            let expected = plain(&sessions, &flows);
            let mut cell = of(&sessions, &flows);
            prop_assert_eq!(&cell.days(JOIN), &expected);
            let (first, second) = sessions.split_at(cut.min(sessions.len()));
            let mut parts = of(second, &[]);
            parts.merge(of(first, &flows), JOIN);
            prop_assert_eq!(&parts.days(JOIN), &expected);

            let days: Vec<i32> = expected.iter().map(|(day, _)| *day).collect();
            prop_assert_eq!(cell.day_numbers(), days);
            let (mut all, mut traces) = (Piece::default(), Traces::default());
            for (day, piece) in &expected {
                prop_assert_eq!(cell.piece(*day, JOIN), Some(piece.clone()));
                all.merge(piece, JOIN);
            }
            cell.pieces().iter().for_each(|(_, day)| traces.merge(&day.traces));
            cell.notes().for_each(|note| note.show_to(&mut traces));
            prop_assert_eq!(traces, all.traces);

            let stays = |day: i32| day == NO_DAY || day >= from;
            let left: Vec<_> = expected.into_iter().filter(|(day, _)| stays(*day)).collect();
            prop_assert_eq!(cell.drop_days_before(from), !left.is_empty());
            prop_assert_eq!(cell.days(JOIN), left);
        }
    }

    #[test]
    fn a_dense_day_becomes_a_piece_and_thin_days_stay_notes() {
        let at = |second: i64, line| FlowFact {
            time: Some(crate::model::time::Timestamp(second * 1_000_000)),
            device: 0,
            kind: crate::correlate::piece::FlowKind::Deny,
            count: 1,
            at: Citation { input: 0, line },
        };
        let dense: Vec<FlowFact> = (0..1000).map(|n| at(n, n as u64)).collect();
        let thin: Vec<FlowFact> = (0..1000).map(|n| at(n * 86_400, n as u64)).collect();
        assert!(matches!(of(&[], &dense), Cell::Many(many) if many.notes.len() < 2 * A_PIECE));
        assert!(matches!(of(&[], &thin), Cell::Long(notes) if notes.capacity() < 20_000));
    }
}
