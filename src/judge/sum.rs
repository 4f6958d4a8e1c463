//! What the evidence of one source adds up to. In: its cells. Out: a [`Sum`], as far as verdicts, rules
//! and counts need it.
//!
//! Every source of a target is judged before it is known which of them anybody looks at: names and
//! lines, which take longest to add, are left to those who want to show them, and so are the times of
//! single sessions to those who need them ([`Cell::tell_accepted`]).

use crate::correlate::cell::Cell;
use crate::correlate::note::Note;
use crate::correlate::piece::{FlowFact, FlowKind, Piece, SessionFact, SessionKind, Traces, count};
use crate::correlate::times::Times;
use crate::model::judged::{CitationKind, Counts};
use crate::model::session::{Auth, Delivery, Helo, Outcome};
use crate::model::time::Timestamp;

/// The evidence of one source, summed up over days and logged servers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sum<'e> {
    /// Sessions; what depends on the target, or on flows, is not counted here.
    pub(super) sessions: Counts,
    /// Sessions whose mail was accepted and of which the log shows that AUTH did not succeed.
    pub(super) mail_without_auth: u64,
    /// Whether a session may hide an accepted HELO.
    pub(super) may_have_helo: bool,
    /// The latest start of a session whose HELO was accepted.
    pub(super) newest_accepted: Option<Timestamp>,
    /// Sessions with deliveries to other hosts, in no order.
    pub(super) delivered: Vec<(&'e [Delivery], u64)>,
    /// Sessions that relayed, the log does not say where to.
    pub(super) relayed_somewhere: u64,
    /// Records by firewall and kind, ascending.
    pub(super) flows: Vec<((u32, FlowKind), u64)>,
    /// When flows were permitted, in microseconds.
    pub(super) permitted: Times,
    /// Whether a flow without a time was.
    pub(super) has_untimed_permit: bool,
    /// The latest records that permit, deny, and do neither.
    pub(super) latest: Latest,
    /// The earliest time of all.
    pub(super) first: Option<Timestamp>,
    /// The latest time of all.
    pub(super) last: Option<Timestamp>,
    /// The latest time at which the server was reached.
    pub(super) reached: Option<Timestamp>,
}

/// The latest firewall records of a source.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Latest {
    pub(super) permitted: Option<Timestamp>,
    pub(super) denied: Option<Timestamp>,
    pub(super) seen: Option<Timestamp>,
}

impl<'e> Sum<'e> {
    /// Adds all that is known of the source on one logged server; to traces, if there are any, what can
    /// be shown of it.
    pub(super) fn add(&mut self, cell: &'e Cell, mut traces: Option<&mut Traces>, join: i64) {
        for (_, piece) in cell.pieces() {
            self.add_piece(piece, join);
            if let Some(traces) = &mut traces {
                traces.merge(&piece.traces);
            }
        }
        for note in cell.notes() {
            if let Some(traces) = &mut traces {
                note.show_to(traces);
            }
            match note {
                Note::Flow(flow) => self.add_flow(&flow, join),
                Note::Session(session) => self.add_session(&session.fact),
            }
        }
    }

    fn add_piece(&mut self, piece: &'e Piece, join: i64) {
        for &(key, n) in &piece.flows {
            count(&mut self.flows, key, n);
        }
        self.permitted.merge(&piece.permitted, join);
        for &(kind, (earliest, latest)) in &piece.traces.cited {
            self.add_record(kind, [earliest.0, latest.0]);
        }
        for &(kind, n) in &piece.sessions {
            self.count_sessions(kind, n);
        }
        self.newest_accepted = self.newest_accepted.max(piece.accepted.newest());
        self.delivered.extend(piece.delivered.iter().map(|(to, n)| (&**to, *n)));
        self.reached = self.reached.max(piece.reached);
        self.saw(piece.first, piece.last);
    }

    fn add_flow(&mut self, flow: &FlowFact, join: i64) {
        count(&mut self.flows, (flow.device, flow.kind), u64::from(flow.count));
        if let (true, Some(time)) = (flow.kind.is_permitted(), flow.time) {
            self.permitted.add(time.0, time.0, join);
            self.reached = self.reached.max(flow.time);
        }
        self.add_record(flow.citation(), [flow.time; 2]);
        self.saw(flow.time, flow.time);
    }

    fn add_session(&mut self, session: &SessionFact<'_>) {
        self.count_sessions(session.kind, 1);
        let end = session.lasted.map(|(_, end)| end);
        if session.kind.helo == Helo::Accepted {
            self.newest_accepted = self.newest_accepted.max(session.start());
        }
        // A session with deliveries is never a note.
        self.relayed_somewhere += u64::from(session.kind.outcome == Outcome::Relayed);
        self.reached = self.reached.max(end);
        self.saw(session.start(), end);
    }

    fn count_sessions(&mut self, kind: SessionKind, n: u64) {
        let add = |column: &mut u64, fits: bool| *column += if fits { n } else { 0 };
        let sessions = &mut self.sessions;
        let has_mail = kind.outcome >= Outcome::Queued;
        add(&mut sessions.sessions, true);
        add(&mut sessions.helo_accepted, kind.helo == Helo::Accepted);
        add(&mut sessions.helo_rejected, kind.helo == Helo::Rejected);
        add(&mut sessions.mail_accepted, has_mail);
        add(&mut sessions.auth_ok, kind.auth == Auth::Ok);
        add(&mut sessions.auth_failed, kind.auth == Auth::Failed);
        let without_auth = matches!(kind.auth, Auth::None | Auth::Failed);
        add(&mut self.mail_without_auth, has_mail && without_auth);
        self.may_have_helo |= matches!(kind.helo, Helo::Accepted | Helo::Unknown);
    }

    /// Takes note of the times of records that are cited for the same.
    fn add_record(&mut self, kind: CitationKind, [earliest, latest]: [Option<Timestamp>; 2]) {
        let known = match kind {
            CitationKind::Permitted => {
                self.has_untimed_permit |= earliest.is_none();
                &mut self.latest.permitted
            }
            CitationKind::Denied => &mut self.latest.denied,
            CitationKind::Seen => &mut self.latest.seen,
            CitationKind::Mail(_) => return,
        };
        *known = (*known).max(latest);
    }

    fn saw(&mut self, first: Option<Timestamp>, last: Option<Timestamp>) {
        self.first = earlier(self.first, first);
        self.last = self.last.max(last);
    }
}

/// The earlier of two times, if there is any.
pub(super) fn earlier(known: Option<Timestamp>, new: Option<Timestamp>) -> Option<Timestamp> {
    match (known, new) {
        (Some(known), Some(new)) => Some(known.min(new)),
        (known, new) => known.or(new),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::correlate::cell::piece_of;
    use crate::correlate::note::tests::{flows, sessions};
    use crate::correlate::note::{write_flow, write_session};
    use proptest::prelude::*;

    const JOIN: i64 = 10_000_000;

    impl<'e> Sum<'e> {
        /// The sum of a single piece.
        pub(in crate::judge) fn of(piece: &'e Piece) -> Self {
            let mut sum = Self::default();
            sum.add_piece(piece, JOIN);
            sum
        }

        /// Without what may be in any order, and how many sessions relayed or may have.
        fn tidy(mut self) -> (Self, u64) {
            let untold = |to: &[Delivery]| matches!(to, [one] if *one == Delivery::untold());
            let (nowhere, mut known): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.delivered).into_iter().partition(|(to, _)| untold(to));
            let somewhere = nowhere.iter().map(|(_, n)| n).sum::<u64>() + self.relayed_somewhere;
            known.sort_unstable();
            for (to, n) in known {
                match self.delivered.last_mut() {
                    Some((last, sum)) if *last == to => *sum += n,
                    _ => self.delivered.push((to, n)),
                }
            }
            self.relayed_somewhere = 0;
            (self, somewhere)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn it_is_that_of_all_events_in_one_piece_however_they_are_held(
            sessions in prop::collection::vec(sessions(), 0..120),
            flows in prop::collection::vec(flows(), 0..40), in_pieces in 0usize..40,
        ) {
            let (mut all, mut cell) = (Piece::default(), Cell::default());
            for (place, flow) in flows.iter().enumerate() {
                let mut piece = Piece::default();
                piece.add_flow(flow, JOIN);
                all.merge(&piece, JOIN);
                if place < in_pieces {
                    cell.add_piece(flow.time.map_or(0, Timestamp::day), piece, JOIN);
                } else {
                    let mut note = Vec::new();
                    write_flow(flow, &mut note);
                    cell.add_notes(&note, JOIN);
                }
            }
            for (place, session) in sessions.iter().enumerate() {
                let (day, piece) = piece_of(&session.view());
                all.merge(&piece, JOIN);
                let mut note = Vec::new();
                if place >= in_pieces && write_session(&session.view(), &mut note) {
                    cell.add_notes(&note, JOIN);
                } else {
                    cell.add_piece(day, piece, JOIN);
                }
            }
            let (mut sum, mut same, mut traces) = <(Sum, Sum, Traces)>::default();
            sum.add(&cell, None, JOIN);
            same.add(&cell, Some(&mut traces), JOIN);
            prop_assert_eq!(&sum, &same);
            prop_assert_eq!(sum.tidy(), Sum::of(&all).tidy());
            prop_assert_eq!(traces, all.traces);

            let mut accepted = Vec::new();
            cell.tell_accepted(|start, end, n| accepted.extend((0..n).map(|_| (start, end))));
            accepted.sort_unstable();
            let expected = all.accepted.iter().flat_map(|(lasted, n)| (0..n).map(move |_| lasted));
            let mut expected: Vec<_> = expected.collect();
            expected.sort_unstable();
            prop_assert_eq!(accepted, expected);
        }
    }
}
