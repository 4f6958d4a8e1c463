//! What the logs left open at the end of a run. In: sessions, messages and records to be paired, as
//! one plain value. Out: the same, for the run that goes on.
//!
//! It is no evidence: what it holds comes out as finished sessions of a later run. A run's own
//! tickets also tell of the sessions that are open when its logs end, as they stand then.

use rusqlite::params;

use crate::error::{Error, Result};
use crate::logs::carried::Carried;
use crate::logs::mail::{Generation, ToldBy};
use crate::state::{Changes, State};

const SESSIONS: &str = "sessions";
const PAIRS: &str = "pairs";

impl State {
    /// What the last run left open. Inputs in it are ids of contents.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`], as for all that follow; also for a value that this program
    /// cannot have written.
    pub fn carried(&self) -> Result<Carried> {
        let mut carried = Carried::default();
        for (what, value) in self.values().map_err(|error| self.fault(&error))? {
            let read = match what.as_str() {
                SESSIONS => serde_json::from_str(&value).map(|read| carried.sessions = read),
                PAIRS => serde_json::from_str(&value).map(|read| carried.pairs = read),
                _ => Ok(()),
            };
            read.map_err(|error| {
                let message = format!("is damaged ({what} that were open: {error})");
                Error::output(self.path(), message)
            })?;
        }
        carried.sessions.put_told(self.told().map_err(|error| self.fault(&error))?);
        Ok(carried)
    }

    fn values(&self) -> rusqlite::Result<Vec<(String, String)>> {
        let mut statement = self.connection.prepare("SELECT what, value FROM carried")?;
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    }

    fn told(&self) -> rusqlite::Result<Vec<ToldBy>> {
        let sql = "SELECT content, generation, sessions FROM told ORDER BY content, generation";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            let bytes = row.get_ref(2)?.as_blob()?;
            let hashes = bytes.chunks_exact(8).filter_map(|hash| hash.first_chunk().copied());
            let current = row.get::<_, i64>(1)? == 1;
            Ok(ToldBy {
                input: row.get(0)?,
                generation: if current { Generation::Current } else { Generation::Previous },
                sessions: hashes.map(u64::from_le_bytes).collect(),
            })
        })?;
        rows.collect()
    }
}

impl Changes<'_> {
    /// Writes what this run leaves open, in place of what the last one left. Inputs in it are ids
    /// of contents.
    pub fn put_carried(&self, mut carried: Carried) -> Result<()> {
        let told = carried.sessions.take_told();
        let text = |value: serde_json::Result<String>| {
            value.map_err(|error| Error::output(self.path, error.to_string()))
        };
        let sessions = text(serde_json::to_string(&carried.sessions))?;
        let pairs = text(serde_json::to_string(&carried.pairs))?;
        let put = || -> rusqlite::Result<()> {
            let sql = "INSERT OR REPLACE INTO carried VALUES (?1, ?2)";
            self.transaction.execute(sql, (SESSIONS, sessions))?;
            self.transaction.execute(sql, (PAIRS, pairs))?;
            self.transaction.execute("DELETE FROM told", [])?;
            let sql = "INSERT INTO told VALUES (?1, ?2, ?3)";
            let mut put = self.transaction.prepare(sql)?;
            for ToldBy { input, generation, sessions } in told {
                let hashes: Vec<u8> = sessions.into_iter().flat_map(u64::to_le_bytes).collect();
                put.execute(params![input, i64::from(generation == Generation::Current), hashes])?;
            }
            Ok(())
        };
        put().map_err(|error| self.fault(&error))
    }
}
