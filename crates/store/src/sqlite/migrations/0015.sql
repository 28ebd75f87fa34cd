-- What was used and is not taken again before it expires by itself: assertions of clients, by a hash of client and jti.
CREATE TABLE used_once (
    key BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX used_once_by_end ON used_once (expires_at);
