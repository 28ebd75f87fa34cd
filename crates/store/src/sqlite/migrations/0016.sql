-- Tokens with which clients can be registered, by their hash.
CREATE TABLE registration_tokens (
    hash BLOB PRIMARY KEY,
    label TEXT NOT NULL,
    uses INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
