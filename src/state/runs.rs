//! Runs and their outputs until they are in place. In: the staged set of a run. Out: the same set
//! again, where the run was stopped between its commit and the swap of the files.
//!
//! The outputs of a run are kept in the transaction that commits it, so what is delivered late is
//! what would have been delivered; once they are in place they are dropped from here.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use crate::error::{Error, Result};
use crate::model::time::Timestamp;
use crate::state::{Changes, State};
use crate::writers::publish::{Staging, is_output};

/// Bytes of a file that are kept in one row.
const PART: usize = 1 << 20;

/// How hard the parts are packed; they live for less than a second as a rule.
const LEVEL: i32 = 1;

/// The number of a committed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunId(pub(super) i64);

/// How the outputs of a run came to their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// By the run itself: whoever started it can read them.
    ByItself,
    /// By the run after it, whose own outputs replace them at once.
    Late,
}

/// A run that was committed and whose outputs are not in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// Which.
    pub run: RunId,
    /// The folder of its outputs, absolute.
    pub out: PathBuf,
}

impl State {
    /// Runs whose outputs are not in place, oldest first.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`], as for all that follow.
    pub fn undelivered(&self) -> Result<Vec<Undelivered>> {
        let rows = || -> rusqlite::Result<Vec<Undelivered>> {
            let sql = "SELECT id, out FROM run WHERE delivered = 0 ORDER BY id";
            let mut statement = self.connection.prepare(sql)?;
            let rows = statement.query_map([], |row| {
                let out: Vec<u8> = row.get(1)?;
                Ok(Undelivered { run: RunId(row.get(0)?), out: OsStr::from_bytes(&out).into() })
            })?;
            rows.collect()
        };
        rows().map_err(|error| self.fault(&error))
    }

    /// Writes the kept outputs of a run into a new set.
    pub fn stage(&self, run: RunId, staging: &mut Staging<'_>) -> Result<()> {
        for (place, name, sha256) in self.kept(run).map_err(|error| self.fault(&error))? {
            if !is_output(&name) {
                return Err(self.broken(&format!("a run has an output {name:?}")));
            }
            staging.write(&name, |to| copy_parts(&self.connection, run, place, to))?;
            let written = staging.written().last();
            if written.is_none_or(|file| file.sha256 != sha256) {
                return Err(self.broken(&format!("output {name} of a run has another SHA-256")));
            }
        }
        Ok(())
    }

    /// Notes that the outputs of a run are in place, and what their readers know now.
    pub fn mark_delivered(&mut self, run: RunId, delivery: Delivery) -> Result<()> {
        let mark = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            transaction.execute("DELETE FROM output WHERE run = ?1", [run.0])?;
            transaction.execute("UPDATE run SET delivered = 1 WHERE id = ?1", [run.0])?;
            if delivery == Delivery::ByItself {
                let sql = "UPDATE ticket SET told_status = status, told_priority = priority, \
                           told_verdict = verdict";
                transaction.execute(sql, [])?;
                transaction.execute("UPDATE profile SET told = 1", [])?;
            }
            transaction.commit()
        };
        mark(&mut self.connection).map_err(|error| self.fault(&error))
    }

    fn kept(&self, run: RunId) -> rusqlite::Result<Vec<(i64, String, String)>> {
        let sql = "SELECT place, name, sha256 FROM output WHERE run = ?1 ORDER BY place";
        let mut statement = self.connection.prepare(sql)?;
        let rows =
            statement.query_map([run.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect()
    }

    /// A content that no run of this program writes.
    fn broken(&self, what: &str) -> Error {
        Error::output(&self.path, format!("is damaged ({what}); put a copy back"))
    }
}

fn copy_parts(
    connection: &Connection,
    run: RunId,
    place: i64,
    to: &mut dyn Write,
) -> io::Result<()> {
    let sql = "SELECT content FROM output_part WHERE run = ?1 AND place = ?2 ORDER BY part";
    let mut statement = connection.prepare(sql).map_err(io::Error::other)?;
    let mut rows = statement.query(params![run.0, place]).map_err(io::Error::other)?;
    while let Some(row) = rows.next().map_err(io::Error::other)? {
        let packed = row.get_ref(0).and_then(|value| Ok(value.as_blob()?));
        to.write_all(&zstd::bulk::decompress(packed.map_err(io::Error::other)?, PART)?)?;
    }
    Ok(())
}

impl Changes<'_> {
    /// Adds this run: when it takes place, and the folder of its outputs.
    pub fn add_run(&self, at: Timestamp, out: &Path) -> Result<RunId> {
        let out = std::path::absolute(out).unwrap_or_else(|_| out.to_path_buf());
        let sql = "INSERT INTO run (at, version, out) VALUES (?1, ?2, ?3)";
        let values = params![at.0, env!("CARGO_PKG_VERSION"), out.as_os_str().as_bytes()];
        self.transaction.execute(sql, values).map_err(|error| self.fault(&error))?;
        Ok(RunId(self.transaction.last_insert_rowid()))
    }

    /// Keeps the outputs of this run until [`State::mark_delivered`].
    pub fn keep_outputs(&self, run: RunId, staged: &Staging<'_>) -> Result<()> {
        let sql = "INSERT INTO output (run, place, name, sha256) VALUES (?1, ?2, ?3, ?4)";
        for (place, file) in (0i64..).zip(staged.written()) {
            let values = params![run.0, place, file.name, file.sha256];
            self.transaction.execute(sql, values).map_err(|error| self.fault(&error))?;
            self.keep_parts(run, place, staged.open(&file.name)?)?;
        }
        Ok(())
    }

    fn keep_parts(&self, run: RunId, place: i64, mut file: File) -> Result<()> {
        let sql = "INSERT INTO output_part (run, place, part, content) VALUES (?1, ?2, ?3, ?4)";
        let mut content = Vec::with_capacity(PART);
        for part in 0i64.. {
            content.clear();
            let packed = (&mut file)
                .take(PART as u64)
                .read_to_end(&mut content)
                .and_then(|_| zstd::bulk::compress(&content, LEVEL))
                .map_err(|error| Error::output(self.path, error.to_string()))?;
            if content.is_empty() {
                break;
            }
            let values = params![run.0, place, part, packed];
            self.transaction.execute(sql, values).map_err(|error| self.fault(&error))?;
        }
        Ok(())
    }
}
