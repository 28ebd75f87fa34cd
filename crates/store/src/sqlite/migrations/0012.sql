-- How many wide revocations there are of one session, user or client, or of none of these, is asked before each: not by a look at all.
CREATE INDEX epochs_by_session ON epochs (session) WHERE session IS NOT NULL;
CREATE INDEX epochs_by_subject ON epochs (subject) WHERE session IS NULL AND subject IS NOT NULL;
CREATE INDEX epochs_by_client ON epochs (client) WHERE session IS NULL AND subject IS NULL AND client IS NOT NULL;
CREATE INDEX epochs_broad ON epochs (number) WHERE session IS NULL AND subject IS NULL AND client IS NULL;

-- What resource servers hear of a wide revocation: exactly what it selects, which it was if it can be taken back, and that it was.
ALTER TABLE revocations ADD COLUMN issued_before INTEGER;
ALTER TABLE revocations ADD COLUMN bulk INTEGER;
ALTER TABLE revocations ADD COLUMN taken_back INTEGER;
