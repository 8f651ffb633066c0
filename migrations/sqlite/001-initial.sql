-- One change sequence runs through items, tombstones and events; the writer allocates it.
CREATE TABLE items (
  item_id        TEXT PRIMARY KEY,
  title          TEXT,
  author_id      TEXT,
  attributes     TEXT NOT NULL,              -- JSON object
  available_from INTEGER,                    -- milliseconds since 1970, UTC
  expires_at     INTEGER,
  hidden         INTEGER NOT NULL DEFAULT 0,
  created_at     INTEGER NOT NULL,
  updated_at     INTEGER NOT NULL,
  sequence       INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX items_by_sequence ON items (sequence);

-- Large blobs stand apart, so that listing items does not read them.
CREATE TABLE hidden_states (
  item_id TEXT PRIMARY KEY REFERENCES items (item_id) ON DELETE CASCADE,
  dtype   TEXT NOT NULL,                     -- float16 | float32, little-endian, row-major
  layers  INTEGER NOT NULL,
  width   INTEGER NOT NULL,
  data    BLOB NOT NULL
);

-- Derived: can always be made again from hidden states and the model of that fingerprint.
CREATE TABLE vectors (
  fingerprint TEXT NOT NULL,
  item_id     TEXT NOT NULL REFERENCES items (item_id) ON DELETE CASCADE,
  id_share    REAL NOT NULL,
  vector      BLOB NOT NULL,                 -- float32 [d]
  PRIMARY KEY (fingerprint, item_id)
) WITHOUT ROWID;
CREATE INDEX vectors_by_item ON vectors (item_id);

CREATE TABLE tombstones (
  item_id  TEXT PRIMARY KEY,
  sequence INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE events (
  sequence          INTEGER PRIMARY KEY,
  event_id          TEXT NOT NULL UNIQUE,
  user_id           TEXT NOT NULL,
  item_id           TEXT NOT NULL,
  type              TEXT NOT NULL,
  at                INTEGER NOT NULL,        -- milliseconds since 1970, UTC
  watch_ms          INTEGER,
  duration_ms       INTEGER,
  recommendation_id TEXT,
  positive          INTEGER NOT NULL
);
CREATE INDEX positives_by_user ON events (user_id, at, sequence, item_id, type) WHERE positive = 1;
CREATE INDEX seen_by_user ON events (user_id, at, item_id) WHERE type <> 'impression';

CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;
