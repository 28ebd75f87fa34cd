-- What resource servers must hear of, in the order of its commits; written with what it tells of, and swept when no access token is
-- left that it could concern. AUTOINCREMENT: a position is never used twice, so that "everything after N" stays true.
CREATE TABLE revocations (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    about BLOB NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    expires_at INTEGER,
    grant_number INTEGER,
    jti BLOB,
    client TEXT,
    subject TEXT,
    scope TEXT,
    resource TEXT,
    session BLOB,
    tag_key INTEGER,
    online_only INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX revocations_by_time ON revocations (at);

-- Grants that ended before there was this table. Those whose tokens are long over are swept with the next pass.
INSERT INTO revocations (about, at, grant_number)
    SELECT CAST('grant' || number AS BLOB), ended_at, number FROM grants WHERE ended_at IS NOT NULL ORDER BY ended_at, number;
INSERT INTO revocations (about, at, expires_at, jti)
    SELECT CAST(CAST('token' AS BLOB) || jti AS BLOB), high_water, expires_at, jti FROM denied_access, meta;
