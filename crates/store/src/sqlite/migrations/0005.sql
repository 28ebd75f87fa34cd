-- Wide revocations: each ends every grant that it selects, without a write to one of them. What is NULL is no criterion.
CREATE TABLE epochs (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    subject TEXT,
    client TEXT,
    session BLOB,
    tag_key INTEGER,
    scope TEXT,
    resource TEXT,
    issued_before INTEGER,
    online_only INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    detail TEXT NOT NULL,
    undo_until INTEGER,
    undone_at INTEGER
) STRICT;

-- How many there ever were. A grant keeps the count of its making, under its MAC: those of before had none.
ALTER TABLE meta ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE grant_terms ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
-- The browser session in which it was given.
ALTER TABLE grant_terms ADD COLUMN session BLOB;
