//! Tickets from run to run. In: the targets as judged, what scans say of them, the tickets as earlier
//! runs left them. Out: where each ticket stands now, and the rows that the next run reads.
//!
//! What a reader of the outputs knows is noted only once the run that tells it has put its outputs
//! in place by itself, so nothing is lost that a stopped run would have told. The rules of a ticket's
//! life are `life`'s, what scans say of its finding is `retest`'s.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Row, params};

use crate::error::Result;
use crate::model::judged::{JudgedTarget, Proof};
use crate::model::policy::Policy;
use crate::model::time::Timestamp;
use crate::state::life::{KnownTicket, Logs, Seen, Told, advance, join, standing};
use crate::state::retest::{Findings, ScansSay};
use crate::state::{Changes, RunId, State, words};
use crate::tickets::{Standing, Standings, Status, former_ids, ticket_id};

/// What decides about tickets besides targets and scans.
#[derive(Debug, Clone, Copy)]
pub struct Tonight<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// When the run takes place.
    pub at: Timestamp,
    /// Whether it read its logs to their ends.
    pub logs: Logs,
}

/// What becomes of a target in the outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// It has a ticket.
    Told(Standing),
    /// It has none.
    Untold,
    /// It is none any longer.
    Away,
}

/// The tickets of all runs.
#[derive(Debug, Default)]
pub struct Tickets {
    known: BTreeMap<String, KnownTicket>,
    /// As they stood before this run, by the id that they have now; none for new ones.
    before: BTreeMap<String, Option<Told>>,
    /// Ids that gave way to others, each with its successor.
    replaced: Vec<(String, String)>,
}

impl Tickets {
    /// Takes over what a run judged: says where the tickets stand, and gives the targets the first
    /// and last evidence that earlier runs saw, notes, and the proof of what it resolves. Targets
    /// whose tickets are resolved, and told so before, are taken out.
    pub fn take(
        &mut self,
        targets: &mut Vec<JudgedTarget>,
        findings: &mut Findings,
        tonight: &Tonight<'_>,
    ) -> Standings {
        let mut standings = Standings::default();
        let own: BTreeSet<String> = targets.iter().map(id_of).collect();
        targets.retain_mut(|target| {
            let stands = self.take_one(target, findings, &own, tonight);
            if let Stands::Told(standing) = stands {
                standings.set(target, standing);
            }
            stands != Stands::Away
        });
        standings
    }

    /// `own` are the ids that the targets of this run have by themselves.
    fn take_one(
        &mut self,
        target: &mut JudgedTarget,
        findings: &mut Findings,
        own: &BTreeSet<String>,
        tonight: &Tonight<'_>,
    ) -> Stands {
        let (id, port) = (id_of(target), target.port);
        let former = target.asset.former_keys.clone();
        let hosts: Vec<&str> =
            former.iter().map(String::as_str).chain([target.asset.key.as_str()]).collect();
        let scans = findings.say(&hosts, port);
        let linked = findings.tickets(&hosts, port);
        let is_taken = |other: &String| *other != id && own.contains(other);
        if findings.are_moved(&hosts, port) && !linked.is_empty() && linked.iter().all(is_taken) {
            // The asset has another address now, and its ticket went with it.
            findings.drop_on(&hosts, port);
            return Stands::Away;
        }
        let others = former_ids(target).chain(linked).filter(|other| !own.contains(other));
        let known = self.take_known(&id, others.collect());
        let fresh = Standing::by_policy(target, tonight.policy, tonight.at);
        let seen = Seen { target, scans: &scans, fresh, at: tonight.at, logs: tonight.logs };
        let Some(ticket) = advance(id.clone(), known.as_ref(), &seen) else {
            return if scans.gone.is_none() { Stands::Untold } else { Stands::Away };
        };
        findings.set_ticket(&hosts, port, &id);
        let stands = standing(&ticket).map_or(Stands::Away, Stands::Told);
        explain(target, &scans, ticket.now.status);
        target.first_seen = ticket.first_seen;
        target.last_seen = ticket.last_seen;
        self.before.insert(id.clone(), known.map(|known| known.now));
        self.known.insert(id, ticket);
        stands
    }

    /// The ticket under its id, and those that it had under others.
    fn take_known(&mut self, id: &str, mut others: Vec<String>) -> Option<KnownTicket> {
        others.sort_unstable();
        others.dedup();
        let mut found: Vec<KnownTicket> = self.known.get(id).cloned().into_iter().collect();
        for other in others.into_iter().filter(|other| other != id) {
            if let Some(known) = self.known.remove(&other) {
                found.push(known);
                self.replaced.push((other, id.to_owned()));
            }
        }
        join(found)
    }

    /// Whether an earlier run, or this one, knows a ticket of that id.
    pub fn knows(&self, id: &str) -> bool {
        self.known.contains_key(id) || self.replaced.iter().any(|(old, _)| old == id)
    }
}

fn id_of(target: &JudgedTarget) -> String {
    ticket_id(&target.asset.key, target.port)
}

/// Tells in the target what its ticket's status rests on.
fn explain(target: &mut JudgedTarget, scans: &ScansSay, status: Status) {
    let last_open = scans.seen_at.max(target.reached);
    if let Some(gone) = &scans.gone {
        if status == Status::Resolved {
            let (scan, ended) = (gone.scan.clone(), gone.at);
            target.proof = Some(Proof { scan, ended, last_open, denied: None });
            return;
        }
        let why = match target.reached {
            Some(reached) if reached > gone.at => {
                format!("an unexpected source reached it on {reached}, after that scan")
            }
            None if target.counts.is_reach() => {
                "an unexpected source reached it at a time that the logs do not tell".to_owned()
            }
            _ => "this run could not read all its logs to their ends".to_owned(),
        };
        target.notes.push(format!(
            "The scan \"{}\" of {} no longer reports it, but {why}: the ticket stays open.",
            gone.scan, gone.at
        ));
        return;
    }
    if let Some(missed) = scans.missed {
        let seen = scans.seen_at.map(|time| format!(" (last seen by the scan of {time})"));
        let seen = seen.unwrap_or_default();
        target.notes.push(format!("Not retested: {}{seen}. Still open.", missed.text()));
    }
    if !target.makes_ticket() {
        target.notes.push(
            "The logs show nothing unexpected any more. The ticket stays open until a scan that \
             could report the finding no longer does."
                .to_owned(),
        );
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
            let known = known.collect::<rusqlite::Result<_>>()?;
            Ok(Tickets { known, ..Tickets::default() })
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
    /// Keeps the tickets as this run leaves them, and what it did to them.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`].
    pub fn put_tickets(&self, tickets: &Tickets, run: RunId, at: Timestamp) -> Result<()> {
        let write = || -> rusqlite::Result<()> {
            self.write_aliases(tickets)?;
            self.write_tickets(tickets)?;
            self.write_events(tickets, run, at)
        };
        write().map_err(|error| self.fault(&error))
    }

    fn write_aliases(&self, tickets: &Tickets) -> rusqlite::Result<()> {
        for (old, new) in &tickets.replaced {
            let values = params![old, new];
            self.transaction.execute("DELETE FROM ticket WHERE id = ?1", [old])?;
            // Two tickets that one run changed may become one.
            let sql = "UPDATE OR REPLACE ticket_event SET ticket = ?2 WHERE ticket = ?1";
            self.transaction.execute(sql, values)?;
            let sql = "UPDATE ticket_alias SET ticket = ?2 WHERE ticket = ?1";
            self.transaction.execute(sql, values)?;
            let sql = "INSERT OR REPLACE INTO ticket_alias VALUES (?1, ?2)";
            self.transaction.execute(sql, values)?;
            self.transaction.execute("DELETE FROM ticket_alias WHERE alias = ?1", [new])?;
        }
        Ok(())
    }

    fn write_tickets(&self, tickets: &Tickets) -> rusqlite::Result<()> {
        let sql = format!(
            "INSERT OR REPLACE INTO ticket ({COLUMNS}) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
        );
        let mut insert = self.transaction.prepare(&sql)?;
        for KnownTicket { id, now, told, due, first_seen, last_seen } in tickets.known.values() {
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
    }

    fn write_events(&self, tickets: &Tickets, run: RunId, at: Timestamp) -> rusqlite::Result<()> {
        let sql = "INSERT OR REPLACE INTO ticket_event VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let mut insert = self.transaction.prepare(sql)?;
        for (id, before) in &tickets.before {
            let Some(KnownTicket { now, .. }) = tickets.known.get(id) else { continue };
            let acts = |told: &Told| (told.status, told.priority);
            if before.as_ref().map(acts) == Some(acts(now)) {
                continue;
            }
            insert.execute(params![
                run.0,
                at.0,
                id,
                before.map(|told| told.status.word()),
                before.map(|told| told.priority.word()),
                now.status.word(),
                now.priority.word(),
            ])?;
        }
        Ok(())
    }
}
