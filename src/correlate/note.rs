//! Flows and sessions in a few bytes each, as evidence keeps them until there are many. In: a flow or
//! a session. Out: its bytes behind those of others; and the event again.
//!
//! Millions of sources come a few times each, on several days: a dozen bytes for a flow and two
//! dozen for a session, in one stretch of memory for each source, cost less than anything that has
//! to be looked up to be added to. Notes stand one behind the other, so those of two parts of the
//! logs are added by appending them.
//!
//! ```text
//! flow:    tag, time, firewall, input, line, [count]
//! session: tag, time, [how long it lasted], HELO | AUTH | outcome, [HELO name], [user],
//!          [input, lines and what they prove]
//! ```
//!
//! Numbers are in seven bits a byte, the lowest first.

mod read;

use crate::correlate::piece::{FlowFact, FlowKind, Piece, SessionFact, Traces};
use crate::model::citation::Citation;
use crate::model::judged::CitationKind;
use crate::model::session::{Auth, Helo, Outcome, Proves, SessionView};
use crate::model::time::{SECOND, Timestamp};

pub use read::Notes;

/// The day of events without a time.
pub const NO_DAY: i32 = i32::MIN;

/// The longest note: what is longer is no note.
pub(crate) const LONGEST: usize = u16::MAX as usize;

/// Lines that a session's note has room for.
const LINES: usize = 7;

/// The longest name that a note has room for.
const LONGEST_NAME: usize = 1 << 12;

/// A flow or a session as a note tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note<'a> {
    /// A flow.
    Flow(FlowFact),
    /// A session without deliveries.
    Session(SessionNote<'a>),
}

/// A session and its lines, which are all of one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionNote<'a> {
    /// The session, but for its lines.
    pub fact: SessionFact<'a>,
    input: u32,
    /// The lines as the note has them.
    steps: &'a [u8],
}

/// The day of a time.
pub(crate) fn day(time: Option<Timestamp>) -> i32 {
    time.map_or(NO_DAY, Timestamp::day)
}

const IS_SESSION: u8 = 1;

/// Two bits: how the time is written.
const CLOCK: u8 = 1;
const NO_TIME: u8 = 0;
const SECONDS: u8 = 1;
const MICROS: u8 = 2;

/// Of a flow: three bits for its kind, and whether it stands for one connection.
const KIND: u8 = 3;
const IS_ONE: u8 = 1 << 6;

/// Of a session: whether it has these names, and three bits for the number of its lines.
const HAS_HELO_NAME: u8 = 1 << 3;
const HAS_USER: u8 = 1 << 4;
const COUNT: u8 = 5;

const KINDS: [FlowKind; 5] =
    [FlowKind::Allow, FlowKind::Close, FlowKind::Deny, FlowKind::Other, FlowKind::Withdrawn];
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
const PROVES: [Proves; 6] = [
    Proves::Presence,
    Proves::Connection,
    Proves::Helo,
    Proves::Auth,
    Proves::Queued,
    Proves::Delivery,
];

impl Note<'_> {
    /// The UTC day on which it began.
    pub fn day(&self) -> i32 {
        match self {
            Self::Flow(flow) => day(flow.time),
            Self::Session(session) => day(session.fact.start()),
        }
    }

    /// Adds the event to a piece.
    pub fn add_to(&self, piece: &mut Piece, join: i64) {
        match self {
            Self::Flow(flow) => piece.add_flow(flow, join),
            Self::Session(session) => {
                piece.add_session(&session.fact);
                session.cite_to(&mut piece.traces);
            }
        }
    }

    /// Adds what can be shown of the event.
    pub fn show_to(&self, traces: &mut Traces) {
        match self {
            Self::Flow(flow) => traces.add_flow(flow),
            Self::Session(session) => {
                traces.add_names(&session.fact);
                session.cite_to(traces);
            }
        }
    }
}

impl SessionNote<'_> {
    fn cite_to(&self, traces: &mut Traces) {
        let start = self.fact.start();
        let (mut steps, mut line) = (Notes(self.steps), 0u64);
        while let Some(step) = steps.number() {
            line = line.wrapping_add(step >> 3);
            if let Some(&proves) = PROVES.get(step as usize & 7) {
                let at = Citation { input: self.input, line };
                traces.cite(CitationKind::Mail(proves), start, at);
            }
        }
    }
}

/// Writes the note of a flow behind others.
pub(crate) fn write_flow(flow: &FlowFact, out: &mut Vec<u8>) {
    let lasted = flow.time.map(|time| (time, time));
    let clock = clock_of(lasted);
    let one = if flow.count == 1 { IS_ONE } else { 0 };
    out.push(clock << CLOCK | (flow.kind as u8) << KIND | one);
    write_start(lasted, clock, out);
    write_number(u64::from(flow.device), out);
    write_number(u64::from(flow.at.input), out);
    write_number(flow.at.line, out);
    if flow.count != 1 {
        write_number(u64::from(flow.count), out);
    }
}

/// Writes the note of a session behind others, unless there is more to it than a note can hold:
/// then nothing is written. Tells whether it was.
pub(crate) fn write_session(session: &SessionView<'_>, out: &mut Vec<u8>) -> bool {
    let fact = SessionFact::of(session);
    if !has_room_for(session, &fact) {
        return false;
    }
    let SessionFact { lasted, kind, helo_name, sasl_name, .. } = fact;
    let clock = clock_of(lasted);
    let names = helo_name.map_or(0, |_| HAS_HELO_NAME) | sasl_name.map_or(0, |_| HAS_USER);
    out.push(IS_SESSION | clock << CLOCK | names | (session.lines.len() as u8) << COUNT);
    write_start(lasted, clock, out);
    if let Some((start, end)) = lasted {
        let micros = end.0.wrapping_sub(start.0);
        let length = if clock == SECONDS { micros / SECOND } else { micros };
        write_number(length as u64, out);
    }
    out.push(kind.helo as u8 | (kind.auth as u8) << 2 | (kind.outcome as u8) << 4);
    for name in [helo_name, sasl_name].into_iter().flatten() {
        write_number(name.len() as u64, out);
        out.extend_from_slice(name);
    }
    if let Some(first) = session.lines.first() {
        write_number(u64::from(first.input), out);
    }
    let mut before = 0;
    for line in session.lines {
        write_number(line.line.wrapping_sub(before) << 3 | line.proves as u64, out);
        before = line.line;
    }
    true
}

fn has_room_for(session: &SessionView<'_>, fact: &SessionFact<'_>) -> bool {
    let lines = session.lines;
    let names = [fact.helo_name, fact.sasl_name];
    fact.deliveries.is_empty()
        && lines.len() <= LINES
        && names.into_iter().flatten().all(|name| name.len() <= LONGEST_NAME)
        && fact.lasted.is_none_or(|(start, end)| end.0.checked_sub(start.0).is_some())
        && lines.iter().zip(lines.iter().skip(1)).all(|(line, next)| {
            line.input == next.input && line.line <= next.line
        })
        // A step takes the bits that what it proves leaves free.
        && lines.last().is_none_or(|last| last.line >> 60 == 0)
}

/// How the times of an event are written: in whole seconds, which most logs have, if they are.
fn clock_of(lasted: Option<(Timestamp, Timestamp)>) -> u8 {
    let Some((start, end)) = lasted else { return NO_TIME };
    let is_whole = start.0 % SECOND == 0 && end.0 % SECOND == 0;
    if is_whole && u32::try_from(start.0 / SECOND).is_ok() { SECONDS } else { MICROS }
}

fn write_start(lasted: Option<(Timestamp, Timestamp)>, clock: u8, out: &mut Vec<u8>) {
    match lasted {
        Some((start, _)) if clock == SECONDS => {
            out.extend_from_slice(&((start.0 / SECOND) as u32).to_le_bytes());
        }
        Some((start, _)) => out.extend_from_slice(&start.0.to_le_bytes()),
        None => {}
    }
}

fn write_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::correlate::cell::piece_of;
    use crate::model::session::{Delivery, ProofLine, Session};
    use proptest::prelude::*;

    fn times() -> impl Strategy<Value = Option<Timestamp>> {
        let seconds = (1_790_000_000i64..1_790_600_000).prop_map(|s| s * SECOND);
        let micros = prop_oneof![4 => seconds, 1 => -SECOND..SECOND, 1 => any::<i64>()];
        prop::option::weighted(0.9, micros.prop_map(Timestamp))
    }

    pub(crate) fn sessions() -> impl Strategy<Value = Session> {
        let name = || prop::option::of("[a-zö]{0,3}").prop_map(|name| name.map(Into::into));
        let line = (0u32..20, 0u64..300, prop::sample::select(PROVES.to_vec()));
        let kind = (0..HELOS.len(), 0..AUTHS.len(), 0..OUTCOMES.len());
        let end = prop_oneof![4 => (0i64..90).prop_map(|s| Some(s * SECOND)), 1 => Just(None)];
        let words = (name(), name(), prop::bool::weighted(0.1));
        (times(), end, kind, prop::collection::vec(line, 0..9), words).prop_map(
            |(start, length, (helo, auth, outcome), mut lines, (helo_name, user, delivers))| {
                let after = |start: Timestamp, length| Timestamp(start.0.saturating_add(length));
                lines.sort_unstable_by_key(|(_, line, _)| *line);
                let input = |number: u32| u32::from(number == 0);
                let proofs =
                    |(number, line, proves)| ProofLine { input: input(number), line, proves };
                Session {
                    server: "mx".into(),
                    local_ip: None,
                    local_port: Some(25),
                    client: None,
                    client_port: None,
                    start,
                    end: start.zip(length).map(|(start, length)| after(start, length)),
                    helo: HELOS[helo],
                    helo_name,
                    auth: AUTHS[auth],
                    sasl_username: user,
                    outcome: OUTCOMES[outcome],
                    deliveries: vec![
                        Delivery { next_hop: None, domain: "d".into() };
                        delivers.into()
                    ],
                    lines: lines.into_iter().map(proofs).collect(),
                }
            },
        )
    }

    pub(crate) fn flows() -> impl Strategy<Value = FlowFact> {
        let kind = prop::sample::select(KINDS.to_vec());
        let numbers = prop_oneof![3 => 0u32..3, 1 => any::<u32>()];
        (times(), kind, numbers.clone(), numbers, any::<u64>()).prop_map(
            |(time, kind, device, count, line)| {
                let at = Citation { input: device / 2, line };
                FlowFact { time, device, kind, count, at }
            },
        )
    }

    proptest! {
        #[test]
        fn notes_tell_all_that_counts_in_the_order_in_which_they_were_written(
            sessions in prop::collection::vec(sessions(), 0..6), flow in flows(),
        ) {
            let (mut bytes, mut expected) = (Vec::new(), Vec::new());
            for session in &sessions {
                let before = bytes.len();
                if write_session(&session.view(), &mut bytes) {
                    expected.push(piece_of(&session.view()));
                } else {
                    prop_assert_eq!(bytes.len(), before);
                    let inputs = session.lines.iter().map(|line| line.input);
                    let is_odd = !session.deliveries.is_empty()
                        || session.lines.len() > LINES
                        || inputs.min() != session.lines.iter().map(|line| line.input).max();
                    prop_assert!(is_odd);
                }
            }
            write_flow(&flow, &mut bytes);
            let mut piece = Piece::default();
            piece.add_flow(&flow, 0);
            expected.push((day(flow.time), piece));
            let mut days: Vec<i32> = expected.iter().map(|(day, _)| *day).collect();
            days.sort_unstable();
            days.dedup();
            prop_assert_eq!(&Notes(&bytes).days(), &days);
            for most in 0..8 {
                prop_assert_eq!(Notes(&bytes).are_of_at_most(most), days.len() <= most);
            }
            let told = Notes(&bytes).map(|note| {
                let mut piece = Piece::default();
                note.add_to(&mut piece, 0);
                (note.day(), piece)
            });
            prop_assert_eq!(told.collect::<Vec<_>>(), expected);
        }

        #[test]
        fn no_bytes_are_too_odd_to_be_read(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            for note in Notes(&bytes) {
                note.add_to(&mut Piece::default(), 0);
            }
        }
    }

    #[test]
    fn a_flow_takes_a_dozen_bytes() {
        let time = Some(Timestamp(1_790_000_000 * SECOND));
        let at = Citation { input: 1, line: 2_000_000 };
        let flow = FlowFact { time, device: 0, kind: FlowKind::Deny, count: 1, at };
        let mut bytes = Vec::new();
        write_flow(&flow, &mut bytes);
        assert!(bytes.len() <= 12, "{}", bytes.len());
    }
}
