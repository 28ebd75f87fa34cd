-- A session keeps its name when its user logs in again under another cookie.
ALTER TABLE sessions ADD COLUMN root BLOB;
UPDATE sessions SET root = id;
CREATE INDEX sessions_by_root ON sessions (root);

-- Which clients were logged in to in which session.
CREATE TABLE logins (
    session BLOB NOT NULL,
    client TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (session, client)
) STRICT, WITHOUT ROWID;
CREATE INDEX logins_by_expiry ON logins (expires_at);

-- Who is to hear of which logout. AUTOINCREMENT: a position is never used twice.
CREATE TABLE logout_notices (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    client TEXT NOT NULL,
    subject TEXT NOT NULL,
    session BLOB NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX logout_notices_by_client ON logout_notices (client, id);
