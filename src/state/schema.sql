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

-- Ports of hosts that tickets are about: what the newest scan that named them says, and the newest
-- that could have named them and did not.
CREATE TABLE finding (
    host      TEXT    NOT NULL,               -- address, else name
    port      INTEGER NOT NULL,
    ticket    TEXT    NOT NULL,
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
