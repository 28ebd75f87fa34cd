-- What batches changed in hot rows of grants and was not yet written into them: one row a batch, in order, without gaps. Empty
-- where rows are written at once.
CREATE TABLE journal (
    id INTEGER PRIMARY KEY,
    batch BLOB NOT NULL
) STRICT;
