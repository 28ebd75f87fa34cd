-- How many transactions were made durable, raised by each of them: compared with the anchor when the store is opened.
ALTER TABLE meta ADD COLUMN commits INTEGER NOT NULL DEFAULT 0;
