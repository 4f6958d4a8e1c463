-- Everything that outlives a run. Version 1 (PRAGMA user_version); the application id says whose
-- file it is. Times are microseconds since 1970 in UTC; words are those of the outputs.
-- A run changes this file in one transaction, after everything has been read and judged.

-- ------------------------------------------------------------------------------------ runs.rs

-- One row a run that was committed.
CREATE TABLE run (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    at        INTEGER NOT NULL,               -- when it took place, or --now
    version   TEXT    NOT NULL,               -- of the program
    out       BLOB    NOT NULL,               -- the folder of its outputs, absolute
    delivered INTEGER NOT NULL DEFAULT 0      -- 1 once its outputs are in place
) STRICT;

-- The files of a run whose outputs are not in place yet; gone once they are.
CREATE TABLE output (
    run    INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    place  INTEGER NOT NULL,                  -- in the order of writing
    name   TEXT    NOT NULL,
    sha256 TEXT    NOT NULL,                  -- of the content, in hexadecimal
    PRIMARY KEY (run, place)
) STRICT, WITHOUT ROWID;

-- Their content in parts of at most 1 MiB, each a zstd frame.
CREATE TABLE output_part (
    run     INTEGER NOT NULL,
    place   INTEGER NOT NULL,
    part    INTEGER NOT NULL,
    content BLOB    NOT NULL,
    PRIMARY KEY (run, place, part),
    FOREIGN KEY (run, place) REFERENCES output ON DELETE CASCADE
) STRICT;

-- --------------------------------------------------------------------------------- tickets.rs

-- Every ticket that a run told, as the last one left it.
CREATE TABLE ticket (
    id            TEXT PRIMARY KEY,
    status        TEXT NOT NULL,
    priority      TEXT NOT NULL,
    verdict       TEXT NOT NULL,
    due           INTEGER,
    first_seen    INTEGER,                    -- unexpected evidence
    last_seen     INTEGER,
    told_status   TEXT,                       -- what readers of the outputs know; null: nothing
    told_priority TEXT,
    told_verdict  TEXT
) STRICT, WITHOUT ROWID;

-- Other ids of a ticket: from before the policy named its asset, or gave it another id.
CREATE TABLE ticket_alias (
    alias  TEXT PRIMARY KEY,
    ticket TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What became of tickets: a row each time that a run changed status or priority.
CREATE TABLE ticket_event (
    run          INTEGER NOT NULL REFERENCES run,
    at           INTEGER NOT NULL,            -- when the run took place
    ticket       TEXT    NOT NULL,
    old_status   TEXT,                        -- null where there was no ticket
    old_priority TEXT,
    new_status   TEXT    NOT NULL,
    new_priority TEXT    NOT NULL,
    PRIMARY KEY (ticket, run)
) STRICT, WITHOUT ROWID;

-- -------------------------------------------------------------------------------- findings.rs

-- Ports of hosts that are targets or have tickets: what the newest scan that named them says, and
-- the newest that could have named them and did not.
CREATE TABLE finding (
    host      TEXT    NOT NULL,               -- address, else name
    port      INTEGER NOT NULL,
    ticket    TEXT,                           -- null where there is none yet
    ip        TEXT,
    fqdn      TEXT,
    names     TEXT    NOT NULL,               -- a JSON list
    facts     TEXT    NOT NULL,               -- JSON
    opened    INTEGER,                        -- end of the first scan that has it
    seen_at   INTEGER,                        -- end of the newest scan that has it
    gone_at   INTEGER,                        -- end of the newest that could have reported it
    gone_scan TEXT,                           -- and did not, and its name
    PRIMARY KEY (host, port)
) STRICT, WITHOUT ROWID;

-- Addresses that scans gave as their scanner's.
CREATE TABLE scanner (
    address TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- --------------------------------------------------------------------------------- cursors.rs

-- A content of a log, known by hashes of its decompressed text whatever file holds it, how far it
-- was read, and what it covers. Evidence cites lines of it by its id.
CREATE TABLE content (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    path          BLOB    NOT NULL,           -- the last known
    kind          TEXT    NOT NULL,           -- firewall, mail, log
    seen          INTEGER NOT NULL,           -- day since 1970 of the last run that found it
    read_to       INTEGER NOT NULL,           -- bytes of the text
    lines         INTEGER NOT NULL,           -- before read_to
    head_length   INTEGER NOT NULL,           -- first bytes that are hashed; 0: not known again
    head          BLOB    NOT NULL,           -- their SHA-256
    tail_length   INTEGER NOT NULL,           -- last bytes before read_to that are hashed
    tail          BLOB    NOT NULL,
    header_format TEXT,                       -- the header line in force at read_to
    header        BLOB,
    first_time    INTEGER,                    -- of its first timed line
    first_line    INTEGER,                    -- first 8 bytes of that line's SHA-256
    device        INTEGER NOT NULL,           -- the file as it was, only hints
    inode         INTEGER NOT NULL,
    size          INTEGER NOT NULL,
    modified      INTEGER NOT NULL,
    compression   TEXT,
    first_covered INTEGER,                    -- from when to when it speaks
    last_covered  INTEGER,
    formats       TEXT    NOT NULL            -- JSON: lines looked at by format
) STRICT;

-- From when to when a content holds lines of a mail server.
CREATE TABLE content_server (
    content INTEGER NOT NULL REFERENCES content ON DELETE CASCADE,
    name    TEXT    NOT NULL,
    first   INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    PRIMARY KEY (content, name)
) STRICT, WITHOUT ROWID;

-- -------------------------------------------------------------------------------- evidence.rs

-- A server's port as logs name it, and what is known of it whoever the client was.
CREATE TABLE server (
    id     INTEGER PRIMARY KEY,
    logged TEXT NOT NULL UNIQUE,              -- JSON
    facts  TEXT NOT NULL                      -- JSON, content ids in it
) STRICT;

-- What the logs say of one source on one server's port on one UTC day.
CREATE TABLE evidence (
    server INTEGER NOT NULL REFERENCES server,
    source TEXT    NOT NULL,                  -- an address
    day    INTEGER NOT NULL,                  -- since 1970; -2147483648 where lines have no time
    piece  TEXT    NOT NULL,                  -- JSON, content ids in it
    PRIMARY KEY (server, source, day)
) STRICT, WITHOUT ROWID;

-- Which contents hold records of which firewall.
CREATE TABLE firewall (
    name    TEXT    NOT NULL,
    content INTEGER NOT NULL,
    PRIMARY KEY (name, content)
) STRICT, WITHOUT ROWID;

-- Flow ends that are names where an address is needed.
CREATE TABLE named_end (
    name    TEXT    PRIMARY KEY,
    records INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What evidence is kept for: since which run's time, or the policy's tolerance in seconds.
CREATE TABLE kept (
    what  TEXT    NOT NULL,                   -- port, tolerance
    which INTEGER NOT NULL,                   -- the port, or 0
    value INTEGER NOT NULL,
    PRIMARY KEY (what, which)
) STRICT, WITHOUT ROWID;

-- --------------------------------------------------------------------------------- carried.rs

-- What the logs left open, as JSON: sessions, pairs.
CREATE TABLE carried (
    what  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Sessions that a content told, so that another does not tell them again.
CREATE TABLE told (
    content    INTEGER NOT NULL,
    generation INTEGER NOT NULL,              -- 0 previous, 1 current
    sessions   BLOB    NOT NULL,              -- hashes of 8 bytes, little-endian, ascending
    PRIMARY KEY (content, generation)
) STRICT;

-- ----------------------------------------------------------------------------------- scans.rs

-- Exports that runs took in, each once.
CREATE TABLE scan_import (
    name  TEXT    NOT NULL,                   -- of the report
    ended INTEGER,                            -- end of its last host's scan
    hosts INTEGER NOT NULL,
    run   INTEGER NOT NULL REFERENCES run     -- the first that took it in
) STRICT;

-- -------------------------------------------------------------------------------- profiles.rs

-- Ticket systems that runs wrote import files for.
CREATE TABLE profile (
    name TEXT    PRIMARY KEY,
    told INTEGER NOT NULL DEFAULT 0           -- 1 once such files are in place
) STRICT, WITHOUT ROWID;
