-- Artifacts that were verified once; which one serves stands in meta.
CREATE TABLE models (
  fingerprint   TEXT PRIMARY KEY,
  folder        TEXT NOT NULL,
  manifest      TEXT NOT NULL,               -- model.json
  registered_at INTEGER NOT NULL
) WITHOUT ROWID;
