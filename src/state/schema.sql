-- Everything that outlives a run. Version 1 (PRAGMA user_version); the application id says whose
-- file it is. Times are microseconds since 1970 in UTC; texts are as in the outputs.
-- A run changes this file in one transaction, after everything has been read and judged.

-- ------------------------------------------------------------------------------------ runs.rs

-- One row a run that was committed.
CREATE TABLE run (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    at        INTEGER NOT NULL,               -- the run's reference time
    version   TEXT    NOT NULL,               -- of the program
    out       BLOB    NOT NULL,               -- the folder of its outputs, absolute
    delivered INTEGER NOT NULL DEFAULT 0      -- 1 once its outputs are in place
) STRICT;
