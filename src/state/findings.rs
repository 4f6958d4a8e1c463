//! The table of findings: what scans said of ports, and the scanners' addresses. In: [`Findings`]. Out: their rows, and [`Findings`] again.
//!
//! What the findings mean is `retest`'s.

use std::net::IpAddr;

use rusqlite::types::Type;
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::target::ScanTarget;
use crate::model::time::Timestamp;
use crate::state::retest::{Finding, Findings, Gone};
use crate::state::{Changes, State, words};

/// What a scan says of a port, as JSON.
#[derive(Serialize, Deserialize)]
struct Facts {
    detected_by: Vec<u32>,
    context: Vec<u32>,
    roles: Vec<String>,
    scan_helo: String,
    also_refused: bool,
    severity: u8,
    weakens: u32,
    relays: Vec<u32>,
    login: String,
    output: String,
}

const COLUMNS: &str =
    "host, port, ticket, ip, fqdn, names, facts, opened, seen_at, gone_at, gone_scan";

impl State {
    /// The findings of earlier runs.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`].
    pub fn findings(&self) -> Result<Findings> {
        let read = || -> rusqlite::Result<Findings> {
            let mut statement =
                self.connection.prepare(&format!("SELECT {COLUMNS} FROM finding"))?;
            let rows =
                statement.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row_of(row)?)))?;
            let known = rows.collect::<rusqlite::Result<_>>()?;
            let mut statement = self.connection.prepare("SELECT address FROM scanner")?;
            let rows = statement.query_map([], |row| address(0, &row.get::<_, String>(0)?))?;
            let scanners = rows.collect::<rusqlite::Result<_>>()?;
            Ok(Findings { known, scanners, dropped: Vec::new() })
        };
        read().map_err(|error| self.fault(&error))
    }
}

fn row_of(row: &Row<'_>) -> rusqlite::Result<Finding> {
    let time = |at: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(at)?.map(Timestamp));
    let ip: Option<String> = row.get(3)?;
    let gone_scan: Option<String> = row.get(10)?;
    let facts: Facts = parsed(6, &row.get::<_, String>(6)?)?;
    let roles = facts.roles.iter().map(|role| words::role(role)).collect::<Option<Vec<_>>>();
    let target = ScanTarget {
        port: row.get(1)?,
        detected_by: facts.detected_by,
        context: facts.context,
        roles: roles.ok_or(rusqlite::Error::InvalidQuery)?,
        scan_helo: words::scan_helo(&facts.scan_helo).ok_or(rusqlite::Error::InvalidQuery)?,
        also_refused: facts.also_refused,
        severity: facts.severity,
        weakens: facts.weakens,
        relays: facts.relays,
        opened: time(7)?,
        scan_time: time(8)?,
        login: words::login(&facts.login).ok_or(rusqlite::Error::InvalidQuery)?,
        input: 0,
        output: facts.output,
    };
    Ok(Finding {
        ticket: row.get(2)?,
        ip: ip.map(|ip| address(3, &ip)).transpose()?,
        fqdn: row.get(4)?,
        names: parsed(5, &row.get::<_, String>(5)?)?,
        target,
        gone: time(9)?.map(|at| Gone { at, scan: gone_scan.unwrap_or_default() }),
        missed: None,
        is_moved: false,
    })
}

fn parsed<T: serde::de::DeserializeOwned>(column: usize, text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(e)))
}

fn address(column: usize, text: &str) -> rusqlite::Result<IpAddr> {
    text.parse()
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(e)))
}

fn written(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

impl Changes<'_> {
    /// Keeps the findings, and the scanners' addresses.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`].
    pub fn put_findings(&self, findings: &Findings) -> Result<()> {
        self.write_findings(findings).map_err(|error| self.fault(&error))
    }

    fn write_findings(&self, findings: &Findings) -> rusqlite::Result<()> {
        let sql = "DELETE FROM finding WHERE host = ?1 AND port = ?2";
        let mut delete = self.transaction.prepare(sql)?;
        for (host, port) in &findings.dropped {
            delete.execute(params![host, port])?;
        }
        let sql = format!(
            "INSERT OR REPLACE INTO finding ({COLUMNS}) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
        );
        let mut insert = self.transaction.prepare(&sql)?;
        for ((host, port), finding) in &findings.known {
            let Finding { ticket, ip, fqdn, names, target, gone, .. } = finding;
            insert.execute(params![
                host,
                port,
                ticket,
                ip.map(|ip| ip.to_string()),
                fqdn,
                written(names)?,
                written(&facts(target))?,
                target.opened.map(|time| time.0),
                target.scan_time.map(|time| time.0),
                gone.as_ref().map(|gone| gone.at.0),
                gone.as_ref().map(|gone| &gone.scan),
            ])?;
        }
        let mut insert = self.transaction.prepare("INSERT OR IGNORE INTO scanner VALUES (?1)")?;
        for ip in &findings.scanners {
            insert.execute([ip.to_string()])?;
        }
        Ok(())
    }
}

fn facts(target: &ScanTarget) -> Facts {
    Facts {
        detected_by: target.detected_by.clone(),
        context: target.context.clone(),
        roles: target.roles.iter().map(|role| role.word().to_owned()).collect(),
        scan_helo: target.scan_helo.word().to_owned(),
        also_refused: target.also_refused,
        severity: target.severity,
        weakens: target.weakens,
        relays: target.relays.clone(),
        login: target.login.word().to_owned(),
        output: target.output.clone(),
    }
}
