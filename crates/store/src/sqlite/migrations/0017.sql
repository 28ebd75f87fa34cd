-- What devices asked for (RFC 8628), until it is over. The grant of that number is made by whoever answers.
CREATE TABLE device_requests (
    number INTEGER PRIMARY KEY,
    random INTEGER NOT NULL,
    secret BLOB NOT NULL,
    user_code BLOB NOT NULL UNIQUE,
    client TEXT NOT NULL,
    scope TEXT NOT NULL,
    resources TEXT NOT NULL,
    asked_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    network TEXT NOT NULL,
    agent TEXT NOT NULL
) STRICT;
CREATE INDEX device_requests_by_expiry ON device_requests (expires_at);
