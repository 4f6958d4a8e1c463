//! Forgetting, for good. In: a ticket's id, or a host's address or name. Out: the rows taken out, in
//! the one transaction of [`Changes`].

use std::net::IpAddr;

use rusqlite::{OptionalExtension, params};

use crate::correlate::server::LoggedServer;
use crate::error::Result;
use crate::model::flow::Host;
use crate::state::Changes;

impl Changes<'_> {
    /// Forgets a ticket, its other ids, its history, and what scans said of its port: if it is seen
    /// again, it is a new one. False where nobody knows such a ticket.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`].
    pub fn forget_ticket(&self, id: &str) -> Result<bool> {
        self.delete_ticket(id).map_err(|error| self.fault(&error))
    }

    fn delete_ticket(&self, id: &str) -> rusqlite::Result<bool> {
        let sql = "SELECT ticket FROM ticket_alias WHERE alias = ?1";
        let current: Option<String> =
            self.transaction.query_row(sql, [id], |row| row.get(0)).optional()?;
        let id = current.as_deref().unwrap_or(id);
        if self.transaction.execute("DELETE FROM ticket WHERE id = ?1", [id])? == 0 {
            return Ok(false);
        }
        for sql in [
            "DELETE FROM ticket_alias WHERE ticket = ?1",
            "DELETE FROM ticket_event WHERE ticket = ?1",
            "DELETE FROM finding WHERE ticket = ?1",
        ] {
            self.transaction.execute(sql, params![id])?;
        }
        Ok(true)
    }

    /// Forgets what logs said of a server under this address or name: all its ports, sources and days,
    /// and what they cover. The logs count as read all the same, and sessions that their end cut stay.
    /// Gives the number of servers' ports forgotten.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`].
    pub fn forget_evidence(&self, host: &str) -> Result<u64> {
        self.delete_evidence(host).map_err(|error| self.fault(&error))
    }

    fn delete_evidence(&self, host: &str) -> rusqlite::Result<u64> {
        let ip: Option<IpAddr> = host.parse().ok().map(|ip: IpAddr| ip.to_canonical());
        let mut statement = self.transaction.prepare("SELECT id, logged FROM server")?;
        let mut rows = statement.query([])?;
        let mut found: Vec<i64> = Vec::new();
        while let Some(row) = rows.next()? {
            // What this program cannot read is told as damage by the next run.
            let logged = serde_json::from_str(row.get_ref(1)?.as_str()?);
            if logged.is_ok_and(|logged| is_named(&logged, host, ip)) {
                found.push(row.get(0)?);
            }
        }
        for id in &found {
            self.transaction.execute("DELETE FROM evidence WHERE server = ?1", [id])?;
            self.transaction.execute("DELETE FROM server WHERE id = ?1", [id])?;
        }
        Ok(found.len() as u64)
    }
}

/// Whether a log names the server by this address or name.
fn is_named(logged: &LoggedServer, host: &str, ip: Option<IpAddr>) -> bool {
    let same = |name: &str| name.eq_ignore_ascii_case(host.trim_end_matches('.'));
    let own = match logged {
        LoggedServer::Flow { host: Host::Name(name), .. } => same(name),
        LoggedServer::Flow { .. } => false,
        LoggedServer::Mail { name, ip: own, .. } => same(name) || (ip.is_some() && *own == ip),
    };
    own || logged.endpoints().any(|end| Some(end.ip) == ip)
}
