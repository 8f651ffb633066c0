-- What was shown lately, by user, for the rotation of feeds.
CREATE INDEX impressions_by_user ON events (user_id, at, item_id) WHERE type = 'impression';
-- How often an item was shown, for the budget of exploration.
CREATE INDEX impressions_by_item ON events (item_id) WHERE type = 'impression';
