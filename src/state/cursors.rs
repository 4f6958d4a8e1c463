//! Contents of logs: how far each was read, and what it covers. In: what became of a run's inputs.
//! Out: the cursors that the next run goes on from, and for coverage what earlier inputs spoke of.
//!
//! A content is a text, whatever files held it since: its row moves on as it grows. Files rotate
//! away long before what they told is forgotten, so a row outlives its file.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rusqlite::{Connection, Row, named_params};

use crate::error::Result;
use crate::logs::{firewall, mail};
use crate::model::input::{InputKind, InputReport, Span};
use crate::model::reading::{FirstLine, HeaderLine, Print, Reached, Stamp};
use crate::model::time::Timestamp;
use crate::state::{Changes, State};

/// Days after which a content that no run has found is not looked for any more.
const LOST_DAYS: i32 = 400;

/// A content of earlier runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Its lasting id.
    pub id: i64,
    /// How far it was read; none where it cannot be known again (standard input, long lost).
    pub reached: Option<Reached>,
    /// The time of its first timed line.
    pub first: Option<FirstLine>,
    /// Its last known path, its kind and what it covers; nothing else of a report.
    pub covers: InputReport,
}

impl State {
    /// All contents, by id.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`], as for all that follow.
    pub fn contents(&self) -> Result<Vec<Content>> {
        self.read_contents().map_err(|error| self.fault(&error))
    }

    fn read_contents(&self) -> rusqlite::Result<Vec<Content>> {
        let mut servers = servers(&self.connection)?;
        let mut statement = self.connection.prepare("SELECT * FROM content ORDER BY id")?;
        let rows = statement.query_map([], content)?;
        rows.map(|row| {
            let mut row = row?;
            row.covers.servers = servers.remove(&row.id).unwrap_or_default();
            Ok(row)
        })
        .collect()
    }
}

type Servers = BTreeMap<Box<str>, Span>;

fn servers(connection: &Connection) -> rusqlite::Result<BTreeMap<i64, Servers>> {
    let mut servers: BTreeMap<i64, Servers> = BTreeMap::new();
    let mut statement =
        connection.prepare("SELECT content, name, first, last FROM content_server")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let span = Span { first: Timestamp(row.get(2)?), last: Timestamp(row.get(3)?) };
        servers.entry(row.get(0)?).or_default().insert(row.get::<_, String>(1)?.into(), span);
    }
    Ok(servers)
}

fn content(row: &Row<'_>) -> rusqlite::Result<Content> {
    let bytes: Vec<u8> = row.get("path")?;
    let kind: String = row.get("kind")?;
    let mut covers = InputReport::new(PathBuf::from(OsStr::from_bytes(&bytes)), kind_of(&kind));
    let time = |name: &str| row.get::<_, Option<i64>>(name).map(|time| time.map(Timestamp));
    covers.span =
        time("first_covered")?.zip(time("last_covered")?).map(|(first, last)| Span { first, last });
    let formats: String = row.get("formats")?;
    let formats: BTreeMap<String, u64> = serde_json::from_str(&formats).unwrap_or_default();
    covers.formats =
        formats.into_iter().filter_map(|(f, n)| Some((format_named(&f)?, n))).collect();
    let hash: Option<i64> = row.get("first_line")?;
    let first = time("first_time")?.zip(hash).map(|(time, hash)| FirstLine { time, hash });
    let reached = reached(row, first)?;
    let reached = (reached.head.length > 0).then_some(reached);
    Ok(Content { id: row.get("id")?, reached, first, covers })
}

fn reached(row: &Row<'_>, first: Option<FirstLine>) -> rusqlite::Result<Reached> {
    let number = |name: &str| row.get::<_, i64>(name).map(i64::cast_unsigned);
    let print = |length: &str, hash: &str| -> rusqlite::Result<Print> {
        Ok(Print { length: row.get(length)?, hash: row.get(hash)? })
    };
    let format: Option<String> = row.get("header_format")?;
    let line: Option<Vec<u8>> = row.get("header")?;
    let compression: Option<String> = row.get("compression")?;
    Ok(Reached {
        offset: number("read_to")?,
        lines: number("lines")?,
        head: print("head_length", "head")?,
        tail: print("tail_length", "tail")?,
        header: format
            .zip(line)
            .map(|(format, line)| HeaderLine { format: format.into(), line: line.into() }),
        first,
        stamp: Stamp {
            device: number("device")?,
            inode: number("inode")?,
            size: number("size")?,
            modified: Timestamp(row.get("modified")?),
            compression: compression.map(Into::into),
        },
    })
}

fn format_named(name: &str) -> Option<&'static str> {
    let firewalls = firewall::FORMATS.iter().map(|format| format.name());
    let mut all = firewalls.chain(mail::FORMATS.iter().map(|format| format.name()));
    all.find(|known| *known == name)
}

fn kind_of(word: &str) -> InputKind {
    match word {
        "firewall" => InputKind::Firewall,
        "mail" => InputKind::Mail,
        _ => InputKind::Log,
    }
}

fn word_of(kind: InputKind) -> &'static str {
    match kind {
        InputKind::Firewall => "firewall",
        InputKind::Mail => "mail",
        InputKind::Log | InputKind::Scan => "log",
    }
}

const PUT: &str = "
INSERT INTO content VALUES (:id, :path, :kind, :seen, :read_to, :lines, :head_length, :head,
    :tail_length, :tail, :header_format, :header, :first_time, :first_line, :device, :inode, :size,
    :modified, :compression, :first_covered, :last_covered, :formats)
ON CONFLICT (id) DO UPDATE SET path = :path, kind = :kind, seen = :seen, read_to = :read_to,
    lines = :lines, head_length = :head_length, head = :head, tail_length = :tail_length,
    tail = :tail, header_format = :header_format, header = :header, first_time = :first_time,
    first_line = :first_line,    device = :device, inode = :inode, size = :size, modified = :modified,
    compression = :compression, first_covered = :first_covered, last_covered = :last_covered,
    formats = :formats";

impl Changes<'_> {
    /// Writes a content's row, a new one where it has no id yet; gives the id. `covers` is all that
    /// it covers, `today` the day of the run.
    pub fn put_content(
        &self,
        id: Option<i64>,
        (reached, covers): (&Reached, &InputReport),
        today: i32,
    ) -> Result<i64> {
        let put = || -> rusqlite::Result<i64> {
            let id = self.put_row(id, reached, covers, today)?;
            self.put_servers(id, &covers.servers)?;
            Ok(id)
        };
        put().map_err(|error| self.fault(&error))
    }

    fn put_row(
        &self,
        id: Option<i64>,
        reached: &Reached,
        covers: &InputReport,
        today: i32,
    ) -> rusqlite::Result<i64> {
        let Reached { head, tail, stamp, header, .. } = reached;
        let time = |time: Option<Timestamp>| time.map(|time| time.0);
        let formats = serde_json::to_string(&covers.formats).unwrap_or_default();
        self.transaction.prepare(PUT)?.execute(named_params! {
            ":id": id,
            ":path": covers.path.as_os_str().as_bytes(),
            ":kind": word_of(covers.kind),
            ":seen": today,
            ":read_to": reached.offset.cast_signed(),
            ":lines": reached.lines.cast_signed(),
            ":head_length": head.length,
            ":head": head.hash,
            ":tail_length": tail.length,
            ":tail": tail.hash,
            ":header_format": header.as_ref().map(|header| &*header.format),
            ":header": header.as_ref().map(|header| &*header.line),
            ":first_time": time(reached.first.map(|first| first.time)),
            ":first_line": reached.first.map(|first| first.hash),
            ":device": stamp.device.cast_signed(),
            ":inode": stamp.inode.cast_signed(),
            ":size": stamp.size.cast_signed(),
            ":modified": stamp.modified.0,
            ":compression": stamp.compression.as_deref(),
            ":first_covered": time(covers.span.map(|span| span.first)),
            ":last_covered": time(covers.span.map(|span| span.last)),
            ":formats": formats,
        })?;
        Ok(id.unwrap_or_else(|| self.transaction.last_insert_rowid()))
    }

    fn put_servers(&self, id: i64, servers: &Servers) -> rusqlite::Result<()> {
        let sql = "INSERT OR REPLACE INTO content_server VALUES (?1, ?2, ?3, ?4)";
        let mut put = self.transaction.prepare(sql)?;
        for (name, span) in servers {
            put.execute((id, &**name, span.first.0, span.last.0))?;
        }
        Ok(())
    }

    /// Notes that contents were found by a run of that day although nothing of them was new.
    pub fn touch_contents(&self, ids: &BTreeSet<i64>, today: i32) -> Result<()> {
        let touch = || -> rusqlite::Result<()> {
            let sql = "UPDATE content SET seen = ?2 WHERE id = ?1";
            let mut touch = self.transaction.prepare(sql)?;
            ids.iter().try_for_each(|id| touch.execute((id, today)).map(drop))
        };
        touch().map_err(|error| self.fault(&error))
    }

    /// Gives up looking for contents that no run has found for long. What they told stays.
    pub fn forget_lost_contents(&self, today: i32) -> Result<()> {
        let before = today.saturating_sub(LOST_DAYS);
        let forget = || -> rusqlite::Result<()> {
            let sql = "DELETE FROM content WHERE seen < ?1 AND first_covered IS NULL";
            self.transaction.execute(sql, [before])?;
            let sql = "UPDATE content SET head_length = 0 WHERE seen < ?1";
            self.transaction.execute(sql, [before]).map(drop)
        };
        forget().map_err(|error| self.fault(&error))
    }
}
