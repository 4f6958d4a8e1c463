//! The state file as a file. In: its path. Out: an open database that is ours, whole, and of a
//! version that we know, with the lock that keeps a second run out; or the reason why not.
//!
//! A file that is refused is not touched: its first 100 bytes are looked at before SQLite may open
//! it (which would roll back a journal lying beside it). A new file takes its name when it is
//! complete, so that no stopped run leaves half of one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::OFlags;

use crate::error::{Error, Kind, Result};

/// `PRAGMA user_version` of the files that this program writes.
pub const VERSION: u32 = 1;

/// `PRAGMA application_id`: "helo".
const APPLICATION: u32 = 0x6865_6c6f;

const SCHEMA: &str = include_str!("schema.sql");

/// First bytes of every SQLite file; fields below by their offset (sqlite.org/fileformat2.html).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const USER_VERSION_AT: usize = 60;
const APPLICATION_AT: usize = 68;
const HEADER: usize = 100;

/// How long to wait for somebody who reads the file with another program.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes the lock that lies beside the file; freed by the kernel with the process, never deleted.
///
/// # Errors
/// [`Kind::Locked`] at once where another run holds it; else [`Kind::Output`].
pub(super) fn lock(path: &Path) -> Result<File> {
    let lock_path = beside(path, ".lock");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(&lock_path)
        .map_err(|error| Error::output(&lock_path, format!("cannot be opened: {error}")))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let message = "another run works with this state; nothing was done";
            Err(Error::output(path, message).with_kind(Kind::Locked))
        }
        Err(TryLockError::Error(error)) => {
            Err(Error::output(&lock_path, format!("cannot be locked: {error}")))
        }
    }
}

/// Magic numbers of network file systems (Linux, `statfs(2)` and `linux/magic.h`).
const NETWORK: [(u32, &str); 10] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
    (0x0102_1997, "9P"),
    (0x7375_7245, "Coda"),
];

/// The network file system that a file lies on, if it is one that the kernel names. One behind FUSE
/// (sshfs) cannot be told from a local one.
pub(super) fn network_file_system(path: &Path) -> Option<&'static str> {
    let magic = file_system_magic(path)?;
    NETWORK.iter().find(|(known, _)| *known == magic).map(|(_, name)| *name)
}

#[cfg(target_os = "linux")]
fn file_system_magic(path: &Path) -> Option<u32> {
    // The type's width differs between architectures; the magic numbers have 32 bits.
    rustix::fs::statfs(path).ok().map(|found| found.f_type as u32)
}

#[cfg(not(target_os = "linux"))]
fn file_system_magic(_path: &Path) -> Option<u32> {
    None
}

/// Makes an empty state where there is no file yet. The caller holds the lock.
pub(super) fn create_if_missing(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    let draft = beside(path, ".new");
    let fault = |error: io::Error| Error::output(&draft, format!("cannot be written: {error}"));
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
        _ => {}
    }
    // SQLite would make a file that others may read.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(fault)?;
    write_schema(&draft).map_err(|error| told(&draft, &error))?;
    File::open(&draft).and_then(|file| file.sync_all()).map_err(fault)?;
    fs::rename(&draft, path).map_err(fault)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new("."))).and_then(|f| f.sync_all()).map_err(fault)
}

fn write_schema(path: &Path) -> rusqlite::Result<()> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // In memory: a draft needs no way back, and no journal beside it.
    connection.pragma_update(None, "journal_mode", "MEMORY")?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    connection.execute_batch(&format!("BEGIN; {SCHEMA} COMMIT;"))?;
    connection.pragma_update(None, "user_version", VERSION)
}

/// Refuses what is no state of ours, without opening it as a database.
pub(super) fn check_header(path: &Path) -> Result<()> {
    let refuse = |message: String| Err(Error::output(path, message).with_kind(Kind::Usage));
    let metadata = path
        .symlink_metadata()
        .map_err(|error| Error::output(path, format!("cannot be read: {error}")))?;
    if !metadata.is_file() {
        return refuse("is no plain file; expected a state file, or a new name".to_owned());
    }
    let mut head = Vec::with_capacity(HEADER);
    File::open(path)
        .and_then(|file| file.take(HEADER as u64).read_to_end(&mut head))
        .map_err(|error| Error::output(path, format!("cannot be read: {error}")))?;
    if head.is_empty() {
        return refuse(
            "is empty, so what earlier runs knew is lost; expected a state file: put a copy back, \
             or remove it to begin anew"
                .to_owned(),
        );
    }
    if head.len() < HEADER
        || !head.starts_with(MAGIC)
        || number(&head, APPLICATION_AT) != APPLICATION
    {
        return refuse(
            "is no state of helotriage and was not touched; expected a state file, or a new name"
                .to_owned(),
        );
    }
    match number(&head, USER_VERSION_AT) {
        VERSION => Ok(()),
        newer if newer > VERSION => refuse(format!(
            "is a state of version {newer}, and was not touched; this program knows version \
             {VERSION}: expected a newer helotriage"
        )),
        older => refuse(format!(
            "is a state of version {older}, which this program cannot read; it was not touched"
        )),
    }
}

/// A big-endian number of the header.
fn number(head: &[u8], at: usize) -> u32 {
    let bytes = head.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u32::from_be_bytes)
}

/// Opens a file whose header was checked, and checks the rest of it.
pub(super) fn connect(path: &Path) -> Result<Connection> {
    checked(path, open(path))
}

/// The same, to look only.
pub(super) fn connect_to_look(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags).and_then(harden);
    checked(path, opened)
}

fn checked(path: &Path, opened: rusqlite::Result<Connection>) -> Result<Connection> {
    let checked = opened.and_then(|connection| {
        let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |r| r.get(0))?;
        Ok((connection, verdict))
    });
    match checked {
        Ok((connection, verdict)) if verdict == "ok" => Ok(connection),
        Ok((_, verdict)) => Err(damaged(path, &verdict)),
        Err(error) => Err(told(path, &error)),
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = harden(Connection::open_with_flags(path, flags)?)?;
    // One file at rest, and nothing that a network file system or a copy of it would miss.
    connection.pragma_update(None, "journal_mode", "DELETE")?;
    connection.pragma_update(None, "synchronous", "EXTRA")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

/// What a file may hold that somebody else wrote is no reason to run anything.
fn harden(connection: Connection) -> rusqlite::Result<Connection> {
    connection.busy_timeout(PATIENCE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

fn damaged(path: &Path, what: &str) -> Error {
    let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
    Error::output(
        path,
        format!(
            "is damaged and was not touched ({what}); put a copy back, or remove it to begin anew"
        ),
    )
}

/// A fault of the database in the words of the operator.
pub(super) fn told(path: &Path, error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            let message = "another program holds the state file; nothing was done";
            Error::output(path, message).with_kind(Kind::Locked)
        }
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) => Error::output(
            path,
            format!(
                "cannot be read ({error}); where a run was stopped while it changed the state, the \
                 next run puts it right"
            ),
        ),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            damaged(path, &error.to_string())
        }
        _ => Error::output(path, format!("the state cannot be read or written: {error}")),
    }
}

/// The path with something appended to its file name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
