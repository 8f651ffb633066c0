-- The change sequence. A change of the transaction with the id x has the sequence (xid_offset + x) * 1024 + its place among the
-- changes of that transaction, below 1024; where there are more, neighbours share a sequence. Everything below the oldest running transaction is settled: a reader that stops there skips nothing,
-- whatever the order of the commits. The offset grows when the server that hands out transaction ids is another one.
CREATE TABLE sequence_origin (
  only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  xid_offset        bigint NOT NULL,
  system_identifier bigint NOT NULL,
  timeline          bigint NOT NULL,
  trimmed           bigint NOT NULL          -- changes up to this sequence are no longer in the table of changes
);

CREATE FUNCTION wal_timeline() RETURNS bigint LANGUAGE sql STABLE AS
$$ SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint $$;

INSERT INTO sequence_origin (xid_offset, system_identifier, timeline, trimmed)
SELECT 0, system_identifier, wal_timeline(), 0 FROM pg_control_system();

-- The sequence before the first change of this transaction; NULL: this server has not been adopted yet.
CREATE FUNCTION change_base() RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT (o.xid_offset + pg_current_xact_id()::text::bigint) * 1024
   FROM sequence_origin o, pg_control_system() s WHERE o.timeline = wal_timeline() AND o.system_identifier = s.system_identifier $$;

-- No change with a smaller sequence comes any more; NULL as above. Stable: it looks at the snapshot of the statement that calls it. A
-- volatile function would look at a newer one, and rows below the horizon could be missing from the statement's own.
CREATE FUNCTION change_horizon() RETURNS bigint LANGUAGE sql STABLE AS
$$ SELECT (o.xid_offset + pg_snapshot_xmin(pg_current_snapshot())::text::bigint) * 1024
   FROM sequence_origin o, pg_control_system() s WHERE o.timeline = wal_timeline() AND o.system_identifier = s.system_identifier $$;

-- What readers follow, but for events, which carry their sequence themselves. Rows are kept for a day.
CREATE TABLE changes (
  sequence bigint NOT NULL,
  kind     text NOT NULL,                    -- put | fields | delete: of an item; erasure; attribute
  key      text COLLATE "C" NOT NULL,        -- item_id; user_id, or empty for old events; name
  detail   text,                             -- erasure: JSON of what was taken
  at       timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (sequence, kind, key)
);
CREATE INDEX changes_by_time ON changes (at);

CREATE TABLE items (
  item_id        text COLLATE "C" PRIMARY KEY,
  title          text,
  author_id      text,
  attributes     text NOT NULL,              -- JSON object; jsonb would refuse \u0000 and change numbers
  available_from bigint,                     -- milliseconds since 1970, UTC
  expires_at     bigint,
  hidden         boolean NOT NULL DEFAULT false,
  created_at     bigint NOT NULL,
  updated_at     bigint NOT NULL,
  sequence       bigint NOT NULL
);
CREATE INDEX items_by_sequence ON items (sequence);

CREATE TABLE tombstones (
  item_id  text COLLATE "C" PRIMARY KEY,
  sequence bigint NOT NULL
);
CREATE INDEX tombstones_by_sequence ON tombstones (sequence);

-- Large blobs stand apart, so that listing items does not read them. Checksums as in src/store/checksum.ts.
CREATE TABLE hidden_states (
  item_id  text COLLATE "C" PRIMARY KEY REFERENCES items (item_id) ON DELETE CASCADE,
  dtype    text NOT NULL,                    -- float16 | float32, little-endian, row-major
  layers   integer NOT NULL,
  width    integer NOT NULL,
  data     bytea NOT NULL,
  checksum bigint NOT NULL
);
ALTER TABLE hidden_states ALTER COLUMN data SET STORAGE EXTERNAL; -- floats do not compress

-- Derived: can always be made again from hidden states and the model of that fingerprint.
CREATE TABLE vectors (
  fingerprint text COLLATE "C" NOT NULL,
  item_id     text COLLATE "C" NOT NULL REFERENCES items (item_id) ON DELETE CASCADE,
  id_share    double precision NOT NULL,
  vector      bytea NOT NULL,                -- float32 [d]
  checksum    bigint NOT NULL,
  PRIMARY KEY (fingerprint, item_id)
);
CREATE INDEX vectors_by_item ON vectors (item_id);

-- A partitioned table cannot keep event_id unique: the ids stand in a table of their own.
CREATE TABLE event_ids (
  event_id text COLLATE "C" PRIMARY KEY
);

CREATE TABLE events (
  sequence          bigint NOT NULL,
  place             integer NOT NULL,        -- of events with one sequence
  event_id          text COLLATE "C" NOT NULL,
  user_id           text COLLATE "C" NOT NULL,
  item_id           text COLLATE "C" NOT NULL,
  type              text NOT NULL,
  at                bigint NOT NULL,         -- milliseconds since 1970, UTC
  watch_ms          double precision,
  duration_ms       double precision,
  watch_portion     double precision,
  recommendation_id text,
  positive          boolean NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX events_by_sequence ON events (sequence);
CREATE INDEX events_by_time ON events (at);
CREATE INDEX positives_by_user ON events (user_id, at DESC, sequence DESC, place DESC) INCLUDE (item_id, type) WHERE positive;
CREATE INDEX met_by_user ON events (user_id, at DESC, sequence DESC, place DESC) INCLUDE (item_id, positive) WHERE type <> 'impression';
CREATE INDEX impressions_by_user ON events (user_id, at, item_id) WHERE type = 'impression';
CREATE TABLE events_other PARTITION OF events DEFAULT; -- times for which there is no month

CREATE TABLE attributes (
  name          text COLLATE "C" PRIMARY KEY,
  declared_type text,                        -- string | number | boolean | time | strings; NULL: not declared
  types         text NOT NULL,               -- JSON list: types that values may have had
  declared_at   bigint,
  first_seen_at bigint                       -- NULL: no item has carried it
);

CREATE TABLE models (
  fingerprint   text COLLATE "C" PRIMARY KEY,
  folder        text NOT NULL,
  manifest      text NOT NULL,               -- model.json
  registered_at bigint NOT NULL
);

CREATE TABLE settings (
  key   text COLLATE "C" PRIMARY KEY,
  value text NOT NULL
);

CREATE TABLE kept_answers (
  key        text COLLATE "C" PRIMARY KEY,
  digest     text NOT NULL,                  -- SHA-256 of the request
  status     integer NOT NULL,
  answer     text NOT NULL,                  -- JSON
  created_at bigint NOT NULL
);
CREATE INDEX kept_answers_by_age ON kept_answers (created_at);

-- Answers as they were given.
CREATE TABLE served (
  recommendation_id text COLLATE "C" PRIMARY KEY,
  at                bigint NOT NULL,
  written           bigint GENERATED ALWAYS AS IDENTITY,
  entry             text NOT NULL            -- JSON
);
CREATE INDEX served_by_time ON served (at);

-- Who serves, renewed by each server. An acknowledged delete waits for those whose lease has not ended.
CREATE TABLE replicas (
  replica_id   text COLLATE "C" PRIMARY KEY,
  name         text NOT NULL,                -- host and port, for people
  version      text NOT NULL,
  fingerprint  text NOT NULL,
  items        bigint NOT NULL,
  applied      bigint NOT NULL,              -- every change up to this sequence is in effect there
  leased_until timestamptz NOT NULL,
  started_at   timestamptz NOT NULL DEFAULT now()
);
