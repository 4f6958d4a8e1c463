//! Ticket systems that have been told of the tickets. In: the names of a run's profiles. Out: those
//! whose readers have every ticket of earlier runs.
//!
//! A profile counts once a run that wrote its files has put them in place by itself.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::state::{Changes, State};

impl State {
    /// Profiles that earlier runs wrote.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`].
    pub fn profiles(&self) -> Result<BTreeSet<String>> {
        let read = || -> rusqlite::Result<BTreeSet<String>> {
            let sql = "SELECT name FROM profile WHERE told = 1";
            let mut statement = self.connection.prepare(sql)?;
            let rows = statement.query_map([], |row| row.get(0))?;
            rows.collect()
        };
        read().map_err(|error| self.fault(&error))
    }
}

impl Changes<'_> {
    /// Notes that this run writes these profiles.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`].
    pub fn put_profiles<'n>(&self, names: impl Iterator<Item = &'n str>) -> Result<()> {
        // Files of a stopped run: nobody could read them.
        let forget = self.transaction.execute("DELETE FROM profile WHERE told = 0", []);
        forget.map_err(|error| self.fault(&error))?;
        let sql = "INSERT OR IGNORE INTO profile (name) VALUES (?1)";
        for name in names {
            self.transaction.execute(sql, [name]).map_err(|error| self.fault(&error))?;
        }
        Ok(())
    }
}
