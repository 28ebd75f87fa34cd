-- u64 columns hold the bit pattern as i64; times are milliseconds since the epoch. No foreign keys: each row stands alone.

-- The hot half of a grant: one small row, the only thing a refresh changes.
CREATE TABLE grants (
    number INTEGER PRIMARY KEY,
    random INTEGER NOT NULL,
    version INTEGER NOT NULL,
    write_id INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    current BLOB,
    ratchet BLOB,
    tag_key INTEGER NOT NULL,
    era INTEGER NOT NULL,
    seed_key INTEGER NOT NULL,
    rotated_at INTEGER NOT NULL,
    previously_rotated_at INTEGER NOT NULL,
    answered_at INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    retry_proof BLOB,
    idle_at INTEGER NOT NULL,
    absolute_at INTEGER NOT NULL,
    ended_at INTEGER,
    end_reason INTEGER,
    redeemed_at INTEGER,
    mac_key INTEGER NOT NULL,
    mac BLOB NOT NULL
) STRICT;

-- The cold half: written once, under the same MAC.
CREATE TABLE grant_terms (
    number INTEGER PRIMARY KEY,
    client TEXT NOT NULL,
    subject TEXT NOT NULL,
    scope TEXT NOT NULL,
    resources TEXT NOT NULL,
    binding INTEGER NOT NULL,
    binding_key BLOB,
    rotation INTEGER NOT NULL,
    refreshable INTEGER NOT NULL,
    authenticated_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    code_secret BLOB,
    code_challenge BLOB,
    code_redirect_uri BLOB,
    code_expires_at INTEGER
) STRICT;
CREATE INDEX grant_terms_by_client ON grant_terms (client);
CREATE INDEX grant_terms_by_subject ON grant_terms (subject);

CREATE TABLE clients (
    id TEXT PRIMARY KEY,
    definition TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    subject TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    password TEXT NOT NULL,
    disabled_at INTEGER,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id BLOB PRIMARY KEY,
    subject TEXT NOT NULL,
    authenticated_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_subject ON sessions (subject);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE consents (
    subject TEXT NOT NULL,
    client TEXT NOT NULL,
    scope TEXT NOT NULL,
    resources TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (subject, client)
) STRICT, WITHOUT ROWID;

CREATE TABLE denied_access (
    jti BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX denied_access_by_expiry ON denied_access (expires_at);

-- AUTOINCREMENT: a position is never used twice, even if the newest event was swept.
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT,
    grant_number INTEGER,
    client TEXT,
    subject TEXT,
    detail TEXT NOT NULL,
    correlation TEXT NOT NULL,
    minute INTEGER
) STRICT;
CREATE INDEX events_by_grant ON events (grant_number) WHERE grant_number IS NOT NULL;
CREATE INDEX events_by_time ON events (at);
-- At most one per grant (or where there is none, per user), kind and minute.
CREATE UNIQUE INDEX events_once_a_minute ON events (minute, kind, ifnull(grant_number, ifnull(subject, '')))
    WHERE minute IS NOT NULL;

-- A table of its own, which backups leave out: a dropped seed key must be gone.
CREATE TABLE seed_keys (
    id INTEGER PRIMARY KEY,
    algorithm TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE signing_keys (
    id INTEGER PRIMARY KEY,
    algorithm TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- The deployment's one row. Its identity is NULL until the store is initialised.
CREATE TABLE meta (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    deployment BLOB,
    root_check BLOB,
    era INTEGER NOT NULL,
    next_grant INTEGER NOT NULL,
    high_water INTEGER NOT NULL
) STRICT;
INSERT INTO meta (only, deployment, root_check, era, next_grant, high_water) VALUES (1, NULL, NULL, 0, 1, 0);
