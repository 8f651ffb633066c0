-- What is erased leaves a mark in the change sequence, so that no number is ever given out twice.
CREATE TABLE erasures (
  kind     TEXT PRIMARY KEY,                 -- user | age; says nothing about whom
  sequence INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX events_by_time ON events (at);
ALTER TABLE events ADD COLUMN watch_portion REAL;
