//! A state as one looks at it. In: a path. Out: what it holds, for people (`show`) or row by row for
//! programs (`export`).
//!
//! Read only and without the lock, so that one can look while a run works; what that run changes is
//! seen once it has committed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use serde_json::Value;

use crate::error::{Error, Kind, Result};
use crate::model::judged::{Priority, Verdict};
use crate::model::text::lossy;
use crate::model::time::Timestamp;
use crate::state::{file, words};
use crate::tickets::Status;

/// An open state.
#[derive(Debug)]
pub struct View {
    connection: Connection,
    path: PathBuf,
}

/// A ticket as the last committed run left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketRow {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub status: Status,
    /// Its band.
    pub priority: Priority,
    /// What the evidence says.
    pub verdict: Verdict,
    /// When it is due.
    pub due: Option<Timestamp>,
    /// First unexpected evidence.
    pub first_seen: Option<Timestamp>,
    /// Last unexpected evidence.
    pub last_seen: Option<Timestamp>,
}

/// What a run did to a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When the run took place.
    pub at: Timestamp,
    /// Status and priority before; none where there was no ticket.
    pub old: Option<(Status, Priority)>,
    /// Status and priority after.
    pub new: (Status, Priority),
}

/// How much a state holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Its schema's version.
    pub version: u32,
    /// Bytes of the file.
    pub bytes: u64,
    /// Committed runs.
    pub runs: u64,
    /// Runs whose outputs are not in place.
    pub undelivered: u64,
    /// When the first and the last of them took place.
    pub between: Option<(Timestamp, Timestamp)>,
    /// Rows of each table.
    pub rows: BTreeMap<String, u64>,
}

impl View {
    /// Opens a state to look at it.
    ///
    /// # Errors
    /// [`Kind::Usage`] where there is no file, or one that is no state of this version;
    /// [`Kind::Output`] for one that is damaged, or that a stopped run left in between.
    pub fn open(path: &Path) -> Result<Self> {
        if path.symlink_metadata().is_err() {
            return Err(Error::output(path, "there is no state").with_kind(Kind::Usage));
        }
        file::check_header(path)?;
        let connection = file::connect_to_look(path)?;
        Ok(Self { connection, path: path.to_path_buf() })
    }

    /// How much it holds.
    ///
    /// # Errors
    /// [`Kind::Output`], as for all that follow.
    pub fn extent(&self) -> Result<Extent> {
        let read = || -> rusqlite::Result<Extent> {
            let number = |sql: &str| self.connection.query_row(sql, [], |row| row.get(0));
            let sql = "SELECT min(at), max(at) FROM run";
            let (first, last): (Option<i64>, Option<i64>) =
                self.connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let mut rows = BTreeMap::new();
            for table in self.tables()? {
                let count: i64 = number(&format!("SELECT count(*) FROM \"{table}\""))?;
                rows.insert(table, count.cast_unsigned());
            }
            Ok(Extent {
                version: file::VERSION,
                bytes: self.path.metadata().map_or(0, |found| found.len()),
                runs: rows.get("run").copied().unwrap_or_default(),
                undelivered: number("SELECT count(*) FROM run WHERE delivered = 0")?
                    .cast_unsigned(),
                between: first.zip(last).map(|(a, b)| (Timestamp(a), Timestamp(b))),
                rows,
            })
        };
        read().map_err(|error| self.fault(&error))
    }

    /// The tickets, by status, band, due date and id.
    pub fn tickets(&self) -> Result<Vec<TicketRow>> {
        let read = || -> rusqlite::Result<Vec<TicketRow>> {
            let sql =
                "SELECT id, status, priority, verdict, due, first_seen, last_seen FROM ticket";
            let mut statement = self.connection.prepare(sql)?;
            let rows = statement.query_map([], ticket)?;
            rows.collect()
        };
        let mut tickets = read().map_err(|error| self.fault(&error))?;
        tickets.sort_by(|a, b| {
            let key = |t: &TicketRow| (t.status, t.priority, t.due.is_none(), t.due);
            key(a).cmp(&key(b)).then_with(|| a.id.cmp(&b.id))
        });
        Ok(tickets)
    }

    /// What became of a ticket, oldest first; nothing where nobody knows it under this id or as
    /// another's earlier one.
    pub fn history(&self, id: &str) -> Result<Vec<Event>> {
        let read = || -> rusqlite::Result<Vec<Event>> {
            let sql = "SELECT at, old_status, old_priority, new_status, new_priority \
                       FROM ticket_event WHERE ticket = coalesce(\
                       (SELECT ticket FROM ticket_alias WHERE alias = ?1), ?1) ORDER BY run";
            let mut statement = self.connection.prepare(sql)?;
            let rows = statement.query_map([id], event)?;
            rows.collect()
        };
        read().map_err(|error| self.fault(&error))
    }

    /// Writes every row as a JSON object on a line of its own, table by table in the order of their
    /// names: `table` first, then the columns in theirs. Times are RFC 3339, paths text, other blobs
    /// hexadecimal, JSON columns objects. Outputs that wait for their place are left out.
    pub fn export(&self, to: &mut dyn Write) -> Result<io::Result<()>> {
        for table in self.tables().map_err(|error| self.fault(&error))? {
            match self.export_table(&table, to).map_err(|error| self.fault(&error))? {
                Ok(()) => {}
                stopped => return Ok(stopped),
            }
        }
        Ok(Ok(()))
    }

    fn export_table(&self, table: &str, to: &mut dyn Write) -> rusqlite::Result<io::Result<()>> {
        let key = format!("SELECT name FROM pragma_table_info('{table}') WHERE pk > 0 ORDER BY pk");
        let mut statement = self.connection.prepare(&key)?;
        let key: Vec<String> =
            statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        let order = if key.is_empty() { "rowid".to_owned() } else { key.join(", ") };
        let sql = format!("SELECT * FROM \"{table}\" ORDER BY {order}");
        let mut statement = self.connection.prepare(&sql)?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let written = writeln!(to, "{}", line(table, &names, row)?);
            if written.is_err() {
                return Ok(written);
            }
        }
        Ok(Ok(()))
    }

    /// All tables but those of outputs on their way.
    fn tables(&self) -> rusqlite::Result<Vec<String>> {
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' \
                   AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'output%' ORDER BY name";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.collect()
    }

    fn fault(&self, error: &rusqlite::Error) -> Error {
        file::told(&self.path, error)
    }
}

fn ticket(row: &Row<'_>) -> rusqlite::Result<TicketRow> {
    let time = |at: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(at)?.map(Timestamp));
    let word = |at: usize| row.get::<_, String>(at);
    let known = rusqlite::Error::InvalidQuery;
    Ok(TicketRow {
        id: row.get(0)?,
        status: words::status(&word(1)?).ok_or(known)?,
        priority: words::priority(&word(2)?).ok_or(rusqlite::Error::InvalidQuery)?,
        verdict: words::verdict(&word(3)?).ok_or(rusqlite::Error::InvalidQuery)?,
        due: time(4)?,
        first_seen: time(5)?,
        last_seen: time(6)?,
    })
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let both = |at: usize| -> rusqlite::Result<Option<(Status, Priority)>> {
        let (status, priority): (Option<String>, Option<String>) = (row.get(at)?, row.get(at + 1)?);
        let (Some(status), Some(priority)) = (status, priority) else { return Ok(None) };
        let known = words::status(&status).zip(words::priority(&priority));
        known.map(Some).ok_or(rusqlite::Error::InvalidQuery)
    };
    let new = both(3)?.ok_or(rusqlite::Error::InvalidQuery)?;
    Ok(Event { at: Timestamp(row.get(0)?), old: both(1)?, new })
}

/// Columns of microseconds since 1970.
const TIMES: [&str; 13] = [
    "at",
    "due",
    "ended",
    "first",
    "first_covered",
    "first_seen",
    "first_time",
    "gone_at",
    "last",
    "last_covered",
    "last_seen",
    "opened",
    "seen_at",
];

/// Columns of JSON.
const OBJECTS: [&str; 6] = ["facts", "formats", "logged", "names", "piece", "value"];

/// Columns of paths.
const PATHS: [&str; 2] = ["out", "path"];

fn line(table: &str, names: &[String], row: &Row<'_>) -> rusqlite::Result<String> {
    let mut line = format!("{{\"table\":{}", Value::from(table));
    for (at, name) in names.iter().enumerate() {
        let name = name.as_str();
        let value = match row.get_ref(at)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(n) if TIMES.contains(&name) => Timestamp(n).to_string().into(),
            ValueRef::Integer(n) => n.into(),
            ValueRef::Real(n) => n.into(),
            ValueRef::Text(text) if OBJECTS.contains(&name) => {
                serde_json::from_slice(text).unwrap_or_else(|_| lossy(text).into())
            }
            ValueRef::Text(text) => lossy(text).into(),
            ValueRef::Blob(path) if PATHS.contains(&name) => lossy(path).into(),
            ValueRef::Blob(bytes) => hexadecimal(bytes).into(),
        };
        // Writing to a String cannot fail.
        let _ = write!(line, ",{}:{value}", Value::from(name));
    }
    line.push('}');
    Ok(line)
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
