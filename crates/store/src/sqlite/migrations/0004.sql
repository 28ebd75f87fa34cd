-- Failed log-ins, under keyed hashes of who and where: the table tells neither names nor addresses.
CREATE TABLE login_failures (
    key BLOB PRIMARY KEY,
    last_at INTEGER NOT NULL,
    forgotten_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX login_failures_by_end ON login_failures (forgotten_at);
