//! Tickets from run to run. In: the targets as judged, the tickets as earlier runs left them. Out:
//! where each ticket stands now, and the row that the next run reads.
//!
//! A due date never moves later; what a reader of the outputs knows is noted only once the run that
//! tells it has put its outputs in place by itself, so nothing is lost that a stopped run would have
//! told. What scans say of targets that are gone is not looked at here.

use std::collections::BTreeMap;

use rusqlite::{Row, params};

use crate::error::Result;
use crate::model::judged::{JudgedTarget, Priority, Verdict};
use crate::model::policy::Policy;
use crate::model::time::Timestamp;
use crate::state::{Changes, State, words};
use crate::tickets::{Change, Standing, Standings, Status, former_ids, ticket_id};

/// What a reader of the outputs acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    status: Status,
    priority: Priority,
    verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct KnownTicket {
    id: String,
    now: Told,
    told: Option<Told>,
    due: Option<Timestamp>,
    first_seen: Option<Timestamp>,
    last_seen: Option<Timestamp>,
}

/// The tickets of all runs.
#[derive(Debug, Default)]
pub struct Tickets {
    known: BTreeMap<String, KnownTicket>,
    /// Ids that the policy replaced by others.
    replaced: Vec<String>,
}

impl Tickets {
    /// Takes over what a run at that time judged: says where the tickets stand, and gives the
    /// targets the first and last evidence that earlier runs saw.
    pub fn take(
        &mut self,
        targets: &mut [JudgedTarget],
        policy: &Policy,
        at: Timestamp,
    ) -> Standings {
        let mut standings = Standings::new(targets, policy, at);
        for target in targets {
            let id = ticket_id(&target.asset.key, target.port);
            let known = self.take_known(&id, target);
            let Some(fresh) = standings.of(target) else { continue };
            let ticket = advance(id, known.as_ref(), target, fresh, at);
            let change = change(&ticket);
            let standing = Standing { status: ticket.now.status, change, due_date: ticket.due };
            standings.set(target, standing);
            target.first_seen = ticket.first_seen;
            target.last_seen = ticket.last_seen;
            self.known.insert(ticket.id.clone(), ticket);
        }
        standings
    }

    /// The ticket under its id, else under one from before the policy named the asset.
    fn take_known(&mut self, id: &str, target: &JudgedTarget) -> Option<KnownTicket> {
        if let Some(known) = self.known.get(id) {
            return Some(known.clone());
        }
        let former = former_ids(target).find(|former| self.known.contains_key(former))?;
        self.replaced.push(former.clone());
        self.known.remove(&former)
    }
}

/// The ticket as this run leaves it; `fresh` is where it would stand without earlier runs.
fn advance(
    id: String,
    known: Option<&KnownTicket>,
    target: &JudgedTarget,
    fresh: Standing,
    at: Timestamp,
) -> KnownTicket {
    let told = known.and_then(|known| known.told);
    let status = match (fresh.status, told) {
        (Status::New, Some(_)) => Status::Open,
        (status, _) => status,
    };
    let due = known.map_or(fresh.due_date, |known| {
        if target.priority >= known.now.priority {
            return known.due;
        }
        let raised = at.plus_seconds(i64::from(target.due_days) * 86_400);
        earliest(known.due, Some(raised))
    });
    KnownTicket {
        id,
        now: Told { status, priority: target.priority, verdict: target.verdict },
        told,
        due,
        first_seen: earliest(target.first_seen, known.and_then(|known| known.first_seen)),
        last_seen: target.last_seen.max(known.and_then(|known| known.last_seen)),
    }
}

fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn change(ticket: &KnownTicket) -> Change {
    // A new ticket becomes an open one without anybody having to do anything.
    let settled = |told: Told| match told.status {
        Status::New => Told { status: Status::Open, ..told },
        _ => told,
    };
    match ticket.told {
        None => Change::Raised,
        Some(told) if settled(told) == settled(ticket.now) => Change::Same,
        Some(_) => Change::Changed,
    }
}

const COLUMNS: &str = "id, status, priority, verdict, told_status, told_priority, told_verdict, \
                       due, first_seen, last_seen";

impl State {
    /// The tickets as the last committed run left them.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`].
    pub fn tickets(&self) -> Result<Tickets> {
        let read = || -> rusqlite::Result<Tickets> {
            let mut statement =
                self.connection.prepare(&format!("SELECT {COLUMNS} FROM ticket"))?;
            let rows = statement.query_map([], ticket)?;
            let known = rows.map(|row| row.map(|ticket| (ticket.id.clone(), ticket)));
            Ok(Tickets { known: known.collect::<rusqlite::Result<_>>()?, replaced: Vec::new() })
        };
        read().map_err(|error| self.fault(&error))
    }
}

fn ticket(row: &Row<'_>) -> rusqlite::Result<KnownTicket> {
    let time = |at: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(at)?.map(Timestamp));
    Ok(KnownTicket {
        id: row.get(0)?,
        now: told(row, 1)?.ok_or(rusqlite::Error::InvalidQuery)?,
        told: told(row, 4)?,
        due: time(7)?,
        first_seen: time(8)?,
        last_seen: time(9)?,
    })
}

/// Three words from a column on; none where they are null.
fn told(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Told>> {
    let Some(status) = row.get::<_, Option<String>>(at)? else { return Ok(None) };
    let (priority, verdict): (String, String) = (row.get(at + 1)?, row.get(at + 2)?);
    let read = || {
        Some(Told {
            status: words::status(&status)?,
            priority: words::priority(&priority)?,
            verdict: words::verdict(&verdict)?,
        })
    };
    read().map(Some).ok_or(rusqlite::Error::InvalidQuery)
}

impl Changes<'_> {
    /// Keeps the tickets as this run leaves them.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`].
    pub fn put_tickets(&self, tickets: &Tickets) -> Result<()> {
        let write = || -> rusqlite::Result<()> {
            let mut delete = self.transaction.prepare("DELETE FROM ticket WHERE id = ?1")?;
            for id in &tickets.replaced {
                delete.execute([id])?;
            }
            let sql = format!(
                "INSERT OR REPLACE INTO ticket ({COLUMNS}) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
            );
            let mut insert = self.transaction.prepare(&sql)?;
            for KnownTicket { id, now, told, due, first_seen, last_seen } in tickets.known.values()
            {
                insert.execute(params![
                    id,
                    now.status.word(),
                    now.priority.word(),
                    now.verdict.word(),
                    told.map(|told| told.status.word()),
                    told.map(|told| told.priority.word()),
                    told.map(|told| told.verdict.word()),
                    due.map(|time| time.0),
                    first_seen.map(|time| time.0),
                    last_seen.map(|time| time.0),
                ])?;
            }
            Ok(())
        };
        write().map_err(|error| self.fault(&error))
    }
}
