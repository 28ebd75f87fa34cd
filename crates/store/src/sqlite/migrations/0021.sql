-- Each half of a grant as one value, but for what statements ask for: a column is a parameter and a result for each row of each batch. The
-- program writes the rows anew (halves.rs) before the old tables go.
ALTER TABLE grants RENAME TO grants_of_20;
ALTER TABLE grant_terms RENAME TO grant_terms_of_20;
DROP INDEX grant_terms_by_client;
DROP INDEX grant_terms_by_subject;

-- The hot half: one small row, the only thing a refresh changes.
CREATE TABLE grants (
    number INTEGER PRIMARY KEY,
    random INTEGER NOT NULL,
    version INTEGER NOT NULL,
    hot BLOB NOT NULL
) STRICT;

-- The cold half: written once, under the same MAC.
CREATE TABLE grant_terms (
    number INTEGER PRIMARY KEY,
    client TEXT NOT NULL,
    subject TEXT NOT NULL,
    terms BLOB NOT NULL
) STRICT;
