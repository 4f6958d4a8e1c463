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
