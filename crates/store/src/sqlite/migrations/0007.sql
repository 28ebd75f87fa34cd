-- Events are chained: each row carries a link over the one before it. Rows from before have none, and the chain begins behind them.
ALTER TABLE events ADD COLUMN link BLOB;
-- The ends of the chain: the last row that retention removed, and the newest row.
CREATE TABLE event_chain (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    removed INTEGER NOT NULL,
    removed_link BLOB NOT NULL,
    newest INTEGER NOT NULL,
    newest_link BLOB NOT NULL
) STRICT;
INSERT INTO event_chain (only, removed, removed_link, newest, newest_link)
    SELECT 1, ifnull(max(id), 0), zeroblob(32), ifnull(max(id), 0), zeroblob(32) FROM events;
-- At most one per grant (or where there is none, per user), kind, reason and minute.
DROP INDEX events_once_a_minute;
CREATE UNIQUE INDEX events_once_a_minute
    ON events (minute, kind, ifnull(reason, ''), ifnull(grant_number, ifnull(subject, ''))) WHERE minute IS NOT NULL;

-- How far each recipient of events has come, and what could not be delivered to it.
CREATE TABLE deliveries (
    recipient TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE dead_letters (
    recipient TEXT NOT NULL,
    event INTEGER NOT NULL,
    at INTEGER NOT NULL,
    failure TEXT NOT NULL,
    PRIMARY KEY (recipient, event)
) STRICT, WITHOUT ROWID;

-- Where a grant was made and where it was used last: written when it changes, and not with each refresh.
CREATE TABLE grant_places (
    number INTEGER PRIMARY KEY,
    first_at INTEGER NOT NULL,
    first_network TEXT NOT NULL,
    first_agent TEXT NOT NULL,
    last_at INTEGER NOT NULL,
    last_network TEXT NOT NULL,
    last_agent TEXT NOT NULL
) STRICT;
