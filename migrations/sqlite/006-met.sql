-- What a user met lately, in the order in which requests read it and with all that they read of it.
DROP INDEX seen_by_user;
CREATE INDEX met_by_user ON events (user_id, at, sequence, item_id, positive, type) WHERE type <> 'impression';
