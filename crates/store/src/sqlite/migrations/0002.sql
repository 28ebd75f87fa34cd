-- One row per key of every kind, which outlives the key: a number is never used twice. Derived kinds (tag, sealing) have no
-- bytes; those of seed keys stay in seed_keys, which backups leave out.
CREATE TABLE keys (
    kind TEXT NOT NULL,
    id INTEGER NOT NULL,
    status TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    wrapped BLOB,
    outlived_by INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    current_at INTEGER,
    verify_at INTEGER,
    gone_at INTEGER,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

-- The newest of each kind was the one that minted, from its making on. Of the others nothing says how long their tokens live:
-- ten years, which nothing outlives.
INSERT INTO keys (kind, id, status, algorithm, wrapped, outlived_by, created_at, current_at, verify_at, gone_at)
    SELECT 'signing', id, CASE id WHEN (SELECT max(id) FROM signing_keys) THEN 'current' ELSE 'verify' END, algorithm, wrapped,
        CASE id WHEN (SELECT max(id) FROM signing_keys) THEN 0 ELSE 315360000 END, created_at, created_at,
        (SELECT min(later.created_at) FROM signing_keys later WHERE later.id > signing_keys.id), NULL
    FROM signing_keys;
INSERT INTO keys (kind, id, status, algorithm, wrapped, outlived_by, created_at, current_at, verify_at, gone_at)
    SELECT 'seed', id, CASE id WHEN (SELECT max(id) FROM seed_keys) THEN 'current' ELSE 'verify' END, '', NULL, 0, created_at,
        created_at, (SELECT min(later.created_at) FROM seed_keys later WHERE later.id > seed_keys.id), NULL
    FROM seed_keys;

-- The derived keys number 1, which were always there.
INSERT INTO keys (kind, id, status, algorithm, wrapped, outlived_by, created_at, current_at, verify_at, gone_at)
    SELECT kind.column1, 1, 'current', '', NULL, 0, made.at, made.at, NULL, NULL
    FROM (VALUES ('tag'), ('sealing')) kind,
        (SELECT ifnull((SELECT min(created_at) FROM signing_keys), high_water) AS at FROM meta WHERE deployment IS NOT NULL) made;

DROP TABLE signing_keys;
ALTER TABLE seed_keys DROP COLUMN algorithm;
ALTER TABLE seed_keys DROP COLUMN created_at;
