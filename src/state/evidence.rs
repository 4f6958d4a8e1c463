//! The evidence of all runs. In: what a run added, as rows that replace those of the same place.
//! Out: the evidence of earlier runs, in the numbers of this run.
//!
//! A row is one logged server's port, source and UTC day; its piece is inspectable JSON. Nothing
//! here is judged: targets, classes and roles are looked up when it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rusqlite::{OptionalExtension, params};

use crate::correlate::cell::NO_DAY;
use crate::correlate::evidence::Evidence;
use crate::correlate::rows::{FactsRow, Inward, Outward, PieceRow, Place, source_text};
use crate::correlate::server::{LoggedServer, ServerFacts};
use crate::error::Result;
use crate::model::time::Timestamp;
use crate::state::{Changes, State};

/// What a run adds to the evidence: the numbers are those of the merged evidence.
#[derive(Debug, Clone, Default)]
pub struct Delta {
    /// Places with something new.
    pub places: Vec<Place>,
    /// The pieces of those places that hold more than is to be kept: without what the end of the
    /// logs cut.
    pub uncut: BTreeMap<Place, crate::correlate::piece::Piece>,
    /// Servers with something new, and all that is known of each.
    pub servers: Vec<(LoggedServer, ServerFacts)>,
    /// Firewalls and the inputs that hold records of theirs.
    pub devices: Vec<(u32, u32)>,
    /// Ends that are names, and the number of their records.
    pub named_ends: BTreeMap<Box<str>, u64>,
}

/// What evidence has been kept for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Ports, each with the time of the run that was the first to keep them.
    pub ports: BTreeMap<u16, Timestamp>,
    /// The largest tolerance in seconds under which times were joined.
    pub tolerance: Option<i64>,
}

impl State {
    /// The evidence of earlier runs.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`], as for all that follow; also for rows that this program
    /// cannot have written.
    pub fn evidence(&self, tolerance: i64, names: &mut Inward<'_>) -> Result<Evidence> {
        let mut evidence = Evidence::new(tolerance);
        self.read_evidence(&mut evidence, names).map_err(|error| self.fault(&error))?;
        Ok(evidence)
    }

    fn read_evidence(
        &self,
        evidence: &mut Evidence,
        names: &mut Inward<'_>,
    ) -> rusqlite::Result<()> {
        let mut numbers: BTreeMap<i64, u32> = BTreeMap::new();
        let mut statement = self.connection.prepare("SELECT id, logged, facts FROM server")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let logged: LoggedServer = parsed(1, row.get_ref(1)?.as_str()?)?;
            let facts: FactsRow = parsed(2, row.get_ref(2)?.as_str()?)?;
            let number = evidence.add_server(logged, &facts.into_facts(names));
            numbers.insert(row.get(0)?, number);
        }
        let sql = "SELECT server, source, day, piece FROM evidence";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let Some(&server) = numbers.get(&row.get(0)?) else { continue };
            let source: IpAddr =
                row.get_ref(1)?.as_str()?.parse().map_err(|error| unreadable(1, error))?;
            let piece: PieceRow = parsed(3, row.get_ref(3)?.as_str()?)?;
            let piece = piece.into_piece(names, evidence.join());
            evidence.add_piece(server, source, row.get(2)?, piece);
        }
        let mut statement = self.connection.prepare("SELECT name, content FROM firewall")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let device = names.devices.index_of(row.get_ref(0)?.as_str()?);
            if let Some(input) = (names.content)(row.get(1)?) {
                evidence.add_firewall(device, input);
            }
        }
        let mut statement = self.connection.prepare("SELECT name, records FROM named_end")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let records: i64 = row.get(1)?;
            evidence.add_name(row.get_ref(0)?.as_str()?.into(), records.cast_unsigned());
        }
        Ok(())
    }

    /// What evidence has been kept for.
    pub fn kept_evidence(&self) -> Result<Kept> {
        let kept = || -> rusqlite::Result<Kept> {
            let mut statement =
                self.connection.prepare("SELECT which, value FROM kept WHERE what = 'port'")?;
            let ports = statement.query_map([], |row| Ok((row.get(0)?, Timestamp(row.get(1)?))))?;
            let sql = "SELECT value FROM kept WHERE what = 'tolerance'";
            let tolerance = self.connection.query_row(sql, [], |row| row.get(0)).optional()?;
            Ok(Kept { ports: ports.collect::<rusqlite::Result<_>>()?, tolerance })
        };
        kept().map_err(|error| self.fault(&error))
    }
}

fn parsed<T: serde::de::DeserializeOwned>(column: usize, text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| unreadable(column, error))
}

fn unreadable(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    let text = rusqlite::types::Type::Text;
    rusqlite::Error::FromSqlConversionFailure(column, text, Box::new(error))
}

impl Changes<'_> {
    /// Writes what a run added to the evidence.
    pub fn put_evidence(
        &self,
        delta: &Delta,
        evidence: &Evidence,
        names: &Outward<'_>,
    ) -> Result<()> {
        self.write_evidence(delta, evidence, names).map_err(|error| self.fault(&error))
    }

    fn write_evidence(
        &self,
        delta: &Delta,
        evidence: &Evidence,
        names: &Outward<'_>,
    ) -> rusqlite::Result<()> {
        let ids = self.write_servers(delta, evidence, names)?;
        let sql = "INSERT OR REPLACE INTO evidence VALUES (?1, ?2, ?3, ?4)";
        let mut put = self.transaction.prepare(sql)?;
        for &place in &delta.places {
            let uncut = delta.uncut.get(&place).cloned();
            let Some(piece) = uncut.or_else(|| evidence.piece(place)) else { continue };
            let (server, source, day) = place;
            let Some(id) = ids.get(&server) else { continue };
            let piece = written(&PieceRow::new(&piece, names))?;
            put.execute(params![id, source_text(source), day, piece])?;
        }
        let sql = "INSERT OR IGNORE INTO firewall VALUES (?1, ?2)";
        let mut put = self.transaction.prepare(sql)?;
        for &(device, input) in &delta.devices {
            if let Some(content) = (names.content)(input) {
                put.execute(params![names.devices.name(device), content])?;
            }
        }
        let sql = "INSERT INTO named_end VALUES (?1, ?2)
            ON CONFLICT DO UPDATE SET records = records + ?2";
        let mut put = self.transaction.prepare(sql)?;
        for (name, records) in &delta.named_ends {
            put.execute(params![&**name, records.cast_signed()])?;
        }
        Ok(())
    }

    fn write_servers(
        &self,
        delta: &Delta,
        evidence: &Evidence,
        names: &Outward<'_>,
    ) -> rusqlite::Result<BTreeMap<u32, i64>> {
        let sql = "INSERT INTO server (logged, facts) VALUES (?1, ?2)
            ON CONFLICT (logged) DO UPDATE SET facts = ?2 RETURNING id";
        let mut put = self.transaction.prepare(sql)?;
        let mut ids = BTreeMap::new();
        for (server, facts) in &delta.servers {
            let facts = written(&FactsRow::new(facts, names))?;
            let id: i64 = put.query_row(params![written(server)?, facts], |row| row.get(0))?;
            if let Some(number) = evidence.number(server) {
                ids.insert(number, id);
            }
        }
        Ok(ids)
    }

    /// Forgets evidence of days before that one; what has no day stays.
    pub fn drop_evidence_before(&self, day: i32) -> Result<()> {
        let sql = "DELETE FROM evidence WHERE day < ?1 AND day <> ?2";
        let dropped = self.transaction.execute(sql, [day, NO_DAY]);
        dropped.map(drop).map_err(|error| self.fault(&error))
    }

    /// Notes what evidence is kept for from this run on.
    pub fn put_kept(&self, ports: &BTreeSet<u16>, tolerance: i64, at: Timestamp) -> Result<()> {
        let put = || -> rusqlite::Result<()> {
            let sql = "INSERT OR IGNORE INTO kept VALUES ('port', ?1, ?2)";
            let mut put = self.transaction.prepare(sql)?;
            for port in ports {
                put.execute(params![port, at.0])?;
            }
            let sql = "INSERT INTO kept VALUES ('tolerance', 0, ?1)
                ON CONFLICT DO UPDATE SET value = max(value, ?1)";
            self.transaction.execute(sql, [tolerance]).map(drop)
        };
        put().map_err(|error| self.fault(&error))
    }
}

fn written(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
