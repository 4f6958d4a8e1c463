//! What must outlive a run, in one SQLite file. In: the path of the state, what a run found. Out:
//! what earlier runs knew; and after the commit what the run after this one will know.
//!
//! Nothing is written while inputs are read. All that a run changes goes into one transaction
//! ([`Changes`]); whatever stops the run before [`Changes::commit`] leaves the state as it was.
//! `schema.sql` is the whole schema; each table has one file here that reads and writes it.

mod carried;
mod cursors;
mod evidence;
mod file;
mod findings;
mod forget;
mod life;
mod profiles;
mod retest;
mod runs;
mod scans;
mod tickets;
mod view;
mod words;

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::error::{Error, Result};

pub use cursors::Content;
pub use evidence::{Delta, Kept};
pub use file::VERSION;
pub use life::Logs;
pub use retest::Findings;
pub use runs::{Delivery, RunId, Undelivered};
pub use tickets::{Tickets, Tonight};
pub use view::{Event, Extent, TicketRow, View};

/// The open state of this run; no other run can open it meanwhile.
#[derive(Debug)]
pub struct State {
    connection: Connection,
    path: PathBuf,
    /// `PRAGMA data_version` at opening: it changes when another program writes.
    version_seen: i64,
    _lock: File,
}

impl State {
    /// Opens the state, making an empty one where there is no file yet.
    ///
    /// # Errors
    /// [`crate::error::Kind::Locked`] at once where another run has it open;
    /// [`crate::error::Kind::Usage`] for a file that is no state or one of another version;
    /// [`crate::error::Kind::Output`] for one that is damaged or cannot be opened. The file is as
    /// it was then.
    pub fn open(path: &Path) -> Result<Self> {
        let lock = file::lock(path)?;
        file::create_if_missing(path)?;
        file::check_header(path)?;
        let connection = file::connect(path)?;
        let version_seen = data_version(&connection).map_err(|e| file::told(path, &e))?;
        Ok(Self { connection, path: path.to_path_buf(), version_seen, _lock: lock })
    }

    /// The path that it was opened under.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The network file system that the state lies on, if it does: locks are not reliable there.
    pub fn network_file_system(&self) -> Option<&'static str> {
        file::network_file_system(&self.path)
    }

    /// Begins the one transaction of a run.
    ///
    /// # Errors
    /// [`crate::error::Kind::Locked`] where another program writes to the file, or wrote to it
    /// since it was opened.
    pub fn begin(&mut self) -> Result<Changes<'_>> {
        let Self { connection, path, version_seen, .. } = self;
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| file::told(path, &error))?;
        let version = data_version(&transaction).map_err(|error| file::told(path, &error))?;
        if version != *version_seen {
            let message = "another program changed the state while the run worked; run again";
            return Err(Error::output(path, message).with_kind(crate::error::Kind::Locked));
        }
        Ok(Changes { transaction, path })
    }

    fn fault(&self, error: &rusqlite::Error) -> Error {
        file::told(&self.path, error)
    }
}

/// What a run changes: all of it, or nothing where it is dropped without [`Changes::commit`].
#[derive(Debug)]
pub struct Changes<'s> {
    transaction: Transaction<'s>,
    path: &'s Path,
}

impl Changes<'_> {
    /// Makes the changes last.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`]; nothing is changed then.
    pub fn commit(self) -> Result<()> {
        let Self { transaction, path } = self;
        transaction.commit().map_err(|error| file::told(path, &error))
    }

    fn fault(&self, error: &rusqlite::Error) -> Error {
        file::told(self.path, error)
    }
}

fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA data_version", [], |row| row.get(0))
}

#[cfg(test)]
mod tests;
