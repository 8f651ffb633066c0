-- Every attribute name that an item has ever carried, or that was declared, with its types.
CREATE TABLE attributes (
  name          TEXT PRIMARY KEY,
  declared_type TEXT,                        -- string | number | boolean | time | strings; NULL: not declared
  types         TEXT NOT NULL,               -- JSON list: types that values may have had
  declared_at   INTEGER,                     -- milliseconds since 1970, UTC
  first_seen_at INTEGER                      -- NULL: no item has carried it
) WITHOUT ROWID;

-- SQL cannot tell whether a text is a time. A text that looks like one counts as a string and as a time.
INSERT INTO attributes (name, types, first_seen_at)
SELECT name, json_group_array(type), min(first_seen_at) FROM (
  SELECT name, type, min(first_seen_at) AS first_seen_at FROM (
    SELECT a.key AS name, i.created_at AS first_seen_at,
      CASE a.type WHEN 'true' THEN 'boolean' WHEN 'false' THEN 'boolean' WHEN 'array' THEN 'strings' WHEN 'text' THEN 'string' ELSE 'number' END AS type
    FROM items i, json_each(i.attributes) a
    UNION ALL
    SELECT a.key, i.created_at, 'time' FROM items i, json_each(i.attributes) a
    WHERE a.type = 'text' AND a.value GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9][Tt ][0-9][0-9]:[0-9][0-9]:[0-9][0-9]*'
  ) GROUP BY name, type
) GROUP BY name;
