-- Wide revocations of several clients, of all but several, and of all but one browser session.
ALTER TABLE epochs ADD COLUMN but_session BLOB;
ALTER TABLE epochs ADD COLUMN among TEXT;
ALTER TABLE revocations ADD COLUMN but_session BLOB;
ALTER TABLE revocations ADD COLUMN among TEXT;
