-- What a user may say of a consent afterwards: nothing for now, or nothing from then on.
ALTER TABLE consents ADD COLUMN paused_at INTEGER;
ALTER TABLE consents ADD COLUMN ends_at INTEGER;
CREATE INDEX consents_limited ON consents (subject, client) WHERE paused_at IS NOT NULL OR ends_at IS NOT NULL;

-- A user's own history is read without a look at everybody else's.
CREATE INDEX events_by_subject ON events (subject, id) WHERE subject IS NOT NULL;
