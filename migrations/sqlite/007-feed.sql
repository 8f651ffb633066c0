-- The change feed reads items and tombstones by sequence; without it, each page would read all tombstones.
CREATE INDEX tombstones_by_sequence ON tombstones (sequence);
