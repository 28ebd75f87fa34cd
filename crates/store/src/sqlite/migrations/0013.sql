-- One MAC over the ends of the chain of events, all wide revocations and all keys, and how often there was another one (see guard.rs). The
-- first one is made when the store is first given its key.
ALTER TABLE meta ADD COLUMN seal BLOB NOT NULL DEFAULT x'';
ALTER TABLE meta ADD COLUMN seals INTEGER NOT NULL DEFAULT 0;
