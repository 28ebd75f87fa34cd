-- The schema of a deployment of many nodes. u64 columns hold the bit pattern as bigint, u32 columns as integer; times are milliseconds
-- since the epoch. No foreign keys and no sequences: each row stands alone, and a distributed engine can hash-partition the tables of
-- grants by their number. Texts are compared byte by byte; U+0000, which PostgreSQL cannot keep, is escaped (see values.rs).

-- The hot half of a grant: one small row, the only thing a refresh changes. No index holds a column that changes, and a page has room
-- for the next version: an update stays on its page (HOT), and the old version goes without a vacuum.
CREATE TABLE grants (
    number bigint PRIMARY KEY,
    random bigint NOT NULL,
    version bigint NOT NULL,
    write_id bigint NOT NULL,
    rotated_at bigint NOT NULL,
    previously_rotated_at bigint NOT NULL,
    answered_at bigint NOT NULL,
    idle_at bigint NOT NULL,
    absolute_at bigint NOT NULL,
    ended_at bigint,
    redeemed_at bigint,
    generation integer NOT NULL,
    seed_key integer NOT NULL,
    retries integer NOT NULL,
    era integer NOT NULL,
    tag_key smallint NOT NULL,
    end_reason smallint,
    mac_key smallint NOT NULL,
    mac bytea NOT NULL,
    current bytea,
    ratchet bytea,
    retry_proof bytea
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

-- The cold half: written once, under the same MAC.
CREATE TABLE grant_terms (
    number bigint PRIMARY KEY,
    authenticated_at bigint NOT NULL,
    created_at bigint NOT NULL,
    epoch bigint NOT NULL,
    code_expires_at bigint,
    binding smallint NOT NULL,
    rotation smallint NOT NULL,
    refreshable smallint NOT NULL,
    client text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    scope text COLLATE "C" NOT NULL,
    resources text COLLATE "C" NOT NULL,
    binding_key bytea,
    code_secret bytea,
    code_challenge bytea,
    code_redirect_uri bytea,
    session bytea,
    openid text COLLATE "C"
);
CREATE INDEX grant_terms_by_client ON grant_terms (client, number);
CREATE INDEX grant_terms_by_subject ON grant_terms (subject, number);

-- Where a grant was made and where it was used last: written when it changes, and not with each refresh.
CREATE TABLE grant_places (
    number bigint PRIMARY KEY,
    first_at bigint NOT NULL,
    first_network text COLLATE "C" NOT NULL,
    first_agent text COLLATE "C" NOT NULL,
    last_at bigint NOT NULL,
    last_network text COLLATE "C" NOT NULL,
    last_agent text COLLATE "C" NOT NULL
);

CREATE TABLE clients (
    id text COLLATE "C" PRIMARY KEY,
    definition text COLLATE "C" NOT NULL
);

CREATE TABLE users (
    subject text COLLATE "C" PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    password text COLLATE "C" NOT NULL,
    disabled_at bigint,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    version bigint NOT NULL,
    attributes text COLLATE "C" NOT NULL
);

CREATE TABLE sessions (
    id bytea PRIMARY KEY,
    root bytea NOT NULL,
    subject text COLLATE "C" NOT NULL,
    authenticated_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    acr text COLLATE "C" NOT NULL,
    amr text COLLATE "C" NOT NULL,
    claims text COLLATE "C" NOT NULL
);
CREATE INDEX sessions_by_subject ON sessions (subject);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_root ON sessions (root);

CREATE TABLE logins (
    session bytea NOT NULL,
    client text COLLATE "C" NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (session, client)
);
CREATE INDEX logins_by_expiry ON logins (expires_at);

CREATE TABLE logout_notices (
    id bigint PRIMARY KEY,
    client text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    session bytea NOT NULL,
    at bigint NOT NULL
);
CREATE INDEX logout_notices_by_client ON logout_notices (client, id);

CREATE TABLE device_requests (
    number bigint PRIMARY KEY,
    random bigint NOT NULL,
    secret bytea NOT NULL,
    user_code bytea NOT NULL UNIQUE,
    client text COLLATE "C" NOT NULL,
    scope text COLLATE "C" NOT NULL,
    resources text COLLATE "C" NOT NULL,
    asked_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    network text COLLATE "C" NOT NULL,
    agent text COLLATE "C" NOT NULL
);
CREATE INDEX device_requests_by_expiry ON device_requests (expires_at);

CREATE TABLE consents (
    subject text COLLATE "C" NOT NULL,
    client text COLLATE "C" NOT NULL,
    scope text COLLATE "C" NOT NULL,
    resources text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    paused_at bigint,
    ends_at bigint,
    PRIMARY KEY (subject, client)
);

CREATE TABLE denied_access (
    jti bytea PRIMARY KEY,
    expires_at bigint NOT NULL
);
CREATE INDEX denied_access_by_expiry ON denied_access (expires_at);

CREATE TABLE used_once (
    key bytea PRIMARY KEY,
    expires_at bigint NOT NULL
);
CREATE INDEX used_once_by_end ON used_once (expires_at);

CREATE TABLE registration_tokens (
    hash bytea PRIMARY KEY,
    label text COLLATE "C" NOT NULL,
    uses bigint NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL
);

CREATE TABLE login_failures (
    key bytea PRIMARY KEY,
    last_at bigint NOT NULL,
    forgotten_at bigint NOT NULL
);
CREATE INDEX login_failures_by_end ON login_failures (forgotten_at);

-- A chain: each row carries a link over the one before it. Positions come from the ledger, so that none is seen before an earlier one.
CREATE TABLE events (
    id bigint PRIMARY KEY,
    at bigint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    reason text COLLATE "C",
    grant_number bigint,
    client text COLLATE "C",
    subject text COLLATE "C",
    detail text COLLATE "C" NOT NULL,
    correlation text COLLATE "C" NOT NULL,
    minute bigint,
    link bytea
);
CREATE INDEX events_by_grant ON events (grant_number, id) WHERE grant_number IS NOT NULL;
CREATE INDEX events_by_subject ON events (subject, id) WHERE subject IS NOT NULL;
-- At most one per grant (or where there is none, per user), kind, reason and minute.
CREATE UNIQUE INDEX events_once_a_minute
    ON events (minute, kind, coalesce(reason, ''), (CASE WHEN grant_number IS NULL THEN coalesce(subject, '') ELSE '' END),
        coalesce(grant_number, 0), (grant_number IS NULL)) WHERE minute IS NOT NULL;

CREATE TABLE deliveries (
    recipient text COLLATE "C" PRIMARY KEY,
    position bigint NOT NULL
);
CREATE TABLE dead_letters (
    recipient text COLLATE "C" NOT NULL,
    event bigint NOT NULL,
    at bigint NOT NULL,
    failure text COLLATE "C" NOT NULL,
    PRIMARY KEY (recipient, event)
);

CREATE TABLE keys (
    kind text COLLATE "C" NOT NULL,
    id bigint NOT NULL,
    status text COLLATE "C" NOT NULL,
    algorithm text COLLATE "C" NOT NULL,
    wrapped bytea,
    outlived_by bigint NOT NULL,
    created_at bigint NOT NULL,
    current_at bigint,
    verify_at bigint,
    gone_at bigint,
    PRIMARY KEY (kind, id)
);
-- The bytes of seed keys, in a table of their own, which backups leave out: a dropped seed key must be gone.
CREATE TABLE seed_keys (
    id bigint PRIMARY KEY,
    wrapped bytea NOT NULL
);

CREATE TABLE epochs (
    number bigint PRIMARY KEY,
    at bigint NOT NULL,
    subject text COLLATE "C",
    client text COLLATE "C",
    session bytea,
    tag_key bigint,
    scope text COLLATE "C",
    resource text COLLATE "C",
    issued_before bigint,
    online_only bigint NOT NULL,
    reason bigint NOT NULL,
    detail text COLLATE "C" NOT NULL,
    undo_until bigint,
    undone_at bigint,
    but_session bytea,
    among text COLLATE "C"
);
CREATE INDEX epochs_by_session ON epochs (session) WHERE session IS NOT NULL;
CREATE INDEX epochs_by_subject ON epochs (subject) WHERE session IS NULL AND subject IS NOT NULL;
CREATE INDEX epochs_by_client ON epochs (client) WHERE session IS NULL AND subject IS NULL AND client IS NOT NULL;
CREATE INDEX epochs_broad ON epochs (number) WHERE session IS NULL AND subject IS NULL AND client IS NULL;

CREATE TABLE revocations (
    position bigint PRIMARY KEY,
    about bytea NOT NULL,
    at bigint NOT NULL,
    expires_at bigint,
    grant_number bigint,
    jti bytea,
    client text COLLATE "C",
    subject text COLLATE "C",
    scope text COLLATE "C",
    resource text COLLATE "C",
    session bytea,
    tag_key bigint,
    online_only bigint NOT NULL,
    issued_before bigint,
    bulk bigint,
    taken_back bigint,
    but_session bytea,
    among text COLLATE "C"
);
-- What it is about may be longer than a row of an index.
CREATE UNIQUE INDEX revocations_by_what ON revocations (sha256(about));
CREATE INDEX revocations_by_time ON revocations (at);

-- The deployment's one row. Its identity is NULL until the store is initialised.
CREATE TABLE meta (
    single bigint PRIMARY KEY CHECK (single = 1),
    deployment bytea,
    root_check bytea,
    era bigint NOT NULL,
    next_grant bigint NOT NULL,
    high_water bigint NOT NULL,
    lost_from bigint,
    lost_until bigint,
    unproven text COLLATE "C"
);
INSERT INTO meta (single, era, next_grant, high_water) VALUES (1, 0, 1, 0);

-- What has an order among all nodes: whoever adds to it holds this row until its commit. Refreshes do not. `restrictions` rises with
-- everything that may end or limit grants without a write to them, `clients` and `keys` with each change of one: nodes compare.
-- `seal` holds the ends of the chain, `epoch` and the sums over the rows of epochs and keys (seal.rs); a store that was moved has a seal
-- and no sums yet.
CREATE TABLE ledger (
    single bigint PRIMARY KEY CHECK (single = 1),
    removed bigint NOT NULL,
    removed_link bytea NOT NULL,
    newest bigint NOT NULL,
    newest_link bytea NOT NULL,
    revocation bigint NOT NULL,
    notice bigint NOT NULL,
    epoch bigint NOT NULL,
    restrictions bigint NOT NULL,
    rewritten bigint NOT NULL,
    clients bigint NOT NULL,
    keys bigint NOT NULL,
    swept bigint NOT NULL,
    seals bigint NOT NULL,
    sealed_epochs bytea,
    sealed_keys bytea,
    seal bytea NOT NULL
) WITH (fillfactor = 10);
INSERT INTO ledger (single, removed, removed_link, newest, newest_link, revocation, notice, epoch, restrictions, rewritten, clients, keys,
    swept, seals, seal)
    VALUES (1, 0, decode(repeat('00', 32), 'hex'), 0, decode(repeat('00', 32), 'hex'), 0, 0, 0, 0, 0, 0, 0, 0, 0, '');

-- What nodes were told of and the database knows nothing of: a standby that had not heard of it has taken over. Nothing is decided as
-- long as there is a row of the present era (see doubt.rs).
CREATE TABLE lost_commits (
    node text COLLATE "C" PRIMARY KEY,
    era bigint NOT NULL,
    known bigint NOT NULL,
    known_at bigint NOT NULL,
    told bigint NOT NULL,
    told_at bigint NOT NULL
);

-- One row for each node, written by it alone with each of its commits: the newest time, and how many commits it was told of. Those of
-- nodes that were killed are swept after a day, and counted in the ledger.
CREATE TABLE nodes (
    id text COLLATE "C" PRIMARY KEY,
    version text COLLATE "C" NOT NULL,
    commits bigint NOT NULL,
    high_water bigint NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);
