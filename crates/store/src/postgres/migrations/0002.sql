-- Each half of a grant as one value, but for what statements ask for: a column is a parameter and a result for each row of each batch. The
-- program writes the rows anew (halves.rs) before the old tables go.
ALTER TABLE grants RENAME TO grants_of_1;
ALTER INDEX grants_pkey RENAME TO grants_of_1_pkey;
ALTER TABLE grant_terms RENAME TO grant_terms_of_1;
ALTER INDEX grant_terms_pkey RENAME TO grant_terms_of_1_pkey;
DROP INDEX grant_terms_by_client;
DROP INDEX grant_terms_by_subject;

-- The hot half: one small row, the only thing a refresh changes. No index holds a column that changes, and a page has room for the next
-- version: an update stays on its page (HOT), and the old version goes without a vacuum.
CREATE TABLE grants (
    number bigint PRIMARY KEY,
    random bigint NOT NULL,
    version bigint NOT NULL,
    hot bytea NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

-- The cold half: written once, under the same MAC.
CREATE TABLE grant_terms (
    number bigint PRIMARY KEY,
    client text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    terms bytea NOT NULL
);
CREATE INDEX grant_terms_by_client ON grant_terms (client, number);
CREATE INDEX grant_terms_by_subject ON grant_terms (subject, number);
