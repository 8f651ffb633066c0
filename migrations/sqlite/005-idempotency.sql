-- Answers of batches that carried an Idempotency-Key, for a day.
CREATE TABLE kept_answers (
  key        TEXT PRIMARY KEY,
  digest     TEXT NOT NULL,                  -- SHA-256 of the request
  status     INTEGER NOT NULL,
  answer     TEXT NOT NULL,                  -- JSON
  created_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX kept_answers_by_age ON kept_answers (created_at);
