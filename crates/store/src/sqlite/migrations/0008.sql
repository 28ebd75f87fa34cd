-- The last recovery after a restore: what was lost, and what becomes of grants of which nobody can know which token is the newest.
ALTER TABLE meta ADD COLUMN lost_from INTEGER;
ALTER TABLE meta ADD COLUMN lost_until INTEGER;
ALTER TABLE meta ADD COLUMN unproven TEXT;
