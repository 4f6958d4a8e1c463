//! The exports that runs took in, each once whatever its file's name: for whoever asks later on what
//! a ticket's status rests. In: a run's scans. Nothing is decided by them (that is `retest`'s).

use rusqlite::params;

use crate::error::Result;
use crate::model::finding::Scan;
use crate::state::{Changes, RunId};

impl Changes<'_> {
    /// Notes exports that no earlier run took in: by the report's name, the end of the last host's
    /// scan, and the number of hosts.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`].
    pub fn put_scans(&self, scans: &[Scan], run: RunId) -> Result<()> {
        let sql = "INSERT INTO scan_import SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS \
                   (SELECT 1 FROM scan_import WHERE name = ?1 AND ended IS ?2 AND hosts = ?3)";
        for scan in scans {
            let ended = scan.hosts.iter().filter_map(|host| host.ended).max();
            let hosts = scan.hosts.len() as u64;
            let values = params![scan.name, ended.map(|time| time.0), hosts.cast_signed(), run.0];
            self.transaction.execute(sql, values).map_err(|error| self.fault(&error))?;
        }
        Ok(())
    }
}
