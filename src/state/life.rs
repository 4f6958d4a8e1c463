//! The rules of a ticket's life. In: the ticket as earlier runs left it, what scans and logs say of
//! its target now. Out: the ticket as this run leaves it, and what this run did to it.
//!
//! Pure. Scans and logs decide, not runs: a ticket is resolved while the newest scan that could have
//! reported its finding does not, and no unexpected source reached the target after that scan; it is
//! open otherwise. Due dates never move later.

use crate::model::judged::{JudgedTarget, Priority, Verdict};
use crate::model::time::Timestamp;
use crate::state::retest::{ScansSay, earliest};
use crate::tickets::{Change, Standing, Status};

/// What a reader of the outputs acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) status: Status,
    pub(super) priority: Priority,
    pub(super) verdict: Verdict,
}

/// A ticket as the state keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownTicket {
    pub(super) id: String,
    /// As the last committed run left it.
    pub(super) now: Told,
    /// As the last run left it whose outputs were put in place by itself; none if none was.
    pub(super) told: Option<Told>,
    pub(super) due: Option<Timestamp>,
    /// Unexpected evidence.
    pub(super) first_seen: Option<Timestamp>,
    pub(super) last_seen: Option<Timestamp>,
}

/// What a run knows of a target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) target: &'a JudgedTarget,
    pub(super) scans: &'a ScansSay,
    /// Where its ticket would stand without earlier runs.
    pub(super) fresh: Standing,
    /// When the run takes place.
    pub(super) at: Timestamp,
    pub(super) logs: Logs,
}

/// Whether a run read its logs to their ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logs {
    /// It did.
    Whole,
    /// Some could not be read, or not to the end: that nothing was seen in them proves nothing.
    Broken,
}

impl Seen<'_> {
    /// Whether this run resolves a ticket that was told with that status, or leaves it so.
    fn resolves(&self, told: Option<Status>) -> bool {
        let was = told == Some(Status::Resolved);
        self.is_gone_and_quiet() && (self.logs == Logs::Whole || was)
    }

    /// Whether the finding is gone and no unexpected source reached the target since.
    fn is_gone_and_quiet(&self) -> bool {
        let Some(gone) = &self.scans.gone else { return false };
        match self.target.reached {
            Some(reached) => reached <= gone.at,
            // Logs without times may tell of a time after the scan.
            None => !self.target.counts.is_reach(),
        }
    }
}

/// The ticket as this run leaves it. None where there is none: nothing to raise, or gone before
/// anybody heard of it.
pub(super) fn advance(
    id: String,
    known: Option<&KnownTicket>,
    seen: &Seen<'_>,
) -> Option<KnownTicket> {
    let Seen { target, scans, fresh, .. } = *seen;
    if known.is_none() && (scans.gone.is_some() || !target.makes_ticket()) {
        return None;
    }
    let told = known.and_then(|known| known.told);
    let is_resolved = seen.resolves(told.map(|told| told.status));
    let status = if is_resolved { Status::Resolved } else { open_status(told, seen) };
    Some(KnownTicket {
        id,
        now: Told { status, priority: target.priority, verdict: target.verdict },
        told,
        due: known.map_or(fresh.due_date, |known| due(known, seen)),
        first_seen: earliest(target.first_seen, known.and_then(|known| known.first_seen)),
        last_seen: target.last_seen.max(known.and_then(|known| known.last_seen)),
    })
}

/// The status of a ticket that is not resolved.
fn open_status(told: Option<Told>, seen: &Seen<'_>) -> Status {
    match told.map(|told| told.status) {
        _ if seen.fresh.status == Status::AcceptedRisk => Status::AcceptedRisk,
        None => Status::New,
        Some(Status::Resolved) => Status::Reopened,
        Some(_) if seen.scans.missed.is_some() => Status::NotRetested,
        Some(_) => Status::Open,
    }
}

/// Never later than before; earlier where the priority was raised: then the band's days count
/// from this run.
fn due(known: &KnownTicket, seen: &Seen<'_>) -> Option<Timestamp> {
    if seen.target.priority >= known.now.priority {
        return known.due;
    }
    let days = i64::from(seen.target.due_days) * 86_400;
    earliest(known.due, Some(seen.at.plus_seconds(days)))
}

/// Where the ticket stands for readers; none where they know already that it is resolved.
pub(super) fn standing(ticket: &KnownTicket) -> Option<Standing> {
    let change = change(ticket)?;
    Some(Standing { status: ticket.now.status, change, due_date: ticket.due })
}

fn change(ticket: &KnownTicket) -> Option<Change> {
    let is_resolved = ticket.now.status == Status::Resolved;
    let Some(told) = ticket.told else {
        return Some(if is_resolved { Change::Closed } else { Change::Raised });
    };
    match (told.status == Status::Resolved, is_resolved) {
        (true, true) => None,
        (false, true) => Some(Change::Closed),
        (true, false) => Some(Change::Raised),
        (false, false) if settled(told) == settled(ticket.now) => Some(Change::Same),
        (false, false) => Some(Change::Changed),
    }
}

/// New and reopened tickets become open ones without anybody having to do anything, and whether
/// a host was in the last scan changes nothing that is to be done.
fn settled(told: Told) -> Told {
    let status = match told.status {
        Status::New | Status::Reopened | Status::NotRetested => Status::Open,
        other => other,
    };
    Told { status, ..told }
}

/// Several tickets that turn out to be one: the first leads, nothing is forgotten.
pub(super) fn join(tickets: Vec<KnownTicket>) -> Option<KnownTicket> {
    let mut tickets = tickets.into_iter();
    let mut joined = tickets.next()?;
    for other in tickets {
        let is_open = |told: &Told| told.status != Status::Resolved;
        joined.told = joined.told.filter(is_open).or(other.told).or(joined.told);
        joined.now.priority = joined.now.priority.min(other.now.priority);
        joined.due = earliest(joined.due, other.due);
        joined.first_seen = earliest(joined.first_seen, other.first_seen);
        joined.last_seen = joined.last_seen.max(other.last_seen);
    }
    Some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::judged::Counts;
    use crate::state::retest::{Gone, Missed};
    use crate::tickets::fixtures;

    const DAY: i64 = 86_400;

    fn day(n: i64) -> Timestamp {
        Timestamp::from_seconds(n * DAY)
    }

    fn told(status: Status) -> Told {
        Told { status, priority: Priority::P2, verdict: Verdict::Confirmed }
    }

    fn known(before: Option<Status>) -> KnownTicket {
        KnownTicket {
            id: "helo-203.0.113.25-25".to_owned(),
            now: told(before.unwrap_or(Status::New)),
            told: before.map(told),
            due: Some(day(40)),
            first_seen: Some(day(5)),
            last_seen: Some(day(6)),
        }
    }

    /// The finding was seen on day 10. In: the day it was found gone, the last reach.
    fn say(gone: Option<i64>, missed: Option<Missed>) -> ScansSay {
        let gone = gone.map(|at| Gone { at: day(at), scan: "weekly".to_owned() });
        ScansSay { seen_at: Some(day(10)), gone, missed }
    }

    #[test]
    fn what_becomes_of_a_ticket() {
        use Change::{Changed, Closed, Raised, Same};
        use Status::{AcceptedRisk, New, NotRetested, Open, Reopened, Resolved};
        type Row = (
            &'static str,
            Option<Status>,
            Option<i64>,
            Option<Missed>,
            Option<i64>,
            Status,
            Option<(Status, Change)>,
        );
        let missed = Some(Missed::Host);
        let rows: [Row; 20] = [
            // what, told before, gone on, missed, reached on, fresh status, expected
            ("told the first time", None, None, None, Some(9), New, Some((New, Raised))),
            ("told before", Some(New), None, None, Some(9), New, Some((Open, Same))),
            ("gone and quiet", Some(Open), Some(12), None, None, New, Some((Resolved, Closed))),
            ("reached before", Some(Open), Some(12), None, Some(11), New, Some((Resolved, Closed))),
            ("reached since", Some(Open), Some(12), None, Some(13), New, Some((Open, Same))),
            (
                "reached, nobody knows when",
                Some(Open),
                Some(12),
                None,
                None,
                New,
                Some((Open, Same)),
            ),
            ("gone, logs broken", Some(New), Some(12), None, None, New, Some((Open, Same))),
            ("resolved, logs broken", Some(Resolved), Some(12), None, None, New, None),
            ("not scanned", Some(New), None, missed, None, New, Some((NotRetested, Same))),
            ("still not", Some(NotRetested), None, missed, None, New, Some((NotRetested, Same))),
            ("scanned again", Some(NotRetested), None, None, None, New, Some((Open, Same))),
            ("reached, missed", Some(Open), None, missed, Some(13), New, Some((NotRetested, Same))),
            ("resolved and told", Some(Resolved), Some(12), None, None, New, None),
            ("seen again", Some(Resolved), None, None, None, New, Some((Reopened, Raised))),
            (
                "reached again",
                Some(Resolved),
                Some(12),
                None,
                Some(13),
                New,
                Some((Reopened, Raised)),
            ),
            ("reopened before", Some(Reopened), None, None, None, New, Some((Open, Same))),
            (
                "accepted",
                Some(Open),
                None,
                missed,
                None,
                AcceptedRisk,
                Some((AcceptedRisk, Changed)),
            ),
            (
                "accepted and gone",
                Some(AcceptedRisk),
                Some(12),
                None,
                None,
                AcceptedRisk,
                Some((Resolved, Closed)),
            ),
            (
                "no longer accepted",
                Some(AcceptedRisk),
                None,
                None,
                None,
                New,
                Some((Open, Changed)),
            ),
            ("new and not told", None, None, missed, None, New, Some((New, Raised))),
        ];
        for (what, before, gone, missed, reached, fresh, expected) in rows {
            let mut target = fixtures::target();
            target.reached = reached.map(day);
            if reached.is_none() && what != "reached, nobody knows when" {
                target.counts = Counts::default();
            }
            let scans = say(gone, missed);
            let fresh = Standing { status: fresh, ..Standing::new(&target) };
            let is_broken = what.ends_with("logs broken");
            let logs = if is_broken { Logs::Broken } else { Logs::Whole };
            let seen = Seen { target: &target, scans: &scans, fresh, at: day(20), logs };
            let known = known(before);
            let ticket = advance(known.id.clone(), Some(&known), &seen).unwrap();
            let found = standing(&ticket).map(|standing| (standing.status, standing.change));
            assert_eq!(found, expected, "{what}");
            assert_eq!(ticket.due, known.due, "{what}");
        }
    }

    #[test]
    fn what_nobody_heard_of_is_not_raised_when_it_is_gone_or_quiet() {
        let mut target = fixtures::target();
        let fresh = Standing::new(&target);
        let raise = |target: &JudgedTarget, scans: &ScansSay| {
            let seen = Seen { target, scans, fresh, at: day(20), logs: Logs::Whole };
            advance("helo-a-25".to_owned(), None, &seen).is_some()
        };
        assert!(raise(&target, &say(None, None)));
        assert!(!raise(&target, &say(Some(12), None)));
        target.verdict = Verdict::Quiet;
        assert!(!raise(&target, &say(None, None)));
        let seen = Seen {
            target: &target,
            scans: &say(None, None),
            fresh,
            at: day(20),
            logs: Logs::Whole,
        };
        let kept = advance("helo-a-25".to_owned(), Some(&known(Some(Status::Open))), &seen);
        assert_eq!(standing(&kept.unwrap()).unwrap().status, Status::Open);
    }

    #[test]
    fn due_dates_come_forward_on_a_raise_and_never_move_later() {
        let mut target = fixtures::target();
        let scans = say(None, None);
        for (before, now, days, expected) in [
            (Priority::P3, Priority::P1, 3, day(23)),
            (Priority::P2, Priority::P2, 14, day(40)),
            (Priority::P1, Priority::P4, 180, day(40)),
            (Priority::P4, Priority::P3, 60, day(40)),
        ] {
            (target.priority, target.due_days) = (now, days);
            let mut known = known(Some(Status::Open));
            known.now.priority = before;
            let fresh = Standing::new(&target);
            let seen =
                Seen { target: &target, scans: &scans, fresh, at: day(20), logs: Logs::Whole };
            let ticket = advance(known.id.clone(), Some(&known), &seen).unwrap();
            assert_eq!(ticket.due, Some(expected), "{before:?} {now:?}");
        }
    }

    #[test]
    fn joined_tickets_keep_the_earliest_due_date_and_are_told_as_open() {
        let mut other = known(Some(Status::Open));
        other.due = Some(day(30));
        other.now.priority = Priority::P1;
        other.first_seen = Some(day(2));
        let joined = join(vec![known(Some(Status::Resolved)), other]).unwrap();
        assert_eq!((joined.due, joined.first_seen), (Some(day(30)), Some(day(2))));
        assert_eq!(joined.now.priority, Priority::P1);
        assert_eq!(joined.told.unwrap().status, Status::Open);
    }
}
